//! From the tree to values. A value of the wrong form is reported by [`ansai_keys::check()`] and here taken as not written;
//! what is said here is what only several values together can be wrong in.

pub(crate) mod environment;
pub(crate) mod long;
pub(crate) mod notify;
pub(crate) mod policy;
pub(crate) mod probe;
pub(crate) mod process;
mod rung;
pub(crate) mod settings;

use ansai_document::{Findings, Node, place_of, text::joined};
use ansai_model::condition::Condition;

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
