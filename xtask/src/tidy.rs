//! Tidiness as a chore: what the suite of the same name checks, with formatting mended first.

use anyhow::Result;
use lexopt::Arg::{Long, Short};

use crate::{command, test};

const HELP: &str = "\
Formats the Rust sources, then runs the suite tidy: formatting, clippy for the native and the wasm target, types.

Usage: cargo xtask tidy
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
    command::run(command::cargo().args(["fmt", "--all"]))?;
    test::main(lexopt::Parser::from_args(["tidy"]))
}
