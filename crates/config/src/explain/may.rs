//! What may stand under a key: its kind in words, how it is written, what holds without it, an example, and the keys in it.

use serde::Serialize;

use super::example;
use ansai_keys::{
    Kind,
    example::{Part, row},
    kind::how,
    page::{MayKey, bare, default_of, in_words, keys_of, mapping},
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
    /// The keys that may stand in it, or in each mapping below it.
    pub keys: Vec<MayKey>,
    /// The steps to those mappings: none, `.NAME` below names of the operator's, `[0]` in a list.
    pub steps: String,
}

/// What may stand under a key of the table, to which these steps lead.
pub(super) fn may(kind: &Kind, path: &[Part]) -> May {
    let default = row(path).and_then(default_of);
    let (steps, keys) = mapping(kind).map(|(steps, shape)| (steps, keys_of(shape))).unwrap_or_default();
    May {
        kind: in_words(kind),
        how: how(kind),
        default: default.map(bare),
        example: example::of(path, kind),
        keys,
        steps,
    }
}
