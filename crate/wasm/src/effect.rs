//! What the machines want done, as plain JavaScript objects: `{ type, … }`.
//!
//! The shapes are those of `pkg/src/effects.ts`; nothing is decided here.

use headwater_core::Error;
use headwater_core::ids::Token;
use headwater_core::store::{Row, Scan, StoreOp};
use js_sys::{Array, Object, Reflect, Uint8Array};
use wasm_bindgen::JsValue;

/// An object under construction.
pub(crate) struct Effect(Object);

impl Effect {
    pub(crate) fn new(kind: &str) -> Self {
        Self::plain().with("type", kind)
    }

    pub(crate) fn plain() -> Self {
        Self(Object::new())
    }

    pub(crate) fn with(self, name: &str, value: impl Into<JsValue>) -> Self {
        Reflect::set(&self.0, &name.into(), &value.into()).expect("a fresh object takes any property");
        self
    }

    pub(crate) fn with_some(self, name: &str, value: Option<impl Into<JsValue>>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    pub(crate) fn persist(token: Token, ops: Vec<StoreOp>) -> Self {
        Self::new("persist").with("token", token.0 as f64).with("ops", ops_to_js(ops))
    }

    /// The row that must not be there for a commit to happen: `{ table, key }`.
    #[cfg(feature = "replica")]
    pub(crate) fn guarded(self, guard: Option<headwater_core::store::Guard>) -> Self {
        let guard = guard.map(|headwater_core::store::Guard { table, key }| {
            Effect::plain().with("table", table.as_str()).with("key", bytes_to_js(&key)).done()
        });
        self.with_some("guard", guard)
    }

    pub(crate) fn scan(token: Token, scan: Scan) -> Self {
        let (rows, bytes) = scan.limit.unzip();
        Self::new("scan")
            .with("token", token.0 as f64)
            .with("table", scan.table.as_str())
            .with("from", bytes_to_js(&scan.from))
            .with_some("to", scan.to.as_deref().map(bytes_to_js))
            .with_some("rows", rows.map(|rows| rows as f64))
            .with_some("bytes", bytes.map(|bytes| bytes as f64))
    }

    pub(crate) fn done(self) -> JsValue {
        self.0.into()
    }
}

pub(crate) fn bytes_to_js(bytes: &[u8]) -> JsValue {
    Uint8Array::from(bytes).into()
}

pub(crate) fn error_to_js(error: &Error) -> JsValue {
    Effect::plain().with("code", error.code.as_str()).with("message", error.message.as_str()).done()
}

/// Rows come as one flat list: key, value, key, value …
pub(crate) fn rows_from_js(rows: &[Uint8Array]) -> Vec<Row> {
    let pairs = rows.chunks_exact(2);
    pairs.map(|pair| Row { key: pair[0].to_vec(), value: pair[1].to_vec() }).collect()
}

pub(crate) fn ops_to_js(ops: Vec<StoreOp>) -> Array {
    ops.into_iter().map(|op| op_to_js(op).done()).collect()
}

fn op_to_js(op: StoreOp) -> Effect {
    match op {
        StoreOp::Put { table, key, value } => Effect::plain()
            .with("table", table.as_str())
            .with("key", bytes_to_js(&key))
            .with("value", bytes_to_js(&value)),
        StoreOp::Delete { table, key } => Effect::plain().with("table", table.as_str()).with("key", bytes_to_js(&key)),
        StoreOp::DeleteRange { table, from, to } => {
            Effect::plain().with("table", table.as_str()).with("key", bytes_to_js(&from)).with("to", bytes_to_js(&to))
        }
    }
}
