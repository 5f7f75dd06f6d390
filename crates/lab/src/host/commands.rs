//! Running commands inside a lab host, in its namespaces but not in its cgroups.
//!
//! It deliberately uses no shell and a small fixed environment, so that a test behaves alike on every machine.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::Host;
use crate::process::{self, Output};

const LIMIT: Duration = Duration::from_secs(30);

/// A command that runs in the background of a test; dropping it kills it.
#[derive(Debug)]
pub struct Background {
    child: Child,
}

impl Drop for Background {
    fn drop(&mut self) {
        if let Ok(pid) = process::pid_of(&self.child) {
            rustix::process::kill_process_group(pid, rustix::process::Signal::KILL).ok();
        }
        self.child.wait().ok();
    }
}

impl Host {
    /// Runs a command to its end; a failing exit code is an [`Output`], not an error.
    pub fn run(&self, command: &[&str]) -> Result<Output> {
        self.run_within(LIMIT, command)
    }

    /// Runs a command to its end; a failing exit code is an error that holds all the command said.
    pub fn run_ok(&self, command: &[&str]) -> Result<Output> {
        self.run(command)?.ok().with_context(|| format!("on lab host `{}`", self.name))
    }

    /// Runs a command that may take longer (or must take shorter) than the usual 30 s.
    pub fn run_within(&self, limit: Duration, command: &[&str]) -> Result<Output> {
        process::run(&mut self.command(command), None, limit).map(|output| self.shown(output, command))
    }

    /// Runs a command with `input` on its standard input.
    pub fn run_with_input(&self, command: &[&str], input: &[u8]) -> Result<Output> {
        process::run(&mut self.command(command), Some(input), LIMIT).map(|output| self.shown(output, command))
    }

    /// Starts a command and leaves it running until the handle is dropped; what it says is dropped too (a pipe nobody reads would stop it).
    pub fn spawn(&self, command: &[&str]) -> Result<Background> {
        use std::os::unix::process::CommandExt as _;
        let mut outer = self.command(command);
        outer.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let child = outer.spawn().with_context(|| format!("starting `{}`", command.join(" ")))?;
        Ok(Background { child })
    }

    fn command(&self, command: &[&str]) -> Command {
        let mut outer = Command::new("nsenter");
        outer.args(["--target", &self.leader().as_raw_nonzero().to_string()]);
        outer.args(["--mount", "--uts", "--ipc", "--net", "--pid", "--"]).args(command);
        outer.env_clear().env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        outer.envs([
            ("HOME", "/root"),
            ("LC_ALL", "C"),
            ("SYSTEMD_COLORS", "0"),
            ("SYSTEMD_PAGER", "cat"),
            ("NO_COLOR", "1"),
        ]);
        outer
    }

    fn shown(&self, output: Output, command: &[&str]) -> Output {
        Output { command: format!("{}: {}", self.name, command.join(" ")), ..output }
    }
}
