//! What really happened: every write, which disks have held it, and the leader's log.

use crate::bits::Bits;
use headwater_core::{Origin, Seq, Stage};
use std::collections::BTreeMap;

pub use crate::group::oracle::{check_update, merge, update_of, write_of, writes_of};

/// A write.
#[derive(Debug)]
pub struct Written {
    /// Its origin.
    pub origin: Origin,
    /// Its number within the origin.
    pub seq: Seq,
    /// The device that it was written on.
    pub device: usize,
    /// The tab.
    pub tab: usize,
    /// The documents that it changes.
    pub docs: Vec<usize>,
    /// The farthest stage that anybody was told.
    pub told: Stage,
    /// Where the leader's log holds it.
    pub place: Option<u64>,
}

/// All that is known.
#[derive(Debug, Default)]
pub struct Oracle {
    /// Every write, in the order of writing.
    pub writes: Vec<Written>,
    by_name: BTreeMap<(Origin, Seq), usize>,
    /// The writes to each document.
    pub of_doc: Vec<Bits>,
    /// Writes that somebody was told to be rejected, or that were taken out of a document.
    pub rejected: Bits,
    /// Writes that leaders refuse, and those that may go with one, since they may be built on it.
    pub forbidden: Bits,
    /// The leader's log.
    pub log: Vec<usize>,
    /// The same as a set.
    pub logged: Bits,
    /// What has landed on each device's disk.
    pub landed: Vec<Bits>,
    /// What was told to be stored on each device.
    pub local: Vec<Bits>,
}

impl Oracle {
    /// Nothing is written yet.
    pub fn new(docs: usize, devices: usize) -> Self {
        let none = |count| vec![Bits::default(); count];
        Self { of_doc: none(docs), landed: none(devices), local: none(devices), ..Self::default() }
    }

    /// The write of that name.
    pub fn find(&self, origin: Origin, seq: Seq) -> Option<usize> {
        self.by_name.get(&(origin, seq)).copied()
    }

    /// Notes a write.
    pub fn wrote(&mut self, written: Written) {
        let index = self.writes.len();
        let before = self.by_name.insert((written.origin, written.seq), index);
        assert!(before.is_none(), "origins are fresh, so no write has the name of another");
        let is_under = |other: usize| {
            let other = &self.writes[other];
            other.device == written.device && other.docs.iter().any(|doc| written.docs.contains(doc))
        };
        if self.forbidden.without(&self.rejected).iter().any(|other| other != index && is_under(other)) {
            self.forbidden.set(index);
        }
        written.docs.iter().for_each(|doc| self.of_doc[*doc].set(index));
        self.writes.push(written);
    }

    /// How reports name a write.
    pub fn name(&self, index: usize) -> String {
        let write = &self.writes[index];
        let place = write.place.map_or(String::new(), |place| format!(" at {place}"));
        format!("write {index} ({:.4}…/{} of tab {}{place})", write.origin.to_string(), write.seq, write.tab)
    }

    /// How reports name several.
    pub fn names(&self, writes: &Bits) -> String {
        let names: Vec<String> = writes.iter().take(4).map(|index| self.name(index)).collect();
        let more = writes.iter().count().saturating_sub(names.len());
        format!("{}{}", names.join(", "), if more > 0 { format!(" and {more} more") } else { String::new() })
    }
}
