//! The container under a lab host: one systemd-nspawn process, its leader, its cgroups, and their end.
//!
//! Nothing may outlive the process that booted it, so nspawn is started by a thread that lives as long as this process
//! (the kernel's parent-death signal follows the *thread* that started a child) and carries that signal.
//! nspawn alone is not enough: its process 1 was seen to survive it, so both live in a pid namespace that the kernel ends as one.
//! It deliberately registers nothing with systemd-machined, which the machine may not run.

use std::fs::{self, File};
use std::io::{Read as _, Seek as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal};

use super::HostOptions;
use crate::poll;
use crate::process::{pid_of, spawn_for_life, wait_for_end};

const START_LIMIT: Duration = Duration::from_secs(30);
const END_LIMIT: Duration = Duration::from_secs(10);

/// Joins the cgroups in `$1` (separated by spaces), then becomes the keeper of a pid namespace with nspawn in it.
const ENTER: &str = r#"for c in $1; do echo $$ > "$c/cgroup.procs"; done; shift; exec setpriv --pdeathsig KILL -- unshare --pid --fork --kill-child=KILL --mount-proc -- systemd-nspawn "$@""#;

#[derive(Debug)]
pub(super) struct Container {
    keeper: Child,
    leader: Option<Pid>,
    cgroups: Vec<PathBuf>,
    console: File,
}

impl Container {
    /// Starts nspawn over `root` and waits until the host's process 1 is there.
    pub(super) fn start(root: &Path, machine: &str, options: &HostOptions) -> Result<Self> {
        remove_stale_cgroups();
        let cgroups = create_cgroups(machine)?;
        let console = memory_file()?;
        let mut command = Command::new("sh");
        command
            .args(["-e", "-c", ENTER, "lab"])
            .arg(cgroups.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" "));
        command.args([
            "-q",
            "--volatile=overlay",
            "--boot",
            "--register=no",
            "--keep-unit",
            "--private-network",
            "--console=passive",
        ]);
        command.arg("--resolv-conf=off").arg("--timezone=off").arg("-D").arg(root);
        command
            .arg(format!("--machine={machine}"))
            .arg(format!("--hostname={}", options.name))
            .args(&options.arguments);
        if options.is_unified {
            command.env("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", "1");
        }
        command.stdin(Stdio::null()).stdout(console.try_clone()?).stderr(console.try_clone()?);
        let keeper = spawn_for_life(command).context("starting systemd-nspawn")?;
        let mut container = Self { keeper, leader: None, cgroups, console };
        let leader = poll::until("the container's process 1", START_LIMIT, poll::INTERVAL_FAST, || {
            container.check_alive()?;
            Ok(find_leader(container.keeper.id()))
        });
        container.leader = Some(leader.with_context(|| format!("starting systemd-nspawn\n{}", container.console()))?);
        Ok(container)
    }

    /// The host's process 1, numbered as outside.
    pub(super) fn leader(&self) -> Pid {
        self.leader.unwrap_or(Pid::INIT)
    }

    /// An error when nspawn has ended.
    pub(super) fn check_alive(&self) -> Result<()> {
        if wait_for_end(&self.keeper, Duration::ZERO)? {
            bail!("systemd-nspawn ended");
        }
        Ok(())
    }

    /// The machine's view of a cgroup of the host, in the first hierarchy that has it.
    pub(super) fn cgroup(&self, inside: &str) -> Option<PathBuf> {
        let inside = inside.trim_start_matches('/');
        self.cgroups.iter().map(|cgroup| cgroup.join("payload").join(inside)).find(|path| path.is_dir())
    }

    /// What nspawn and the host's console said.
    pub(super) fn console(&self) -> String {
        let mut text = String::new();
        if let Ok(mut file) = self.console.try_clone() {
            file.rewind().and_then(|()| file.read_to_string(&mut text)).ok();
        }
        format!("── console ──\n{}", text.trim_end())
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // Killing process 1 ends its whole pid namespace, and nspawn then cleans up behind it.
        if let Some(leader) = self.leader {
            rustix::process::kill_process(leader, Signal::KILL).ok();
        }
        let has_ended = self.leader.is_some() && wait_for_end(&self.keeper, END_LIMIT).unwrap_or(false);
        if !has_ended && let Ok(pid) = pid_of(&self.keeper) {
            rustix::process::kill_process(pid, Signal::KILL).ok();
        }
        self.keeper.wait().ok();
        // The kernel lets go of a cgroup only after its last process is gone altogether.
        let gone = || Ok(self.cgroups.iter().all(|cgroup| remove_cgroup(cgroup)).then_some(()));
        poll::until("the host's cgroups to be empty", END_LIMIT, poll::INTERVAL, gone).ok();
    }
}

/// The process below the keeper that is process 1 of a pid namespace of its own and has become systemd.
fn find_leader(keeper: u32) -> Option<Pid> {
    let nspawn = children(&keeper.to_string()).into_iter().next()?;
    let is_leader = |pid: &String| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let inner = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
        let inner: Vec<&str> = inner.unwrap_or_default().split_whitespace().collect();
        status.starts_with("Name:\tsystemd\n") && inner.len() > 2 && inner.last() == Some(&"1")
    };
    let leader = children(&nspawn).into_iter().find(is_leader)?;
    leader.parse().ok().and_then(Pid::from_raw)
}

fn children(pid: &str) -> Vec<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().map(str::to_owned).collect()
}

/// The hierarchies in which systemd sorts processes: v1's named one, the hybrid's v2 one, or v2 alone.
fn hierarchies() -> Vec<PathBuf> {
    let all = ["/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified", "/sys/fs/cgroup"];
    all.iter().map(PathBuf::from).filter(|path| path.join("cgroup.procs").exists()).collect()
}

/// A cgroup of its own in every hierarchy: without one, two hosts would sort their processes into the same.
fn create_cgroups(machine: &str) -> Result<Vec<PathBuf>> {
    let mut cgroups = Vec::new();
    for hierarchy in hierarchies() {
        let cgroup = hierarchy.join(machine);
        fs::create_dir(&cgroup).with_context(|| format!("creating the cgroup {}", cgroup.display()))?;
        cgroups.push(cgroup);
    }
    Ok(cgroups)
}

/// Removes a cgroup and those below it; true when nothing is left.
fn remove_cgroup(cgroup: &Path) -> bool {
    if let Ok(entries) = fs::read_dir(cgroup) {
        for path in entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()) {
            remove_cgroup(&path);
        }
    }
    fs::remove_dir(cgroup).is_ok() || !cgroup.exists()
}

/// Removes what hosts of killed processes left: their names carry the process id.
fn remove_stale_cgroups() {
    for hierarchy in hierarchies() {
        let Ok(entries) = fs::read_dir(hierarchy) else { continue };
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let owner = name.strip_prefix("ansai-lab-").and_then(|rest| rest.split('-').next());
            if owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
                remove_cgroup(&entry.path());
            }
        }
    }
}

fn memory_file() -> Result<File> {
    let file = rustix::fs::memfd_create("ansai-lab-console", rustix::fs::MemfdFlags::CLOEXEC);
    Ok(File::from(file.context("creating a memory file for the console")?))
}
