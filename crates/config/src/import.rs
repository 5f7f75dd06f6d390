//! The predecessor's configuration, carried over into ours. Nothing of it is lost silently: what has no counterpart is a
//! [`Note`] with its line, why, and what to do instead; what is wrong is refused whole.
//!
//! It reads one text and makes another. Secrets are never repeated: they become references, and a note says where to put
//! them.

mod certificate;
mod disk;
mod old;
mod service;
mod write;

use std::path::Path;

use serde::Serialize;

use crate::{
    diagnostics::{Diagnostics, Findings},
    document::{self, Form, Place, line_of},
    layer::{Layer, Source, Sources},
};

/// Largest text that is read, in bytes.
pub const BYTES_MAX: usize = 1 << 20;
/// Most services of one file.
const SERVICES_MAX: usize = 1_000;

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

/// A configuration that was carried over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// Our configuration, with comments; it passes the check.
    pub configuration: String,
    /// What was not simply carried over, in the order of the lines.
    pub notes: Vec<Note>,
}

impl Imported {
    /// Whether a person has to see to something, or something is not done any more.
    #[must_use]
    pub fn is_incomplete(&self) -> bool {
        self.notes.iter().any(|note| note.fate != Fate::Changed)
    }
}

/// Collects notes with their lines.
struct Notes<'t> {
    text: &'t str,
    list: Vec<Note>,
}

impl Notes<'_> {
    fn add(&mut self, fate: Fate, place: Place, key: &str, why: impl Into<String>, instead: impl Into<String>) {
        let line = line_of(self.text, place.start);
        self.list.push(Note { fate, line, key: shown(key), why: why.into(), instead: instead.into() });
    }
}

/// Text from the old file as it may stand in a message or in a comment: on one line, and not long.
fn shown(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(80).collect();
    if text.chars().nth(80).is_some() { format!("{line}…") } else { line }
}

/// Reads the predecessor's configuration; `file` is its name in messages.
///
/// # Errors
/// Everything that is wrong with it, each with its place: no YAML, a value of the wrong kind, a misspelled key or word.
pub fn predecessor(file: &Path, text: &str) -> Result<Imported, Diagnostics> {
    let sources = Sources(vec![Source { name: file.display().to_string(), text: text.to_owned(), layer: Layer::Host }]);
    let mut findings = Findings::new(&sources);
    let mut notes = Notes { text, list: Vec::new() };
    let whole = Place { source: 0, start: 0, length: 0 };
    if text.len() > BYTES_MAX {
        let what = format!("the file has {} bytes, and at most {BYTES_MAX} are read", text.len());
        findings.error(whole, "", what, "is it the predecessor's configuration?".to_owned());
    } else {
        match document::read(text, Form::Yaml, 0) {
            Err(error) => findings.form(0, error),
            Ok(root) => {
                let old = old::read(&mut findings, &mut notes, &root);
                if findings.is_valid() {
                    notes.list.sort_by(|a, b| (a.line, &a.key).cmp(&(b.line, &b.key)));
                    let configuration = write::configuration(&old, &notes.list, file);
                    return Ok(Imported { configuration, notes: notes.list });
                }
            }
        }
    }
    findings.finish().map(|_| Imported { configuration: String::new(), notes: Vec::new() })
}

#[cfg(test)]
mod tests;
