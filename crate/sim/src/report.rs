//! What many runs come to, as lines; and the hunt for deliberate bugs.

use crate::bug::Bug;
use crate::plan::Plan;
use crate::run::run;
use crate::suite::{FIXED_SEEDS, Sums};
use std::fmt::Write;

/// A deliberate bug that was caught.
#[derive(Debug)]
pub struct Caught {
    /// In which seed.
    pub seed: u64,
    /// By whom.
    pub checker: &'static str,
}

/// Looks for a deliberate bug.
pub fn hunt(bug: Bug) -> Option<Caught> {
    (0..FIXED_SEEDS).find_map(|seed| {
        run(&Plan::of(seed), Some(bug), false).violation.map(|violation| Caught { seed, checker: violation.checker })
    })
}

/// How often everything happened.
pub fn coverage(sums: &Sums) -> String {
    columns(&sums.coverage.rows())
}

/// Counts and their names, side by side.
pub fn columns(rows: &[(&'static str, u64)]) -> String {
    let mut text = String::new();
    for row in rows.chunks(4) {
        let cells: Vec<String> = row.iter().map(|(name, count)| format!("{count:>8} {name:38}")).collect();
        let _ = writeln!(text, "{}", cells.concat().trim_end());
    }
    text
}

/// The one line of figures.
pub fn line(sums: &Sums) -> String {
    let is_loss = |checker: &str| checker == "durability";
    let violations = sums.failures.iter().filter_map(|failure| failure.violation.as_ref());
    let lost = violations.filter(|violation| is_loss(violation.checker)).count();
    let faults: u64 = sums.coverage.kinds.iter().filter(|(kind, _)| kind.is_fault()).map(|(_, count)| count).sum();
    let reads: u64 = sums.tally.reads.values().map(|reads| reads.count).sum();
    format!(
        "sim: seeds {}, events {}, writes {}, reads {reads}, faults {faults}, lost {lost}, violations {}",
        sums.runs,
        sums.events,
        sums.writes,
        sums.failures.len()
    )
}
