//! The tests: which checks make up a suite, run one after another, with a summary at the end. What each check does is
//! in `checks`.

mod checks;
mod javascript;

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use lexopt::Arg::{Long, Short, Value};
use lexopt::ValueExt;

use checks::Check;

const HELP: &str = "\
Sets up, builds and runs the tests. Output comes as it is made; a summary with each check's figures and its time
in seconds comes last. Ends with 1 if anything failed; the rest is run all the same.

Usage: cargo xtask test [SUITE] [OPTIONS]

Suites, all of them if none is named:
  native      the core's purity, and the tests of every crate but the simulator
  sim         simulated clusters under faults: seeds, scenarios, deliberate bugs, the same traces in wasm
  slice       the whole path: native, the built package in Chromium, Node.js and workerd, the demo, the sizes
  group       replication groups on workerd and etcd: leaders that are killed, frozen and cut off under load
  topologies  tabs that share a replica, peers without a leader, groups with several leaders
  storage     compaction, big data, and everything that IndexedDB does to people
  tidy        formatting, clippy on both targets, types

Options:
  --full         the round counts that the project promises, instead of fewer; takes much longer
  --only PART    of the JavaScript tests of the suite slice, or of group, topologies or storage if one is named, those
                 whose file name contains PART, and nothing else

Environment:
  HEADWATER_CHROMIUM  path of the Chromium or Chrome to use
  HEADWATER_ETCD      path of the etcd to use
";

/// What a line of figures has in it, whichever test states it.
const FIGURES: &str = "figures: ";

struct Suite {
    name: &'static str,
    checks: &'static [Check],
}

const SUITES: [Suite; 7] = [
    Suite { name: "native", checks: &[Check::Purity, Check::Crates] },
    Suite { name: "sim", checks: &[Check::Sim] },
    Suite { name: "slice", checks: &[Check::Purity, Check::Crates, Check::Sizes, Check::Demo, Check::Slice] },
    Suite { name: "group", checks: &[Check::Group] },
    Suite { name: "topologies", checks: &[Check::Topologies] },
    Suite { name: "storage", checks: &[Check::Storage] },
    Suite { name: "tidy", checks: &[Check::Format, Check::Clippy, Check::ClippyWasm, Check::Types] },
];

/// What the checks may ask for.
pub struct Options {
    pub full: bool,
    pub only: Option<String>,
}

impl Options {
    /// Tests of either language find the round counts that were asked for in their environment.
    fn pass_on(&self, tests: &mut Command) {
        if self.full {
            tests.env("HEADWATER_FULL", "1");
        }
    }
}

pub fn main(args: lexopt::Parser) -> Result<()> {
    let Some((suites, options)) = parse(args)? else {
        print!("{HELP}");
        return Ok(());
    };
    let mut outcomes = BTreeMap::new();
    let begin = Instant::now();
    for suite in &suites {
        run_suite(suite, &options, &mut outcomes);
    }
    summarise(&suites, &outcomes, begin.elapsed())
}

fn parse(mut args: lexopt::Parser) -> Result<Option<(Vec<Suite>, Options)>> {
    let mut suites = Vec::from(SUITES);
    let mut options = Options { full: false, only: None };
    while let Some(arg) = args.next()? {
        match arg {
            Long("help") | Short('h') => return Ok(None),
            Long("full") => options.full = true,
            Long("only") => options.only = Some(args.value()?.string()?),
            Value(name) => {
                suites.retain(|suite| name == suite.name);
                if suites.is_empty() {
                    bail!("there is no suite {}; see `cargo xtask test --help`", name.display());
                }
            }
            other => return Err(other.unexpected().into()),
        }
    }
    if options.only.is_some() {
        suites = match suites[..] {
            [Suite { name: "group" | "topologies" | "storage", .. }] => suites,
            _ => vec![Suite { name: "slice", checks: &[Check::Slice] }],
        };
    }
    Ok(Some((suites, options)))
}

/// How a check went: its figures or its error, and how long it took.
struct Outcome {
    result: Result<Vec<String>>,
    took: Duration,
}

fn run_suite(suite: &Suite, options: &Options, outcomes: &mut BTreeMap<Check, Outcome>) {
    let begin = Instant::now();
    println!("\n== suite {}", suite.name);
    for &check in suite.checks {
        if outcomes.contains_key(&check) {
            println!("\n-- {}: ran above", check.says());
            continue;
        }
        println!("\n-- {}", check.says());
        let check_begin = Instant::now();
        let result = check.run(options);
        let outcome = Outcome { result, took: check_begin.elapsed() };
        print_outcome(check, &outcome);
        outcomes.insert(check, outcome);
    }
    println!("\n== suite {}: {:.1} s", suite.name, begin.elapsed().as_secs_f64());
}

fn summarise(suites: &[Suite], outcomes: &BTreeMap<Check, Outcome>, took: Duration) -> Result<()> {
    println!("\n== summary");
    let mut failed = Vec::new();
    for suite in suites {
        println!("{}", suite.name);
        for check in suite.checks {
            let outcome = outcomes.get(check).context("a check of the suite was passed over")?;
            print_outcome(*check, outcome);
            if outcome.result.is_err() && !failed.contains(&check.says()) {
                failed.push(check.says());
            }
        }
    }
    println!("{} checks, {} failed, {:.1} s", outcomes.len(), failed.len(), took.as_secs_f64());
    if !failed.is_empty() {
        bail!("failed: {}", failed.join("; "));
    }
    Ok(())
}

fn print_outcome(check: Check, outcome: &Outcome) {
    let verdict = if outcome.result.is_ok() { "ok" } else { "FAILED" };
    println!("   {verdict:<7}{:>7.1} s  {}", outcome.took.as_secs_f64(), check.says());
    match &outcome.result {
        Ok(figures) => figures.iter().for_each(|line| println!("                    {line}")),
        Err(error) => println!("                    {error:#}"),
    }
}
