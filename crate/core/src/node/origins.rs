//! Recent origins and how far each has been appended, so that a repeated write has one effect and the same answer.
//!
//! The table is bounded: beyond `ORIGINS_MAX` the origin that has been silent longest is forgotten. A repeat from a
//! forgotten origin is appended again, which a CRDT forgives.

use crate::ids::{Lsn, Origin, Seq};
use crate::limits::ORIGINS_MAX;
use crate::store::{self, StoreOp, Table};
use crate::wire::Writer;
use std::collections::{BTreeMap, BTreeSet};

/// An origin's highest write that has an LSN, committed or about to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) seq: Seq,
    pub(super) lsn: Lsn,
}

#[derive(Default)]
pub(super) struct OriginTable {
    places: BTreeMap<Origin, Place>,
    by_lsn: BTreeSet<(Lsn, Origin)>,
    /// Changed or forgotten since the last checkpoint.
    changed: BTreeSet<Origin>,
}

impl OriginTable {
    pub(super) fn get(&self, origin: Origin) -> Option<Place> {
        self.places.get(&origin).copied()
    }

    /// A row of the last checkpoint.
    pub(super) fn load(&mut self, origin: Origin, seq: Seq, lsn: Lsn) {
        self.place(origin, Place { seq, lsn });
    }

    pub(super) fn appended(&mut self, origin: Origin, seq: Seq, lsn: Lsn) {
        self.place(origin, Place { seq, lsn });
        self.changed.insert(origin);
        while self.places.len() > ORIGINS_MAX {
            let (_, silent) = self.by_lsn.pop_first().expect("every place has its LSN listed");
            self.places.remove(&silent);
            self.changed.insert(silent);
        }
    }

    /// The rows to write or delete so that the stored table is this one.
    pub(super) fn checkpoint(&mut self) -> Vec<StoreOp> {
        let changed = std::mem::take(&mut self.changed);
        changed.into_iter().map(|origin| self.row(origin)).collect()
    }

    fn row(&self, origin: Origin) -> StoreOp {
        let (table, key) = (Table::Origins, store::origin_key(origin));
        match self.get(origin) {
            None => StoreOp::Delete { table, key },
            Some(place) => {
                let mut value = Writer::default();
                value.uint(place.seq.0).uint(place.lsn.0);
                StoreOp::Put { table, key, value: value.0 }
            }
        }
    }

    fn place(&mut self, origin: Origin, place: Place) {
        if let Some(before) = self.places.insert(origin, place) {
            self.by_lsn.remove(&(before.lsn, origin));
        }
        self.by_lsn.insert((place.lsn, origin));
    }
}
