//! What is wrong, or dangerous, in a configuration: each finding with its place, the line, and a suggestion.
//!
//! A line that may hold a secret is shown with stars in its place.

use std::fmt;

use annotate_snippets::{AnnotationKind, Level as Shown, Renderer, Snippet, renderer::DecorStyle};
use ansai_model::{domain::DOMAINS, id::NameError, notify::SecretRef};
use serde::Serialize;

use crate::{
    document::{FormError, Node, Place, line_of, line_range},
    layer::Sources,
};

/// The most findings that are kept; what is more is counted.
const FINDINGS_MAX: usize = 200;
/// The most work to find a name that was meant, in pairs of bytes: some thousands of names of usual length.
const COMPARED_MAX: usize = 1 << 19;
/// The longest line that is shown.
const LINE_BYTES_MAX: usize = 400;
/// What stands between a line's number and the line.
const FRAME_COLUMNS: usize = " | ".len();

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// The configuration is refused.
    Error,
    /// It is allowed, and dangerous.
    Warning,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// Error or warning.
    pub level: Level,
    /// The file; empty when it concerns none.
    pub file: String,
    /// The line, from 1; 0 when it is not known.
    pub line: usize,
    /// The column in characters, from 1; 0 when it is not known.
    pub column: usize,
    /// The key, as `services.nginx.service.probe`; empty when it concerns none.
    pub key: String,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub suggestion: Option<String>,
    /// The line as it stands in the file, secrets starred out.
    pub snippet: Option<String>,
    /// The bytes of the snippet that are meant.
    #[serde(skip)]
    pub(crate) marked: (usize, usize),
}

/// Everything that is wrong, at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl Diagnostic {
    /// An error that concerns a whole file, or none.
    #[must_use]
    pub fn of_file(file: impl Into<String>, what: impl Into<String>, suggestion: &str) -> Self {
        Self {
            level: Level::Error,
            file: file.into(),
            line: 0,
            column: 0,
            key: String::new(),
            what: what.into(),
            suggestion: (!suggestion.is_empty()).then(|| suggestion.to_owned()),
            snippet: None,
            marked: (0, 0),
        }
    }

    /// What is wrong in one line, with the key that it concerns and with its place.
    #[must_use]
    pub fn in_a_line(&self) -> String {
        let place = self.place().filter(|_| self.line > 0).map(|place| format!(" ({place})"));
        format!("{}{}", self.said(), place.unwrap_or_default())
    }

    /// What is wrong in one line, with the key that it concerns: for where its place is not shown.
    pub(crate) fn said(&self) -> String {
        if self.key.is_empty() { self.what.clone() } else { format!("{}: {}", self.key, self.what) }
    }

    fn place(&self) -> Option<String> {
        match (self.file.is_empty(), self.line, self.key.is_empty()) {
            (true, _, true) => None,
            (true, _, false) => Some(self.key.clone()),
            (false, 0, true) => Some(self.file.clone()),
            (false, 0, false) => Some(format!("{}: {}", self.file, self.key)),
            (false, line, _) => Some(format!("{}:{line}:{}", self.file, self.column)),
        }
    }
}

impl Diagnostic {
    /// The finding as it is read in so many columns: the line of the file is cut around what is meant, so that the marks below
    /// it stay where they belong. None leaves it whole, as for a file or a pipe; words are for others to break.
    #[must_use]
    pub fn text(&self, columns: Option<usize>) -> String {
        let level = match self.level {
            Level::Error => Shown::ERROR,
            Level::Warning => Shown::WARNING,
        };
        let Some(line) = &self.snippet else {
            let word = if self.level == Level::Error { "error" } else { "warning" };
            let place = self.place().map(|place| format!("\n  --> {place}")).unwrap_or_default();
            let help = self.suggestion.as_ref().map(|help| format!("\n  = help: {help}")).unwrap_or_default();
            return format!("{word}: {}{place}{help}", self.what);
        };
        let room = columns.map(|columns| columns.saturating_sub(self.line.to_string().len() + FRAME_COLUMNS));
        let (line, (start, end)) = match room {
            Some(room) => cut(line, self.marked, room),
            None => (line.clone(), self.marked),
        };
        let snippet = Snippet::source(line.as_str())
            .line_start(self.line)
            .path(self.file.as_str())
            .annotation(AnnotationKind::Primary.span(start..end));
        let mut group = level.primary_title(self.what.as_str()).element(snippet);
        if let Some(help) = &self.suggestion {
            group = group.element(Shown::HELP.message(help.as_str()));
        }
        let renderer = Renderer::plain().decor_style(DecorStyle::Ascii);
        // What is cut already is not to be cut once more.
        let renderer = if columns.is_some() { renderer.term_width(2 * LINE_BYTES_MAX) } else { renderer };
        renderer.render(&[group])
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text(None))
    }
}

impl Diagnostics {
    /// All of it as it is read in so many columns, see [`Diagnostic::text`].
    #[must_use]
    pub fn text(&self, columns: Option<usize>) -> String {
        let all: String = self.0.iter().map(|diagnostic| diagnostic.text(columns) + "\n\n").collect();
        let (count, s) = (self.0.len(), if self.0.len() == 1 { "" } else { "s" });
        format!("{all}{count} error{s}; nothing of this configuration is applied")
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text(None))
    }
}
impl std::error::Error for Diagnostics {}

/// Collects findings with the places at which they were found.
#[derive(Debug)]
pub struct Findings<'s> {
    sources: &'s Sources,
    list: Vec<Diagnostic>,
    more: usize,
}

impl<'s> Findings<'s> {
    pub(crate) fn new(sources: &'s Sources) -> Self {
        Self { sources, list: Vec::new(), more: 0 }
    }

    /// An error at a place.
    pub fn error(&mut self, place: Place, key: &str, what: impl Into<String>, help: impl Into<Option<String>>) {
        self.add(Level::Error, place, key, what.into(), help.into());
    }

    /// A name that is none.
    pub(crate) fn name(&mut self, place: Place, key: &str, error: &NameError) {
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
    pub(crate) fn warning(
        &mut self,
        place: Place,
        key: &str,
        what: impl Into<String>,
        help: impl Into<Option<String>>,
    ) {
        self.add(Level::Warning, place, key, what.into(), help.into());
    }

    /// The place of a part of a text value: exact when the text stands in the file as it is read.
    pub(crate) fn within(&self, place: Place, text: &str, offset: usize, length: usize) -> Place {
        let raw = self.sources.get(place.source).and_then(|source| source.text.get(place.start..));
        let raw = raw.and_then(|raw| raw.get(..place.length));
        match raw.and_then(|raw| raw.find(text)) {
            Some(at) => Place { start: place.start + at + offset, length: length.max(1), ..place },
            None => place,
        }
    }

    /// A text that is no document.
    pub(crate) fn form(&mut self, source: usize, error: FormError) {
        let place = Place { source, start: error.start, length: error.length };
        self.add(Level::Error, place, "", error.what, error.help);
    }

    /// A finding that concerns a whole file, or none.
    pub(crate) fn push(&mut self, diagnostic: Diagnostic) {
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
    pub(crate) fn is_full(&self) -> bool {
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
    pub(crate) fn miss(&mut self) {
        self.more += 1;
    }

    /// Whether no error was found.
    pub(crate) fn is_valid(&self) -> bool {
        self.list.iter().all(|found| found.level != Level::Error)
    }

    /// The warnings, or everything that is wrong, in the order of the files and lines.
    pub(crate) fn finish(mut self) -> Result<Vec<Diagnostic>, Diagnostics> {
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

/// The part of a line around what is meant that has room in so many columns, with `…` where it was cut, and which of its bytes
/// are meant.
fn cut(line: &str, (start, stop): (usize, usize), room: usize) -> (String, (usize, usize)) {
    // A tab is shown as four spaces; what is no ASCII may be wide.
    let width = |c: char| match c {
        '\t' => 4,
        c if c.is_ascii() => 1,
        _ => 2,
    };
    if line.chars().map(width).sum::<usize>() <= room {
        return (line.to_owned(), (start, stop));
    }
    let mut left = room.saturating_sub(2);
    let mut take = |c: Option<char>| {
        let width = c.map(width).filter(|width| *width <= left)?;
        left -= width;
        c.map(char::len_utf8)
    };
    let (mut begin, mut end) = (start, start);
    while end < stop
        && let Some(length) = take(line[end..].chars().next())
    {
        end += length;
    }
    // What is longer than the room is shown from its beginning.
    let mut is_more = end >= stop;
    while is_more {
        let before = take(line[..begin].chars().next_back());
        let after = take(line[end..].chars().next());
        begin -= before.unwrap_or(0);
        end += after.unwrap_or(0);
        is_more = before.is_some() || after.is_some();
    }
    let head = if begin > 0 { "…" } else { "" };
    let tail = if end < line.len() { "…" } else { "" };
    let at = |place: usize| head.len() + place.min(end) - begin;
    (format!("{head}{}{tail}", &line[begin..end]), (at(start), at(stop)))
}

/// Keys whose values may be secrets.
const SECRET_WORDS: &[&str] =
    &["password", "secret", "token", "passwd", "api_key", "api-key", "apikey", "authorization", "cookie"];
/// Addresses of these services are secrets themselves.
pub(crate) const SECRET_ADDRESSES: &[&str] =
    &["hooks.slack.com/", "discord.com/api/webhooks/", "discordapp.com/api/webhooks/", "api.telegram.org/bot"];

/// The line with stars for whatever may be a secret: the rest after a telling key, and what stands before the `@` of an
/// address. Characters keep their place in bytes.
pub(crate) fn masked(line: &str) -> String {
    let mut hidden = vec![false; line.len()];
    let lower = line.to_ascii_lowercase();
    for word in SECRET_WORDS {
        for (at, _) in lower.match_indices(word) {
            let after = lower[at + word.len()..].trim_start_matches(['"', '\'', ' ']);
            let Some(value) = after.strip_prefix([':', '=']) else { continue };
            let value = value.trim_start_matches([' ', '"', '\'']);
            if SecretRef::of(value).is_some() {
                continue;
            }
            hidden[line.len() - value.len()..].fill(true);
        }
    }
    for known in SECRET_ADDRESSES {
        for (at, _) in line.match_indices(known) {
            let begin = at + known.len();
            let length = line[begin..].find([' ', '"', '\'', '}', ',']).unwrap_or(line.len() - begin);
            hidden[begin..begin + length].fill(true);
        }
    }
    for (at, _) in line.match_indices('@') {
        let word = line[..at].rfind([' ', '"', '\'', '{', ',', '[', '`']).map_or(0, |found| found + 1);
        let login = line[word..at].find("://").map_or(word, |found| word + found + 3);
        if let Some(colon) = line[login..at].find(':')
            && colon > 0
            && !line[login..at].contains('/')
        {
            hidden[login + colon + 1..at].fill(true);
        }
    }
    let star = |(at, c): (usize, char)| match hidden[at] && !c.is_whitespace() {
        true => "*".repeat(c.len_utf8()),
        false => c.to_string(),
    };
    line.char_indices().map(star).collect()
}

/// The nearest of some names, when one is near enough to be meant.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest_name(name, known).map(|candidate| format!("did you mean `{candidate}`?"))
}

/// The nearest of some names itself, when one is near enough to be meant.
pub fn nearest_name<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > 256 || name.is_empty() {
        return None;
    }
    // What nearly every name ends with says nothing about which one is meant.
    let stem = |name: &str| name.strip_suffix(".service").unwrap_or(name).to_owned();
    let asked = stem(name);
    let distance = |candidate: &str| {
        let known = stem(candidate);
        let is_near =
            |distance: usize, length: usize| distance <= 1 + length / 4 && distance * 2 <= length.max(asked.len());
        let short =
            Some(strsim::damerau_levenshtein(&asked, &known)).filter(|distance| is_near(*distance, known.len()));
        // A mistake may be in the ending.
        let whole = (asked == name).then(|| strsim::damerau_levenshtein(name, candidate));
        short.or(whole.filter(|distance| is_near(*distance, candidate.len())))
    };
    let known: Vec<&str> = known.into_iter().collect();
    // Of very many names as many are compared as nobody has to wait for.
    let mut work = 0;
    let is_tried = |candidate: &&&str| {
        work += name.len() * candidate.len();
        work <= COMPARED_MAX
    };
    let near = known.iter().take_while(is_tried);
    let near = near.filter_map(|candidate| Some((distance(candidate)?, *candidate))).min();
    let begins = || known.iter().copied().find(|candidate| name.len() >= 3 && candidate.starts_with(name));
    near.map(|(_, candidate)| candidate).or_else(begins)
}

/// Where a key's value stands, or its mapping when the key is not there.
pub(crate) fn place_of(node: &Node, key: &str) -> Place {
    node.get(key).map_or(node.place, |node| node.place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_starred_out_and_references_are_not() {
        assert_eq!(masked("  password: hunter2 # so"), "  password: ******* * **");
        assert_eq!(masked("{\"token\": \"ab c\", x: 1}"), "{\"token\": \"** *** ** **");
        assert_eq!(masked("secret: file:/etc/x"), "secret: file:/etc/x");
        assert_eq!(masked("smtp: smtps://me:wörd@mail:465"), "smtp: smtps://me:*****@mail:465");
        assert_eq!(masked("probe: http://me@host/"), "probe: http://me@host/");
        assert_eq!(masked("smtp: me:word@mail, to: ops@x"), "smtp: me:****@mail, to: ops@x");
        assert_eq!(masked("probe: unix:/run/app@1.sock"), "probe: unix:/run/app@1.sock");
        assert_eq!(masked("x: https://hooks.slack.com/T0/B0"), "x: https://hooks.slack.com/*****");
    }

    #[test]
    fn a_long_line_is_cut_around_the_place() {
        let line = format!("{}x{}", "ä".repeat(1_000), "ö".repeat(1_000));
        let (part, (start, stop)) = shown(&line, 2_000, 2_001);
        assert!(part.len() <= LINE_BYTES_MAX);
        assert_eq!(&part[start..stop], "x");
    }

    #[test]
    fn a_terminal_shows_what_is_meant_with_the_marks_right_below_it() {
        let lines = [
            format!("  app.service: {{{}MARK: 0s, {}}}", "key: value, ".repeat(9), "more: 1, ".repeat(9)),
            format!("MARK: {}", "ä".repeat(90)),
            format!("{} MARK", "日本\t".repeat(30)),
            format!("{}MARK", "a".repeat(90)),
            format!("x: MARK{}", "b".repeat(90)),
            "  short: MARK".to_owned(),
        ];
        for line in &lines {
            let start = line.find("MARK").expect("it is there");
            for (columns, length) in [(40, 4), (60, 4), (80, 4), (80, line.len() - start)] {
                let mut one = Diagnostic::of_file("a.yaml", "it is wrong", "mend it");
                (one.line, one.column, one.snippet) = (12, 1, Some(line.clone()));
                one.marked = (start, start + length);
                let text = one.text(Some(columns));
                let shown: Vec<&str> =
                    text.lines().filter(|line| line.contains("MARK") || line.contains('^')).collect();
                let [excerpt, marks] = shown[..] else { panic!("a line and its marks: {text}") };
                let wide = |text: &str| text.chars().map(|c| if "日本".contains(c) { 2 } else { 1 }).sum::<usize>();
                assert!(wide(excerpt) <= columns && wide(marks) <= columns, "{columns}: {text}");
                let before = excerpt.split("MARK").next().unwrap_or_default();
                assert_eq!(marks.find('^'), Some(wide(before)), "{text}");
            }
        }
    }

    #[test]
    fn the_nearest_name_is_near() {
        assert_eq!(nearest_name("evry", ["every", "exec"]), Some("every"));
        assert_eq!(nearest_name("frobnicate", ["every", "exec"]), None);
    }
}
