//! Reads files that somebody else may have made: only regular ones, only so many bytes, and never waiting for whoever
//! should write into a pipe. It writes nothing and decides nothing; a mount that does not answer is bounded by the caller.

use std::{
    fmt,
    fs::{File, FileType, OpenOptions},
    io::{self, ErrorKind, Read, Seek, SeekFrom},
    os::unix::fs::{FileTypeExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use rustix::{fs::OFlags, io::Errno};
use thiserror::Error;

pub mod zone;

/// How much is read at once: the kernel gives no more of its own files, and it grows from there.
const ROOM_AT_ONCE: usize = 4096;

/// Why a file was not read.
#[derive(Debug, Error)]
#[error("{}: {why}", path.display())]
pub struct ReadError {
    /// The path of the file.
    pub path: PathBuf,
    /// The kind of reason.
    #[source]
    pub why: Why,
}

/// What was wrong with a file.
#[derive(Debug, Error)]
pub enum Why {
    /// The system refused.
    #[error("{}", said(.0))]
    Io(#[source] io::Error),
    /// It is something that has no content to be read, or whose reading has effects.
    #[error("it is {0}, and only a regular file is read; name one")]
    NotRegular(Kind),
    /// It has more than the most bytes that are read.
    #[error("it has more than {0} bytes, the most that are read; is it the right file?")]
    TooLarge(u64),
    /// It is not written in UTF-8.
    #[error("byte {0} is no UTF-8; is it the right file?")]
    NotText(usize),
}

impl ReadError {
    /// What the system said, or the nearest to it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match &self.why {
            Why::Io(error) => error.kind(),
            Why::NotRegular(Kind::Directory) => ErrorKind::IsADirectory,
            Why::NotRegular(_) => ErrorKind::InvalidInput,
            Why::TooLarge(_) => ErrorKind::FileTooLarge,
            Why::NotText(_) => ErrorKind::InvalidData,
        }
    }

    /// Whether nothing is there.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(self.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
    }
}

/// What the system said of a file or folder, in words for whoever named it: without the number of the error, and where it is
/// usual, without the system's own name for it.
#[must_use]
pub fn said(error: &io::Error) -> String {
    let words = match error.kind() {
        // What somebody made of another error has words of its own.
        _ if error.raw_os_error().is_none() && error.get_ref().is_some() => return error.to_string(),
        ErrorKind::NotFound => "there is no such file or folder",
        ErrorKind::PermissionDenied => "permission denied",
        ErrorKind::NotADirectory => "a folder on the way to it is none",
        ErrorKind::IsADirectory => "it is a folder",
        ErrorKind::AlreadyExists => "something else is there already",
        ErrorKind::StorageFull => "its filesystem is full",
        ErrorKind::QuotaExceeded => "the quota on its filesystem is used up",
        _ if error.raw_os_error() == Some(Errno::ROFS.raw_os_error()) => "what it lies on can only be read",
        ErrorKind::InvalidFilename => "its name is too long, or of characters that are not taken",
        ErrorKind::ConnectionRefused => "nobody listens there",
        _ => return unnumbered(&error.to_string()),
    };
    words.to_owned()
}

/// A text without the numbers by which the system knows its errors, as ` (os error 111)`: they mean nothing to a reader.
#[must_use]
pub fn unnumbered(text: &str) -> String {
    let mut parts = text.split(" (os error ");
    let mut words = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once(')') {
            Some((number, rest)) if number.bytes().all(|byte| byte.is_ascii_digit()) => words.push_str(rest),
            _ => words.push_str(&format!(" (os error {part}")),
        }
    }
    words
}

impl From<ReadError> for io::Error {
    /// Without the path, which those who speak in `io::Error` say themselves.
    fn from(error: ReadError) -> Self {
        match error.why {
            Why::Io(error) => error,
            why @ (Why::NotRegular(_) | Why::TooLarge(_) | Why::NotText(_)) => {
                let kind = ReadError { path: PathBuf::new(), why };
                Self::new(kind.kind(), kind.why)
            }
        }
    }
}

/// What is no regular file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A folder.
    Directory,
    /// A named pipe.
    Fifo,
    /// A socket in the file system.
    Socket,
    /// A device, of characters or of blocks.
    Device,
    /// None of these.
    Other,
}

impl Kind {
    /// What it is, when it is no regular file.
    #[must_use]
    pub fn of(kind: FileType) -> Option<Self> {
        match () {
            () if kind.is_file() => None,
            () if kind.is_dir() => Some(Self::Directory),
            () if kind.is_fifo() => Some(Self::Fifo),
            () if kind.is_socket() => Some(Self::Socket),
            () if kind.is_char_device() || kind.is_block_device() => Some(Self::Device),
            () => Some(Self::Other),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Directory => "a directory",
            Self::Fifo => "a named pipe",
            Self::Socket => "a socket",
            Self::Device => "a device",
            Self::Other => "no file",
        })
    }
}

/// Opens a regular file for reading, whatever links lead to it.
///
/// # Errors
/// When it is something else, or the system refuses.
pub fn open(path: &Path) -> Result<File, ReadError> {
    let failed = |why| ReadError { path: path.to_owned(), why };
    let check = |kind: FileType| Kind::of(kind).map_or(Ok(()), |kind| Err(failed(Why::NotRegular(kind))));
    // Asked before it is opened: to open a device alone may start it. And once more, for it may have been exchanged.
    let meta = std::fs::metadata(path).map_err(|error| failed(Why::Io(error)))?;
    check(meta.file_type())?;
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path);
    let file = file.map_err(|error| failed(Why::Io(error)))?;
    check(file.metadata().map_err(|error| failed(Why::Io(error)))?.file_type())?;
    Ok(file)
}

/// All bytes of a regular file that has at most `bytes_max`.
///
/// # Errors
/// When it is something else or larger, or the system refuses.
pub fn bytes(path: &Path, bytes_max: u64) -> Result<Vec<u8>, ReadError> {
    let (bytes, is_cut) = head(path, bytes_max)?;
    match is_cut {
        true => Err(ReadError { path: path.to_owned(), why: Why::TooLarge(bytes_max) }),
        false => Ok(bytes),
    }
}

/// The text of a regular file that has at most `bytes_max` bytes.
///
/// # Errors
/// As [`bytes`], and when it is not UTF-8.
pub fn text(path: &Path, bytes_max: u64) -> Result<String, ReadError> {
    String::from_utf8(bytes(path, bytes_max)?).map_err(|error| {
        let why = Why::NotText(error.utf8_error().valid_up_to());
        ReadError { path: path.to_owned(), why }
    })
}

/// The first bytes of a regular file, at most `bytes_max`, and whether there are more.
///
/// # Errors
/// When it is something else, or the system refuses.
pub fn head(path: &Path, bytes_max: u64) -> Result<(Vec<u8>, bool), ReadError> {
    // The size is not asked beforehand: a file may grow, and those of the kernel have none. Most fit at once.
    let mut bytes = Vec::with_capacity(
        usize::try_from(bytes_max).map_or(ROOM_AT_ONCE, |max| ROOM_AT_ONCE.min(max.saturating_add(1))),
    );
    let read = open(path)?.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes);
    read.map_err(|error| ReadError { path: path.to_owned(), why: Why::Io(error) })?;
    let is_cut = bytes.len() as u64 > bytes_max;
    if is_cut {
        bytes.pop();
    }
    bytes.shrink_to_fit();
    Ok((bytes, is_cut))
}

/// The last bytes of a regular file, at most `bytes_max`; those that are written meanwhile are not among them.
///
/// # Errors
/// When it is something else, or the system refuses.
pub fn tail(path: &Path, bytes_max: u64) -> Result<Vec<u8>, ReadError> {
    let mut file = open(path)?;
    let mut bytes = Vec::new();
    let mut read = || {
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(bytes_max)))?;
        (&mut file).take(bytes_max).read_to_end(&mut bytes)
    };
    read().map_err(|error| ReadError { path: path.to_owned(), why: Why::Io(error) })?;
    Ok(bytes)
}

/// As much of a file as `bytes_max` allows, as text in which what is no UTF-8 is marked. It is for the kernel's own files,
/// whose first part is worth more than none.
///
/// # Errors
/// As [`head`].
pub fn head_text(path: &Path, bytes_max: u64) -> Result<String, ReadError> {
    let (bytes, _) = head(path, bytes_max)?;
    Ok(String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}
