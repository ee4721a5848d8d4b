//! A replica as JavaScript drives it: the core's machine and the documents it moves updates in and out of.
//!
//! It executes what concerns documents by itself, and hands everything else out as effects. It never calls back.

use crate::doc::DocHandle;
use crate::doc::conflicts::conflicts_to_js;
use crate::doc::error::doc_error;
use crate::effect::{Effect, bytes_to_js, error_to_js, ops_to_js, rows_from_js};
use crate::host::{doc_name, malformed, millis, parse_bookmark, storage_error, throw};
use headwater_core::group::{Concern, MemberName};
use headwater_core::limits::WRITE_BYTES_MAX;
use headwater_core::replica::{self, Config, Input, Output, Phase, TabRole, Wait};
use headwater_core::session::Consistency;
use headwater_core::sorted::Map;
use headwater_core::{Code, DocName, Error, Origin, Part, Seq, Stage, Token};
use headwater_doc::{DocError, Document, check_update, split_update};
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
    /// What documents showed in an instance whose storage was lost, until they are loaded here.
    shown_before: Map<DocName, Vec<u8>>,
    /// From it yrs client ids are derived; it is random and never stored.
    entropy: u64,
    origin: Origin,
    /// Whether documents watch for conflicts: only once somebody wants to be told.
    tells_conflicts: bool,
}

/// What happens to it. Every `now` is in milliseconds of one monotonic clock.
#[wasm_bindgen]
impl Replica {
    /// A replica that begins by reading its storage. `origin` and `seed` are random, never used before.
    #[wasm_bindgen(constructor)]
    pub fn new(origin: u64, has_leader: bool, is_durable: bool, seed: u64, shares_storage: bool) -> Self {
        console_error_panic_hook::set_once();
        let check = |update: &[u8]| check_update(update).map_err(|cause| cause.to_string());
        let config =
            Config { origin: Origin(origin), has_leader, is_durable, jitter_seed: seed, shares_storage, check };
        let origin = Origin(origin);
        let mut core = replica::Replica::new(config);
        core.compact_with(merge);
        Self { core, docs: Map::default(), shown_before: Map::default(), entropy: seed, origin, tells_conflicts: false }
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

    /// A commit did not happen, since its guard did not hold.
    pub fn fenced(&mut self, token: f64, now: f64) {
        self.handle(Input::Fenced { token: Token(token as u64) }, now);
    }

    /// A message from another tab.
    pub fn tab(&mut self, bytes: Vec<u8>, now: f64) {
        self.handle(Input::Tab { bytes }, now);
    }

    /// The lock is this tab's.
    pub fn hold(&mut self, now: f64) {
        self.handle(Input::Hold, now);
    }

    /// The lock was taken from this tab.
    pub fn unhold(&mut self, now: f64) {
        self.handle(Input::Unhold, now);
    }

    /// That tab is closed, or dead.
    #[wasm_bindgen(js_name = tabGone)]
    pub fn tab_gone(&mut self, origin: u64, now: f64) {
        self.handle(Input::TabGone { origin: Origin(origin) }, now);
    }

    /// There is a port to a peer, under a number never used before.
    #[wasm_bindgen(js_name = peerOpened)]
    pub fn peer_opened(&mut self, peer: f64, token: Option<String>, needs_approval: bool, now: f64) {
        self.handle(Input::PeerOpened { peer: peer as u64, token, needs_approval }, now);
    }

    /// A message came from a peer.
    #[wasm_bindgen(js_name = peerFrame)]
    pub fn peer_frame(&mut self, peer: f64, bytes: Vec<u8>, now: f64) {
        self.handle(Input::PeerFrame { peer: peer as u64, bytes }, now);
    }

    /// The port is closed.
    #[wasm_bindgen(js_name = peerClosed)]
    pub fn peer_closed(&mut self, peer: f64, now: f64) {
        self.handle(Input::PeerClosed { peer: peer as u64 }, now);
    }

    /// Whether the application lets the peer in that it was asked about.
    #[wasm_bindgen(js_name = peerApproved)]
    pub fn peer_approved(&mut self, peer: f64, is_approved: bool, now: f64) {
        self.handle(Input::PeerApproved { peer: peer as u64, is_approved }, now);
    }

    /// The application gives a peer up; the effect `closePeer` follows.
    #[wasm_bindgen(js_name = closePeer)]
    pub fn close_peer(&mut self, peer: f64, now: f64) {
        self.handle(Input::ClosePeer { peer: peer as u64 }, now);
    }

    /// The database is being closed.
    pub fn leave(&mut self, now: f64) {
        self.handle(Input::Leave, now);
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

    /// A message for other clients of the node, by the origin of whom it is for; `to` zero is for all others. It is dropped if
    /// there is no connection.
    pub fn signal(&mut self, to: u64, bytes: Vec<u8>, now: f64) {
        self.handle(Input::Signal { to: Origin(to), bytes }, now);
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

    /// What a document showed in the instance before this one. It is there from the effect `loaded` on; nothing stores it.
    #[wasm_bindgen(js_name = showBefore)]
    pub fn show_before(&mut self, name: &str, update: Vec<u8>) -> Result<(), JsValue> {
        self.shown_before.insert(doc_name(name)?, update);
        Ok(())
    }

    /// Tells conflicts from now on, as effects after `applied`.
    #[wasm_bindgen(js_name = tellConflicts)]
    pub fn tell_conflicts(&mut self) {
        if !std::mem::replace(&mut self.tells_conflicts, true) {
            self.docs.iter().for_each(|(_, doc)| doc.borrow_mut().watch_conflicts(self.origin.0));
        }
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

    /// Waits until so many other replicas have stored a write; the effect `done` with this `id` answers.
    #[wasm_bindgen(js_name = waitPeers)]
    pub fn wait_peers(&mut self, id: f64, origin: u64, seq: u64, count: f64, timeout_ms: f64, now: f64) {
        let wait = Wait::Peers { origin: Origin(origin), seq: Seq(seq), count: count as usize };
        self.handle(Input::Wait { id: id as u64, wait, timeout: millis(timeout_ms) }, now);
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
                self.flush_applied(&mut applied, &effects);
            }
            let is_load = matches!(output, Output::Load { .. });
            match self.execute(output, &mut applied) {
                Ok(effect) => effect.into_iter().for_each(|effect| {
                    effects.push(&effect.done());
                }),
                Err((doc, cause)) => {
                    if is_load {
                        let error = Error::new(Code::Corrupt, cause.to_string());
                        self.handle(Input::Unreadable { doc: doc.clone(), error }, now);
                    }
                    effects.push(&self.give_up(doc, &cause, now).done());
                }
            }
        }
        self.flush_applied(&mut applied, &effects);
        effects
    }

    fn flush_applied(&self, applied: &mut Vec<DocName>, effects: &Array) {
        if applied.is_empty() {
            return;
        }
        let docs: Array = applied.iter().map(|doc| JsValue::from(doc.as_str())).collect();
        effects.push(&Effect::new("applied").with("docs", docs).done());
        for name in applied.drain(..) {
            let conflicts = self.docs.get(&name).map(|doc| doc.borrow_mut().take_conflicts()).unwrap_or_default();
            if !conflicts.is_empty() {
                let conflicts = conflicts_to_js(&conflicts);
                effects.push(&Effect::new("conflicts").with("doc", name.as_str()).with("conflicts", conflicts).done());
            }
        }
    }

    fn execute(&mut self, output: Output, applied: &mut Vec<DocName>) -> Result<Option<Effect>, (DocName, DocError)> {
        Ok(Some(match output {
            Output::Apply { doc, updates, origins } => {
                self.apply(&doc, &updates, &origins)?;
                applied.push(doc);
                return Ok(None);
            }
            Output::Load { doc, updates } => {
                if let Some(shown) = self.shown_before.remove(&doc) {
                    self.apply(&doc, &[shown.into()], &[])?;
                }
                self.apply(&doc, &updates, &[])?;
                if let Some(shared) = self.docs.get(&doc).filter(|_| self.tells_conflicts) {
                    // What was stored is no news.
                    shared.borrow_mut().watch_conflicts(self.origin.0);
                }
                Effect::new("loaded").with("doc", doc.as_str())
            }
            Output::Damaged(replica::Damage { doc, lost_rows, error }) => Effect::new("damaged")
                .with_some("doc", doc.as_ref().map(|doc| doc.as_str()))
                .with("lostRows", lost_rows as f64)
                .with("error", error_to_js(&error)),
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
            Output::Persist { token, ops, guard } => Effect::persist(token, ops).guarded(guard),
            Output::TellTabs { bytes } => Effect::new("tellTabs").with("bytes", bytes_to_js(&bytes)),
            Output::SendPeer { peer, bytes } => {
                Effect::new("sendPeer").with("peer", peer as f64).with("bytes", bytes_to_js(&bytes))
            }
            Output::ClosePeer { peer, error } => {
                Effect::new("closePeer").with("peer", peer as f64).with_some("error", error.as_ref().map(error_to_js))
            }
            Output::AskPeer { peer, token } => {
                Effect::new("askPeer").with("peer", peer as f64).with_some("token", token)
            }
            Output::Steal => Effect::new("steal"),
            Output::WatchTab { origin } => Effect::new("watchTab").with("origin", origin.0),
            Output::Connect { attempt } => Effect::new("connect").with("attempt", attempt as f64),
            Output::Disconnect => Effect::new("disconnect"),
            Output::Send { bytes } => Effect::new("send").with("bytes", bytes_to_js(&bytes)),
            Output::Ping => Effect::new("ping"),
            Output::Ready => Effect::new("ready"),
            Output::OpenFailed { error } => Effect::new("fatal").with("error", error_to_js(&error)),
            Output::Signalled { from, bytes } => {
                Effect::new("signalled").with("from", from.0).with("bytes", bytes_to_js(&bytes))
            }
            Output::Progress { doc, received, total } => Effect::new("progress")
                .with("doc", doc.as_str())
                .with("received", received as f64)
                .with("total", total as f64),
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

    fn apply(&mut self, doc: &DocName, updates: &[Rc<[u8]>], origins: &[Origin]) -> Result<(), (DocName, DocError)> {
        let Some(shared) = self.docs.get(doc) else { return Ok(()) };
        let origins = origins.iter().map(|origin| Some(origin.0)).chain(std::iter::repeat(None));
        let updates: Vec<(Option<u64>, &[u8])> = origins.zip(updates).map(|(by, update)| (by, &**update)).collect();
        shared.borrow_mut().apply_from(&updates).map_err(|cause| (doc.clone(), cause))
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

/// Many updates as one. A document that takes them all in one go merges them in little more time than it takes to read them;
/// merging them one by one would take the square of their number.
fn merge(updates: &[&[u8]]) -> Option<Vec<u8>> {
    // It writes nothing, so that its id is never seen.
    let mut document = Document::new(0);
    document.apply(updates).ok()?;
    Some(document.encode_state())
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

    /// Everything that can be saved if storage was lost: changes for new storage.
    pub fn salvage(&self) -> Array {
        let docs = self.docs.iter().map(|(name, doc)| (name.clone(), doc.borrow().encode_state()));
        ops_to_js(self.core.salvage(docs))
    }

    /// What a document shows, as one update.
    #[wasm_bindgen(js_name = encodeDoc)]
    pub fn encode_doc(&self, name: &str) -> Result<Option<Vec<u8>>, JsValue> {
        Ok(self.docs.get(&doc_name(name)?).map(|doc| doc.borrow().encode_state()))
    }

    /// Writes what an update has that an open document has not, as one write, or as several where it is too much for one;
    /// the seq of the last, or undefined if all of it is there.
    #[wasm_bindgen(js_name = importUpdate)]
    pub fn import_update(&mut self, name: &str, update: Vec<u8>, unix_ms: f64) -> Result<Option<u64>, JsValue> {
        let name = doc_name(name)?;
        let doc = self.docs.get(&name).ok_or_else(|| malformed(format!("document {name:?} is not open")))?;
        let Some(news) = doc.borrow_mut().take_in(&update).map_err(doc_error)? else { return Ok(None) };
        // Names and counts have room beside it.
        let pieces = split_update(&news, WRITE_BYTES_MAX - 1024).map_err(|cause| malformed(cause.to_string()))?;
        let mut write = |piece: Vec<u8>| {
            let parts = vec![Part { doc: name.clone(), update: piece.into() }];
            self.core.write(parts, unix_ms as u64).0
        };
        Ok(pieces.into_iter().map(&mut write).last())
    }

    /// The documents of writes that no leader has confirmed, also of earlier openings.
    #[wasm_bindgen(js_name = docsInOutbox)]
    pub fn docs_in_outbox(&self) -> Vec<String> {
        self.core.docs_in_outbox().iter().map(|doc| doc.as_str().to_owned()).collect()
    }

    /// Other replicas that are linked or heard of: `[{ replica, peer?, behind }]`.
    pub fn peers(&self) -> Array {
        let peers = self.core.peers().into_iter();
        let shown = peers.map(|peer| {
            let shown = Effect::plain().with("replica", peer.replica.to_string()).with("behind", peer.behind as f64);
            shown.with_some("peer", peer.link.map(|link| link as f64)).done()
        });
        shown.collect()
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

    /// Where it stands: `{ phase, tab, epoch, member, memberRole, generation, entries, staleness, isStored, error }`.
    pub fn status(&self, now: f64) -> JsValue {
        let lag = self.core.database_lag(millis(now));
        let phase = match self.core.phase() {
            Phase::LocalOnly => "local-only",
            Phase::Offline => "offline",
            Phase::Connecting => "connecting",
            Phase::Live => "live",
            Phase::Blocked => "blocked",
        };
        let tab = match self.core.tab_role() {
            TabRole::Alone => "alone",
            TabRole::Holder => "holder",
            TabRole::Member => "member",
        };
        let served = self.core.served();
        Effect::plain()
            .with("phase", phase)
            .with("tab", tab)
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
