//! What goes to storage, gathered into one commit at a time.
//!
//! A commit holds new writes, settled writes on their way out of the outbox, remote updates, and the frontiers that
//! those updates bring: a stored frontier can never be ahead of the stored data.

use super::outbox::{Lane, encode_row, fill};
use super::{Output, Replica};
use crate::batch::Batch;
use crate::error::{Code, Error};
use crate::frontier::Frontier;
use crate::ids::{DocName, Epoch, Lsn, Millis, Origin, Seq, Token};
use crate::sorted::{Map, Set};
use crate::stage::Stage;
use crate::store::{self, StoreOp, Table};
use crate::wire::{Reader, Writer};
use std::rc::Rc;

/// Settled updates of one document, and how far in the leader's log they reach: who reads the document is shown that much,
/// even where its frontier, which says what is held without a gap, has not come so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Updates {
    pub(super) reach: Frontier,
    pub(super) updates: Vec<Rc<[u8]>>,
}

#[derive(Default)]
pub(super) struct Persister {
    /// Updates that are settled and not stored as such yet.
    updates: Map<DocName, Updates>,
    /// Those of them that are being stored: a commit may fail.
    storing: Vec<(DocName, Updates)>,
    /// Documents whose row is out of date.
    docs: Set<DocName>,
    /// The last rows of documents that were closed.
    closed_docs: Map<DocName, Vec<u8>>,
    /// Lanes whose settled end is to be remembered.
    lanes: Set<Origin>,
    /// Changes that go first with the next commit of whoever stores everything.
    ops: Vec<StoreOp>,
    /// Rows of the outbox that were found damaged: they may be read again before they are gone.
    damaged: Set<Vec<u8>>,
    /// Outbox rows to delete before any is written.
    dropped_rows: Vec<(Origin, Seq)>,
    is_stream_changed: bool,
    is_generation_changed: bool,
    committing: Option<(Token, Vec<(Origin, Seq)>)>,
    /// Commits begun and done since the opening.
    begun: u64,
    done: u64,
    /// Numbers the update rows of this opening.
    rows: u64,
    failure: Option<Error>,
}

impl Persister {
    pub(super) fn add_update(&mut self, doc: DocName, update: Rc<[u8]>, epoch: Epoch, lsn: Lsn) {
        let unstored = self.updates.get_or_default(doc);
        unstored.reach.advance_epoch(epoch, lsn);
        unstored.updates.push(update);
    }

    pub(super) fn add_updates(&mut self, doc: DocName, updates: Updates) {
        let unstored = self.updates.get_or_default(doc);
        unstored.reach.join(&updates.reach);
        unstored.updates.extend(updates.updates);
    }

    /// From here on another tab stores what comes from the leader.
    pub(super) fn leave_to_others(&mut self) {
        self.ops.clear();
        self.updates.clear();
        self.storing.clear();
        self.docs = Set::default();
        self.closed_docs.clear();
        self.dropped_rows.clear();
        self.is_stream_changed = false;
        self.is_generation_changed = false;
    }

    /// A commit that did not happen; false if it is none of these.
    pub(super) fn forget(&mut self, token: Token) -> bool {
        self.committing.take_if(|(committing, _)| *committing == token).is_some()
    }

    pub(super) fn doc_changed(&mut self, doc: DocName) {
        self.docs.insert(doc);
    }

    pub(super) fn close_doc(&mut self, doc: DocName, row: Vec<u8>) {
        self.docs.remove(&doc);
        self.closed_docs.insert(doc, row);
    }

    pub(super) fn lane_changed(&mut self, origin: Origin) {
        self.lanes.insert(origin);
    }

    pub(super) fn add_ops(&mut self, ops: impl IntoIterator<Item = StoreOp>) {
        self.ops.extend(ops);
    }

    pub(super) fn is_new_damage(&mut self, key: &[u8]) -> bool {
        self.damaged.insert(key.to_vec())
    }

    pub(super) fn drop_row(&mut self, origin: Origin, first: Seq) {
        self.dropped_rows.push((origin, first));
    }

    pub(super) fn drops_rows(&self) -> bool {
        !self.dropped_rows.is_empty() && self.failure.is_none()
    }

    pub(super) fn stream_changed(&mut self) {
        self.is_stream_changed = true;
    }

    pub(super) fn generation_changed(&mut self) {
        self.is_generation_changed = true;
    }

    pub(super) fn is_idle(&self) -> bool {
        self.committing.is_none()
    }

    pub(super) fn failure(&self) -> Option<&Error> {
        self.failure.as_ref()
    }

    /// The number of commits that will be durable once everything known now is.
    pub(super) fn after_next(&self) -> u64 {
        self.begun + 1
    }

    pub(super) fn done(&self) -> u64 {
        // After a failure nothing more gets durable, and waiting for it would stop the sending as well.
        if self.failure.is_some() { u64::MAX } else { self.done }
    }

    pub(super) fn unstored_updates<'a>(&'a self, doc: &'a DocName) -> impl Iterator<Item = Updates> + 'a {
        let storing = self.storing.iter().filter(move |(name, _)| name == doc).map(|(_, updates)| updates);
        storing.chain(self.updates.get(doc)).cloned()
    }
}

impl Replica {
    /// Whether something waits to be committed.
    pub(super) fn has_unstored(&self) -> bool {
        let persister = &self.persister;
        let retains = self.outbox.retains();
        let is_lane_changed = |lane: &Lane| !lane.is_foreign && is_changed(lane, retains);
        if !self.tabs.stores_all() {
            return !persister.dropped_rows.is_empty()
                || self.tabs.undoes()
                || self.outbox.lanes().any(|(_, lane)| is_lane_changed(lane));
        }
        persister.is_stream_changed
            || persister.is_generation_changed
            || !persister.ops.is_empty()
            || !persister.updates.is_empty()
            || !persister.docs.is_empty()
            || !persister.closed_docs.is_empty()
            || !persister.lanes.is_empty()
            || self.peers.is_unstored()
            || !persister.dropped_rows.is_empty()
            || self.tabs.undoes()
            || self.outbox.lanes().any(|(_, lane)| is_lane_changed(lane))
    }

    pub(super) fn begin_commit(&mut self) {
        let is_reading = self.docs.is_reading();
        if self.persister.committing.is_some() || self.persister.failure.is_some() || is_reading || !self.has_unstored()
        {
            return;
        }
        let dropped = std::mem::take(&mut self.persister.dropped_rows).into_iter();
        let mut ops: Vec<StoreOp> = dropped.map(|(origin, first)| delete_row(origin, first)).collect();
        let mut stored = Vec::new();
        let retains = self.outbox.retains();
        for (origin, lane) in self.outbox.lanes_mut().filter(|(_, lane)| !lane.is_foreign) {
            lane_ops(origin, lane, retains, &mut ops);
            stored.push((origin, lane.rowed));
        }
        if self.tabs.stores_all() {
            ops.append(&mut self.persister.ops);
            self.update_ops(&mut ops);
            self.frontier_ops(&mut ops);
            self.log_ops(&mut ops);
        }
        self.commit_begins();
        self.persister.begun += 1;
        let token = self.token();
        self.persister.committing = Some((token, stored));
        self.outputs.push_back(Output::Persist { token, ops, guard: self.guard() });
    }

    pub(super) fn persisted(&mut self, token: Token, now: Millis) {
        if self.is_claimed(token, now) || self.is_compacted(token) {
            return;
        }
        let Some((_, stored)) = self.persister.committing.take_if(|(committing, _)| *committing == token) else {
            return;
        };
        self.persister.done += 1;
        self.persister.storing.clear();
        self.is_changed = true;
        stored.iter().for_each(|(origin, seq)| self.outbox.is_stored(*origin, *seq));
        if self.config.is_durable {
            for (origin, seq) in stored {
                let reached = self.outbox.get(origin).map(|lane| lane.reached(Stage::Local));
                if reached.is_some_and(|reached| reached < seq) {
                    self.outbox.advance(origin, seq, Stage::Local);
                    self.stage_reached(origin, seq, Stage::Local);
                    self.tell_stage(origin, seq, Stage::Local);
                }
            }
        }
        self.commit_is_done();
    }

    /// Storage takes nothing more. The replica goes on in memory and says so: whoever waits for `local` is told.
    pub(super) fn storage_failed(&mut self, error: Error) {
        self.persister.committing = None;
        self.persister.failure = Some(error.clone());
        self.tabs.removes_no_rows();
        self.is_changed = true;
        self.fail_stage_waits(Stage::Local, &error);
        self.docs_failed(&error);
        if !self.is_ready {
            self.outputs.push_back(Output::OpenFailed { error });
        }
    }

    pub(super) fn next_update_key(&mut self, doc: &DocName) -> Vec<u8> {
        self.persister.rows += 1;
        store::update_key(doc, self.config.origin, self.persister.rows)
    }

    fn update_ops(&mut self, ops: &mut Vec<StoreOp>) {
        for (doc, updates) in std::mem::take(&mut self.persister.updates) {
            let key = self.next_update_key(&doc);
            let value = encode_updates(&updates);
            self.compactor.stored(&doc, &key, value.len());
            ops.push(StoreOp::Put { table: Table::Updates, key, value });
            self.persister.storing.push((doc, updates));
        }
    }

    /// What is remembered of logs that are kept for peers.
    fn log_ops(&mut self, ops: &mut Vec<StoreOp>) {
        if let Some(replica) = self.peers.take_new() {
            let key = store::meta_key(super::open::REPLICA);
            ops.push(StoreOp::Put { table: Table::Meta, key, value: replica.0.to_be_bytes().to_vec() });
            // What was settled before is no part of them.
            let lanes: Vec<Origin> = self.outbox.lanes().map(|(origin, _)| origin).collect();
            lanes.into_iter().for_each(|origin| self.persister.lane_changed(origin));
        }
        for origin in std::mem::take(&mut self.persister.lanes).iter() {
            let Some(lane) = self.outbox.get(*origin) else { continue };
            ops.push(StoreOp::Put { table: Table::Meta, key: super::open::lane_key(*origin), value: lane.mark() });
        }
    }

    fn frontier_ops(&mut self, ops: &mut Vec<StoreOp>) {
        let closed = std::mem::take(&mut self.persister.closed_docs);
        let changed = std::mem::take(&mut self.persister.docs).into_iter();
        let open = changed.map(|doc| (self.docs.row(&doc, self.config.origin), doc));
        for (value, doc) in closed.into_iter().map(|(doc, row)| (row, doc)).chain(open) {
            ops.push(StoreOp::Put { table: Table::Docs, key: store::doc_key(&doc), value });
        }
        if std::mem::take(&mut self.persister.is_stream_changed) {
            let key = store::origin_key(self.config.origin);
            ops.push(StoreOp::Put { table: Table::Streams, key, value: self.docs.stream().to_bytes() });
        }
        if std::mem::take(&mut self.persister.is_generation_changed) {
            let value = self.generation.0.to_be_bytes().to_vec();
            ops.push(StoreOp::Put { table: Table::Meta, key: store::meta_key(super::open::GENERATION), value });
        }
    }
}

// Rows whose writes are settled go; a row that is settled in part, or lost a rejected write, is written anew.
fn lane_ops(origin: Origin, lane: &mut Lane, retains: bool, ops: &mut Vec<StoreOp>) {
    if !retains {
        delete_settled(origin, lane, ops);
    }
    loop {
        let unstored = fill(lane.writes_after(lane.rowed).map(|entry| &entry.write));
        let (Some(first), Some(last)) = (unstored.first(), unstored.last()) else { break };
        let (first, last) = (first.seq, last.seq);
        let unix_ms = lane.writes_after(lane.rowed).next().map_or(0, |entry| entry.unix_ms);
        lane.rows.push_back((first, last));
        lane.rowed = last;
        put_row(origin, unix_ms, Batch { writes: unstored }, ops);
    }
}

fn delete_settled(origin: Origin, lane: &mut Lane, ops: &mut Vec<StoreOp>) {
    let oldest = lane.pending.front().map_or(Seq(u64::MAX), |entry| entry.write.seq);
    while let Some((first, last)) = lane.rows.front().copied().filter(|(first, _)| *first < oldest) {
        lane.rows.pop_front();
        ops.push(delete_row(origin, first));
        if last >= oldest {
            let rest: Vec<_> = lane.pending.iter().take_while(|entry| entry.write.seq <= last).cloned().collect();
            let unix_ms = rest[0].unix_ms;
            let writes = rest.into_iter().map(|entry| entry.write).collect();
            put_row(origin, unix_ms, Batch { writes }, ops);
            lane.rows.push_front((oldest, last));
        }
    }
}

fn delete_row(origin: Origin, first: Seq) -> StoreOp {
    StoreOp::Delete { table: Table::Outbox, key: store::outbox_key(origin, first) }
}

fn put_row(origin: Origin, unix_ms: u64, batch: Batch, ops: &mut Vec<StoreOp>) {
    let key = store::outbox_key(origin, batch.writes[0].seq);
    ops.push(StoreOp::Put { table: Table::Outbox, key, value: encode_row(unix_ms, &batch) });
}

fn is_changed(lane: &Lane, retains: bool) -> bool {
    if retains {
        return lane.last().is_some_and(|entry| entry.write.seq > lane.rowed);
    }
    lane.pending.back().is_some_and(|entry| entry.write.seq > lane.rowed)
        || lane.rows.front().is_some_and(|(first, _)| lane.pending.front().is_none_or(|p| p.write.seq > *first))
}

/// A row of settled updates.
pub(super) fn encode_updates(updates: &Updates) -> Vec<u8> {
    let mut value = Writer::default();
    updates.reach.encode(&mut value);
    for update in &updates.updates {
        value.bytes(update);
    }
    value.0
}

/// The updates in a row of settled ones.
pub(super) fn decode_updates(value: &[u8]) -> Result<Updates, Error> {
    let mut input = Reader::new(value);
    let reach = Frontier::decode(&mut input)?;
    let mut updates = Vec::new();
    while input.end().is_err() {
        let update = input.bytes("a stored update", usize::MAX);
        let update = update.map_err(|error| Error::new(Code::Corrupt, format!("a stored row is damaged: {error}")))?;
        updates.push(update.into());
    }
    Ok(Updates { reach, updates })
}
