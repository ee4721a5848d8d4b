//! Many runs of tabs and peers.

use super::bug::Bug;
use super::coverage::Coverage;
use super::plan::Plan;
use super::run::{Report, run};
use crate::suite::on_threads;

/// The seeds that the tests run each time, from 0 on. A deliberate bug must be caught within them.
pub const FIXED_SEEDS: u64 = 2_000;

/// Those of them that break a promise: faults of the replica that are not mended yet. Whoever mends one takes its seeds out.
pub const OPEN: &[u64] = &[1101, 1475, 1481];

/// The sums of many runs.
#[derive(Debug, Default)]
pub struct Sums {
    /// How many runs.
    pub runs: u64,
    /// How many events.
    pub events: u64,
    /// How many writes.
    pub writes: u64,
    /// What they went through.
    pub coverage: Coverage,
    /// Runs that broke a promise, by seed.
    pub failures: Vec<Report>,
}

impl Sums {
    fn add(&mut self, report: Report) {
        self.runs += 1;
        self.events += report.events;
        self.writes += report.writes;
        self.coverage.add(&report.coverage);
        if report.violation.is_some() {
            self.failures.push(report);
        }
    }
}

/// Runs seeds on several threads. `progress` hears of each run.
pub fn run_seeds(
    seeds: impl Iterator<Item = u64> + Send,
    bug: Option<Bug>,
    threads: usize,
    mut progress: impl FnMut(&Sums),
) -> Sums {
    let mut sums = Sums::default();
    on_threads(
        seeds,
        threads,
        |seed| run(&Plan::of(seed), bug, false),
        |report| {
            sums.add(report);
            progress(&sums);
        },
    );
    sums.failures.sort_by_key(|report| report.seed);
    sums
}
