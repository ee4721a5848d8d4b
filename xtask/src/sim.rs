//! The simulator, compiled for speed and run with what was asked for. Its own help says what that can be.

use anyhow::{Context, Result};

use crate::command;

pub fn main(mut args: lexopt::Parser) -> Result<()> {
    let asked = args.raw_args().context("reading the arguments")?;
    let mut simulator = command::cargo();
    simulator.args(["run", "--quiet", "--release", "--package=headwater-sim", "--"]).args(asked);
    command::run(&mut simulator)
}
