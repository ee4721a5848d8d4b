//! The drill: everything built, an etcd found, and the program that strikes leaders run with what was asked for. Its own
//! help says what that can be.

use anyhow::{Context, Result};

use crate::{build, command, setup, workerd};

const PROGRAM: &str = "pkg-tests/group/drill.mjs";

pub fn main(mut args: lexopt::Parser) -> Result<()> {
    let asked: Vec<_> = args.raw_args().context("reading the arguments")?.collect();
    setup::for_building()?;
    // It explains itself with the package that it drills.
    build::build()?;
    let mut drill = command::node();
    drill.args(["--enable-source-maps", PROGRAM]).args(&asked);
    if !asked.iter().any(|argument| argument == "--help" || argument == "-h") {
        drill.env("HEADWATER_WORKERD", workerd::binary()?);
        drill.env(setup::etcd::VARIABLE, setup::etcd::find_or_install()?);
    }
    command::run(&mut drill)
}
