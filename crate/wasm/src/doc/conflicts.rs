//! Conflicts as JavaScript receives them, in the shape of `Conflict` in `pkg/src/types.ts` without the document's name.

use headwater_core::Origin;
use headwater_doc::{Conflict, ConflictSide, ConflictValue, Kind};
use js_sys::Array;
use wasm_bindgen::JsValue;

use super::events::path_to_js;
use crate::value::{any_to_js, object};

/// `[{ path, key, winner, loser }]`
pub(crate) fn conflicts_to_js(conflicts: &[Conflict]) -> Array {
    let conflict = |conflict: &Conflict| {
        JsValue::from(object([
            ("path", path_to_js(&conflict.path).into()),
            ("key", JsValue::from(&conflict.key)),
            ("winner", side_to_js(&conflict.winner)),
            ("loser", side_to_js(&conflict.loser)),
        ]))
    };
    conflicts.iter().map(conflict).collect()
}

/// `{ kind, value, client, origin }`
fn side_to_js(side: &ConflictSide) -> JsValue {
    let (kind, value) = match &side.value {
        ConflictValue::Plain(any) => ("plain", any_to_js(any)),
        ConflictValue::Shared(Kind::Map) => ("map", JsValue::UNDEFINED),
        ConflictValue::Shared(Kind::Array) => ("array", JsValue::UNDEFINED),
        ConflictValue::Shared(Kind::Text) => ("text", JsValue::UNDEFINED),
        ConflictValue::Absent => ("absent", JsValue::UNDEFINED),
    };
    let origin = side.origin.map_or(JsValue::NULL, |origin| Origin(origin).to_string().into());
    // Client ids have 53 bits.
    object([("kind", kind.into()), ("value", value), ("client", (side.client as f64).into()), ("origin", origin)])
        .into()
}
