//! Running other programs: inherited output, captured output, or both at once.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::workspace;

/// Cargo, the one that runs us.
pub fn cargo() -> Command {
    at_root(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

pub fn node() -> Command {
    at_root("node")
}

pub fn npm() -> Command {
    at_root(if cfg!(windows) { "npm.cmd" } else { "npm" })
}

/// A program of an npm package. The link npm makes for it works with and without install scripts.
pub fn npm_bin(name: &str) -> Command {
    let suffix = if cfg!(windows) { ".cmd" } else { "" };
    at_root(workspace::path(&format!("node_modules/.bin/{name}{suffix}")))
}

pub fn at_root(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(workspace::root());
    command
}

/// Runs to the end, output as it comes.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("could not start {}", name(command)))?;
    ensure!(status.success(), "{} ended with {status}", name(command));
    Ok(())
}

/// Runs to the end and gives its standard output, trimmed.
pub fn read(command: &mut Command) -> Result<String> {
    let output =
        command.stderr(Stdio::inherit()).output().with_context(|| format!("could not start {}", name(command)))?;
    ensure!(output.status.success(), "{} ended with {}", name(command), output.status);
    let text = String::from_utf8(output.stdout)
        .with_context(|| format!("{} printed something that is not UTF-8", name(command)))?;
    Ok(text.trim().to_owned())
}

/// Runs to the end; every line of standard output is shown at once and handed to `see`.
pub fn watch(command: &mut Command, mut see: impl FnMut(&str)) -> Result<()> {
    let mut child =
        command.stdout(Stdio::piped()).spawn().with_context(|| format!("could not start {}", name(command)))?;
    let stdout = child.stdout.take().expect("standard output was piped just above");
    for line in BufReader::new(stdout).split(b'\n') {
        let line = line.with_context(|| format!("reading from {}", name(command)))?;
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        see(&line);
    }
    let status = child.wait().with_context(|| format!("waiting for {}", name(command)))?;
    ensure!(status.success(), "{} ended with {status}", name(command));
    Ok(())
}

/// The command as one would type it, without the path to the program.
fn name(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program());
    let mut text = program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned();
    for argument in command.get_args().take(4) {
        text.push(' ');
        text.push_str(&argument.to_string_lossy());
    }
    format!("`{text}`")
}
