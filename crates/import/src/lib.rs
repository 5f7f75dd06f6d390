//! The predecessor's configuration, carried over into ours. Nothing of it is lost silently: what has no counterpart is a
//! [`Note`] with its line, why, and what to do instead; what is wrong is refused whole.
//!
//! It reads one text and makes another. Secrets are never repeated: they become references, and a note says where to put
//! them. What is common to the file stands in `old`, what is said of a fleet in `cluster`, what is said of a domain in a file below `domain`, and how one mapping is
//! read in `reader`.

mod cluster;
mod domain;
mod notes;
mod old;
mod reader;
mod words;
mod write;

use std::path::Path;

use ansai_document::{Diagnostic, Diagnostics, Findings, Form, Source, Sources, read_all};

use notes::Notes;
pub use notes::{Fate, Note};

/// Largest text that is read, in bytes.
pub const BYTES_MAX: usize = 1 << 20;

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

/// Reads the predecessor's configuration; `file` is its name in messages.
///
/// # Errors
/// Everything that is wrong with it, each with its place: no YAML, a value of the wrong kind, a misspelled key or word.
pub fn predecessor(file: &Path, text: &str) -> Result<Imported, Diagnostics> {
    if text.len() > BYTES_MAX {
        let what = format!("the file has {} bytes, and at most {BYTES_MAX} are read", text.len());
        let help = "is it the predecessor's configuration?";
        return Err(Diagnostics(vec![Diagnostic::of_file(file.display().to_string(), what, help)]));
    }
    let mut notes = Notes::of(text);
    let name = file.display().to_string();
    let sources = Sources(vec![Source { name, text: text.to_owned(), rank: 0 }]);
    let mut findings = Findings::new(&sources);
    let root = findings.read(0, read_all(text, Form::Yaml, 0));
    let old = root.map(|root| old::read(&mut findings, &mut notes, &root));
    findings.finish()?;
    let old = old.ok_or_else(|| Diagnostics(Vec::new()))?;
    let notes = notes.sorted();
    Ok(Imported { configuration: write::configuration(&old, &notes, file), notes })
}
