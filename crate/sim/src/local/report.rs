//! What many runs of tabs and peers come to, as lines; and the hunt for deliberate bugs.

use super::bug::Bug;
use super::coverage::Moment;
use super::plan::Plan;
use super::run::run;
use super::suite::{FIXED_SEEDS, OPEN, Sums};
use crate::report::{Caught, columns};

/// Looks for a deliberate bug, in seeds that break no promise without it.
pub fn hunt(bug: Bug) -> Option<Caught> {
    (0..FIXED_SEEDS).filter(|seed| !OPEN.contains(seed)).find_map(|seed| {
        run(&Plan::of(seed), Some(bug), false).violation.map(|violation| Caught { seed, checker: violation.checker })
    })
}

/// How often everything happened.
pub fn coverage(sums: &Sums) -> String {
    columns(&sums.coverage.rows())
}

/// The one line of figures.
pub fn line(sums: &Sums) -> String {
    let faults: u64 = sums.coverage.kinds.iter().filter(|(kind, _)| kind.is_fault()).map(|(_, count)| count).sum();
    let is_lost = |report: &&super::run::Report| {
        report.violation.as_ref().is_some_and(|violation| violation.checker == "durability")
    };
    format!(
        "sim of tabs and peers: seeds {}, events {}, writes {}, session reads {}, faults {faults}, terms {}, stolen locks {}, \
         links {}, lost {}, violations {}",
        sums.runs,
        sums.events,
        sums.writes,
        sums.coverage.count(Moment::SessionRead),
        sums.coverage.count(Moment::Claimed),
        sums.coverage.count(Moment::Stolen),
        sums.coverage.count(Moment::Linked) + sums.coverage.count(Moment::LinkedAgain),
        sums.failures.iter().filter(is_lost).count(),
        sums.failures.len()
    )
}
