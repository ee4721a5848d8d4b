//! Whether a step's work is still good: a digest of what it read, kept from the last time it succeeded.
//! Contents count, not times, so that a fresh checkout or a touched file costs nothing.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::workspace;

/// What a step reads, what it leaves behind, and the name its digest is kept under.
pub struct Stamp {
    pub name: String,
    /// Files and directories.
    pub inputs: Vec<PathBuf>,
    pub outputs: Vec<PathBuf>,
}

impl Stamp {
    /// Runs `work` unless the outputs exist and the inputs are what they were. Says whether it ran.
    pub fn renew(&self, work: impl FnOnce() -> Result<()>) -> Result<bool> {
        let digest = self.digest()?;
        let kept = workspace::scratch().join("stamps").join(&self.name);
        let unchanged = fs::read_to_string(&kept).is_ok_and(|old| old == digest);
        if unchanged && self.outputs.iter().all(|output| output.exists()) {
            return Ok(false);
        }
        work()?;
        fs::create_dir_all(kept.parent().expect("the stamp lies in a directory"))?;
        fs::write(&kept, digest).with_context(|| format!("writing {}", kept.display()))?;
        Ok(true)
    }

    fn digest(&self) -> Result<String> {
        let mut hasher = DefaultHasher::new();
        for input in &self.inputs {
            hash_tree(input, &mut hasher)?;
        }
        Ok(format!("{:016x}\n", hasher.finish()))
    }
}

fn hash_tree(path: &Path, hasher: &mut DefaultHasher) -> Result<()> {
    path.hash(hasher);
    if path.is_dir() {
        let mut names = fs::read_dir(path)
            .and_then(|entries| entries.map(|entry| entry.map(|e| e.path())).collect::<Result<Vec<_>, _>>())
            .with_context(|| format!("listing {}", path.display()))?;
        names.sort();
        return names.iter().try_for_each(|name| hash_tree(name, hasher));
    }
    match fs::read(path) {
        Ok(bytes) => bytes.hash(hasher),
        // An absent input is a fact like any other; the step itself says whether it minds.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => false.hash(hasher),
        Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
    }
    Ok(())
}
