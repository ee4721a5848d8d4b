//! A document as JavaScript drives it: one method for each operation, shared types by number.
//!
//! It adds no behaviour to `headwater_doc` but the crossing. It never calls back: the TypeScript side commits, takes
//! the events and calls the user's functions when no borrow is held here.

use std::cell::RefCell;
use std::rc::Rc;

use headwater_doc::{DocError, Document, Handle, ObserverId};
use js_sys::Array;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::value::{
    any_to_js, attrs_from_js, delta_from_js, delta_to_js, from_token, input_from_js, inputs_from_js, kind, to_token,
    value_to_js,
};

pub(crate) mod conflicts;
pub(crate) mod error;
mod events;

use error::doc_error;

/// A document. Shared types are named by the numbers that `root` and the reading methods answer.
#[wasm_bindgen]
pub struct DocHandle {
    inner: Rc<RefCell<Document>>,
}

impl DocHandle {
    /// A handle on a document that others hold too.
    pub(crate) fn from_inner(inner: Rc<RefCell<Document>>) -> Self {
        DocHandle { inner }
    }

    /// Borrows for one operation. The borrow ends before anything is converted for JavaScript.
    fn with<R>(&self, shared: u32, f: impl FnOnce(&mut Document, Handle) -> Result<R, DocError>) -> Result<R, JsValue> {
        let handle = from_token(shared)?;
        f(&mut self.inner.borrow_mut(), handle).map_err(doc_error)
    }
}

/// The document as a whole. What comes in, goes out or is committed does so through the replica that it belongs to.
#[wasm_bindgen]
impl DocHandle {
    /// All root types as plain data.
    #[wasm_bindgen(js_name = toJSON)]
    pub fn to_json(&self) -> JsValue {
        let json = self.inner.borrow().to_json();
        any_to_js(&json)
    }

    /// Everything as one update in encoding v1.
    #[wasm_bindgen(js_name = encodeState)]
    pub fn encode_state(&self) -> Vec<u8> {
        self.inner.borrow().encode_state()
    }

    /// The root type of a kind (0 map, 1 array, 2 text) and a name.
    pub fn root(&self, kind_number: u32, name: &str) -> Result<u32, JsValue> {
        let kind = kind(kind_number)?;
        self.inner.borrow_mut().root(kind, name).map(to_token).map_err(doc_error)
    }

    /// Watches a shared type, with `deep` also what is in it; answers the observer's number.
    pub fn observe(&self, shared: u32, deep: bool) -> Result<u32, JsValue> {
        self.with(shared, |doc, handle| doc.observe(handle, deep)).map(|id| id.0)
    }

    /// Ends the watch; says whether there was one.
    pub fn unobserve(&self, observer: u32) -> bool {
        self.inner.borrow_mut().unobserve(ObserverId(observer))
    }

    /// What observers have to be told since the last time.
    #[wasm_bindgen(js_name = takeEvents)]
    pub fn take_events(&self) -> Array {
        let batches = self.inner.borrow_mut().take_events();
        events::batches_to_js(&batches)
    }
}

/// Maps.
#[wasm_bindgen]
impl DocHandle {
    /// Sets `key` to plain data or to a new shared type.
    #[wasm_bindgen(js_name = mapSet)]
    pub fn map_set(&self, shared: u32, key: &str, value: &JsValue) -> Result<(), JsValue> {
        let value = input_from_js(value)?;
        self.with(shared, |doc, map| doc.map_set(map, key, value))
    }

    /// What stands at `key`, or `undefined`.
    #[wasm_bindgen(js_name = mapGet)]
    pub fn map_get(&self, shared: u32, key: &str) -> Result<JsValue, JsValue> {
        let value = self.with(shared, |doc, map| doc.map_get(map, key))?;
        Ok(value.as_ref().map_or(JsValue::UNDEFINED, value_to_js))
    }

    /// Deletes `key`; says whether it was there.
    #[wasm_bindgen(js_name = mapDelete)]
    pub fn map_delete(&self, shared: u32, key: &str) -> Result<bool, JsValue> {
        self.with(shared, |doc, map| doc.map_delete(map, key))
    }

    /// Whether something stands at `key`.
    #[wasm_bindgen(js_name = mapHas)]
    pub fn map_has(&self, shared: u32, key: &str) -> Result<bool, JsValue> {
        self.with(shared, |doc, map| doc.map_has(map, key))
    }

    /// The keys, sorted.
    #[wasm_bindgen(js_name = mapKeys)]
    pub fn map_keys(&self, shared: u32) -> Result<Vec<String>, JsValue> {
        self.with(shared, |doc, map| doc.map_keys(map))
    }

    /// The entries as pairs, sorted by key.
    #[wasm_bindgen(js_name = mapEntries)]
    pub fn map_entries(&self, shared: u32) -> Result<Array, JsValue> {
        let entries = self.with(shared, |doc, map| doc.map_entries(map))?;
        let pair = |(key, value): &(String, _)| {
            JsValue::from([JsValue::from(key), value_to_js(value)].into_iter().collect::<Array>())
        };
        Ok(entries.iter().map(pair).collect())
    }

    /// How many entries there are.
    #[wasm_bindgen(js_name = mapSize)]
    pub fn map_size(&self, shared: u32) -> Result<u32, JsValue> {
        self.with(shared, |doc, map| doc.map_size(map))
    }

    /// Deletes every entry.
    #[wasm_bindgen(js_name = mapClear)]
    pub fn map_clear(&self, shared: u32) -> Result<(), JsValue> {
        self.with(shared, |doc, map| doc.map_clear(map))
    }

    /// The map and everything in it as plain data.
    #[wasm_bindgen(js_name = mapToJSON)]
    pub fn map_to_json(&self, shared: u32) -> Result<JsValue, JsValue> {
        self.with(shared, |doc, map| doc.map_to_json(map)).map(|json| any_to_js(&json))
    }
}

/// Arrays.
#[wasm_bindgen]
impl DocHandle {
    /// Inserts values before `index`, which may be the length.
    #[wasm_bindgen(js_name = arrayInsert)]
    pub fn array_insert(&self, shared: u32, index: u32, values: &Array) -> Result<(), JsValue> {
        let values = inputs_from_js(values)?;
        self.with(shared, |doc, array| doc.array_insert(array, index, values))
    }

    /// Deletes `count` values from `index` on.
    #[wasm_bindgen(js_name = arrayDelete)]
    pub fn array_delete(&self, shared: u32, index: u32, count: u32) -> Result<(), JsValue> {
        self.with(shared, |doc, array| doc.array_delete(array, index, count))
    }

    /// The value at `index`, or `undefined` past the end.
    #[wasm_bindgen(js_name = arrayGet)]
    pub fn array_get(&self, shared: u32, index: u32) -> Result<JsValue, JsValue> {
        let value = self.with(shared, |doc, array| doc.array_get(array, index))?;
        Ok(value.as_ref().map_or(JsValue::UNDEFINED, value_to_js))
    }

    /// All values.
    #[wasm_bindgen(js_name = arrayValues)]
    pub fn array_values(&self, shared: u32) -> Result<Array, JsValue> {
        let values = self.with(shared, |doc, array| doc.array_values(array))?;
        Ok(values.iter().map(value_to_js).collect())
    }

    /// How many values there are.
    #[wasm_bindgen(js_name = arrayLength)]
    pub fn array_length(&self, shared: u32) -> Result<u32, JsValue> {
        self.with(shared, |doc, array| doc.array_length(array))
    }

    /// The array and everything in it as plain data.
    #[wasm_bindgen(js_name = arrayToJSON)]
    pub fn array_to_json(&self, shared: u32) -> Result<JsValue, JsValue> {
        self.with(shared, |doc, array| doc.array_to_json(array)).map(|json| any_to_js(&json))
    }
}

/// Texts. Positions and lengths count UTF-16 units, as JavaScript strings do.
#[wasm_bindgen]
impl DocHandle {
    /// Inserts text before `index`, with formatting or with that to its left.
    #[wasm_bindgen(js_name = textInsert)]
    pub fn text_insert(&self, shared: u32, index: u32, text: &str, attributes: &JsValue) -> Result<(), JsValue> {
        let attributes = attrs_from_js(attributes)?;
        self.with(shared, |doc, handle| doc.text_insert(handle, index, text, attributes))
    }

    /// Deletes `count` units from `index` on.
    #[wasm_bindgen(js_name = textDelete)]
    pub fn text_delete(&self, shared: u32, index: u32, count: u32) -> Result<(), JsValue> {
        self.with(shared, |doc, text| doc.text_delete(text, index, count))
    }

    /// Formats `count` units from `index` on; a null attribute is taken away.
    #[wasm_bindgen(js_name = textFormat)]
    pub fn text_format(&self, shared: u32, index: u32, count: u32, attributes: &JsValue) -> Result<(), JsValue> {
        let attributes = attrs_from_js(attributes)?.unwrap_or_default();
        self.with(shared, |doc, text| doc.text_format(text, index, count, attributes))
    }

    /// Inserts an object or a new shared type as one unit before `index`.
    #[wasm_bindgen(js_name = textInsertEmbed)]
    pub fn text_insert_embed(
        &self,
        shared: u32,
        index: u32,
        value: &JsValue,
        attributes: &JsValue,
    ) -> Result<(), JsValue> {
        let (value, attributes) = (input_from_js(value)?, attrs_from_js(attributes)?);
        self.with(shared, |doc, text| doc.text_insert_embed(text, index, value, attributes))
    }

    /// Applies a whole change, walking the text once.
    #[wasm_bindgen(js_name = textApplyDelta)]
    pub fn text_apply_delta(&self, shared: u32, delta: &Array) -> Result<(), JsValue> {
        let delta = delta_from_js(delta)?;
        self.with(shared, |doc, text| doc.text_apply_delta(text, delta))
    }

    /// The characters, without formatting and embedded values.
    #[wasm_bindgen(js_name = textToString)]
    pub fn text_to_string(&self, shared: u32) -> Result<String, JsValue> {
        self.with(shared, |doc, text| doc.text_string(text))
    }

    /// The whole content as the change that would create it.
    #[wasm_bindgen(js_name = textToDelta)]
    pub fn text_to_delta(&self, shared: u32) -> Result<Array, JsValue> {
        let delta = self.with(shared, |doc, text| doc.text_delta(text))?;
        Ok(delta_to_js(&delta))
    }

    /// How many units there are, counting one for each embedded value.
    #[wasm_bindgen(js_name = textLength)]
    pub fn text_length(&self, shared: u32) -> Result<u32, JsValue> {
        self.with(shared, |doc, text| doc.text_length(text))
    }
}
