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

use super::short::{Disks, is_pattern};

/// Where nearly every service writes.
const EVERYBODY: &[&str] = &["/", "/var", "/var/lib", "/var/log", "/tmp"];

/// Mount points, found by what they are and not by how they are written.
pub(super) type Mounts<'a> = BTreeMap<&'a Path, &'a str>;

/// The mount points that are known on a host: those that it has, and those that are named.
pub(super) fn mounts<'a>(disks: &'a Disks, inventory: &'a Inventory) -> Mounts<'a> {
    let named = disks.0.keys().map(String::as_str).filter(|name| !is_pattern(name));
    let found = inventory.mounts.iter().map(|mount| mount.path.as_str());
    named.chain(found).map(|mount| (Path::new(mount), mount)).collect()
}

/// The filesystem that a path lies on.
pub(super) fn holder<'a>(known: &Mounts<'a>, path: &str) -> Option<&'a str> {
    Path::new(path).ancestors().find_map(|folder| known.get(folder).copied())
}

/// The check that says that nobody can write to a disk any more.
pub(super) fn full(mount: &str) -> Option<CheckId> {
    CheckId::of(&TargetId::of("disk", mount).ok()?, "full").ok()
}

/// Lets every unit and process wait for the disks that it lives on, as far as they are watched.
pub(super) fn for_room(known: &Mounts<'_>, parts: &mut BundleParts) {
    let checks = &parts.checks;
    // What has neither a unit nor a process writes nothing.
    for target in parts.targets.values_mut().filter(|target| target.unit.is_some() || target.process.is_some()) {
        let own = target.configuration.iter().map(String::as_str);
        let disks = EVERYBODY.iter().copied().chain(own).filter_map(|path| full(holder(known, path)?));
        let disks: BTreeSet<CheckId> = disks.filter(|check| checks.contains_key(check)).collect();
        let news: Vec<CheckId> = disks.into_iter().filter(|check| !target.waits_for.contains(check)).collect();
        target.waits_for.extend(news);
    }
}
