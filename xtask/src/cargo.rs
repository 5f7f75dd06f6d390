//! Calls cargo in the project's root.

use std::{
    io::{Read, Write},
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

/// Runs cargo beside something else, which goes before it, and returns all that it said.
pub(crate) fn beside(arguments: &[&str]) -> Result<String> {
    let wanted = command(arguments);
    let mut command = Command::new("nice");
    command.args(["-n", "19"]).arg(wanted.get_program()).args(wanted.get_args()).current_dir(root());
    let output = command.output().context("nice of coreutils cannot be run")?;
    let said = [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
    if !output.status.success() {
        bail!("`cargo {}` failed:\n{said}", arguments.join(" "));
    }
    Ok(said)
}

/// Whether cargo has a command of that name here.
pub(crate) fn is_there(subcommand: &str) -> bool {
    let output = command(&[subcommand, "--version"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    output.is_ok_and(|status| status.success())
}

/// Runs cargo and returns what it said on standard output, which is not shown: messages for programs.
pub(crate) fn messages(arguments: &[&str]) -> Result<(bool, String)> {
    let output = command(arguments).stderr(Stdio::inherit()).output().context("cargo cannot be run")?;
    Ok((output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned()))
}

/// Runs cargo and returns what it said on standard output, which is shown as it comes.
pub(crate) fn read(arguments: &[&str]) -> Result<(bool, String)> {
    let mut child = command(arguments).stdout(Stdio::piped()).spawn().context("cargo cannot be run")?;
    let mut said = Vec::new();
    let mut output = child.stdout.take().context("cargo has no output")?;
    let mut part = [0; 4096];
    loop {
        let length = output.read(&mut part).context("cargo's output cannot be read")?;
        if length == 0 {
            break;
        }
        let mut shown = std::io::stdout().lock();
        // A terminal that has gone is no reason to stop testing.
        let _ = shown.write_all(&part[..length]).and_then(|()| shown.flush());
        said.extend_from_slice(&part[..length]);
    }
    let status = child.wait().context("cargo cannot be waited for")?;
    Ok((status.success(), String::from_utf8_lossy(&said).into_owned()))
}

/// Cargo with these words, in the project's root.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
    // An error of a test says in words where it comes from; forty lines of frames below it hide them.
    command.args(arguments).current_dir(root()).env("RUST_LIB_BACKTRACE", "0");
    command
}
