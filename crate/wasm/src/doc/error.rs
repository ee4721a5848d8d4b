//! What documents refuse, as JavaScript sees it.

use crate::host::error;
use headwater_doc::DocError;
use wasm_bindgen::JsValue;

pub(crate) fn type_error(message: &str) -> JsValue {
    error("TYPE", message)
}

pub(crate) fn doc_error(cause: DocError) -> JsValue {
    error(cause.code(), &cause.to_string())
}
