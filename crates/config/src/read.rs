//! From the tree to values. A value of the wrong form is reported by [`ansai_keys::check()`] and here taken as not written;
//! what is said here is what only several values together can be wrong in.

pub(crate) mod long;
pub(crate) mod notify;
pub(crate) mod policy;
pub(crate) mod probe;
pub(crate) mod rung;
pub(crate) mod settings;

use std::{collections::BTreeMap, str::FromStr};

use ansai_document::{Findings, Node, Place, text::joined};
use ansai_model::{action::ProcessDeclaration, id::NameError};

use crate::fill::Filled;

/// The entries of a section, each read under its name.
pub(crate) fn each<I: Ord + Clone + FromStr<Err = NameError>, T>(
    findings: &mut Findings<'_>,
    root: &Node,
    section: &str,
    mut read: impl FnMut(&mut Findings<'_>, &Node, &str, I) -> Option<T>,
) -> BTreeMap<I, T> {
    let mut entries = BTreeMap::new();
    for (name, place, node) in root.named(section) {
        let key = joined(section, name);
        let Some(id) = name_of(findings, name.parse::<I>(), place, &key) else { continue };
        entries.extend(read(findings, node, &key, id.clone()).map(|entry| (id, entry)));
    }
    entries
}

/// The name that was made, or what is wrong with it.
fn name_of<T>(findings: &mut Findings<'_>, made: Result<T, NameError>, place: Place, key: &str) -> Option<T> {
    made.map_err(|error| findings.name(place, key, &error)).ok()
}

/// A declared process, which ansai itself starts and stops.
pub(crate) fn declaration(
    findings: &mut Findings<'_>,
    node: &Node,
    key: &str,
    name: &str,
) -> Option<Box<ProcessDeclaration>> {
    let process = ProcessDeclaration::filled(findings, node, key, None)?;
    Some(Box::new(ProcessDeclaration { name: name.to_owned(), ..process }))
}
