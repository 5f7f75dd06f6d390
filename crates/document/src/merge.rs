//! How several trees become one: the stronger over the weaker. Nothing is checked but clashes.

use std::collections::BTreeMap;

use crate::{
    findings::Findings,
    sources::Sources,
    text::joined,
    tree::{Entry, Node, Place, Value, line_of},
};

/// The texts, and which sections have entries that are written in one file of a rank, whole.
type Merging<'a> = (&'a Sources, &'a dyn Fn(&str) -> bool);

/// Puts a file over what was read before it. Mappings are merged; anything else replaces what is weaker.
/// Within one rank nothing replaces anything: lists are joined, and what is written twice is an error.
pub fn merge(findings: &mut Findings<'_>, merging: Merging<'_>, below: &mut Node, above: Node, key: &str) {
    let (sources, _) = merging;
    if above.is_null() {
        return;
    }
    let rank = |node: &Node| sources.get(node.place.source).map(|source| source.rank);
    let is_one_rank = rank(below) == rank(&above);
    let Node { value, place, .. } = above;
    let value = match (&mut below.value, value) {
        (Value::Map(map), Value::Map(stronger)) => {
            below.place = place;
            return merge_maps(findings, merging, map, stronger, key);
        }
        (Value::List(list), Value::List(mut more)) if is_one_rank => return list.append(&mut more),
        (_, value) => value,
    };
    let is_said = !below.is_null();
    // A whole file that is no mapping is said to be none already, and has no key that it could repeat.
    if is_said && is_one_rank && !key.is_empty() {
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
    let rank = |entry: &Entry| sources.get(entry.key.source).map(|source| source.rank);
    for (name, entry) in stronger {
        let path = joined(key, &name);
        match map.get_mut(&name) {
            None => {
                map.insert(name, entry);
            }
            Some(there) if is_entry(key) && rank(there) == rank(&entry) => {
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
