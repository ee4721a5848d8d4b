//! Values across the boundary: JavaScript values to plain data and descriptions of new shared types, and back.
//!
//! Conversions run user code (getters, proxies), so callers convert what comes in before they borrow anything, and what
//! goes out after they have let go. Shared types never cross as pointers: outward they are an object with one symbol
//! property that holds a number, and inward a preliminary type is an object with another symbol property. Plain data
//! has no symbol properties, so nothing that a user stores can pass for either.

use std::collections::HashMap;
use std::sync::Arc;

use headwater_doc::sort_by_key;
use headwater_doc::{Any, Attrs, DeltaOp, Handle, Input, Kind, MAX_VALUE_DEPTH, Number, TextDelta, TextPiece, Value};
use js_sys::{Array, BigInt, Object, Reflect, Symbol, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};

use crate::doc::error::type_error;
use crate::host::error;

thread_local! {
    static SHARED: JsValue = Symbol::for_("headwater.shared").into();
    static PRELIMINARY: JsValue = Symbol::for_("headwater.preliminary").into();
}

/// The largest integer that JavaScript counts exactly.
const MAX_SAFE_INTEGER: f64 = 9_007_199_254_740_991.0;

/// A shared type as a number: its place in the document's table and its kind.
pub(crate) fn to_token(handle: Handle) -> u32 {
    let kind = match handle.kind {
        Kind::Map => 0,
        Kind::Array => 1,
        Kind::Text => 2,
    };
    handle.index.checked_mul(4).expect("a document hands out fewer than 2^30 shared types") | kind
}

/// The shared type that a number from [`to_token`] names. Whether it is there shows when it is used.
pub(crate) fn from_token(token: u32) -> Result<Handle, JsValue> {
    Ok(Handle { index: token >> 2, kind: kind(token & 3)? })
}

pub(crate) fn kind(number: u32) -> Result<Kind, JsValue> {
    match number {
        0 => Ok(Kind::Map),
        1 => Ok(Kind::Array),
        2 => Ok(Kind::Text),
        _ => Err(type_error("no such kind of shared type")),
    }
}

pub(crate) fn value_to_js(value: &Value) -> JsValue {
    match value {
        Value::Any(any) => any_to_js(any),
        Value::Shared(handle) => {
            let marker = Object::new();
            SHARED.with(|symbol| set(&marker, symbol, &to_token(*handle).into()));
            marker.into()
        }
    }
}

pub(crate) fn any_to_js(any: &Any) -> JsValue {
    match any {
        Any::Null => JsValue::NULL,
        Any::Undefined => JsValue::UNDEFINED,
        Any::Bool(value) => (*value).into(),
        Any::Number(Number::Float(value)) => (*value).into(),
        Any::Number(Number::Int(value)) if value.unsigned_abs() <= MAX_SAFE_INTEGER as u64 => (*value as f64).into(),
        Any::Number(Number::Int(value)) => BigInt::from(*value).into(),
        Any::String(value) => (&**value).into(),
        Any::Buffer(bytes) => Uint8Array::from(&**bytes).into(),
        Any::Array(values) => values.iter().map(any_to_js).collect::<Array>().into(),
        Any::Map(entries) => {
            let mut entries: Vec<_> = entries.iter().collect();
            sort_by_key(&mut entries, |(key, _)| *key);
            object(entries.into_iter().map(|(key, value)| (key.as_str(), any_to_js(value)))).into()
        }
    }
}

pub(crate) fn attrs_to_js(attrs: &Attrs) -> JsValue {
    let mut entries: Vec<_> = attrs.iter().collect();
    sort_by_key(&mut entries, |(key, _)| *key);
    object(entries.into_iter().map(|(key, value)| (&**key, any_to_js(value)))).into()
}

pub(crate) fn delta_to_js(delta: &[TextDelta<Value>]) -> Array {
    let step = |name, value: JsValue, attrs: &Option<Box<Attrs>>| {
        let attrs = attrs.as_ref().map(|attrs| ("attributes", attrs_to_js(attrs)));
        JsValue::from(object([(name, value)].into_iter().chain(attrs)))
    };
    let steps = delta.iter().map(|op| match op {
        TextDelta::Insert(value, attrs) => step("insert", value_to_js(value), attrs),
        TextDelta::Retain(count, attrs) => step("retain", (*count).into(), attrs),
        TextDelta::Delete(count) => step("delete", (*count).into(), &None),
    });
    steps.collect()
}

/// A fresh object. Its properties are defined, not assigned, where assigning would mean something else.
pub(crate) fn object<'a>(entries: impl IntoIterator<Item = (&'a str, JsValue)>) -> Object {
    let object = Object::new();
    for (key, value) in entries {
        match key {
            "__proto__" => {
                let own = Object::new();
                for (name, setting) in [("value", &value), ("writable", &true.into()), ("enumerable", &true.into())] {
                    set(&own, &name.into(), setting);
                }
                set(&own, &"configurable".into(), &true.into());
                Reflect::define_property(&object, &key.into(), &own).expect("a fresh object takes any property");
            }
            _ => set(&object, &key.into(), &value),
        }
    }
    object
}

fn set(object: &Object, key: &JsValue, value: &JsValue) {
    Reflect::set(object, key, value).expect("a fresh object takes any property");
}

/// What a user sets, inserts or embeds: plain data, or a new shared type.
pub(crate) fn input_from_js(value: &JsValue) -> Result<Input, JsValue> {
    input(value, 0)
}

pub(crate) fn inputs_from_js(values: &Array) -> Result<Vec<Input>, JsValue> {
    values.iter().map(|value| input(&value, 0)).collect()
}

fn input(value: &JsValue, depth: usize) -> Result<Input, JsValue> {
    let marked = match value.is_object() {
        true => PRELIMINARY.with(|symbol| Reflect::get(value, symbol))?,
        false => JsValue::UNDEFINED,
    };
    if marked.is_undefined() {
        return any(value, depth).map(Input::Any);
    }
    check_depth(depth)?;
    let kind = kind(marked.as_f64().unwrap_or(f64::NAN) as u32)?;
    let content = Reflect::get(value, &"content".into())?;
    let content = list(&content)?;
    Ok(match kind {
        Kind::Map => {
            let entry = |entry: JsValue| -> Result<_, JsValue> {
                let entry = list(&entry)?;
                let key = entry.get(0).as_string().ok_or_else(|| type_error("a key must be a string"))?;
                Ok((key, input(&entry.get(1), depth + 1)?))
            };
            Input::Map(content.iter().map(entry).collect::<Result<_, _>>()?)
        }
        Kind::Array => Input::Array(content.iter().map(|value| input(&value, depth + 1)).collect::<Result<_, _>>()?),
        Kind::Text => {
            let piece = |op: JsValue| match delta_op(&op, depth + 1)? {
                TextDelta::Insert(insert, attrs) => Ok(TextPiece { insert, attrs }),
                _ => Err(type_error("a new text holds nothing to retain or delete")),
            };
            Input::Text(content.iter().map(piece).collect::<Result<_, _>>()?)
        }
    })
}

pub(crate) fn delta_from_js(delta: &Array) -> Result<Vec<DeltaOp>, JsValue> {
    delta.iter().map(|op| delta_op(&op, 0)).collect()
}

fn delta_op(op: &JsValue, depth: usize) -> Result<DeltaOp, JsValue> {
    if !op.is_object() {
        return Err(type_error("a step of a delta must be an object with insert, retain or delete"));
    }
    let field = |name: &str| Reflect::get(op, &name.into());
    let count = |value: JsValue| match value.as_f64() {
        Some(count) if count.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&count) => Ok(count as u32),
        _ => Err(error("RANGE", "a length in a delta must be a whole number that is not negative")),
    };
    let attrs = |attrs: JsValue| Ok::<_, JsValue>(attrs_from_js(&attrs)?.map(Box::new));
    let insert = field("insert")?;
    if !insert.is_undefined() {
        return Ok(TextDelta::Insert(input(&insert, depth)?, attrs(field("attributes")?)?));
    }
    let retain = field("retain")?;
    if !retain.is_undefined() {
        return Ok(TextDelta::Retain(count(retain)?, attrs(field("attributes")?)?));
    }
    Ok(TextDelta::Delete(count(field("delete")?)?))
}

/// Formatting: an object, or nothing at all.
pub(crate) fn attrs_from_js(attrs: &JsValue) -> Result<Option<Attrs>, JsValue> {
    if attrs.is_undefined() || attrs.is_null() {
        return Ok(None);
    }
    match any(attrs, 0)? {
        Any::Map(entries) => {
            Ok(Some(entries.iter().map(|(key, value)| (Arc::from(key.as_str()), value.clone())).collect()))
        }
        _ => Err(type_error("attributes must be an object")),
    }
}

fn any(value: &JsValue, depth: usize) -> Result<Any, JsValue> {
    if value.is_undefined() {
        return Ok(Any::Undefined);
    }
    if value.is_null() {
        return Ok(Any::Null);
    }
    if let Some(value) = value.as_bool() {
        return Ok(Any::Bool(value));
    }
    if let Some(value) = value.as_f64() {
        return Ok(Any::Number(number(value)));
    }
    if let Some(value) = value.as_string() {
        return Ok(Any::String(value.into()));
    }
    if value.is_bigint() {
        return match i64::try_from(value.clone()) {
            // yrs takes the largest one for the double above it.
            Ok(value) if value != i64::MAX => Ok(Any::Number(Number::Int(value))),
            _ => Err(error("RANGE", "a bigint must fit 64 bits, and be less than the largest of them")),
        };
    }
    check_depth(depth)?;
    if let Some(bytes) = value.dyn_ref::<Uint8Array>() {
        return Ok(Any::Buffer(bytes.to_vec().into()));
    }
    if Array::is_array(value) {
        let values = list(value)?.iter().map(|value| any(&value, depth + 1)).collect::<Result<Vec<_>, _>>()?;
        return Ok(Any::Array(values.into()));
    }
    if !is_plain_object(value)? {
        return Err(type_error("a value must be JSON-like: plain objects, arrays, Uint8Array and primitives"));
    }
    let mut entries = HashMap::new();
    for entry in Object::entries(value.unchecked_ref()).iter() {
        let entry = list(&entry)?;
        let key = entry.get(0).as_string().expect("Object.entries gives string keys");
        entries.insert(key, any(&entry.get(1), depth + 1)?);
    }
    Ok(Any::Map(entries.into()))
}

/// Whole numbers are stored as such, which is what Yjs writes; negative zero is not whole.
fn number(value: f64) -> Number {
    match value.fract() == 0.0 && value.abs() <= MAX_SAFE_INTEGER && !(value == 0.0 && value.is_sign_negative()) {
        true => Number::Int(value as i64),
        false => Number::Float(value),
    }
}

/// Objects made by literals, `Object.create(null)` or another realm's literals; not dates, maps or class instances,
/// which would silently lose what makes them so.
fn is_plain_object(value: &JsValue) -> Result<bool, JsValue> {
    if !value.is_object() {
        return Ok(false);
    }
    let prototype = Reflect::get_prototype_of(value)?;
    Ok(prototype.is_null() || Reflect::get_prototype_of(&prototype)?.is_null())
}

fn list(value: &JsValue) -> Result<&Array, JsValue> {
    match Array::is_array(value) {
        true => Ok(value.unchecked_ref()),
        false => Err(type_error("an array was expected")),
    }
}

fn check_depth(depth: usize) -> Result<(), JsValue> {
    match depth <= MAX_VALUE_DEPTH {
        true => Ok(()),
        false => Err(type_error("a value nests too deep, or contains itself")),
    }
}
