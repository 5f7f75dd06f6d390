//! From the tree to values. A value of the wrong form is reported by [`crate::form`] and here taken as not written;
//! what is said here is what only several values together can be wrong in.

pub(crate) mod environment;
pub(crate) mod long;
pub(crate) mod notify;
pub(crate) mod policy;
pub(crate) mod probe;
pub(crate) mod process;
mod rung;
pub(crate) mod settings;

use std::{collections::BTreeMap, time::Duration};

use ansai_model::{
    condition::Condition,
    probe::CommandLine,
    time::WallTime,
    units::{ByteSize, Percent},
};

use crate::{
    diagnostics::{Findings, place_of},
    document::{Node, Place, Value},
    fill::words::Words,
    text::joined,
    units,
};

impl Node {
    /// The mapping under a key, when there is one.
    pub(crate) fn section(&self, name: &str) -> Option<&Node> {
        self.get(name).filter(|node| node.map().is_some())
    }

    /// Names and values of the mapping under a key.
    pub(crate) fn named(&self, name: &str) -> impl Iterator<Item = (&str, Place, &Node)> + Clone {
        let map = self.get(name).and_then(Node::map);
        map.into_iter().flatten().map(|(name, entry)| (name.as_str(), entry.key, &*entry.node))
    }

    /// The items of the list under a key.
    pub(crate) fn items(&self, name: &str) -> &[Node] {
        self.get(name).and_then(Node::list).unwrap_or_default()
    }

    /// Whether a key is written with a value.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.get(name).is_some_and(|node| !node.is_null())
    }

    pub(crate) fn text_at(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Node::text)
    }

    pub(crate) fn string_at(&self, name: &str) -> Option<String> {
        self.text_at(name).map(str::to_owned)
    }

    pub(crate) fn truth_at(&self, name: &str) -> Option<bool> {
        self.get(name).and_then(Node::plain).and_then(|text| text.parse().ok())
    }

    pub(crate) fn whole_at<T: TryFrom<u64>>(&self, name: &str) -> Option<T> {
        let number: u64 = self.get(name).and_then(Node::plain)?.parse().ok()?;
        T::try_from(number).ok()
    }

    /// A number of which at least one is needed.
    pub(crate) fn count_at(&self, name: &str) -> Option<u32> {
        self.whole_at(name).filter(|count| *count > 0)
    }

    pub(crate) fn duration_at(&self, name: &str) -> Option<Duration> {
        self.text_at(name).and_then(units::read_duration)
    }

    pub(crate) fn size_at(&self, name: &str) -> Option<ByteSize> {
        self.text_at(name).and_then(units::read_bytes)
    }

    pub(crate) fn percent_at(&self, name: &str) -> Option<Percent> {
        self.text_at(name).and_then(units::read_percent)
    }

    pub(crate) fn moment_at(&self, name: &str) -> Option<WallTime> {
        let moment: jiff::Timestamp = self.text_at(name)?.parse().ok()?;
        Some(WallTime(moment.as_millisecond()))
    }

    pub(crate) fn path_at(&self, name: &str) -> Option<String> {
        self.text_at(name).filter(|path| path.starts_with('/')).map(str::to_owned)
    }

    /// One absolute path or several.
    pub(crate) fn paths_at(&self, name: &str) -> Vec<String> {
        let mut paths = self.strings_at(name);
        paths.retain(|path| path.starts_with('/'));
        paths
    }

    /// One text or several, each with its place.
    pub(crate) fn texts_at(&self, name: &str) -> Vec<(String, Place)> {
        let Some(node) = self.get(name) else { return Vec::new() };
        let item = |node: &Node| node.text().map(|text| (text.to_owned(), node.place));
        match &node.value {
            Value::Scalar(_) => item(node).into_iter().collect(),
            Value::List(list) => list.iter().filter_map(item).collect(),
            Value::Map(_) => Vec::new(),
        }
    }

    /// The same without places.
    pub(crate) fn strings_at(&self, name: &str) -> Vec<String> {
        self.texts_at(name).into_iter().map(|(text, _)| text).collect()
    }

    /// A mapping from names to texts.
    pub(crate) fn table_at(&self, name: &str) -> BTreeMap<String, String> {
        self.named(name).filter_map(|(name, _, node)| Some((name.to_owned(), node.text()?.to_owned()))).collect()
    }

    /// A word under a key.
    pub(crate) fn word_at<T: Words>(&self, name: &str) -> Option<T> {
        self.text_at(name).and_then(T::named)
    }

    /// A command under a key: a list of words, or its long form.
    pub(crate) fn command_at(&self, name: &str) -> Option<CommandLine> {
        self.get(name).and_then(command)
    }

    /// A command, as this node.
    pub(crate) fn command(&self) -> Option<CommandLine> {
        command(self)
    }
}

fn command(node: &Node) -> Option<CommandLine> {
    let words = |list: &[Node]| -> Option<Vec<String>> {
        // An empty argument is one as well; the program's name is not.
        let word = |node: &Node| match &node.value {
            Value::Scalar(scalar) => Some(scalar.text.clone()),
            Value::List(_) | Value::Map(_) => None,
        };
        let words: Vec<String> = list.iter().map(word).collect::<Option<_>>()?;
        words.first().is_some_and(|first| !first.is_empty()).then_some(words)
    };
    match &node.value {
        Value::List(list) => words(list).map(CommandLine::new),
        Value::Map(_) => Some(CommandLine {
            argv: words(node.items("argv"))?,
            environment: node.table_at("environment"),
            user: node.string_at("user"),
            directory: node.path_at("directory"),
        }),
        Value::Scalar(_) => None,
    }
}

/// The condition under `when`.
pub(crate) fn condition(findings: &mut Findings<'_>, node: &Node, key: &str) -> Option<Condition> {
    let text = node.text_at("when")?;
    match ansai_condition::parse(text) {
        Ok(condition) => Some(condition),
        Err(wrong) => {
            let place = findings.within(place_of(node, "when"), text, wrong.offset, wrong.length);
            findings.error(place, &joined(key, "when"), wrong.message, wrong.suggestion);
            None
        }
    }
}
