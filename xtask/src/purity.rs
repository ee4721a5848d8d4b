//! Shows that the core is what it claims to be: no clock, randomness, threads or I/O, and nothing of JavaScript.
//! A core that passes runs the same in a browser, in a Durable Object and in the simulator.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use crate::{command, workspace};

const CRATE: &str = "headwater-core";

/// Crates that would bring the outside world in.
const CRATES: [&str; 20] = [
    "async-std",
    "chrono",
    "console_error_panic_hook",
    "crossbeam",
    "fastrand",
    "futures",
    "getrandom",
    "gloo",
    "instant",
    "js-sys",
    "mio",
    "rand",
    "rand_core",
    "socket2",
    "time",
    "tokio",
    "uuid",
    "wasm-bindgen",
    "web-sys",
    "web-time",
];

/// The same, from the standard library; `async` and locks among it.
const WORDS: [&str; 13] = [
    "Instant::now",
    "SystemTime",
    "async fn",
    "println!",
    "std::env",
    "std::fs",
    "std::io",
    "std::net",
    "std::process",
    "std::sync",
    "std::thread",
    "std::time",
    "unsafe ",
];

/// Fails with what was found; otherwise says what was looked at.
pub fn check() -> Result<String> {
    let tree = command::read(command::cargo().args([
        "tree",
        "--package",
        CRATE,
        "--target=wasm32-unknown-unknown",
        "--edges=normal",
        "--prefix=none",
        "--format={p}",
    ]))?;
    let crates = crates_in(&tree);
    ensure!(crates.contains(CRATE), "`cargo tree` did not list {CRATE} itself, so its answer proves nothing");
    let found: Vec<&str> = CRATES.into_iter().filter(|&name| crates.contains(name)).collect();
    ensure!(found.is_empty(), "{CRATE} depends on {}", found.join(", "));

    let files = check_sources(&workspace::path("crate/core/src"))?;
    ensure!(files > 0, "there are no sources of {CRATE} to look at");
    Ok(format!("{CRATE}: {} crates and {files} files, none touches clock, randomness, I/O or JavaScript", crates.len()))
}

/// The names in the output of `cargo tree`, which marks what it listed before.
fn crates_in(tree: &str) -> BTreeSet<String> {
    tree.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

fn check_sources(directory: &Path) -> Result<usize> {
    let mut files = 0;
    for entry in fs::read_dir(directory).with_context(|| format!("listing {}", directory.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            files += check_sources(&path)?;
            continue;
        }
        let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        check_text(&path, &text)?;
        files += 1;
    }
    Ok(files)
}

fn check_text(path: &Path, text: &str) -> Result<()> {
    for (n, line) in text.lines().enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        if let Some(word) = WORDS.into_iter().find(|word| code.contains(word)) {
            bail!("{}:{} has {word:?}: {}", path.display(), n + 1, line.trim());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_in_the_sources_is_found() {
        let found = check_text(Path::new("lib.rs"), "fn f() {\n    let now = Instant::now();\n}").unwrap_err();
        assert!(found.to_string().starts_with("lib.rs:2 has \"Instant::now\""), "{found}");
    }

    #[test]
    fn a_comment_may_speak_of_clocks() {
        check_text(Path::new("lib.rs"), "//! Never asks `Instant::now`.").unwrap();
    }

    #[test]
    fn names_of_crates_are_read_from_the_tree() {
        let crates = crates_in("headwater-core v0.1.0 (/somewhere)\njs-sys v0.3.107\njs-sys v0.3.107 (*)\n");
        assert_eq!(crates.into_iter().collect::<Vec<_>>(), ["headwater-core", "js-sys"]);
    }
}
