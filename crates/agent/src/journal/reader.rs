//! Reads a journal line by line: gigabytes of it need the memory of one line.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, BufRead, BufReader, Read},
    marker::PhantomData,
    path::{Path, PathBuf},
};

use serde::de::DeserializeOwned;

use super::{Entry, LINE_BYTES_MAX, numbers, path};

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
#[derive(Debug)]
pub struct Reader<S, R> {
    segments: VecDeque<PathBuf>,
    current: Option<(PathBuf, BufReader<File>, u64)>,
    entries: PhantomData<fn() -> (S, R)>,
}

impl<S: DeserializeOwned, R: DeserializeOwned> Reader<S, R> {
    /// Opens a journal's directory, or one segment.
    ///
    /// # Errors
    /// When there is nothing of that name, or no segment in it.
    pub fn open(place: &Path) -> io::Result<Self> {
        let segments: VecDeque<PathBuf> = match place.metadata()?.is_dir() {
            true => numbers(place).into_iter().map(|number| path(place, number)).collect(),
            false => VecDeque::from([place.to_owned()]),
        };
        if segments.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "there is no journal in it"));
        }
        Ok(Self { segments, current: None, entries: PhantomData })
    }

    /// The next line of the current segment; none at its end.
    fn line(&mut self) -> Option<Item<S, R>> {
        let (path, file, line) = self.current.as_mut()?;
        *line += 1;
        let (path, line) = (path.clone(), *line);
        let mut bytes = Vec::new();
        let limit = LINE_BYTES_MAX as u64 + 1;
        match file.take(limit).read_until(b'\n', &mut bytes) {
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
                Some(Item::Unreadable { path, line, why: error.to_string() })
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
            match File::open(&path) {
                Ok(file) => self.current = Some((path, BufReader::new(file), 0)),
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
