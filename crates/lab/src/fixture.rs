//! What the fixture programs share, and where the built programs are.
//!
//! It deliberately holds no test logic: the fixtures misbehave on command, and the test says when.

pub mod http;
pub mod notify;

use std::path::PathBuf;

use anyhow::{Result, ensure};

/// The folder of the built programs: the one this program runs from, without cargo's `deps`.
#[must_use]
pub fn bin_dir() -> PathBuf {
    let mut folder = std::env::current_exe().unwrap_or_default();
    folder.pop();
    if folder.ends_with("deps") || folder.ends_with("examples") {
        folder.pop();
    }
    folder
}

/// A built program; an error that says how to build it if it is not there.
pub fn binary(name: &str) -> Result<PathBuf> {
    let path = bin_dir().join(name);
    ensure!(path.is_file(), "{} is not built: run `cargo build --workspace --bins`", path.display());
    Ok(path)
}
