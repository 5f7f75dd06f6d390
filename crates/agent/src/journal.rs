//! The journal: the bounded flight recorder that `ansai replay` reads.
//!
//! Lines of JSON in segments; each segment begins with a snapshot, so that the oldest may go and the rest can still be
//! replayed. It is no record of truth (that is the ledger): it is not synced, a full disk stops it and nothing else,
//! and it never makes the loop wait for more than a write to the page cache.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use ansai_model::time::MonoTime;
use serde::{Deserialize, Serialize};

use crate::durable::create_private_dir;

mod reader;

pub use reader::{Item, Reader};

/// A line of a journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Entry<S, R> {
    /// The state before the records that follow; the first line of each segment.
    Snapshot(S),
    /// Something that happened.
    Record(R),
}

/// What an operator is told of the journal, once each time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// It records no more, since the disk is full or worse; it tries again by itself.
    Stopped {
        /// What the system said.
        why: String,
    },
    /// It records again.
    Resumed {
        /// How many records are missing.
        lost: u64,
    },
}

/// How many segments a journal has at most, the one being written included.
const SEGMENTS_MAX: u64 = 8;
/// No segment is smaller, whatever the limit of the whole.
const SEGMENT_BYTES_MIN: u64 = 16 << 10;
/// Written to the file when there is so much, between two flushes.
const BUFFER_BYTES_MAX: usize = 64 << 10;
/// Longest line; a record that is longer is left out and counted.
const LINE_BYTES_MAX: usize = 16 << 20;
/// After a failure, this long until it is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(30);

/// A journal that is being written.
#[derive(Debug)]
pub struct Journal {
    dir: PathBuf,
    segment_bytes_max: u64,
    segment: Option<Segment>,
    next_number: u64,
    buffer: Vec<u8>,
    stopped: Option<Stopped>,
    notice: Option<Notice>,
}

#[derive(Debug)]
struct Segment {
    file: File,
    bytes: u64,
}

#[derive(Debug)]
struct Stopped {
    again_at: MonoTime,
    lost: u64,
}

impl Journal {
    /// A journal in `dir` of at most `bytes_max` bytes (and never less than 128 KiB). Nothing is written before the
    /// first record; what is wrong with the disk is told by [`Journal::flush`].
    #[must_use]
    pub fn open(dir: &Path, bytes_max: u64) -> Self {
        let last = numbers(dir).last().copied().unwrap_or(0);
        Self {
            dir: dir.to_owned(),
            segment_bytes_max: (bytes_max / SEGMENTS_MAX).max(SEGMENT_BYTES_MIN),
            segment: None,
            next_number: last + 1,
            buffer: Vec::new(),
            stopped: None,
            notice: None,
        }
    }

    /// Takes over another limit; segments that are too many then go with the next one.
    pub fn set_bytes_max(&mut self, bytes_max: u64) {
        self.segment_bytes_max = (bytes_max / SEGMENTS_MAX).max(SEGMENT_BYTES_MIN);
    }

    /// Records something. `snapshot` is asked for the state *before* it when a segment begins.
    pub fn append<R: Serialize, S: Serialize>(&mut self, now: MonoTime, record: &R, snapshot: impl FnOnce() -> S) {
        if let Some(stopped) = self.stopped.as_mut().filter(|stopped| now < stopped.again_at) {
            stopped.lost = stopped.lost.saturating_add(1);
            return;
        }
        if self.segment.as_ref().is_none_or(|segment| segment.bytes >= self.segment_bytes_max) {
            if let Err(error) = self.begin_segment().and_then(|()| self.line(&Entry::<S, R>::Snapshot(snapshot()))) {
                return self.stop(now, &error);
            }
            if let Some(stopped) = self.stopped.take() {
                self.notice = Some(Notice::Resumed { lost: stopped.lost });
            }
        }
        if let Err(error) = self.line(&Entry::<S, &R>::Record(record)) {
            self.stop(now, &error);
        }
    }

    /// Writes what is buffered; to be called each second or so, and before the end. Says what is to be told.
    pub fn flush(&mut self, now: MonoTime) -> Option<Notice> {
        if let Err(error) = self.write_out() {
            self.stop(now, &error);
        }
        self.notice.take()
    }

    /// Gives back the memory of the buffer, after writing it out.
    pub fn shrink(&mut self, now: MonoTime) {
        if let Err(error) = self.write_out() {
            self.stop(now, &error);
        }
        self.buffer = Vec::new();
    }

    /// Stops recording for [`RETRY_AFTER`], as when the disk is full, but for another reason; what is buffered is kept.
    pub fn pause(&mut self, now: MonoTime, why: &str) {
        self.shrink(now);
        self.stop(now, &io::Error::other(why));
    }

    /// Whether records are being lost.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stopped.is_some()
    }

    fn line<E: Serialize>(&mut self, entry: &E) -> io::Result<()> {
        let begin = self.buffer.len();
        serde_json::to_writer(&mut self.buffer, entry)?;
        self.buffer.push(b'\n');
        let length = self.buffer.len() - begin;
        if length > LINE_BYTES_MAX {
            self.buffer.truncate(begin);
            return Err(io::Error::other(format!("a record of {length} bytes")));
        }
        if let Some(segment) = &mut self.segment {
            segment.bytes += length as u64;
        }
        if self.buffer.len() >= BUFFER_BYTES_MAX { self.write_out() } else { Ok(()) }
    }

    fn write_out(&mut self) -> io::Result<()> {
        if let (Some(segment), false) = (&mut self.segment, self.buffer.is_empty()) {
            segment.file.write_all(&self.buffer)?;
        }
        self.buffer.clear();
        // A large snapshot must not keep its memory for ever.
        self.buffer.shrink_to(2 * BUFFER_BYTES_MAX);
        Ok(())
    }

    /// Ends the segment and begins the next; the oldest go first, so that the limit holds at every moment.
    fn begin_segment(&mut self) -> io::Result<()> {
        self.write_out()?;
        self.segment = None;
        create_private_dir(&self.dir)?;
        let numbers = numbers(&self.dir);
        let surplus = (numbers.len() as u64 + 1).saturating_sub(SEGMENTS_MAX);
        let kept_max = self.segment_bytes_max.saturating_mul(SEGMENTS_MAX - 1);
        let mut bytes: u64 = numbers.iter().map(|number| self.bytes_of(*number)).sum();
        for (at, number) in (0u64..).zip(&numbers) {
            if at >= surplus && bytes <= kept_max {
                break;
            }
            bytes = bytes.saturating_sub(self.bytes_of(*number));
            fs::remove_file(path(&self.dir, *number))?;
        }
        let file =
            OpenOptions::new().create_new(true).append(true).mode(0o600).open(path(&self.dir, self.next_number))?;
        self.next_number += 1;
        self.segment = Some(Segment { file, bytes: 0 });
        Ok(())
    }

    fn bytes_of(&self, number: u64) -> u64 {
        fs::metadata(path(&self.dir, number)).map_or(0, |metadata| metadata.len())
    }

    /// Stops recording for a while. What was buffered is lost; the next record begins a segment with a snapshot, so
    /// that nothing after the gap depends on what is missing.
    fn stop(&mut self, now: MonoTime, error: &io::Error) {
        let buffered = self.buffer.iter().filter(|byte| **byte == b'\n').count() as u64;
        self.buffer = Vec::new();
        self.segment = None;
        let again_at = now.plus(RETRY_AFTER);
        match &mut self.stopped {
            Some(stopped) => {
                stopped.again_at = again_at;
                stopped.lost = stopped.lost.saturating_add(buffered);
            }
            None => {
                self.stopped = Some(Stopped { again_at, lost: buffered });
                self.notice = Some(Notice::Stopped { why: format!("{}: {error}", self.dir.display()) });
            }
        }
    }
}

fn path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:08}.jsonl"))
}

/// The numbers of the segments in a directory, the oldest first; none when it cannot be listed.
fn numbers(dir: &Path) -> Vec<u64> {
    let mut numbers: Vec<u64> = fs::read_dir(dir)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.strip_suffix(".jsonl")?.parse().ok())
        .collect();
    numbers.sort_unstable();
    numbers
}

#[cfg(test)]
mod tests;
