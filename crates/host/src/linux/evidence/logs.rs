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
/// How systemd's own lines are told from those of a unit's processes.
const SYSTEMD: &str = " systemd[";

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
            let all = match is_systemd_alone(lines) {
                true => of_time(unit, lines, request, is_root).await,
                false => None,
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

/// What the unit has logged from the first to the last line of a run of which only systemd speaks, when that is more. Of a
/// process that was gone before its line was read journald does not know the run.
async fn of_time(unit: &str, run: &str, request: &EvidenceRequest, is_root: bool) -> Option<String> {
    let (began, ended) = (second(run.lines().next()?)?, second(run.lines().next_back()?)?);
    let until = request.until.map_or_else(|| format!("--until={ended}.999999"), up_to);
    let wanted = vec!["-u".to_owned(), unit.to_owned(), format!("--since={began}"), until];
    let all = read(wanted, request.lines_max, is_root).await.ok()?;
    Some(within(run, &all)).filter(|found| !is_systemd_alone(found))
}

/// The lines among all of a unit that stand between those that systemd has logged of a run: what it says of another one, before
/// or after, ends that.
fn within(run: &str, all: &str) -> String {
    let mut own = run.lines().peekable();
    let first = own.peek().copied().unwrap_or_default();
    let is_of_it = |line: &&str| !line.contains(SYSTEMD) || own.next() == Some(*line);
    let found: Vec<&str> = all.lines().skip_while(|line| *line != first).take_while(is_of_it).collect();
    found.join("\n")
}

/// Whether nothing but systemd has logged these lines.
fn is_systemd_alone(lines: &str) -> bool {
    lines.lines().all(|line| line.contains(SYSTEMD))
}

/// The second of a line, as journalctl takes it.
fn second(line: &str) -> Option<String> {
    let stamp = line.get(..19)?;
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
    fn what_a_run_logged_without_its_name_is_found_and_nothing_of_another_run() {
        let line = |said: &str| format!("2026-11-30T03:41:35+0000 full {said}\n");
        let (starting, failed) = (line("systemd[1]: Starting app."), line("systemd[1]: Failed to start app."));
        let (before, after) = (line("app[60]: of the run before"), line("app[80]: of what a remedy has started"));
        let full = line("dd[70]: No space left on device");
        let run = format!("{starting}{failed}");
        assert!(is_systemd_alone(&run) && !is_systemd_alone(&full));
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>().join("\n");
        let all = format!("{before}{starting}{full}{failed}{starting}{after}");
        assert_eq!(within(&run, &all), lines(&format!("{starting}{full}{failed}")));
        // What comes late is its own until the next one begins.
        let late = format!("{starting}{failed}{full}{starting}{after}");
        assert_eq!(within(&run, &late), lines(&format!("{starting}{failed}{full}")));
        assert_eq!(within(&run, &after), "");
        assert_eq!(second(&starting).as_deref(), Some("2026-11-30 03:41:35"));
        assert_eq!(second("-- Boot ab --"), None);
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
