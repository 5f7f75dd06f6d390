//! One agent a state directory: an exclusive lock that the kernel lets go when its holder ends, however it ends.
//!
//! A holder that was killed and cannot end, since it waits for a disk or a server, keeps its lock for as long as that
//! lasts. It does no more than the one call that it waits in, so whoever comes after it puts the file of its lock aside
//! and makes another. Whether it is so is asked in [`dying`]; a holder that could still do anything is never passed over.

mod dying;

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use ansai_files::Kind;
use ansai_notify::durable::create_private_dir;
use rustix::fs::{FlockOperation, OFlags, flock};
use thiserror::Error;

pub use dying::Predecessor;

/// How often the file may be exchanged while it is taken.
const TRIES: usize = 8;

/// Why a state directory cannot be used.
#[derive(Debug, Error)]
pub enum LockError {
    /// Somebody has it.
    #[error("another agent (pid {pid}) uses {}; stop it first or choose --state-dir", dir.display())]
    Held {
        /// Who, as the lock's file says; `unknown` when it does not.
        pid: String,
        /// The path of the directory.
        dir: PathBuf,
    },
    /// The file of the lock cannot be opened or locked.
    #[error("{}: the state directory cannot be locked; is it writable for this user?", path.display())]
    Io {
        /// The path of the file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// The lock on a state directory; let go when dropped.
#[derive(Debug)]
pub struct StateLock {
    _file: File,
    predecessor: Option<Predecessor>,
}

impl StateLock {
    /// Takes the lock, making the directory when it is missing; does not wait.
    ///
    /// # Errors
    /// When another process has it that can still act, or the file cannot be made.
    pub fn take(dir: &Path) -> Result<Self, LockError> {
        Self::take_from(dir, Predecessor::of)
    }

    fn take_from(dir: &Path, is_dying: impl Fn(u32) -> Option<Predecessor>) -> Result<Self, LockError> {
        let path = dir.join("agent.lock");
        let io_error = |source| LockError::Io { path: path.clone(), source };
        let held = |pid: String| LockError::Held { pid, dir: dir.to_owned() };
        create_private_dir(dir).map_err(io_error)?;
        // Whoever puts a lock aside is alone in doing so: two that came at once would each put the other's aside.
        let mut guard = None;
        let mut predecessor = None;
        for _ in 0..TRIES {
            let mut file = open(&path).map_err(io_error)?;
            if lock(&file).map_err(io_error)? {
                if !is_at(&file, &path) {
                    continue;
                }
                // On a full disk the lock is held all the same; only who holds it is not said.
                if let Err(error) = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())) {
                    tracing::warn!("{}: it does not say who has it: {error}", path.display());
                }
                return Ok(Self { _file: file, predecessor });
            }
            let pid = holder(&mut file);
            let dying = pid.parse().ok().and_then(&is_dying);
            match (dying, &guard) {
                (None, _) => return Err(held(pid)),
                // What was seen before the guard was had is looked at once more.
                (Some(_), None) => {
                    let taking = open(&dir.join("takeover.lock")).map_err(io_error)?;
                    if !lock(&taking).map_err(io_error)? {
                        return Err(held(pid));
                    }
                    guard = Some(taking);
                }
                (Some(dying), Some(_)) if is_at(&file, &path) => {
                    std::fs::rename(&path, dir.join("agent.lock.left")).map_err(io_error)?;
                    predecessor = Some(dying);
                }
                (Some(_), Some(_)) => {}
            }
        }
        Err(held("unknown".into()))
    }

    /// Who was passed over: it was killed, and has not ended.
    #[must_use]
    pub fn predecessor(&self) -> Option<Predecessor> {
        self.predecessor
    }
}

fn open(path: &Path) -> io::Result<File> {
    // A pipe at its place would keep whoever reads it waiting.
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(flags);
    let file = options.open(path)?;
    match Kind::of(file.metadata()?.file_type()) {
        None => Ok(file),
        Some(kind) => Err(io::Error::other(format!("it is {kind}; move it away, and it is made anew"))),
    }
}

/// Whether the lock was free, and is ours now.
fn lock(file: &File) -> io::Result<bool> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Whether this file is the one that others find there: one that was put aside locks nothing.
fn is_at(file: &File, path: &Path) -> bool {
    let (Ok(ours), Ok(there)) = (file.metadata(), std::fs::metadata(path)) else { return false };
    (ours.dev(), ours.ino()) == (there.dev(), there.ino())
}

/// The pid in the file; only digits are believed.
fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.take(16).read_to_string(&mut text);
    let pid = text.trim();
    match read {
        Ok(_) if !pid.is_empty() && pid.bytes().all(|byte| byte.is_ascii_digit()) => pid.to_owned(),
        Ok(_) | Err(_) => "unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(
        is_dying: impl Fn(u32) -> Option<Predecessor> + Copy,
    ) -> (Result<StateLock, LockError>, tempfile::TempDir) {
        let folder = tempfile::tempdir().expect("a folder");
        let held = StateLock::take(folder.path()).expect("free");
        let taken = StateLock::take_from(folder.path(), is_dying);
        // It is held by nobody else, whatever came of it.
        assert!(matches!(StateLock::take(folder.path()), Err(LockError::Held { .. })));
        drop(held);
        (taken, folder)
    }

    #[test]
    fn a_holder_that_can_act_is_never_passed_over() {
        let (taken, folder) = check(|_| None);
        assert!(matches!(taken, Err(LockError::Held { pid, .. }) if pid == std::process::id().to_string()));
        assert!(StateLock::take(folder.path()).is_ok(), "it has ended, and its lock is free");
        assert!(!folder.path().join("agent.lock.left").exists());
    }

    #[test]
    fn a_holder_that_can_act_no_more_is_passed_over_once() {
        let (taken, folder) = check(Predecessor::for_test);
        let taken = taken.expect("passed over");
        assert_eq!(taken.predecessor(), Predecessor::for_test(std::process::id()));
        // The one before has let go of its own file, which locks nothing any more.
        assert!(matches!(StateLock::take(folder.path()), Err(LockError::Held { .. })));
        drop(taken);
        assert_eq!(StateLock::take(folder.path()).expect("free").predecessor(), None);
    }

    #[test]
    fn what_is_no_file_at_its_place_is_said_and_not_waited_for() {
        use rustix::fs::{CWD, FileType, Mode, mknodat};
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("agent.lock");
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a pipe");
        let Err(LockError::Io { source, .. }) = StateLock::take(folder.path()) else { panic!("it is refused") };
        assert_eq!(source.to_string(), "it is a named pipe; move it away, and it is made anew");
    }

    #[test]
    fn of_many_that_come_at_once_one_passes_over() {
        for _ in 0..50 {
            let folder = tempfile::tempdir().expect("a folder");
            let _held = StateLock::take(folder.path()).expect("free");
            // Only this holder is dying; whoever has passed it over is alive.
            std::fs::write(folder.path().join("agent.lock"), "1\n").expect("written");
            let start = std::sync::Barrier::new(8);
            let is_dying = |pid: u32| if pid == 1 { Predecessor::for_test(pid) } else { None };
            let take = || {
                start.wait();
                StateLock::take_from(folder.path(), is_dying)
            };
            let taken: Vec<_> = std::thread::scope(|threads| {
                let begun: Vec<_> = (0..8).map(|_| threads.spawn(take)).collect();
                begun.into_iter().map(|thread| thread.join().expect("ended")).collect()
            });
            let count = taken.iter().filter(|taken| taken.is_ok()).count();
            assert_eq!(count, 1, "so many have the lock at once: {taken:?}");
        }
    }
}
