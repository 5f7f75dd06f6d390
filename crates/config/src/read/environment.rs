//! What must be there around a service: files, directories, links.

use ansai_model::action::{EnvironmentEntry, EnvironmentKind};

use super::mode;
use crate::{
    diagnostics::{Findings, place_of},
    document::Node,
    form::joined,
    keys::ENVIRONMENT,
};

const KINDS: &[&str] = &["file", "directory", "symlink"];

/// The entries of a list.
pub(crate) fn entries(findings: &mut Findings<'_>, parent: &Node, name: &str, key: &str) -> Vec<EnvironmentEntry> {
    let items = parent.items(name).iter().enumerate();
    items.filter_map(|(index, node)| entry(findings, node, &format!("{}[{index}]", joined(key, name)))).collect()
}

fn entry(findings: &mut Findings<'_>, node: &Node, key: &str) -> Option<EnvironmentEntry> {
    node.map()?;
    let kinds: Vec<&str> = KINDS.iter().copied().filter(|kind| node.has(kind)).collect();
    let [kind] = kinds[..] else {
        let help = "write {file: /PATH}, {directory: /PATH} or {symlink: /PATH, to: PLACE}".to_owned();
        findings.error(node.place, key, "an entry is exactly one of file, directory or symlink", help);
        return None;
    };
    for (name, owner) in [("to", "symlink"), ("create", "file")] {
        if node.has(name) && kind != owner {
            let what = format!("`{name}` says nothing about a {kind}");
            findings.error(
                place_of(node, name),
                &joined(key, name),
                what,
                format!("it belongs to `{owner}`; delete it"),
            );
        }
    }
    let made = match kind {
        "file" => EnvironmentKind::File { create: ENVIRONMENT.held(node, "create") },
        "directory" => EnvironmentKind::Directory,
        _ => match node.string_at("to") {
            Some(to) => EnvironmentKind::Symlink(to),
            None => {
                findings.error(node.place, key, "a link leads somewhere", "write to: PLACE beside symlink".to_owned());
                return None;
            }
        },
    };
    Some(EnvironmentEntry {
        path: node.path_at(kind)?,
        kind: made,
        mode: node.text_at("mode").and_then(mode),
        owner: node.string_at("owner"),
        group: node.string_at("group"),
    })
}
