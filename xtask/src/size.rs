//! What the package weighs, against a budget that is kept in the repository and changed in the open.

use std::fs;

use anyhow::{Context, Result, bail, ensure};
use lexopt::Arg::{Long, Short};
use serde_json::Value;

use crate::{build, command, setup, workspace};

const HELP: &str = "\
Prints what ships, in bytes: raw, after gzip -9 and after brotli -11, with the headroom below size-budget.json
in percent of the budget. Fails if anything is above it. Builds first.

Usage: cargo xtask size

The line \"worker\" is what a node consists of: headwater-node.wasm and worker.js together. The line \"browser\" is what a
page loads: headwater.wasm and browser.js together.
";

const BUDGET: &str = "size-budget.json";
const ENCODINGS: [&str; 3] = ["raw", "gzip", "brotli"];

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
    build::build()?;
    report().map(drop)
}

/// What is loaded together, and what of: a module and a bundle.
const SUMS: [(&str, [&str; 2]); 2] =
    [("worker", [build::NODE.file, "worker.js"]), ("browser", [build::REPLICA.file, "browser.js"])];

/// Prints the table of what is built and gives its last lines, the sums. Fails above the budget.
pub fn report() -> Result<Vec<String>> {
    let budget = fs::read_to_string(workspace::path(BUDGET)).with_context(|| format!("reading {BUDGET}"))?;
    let budget: Value = serde_json::from_str(&budget).with_context(|| format!("parsing {BUDGET}"))?;
    let sizes = measure()?;

    println!("{:<20}{:>10}{:>10}{:>10}   headroom", "bytes", "raw", "gzip", "brotli");
    let mut excesses = Vec::new();
    let mut lines = Vec::new();
    for (name, bytes) in &sizes {
        let mut room_percent_min = f64::INFINITY;
        for (encoding, &bytes) in ENCODINGS.iter().zip(bytes) {
            let allowed = budget[name][encoding]
                .as_u64()
                .with_context(|| format!("{BUDGET} has no number for {encoding} of {name}"))?;
            room_percent_min = room_percent_min.min((allowed as f64 - bytes as f64) * 100.0 / allowed as f64);
            if bytes > allowed {
                excesses.push(format!(
                    "{name} takes {bytes} bytes {encoding}, {} above its budget of {allowed}",
                    bytes - allowed
                ));
            }
        }
        let [raw, gzip, brotli] = bytes;
        println!("{name:<20}{raw:>10}{gzip:>10}{brotli:>10}   {room_percent_min:>6.1} %");
        lines.push(format!("{name}: {raw} bytes raw, {gzip} gzip, {brotli} brotli, headroom {room_percent_min:.1} %"));
    }
    if !excesses.is_empty() {
        bail!("{}. Make it smaller, or raise {BUDGET} and say why", excesses.join("; "));
    }
    Ok(lines.split_off(lines.len() - SUMS.len()))
}

/// Every file that ships with its sizes in the order of `ENCODINGS`, and last the sums.
fn measure() -> Result<Vec<(String, [u64; 3])>> {
    let mut names = build::MODULES.map(|module| module.file.to_owned()).to_vec();
    names.extend(build::ENTRIES.iter().map(|entry| format!("{}.js", entry.name)));
    let mut sizes = Vec::new();
    for name in names {
        let bytes = compress(&name)?;
        sizes.push((name, bytes));
    }
    let sums = SUMS.map(|(name, parts)| {
        let parts = sizes.iter().filter(|(name, _)| parts.contains(&name.as_str()));
        let sum = parts.fold([0; 3], |sum, (_, bytes)| std::array::from_fn(|n| sum[n] + bytes[n]));
        (name.to_owned(), sum)
    });
    sizes.extend(sums);
    Ok(sizes)
}

/// Node.js has both encoders at hand.
fn compress(name: &str) -> Result<[u64; 3]> {
    let path = workspace::path("pkg/dist").join(name);
    ensure!(path.exists(), "{} is not there; run `cargo xtask build`", path.display());
    let script = "const zlib = require('zlib'), bytes = require('fs').readFileSync(process.argv[1]);
        console.log(bytes.length, zlib.gzipSync(bytes, { level: 9 }).length, zlib.brotliCompressSync(bytes).length)";
    let printed = command::read(command::node().args(["-e", script]).arg(&path))?;
    let sizes: Vec<u64> = printed.split(' ').map(str::parse).collect::<Result<_, _>>().context(printed.clone())?;
    <[u64; 3]>::try_from(sizes).map_err(|sizes| anyhow::anyhow!("expected three sizes, got {sizes:?}"))
}
