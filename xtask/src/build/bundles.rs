//! What is made from the package as any user would make it: the edge worker and the demo page. Both find `headwater`
//! through the exports of `pkg/package.json`, never in its sources.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::wasm::{Module, NODE, REPLICA};
use crate::{command, workspace};

const WORKER: &str = "worker/src/index.ts";
const PAGE: &str = "www/src/main.ts";

/// Bundles to one module of the language that every host we support speaks; the `.wasm` stays beside it.
pub fn esbuild() -> Command {
    let mut esbuild = command::npm_bin("esbuild");
    esbuild.args([
        "--bundle",
        "--format=esm",
        "--target=es2022",
        "--minify",
        "--sourcemap=linked",
        "--external:*.wasm",
        "--log-level=warning",
    ]);
    esbuild
}

pub fn worker() -> Result<bool> {
    if !super::is_there(WORKER) {
        return Ok(false);
    }
    let outputs = ["worker/dist/worker.js", "worker/dist/headwater-node.wasm"];
    let inputs = ["worker/src", "worker/package.json", "worker/tsconfig.json", "pkg/dist", "pkg/package.json"];
    super::stamp("worker", &inputs, &outputs).renew(|| {
        command::run(esbuild().args([
            WORKER,
            "--outfile=worker/dist/worker.js",
            "--platform=neutral",
            "--conditions=workerd",
            "--external:cloudflare:*",
        ]))?;
        copy_module(&NODE, &workspace::path("worker/dist"))
    })
}

pub fn page() -> Result<bool> {
    if !super::is_there(PAGE) {
        return Ok(false);
    }
    let outputs = ["www/dist/main.js", "www/dist/index.html", "www/dist/headwater.wasm"];
    let inputs = ["www/src", "www/package.json", "www/tsconfig.json", "pkg/dist", "pkg/package.json"];
    super::stamp("page", &inputs, &outputs).renew(|| {
        let dist = workspace::path("www/dist");
        if dist.exists() {
            fs::remove_dir_all(&dist).with_context(|| format!("emptying {}", dist.display()))?;
        }
        command::run(esbuild().args([PAGE, "--outdir=www/dist", "--platform=browser"]))?;
        copy_all_but_code(&workspace::path("www/src"), &dist)?;
        copy_module(&REPLICA, &dist)
    })
}

/// Everything that is served as it lies: pages, styles, pictures.
fn copy_all_but_code(from: &Path, to: &Path) -> Result<()> {
    let entries = fs::read_dir(from).with_context(|| format!("listing {}", from.display()))?;
    for entry in entries {
        let path = entry?.path();
        let target = to.join(path.file_name().expect("a listed entry has a name"));
        if path.is_dir() {
            copy_all_but_code(&path, &target)?;
        } else if path.extension() != Some(OsStr::new("ts")) {
            copy(&path, &target)?;
        }
    }
    Ok(())
}

fn copy_module(module: &Module, to: &Path) -> Result<()> {
    copy(&workspace::path(&module.shipped()), &to.join(module.file))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    if let Some(directory) = to.parent() {
        fs::create_dir_all(directory)?;
    }
    fs::copy(from, to).with_context(|| format!("copying {} to {}", from.display(), to.display()))?;
    Ok(())
}
