//! What the unit of an incident has logged: of the run that failed, where that is known, and never what a remedy had it log.
//! It reads through `journalctl`, and judges no line.

use std::time::Duration;

use ansai_model::{
    incident::{Evidence, EvidenceKind, EvidenceRequest},
    probe::CommandLine,
    text::Text,
    time::WallTime,
};

use super::{Redactor, evidence};
use crate::linux::command::{self, Ended};

const TIMEOUT: Duration = Duration::from_secs(5);
/// Digits of the name of a run.
const RUN_DIGITS: usize = 32;

/// The last lines of the run that failed; of all runs up to the failure where that one is not known, or has logged nothing.
pub(super) async fn of_failure(unit: &str, request: &EvidenceRequest, redactor: &Redactor) -> Evidence {
    let is_root = rustix::process::geteuid().is_root();
    if let Some(run) = request.run.as_ref().map(Text::as_str).filter(|run| is_run(run)) {
        let mut wanted: Vec<String> = request.until.map(up_to).into_iter().collect();
        wanted.extend(of_run(run, unit, request.ended_pid, is_root));
        let found = read(wanted, request.lines_max, is_root).await;
        if let Ok(lines) = &found
            && !lines.trim().is_empty()
        {
            let source = format!("journalctl -u {unit}, the run that failed");
            // Of a process that was gone before its line was read journald does not know the run: where only systemd has
            // said something, all that the unit logged since then is taken.
            let since = began(lines).filter(|_| is_systemd_alone(lines));
            let all = match since {
                Some(since) => {
                    let mut wanted = vec!["-u".to_owned(), unit.to_owned(), format!("--since={since}")];
                    wanted.extend(request.until.map(up_to));
                    read(wanted, request.lines_max, is_root).await.ok().filter(|all| !is_systemd_alone(all))
                }
                None => None,
            };
            return log(source, all.as_ref().unwrap_or(lines), redactor);
        }
    }
    let source = format!("journalctl -u {unit}");
    match read(until(unit, request.failed), request.lines_max, is_root).await {
        Ok(lines) if lines.trim().is_empty() => evidence(source, EvidenceKind::Missing, "it logged nothing"),
        Ok(lines) => log(source, &lines, redactor),
        Err(why) => evidence(source, EvidenceKind::Missing, why),
    }
}

fn log(source: String, lines: &str, redactor: &Redactor) -> Evidence {
    evidence(source, EvidenceKind::Log, last(&redactor.redact(lines), Text::BYTES_MAX - 64))
}

async fn read(wanted: Vec<String>, lines: u32, is_root: bool) -> Result<String, String> {
    let count = lines.to_string();
    let mut argv: Vec<String> =
        ["journalctl", "-n", &count, "--no-pager", "-o", "short-iso", "-q"].map(str::to_owned).into();
    if !is_root {
        argv.push("--user".to_owned());
    }
    argv.extend(wanted);
    let finished = command::run(&CommandLine::new(argv), TIMEOUT).await;
    match finished.ended {
        Ended::Code(0) => Ok(finished.output),
        // It found nothing, as later versions say.
        Ended::Code(1) if finished.output.trim().is_empty() => Ok(String::new()),
        Ended::Missing => Err("there is no journalctl here".to_owned()),
        ended => Err(format!("the log could not be read: {ended:?}")),
    }
}

/// Whether nothing but systemd has logged these lines.
fn is_systemd_alone(lines: &str) -> bool {
    lines.lines().all(|line| line.contains(" systemd["))
}

/// The second of the first of these lines, as journalctl takes it.
fn began(lines: &str) -> Option<String> {
    let stamp = lines.lines().next()?.get(..19)?;
    let is_stamp = stamp.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b':' | b'T'));
    is_stamp.then(|| stamp.replace('T', " "))
}

/// Whether this is a name that systemd gives a run, so that nothing else becomes a part of a command.
fn is_run(run: &str) -> bool {
    run.len() == RUN_DIGITS && run.bytes().all(|byte| byte.is_ascii_hexdigit()) && run.bytes().any(|byte| byte != b'0')
}

/// What the processes of a run have logged, and what systemd has logged of it and of the core of its main process.
fn of_run(run: &str, unit: &str, ended_pid: Option<u32>, is_root: bool) -> Vec<String> {
    let (of_systemd, of_core) =
        if is_root { ("INVOCATION_ID", "COREDUMP_UNIT") } else { ("USER_INVOCATION_ID", "COREDUMP_USER_UNIT") };
    let mut wanted = vec![format!("_SYSTEMD_INVOCATION_ID={run}"), "+".to_owned(), format!("{of_systemd}={run}")];
    if let Some(pid) = ended_pid {
        wanted.extend(["+".to_owned(), format!("{of_core}={unit}"), format!("COREDUMP_PID={pid}")]);
    }
    wanted
}

/// What all runs have logged up to a moment.
fn until(unit: &str, moment: WallTime) -> Vec<String> {
    vec!["-u".to_owned(), unit.to_owned(), up_to(moment)]
}

/// Nothing later.
fn up_to(moment: WallTime) -> String {
    let millis = moment.0.max(0);
    format!("--until=@{}.{:03}", millis / 1000, millis % 1000)
}

/// The end of a text, from the start of a line.
fn last(text: &str, bytes: usize) -> &str {
    if text.len() <= bytes {
        return text;
    }
    let mut from = text.len() - bytes;
    while !text.is_char_boundary(from) {
        from += 1;
    }
    text[from..].split_once('\n').map_or(&text[from..], |(_, rest)| rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_of_which_only_systemd_speaks_is_known_with_its_beginning() {
        let alone = "2026-11-30T03:41:35+0000 full systemd[1]: Starting app.service...\n\
                     2026-11-30T03:41:35+0000 full systemd[1]: Failed to start app.service.\n";
        assert!(is_systemd_alone(alone));
        assert_eq!(began(alone).as_deref(), Some("2026-11-30 03:41:35"));
        assert!(!is_systemd_alone(&format!("{alone}2026-11-30T03:41:35+0000 full dd[70]: No space left on device\n")));
        assert_eq!(began("-- Boot ab --\n"), None);
    }

    #[test]
    fn a_run_is_a_number_of_systemd_and_nothing_else_becomes_a_part_of_a_command() {
        assert!(is_run("0123456789abcdef0123456789abcdef"));
        for other in ["", "00000000000000000000000000000000", "0123456789abcdef", "--merge --root=/0123456789abcdef"] {
            assert!(!is_run(other), "{other}");
        }
    }

    #[test]
    fn the_log_is_asked_for_by_the_run_or_up_to_the_failure() {
        let of = |pid, is_root| of_run("ab", "a.service", pid, is_root).join(" ");
        assert_eq!(of(None, true), "_SYSTEMD_INVOCATION_ID=ab + INVOCATION_ID=ab");
        assert_eq!(
            of(Some(7), false),
            "_SYSTEMD_INVOCATION_ID=ab + USER_INVOCATION_ID=ab + COREDUMP_USER_UNIT=a.service COREDUMP_PID=7"
        );
        assert_eq!(until("a.service", WallTime(1_700_000_000_042)), ["-u", "a.service", "--until=@1700000000.042"]);
    }

    #[test]
    fn the_end_of_a_long_log_begins_with_a_line() {
        assert_eq!(last("one\ntwo\nthree", 9), "three");
        assert_eq!(last("one\ntwo", 100), "one\ntwo");
    }
}
