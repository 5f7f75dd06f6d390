//! The journal: the bounded flight recorder that `ansai replay` reads.
//!
//! Lines of JSON in compressed segments; each segment begins with a snapshot, so that the oldest may go and the rest can
//! still be replayed. What is written is bounded by what is recorded, however large a snapshot is: a segment ends only when
//! what is new in it outweighs what its beginning repeats, and what is large and changes seldom is an attachment. It is no
//! record of truth (that is the ledger): it is not synced, a full disk stops it and nothing else, and it never makes the
//! loop wait for more than a write to the page cache.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use ansai_model::{time::MonoTime, units::ByteSize};
use ansai_notify::durable::create_private_dir;
use flate2::{Compression, write::GzEncoder};
use serde::{Deserialize, Serialize};
use thiserror::Error;

mod attachment;
mod files;
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

/// What the next record needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing: it is recorded with those before it.
    Record,
    /// It begins a segment: [`Journal::begin`] comes first.
    Segment,
    /// Nothing is recorded at present; it has been counted.
    Lost,
}

/// What a record is to its segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// It stands in it because the segment is to be read without those before it.
    Repeated,
    /// It is told for the first time.
    New,
}

/// How many segments the limit of the whole is divided into.
const SEGMENTS: u64 = 8;
/// No journal is smaller.
const BYTES_MIN: u64 = 128 << 10;
/// Most files, however small: an agent that is restarted again and again begins a segment each time.
const FILES_MAX: usize = 64;
/// Written to the file when there is so much, between two flushes.
const BUFFER_BYTES_MAX: usize = 64 << 10;
/// Longest line; a record that is longer is left out and counted.
const LINE_BYTES_MAX: usize = 16 << 20;
/// After a failure, this long until it is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(30);
/// Where the limit is too small for this host, this long: what is tried then may take as much as the limit.
const RETRY_TOO_SMALL_AFTER: Duration = Duration::from_secs(3600);

/// A journal that is being written.
#[derive(Debug)]
pub struct Journal {
    dir: PathBuf,
    bytes_max: u64,
    segment: Option<Segment>,
    next_number: u64,
    /// Of all files together, as far as they are written.
    bytes: u64,
    buffer: Vec<u8>,
    stopped: Option<Stopped>,
    notice: Option<Notice>,
}

#[derive(Debug)]
struct Segment {
    number: u64,
    file: File,
    /// Of the file.
    bytes: u64,
    /// Of what was attached while it was written, which is let go with it.
    attached: u64,
    /// Of the text that its beginning repeats: the snapshot, and what follows it for the same reason.
    repeated: u64,
    /// Of the text of everything else.
    new: u64,
}

#[derive(Debug)]
struct Stopped {
    again_at: MonoTime,
    lost: u64,
}

/// Why something is not written.
#[derive(Debug, Error)]
enum Failure {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error(
        "a part of it that can be replayed takes more than the {0} of `agent.journal_bytes`; it begins anew once an \
         hour; write twice as much or more"
    )]
    TooSmall(ByteSize),
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self::Io(error.into())
    }
}

impl Journal {
    /// A journal in `dir` of at most `bytes_max` bytes (and never less than 128 KiB). Nothing is written before the
    /// first record; what is wrong with the disk is told by [`Journal::flush`].
    #[must_use]
    pub fn open(dir: &Path, bytes_max: u64) -> Self {
        let last = files::list(dir).last().map_or(0, |file| file.number);
        Self {
            dir: dir.to_owned(),
            bytes_max: bytes_max.max(BYTES_MIN),
            segment: None,
            next_number: last + 1,
            bytes: 0,
            buffer: Vec::new(),
            stopped: None,
            notice: None,
        }
    }

    /// Takes over another limit; files that are too many then go with what is written next.
    pub fn set_bytes_max(&mut self, bytes_max: u64) {
        let bytes_max = bytes_max.max(BYTES_MIN);
        if self.bytes_max != bytes_max {
            self.bytes_max = bytes_max;
            self.try_again();
        }
    }

    /// Waits no longer after a failure: what it failed for may be over.
    pub fn try_again(&mut self) {
        if let Some(stopped) = &mut self.stopped {
            stopped.again_at = MonoTime::default();
        }
    }

    /// What the next record needs before [`Journal::append`].
    pub fn next(&mut self, now: MonoTime) -> Next {
        if let Some(stopped) = self.stopped.as_mut().filter(|stopped| now < stopped.again_at) {
            stopped.lost = stopped.lost.saturating_add(1);
            return Next::Lost;
        }
        let is_full = |segment: &Segment| {
            let is_large = segment.bytes.saturating_add(segment.attached) >= self.bytes_max / SEGMENTS;
            // Where a beginning is as large as a segment, each record would begin one.
            is_large && segment.new.saturating_add(segment.attached) >= segment.repeated
        };
        if self.segment.as_ref().is_none_or(is_full) { Next::Segment } else { Next::Record }
    }

    /// Keeps something large in a file of its own and says its number, to which records and snapshots refer. What was kept
    /// last is not written again. Nothing when it cannot be written.
    pub fn attach<T: Serialize>(&mut self, now: MonoTime, value: &T) -> Option<u64> {
        match self.attached(value) {
            Ok(number) => Some(number),
            Err(failure) => {
                self.stop(now, &failure);
                None
            }
        }
    }

    /// Ends the segment and begins the next one with the state before the record that comes.
    pub fn begin<S: Serialize>(&mut self, now: MonoTime, snapshot: &S) {
        let line = Entry::<&S, ()>::Snapshot(snapshot);
        match self.begin_segment().and_then(|()| self.line(&line, Weight::Repeated)) {
            Ok(()) => {
                if let Some(stopped) = self.stopped.take() {
                    self.notice = Some(Notice::Resumed { lost: stopped.lost });
                }
            }
            Err(failure) => self.stop(now, &failure),
        }
    }

    /// Records something, after what [`Journal::next`] asked for.
    pub fn append<R: Serialize>(&mut self, now: MonoTime, record: &R, weight: Weight) {
        if self.segment.is_none() {
            if let Some(stopped) = &mut self.stopped {
                stopped.lost = stopped.lost.saturating_add(1);
            }
            return;
        }
        if let Err(failure) = self.line(&Entry::<(), &R>::Record(record), weight) {
            self.stop(now, &failure);
        }
    }

    /// Writes what is buffered; to be called each second or so, and before the end. Says what is to be told.
    pub fn flush(&mut self, now: MonoTime) -> Option<Notice> {
        if let Err(failure) = self.write_out() {
            self.stop(now, &failure);
        }
        self.notice.take()
    }

    /// Gives back the memory of the buffer, after writing it out.
    pub fn shrink(&mut self, now: MonoTime) {
        if let Err(failure) = self.write_out() {
            self.stop(now, &failure);
        }
        self.buffer = Vec::new();
    }

    /// Stops recording for [`RETRY_AFTER`], as when the disk is full, but for another reason; what is buffered is kept.
    pub fn pause(&mut self, now: MonoTime, why: &str) {
        self.shrink(now);
        self.stop(now, &io::Error::other(why).into());
    }

    /// Whether records are being lost.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stopped.is_some()
    }

    fn line<E: Serialize>(&mut self, entry: &E, weight: Weight) -> Result<(), Failure> {
        let begin = self.buffer.len();
        serde_json::to_writer(&mut self.buffer, entry)?;
        self.buffer.push(b'\n');
        let length = self.buffer.len() - begin;
        if length > LINE_BYTES_MAX {
            self.buffer.truncate(begin);
            return Err(io::Error::other(format!("a record of {length} bytes")).into());
        }
        if let Some(segment) = &mut self.segment {
            match weight {
                Weight::Repeated => segment.repeated += length as u64,
                Weight::New => segment.new += length as u64,
            }
        }
        if self.buffer.len() >= BUFFER_BYTES_MAX { self.write_out() } else { Ok(()) }
    }

    /// Each time is a whole by itself, so that nothing before it is lost when the next one does not end.
    fn write_out(&mut self) -> Result<(), Failure> {
        let Some(segment) = self.segment.as_mut().filter(|_| !self.buffer.is_empty()) else {
            self.buffer.clear();
            return Ok(());
        };
        let mut packed = GzEncoder::new(&segment.file, Compression::fast());
        packed.write_all(&self.buffer)?;
        packed.finish()?;
        let bytes = segment.file.metadata()?.len();
        self.bytes += bytes.saturating_sub(segment.bytes);
        segment.bytes = bytes;
        self.buffer.clear();
        // A large snapshot must not keep its memory for ever.
        self.buffer.shrink_to(BUFFER_BYTES_MAX);
        if self.bytes > self.bytes_max { self.make_room(0) } else { Ok(()) }
    }

    fn begin_segment(&mut self) -> Result<(), Failure> {
        self.write_out()?;
        self.segment = None;
        create_private_dir(&self.dir)?;
        // The oldest go first, so that the limit holds at every moment.
        self.make_room(self.bytes_max / SEGMENTS)?;
        let number = self.next_number;
        let path = files::segment(&self.dir, number);
        let file = OpenOptions::new().create_new(true).append(true).mode(0o600).open(path)?;
        self.next_number += 1;
        self.segment = Some(Segment { number, file, bytes: 0, attached: 0, repeated: 0, new: 0 });
        Ok(())
    }

    fn attached<T: Serialize>(&mut self, value: &T) -> Result<u64, Failure> {
        create_private_dir(&self.dir)?;
        let digest = attachment::digest(value)?;
        if let Some(number) = attachment::newest_is(&files::list(&self.dir), &digest) {
            return Ok(number);
        }
        let number = self.next_number;
        let bytes = attachment::write(&self.dir, number, &digest, value)?;
        self.next_number += 1;
        if let Some(segment) = &mut self.segment {
            segment.attached = segment.attached.saturating_add(bytes);
        }
        self.make_room(0).inspect_err(|_| {
            // It alone is too large for the limit, which holds all the same.
            let _ = fs::remove_file(files::attachment(&self.dir, number, &digest));
        })?;
        Ok(number)
    }

    /// Lets the oldest files go until `room` more bytes keep to the limit, as far as there are any that may go.
    fn make_room(&mut self, room: u64) -> Result<(), Failure> {
        let mut files = files::list(&self.dir);
        let written = self.segment.as_ref().map(|segment| segment.number);
        loop {
            self.bytes = files.iter().map(|file| file.bytes).sum();
            if self.bytes.saturating_add(room) <= self.bytes_max && files.len() < FILES_MAX {
                return Ok(());
            }
            let Some(first) = files::first_to_go(&files, written).cloned() else { break };
            fs::remove_file(&first.path)?;
            files.retain(|file| file.number != first.number);
        }
        if self.bytes > self.bytes_max { Err(Failure::TooSmall(ByteSize(self.bytes_max))) } else { Ok(()) }
    }

    /// Stops recording for a while. What was buffered is lost; the next record begins a segment with a snapshot, so
    /// that nothing after the gap depends on what is missing.
    fn stop(&mut self, now: MonoTime, failure: &Failure) {
        let buffered = self.buffer.iter().filter(|byte| **byte == b'\n').count() as u64;
        self.buffer = Vec::new();
        self.segment = None;
        let again_at = now.plus(match failure {
            Failure::Io(_) => RETRY_AFTER,
            Failure::TooSmall(_) => RETRY_TOO_SMALL_AFTER,
        });
        match &mut self.stopped {
            Some(stopped) => {
                stopped.again_at = again_at;
                stopped.lost = stopped.lost.saturating_add(buffered);
            }
            None => {
                self.stopped = Some(Stopped { again_at, lost: buffered });
                self.notice = Some(Notice::Stopped { why: format!("{}: {failure}", self.dir.display()) });
            }
        }
    }
}

#[cfg(test)]
mod tests;
