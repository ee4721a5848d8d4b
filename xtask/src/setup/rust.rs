//! The Rust side of set-up: the target that the core is compiled to for JavaScript hosts.

use std::path::Path;

use anyhow::{Context, Result};

use crate::command;

const TARGET: &str = "wasm32-unknown-unknown";

pub fn ensure_wasm_target() -> Result<()> {
    let sysroot = command::read(command::at_root("rustc").args(["--print", "sysroot"]))?;
    if Path::new(&sysroot).join("lib/rustlib").join(TARGET).exists() {
        println!("set-up: Rust target {TARGET} is there");
        return Ok(());
    }
    println!("set-up: adding the Rust target {TARGET}");
    command::run(command::at_root("rustup").args(["target", "add", TARGET])).with_context(|| {
        format!(
            "this Rust lacks the target {TARGET} and rustup could not add it. Install rustup from https://rustup.rs, \
             or the package of your system that brings Rust's standard library for {TARGET}"
        )
    })
}
