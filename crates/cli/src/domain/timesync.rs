//! The clock's synchronization at the terminal: `ansai init` proposes to watch it where something synchronizes it, and `doctor`
//! says when nobody does.

use std::fmt::Write as _;

use ansai_model::{bundle::Bundle, domain::timesync::DOMAIN, inventory::Inventory};

use super::Domain;
use crate::command::{
    doctor::{self, Finding},
    init::Found,
};

/// The clock of the host, of which there is one at most.
pub(super) struct Timesync;

impl Domain for Timesync {
    fn model(&self) -> &'static ansai_model::domain::Domain {
        &DOMAIN
    }

    fn plural(&self) -> &'static str {
        "clocks"
    }

    /// It is looked at on the service that synchronizes it, or on a target of its own.
    fn watched(&self, bundle: &Bundle) -> usize {
        bundle.parts().checks.values().filter(|check| check.probe.kind() == DOMAIN.key).count()
    }

    fn amiss(&self, watched: usize, inventory: &Inventory, is_user: bool) -> Option<Finding> {
        let unit = inventory.timesync.as_ref().filter(|_| watched == 0 && !is_user)?;
        let what = format!("{unit} keeps the clock, and nobody is told when it no longer does");
        Some(doctor::warn(what, "write `timesync: true`"))
    }

    fn counted(&self, _: &Found) -> Option<String> {
        None
    }

    // Writing to a string cannot fail, so the result is dropped.
    fn propose(&self, found: &Found, text: &mut String) {
        let Some(unit) = &found.inventory.timesync else {
            text.push_str("# Nothing here synchronizes the clock, or the clock is another's.\n");
            return;
        };
        let _ = writeln!(
            text,
            "# {unit} synchronizes the clock. It is restarted once when the kernel says\n\
             # that it no longer does; the clock itself is never set.\ntimesync: true"
        );
    }
}
