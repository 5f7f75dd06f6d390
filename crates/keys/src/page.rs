//! A page for people: every mapping that can be reached from one, with its keys in a table, as Markdown.

use std::fmt::Write as _;

use ansai_document::{Node, Value};
use serde::Serialize;

use crate::{
    kind::{between, expected},
    table::{Key, Kind, Shape, Unwritten},
};

/// A section for each mapping.
#[must_use]
pub fn sections(root: &'static Shape) -> String {
    let mut text = String::new();
    for shape in shapes(root) {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n## {}\n\n| key | value | default | meaning |\n|---|---|---|---|\n", shape.title);
        for key in shape.keys {
            let default = default_of(key).unwrap_or_default();
            let example = if key.example.is_empty() { String::new() } else { format!(", as `{}`", key.example) };
            let (name, kind, meaning) = (key.name, ON_THE_PAGE.kind(&key.kind), key.meaning);
            let _ = writeln!(text, "| `{name}` | {kind} | {default} | {meaning}{example} |");
        }
    }
    text
}

/// What holds when a key is not written: in words, or a value between marks. A mapping whose keys all have a value has them
/// together.
pub fn default_of(key: &Key) -> Option<String> {
    let whole = |shape: &Shape| {
        let inner = shape.keys.iter().map(|key| Some(format!("{}: {}", key.name, key.value()?)));
        Some(inner.collect::<Option<Vec<_>>>()?.join(", "))
    };
    match (key.default, key.kind) {
        (Unwritten::Words(..), _) => key.said(),
        (Unwritten::Nothing, Kind::Shape(shape)) => whole(shape).map(|values| format!("`{{{values}}}`")),
        (Unwritten::Nothing | Unwritten::Value(_), _) => key.value().map(|value| format!("`{value}`")),
    }
}

/// Every mapping that can be reached, in the order in which a reader meets it.
#[must_use]
pub fn shapes(root: &'static Shape) -> Vec<&'static Shape> {
    let mut shapes: Vec<&'static Shape> = vec![root];
    let mut next = 0;
    while let Some(shape) = shapes.get(next).copied() {
        for (_, found) in shape.keys.iter().filter_map(|key: &Key| mapping(&key.kind)) {
            if !shapes.iter().any(|known| known.title == found.title) {
                shapes.push(found);
            }
        }
        next += 1;
    }
    shapes
}

/// The mapping that may stand under a key of this kind, and the steps from the key to it as they are written: none, `.NAME`
/// below names of the operator's, `[0]` in a list.
#[must_use]
pub fn mapping(kind: &Kind) -> Option<(String, &'static Shape)> {
    let further = |step: &str, inner: &Kind| mapping(inner).map(|(steps, shape)| (format!("{step}{steps}"), shape));
    match kind {
        Kind::Shape(shape) | Kind::Short(_, shape) => Some((String::new(), shape)),
        Kind::Named(inner) => further(ANY_NAME, inner),
        Kind::List(inner) => further(FIRST, inner),
        _ => None,
    }
}

/// The step to any name of the operator's.
const ANY_NAME: &str = ".NAME";
/// The step to an item of a list.
const FIRST: &str = "[0]";

/// A link to a shape's section.
fn link(shape: &Shape) -> String {
    let letters = shape.title.to_lowercase();
    let anchor: String = letters.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-')).collect();
    format!("[{}](#{})", shape.title.to_lowercase(), anchor.replace(' ', "-"))
}

/// How kinds are told: each of several words, a mapping whose keys the table knows, and what stands before an item of a list.
struct Telling {
    word: fn(&&str) -> String,
    mapping: fn(&Shape) -> String,
    list: &'static str,
}

const ON_THE_PAGE: Telling = Telling { word: |word| format!("`{word}`"), mapping: link, list: "a list of" };
const PLAIN: Telling =
    Telling { word: |word| (*word).to_owned(), mapping: |_| "a mapping".to_owned(), list: "a list, each item" };

/// A kind in words, without marks.
#[must_use]
pub fn in_words(kind: &Kind) -> String {
    PLAIN.kind(kind)
}

impl Telling {
    fn kind(&self, kind: &Kind) -> String {
        match kind {
            Kind::Word(_, words) => words.iter().map(self.word).collect::<Vec<_>>().join(", "),
            Kind::Whole { min, max } if *max == u64::from(u32::MAX) => format!("a whole number, {min} or more"),
            Kind::Whole { min, max } => format!("a whole number from {min} to {max}"),
            Kind::Between { min, max } => format!("a duration, {}", between(*min, *max)),
            Kind::Argv => "a list of words".into(),
            Kind::Shape(shape) => (self.mapping)(shape),
            Kind::Short(short, shape) => format!("{}, or {}", self.kind(short), (self.mapping)(shape)),
            Kind::Named(inner) => format!("names, each with {}", self.kind(inner)),
            Kind::List(inner) => format!("{} {}", self.list, self.kind(inner)),
            leaf => expected(leaf).to_owned(),
        }
    }
}

/// A key that may stand in a mapping, as it is told.
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

/// The keys of a mapping, as they are told.
#[must_use]
pub fn keys_of(shape: &Shape) -> Vec<MayKey> {
    let one = |key: &Key| MayKey {
        name: key.name.to_owned(),
        kind: in_words(&key.kind),
        default: default_of(key).map(bare),
        meaning: key.meaning.to_owned(),
    };
    shape.keys.iter().map(one).collect()
}

/// Without the marks of the page.
#[must_use]
pub fn bare(text: String) -> String {
    text.replace('`', "")
}

/// A value in one line.
pub fn flow(node: &Node) -> Option<String> {
    match &node.value {
        Value::Scalar(_) => node.text().map(str::to_owned),
        Value::List(list) => Some(format!("[{}]", list.iter().filter_map(flow).collect::<Vec<_>>().join(", "))),
        Value::Map(map) => {
            let entries = map.iter().filter_map(|(name, entry)| Some(format!("{name}: {}", flow(&entry.node)?)));
            Some(format!("{{{}}}", entries.collect::<Vec<_>>().join(", ")))
        }
    }
}
