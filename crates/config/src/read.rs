//! From the tree to values. A value of the wrong form is reported by [`ansai_keys::check()`] and here taken as not written;
//! what is said here is what only several values together can be wrong in.

pub(crate) mod long;
pub(crate) mod notify;
pub(crate) mod policy;
pub(crate) mod probe;
pub(crate) mod rung;
pub(crate) mod settings;

use ansai_document::{Findings, Node};
use ansai_model::action::ProcessDeclaration;

use crate::fill::Filled;

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
