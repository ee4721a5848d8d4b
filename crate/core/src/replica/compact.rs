//! Making stored documents small again, in the one tab that stores them.
//!
//! Each commit leaves a row of settled updates. Of a document that is open and has many, all rows are merged into one: they are
//! read, and one commit deletes them and puts what they mean. What is stored meanwhile has rows of its own and stays. Rows of
//! streams whose openings are over go too, once no document's row names them.
//!
//! Nothing is begun while something is to be stored or read, and nothing on a timer: it follows what has grown.

use super::open::Asked;
use super::persist::{Updates, decode_updates, encode_updates};
use super::{Output, Replica};
use crate::error::Error;
use crate::frontier::Frontier;
use crate::ids::{DocName, Millis, Origin, Token};
use crate::sorted::{Map, Set, sort_by_key};
use crate::store::{self, Row, Scan, StoreOp, Table};
use crate::wire::{Reader, Writer};
use std::rc::Rc;

/// Merges updates into one that means the same; nothing if they do not decode.
pub type Merge = fn(&[&[u8]]) -> Option<Vec<u8>>;

/// A document with fewer rows is left as it is.
pub const COMPACT_ROWS_MIN: usize = 64;
/// With so many rows it is merged even if nearly all of it is in one of them.
pub const COMPACT_ROWS_MAX: usize = 1024;
/// Merging takes a few times the memory of what is merged: a document that is larger stays in its rows.
pub const COMPACT_BYTES_MAX: usize = 32 << 20;
/// Rows of streams of openings that are over, at which they are cleared away.
pub const STREAMS_MAX: usize = 16;
/// Documents' rows that are looked at in one step of that.
const STREAMS_STEP: usize = 512;

/// What is known of stored rows, and what is under way.
#[derive(Default)]
pub(super) struct Compactor {
    merge: Option<Merge>,
    /// The rows of open documents that were read here.
    rows: Map<DocName, Rows>,
    /// Those of them that are to be merged.
    ripe: Set<DocName>,
    running: Option<Running>,
    /// Streams that some document's row still names, once that is known.
    streams: Option<Set<Origin>>,
}

/// A document's rows.
#[derive(Default)]
struct Rows {
    keys: Vec<Vec<u8>>,
    bytes: usize,
    largest: usize,
}

impl Rows {
    fn add(&mut self, key: Vec<u8>, size: usize) {
        self.keys.push(key);
        self.bytes += size;
        self.largest = self.largest.max(size);
    }

    fn are_ripe(&self) -> bool {
        let rest = self.bytes - self.largest;
        let is_worth_it = rest * 4 >= self.largest || self.keys.len() >= COMPACT_ROWS_MAX;
        self.keys.len() >= COMPACT_ROWS_MIN && self.bytes <= COMPACT_BYTES_MAX && is_worth_it
    }
}

enum Running {
    Reading,
    /// The row in their place, and the keys and sizes of the rows that go.
    Merging(Token, DocName, (Vec<u8>, usize), Vec<(Vec<u8>, usize)>),
    /// From which document on it continues; nothing if that was all.
    Streams(Token, Option<Vec<u8>>),
}

impl Compactor {
    /// These are the rows of a document.
    pub(super) fn read(&mut self, doc: &DocName, rows: &[Row]) {
        let mut read = Rows::default();
        rows.iter().for_each(|row| read.add(row.key.clone(), row.value.len()));
        self.rows.insert(doc.clone(), read);
        self.look(doc);
    }

    /// Another row of a document is being stored.
    pub(super) fn stored(&mut self, doc: &DocName, key: &[u8], size: usize) {
        if let Some(rows) = self.rows.get_mut(doc) {
            rows.add(key.to_vec(), size);
            self.look(doc);
        }
    }

    /// Nothing is merged of it until it is read again.
    pub(super) fn forget(&mut self, doc: &DocName) {
        self.rows.remove(doc);
        self.ripe.remove(doc);
    }

    fn look(&mut self, doc: &DocName) {
        if self.rows.get(doc).is_some_and(Rows::are_ripe) {
            self.ripe.insert(doc.clone());
        } else {
            self.ripe.remove(doc);
        }
    }

    /// One row stands for these.
    fn replaced(&mut self, doc: &DocName, (key, size): (Vec<u8>, usize), gone: &[(Vec<u8>, usize)]) {
        let Some(rows) = self.rows.get_mut(doc) else { return };
        // They were read in the order of their keys.
        rows.keys.retain(|key| gone.binary_search_by(|(other, _)| other.cmp(key)).is_err());
        rows.bytes = rows.bytes.saturating_sub(gone.iter().map(|(_, size)| size).sum());
        // Whatever came meanwhile is smaller, or is looked at when it is read.
        rows.largest = 0;
        rows.add(key, size);
        self.look(doc);
    }

    /// The rows of a document that were read.
    pub(super) fn keys_of(&self, doc: &DocName) -> Vec<Vec<u8>> {
        self.rows.get(doc).map(|rows| rows.keys.clone()).unwrap_or_default()
    }
}

impl Replica {
    /// Compacts documents from now on, by this function.
    pub fn compact_with(&mut self, merge: Merge) {
        self.compactor.merge = Some(merge);
    }

    /// Begins the next step if there is one and nothing is in the way.
    pub(super) fn compact(&mut self) {
        let is_free =
            self.compactor.running.is_none() && self.persister.is_idle() && self.persister.failure().is_none();
        if !is_free
            || !self.tabs.stores_all()
            || self.tabs.is_leaving()
            || self.docs.is_reading()
            || self.has_unstored()
        {
            return;
        }
        if self.compactor.streams.is_none() && self.docs.earlier.len() > STREAMS_MAX {
            self.compactor.streams = Some(Set::default());
            return self.look_at_streams(Vec::new());
        }
        if self.compactor.merge.is_none() {
            return;
        }
        let ripe = self.compactor.ripe.iter().next().cloned();
        if let Some(doc) = ripe {
            self.compactor.running = Some(Running::Reading);
            let updates = store::updates_of(&doc);
            self.scan(Asked::Compact(doc), updates);
        }
    }

    /// The rows of a document that is to be compacted.
    pub(super) fn compact_read(&mut self, doc: DocName, rows: &[Row]) {
        self.compactor.running = None;
        // Whoever stores now, or reads it, knows better what its rows are.
        let Some(merge) = self.compactor.merge.filter(|_| self.may_compact()) else { return };
        if !self.docs.is_shown(&doc) {
            return self.compactor.forget(&doc);
        }
        let Ok((reach, merged)) = merged(rows, merge) else {
            // A row is damaged, or nothing that the document takes: it stays as it is.
            return self.compactor.forget(&doc);
        };
        let gone: Vec<(Vec<u8>, usize)> = rows.iter().map(|row| (row.key.clone(), row.value.len())).collect();
        let mut ops: Vec<StoreOp> =
            gone.iter().map(|(key, _)| StoreOp::Delete { table: Table::Updates, key: key.clone() }).collect();
        let key = self.next_update_key(&doc);
        let value = encode_updates(&Updates { reach, updates: vec![merged] });
        let row = (key.clone(), value.len());
        ops.push(StoreOp::Put { table: Table::Updates, key, value });
        let token = self.commit_aside(ops);
        self.compactor.running = Some(Running::Merging(token, doc, row, gone));
    }

    /// A step is durable; false if the commit was about something else.
    pub(super) fn is_compacted(&mut self, token: Token) -> bool {
        let is_it = |running: &mut Running| match running {
            Running::Reading => false,
            Running::Merging(of, ..) | Running::Streams(of, _) => *of == token,
        };
        match self.compactor.running.take_if(is_it) {
            None => false,
            Some(Running::Merging(_, doc, row, gone)) => {
                self.compactor.replaced(&doc, row, &gone);
                true
            }
            Some(Running::Streams(_, next)) => {
                if let Some(next) = next.filter(|_| self.may_compact()) {
                    self.look_at_streams(next);
                }
                true
            }
            Some(Running::Reading) => true,
        }
    }

    /// Another tab stores: what is under way is its matter.
    pub(super) fn is_compaction_fenced(&mut self, token: Token, now: Millis) -> bool {
        if !self.is_compacted(token) {
            return false;
        }
        self.compactor.rows.clear();
        self.compactor.ripe = Set::default();
        self.compactor.running = None;
        self.step_down(now);
        true
    }

    fn look_at_streams(&mut self, from: Vec<u8>) {
        self.compactor.running = Some(Running::Reading);
        let scan = Scan { table: Table::Docs, from, to: None, limit: Some((STREAMS_STEP, usize::MAX)) };
        self.scan(Asked::StreamsNamed, scan);
    }

    /// Documents' rows that may name streams whose openings are over.
    pub(super) fn streams_named(&mut self, rows: &[Row]) {
        self.compactor.running = None;
        if !self.may_compact() {
            return;
        }
        let mut ops = Vec::new();
        for row in rows {
            let Some((frontier, stream)) = self.row_on_earlier_stream(&row.value) else { continue };
            let name = std::str::from_utf8(&row.key).ok().and_then(|name| DocName::parse(name).ok());
            if name.is_none_or(|name| self.docs.is_open(&name)) {
                // Its row is written anew as it is followed.
                self.compactor.streams.get_or_insert_with(Set::default).insert(stream);
                continue;
            }
            let mut value = Writer::default();
            frontier.encode(&mut value);
            value.fixed(0);
            ops.push(StoreOp::Put { table: Table::Docs, key: row.key.clone(), value: value.0 });
        }
        let next = (rows.len() == STREAMS_STEP).then(|| [&rows[rows.len() - 1].key[..], &[0]].concat());
        if next.is_none() {
            let named = self.compactor.streams.clone().unwrap_or_default();
            let over = self.docs.earlier.keys().filter(|origin| !named.contains(origin));
            ops.extend(over.map(|origin| StoreOp::Delete { table: Table::Streams, key: store::origin_key(*origin) }));
        }
        let token = self.commit_aside(ops);
        self.compactor.running = Some(Running::Streams(token, next));
    }

    fn row_on_earlier_stream(&self, value: &[u8]) -> Option<(Frontier, Origin)> {
        let frontier = self.docs.load_row(value).ok()?;
        let mut input = Reader::new(value);
        Frontier::decode(&mut input).ok()?;
        let stream = input.origin().ok()?;
        self.docs.earlier.contains_key(&stream).then_some((frontier, stream))
    }

    fn may_compact(&self) -> bool {
        self.tabs.stores_all() && self.persister.failure().is_none()
    }

    /// A commit of rows that nobody waits for.
    fn commit_aside(&mut self, ops: Vec<StoreOp>) -> Token {
        let token = self.token();
        self.outputs.push_back(Output::Persist { token, ops, guard: self.guard() });
        token
    }
}

fn merged(rows: &[Row], merge: Merge) -> Result<(Frontier, Rc<[u8]>), Error> {
    let mut all = rows.iter().map(|row| decode_updates(&row.value)).collect::<Result<Vec<Updates>, Error>>()?;
    // In the order of the log no update waits for another.
    sort_by_key(&mut all, |updates| updates.reach.epochs().last());
    let mut reach = Frontier::default();
    all.iter().for_each(|updates| reach.join(&updates.reach));
    let updates: Vec<&[u8]> = all.iter().flat_map(|row| &row.updates).map(|update| &**update).collect();
    let merged = merge(&updates).ok_or_else(|| Error::malformed("the updates do not merge"))?;
    Ok((reach, merged.into()))
}
