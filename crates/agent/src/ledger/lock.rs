//! One agent a state directory: an exclusive lock that the kernel lets go when its holder ends, however it ends.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, flock};
use thiserror::Error;

use crate::durable::create_private_dir;

/// Why a state directory cannot be used.
#[derive(Debug, Error)]
pub enum LockError {
    /// Somebody has it.
    #[error("another agent (pid {pid}) uses {}; stop it first or choose --state-dir", dir.display())]
    Held {
        /// Who, as the lock's file says; `unknown` when it does not.
        pid: String,
        /// Which directory.
        dir: PathBuf,
    },
    /// The file of the lock cannot be opened or locked.
    #[error("{}: the state directory cannot be locked; is it writable for this user?", path.display())]
    Io {
        /// Which file.
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
}

impl StateLock {
    /// Takes the lock, making the directory when it is missing; does not wait.
    ///
    /// # Errors
    /// When another process has it, or the file cannot be made.
    pub fn take(dir: &Path) -> Result<Self, LockError> {
        let path = dir.join("agent.lock");
        let io_error = |source| LockError::Io { path: path.clone(), source };
        create_private_dir(dir).map_err(io_error)?;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(io_error)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(LockError::Held { pid: holder(&mut file), dir: dir.to_owned() });
            }
            Err(error) => return Err(io_error(error.into())),
        }
        file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(io_error)?;
        Ok(Self { _file: file })
    }
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
