//! Every chore of the project behind one door. This file picks the chore; it does none itself.

mod bench;
mod build;
mod command;
mod demo;
mod drill;
mod lock;
mod process;
mod purity;
mod setup;
mod sim;
mod size;
mod stamp;
mod storage;
mod test;
mod tidy;
mod workerd;
mod workspace;

use std::process::ExitCode;

use anyhow::{Result, bail};
use lexopt::Arg::{Long, Short, Value};

const HELP: &str = "\
Every chore of the project.

Usage: cargo xtask COMMAND [OPTIONS]

Commands:
  setup   install what the other commands need: wasm target, npm packages, a browser
  build   compile and bundle: the package, the edge worker and the demo page
  demo    build, start the demo on workerd and print its address
  test    set up, build and run the tests
  drill   run a group of three, strike its leader again and again, and compare what was promised with what is held
  sim     run simulated clusters from seeds, and replay a seed that failed
  size    print the sizes of what ships and compare them to the budget
  bench   measure what storage takes, and write the page that says so
  tidy    format, then check formatting, lints and types

`cargo xtask COMMAND --help` says more about one of them.
";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let mut args = lexopt::Parser::from_env();
    match args.next()? {
        None | Some(Long("help") | Short('h')) => {
            print!("{HELP}");
            Ok(())
        }
        Some(Value(command)) => match command.to_str() {
            Some("setup") => setup::main(args),
            Some("build") => build::main(args),
            Some("demo") => demo::main(args),
            Some("test") => test::main(args),
            Some("drill") => drill::main(args),
            Some("sim") => sim::main(args),
            Some("size") => size::main(args),
            Some("bench") => bench::main(args),
            Some("tidy") => tidy::main(args),
            _ => bail!("there is no command {}; see `cargo xtask --help`", command.display()),
        },
        Some(other) => Err(other.unexpected().into()),
    }
}
