//! One file is deleted, or compressed: looked at anew at that moment, and only when it is what was seen before and nobody
//! has it open.
//!
//! What the kernel cannot exclude: somebody who puts another file in its place, or begins to open it, within the few
//! microseconds between the last look and the deletion. The first is noticed afterwards, and told.

use std::{
    ffi::{CStr, CString},
    fs::File,
    io::{self, Read, Write},
    os::fd::{AsFd, OwnedFd},
};

use flate2::{Compression, write::GzEncoder};
use rustix::{
    fs::{
        AtFlags, Gid, Mode, OFlags, Timespec, Timestamps, Uid, fchmod, fchown, fstat, futimens, linkat, openat,
        unlinkat,
    },
    io::Errno,
};

use super::{
    scope::{Declared, Dir, Left},
    seen::Seen,
    sweep::Progress,
};
use crate::linux::kernel;

/// Smaller files would not become smaller on the disk.
const COMPRESSED_MIN: u64 = 8192;
/// How much is read before it is asked whether to go on.
const CHUNK: usize = 128 * 1024;

/// What became of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// It is gone, and this is what it was.
    Gone(Seen),
    /// The name is gone, but in that very moment it had become another file's.
    Replaced,
}

/// Deletes a file that nobody else has open, when `accept` takes what it is in that moment.
///
/// It was opened by this name, has no other, and is not read by anybody: the open file says all that has to be known, in
/// one question, right before it goes.
pub(super) fn delete(
    declared: &Declared,
    dir: &Dir,
    name: &CStr,
    accept: impl FnOnce(&Seen) -> Result<(), Left>,
) -> Result<Taken, Left> {
    let (file, seen) = open_alone(declared, dir, name)?;
    accept(&seen)?;
    match unlinkat(dir, name, AtFlags::empty()) {
        Ok(()) => {}
        Err(Errno::NOENT) => return Err(Left::Changed),
        // A name that something is mounted on.
        Err(Errno::BUSY) => return Err(Left::Mount),
        Err(_) => return Err(Left::Refused),
    }
    match fstat(&file) {
        Ok(after) if after.st_nlink == 0 => Ok(Taken::Gone(seen)),
        _ => Ok(Taken::Replaced),
    }
}

/// Opens a regular file with one name that nobody else has open, and says what it is.
fn open_alone(declared: &Declared, dir: &Dir, name: &CStr) -> Result<(OwnedFd, Seen), Left> {
    let file = declared.open_file(dir, name)?;
    match kernel::take_alone(&file) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(Left::Open),
        Err(_) => return Err(Left::Unsure),
    }
    match Seen::open(&file) {
        Ok(seen) if !seen.is_file() => Err(Left::Changed),
        Ok(seen) if seen.links != 1 => Err(Left::Linked),
        Ok(seen) => Ok((file, seen)),
        Err(_) => Err(Left::Refused),
    }
}

/// Puts a compressed copy beside a file and deletes the file; says how many bytes became free.
///
/// The copy has no name before it is whole and on the disk, so that nothing half done is left whatever happens.
pub(super) fn compress(
    declared: &Declared,
    dir: &Dir,
    name: &CStr,
    seen: &Seen,
    progress: &Progress,
) -> Result<Option<u64>, Left> {
    if seen.bytes < COMPRESSED_MIN || seen.size < COMPRESSED_MIN {
        return Ok(None);
    }
    let Ok(copy_name) = CString::new([name.to_bytes(), b".gz"].concat()) else { return Ok(None) };
    let (file, now) = open_alone(declared, dir, name)?;
    unchanged(&now, seen)?;
    // Whoever wants to open it while it is read must not wait for us: it is looked at again before it goes.
    kernel::give_back(&file).map_err(|_| Left::Unsure)?;
    let Some(copy) = copied(dir, file, seen, progress)? else { return Ok(None) };
    let copied = Seen::open(&copy).map_err(|_| Left::Refused)?;
    if copied.bytes >= seen.bytes {
        return Ok(None);
    }
    let place = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&copy));
    match linkat(rustix::fs::CWD, place, dir, &copy_name, AtFlags::SYMLINK_FOLLOW) {
        Ok(()) => {}
        // An older copy is there already; it is not ours to judge.
        Err(Errno::EXIST) => return Ok(None),
        Err(_) => return Err(Left::Refused),
    }
    match delete(declared, dir, name, |now| unchanged(now, seen)) {
        Ok(Taken::Gone(gone)) => Ok(Some(gone.bytes.saturating_sub(copied.bytes))),
        Ok(Taken::Replaced) => Err(Left::Changed),
        Err(left) => {
            if Seen::at(dir, &copy_name).is_ok_and(|now| now.inode == copied.inode && now.device == copied.device) {
                // It stays when it cannot go: a copy too many does no harm.
                let _ = unlinkat(dir, &copy_name, AtFlags::empty());
            }
            Err(left)
        }
    }
}

fn unchanged(now: &Seen, seen: &Seen) -> Result<(), Left> {
    if now.is_still(seen) { Ok(()) } else { Err(Left::Changed) }
}

/// The compressed copy without a name, on the disk, with the owner, the mode and the time of the file.
fn copied(dir: &Dir, file: OwnedFd, seen: &Seen, progress: &Progress) -> Result<Option<File>, Left> {
    let flags = OFlags::WRONLY | OFlags::TMPFILE | OFlags::CLOEXEC;
    let copy = openat(dir, c".", flags, Mode::RUSR | Mode::WUSR).map_err(|_| Left::Refused)?;
    let mut encoder = GzEncoder::new(File::from(copy), Compression::default());
    let mut file = File::from(file);
    let mut buffer = vec![0; CHUNK];
    loop {
        if progress.must_end() {
            return Ok(None);
        }
        match file.read(&mut buffer) {
            Ok(0) => break,
            // A disk that is full to the last block has no room for the copy either: the file is left as it is.
            Ok(count) => encoder.write_all(&buffer[..count]).map_err(|_| Left::Refused)?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return Err(Left::Refused),
        }
    }
    let copy = encoder.finish().map_err(|_| Left::Refused)?;
    put_on(&copy, &file, seen).map_err(|_| Left::Refused)?;
    Ok(Some(copy))
}

fn put_on(copy: &File, file: &File, seen: &Seen) -> io::Result<()> {
    let stat = fstat(file.as_fd())?;
    fchown(copy, Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)))?;
    fchmod(copy, Mode::from_raw_mode(stat.st_mode & 0o777))?;
    let at = |(seconds, nanos): (i64, u32)| Timespec { tv_sec: seconds, tv_nsec: nanos.into() };
    futimens(copy, &Timestamps { last_access: at(seen.written()), last_modification: at(seen.written()) })?;
    copy.sync_all()
}
