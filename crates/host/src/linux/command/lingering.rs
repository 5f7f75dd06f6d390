//! Commands that were killed and have not ended: a process that waits for a disk or a server takes no signal, and must
//! not be joined by another one of its kind at every look.

use std::{
    collections::BTreeMap,
    fs,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use ansai_model::probe::CommandLine;
use rustix::process::{Pid, test_kill_process_group};

/// Most commands that are remembered; the oldest is forgotten first.
const REMEMBERED_MAX: usize = 1024;
const PROCESSES_MAX: usize = 65_536;
/// Some fifty numbers and a name.
const STAT_BYTES_MAX: u64 = 4096;

/// A group that was killed.
#[derive(Clone, Copy, Debug)]
struct Killed {
    group: Pid,
    at: Instant,
}

static KILLED: Mutex<BTreeMap<String, Killed>> = Mutex::new(BTreeMap::new());

fn key(command: &CommandLine) -> String {
    format!("{} {:?} {:?}", command.shown(), command.directory, command.user)
}

/// Remembers that the group of a command was killed.
pub(super) fn remember(command: &CommandLine, group: Pid) {
    let mut killed = KILLED.lock().unwrap_or_else(PoisonError::into_inner);
    if killed.len() >= REMEMBERED_MAX {
        let oldest = killed.iter().min_by_key(|(_, killed)| killed.at).map(|(key, _)| key.clone());
        oldest.and_then(|oldest| killed.remove(&oldest));
    }
    killed.insert(key(command), Killed { group, at: Instant::now() });
}

/// For how long the last one of its kind has outlived its kill; nothing when it has ended, or was not killed.
pub(super) fn lingers(command: &CommandLine) -> Option<Duration> {
    let mut remembered = KILLED.lock().unwrap_or_else(PoisonError::into_inner);
    let key = key(command);
    let killed = *remembered.get(&key)?;
    if is_there(killed.group) {
        return Some(killed.at.elapsed());
    }
    remembered.remove(&key);
    None
}

/// Whether a process of the group still runs, or waits where no signal reaches it. One that has ended and was not fetched
/// by its parent is there for the kernel, and gone for us.
fn is_there(group: Pid) -> bool {
    if test_kill_process_group(group).is_err() {
        return false;
    }
    let Ok(processes) = fs::read_dir("/proc") else { return false };
    let number = group.as_raw_nonzero().get().to_string();
    processes.flatten().take(PROCESSES_MAX).any(|process| {
        let name = process.file_name();
        let is_process = name.to_str().is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
        is_process && {
            let stat = ansai_files::head_text(&process.path().join("stat"), STAT_BYTES_MAX);
            stat.is_ok_and(|stat| is_alive_in(&stat, &number))
        }
    })
}

/// Whether a line of /proc/PID/stat, see proc(5), is of this group and of a process that has not ended.
fn is_alive_in(stat: &str, group: &str) -> bool {
    // The name in parentheses may hold anything, so the fields are counted after its end: state, parent, group.
    let Some((_, fields)) = stat.rsplit_once(')') else { return false };
    let mut fields = fields.split_whitespace();
    let state = fields.next();
    fields.nth(1) == Some(group) && !matches!(state, Some("Z" | "X") | None)
}

#[cfg(test)]
mod tests {
    use std::{os::unix::process::CommandExt, process::Command};

    use super::*;

    #[test]
    fn a_group_is_alive_until_its_last_process_has_ended() {
        assert!(is_alive_in("12 (a) b) D 1 77 77 0", "77"));
        assert!(!is_alive_in("12 (a) b) Z 1 77 77 0", "77"));
        assert!(!is_alive_in("12 (a) D 1 7 77 0", "77"));
        assert!(!is_alive_in("", "77"));
    }

    #[test]
    fn a_killed_command_lingers_until_it_has_ended() {
        let command = CommandLine::new(["lingering", "test"]);
        assert!(lingers(&command).is_none());
        let mut child = Command::new("sleep").arg("600").process_group(0).spawn().expect("begun");
        let group = Pid::from_raw(i32::try_from(child.id()).expect("a pid")).expect("not zero");
        remember(&command, group);
        assert!(lingers(&command).is_some());
        assert!(lingers(&CommandLine::new(["another"])).is_none());
        child.kill().and_then(|()| child.wait()).expect("ended");
        assert!(lingers(&command).is_none());
    }
}
