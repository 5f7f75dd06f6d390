//! What is wrong, or dangerous, in a document, as people read it: each finding with its place, the line, and a suggestion.
//! How it is found stands in `findings`.

use std::fmt;

use annotate_snippets::{AnnotationKind, Level as Shown, Renderer, Snippet, renderer::DecorStyle};
use serde::Serialize;

/// The longest line that is shown.
pub(crate) const LINE_BYTES_MAX: usize = 400;
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
    #[must_use]
    pub fn said(&self) -> String {
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
        // The column is that in the file; the renderer counts it in what it is given of the line.
        let place = |column: usize| format!("--> {}:{}:{column}\n", self.file, self.line);
        let shown = line.get(..start).unwrap_or(&line).chars().count() + 1;
        renderer.render(&[group]).replacen(&place(shown), &place(self.column), 1)
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

#[cfg(test)]
mod tests {
    use super::*;

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
                let column = line[..start].chars().count() + 1;
                (one.line, one.column, one.snippet) = (12, column, Some(line.clone()));
                one.marked = (start, start + length);
                let text = one.text(Some(columns));
                assert!(text.contains(&format!("--> a.yaml:12:{column}\n")), "{columns}: {text}");
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
}
