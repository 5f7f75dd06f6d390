//! `ansai config explain KEY`: the value that holds, who set it, what it replaced, and what holds where nothing is said.

use std::{collections::BTreeMap, fmt};

use ansai_document::{
    Entry, Node, line_of, nearest_name,
    secrets::masked,
    text::{cut, joined},
};
use ansai_keys::{
    Key, Kind, Shape,
    example::{Part, row, row_of},
    page::{flow, mapping},
};
use ansai_model::policy::matches;
use serde::Serialize;

use crate::{
    common::DEFAULT,
    configuration::Configuration,
    keys::{config::CONFIG, limits::POLICY},
    layer::Layer,
};
use ansai_document::patterns::{Patterns, UNIT_KINDS};

mod elsewhere;
mod example;
mod may;

pub use may::May;

/// The most values that one answer lists.
const VALUES_MAX: usize = 1_000;
/// The longest key that is looked for, in bytes.
const KEY_BYTES_MAX: usize = 1_024;
/// The most keys that one falls back to another.
const STEPS_MAX: usize = 8;

/// What a key means here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explained {
    /// The key, written out.
    pub key: String,
    /// The key that holds in its place, when it is not written itself.
    pub holds: Option<String>,
    /// What the key means.
    pub meaning: String,
    /// What may stand under it.
    pub may: May,
    /// The values under it; one, when it is a single value. Empty when nothing says anything.
    pub values: Vec<Explanation>,
    /// What follows when nothing is written, in words.
    pub default: Option<String>,
}

/// One value and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The key, with those above it.
    pub key: String,
    /// What holds.
    pub set: Origin,
    /// What it replaced, the strongest first.
    pub shadowed: Vec<Origin>,
}

/// A value in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Origin {
    /// The value in one line.
    pub value: String,
    /// The layer from which it comes.
    pub layer: Layer,
    /// The path of the file.
    pub file: String,
    /// Its line, from 1.
    pub line: usize,
}

/// There is no such key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NoKey {
    /// What is wrong.
    pub what: String,
    /// What may be meant.
    pub suggestion: String,
}

impl fmt::Display for NoKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}
impl std::error::Error for NoKey {}

/// A key that the table knows, as far as the tree has it.
#[derive(Debug)]
struct Found<'t> {
    /// As it is asked for, written out.
    key: String,
    /// As it is written, which may be under a pattern.
    written: String,
    node: Option<&'t Node>,
    meaning: &'static str,
    kind: Kind,
    /// How it is reached.
    path: Vec<Part>,
}

impl Found<'_> {
    /// One key further.
    fn goes(&mut self, name: &str) {
        self.key = joined(&self.key, name);
        self.written = joined(&self.written, name);
    }

    /// At an item of a list.
    fn at(&mut self, number: &str) {
        self.key = format!("{}[{number}]", self.key);
        self.written = format!("{}[{number}]", self.written);
        self.path.push(Part::Item);
    }
}

impl Configuration {
    /// Says what holds under a key, as `services.nginx.service.policy.cooldown`, and why.
    ///
    /// # Errors
    /// When there is no such key, with the nearest one.
    pub fn explain(&self, key: &str) -> Result<Explained, NoKey> {
        let asked = self.find(key)?;
        let mut explained = Explained {
            key: asked.key.clone(),
            holds: None,
            meaning: asked.meaning.to_owned(),
            may: may::may(&asked.kind, &asked.path),
            values: Vec::new(),
            default: row(&asked.path).and_then(Key::said),
        };
        let mut found = asked;
        for _ in 0..STEPS_MAX {
            if let Some(node) = found.node.filter(|node| !node.is_null()) {
                self.list(node, &found.written, &mut explained.values);
                explained.holds = (found.written != explained.key).then_some(found.written);
                break;
            }
            let Some(next) = self.fallback(&found).and_then(|next| self.find(&next).ok()) else { break };
            found = next;
        }
        Ok(explained)
    }

    /// The keys that begin so, as far as the table and the files know them; for a shell that completes one.
    #[must_use]
    pub fn completions(&self, begun: &str) -> Vec<String> {
        let begun = cut(begun);
        let parents = std::iter::once("").chain(begun.match_indices('.').map(|(at, _)| &begun[..at]));
        let mut keys: Vec<String> = Vec::new();
        for parent in parents {
            let Ok(found) = self.find(parent) else { continue };
            let names: Vec<&str> = match found.kind {
                Kind::Shape(shape) | Kind::Short(_, shape) => shape.keys.iter().map(|key| key.name).collect(),
                Kind::Named(_) => {
                    found.node.and_then(Node::map).into_iter().flat_map(|map| map.keys()).map(AsRef::as_ref).collect()
                }
                _ => Vec::new(),
            };
            keys.extend(
                names.into_iter().map(|name| joined(parent, name)).filter(|key| key.starts_with(begun.as_str())),
            );
        }
        keys.sort();
        keys.dedup();
        keys.truncate(VALUES_MAX);
        keys
    }

    /// The key that holds when this one is not written, as the line of a key on the way to it says.
    fn fallback(&self, found: &Found<'_>) -> Option<String> {
        if let [Part::Key(section, _), Part::Name(name), rest @ ..] = &found.path[..]
            && section.name == "policies"
            && name.as_deref() != Some(DEFAULT)
        {
            return below(&joined(section.name, DEFAULT), rest);
        }
        let rows = found.path.iter().enumerate().rev();
        let (at, key) =
            rows.filter_map(|(at, part)| Some((at, row_of(part)?))).find(|(_, key)| !key.below.is_empty())?;
        // Limits that are named hold in the place of the usual ones.
        let named = match key.kind {
            Kind::Short(Kind::Text, _) => self.along(&found.path[..=at]).and_then(Node::text),
            _ => None,
        };
        let usual = key.below.rsplit_once('.').zip(named).map(|((section, _), named)| joined(section, named));
        below(usual.as_deref().unwrap_or(key.below), &found.path[at + 1..]).filter(|key| *key != found.key)
    }

    /// What stands at the end of a way through keys and names.
    fn along(&self, path: &[Part]) -> Option<&Node> {
        path.iter().try_fold(&self.tree, |node, part| match part {
            Part::Key(key, _) => node.get(key.name),
            Part::Name(name) => held_by(node.map()?, name.as_deref()?).map(|(_, node)| node),
            Part::Item => None,
        })
    }

    /// Every single value under a node, with its origin.
    fn list(&self, node: &Node, key: &str, values: &mut Vec<Explanation>) {
        if values.len() >= VALUES_MAX {
            return;
        }
        // What is written with nothing in it, as `"*": {}`, is a value as well.
        let Some(map) = node.map().filter(|map| !map.is_empty()) else {
            let shadowed = node.shadowed.iter().rev().map(|node| self.origin(node, key)).collect();
            values.push(Explanation { key: key.to_owned(), set: self.origin(node, key), shadowed });
            return;
        };
        for (name, entry) in map {
            self.list(&entry.node, &joined(key, name), values);
        }
    }

    /// What may be a secret is starred out, as it is in messages.
    fn origin(&self, node: &Node, key: &str) -> Origin {
        let begin = format!("{}: ", key.rsplit('.').next().unwrap_or_default());
        let value = masked(&format!("{begin}{}", flow(node).unwrap_or_default()));
        let source = self.sources.get(node.place.source);
        Origin {
            value: value.get(begin.len()..).unwrap_or_default().to_owned(),
            layer: source.map_or(Layer::Shipped, |source| Layer::of_rank(source.rank)),
            file: source.map(|source| source.name.clone()).unwrap_or_default(),
            line: source.map_or(0, |source| line_of(&source.text, node.place.start)),
        }
    }

    /// Finds a key by the table, and by the tree where names are the operator's.
    fn find(&self, key: &str) -> Result<Found<'_>, NoKey> {
        if key.len() > KEY_BYTES_MAX {
            return Err(NoKey {
                what: "this key is too long".into(),
                suggestion: "write as services.nginx.service".into(),
            });
        }
        let mut found = Found {
            key: String::new(),
            written: String::new(),
            node: Some(&self.tree),
            meaning: "Everything",
            kind: Kind::Shape(&CONFIG),
            path: Vec::new(),
        };
        let (mut kind, mut rest) = (Kind::Shape(&CONFIG), key.trim_matches('.'));
        while !rest.is_empty() {
            rest = match kind {
                // One of several texts, where a single one may stand as well.
                Kind::Texts | Kind::Paths | Kind::Statuses | Kind::Argv if rest.starts_with('[') => {
                    kind = Kind::Text;
                    step_index(&mut found, rest, &Kind::Text)?
                }
                Kind::Short(short, _) if rest.starts_with('[') => {
                    kind = *short;
                    rest
                }
                Kind::Shape(shape) | Kind::Short(_, shape) => self.step_shape(&mut found, &mut kind, shape, rest)?,
                Kind::Named(inner) => {
                    kind = *inner;
                    step_name(&mut found, rest, inner)?
                }
                Kind::List(inner) => {
                    kind = *inner;
                    step_index(&mut found, rest, inner)?
                }
                _ => {
                    let what = format!("`{}` is a single value, without `{}`", found.key, cut(rest));
                    return Err(NoKey { what, suggestion: format!("ansai config explain {}", found.key) });
                }
            };
        }
        found.kind = kind;
        Ok(found)
    }

    /// One key of a mapping whose keys the table knows.
    fn step_shape<'r>(
        &self,
        found: &mut Found<'_>,
        kind: &mut Kind,
        shape: &'static Shape,
        rest: &'r str,
    ) -> Result<&'r str, NoKey> {
        let end = rest.find(['.', '[']).unwrap_or(rest.len());
        let (name, tail) = (&rest[..end], rest[end..].trim_start_matches('.'));
        let Some(key) = shape.key(name) else {
            if let Some(limits) = limits_of(shape).filter(|_| POLICY.key(name).is_some()) {
                found.node = found.node.and_then(|node| node.get(limits.name));
                found.goes(limits.name);
                found.path.push(Part::Key(limits, shape));
                *kind = Kind::Shape(&POLICY);
                return Ok(rest);
            }
            let names = shape.keys.iter().map(|key| key.name);
            let limits = POLICY.keys.iter().map(|key| key.name).filter(|_| limits_of(shape).is_some());
            let elsewhere =
                || elsewhere::key_named(name, (found.key.as_str(), shape)).or_else(|| self.named_so(rest, found));
            let suggestion = match (elsewhere(), nearest_name(name, names.clone().chain(limits))) {
                (Some(elsewhere), _) => elsewhere,
                (None, Some(near)) => format!("ansai config explain {}", joined(&found.key, near)),
                (None, None) => format!("known here: {}", names.collect::<Vec<_>>().join(", ")),
            };
            let whole = joined(&found.key, name);
            return Err(NoKey { what: format!("there is no key `{}`", cut(&whole)), suggestion });
        };
        found.node = found.node.and_then(|node| node.get(name));
        found.goes(name);
        (found.meaning, *kind) = (key.meaning, key.kind);
        found.path.push(Part::Key(key, shape));
        Ok(tail)
    }
}

/// A key below another one, by the rest of the way to it.
fn below(key: &str, rest: &[Part]) -> Option<String> {
    rest.iter().try_fold(key.to_owned(), |key, part| match part {
        Part::Key(inner, _) => Some(joined(&key, inner.name)),
        Part::Name(name) => Some(joined(&key, name.as_deref().unwrap_or(ANY_NAME))),
        Part::Item => None,
    })
}

/// The limits that stand in a mapping, which may be asked for without `policy`.
fn limits_of(shape: &Shape) -> Option<&'static Key> {
    shape.key("policy").filter(|key| matches!(key.kind, Kind::Short(_, limits) if limits.title == POLICY.title))
}

/// What stands for any name of the operator's, when it is asked what may be written there.
const ANY_NAME: &str = "NAME";

const UNIT_ENDING: &str = ".service";

/// One name of the operator's: the longest that is there, or a pattern that matches it, or any that may be there.
fn step_name<'r>(found: &mut Found<'_>, rest: &'r str, inner: &Kind) -> Result<&'r str, NoKey> {
    if let Some(tail) = rest.strip_prefix(ANY_NAME).filter(|tail| tail.is_empty() || tail.starts_with(['.', '['])) {
        found.node = None;
        found.goes(ANY_NAME);
        found.path.push(Part::Name(None));
        return Ok(tail.trim_start_matches('.'));
    }
    let map = found.node.and_then(Node::map);
    let (end, name) = match written_name(map, rest) {
        Some(hit) => hit,
        None => {
            let end = unwritten_name(found, map, rest, inner)?;
            (end, rest[..end].to_owned())
        }
    };
    let held = map.and_then(|map| held_by(map, &name));
    found.node = held.map(|(_, node)| node);
    found.written = joined(&found.written, held.map_or(&name, |(written, _)| written));
    found.key = joined(&found.key, &name);
    found.path.push(Part::Name(Some(name)));
    Ok(rest[end..].trim_start_matches('.'))
}

/// Where a key may be parted into a name and what follows: before each dot and each item of a list, and at its end.
fn ends(rest: &str) -> Vec<usize> {
    rest.match_indices(['.', '[']).map(|(at, _)| at).filter(|at| *at > 0).chain([rest.len()]).collect()
}

/// What a name stands under: itself, or the pattern that says most of it.
fn held_by<'t>(map: &'t BTreeMap<String, Entry>, name: &str) -> Option<(&'t str, &'t Node)> {
    let entry = |(written, entry): (&'t String, &'t Entry)| (written.as_str(), &*entry.node);
    let by_pattern = || {
        let names = Patterns::among(map.keys());
        map.get_key_value(names.strongest(name)?)
    };
    map.get_key_value(name).or_else(by_pattern).map(entry)
}

/// A name that is written, or that a pattern fits which is, written out, and where it ends.
fn written_name(map: Option<&BTreeMap<String, Entry>>, rest: &str) -> Option<(usize, String)> {
    let names = || map.into_iter().flat_map(|map| map.keys());
    let ends = ends(rest);
    let full = |part: &str| [part.to_owned(), format!("{part}.service")];
    let written = |part: &str| full(part).into_iter().find(|name| map.is_some_and(|map| map.contains_key(name)));
    let like =
        |part: &str| names().any(|name| name.contains(['*', '?']) && matches(name, part)).then(|| part.to_owned());
    let hit = ends.iter().rev().find_map(|end| Some((*end, written(&rest[..*end])?)));
    // The shortest part, as a pattern matches whatever follows as well.
    let hit = hit.or_else(|| ends.iter().find_map(|end| Some((*end, like(&rest[..*end])?))));
    // The ending of a unit is a part of its name.
    let whole = |(end, name): (usize, String)| match rest[end..].strip_prefix(UNIT_ENDING) {
        Some(tail) if tail.is_empty() || tail.starts_with('.') => {
            let longer = end + UNIT_ENDING.len();
            like(&rest[..longer]).map_or((end, name), |name| (longer, name))
        }
        _ => (end, name),
    };
    let hit = hit.map(whole);
    hit.or_else(|| ends.iter().find_map(|end| Some((*end, like(&format!("{}.service", &rest[..*end]))?))))
}

/// Where a name ends that nobody has written: any may be, so it may be asked what would stand there. One that is nearly
/// written, or is followed by what is nearly a key, is refused with what is meant.
///
/// # Errors
/// When another one is meant.
fn unwritten_name(
    found: &Found<'_>,
    map: Option<&BTreeMap<String, Entry>>,
    rest: &str,
    inner: &Kind,
) -> Result<usize, NoKey> {
    let refused = |near: &str| NoKey {
        what: format!("there is no `{}` under `{}`", cut(rest), found.key),
        suggestion: format!("ansai config explain {}", joined(&found.key, near)),
    };
    let ends = ends(rest);
    let names = || map.into_iter().flat_map(|map| map.keys()).map(String::as_str);
    if let Some(near) = ends.iter().rev().find_map(|end| nearest_name(&rest[..*end], names())) {
        return Err(refused(near));
    }
    if let (Kind::List(_), Some(end)) = (inner, rest.find('[')) {
        return Ok(end);
    }
    let keys = match inner {
        Kind::Shape(shape) | Kind::Short(_, shape) => shape.keys,
        _ => &[],
    };
    let keys = || keys.iter().chain(POLICY.keys).map(|key| key.name);
    let follows = |end: usize| rest[end..].trim_start_matches('.').split(['.', '[']).next().unwrap_or_default();
    if let Some(end) = ends.iter().find(|end| keys().any(|key| key == follows(**end))) {
        return Ok(*end);
    }
    // The ending of a unit's name is no key.
    let is_kind = |text: &str| text.is_empty() || UNIT_KINDS.iter().any(|kind| &kind[1..] == text);
    let nearly = |end: &usize| Some((*end, nearest_name(follows(*end), keys()).filter(|_| !is_kind(follows(*end)))?));
    match ends.iter().rev().find_map(nearly) {
        Some((end, near)) => Err(refused(&joined(&rest[..end], near))),
        None => Ok(rest.len()),
    }
}

/// One item of a list, as `[0]`.
fn step_index<'r>(found: &mut Found<'_>, rest: &'r str, inner: &Kind) -> Result<&'r str, NoKey> {
    let (number, tail) = match rest.strip_prefix('[') {
        Some(rest) => rest.split_once(']').unwrap_or((rest, "")),
        None => rest.split_once('.').unwrap_or((rest, "")),
    };
    // Of a list of which nothing is written it may be asked what an item is.
    if found.node.is_none() && number.parse::<usize>().is_ok() {
        found.at(number);
        return Ok(tail.trim_start_matches('.'));
    }
    // What may stand alone is the only one there.
    let alone = found.node.filter(|node| node.plain().is_some()).map(std::slice::from_ref);
    let list = found.node.and_then(Node::list).or(alone).unwrap_or_default();
    let item = number.parse::<usize>().ok().and_then(|index| list.get(index));
    let Some(item) = item else {
        let first = format!("{}[0]", found.key);
        let keys = mapping(inner).into_iter().flat_map(|(_, shape)| shape.keys).map(|key| key.name);
        let suggestion = match (nearest_name(number, keys), list.len()) {
            (Some(near), _) => format!("ansai config explain {first}.{near}"),
            (None, 0 | 1) => format!("write {first}"),
            (None, len) => format!("write {first} to {}[{}]", found.key, len - 1),
        };
        return Err(NoKey { what: format!("`{}` has no item `{}`", found.key, cut(number)), suggestion });
    };
    found.node = Some(item);
    found.at(number);
    Ok(tail.trim_start_matches('.'))
}
