//! Reading files that nobody answers for ends with a sentence instead of hanging: whoever reads on the first thread is
//! watched by another one, and the program ends when the first has waited for long without doing anything.
//!
//! Only a wait that signals could end is seen here, as for a file system whose server is a program; one that no signal
//! reaches is seen from outside, by [`crate::beside`]. What takes its time and goes on is never ended.

use std::{
    path::{Path, PathBuf},
    sync::mpsc::{RecvTimeoutError, sync_channel},
    thread,
    time::Duration,
};

use crate::{
    beside,
    exit::{Code, Failure},
};

/// How often it is looked whether the reading goes on.
const EVERY: Duration = Duration::from_secs(1);
/// So many looks in a row at which it waits and has done nothing since the one before.
const LOOKS_MAX: u32 = 10;
/// Some fifty numbers and a name.
const STAT_BYTES_MAX: u64 = 4096;

#[expect(clippy::disallowed_methods, reason = "the first thread may never come back to return a code")]
/// Reads what is named so. When that waits for too long, says so and ends the program. Nothing that waits for a person, an
/// agent or another thread may be done in it.
pub(crate) fn read<T>(what: &Path, does: impl FnOnce() -> T) -> T {
    let name = what.display().to_string();
    watched(EVERY, does, move || {
        let lasts = u64::from(LOOKS_MAX) * EVERY.as_secs();
        let what = format!("{name}: nobody has answered for {lasts} s");
        Failure::new(Code::Failing, what, "see whether it, or what it leads to, lies on a mount whose server is away")
            .print();
        beside::tell(Code::Failing as u8);
        std::process::exit(i32::from(Code::Failing as u8));
    })
}

fn watched<T>(every: Duration, does: impl FnOnce() -> T, given_up: impl FnOnce() + Send + 'static) -> T {
    let (done, is_done) = sync_channel::<()>(0);
    let stat = PathBuf::from(format!("/proc/self/task/{}/stat", rustix::thread::gettid().as_raw_nonzero()));
    let watches = move || {
        let (mut looks, mut before) = (0, None);
        while is_done.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
            let now = Stand::of(&stat);
            let is_still = now.as_ref().is_some_and(|now| now.is_waiting) && now == before;
            (looks, before) = (if is_still { looks + 1 } else { 0 }, now);
            if looks >= LOOKS_MAX {
                return given_up();
            }
        }
    };
    // Without a watcher it is as patient as any program.
    let watcher = thread::Builder::new().name("patience".into()).spawn(watches);
    let read = does();
    drop(done);
    drop(watcher);
    read
}

/// How a thread stands.
#[derive(Debug, PartialEq, Eq)]
struct Stand {
    is_waiting: bool,
    /// The processor time that it has taken, in ticks.
    ticks: u64,
}

impl Stand {
    fn of(stat: &Path) -> Option<Self> {
        Self::parse(&ansai_files::head_text(stat, STAT_BYTES_MAX).ok()?)
    }

    /// From a line of /proc/PID/stat, see proc(5).
    fn parse(stat: &str) -> Option<Self> {
        // The name in parentheses may hold anything, so the fields are counted after its end: state is the third.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
        let is_waiting = fields.next()? == "S";
        let mut times = fields.skip(10).map(|ticks| ticks.parse::<u64>().ok());
        Some(Self { is_waiting, ticks: times.next()??.saturating_add(times.next()??) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFTEN: Duration = Duration::from_millis(2);

    #[test]
    fn what_waits_without_end_is_given_up() {
        let (sender, receiver) = sync_channel(1);
        let answer = watched(OFTEN, || receiver.recv(), move || sender.send("given up").expect("it waits"));
        assert_eq!(answer, Ok("given up"));
    }

    #[test]
    fn what_goes_on_is_not() {
        let (sender, receiver) = sync_channel::<()>(1);
        // It works until many times the looks have gone by; it never sleeps for as long as a look lasts.
        let works = || {
            let begun = Stand::of(Path::new("/proc/thread-self/stat")).expect("it is there").ticks;
            while Stand::of(Path::new("/proc/thread-self/stat")).expect("it is there").ticks < begun + 20 {}
            receiver.try_recv()
        };
        let answer = watched(OFTEN, works, move || drop(sender));
        assert_eq!(answer, Err(std::sync::mpsc::TryRecvError::Empty), "the watcher still watches");
    }

    #[test]
    fn a_stand_is_read_whatever_the_program_is_called() {
        let line =
            |name: &str, state: &str| format!("7 ({name}) {state} 1 7 7 0 -1 4194560 9 0 0 0 30 12 0 0 20 0 2 0");
        let waiting = |is_waiting| Some(Stand { is_waiting, ticks: 42 });
        assert_eq!(Stand::parse(&line("a) R 1", "S")), waiting(true));
        assert_eq!(Stand::parse(&line("ansai", "R")), waiting(false));
        assert_eq!(Stand::parse(&line("ansai", "D")), waiting(false), "that is seen from outside");
        assert_eq!(Stand::parse("7 (ansai) S 1"), None);
        assert_eq!(Stand::parse(""), None);
    }
}
