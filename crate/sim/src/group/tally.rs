//! What reads and writes of groups were worth, counted over many runs.

use super::world::World;
use crate::bits::Bits;
use crate::table::{Kept, LEVELS, Reads};
use headwater_core::Stage;
use headwater_core::session::Consistency;
use std::collections::BTreeMap;

/// What a read may miss.
pub const MISSABLE: [&str; 5] = [
    "the session's own writes (read-your-writes)",
    "what the session has read before (monotonic reads)",
    "what that builds on (writes-follow-reads, monotonic writes)",
    "anybody's write that was told `leader`",
    "anybody's write that was told `quorum`",
];

/// What may happen to a leader.
pub const FATES: [&str; 3] = ["right after an election", "right after a switchover", "once everybody is back"];

/// The figures of many runs. Those in which an operator accepted that writes are lost are not among them.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// By level.
    reads: BTreeMap<usize, Reads>,
    /// By stage, and by what happened to the leader.
    writes: BTreeMap<(Stage, usize), Kept>,
}

impl Tally {
    /// Adds another run's figures.
    pub fn add(&mut self, other: &Tally) {
        for (key, reads) in &other.reads {
            self.reads.entry(*key).or_default().add(reads);
        }
        for (key, kept) in &other.writes {
            self.writes.entry(*key).or_default().add(kept);
        }
    }

    /// How many reads there were.
    pub fn count(&self) -> u64 {
        self.reads.values().map(|reads| reads.count).sum()
    }

    /// A row for each thing that a read should not miss.
    pub fn read_table(&self) -> String {
        self.table_of_levels(LEVELS.len())
    }

    /// The same of the levels that several leaders can answer.
    pub fn read_table_of_several(&self) -> String {
        self.table_of_levels(2)
    }

    fn table_of_levels(&self, levels: usize) -> String {
        let named: Vec<String> = LEVELS[..levels].iter().map(|level| format!("`{level}`")).collect();
        let head = format!("| a read does not miss | {} |\n", named.join(" | "));
        let row = |(missable, name): (usize, &&str)| {
            let cell = |level: usize| {
                let reads = self.reads.get(&level).copied().unwrap_or_default();
                let (missed, count) = (reads.missed[missable], reads.count);
                // What the leader alone had may be away after an election, until the leader is back.
                match level > 0 && missable < 3 || level == 3 && missable == 4 {
                    true => format!("**always** ({missed} of {count})"),
                    false => format!("missed in {missed} of {count}"),
                }
            };
            format!("| {name} | {} |\n", (0..levels).map(cell).collect::<Vec<_>>().join(" | "))
        };
        let rows: String = MISSABLE.iter().enumerate().map(row).collect();
        format!("{head}|---{}|\n{rows}", "|---".repeat(levels))
    }

    /// Writes of several leaders that are there once everybody is back, by the stage that their writers were told.
    pub fn kept_by_several(&self) -> String {
        let row = |stage: Stage| {
            let Kept { count, lost } = self.writes.get(&(stage, FATES.len() - 1)).copied().unwrap_or_default();
            format!("| `{}` | **there** (missing {lost} of {count}) |\n", stage.as_str())
        };
        let rows: String = [Stage::Leader, Stage::Quorum].into_iter().map(row).collect();
        format!("| the writer was told | {} |\n|---|---|\n{rows}", FATES[FATES.len() - 1])
    }

    /// A row for each stage that a writer may be told.
    pub fn write_table(&self) -> String {
        let row = |stage: Stage| {
            let cell = |fate: usize| {
                let Kept { count, lost } = self.writes.get(&(stage, fate)).copied().unwrap_or_default();
                match stage == Stage::Leader && fate == 0 {
                    true => format!("missing {lost} of {count}"),
                    false => format!("**there** (missing {lost} of {count})"),
                }
            };
            format!("| `{}` | {} |\n", stage.as_str(), (0..FATES.len()).map(cell).collect::<Vec<_>>().join(" | "))
        };
        let rows: String = [Stage::Leader, Stage::Quorum].into_iter().map(row).collect();
        format!("| the writer was told | {} |\n|---|---|---|---|\n{rows}", FATES.join(" | "))
    }
}

impl World {
    /// Counts a read that missed these.
    pub fn tally_read(&mut self, consistency: Consistency, missed: [&Bits; MISSABLE.len()]) {
        if self.oracle.is_forced {
            return;
        }
        let level = match consistency {
            Consistency::Eventual => 0,
            Consistency::Session => 1,
            Consistency::MaxStaleness(_) => 2,
            Consistency::Strong => 3,
        };
        let reads = self.tally.reads.entry(level).or_default();
        reads.count += 1;
        reads.missed.iter_mut().zip(missed).for_each(|(count, missed)| *count += u64::from(!missed.is_empty()));
    }

    /// Counts the writes that somebody was told of, and those of them that are not in a log.
    pub fn tally_writes(&mut self, fate: usize, log: &Bits) {
        if self.oracle.is_forced || self.oracle.is_disk_lost {
            return;
        }
        for (write, written) in self.oracle.writes.iter().enumerate().filter(|(_, one)| one.told >= Stage::Leader) {
            let kept = self.tally.writes.entry((written.told.min(Stage::Quorum), fate)).or_default();
            kept.count += 1;
            kept.lost += u64::from(!log.has(write));
        }
    }
}
