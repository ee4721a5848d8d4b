//! The JavaScript side of set-up: Node.js itself and the packages of the lock file.

use anyhow::{Context, Result, ensure};

use crate::stamp::Stamp;
use crate::{command, workspace};

const NODE_MAJOR_MIN: u32 = 20;

pub fn ensure_node() -> Result<()> {
    let version = command::read(command::node().arg("--version"))
        .with_context(|| format!("Node.js {NODE_MAJOR_MIN} or later is needed; see https://nodejs.org"))?;
    let major = version.trim_start_matches('v').split('.').next().and_then(|major| major.parse().ok());
    let major: u32 = major.with_context(|| format!("`node --version` printed {version:?}"))?;
    ensure!(
        major >= NODE_MAJOR_MIN,
        "Node.js {NODE_MAJOR_MIN} or later is needed, this is {version}; see https://nodejs.org"
    );
    println!("set-up: Node.js {version}");
    Ok(())
}

/// Installs what the lock file names, if it changed since the last time. No package needs its install script.
pub fn ensure_packages() -> Result<()> {
    let stamp = Stamp {
        name: "npm".to_owned(),
        inputs: vec![workspace::path("package-lock.json")],
        outputs: vec![workspace::path("node_modules/.package-lock.json")],
    };
    let ran = stamp.renew(|| {
        println!("set-up: installing the npm packages of the lock file");
        command::run(command::npm().args(["ci", "--ignore-scripts", "--loglevel=error"]))
    })?;
    if !ran {
        println!("set-up: npm packages are as the lock file says");
    }
    Ok(())
}
