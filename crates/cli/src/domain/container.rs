//! Containers at the terminal: `ansai init` proposes to watch all of them, those of tomorrow as well, and `doctor` says when
//! nobody does.

use std::fmt::Write as _;

use ansai_model::{
    domain::container::{DOMAIN, Owner},
    inventory::Inventory,
    text::Text,
};

use super::Domain;
use crate::{
    command::{
        doctor::{self, Finding},
        init::{Found, shown},
    },
    show,
};

/// Most that are named in a proposal.
const NAMED_MAX: usize = 40;

/// Containers, each by its name.
pub(super) struct Containers;

impl Domain for Containers {
    fn model(&self) -> &'static ansai_model::domain::Domain {
        &DOMAIN
    }

    fn plural(&self) -> &'static str {
        "containers"
    }

    fn amiss(&self, watched: usize, inventory: &Inventory, _: bool) -> Option<Finding> {
        let count = inventory.containers.len();
        let what = format!("{} run here, and none is watched", show::count(count, "container"));
        (watched == 0 && count > 0).then(|| doctor::warn(what, "write `containers: {\"*\": {}}`"))
    }

    fn is_for_everybody(&self) -> bool {
        true
    }

    fn counted(&self, found: &Found) -> Option<String> {
        let count = found.inventory.containers.len();
        (count > 0).then(|| show::count(count, "container"))
    }

    // Writing to a string cannot fail, so the results are dropped.
    fn propose(&self, found: &Found, text: &mut String) {
        let inventory = &found.inventory;
        if inventory.engines.is_empty() {
            text.push_str("# No engine of containers has a socket here.\n");
            return;
        }
        let engines: Vec<&str> = inventory.engines.iter().map(Text::as_str).collect();
        let _ = writeln!(
            text,
            "# Containers of {}: one that its own health check calls unhealthy is\n\
             # restarted, by its unit where it has one; none is ever removed or made anew, and\n\
             # what somebody stopped stays stopped.\ncontainers:",
            engines.join(" and ")
        );
        for one in inventory.containers.iter().take(NAMED_MAX) {
            let owner = match &one.owner {
                Owner::Nobody => String::new(),
                Owner::Unit(unit) => format!("; {unit} runs it"),
                Owner::Other(who) => format!("; {who}: observed only"),
            };
            let _ = writeln!(text, "  # {}: {}{}", one.name, shown(one.image.as_str()), shown(&owner));
        }
        if let Some(more) = inventory.containers.len().checked_sub(NAMED_MAX).filter(|more| *more > 0) {
            let _ = writeln!(text, "  # and {more} more");
        }
        text.push_str("  \"*\": {}\n");
    }
}
