//! Whose a `Permission denied` is in what a probe's command says: the command's own, which then has not looked, or the text
//! of the service, which it passes on and which is a failure.
//!
//! The words are the same. What tells them apart is who could have been denied: a command that has all of root's powers over
//! files is denied nothing but what root is denied as well, as a program that nobody may run, or a share that lets nobody in.
//! So for such a command the words are its own only when a shell says them of what it begins, when a program says them of
//! nothing but itself, or when this process is denied the path that they name; for any other command they are its own, since a service is better told of than restarted for
//! what it has not done.

use std::{path::PathBuf, time::Duration};

use ansai_model::probe::CommandLine;
use rustix::{
    fs::{Access, accessat},
    io::Errno,
    process::geteuid,
};

use crate::linux::{
    aside::{self, Kind, Work},
    programs,
};

/// How long it may take to ask for the paths of a line.
const ASK_TIME: Duration = Duration::from_secs(1);
/// Most paths of a line that are asked for.
const PATHS_MAX: usize = 8;
const STATUS_BYTES_MAX: u64 = 64 * 1024;
/// `CAP_DAC_OVERRIDE`, `CAP_DAC_READ_SEARCH` and `CAP_NET_BIND_SERVICE`, by their numbers in linux/capability.h: for want of
/// any of them root is denied something.
const POWERS: u64 = 1 << 1 | 1 << 2 | 1 << 10;
/// Programs by which a command gives powers up that it was begun with.
const GIVES_UP: &[&str] = &["sudo", "su", "runuser", "setpriv", "doas", "chroot", "capsh", "unshare", "bwrap"];

/// Whether the command itself was denied what the line says.
pub(super) async fn is_its_own(command: &CommandLine, line: &str) -> bool {
    if !has_all_powers(command) || programs::is_shell(speaker(line)) || is_of_itself(line) {
        return true;
    }
    let paths: Vec<PathBuf> = paths(line).take(PATHS_MAX).collect();
    if paths.is_empty() {
        return false;
    }
    let work = Work::new(Kind::Look, format!("what `{}` was denied", command.shown())).on(&paths);
    let asks = move || paths.iter().any(is_denied);
    // What does not answer has let nobody look.
    aside::run(work, ASK_TIME, asks).await.unwrap_or(true)
}

fn is_denied(path: &PathBuf) -> bool {
    let asked = accessat(rustix::fs::CWD, path, Access::READ_OK, rustix::fs::AtFlags::EACCESS);
    matches!(asked, Err(Errno::ACCESS | Errno::PERM))
}

/// Who says a line, as `sh` says `sh: 1: /opt/check: Permission denied`.
fn speaker(line: &str) -> &str {
    let before = line.split_once(':').map_or("", |(before, _)| before.trim());
    before.rsplit('/').next().unwrap_or_default()
}

/// Whether a program says of itself alone that it was denied, as `check_ping: Permission denied`.
fn is_of_itself(line: &str) -> bool {
    let said = line.trim().split_once(": ");
    said.is_some_and(|(program, words)| words == "Permission denied" && !program.contains([' ', '/', '(']))
}

/// The absolute paths in a line.
fn paths(line: &str) -> impl Iterator<Item = PathBuf> {
    let is_end = |c: char| c.is_whitespace() || matches!(c, '\'' | '"' | '`' | ':' | ';' | ',' | '(' | ')' | '|' | '=');
    line.split(is_end).filter(|word| word.len() > 1 && word.starts_with('/')).map(PathBuf::from)
}

/// Whether nothing of a command can have been denied what root may.
fn has_all_powers(command: &CommandLine) -> bool {
    let gives_up = |word: &String| {
        word.split(|c: char| c.is_whitespace() || matches!(c, ';' | '&' | '|' | '('))
            .any(|word| GIVES_UP.contains(&word.rsplit('/').next().unwrap_or_default()))
    };
    command.user.is_none() && geteuid().is_root() && !command.argv.iter().any(gives_up) && is_unconfined()
}

/// Whether this process has root's powers over files, and no profile of a security module takes any of them away.
fn is_unconfined() -> bool {
    let status = ansai_files::head_text("/proc/self/status".as_ref(), STATUS_BYTES_MAX).unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = effective.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default();
    // Without such a module there is nothing to read.
    let profile = ansai_files::head_text("/proc/self/attr/current".as_ref(), STATUS_BYTES_MAX).unwrap_or_default();
    let profile = profile.trim_matches(['\0', '\n', ' ']);
    effective & POWERS == POWERS && (profile.is_empty() || profile.contains("unconfined"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(argv: &[&str]) -> CommandLine {
        CommandLine::new(argv.iter().copied())
    }

    #[tokio::test]
    async fn what_a_service_says_is_told_from_what_its_command_was_denied() {
        assert!(is_unconfined(), "this test needs root");
        let check = line(&["/opt/check"]);
        for own in [
            "sh: 1: /opt/check: Permission denied",
            "/bin/bash: line 3: /opt/x: Permission denied",
            "x: Permission denied",
        ] {
            assert!(is_its_own(&check, own).await, "{own}");
        }
        for service in [
            "APP CRITICAL: worker 3: open(/srv/data): Permission denied",
            "log: 2026-11-01 [crit] mkdir() \"/var/cache/app\" failed (13: Permission denied)",
            "the database says Permission denied",
        ] {
            assert!(!is_its_own(&check, service).await, "{service}");
            let user = CommandLine { user: Some("nobody".into()), ..check.clone() };
            assert!(is_its_own(&user, service).await, "it may have been the command");
            for gives_up in [&["sudo", "-u", "app", "/opt/check"][..], &["sh", "-c", "cd /; runuser -u app x"]] {
                assert!(is_its_own(&line(gives_up), service).await, "{gives_up:?}");
            }
        }
    }

    #[test]
    fn paths_and_who_speaks_are_found_in_a_line() {
        let found: Vec<_> = paths("DISK CRITICAL - /srv/a is not accessible: '/b c' (/d): Permission denied").collect();
        assert_eq!(found, ["/srv/a", "/b", "/d"].map(PathBuf::from));
        assert_eq!(speaker("/usr/bin/dash: 1: x"), "dash");
        assert_eq!(speaker("no colon"), "");
    }
}
