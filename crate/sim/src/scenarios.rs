//! Schedules that once showed a bug in our own code, each with a sentence on it. They stay green from then on.
//!
//! A file in `crate/sim/scenarios` is a scenario, one in `group` there a scenario of a group; there is no other list. This is the one part that reads and writes files.

use crate::group;
use crate::plan::Plan;
use crate::world::Violation;
use std::fmt::Display;
use std::fs;
use std::path::PathBuf;

/// A scenario.
#[derive(Debug)]
pub struct Scenario<P = Plan> {
    /// Its file's name, without the ending.
    pub name: String,
    /// What was wrong.
    pub sentence: String,
    /// What to run.
    pub plan: P,
}

/// Where those of groups are kept.
const GROUPS: &str = "group/";

/// Where they are kept.
fn directory(part: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "scenarios", part].iter().collect()
}

/// All of a single node, by name.
pub fn all() -> Result<Vec<Scenario>, String> {
    read("", Plan::parse)
}

/// All of groups, by name.
pub fn of_groups() -> Result<Vec<Scenario<group::plan::Plan>>, String> {
    read(GROUPS, group::plan::Plan::parse)
}

fn read<P>(part: &str, parse: fn(&str) -> Result<P, String>) -> Result<Vec<Scenario<P>>, String> {
    let unreadable = |cause: std::io::Error| format!("crate/sim/scenarios cannot be read: {cause}");
    let mut scenarios = Vec::new();
    for entry in fs::read_dir(directory(part)).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_none_or(|ending| ending != "txt") {
            continue;
        }
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).map_err(unreadable)?;
        let plan = parse(&text).map_err(|error| format!("scenario {name}: {error}"))?;
        let sentence = sentence(&text).ok_or_else(|| format!("scenario {name} does not begin with a `# sentence`"))?;
        scenarios.push(Scenario { name, sentence, plan });
    }
    scenarios.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(scenarios)
}

fn sentence(text: &str) -> Option<String> {
    text.lines().next()?.strip_prefix("# ").map(str::to_owned)
}

/// Keeps a plan that broke a promise; the path of its file.
pub fn save(name: &str, plan: &Plan, violation: &Violation) -> Result<String, String> {
    write("", name, plan.seed, plan, violation)
}

/// The same for a group's plan.
pub fn save_of_group(name: &str, plan: &group::plan::Plan, violation: &Violation) -> Result<String, String> {
    write(GROUPS, name, plan.seed, plan, violation)
}

fn write(part: &str, name: &str, seed: u64, plan: &dyn Display, violation: &Violation) -> Result<String, String> {
    check_name(name)?;
    let path = format!("crate/sim/scenarios/{part}{name}.txt");
    let first = format!("# Seed {seed} broke the promise of `{}`: {}\n", violation.checker, one_line(&violation.text));
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(directory(part).join(name).with_extension("txt"))
        .map_err(|cause| format!("{path} cannot be written: {cause}"))?;
    std::io::Write::write_all(&mut file, format!("{first}{plan}").as_bytes())
        .map_err(|cause| format!("{path} cannot be written: {cause}"))?;
    Ok(path)
}

/// Whether a scenario may be called so.
pub fn check_name(name: &str) -> Result<(), String> {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || name.starts_with('-') || !name.chars().all(is_plain) {
        return Err(format!("{name:?} is no name for a scenario: lower-case letters, digits and hyphens are"));
    }
    Ok(())
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
