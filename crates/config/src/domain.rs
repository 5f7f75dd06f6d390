//! The domains: a line each in every list here. What a domain is stands in `slice`, what it says in its own folder, and the
//! long form of its looks and actions is listed in `long`.

pub(crate) mod certificate;
pub(crate) mod container;
pub(crate) mod database;
pub(crate) mod disk;
pub(crate) mod long;
pub(crate) mod memory;
pub(crate) mod service;
pub(crate) mod timesync;

use ansai_document::{Findings, Node, Place, text};
use ansai_keys::{Key, Kind, Shape, count, joined};
use ansai_model::{
    bundle::BundleParts,
    id::{TargetId, UnitName},
    inventory::Inventory,
};

use crate::{
    common::Common,
    slice::{Domain, Kept, Provided, Slice},
};

/// In the order in which their sections are read.
const LIST: [Slice; 7] = [
    service::SLICE,
    memory::SLICE,
    disk::SLICE,
    certificate::SLICE,
    timesync::SLICE,
    container::SLICE,
    database::SLICE,
];

/// What other domains say of a unit stands among its keys.
const OF_A_UNIT: &[&[Key]] = &[&service::keys::UNIT, &[memory::keys::OF_A_UNIT]];
static UNIT: Shape = Shape::of("A service", &joined::<{ count(OF_A_UNIT) }>(OF_A_UNIT));
static A_UNIT: Kind = Kind::Shape(&UNIT);

/// The sections of the file.
pub(crate) const SECTIONS: [Key; 8] = [
    service::keys::units(&A_UNIT),
    service::keys::PROCESSES,
    disk::keys::SECTION,
    certificate::keys::SECTION,
    memory::keys::SECTION,
    timesync::keys::SECTION,
    container::keys::SECTION,
    database::keys::SECTION,
];

/// A target, as its id is written.
pub(crate) const A_TARGET: &str = service::A_TARGET;

/// The policies of the domains, entries of the shipped layer.
pub(crate) fn policies() -> String {
    LIST.map(|domain| domain.policy).concat()
}

/// Reads the sections of all domains.
pub(crate) fn read(findings: &mut Findings<'_>, tree: &Node, common: &Common) -> Vec<Box<dyn Domain>> {
    LIST.iter().map(|domain| (domain.read)(findings, tree, common)).collect()
}

/// Adds everything that is watched on a host with this inventory.
pub(crate) fn deduce(
    domains: &[Box<dyn Domain>],
    findings: &mut Findings<'_>,
    common: &Common,
    inventory: &Inventory,
    parts: &mut BundleParts,
) {
    let kept: Vec<_> = domains.iter().flat_map(|domain| domain.keep(findings, common, inventory, parts)).collect();
    for one in &kept {
        domains.iter().for_each(|domain| domain.beside(findings, common, one, parts));
    }
    for one in &kept {
        for (need, place) in &one.needs {
            provide(domains, findings, inventory, parts, (one, need, *place));
        }
    }
    domains.iter().for_each(|domain| domain.deduce(findings, common, inventory, parts));
}

/// Lets one that is kept well wait for what it needs.
fn provide(
    domains: &[Box<dyn Domain>],
    findings: &mut Findings<'_>,
    inventory: &Inventory,
    parts: &mut BundleParts,
    (one, need, place): (&Kept, &str, Place),
) {
    // The first is asked last: it takes every name for one of its own.
    let found = domains.iter().rev().find_map(|domain| Some((domain, domain.provides(inventory, parts, need)?)));
    let Some((domain, provided)) = found else { return };
    let target = parts.targets.get_mut(&one.target);
    match provided {
        Provided::Target(id) => target.into_iter().for_each(|target| target.needs.push(id.clone())),
        Provided::Check(id) => target.into_iter().for_each(|target| target.waits_for.push(id.clone())),
        Provided::Later => {}
        Provided::Nowhere if findings.is_full() => findings.miss(),
        Provided::Nowhere => {
            let (what, help) = domain.missing(parts, need);
            findings.error(place, &text::joined(&one.key, "needs"), what, help);
        }
    }
}

/// The names of the sections in which things are watched that have names.
pub(crate) fn sections() -> impl Iterator<Item = &'static str> + Clone {
    SECTIONS.iter().filter(|key| matches!(key.kind, Kind::Named(_))).map(|key| key.name)
}

/// The names of the sections that are about all of a kind at once.
pub(crate) fn whole_sections() -> impl Iterator<Item = &'static str> {
    SECTIONS.iter().filter(|key| !matches!(key.kind, Kind::Named(_))).map(|key| key.name)
}

/// The unit that a target is by its name, when targets of its domain are units.
pub(crate) fn unit_of(target: &TargetId) -> Option<UnitName> {
    service::unit_of(target)
}
