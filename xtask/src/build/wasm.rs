//! The two modules: compiled by cargo from one crate, and made smaller by Binaryen after the glue generator has seen them.

use std::fs;
use std::thread;

use anyhow::{Context, Result};

use crate::{command, workspace};

/// A module that ships.
pub struct Module {
    /// The feature of the wasm crate that it is made with, which also names the directory of its glue.
    pub feature: &'static str,
    /// How it is called where it ships.
    pub file: &'static str,
}

pub const REPLICA: Module = Module { feature: "replica", file: "headwater.wasm" };
pub const NODE: Module = Module { feature: "node", file: "headwater-node.wasm" };
pub const MODULES: [&Module; 2] = [&REPLICA, &NODE];

impl Module {
    /// Where cargo compiles it. It has a directory of its own: cargo names what it leaves after the crate, not the feature.
    fn target(&self) -> String {
        format!("target/xtask/{}", self.feature)
    }

    /// What cargo leaves.
    pub fn compiled(&self) -> String {
        format!("{}/wasm32-unknown-unknown/wasm/headwater_wasm.wasm", self.target())
    }

    /// What the glue generator makes of it.
    pub fn bound(&self) -> String {
        format!("target/xtask/{}", self.file)
    }

    /// What ships.
    pub fn shipped(&self) -> String {
        format!("pkg/dist/{}", self.file)
    }
}

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
    at_once(|module| {
        let compiled = workspace::path(&module.compiled());
        let written = || fs::metadata(&compiled).and_then(|metadata| metadata.modified()).ok();
        let before = written();
        command::run(
            command::cargo()
                .args(["build", "--package=headwater-wasm", "--profile=wasm", "--target=wasm32-unknown-unknown"])
                .args(["--no-default-features", "--features", module.feature, "--target-dir"])
                .arg(workspace::path(&module.target())),
        )?;
        Ok(before.is_none() || before != written())
    })
}

pub fn optimise() -> Result<bool> {
    let directory = workspace::path("pkg/dist");
    fs::create_dir_all(&directory).with_context(|| format!("creating {}", directory.display()))?;
    at_once(|module| {
        let (bound, shipped) = (module.bound(), module.shipped());
        super::stamp(&format!("optimise-{}", module.feature), &[&bound], &[&shipped]).renew(|| {
            let (bound, shipped) = (workspace::path(&bound), workspace::path(&shipped));
            command::run(command::npm_bin("wasm-opt").arg(bound).arg(LEVEL).args(FEATURES).arg("-o").arg(shipped))
        })
    })
}

/// The same for both modules side by side, as each is the work of one thread for most of its time. Says whether there was
/// anything to do for either.
pub fn at_once(work: fn(&Module) -> Result<bool>) -> Result<bool> {
    let ran = thread::scope(|scope| {
        let running = MODULES.map(|module| scope.spawn(move || work(module)));
        let ended = running.into_iter().map(|thread| thread.join().expect("a chore returns its errors"));
        ended.collect::<Result<Vec<bool>>>()
    })?;
    Ok(ran.contains(&true))
}
