//! Whether a process can act no more, though it has not ended: each of its threads has ended or has SIGKILL before it,
//! which no program can put off, so that none of them comes back from the call that it waits in.

use std::{fs, io, path::Path};

/// The bit of SIGKILL in the masks of proc(5).
const KILL: u64 = 1 << 8;
/// An agent has a few threads, and never this many.
const THREADS_MAX: usize = 4096;
/// Of a file that tells of a thread.
const BYTES_MAX: u64 = 64 * 1024;

/// A process that was killed and has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Predecessor {
    /// The number of the process.
    pub pid: u32,
    /// When it was started, in ticks since the host was: no other process has both.
    started: u64,
}

impl Predecessor {
    /// This process, when it can act no more; nothing when it can, is unknown, or has ended.
    #[must_use]
    pub fn of(pid: u32) -> Option<Self> {
        let folder = Path::new("/proc").join(pid.to_string());
        let started = started(&folder)?;
        let threads: Vec<_> = fs::read_dir(folder.join("task")).ok()?.take(THREADS_MAX + 1).collect();
        if threads.is_empty() || threads.len() > THREADS_MAX {
            return None;
        }
        let is_done = threads.into_iter().all(|thread| thread.is_ok_and(|thread| is_dying_thread(&thread.path())));
        // It is the same process that was looked at throughout.
        (is_done && self::started(&folder) == Some(started)).then_some(Self { pid, started })
    }

    /// Whether it has ended by now.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        started(&Path::new("/proc").join(self.pid.to_string())) != Some(self.started)
    }

    #[cfg(test)]
    #[expect(clippy::unnecessary_wraps, reason = "it stands in for the look")]
    pub(crate) fn for_test(pid: u32) -> Option<Self> {
        Some(Self { pid, started: 1 })
    }
}

/// A thread that has gone meanwhile acts no more either.
fn is_dying_thread(folder: &Path) -> bool {
    match ansai_files::head_text(&folder.join("status"), BYTES_MAX).map_err(io::Error::from) {
        Ok(status) => is_dying(&status),
        Err(error) => {
            error.kind() == io::ErrorKind::NotFound
                || error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error())
        }
    }
}

fn is_dying(status: &str) -> bool {
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let is_pending = |name: &str| {
        field(name).and_then(|mask| u64::from_str_radix(mask, 16).ok()).is_some_and(|mask| mask & KILL != 0)
    };
    let has_ended = field("State:").is_some_and(|state| state.starts_with(['Z', 'X']));
    has_ended || is_pending("SigPnd:") || is_pending("ShdPnd:")
}

/// Field 22 of /proc/PID/stat.
fn started(folder: &Path) -> Option<u64> {
    let stat = ansai_files::head_text(&folder.join("stat"), BYTES_MAX).ok()?;
    // The name in parentheses may hold anything, so the fields are counted after its end: state is the third.
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_ended_or_is_killed_counts() {
        let status = |state: &str, own: &str, shared: &str| {
            is_dying(&format!("Name:\tansai\nState:\t{state}\nSigPnd:\t{own}\nShdPnd:\t{shared}\n"))
        };
        let none = "0000000000000000";
        assert!(!status("D (disk sleep)", none, none), "it waits, and goes on when it is answered");
        assert!(!status("S (sleeping)", "0000000000004000", none), "SIGTERM is no SIGKILL");
        assert!(status("D (disk sleep)", "0000000000000100", none));
        assert!(status("D (disk sleep)", none, "0000000000000100"));
        assert!(status("Z (zombie)", none, none));
        assert!(!is_dying(""));
    }

    #[test]
    fn a_process_that_runs_can_act_and_a_zombie_cannot() {
        assert_eq!(Predecessor::of(std::process::id()), None);
        assert_eq!(Predecessor::of(u32::MAX), None);
        let mut child = std::process::Command::new("sleep").arg("600").spawn().expect("begun");
        assert_eq!(Predecessor::of(child.id()), None);
        child.kill().expect("killed");
        let zombie = loop {
            // The kernel ends it in its own time.
            if let Some(zombie) = Predecessor::of(child.id()) {
                break zombie;
            }
            std::thread::yield_now();
        };
        assert!(!zombie.has_ended());
        child.wait().expect("ended");
        assert!(zombie.has_ended());
    }
}
