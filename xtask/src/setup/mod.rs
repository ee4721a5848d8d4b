//! Installs what the other commands need. Each part looks first and touches nothing that is already there.

pub mod browser;
pub mod etcd;
mod packages;
mod rust;
mod system;

use anyhow::Result;
use lexopt::Arg::{Long, Short};

use crate::{lock, workspace};

const HELP: &str = "\
Installs what the other commands need, where it is missing:
the Rust target wasm32-unknown-unknown, the npm packages of the lock file, a Chromium and an etcd for the tests.

Usage: cargo xtask setup

Other commands set up by themselves what they use; this one is for doing it ahead of time.

Environment:
  HEADWATER_CHROMIUM  path of the Chromium or Chrome to use for tests; nothing is searched or installed then
  HEADWATER_ETCD      path of the etcd to use for tests, likewise
";

pub fn main(mut args: lexopt::Parser) -> Result<()> {
    match args.next()? {
        None => {}
        Some(Long("help") | Short('h')) => {
            print!("{HELP}");
            return Ok(());
        }
        Some(other) => return Err(other.unexpected().into()),
    }
    for_building()?;
    browser::find_or_install()?;
    etcd::find_or_install()?;
    Ok(())
}

/// What the simulator's tests need: they run it in wasm as well.
pub fn for_simulating() -> Result<()> {
    let _lock = lock::wait(&workspace::scratch().join("setup.lock"), "another set-up")?;
    rust::ensure_wasm_target()?;
    packages::ensure_node()
}

/// What compiling and bundling need; the demo needs no more.
pub fn for_building() -> Result<()> {
    let _lock = lock::wait(&workspace::scratch().join("setup.lock"), "another set-up")?;
    rust::ensure_wasm_target()?;
    packages::ensure_node()?;
    packages::ensure_packages()
}
