//! What of this host `ansai init` makes a configuration from, gathered once.

use std::collections::{BTreeMap, BTreeSet};

use ansai_host::linux::mounts;
use ansai_model::{
    id::UnitName,
    inventory::{Inventory, SocketFacts, UnitFacts},
    policy::matches,
    unit::ActiveState,
    units::Room,
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
/// Where certbot says which certificates it renews.
const RENEWALS: &str = "/etc/letsencrypt/renewal";
const RENEWALS_MAX: usize = 1_000;

/// What is on the host.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) inventory: Inventory,
    /// How full a filesystem is, by its place.
    pub(crate) used: BTreeMap<String, Room>,
    /// The names of the certificates that certbot renews.
    pub(crate) renewals: BTreeSet<String>,
}

/// What is on this host, besides what its inventory says.
pub(super) fn on_this_host(inventory: Inventory) -> Found {
    let used = inventory.mounts.iter();
    let used = used.filter_map(|mount| Some((mount.path.clone(), mounts::room_at(&mount.path).ok()?))).collect();
    let entries = std::fs::read_dir(RENEWALS).into_iter().flatten().flatten().take(RENEWALS_MAX);
    let names = entries.filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(".conf")?.to_owned()));
    Found { used, renewals: names.collect(), inventory }
}

fn is_plumbing(name: &UnitName) -> bool {
    PLUMBING.iter().any(|pattern| matches(pattern, name.as_str()))
}

impl Found {
    /// The units that are proposed: those that run, are about to, or have failed, and are not the system's own.
    pub(crate) fn units(&self) -> impl Iterator<Item = &UnitFacts> {
        use ActiveState::{Activating, Active, Failed, Reloading};
        let is_meant = |unit: &&UnitFacts| matches!(unit.active, Active | Activating | Failed | Reloading);
        let units = self.inventory.units.iter().filter(is_meant);
        units.filter(|unit| !unit.is_oneshot && !is_plumbing(&unit.name))
    }

    /// The units that have failed, the system's own included: those that are to run and do not, whether they are proposed or not.
    pub(crate) fn failed(&self) -> impl Iterator<Item = &UnitFacts> {
        self.inventory.units.iter().filter(|unit| unit.active == ActiveState::Failed)
    }

    /// The sockets that are proposed: those that listen for what is not proposed itself, the system's own left out. Of several
    /// that start one service the first stands for all.
    pub(crate) fn sockets(&self) -> impl Iterator<Item = &SocketFacts> {
        let runs = |name: &UnitName| self.units().any(|unit| unit.name == *name);
        let sockets = self.inventory.sockets.iter().filter(|socket| !is_plumbing(&socket.name));
        let mut started = BTreeSet::new();
        sockets.filter(move |socket| {
            let is_meant = |name: &UnitName| !is_plumbing(name) && !runs(name);
            socket.starts.as_ref().is_none_or(|name| is_meant(name) && started.insert(name))
        })
    }

    /// The sockets that start a unit, in words: `its socket a.socket is`, or `its 2 sockets are`.
    pub(crate) fn sockets_of(&self, unit: &UnitName) -> Option<String> {
        let mut sockets = self.inventory.sockets.iter().filter(|socket| socket.starts.as_ref() == Some(unit));
        let first = &sockets.next()?.name;
        Some(match sockets.count() {
            0 => format!("its socket {first} is"),
            more => format!("its {} sockets are", more + 1),
        })
    }
}
