//! Programs of the operating system: found where it keeps them, and installed with Debian's packages where we may.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use crate::{command, process};

/// The program that somebody named in a variable, if they did.
pub fn named(variable: &str) -> Result<Option<PathBuf>> {
    let Some(named) = std::env::var_os(variable).filter(|path| !path.is_empty()).map(PathBuf::from) else {
        return Ok(None);
    };
    ensure!(named.is_file(), "{variable} names {}, which is no file", named.display());
    println!("set-up: {} as {variable} says", named.display());
    Ok(Some(named))
}

pub fn on_path(name: &str) -> Option<PathBuf> {
    let directories = std::env::var_os("PATH")?;
    std::env::split_paths(&directories).map(|directory| directory.join(name)).find(|path| path.is_file())
}

/// Whether there is apt, and we are root.
pub fn may_install() -> bool {
    process::is_root() && Path::new("/usr/bin/apt-get").exists()
}

pub fn install(package: &str) -> Result<()> {
    let apt = || {
        let mut apt = command::at_root("apt-get");
        apt.env("DEBIAN_FRONTEND", "noninteractive");
        apt
    };
    command::run(apt().args(["update", "--quiet=2"]))?;
    command::run(apt().args(["install", "--yes", "--quiet=2", "--no-install-recommends", package]))
}
