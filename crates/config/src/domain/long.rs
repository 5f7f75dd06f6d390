//! What the domains add to the long form: a line each in every list here.

use std::time::Duration;

use ansai_model::domain::{DomainAction, DomainProbe};

use super::{certificate, disk, memory};
use crate::{
    fill::Filled,
    keys::Key,
    slice::{LOCAL_TIMEOUT, LongForm},
    written::Fields,
};

const LONG: [LongForm; 3] = [memory::LONG, certificate::LONG, disk::long::LONG];
pub(crate) const PROBE_KEYS: [Key; 3] = [LONG[0].probe_key, LONG[1].probe_key, LONG[2].probe_key];
pub(crate) const ACTION_KEYS: [Key; 3] = [LONG[0].action_key, LONG[1].action_key, LONG[2].action_key];

/// The long form of a domain, by its place among [`PROBE_KEYS`] and [`ACTION_KEYS`].
pub(crate) fn long(at: usize) -> Option<LongForm> {
    LONG.into_iter().nth(at)
}

/// A look in its long form.
pub(crate) fn written_probe(probe: &DomainProbe) -> Fields {
    let fields = Fields::default();
    match probe {
        DomainProbe::Certificate(probe) => certificate::write::probe(probe),
        DomainProbe::Disk(probe) => fields.put("disk", disk::write::written_probe(probe)),
        DomainProbe::Memory(probe) => fields.put("memory", probe.fields().done()),
    }
}

/// An action in its long form.
pub(crate) fn written_action(action: &DomainAction) -> Fields {
    let fields = Fields::default();
    match action {
        DomainAction::Certificate(action) => certificate::write::action(action),
        DomainAction::Disk(action) => fields.put("disk", disk::write::written_action(action)),
        DomainAction::Memory(action) => fields.put("memory", memory::keys::written(action).done()),
    }
}

/// How long an action may take where nothing else is written.
pub(crate) fn timeout(action: &DomainAction) -> Duration {
    match action {
        DomainAction::Certificate(action) => certificate::timeout(action),
        DomainAction::Disk(_) => disk::long::TIMEOUT,
        DomainAction::Memory(_) => LOCAL_TIMEOUT,
    }
}
