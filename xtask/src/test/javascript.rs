//! The JavaScript tests of one directory: given their tools, run one file after another, their figures gathered.
//! A test states its figures in a line of standard output that has `figures: ` in it.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};

use super::{FIGURES, Options};
use crate::{command, workerd, workspace};

const SUFFIX: &str = ".test.mjs";

/// A test that takes longer hangs.
const TEST_MS_MAX: u32 = 20 * 60 * 1_000;
const TEST_MS_MAX_FULL: u32 = 3 * 60 * 60 * 1_000;

/// Besides workerd, tests are told of tools: the variable that names each, and its path.
pub fn run(directory: &str, tools: &[(&str, PathBuf)], options: &Options) -> Result<Vec<String>> {
    let files = files(directory, options.only.as_deref().unwrap_or_default())?;
    let timeout_ms = if options.full { TEST_MS_MAX_FULL } else { TEST_MS_MAX };
    let mut tests = command::node();
    tests
        .args(["--enable-source-maps", "--test", "--test-concurrency=1", "--test-reporter=spec"])
        .arg(format!("--test-timeout={timeout_ms}"))
        .args(&files)
        .env("HEADWATER_WORKERD", workerd::binary()?)
        .envs(tools.iter().map(|(variable, tool)| (variable, tool)));
    options.pass_on(&mut tests);
    let mut figures = Vec::new();
    let mut failed = BTreeSet::new();
    let outcome = command::watch(&mut tests, |line| {
        figures.extend(line.split_once(FIGURES).map(|(_, figures)| figures.trim().to_owned()));
        failed.extend(failure(line).map(str::to_owned));
    });
    match outcome {
        Ok(()) => Ok(figures),
        Err(_) if !failed.is_empty() => bail!("{}", failed.into_iter().collect::<Vec<_>>().join("; ")),
        Err(error) => Err(error),
    }
}

/// The name of a failed test, as in `✖ closing ends what waits (1.2ms)`.
fn failure(line: &str) -> Option<&str> {
    let (name, _took) = line.trim_start().strip_prefix("✖ ")?.rsplit_once(" (")?;
    Some(name)
}

fn files(directory: &str, part: &str) -> Result<Vec<PathBuf>> {
    let directory = workspace::path(directory);
    let mut files = Vec::new();
    for entry in fs::read_dir(&directory).with_context(|| format!("listing {}", directory.display()))? {
        let path = entry?.path();
        let name = path.file_name().expect("a listed entry has a name").to_string_lossy();
        if name.ends_with(SUFFIX) && name.contains(part) {
            files.push(path);
        }
    }
    files.sort();
    ensure!(!files.is_empty(), "no file in {} ends in {SUFFIX} and has {part:?} in its name", directory.display());
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::failure;

    #[test]
    fn failures_are_read_from_the_reporter() {
        assert_eq!(failure("  ✖ ends (at once) (1.2ms)"), Some("ends (at once)"));
        assert_eq!(failure("✔ ends (1.2ms)"), None);
        assert_eq!(failure("✖ failing tests:"), None);
    }
}
