//! The simulator's command line for tabs and peers: the same flags, the third world.

use crate::{Arguments, threads};
use headwater_sim::local::bug::Bug;
use headwater_sim::local::plan::Plan;
use headwater_sim::local::report;
use headwater_sim::local::run::{run as run_plan, shrink};
use headwater_sim::local::suite::{FIXED_SEEDS, Sums, run_seeds};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Runs what the flags ask for.
pub fn run(asked: &Arguments) -> Result<ExitCode, String> {
    if let Some(seed) = asked.seed {
        return one(asked, &Plan::of(seed));
    }
    if asked.bugs {
        return Ok(all_bugs());
    }
    many(asked)
}

fn one(asked: &Arguments, plan: &Plan) -> Result<ExitCode, String> {
    let first = run_plan(plan, asked.local_bug, asked.trace);
    print!("{}", first.lines);
    println!("seed {}: {} events, hash {:016x}", first.seed, first.events, first.hash);
    let Some(violation) = first.violation else { return Ok(ExitCode::SUCCESS) };
    println!("{}: {}", violation.checker, violation.text);
    if !asked.trace {
        let small = shrink(plan, asked.local_bug);
        println!("\nthe least that still fails, {} of {} steps:\n\n{small}", small.steps.len(), plan.steps.len());
        let least = run_plan(&small, asked.local_bug, true);
        print!("{}", least.lines);
    }
    Ok(ExitCode::FAILURE)
}

fn many(asked: &Arguments) -> Result<ExitCode, String> {
    let sums = sums(asked, asked.seeds.unwrap_or(100))?;
    Ok(if sums.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs so many seeds, and tells what came of them.
pub fn sums(asked: &Arguments, seeds: u64) -> Result<Sums, String> {
    let range = asked.range(seeds)?;
    let (start, mut shown) = (Instant::now(), Instant::now());
    let sums = run_seeds(range, asked.local_bug, threads(), |sums| {
        if shown.elapsed() > Duration::from_secs(2) {
            shown = Instant::now();
            eprintln!("{} of {seeds} seeds of tabs and peers, {} failures", sums.runs, sums.failures.len());
        }
    });
    print!("{}", report::coverage(&sums));
    for failure in sums.failures.iter().take(5) {
        println!();
        one(asked, &Plan::of(failure.seed))?;
    }
    let seconds = start.elapsed().as_secs_f64();
    println!("figures: {}, events per second {:.0}", report::line(&sums), sums.events as f64 / seconds);
    Ok(sums)
}

fn all_bugs() -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for bug in Bug::ALL {
        match report::hunt(*bug) {
            Some(caught) => println!("{:28} caught by {} in seed {}", bug.as_str(), caught.checker, caught.seed),
            None => {
                println!("{:28} MISSED in {FIXED_SEEDS} seeds", bug.as_str());
                code = ExitCode::FAILURE;
            }
        }
    }
    code
}
