//! One tree for YAML, TOML and JSON5: every value with its place in its file. What a value means is not known here.

use std::collections::BTreeMap;

/// The most levels of lists and mappings within each other.
pub(crate) const DEPTH_MAX: usize = 32;
pub(crate) const DEPTH_HELP: &str = "check the brackets; no key needs so many";
/// The most values of one file, those repeated by aliases included.
pub(crate) const NODES_MAX: usize = 250_000;
/// The most values of all files together.
pub const ALL_NODES_MAX: usize = 500_000;

/// Where something stands: a range of bytes in one of the texts that were read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The index of the text among all that were read.
    pub source: usize,
    /// The first byte.
    pub start: usize,
    /// How many bytes; 0 when only the beginning is known.
    pub length: usize,
}

impl Place {
    /// Its beginning alone.
    #[must_use]
    pub fn beginning(self) -> Self {
        Self { length: 0, ..self }
    }
}

/// A value, where it stands, and what stood there in weaker layers.
#[derive(Clone, Debug)]
pub struct Node {
    /// What is written.
    pub value: Value,
    /// Where it stands.
    pub place: Place,
    /// What it replaced, the weakest first.
    pub shadowed: Vec<Node>,
}

/// A value as it is written.
#[derive(Clone, Debug)]
pub enum Value {
    /// A text, a number, a truth value or nothing at all: which one is decided by who asks.
    Scalar(Scalar),
    /// A list.
    List(Vec<Node>),
    /// A mapping.
    Map(BTreeMap<String, Entry>),
}

/// The value of one key, and where the key stands.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Where the key stands.
    pub key: Place,
    /// The value; boxed, since a map keeps room for eleven entries and most have two.
    pub node: Box<Node>,
}

/// A single value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scalar {
    /// As it is written, escapes resolved.
    pub text: String,
    /// Whether it was marked as a text, so that `"5"` is no number and `""` not nothing.
    pub is_text: bool,
}

/// Why a text is no document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormError {
    /// The first byte that is wrong.
    pub start: usize,
    /// How many bytes; 0 when that is not known.
    pub length: usize,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub help: Option<String>,
}

impl Node {
    /// A value at a place, over nothing.
    #[must_use]
    pub fn new(value: Value, place: Place) -> Self {
        Self { value, place, shadowed: Vec::new() }
    }

    /// Nothing at all.
    #[must_use]
    pub fn null(place: Place) -> Self {
        Self::new(Value::Scalar(Scalar { text: String::new(), is_text: false }), place)
    }

    /// Whether it is nothing at all: an empty value, `~` or `null` without quotes.
    #[must_use]
    pub fn is_null(&self) -> bool {
        match &self.value {
            Value::Scalar(scalar) => !scalar.is_text && matches!(scalar.text.as_str(), "" | "~" | "null"),
            Value::List(_) | Value::Map(_) => false,
        }
    }

    /// The text of a single value that is not nothing.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(scalar) if !self.is_null() => Some(&scalar.text),
            Value::Scalar(_) | Value::List(_) | Value::Map(_) => None,
        }
    }

    /// A value that is written without quotes, so that it may be a number or a truth value.
    #[must_use]
    pub fn plain(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(scalar) if !scalar.is_text => self.text(),
            Value::Scalar(_) | Value::List(_) | Value::Map(_) => None,
        }
    }

    /// The entries of a mapping.
    #[must_use]
    pub fn map(&self) -> Option<&BTreeMap<String, Entry>> {
        match &self.value {
            Value::Map(map) => Some(map),
            Value::Scalar(_) | Value::List(_) => None,
        }
    }

    /// The items of a list.
    #[must_use]
    pub fn list(&self) -> Option<&[Node]> {
        match &self.value {
            Value::List(list) => Some(list),
            Value::Scalar(_) | Value::Map(_) => None,
        }
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.map().and_then(|map| map.get(key)).map(|entry| &*entry.node)
    }

    /// What it is, in words that follow "this is".
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match &self.value {
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
            Value::Scalar(_) if self.is_null() => "nothing",
            Value::Scalar(scalar) if scalar.is_text => "a text",
            Value::Scalar(scalar) if scalar.text.parse::<f64>().is_ok() => "a number",
            Value::Scalar(scalar) if matches!(scalar.text.as_str(), "true" | "false") => "a truth value",
            Value::Scalar(_) => "a text",
        }
    }

    /// How many values it is made of, itself included.
    #[must_use]
    pub fn count(&self) -> usize {
        match &self.value {
            Value::Scalar(_) => 1,
            Value::List(list) => 1 + list.iter().map(Self::count).sum::<usize>(),
            Value::Map(map) => 1 + map.values().map(|entry| entry.node.count()).sum::<usize>(),
        }
    }

    /// How many levels it has, itself included.
    pub(crate) fn depth(&self) -> usize {
        1 + match &self.value {
            Value::Scalar(_) => 0,
            Value::List(list) => list.iter().map(Self::depth).max().unwrap_or(0),
            Value::Map(map) => map.values().map(|entry| entry.node.depth()).max().unwrap_or(0),
        }
    }
}

/// Keys that stand twice in their mapping: that is wrong, and hides nothing else.
#[derive(Default)]
pub(crate) struct Twice(Vec<FormError>);

/// Most of them that are told.
const TWICE_MAX: usize = 100;

impl Twice {
    fn add(&mut self, name: &str, key: Place, first: Place, text: &str) {
        if self.0.len() >= TWICE_MAX {
            return;
        }
        let line = line_of(text, first.start);
        let help = Some(format!("it stands in line {line} already; keep one of the two"));
        let what = format!("the key `{name}` is there twice");
        self.0.push(FormError { start: key.start, length: key.length, what, help });
    }

    /// What was read, with what is wrong in it.
    pub(crate) fn of(self, root: Node) -> Reading {
        Reading { root: Some(root), wrong: self.0 }
    }

    /// The same where the rest could not be read.
    pub(crate) fn and(mut self, error: FormError) -> Reading {
        self.0.push(error);
        Reading { root: None, wrong: self.0 }
    }
}

/// What came of a text.
#[derive(Debug)]
pub struct Reading {
    /// The tree, unless the text is no document. Of a key that stands twice the first counts.
    pub root: Option<Node>,
    /// What is wrong with the form of the text, in its order; nothing when all is right.
    pub wrong: Vec<FormError>,
}

/// Puts a key into a mapping, or notes that it stands there already. What the second says besides the first is kept for
/// whoever looks for further mistakes: the document as a whole is refused.
pub(crate) fn insert(
    map: &mut BTreeMap<String, Entry>,
    name: String,
    key: Place,
    node: Node,
    (text, twice): (&str, &mut Twice),
) {
    match map.get_mut(&name) {
        None => {
            map.insert(name, Entry { key, node: Box::new(node) });
        }
        Some(first) => {
            twice.add(&name, key, first.key, text);
            join(&mut first.node, node);
        }
    }
}

/// Adds what only the second says.
fn join(first: &mut Node, second: Node) {
    if let (Value::Map(first), Value::Map(second)) = (&mut first.value, second.value) {
        for (name, entry) in second {
            match first.get_mut(&name) {
                None => drop(first.insert(name, entry)),
                Some(there) => join(&mut there.node, *entry.node),
            }
        }
    }
}

/// The number of the line that holds a byte, from 1.
#[must_use]
pub fn line_of(text: &str, start: usize) -> usize {
    let before = text.as_bytes().get(..start).unwrap_or(text.as_bytes());
    1 + before.iter().filter(|byte| **byte == b'\n').count()
}

/// The whole of a text's first line that holds a byte: its range.
pub(crate) fn line_range(text: &str, start: usize) -> (usize, usize) {
    let start = start.min(text.len());
    let bytes = text.as_bytes();
    let begin = bytes[..start].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let end = bytes[start..].iter().position(|byte| *byte == b'\n').map_or(text.len(), |at| start + at);
    (begin, end)
}
