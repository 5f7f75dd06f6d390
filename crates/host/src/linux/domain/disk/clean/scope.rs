//! Where cleaning may go: one filesystem, beneath one declared directory, past no symbolic link, mount or protected path.
//!
//! Every directory is opened by the kernel's own rules (`openat2`), from the one above it, so that nobody can lead us
//! elsewhere by swapping a directory for a link while we work.

use std::{
    collections::BTreeSet,
    ffi::CStr,
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Component, Path},
};

use ansai_model::domain::disk::{DiskUsage, PROTECTED, TOO_WIDE};
use rustix::{
    fs::{AtFlags, Mode, OFlags, ResolveFlags, StatxFlags, fstatvfs, openat2, statx},
    io::Errno,
};

use super::seen::Seen;
use crate::linux::{domain::disk::usage, mounts::Mount};

/// Names that only a database's data directory holds.
const DATA_MARKS: &[&CStr] = &[c"PG_VERSION", c"ibdata1", c"WiredTiger", c"appendonlydir"];

/// How every directory and file is opened: below what is open already.
const BENEATH: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS)
    .union(ResolveFlags::NO_XDEV);

/// Longer ways to a file are put together in memory of their own.
const WAY: usize = 256;

/// One filesystem, opened at its mount point.
pub(super) struct Scope {
    top: OwnedFd,
    path: String,
    protected: Vec<String>,
    /// The protected directories as the kernel knows them, whatever path leads to them.
    protected_inodes: BTreeSet<((u32, u32), u64)>,
}

/// A declared directory, opened.
pub(super) struct Declared {
    pub(super) fd: OwnedFd,
    /// Its absolute path.
    pub(super) path: String,
}

/// A directory on the way: the declared one or one below.
pub(super) struct Dir {
    pub(super) fd: OwnedFd,
    /// Its path below the declared one, without a slash at the end; empty for that one itself.
    pub(super) below: Vec<u8>,
    pub(super) depth: usize,
}

/// Why a directory or a file was left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Left {
    /// Somebody has it open, or the kernel uses it.
    Open,
    /// It has other names, so that nothing would become free.
    Linked,
    /// It is younger than those that must go.
    Young,
    /// It became another one while we worked.
    Changed,
    /// Something is mounted there, or it lies on another filesystem.
    Mount,
    /// It is protected.
    Protected,
    /// It looks like a database's data.
    Data,
    /// It lies too deep.
    Deep,
    /// The kernel did not say whether somebody has it open.
    Unsure,
    /// The kernel refused.
    Refused,
}

impl Left {
    /// Why, in words that follow a number of files.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Open => "in use by somebody",
            Self::Linked => "with other names, so that nothing would become free",
            Self::Young => "younger than those that must go",
            Self::Changed => "changed while they were looked at",
            Self::Mount => "on another filesystem",
            Self::Protected => "protected",
            Self::Data => "with what looks like a database's data",
            Self::Deep => "nested too deep",
            Self::Unsure => "of which the kernel does not say whether they are in use",
            Self::Refused => "that could not be opened or changed",
        }
    }
}

impl Scope {
    /// Opens a filesystem at its mount point.
    ///
    /// # Errors
    /// When it cannot be opened, or another one is mounted there now.
    pub(super) fn open(root: &Path, mount: &Mount, protect: &[String]) -> Result<Self, String> {
        let words = |error: Errno| {
            match error {
            Errno::NOSYS => "files cannot be opened beneath a directory (openat2): the kernel is older than Linux 5.6, or the agent's unit \
                 takes it away (RestrictSUIDSGID=)"
                .to_owned(),
            error => format!("{} cannot be opened: {error}", mount.path),
        }
        };
        let start = rustix::fs::open(root, directory() | OFlags::PATH, Mode::empty()).map_err(words)?;
        let inside = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let top = openat2(start, relative(&mount.path), directory(), Mode::empty(), inside).map_err(words)?;
        let seen = statx(&top, c"", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID).map_err(words)?;
        if seen.stx_mask & StatxFlags::MNT_ID.bits() != 0 && seen.stx_mnt_id != mount.id {
            return Err(format!("another filesystem is mounted at {} now", mount.path));
        }
        let protected: Vec<String> = PROTECTED.iter().map(|path| (*path).to_owned()).chain(protect.to_vec()).collect();
        let inode = |path: &String| {
            let stat = statx(rustix::fs::CWD, root.join(relative(path)), AtFlags::empty(), StatxFlags::BASIC_STATS);
            stat.ok().map(|stat| ((stat.stx_dev_major, stat.stx_dev_minor), stat.stx_ino))
        };
        let protected_inodes = protected.iter().filter_map(inode).collect();
        Ok(Self { top, path: mount.path.clone(), protected, protected_inodes })
    }

    /// How full it is now.
    pub(super) fn usage(&self) -> Result<DiskUsage, String> {
        let seen = fstatvfs(&self.top).map_err(|error| format!("{} cannot be asked: {error}", self.path))?;
        Ok(usage::usage(&seen))
    }

    /// Has the filesystem write out what waits, so that what was freed is seen.
    pub(super) fn settle(&self) {
        // What cannot be written out is seen by the kernel log; here it only means that less is seen as free.
        let _ = rustix::fs::syncfs(&self.top);
    }

    /// Whether a directory lies on this filesystem.
    pub(super) fn holds(&self, path: &str) -> bool {
        let Ok(below) = Path::new(path).strip_prefix(&self.path) else { return false };
        let below = if below.as_os_str().is_empty() { Path::new(".") } else { below };
        openat2(&self.top, below, directory(), Mode::empty(), BENEATH).is_ok()
    }

    /// Opens a declared directory; `None` when it does not exist.
    ///
    /// # Errors
    /// When it is none that may be cleaned, in words.
    pub(super) fn declared(&self, path: &str) -> Result<Option<Declared>, String> {
        let is_plain =
            Path::new(path).components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
        if !path.starts_with('/') || !is_plain {
            return Err(format!("{path} is no absolute path"));
        }
        let path = if path == "/" { path } else { path.trim_end_matches('/') };
        if TOO_WIDE.contains(&path) {
            return Err(format!("{path} as a whole is never cleaned; name a directory below it"));
        }
        if let Some(by) = self.protected.iter().find(|protected| Path::new(path).starts_with(protected)) {
            return Err(format!("{path} is protected ({by} with all below it)"));
        }
        let Ok(below) = Path::new(path).strip_prefix(&self.path) else {
            return Err(format!("{path} does not lie on the filesystem at {}", self.path));
        };
        let below = if below.as_os_str().is_empty() { Path::new(".") } else { below };
        match openat2(&self.top, below, directory(), Mode::empty(), BENEATH) {
            Ok(fd) => {
                let seen = Seen::open(&fd).map_err(|error| format!("{path}: {error}"))?;
                if self.protected_inodes.contains(&(seen.device, seen.inode)) {
                    return Err(format!("{path} is protected under another name"));
                }
                Ok(Some(Declared { fd, path: path.to_owned() }))
            }
            Err(Errno::NOENT) => Ok(None),
            Err(Errno::XDEV) => Err(format!("{path} does not lie on the filesystem at {}", self.path)),
            Err(Errno::LOOP) => Err(format!("{path} leads through a symbolic link; name the place that it leads to")),
            Err(Errno::NOTDIR) => Err(format!("{path} is no directory")),
            Err(error) => Err(format!("{path} cannot be opened: {error}")),
        }
    }

    /// Opens a directory below another one, when it may be cleaned.
    pub(super) fn enter(&self, declared: &Declared, dir: &Dir, name: &CStr) -> Result<Dir, Left> {
        let below = joined(&dir.below, name);
        let path = [declared.path.as_bytes(), b"/", &below].concat();
        let path = Path::new(std::ffi::OsStr::from_bytes(&path));
        if self.protected.iter().any(|protected| path.starts_with(protected)) {
            return Err(Left::Protected);
        }
        let fd = openat2(&dir.fd, name, directory(), Mode::empty(), BENEATH).map_err(left)?;
        let seen = Seen::open(&fd).map_err(|_| Left::Refused)?;
        if self.protected_inodes.contains(&(seen.device, seen.inode)) {
            return Err(Left::Protected);
        }
        let dir = Dir { fd, below, depth: dir.depth + 1 };
        if dir.looks_like_data() { Err(Left::Data) } else { Ok(dir) }
    }
}

impl Declared {
    /// The declared directory itself, to begin with; opened anew, since a descriptor remembers how far it was read.
    pub(super) fn begin(&self) -> io::Result<Dir> {
        let fd = openat2(&self.fd, c".", directory(), Mode::empty(), BENEATH)?;
        Ok(Dir { fd, below: Vec::new(), depth: 0 })
    }

    /// Opens a file by its whole way from the declared directory: it lies beneath it at this moment.
    pub(super) fn open_file(&self, dir: &Dir, name: &CStr) -> Result<OwnedFd, Left> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
        let (mut place, long): ([u8; WAY], Vec<u8>);
        let length = dir.below.len() + 1 + name.count_bytes();
        // Each of a million files is opened once: a way that is not long needs no memory of its own.
        let way = if dir.below.is_empty() {
            name.to_bytes()
        } else if length <= WAY {
            place = [0; WAY];
            let (before, after) = place[..length].split_at_mut(dir.below.len());
            before.copy_from_slice(&dir.below);
            after[0] = b'/';
            after[1..].copy_from_slice(name.to_bytes());
            &place[..length]
        } else {
            long = joined(&dir.below, name);
            &long
        };
        openat2(&self.fd, way, flags, Mode::empty(), BENEATH).map_err(left)
    }

    /// A file's path as people are shown it.
    pub(super) fn shown(&self, dir: &Dir, name: &CStr) -> String {
        format!("{}/{}", self.path, shown(&joined(&dir.below, name)))
    }
}

impl Dir {
    /// Whether a database keeps its data here.
    pub(super) fn looks_like_data(&self) -> bool {
        let is_there = |mark: &&CStr| statx(&self.fd, *mark, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::TYPE).is_ok();
        DATA_MARKS.iter().any(is_there)
    }
}

fn left(error: Errno) -> Left {
    match error {
        Errno::XDEV => Left::Mount,
        Errno::NOENT | Errno::LOOP | Errno::NOTDIR => Left::Changed,
        // Somebody holds a lease on it.
        Errno::AGAIN => Left::Open,
        _ => Left::Refused,
    }
}

fn directory() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC
}

fn relative(path: &str) -> &Path {
    let below = path.trim_start_matches('/');
    Path::new(if below.is_empty() { "." } else { below })
}

fn joined(below: &[u8], name: &CStr) -> Vec<u8> {
    let between: &[u8] = if below.is_empty() { b"" } else { b"/" };
    [below, between, name.to_bytes()].concat()
}

/// A name of any bytes, as people can read it.
fn shown(name: &[u8]) -> String {
    match std::str::from_utf8(name) {
        Ok(text) if !text.chars().any(char::is_control) => text.to_owned(),
        _ => name.escape_ascii().to_string(),
    }
}

/// The directory is asked for by its descriptor from here on.
impl AsFd for Dir {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    /// A folder that is declared, with `a/file` and `b/file`, and one beside it with the same names.
    fn planted() -> (tempfile::TempDir, Scope, Declared) {
        let top = tempfile::tempdir().expect("a folder");
        for place in ["scope/a", "scope/b", "outside/a"] {
            fs::create_dir_all(top.path().join(place)).expect("made");
            fs::write(top.path().join(place).join("file"), "kept").expect("written");
        }
        fs::write(top.path().join("outside/file"), "kept").expect("written");
        let opened = rustix::fs::open(top.path(), directory(), Mode::empty()).expect("opened");
        let (protected, protected_inodes) = (Vec::new(), BTreeSet::new());
        let scope = Scope { top: opened, path: "/srv".into(), protected, protected_inodes };
        let declared = scope.declared("/srv/scope").expect("may be cleaned").expect("is there");
        (top, scope, declared)
    }

    #[test]
    fn a_folder_that_became_a_link_after_it_was_entered_leads_nowhere() {
        let (top, scope, declared) = planted();
        let begin = declared.begin().expect("opened");
        let a = scope.enter(&declared, &begin, c"a").expect("entered");
        assert!(declared.open_file(&a, c"file").is_ok());
        fs::rename(top.path().join("scope/a"), top.path().join("scope/aside")).expect("moved");
        for target in ["../outside/a".into(), top.path().join("outside/a"), "b".into()] {
            symlink(&target, top.path().join("scope/a")).expect("linked");
            assert_eq!(declared.open_file(&a, c"file").err(), Some(Left::Changed), "{target:?}");
            assert_eq!(scope.enter(&declared, &begin, c"a").err(), Some(Left::Changed), "{target:?}");
            fs::remove_file(top.path().join("scope/a")).expect("removed");
        }
    }

    #[test]
    fn a_folder_that_was_moved_out_after_it_was_entered_is_left_alone() {
        let (top, scope, declared) = planted();
        let b = scope.enter(&declared, &declared.begin().expect("opened"), c"b").expect("entered");
        fs::rename(top.path().join("scope/b"), top.path().join("outside/b")).expect("moved");
        assert_eq!(declared.open_file(&b, c"file").err(), Some(Left::Changed));
    }

    #[test]
    fn no_name_leads_up_and_no_link_is_followed() {
        let (top, scope, declared) = planted();
        let begin = declared.begin().expect("opened");
        assert!(scope.enter(&declared, &begin, c"..").is_err());
        assert!(declared.open_file(&begin, c"../outside/file").is_err());
        symlink("../outside/file", top.path().join("scope/link")).expect("linked");
        assert_eq!(declared.open_file(&begin, c"link").err(), Some(Left::Changed));
        symlink("scope", top.path().join("other")).expect("linked");
        assert!(scope.declared("/srv/other").err().is_some_and(|why| why.contains("symbolic link")));
        assert!(!scope.holds("/srv/other") && scope.holds("/srv/scope/a"));
    }
}
