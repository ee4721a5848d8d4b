//! A node as an edge worker drives it: the core's machine, and documents made for as long as a query needs them.
//!
//! It holds no document in memory to take writes: updates are checked and stay bytes.

use crate::bookmark::parse;
use crate::effect::{Effect, bytes_to_js, error_to_js, rows_from_js};
use crate::host::{doc_name, malformed, millis, storage_error};
use headwater_core::error::Code;
use headwater_core::node::{self, Config, Input, Output, Query};
use headwater_core::sorted::Map;
use headwater_core::{Bookmark, ConnId, Error, Generation, Token};
use headwater_doc::{Document, check_update};
use js_sys::{Array, Uint8Array};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

/// WebSocket close codes for applications begin here; the error's byte is added.
const CLOSE_CODE_BASE: u32 = 4000;

enum Format {
    Json,
    Update,
}

/// A query for a document, and what has been read of it so far.
struct Answering {
    doc: Option<(Document, Format)>,
}

/// One database's node.
#[wasm_bindgen]
pub struct Node {
    core: node::Node,
    answering: Map<u64, Answering>,
}

#[wasm_bindgen]
impl Node {
    /// A node that begins by reading its storage. `generation` is random, for a database that has none yet.
    #[wasm_bindgen(constructor)]
    pub fn new(generation: u64) -> Self {
        console_error_panic_hook::set_once();
        let check = |update: &[u8]| check_update(update).map_err(|cause| cause.to_string());
        let config = Config { fresh_generation: Generation(generation), check, group: None };
        Self { core: node::Node::new(config), answering: Map::default() }
    }

    /// A replica connected.
    pub fn opened(&mut self, conn: f64, now: f64) {
        self.handle(Input::Opened { conn: conn_id(conn) }, now);
    }

    /// A connection outlived the instance.
    pub fn restored(&mut self, conn: f64, state: Vec<u8>, now: f64) {
        self.handle(Input::Restored { conn: conn_id(conn), state }, now);
    }

    /// A frame arrived.
    pub fn frame(&mut self, conn: f64, bytes: Vec<u8>, now: f64) {
        self.handle(Input::Frame { conn: conn_id(conn), bytes }, now);
    }

    /// A connection is gone.
    pub fn closed(&mut self, conn: f64, now: f64) {
        self.handle(Input::Closed { conn: conn_id(conn) }, now);
    }

    /// A commit is durable.
    pub fn persisted(&mut self, token: f64, now: f64) {
        self.handle(Input::Persisted { token: Token(token as u64) }, now);
    }

    /// The rows of a scan: key, value, key, value …
    pub fn scanned(&mut self, token: f64, rows: Vec<Uint8Array>, now: f64) {
        let rows = rows_from_js(&rows);
        self.handle(Input::Scanned { token: Token(token as u64), rows }, now);
    }

    /// Storage has failed.
    #[wasm_bindgen(js_name = storageFailed)]
    pub fn storage_failed(&mut self, code: &str, message: &str, now: f64) {
        self.handle(Input::StorageFailed { error: storage_error(code, message) }, now);
    }

    /// A read over HTTP of a document, or of the frontier alone; the effect `answer` with this `id` ends it.
    #[expect(clippy::too_many_arguments, reason = "JavaScript passes them flat: an object would cost a crossing each")]
    pub fn query(
        &mut self,
        id: f64,
        doc: Option<String>,
        bookmark: Option<String>,
        strong: bool,
        timeout_ms: f64,
        format: &str,
        now: f64,
    ) -> Result<(), JsValue> {
        let format = match format {
            "json" => Format::Json,
            "update" => Format::Update,
            other => return Err(malformed(format!("{other:?} is no format; use json or update"))),
        };
        let doc = doc.map(|name| doc_name(&name)).transpose()?;
        let bookmark = bookmark.map_or(Ok(Bookmark::default()), |text| parse(&text))?;
        // The document only reads: it writes under no client id.
        let content = doc.is_some().then(|| (Document::new(0), format));
        let id = id as u64;
        self.answering.insert(id, Answering { doc: content });
        self.handle(Input::Query(Query { id, doc, bookmark, strong, timeout: millis(timeout_ms) }), now);
        Ok(())
    }

    /// Nobody waits for that query any more.
    #[wasm_bindgen(js_name = cancelQuery)]
    pub fn cancel_query(&mut self, id: f64, now: f64) {
        self.answering.remove(&(id as u64));
        self.handle(Input::CancelQuery { id: id as u64 }, now);
    }

    /// Time has passed.
    pub fn tick(&mut self, now: f64) {
        self.handle(Input::Tick, now);
    }

    /// When to call `tick` at the latest.
    #[wasm_bindgen(js_name = nextTimeout)]
    pub fn next_timeout(&self) -> Option<f64> {
        self.core.next_timeout().map(|at| at.0 as f64)
    }

    /// Figures for an operator.
    pub fn status(&self) -> JsValue {
        let status = self.core.status();
        Effect::plain()
            .with("isLoaded", status.is_loaded)
            .with("generation", status.generation.0)
            .with("epoch", status.epoch.0)
            .with("lsn", status.lsn.0)
            .with("connections", status.connections as f64)
            .with("rowsCommitted", status.rows_committed)
            .with("entriesCommitted", status.entries_committed)
            .with_some("failure", status.failure.as_ref().map(error_to_js))
            .done()
    }

    /// Does everything that is to be done now, and answers what the host must do, in order.
    pub fn poll(&mut self) -> Array {
        let effects = Array::new();
        while let Some(output) = self.core.poll() {
            if let Some(effect) = self.execute(output) {
                effects.push(&effect.done());
            }
        }
        effects
    }

    fn execute(&mut self, output: Output) -> Option<Effect> {
        Some(match output {
            Output::Send { conn, bytes } => {
                Effect::new("send").with("conn", conn.0 as f64).with("bytes", bytes_to_js(&bytes))
            }
            Output::Close { conn, error } => Effect::new("close")
                .with("conn", conn.0 as f64)
                .with("code", CLOSE_CODE_BASE + u32::from(error.code.to_byte()))
                .with("reason", error.code.as_str()),
            Output::Attach { conn, state } => {
                Effect::new("attach").with("conn", conn.0 as f64).with("state", bytes_to_js(&state))
            }
            Output::Persist { token, ops } => Effect::persist(token, ops),
            Output::Scan { token, scan } => Effect::scan(token, scan),
            Output::Content { query, updates } => {
                let updates: Vec<&[u8]> = updates.iter().map(|update| &**update).collect();
                let Some(Answering { doc: Some((doc, _)) }) = self.answering.get_mut(&query) else { return None };
                if let Err(cause) = doc.apply(&updates) {
                    self.answering.remove(&query);
                    let error = Error::new(Code::Corrupt, format!("the document cannot be read: {cause}"));
                    return Some(answer(query).with("error", error_to_js(&error)));
                }
                return None;
            }
            Output::Answer { query, result } => self.answer(query, result)?,
            Output::Failed { error } => Effect::new("failed").with("error", error_to_js(&error)),
            Output::Call { .. }
            | Output::Reply { .. }
            | Output::ReadRecord { .. }
            | Output::SwapRecord { .. }
            | Output::AdminDone { .. }
            | Output::Event(_) => unreachable!("this node leads alone"),
        })
    }

    fn answer(&mut self, query: u64, result: Result<Bookmark, Error>) -> Option<Effect> {
        let answering = self.answering.remove(&query)?;
        let bookmark = match result {
            Err(error) => return Some(answer(query).with("error", error_to_js(&error))),
            Ok(bookmark) => bookmark.to_string(),
        };
        let effect = answer(query).with("bookmark", bookmark);
        Some(match answering.doc {
            None => effect,
            Some((doc, Format::Json)) => effect.with("json", doc.to_json_string()),
            Some((doc, Format::Update)) => effect.with("update", bytes_to_js(&doc.encode_state())),
        })
    }

    fn handle(&mut self, input: Input, now: f64) {
        self.core.handle(input, millis(now));
    }
}

fn answer(query: u64) -> Effect {
    Effect::new("answer").with("id", query as f64)
}

fn conn_id(conn: f64) -> ConnId {
    ConnId(conn as u64)
}
