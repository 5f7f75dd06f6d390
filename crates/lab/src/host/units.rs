//! A host's units: installing them, asking about them, and killing what they run.
//!
//! It deliberately asks `systemctl` rather than the bus: a test must not share the code that it tests.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::process::{Pid, PidfdFlags, Signal};

use super::Host;

impl Host {
    /// Writes a unit file and has systemd read it; neither enables nor starts it.
    pub fn install_unit(&self, name: &str, text: &str) -> Result<()> {
        self.write_file(format!("/etc/systemd/system/{name}"), text, 0o644)?;
        self.run_ok(&["systemctl", "daemon-reload"])?;
        Ok(())
    }

    /// Starts a unit and waits for its job.
    pub fn start(&self, unit: &str) -> Result<()> {
        self.run_ok(&["systemctl", "start", unit])?;
        Ok(())
    }

    /// Stops a unit as an operator does, and waits for its job.
    pub fn stop(&self, unit: &str) -> Result<()> {
        self.run_ok(&["systemctl", "stop", unit])?;
        Ok(())
    }

    /// One property of a unit as `systemctl show` prints it; empty when systemd has none.
    pub fn unit_property(&self, unit: &str, property: &str) -> Result<String> {
        Ok(self.run_ok(&["systemctl", "show", "--value", "-p", property, unit])?.text().to_owned())
    }

    /// Whether `ActiveState` is `active`.
    pub fn is_active(&self, unit: &str) -> Result<bool> {
        Ok(self.unit_property(unit, "ActiveState")? == "active")
    }

    /// Waits until a unit is active.
    pub fn wait_active(&self, unit: &str, limit: Duration) -> Result<()> {
        self.wait_until(&format!("{unit} to be active"), limit, || self.is_active(unit))
    }

    /// The main process as the host numbers it; `None` when the unit runs none.
    pub fn main_pid(&self, unit: &str) -> Result<Option<i32>> {
        let text = self.unit_property(unit, "MainPID")?;
        let pid: i32 = text.parse().with_context(|| format!("MainPID of {unit} is `{text}`"))?;
        Ok((pid != 0).then_some(pid))
    }

    /// The last lines of a unit's journal.
    pub fn journal(&self, unit: &str) -> Result<String> {
        Ok(self.run_ok(&["journalctl", "--no-pager", "-o", "short-precise", "-u", unit, "-n", "500"])?.stdout)
    }

    /// Sends a signal to a unit's main process at once, through a pidfd and with no process inside the host.
    pub fn signal_main(&self, unit: &str, signal: Signal) -> Result<()> {
        let pid = self.main_pid(unit)?.with_context(|| format!("{unit} runs no main process"))?;
        self.signal(self.outer_pid(pid)?, signal)
    }

    /// Sends a signal to a process of the host, numbered as outside.
    pub fn signal(&self, outer: Pid, signal: Signal) -> Result<()> {
        let pidfd = rustix::process::pidfd_open(outer, PidfdFlags::empty()).context("opening a pidfd")?;
        rustix::process::pidfd_send_signal(&pidfd, signal).context("sending a signal")
    }

    /// The number outside of a process that the host numbers `inner`.
    pub fn outer_pid(&self, inner: i32) -> Result<Pid> {
        let namespace = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
        let ours = namespace(&self.leader().as_raw_nonzero().to_string());
        let wanted = inner.to_string();
        for entry in fs::read_dir("/proc")?.flatten() {
            let pid = entry.file_name().to_string_lossy().into_owned();
            let Some(raw) = pid.parse().ok().and_then(Pid::from_raw) else { continue };
            let status = fs::read_to_string(entry.path().join("status")).unwrap_or_default();
            let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
            if numbers.split_whitespace().last() == Some(&wanted) && namespace(&pid) == ours {
                return Ok(raw);
            }
        }
        anyhow::bail!("no process {inner} on lab host `{}`", self.name)
    }

    /// The file that lists a running unit's processes, numbered as outside: the cheapest way to watch a unit.
    pub fn unit_processes_file(&self, unit: &str) -> Result<PathBuf> {
        let cgroup = self.unit_property(unit, "ControlGroup")?;
        let folder = self.container.cgroup(&cgroup).with_context(|| format!("no cgroup `{cgroup}` of {unit}"))?;
        Ok(folder.join("cgroup.procs"))
    }

    /// The processes of a running unit, numbered as outside.
    pub fn unit_processes(&self, unit: &str) -> Result<Vec<Pid>> {
        let text = fs::read_to_string(self.unit_processes_file(unit)?)?;
        Ok(text.lines().filter_map(|line| line.parse().ok().and_then(Pid::from_raw)).collect())
    }
}
