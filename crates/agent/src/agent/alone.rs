//! One agent a service manager: two that heal the same services, each with budgets of its own, would undo each other's
//! work. The lock lies beside the manager's own runtime files, so that containers and users are told apart by their own.
//! Which of two agents with one state directory goes on is decided by the directory's lock; the one whose place is taken is
//! at its end, and what it holds here is put aside, so that a third one finds the lock of the second.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::{
    fs::{FlockOperation, OFlags, flock},
    process::geteuid,
};
use thiserror::Error;

use crate::ledger::Predecessor;

/// A pid and a path.
const HOLDER_BYTES_MAX: u64 = 4_200;
/// How often the file may be exchanged while it is taken.
const TRIES: usize = 8;
/// How often one whose state directory is ours by now is waited for, which lets its two locks go one after the other.
const LOOKS_MAX: usize = 100;
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Why this agent must not go on.
#[derive(Debug, Error)]
#[error(
    "another agent ({holder}) heals the services of this service manager already; stop it first, as with `systemctl stop \
     ansai`, or try a configuration with `ansai test` and `ansai check`"
)]
pub(super) struct NotAlone {
    /// Who, as the lock's file says.
    holder: String,
    /// Whether it is one that had our state directory, and is at its end.
    had_ours: bool,
}

/// The lock; let go when dropped.
#[derive(Debug)]
pub(super) struct Alone {
    _file: Option<File>,
}

impl Alone {
    /// Takes the lock of the service manager that this user's agent speaks with; where none runs there is nothing to share.
    ///
    /// # Errors
    /// When another agent has it that can still act.
    pub(super) async fn take(state_dir: &Path) -> Result<Self, NotAlone> {
        let Some(path) = place() else { return Ok(Self { _file: None }) };
        let mut taken = Self::at(&path, state_dir, Predecessor::of);
        for _ in 0..LOOKS_MAX {
            if !taken.as_ref().is_err_and(|refused| refused.had_ours) {
                break;
            }
            tokio::time::sleep(LOOK_EVERY).await;
            taken = Self::at(&path, state_dir, Predecessor::of);
        }
        taken
    }

    fn at(path: &Path, state_dir: &Path, is_dying: impl Fn(u32) -> Option<Predecessor>) -> Result<Self, NotAlone> {
        let state_dir = std::path::absolute(state_dir).unwrap_or_else(|_| state_dir.to_owned());
        let ours = format!(", state in {}", state_dir.display());
        for _ in 0..TRIES {
            match lock(path) {
                Ok(Locked::Ours(file)) if !is_at(&file, path) => {}
                Ok(Locked::Ours(mut file)) => {
                    let holder = format!("pid {}{ours}\n", std::process::id());
                    if let Err(error) = file.set_len(0).and_then(|()| file.write_all(holder.as_bytes())) {
                        tracing::warn!("{}: it does not say who has it: {error}", path.display());
                    }
                    return Ok(Self { _file: Some(file) });
                }
                Ok(Locked::Theirs(file, holder)) => {
                    let before = holder.strip_suffix(&ours).and_then(|pid| pid.strip_prefix("pid "));
                    let can_act = before.and_then(|pid| pid.parse().ok()).and_then(&is_dying).is_none();
                    if can_act {
                        return Err(NotAlone { had_ours: before.is_some(), holder });
                    }
                    // It can act no more, and of those with its state directory we are the only one.
                    if is_at(&file, path) && std::fs::remove_file(path).is_err() {
                        return Err(NotAlone { had_ours: true, holder });
                    }
                }
                Err(error) => {
                    tracing::warn!("{}: whether another agent runs is not known: {error}", path.display());
                    return Ok(Self { _file: None });
                }
            }
        }
        Err(NotAlone { holder: "pid unknown".into(), had_ours: false })
    }
}

enum Locked {
    Ours(File),
    Theirs(File, String),
}

fn lock(path: &Path) -> io::Result<Locked> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(flags);
    let file = options.open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Locked::Ours(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let mut text = String::new();
            let is_text = (&file).take(HOLDER_BYTES_MAX).read_to_string(&mut text).is_ok();
            let holder = text.lines().next().filter(|line| is_text && !line.contains(char::is_control));
            let holder = holder.unwrap_or("pid unknown").to_owned();
            Ok(Locked::Theirs(file, holder))
        }
        Err(error) => Err(error.into()),
    }
}

/// Whether this file is the one that others find there: one that was put aside locks nothing.
fn is_at(file: &File, path: &Path) -> bool {
    let (Ok(ours), Ok(there)) = (file.metadata(), std::fs::symlink_metadata(path)) else { return false };
    (ours.dev(), ours.ino()) == (there.dev(), there.ino())
}

/// Where the lock lies: in a folder in which nobody else may write, that outlives every agent, and that each service
/// manager has for itself.
fn place() -> Option<PathBuf> {
    let uid = geteuid();
    let (folder, manager) = match uid.is_root() {
        true => (PathBuf::from("/run"), "systemd/system"),
        false => {
            let own = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
            (own.unwrap_or_else(|| Path::new("/run/user").join(uid.as_raw().to_string())), "systemd")
        }
    };
    folder.join(manager).is_dir().then(|| folder.join("ansai.lock"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(path: &Path, state_dir: &str) -> Result<Alone, NotAlone> {
        Alone::at(path, Path::new(state_dir), |_| None)
    }

    #[test]
    fn a_second_agent_with_another_state_directory_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ansai.lock");
        let first = take(&path, "/var/lib/one").unwrap();
        let refused = take(&path, "/var/lib/other").unwrap_err().to_string();
        let holder = format!("another agent (pid {}, state in /var/lib/one) heals", std::process::id());
        assert!(refused.starts_with(&holder), "{refused}");
        drop(first);
        let _second = take(&path, "/var/lib/other").unwrap();
        take(&path, "/var/lib/one").unwrap_err();
    }

    #[test]
    fn one_that_had_our_state_directory_is_waited_for_while_it_can_act_and_put_aside_when_it_cannot() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ansai.lock");
        let first = take(&path, "/var/lib/one").unwrap();
        assert!(take(&path, "/var/lib/one").unwrap_err().had_ours);
        let second = Alone::at(&path, Path::new("/var/lib/one"), Predecessor::for_test).unwrap();
        // Another state directory passes over nobody, whether the first has ended or not.
        let of_another = || Alone::at(&path, Path::new("/var/lib/other"), Predecessor::for_test);
        of_another().unwrap_err();
        drop(first);
        of_another().unwrap_err();
        drop(second);
        of_another().unwrap();
    }

    #[test]
    fn what_is_no_lock_is_not_followed_and_keeps_nobody_from_starting() {
        let folder = tempfile::tempdir().unwrap();
        let (path, victim) = (folder.path().join("ansai.lock"), folder.path().join("victim"));
        std::fs::write(&victim, "kept").unwrap();
        std::os::unix::fs::symlink(&victim, &path).unwrap();
        take(&path, "/var/lib/one").unwrap();
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "kept");
    }
}
