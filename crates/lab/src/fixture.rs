//! What the fixture programs share, and where the built programs are.
//!
//! It deliberately holds no test logic: the fixtures misbehave on command, and the test says when.

pub mod acme;
pub mod disk;
pub mod http;
pub mod notify;
pub mod remote;

use std::path::PathBuf;

use anyhow::{Result, ensure};

use crate::host::BINARIES;

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

/// The text of a unit that runs the fixture service on a port, with `/var/lib/NAME` as the folder in which it looks for
/// commands; lines may be added at its end, which is in `[Service]`.
#[must_use]
pub fn unit(name: &str, port: u16) -> String {
    format!(
        "[Service]\nType=notify\nExecStart={BINARIES}/ansai-lab-service --port {port} --state /var/lib/{name}\nStateDirectory={name}\n"
    )
}
