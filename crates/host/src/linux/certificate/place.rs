//! Puts one file in its place: written beside it with its owner and mode, flushed to the disk, then renamed, so that
//! whoever reads finds the old one or the new one. Never through a symbolic link: the place behind it may be another's.

use std::{
    ffi::OsString,
    fs::File,
    io::{ErrorKind, Write},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Uid};

/// Who owns a file, and who may do what with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ownership {
    /// User.
    pub(super) uid: u32,
    /// Group.
    pub(super) gid: u32,
    /// Permission bits.
    pub(super) mode: u32,
}

/// What is in a place now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Now {
    /// Nothing.
    Nothing,
    /// A regular file.
    File(Ownership),
    /// A symbolic link to there.
    Link(PathBuf),
    /// Something else.
    Other,
}

/// What is in a place now; links are not followed.
pub(super) fn now(path: &Path) -> Result<Now, String> {
    let found = match rustix::fs::lstat(path) {
        Ok(found) => found,
        Err(error) if std::io::Error::from(error).kind() == ErrorKind::NotFound => return Ok(Now::Nothing),
        Err(error) => return Err(format!("{}: {error}", path.display())),
    };
    Ok(match FileType::from_raw_mode(found.st_mode) {
        FileType::RegularFile => {
            Now::File(Ownership { uid: found.st_uid, gid: found.st_gid, mode: found.st_mode & 0o7777 })
        }
        FileType::Symlink => {
            Now::Link(std::fs::read_link(path).map_err(|error| format!("{}: {error}", path.display()))?)
        }
        _ => Now::Other,
    })
}

/// A file that is written and flushed beside its place, and not there yet. Dropped without being committed, it leaves
/// nothing behind.
#[derive(Debug)]
pub(super) struct Prepared {
    folder: OwnedFd,
    beside: OsString,
    name: OsString,
    path: PathBuf,
    is_done: bool,
}

impl Prepared {
    /// Writes beside the place.
    ///
    /// # Errors
    /// When the place is a symbolic link or no file, its folder does not exist, or writing fails.
    pub(super) fn new(path: &Path, bytes: &[u8], ownership: Ownership) -> Result<Self, String> {
        match now(path)? {
            Now::Nothing | Now::File(_) => {}
            Now::Link(to) => {
                let to = to.display();
                return Err(format!("{} is a symbolic link to {to}: declare the place itself", path.display()));
            }
            Now::Other => return Err(format!("{} is there and is no file", path.display())),
        }
        let prepared = Self::begin(path)?;
        prepared.write(bytes, ownership).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(prepared)
    }

    /// A symbolic link beside its place.
    pub(super) fn link(path: &Path, to: &Path) -> Result<Self, String> {
        let prepared = Self::begin(path)?;
        rustix::fs::symlinkat(to, &prepared.folder, &prepared.beside)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(prepared)
    }

    fn begin(path: &Path) -> Result<Self, String> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(format!("{} is no place for a file", path.display()));
        };
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY;
        let folder = rustix::fs::open(parent, flags, Mode::empty())
            .map_err(|error| format!("the folder {}: {error}", parent.display()))?;
        let mut beside = OsString::from(".");
        beside.push(name);
        beside.push(".ansai-new");
        // What an earlier attempt left when the host lost power.
        let _ = rustix::fs::unlinkat(&folder, &beside, AtFlags::empty());
        Ok(Self { folder, beside, name: name.to_owned(), path: path.to_owned(), is_done: false })
    }

    fn write(&self, bytes: &[u8], ownership: Ownership) -> std::io::Result<()> {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::WRONLY | OFlags::CLOEXEC;
        // Nobody else can read it before it has its owner and its mode.
        let file = rustix::fs::openat(&self.folder, &self.beside, flags, Mode::RUSR | Mode::WUSR)?;
        let mut file = File::from(file);
        file.write_all(bytes)?;
        let made = rustix::fs::fstat(&file)?;
        if (made.st_uid, made.st_gid) != (ownership.uid, ownership.gid) {
            let group = rustix::fs::Gid::from_raw(ownership.gid);
            rustix::fs::fchown(&file, Some(Uid::from_raw(ownership.uid)), Some(group))?;
        }
        rustix::fs::fchmod(&file, Mode::from_raw_mode(ownership.mode))?;
        file.sync_all()
    }

    /// Where it goes.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Puts it in its place, durably.
    pub(super) fn commit(mut self) -> Result<(), String> {
        rustix::fs::renameat(&self.folder, &self.beside, &self.folder, &self.name)
            .map_err(|error| format!("{}: {error}", self.path.display()))?;
        self.is_done = true;
        rustix::fs::fsync(&self.folder).map_err(|error| format!("{}: {error}", self.path.display()))
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        if !self.is_done {
            let _ = rustix::fs::unlinkat(&self.folder, &self.beside, AtFlags::empty());
        }
    }
}
