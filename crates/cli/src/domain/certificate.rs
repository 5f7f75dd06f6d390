//! Certificates at the terminal: what `init` proposes of those that this host has, and the commands that only they have.

mod command;
mod proposal;

use ansai_model::domain::certificate::DOMAIN;

pub(super) use self::command::Command;
use super::{Domain, Examples};
use crate::{command::init::Found, show};

/// Certificates, each by its name in the configuration.
pub(super) struct Certificates;

impl Domain for Certificates {
    fn model(&self) -> &'static ansai_model::domain::Domain {
        &DOMAIN
    }

    // Since when it has expired.
    fn has_degrees(&self) -> bool {
        true
    }

    fn plural(&self) -> &'static str {
        "certificates"
    }

    fn counted(&self, found: &Found) -> Option<String> {
        Some(show::count(proposal::all(found).len(), "certificate"))
    }

    fn propose(&self, found: &Found, text: &mut String) {
        proposal::proposal(found, text);
    }

    fn examples(&self) -> Examples {
        &[
            (
                "certificate",
                &[
                    ("ansai certificate list", "how long each is good"),
                    ("ansai certificate renew api.example.com", "replace it everywhere, now"),
                ],
            ),
            ("certificate list", &[("ansai certificate list", "how long each is good")]),
            (
                "certificate renew",
                &[
                    ("ansai certificate renew api.example.com --dry-run", "say what"),
                    ("ansai certificate renew api.example.com", "do it now"),
                ],
            ),
            (
                "certificate revoke",
                &[
                    ("ansai certificate revoke api.example.com --dry-run", "say what"),
                    ("ansai certificate revoke api.example.com", "its key got out"),
                ],
            ),
        ]
    }
}
