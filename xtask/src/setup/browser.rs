//! A Chromium for the tests: the one that is named, one that is installed, or one that we can install.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::{command, lock, process, workspace};

/// Names the browser to use.
pub const VARIABLE: &str = "HEADWATER_CHROMIUM";

const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// The path of a Chromium, installed first if there is none.
pub fn find_or_install() -> Result<PathBuf> {
    if let Some(named) = std::env::var_os(VARIABLE).filter(|path| !path.is_empty()) {
        let named = PathBuf::from(named);
        ensure!(named.is_file(), "{VARIABLE} names {}, which is no file", named.display());
        println!("set-up: browser {} as {VARIABLE} says", named.display());
        return Ok(named);
    }
    let _lock = lock::wait(&workspace::scratch().join("browser.lock"), "another set-up")?;
    if let Some(found) = installed()? {
        println!("set-up: browser {}", found.display());
        return Ok(found);
    }
    install()?;
    let found = installed()?.with_context(|| {
        format!("no Chromium was found, and installing one did not help; install one and name it in {VARIABLE}")
    })?;
    println!("set-up: browser {} installed", found.display());
    Ok(found)
}

fn installed() -> Result<Option<PathBuf>> {
    if let Some(found) = NAMES.iter().find_map(|name| on_path(name)) {
        return Ok(Some(found));
    }
    let playwrights = playwrights_own()?;
    Ok(playwrights.is_file().then_some(playwrights))
}

fn on_path(name: &str) -> Option<PathBuf> {
    let directories = std::env::var_os("PATH")?;
    std::env::split_paths(&directories).map(|directory| directory.join(name)).find(|path| path.is_file())
}

/// Where Playwright puts its download, whether it is there or not.
fn playwrights_own() -> Result<PathBuf> {
    let script = "console.log(require('playwright-core').chromium.executablePath())";
    Ok(command::read(command::node().args(["-e", script]))?.into())
}

/// Debian's package where we may, since it brings its libraries along; else Playwright's download.
fn install() -> Result<()> {
    if process::is_root() && Path::new("/usr/bin/apt-get").exists() {
        println!("set-up: no Chromium found, installing Debian's package");
        match install_with_apt() {
            Ok(()) => return Ok(()),
            Err(error) => println!("set-up: that failed ({error:#})"),
        }
    }
    println!("set-up: no Chromium found, asking Playwright to download one");
    command::run(command::npm_bin("playwright-core").args(["install", "chromium"])).with_context(|| {
        format!("no Chromium was found and none could be downloaded; install one and name it in {VARIABLE}")
    })
}

fn install_with_apt() -> Result<()> {
    let apt = || {
        let mut apt = command::at_root("apt-get");
        apt.env("DEBIAN_FRONTEND", "noninteractive");
        apt
    };
    command::run(apt().args(["update", "--quiet=2"]))?;
    command::run(apt().args(["install", "--yes", "--quiet=2", "--no-install-recommends", "chromium"]))
}
