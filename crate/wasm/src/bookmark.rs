//! Bookmarks for those who hold them as text.

use crate::effect::Effect;
use crate::host::{parse_bookmark, throw};
use js_sys::Array;
use std::cmp::Ordering;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

/// The bookmark that waits for what either of two waits for.
#[wasm_bindgen(js_name = mergeBookmarks)]
pub fn merge_bookmarks(left: &str, right: &str) -> Result<String, JsValue> {
    let merged = parse_bookmark(left)?.merge(&parse_bookmark(right)?).map_err(throw)?;
    Ok(merged.to_string())
}

/// -1, 0 or 1 as `left` waits for less, the same or more than `right`; undefined if neither covers the other.
#[wasm_bindgen(js_name = compareBookmarks)]
pub fn compare_bookmarks(left: &str, right: &str) -> Result<Option<i32>, JsValue> {
    Ok(parse_bookmark(left)?.partial_cmp(&parse_bookmark(right)?).map(|order| match order {
        Ordering::Less => -1,
        Ordering::Equal => 0,
        Ordering::Greater => 1,
    }))
}

/// What a bookmark says: `{ generation, epochs: [[epoch, lsn]], origins: [[origin, seq]] }`, numbers as text.
#[wasm_bindgen(js_name = describeBookmark)]
pub fn describe_bookmark(text: &str) -> Result<JsValue, JsValue> {
    let bookmark = parse_bookmark(text)?;
    let pair = |left: String, right: String| Array::of2(&left.into(), &right.into());
    let epochs: Array =
        bookmark.frontier.epochs().map(|(epoch, lsn)| pair(epoch.to_string(), lsn.to_string())).collect();
    let origins: Array =
        bookmark.frontier.origins().map(|(origin, seq)| pair(origin.to_string(), seq.to_string())).collect();
    let generation = format!("{:016x}", bookmark.generation.0);
    Ok(Effect::plain().with("generation", generation).with("epochs", epochs).with("origins", origins).done())
}
