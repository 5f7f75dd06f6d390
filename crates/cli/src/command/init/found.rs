//! What of this host `ansai init` makes a configuration from, gathered once.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use ansai_host::linux::port_owner;
use ansai_model::{
    domain::service::ActiveState,
    inventory::{Inventory, UnitFacts},
    policy::matches,
    units::Percent,
};

/// Units that are left alone: the system's own plumbing.
const PLUMBING: &[&str] = &[
    "systemd-*",
    "dbus*",
    "getty@*",
    "serial-getty@*",
    "console-getty*",
    "user@*",
    "user-runtime-dir@*",
    "ansai*",
    "polkit*",
    "emergency*",
    "rescue*",
    "initrd-*",
    "plymouth*",
    "container-getty@*",
    "modprobe@*",
    "kmod*",
    "ifup@*",
    "networking.service",
    "keyboard-setup*",
    "console-setup*",
    "apt-*",
    "dpkg-*",
    "e2scrub*",
    "fstrim*",
    "logrotate*",
    "man-db*",
    "wtmp*",
    "ldconfig*",
    "proc-sys-*",
    "dm-event*",
    "lvm2-*",
    "blk-availability*",
    "*-init.service",
];
const PORTS_TRIED: &[u16] = &[80, 443, 8080, 8000, 3000, 5000, 5432, 3306, 6379, 25, 53, 22];
/// Where certbot says which certificates it renews.
const RENEWALS: &str = "/etc/letsencrypt/renewal";
const RENEWALS_MAX: usize = 1_000;

/// What is on the host.
#[derive(Default)]
pub(super) struct Found {
    pub(super) inventory: Inventory,
    /// The port of a unit, by which it can be looked at.
    pub(super) ports: BTreeMap<String, u16>,
    /// How much of a filesystem is used, by its place.
    pub(super) used: BTreeMap<String, Percent>,
    /// The names of the certificates that certbot renews.
    pub(super) renewals: BTreeSet<String>,
}

/// What is on this host, besides what its inventory says.
pub(super) fn on_this_host(inventory: Inventory) -> Found {
    let root = Path::new("/");
    let mut ports = BTreeMap::new();
    for port in PORTS_TRIED {
        for owner in port_owner::owners(root, *port) {
            ports.entry(owner.unit.unwrap_or_default()).or_insert(*port);
        }
    }
    let used = inventory.mounts.iter().filter_map(|mount| Some((mount.path.clone(), used(&mount.path)?))).collect();
    let entries = std::fs::read_dir(RENEWALS).into_iter().flatten().flatten().take(RENEWALS_MAX);
    let names = entries.filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(".conf")?.to_owned()));
    Found { ports, used, renewals: names.collect(), inventory }
}

/// How much of the room that is for ordinary users is taken.
fn used(path: &str) -> Option<Percent> {
    let seen = rustix::fs::statvfs(path).ok()?;
    let used = seen.f_blocks.saturating_sub(seen.f_bfree);
    Some(Percent::of(used, used.saturating_add(seen.f_bavail)))
}

impl Found {
    /// The services that are proposed: those that run and are not the system's own.
    pub(super) fn services(&self) -> impl Iterator<Item = &UnitFacts> {
        let is_plumbing = |unit: &UnitFacts| PLUMBING.iter().any(|pattern| matches(pattern, unit.name.as_str()));
        let units = self.inventory.units.iter();
        units.filter(move |unit| unit.active == ActiveState::Active && !unit.is_oneshot && !is_plumbing(unit))
    }

    /// How much there is to watch, in words.
    pub(super) fn counts(&self) -> String {
        let services = match self.services().count() {
            0 => "no service but the system's own".to_owned(),
            1 => "1 service".to_owned(),
            many => format!("{many} services"),
        };
        let disks = match self.inventory.mounts.len() {
            1 => "1 filesystem".to_owned(),
            many => format!("{many} filesystems"),
        };
        let certificates = match super::certificates::all(self).len() {
            1 => "1 certificate".to_owned(),
            many => format!("{many} certificates"),
        };
        format!("{services}, {disks}, {certificates}")
    }
}
