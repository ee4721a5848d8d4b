//! A node as an edge worker drives it: the core's machine, and documents made for as long as a query needs them.
//!
//! It holds no document in memory to take writes: updates are checked and stay bytes.

use crate::effect::{Effect, bytes_to_js, error_to_js, rows_from_js};
use crate::group;
use crate::host::{coded, doc_name, error, malformed, millis, parse_bookmark, storage_error, throw};
use crate::merge;
use crate::retention;
use crate::status::{event_to_js, status_to_js};
use headwater_core::error::Code;
use headwater_core::files;
use headwater_core::group::{MemberName, Topology};
use headwater_core::limits::WRITE_BYTES_MAX;
use headwater_core::node::{self, Admin, At, Config, Done, Held, Input, Output, Query, Swap};
use headwater_core::sorted::Map;
use headwater_core::{Batch, Bookmark, ConnId, DocName, Error, Generation, Millis, Origin, Part, Seq, Token, Write};
use headwater_doc::{DocError, Document, check_update, split_update};
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
    /// A node that begins by reading its storage. `generation` is random, for a database that has none yet. Without a
    /// group, which is described as in `group.rs`, it leads alone. What it keeps is described as in `retention.rs`.
    #[wasm_bindgen(constructor)]
    pub fn new(generation: u64, group: Option<String>, retention: &str) -> Result<Node, JsValue> {
        console_error_panic_hook::set_once();
        let check = |update: &[u8]| check_update(update).map_err(|cause| cause.to_string());
        let group = group.map(|text| group::parse(&text)).transpose().map_err(throw)?;
        let (fresh_generation, retention) = (Generation(generation), retention::parse(retention).map_err(throw)?);
        let config = Config { fresh_generation, check, group, merge: merge::documents, retention };
        Ok(Self { core: node::Node::new(config), answering: Map::default() })
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

    /// Another member asks something; the effect `reply` with this number answers.
    pub fn called(&mut self, call: f64, bytes: Vec<u8>, now: f64) {
        self.handle(Input::Called { call: call as u64, bytes }, now);
    }

    /// What became of the effect `call` with this number: an answer, or a code and a message.
    pub fn answered(
        &mut self,
        call: f64,
        bytes: Option<Vec<u8>>,
        code: Option<String>,
        message: Option<String>,
        now: f64,
    ) {
        let result = bytes.ok_or_else(|| failure(code, message, Code::Offline));
        self.handle(Input::Answered { call: call as u64, result }, now);
    }

    /// What the lease store holds: a text and its revision, or neither where there is no record, or a code and a message.
    pub fn record(
        &mut self,
        token: f64,
        text: Option<String>,
        revision: Option<String>,
        code: Option<String>,
        message: Option<String>,
        now: f64,
    ) {
        let result = match code {
            Some(_) => Err(failure(code, message, Code::StorageUnavailable)),
            None => Ok(held(text, revision)),
        };
        self.handle(Input::Record { token: Token(token as u64), result }, now);
    }

    /// What became of a swap: made, with the new revision alone; lost, with what is there instead, if anything is; or a
    /// code and a message, and it is unknown.
    #[expect(clippy::too_many_arguments, reason = "JavaScript passes them flat: an object would cost a crossing each")]
    pub fn swapped(
        &mut self,
        token: f64,
        is_made: bool,
        text: Option<String>,
        revision: Option<String>,
        code: Option<String>,
        message: Option<String>,
        now: f64,
    ) {
        let result = match (code, is_made, revision) {
            (None, true, Some(revision)) => Ok(Swap::Made { revision }),
            (None, false, revision) => Ok(Swap::Lost { current: held(text, revision) }),
            (code, _, _) => Err(failure(code, message, Code::StorageUnavailable)),
        };
        self.handle(Input::Swapped { token: Token(token as u64), result }, now);
    }

    /// An operator wants another member to lead, any if none is named; the effect `adminDone` with this `id` ends it.
    pub fn switchover(&mut self, id: f64, to: Option<String>, timeout_ms: f64, now: f64) -> Result<(), JsValue> {
        let to = to.map(|name| MemberName::new(&name)).transpose().map_err(throw)?;
        let command = Admin::Switchover { to, timeout: millis(timeout_ms) };
        self.handle(Input::Admin { id: id as u64, command }, now);
        Ok(())
    }

    /// An operator wants this member to lead, whatever is lost by it; the effect `adminDone` with this `id` ends it.
    pub fn promote(&mut self, id: f64, unix_ms: f64, accept_data_loss: bool, now: f64) {
        let command = Admin::Promote { unix_ms: unix_ms as u64, accept_data_loss };
        self.handle(Input::Admin { id: id as u64, command }, now);
    }

    /// An operator wants one member to lead or several; the effect `adminDone` with this `id` ends it.
    pub fn topology(&mut self, id: f64, to: &str, timeout_ms: f64, now: f64) -> Result<(), JsValue> {
        let to = Topology::parse(to)
            .ok_or_else(|| malformed(format!("{to:?} is no topology; use single-leader or multi-leader")))?;
        let command = Admin::Topology { to, timeout: millis(timeout_ms) };
        self.handle(Input::Admin { id: id as u64, command }, now);
        Ok(())
    }

    /// A read over HTTP of a document, or of the frontier alone; the effect `answer` with this `id` ends it. `at` asks for
    /// what was shown at a position, which is waited for, or at a time as a decimal number of unix milliseconds.
    #[expect(clippy::too_many_arguments, reason = "JavaScript passes them flat: an object would cost a crossing each")]
    pub fn query(
        &mut self,
        id: f64,
        doc: Option<String>,
        bookmark: Option<String>,
        strong: bool,
        timeout_ms: f64,
        format: &str,
        at: Option<String>,
        now: f64,
    ) -> Result<(), JsValue> {
        let format = match format {
            "json" => Format::Json,
            "update" => Format::Update,
            other => return Err(malformed(format!("{other:?} is no format; use json or update"))),
        };
        let doc = doc.map(|name| doc_name(&name)).transpose()?;
        let mut bookmark = bookmark.map_or(Ok(Bookmark::default()), |text| parse_bookmark(&text))?;
        let at = match at.as_deref().map(|text| (text, text.parse())) {
            None => None,
            Some((_, Ok(unix))) => Some(At::Time(Millis(unix))),
            Some((text, Err(_))) => {
                let position = parse_bookmark(text)?;
                bookmark = bookmark.merge(&position).map_err(throw)?;
                Some(At::Position(position.frontier))
            }
        };
        // The document only reads: it writes under no client id.
        let content = doc.is_some().then(|| (Document::new(0), format));
        let id = id as u64;
        self.answering.insert(id, Answering { doc: content });
        self.handle(Input::Query(Query { id, doc, bookmark, strong, timeout: millis(timeout_ms), at }), now);
        Ok(())
    }

    /// Which documents a row that is about to be stored has refer to which files, flat: document, id, document, id …
    pub fn mentions(table: &str, key: &[u8], row: &[u8]) -> Result<Vec<String>, JsValue> {
        let mentions = match table {
            "log" => files::mentions_in_log(row),
            "contents" => files::mentions_in_contents(key, row),
            _ => Ok(Vec::new()),
        }
        .map_err(throw)?;
        Ok(mentions.into_iter().flat_map(|mention| [mention.doc.as_str().to_owned(), mention.id]).collect())
    }

    /// Asks which documents there were at the position that a query answered, from the one after `after` on: the effect
    /// `docs` with this `id` ends it, or `answer` with an error.
    #[wasm_bindgen(js_name = listDocs)]
    pub fn list_docs(&mut self, id: f64, after: Option<String>, at: &str, now: f64) -> Result<(), JsValue> {
        let after = after.map(|name| doc_name(&name)).transpose()?;
        let at = parse_bookmark(at)?.frontier;
        let id = id as u64;
        self.answering.insert(id, Answering { doc: None });
        self.handle(Input::ListDocs { id, after, at }, now);
        Ok(())
    }

    /// Appends updates, each to the document beside it, in one commit or not at all. What is more than a write may weigh is
    /// cut into several. They are those of `origin` from number `first` on; answers the number after the last. The effect
    /// `answer` with this `id` ends it.
    #[expect(clippy::too_many_arguments, reason = "JavaScript passes them flat: an object would cost a crossing each")]
    pub fn append(
        &mut self,
        id: f64,
        origin: u64,
        first: f64,
        docs: Vec<String>,
        updates: Vec<Uint8Array>,
        timeout_ms: f64,
        now: f64,
    ) -> Result<f64, JsValue> {
        let first = first as u64;
        let mut writes = Vec::new();
        for (name, update) in docs.iter().zip(updates) {
            let doc = doc_name(name)?;
            let unreadable = |cause| malformed(format!("the update of {name:?} does not decode: {cause}"));
            // Names and counts have room beside it.
            for piece in split_update(&update.to_vec(), WRITE_BYTES_MAX - 1024).map_err(unreadable)? {
                let seq = Seq(first + writes.len() as u64);
                let parts = vec![Part { doc: DocName::clone(&doc), update: piece.into() }];
                writes.push(Write { origin: Origin(origin), seq, parts });
            }
        }
        let id = id as u64;
        self.answering.insert(id, Answering { doc: None });
        let next = first + writes.len() as u64;
        self.handle(Input::Append { id, batch: Batch { writes }, timeout: millis(timeout_ms) }, now);
        Ok(next as f64)
    }

    /// The update that brings a document back from `now` to `then`, both whole; `undefined` if it is there. It is written
    /// under the client id, which was never used before.
    pub fn restoration(&self, now: Vec<u8>, then: Vec<u8>, client: f64) -> Result<Option<Vec<u8>>, JsValue> {
        let load = |state: &[u8], client: f64| -> Result<Document, DocError> {
            let mut doc = Document::new(client as u64);
            doc.apply(&[state])?;
            Ok(doc)
        };
        let restored = load(&now, client).and_then(|mut doc| doc.restore(&load(&then, 0.0)?));
        restored.map_err(|cause| error(cause.code(), &cause.to_string()))
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
    pub fn status(&self, now: f64) -> JsValue {
        status_to_js(&self.core.status_at(millis(now)))
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
            Output::Docs { query, names } => {
                self.answering.remove(&query);
                let names: Array = names.iter().map(|name| JsValue::from(name.as_str())).collect();
                Effect::new("docs").with("id", query as f64).with("names", names)
            }
            Output::Answer { query, result } => self.answer(query, result)?,
            Output::Failed { error } => Effect::new("failed").with("error", error_to_js(&error)),
            Output::Call { call, to, address, bytes, timeout } => Effect::new("call")
                .with("call", call as f64)
                .with("to", to.as_str())
                .with("address", &*address)
                .with("bytes", bytes_to_js(&bytes))
                .with("timeoutMs", timeout.0 as f64),
            Output::Reply { call, bytes } => {
                Effect::new("reply").with("call", call as f64).with("bytes", bytes_to_js(&bytes))
            }
            Output::ReadRecord { token } => Effect::new("readRecord").with("token", token.0 as f64),
            Output::SwapRecord { token, expected, text } => Effect::new("swapRecord")
                .with("token", token.0 as f64)
                .with_some("expected", expected)
                .with("text", text),
            Output::AdminDone { id, result } => admin_done(id, result),
            Output::Event(event) => event_to_js(event),
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

fn admin_done(id: u64, result: Result<Done, Error>) -> Effect {
    let effect = Effect::new("adminDone").with("id", id as f64);
    match result {
        Err(error) => effect.with("error", error_to_js(&error)),
        Ok(Done { epoch, leader, pause }) => {
            effect.with("epoch", epoch.0 as f64).with("leader", leader.as_str()).with("pauseMs", pause.0 as f64)
        }
    }
}

fn held(text: Option<String>, revision: Option<String>) -> Option<Held> {
    let (text, revision) = text.zip(revision)?;
    Some(Held { text, revision })
}

/// The host's account of a failure; without one it is still a failure.
fn failure(code: Option<String>, message: Option<String>, otherwise: Code) -> Error {
    coded(&code.unwrap_or_default(), &message.unwrap_or_default(), otherwise)
}

fn conn_id(conn: f64) -> ConnId {
    ConnId(conn as u64)
}
