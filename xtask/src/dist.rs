//! `cargo xtask dist`: the release build as a Debian package. What is in the package stands in `packaging/`.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::cargo;

/// Where packages are put.
const FOLDER: &str = "target/dist";

/// Builds the program for release, and the package of it.
pub(crate) fn run() -> Result<()> {
    cargo::run(&["build", "--release", "--quiet", "-p", "ansai-cli"])?;
    let mut build = Command::new(cargo::root().join("packaging/deb/build"));
    build.args(["target/release/ansai", FOLDER]).current_dir(cargo::root());
    let status = build.status().context("packaging/deb/build cannot be run")?;
    if status.success() { Ok(()) } else { bail!("packaging/deb/build ended with {status}") }
}
