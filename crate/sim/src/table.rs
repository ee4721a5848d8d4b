//! What reads and writes were worth, counted over many runs, and the page that says so.
//!
//! `docs/guarantees.md` is written by this file and by nobody else. Words are in `table.md`, figures come from the runs.

use crate::group;
use crate::local;
use crate::report;
use crate::suite::Sums;
use headwater_core::Stage;
use headwater_core::session::Consistency;
use std::collections::BTreeMap;

/// The page, with a place for each table.
const PAGE: &str = include_str!("table.md");

/// What a read may miss.
pub const MISSABLE: [&str; 5] = [
    "the session's own writes (read-your-writes)",
    "what the session has read before (monotonic reads)",
    "what that builds on (writes-follow-reads, monotonic writes)",
    "anybody's write that was told `local`",
    "anybody's write that was told `leader`",
];

/// The levels in the order of their index.
pub const LEVELS: [&str; 4] = ["eventual", "session", "maxStalenessMs", "strong"];

/// Reads of one kind, and how many of them missed what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    /// How many.
    pub count: u64,
    /// How many missed each of `MISSABLE`.
    pub missed: [u64; MISSABLE.len()],
}

impl Reads {
    /// Adds others of the same kind.
    pub fn add(&mut self, other: &Reads) {
        self.count += other.count;
        self.missed.iter_mut().zip(other.missed).for_each(|(sum, more)| *sum += more);
    }
}

/// Writes of one kind, and how many of them were lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// How many.
    pub count: u64,
    /// How many are gone.
    pub lost: u64,
}

impl Kept {
    /// Adds others of the same kind.
    pub fn add(&mut self, other: &Kept) {
        self.count += other.count;
        self.lost += other.lost;
    }
}

/// The figures of many runs.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// By level, and whether there had been faults.
    pub reads: BTreeMap<(usize, bool), Reads>,
    /// By stage, and by what happened: nothing, a kill, a loss of the device's storage.
    pub writes: BTreeMap<(Stage, usize), Kept>,
}

impl Tally {
    /// Counts a read.
    pub fn read(&mut self, consistency: Consistency, had_fault: bool, missed: [bool; MISSABLE.len()]) {
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
        // With one voter every later stage is reached together with `leader`.
        let kept = self.writes.entry((told.min(Stage::Leader), fate)).or_default();
        kept.count += 1;
        kept.lost += u64::from(!is_kept);
    }

    /// Adds another run's figures.
    pub fn add(&mut self, other: &Tally) {
        for (key, reads) in &other.reads {
            self.reads.entry(*key).or_default().add(reads);
        }
        for (key, kept) in &other.writes {
            self.writes.entry(*key).or_default().add(kept);
        }
    }
}

/// The page of guarantees.
pub fn guarantees(sums: &Sums, groups: &group::suite::Sums, local: &local::suite::Sums) -> String {
    PAGE.replace("{line}", &report::line(sums))
        .replace("{line of groups}", &group::report::line(groups))
        .replace("{reads of groups}", &groups.tally.read_table())
        .replace("{writes of groups}", &groups.tally.write_table())
        .replace("{runs of several}", &groups.runs_of_several.to_string())
        .replace("{reads of several}", &groups.several.read_table_of_several())
        .replace("{writes of several}", &groups.several.kept_by_several())
        .replace("{line of local}", &local::report::line(local))
        .replace("{coverage of local}", &coverage_table(&local.coverage.rows()))
        .replace("{coverage of groups}", &coverage_table(&groups.coverage.rows()))
        .replace("{reads without faults}", &read_table(sums, false))
        .replace("{reads with faults}", &read_table(sums, true))
        .replace("{writes}", &write_table(sums))
        .replace("{coverage}", &coverage_table(&sums.coverage.rows()))
}

/// Whether a level promises that a read does not miss this.
fn promises(level: usize, missable: usize) -> bool {
    match missable {
        0..=2 => level > 0,
        3 => false,
        _ => level == 3,
    }
}

fn read_table(sums: &Sums, had_fault: bool) -> String {
    let head = format!("| a read does not miss | {} |\n", LEVELS.map(|level| format!("`{level}`")).join(" | "));
    let row = |(missable, name): (usize, &&str)| {
        let cell = |level: usize| {
            let reads = sums.tally.reads.get(&(level, had_fault)).copied().unwrap_or_default();
            let (missed, count) = (reads.missed[missable], reads.count);
            match promises(level, missable) {
                true => format!("**always** ({missed} of {count})"),
                false => format!("missed in {missed} of {count}"),
            }
        };
        format!("| {name} | {} |\n", (0..LEVELS.len()).map(cell).collect::<Vec<_>>().join(" | "))
    };
    let rows: String = MISSABLE.iter().enumerate().map(row).collect();
    format!("{head}|---{}|\n{rows}", "|---".repeat(LEVELS.len()))
}

fn write_table(sums: &Sums) -> String {
    let fates = ["its device goes on", "its tab or device is killed", "its storage is put back or deleted"];
    let row = |stage: Stage| {
        let cell = |fate: usize| {
            let kept = sums.tally.writes.get(&(stage, fate)).copied().unwrap_or_default();
            let is_promised = fate == 0 || (stage == Stage::Local && fate == 1) || stage == Stage::Leader;
            match (is_promised, kept.count) {
                (true, 0) => "**kept**".to_owned(),
                (true, count) => format!("**kept** (lost {} of {count})", kept.lost),
                (false, count) => format!("lost {} of {count}", kept.lost),
            }
        };
        format!("| `{}` | {} |\n", stage.as_str(), (0..fates.len()).map(cell).collect::<Vec<_>>().join(" | "))
    };
    let rows: String = [Stage::Applied, Stage::Local, Stage::Leader].into_iter().map(row).collect();
    format!("| the writer was told | {} |\n|---|---|---|---|\n{rows}", fates.join(" | "))
}

fn coverage_table(rows: &[(&str, u64)]) -> String {
    let cell = |(name, count): &(&str, u64)| format!("| {name} | {count} ");
    let rows: String = rows.chunks(2).map(|row| format!("{}|\n", row.iter().map(cell).collect::<String>())).collect();
    format!("| | count | | count |\n|---|---|---|---|\n{rows}")
}
