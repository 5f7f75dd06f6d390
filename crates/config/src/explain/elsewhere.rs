//! Where a key, or something with a name of the operator's, stands that was asked for in another place.

use ansai_document::{Node, text::joined};
use ansai_keys::{Kind, Shape, places::places};

use super::{Found, limits_of};
use crate::{configuration::Configuration, keys::config::CONFIG};

/// Where a key of this name stands below a mapping, or anywhere, as advice.
pub(super) fn key_named(name: &str, (key, shape): (&str, &'static Shape)) -> Option<String> {
    let near = places(name, (key, shape), &limits_of);
    let all = if near.is_empty() { places(name, ("", &CONFIG), &limits_of) } else { near };
    Some(format!("it stands in {}: ansai config explain {}", all.join(", "), all.first()?))
}

impl Configuration {
    /// The key under which something of this name stands, when a name was asked for alone, as advice.
    pub(super) fn named_so(&self, name: &str, found: &Found<'_>) -> Option<String> {
        let sections = CONFIG.keys.iter().filter(|key| found.key.is_empty() && matches!(key.kind, Kind::Named(_)));
        let names = [name.to_owned(), format!("{name}.service")];
        let mut whole = sections.filter_map(|section| {
            let map = self.tree.get(section.name).and_then(Node::map)?;
            names.iter().find(|name| map.contains_key(*name)).map(|name| joined(section.name, name))
        });
        whole.next().map(|key| format!("ansai config explain {key}"))
    }
}
