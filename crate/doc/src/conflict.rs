//! Conflicts: values of a map's key that lost against a value which was set by somebody who did not know them.
//!
//! A write is told as a loser once, when it is here and beaten, if nobody has replaced it knowing it: the end of a line of
//! writes, not each write on it. What replaced a value knowing it is no conflict, and neither is a deletion: one that is
//! concurrent with a write is not told, and a write that was deleted later counts as a write. What a document held when it
//! began to be watched is no news.
//!
//! Nothing is computed in a document that is not watched. Only entries of maps are told, not attributes of other types.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use yrs::branch::BranchPtr;
use yrs::encoding::read::Cursor;
use yrs::types::TypeRef;
use yrs::updates::encoder::Encode;
use yrs::{Any, BranchID, ID, IdSet, Map, MapRef, Out, TransactionMut, WriteTxn};

use crate::document::Document;
use crate::handle::Kind;
use crate::observe::PathStep;
use crate::order::sort_by_key;
use crate::paths::find_nested;
use crate::registers::{Place, Registers};
use crate::scan::{Write, WritePlace, scan_writes};
use crate::varint::Reader;

/// The kind of content that is not there any more.
const DELETED: u8 = 1;

/// A value of a key that lost against another one, which was set without knowing it.
#[derive(Debug, Clone, PartialEq)]
pub struct Conflict {
    /// The way to the map, from the name of a root type on.
    pub path: Vec<PathStep>,
    /// The key.
    pub key: String,
    /// What the document shows.
    pub winner: ConflictSide,
    /// What it does not.
    pub loser: ConflictSide,
}

/// One of the values in a conflict.
#[derive(Debug, Clone, PartialEq)]
pub struct ConflictSide {
    /// The value.
    pub value: ConflictValue,
    /// The yrs client id under which it was set.
    pub client: u64,
    /// The origin that set it, if it is known.
    pub origin: Option<u64>,
}

/// The value of a side, as far as it can be had.
#[derive(Debug, Clone, PartialEq)]
pub enum ConflictValue {
    /// Plain data.
    Plain(Any),
    /// A shared type of this kind.
    Shared(Kind),
    /// None: it was deleted, or is of a kind that this crate does not offer. A loser that arrives in a snapshot made after
    /// it had lost has none, because yrs drops the content of what is not shown.
    Absent,
}

/// What a watched document remembers.
pub(crate) struct Watch {
    own: u64,
    registers: Registers,
    /// By client.
    origins: HashMap<u64, u64>,
    beaten: Vec<Beaten>,
}

struct Beaten {
    register: u32,
    id: ID,
    value: ConflictValue,
}

/// The writes in updates that are about to be applied, and what they may take over from.
pub(crate) struct Arrivals<'a> {
    writes: Vec<Write<'a>>,
    /// What registers show now.
    before: BTreeMap<u32, (ID, ConflictValue)>,
}

impl Document {
    /// Watches for conflicts from now on. `own` is the origin of what is written here. What is here already is taken note
    /// of and not told; watching again begins anew.
    pub fn watch_conflicts(&mut self, own: u64) {
        let mut watch = Watch { own, registers: Registers::default(), origins: HashMap::new(), beaten: Vec::new() };
        if let Some(before) = self.watch.take() {
            watch.origins = before.origins;
        }
        let client = self.held.read(|txn| txn.doc().client_id());
        watch.origins.insert(client.get(), own);
        watch.note_written(&self.encode_integrated());
        watch.beaten.clear();
        self.watch = Some(Box::new(watch));
    }

    /// Watches the present content as the former was watched.
    pub(crate) fn watch_again(&mut self) {
        if let Some(watch) = &self.watch {
            self.watch_conflicts(watch.own);
        }
    }

    /// The conflicts that have shown since the last time. Those in maps that are gone are left out.
    pub fn take_conflicts(&mut self) -> Vec<Conflict> {
        let Some(watch) = &mut self.watch else {
            return Vec::new();
        };
        let beaten = std::mem::take(&mut watch.beaten);
        if beaten.is_empty() {
            return Vec::new();
        }
        let watch = &**watch;
        self.held.read(|txn| {
            let maps = beaten.iter().map(|beaten| watch.registers.key(beaten.register).0);
            let paths = find_nested(maps, txn);
            beaten.into_iter().filter_map(|beaten| watch.conflict(beaten, &paths, txn)).collect()
        })
    }

    /// How many entries are kept for the watch: at most one for each write to a map.
    pub fn watched_entries(&self) -> usize {
        self.watch.as_ref().map_or(0, |watch| watch.registers.len())
    }

    /// What waits for its predecessors, in bytes. It stays where it is.
    pub(crate) fn waiting(&mut self) -> Result<Option<Vec<u8>>, yrs::error::UpdateError> {
        if self.watch.is_none() || !self.has_pending() {
            return Ok(None);
        }
        self.held.touch(|txn| {
            let Some(pending) = txn.prune_pending() else {
                return Ok(None);
            };
            let bytes = pending.encode_v1();
            txn.apply_update(pending).map(|()| Some(bytes))
        })
    }
}

impl Watch {
    /// Says who wrote what an update brings.
    pub(crate) fn note_origin(&mut self, origin: Option<u64>, writes: &[Write<'_>]) {
        for write in writes {
            origin.map(|origin| self.origins.insert(write.id.client.get(), origin));
        }
    }

    /// Takes note of what has been written here.
    pub(crate) fn note_written(&mut self, update: &[u8]) {
        let mut writes = Vec::new();
        // What the document itself encodes, the scanner can read.
        let _ = scan_writes(update, Some(&mut writes));
        self.note_applied(Arrivals { writes, before: BTreeMap::new() }, None);
    }

    /// To be asked before updates are applied: afterwards the values that they replace are gone.
    pub(crate) fn expect<'a>(&self, writes: Vec<Write<'a>>, txn: &TransactionMut<'_>) -> Arrivals<'a> {
        let mut before = BTreeMap::new();
        for write in &writes {
            let Some((id, _, place)) = self.news_in(write) else {
                continue;
            };
            if let Some(register) = with_place(place, |place| self.registers.would_beat(place, id)) {
                let look = || (self.registers.current(register), self.shown(register, txn));
                before.entry(register).or_insert_with(look);
            }
        }
        Arrivals { writes, before }
    }

    /// Takes note of what has been applied. Only what is `integrated` counts: what is not waits in the document, and comes
    /// again. Without that everything counts.
    pub(crate) fn note_applied(&mut self, arrivals: Arrivals<'_>, integrated: Option<&IdSet>) {
        let Arrivals { mut writes, before } = arrivals;
        writes.retain(|write| write.length > 0 && integrated.is_none_or(|set| self.is_new(write, set)));
        drop_covered(&mut writes);
        let mut taken_in = Vec::new();
        let mut replaced = Vec::new();
        let mut is_done = vec![false; writes.len()];
        let mut waiting = Vec::new();
        for index in 0..writes.len() {
            waiting.push(index);
            while let Some(&index) = waiting.last() {
                // Marked before its predecessor is looked at, so that a circle, which only forgery makes, has an end.
                if let Some(predecessor) = self.predecessor(&writes, &mut is_done, index) {
                    waiting.push(predecessor);
                    continue;
                }
                waiting.pop();
                self.take_in(&writes[index], index, &mut taken_in, &mut replaced);
            }
        }
        sort_by_key(&mut replaced, |id| *id);
        let is_end = |id: &ID| replaced.binary_search(id).is_err();
        for (register, (id, value)) in before {
            if self.registers.current(register) != id && is_end(&id) {
                self.beaten.push(Beaten { register, id, value });
            }
        }
        for (register, id, index) in taken_in {
            if self.registers.current(register) != id && is_end(&id) {
                self.beaten.push(Beaten { register, id, value: content_value(writes[index].content) });
            }
        }
    }

    fn is_new(&self, write: &Write<'_>, integrated: &IdSet) -> bool {
        self.news_in(write).is_some_and(|(id, ..)| integrated.contains(&id))
    }

    /// The part of a write that is not here. If the first part is, the rest goes on from there.
    fn news_in<'a>(&self, write: &Write<'a>) -> Option<(ID, u32, WritePlace<'a>)> {
        let (start, length) = self.registers.missing(write.id, write.length)?;
        let place = match start == write.id {
            true => write.place,
            false => WritePlace::After(ID::new(start.client, start.clock - 1)),
        };
        Some((start, length, place))
    }

    /// The write among these that must be taken in before this one, if there is one that was not looked at yet.
    fn predecessor(&self, writes: &[Write<'_>], is_done: &mut [bool], index: usize) -> Option<usize> {
        if std::mem::replace(&mut is_done[index], true) {
            return None;
        }
        let WritePlace::After(origin) = writes[index].place else {
            return None;
        };
        if self.registers.register_of(origin).is_some() {
            return None;
        }
        let before = writes.partition_point(|write| write.id <= origin).checked_sub(1)?;
        let Write { id, length, .. } = &writes[before];
        let is_it = id.client == origin.client && origin.clock - id.clock < *length && !is_done[before];
        is_it.then_some(before)
    }

    fn take_in(
        &mut self,
        write: &Write<'_>,
        index: usize,
        taken_in: &mut Vec<(u32, ID, usize)>,
        replaced: &mut Vec<ID>,
    ) {
        let Some((start, length, place)) = self.news_in(write) else {
            return;
        };
        if let Some(register) = with_place(place, |place| self.registers.insert(start, length, place)) {
            taken_in.push((register, ID::new(start.client, start.clock + (length - 1)), index));
            if let WritePlace::After(origin) = place {
                replaced.push(origin);
            }
        }
    }

    fn conflict(&self, beaten: Beaten, paths: &Paths, txn: &TransactionMut<'_>) -> Option<Conflict> {
        let (map, key) = self.registers.key(beaten.register);
        let path = match map {
            BranchID::Root(name) => vec![PathStep::Key(name.to_string())],
            nested => paths.get(nested)?.clone(),
        };
        let is_map = match map.get_branch(txn)?.type_ref() {
            TypeRef::Map => true,
            // Nobody has asked yet what it is.
            TypeRef::Undefined => matches!(map, BranchID::Root(_)),
            _ => false,
        };
        let side = |id: ID, value| {
            let client = id.client.get();
            ConflictSide { value, client, origin: self.origins.get(&client).copied() }
        };
        is_map.then(|| Conflict {
            path,
            key: key.to_owned(),
            winner: side(self.registers.current(beaten.register), self.shown(beaten.register, txn)),
            loser: side(beaten.id, beaten.value),
        })
    }

    /// What the document shows for a register.
    fn shown(&self, register: u32, txn: &TransactionMut<'_>) -> ConflictValue {
        let (map, key) = self.registers.key(register);
        let value = map.get_branch(txn).and_then(|branch: BranchPtr| MapRef::from(branch).get(txn, key));
        match value {
            Some(Out::Any(value)) => ConflictValue::Plain(value),
            Some(Out::YMap(_)) => ConflictValue::Shared(Kind::Map),
            Some(Out::YArray(_)) => ConflictValue::Shared(Kind::Array),
            Some(Out::YText(_)) => ConflictValue::Shared(Kind::Text),
            _ => ConflictValue::Absent,
        }
    }
}

/// Where nested types are.
pub(crate) type Paths = HashMap<BranchID, Vec<PathStep>>;

fn with_place<R>(place: WritePlace<'_>, f: impl FnOnce(&Place<'_>) -> R) -> R {
    match place {
        WritePlace::InRoot(name, key) => f(&Place::First(&BranchID::Root(Arc::from(name)), key)),
        WritePlace::InNested(id, key) => f(&Place::First(&BranchID::Nested(id), key)),
        WritePlace::After(id) => f(&Place::After(id)),
    }
}

/// Sorts by id, and drops what another one brings as well: then the last one that begins at or before an id is the one
/// that has it, if any has. Of two that end alike, one may have lost its value on its way.
fn drop_covered(writes: &mut Vec<Write<'_>>) {
    sort_by_key(writes, |write| (write.id, Reverse(write.length)));
    writes.dedup_by(|write, kept| {
        let end = |write: &Write<'_>| u64::from(write.id.clock) + u64::from(write.length);
        let is_covered = write.id.client == kept.id.client && end(write) <= end(kept);
        if is_covered && end(write) == end(kept) && kept.content.0 == DELETED {
            kept.content = write.content;
        }
        is_covered
    });
}

/// The last value in the content of a write. The scanner has been over it.
fn content_value((kind, bytes): (u8, &[u8])) -> ConflictValue {
    let mut reader = Reader::new(bytes);
    match kind {
        3 => reader.buffer().map_or(ConflictValue::Absent, |bytes| ConflictValue::Plain(Any::Buffer(bytes.into()))),
        7 => match bytes.first() {
            Some(0) => ConflictValue::Shared(Kind::Array),
            Some(1) => ConflictValue::Shared(Kind::Map),
            Some(2) => ConflictValue::Shared(Kind::Text),
            _ => ConflictValue::Absent,
        },
        8 => {
            let count = reader.var().unwrap_or(0);
            let mut rest = Cursor::new(reader.rest());
            let last = (0..count).map_while(|_| Any::decode(&mut rest).ok()).last();
            last.map_or(ConflictValue::Absent, ConflictValue::Plain)
        }
        _ => ConflictValue::Absent,
    }
}
