//! A Chromium for the tests: the one that is named, one that is installed, or one that we can install.

use std::path::PathBuf;

use anyhow::{Context, Result};

use super::system;
use crate::{command, lock, workspace};

/// Names the browser to use.
pub const VARIABLE: &str = "HEADWATER_CHROMIUM";

const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// The path of a Chromium, installed first if there is none.
pub fn find_or_install() -> Result<PathBuf> {
    if let Some(named) = system::named(VARIABLE)? {
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
    if let Some(found) = NAMES.iter().find_map(|name| system::on_path(name)) {
        return Ok(Some(found));
    }
    let playwrights = playwrights_own()?;
    Ok(playwrights.is_file().then_some(playwrights))
}

/// Where Playwright puts its download, whether it is there or not.
fn playwrights_own() -> Result<PathBuf> {
    let script = "console.log(require('playwright-core').chromium.executablePath())";
    Ok(command::read(command::node().args(["-e", script]))?.into())
}

/// Debian's package where we may, since it brings its libraries along; else Playwright's download.
fn install() -> Result<()> {
    if system::may_install() {
        println!("set-up: no Chromium found, installing Debian's package");
        match system::install("chromium") {
            Ok(()) => return Ok(()),
            Err(error) => println!("set-up: that failed ({error:#})"),
        }
    }
    println!("set-up: no Chromium found, asking Playwright to download one");
    command::run(command::npm_bin("playwright-core").args(["install", "chromium"])).with_context(|| {
        format!("no Chromium was found and none could be downloaded; install one and name it in {VARIABLE}")
    })
}
