//! What may stand under a key: its kind in words, how it is written, what holds without it, an example, and the keys in it.

use serde::Serialize;

use super::example;
use ansai_keys::{
    Kind, Shape,
    example::{Part, row},
    kind::how,
    page::{MayKey, bare, default_of, in_words, keys_of},
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

/// What may stand under a key of the table, to which these steps lead.
pub(super) fn may(kind: &Kind, path: &[Part]) -> May {
    let default = row(path).and_then(default_of);
    May {
        kind: in_words(kind),
        how: how(kind),
        default: default.map(bare),
        example: example::of(path, kind),
        keys: shape_of(kind).map(keys_of).unwrap_or_default(),
    }
}

/// The mapping whose keys the table knows, when the kind is one.
fn shape_of(kind: &Kind) -> Option<&'static Shape> {
    match kind {
        Kind::Shape(shape) | Kind::Short(_, shape) => Some(shape),
        _ => None,
    }
}
