//! What is left of a process that a drill has stopped: it is known by its start and the boot of the host.

use std::path::Path;

use rustix::process::Pid;

use super::boot;
use crate::linux::pid_file::held;

/// What is left of a process that a drill has stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Process {
    /// It is stopped still.
    Stopped,
    /// It runs: somebody has let it go on.
    Runs,
    /// It has ended.
    Ended,
}

impl Process {
    pub(super) fn of(pid: i32, started: u64, when: &str) -> Self {
        let Some(pid) = Pid::from_raw(pid).filter(|_| boot().as_deref() == Some(when)) else { return Self::Ended };
        if held(pid).ok().is_none_or(|named| named.identity.started != started) {
            return Self::Ended;
        }
        let stat = ansai_files::head_text(Path::new(&format!("/proc/{}/stat", pid.as_raw_nonzero())), 4096);
        // Its name stands in brackets and may hold any others; its state follows.
        let state = stat.ok().and_then(|stat| stat.rsplit_once(')')?.1.trim_start().chars().next());
        match state {
            None | Some('Z' | 'X') => Self::Ended,
            Some('T' | 't') => Self::Stopped,
            Some(_) => Self::Runs,
        }
    }
}
