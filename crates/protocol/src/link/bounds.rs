//! Limits of what a peer may send within one frame: short texts, lists of so many, long texts that are refused whole.

use std::{fmt, marker::PhantomData, sync::Arc};

use ansai_model::text::visible_line;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error, MapAccess, SeqAccess, Visitor},
};

/// A text of at most [`Short::BYTES_MAX`] bytes on one line, as a host's name: what is longer is cut and marked.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Short(Arc<str>);

impl Short {
    /// The most bytes, the mark included; the most of a host's name.
    pub const BYTES_MAX: usize = 255;
    const MARK: &'static str = "…";

    /// Makes one, cut at a character when it is longer, with what is unseen written out.
    #[must_use]
    pub fn new(text: impl AsRef<str>) -> Self {
        let text = text.as_ref();
        // Writing out only lengthens, so what is cut anyway need not be written.
        let shown = visible_line(&text[..text.floor_char_boundary(2 * Self::BYTES_MAX)]);
        if shown.len() <= Self::BYTES_MAX {
            return Self(Arc::from(&*shown));
        }
        let end = shown.floor_char_boundary(Self::BYTES_MAX - Self::MARK.len());
        Self(Arc::from([&shown[..end], Self::MARK].concat()))
    }

    /// The text itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for Short {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}
impl From<&str> for Short {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}
impl From<Short> for String {
    fn from(text: Short) -> Self {
        Self::from(text.as_str())
    }
}
impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl fmt::Debug for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// A text that is of use whole or not at all, as a certificate: one of more than `MAX` bytes is refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Whole<const MAX: usize>(String);

impl<const MAX: usize> Whole<MAX> {
    /// Makes one; nothing when it has more than `MAX` bytes.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Option<Self> {
        let text = text.into();
        (text.len() <= MAX).then_some(Self(text))
    }

    /// The text itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de, const MAX: usize> Deserialize<'de> for Whole<MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let length = text.len();
        Self::new(text).ok_or_else(|| D::Error::custom(format!("{length} bytes of text; at most {MAX} are read")))
    }
}

/// Reads a list of at most `MAX`; a longer one is refused before more of it is kept.
pub(super) fn list<'de, D, T, const MAX: usize>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct Items<T, const MAX: usize>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for Items<T, MAX> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a list of at most {MAX}")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Vec<T>, A::Error> {
            let mut items = Vec::new();
            while let Some(item) = sequence.next_element()? {
                if items.len() == MAX {
                    return Err(A::Error::custom(format!("a list of more than {MAX}")));
                }
                items.push(item);
            }
            Ok(items)
        }
    }
    deserializer.deserialize_seq(Items::<T, MAX>(PhantomData))
}

/// Reads pairs of short texts, at most `MAX` of them; more are refused.
pub(super) fn pairs<'de, D, const MAX: usize>(deserializer: D) -> Result<Vec<(Short, Short)>, D::Error>
where
    D: Deserializer<'de>,
{
    struct Pairs<const MAX: usize>;
    impl<'de, const MAX: usize> Visitor<'de> for Pairs<MAX> {
        type Value = Vec<(Short, Short)>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "at most {MAX} names with values")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut pairs = Vec::new();
            while let Some(pair) = map.next_entry()? {
                if pairs.len() == MAX {
                    return Err(A::Error::custom(format!("more than {MAX} names with values")));
                }
                pairs.push(pair);
            }
            Ok(pairs)
        }
    }
    deserializer.deserialize_map(Pairs::<MAX>)
}

/// Writes pairs as a mapping.
pub(super) fn write_pairs<S: serde::Serializer>(pairs: &[(Short, Short)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(pairs.iter().map(|(name, value)| (name, value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_text_is_one_line_and_cut_at_a_character() {
        assert_eq!(Short::new("web-01").as_str(), "web-01");
        assert_eq!(Short::new("a\nb\u{1b}c").as_str(), "a b\\u{1b}c");
        let cut = Short::new("ä".repeat(10_000));
        assert!(cut.as_str().len() <= Short::BYTES_MAX && cut.as_str().ends_with('…'));
        assert_eq!(Short::new(cut.as_str()), cut, "once is enough");
    }

    #[test]
    fn what_is_of_use_only_whole_is_refused_when_it_is_too_long() {
        assert!(Whole::<4>::new("1234").is_some() && Whole::<4>::new("12345").is_none());
        assert!(serde_json::from_str::<Whole<4>>("\"1234\"").is_ok());
        assert!(serde_json::from_str::<Whole<4>>("\"12345\"").is_err());
    }

    #[test]
    fn a_list_ends_at_its_most() {
        let read = |text: &str| list::<_, u8, 2>(&mut serde_json::Deserializer::from_str(text));
        assert_eq!(read("[1,2]").ok(), Some(vec![1, 2]));
        assert!(read("[1,2,3]").is_err() && read("{}").is_err());
    }
}
