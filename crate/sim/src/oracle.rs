//! What really happened: every write, where it stands, and which of them a document shows.
//!
//! The oracle looks from outside: into yrs updates and documents, and into what has landed on disks. It trusts no
//! answer of the machines under test.

use crate::bits::Bits;
use crate::check::leaders::Tenure;
use crate::check::strong::{Chain, StrongRead};
use headwater_core::{Code, Origin, Part, Seq, Stage};
use headwater_doc::Document;
use std::collections::BTreeMap;
use std::fmt;
use yrs::updates::decoder::Decode;
use yrs::{ClientID, IdSet, Update};

/// Operations of one client: its id, the first clock, and the clock after the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    client: u64,
    start: u32,
    end: u32,
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}:{}..{}", self.client, self.start, self.end)
    }
}

/// What a write does to one document.
#[derive(Debug)]
pub struct Effect {
    /// The document, by its place in the world's list.
    pub doc: usize,
    /// The operations it inserts.
    pub inserts: Vec<Run>,
    /// The operations it deletes.
    pub deletes: Vec<Run>,
    /// A hash of its bytes.
    pub hash: u64,
}

/// One write.
#[derive(Debug)]
pub struct Written {
    /// Who wrote.
    pub origin: Origin,
    /// Its number.
    pub seq: Seq,
    /// On which device.
    pub device: usize,
    /// In which opening.
    pub opening: usize,
    /// When.
    pub at: u64,
    /// What it does.
    pub effects: Vec<Effect>,
    /// Whether it was pushed.
    pub is_sent: bool,
    /// Whether it is over the limit.
    pub is_oversize: bool,
    /// What its session had written and read before it.
    pub deps: Bits,
    /// Why it was rejected, once it was.
    pub rejected: Option<Code>,
    /// Where the leader's log holds it, and since when that is known.
    pub committed: Option<(u64, u64)>,
    /// When somebody was first told that the leader has it.
    pub acked_at: Option<u64>,
    /// The farthest stage that anybody was told.
    pub told: Stage,
    /// When somebody was first told that it is in the device's storage.
    pub local_at: Option<u64>,
    /// Whether the storage that it was written to has been put back or deleted since.
    pub is_storage_lost: bool,
    /// Whether the tab or the device was killed after it.
    pub is_killed: bool,
    /// What had been told when that happened.
    pub told_then: Stage,
}

/// All that is known.
#[derive(Debug, Default)]
pub struct Oracle {
    /// Every write, in the order of writing.
    pub writes: Vec<Written>,
    by_name: BTreeMap<(Origin, Seq), usize>,
    /// The writes to each document.
    pub of_doc: Vec<Bits>,
    /// Writes that were rejected, or are being taken back and will be told to be.
    pub rejected: Bits,
    /// Writes in the leader's log.
    pub committed: Bits,
    /// Writes that their writer was told to be in its storage.
    pub stored: Bits,
    /// Writes that somebody was told to be in the leader's log.
    pub acked: Bits,
    /// The log's last entry that a node has shown.
    pub log_end: u64,
    /// The log, entry by entry.
    pub log: Vec<usize>,
    /// Writes that entered the log after one of their effects, should they ever: the cause, and the effect.
    pub overtaken: BTreeMap<usize, usize>,
    /// Strong reads that have ended.
    pub strong_reads: Vec<StrongRead>,
    /// The prefixes of the log that they stand for.
    pub chain: Chain,
    /// Who leads, for all that has been seen.
    pub tenure: Tenure,
    /// The clocks that each client id has used: start and end of every run.
    pub clocks: BTreeMap<u64, Vec<(u32, u32)>>,
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

    /// Notes a write; its index. An error if its operations are not all new.
    pub fn wrote(&mut self, written: Written) -> Result<usize, String> {
        let index = self.writes.len();
        let name = (written.origin, written.seq);
        if self.by_name.insert(name, index).is_some() {
            return Err(format!("{} {} is written twice", name.0, name.1));
        }
        for effect in &written.effects {
            self.of_doc[effect.doc].set(index);
            for Run { client, start, end } in effect.inserts.iter().copied() {
                let runs = self.clocks.entry(client).or_default();
                if runs.iter().any(|(from, to)| start < *to && *from < end) {
                    return Err(format!("client {client} writes its clocks {start} to {end} a second time"));
                }
                runs.push((start, end));
            }
        }
        self.writes.push(written);
        Ok(index)
    }

    /// Those writes of a document that insert something into it. A deletion may be there because of another one, so only
    /// an insertion proves that a write has arrived.
    pub fn evident(&self, doc: usize, shown: &Bits) -> Bits {
        let mut evident = Bits::default();
        let inserts = |index: &usize| self.writes[*index].effects.iter().any(|e| e.doc == doc && !e.inserts.is_empty());
        shown.iter().filter(inserts).for_each(|index| evident.set(index));
        evident
    }

    /// The writes that a document shows, whole.
    pub fn shown(&self, doc: usize, document: &Document) -> Bits {
        let snapshot = document.fingerprint().1;
        let deleted = runs(&snapshot.delete_set);
        let has = |run: &Run| snapshot.state_map.get(&ClientID::new(run.client)) >= run.end;
        let mut shown = Bits::default();
        for index in self.of_doc[doc].iter() {
            let effects = self.writes[index].effects.iter().filter(|effect| effect.doc == doc);
            let is_shown = |effect: &Effect| {
                effect.inserts.iter().all(has) && effect.deletes.iter().all(|run| covers(&deleted, *run))
            };
            if effects.into_iter().all(is_shown) {
                shown.set(index);
            }
        }
        shown
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
        format!("write {index} ({:.4}…/{} of tab {})", write.origin.to_string(), write.seq, write.opening)
    }

    /// How reports name several.
    pub fn names(&self, writes: &Bits) -> String {
        let names: Vec<String> = writes.iter().take(4).map(|index| self.name(index)).collect();
        let more = writes.iter().count().saturating_sub(names.len());
        format!("{}{}", names.join(", "), if more > 0 { format!(" and {more} more") } else { String::new() })
    }
}

fn runs(set: &IdSet) -> Vec<Run> {
    let mut runs = Vec::new();
    for (client, ranges) in set.iter() {
        let client = client.get();
        runs.extend(ranges.iter().map(|range| Run { client, start: range.start, end: range.end }));
    }
    runs.sort_by_key(|run| (run.client, run.start));
    runs
}

// Whether `run` lies within `held`, which is sorted.
fn covers(held: &[Run], run: Run) -> bool {
    let from = held.partition_point(|other| (other.client, other.end) <= (run.client, run.start));
    let mut at = run.start;
    for other in held[from..].iter().take_while(|other| other.client == run.client && other.start <= run.end) {
        if other.start > at {
            return false;
        }
        at = at.max(other.end);
        if at >= run.end {
            return true;
        }
    }
    at >= run.end
}

/// What an update does to a document.
pub fn effect_of(doc: usize, part: &Part) -> Effect {
    let update = Update::decode_v1(&part.update).expect("a document encodes what yrs decodes");
    let (inserts, deletes) = (runs(&update.insertions(true)), runs(update.delete_set()));
    Effect { doc, inserts, deletes, hash: crate::trace::hash_of(&part.update) }
}
