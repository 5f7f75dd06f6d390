//! What was seen of a file before it is touched, to tell afterwards whether it is still the same.

use std::{ffi::CStr, io, os::fd::AsFd, time::Duration};

use ansai_model::domain::disk::Cleaning;
use rustix::fs::{AtFlags, FileType, Statx, StatxFlags, statx};

/// One file or directory, as the kernel described it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) device: (u32, u32),
    pub(super) inode: u64,
    mode: u16,
    pub(super) links: u32,
    pub(super) size: u64,
    /// What becomes free when it goes.
    pub(super) bytes: u64,
    written: (i64, u32),
    changed: (i64, u32),
    used: i64,
}

impl Seen {
    /// The name in a directory; a symbolic link is seen itself.
    pub(super) fn at(dir: impl AsFd, name: &CStr) -> io::Result<Self> {
        Ok(Self::of(&statx(dir, name, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::BASIC_STATS)?))
    }

    /// What is open.
    pub(super) fn open(file: impl AsFd) -> io::Result<Self> {
        Ok(Self::of(&statx(file, c"", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS)?))
    }

    fn of(stat: &Statx) -> Self {
        Self {
            device: (stat.stx_dev_major, stat.stx_dev_minor),
            inode: stat.stx_ino,
            mode: stat.stx_mode,
            links: stat.stx_nlink,
            size: stat.stx_size,
            bytes: stat.stx_blocks.saturating_mul(512),
            written: (stat.stx_mtime.tv_sec, stat.stx_mtime.tv_nsec),
            changed: (stat.stx_ctime.tv_sec, stat.stx_ctime.tv_nsec),
            used: stat.stx_atime.tv_sec,
        }
    }

    /// When it was written to, in seconds and nanoseconds.
    pub(super) fn written(&self) -> (i64, u32) {
        self.written
    }

    /// The second at which it was made, renamed or changed otherwise.
    pub(super) fn changed(&self) -> i64 {
        self.changed.0
    }

    pub(super) fn is_directory(&self) -> bool {
        FileType::from_raw_mode(u32::from(self.mode)) == FileType::Directory
    }

    pub(super) fn is_file(&self) -> bool {
        FileType::from_raw_mode(u32::from(self.mode)) == FileType::RegularFile
    }

    /// The same file, and nobody has written to it, renamed it or linked to it; being read changes nothing.
    pub(super) fn is_still(&self, other: &Self) -> bool {
        Self { used: other.used, ..*self } == *other
    }

    /// How long it has not been touched at this second.
    pub(super) fn age(&self, now: i64, touched: Touched) -> Duration {
        let last = match touched {
            Touched::Written => self.written.0,
            Touched::Used => self.written.0.max(self.changed.0).max(self.used),
        };
        Duration::from_secs(u64::try_from(now.saturating_sub(last)).unwrap_or(0))
    }
}

/// What counts as touching a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Touched {
    /// Writing to it: a rotation renames old logs every day, which makes them no younger.
    Written,
    /// Writing, reading, renaming, unpacking: what somebody put there yesterday may bear an old date.
    Used,
}

impl Touched {
    /// What counts for this cleaning.
    pub(super) fn of(cleaning: &Cleaning) -> Self {
        match cleaning {
            // A package bears the date at which it was made.
            Cleaning::Temporary { .. } | Cleaning::PackageCache => Self::Used,
            Cleaning::Rotated { .. } | Cleaning::Logs { .. } | Cleaning::Journal { .. } => Self::Written,
            Cleaning::Containers { .. } | Cleaning::Grow { .. } => Self::Written,
        }
    }
}
