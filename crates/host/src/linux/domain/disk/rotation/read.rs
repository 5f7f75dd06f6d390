//! How the files are read in which owners say what they rotate: regular ones of a bounded size, which nobody but root and
//! whoever runs the agent may write. Their content is judged elsewhere.

use std::{
    fs::File,
    io::Read,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use rustix::fs::{Mode, OFlags, open};

use crate::linux::packages;

/// Largest file.
const BYTES_MAX: usize = 4 << 20;
/// All files together.
const ALL_BYTES_MAX: usize = 16 << 20;
/// Most files and folders that are asked for.
const FILES_MAX: usize = 4096;
/// Most names in a folder.
const NAMES_MAX: usize = 16_384;

/// What lies at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::linux::domain::disk) enum Found {
    /// A file's text.
    File(String),
    /// The names in a folder, in order.
    Folder(Vec<String>),
    /// Others than root may write it, so that its owner does not read it either.
    Ignored,
    /// Nothing.
    Missing,
}

/// Files by their path, so that the readers of configurations are tested without any.
pub(in crate::linux::domain::disk) trait Files {
    /// What lies at an absolute path.
    ///
    /// # Errors
    /// When it is there and cannot be taken: no regular file, too large, no text; in words, with the path.
    fn find(&mut self, path: &str) -> Result<Found, String>;
}

/// The files below a root.
pub(in crate::linux::domain::disk) struct OnDisk<'a> {
    root: &'a Path,
    bytes: usize,
    asked: usize,
}

impl<'a> OnDisk<'a> {
    pub(in crate::linux::domain::disk) fn new(root: &'a Path) -> Self {
        Self { root, bytes: 0, asked: 0 }
    }

    fn place(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    fn open(&self, path: &str) -> rustix::io::Result<File> {
        // Without NONBLOCK, a named pipe would keep us waiting.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        open(self.place(path), flags, Mode::empty()).map(File::from)
    }

    /// Whether somebody holds a lock on this file, as logrotate does on its state while it works. No lock is taken to find
    /// out: whoever begins meanwhile must not find it taken.
    pub(super) fn is_locked(&self, path: &str) -> bool {
        let inode = std::fs::metadata(self.place(path)).map(|meta| meta.ino());
        inode.is_ok_and(|inode| match packages::is_listed(self.root, inode) {
            Ok(is_listed) => is_listed,
            // Where the locks cannot be read it may be at work.
            Err(error) => error.kind() != std::io::ErrorKind::NotFound,
        })
    }

    /// The first bytes of a regular file; nothing when there is none.
    pub(super) fn beginning(&self, path: &str, bytes: usize) -> Vec<u8> {
        let mut text = Vec::new();
        let file = self.open(path).ok().filter(|file| file.metadata().is_ok_and(|meta| meta.is_file()));
        if let Some(file) = file {
            // What cannot be read begins with nothing.
            let _ = file.take(bytes as u64).read_to_end(&mut text);
        }
        text
    }

    fn folder(&self, path: &str) -> Result<Found, String> {
        let entries = std::fs::read_dir(self.place(path)).map_err(|error| format!("{path}: {error}"))?;
        let mut names: Vec<String> =
            entries.take(NAMES_MAX + 1).flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
        if names.len() > NAMES_MAX {
            return Err(format!("{path}: more than {NAMES_MAX} names"));
        }
        names.sort();
        Ok(Found::Folder(names))
    }
}

impl Files for OnDisk<'_> {
    fn find(&mut self, path: &str) -> Result<Found, String> {
        self.asked += 1;
        if self.asked > FILES_MAX {
            return Err(format!("{path}: more than {FILES_MAX} files"));
        }
        let words = |error: std::io::Error| format!("{path}: {error}");
        let file = match self.open(path) {
            Ok(file) => file,
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => return Ok(Found::Missing),
            Err(error) => return Err(words(error.into())),
        };
        let meta = file.metadata().map_err(words)?;
        if meta.is_dir() {
            return self.folder(path);
        }
        if !meta.is_file() {
            return Err(format!("{path}: no regular file"));
        }
        let is_ours = meta.uid() == 0 || meta.uid() == rustix::process::geteuid().as_raw();
        if !is_ours || meta.mode() & 0o022 != 0 {
            return Ok(Found::Ignored);
        }
        let mut bytes = Vec::new();
        file.take(BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(words)?;
        self.bytes += bytes.len();
        if bytes.len() > BYTES_MAX || self.bytes > ALL_BYTES_MAX {
            return Err(format!("{path}: too large"));
        }
        String::from_utf8(bytes).map(Found::File).map_err(|_| format!("{path}: no text"))
    }
}
