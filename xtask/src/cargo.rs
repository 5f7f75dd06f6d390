//! Calls cargo in the project's root.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

/// The project's root.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Runs cargo with its output passed through.
pub(crate) fn run(arguments: &[&str]) -> Result<()> {
    let status = command(arguments).status().context("cargo cannot be run")?;
    if !status.success() {
        bail!("`cargo {}` failed", arguments.join(" "));
    }
    Ok(())
}

/// Whether cargo has a command of that name here.
pub(crate) fn is_there(subcommand: &str) -> bool {
    let output = command(&[subcommand, "--version"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    output.is_ok_and(|status| status.success())
}

/// Runs cargo and returns what it said on standard output.
pub(crate) fn read(arguments: &[&str]) -> Result<(bool, String)> {
    let output = command(arguments).stdout(Stdio::piped()).output().context("cargo cannot be run")?;
    Ok((output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned()))
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
    command.args(arguments).current_dir(root());
    command
}
