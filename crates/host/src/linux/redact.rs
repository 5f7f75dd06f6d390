//! Takes secrets out of text before it is kept or sent: by what a value is called, by its own form, by what announces it.
//! It works on lines, in linear time and without patterns that could blow up, and marks each secret with `[redacted]`.
//! It is a net with holes by nature: what neither has a name nor a known form passes.

use std::{borrow::Cow, ops::Range};

use ansai_model::text::Text;

mod address;
mod announced;
mod assigned;
mod block;
mod form;
mod header;
mod name;
mod value;

#[cfg(test)]
mod tests;

/// What stands where a secret stood.
const REDACTED: &str = "[redacted]";
/// Longest line that is looked at, in bytes; the rest of a longer one goes, since nobody looked at it.
const LINE_MAX: usize = 8 * 1024;

/// Where secrets stand in a line, in bytes; they may overlap.
type Spans = Vec<Range<usize>>;

/// Knows which words announce a secret.
#[derive(Clone, Debug)]
pub struct Redactor {
    /// The words of the configuration, in lower case; a name that ends with one is that of a secret.
    own: Vec<String>,
}

impl Redactor {
    /// With these words besides the shipped ones.
    #[must_use]
    pub fn new(words: &[String]) -> Self {
        Self { own: words.iter().map(|word| word.to_ascii_lowercase()).filter(|word| !word.is_empty()).collect() }
    }

    /// The text without what looks like a secret.
    #[must_use]
    pub fn redact(&self, text: &str) -> String {
        let lines: Vec<&str> = text.lines().map(bounded).collect();
        let fates = block::fates(&lines);
        let mut kept = Vec::with_capacity(lines.len());
        let mut carried = assigned::Carried::default();
        for (line, fate) in lines.into_iter().zip(fates) {
            match fate {
                block::Fate::Line => kept.push(self.redact_line(line, &mut carried)),
                block::Fate::From(at) => {
                    let before = self.redact_line(&line[..at], &mut carried);
                    kept.push(Cow::Owned(format!("{before}{REDACTED}")));
                }
                block::Fate::Gone => {}
            }
        }
        kept.join("\n")
    }

    /// The same of a text of the model; one without secrets is not made anew.
    #[must_use]
    pub fn text(&self, text: &Text) -> Text {
        let redacted = self.redact(text.as_str());
        if redacted == text.as_str().trim_end_matches(['\n', '\r']) { text.clone() } else { Text::new(redacted) }
    }

    fn redact_line<'a>(&self, line: &'a str, carried: &mut assigned::Carried) -> Cow<'a, str> {
        let mut spans = Spans::new();
        assigned::find(line, &self.own, carried, &mut spans);
        announced::find(line, &mut spans);
        address::find(line, &mut spans);
        form::find(line, &mut spans);
        without(line, spans)
    }
}

/// The line, or as much of it as is looked at.
fn bounded(line: &str) -> &str {
    if line.len() <= LINE_MAX { line } else { &line[..line.floor_char_boundary(LINE_MAX)] }
}

/// The line with each span marked; spans that touch are one.
fn without(line: &str, mut spans: Spans) -> Cow<'_, str> {
    spans.retain(|span| span.start < span.end && !value::is_redacted(&line[span.clone()]));
    if spans.is_empty() {
        return Cow::Borrowed(line);
    }
    spans.sort_by_key(|span| (span.start, std::cmp::Reverse(span.end)));
    let (mut text, mut at) = (String::with_capacity(line.len()), 0);
    let mut is_marked = false;
    for span in spans {
        if span.start > at || !is_marked {
            text.push_str(&line[at..span.start.max(at)]);
            text.push_str(REDACTED);
            is_marked = true;
        }
        at = at.max(span.end);
    }
    text.push_str(&line[at..]);
    Cow::Owned(text)
}

/// Where what a program said begins in a line of a log, behind the time, the host and the program.
fn said_from(line: &str) -> usize {
    const HEAD_MAX: usize = 160;
    let is_log = line.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric);
    let colon = || line.as_bytes().iter().take(HEAD_MAX).position(|byte| *byte == b']');
    match colon() {
        Some(at) if is_log && line[at + 1..].starts_with(": ") => at + 3,
        Some(_) | None => 0,
    }
}
