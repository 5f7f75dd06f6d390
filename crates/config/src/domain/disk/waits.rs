//! Cause before symptom: which services wait for room on which disk before they are healed.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use ansai_model::{
    bundle::BundleParts,
    id::{CheckId, TargetId},
    inventory::Inventory,
};

use super::Disks;
use crate::load::Configuration;

/// Where nearly every service writes.
const EVERYBODY: &[&str] = &["/", "/var", "/var/lib", "/var/log", "/tmp"];

/// Mount points, found by what they are and not by how they are written.
pub(super) type Mounts<'a> = BTreeMap<&'a Path, &'a str>;

/// The mount points that are known on a host: those that it has, and those that are named.
pub(super) fn mounts<'a>(disks: &'a Disks, inventory: &'a Inventory) -> Mounts<'a> {
    let named = disks.0.keys().map(String::as_str).filter(|name| !super::is_pattern(name));
    let found = inventory.mounts.iter().map(|mount| mount.path.as_str());
    named.chain(found).map(|mount| (Path::new(mount), mount)).collect()
}

/// The filesystem that a path lies on.
pub(super) fn holder<'a>(known: &Mounts<'a>, path: &str) -> Option<&'a str> {
    Path::new(path).ancestors().find_map(|folder| known.get(folder).copied())
}

/// The check that says that nobody can write to a disk any more.
fn full(mount: &str) -> Option<CheckId> {
    CheckId::of(&TargetId::of("disk", mount).ok()?, "full").ok()
}

/// Lets every service wait for the disks that it lives on, as far as they are watched.
pub(super) fn for_room(known: &Mounts<'_>, parts: &mut BundleParts) {
    let checks = &parts.checks;
    for target in parts.targets.values_mut().filter(|target| target.id.domain() == "service") {
        let own = target.configuration.iter().map(String::as_str);
        let disks = EVERYBODY.iter().copied().chain(own).filter_map(|path| full(holder(known, path)?));
        let disks: BTreeSet<CheckId> = disks.filter(|check| checks.contains_key(check)).collect();
        let news: Vec<CheckId> = disks.into_iter().filter(|check| !target.waits_for.contains(check)).collect();
        target.waits_for.extend(news);
    }
}

/// What a need for a disk means, as `disk//data` among a service's needs.
pub(crate) enum Needed {
    /// It is one, and this check says whether there is room.
    Disk(CheckId),
    /// A pattern fits it, and the host does not have it yet.
    NotYet,
    /// Nothing watches it.
    Nowhere,
}

/// The disks that are watched on a host, to be looked for by what services need.
pub(crate) struct Watched<'a> {
    disks: &'a Disks,
    mounts: BTreeSet<&'a str>,
}

impl<'a> Watched<'a> {
    pub(crate) fn on(configuration: &'a Configuration, inventory: &'a Inventory) -> Self {
        let disks = &configuration.domains.disks;
        Self { disks, mounts: disks.on(inventory).into_keys().collect() }
    }

    /// Looks for the disk that a need names; `None` when it names none.
    pub(crate) fn needed(&self, need: &str) -> Option<Needed> {
        let mount = need.strip_prefix("disk/")?;
        let found = self.mounts.contains(mount).then(|| full(mount)).flatten();
        Some(match found {
            Some(check) => Needed::Disk(check),
            None if self.disks.will_watch(mount) => Needed::NotYet,
            None => Needed::Nowhere,
        })
    }
}
