//! What really happened: every write, and every entry of every epoch's log. The checkers compare with it what was shown
//! and told.

use crate::bits::Bits;
use headwater_core::group::MemberName;
use headwater_core::node::Merge;
use headwater_core::{Epoch, Frontier, Lsn, Origin, Seq, Stage};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// A write.
#[derive(Debug)]
pub struct Written {
    /// Its origin.
    pub origin: Origin,
    /// Its number within the origin.
    pub seq: Seq,
    /// Who wrote it.
    pub client: usize,
    /// The documents that it changes.
    pub docs: Vec<usize>,
    /// What its session had written and read before it.
    pub deps: Bits,
    /// Whether the leader refuses it.
    pub is_forbidden: bool,
    /// Whether it was ever sent.
    pub is_sent: bool,
    /// The farthest stage that its writer was told.
    pub told: Stage,
    /// The epoch whose leader first acknowledged it.
    pub acked_in: Option<Epoch>,
    /// When its writer was told that a quorum has it.
    pub at_quorum_since: Option<u64>,
    /// Whether the disk of its client has it.
    pub is_stored: bool,
    /// Whether its client was killed after it.
    pub is_killed: bool,
    /// Where it stands in the logs. It may stand there more than once.
    pub places: Vec<(Epoch, Lsn)>,
}

/// All that is known.
#[derive(Debug, Default)]
pub struct Oracle {
    /// Every write, in the order of writing.
    pub writes: Vec<Written>,
    by_name: BTreeMap<(Origin, Seq), usize>,
    /// The writes to each document.
    pub of_doc: Vec<Bits>,
    /// Writes that were rejected.
    pub rejected: Bits,
    /// Writes that are rejected with one that was, if they were built on it: nobody demands them.
    pub doomed: Bits,
    /// Writes that a quorum of disks has held.
    pub stable: Bits,
    /// Writes that their writer was told to be at a quorum.
    pub at_quorum: Bits,
    /// Writes that their writer was told to be at the leader.
    pub at_leader: Bits,
    /// The write at each place of each epoch's log.
    pub logs: BTreeMap<Epoch, Vec<usize>>,
    /// How far a quorum of disks has ever held each log.
    pub held: Frontier,
    /// How far somebody was told, or shown, that a quorum holds each log.
    pub promised: Frontier,
    /// Who was ever made the leader of which epoch.
    pub leaders: BTreeMap<Epoch, MemberName>,
    /// Whether an operator ever accepted that writes are lost.
    pub is_forced: bool,
    /// Whether a disk was lost.
    pub is_disk_lost: bool,
    /// Epochs that one of several leaders led, and the writes in their logs.
    pub multi: BTreeSet<Epoch>,
    /// See `multi`.
    pub of_multi: Bits,
    /// Since when several lead, by the record.
    pub multi_since: Option<u64>,
    /// What strong reads have shown: when they ended, which document, what.
    pub strong_reads: Vec<(u64, usize, Bits)>,
}

impl Oracle {
    /// Nothing is written yet.
    pub fn new(docs: usize) -> Self {
        Self { of_doc: vec![Bits::default(); docs], ..Self::default() }
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
        written.docs.iter().for_each(|doc| self.of_doc[*doc].set(index));
        self.writes.push(written);
    }

    /// A client heard that everything of an origin up to `seq` stands in the log of that epoch, or an earlier one.
    pub fn acked(&mut self, origin: Origin, seq: Seq, epoch: Epoch) {
        let names = self.by_name.range((origin, Seq(0))..=(origin, seq));
        for (_, write) in names {
            self.writes[*write].acked_in.get_or_insert(epoch);
        }
    }

    /// A client heard that a write is refused: what it wrote later to the same documents may go with it.
    pub fn refused(&mut self, origin: Origin, seq: Seq) {
        let Some(first) = self.find(origin, seq) else { return };
        self.doomed.set(first);
        (first + 1..self.writes.len()).for_each(|index| self.doom_if_built_on_doomed(index));
    }

    /// Until a document is made anew, what is written to it is built on what was refused.
    pub fn doom_if_built_on_doomed(&mut self, index: usize) {
        let written = &self.writes[index];
        let is_under = |other: &usize| {
            let other = &self.writes[*other];
            other.client == written.client && written.docs.iter().any(|doc| other.docs.contains(doc))
        };
        let doomed = self.doomed.without(&self.rejected);
        let is_doomed = doomed.iter().take_while(|other| *other < index).any(|other| is_under(&other));
        if is_doomed && written.places.is_empty() {
            self.doomed.set(index);
        }
    }

    /// Everything that the writers of these had written and read before.
    pub fn implied(&self, shown: &Bits) -> Bits {
        let mut implied = Bits::default();
        shown.iter().for_each(|index| implied.join(&self.writes[index].deps));
        implied
    }

    /// How reports name a write.
    pub fn name(&self, index: usize) -> String {
        let write = &self.writes[index];
        let places: Vec<String> = write.places.iter().map(|(epoch, lsn)| format!(" at {epoch}/{lsn}")).collect();
        format!(
            "write {index} ({:.4}…/{} of client {}{})",
            write.origin.to_string(),
            write.seq,
            write.client,
            places.concat()
        )
    }

    /// How reports name several.
    pub fn names(&self, writes: &Bits) -> String {
        let names: Vec<String> = writes.iter().take(4).map(|index| self.name(index)).collect();
        let more = writes.iter().count().saturating_sub(names.len());
        format!("{}{}", names.join(", "), if more > 0 { format!(" and {more} more") } else { String::new() })
    }
}

const FORBIDDEN: u8 = 1;

/// The update of a write: its number, and whether leaders refuse it.
pub fn update_of(write: usize, is_forbidden: bool) -> Vec<u8> {
    let mut update = vec![u8::from(is_forbidden) * FORBIDDEN];
    update.extend((write as u64).to_be_bytes());
    update
}

/// The write of an update.
pub fn write_of(update: &[u8]) -> Option<usize> {
    let number: [u8; 8] = update.get(1..9)?.try_into().ok()?;
    (update.len() == 9).then_some(u64::from_be_bytes(number) as usize)
}

/// The writes of an update, which may be a snapshot.
pub fn writes_of(update: &[u8]) -> Vec<Option<usize>> {
    match update.split_first() {
        Some((&SNAPSHOT, rest)) => rest.chunks(9).map(write_of).collect(),
        _ => vec![write_of(update)],
    }
}

const SNAPSHOT: u8 = 2;

/// How simulated members merge updates.
pub fn merge() -> Box<dyn Merge> {
    Box::new(Merged(BTreeSet::new()))
}

struct Merged(BTreeSet<usize>);

impl Merge for Merged {
    fn apply(&mut self, updates: &[Rc<[u8]>]) -> Result<(), String> {
        for write in updates.iter().flat_map(|update| writes_of(update)) {
            self.0.insert(write.ok_or("nobody wrote it")?);
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> Vec<u8> {
        let mut snapshot = vec![SNAPSHOT];
        self.0.iter().for_each(|write| snapshot.extend(update_of(*write, false)));
        snapshot
    }
}

/// What the simulated members say of an update.
pub fn check_update(update: &[u8]) -> Result<(), String> {
    if update.first() == Some(&FORBIDDEN) { Err("it is forbidden".into()) } else { Ok(()) }
}
