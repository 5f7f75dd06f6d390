//! What must be there around a service: files, directories, links.

use ansai_document::{Findings, Node, text::joined, units::read_mode};
use ansai_model::action::{EnvironmentEntry, EnvironmentKind};

use crate::{
    fill::{HeldUnder, choice::Choice},
    keys::shared::{ENVIRONMENT, Thing},
};

/// The entries of a list.
pub(crate) fn entries(findings: &mut Findings<'_>, parent: &Node, name: &str, key: &str) -> Vec<EnvironmentEntry> {
    let items = parent.items(name).iter().enumerate();
    items.filter_map(|(index, node)| entry(findings, node, &format!("{}[{index}]", joined(key, name)))).collect()
}

fn entry(findings: &mut Findings<'_>, node: &Node, key: &str) -> Option<EnvironmentEntry> {
    node.map()?;
    let thing = Thing::one(findings, node, key)?;
    let kind = match thing {
        Thing::File => EnvironmentKind::File { create: ENVIRONMENT.held(node, "create") },
        Thing::Directory => EnvironmentKind::Directory,
        Thing::Symlink => match node.string_at("to") {
            Some(to) => EnvironmentKind::Symlink(to),
            None => {
                findings.error(node.place, key, "a link leads somewhere", "write to: PLACE beside symlink".to_owned());
                return None;
            }
        },
    };
    Some(EnvironmentEntry {
        path: node.path_at(thing.name())?,
        kind,
        mode: node.text_at("mode").and_then(read_mode),
        owner: node.string_at("owner"),
        group: node.string_at("group"),
    })
}
