//! Reads a journal line by line: gigabytes of it need the memory of one line.

use std::{
    collections::VecDeque,
    fmt,
    io::{self, BufRead, Read},
    marker::PhantomData,
    path::{Path, PathBuf},
};

use serde::de::DeserializeOwned;

use super::{Entry, LINE_BYTES_MAX, attachment, files};

/// Something found in a journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item<S, R> {
    /// A whole line.
    Entry(Entry<S, R>),
    /// A line that does not end: the agent was killed, or the disk was full, while it was written.
    Torn {
        /// In which file.
        path: PathBuf,
        /// Which line, from 1.
        line: u64,
    },
    /// A line that cannot be read; what follows it in the file still is.
    Unreadable {
        /// In which file.
        path: PathBuf,
        /// Which line, from 1.
        line: u64,
        /// What is wrong with it.
        why: String,
    },
}

/// A journal that is being read, oldest first. It ends after the last segment that was there when it was opened.
pub struct Reader<S, R> {
    dir: PathBuf,
    segments: VecDeque<PathBuf>,
    current: Option<Current>,
    entries: PhantomData<fn() -> (S, R)>,
}

/// The segment that is being read.
struct Current {
    path: PathBuf,
    file: Box<dyn BufRead>,
    /// The last line that was read, from 1.
    line: u64,
}

impl<S, R> fmt::Debug for Reader<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("segments", &self.segments).finish_non_exhaustive()
    }
}

impl<S: DeserializeOwned, R: DeserializeOwned> Reader<S, R> {
    /// Opens a journal's directory, or one segment.
    ///
    /// # Errors
    /// When there is nothing of that name, or no segment in it.
    pub fn open(place: &Path) -> io::Result<Self> {
        let (dir, segments) = if place.metadata()?.is_dir() {
            let segments = files::list(place).into_iter().filter(files::Found::is_segment);
            (place.to_owned(), segments.map(|file| file.path).collect())
        } else {
            (place.parent().unwrap_or(Path::new("")).to_owned(), VecDeque::from([place.to_owned()]))
        };
        if segments.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "there is no journal in it"));
        }
        Ok(Self { dir, segments, current: None, entries: PhantomData })
    }

    /// What a line refers to by its number.
    ///
    /// # Errors
    /// When it is not beside the segment, or cannot be read.
    pub fn attachment<T: DeserializeOwned>(&self, number: u64) -> io::Result<T> {
        attachment::read(&self.dir, number)
    }

    /// Where the line stands that was read last, for whoever cannot make sense of it.
    #[must_use]
    pub fn place(&self) -> (PathBuf, u64) {
        self.current.as_ref().map_or_else(Default::default, |current| (current.path.clone(), current.line))
    }

    /// The next line of the current segment; none at its end.
    fn line(&mut self) -> Option<Item<S, R>> {
        let current = self.current.as_mut()?;
        current.line += 1;
        let (path, line, file) = (current.path.clone(), current.line, &mut *current.file);
        let mut bytes = Vec::new();
        let limit = LINE_BYTES_MAX as u64 + 1;
        match (&mut *file).take(limit).read_until(b'\n', &mut bytes) {
            Ok(0) => None,
            Ok(_) if bytes.last() == Some(&b'\n') => Some(match serde_json::from_slice(&bytes) {
                Ok(entry) => Item::Entry(entry),
                Err(error) => Item::Unreadable { path, line, why: error.to_string() },
            }),
            Ok(_) if bytes.len() > LINE_BYTES_MAX => {
                let why = match file.skip_until(b'\n') {
                    Ok(_) => format!("it is longer than {LINE_BYTES_MAX} bytes"),
                    Err(error) => error.to_string(),
                };
                Some(Item::Unreadable { path, line, why })
            }
            Ok(_) => Some(Item::Torn { path, line }),
            Err(error) => {
                // Nothing says where the next line would begin.
                self.current = None;
                Some(match error.kind() {
                    io::ErrorKind::UnexpectedEof => Item::Torn { path, line },
                    _ => Item::Unreadable { path, line, why: error.to_string() },
                })
            }
        }
    }
}

impl<S: DeserializeOwned, R: DeserializeOwned> Iterator for Reader<S, R> {
    type Item = Item<S, R>;

    fn next(&mut self) -> Option<Item<S, R>> {
        loop {
            if let Some(item) = self.line() {
                return Some(item);
            }
            let path = self.segments.pop_front()?;
            match files::open(&path) {
                Ok(file) => self.current = Some(Current { path, file, line: 0 }),
                // The agent that is still writing has removed it: the oldest go.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    self.current = None;
                    return Some(Item::Unreadable { path, line: 0, why: error.to_string() });
                }
            }
        }
    }
}
