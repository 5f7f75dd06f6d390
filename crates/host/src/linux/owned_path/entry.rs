//! What lies under a name in a folder: looked at, read, made, given and removed, by descriptor.
//!
//! Where others may change the names, a file of root's may have been put there by them: it is only touched when it has
//! one name, and only shown to whom it was shown before.

use std::{
    cell::Cell,
    ffi::OsStr,
    fs::File,
    io::{Read, Write},
    os::fd::{AsRawFd, OwnedFd},
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rustix::{
    fs::{AtFlags, FileType, Gid, Mode, OFlags, Stat, Uid, chownat, fstat, mkdirat, openat, readlinkat, unlinkat},
    io::Errno,
};

use super::{
    folder::{Folder, opened},
    fresh::Ownership,
    refused::Refused,
    trusted::{is_member, name_of},
};

/// What something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link.
    Link,
    /// Anything else.
    Other,
}

/// What was found under a name, held by its descriptor.
#[derive(Debug)]
pub struct Found {
    fd: OwnedFd,
    stat: Stat,
    path: PathBuf,
    /// Whether only root and the agent's own user could have put it there.
    is_sure: bool,
    /// Whether it belongs to root or the agent's own user.
    is_own: bool,
    is_given: Cell<bool>,
}

impl Folder {
    /// What lies under a name; a link is not followed. Nothing is opened but the name.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn find(&self, name: &OsStr) -> Result<Option<Found>, Refused> {
        let path = self.path.join(name);
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match openat(&self.fd, name, flags, Mode::empty()) {
            Ok(fd) => self.found(fd, path).map(Some),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(Refused::failed(path, error)),
        }
    }

    /// A file under a name, when there is one and it may be touched.
    ///
    /// # Errors
    /// When it is no regular file, or may be another file than is meant.
    pub fn file(&self, name: &OsStr) -> Result<Option<Found>, Refused> {
        let Some(found) = self.find(name)? else { return Ok(None) };
        match found.kind() {
            Kind::File => self.judge(&found).map(|()| Some(found)),
            Kind::Link => Err(Refused::Link { step: found.path.clone(), owner: found.stat.st_uid }),
            Kind::Folder | Kind::Other => {
                Err(Refused::Kind { step: found.path.clone(), what: "is there and is no file" })
            }
        }
    }

    /// Whether something may be touched: it belongs to whom we trust, and no other name leads to it.
    ///
    /// # Errors
    /// Whose it is.
    pub fn judge(&self, found: &Found) -> Result<(), Refused> {
        let (stat, step) = (&found.stat, found.path.clone());
        let has_names = found.kind() == Kind::File && stat.st_nlink > 1;
        let hard_link =
            || Refused::HardLink { step: step.clone(), owner: stat.st_uid, names: stat.st_nlink.to_string() };
        if self.is_exclusive() {
            let is_foreign = !self.trusted.takes(stat.st_uid);
            return if has_names && is_foreign { Err(hard_link()) } else { Ok(()) };
        }
        self.judge_owner(stat, &found.path)?;
        if has_names && found.is_own { Err(hard_link()) } else { Ok(()) }
    }

    /// # Errors
    /// When it belongs to nobody whom we trust.
    pub(super) fn judge_owner(&self, stat: &Stat, path: &Path) -> Result<(), Refused> {
        if self.trusted.takes(stat.st_uid) {
            return Ok(());
        }
        let (owner, mode) = (stat.st_uid, stat.st_mode & 0o7777);
        Err(Refused::Owner { step: path.to_owned(), owner, mode, may: self.trusted.words() })
    }

    /// Makes a folder under a name that must be free.
    ///
    /// # Errors
    /// When it cannot be made, or was exchanged in that moment.
    pub fn make_folder(&self, name: &OsStr) -> Result<Found, Refused> {
        let path = self.path.join(name);
        mkdirat(&self.fd, name, Mode::from_raw_mode(0o755)).map_err(|error| Refused::failed(&path, error))?;
        let found = self.find(name)?.ok_or_else(|| Refused::Missing { step: path.clone() })?;
        match found.kind() {
            Kind::Folder => self.judge_owner(&found.stat, &path).map(|()| found),
            Kind::Link => Err(Refused::Link { step: path, owner: found.stat.st_uid }),
            Kind::File | Kind::Other => Err(Refused::Kind { step: path, what: "is no directory" }),
        }
    }

    /// Makes an empty file under a name that must be free.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn make_file(&self, name: &OsStr) -> Result<Found, Refused> {
        let path = self.path.join(name);
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::WRONLY | OFlags::CLOEXEC;
        let fd = openat(&self.fd, name, flags, Mode::from_raw_mode(0o644));
        self.found(fd.map_err(|error| Refused::failed(&path, error))?, path)
    }

    /// Takes a name away; what it led to stays under its others.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn remove(&self, name: &OsStr) -> Result<(), Refused> {
        match unlinkat(&self.fd, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(Refused::failed(self.path.join(name), error)),
        }
    }

    pub(super) fn found(&self, fd: OwnedFd, path: PathBuf) -> Result<Found, Refused> {
        let stat = fstat(&fd).map_err(|error| opened(&path, error))?;
        let (is_sure, is_own) = (self.is_exclusive(), self.trusted.is_own(stat.st_uid));
        Ok(Found { fd, stat, path, is_sure, is_own, is_given: Cell::new(false) })
    }
}

impl Found {
    /// What it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match FileType::from_raw_mode(self.stat.st_mode) {
            FileType::RegularFile => Kind::File,
            FileType::Directory => Kind::Folder,
            FileType::Symlink => Kind::Link,
            _ => Kind::Other,
        }
    }

    /// Whose it is, and who may do what with it.
    #[must_use]
    pub fn ownership(&self) -> Ownership {
        Ownership { uid: self.stat.st_uid, gid: self.stat.st_gid, mode: self.stat.st_mode & 0o7777 }
    }

    /// When what it holds was changed the last time; of a link, when it was made.
    #[must_use]
    pub fn modified(&self) -> SystemTime {
        let (seconds, nanos) = (self.stat.st_mtime, u32::try_from(self.stat.st_mtime_nsec).unwrap_or(0));
        let since = |seconds: i64| Duration::from_secs(seconds.unsigned_abs());
        match seconds < 0 {
            true => UNIX_EPOCH - since(seconds),
            false => UNIX_EPOCH + since(seconds) + Duration::from_nanos(nanos.into()),
        }
    }

    /// Whether only root or the agent's own user could have put it there, and it is theirs.
    #[must_use]
    pub fn is_surely_own(&self) -> bool {
        self.is_sure && self.is_own
    }

    /// Whether it is the same as what a descriptor leads to.
    pub(super) fn is(&self, other: &Stat) -> bool {
        (self.stat.st_dev, self.stat.st_ino) == (other.st_dev, other.st_ino)
    }

    /// Where a link leads.
    ///
    /// # Errors
    /// When it is none.
    pub fn leads_to(&self) -> Result<PathBuf, Refused> {
        use std::os::unix::ffi::OsStringExt;
        let to = readlinkat(&self.fd, c"", Vec::new()).map_err(|error| Refused::failed(&self.path, error))?;
        Ok(std::ffi::OsString::from_vec(to.into_bytes()).into())
    }

    /// The bytes of a regular file, at most `max`.
    ///
    /// # Errors
    /// When it cannot be read, or is larger.
    pub fn bytes(&self, max: u64) -> Result<Vec<u8>, Refused> {
        let failed = |error: std::io::Error| Refused::failed(&self.path, error);
        let file = self.reopened(OFlags::RDONLY)?;
        let mut bytes = Vec::new();
        file.take(max.saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
        match bytes.len() as u64 > max {
            true => Err(Refused::said(&self.path, format!("it has more than {max} bytes"))),
            false => Ok(bytes),
        }
    }

    /// Writes a regular file anew in its place, so that owner, mode and names stay.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn overwrite(&self, bytes: &[u8]) -> Result<(), Refused> {
        let failed = |error: std::io::Error| Refused::failed(&self.path, error);
        let mut file = self.reopened(OFlags::WRONLY | OFlags::TRUNC)?;
        file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed)
    }

    /// The very file that was found, opened to be read or written.
    fn reopened(&self, flags: OFlags) -> Result<File, Refused> {
        if self.kind() != Kind::File {
            return Err(Refused::Kind { step: self.path.clone(), what: "is no regular file" });
        }
        let flags = flags | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = rustix::fs::open(self.itself(), flags, Mode::empty());
        file.map(File::from).map_err(|error| Refused::failed(&self.path, error))
    }

    fn itself(&self) -> String {
        format!("/proc/self/fd/{}", self.fd.as_raw_fd())
    }

    /// Why it must not be given to this user or group; nothing when it may be.
    ///
    /// # Errors
    /// When it may be a secret that the user has put there.
    pub fn may_be_given(&self, uid: Option<u32>, gid: Option<u32>) -> Result<(), Refused> {
        let is_new = uid.is_some_and(|uid| uid != self.stat.st_uid) || gid.is_some_and(|gid| gid != self.stat.st_gid);
        let is_suspicious = !self.is_sure && self.is_own && is_new && !self.is_empty();
        let is_shown = |uid| self.stat.st_mode & 0o040 != 0 && is_member(uid, self.stat.st_gid);
        if !is_suspicious || self.stat.st_mode & 0o004 != 0 || uid.is_some_and(is_shown) {
            return Ok(());
        }
        Err(self.secret(uid.map_or_else(|| "its new group".to_owned(), name_of)))
    }

    /// Why what is in it must not be shown to others than now; nothing when it may be.
    ///
    /// # Errors
    /// When it is a secret of root's that somebody else can have put there.
    pub fn may_be_copied(&self) -> Result<(), Refused> {
        let is_secret = !self.is_sure && self.is_own && self.stat.st_mode & 0o004 == 0;
        if is_secret { Err(self.secret("its copies' owners".to_owned())) } else { Ok(()) }
    }

    /// Gives it to a user or a group.
    ///
    /// # Errors
    /// When it must not be given, or the system refuses.
    pub fn give(&self, uid: Option<u32>, gid: Option<u32>) -> Result<(), Refused> {
        self.may_be_given(uid, gid)?;
        self.is_given.set(true);
        let (uid, gid) = (uid.map(Uid::from_raw), gid.map(Gid::from_raw));
        chownat(&self.fd, c"", uid, gid, AtFlags::EMPTY_PATH).map_err(|error| Refused::failed(&self.path, error))
    }

    /// Why it must not have this mode; nothing when it may.
    ///
    /// # Errors
    /// When it would show what it did not before, or run as somebody who did not write it.
    pub fn may_have_mode(&self, mode: u32) -> Result<(), Refused> {
        let is_file = self.kind() == Kind::File;
        if is_file && mode & 0o6000 != 0 && (self.is_given.get() || !self.is_sure) {
            let what = "would run as its owner, who did not write it: that is left to a person";
            return Err(Refused::Kind { step: self.path.clone(), what });
        }
        let shows = mode & !self.stat.st_mode & 0o044 != 0;
        if shows && is_file && !self.is_sure && self.is_own && !self.is_given.get() && !self.is_empty() {
            return Err(self.secret("others".to_owned()));
        }
        Ok(())
    }

    /// Sets its permission bits.
    ///
    /// # Errors
    /// When it must not have them, or the system refuses.
    pub fn set_mode(&self, mode: u32) -> Result<(), Refused> {
        self.may_have_mode(mode)?;
        // A descriptor of a path has no mode of its own to set; its place below /proc leads to it.
        rustix::fs::chmod(self.itself(), Mode::from_raw_mode(mode)).map_err(|error| Refused::failed(&self.path, error))
    }

    fn secret(&self, to: String) -> Refused {
        let (owner, mode) = (self.stat.st_uid, self.stat.st_mode & 0o7777);
        Refused::Secret { step: self.path.clone(), owner, mode, to }
    }

    fn is_empty(&self) -> bool {
        self.kind() == Kind::File && self.stat.st_size == 0
    }
}
