//! The one `.wasm`: compiled by cargo, and made smaller by Binaryen after the glue generator has seen it.

use std::fs;

use anyhow::{Context, Result};

use crate::{command, workspace};

/// What cargo leaves.
pub const COMPILED: &str = "target/wasm32-unknown-unknown/wasm/headwater_wasm.wasm";
/// What the glue generator makes of it.
pub const BOUND: &str = "target/xtask/headwater_bg.wasm";
/// What ships.
pub const SHIPPED: &str = "pkg/dist/headwater.wasm";

/// Small, with the loops that matter still inlined: see `cargo xtask size` for what another level costs.
const LEVEL: &str = "-Os";

/// What rustc takes for granted on wasm32-unknown-unknown. Binaryen has to be told.
const FEATURES: [&str; 6] = [
    "--enable-bulk-memory",
    "--enable-multivalue",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-reference-types",
    "--enable-sign-ext",
];

/// Cargo knows best whether there is anything to do; its answer shows in what it writes.
pub fn compile() -> Result<bool> {
    let compiled = workspace::path(COMPILED);
    let written = || fs::metadata(&compiled).and_then(|metadata| metadata.modified()).ok();
    let before = written();
    command::run(command::cargo().args([
        "build",
        "--package=headwater-wasm",
        "--profile=wasm",
        "--target=wasm32-unknown-unknown",
    ]))?;
    Ok(before.is_none() || before != written())
}

pub fn optimise() -> Result<bool> {
    super::stamp("optimise", &[BOUND], &[SHIPPED]).renew(|| {
        let shipped = workspace::path(SHIPPED);
        let directory = shipped.parent().expect("the package has a directory");
        fs::create_dir_all(directory).with_context(|| format!("creating {}", directory.display()))?;
        command::run(
            command::npm_bin("wasm-opt").arg(workspace::path(BOUND)).arg(LEVEL).args(FEATURES).arg("-o").arg(shipped),
        )
    })
}
