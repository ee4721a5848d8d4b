//! The simulator from the command line; `cargo xtask sim` runs it with the same flags.

mod of_groups;
mod of_local;

use headwater_sim::bug::Bug;
use headwater_sim::group;
use headwater_sim::local;
use headwater_sim::local::suite::OPEN;
use headwater_sim::plan::Plan;
use headwater_sim::report;
use headwater_sim::run::{quiet_panics, run};
use headwater_sim::scenarios::{self, Scenario};
use headwater_sim::shrink::shrink;
use headwater_sim::suite::{FIXED_SEEDS, Sums, run_seeds};
use headwater_sim::table::guarantees;
use std::process::ExitCode;
use std::time::{Duration, Instant};

const HELP: &str = "\
Runs whole clusters from seeds: replicas, a leader, network, disks and clocks, with faults and then without, and checks every
promise. A seed gives the same run each time. Ends with 1 if a promise is broken or a flag is wrong.

Usage: cargo xtask sim [--seeds N] [--from S]      N seeds from S on, 100 from 0 if not said; of what fails, the least of the
                                                   steps that still does, and its timeline
       cargo xtask sim --seed S [--trace]          one seed, a failure likewise; --trace prints the timeline of the whole run
       cargo xtask sim --seed S --save NAME        what fails becomes the scenario crate/sim/scenarios/NAME.txt
       cargo xtask sim --scenario [NAME] [--trace] schedules that once showed a bug in our own code
       cargo xtask sim --bugs                      deliberate bugs, each switched on alone; ends with 1 if one is missed
       cargo xtask sim --seed S --bug NAME         one seed, or with --seeds several, with such a bug
       cargo xtask sim --table FILE [--seeds N]    writes the page of guarantees from what 2,000 seeds, or N, of a
                                                   single node and as many of groups showed
       cargo xtask sim --group ...                 groups instead of a single node: members, a lease store, failover; with
                                                   --seeds, --from, --seed, --trace, --save, --bugs and --bug as above
       cargo xtask sim --local ...                 tabs that share a storage, and peers, with a leader and without; with
                                                   --seeds, --from, --seed, --trace, --bugs and --bug as above

A failing seed becomes a named scenario with --save: the least of its steps are written to a file that every test run reads.
Let the file's first line say in one sentence what was wrong, mend it, and see the scenario pass.
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
    group: bool,
    group_bug: Option<group::bug::Bug>,
    local: bool,
    local_bug: Option<local::bug::Bug>,
    bugs: bool,
    help: bool,
    trace: bool,
    table: Option<String>,
    save: Option<String>,
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
                    (arguments.bug, arguments.group_bug) = (Bug::parse(&name), group::bug::Bug::parse(&name));
                    arguments.local_bug = local::bug::Bug::parse(&name);
                    if !arguments.has_bug() {
                        return Err(format!("{name:?} is no bug"));
                    }
                }
                "--bugs" => arguments.bugs = true,
                "--group" => arguments.group = true,
                "--local" => arguments.local = true,
                "--help" | "-h" => arguments.help = true,
                "--trace" => arguments.trace = true,
                "--save" => {
                    let name = value().ok_or("a name belongs after --save")?;
                    scenarios::check_name(&name)?;
                    arguments.save = Some(name);
                }
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
        self.check()?;
        if self.group {
            return of_groups::run(&self);
        }
        if self.local {
            return of_local::run(&self);
        }
        if let Some(seed) = self.seed {
            return self.one(&Plan::of(seed));
        }
        if let Some(name) = &self.scenario {
            return self.scenarios(name.as_deref());
        }
        if self.bugs {
            return Ok(all_bugs());
        }
        let default = if self.table.is_some() { TABLE_SEEDS } else { 100 };
        let sums = self.many(self.seeds.unwrap_or(default))?;
        // A page that says **always** is not written from runs in which a promise was broken.
        if let Some(file) = self.table.as_ref().filter(|_| sums.failures.is_empty()) {
            let groups = of_groups::sums(&self, self.seeds.unwrap_or(default))?;
            if !groups.failures.is_empty() {
                return Ok(ExitCode::FAILURE);
            }
            let local = of_local::sums(&self, self.seeds.unwrap_or(default))?;
            // What is known to be open, the page says.
            if local.failures.iter().any(|failure| !OPEN.contains(&failure.seed)) {
                return Ok(ExitCode::FAILURE);
            }
            std::fs::write(file, guarantees(&sums, &groups, &local))
                .map_err(|cause| format!("{file} cannot be written: {cause}"))?;
        }
        Ok(if sums.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    // One thing at a time, and nothing that would be passed over.
    fn check(&self) -> Result<(), String> {
        let tasks = [
            ("--seed", self.seed.is_some()),
            ("--seeds", self.seeds.is_some() && self.table.is_none()),
            ("--scenario", self.scenario.is_some()),
            ("--bugs", self.bugs),
            ("--table", self.table.is_some()),
        ];
        let tasks: Vec<&str> = tasks.iter().filter(|(_, is_asked)| *is_asked).map(|(name, _)| *name).collect();
        if let [first, second, ..] = tasks[..] {
            return Err(format!("{first} and {second} do not go together"));
        }
        let task = tasks.first().copied().unwrap_or("--seeds");
        let needs = [
            ("--trace", self.trace, &["--seed", "--scenario"][..]),
            ("--save", self.save.is_some(), &["--seed"]),
            ("--bug", self.has_bug(), &["--seed", "--seeds"]),
            ("--from", self.from > 0, &["--seeds", "--table"]),
        ];
        match needs.iter().find(|(_, is_asked, fitting)| *is_asked && !fitting.contains(&task)) {
            Some((name, _, fitting)) => Err(format!("{name} belongs to {}", fitting.join(" or "))),
            None if self.save.is_some() && self.has_bug() => {
                Err("a scenario shows what our own code did wrong: --save and --bug do not go together".into())
            }
            None if self.group && self.local => Err("--group and --local do not go together".into()),
            None if self.group && self.table.is_some() => Err("--table is not for groups yet".into()),
            None if self.local && (self.table.is_some() || self.scenario.is_some() || self.save.is_some()) => {
                Err("--table, --scenario and --save are not for tabs and peers yet".into())
            }
            None if self.has_bug() && !self.is_bug_of_this_world() => {
                Err("that bug is one of another world: see --bugs, --group --bugs and --local --bugs".into())
            }
            None => Ok(()),
        }
    }

    fn has_bug(&self) -> bool {
        self.bug.is_some() || self.group_bug.is_some() || self.local_bug.is_some()
    }

    fn is_bug_of_this_world(&self) -> bool {
        match (self.group, self.local) {
            (true, _) => self.group_bug.is_some(),
            (_, true) => self.local_bug.is_some(),
            _ => self.bug.is_some(),
        }
    }

    /// The seeds from `--from` on, so many of them.
    fn range(&self, seeds: u64) -> Result<std::ops::Range<u64>, String> {
        if seeds == 0 {
            return Err("--seeds 0 would run nothing".into());
        }
        let end = self.from.checked_add(seeds).ok_or("the last of these seeds would be above the largest number")?;
        Ok(self.from..end)
    }

    fn one(&self, plan: &Plan) -> Result<ExitCode, String> {
        let first = run(plan, self.bug, self.trace);
        print!("{}", first.lines);
        println!("seed {}: {} events, hash {:016x}", first.seed, first.events, first.hash);
        let Some(violation) = first.violation else {
            return match &self.save {
                Some(name) => Err(format!("seed {} breaks no promise, so there is no {name} to save", plan.seed)),
                None => Ok(ExitCode::SUCCESS),
            };
        };
        println!("{}: {}", violation.checker, violation.text);
        if !self.trace || self.save.is_some() {
            let small = shrink(plan, self.bug);
            let (count, all) = (small.steps.len(), plan.steps.len());
            println!("\nthe least that still fails, {count} of {all} steps:\n\n{small}");
            let least = run(&small, self.bug, true);
            print!("{}", least.lines);
            if let (Some(name), Some(violation)) = (&self.save, least.violation) {
                println!("\nsaved as {}", scenarios::save(name, &small, &violation)?);
            }
        }
        Ok(ExitCode::FAILURE)
    }

    fn scenarios(&self, name: Option<&str>) -> Result<ExitCode, String> {
        let all = scenarios::all()?;
        let chosen: Vec<_> = all.iter().filter(|own| name.is_none_or(|name| name == own.name)).collect();
        if chosen.is_empty() {
            return Err(format!("there is no scenario {:?}", name.unwrap_or_default()));
        }
        let mut code = ExitCode::SUCCESS;
        for Scenario { name, sentence, plan } in chosen {
            println!("{name}: {sentence}");
            if self.one(plan)? != ExitCode::SUCCESS {
                code = ExitCode::FAILURE;
            }
        }
        Ok(code)
    }

    fn many(&self, seeds: u64) -> Result<Sums, String> {
        let range = self.range(seeds)?;
        let (start, mut shown) = (Instant::now(), Instant::now());
        let sums = run_seeds(range, self.bug, threads(), |sums| {
            if shown.elapsed() > Duration::from_secs(2) {
                shown = Instant::now();
                let rate = sums.events as f64 / start.elapsed().as_secs_f64();
                eprintln!("{} of {seeds} seeds, {rate:.0} events/s, {} failures", sums.runs, sums.failures.len());
            }
        });
        print!("{}", report::coverage(&sums));
        for failure in sums.failures.iter().take(5) {
            println!();
            self.one(&Plan::of(failure.seed))?;
        }
        let seconds = start.elapsed().as_secs_f64();
        println!("figures: {}, events per second {:.0}", report::line(&sums), sums.events as f64 / seconds);
        Ok(sums)
    }
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn all_bugs() -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for bug in Bug::ALL {
        match report::hunt(*bug) {
            Some(caught) => println!("{:28} caught by {} in seed {}", bug.as_str(), caught.checker, caught.seed),
            None => {
                println!("{:28} MISSED in {} seeds", bug.as_str(), FIXED_SEEDS);
                code = ExitCode::FAILURE;
            }
        }
    }
    code
}
