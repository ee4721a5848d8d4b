//! From sources to what ships: `pkg/dist`, `worker/dist` and `www/dist`. Steps whose inputs did not change are passed
//! over. Types are checked by `cargo xtask test tidy`, not here.

mod bundles;
mod glue;
mod package;
mod wasm;

pub use package::ENTRIES;
pub use wasm::{MODULES, Module, NODE, REPLICA};

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};
use lexopt::Arg::{Long, Short};

use crate::stamp::Stamp;
use crate::{lock, setup, workspace};

const HELP: &str = "\
Compiles and bundles everything that ships, after setting up what that needs:

  pkg/dist     the npm package: headwater.wasm, headwater-node.wasm, one bundle per host, types
  worker/dist  the edge worker, made from the package
  www/dist     the demo page, made from the package

Usage: cargo xtask build

A step whose inputs did not change is passed over. Each step that runs says how many seconds it took.
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
    setup::for_building()?;
    build()
}

/// One step: what to say, and the work. The work says whether there was any.
struct Step {
    says: &'static str,
    work: fn() -> Result<bool>,
}

const STEPS: [Step; 7] = [
    Step { says: "compile the core to wasm, for replicas and for nodes", work: wasm::compile },
    Step { says: "generate the JavaScript glue", work: glue::generate },
    Step { says: "optimise the wasm", work: wasm::optimise },
    Step { says: "bundle the package", work: package::bundle },
    Step { says: "declare the package's types", work: package::declare },
    Step { says: "bundle the edge worker", work: bundles::worker },
    Step { says: "bundle the demo page", work: bundles::page },
];

/// Builds everything. Set-up is the caller's.
pub fn build() -> Result<()> {
    let _lock = lock::wait(&workspace::scratch().join("build.lock"), "another build")?;
    let begin = Instant::now();
    for (n, step) in STEPS.iter().enumerate() {
        println!("build {}/{}: {}", n + 1, STEPS.len(), step.says);
        let step_begin = Instant::now();
        let ran = (step.work)().with_context(|| format!("could not {}", step.says))?;
        let seconds = step_begin.elapsed().as_secs_f64();
        println!("           {}", if ran { format!("{seconds:.1} s") } else { "unchanged".to_owned() });
    }
    println!("build: done in {:.1} s", begin.elapsed().as_secs_f64());
    Ok(())
}

/// Whether a part is written yet; says so if not.
fn is_there(source: &str) -> bool {
    let there = workspace::path(source).is_file();
    if !there {
        println!("           passed over: there is no {source}");
    }
    there
}

/// A stamp for a build step. How a step works and which versions it works with are among its inputs.
fn stamp(name: &str, inputs: &[impl AsRef<str>], outputs: &[impl AsRef<str>]) -> Stamp {
    let mut inputs = paths(inputs);
    inputs.extend(paths(&["xtask/src/build", "xtask/Cargo.toml", "package-lock.json"]));
    Stamp { name: name.to_owned(), inputs, outputs: paths(outputs) }
}

fn paths(list: &[impl AsRef<str>]) -> Vec<PathBuf> {
    list.iter().map(|path| workspace::path(path.as_ref())).collect()
}
