//! Whether a failure is of the one who looks: a permission, a capability or a call that this process or a program of its
//! own was refused. It says nothing of what was looked at, so a look that fails of it is unknown and never failing.
//! It judges words and numbers; only where these are a service's as well it asks for the files that they name, in [`denied`].
//! Whoever looked says what follows.

mod denied;

use std::io;

use ansai_model::probe::CommandLine;
use rustix::{io::Errno, process::Signal};

use super::command::{Ended, Finished};

/// What the kernel refuses with.
const REFUSED: &[Errno] = &[Errno::PERM, Errno::ACCESS, Errno::NOSYS];

/// Words of programs that were refused something, as the C library and well-known programs write them.
const WORDS: &[&str] = &[
    "Operation not permitted",
    "Function not implemented",
    "Address family not supported by protocol",
    "cap_net_raw",
    "must be root",
    "must be run as root",
    "requires root",
    "need to be root",
];
/// Written alike by the C library of a file, and by servers of a login; the second goes on with `(publickey)`, `, please`.
const DENIED: &str = "Permission denied";

/// What a shell ends with when a program may not be run, when it is not there, and when a call of it was ended by a filter.
const MAY_NOT_BE_RUN: i32 = 126;
const NOT_THERE: i32 = 127;
const ENDED_BY_FILTER: i32 = 128 + Signal::SYS.as_raw();

/// Whether an error says that the kernel refuses it to this process.
pub(in crate::linux) fn is_refused(error: &io::Error) -> bool {
    error.raw_os_error().map(Errno::from_raw_os_error).is_some_and(|errno| REFUSED.contains(&errno))
}

/// Why a probe's command could not look for want of a permission: as [`why_refused`], but for what a service says through it.
pub(in crate::linux) async fn why_could_not_look(command: &CommandLine, finished: &Finished) -> Option<String> {
    let why = why_refused(finished)?;
    let lines: Vec<&str> = refusals(finished).collect();
    if !is_by_words(&finished.ended) || lines.iter().any(|line| is_plain(line)) {
        return Some(why);
    }
    for line in lines {
        if denied::is_its_own(command, line).await {
            return Some(refused(line));
        }
    }
    None
}

/// Why a program could not do its work for want of a permission, when that is what its end says; nothing when it ended well.
pub(in crate::linux) fn why_refused(finished: &Finished) -> Option<String> {
    match &finished.ended {
        Ended::Code(0) | Ended::TimedOut | Ended::Missing | Ended::Failed(_) => None,
        Ended::Code(MAY_NOT_BE_RUN) => Some("a program of it may not be run (126)".into()),
        Ended::Code(NOT_THERE) => Some("a program of it is not there (127)".into()),
        Ended::Code(ENDED_BY_FILTER) => Some("it was ended for a call that a sandbox does not allow".into()),
        Ended::Signal(signal) if *signal == Signal::SYS.as_raw() => {
            Some("it was ended for a call that a sandbox does not allow".into())
        }
        // Its time had not passed, so it was not us: the kernel for want of memory, or a person.
        Ended::Signal(signal) if *signal == Signal::KILL.as_raw() => Some("it was killed from outside".into()),
        Ended::Code(_) | Ended::Signal(_) => refusals(finished).next().map(refused),
    }
}

/// Whether an end says by words alone that something was refused.
fn is_by_words(ended: &Ended) -> bool {
    let is_of_itself = |code: i32| matches!(code, MAY_NOT_BE_RUN | NOT_THERE | ENDED_BY_FILTER);
    match ended {
        Ended::Code(code) => !is_of_itself(*code),
        Ended::Signal(signal) => *signal != Signal::SYS.as_raw() && *signal != Signal::KILL.as_raw(),
        Ended::TimedOut | Ended::Missing | Ended::Failed(_) => false,
    }
}

fn refused(line: &str) -> String {
    format!("it was refused something: {}", line.trim())
}

/// The lines that say that something was refused.
fn refusals(finished: &Finished) -> impl Iterator<Item = &str> {
    let is_denied = |(_, after): (&str, &str)| !after.starts_with([' ', ',']);
    let is_refusal = move |line: &&str| is_plain(line) || line.trim_end().split_once(DENIED).is_some_and(is_denied);
    finished.errors.lines().chain(finished.output.lines()).filter(is_refusal)
}

/// Whether a line says so in words that are no service's.
fn is_plain(line: &str) -> bool {
    WORDS.iter().any(|words| line.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(ended: Ended, errors: &str) -> bool {
        let finished = Finished { ended, output: String::new(), errors: errors.into() };
        why_refused(&finished).is_some()
    }

    #[test]
    fn words_of_programs_that_may_not_look_are_told_from_those_of_what_they_look_at() {
        let refused = [
            "ping: socktype: SOCK_RAW\nping: socket: Operation not permitted\nping: => missing cap_net_raw+p capability",
            "check_icmp: Failed to obtain ICMP socket: Operation not permitted",
            "sh: 1: /opt/check: Permission denied",
            "nginx: [emerg] bind() to 0.0.0.0:80 failed (13: Permission denied)",
            "DISK CRITICAL - /srv is not accessible: Permission denied| a=1",
            "arping: socket: Address family not supported by protocol",
            "check_smart must be run as root",
        ];
        for words in refused {
            assert!(of(Ended::Code(2), words), "{words}");
        }
        let theirs = [
            "maria@db: Permission denied (publickey).",
            "Permission denied, please try again.",
            "psql: FATAL: permission denied for database app",
            "connect to port 5432: Connection refused",
            "HTTP CRITICAL: 403 Forbidden",
            "",
        ];
        for words in theirs {
            assert!(!of(Ended::Code(2), words), "{words}");
        }
        assert!(!of(Ended::Code(0), "Operation not permitted"), "what ended well has looked");
    }

    #[test]
    fn ends_that_no_service_brings_about_are_not_held_against_one() {
        for ended in [Ended::Code(126), Ended::Code(127), Ended::Code(159), Ended::Signal(31), Ended::Signal(9)] {
            assert!(of(ended.clone(), ""), "{ended:?}");
        }
        for ended in [Ended::Code(1), Ended::Signal(11), Ended::Signal(15), Ended::TimedOut] {
            assert!(!of(ended.clone(), ""), "{ended:?}");
        }
    }
}
