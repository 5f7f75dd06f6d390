//! Collects what is wrong, or dangerous, with the places at which it was found.
//!
//! A line that may hold a secret is shown with stars in its place.

use std::collections::BTreeMap;

use ansai_model::{domain::DOMAINS, id::NameError};

use crate::{
    diagnostics::{Diagnostic, Diagnostics, LINE_BYTES_MAX, Level},
    nearest::nearest_name,
    secrets::masked,
    sources::Sources,
    text::{cut, joined},
    tree::{FormError, Node, Place, Reading, line_of, line_range},
};

/// The most findings that are kept; what is more is counted.
const FINDINGS_MAX: usize = 200;

/// Collects findings with the places at which they were found.
#[derive(Debug)]
pub struct Findings<'s> {
    sources: &'s Sources,
    list: Vec<Diagnostic>,
    more: usize,
    /// Keys that are none, by the keys of the mappings in which they stand.
    unknown: BTreeMap<String, Vec<String>>,
}

impl<'s> Findings<'s> {
    /// Nothing yet; the lines that are shown stand in these texts.
    pub fn new(sources: &'s Sources) -> Self {
        Self { sources, list: Vec::new(), more: 0, unknown: BTreeMap::new() }
    }

    /// An error at a place.
    pub fn error(&mut self, place: Place, key: &str, what: impl Into<String>, help: impl Into<Option<String>>) {
        self.add(Level::Error, place, key, what.into(), help.into());
    }

    /// A key in a mapping that is none.
    pub fn unknown(&mut self, place: Place, (mapping, name): (&str, &str), help: String) {
        let what = format!("there is no key `{}` here", cut(name));
        self.error(place, &joined(mapping, name), what, help);
        self.unknown.entry(mapping.to_owned()).or_default().push(name.to_owned());
    }

    /// A mapping says nothing of what it must say one. It is one mistake, and told already, when a key in it is none: that
    /// is the one that was meant.
    pub fn nothing(&mut self, place: Place, mapping: &str, what: impl Into<String>, help: impl Into<Option<String>>) {
        if !self.unknown.contains_key(mapping) {
            self.error(place, mapping, what, help);
        }
    }

    /// A mapping lacks a key. It is one mistake, and told already, when a key in it is none and has nearly that name.
    pub fn lacks(
        &mut self,
        place: Place,
        (mapping, name): (&str, &str),
        what: impl Into<String>,
        help: impl Into<Option<String>>,
    ) {
        let unknown = self.unknown.get(mapping).into_iter().flatten();
        if unknown.filter_map(|unknown| nearest_name(unknown, [name])).next().is_none() {
            self.error(place, mapping, what, help);
        }
    }

    /// A name that is none.
    pub fn name(&mut self, place: Place, key: &str, error: &NameError) {
        let help = match error {
            NameError::Empty => "write a name".to_owned(),
            NameError::TooLong(_) => "write a shorter one".to_owned(),
            NameError::Character(_) => "write the name as the system knows it, as in nginx.service".to_owned(),
            NameError::Domain(text) if text.contains('/') => format!("known domains: {}", DOMAINS.join(", ")),
            NameError::Domain(text) => format!("did you mean `service/{text}`?"),
            NameError::Check(text) => format!("write the name of the check behind it, as in {text}#http"),
        };
        self.error(place, key, error.to_string(), help);
    }

    /// Something that is allowed and dangerous.
    pub fn warning(&mut self, place: Place, key: &str, what: impl Into<String>, help: impl Into<Option<String>>) {
        self.add(Level::Warning, place, key, what.into(), help.into());
    }

    /// The place of a part of a text value: exact when the text stands in the file as it is read.
    #[must_use]
    pub fn within(&self, place: Place, text: &str, offset: usize, length: usize) -> Place {
        let raw = self.sources.get(place.source).and_then(|source| source.text.get(place.start..));
        let raw = raw.and_then(|raw| raw.get(..place.length));
        match raw.and_then(|raw| raw.find(text)) {
            Some(at) => Place { start: place.start + at + offset, length: length.max(1), ..place },
            None => place,
        }
    }

    /// The tree of a text, with what is wrong with its form; nothing of a text that is no document.
    pub fn read(&mut self, source: usize, reading: Reading) -> Option<Node> {
        reading.wrong.into_iter().for_each(|error| self.form(source, error));
        reading.root
    }

    /// A text that is no document.
    pub fn form(&mut self, source: usize, error: FormError) {
        let place = Place { source, start: error.start, length: error.length };
        self.add(Level::Error, place, "", error.what, error.help);
    }

    /// A finding that concerns a whole file, or none.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        if self.has_room(diagnostic.level) {
            self.list.push(diagnostic);
        }
    }

    fn add(&mut self, level: Level, place: Place, key: &str, what: String, suggestion: Option<String>) {
        if !self.has_room(level) {
            return;
        }
        let diagnostic = self.sources.get(place.source).map(|source| {
            let text = source.text.as_str();
            let (begin, end) = line_range(text, place.start);
            let line = text[begin..end].trim_end_matches('\r');
            // A parser may name a byte within a character.
            let start = line.floor_char_boundary(place.start.min(text.len()).saturating_sub(begin));
            let stop = line.ceil_char_boundary(start.saturating_add(place.length.max(1)));
            let column = line[..start].chars().count() + 1;
            let (snippet, marked) = shown(line, start, stop);
            (source.name.clone(), line_of(text, place.start), column, snippet, marked)
        });
        let (file, line, column, snippet, marked) = diagnostic.map_or_else(
            || (String::new(), 0, 0, None, (0, 0)),
            |(file, line, column, snippet, marked)| (file, line, column, Some(snippet), marked),
        );
        // A message may repeat a part of the line.
        let (key, what) = (key.to_owned(), masked(&what));
        self.list.push(Diagnostic { level, file, line, column, key, what, suggestion, snippet, marked });
    }

    /// Whether what is found from now on is only counted: making its words can be spared, see [`Findings::miss`].
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.list.len() >= FINDINGS_MAX && self.list.iter().all(|found| found.level == Level::Error)
    }

    /// Whether one more is kept. An error always finds a place among warnings: without it what is wrong would be valid.
    fn has_room(&mut self, level: Level) -> bool {
        if self.list.len() < FINDINGS_MAX {
            return true;
        }
        self.more += 1;
        let warning = self.list.iter().rposition(|found| found.level == Level::Warning);
        let place = warning.filter(|_| level == Level::Error);
        place.map(|place| self.list.remove(place)).is_some()
    }

    /// Counts a finding in words that nobody would read.
    pub fn miss(&mut self) {
        self.more += 1;
    }

    /// Whether no error was found.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.list.iter().all(|found| found.level != Level::Error)
    }

    /// The warnings, or everything that is wrong, in the order of the files and lines.
    ///
    /// # Errors
    /// When an error was found: every one that was kept, without the warnings.
    pub fn finish(mut self) -> Result<Vec<Diagnostic>, Diagnostics> {
        let is_valid = self.is_valid();
        let order = |file: &str| self.sources.position(file);
        self.list.sort_by_key(|found| (order(&found.file), found.line, found.column));
        self.list.dedup();
        if is_valid {
            return Ok(self.list);
        }
        self.list.retain(|found| found.level == Level::Error);
        if self.more > 0 {
            let what = format!("{} more findings are not shown", self.more);
            self.list.push(Diagnostic::of_file("", what, "mend these first"));
        }
        Err(Diagnostics(self.list))
    }
}

/// The part of a line that is shown, secrets starred out, and which of its bytes are meant.
fn shown(line: &str, start: usize, stop: usize) -> (String, (usize, usize)) {
    let masked = masked(line);
    if masked.len() <= LINE_BYTES_MAX {
        return (masked, (start, stop));
    }
    let mut begin = start.saturating_sub(LINE_BYTES_MAX / 4);
    let mut end = (begin + LINE_BYTES_MAX).min(masked.len());
    while !masked.is_char_boundary(begin) {
        begin -= 1;
    }
    while !masked.is_char_boundary(end) {
        end -= 1;
    }
    let part = masked[begin..end].to_owned();
    let length = part.len();
    (part, (start - begin, (stop - begin).min(length)))
}

/// Where a key's value stands, or its mapping when the key is not there.
#[must_use]
pub fn place_of(node: &Node, key: &str) -> Place {
    node.get(key).map_or(node.place, |node| node.place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_is_cut_around_the_place() {
        let line = format!("{}x{}", "ä".repeat(1_000), "ö".repeat(1_000));
        let (part, (start, stop)) = shown(&line, 2_000, 2_001);
        assert!(part.len() <= LINE_BYTES_MAX);
        assert_eq!(&part[start..stop], "x");
    }

    #[test]
    fn a_place_far_along_a_line_is_told_as_it_is_in_the_file() {
        let text = format!("{}wrong: 1", "a: 1, ".repeat(200));
        let start = text.len() - "wrong: 1".len();
        let sources = Sources(vec![crate::Source { name: "a.yaml".into(), text, rank: 0 }]);
        let mut findings = Findings::new(&sources);
        findings.error(Place { source: 0, start, length: 5 }, "", "there is no such key", None);
        let found = findings.finish().expect_err("an error").0;
        for columns in [None, Some(80)] {
            let told = found[0].text(columns);
            assert!(told.contains(&format!("--> a.yaml:1:{}\n", start + 1)), "{told}");
        }
    }
}
