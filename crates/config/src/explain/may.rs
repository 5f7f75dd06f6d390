//! What may stand under a key: its kind in words, how it is written, what holds without it, an example, and the keys in it.

use serde::Serialize;

use super::example::{self, Part};
use ansai_keys::{
    Key, Kind, Shape,
    kind::{between, expected, how},
    page::default_of,
};

/// What may stand under a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct May {
    /// What it is, in words: `a duration`, or the words of which one is written.
    pub kind: String,
    /// How it is written, as advice.
    pub how: String,
    /// What holds when it is not written, when that is known.
    pub default: Option<String>,
    /// An example as lines of YAML: below what it belongs to, and beside what it needs.
    pub example: String,
    /// The keys that may stand in it.
    pub keys: Vec<MayKey>,
}

/// A key that may stand in another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MayKey {
    /// The name, as it is written.
    pub name: String,
    /// What it is, in words.
    pub kind: String,
    /// What holds when it is not written, when that is known.
    pub default: Option<String>,
    /// What it means.
    pub meaning: String,
}

/// What may stand under a key of the table, to which these steps lead.
pub(super) fn may(kind: &Kind, path: &[Part]) -> May {
    let default = example::row(path).and_then(default_of);
    May {
        kind: in_words(kind),
        how: how(kind),
        default: default.map(bare),
        example: example::of(path, kind),
        keys: shape_of(kind).map(keys_of).unwrap_or_default(),
    }
}

/// The keys of a mapping that the table knows.
pub(crate) fn keys_of(shape: &Shape) -> Vec<MayKey> {
    let one = |key: &Key| MayKey {
        name: key.name.to_owned(),
        kind: in_words(&key.kind),
        default: default_of(key).map(bare),
        meaning: key.meaning.to_owned(),
    };
    shape.keys.iter().map(one).collect()
}

/// Without the marks of the page.
fn bare(text: String) -> String {
    text.replace('`', "")
}

/// The mapping whose keys the table knows, when the kind is one.
fn shape_of(kind: &Kind) -> Option<&'static Shape> {
    match kind {
        Kind::Shape(shape) | Kind::Short(_, shape) => Some(shape),
        _ => None,
    }
}

fn in_words(kind: &Kind) -> String {
    match kind {
        Kind::Word(_, words) => words.join(", "),
        Kind::Whole { min, max } if *max == u64::from(u32::MAX) => format!("a whole number, {min} or more"),
        Kind::Whole { min, max } => format!("a whole number from {min} to {max}"),
        Kind::Between { min, max } => format!("a duration, {}", between(*min, *max)),
        Kind::Argv => "a list of words".to_owned(),
        Kind::Shape(_) => "a mapping".to_owned(),
        Kind::Short(short, _) => format!("{}, or a mapping", in_words(short)),
        Kind::Named(inner) => format!("names, each with {}", in_words(inner)),
        Kind::List(inner) => format!("a list, each item {}", in_words(inner)),
        leaf => expected(leaf).to_owned(),
    }
}
