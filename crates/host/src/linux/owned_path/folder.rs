//! A folder that was reached step by step, and who may change the names in it.

use std::{
    collections::VecDeque,
    ffi::{OsStr, OsString},
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStringExt,
    },
    path::{Component, Path, PathBuf},
};

use rustix::{
    fs::{FileType, Mode, OFlags, Stat, StatVfsMountFlags, fstat, fstatvfs, mkdirat, openat, readlinkat},
    io::Errno,
};

use super::{entry::Found, refused::Refused, trusted::Trusted};

/// Most links on one way.
const LINKS_MAX: usize = 40;
/// Folders that distributions give to root and to a group of a service of their own.
const OF_A_SYSTEM_GROUP: &[&str] = &["/var/log", "/var/mail", "/var/spool/mail"];

/// Who may change the names in a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// Root or the agent's own user only.
    Own,
    /// Everybody, but each only its own ones, as in /tmp.
    Sticky,
    /// The user that something is done for, or a group of the system's.
    Others,
}

/// A folder that was reached step by step.
#[derive(Debug)]
pub struct Folder {
    pub(super) fd: OwnedFd,
    pub(super) path: PathBuf,
    pub(super) trusted: Trusted,
    names: Names,
    /// Whether nobody else could have put it where it was found.
    is_stable: bool,
}

/// What is done about a folder on the way that is not there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Absent {
    Refused,
    /// Refused as it is where only those could make it whom we trust; elsewhere for who else could.
    Foreseen,
    Made,
}

impl Folder {
    /// Opens a folder.
    ///
    /// # Errors
    /// When it does not exist, or somebody else has a hand in the way to it.
    pub fn open(path: &Path, trusted: &Trusted) -> Result<Self, Refused> {
        match walk(path, trusted, Absent::Refused)? {
            Reached::Folder(folder) => Ok(folder),
            Reached::Other { path, .. } => Err(Refused::Kind { step: path, what: "is no directory" }),
        }
    }

    /// Opens a folder; what is missing on the way is made, for the agent's own user.
    ///
    /// # Errors
    /// When it cannot be made, or somebody else has a hand in the way to it.
    pub fn open_or_make(path: &Path, trusted: &Trusted) -> Result<Self, Refused> {
        match walk(path, trusted, Absent::Made)? {
            Reached::Folder(folder) => Ok(folder),
            Reached::Other { path, .. } => Err(Refused::Kind { step: path, what: "is no directory" }),
        }
    }

    /// Opens the folder that a path lies in, and says the last name of the path.
    ///
    /// # Errors
    /// As for [`Folder::open`], and when the path has no last name.
    pub fn above(path: &Path, trusted: &Trusted) -> Result<(Self, OsString), Refused> {
        let (parent, name) = parted(path)?;
        Ok((Self::open(parent, trusted)?, name.to_owned()))
    }

    /// The same, making what is missing on the way.
    ///
    /// # Errors
    /// As for [`Folder::open_or_make`], and when the path has no last name.
    pub fn above_or_make(path: &Path, trusted: &Trusted) -> Result<(Self, OsString), Refused> {
        let (parent, name) = parted(path)?;
        Ok((Self::open_or_make(parent, trusted)?, name.to_owned()))
    }

    /// Opens a folder directly below this one; a link is none.
    ///
    /// # Errors
    /// When it is none, or somebody else's.
    pub fn enter(&self, name: &OsStr) -> Result<Self, Refused> {
        let path = self.path.join(name);
        let fd = openat(&self.fd, name, step_flags(), Mode::empty()).map_err(|error| opened(&path, error))?;
        let stat = fstat(&fd).map_err(|error| Refused::failed(&path, error))?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => self.below(fd, &stat, path),
            FileType::Symlink => Err(Refused::Link { step: path, owner: stat.st_uid }),
            _ => Err(Refused::Kind { step: path, what: "is no directory" }),
        }
    }

    /// The very same folder once more.
    ///
    /// # Errors
    /// When no descriptor is left.
    pub fn again(&self) -> Result<Self, Refused> {
        let fd = self.fd.try_clone().map_err(|error| Refused::failed(&self.path, error))?;
        let (path, trusted) = (self.path.clone(), self.trusted.clone());
        Ok(Self { fd, path, trusted, names: self.names, is_stable: self.is_stable })
    }

    /// The names in it.
    ///
    /// # Errors
    /// When it cannot be read, or has more than so many: a part of them would be taken for all.
    pub fn names(&self, max: usize) -> Result<Vec<OsString>, Refused> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let failed = |error: Errno| Refused::failed(&self.path, error);
        let fd = openat(&self.fd, c".", flags, Mode::empty()).map_err(failed)?;
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::new(fd).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            if names.len() == max {
                return Err(Refused::said(
                    &self.path,
                    format!("it holds more than {max} names, the most that are read"),
                ));
            }
            names.push(OsString::from_vec(name.to_vec()));
        }
        names.sort();
        Ok(names)
    }

    /// Whether only root and the agent's own user can change the names in it, and could put it where it is.
    #[must_use]
    pub fn is_exclusive(&self) -> bool {
        self.is_stable && self.names == Names::Own
    }

    /// The one other user that was met on the way, when one was allowed.
    #[must_use]
    pub fn user(&self) -> Option<u32> {
        self.trusted.met()
    }

    /// Where it is, as it was asked for.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// # Errors
    /// When somebody else may change the names in it.
    pub(super) fn must_be_exclusive(&self) -> Result<(), Refused> {
        if self.is_exclusive() {
            return Ok(());
        }
        let stat = fstat(&self.fd).map_err(|error| Refused::failed(&self.path, error))?;
        let by = "others than the agent's own user".to_owned();
        let (owner, mode) = (stat.st_uid, stat.st_mode & 0o7777);
        Err(Refused::Writable { step: self.path.clone(), owner, mode, by, mend: "chmod go-w" })
    }

    fn top(trusted: &Trusted) -> Result<Self, Refused> {
        let path = PathBuf::from("/");
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(&path, flags, Mode::empty()).map_err(|error| Refused::failed(&path, error))?;
        let stat = fstat(&fd).map_err(|error| Refused::failed(&path, error))?;
        // Whoever owns the top owns all, and nobody can exchange it.
        let top = Self { fd, path, trusted: trusted.clone(), names: Names::Own, is_stable: true };
        let names = names(&top.fd, &stat, &top.path, trusted)?;
        Ok(Self { names, ..top })
    }

    /// A folder below this one, when it may be gone through.
    fn below(&self, fd: OwnedFd, stat: &Stat, path: PathBuf) -> Result<Self, Refused> {
        let names = names(&fd, stat, &path, &self.trusted)?;
        let is_stable = self.holds_still(stat.st_uid);
        Ok(Self { fd, path, trusted: self.trusted.clone(), names, is_stable })
    }

    /// Whether what belongs to this user stays under its name here, unless root or we move it.
    pub(super) fn holds_still(&self, owner: u32) -> bool {
        self.is_stable
            && match self.names {
                Names::Own => true,
                Names::Sticky => self.trusted.is_own(owner),
                Names::Others => false,
            }
    }
}

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Where a way ended.
enum Reached {
    Folder(Folder),
    Other { above: Folder, stat: Stat, fd: OwnedFd, path: PathBuf },
}

/// Whether nobody but whom we trust may change what a path leads to.
pub(super) fn settled(path: &Path, trusted: &Trusted) -> Result<(), Refused> {
    match walk(path, trusted, Absent::Foreseen)? {
        Reached::Folder(_) => Ok(()),
        Reached::Other { above, stat, fd, path } => {
            above.judge_owner(&stat, &path)?;
            writers(&fd, &stat, &path, trusted).map(drop)
        }
    }
}

/// The file that a path leads to.
pub(super) fn follow(path: &Path, trusted: &Trusted) -> Result<Found, Refused> {
    match walk(path, trusted, Absent::Refused)? {
        Reached::Folder(folder) => Err(Refused::Kind { step: folder.path, what: "is no regular file" }),
        Reached::Other { above, fd, path, .. } => {
            let found = above.found(fd, path)?;
            above.judge(&found).map(|()| found)
        }
    }
}

fn walk(path: &Path, trusted: &Trusted, absent: Absent) -> Result<Reached, Refused> {
    if !path.is_absolute() {
        return Err(Refused::Kind { step: path.to_owned(), what: "is no absolute path" });
    }
    let mut todo: VecDeque<OsString> = path.components().skip(1).map(|part| part.as_os_str().to_owned()).collect();
    let mut way = vec![Folder::top(trusted)?];
    let mut links = 0;
    while let Some(name) = todo.pop_front() {
        // The way up is the one that was come by: links have been gone through by now.
        if name == ".." {
            if way.len() > 1 {
                way.pop();
            }
            continue;
        }
        let Some(here) = way.last() else { break };
        let path = here.path.join(&name);
        let (fd, stat) = step(here, &name, &path, absent)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Symlink => {
                if !(trusted.is_own(stat.st_uid) && here.holds_still(stat.st_uid)) {
                    return Err(Refused::Link { step: path, owner: stat.st_uid });
                }
                links += 1;
                if links > LINKS_MAX {
                    return Err(Refused::Kind { step: path, what: "leads through too many links" });
                }
                let to = readlinkat(&fd, c"", Vec::new()).map_err(|error| Refused::failed(&path, error))?;
                let to = PathBuf::from(OsString::from_vec(to.into_bytes()));
                if to.is_absolute() {
                    way.truncate(1);
                }
                let parts = to.components().filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir));
                parts.rev().for_each(|part| todo.push_front(part.as_os_str().to_owned()));
            }
            FileType::Directory => {
                let next = here.below(fd, &stat, path)?;
                way.push(next);
            }
            _ if todo.is_empty() => {
                let Some(above) = way.pop() else { break };
                return Ok(Reached::Other { above, stat, fd, path });
            }
            _ => return Err(Refused::Kind { step: path, what: "is no directory" }),
        }
    }
    let reached = way.pop().map(Reached::Folder);
    reached.ok_or_else(|| Refused::Kind { step: path.to_owned(), what: "leads nowhere" })
}

/// One step, by descriptor: what it is now, and nothing else can be exchanged for it.
fn step(here: &Folder, name: &OsStr, path: &Path, absent: Absent) -> Result<(OwnedFd, Stat), Refused> {
    let open = || openat(&here.fd, name, step_flags(), Mode::empty());
    let fd = match open() {
        Err(Errno::NOENT) if absent == Absent::Made => match mkdirat(&here.fd, name, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => open(),
            Err(error) => Err(error),
        },
        other => other,
    };
    if absent == Absent::Foreseen && matches!(fd, Err(Errno::NOENT)) {
        let above = fstat(&here.fd).map_err(|error| Refused::failed(&here.path, error))?;
        writers(&here.fd, &above, &here.path, &here.trusted)?;
    }
    let fd = fd.map_err(|error| opened(path, error))?;
    let stat = fstat(&fd).map_err(|error| Refused::failed(path, error))?;
    Ok((fd, stat))
}

pub(super) fn opened(path: &Path, error: Errno) -> Refused {
    match error {
        Errno::NOENT => Refused::Missing { step: path.to_owned() },
        error => Refused::failed(path, error),
    }
}

fn step_flags() -> OFlags {
    OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC
}

fn parted(path: &Path) -> Result<(&Path, &OsStr), Refused> {
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => Ok((parent, name)),
        _ => Err(Refused::Kind { step: path.to_owned(), what: "is no place for a file" }),
    }
}

/// Who may change the names in a folder.
fn names(fd: &OwnedFd, stat: &Stat, path: &Path, trusted: &Trusted) -> Result<Names, Refused> {
    let is_top = path == Path::new("/");
    if !is_top && !trusted.takes(stat.st_uid) {
        let (owner, mode) = (stat.st_uid, stat.st_mode & 0o7777);
        return Err(Refused::Owner { step: path.to_owned(), owner, mode, may: trusted.words() });
    }
    let is_own = is_top || trusted.is_own(stat.st_uid);
    match writers(fd, stat, path, trusted) {
        Ok(Writers::Owner) if is_own => Ok(Names::Own),
        Ok(Writers::Owner | Writers::Trusted) => Ok(Names::Others),
        Err(_) if is_own && stat.st_mode & 0o1000 != 0 => Ok(Names::Sticky),
        Err(_) if is_own && is_of_a_system_group(stat, path) => Ok(Names::Others),
        Err(refused) => Err(refused),
    }
}

fn is_of_a_system_group(stat: &Stat, path: &Path) -> bool {
    stat.st_mode & 0o002 == 0 && OF_A_SYSTEM_GROUP.iter().any(|known| Path::new(known) == path)
}

/// Who may write something besides root.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Writers {
    Owner,
    /// A group of users that are trusted.
    Trusted,
}

fn writers(fd: &OwnedFd, stat: &Stat, path: &Path, trusted: &Trusted) -> Result<Writers, Refused> {
    let is_open = stat.st_mode & 0o022 != 0;
    // What lies on a filesystem that cannot be written nobody writes, whatever the bits say.
    if !is_open || fstatvfs(fd).is_ok_and(|seen| seen.f_flag.contains(StatVfsMountFlags::RDONLY)) {
        return Ok(Writers::Owner);
    }
    let refused = |by: String, mend| Refused::Writable {
        step: path.to_owned(),
        owner: stat.st_uid,
        mode: stat.st_mode & 0o7777,
        by,
        mend,
    };
    if stat.st_mode & 0o002 != 0 {
        return Err(refused("everybody".into(), "chmod o-w"));
    }
    // With an access list the group's bits stand for all who are named in it.
    if has_access_list(fd) {
        return Err(refused("whom its access list names".into(), "setfacl -b"));
    }
    match Trusted::stranger_in(stat.st_gid, |uid| trusted.has(uid)) {
        Some(by) => Err(refused(by, "chmod g-w")),
        None if Trusted::stranger_in(stat.st_gid, |uid| trusted.is_own(uid)).is_none() => Ok(Writers::Owner),
        None => Ok(Writers::Trusted),
    }
}

fn has_access_list(fd: &OwnedFd) -> bool {
    let place = format!("/proc/self/fd/{}", fd.as_raw_fd());
    let mut room = [0_u8; 4096];
    match rustix::fs::getxattr(place, c"system.posix_acl_access", &mut room[..]) {
        Ok(size) => size > 0,
        Err(Errno::RANGE) => true,
        Err(_) => false,
    }
}
