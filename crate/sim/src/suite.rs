//! Many runs, on threads: each world lives and dies on one.

use crate::bug::Bug;
use crate::coverage::Coverage;
use crate::plan::Plan;
use crate::run::{Report, run};
use crate::table::Tally;
use std::sync::{Mutex, mpsc};

/// The seeds that the tests run each time, from 0 on. A deliberate bug must be caught within them.
pub const FIXED_SEEDS: u64 = 400;

/// The sums of many runs.
#[derive(Debug, Default)]
pub struct Sums {
    /// How many runs.
    pub runs: u64,
    /// How many events.
    pub events: u64,
    /// How many writes.
    pub writes: u64,
    /// Which faults fired.
    pub coverage: Coverage,
    /// What reads and writes were worth.
    pub tally: Tally,
    /// Runs that broke a promise, by seed.
    pub failures: Vec<Report>,
}

impl Sums {
    fn add(&mut self, report: Report) {
        self.runs += 1;
        self.events += report.events;
        self.writes += report.writes;
        self.coverage.add(&report.coverage);
        self.tally.add(&report.tally);
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

/// Runs each seed on one of several threads, and takes in what comes of it, in whatever order.
pub fn on_threads<R: Send>(
    seeds: impl Iterator<Item = u64> + Send,
    threads: usize,
    run: impl Fn(u64) -> R + Sync,
    mut take: impl FnMut(R),
) {
    let seeds = Mutex::new(seeds);
    let draw = || seeds.lock().expect("nobody panics while holding it").next();
    std::thread::scope(|scope| {
        let (sender, receiver) = mpsc::channel();
        for _ in 0..threads {
            let (sender, draw, run) = (sender.clone(), &draw, &run);
            scope.spawn(move || {
                while let Some(seed) = draw() {
                    sender.send(run(seed)).expect("results are taken in until all have run");
                }
            });
        }
        drop(sender);
        receiver.into_iter().for_each(&mut take);
    });
}
