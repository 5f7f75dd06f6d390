//! Declared processes, which ansai itself starts and stops.

use ansai_document::{Findings, Node};
use ansai_model::action::ProcessDeclaration;

use crate::fill::simple::command_at;

/// The commands of a declared process.
pub(crate) fn declaration(
    findings: &mut Findings<'_>,
    node: &Node,
    key: &str,
    name: &str,
) -> Option<Box<ProcessDeclaration>> {
    if !node.has("start") {
        let help = "write start: [program, argument, …]".to_owned();
        findings.error(node.place, key, "a process needs the command that starts it", help);
        return None;
    }
    let (start, stop) = (command_at(node, "start")?, command_at(node, "stop"));
    Some(Box::new(ProcessDeclaration { name: name.to_owned(), start, stop, pid_file: node.path_at("pid_file") }))
}
