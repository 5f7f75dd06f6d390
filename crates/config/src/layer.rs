//! Layers: which texts there are, which is stronger, and how they become one tree. Nothing is checked but clashes.

use std::{collections::BTreeMap, path::PathBuf};

use ansai_model::time::WallTime;
use serde::{Deserialize, Serialize};

use crate::{
    diagnostics::Findings,
    document::{Entry, Node, Place, Value, line_of},
    text::joined,
};

/// Where a text belongs, the weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layer {
    /// Ansai's own defaults.
    Shipped,
    /// What holds for every host of an operator.
    Site,
    /// What holds for hosts of one role.
    Role,
    /// What holds for this host.
    Host,
    /// What holds for a short time, above everything.
    Emergency,
}

impl Layer {
    /// The name, as it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Shipped => "shipped",
            Self::Site => "site",
            Self::Role => "role",
            Self::Host => "host",
            Self::Emergency => "emergency",
        }
    }
}

/// One file of a configuration, and whether it holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LayerFile {
    /// The layer from which it comes.
    pub layer: Layer,
    /// Where it is.
    pub file: PathBuf,
    /// Why it does not hold, when it does not.
    pub ignored: Option<String>,
    /// When it ends by itself.
    pub expires: Option<WallTime>,
}

/// A text before it is read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Input {
    pub(crate) layer: Layer,
    /// The role that a role layer is for.
    pub(crate) role: Option<String>,
    pub(crate) file: PathBuf,
    pub(crate) text: String,
}

/// One text that was read.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) layer: Layer,
}

/// All texts, in the order in which they were read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sources(pub(crate) Vec<Source>);

impl Sources {
    pub(crate) fn get(&self, index: usize) -> Option<&Source> {
        self.0.get(index)
    }

    /// The place of a file in the order of reading.
    pub(crate) fn position(&self, name: &str) -> usize {
        self.0.iter().position(|source| source.name == name).unwrap_or(usize::MAX)
    }
}

/// The texts, and which sections have entries that are written in one file of a layer, whole.
type Merging<'a> = (&'a Sources, &'a dyn Fn(&str) -> bool);

/// Puts a file over what was read before it. Mappings are merged; anything else replaces what is weaker.
/// Within one layer nothing replaces anything: lists are joined, and what is written twice is an error.
pub(crate) fn merge(findings: &mut Findings<'_>, merging: Merging<'_>, below: &mut Node, above: Node, key: &str) {
    let (sources, _) = merging;
    if above.is_null() {
        return;
    }
    let layer = |node: &Node| sources.get(node.place.source).map(|source| source.layer);
    let is_one_layer = layer(below) == layer(&above);
    let Node { value, place, .. } = above;
    let value = match (&mut below.value, value) {
        (Value::Map(map), Value::Map(stronger)) => {
            below.place = place;
            return merge_maps(findings, merging, map, stronger, key);
        }
        (Value::List(list), Value::List(mut more)) if is_one_layer => return list.append(&mut more),
        (_, value) => value,
    };
    let is_said = !below.is_null();
    // A whole file that is no mapping is said to be none already, and has no key that it could repeat.
    if is_said && is_one_layer && !key.is_empty() {
        twice(findings, sources, below.place, place, key);
    }
    let mut weaker = std::mem::replace(below, Node::new(value, place));
    below.shadowed = std::mem::take(&mut weaker.shadowed);
    if is_said {
        below.shadowed.push(weaker);
    }
}

fn merge_maps(
    findings: &mut Findings<'_>,
    merging: Merging<'_>,
    map: &mut BTreeMap<String, Entry>,
    stronger: BTreeMap<String, Entry>,
    key: &str,
) {
    let (sources, is_entry) = merging;
    let layer = |entry: &Entry| sources.get(entry.key.source).map(|source| source.layer);
    for (name, entry) in stronger {
        let path = joined(key, &name);
        match map.get_mut(&name) {
            None => {
                map.insert(name, entry);
            }
            Some(there) if is_entry(key) && layer(there) == layer(&entry) => {
                twice(findings, sources, there.key, entry.key, &path);
            }
            Some(there) => {
                there.key = entry.key;
                merge(findings, merging, &mut there.node, *entry.node, &path);
            }
        }
    }
}

fn twice(findings: &mut Findings<'_>, sources: &Sources, first: Place, place: Place, key: &str) {
    if findings.is_full() {
        return findings.miss();
    }
    let help = sources.get(first.source).map(|source| {
        format!("{}:{} says it already; keep one of the two", source.name, line_of(&source.text, first.start))
    });
    findings.error(place, key, format!("`{key}` is configured in two files of one layer"), help);
}
