//! Declared processes, which ansai itself starts and stops.

use ansai_model::action::ProcessDeclaration;

use crate::{diagnostics::Findings, document::Node};

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
    let (start, stop) = (node.command_at("start")?, node.command_at("stop"));
    Some(Box::new(ProcessDeclaration { name: name.to_owned(), start, stop, pid_file: node.path_at("pid_file") }))
}
