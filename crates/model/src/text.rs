//! Text that came from outside (a symptom, an error, a line of output), bounded so that memory stays so.
//! Nothing in it is obeyed by a terminal or hides from the eye: such characters are written by their numbers.
//! It does not redact: that is `host`'s work before a text leaves it.

use alloc::{borrow::Cow, string::String, sync::Arc};
use core::fmt::{self, Write};

use serde::{Deserialize, Serialize};

/// So many of something, in words: `1 time`, `2 times`.
#[derive(Clone, Copy, Debug)]
pub struct Counted<'a, N>(
    /// How many.
    pub N,
    /// Of what, as of one; its plural ends in s.
    pub &'a str,
);

impl<N: fmt::Display + PartialEq + From<u8>> fmt::Display for Counted<'_, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(count, of) = self;
        write!(f, "{count} {of}{}", if *count == N::from(1) { "" } else { "s" })
    }
}

/// Whether a character is obeyed instead of shown (escape, bell, the controls of C0 and C1), hides (of no width), or
/// turns the order of others (as U+202E). Line breaks and tabs are meant by this too.
#[must_use]
pub fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180b}'..='\u{180f}')
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}')
        || matches!(c, '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// The text with each unseen character written by its number, as `\u{1b}`; line breaks and tabs stay.
#[must_use]
pub fn visible(text: &str) -> Cow<'_, str> {
    let is_kept = |c| matches!(c, '\n' | '\t');
    if !text.chars().any(|c| is_unseen(c) && !is_kept(c)) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            // The two make one line break.
            '\r' if characters.peek() == Some(&'\n') => {}
            c if !is_unseen(c) || is_kept(c) => shown.push(c),
            // Writing to a string cannot fail.
            c => drop(write!(shown, "{}", c.escape_unicode())),
        }
    }
    Cow::Owned(shown)
}

/// The same on one line: line breaks and tabs are blanks.
#[must_use]
pub fn visible_line(text: &str) -> Cow<'_, str> {
    let text = text.trim_end();
    if !text.contains(['\n', '\t']) {
        return visible(text);
    }
    Cow::Owned(visible(&text.replace("\r\n", " ").replace(['\n', '\t'], " ")).into_owned())
}

/// A piece of text of at most [`Text::BYTES_MAX`] bytes; what is longer is cut at a character and marked.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Text(Arc<str>);

impl Text {
    /// The most bytes that a text holds, the mark included.
    pub const BYTES_MAX: usize = 4096;
    const MARK: &'static str = " … (cut)";

    /// Makes a text, cut at a character boundary when longer than [`Text::BYTES_MAX`], with what is unseen written out.
    #[must_use]
    pub fn new(text: impl AsRef<str>) -> Self {
        let text = text.as_ref();
        // Writing out only lengthens, so what is cut anyway need not be written.
        let shown = visible(&text[..text.floor_char_boundary(text.len().min(2 * Self::BYTES_MAX))]);
        let text: &str = &shown;
        if text.len() <= Self::BYTES_MAX {
            return Self(Arc::from(text));
        }
        let mut end = Self::BYTES_MAX - Self::MARK.len();
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let mut cut = String::with_capacity(Self::BYTES_MAX);
        cut.push_str(&text[..end]);
        cut.push_str(Self::MARK);
        Self(Arc::from(cut))
    }

    /// The text itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}
impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}
impl From<Text> for String {
    fn from(text: Text) -> Self {
        String::from(text.as_str())
    }
}
impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_obeys_and_what_hides_is_written_by_its_number() {
        let text = "a\u{1b}]0;x\u{7}b\u{0}c\u{202e}d\u{200b}e\u{9b}f\u{2066}g\u{feff}\r\n\th ä 日本\r";
        let expected = "a\\u{1b}]0;x\\u{7}b\\u{0}c\\u{202e}d\\u{200b}e\\u{9b}f\\u{2066}g\\u{feff}\n\th ä 日本\\u{d}";
        assert_eq!(Text::new(text).as_str(), expected);
        assert_eq!(Text::new(expected).as_str(), expected, "once is enough");
        let read = Text::from(String::from("x\u{1b}y"));
        assert_eq!(read.as_str(), "x\\u{1b}y", "what is read from a file is no exception");
        assert_eq!(visible_line("one\r\ntwo\tthree\u{7}\n"), "one two three\\u{7}");
        assert!(Text::new("\u{1b}".repeat(1 << 20)).as_str().len() <= Text::BYTES_MAX);
    }

    #[test]
    fn a_long_text_is_cut_at_a_character_and_marked() {
        let text = Text::new("ä".repeat(Text::BYTES_MAX));
        assert!(text.as_str().len() <= Text::BYTES_MAX);
        assert!(text.as_str().ends_with("(cut)"));
        assert_eq!(Text::new("short").as_str(), "short");
    }
}
