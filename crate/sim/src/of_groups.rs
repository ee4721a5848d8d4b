//! The simulator's command line for groups: the same flags, another world.

use crate::{Arguments, threads};
use headwater_sim::group::bug::Bug;
use headwater_sim::group::plan::Plan;
use headwater_sim::group::report;
use headwater_sim::group::run::{run as run_plan, shrink};
use headwater_sim::group::suite::{FIXED_SEEDS, Sums, run_seeds};
use headwater_sim::scenarios::{self, Scenario};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Runs what the flags ask for.
pub fn run(asked: &Arguments) -> Result<ExitCode, String> {
    if let Some(seed) = asked.seed {
        return one(asked, &Plan::of(seed));
    }
    if let Some(name) = &asked.scenario {
        return scenarios(asked, name.as_deref());
    }
    if asked.bugs {
        return Ok(all_bugs());
    }
    many(asked)
}

fn one(asked: &Arguments, plan: &Plan) -> Result<ExitCode, String> {
    let first = run_plan(plan, asked.group_bug, asked.trace);
    print!("{}", first.lines);
    println!("seed {}: {} events, hash {:016x}", first.seed, first.events, first.hash);
    let Some(violation) = first.violation else {
        return match &asked.save {
            Some(name) => Err(format!("seed {} breaks no promise, so there is no {name} to save", plan.seed)),
            None => Ok(ExitCode::SUCCESS),
        };
    };
    println!("{}: {}", violation.checker, violation.text);
    if !asked.trace || asked.save.is_some() {
        let small = shrink(plan, asked.group_bug);
        println!("\nthe least that still fails, {} of {} steps:\n\n{small}", small.steps.len(), plan.steps.len());
        let least = run_plan(&small, asked.group_bug, true);
        print!("{}", least.lines);
        if let (Some(name), Some(violation)) = (&asked.save, least.violation) {
            println!("\nsaved as {}", scenarios::save_of_group(name, &small, &violation)?);
        }
    }
    Ok(ExitCode::FAILURE)
}

fn scenarios(asked: &Arguments, name: Option<&str>) -> Result<ExitCode, String> {
    let all = scenarios::of_groups()?;
    let mut code = ExitCode::SUCCESS;
    for Scenario { name: own, sentence, plan } in all.iter().filter(|one| name.is_none_or(|name| name == one.name)) {
        println!("{own}: {sentence}");
        if one(asked, plan)? != ExitCode::SUCCESS {
            code = ExitCode::FAILURE;
        }
    }
    Ok(code)
}

fn many(asked: &Arguments) -> Result<ExitCode, String> {
    let sums = sums(asked, asked.seeds.unwrap_or(100))?;
    Ok(if sums.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs so many seeds, and tells what came of them.
pub fn sums(asked: &Arguments, seeds: u64) -> Result<Sums, String> {
    let range = asked.range(seeds)?;
    let (start, mut shown) = (Instant::now(), Instant::now());
    let sums = run_seeds(range, asked.group_bug, threads(), |sums| {
        if shown.elapsed() > Duration::from_secs(2) {
            shown = Instant::now();
            eprintln!("{} of {seeds} seeds of groups, {} failures", sums.runs, sums.failures.len());
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
