//! Text that came from outside (a symptom, an error, a line of output), bounded so that memory stays so.
//! It does not redact: that is `host`'s work before the text is made.

use alloc::{string::String, sync::Arc};
use core::fmt;

use serde::{Deserialize, Serialize};

/// A piece of text of at most [`Text::BYTES_MAX`] bytes; what is longer is cut at a character and marked.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Text(Arc<str>);

impl Text {
    /// The most bytes that a text holds, the mark included.
    pub const BYTES_MAX: usize = 4096;
    const MARK: &'static str = " … (cut)";

    /// Makes a text, cut at a character boundary when longer than [`Text::BYTES_MAX`].
    #[must_use]
    pub fn new(text: impl AsRef<str>) -> Self {
        let text = text.as_ref();
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
    fn a_long_text_is_cut_at_a_character_and_marked() {
        let text = Text::new("ä".repeat(Text::BYTES_MAX));
        assert!(text.as_str().len() <= Text::BYTES_MAX);
        assert!(text.as_str().ends_with("(cut)"));
        assert_eq!(Text::new("short").as_str(), "short");
    }
}
