//! Turning what a JavaScript host passes into the core's types, with coded errors for what does not fit: an `Error` with a
//! stable `code`, as JavaScript sees them.

use headwater_core::{Bookmark, Code, DocName, Error, Millis};
use js_sys::Reflect;
use wasm_bindgen::JsValue;

pub(crate) fn error(code: &str, message: &str) -> JsValue {
    let error = js_sys::Error::new(message);
    Reflect::set(&error, &"code".into(), &code.into()).expect("a fresh error takes any property");
    error.into()
}

pub(crate) fn throw(cause: Error) -> JsValue {
    error(cause.code.as_str(), &cause.message)
}

pub(crate) fn doc_name(name: &str) -> Result<DocName, JsValue> {
    DocName::parse(name).map_err(throw)
}

pub(crate) fn parse_bookmark(text: &str) -> Result<Bookmark, JsValue> {
    text.parse().map_err(throw)
}

/// A moment or span in milliseconds. Not a number, or a negative one, is zero; infinity is for ever.
pub(crate) fn millis(value: f64) -> Millis {
    Millis(value as u64)
}

/// A failure as the host reports it; `otherwise` stands for a code that the core does not have.
pub(crate) fn coded(code: &str, message: &str, otherwise: Code) -> Error {
    let known = Code::ALL.iter().copied().find(|known| known.as_str() == code);
    Error::new(known.unwrap_or(otherwise), message)
}

/// A storage failure as the host reports it.
pub(crate) fn storage_error(code: &str, message: &str) -> Error {
    coded(code, message, Code::StorageUnavailable)
}

pub(crate) fn malformed(message: String) -> JsValue {
    throw(Error::malformed(message))
}
