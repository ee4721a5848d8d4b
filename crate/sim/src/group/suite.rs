//! Many runs of groups.

use super::bug::Bug;
use super::coverage::Coverage;
use super::plan::Plan;
use super::run::{Report, run};
use super::tally::Tally;
use crate::suite::on_threads;

/// The seeds that the tests run each time, from 0 on. A deliberate bug must be caught within them.
pub const FIXED_SEEDS: u64 = 1_500;

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
    /// What reads and writes were worth, where one leads.
    pub tally: Tally,
    /// The same where several lead, at times or always, and how many runs those were.
    pub several: Tally,
    /// How many of the runs had several leaders.
    pub runs_of_several: u64,
    /// Runs that broke a promise, by seed.
    pub failures: Vec<Report>,
}

impl Sums {
    fn add(&mut self, report: Report) {
        self.runs += 1;
        self.events += report.events;
        self.writes += report.writes;
        self.coverage.add(&report.coverage);
        if report.leads_several {
            self.runs_of_several += 1;
            self.several.add(&report.tally);
        } else {
            self.tally.add(&report.tally);
        }
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
