//! Filesystems at the terminal: `ansai init` proposes to watch all of them, those of tomorrow as well. What may be deleted is
//! never proposed, only shown as an example.

use std::fmt::Write as _;

use ansai_model::{domain::disk::DOMAIN, inventory::Inventory};

use super::Domain;
use crate::{
    command::{
        doctor::{self, Finding},
        init::{Found, shown},
    },
    show,
};

/// What an operator can add.
const EXAMPLE: &[&str] = &[
    "  # What else may be given up on one of them is yours to say, as here:",
    "  # /var:",
    "  #   clean:",
    "  #     logs: [{path: /var/log/app, pattern: \"*.log\", older_than: 30d}]",
    "  #     temporary: [{path: /var/tmp/scratch, older_than: 7d}]",
];

/// Filesystems, each by its mount point.
pub(super) struct Disks;

impl Domain for Disks {
    fn model(&self) -> &'static ansai_model::domain::Domain {
        &DOMAIN
    }

    fn plural(&self) -> &'static str {
        "filesystems"
    }

    fn amiss(&self, watched: usize, inventory: &Inventory, is_user: bool) -> Option<Finding> {
        // The filesystems are for the agent of the host.
        let is_amiss = watched == 0 && !inventory.mounts.is_empty() && !is_user;
        let todo = "write `disks: {\"*\": {}}`; ansai init --output - shows what else there is to watch";
        is_amiss.then(|| doctor::warn("no filesystem is watched, and a full one makes every service fail", todo))
    }

    fn counted(&self, found: &Found) -> Option<String> {
        Some(show::count(found.inventory.mounts.len(), "filesystem"))
    }

    fn propose(&self, found: &Found, text: &mut String) {
        proposal(found, text);
    }

    fn place(&self) -> Option<&'static str> {
        Some("filesystem")
    }
}

// Writing to a string cannot fail, so the results are dropped throughout.
fn proposal(found: &Found, text: &mut String) {
    text.push_str(
        "# Filesystems: people are told when one is 80 % full, and before it will be\n\
         # full. From 90 % on room is made of what nobody misses: downloaded packages,\n\
         # the journal above 100 MB, what logrotate's own rules do not keep.\n",
    );
    text.push_str("disks:\n");
    if found.inventory.mounts.is_empty() {
        text.push_str(
            "  # No filesystem of this host lies on a disk of its own; one that is mounted\n  # later is watched.\n",
        );
    }
    for mount in &found.inventory.mounts {
        let read_only = if mount.is_read_only { ", for reading only" } else { "" };
        let (path, source) = (shown(&mount.path), shown(&mount.source));
        let _ = writeln!(text, "  # {path}: {} on {source}, {}{read_only}", mount.kind, mount.size);
        let room = found.used.get(&mount.path);
        for line in room.into_iter().flat_map(|room| [Some(room.usable_in_words()), room.reserve_in_words()]).flatten()
        {
            let _ = writeln!(text, "  #   {line}");
        }
    }
    text.push_str("  \"*\": {}\n");
    EXAMPLE.iter().for_each(|line| {
        let _ = writeln!(text, "{line}");
    });
}
