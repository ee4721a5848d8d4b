//! A directory for workerd to keep Durable Objects in, claimed so that no second workerd opens it: nothing in workerd
//! would keep two from writing to the same object.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};

use crate::lock::{self, Lock};

pub struct Storage {
    lock: Lock,
    directory: PathBuf,
}

impl Storage {
    /// Claims `home/storage`. Fails if it is in use.
    pub fn claim(home: &Path) -> Result<Storage> {
        let Some(lock) = lock::try_take(&home.join("lock"))? else {
            bail!("another demo uses {}; stop that one first", home.display());
        };
        let directory = home.join("storage");
        fs::create_dir_all(&directory).with_context(|| format!("creating {}", directory.display()))?;
        Ok(Storage { lock, directory })
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    pub fn empty(&self) -> Result<()> {
        fs::remove_dir_all(&self.directory)
            .and_then(|()| fs::create_dir(&self.directory))
            .with_context(|| format!("emptying {}", self.directory.display()))
    }

    /// The claim, to be handed to workerd as its standard input.
    pub fn into_stdin(self) -> Stdio {
        self.lock.into_stdin()
    }
}
