//! Where things lie in the repository. Nothing else in xtask spells a path from the root.

use std::path::{Path, PathBuf};

/// The repository's root.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask is a member of the workspace, so its manifest has a directory above it")
}

/// A path below the root.
pub fn path(relative: &str) -> PathBuf {
    root().join(relative)
}

/// Where xtask keeps its own notes: stamps, locks, intermediate files. `cargo clean` takes them along.
pub fn scratch() -> PathBuf {
    path("target/xtask")
}
