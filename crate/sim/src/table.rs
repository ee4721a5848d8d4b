//! What reads and writes were worth, counted over many runs.

use headwater_core::Stage;
use headwater_core::session::Consistency;
use std::collections::BTreeMap;

/// Reads of one kind, and how many of them missed what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    /// How many.
    pub count: u64,
    /// Missed own writes; what had been read before; what that builds on; what was acknowledged before.
    pub missed: [u64; 4],
}

/// Writes of one kind, and how many of them were lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// How many.
    pub count: u64,
    /// How many are gone.
    pub lost: u64,
}

/// The figures of many runs.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// By level, and whether there had been faults.
    pub reads: BTreeMap<(usize, bool), Reads>,
    /// By stage, and by what happened: nothing, a kill, a loss of the device's storage.
    pub writes: BTreeMap<(Stage, usize), Kept>,
}

/// The levels in the order of their index.
pub const LEVELS: [&str; 4] = ["eventual", "session", "maxStalenessMs", "strong"];

impl Tally {
    /// Counts a read.
    pub fn read(&mut self, consistency: Consistency, had_fault: bool, missed: [bool; 4]) {
        let level = match consistency {
            Consistency::Eventual => 0,
            Consistency::Session => 1,
            Consistency::MaxStaleness(_) => 2,
            Consistency::Strong => 3,
        };
        let reads = self.reads.entry((level, had_fault)).or_default();
        reads.count += 1;
        reads.missed.iter_mut().zip(missed).for_each(|(count, missed)| *count += u64::from(missed));
    }

    /// Counts a write.
    pub fn write(&mut self, told: Stage, is_killed: bool, is_storage_lost: bool, is_kept: bool) {
        let fate = if is_storage_lost { 2 } else { usize::from(is_killed) };
        let kept = self.writes.entry((told, fate)).or_default();
        kept.count += 1;
        kept.lost += u64::from(!is_kept);
    }

    /// Adds another run's figures.
    pub fn add(&mut self, other: &Tally) {
        for (key, reads) in &other.reads {
            let sum = self.reads.entry(*key).or_default();
            sum.count += reads.count;
            sum.missed.iter_mut().zip(reads.missed).for_each(|(sum, more)| *sum += more);
        }
        for (key, kept) in &other.writes {
            let sum = self.writes.entry(*key).or_default();
            sum.count += kept.count;
            sum.lost += kept.lost;
        }
    }
}
