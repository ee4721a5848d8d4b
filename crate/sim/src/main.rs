//! The simulator from the command line; `cargo xtask sim` runs it.

use headwater_sim::plan::Plan;
use headwater_sim::run::{quiet_panics, run};
use headwater_sim::shrink::shrink;
use headwater_sim::suite::run_seeds;
use std::process::ExitCode;
use std::time::Instant;

const HELP: &str = "\
Runs whole clusters from seeds: replicas, a leader, network, disks and clocks, with faults and then without, and checks every
promise. A seed gives the same run each time.

Usage: cargo xtask sim [--seeds N]             seeds 0 to N - 1, 100 if not said; ends with 1 if a promise is broken
       cargo xtask sim --seed S [--trace]      one seed; --trace prints its timeline
       cargo xtask sim --seed S --shrink       the least of its steps that still break the promise
";
const THREADS: usize = 2;

enum Asked {
    Help,
    Seeds(u64),
    Seed { seed: u64, trace: bool, shrink: bool },
}

fn main() -> ExitCode {
    quiet_panics();
    match parse(std::env::args().skip(1)) {
        Ok(Asked::Help) => {
            print!("{HELP}");
            ExitCode::SUCCESS
        }
        Ok(Asked::Seeds(seeds)) => many(seeds),
        Ok(Asked::Seed { seed, trace, shrink }) => one(seed, trace, shrink),
        Err(message) => {
            eprintln!("error: {message}; see `cargo xtask sim --help`");
            ExitCode::FAILURE
        }
    }
}

fn parse(mut args: impl Iterator<Item = String>) -> Result<Asked, String> {
    let (mut seeds, mut seed, mut trace, mut shrink) = (None, None, false, false);
    while let Some(arg) = args.next() {
        let mut number = || -> Result<Option<u64>, String> {
            let value = args.next().ok_or_else(|| format!("{arg} takes a number"))?;
            value.parse().map(Some).map_err(|_| format!("{arg} takes a number, not {value:?}"))
        };
        match arg.as_str() {
            "--help" | "-h" => return Ok(Asked::Help),
            "--seeds" => seeds = number()?,
            "--seed" => seed = number()?,
            "--trace" => trace = true,
            "--shrink" => shrink = true,
            _ => return Err(format!("{arg:?} is no option")),
        }
    }
    match (seed, seeds) {
        (Some(_), Some(_)) => Err("--seed and --seeds do not go together".to_owned()),
        (Some(seed), None) => Ok(Asked::Seed { seed, trace, shrink }),
        (None, _) if trace || shrink => Err("--trace and --shrink go with --seed".to_owned()),
        (None, seeds) => Ok(Asked::Seeds(seeds.unwrap_or(100))),
    }
}

fn one(seed: u64, trace: bool, shrinks: bool) -> ExitCode {
    let mut plan = Plan::of(seed);
    if shrinks {
        plan = shrink(&plan, None);
        println!("{plan}");
    }
    let report = run(&plan, None, trace || shrinks);
    print!("{}", report.lines);
    println!("seed {seed}: {} events, trace hash {:016x}", report.events, report.hash);
    match report.violation {
        None => ExitCode::SUCCESS,
        Some(violation) => {
            println!("broken: {} at {} ms: {}", violation.checker, violation.at, violation.text);
            ExitCode::FAILURE
        }
    }
}

fn many(seeds: u64) -> ExitCode {
    let begin = Instant::now();
    let mut told = 0;
    let sums = run_seeds(0..seeds, None, THREADS, |sums| {
        if sums.runs * 10 / seeds.max(1) > told {
            told = sums.runs * 10 / seeds.max(1);
            eprintln!("{} of {seeds} seeds, {} events, {} broken", sums.runs, sums.events, sums.failures.len());
        }
        true
    });
    for report in &sums.failures {
        let violation = report.violation.as_ref().expect("a failure is a violation");
        println!("seed {}: {} at {} ms: {:.300}", report.seed, violation.checker, violation.at, violation.text);
    }
    println!("what happened, and how often:");
    for (name, count) in sums.coverage.rows() {
        println!("{count:>9}  {name}");
    }
    let seconds = begin.elapsed().as_secs_f64();
    println!(
        "figures: sim: seeds {}, writes {}, events {}, events per second {:.0}, violations {}",
        sums.runs,
        sums.writes,
        sums.events,
        sums.events as f64 / seconds,
        sums.failures.len()
    );
    if sums.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
