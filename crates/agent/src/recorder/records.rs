//! Reads what a recorder wrote: snapshots and inputs with their bundles, those of earlier versions included, in whose
//! journals each bundle stood in its line. What it tells is `ansai replay`'s.

use std::{io, path::Path};

use ansai_engine::{Input, State, replaying::Look};
use ansai_model::{
    bundle::Bundle,
    id::CheckId,
    time::{MonoTime, Now},
};
use serde::Deserialize;

use crate::journal::{Entry, Item, Reader};

/// What happened, and when.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    /// When the engine was told.
    pub at: Now,
    /// What it was told.
    pub input: Input,
    /// When the look was begun of which that is the answer, when it is one.
    pub begun: Option<MonoTime>,
    /// The looks that are under way, when an incident has begun to wait for them.
    pub looks: Vec<Look>,
}

/// What the engine was made of when a segment began. What its checks had seen is not in it: they begin unknown.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// The instant, on both clocks.
    pub at: Now,
    /// The program that recorded it; nothing when it was one that did not say.
    pub program: Option<String>,
    /// The bundle in force.
    pub bundle: Bundle,
    /// The ledger's state.
    pub state: State,
    /// Whether the records that follow tell also where time has passed and something came of it; those of older versions do
    /// not.
    pub is_exact: bool,
    /// When the configurations of which checks were last kept as known good.
    pub kept: Vec<(CheckId, MonoTime)>,
}

#[derive(Debug, Deserialize)]
struct WrittenSnapshot {
    at: Now,
    program: Option<String>,
    bundle: Option<Box<Bundle>>,
    bundle_file: Option<u64>,
    state: State,
    #[serde(default)]
    is_exact: bool,
    #[serde(default)]
    kept: Vec<(CheckId, MonoTime)>,
}

#[derive(Debug, Deserialize)]
struct WrittenRecord {
    at: Now,
    input: Option<Input>,
    begun: Option<MonoTime>,
    #[serde(default)]
    looks: Vec<Look>,
    apply_file: Option<u64>,
}

/// Reads a recorded journal, oldest first.
#[derive(Debug)]
pub struct Records {
    reader: Reader<WrittenSnapshot, WrittenRecord>,
    /// The bundle that was read last: many segments refer to one.
    last: Option<(u64, Bundle)>,
}

impl Records {
    /// Opens a journal's directory, or one segment with the files that it refers to beside it.
    ///
    /// # Errors
    /// When there is nothing of that name, or no segment in it.
    pub fn open(place: &Path) -> io::Result<Self> {
        Ok(Self { reader: Reader::open(place)?, last: None })
    }

    fn bundle(&mut self, number: u64) -> io::Result<Bundle> {
        if let Some((_, bundle)) = self.last.as_ref().filter(|(last, _)| *last == number) {
            return Ok(bundle.clone());
        }
        let bundle: Bundle = self.reader.attachment(number)?;
        self.last = Some((number, bundle.clone()));
        Ok(bundle)
    }

    fn snapshot(&mut self, written: WrittenSnapshot) -> io::Result<Snapshot> {
        let WrittenSnapshot { at, program, bundle, bundle_file, state, is_exact, kept } = written;
        let bundle = match (bundle, bundle_file) {
            (Some(bundle), _) => *bundle,
            (None, Some(number)) => self.bundle(number)?,
            (None, None) => return Err(io::Error::other("it names no bundle")),
        };
        Ok(Snapshot { at, program, bundle, state, is_exact, kept })
    }

    fn record(&mut self, written: WrittenRecord) -> io::Result<Recorded> {
        let WrittenRecord { at, input, begun, looks, apply_file } = written;
        let input = match (input, apply_file) {
            (Some(input), _) => input,
            (None, Some(number)) => Input::Apply(Box::new(self.bundle(number)?)),
            (None, None) => return Err(io::Error::other("it holds no input that this version knows")),
        };
        Ok(Recorded { at, input, begun, looks })
    }
}

impl Iterator for Records {
    type Item = Item<Snapshot, Recorded>;

    fn next(&mut self) -> Option<Self::Item> {
        let entry = match self.reader.next()? {
            Item::Entry(Entry::Snapshot(written)) => self.snapshot(written).map(Entry::Snapshot),
            Item::Entry(Entry::Record(written)) => self.record(written).map(Entry::Record),
            Item::Torn { path, line } => return Some(Item::Torn { path, line }),
            Item::Unreadable { path, line, why } => return Some(Item::Unreadable { path, line, why }),
        };
        Some(entry.map_or_else(
            |error| {
                let (path, line) = self.reader.place();
                Item::Unreadable { path, line, why: error.to_string() }
            },
            Item::Entry,
        ))
    }
}
