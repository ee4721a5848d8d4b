//! What is measured and not tested: everything built, a browser found, and the program run that writes the page of figures.

use anyhow::{Context, Result, bail};
use lexopt::Arg::{Long, Short, Value};

use crate::{build, command, setup, workerd};

const HELP: &str = "\
Measures on real workerd and Chromium, and writes the figures to docs. Builds first.

Usage: cargo xtask bench storage [--quick]

storage   documents of 1,000 to 1,000,000 updates: what the leader and a browser keep, and what catching up takes;
          writes docs/storage-figures.md and docs/storage-growth.svg

Options:
  --quick   documents of 1,000 and 10,000 updates only; writes to target/bench instead
";

pub fn main(mut args: lexopt::Parser) -> Result<()> {
    let (mut what, mut is_quick) = (None, false);
    while let Some(argument) = args.next()? {
        match argument {
            Long("help") | Short('h') => {
                print!("{HELP}");
                return Ok(());
            }
            Long("quick") => is_quick = true,
            Value(name) if what.is_none() => what = Some(name),
            other => return Err(other.unexpected().into()),
        }
    }
    let what = what.context("what is to be measured? See `cargo xtask bench --help`")?;
    if what != "storage" {
        bail!("nothing measures {}; see `cargo xtask bench --help`", what.display());
    }
    setup::for_building()?;
    build::build()?;
    let mut bench = command::node();
    bench.arg("bench/storage.mjs").args(is_quick.then_some("--quick"));
    bench.env("HEADWATER_WORKERD", workerd::binary()?);
    bench.env(setup::browser::VARIABLE, setup::browser::find_or_install()?);
    command::run(&mut bench)
}
