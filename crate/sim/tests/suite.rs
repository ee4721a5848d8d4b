//! The simulator's own suite: seeds, scenarios, deliberate bugs, and the same trace everywhere.
//!
//! With `HEADWATER_FULL=1`, as `--full` sets it, the round counts are those of the issue; without it fewer.

use headwater_sim::bug::Bug;
use headwater_sim::plan::Plan;
use headwater_sim::report;
use headwater_sim::run::{Report, quiet_panics, run};
use headwater_sim::scenarios::{self, Scenario};
use headwater_sim::suite::{FIXED_SEEDS, Sums, run_seeds};
use headwater_sim::table::guarantees;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

const FIXED_SEEDS_FULL: u64 = 2_000;
const FRESH_SEEDS: u64 = 20;

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn tell(failures: &[Report]) -> String {
    let line = |report: &Report| {
        let violation = report.violation.as_ref().expect("only failures are listed");
        format!(
            "seed {}: {}: {}\n  cargo xtask sim --seed {}",
            report.seed, violation.checker, violation.text, report.seed
        )
    };
    failures.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn every_promise_is_kept_under_every_fault() {
    quiet_panics();
    let is_full = std::env::var("HEADWATER_FULL").is_ok_and(|value| value == "1");
    let seeds = if is_full { FIXED_SEEDS_FULL } else { FIXED_SEEDS };
    let fresh = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970").as_nanos() as u64 >> 8;
    println!("fresh seeds from {fresh}: cargo xtask sim --seed {fresh} --trace replays the first");
    let sums: Sums = run_seeds((0..seeds).chain(fresh..fresh + FRESH_SEEDS), None, threads(), |_| ());
    if !sums.failures.is_empty() {
        println!("figures: {}", report::line(&sums));
        panic!("{}", tell(&sums.failures));
    }
    let idle: Vec<&str> =
        sums.coverage.rows().into_iter().filter(|(_, count)| *count == 0).map(|(name, _)| name).collect();
    assert!(idle.is_empty(), "never happened, so nothing was shown of it: {idle:?}");
    // A check that nothing can fail proves nothing: where nothing is promised, something is missed.
    for missable in 0..3 {
        let missed: u64 = [false, true].iter().map(|fault| sums.tally.reads[&(0, *fault)].missed[missable]).sum();
        assert!(missed > 0, "no eventual read missed {}", headwater_sim::table::MISSABLE[missable]);
    }
    print!("{}", report::coverage(&sums));
    println!("figures: {}", report::line(&sums));
}

/// Each must be the one to catch some deliberate bug. Only `blocked` is not among them: it forbids what no bug here does.
const CHECKERS: [&str; 10] = [
    "convergence",
    "durability",
    "effects",
    "leaders",
    "pending",
    "receipts",
    "sessions",
    "staleness",
    "strong",
    "waits",
];

#[test]
fn every_deliberate_bug_is_caught() {
    quiet_panics();
    let next = std::sync::Mutex::new(Bug::ALL.iter());
    let hunt = || -> Vec<(&Bug, Option<report::Caught>)> {
        // The lock is given back before the hunt begins.
        let draw = || next.lock().expect("nobody panics while holding it").next();
        std::iter::from_fn(|| draw().map(|bug| (bug, report::hunt(*bug)))).collect()
    };
    let hunts: Vec<_> = std::thread::scope(|scope| {
        let hunters: Vec<_> = (0..threads()).map(|_| scope.spawn(hunt)).collect();
        hunters.into_iter().flat_map(|hunter| hunter.join().expect("a hunt does not panic")).collect()
    });
    let mut missed = Vec::new();
    let mut idle = CHECKERS.to_vec();
    for (bug, caught) in hunts {
        let Some(caught) = caught else {
            missed.push(bug.as_str());
            continue;
        };
        println!("{}: caught by {} in seed {}", bug.as_str(), caught.checker, caught.seed);
        idle.retain(|checker| *checker != caught.checker);
    }
    println!("figures: sim: deliberate bugs {}, seeds at most {FIXED_SEEDS}, missed {}", Bug::ALL.len(), missed.len());
    assert!(missed.is_empty(), "the checkers miss {missed:?}");
    assert!(idle.is_empty(), "no deliberate bug is caught by {idle:?}");
}

#[test]
fn what_once_failed_does_not_fail_again() {
    quiet_panics();
    let scenarios = scenarios::all().unwrap_or_else(|error| panic!("{error}"));
    for Scenario { name, sentence, plan } in &scenarios {
        assert_eq!(run(plan, None, false).violation, None, "{name}: {sentence}");
    }
    println!("figures: sim: scenarios {}, failed 0", scenarios.len());
}

#[test]
fn a_plan_reads_back_from_its_text() {
    let plan = Plan::of(7);
    assert_eq!(Plan::parse(&plan.to_string()), Ok(plan));
    let malformed = [
        "",
        "world 1 2 3",
        "world 1 0 1 1 2 1 0 0 9000",
        "world 1 1 1 99999 2 1 0 0 9000",
        "world 1 1 1 1 2 1 2 0 9000",
        "world 1 1 1 1 2 1 0 0 9000\n9000 write 1 1 1 1",
        "world 1 1 1 1 2 1 0 0 9000\n1 write 1 1 1 4294967296",
        "world 1 1 1 1 2 1 0 0 9000\n1 sing 1 1 1 1",
    ];
    malformed.iter().for_each(|text| assert!(Plan::parse(text).is_err(), "{text}"));
}

#[test]
fn a_seed_has_one_trace() {
    for seed in 0..10 {
        let (first, second) = (run(&Plan::of(seed), None, false), run(&Plan::of(seed), None, true));
        assert_eq!(first.hash, second.hash, "seed {seed}");
        assert_ne!(first.hash, run(&Plan::of(seed + 1), None, false).hash);
    }
}

/// The page in `docs` is this program's, figures aside.
#[test]
fn the_page_of_guarantees_is_up_to_date() {
    let file = workspace().join("docs/guarantees.md");
    let kept = std::fs::read_to_string(&file).expect("docs/guarantees.md is in the repository");
    let groups = headwater_sim::group::suite::run_seeds(0..3, None, threads(), |_| ());
    let local = headwater_sim::local::suite::run_seeds(0..3, None, threads(), |_| ());
    let made = guarantees(&run_seeds(0..3, None, threads(), |_| ()), &groups, &local);
    let without_figures = |text: &str| -> String { text.chars().filter(|c| !c.is_ascii_digit()).collect() };
    // A cell without a single write has no figures either.
    let words = |text: &str| without_figures(text).replace(" (lost  of )", "");
    assert_eq!(words(&kept), words(&made), "write it anew: cargo xtask sim --table docs/guarantees.md");
}

/// The machines, yrs and the simulator do the same in a browser's engine as natively.
#[test]
fn a_seed_has_the_same_trace_in_wasm() {
    const SEEDS: u64 = 25;
    let target = workspace().join("target/sim-wasm");
    let built = Command::new(env!("CARGO"))
        .args(["build", "--release", "--package", "headwater-sim", "--example", "trace_hash"])
        .args(["--target", "wasm32-unknown-unknown", "--target-dir"])
        .arg(&target)
        .current_dir(workspace())
        .status();
    assert!(built.is_ok_and(|status| status.success()), "the wasm target is missing; cargo xtask setup adds it");
    let output = Command::new("node")
        .arg(workspace().join("crate/sim/tests/trace_hash.mjs"))
        .arg(target.join("wasm32-unknown-unknown/release/examples/trace_hash.wasm"))
        .arg(SEEDS.to_string())
        .output()
        .expect("Node.js runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let native: String = (0..SEEDS).map(|seed| format!("{:016x}\n", run(&Plan::of(seed), None, false).hash)).collect();
    assert_eq!(String::from_utf8_lossy(&output.stdout), native);
    println!("figures: sim: traces in wasm {SEEDS}, different 0");
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the crate is two levels down").to_path_buf()
}
