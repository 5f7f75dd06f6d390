//! One agent a service manager: two that heal the same services, each with budgets of its own, would undo each other's
//! work. The lock lies beside the manager's own runtime files, so that containers and users are told apart by their own.
//! Which of two agents with one state directory goes on is decided by the directory's lock.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{FlockOperation, OFlags, flock},
    process::geteuid,
};
use thiserror::Error;

/// A pid and a path.
const HOLDER_BYTES_MAX: u64 = 4_200;

/// Why this agent must not go on.
#[derive(Debug, Error)]
#[error(
    "another agent ({holder}) heals the services of this service manager already; stop it first, as with `systemctl stop \
     ansai`, or try a configuration with `ansai test` and `ansai check`"
)]
pub(super) struct NotAlone {
    /// Who, as the lock's file says.
    holder: String,
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
    /// When another agent with another state directory has it.
    pub(super) fn take(state_dir: &Path) -> Result<Self, NotAlone> {
        match place() {
            Some(path) => Self::at(&path, state_dir),
            None => Ok(Self { _file: None }),
        }
    }

    fn at(path: &Path, state_dir: &Path) -> Result<Self, NotAlone> {
        let state_dir = std::path::absolute(state_dir).unwrap_or_else(|_| state_dir.to_owned());
        match lock(path) {
            Ok(Locked::Ours(mut file)) => {
                let holder = format!("pid {}, state in {}\n", std::process::id(), state_dir.display());
                if let Err(error) = file.set_len(0).and_then(|()| file.write_all(holder.as_bytes())) {
                    tracing::warn!("{}: it does not say who has it: {error}", path.display());
                }
                Ok(Self { _file: Some(file) })
            }
            Ok(Locked::Theirs(holder)) if holder.ends_with(&format!(", state in {}", state_dir.display())) => {
                // The lock of the directory is ours: the other one is at its end.
                Ok(Self { _file: None })
            }
            Ok(Locked::Theirs(holder)) => Err(NotAlone { holder }),
            Err(error) => {
                tracing::warn!("{}: whether another agent runs is not known: {error}", path.display());
                Ok(Self { _file: None })
            }
        }
    }
}

enum Locked {
    Ours(File),
    Theirs(String),
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
            let is_text = file.take(HOLDER_BYTES_MAX).read_to_string(&mut text).is_ok();
            let holder = text.lines().next().filter(|line| is_text && !line.contains(char::is_control));
            Ok(Locked::Theirs(holder.unwrap_or("pid unknown").to_owned()))
        }
        Err(error) => Err(error.into()),
    }
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

    #[test]
    fn a_second_agent_with_another_state_directory_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ansai.lock");
        let first = Alone::at(&path, Path::new("/var/lib/one")).unwrap();
        let refused = Alone::at(&path, Path::new("/var/lib/other")).unwrap_err().to_string();
        let holder = format!("another agent (pid {}, state in /var/lib/one) heals", std::process::id());
        assert!(refused.starts_with(&holder), "{refused}");
        drop(first);
        let _second = Alone::at(&path, Path::new("/var/lib/other")).unwrap();
        Alone::at(&path, Path::new("/var/lib/one")).unwrap_err();
    }

    #[test]
    fn the_lock_of_a_directory_decides_between_two_agents_of_one_directory() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ansai.lock");
        let _first = Alone::at(&path, Path::new("/var/lib/one")).unwrap();
        assert!(Alone::at(&path, Path::new("/var/lib/one")).unwrap()._file.is_none());
    }

    #[test]
    fn what_is_no_lock_is_not_followed_and_keeps_nobody_from_starting() {
        let folder = tempfile::tempdir().unwrap();
        let (path, victim) = (folder.path().join("ansai.lock"), folder.path().join("victim"));
        std::fs::write(&victim, "kept").unwrap();
        std::os::unix::fs::symlink(&victim, &path).unwrap();
        Alone::at(&path, Path::new("/var/lib/one")).unwrap();
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "kept");
    }
}
