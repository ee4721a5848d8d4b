//! The npm package: one bundle per host, each around one of the two modules, and the types.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::wasm::MODULES;
use crate::{command, workspace};

/// One file in `pkg/src/entry` and one bundle in `pkg/dist` each.
pub const ENTRIES: [Entry; 6] = [
    Entry { name: "browser", platform: "browser", external: &[] },
    // Node.js takes `ws` from the package's dependencies.
    Entry { name: "node", platform: "node", external: &["ws"] },
    Entry { name: "workerd", platform: "neutral", external: &["cloudflare:*"] },
    Entry { name: "worker", platform: "neutral", external: &["cloudflare:*"] },
    // The program finds the package and what drills load it with beside itself.
    Entry { name: "cli", platform: "node", external: &["*/node.js", "*/load.js"] },
    Entry { name: "load", platform: "neutral", external: &[] },
];

pub struct Entry {
    pub name: &'static str,
    platform: &'static str,
    external: &'static [&'static str],
}

impl Entry {
    fn source(&self) -> String {
        format!("pkg/src/entry/{}.ts", self.name)
    }

    fn bundle(&self) -> String {
        format!("pkg/dist/{}.js", self.name)
    }
}

pub fn bundle() -> Result<bool> {
    let entries: Vec<&Entry> = ENTRIES.iter().filter(|entry| super::is_there(&entry.source())).collect();
    let outputs: Vec<String> = entries.iter().map(|entry| entry.bundle()).collect();
    let outputs: Vec<&str> = outputs.iter().map(String::as_str).collect();
    let inputs = ["pkg/src", "pkg/package.json", "pkg/tsconfig.json", "tsconfig.base.json"];
    super::stamp("package", &inputs, &outputs).renew(|| entries.into_iter().try_for_each(bundle_entry))
}

fn bundle_entry(entry: &Entry) -> Result<()> {
    let mut esbuild = super::bundles::esbuild();
    esbuild
        .arg(entry.source())
        .arg(format!("--outfile={}", entry.bundle()))
        .arg(format!("--platform={}", entry.platform))
        .args(entry.external.iter().map(|name| format!("--external:{name}")));
    command::run(&mut esbuild)
}

/// Declarations only, unchecked: whether they are right is for `tidy` to say.
pub fn declare() -> Result<bool> {
    let inputs = ["pkg/src", "pkg/tsconfig.json", "tsconfig.base.json"];
    super::stamp("types", &inputs, &["pkg/dist/types"]).renew(|| {
        let types = workspace::path("pkg/dist/types");
        if types.exists() {
            fs::remove_dir_all(&types).with_context(|| format!("emptying {}", types.display()))?;
        }
        command::run(command::npm_bin("tsc").args([
            "--project",
            "pkg",
            "--noEmit",
            "false",
            "--emitDeclarationOnly",
            "--noCheck",
            "--outDir",
            "pkg/dist/types",
        ]))?;
        copy_generated(&types.join("generated"))
    })
}

/// The compiler does not carry declarations along that were written as such.
fn copy_generated(to: &Path) -> Result<()> {
    for module in MODULES {
        let (from, to) = (workspace::path(&super::glue::directory(module)), to.join(module.feature));
        fs::create_dir_all(&to)?;
        for name in ["glue.d.ts", "bindings.d.ts"] {
            fs::copy(from.join(name), to.join(name)).with_context(|| format!("copying {}", from.display()))?;
        }
    }
    Ok(())
}
