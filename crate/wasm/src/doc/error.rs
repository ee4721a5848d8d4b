//! Errors as JavaScript sees them: an `Error` with a stable `code`.

use headwater_doc::DocError;
use js_sys::{Error, Reflect};
use wasm_bindgen::JsValue;

pub(crate) fn error(code: &str, message: &str) -> JsValue {
    let error = Error::new(message);
    Reflect::set(&error, &"code".into(), &code.into()).expect("a fresh error takes any property");
    error.into()
}

pub(crate) fn type_error(message: &str) -> JsValue {
    error("TYPE", message)
}

pub(crate) fn doc_error(cause: DocError) -> JsValue {
    error(cause.code(), &cause.to_string())
}
