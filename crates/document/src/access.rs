//! What stands under a key of a mapping, as a value: nothing when it is not written, or is of another form.
//! What is wrong with it is not said here.

use std::{collections::BTreeMap, time::Duration};

use ansai_model::{
    time::WallTime,
    units::{ByteSize, Percent},
};

use crate::{
    tree::{Node, Place, Value},
    units,
};

impl Node {
    /// The mapping under a key, when there is one.
    pub fn section(&self, name: &str) -> Option<&Node> {
        self.get(name).filter(|node| node.map().is_some())
    }

    /// Names and values of the mapping under a key.
    pub fn named(&self, name: &str) -> impl Iterator<Item = (&str, Place, &Node)> + Clone {
        let map = self.get(name).and_then(Node::map);
        map.into_iter().flatten().map(|(name, entry)| (name.as_str(), entry.key, &*entry.node))
    }

    /// The items of the list under a key.
    pub fn items(&self, name: &str) -> &[Node] {
        self.get(name).and_then(Node::list).unwrap_or_default()
    }

    /// Whether a key is written with a value.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some_and(|node| !node.is_null())
    }

    /// A text that is not nothing.
    pub fn text_at(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Node::text)
    }

    /// The same, as a text of its own.
    pub fn string_at(&self, name: &str) -> Option<String> {
        self.text_at(name).map(str::to_owned)
    }

    /// A truth value without quotes.
    pub fn truth_at(&self, name: &str) -> Option<bool> {
        self.get(name).and_then(Node::plain).and_then(|text| text.parse().ok())
    }

    /// A whole number without quotes, when the type has room for it.
    pub fn whole_at<T: TryFrom<u64>>(&self, name: &str) -> Option<T> {
        let number: u64 = self.get(name).and_then(Node::plain)?.parse().ok()?;
        T::try_from(number).ok()
    }

    /// A number of which at least one is needed.
    pub fn count_at(&self, name: &str) -> Option<u32> {
        self.whole_at(name).filter(|count| *count > 0)
    }

    /// A duration.
    pub fn duration_at(&self, name: &str) -> Option<Duration> {
        self.text_at(name).and_then(units::read_duration)
    }

    /// A size.
    pub fn size_at(&self, name: &str) -> Option<ByteSize> {
        self.text_at(name).and_then(units::read_bytes)
    }

    /// A share.
    pub fn percent_at(&self, name: &str) -> Option<Percent> {
        self.text_at(name).and_then(units::read_percent)
    }

    /// A moment.
    pub fn moment_at(&self, name: &str) -> Option<WallTime> {
        self.text_at(name).and_then(units::read_moment)
    }

    /// An absolute path.
    pub fn path_at(&self, name: &str) -> Option<String> {
        self.text_at(name).filter(|path| path.starts_with('/')).map(str::to_owned)
    }

    /// One absolute path or several.
    pub fn paths_at(&self, name: &str) -> Vec<String> {
        let mut paths = self.strings_at(name);
        paths.retain(|path| path.starts_with('/'));
        paths
    }

    /// One text or several, each with its place.
    pub fn texts_at(&self, name: &str) -> Vec<(String, Place)> {
        let Some(node) = self.get(name) else { return Vec::new() };
        let item = |node: &Node| node.text().map(|text| (text.to_owned(), node.place));
        match &node.value {
            Value::Scalar(_) => item(node).into_iter().collect(),
            Value::List(list) => list.iter().filter_map(item).collect(),
            Value::Map(_) => Vec::new(),
        }
    }

    /// The same without places.
    pub fn strings_at(&self, name: &str) -> Vec<String> {
        self.texts_at(name).into_iter().map(|(text, _)| text).collect()
    }

    /// A mapping from names to texts.
    pub fn table_at(&self, name: &str) -> BTreeMap<String, String> {
        self.named(name).filter_map(|(name, _, node)| Some((name.to_owned(), node.text()?.to_owned()))).collect()
    }
}
