//! A new file or link that is whole before it gets its name: written beside it under a name that nobody can foresee,
//! flushed, and renamed into its place by descriptor.

use std::{
    collections::hash_map::RandomState,
    ffi::{OsStr, OsString},
    fs::File,
    hash::{BuildHasher, Hasher},
    io::Write,
    path::{Path, PathBuf},
};

use rustix::fs::{
    AtFlags, Gid, Mode, OFlags, Stat, Uid, fchmod, fchown, fstat, fsync, openat, renameat, symlinkat, unlinkat,
};

use super::{entry::Kind, folder::Folder, refused::Refused};

/// How the names of files begin to end that are not in their place yet.
const MARK: &str = ".ansai-new-";
/// Most names among which those are looked for that an earlier attempt left when the host lost power.
const NAMES_MAX: usize = 10_000;

/// Who owns a file, and who may do what with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ownership {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Permission bits.
    pub mode: u32,
}

/// A file or link that is written beside its place, and not there yet. Dropped without being committed, it leaves nothing
/// behind.
#[derive(Debug)]
pub struct Fresh {
    folder: Folder,
    beside: OsString,
    name: OsString,
    path: PathBuf,
    made: Option<Stat>,
    is_done: bool,
}

impl Fresh {
    /// Writes a file beside its place, and flushes it.
    ///
    /// # Errors
    /// When writing fails, or what is there is no file that may be replaced.
    pub fn file(folder: Folder, name: &OsStr, bytes: &[u8], ownership: Ownership) -> Result<Self, Refused> {
        match folder.find(name)? {
            Some(found) if found.kind() == Kind::Link => {
                let owner = found.ownership().uid;
                return Err(Refused::Link { step: folder.path().join(name), owner });
            }
            Some(found) if found.kind() != Kind::File => {
                return Err(Refused::Kind { step: folder.path().join(name), what: "is there and is no file" });
            }
            Some(_) | None => {}
        }
        let mut fresh = Self::begun(folder, name)?;
        let made = fresh.write(bytes, ownership).map_err(|error| Refused::failed(&fresh.path, error))?;
        fresh.made = Some(made);
        Ok(fresh)
    }

    /// A symbolic link beside its place.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn link(folder: Folder, name: &OsStr, to: &Path) -> Result<Self, Refused> {
        let mut fresh = Self::begun(folder, name)?;
        symlinkat(to, &fresh.folder, &fresh.beside).map_err(|error| Refused::failed(&fresh.path, error))?;
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let made = openat(&fresh.folder, &fresh.beside, flags, Mode::empty()).and_then(fstat);
        fresh.made = Some(made.map_err(|error| Refused::failed(&fresh.path, error))?);
        Ok(fresh)
    }

    fn begun(folder: Folder, name: &OsStr) -> Result<Self, Refused> {
        let path = folder.path().join(name);
        let mut mark = OsString::from(".");
        mark.push(name);
        mark.push(MARK);
        let is_left = |other: &OsString| other.as_encoded_bytes().starts_with(mark.as_encoded_bytes());
        for left in folder.names(NAMES_MAX).unwrap_or_default().into_iter().filter(is_left) {
            // What cannot be removed, as a folder of that name, is in nobody's way: the new name is another.
            let _ = folder.remove(&left);
        }
        // Seeded by the system: nobody can foresee it, and a name that is taken all the same is an error.
        let chance = RandomState::new().build_hasher().finish();
        let mut beside = mark;
        beside.push(format!("{chance:016x}"));
        Ok(Self { folder, beside, name: name.to_owned(), path, made: None, is_done: false })
    }

    fn write(&self, bytes: &[u8], ownership: Ownership) -> std::io::Result<Stat> {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::WRONLY | OFlags::CLOEXEC;
        // Nobody else can read it before it has its owner and its mode.
        let mut file = File::from(openat(&self.folder, &self.beside, flags, Mode::RUSR | Mode::WUSR)?);
        file.write_all(bytes)?;
        let made = fstat(&file)?;
        if (made.st_uid, made.st_gid) != (ownership.uid, ownership.gid) {
            fchown(&file, Some(Uid::from_raw(ownership.uid)), Some(Gid::from_raw(ownership.gid)))?;
        }
        // It never runs as anybody by itself.
        fchmod(&file, Mode::from_raw_mode(ownership.mode & 0o777))?;
        file.sync_all()?;
        Ok(made)
    }

    /// Where it goes.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Puts it in its place, durably.
    ///
    /// # Errors
    /// When the system refuses, or somebody has exchanged it meanwhile.
    pub fn commit(mut self) -> Result<(), Refused> {
        let failed = |error| Refused::failed(&self.path, error);
        renameat(&self.folder, &self.beside, &self.folder, &self.name).map_err(failed)?;
        let is_there = self.folder.find(&self.name)?.is_some_and(|now| self.made.is_some_and(|made| now.is(&made)));
        fsync_of(&self.folder).map_err(failed)?;
        self.is_done = true;
        match is_there {
            true => Ok(()),
            false => Err(Refused::said(&self.path, "it was exchanged by somebody in the moment it was put there")),
        }
    }
}

/// A descriptor of a path cannot be flushed: the folder is opened for it.
fn fsync_of(folder: &Folder) -> rustix::io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    // One that may be written in and not read cannot be flushed, which is no reason to undo what is done.
    match openat(folder, c".", flags, Mode::empty()) {
        Ok(folder) => fsync(folder),
        Err(rustix::io::Errno::ACCESS) => Ok(()),
        Err(error) => Err(error),
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        if !self.is_done {
            let _ = unlinkat(&self.folder, &self.beside, AtFlags::empty());
        }
    }
}
