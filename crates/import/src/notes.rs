//! Notes on what was not simply carried over, each with its line. What is noted is decided by whoever reads a key.

use ansai_document::{Place, line_of};
use serde::Serialize;

use crate::words::shown;

/// What became of one key that was not simply carried over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// A person has to give what no file may hold, or what the old one did not say.
    Wanted,
    /// ansai does not do this yet.
    NotYet,
    /// It has no counterpart.
    Dropped,
    /// It is carried over and means something else now.
    Changed,
}

/// A key that was not simply carried over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Note {
    /// What became of it.
    pub fate: Fate,
    /// Its line in the old file, from 1.
    pub line: usize,
    /// The key, as `monitored_services[0].healing_strategies`.
    pub key: String,
    /// Why it was not simply carried over.
    pub why: String,
    /// What to do instead.
    pub instead: String,
}

/// Collects notes with their lines.
pub(crate) struct Notes<'t> {
    pub(crate) text: &'t str,
    list: Vec<Note>,
}

impl<'t> Notes<'t> {
    /// None yet, of a file with this text.
    pub(crate) fn of(text: &'t str) -> Self {
        Self { text, list: Vec::new() }
    }

    /// What was noted, in the order of the lines.
    pub(crate) fn sorted(self) -> Vec<Note> {
        let mut list = self.list;
        list.sort_by(|a, b| (a.line, &a.key).cmp(&(b.line, &b.key)));
        list
    }

    /// The line of the file in which something stands, from 1.
    pub(crate) fn line(&self, place: Place) -> usize {
        line_of(self.text, place.start)
    }

    pub(crate) fn add(
        &mut self,
        fate: Fate,
        place: Place,
        key: &str,
        why: impl Into<String>,
        instead: impl Into<String>,
    ) {
        let line = self.line(place);
        self.list.push(Note { fate, line, key: shown(key), why: why.into(), instead: instead.into() });
    }
}
