//! Many runs, on threads: each world lives and dies on one.

use crate::bug::Bug;
use crate::coverage::Coverage;
use crate::plan::Plan;
use crate::run::{Report, run};
use crate::table::Tally;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;

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

/// Runs seeds on several threads. `progress` hears of each run, and says whether to go on.
pub fn run_seeds(
    seeds: impl Iterator<Item = u64> + Send,
    bug: Option<Bug>,
    threads: usize,
    mut progress: impl FnMut(&Sums) -> bool,
) -> Sums {
    let seeds: Vec<u64> = seeds.collect();
    let (next, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let mut sums = Sums::default();
    std::thread::scope(|scope| {
        let (sender, receiver) = mpsc::channel();
        for _ in 0..threads {
            let (sender, seeds, next, stop) = (sender.clone(), &seeds, &next, &stop);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let Some(seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed) as usize) else { break };
                    if sender.send(run(&Plan::of(*seed), bug, false)).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        for report in receiver {
            sums.add(report);
            if !progress(&sums) {
                stop.store(true, Ordering::Relaxed);
            }
        }
    });
    sums.failures.sort_by_key(|report| report.seed);
    sums
}
