//! What is left of a process that a drill has stopped: it is known by its start and the boot of the host.

use std::path::Path;

use rustix::process::Pid;

use super::{Lasting, boot};
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

/// That a process of a unit is stopped already, in words; by a drill, when one of these has stopped it.
pub(crate) fn stopped_already(unit: &str, pid: Pid, noted: &[Lasting]) -> Option<String> {
    let now = Lasting::stopping(unit, pid)?;
    let (number, _) = now.process().filter(|(_, process)| *process == Process::Stopped)?;
    Some(match noted.iter().any(|noted| noted.done == now.done) {
        true => {
            format!("a drill has stopped its main process {number} already; `ansai drill {unit} --undo` lets it go on")
        }
        false => format!("its main process {number} is stopped already (state T), and by no drill"),
    })
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use rustix::process::{Signal, WaitOptions, kill_process, waitpid};

    use super::*;

    #[test]
    fn what_is_stopped_already_is_not_stopped_again_and_whose_doing_it_is_is_said() {
        let mut child = Command::new("/bin/sleep").arg("600").spawn().expect("it starts");
        let pid = Pid::from_child(&child);
        let drill = Lasting::stopping("a.service", pid).expect("it runs");
        let said = |noted: &[Lasting]| stopped_already("a.service", pid, noted);
        assert_eq!(said(std::slice::from_ref(&drill)), None, "it runs");
        kill_process(pid, Signal::STOP).expect("stopped");
        waitpid(Some(pid), WaitOptions::UNTRACED).expect("it has stopped");
        assert!(said(&[drill]).is_some_and(|said| said.starts_with("a drill has stopped its main process ")));
        assert!(said(&[]).is_some_and(|said| said.ends_with("is stopped already (state T), and by no drill")));
        child.kill().expect("ended");
        child.wait().expect("waited for");
    }
}
