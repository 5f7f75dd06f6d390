//! What is wrong with a configuration: each finding with its place and a suggestion.

use std::fmt;

use serde::Serialize;

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// The file, when it is known.
    pub file: String,
    /// The key, as `services.nginx.service.probe`.
    pub key: String,
    /// What is wrong; several lines when a snippet belongs to it.
    pub what: String,
    /// What to do.
    pub suggestion: Option<String>,
}

/// Everything that is wrong, at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.what)?;
        if !self.key.is_empty() {
            write!(f, "\n  --> {}: {}", self.file, self.key)?;
        } else if !self.file.is_empty() {
            write!(f, "\n  --> {}", self.file)?;
        }
        match &self.suggestion {
            Some(suggestion) => write!(f, "\n  help: {suggestion}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for diagnostic in &self.0 {
            writeln!(f, "{diagnostic}\n")?;
        }
        let (count, s) = (self.0.len(), if self.0.len() == 1 { "" } else { "s" });
        write!(f, "{count} error{s}; nothing of this configuration is applied")
    }
}
impl std::error::Error for Diagnostics {}

/// Collects findings with the key under which they were found.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) file: String,
    pub(crate) list: Vec<Diagnostic>,
}

impl Findings {
    pub(crate) fn add(&mut self, key: &str, what: impl Into<String>, suggestion: Option<String>) {
        let (file, key, what) = (self.file.clone(), key.to_owned(), what.into());
        self.list.push(Diagnostic { file, key, what, suggestion });
    }

    /// The value, or a finding and `None`.
    pub(crate) fn take<T>(&mut self, key: &str, result: Result<T, String>) -> Option<T> {
        result.map_err(|what| self.add(key, what, None)).ok()
    }
}

/// The nearest of some names, when one is near enough to be meant.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len() / 4)
        .min()
        .map(|(_, candidate)| format!("did you mean `{candidate}`?"))
}
