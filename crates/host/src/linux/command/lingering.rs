//! Commands that were killed and have not ended: a process that waits for a disk or a server takes no signal, and must
//! not be joined by another one of its kind at every look.
//!
//! A group is known by its number and by when it was killed: none of its processes began after that, while one that has got
//! the number of a group that is gone did.

use std::{
    collections::BTreeMap,
    fs,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use ansai_model::probe::CommandLine;
use rustix::{
    io::Errno,
    process::{Pid, test_kill_process_group},
    time::{ClockId, clock_gettime},
};

use crate::linux::aside::{self, Kind, Work};

/// Longest search for what is left of a group: many small files of the kernel.
const SEARCH_TIME: Duration = Duration::from_secs(2);
/// Most commands that are remembered; the oldest is forgotten first.
const REMEMBERED_MAX: usize = 1024;
const PROCESSES_MAX: usize = 65_536;
/// What the kernel counts in on every architecture that systemd runs on.
const TICKS_PER_SECOND: u64 = 100;
/// Some fifty numbers and a name.
const STAT_BYTES_MAX: u64 = 4096;

/// A group that was killed.
#[derive(Clone, Copy, Debug)]
struct Killed {
    group: Pid,
    at: Instant,
    /// The same in ticks since the host was started, as the kernel counts the start of a process.
    at_tick: u64,
}

static KILLED: Mutex<BTreeMap<String, Killed>> = Mutex::new(BTreeMap::new());

fn key(command: &CommandLine) -> String {
    format!("{} {:?} {:?}", command.shown(), command.directory, command.user)
}

/// Remembers that the group of a command was killed.
pub(super) fn remember(command: &CommandLine, group: Pid) {
    let mut killed = remembered();
    if killed.len() >= REMEMBERED_MAX {
        let oldest = killed.iter().min_by_key(|(_, killed)| killed.at).map(|(key, _)| key.clone());
        oldest.and_then(|oldest| killed.remove(&oldest));
    }
    killed.insert(key(command), Killed { group, at: Instant::now(), at_tick: ticks_now() });
}

/// Ticks since the host was started, a begun one included.
fn ticks_now() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    let (seconds, nanos) = (now.tv_sec.unsigned_abs(), now.tv_nsec.unsigned_abs());
    seconds * TICKS_PER_SECOND + nanos * TICKS_PER_SECOND / 1_000_000_000
}

/// For how long the last one of its kind has outlived its kill; nothing when it has ended, or was not killed.
pub(super) async fn lingers(command: &CommandLine) -> Option<Duration> {
    let key = key(command);
    let killed = *remembered().get(&key)?;
    if is_there(killed).await {
        return Some(killed.at.elapsed());
    }
    let mut remembered = remembered();
    // Another of its kind may have been killed meanwhile.
    if remembered.get(&key).is_some_and(|now| now.at == killed.at) {
        remembered.remove(&key);
    }
    None
}

fn remembered() -> MutexGuard<'static, BTreeMap<String, Killed>> {
    KILLED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether a process of the group still runs, or waits where no signal reaches it. Where that cannot be told in time it is
/// taken to do so.
async fn is_there(killed: Killed) -> bool {
    // A group that may not be signalled, as of a program with its owner's powers, is there.
    if test_kill_process_group(killed.group) == Err(Errno::SRCH) {
        return false;
    }
    let work = Work::new(Kind::Look, format!("what is left of the group {}", killed.group.as_raw_nonzero()));
    aside::run(work, SEARCH_TIME, move || is_among_processes(killed)).await.unwrap_or(true)
}

/// Goes through the processes of the host. One that has ended and was not fetched by its parent is there for the kernel,
/// and gone for us.
fn is_among_processes(killed: Killed) -> bool {
    let Ok(processes) = fs::read_dir("/proc") else { return false };
    let number = killed.group.as_raw_nonzero().get().to_string();
    processes.flatten().take(PROCESSES_MAX).any(|process| {
        let name = process.file_name();
        let is_process = name.to_str().is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
        is_process && {
            let stat = ansai_files::head_text(&process.path().join("stat"), STAT_BYTES_MAX);
            stat.is_ok_and(|stat| is_alive_in(&stat, &number, killed.at_tick))
        }
    })
}

/// Whether a line of /proc/PID/stat, see proc(5), is of this group and of a process that began before it was killed and has
/// not ended.
fn is_alive_in(stat: &str, group: &str, killed_at: u64) -> bool {
    // The name in parentheses may hold anything, so the fields are counted after its end: state, parent, group, and the
    // start as the twentieth.
    let Some((_, fields)) = stat.rsplit_once(')') else { return false };
    let fields: Vec<&str> = fields.split_whitespace().take(20).collect();
    let began = fields.get(19).and_then(|ticks| ticks.parse::<u64>().ok());
    let has_ended = matches!(fields.first(), Some(&("Z" | "X")) | None);
    fields.get(2) == Some(&group) && !has_ended && began.is_none_or(|began| began <= killed_at)
}

#[cfg(test)]
mod tests {
    use std::{os::unix::process::CommandExt, process::Command};

    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn a_group_is_alive_until_its_last_process_has_ended() {
        let stat = |state: &str, group: &str, began: u64| {
            format!("12 (a) b) {state} 1 {group} 77 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 {began} 0 0")
        };
        assert!(is_alive_in(&stat("D", "77", 900), "77", 1000));
        assert!(!is_alive_in(&stat("Z", "77", 900), "77", 1000));
        assert!(!is_alive_in(&stat("D", "7", 900), "77", 1000));
        assert!(!is_alive_in(&stat("S", "77", 1001), "77", 1000), "it has only got the number");
        assert!(!is_alive_in("", "77", 1000));
    }

    #[tokio::test]
    async fn a_process_that_has_got_the_number_of_a_group_that_is_gone_is_not_taken_for_it() {
        let command = CommandLine::new(["lingering", "number"]);
        let mut child = Command::new("sleep").arg("600").process_group(0).spawn().expect("begun");
        let group = Pid::from_raw(i32::try_from(child.id()).expect("a pid")).expect("not zero");
        // As though a group of this number had been killed before there was this one.
        let killed = Killed { group, at: Instant::now(), at_tick: 1 };
        KILLED.lock().expect("whole").insert(key(&command), killed);
        assert!(lingers(&command).await.is_none());
        child.kill().and_then(|()| child.wait()).expect("ended");
    }

    #[tokio::test]
    async fn a_killed_command_lingers_until_it_has_ended() {
        let command = CommandLine::new(["lingering", "test"]);
        assert!(lingers(&command).await.is_none());
        let mut child = Command::new("sleep").arg("600").process_group(0).spawn().expect("begun");
        let group = Pid::from_raw(i32::try_from(child.id()).expect("a pid")).expect("not zero");
        remember(&command, group);
        // What there may be many of is not gone through on the loop: of many questions one at least has to be waited for, however
        // quick the other thread is.
        assert!((0..1000).any(|_| lingers(&command).now_or_never().is_none()), "the loop waited for each");
        assert!(lingers(&command).await.is_some());
        assert!(lingers(&CommandLine::new(["another"])).await.is_none());
        child.kill().and_then(|()| child.wait()).expect("ended");
        assert!(lingers(&command).await.is_none());
    }
}
