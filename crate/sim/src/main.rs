//! The simulator from the command line; `cargo xtask sim` runs it with the same flags.

use headwater_sim::bug::Bug;
use headwater_sim::plan::Plan;
use headwater_sim::report;
use headwater_sim::run::{quiet_panics, run};
use headwater_sim::scenarios;
use headwater_sim::shrink::shrink;
use headwater_sim::suite::{Sums, run_seeds};
use headwater_sim::table::guarantees;
use std::process::ExitCode;
use std::time::{Duration, Instant};

const HELP: &str = "\
Runs whole clusters from seeds: replicas, a leader, network, disks and clocks, with faults and then without, and checks every
promise. A seed gives the same run each time.

Usage: cargo xtask sim [--seeds N] [--from S]      N seeds from S on, 100 from 0 if not said; ends with 1 if a promise is
                                                   broken, and shows the least of the steps that still break it
       cargo xtask sim --seed S [--trace]          one seed; --trace prints its timeline
       cargo xtask sim --scenario [NAME] [--trace] schedules that once showed a bug in our own code
       cargo xtask sim --bugs                      deliberate bugs, each switched on alone; ends with 1 if one is missed
       cargo xtask sim --seed S --bug NAME         one seed with such a bug
       cargo xtask sim --table FILE [--seeds N]    writes the page of guarantees from what 2,000 seeds, or N, showed
";

/// Runs that `--table` takes its figures from unless told otherwise.
const TABLE_SEEDS: u64 = 2000;

fn main() -> ExitCode {
    quiet_panics();
    match Arguments::read().and_then(Arguments::run) {
        Ok(code) => code,
        Err(text) => {
            eprintln!("error: {text}; see `cargo xtask sim --help`");
            ExitCode::FAILURE
        }
    }
}

#[derive(Default)]
struct Arguments {
    seeds: Option<u64>,
    from: u64,
    seed: Option<u64>,
    scenario: Option<Option<String>>,
    bug: Option<Bug>,
    bugs: bool,
    help: bool,
    trace: bool,
    table: Option<String>,
}

impl Arguments {
    fn read() -> Result<Self, String> {
        let mut arguments = Self::default();
        let mut words = std::env::args().skip(1).peekable();
        while let Some(word) = words.next() {
            let mut value = || words.next_if(|next| !next.starts_with("--"));
            let mut number = || -> Result<u64, String> {
                let text = value().ok_or_else(|| format!("a number belongs after {word}"))?;
                text.parse().map_err(|_| format!("{text:?} is no number"))
            };
            match word.as_str() {
                "--seeds" => arguments.seeds = Some(number()?),
                "--from" => arguments.from = number()?,
                "--seed" => arguments.seed = Some(number()?),
                "--scenario" => arguments.scenario = Some(value()),
                "--bug" => {
                    let name = value().unwrap_or_default();
                    arguments.bug = Some(Bug::parse(&name).ok_or_else(|| format!("{name:?} is no bug"))?);
                }
                "--bugs" => arguments.bugs = true,
                "--help" | "-h" => arguments.help = true,
                "--trace" => arguments.trace = true,
                "--table" => arguments.table = Some(value().ok_or("a file belongs after --table")?),
                _ => return Err(format!("{word:?} is no flag")),
            }
        }
        Ok(arguments)
    }

    fn run(self) -> Result<ExitCode, String> {
        if self.help {
            print!("{HELP}");
            return Ok(ExitCode::SUCCESS);
        }
        if self.seed.is_some() && self.seeds.is_some() {
            return Err("--seed and --seeds do not go together".into());
        }
        if let Some(seed) = self.seed {
            return Ok(self.one(&Plan::of(seed)));
        }
        if let Some(name) = &self.scenario {
            return self.scenarios(name.as_deref());
        }
        if self.bugs {
            return Ok(all_bugs());
        }
        let default = if self.table.is_some() { TABLE_SEEDS } else { 100 };
        let sums = self.many(self.seeds.unwrap_or(default));
        if let Some(file) = &self.table {
            std::fs::write(file, guarantees(&sums)).map_err(|cause| format!("{file} cannot be written: {cause}"))?;
        }
        Ok(if sums.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn one(&self, plan: &Plan) -> ExitCode {
        let first = run(plan, self.bug, self.trace);
        print!("{}", first.lines);
        println!("seed {}: {} events, hash {:016x}", first.seed, first.events, first.hash);
        let Some(violation) = first.violation else { return ExitCode::SUCCESS };
        println!("{}: {}", violation.checker, violation.text);
        if !self.trace {
            let small = shrink(plan, self.bug);
            println!("\nthe smallest schedule that still fails, of {} steps:\n\n{small}", plan.steps.len());
            print!("{}", run(&small, self.bug, true).lines);
        }
        ExitCode::FAILURE
    }

    fn scenarios(&self, name: Option<&str>) -> Result<ExitCode, String> {
        let chosen: Vec<_> = scenarios::ALL.iter().filter(|(own, _)| name.is_none_or(|name| name == *own)).collect();
        if chosen.is_empty() {
            return Err(format!("there is no scenario {:?}", name.unwrap_or_default()));
        }
        let mut code = ExitCode::SUCCESS;
        for (name, text) in chosen {
            println!("{name}: {}", scenarios::sentence(text));
            if self.one(&Plan::parse(text)?) != ExitCode::SUCCESS {
                code = ExitCode::FAILURE;
            }
        }
        Ok(code)
    }

    fn many(&self, seeds: u64) -> Sums {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let (start, mut shown) = (Instant::now(), Instant::now());
        let sums = run_seeds(self.from..self.from + seeds, self.bug, threads, |sums| {
            if shown.elapsed() > Duration::from_secs(2) {
                shown = Instant::now();
                let rate = sums.events as f64 / start.elapsed().as_secs_f64();
                eprintln!("{} of {seeds} seeds, {rate:.0} events/s, {} failures", sums.runs, sums.failures.len());
            }
            true
        });
        print!("{}", report::coverage(&sums));
        for failure in sums.failures.iter().take(5) {
            println!();
            self.one(&Plan::of(failure.seed));
        }
        let seconds = start.elapsed().as_secs_f64();
        println!("figures: {}, events per second {:.0}", report::line(&sums), sums.events as f64 / seconds);
        sums
    }
}

fn all_bugs() -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for bug in Bug::ALL {
        match report::hunt(*bug) {
            Some(caught) => println!("{:28} caught by {} in seed {}", bug.as_str(), caught.checker, caught.seed),
            None => {
                println!("{:28} MISSED in {} seeds", bug.as_str(), report::HUNT_SEEDS);
                code = ExitCode::FAILURE;
            }
        }
    }
    code
}
