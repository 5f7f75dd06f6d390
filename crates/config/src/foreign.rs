//! What a translator of another program's configuration needs: the text as a tree with places, and findings at them.
//! Which keys there are and what becomes of them is the translator's to say.

use std::path::Path;

use crate::{
    diagnostics::Diagnostics,
    document::read::{Form, read},
    layer::{Layer, Source, Sources},
};
pub use crate::{
    diagnostics::{Findings, nearest_name},
    document::{Entry, Node, Place, line_of},
};

/// Reads a text as YAML and lets it be translated; `file` is its name in messages. How long it may be is the caller's to
/// say.
///
/// # Errors
/// When it is no YAML, or when the translation has found errors: all of them, each with its place.
pub fn translate<T>(
    file: &Path,
    text: &str,
    translation: impl FnOnce(&mut Findings<'_>, &Node) -> T,
) -> Result<T, Diagnostics> {
    let sources = Sources(vec![Source { name: file.display().to_string(), text: text.to_owned(), layer: Layer::Host }]);
    let mut findings = Findings::new(&sources);
    let made = match read(text, Form::Yaml, 0) {
        Ok(root) => Some(translation(&mut findings, &root)),
        Err(error) => {
            findings.form(0, error);
            None
        }
    };
    findings.finish()?;
    made.ok_or_else(|| Diagnostics(Vec::new()))
}
