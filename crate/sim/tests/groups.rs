//! The suite of groups: seeds, scenarios, deliberate bugs. With `HEADWATER_FULL=1`, as `--full` sets it, more seeds.

use headwater_sim::group::bug::Bug;
use headwater_sim::group::plan::Plan;
use headwater_sim::group::report;
use headwater_sim::group::run::run;
use headwater_sim::group::suite::{FIXED_SEEDS, run_seeds};
use headwater_sim::report::Caught;
use headwater_sim::run::quiet_panics;
use headwater_sim::scenarios::{self, Scenario};
use std::time::{SystemTime, UNIX_EPOCH};

const FIXED_SEEDS_FULL: u64 = 8_000;
const FRESH_SEEDS: u64 = 20;

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

#[test]
fn every_promise_of_a_group_is_kept_under_every_fault() {
    quiet_panics();
    let is_full = std::env::var("HEADWATER_FULL").is_ok_and(|value| value == "1");
    let seeds = if is_full { FIXED_SEEDS_FULL } else { FIXED_SEEDS };
    let fresh = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970").as_nanos() as u64 >> 8;
    println!("fresh seeds from {fresh}: cargo xtask sim --group --seed {fresh} --trace replays the first");
    let sums = run_seeds((0..seeds).chain(fresh..fresh + FRESH_SEEDS), None, threads(), |_| ());
    print!("{}", report::coverage(&sums));
    println!("figures: {}", report::line(&sums));
    let tell = |report: &headwater_sim::group::run::Report| {
        let violation = report.violation.as_ref().expect("only failures are listed");
        let seed = report.seed;
        format!("seed {seed}: {}: {}\n  cargo xtask sim --group --seed {seed}", violation.checker, violation.text)
    };
    let failures: Vec<String> = sums.failures.iter().map(tell).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    let rows = sums.coverage.rows();
    let idle: Vec<&str> = rows.iter().filter(|(_, count)| *count == 0).map(|(name, _)| *name).collect();
    assert!(idle.is_empty(), "never happened, so nothing was shown of it: {idle:?}");
}

/// Each must be the one to catch some deliberate bug.
const CHECKERS: [&str; 7] = ["acks", "durability", "epochs", "liveness", "promises", "sessions", "strong"];

#[test]
fn every_deliberate_bug_of_a_group_is_caught() {
    quiet_panics();
    let mut missed = Vec::new();
    let mut idle = CHECKERS.to_vec();
    for bug in Bug::ALL {
        let Some(Caught { seed, checker }) = report::hunt(*bug) else {
            missed.push(bug.as_str());
            continue;
        };
        println!("{}: caught by {checker} in seed {seed}", bug.as_str());
        idle.retain(|other| *other != checker);
    }
    println!(
        "figures: sim of groups: deliberate bugs {}, seeds at most {FIXED_SEEDS}, missed {}",
        Bug::ALL.len(),
        missed.len()
    );
    assert!(missed.is_empty(), "the checkers miss {missed:?}");
    assert!(idle.is_empty(), "no deliberate bug is caught by {idle:?}");
}

#[test]
fn what_once_failed_in_a_group_does_not_fail_again() {
    quiet_panics();
    let scenarios = scenarios::of_groups().unwrap_or_else(|error| panic!("{error}"));
    for Scenario { name, sentence, plan } in &scenarios {
        assert_eq!(run(plan, None, false).violation, None, "{name}: {sentence}");
    }
    println!("figures: sim of groups: scenarios {}, failed 0", scenarios.len());
}

#[test]
fn a_groups_plan_reads_back_from_its_text() {
    let plan = Plan::of(7);
    let text = plan.to_string();
    assert_eq!(Plan::parse(&text), Ok(plan));
    let malformed = [
        "",
        "group 1 9000",
        &text.replace("voters=", "voters=x"),
        &text.replace("quorum=", "quorum=9"),
        &text.replace("clients=", "klients="),
        &format!("{text}1 sing 1 1 1 1\n"),
        &format!("{text}1 write 1 1 1 4294967296\n"),
        &format!("{text}99999999 write 1 1 1 1\n"),
    ];
    malformed.iter().for_each(|text| assert!(Plan::parse(text).is_err(), "{text}"));
}

#[test]
fn a_seed_of_a_group_has_one_trace() {
    for seed in 0..20 {
        let (first, second) = (run(&Plan::of(seed), None, false), run(&Plan::of(seed), None, true));
        assert_eq!(first.hash, second.hash, "seed {seed}");
        assert_ne!(first.hash, run(&Plan::of(seed + 1), None, false).hash);
    }
}
