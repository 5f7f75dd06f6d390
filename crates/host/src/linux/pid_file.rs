//! The process that a pid file names: held by a pidfd first, then looked at.
//!
//! Whoever may write the file could name any process, and have root adopt and end it. So a file that somebody else than
//! root may write is only believed about a process of that user's own, in the agent's own cgroup, where whatever the agent
//! starts stays, and begun by the command that the file was read after.

use std::{os::fd::OwnedFd, path::Path};

use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::{
    owned_path::{Folder, Trusted, name_of},
    processes::{Identity, identity_of},
};

/// A pid file holds a number.
const BYTES_MAX: u64 = 64;
/// Ticks of a second in what /proc tells, on every architecture.
const TICKS: u64 = 100;
const PROC_BYTES_MAX: u64 = 64 * 1024;

/// A process that cannot come to mean another one.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) fd: OwnedFd,
    pub(super) identity: Identity,
}

/// Now, as the times in /proc are told.
pub(super) fn ticks_now() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let (seconds, nanos) = (u64::try_from(now.tv_sec), u64::try_from(now.tv_nsec));
    seconds.unwrap_or_default() * TICKS + nanos.unwrap_or_default() / (1_000_000_000 / TICKS)
}

/// Holds a process, so that its pid cannot come to mean another one unnoticed.
pub(super) fn held(pid: Pid) -> Result<Named, String> {
    let shown = pid.as_raw_nonzero();
    let fd =
        pidfd_open(pid, PidfdFlags::NONBLOCK).map_err(|error| format!("process {shown} cannot be watched: {error}"))?;
    let identity = identity_of(pid).ok_or_else(|| format!("process {shown} has ended"))?;
    Ok(Named { fd, identity })
}

/// The process that a file names, which was written after `begun`.
///
/// # Errors
/// When the file cannot be trusted, names no running process, or names one that its writer has no right to name.
pub(super) fn named(file: &Path, begun: u64) -> Result<Named, String> {
    let shown = file.display();
    let (folder, name) = Folder::above(file, &Trusted::own().and_one_other())?;
    let found = folder.file(&name)?.ok_or_else(|| format!("{shown} was not written"))?;
    let text = String::from_utf8_lossy(&found.bytes(BYTES_MAX)?).into_owned();
    let pid = text.trim().parse().ok().and_then(Pid::from_raw);
    let named = held(pid.ok_or_else(|| format!("{shown} names no running process"))?)
        .map_err(|why| format!("{shown} names no running process: {why}"))?;
    let pid = named.identity.pid.as_raw_nonzero();
    let told =
        |why: String| format!("{shown} names process {pid}, {why}: it is not believed, and the process is left alone");
    let ownership = found.ownership();
    let is_roots = ownership.uid == 0 && ownership.mode & 0o022 == 0 && found.is_surely_own();
    if !is_roots {
        // It may be the user of the folder who has put a file of root's there.
        let writer = if ownership.uid == 0 { folder.user().unwrap_or(0) } else { ownership.uid };
        let uid = owner_of(pid.get()).ok_or_else(|| told("of which nobody says whose it is".into()))?;
        if uid != writer {
            return Err(told(format!("which is {}'s, while {} may write the file", name_of(uid), name_of(writer))));
        }
        if proc_text(&pid.to_string(), "cgroup") != proc_text("self", "cgroup") {
            return Err(told("which runs in another control group than what the agent starts".into()));
        }
        if named.identity.started < begun {
            return Err(told("which ran before the command that was to start it".into()));
        }
    }
    // All of it was read of the process that is held only if that is still there.
    match identity_of(named.identity.pid) == Some(named.identity) {
        true => Ok(named),
        false => Err(format!("{shown} names no running process")),
    }
}

/// The user that a process runs as and can be signaled by; none when it is of two.
fn owner_of(pid: i32) -> Option<u32> {
    // Not the owner of its folder: that is root for whoever has given up root's rights.
    let status = proc_text(&pid.to_string(), "status")?;
    let ids = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    let mut ids = ids.split_whitespace().map(|id| id.parse::<u32>().ok());
    let (real, effective) = (ids.next()??, ids.next()??);
    (real == effective).then_some(real)
}

fn proc_text(process: &str, name: &str) -> Option<String> {
    ansai_files::head_text(Path::new(&format!("/proc/{process}/{name}")), PROC_BYTES_MAX).ok()
}
