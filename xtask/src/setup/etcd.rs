//! An etcd for the tests: the one that is named, one that is installed, or Debian's where we may install it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::system;
use crate::{command, lock, workspace};

/// Names the etcd to use.
pub const VARIABLE: &str = "HEADWATER_ETCD";

const PACKAGE: &str = "etcd-server";
/// Where Debian puts it, which is not on everybody's path.
const DEBIANS: &str = "/usr/bin/etcd";
/// Where there is this directory, Debian's package starts a service.
const SYSTEMD: &str = "/run/systemd/system";

/// The path of an etcd, installed first if there is none.
pub fn find_or_install() -> Result<PathBuf> {
    if let Some(named) = system::named(VARIABLE)? {
        return Ok(named);
    }
    let _lock = lock::wait(&workspace::scratch().join("etcd.lock"), "another set-up")?;
    if let Some(found) = installed() {
        println!("set-up: etcd {}", found.display());
        return Ok(found);
    }
    let remedy = || format!("install etcd 3.4 or later (Debian's package is {PACKAGE}), or name one in {VARIABLE}");
    ensure!(system::may_install(), "no etcd was found; {}", remedy());
    println!("set-up: no etcd found, installing Debian's package");
    install().with_context(remedy)?;
    let found = installed().with_context(remedy)?;
    println!("set-up: etcd {} installed", found.display());
    Ok(found)
}

fn installed() -> Option<PathBuf> {
    system::on_path("etcd").or_else(|| Some(PathBuf::from(DEBIANS)).filter(|path| path.is_file()))
}

/// The tests start their own; the service that the package brings would only be in the way.
fn install() -> Result<()> {
    system::install(PACKAGE)?;
    if Path::new(SYSTEMD).exists() {
        command::run(command::at_root("systemctl").args(["disable", "--now", "--quiet", "etcd"]))?;
    }
    Ok(())
}
