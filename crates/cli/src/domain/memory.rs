//! Memory at the terminal: it is looked at on services, and has no targets of its own.

use ansai_model::{bundle::Bundle, domain::memory::DOMAIN};

use super::Domain;
use crate::command::init::Found;

/// The memory of units.
pub(super) struct Memory;

impl Domain for Memory {
    fn model(&self) -> &'static ansai_model::domain::Domain {
        &DOMAIN
    }

    fn plural(&self) -> &'static str {
        "memory"
    }

    fn watched(&self, bundle: &Bundle) -> usize {
        bundle.parts().checks.values().filter(|check| check.probe.kind() == DOMAIN.key).count()
    }

    fn is_for_everybody(&self) -> bool {
        true
    }

    fn counted(&self, _: &Found) -> Option<String> {
        None
    }

    fn propose(&self, found: &Found, text: &mut String) {
        let is_empty = found.units().next().is_none() && found.sockets().next().is_none();
        text.push_str(match is_empty {
            true => "# The memory of each service is followed. One that leaks is told of, and\n",
            false => "# The memory of each service above is followed. One that leaks is told of, and\n",
        });
        text.push_str(
            "# restarted in these hours as long as its forecast allows to wait; `learned` is\n\
             # the hour in which this host has the least load.\n\
             memory: {quiet: {at: \"02:00\", lasts: 2h}}\n",
        );
    }
}
