//! From the tree to values. A value of the wrong form is reported by [`crate::form`] and here taken as not written;
//! what is said here is what only several values together can be wrong in.

pub(crate) mod environment;
pub(crate) mod long;
pub(crate) mod notify;
pub(crate) mod policy;
pub(crate) mod probe;
mod rung;
pub(crate) mod service;
pub(crate) mod settings;

use std::{collections::BTreeMap, time::Duration};

use ansai_model::{
    probe::CommandLine,
    time::WallTime,
    units::{ByteSize, Percent},
};

use crate::{
    document::{Node, Place, Value},
    fill::Words,
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

/// Minutes after midnight, of `03:30`.
pub(crate) fn time_of_day(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let digits = |text: &str| (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(hour) || !digits(minute) || minute.len() != 2 {
        return None;
    }
    let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
    (hour < 24 && minute < 60).then_some(hour * 60 + minute)
}

/// Permission bits, of `0640`.
pub(crate) fn mode(text: &str) -> Option<u32> {
    let mode = u32::from_str_radix(text.trim_start_matches("0o"), 8).ok()?;
    (mode <= 0o7777).then_some(mode)
}

/// A status or a range of them, of `200` or `200-299`.
pub(crate) fn statuses(text: &str) -> Option<(u16, u16)> {
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    let (from, to): (u16, u16) = (from.trim().parse().ok()?, to.trim().parse().ok()?);
    ((100..=599).contains(&from) && (100..=599).contains(&to) && from <= to).then_some((from, to))
}
