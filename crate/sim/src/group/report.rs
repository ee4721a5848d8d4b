//! What many runs of groups come to, as lines; and the hunt for deliberate bugs.

use super::bug::Bug;
use super::coverage::Moment;
use super::plan::Plan;
use super::run::run;
use super::suite::{FIXED_SEEDS, Sums};
use crate::report::{Caught, columns};

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

/// The one line of figures.
pub fn line(sums: &Sums) -> String {
    let lost = sums
        .failures
        .iter()
        .filter(|report| report.violation.as_ref().is_some_and(|violation| violation.checker == "durability"));
    let faults: u64 = sums.coverage.kinds.iter().filter(|(kind, _)| kind.is_fault()).map(|(_, count)| count).sum();
    format!(
        "sim of groups: seeds {}, events {}, writes {}, reads {}, faults {faults}, elections {}, switchovers {}, tails {}, lost {}, \
         violations {}",
        sums.runs,
        sums.events,
        sums.writes,
        sums.tally.count(),
        sums.coverage.count(Moment::Elected),
        sums.coverage.count(Moment::SwitchedOver),
        sums.coverage.count(Moment::TailMerged),
        lost.count(),
        sums.failures.len()
    )
}
