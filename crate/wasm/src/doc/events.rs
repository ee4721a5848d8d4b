//! Events as JavaScript receives them: one array for everything that happened, in one crossing.

use headwater_doc::{ArrayDelta, Change, Event, EventBatch, KeyAction, KeyChange, PathStep};
use js_sys::Array;
use wasm_bindgen::JsValue;

use crate::value::{delta_to_js, object, to_token, value_to_js};

/// `[{ observer, events: [{ target, path, local, keys | delta }] }]`
pub(crate) fn batches_to_js(batches: &[EventBatch]) -> Array {
    let batch = |batch: &EventBatch| {
        let events = batch.events.iter().map(event_to_js).collect::<Array>();
        JsValue::from(object([("observer", batch.observer.0.into()), ("events", events.into())]))
    };
    batches.iter().map(batch).collect()
}

fn event_to_js(event: &Event) -> JsValue {
    let change = match &event.change {
        Change::Map(keys) => ("keys", keys.iter().map(key_change).collect::<Array>()),
        Change::Array(steps) => ("delta", steps.iter().map(array_step).collect::<Array>()),
        Change::Text(delta) => ("delta", delta_to_js(delta)),
    };
    object([
        ("target", to_token(event.target).into()),
        ("path", path_to_js(&event.path).into()),
        ("local", event.local.into()),
        (change.0, change.1.into()),
    ])
    .into()
}

pub(crate) fn path_to_js(path: &[PathStep]) -> Array {
    let step = |step: &PathStep| match step {
        PathStep::Key(key) => JsValue::from(key),
        PathStep::Index(index) => (*index).into(),
    };
    path.iter().map(step).collect()
}

/// `[key, { action, oldValue }]`: a `Map` is made of such pairs.
fn key_change(change: &KeyChange) -> JsValue {
    let action = match change.action {
        KeyAction::Add => "add",
        KeyAction::Update => "update",
        KeyAction::Delete => "delete",
    };
    let old = change.old.as_ref().map_or(JsValue::UNDEFINED, value_to_js);
    let what = object([("action", action.into()), ("oldValue", old)]);
    [JsValue::from(&change.key), what.into()].into_iter().collect::<Array>().into()
}

fn array_step(step: &ArrayDelta) -> JsValue {
    let (name, value) = match step {
        ArrayDelta::Insert(values) => ("insert", values.iter().map(value_to_js).collect::<Array>().into()),
        ArrayDelta::Retain(count) => ("retain", (*count).into()),
        ArrayDelta::Delete(count) => ("delete", (*count).into()),
    };
    object([(name, value)]).into()
}
