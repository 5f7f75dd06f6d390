//! An example of a key, as it stands in a file: below what it belongs to, and beside what it needs to be valid.
//!
//! The value comes from its line, or else from its kind; so does what is needed beside it. Whether an example is valid is
//! for whoever reads such files to say.

use ansai_document::{
    Form, Node, Value, read,
    written::{Written, quoted},
};

use crate::table::{Key, Kind, Shape};

/// A step from the whole file to a key.
#[derive(Clone, Debug)]
pub enum Part {
    /// A key that the table knows, and the mapping in which it stands.
    Key(&'static Key, &'static Shape),
    /// A name of the operator's; none for any.
    Name(Option<String>),
    /// An item of a list.
    Item,
}

/// What is written: block by block on the way to the key, in one line beside it.
enum Tree {
    Flow(Written),
    Map(Vec<(String, Tree)>),
    Item(Box<Tree>),
}

/// The longest line.
pub const COLUMNS: usize = 76;

/// The line of the table to which these steps lead; none where they end with a name or an item.
#[must_use]
pub fn row(path: &[Part]) -> Option<&'static Key> {
    path.last().and_then(row_of)
}

/// The line of the table that a step is.
#[must_use]
pub fn row_of(part: &Part) -> Option<&'static Key> {
    match part {
        Part::Key(key, _) => Some(key),
        Part::Name(_) | Part::Item => None,
    }
}

/// The example of what these steps from the whole file lead to, as lines of YAML. A name that is asked for stands in it
/// when it stands for itself in its section, and does not refer to something that must be there.
#[must_use]
pub fn of(path: &[Part], kind: &Kind, is_own_name: &dyn Fn(&Key) -> bool) -> String {
    let section = path.iter().find_map(row_of);
    let mut tree = Tree::Flow(value_at(path, kind));
    let mut roots = Vec::new();
    for (index, part) in path.iter().enumerate().rev() {
        tree = match part {
            Part::Key(key, shape) => {
                roots.push(key.needs.elsewhere);
                let own = beside(shape, key).into_iter().map(|(name, value)| (name, Tree::Flow(value)));
                let mut entries: Vec<_> = own.chain([(key.name.to_owned(), tree)]).collect();
                // As the table has them, which is how a reader meets them.
                entries.sort_by_key(|(name, _)| shape.keys.iter().position(|key| key.name == name));
                Tree::Map(entries)
            }
            Part::Name(name) => {
                let own = name.clone().filter(|_| section.is_some_and(is_own_name));
                let name = own.unwrap_or_else(|| name_of(path.get(index.wrapping_sub(1))));
                Tree::Map(vec![(name, tree)])
            }
            Part::Item => Tree::Item(Box::new(tree)),
        };
    }
    if let Tree::Map(whole) = &mut tree {
        let roots = roots.into_iter().map(|root| entries(root).into_iter());
        roots.for_each(|root| join(whole, root.map(|(name, value)| (name, Tree::Flow(value))).collect()));
    }
    let mut text = String::new();
    lines(&mut text, &tree, 0);
    text
}

/// Adds what the file needs besides, below what is there already.
fn join(whole: &mut Vec<(String, Tree)>, needed: Vec<(String, Tree)>) {
    for (name, tree) in needed {
        let there = whole.iter_mut().find(|(known, _)| *known == name);
        match (there, tree) {
            (Some((_, Tree::Map(known))), Tree::Flow(Written::Map(more))) => {
                for (name, value) in more {
                    if known.iter().all(|(known, _)| *known != name) {
                        known.push((name, Tree::Flow(value)));
                    }
                }
            }
            (Some(_), _) => {}
            (None, tree) => whole.push((name, tree)),
        }
    }
}

/// The name that stands for any in the example of the key before it.
fn name_of(before: Option<&Part>) -> String {
    match before.and_then(row_of).and_then(|key| written(key.example)) {
        Some(Written::Map(mut map)) if !map.is_empty() => map.swap_remove(0).0,
        _ => "app".to_owned(),
    }
}

/// What stands under the last step.
fn value_at(path: &[Part], kind: &Kind) -> Written {
    match path {
        [.., Part::Key(key, _)] => value(key),
        // One of those in the example of the names, or of the list.
        [.., Part::Key(key, _), Part::Name(_)] => match written(key.example) {
            Some(Written::Map(mut map)) if !map.is_empty() => map.swap_remove(0).1,
            _ => of_kind(kind),
        },
        [.., Part::Key(key, _), Part::Item] => match written(key.example) {
            Some(Written::List(mut list)) if !list.is_empty() => list.swap_remove(0),
            _ => of_kind(kind),
        },
        _ => of_kind(kind),
    }
}

/// The value of a key: its example, what holds without it, or one of its kind.
fn value(key: &Key) -> Written {
    // That something is so is the better example of what is not so by itself.
    let default = || key.value().filter(|_| !matches!(key.kind, Kind::Truth)).and_then(written);
    written(key.example).or_else(default).unwrap_or_else(|| of_kind(&key.kind))
}

fn of_kind(kind: &Kind) -> Written {
    let text = match kind {
        Kind::Truth => "true",
        Kind::Text => "app",
        Kind::Word(_, words) => words.last().copied().unwrap_or_default(),
        Kind::Whole { min, .. } => return Written::plain((*min).max(5)),
        Kind::Duration | Kind::Between { .. } => "10m",
        Kind::Size => "64MiB",
        Kind::Percent => "80%",
        Kind::Moment => "2030-01-31T08:00:00Z",
        Kind::TimeOfDay => "\"03:00\"",
        Kind::Path => "/etc/app",
        Kind::Paths => "[/etc/app]",
        Kind::Loopback => "\"127.0.0.1:9560\"",
        Kind::Mode => "\"0640\"",
        Kind::Special(special) => special.example,
        Kind::Texts => "[app]",
        Kind::Statuses => "200-299",
        Kind::Argv => "[/usr/bin/app, --check]",
        Kind::Short(short, _) => return of_kind(short),
        Kind::Shape(shape) => return of_shape(shape),
        Kind::Named(inner) => return Written::Map(vec![("app".to_owned(), of_kind(inner))]),
        Kind::List(inner) => return Written::List(vec![of_kind(inner)]),
    };
    written(text).unwrap_or_else(|| Written::text(text))
}

/// All its keys when each has a value of its own, or else the first with what that needs.
fn of_shape(shape: &Shape) -> Written {
    if shape.keys.iter().all(|key| key.value().is_some()) {
        return Written::Map(shape.keys.iter().map(|key| (key.name.to_owned(), value(key))).collect());
    }
    let Some(key) = shape.keys.first() else { return Written::Map(Vec::new()) };
    Written::Map(std::iter::once((key.name.to_owned(), value(key))).chain(beside(shape, key)).collect())
}

/// What stands beside a key of a mapping.
fn beside(shape: &Shape, key: &Key) -> Vec<(String, Written)> {
    let needed = || shape.keys.iter().filter(|key| key.needed.is_some()).map(|key| (key.name.to_owned(), value(key)));
    let mut beside = key.needs.beside.or(shape.beside).map_or_else(|| needed().collect(), entries);
    beside.extend(entries(key.needs.also));
    beside.retain(|(name, _)| name != key.name);
    beside
}

/// The entries of a mapping that is written without its braces.
fn entries(text: &str) -> Vec<(String, Written)> {
    match written(&format!("{{{text}}}")) {
        Some(Written::Map(map)) => map,
        _ => Vec::new(),
    }
}

/// What a text of the table says; nothing when it is empty.
fn written(text: &str) -> Option<Written> {
    let node = read(text, Form::Yaml, 0).ok().filter(|_| !text.is_empty())?;
    Some(as_written(&node))
}

fn as_written(node: &Node) -> Written {
    match &node.value {
        Value::Scalar(_) => node.plain().map_or_else(|| Written::text(node.text().unwrap_or_default()), Written::plain),
        Value::List(list) => Written::List(list.iter().map(as_written).collect()),
        Value::Map(map) => {
            Written::Map(map.iter().map(|(name, entry)| (name.clone(), as_written(&entry.node))).collect())
        }
    }
}

fn lines(text: &mut String, tree: &Tree, indent: usize) {
    match tree {
        Tree::Map(map) => map.iter().for_each(|(name, tree)| entry(text, name, tree, indent)),
        Tree::Item(item) => {
            let mut block = String::new();
            match &**item {
                Tree::Flow(Written::Map(map)) if indent + 2 + Written::Map(map.clone()).flow().len() > COLUMNS => {
                    map.iter()
                        .for_each(|(name, value)| entry(&mut block, name, &Tree::Flow(value.clone()), indent + 2));
                }
                item => lines(&mut block, item, indent + 2),
            }
            // The first line stands behind the dash.
            text.push_str(&format!("{}- {}\n", " ".repeat(indent), block.trim()));
        }
        Tree::Flow(value) => text.push_str(&format!("{}{}\n", " ".repeat(indent), value.flow())),
    }
}

fn entry(text: &mut String, name: &str, tree: &Tree, indent: usize) {
    let begin = format!("{}{}:", " ".repeat(indent), quoted(name));
    let (flow, parts) = match tree {
        Tree::Map(_) | Tree::Item(_) => {
            text.push_str(&format!("{begin}\n"));
            return lines(text, tree, indent + 2);
        }
        Tree::Flow(value) => (value.flow(), value),
    };
    match parts {
        _ if begin.len() + flow.len() < COLUMNS => text.push_str(&format!("{begin} {flow}\n")),
        Written::Map(map) => {
            text.push_str(&format!("{begin}\n"));
            map.iter().for_each(|(name, value)| entry(text, name, &Tree::Flow(value.clone()), indent + 2));
        }
        Written::List(list) => {
            text.push_str(&format!("{begin}\n"));
            let items = list.iter().map(|value| Tree::Item(Box::new(Tree::Flow(value.clone()))));
            items.for_each(|item| lines(text, &item, indent + 2));
        }
        Written::Plain(_) | Written::Text(_) => text.push_str(&format!("{begin} {flow}\n")),
    }
}
