//! The suite of tabs and peers: seeds and deliberate bugs. Seeds of faults that are not mended yet are listed, and no others
//! may fail.

use headwater_sim::local::bug::Bug;
use headwater_sim::local::plan::Plan;
use headwater_sim::local::report;
use headwater_sim::local::run::{Report, run};
use headwater_sim::local::suite::{FIXED_SEEDS, OPEN, run_seeds};
use headwater_sim::report::Caught;
use headwater_sim::run::quiet_panics;
use std::time::{SystemTime, UNIX_EPOCH};

const FRESH_SEEDS: u64 = 20;

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

#[test]
fn every_promise_of_tabs_and_peers_is_kept_under_every_fault() {
    quiet_panics();
    let fresh = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970").as_nanos() as u64 >> 8;
    println!("fresh seeds from {fresh}: cargo xtask sim --local --seed {fresh} --trace replays the first");
    let sums = run_seeds((0..FIXED_SEEDS).chain(fresh..fresh + FRESH_SEEDS), None, threads(), |_| ());
    print!("{}", report::coverage(&sums));
    println!("figures: {}", report::line(&sums));
    let tell = |report: &Report| {
        let violation = report.violation.as_ref().expect("only failures are listed");
        let seed = report.seed;
        format!("seed {seed}: {}: {}\n  cargo xtask sim --local --seed {seed}", violation.checker, violation.text)
    };
    let (fixed, new): (Vec<_>, Vec<_>) = sums.failures.iter().partition(|report| report.seed < FIXED_SEEDS);
    let failing: Vec<u64> = fixed.iter().map(|report| report.seed).collect();
    let told: Vec<String> = fixed.iter().chain(&new).map(|report| tell(report)).collect();
    assert_eq!(failing, OPEN, "other seeds fail than are known to:\n{}", told.join("\n"));
    // While faults are open, fresh seeds find them too.
    println!("fresh seeds that fail: {}\n{}", new.len(), new.iter().map(|report| tell(report)).collect::<String>());
    assert!(!OPEN.is_empty() || new.is_empty(), "{}", told.join("\n"));
    let rows = sums.coverage.rows();
    let idle: Vec<&str> = rows.iter().filter(|(_, count)| *count == 0).map(|(name, _)| *name).collect();
    assert!(idle.is_empty(), "never happened, so nothing was shown of it: {idle:?}");
}

#[test]
fn every_deliberate_bug_of_tabs_and_peers_is_caught() {
    quiet_panics();
    let mut missed = Vec::new();
    for bug in Bug::ALL {
        match report::hunt(*bug) {
            Some(Caught { seed, checker }) => println!("{}: caught by {checker} in seed {seed}", bug.as_str()),
            None => missed.push(bug.as_str()),
        }
    }
    println!(
        "figures: sim of tabs and peers: deliberate bugs {}, seeds at most {FIXED_SEEDS}, missed {}",
        Bug::ALL.len(),
        missed.len()
    );
    assert!(missed.is_empty(), "the checkers miss {missed:?}");
}

#[test]
fn a_seed_of_tabs_and_peers_has_one_trace() {
    for seed in 0..20 {
        let (first, second) = (run(&Plan::of(seed), None, false), run(&Plan::of(seed), None, true));
        assert_eq!(first.hash, second.hash, "seed {seed}");
        assert_ne!(first.hash, run(&Plan::of(seed + 1), None, false).hash);
    }
}
