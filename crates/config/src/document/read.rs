//! Reads a text in the form in which it is written, which the name of its file says.

use std::path::Path;

use super::{FormError, Node, json5, toml, yaml};

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// `.yaml`, `.yml` and whatever has another ending.
    Yaml,
    /// `.toml`
    Toml,
    /// `.json`, `.json5`
    Json5,
}

/// The endings of files that are read from folders.
pub(crate) const ENDINGS: &[&str] = &["yaml", "yml", "json", "json5", "toml"];

impl Form {
    /// How a file of this name is written.
    pub(crate) fn of(path: &Path) -> Self {
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("toml") => Self::Toml,
            Some("json" | "json5") => Self::Json5,
            Some(_) | None => Self::Yaml,
        }
    }
}

/// Reads a text. An empty one is an empty mapping.
pub(crate) fn read(text: &str, form: Form, source: usize) -> Result<Node, FormError> {
    match form {
        Form::Yaml => yaml::read(text, source),
        Form::Toml => toml::read(text, source),
        Form::Json5 => json5::read(text, source),
    }
}
