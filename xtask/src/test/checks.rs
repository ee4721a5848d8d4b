//! The checks that suites are made of. Each gives its figures, one line per thing counted, or an error.

use std::sync::OnceLock;

use anyhow::{Result, bail};

use super::{FIGURES, Options, javascript};
use crate::{build, command, demo, purity, setup, size};

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Check {
    Purity,
    Crates,
    Sim,
    Sizes,
    Demo,
    Slice,
    Group,
    Topologies,
    Storage,
    Format,
    Clippy,
    ClippyWasm,
    Types,
}

impl Check {
    pub fn says(self) -> &'static str {
        match self {
            Check::Purity => "the core has no clock, randomness, I/O or JavaScript",
            Check::Crates => "tests of the crates",
            Check::Sim => "simulated clusters keep every promise",
            Check::Sizes => "sizes are within the budget",
            Check::Demo => "the demo starts, serves its page and stops",
            Check::Slice => "the built package in Chromium, Node.js and workerd",
            Check::Group => "replication groups on workerd and etcd",
            Check::Topologies => "tabs, peers and several leaders",
            Check::Storage => "storage that lasts, in Chromium and on workerd",
            Check::Format => "formatting",
            Check::Clippy => "clippy, native",
            Check::ClippyWasm => "clippy, wasm",
            Check::Types => "types of the package, the worker and the page",
        }
    }

    pub fn run(self, options: &Options) -> Result<Vec<String>> {
        match self {
            Check::Purity => purity::check().map(|figures| vec![figures]),
            Check::Crates => cargo_tests(&["--workspace", "--exclude=headwater-sim", "--no-fail-fast"], options),
            Check::Sim => {
                setup::for_simulating()?;
                // Compiled for speed, as `cargo xtask sim` has it, and heard to the end of its figures.
                let simulator = ["--release", "--package=headwater-sim", "--no-fail-fast", "--", "--nocapture"];
                cargo_tests(&simulator, options)
            }
            Check::Sizes => {
                built()?;
                size::report()
            }
            Check::Demo => {
                built()?;
                demo::check(0).map(|figures| vec![figures])
            }
            Check::Slice => in_browser("pkg-tests/slice", options),
            Check::Group => on_etcd("pkg-tests/group", options),
            Check::Topologies => on_etcd("pkg-tests/topologies", options),
            Check::Storage => in_browser("pkg-tests/storage", options),
            Check::Format => silent(command::cargo().args(["fmt", "--all", "--check"])),
            Check::Clippy => {
                silent(command::cargo().args(CLIPPY).args(["--workspace", "--all-targets"]).args(STRICTLY))
            }
            Check::ClippyWasm => {
                built()?;
                // As they ship, each without the other.
                for build::Module { feature, .. } in build::MODULES {
                    let wasm = ["--package=headwater-wasm", "--target=wasm32-unknown-unknown", "--no-default-features"];
                    silent(command::cargo().args(CLIPPY).args(wasm).args(["--features", feature]).args(STRICTLY))?;
                }
                Ok(Vec::new())
            }
            Check::Types => types(),
        }
    }
}

const CLIPPY: [&str; 2] = ["clippy", "--quiet"];
const STRICTLY: [&str; 3] = ["--", "--deny", "warnings"];

fn silent(command: &mut std::process::Command) -> Result<Vec<String>> {
    command::run(command).map(|()| Vec::new())
}

/// Once per run: what is tested is what was built at the start, and its error is every dependent check's error.
fn built() -> Result<()> {
    static BUILT: OnceLock<Result<(), String>> = OnceLock::new();
    let built =
        BUILT.get_or_init(|| setup::for_building().and_then(|()| build::build()).map_err(|error| format!("{error:#}")));
    built.clone().map_err(anyhow::Error::msg)
}

/// The JavaScript tests of a directory that need a browser besides workerd.
fn in_browser(directory: &str, options: &Options) -> Result<Vec<String>> {
    built()?;
    let browser = (setup::browser::VARIABLE, setup::browser::find_or_install()?);
    javascript::run(directory, &[browser], options)
}

/// The JavaScript tests of a directory that need a browser and etcd besides workerd.
fn on_etcd(directory: &str, options: &Options) -> Result<Vec<String>> {
    built()?;
    let etcd = (setup::etcd::VARIABLE, setup::etcd::find_or_install()?);
    let browser = (setup::browser::VARIABLE, setup::browser::find_or_install()?);
    javascript::run(directory, &[etcd, browser], options)
}

/// Sums what the test harness says of each crate, after the figures that tests state themselves.
fn cargo_tests(arguments: &[&str], options: &Options) -> Result<Vec<String>> {
    let mut tests = command::cargo();
    tests.arg("test").args(arguments);
    options.pass_on(&mut tests);
    let (mut passed, mut ignored) = (0, 0);
    let (mut figures, mut failed) = (Vec::new(), Vec::new());
    let outcome = command::watch(&mut tests, |line| {
        if line.starts_with("test result:") {
            passed += count(line, "passed");
            ignored += count(line, "ignored");
        }
        figures.extend(line.split_once(FIGURES).map(|(_, figures)| figures.trim().to_owned()));
        failed.extend(failure(line).map(str::to_owned));
    });
    match outcome {
        Ok(()) => {
            figures.push(format!("tests: {passed} passed, 0 failed, {ignored} ignored"));
            Ok(figures)
        }
        Err(_) if !failed.is_empty() => bail!("{passed} passed, {} failed: {}", failed.len(), failed.join("; ")),
        Err(error) => Err(error),
    }
}

/// The name of a failed test, as in `test it_works ... FAILED`. What tests print may stand between, on lines of its own.
fn failure(line: &str) -> Option<&str> {
    line.strip_suffix(" ... FAILED").map(|name| name.trim_start_matches("test "))
}

/// The number before a word, as in `test result: ok. 3 passed; 0 failed`.
fn count(line: &str, word: &str) -> u64 {
    let words: Vec<&str> = line.split(|c: char| !c.is_alphanumeric()).collect();
    let number = words.iter().position(|&each| each == word).and_then(|at| words.get(at.checked_sub(1)?));
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// The worker and the page see the package's declarations as they ship, hence the build.
fn types() -> Result<Vec<String>> {
    built()?;
    for project in ["pkg", "worker", "www"] {
        command::run(command::npm_bin("tsc").args(["--noEmit", "--project", project]))?;
    }
    Ok(Vec::new())
}

#[cfg(test)]
mod tests {
    use super::count;

    #[test]
    fn counts_are_read_from_the_harness() {
        let line = "test result: ok. 12 passed; 3 failed; 1 ignored; 0 measured; 1 filtered out; finished in 0.01s";
        assert_eq!((count(line, "passed"), count(line, "ignored"), count(line, "flying")), (12, 1, 0));
    }
}
