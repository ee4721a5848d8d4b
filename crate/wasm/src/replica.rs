//! A replica as JavaScript drives it: the core's machine and the documents it moves updates in and out of.
//!
//! It executes what concerns documents by itself, and hands everything else out as effects. It never calls back.

use crate::doc::DocHandle;
use crate::effect::{Effect, bytes_to_js, error_to_js, rows_from_js};
use crate::host::{doc_name, malformed, millis, parse_bookmark, storage_error, throw};
use headwater_core::group::{Concern, MemberName};
use headwater_core::replica::{self, Config, Input, Output, Phase, Wait};
use headwater_core::session::Consistency;
use headwater_core::sorted::Map;
use headwater_core::{Code, DocName, Error, Origin, Part, Seq, Stage, Token};
use headwater_doc::{DocError, Document};
use js_sys::{Array, Uint8Array};
use std::cell::RefCell;
use std::rc::Rc;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

type Shared = Rc<RefCell<Document>>;

/// One opening of a database.
#[wasm_bindgen]
pub struct Replica {
    core: replica::Replica,
    docs: Map<DocName, Shared>,
    /// From it yrs client ids are derived; it is random and never stored.
    entropy: u64,
}

/// What happens to it. Every `now` is in milliseconds of one monotonic clock.
#[wasm_bindgen]
impl Replica {
    /// A replica that begins by reading its storage. `origin` and `seed` are random, never used before.
    #[wasm_bindgen(constructor)]
    pub fn new(origin: u64, has_leader: bool, is_durable: bool, seed: u64) -> Self {
        console_error_panic_hook::set_once();
        let config = Config { origin: Origin(origin), has_leader, is_durable, jitter_seed: seed };
        Self { core: replica::Replica::new(config), docs: Map::default(), entropy: seed }
    }

    /// The rows of a scan: key, value, key, value …
    pub fn scanned(&mut self, token: f64, rows: Vec<Uint8Array>, now: f64) {
        let rows = rows_from_js(&rows);
        self.handle(Input::Scanned { token: Token(token as u64), rows }, now);
    }

    /// A commit is durable.
    pub fn persisted(&mut self, token: f64, now: f64) {
        self.handle(Input::Persisted { token: Token(token as u64) }, now);
    }

    /// Storage has failed for good.
    #[wasm_bindgen(js_name = storageFailed)]
    pub fn storage_failed(&mut self, code: &str, message: &str, now: f64) {
        self.handle(Input::StorageFailed { error: storage_error(code, message) }, now);
    }

    /// The socket is open.
    pub fn connected(&mut self, now: f64) {
        self.handle(Input::Connected, now);
    }

    /// A frame arrived.
    pub fn frame(&mut self, bytes: Vec<u8>, now: f64) {
        self.handle(Input::Frame { bytes }, now);
    }

    /// The leader is alive.
    pub fn pong(&mut self, now: f64) {
        self.handle(Input::Pong, now);
    }

    /// The socket is closed, or could not be opened.
    pub fn disconnected(&mut self, now: f64) {
        self.handle(Input::Disconnected, now);
    }

    /// The network may be back.
    pub fn nudge(&mut self, now: f64) {
        self.handle(Input::Nudge, now);
    }

    /// Whether the application wants no connection.
    pub fn pause(&mut self, is_paused: bool, now: f64) {
        self.handle(Input::Pause { is_paused }, now);
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

    /// Opens a document. It is empty until the effect `loaded`.
    #[wasm_bindgen(js_name = openDoc)]
    pub fn open_doc(&mut self, name: &str, now: f64) -> Result<DocHandle, JsValue> {
        let name = doc_name(name)?;
        let client_id = self.client_id();
        let doc = self.docs.get_or_insert_with(name.clone(), || Rc::new(RefCell::new(Document::new(client_id))));
        let handle = DocHandle::from_inner(doc.clone());
        self.handle(Input::OpenDoc { doc: name }, now);
        Ok(handle)
    }

    /// Closes a document.
    #[wasm_bindgen(js_name = closeDoc)]
    pub fn close_doc(&mut self, name: &str, now: f64) -> Result<(), JsValue> {
        let name = doc_name(name)?;
        self.docs.remove(&name);
        self.handle(Input::CloseDoc { doc: name }, now);
        Ok(())
    }

    /// Waits for a write's stage; the effect `done` with this `id` answers.
    #[wasm_bindgen(js_name = waitStage)]
    pub fn wait_stage(
        &mut self,
        id: f64,
        origin: u64,
        seq: u64,
        stage: &str,
        timeout_ms: f64,
        now: f64,
    ) -> Result<(), JsValue> {
        let wait = Wait::Stage { origin: Origin(origin), seq: Seq(seq), stage: Stage::parse(stage).map_err(throw)? };
        self.handle(Input::Wait { id: id as u64, wait, timeout: millis(timeout_ms) }, now);
        Ok(())
    }

    /// Waits until so many members hold a write (`kind` is `count`), or so many `any` or `first` of the named ones; the effect
    /// `done` with this `id` answers.
    #[wasm_bindgen(js_name = waitConcern)]
    #[expect(clippy::too_many_arguments, reason = "JavaScript passes them flat: an object would cost a crossing each")]
    pub fn wait_concern(
        &mut self,
        id: f64,
        origin: u64,
        seq: u64,
        kind: &str,
        names: Vec<String>,
        n: f64,
        timeout_ms: f64,
        now: f64,
    ) -> Result<(), JsValue> {
        let names = names.iter().map(|name| MemberName::new(name)).collect::<Result<Vec<_>, _>>().map_err(throw)?;
        let n = n as usize;
        let concern = match kind {
            "count" => Concern::Count(n),
            "any" => Concern::Any { names, n },
            "first" => Concern::First { names, n },
            other => return Err(malformed(format!("{other:?} is no kind of concern"))),
        };
        let wait = Wait::Concern { origin: Origin(origin), seq: Seq(seq), concern };
        self.handle(Input::Wait { id: id as u64, wait, timeout: millis(timeout_ms) }, now);
        Ok(())
    }

    /// Waits until a document may be read; the effect `done` with this `id` answers.
    #[wasm_bindgen(js_name = waitRead)]
    #[expect(clippy::too_many_arguments, reason = "JavaScript passes them flat: an object would cost a crossing each")]
    pub fn wait_read(
        &mut self,
        id: f64,
        session: f64,
        doc: &str,
        consistency: &str,
        max_staleness_ms: f64,
        timeout_ms: f64,
        now: f64,
    ) -> Result<(), JsValue> {
        let consistency = match consistency {
            "eventual" => Consistency::Eventual,
            "session" => Consistency::Session,
            "strong" => Consistency::Strong,
            "staleness" => Consistency::MaxStaleness(millis(max_staleness_ms)),
            other => return Err(malformed(format!("{other:?} is no consistency"))),
        };
        let wait = Wait::Read { session: session as u64, doc: doc_name(doc)?, consistency };
        self.handle(Input::Wait { id: id as u64, wait, timeout: millis(timeout_ms) }, now);
        Ok(())
    }

    /// Nobody waits for that any more.
    pub fn cancel(&mut self, id: f64, now: f64) {
        self.handle(Input::Cancel { id: id as u64 }, now);
    }

    /// Does everything that is to be done now, and answers what the host must do, in order.
    pub fn poll(&mut self, now: f64) -> Array {
        let effects = Array::new();
        let mut applied: Vec<DocName> = Vec::new();
        while let Some(output) = self.core.poll(millis(now)) {
            // Consecutive updates belong together: observers hear of them when all are in.
            if !matches!(output, Output::Apply { .. }) {
                flush_applied(&mut applied, &effects);
            }
            match self.execute(output, &mut applied) {
                Ok(effect) => effect.into_iter().for_each(|effect| {
                    effects.push(&effect.done());
                }),
                Err((doc, cause)) => {
                    effects.push(&self.give_up(doc, &cause, now).done());
                }
            }
        }
        flush_applied(&mut applied, &effects);
        effects
    }

    fn execute(&mut self, output: Output, applied: &mut Vec<DocName>) -> Result<Option<Effect>, (DocName, DocError)> {
        Ok(Some(match output {
            Output::Apply { doc, updates } => {
                self.apply(&doc, &updates)?;
                applied.push(doc);
                return Ok(None);
            }
            Output::Load { doc, updates } => {
                self.apply(&doc, &updates)?;
                Effect::new("loaded").with("doc", doc.as_str())
            }
            Output::Unloadable { doc, error } => {
                self.docs.remove(&doc);
                Effect::new("unloadable").with("doc", doc.as_str()).with("error", error_to_js(&error))
            }
            Output::Rebuild { doc, updates } => {
                let client_id = self.client_id();
                if let Some(shared) = self.docs.get(&doc) {
                    let updates: Vec<&[u8]> = updates.iter().map(|update| &**update).collect();
                    shared.borrow_mut().rebuild(client_id, &updates).map_err(|cause| (doc.clone(), cause))?;
                }
                Effect::new("rebuilt").with("doc", doc.as_str())
            }
            Output::Scan { token, scan } => Effect::scan(token, scan),
            Output::Persist { token, ops } => Effect::persist(token, ops),
            Output::Connect { attempt } => Effect::new("connect").with("attempt", attempt as f64),
            Output::Disconnect => Effect::new("disconnect"),
            Output::Send { bytes } => Effect::new("send").with("bytes", bytes_to_js(&bytes)),
            Output::Ping => Effect::new("ping"),
            Output::Ready => Effect::new("ready"),
            Output::OpenFailed { error } => Effect::new("fatal").with("error", error_to_js(&error)),
            Output::Changed => Effect::new("changed"),
            Output::Done { id, result } => {
                Effect::new("done").with("id", id as f64).with_some("error", result.err().as_ref().map(error_to_js))
            }
        }))
    }

    // The bytes are stored and stay so; only this document cannot be shown. The others go on.
    fn give_up(&mut self, doc: DocName, cause: &DocError, now: f64) -> Effect {
        self.docs.remove(&doc);
        let message = format!("document {doc:?} cannot take what was stored or sent, and is closed: {cause}");
        let error = Error::new(Code::Corrupt, message);
        let effect = Effect::new("unloadable").with("doc", doc.as_str()).with("error", error_to_js(&error));
        self.handle(Input::CloseDoc { doc }, now);
        effect
    }

    fn apply(&mut self, doc: &DocName, updates: &[Rc<[u8]>]) -> Result<(), (DocName, DocError)> {
        let Some(shared) = self.docs.get(doc) else { return Ok(()) };
        let updates: Vec<&[u8]> = updates.iter().map(|update| &**update).collect();
        shared.borrow_mut().apply(&updates).map_err(|cause| (doc.clone(), cause))
    }

    fn handle(&mut self, input: Input, now: f64) {
        self.core.handle(input, millis(now));
    }

    // SplitMix64 over the seed. Ids have 53 bits, so that JavaScript peers can hold them as numbers.
    fn client_id(&mut self) -> u64 {
        self.entropy = self.entropy.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.entropy;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) >> 11
    }
}

/// What it is asked.
#[wasm_bindgen]
impl Replica {
    /// Throws if no transaction may begin now.
    #[wasm_bindgen(js_name = checkWritable)]
    pub fn check_writable(&self) -> Result<(), JsValue> {
        self.core.check_writable().map_err(throw)
    }

    /// Ends the open transactions of all documents as one write; its seq, or undefined if nothing changed.
    pub fn commit(&mut self, unix_ms: f64) -> Option<u64> {
        let mut parts = Vec::new();
        for (name, doc) in self.docs.iter() {
            let update = doc.borrow_mut().commit();
            parts.extend(update.map(|update| Part { doc: name.clone(), update: update.into() }));
        }
        (!parts.is_empty()).then(|| self.core.write(parts, unix_ms as u64).0)
    }

    /// The stage of a write; throws if it was rejected.
    pub fn stage(&self, origin: u64, seq: u64) -> Result<String, JsValue> {
        self.core.stage(Origin(origin), Seq(seq)).map(|stage| stage.as_str().to_owned()).map_err(throw)
    }

    /// Unsent writes: `{ count, bytes, oldestUnixMs }`.
    pub fn pending(&self) -> JsValue {
        let pending = self.core.pending();
        Effect::plain()
            .with("count", pending.count as f64)
            .with("bytes", pending.bytes as f64)
            .with_some("oldestUnixMs", pending.oldest_unix_ms.map(|at| at as f64))
            .done()
    }

    /// Unsent writes one by one: origin, seq, origin, seq …
    #[wasm_bindgen(js_name = pendingWrites)]
    pub fn pending_writes(&self) -> Vec<u64> {
        self.core.pending_writes().flat_map(|(origin, seq)| [origin.0, seq.0]).collect()
    }

    /// Begins a session; its number.
    #[wasm_bindgen(js_name = beginSession)]
    pub fn begin_session(&mut self, bookmark: Option<String>) -> Result<f64, JsValue> {
        let from = bookmark.map(|text| parse_bookmark(&text)).transpose()?;
        Ok(self.core.begin_session(from) as f64)
    }

    /// Ends a session.
    #[wasm_bindgen(js_name = endSession)]
    pub fn end_session(&mut self, session: f64) {
        self.core.end_session(session as u64);
    }

    /// The session's bookmark.
    pub fn bookmark(&self, session: f64) -> Result<String, JsValue> {
        self.core.bookmark(session as u64).map(|bookmark| bookmark.to_string()).map_err(throw)
    }

    /// Notes that the session has read a document: `{ bookmark, entries, staleness }`.
    #[wasm_bindgen(js_name = noteRead)]
    pub fn note_read(&mut self, session: f64, doc: &str, now: f64) -> Result<JsValue, JsValue> {
        let meta = self.core.note_read(session as u64, &doc_name(doc)?, millis(now)).map_err(throw)?;
        Ok(Effect::plain()
            .with("bookmark", meta.bookmark.to_string())
            .with("entries", meta.lag.entries as f64)
            .with_some("staleness", meta.lag.staleness.map(|span| span.0 as f64))
            .done())
    }

    /// Where it stands: `{ phase, epoch, member, memberRole, generation, entries, staleness, isStored, error }`.
    pub fn status(&self, now: f64) -> JsValue {
        let lag = self.core.database_lag(millis(now));
        let phase = match self.core.phase() {
            Phase::LocalOnly => "local-only",
            Phase::Offline => "offline",
            Phase::Connecting => "connecting",
            Phase::Live => "live",
            Phase::Blocked => "blocked",
        };
        let served = self.core.served();
        Effect::plain()
            .with("phase", phase)
            .with_some("member", served.and_then(|node| node.member.as_ref()).map(|name| name.as_str()))
            .with_some("memberRole", served.and_then(|node| node.role).map(|role| role.as_str()))
            .with("generation", self.core.generation().0)
            .with("entries", lag.entries as f64)
            .with("isStored", self.core.is_stored())
            .with_some("epoch", self.core.epoch().map(|epoch| epoch.0))
            .with_some("staleness", lag.staleness.map(|span| span.0 as f64))
            .with_some("error", self.core.trouble().map(error_to_js))
            .done()
    }
}

fn flush_applied(applied: &mut Vec<DocName>, effects: &Array) {
    if !applied.is_empty() {
        let docs: Array = applied.drain(..).map(|doc| JsValue::from(doc.as_str())).collect();
        effects.push(&Effect::new("applied").with("docs", docs).done());
    }
}
