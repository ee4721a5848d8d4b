//! One of us at a time, for what two would spoil for each other.

use std::fs::{self, File, TryLockError};
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result};

/// Held until dropped, also when the process dies.
pub struct Lock(File);

impl Lock {
    /// Something to hand to a child as its standard input: the child then holds the lock as long as it lives, also when
    /// it outlives us.
    pub fn into_stdin(self) -> Stdio {
        self.0.into()
    }
}

/// Waits for the lock and says so if it has to.
pub fn wait(path: &Path, whose: &str) -> Result<Lock> {
    if let Some(lock) = try_take(path)? {
        return Ok(lock);
    }
    println!("waiting for {whose} to finish");
    let file = open(path)?;
    file.lock().with_context(|| format!("locking {}", path.display()))?;
    Ok(Lock(file))
}

/// Takes the lock unless somebody holds it.
pub fn try_take(path: &Path) -> Result<Option<Lock>> {
    let file = open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(Lock(file))),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(cause)) => Err(cause).with_context(|| format!("locking {}", path.display())),
    }
}

fn open(path: &Path) -> Result<File> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).with_context(|| format!("creating {}", directory.display()))?;
    }
    File::options()
        .create(true)
        .write(true)
        .truncate(false)
        .open(path)
        .with_context(|| format!("opening {}", path.display()))
}
