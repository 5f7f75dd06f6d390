//! What the domains add to the long form: a line each in every list here.

use std::time::Duration;

use ansai_document::{Findings, Node, written::Fields};
use ansai_keys::Key;
use ansai_model::{
    action::Action,
    domain::{DomainAction, DomainProbe},
};

use super::disk::{long, write};
use super::{certificate, container, database, memory, timesync};
use crate::{
    fill::Filled,
    slice::{LOCAL_TIMEOUT, LongAction, LongForm, LongProbe},
};

const PROBES: [LongProbe; 6] = [
    memory::LONG_PROBE,
    certificate::LONG_PROBE,
    long::LONG_PROBE,
    timesync::LONG_PROBE,
    container::LONG_PROBE,
    database::LONG_PROBE,
];
const ACTIONS: [LongAction; 5] =
    [memory::LONG_ACTION, certificate::LONG_ACTION, long::LONG_ACTION, container::LONG_ACTION, database::LONG_ACTION];
pub(crate) const PROBE_KEYS: [Key; PROBES.len()] = keys(&PROBES);
pub(crate) const ACTION_KEYS: [Key; ACTIONS.len()] = keys(&ACTIONS);

const fn keys<T, const N: usize>(long: &[LongForm<T>; N]) -> [Key; N] {
    let mut keys = [long[0].key; N];
    let mut index = 1;
    while index < N {
        keys[index] = long[index].key;
        index += 1;
    }
    keys
}

/// How the probe is read whose key stands at this place among [`PROBE_KEYS`].
pub(crate) fn probe(at: usize) -> Option<LongProbe> {
    PROBES.into_iter().nth(at)
}

/// Reads the action whose key stands at this place among [`ACTION_KEYS`].
pub(crate) fn read_action(at: usize, findings: &mut Findings<'_>, node: &Node, key: &str) -> Option<Action> {
    (ACTIONS.into_iter().nth(at)?.read)(findings, node, key)
}

/// A look in its long form.
pub(crate) fn written_probe(probe: &DomainProbe) -> Fields {
    let fields = Fields::default();
    match probe {
        DomainProbe::Certificate(probe) => fields.put("certificate", certificate::read::written(probe).done()),
        DomainProbe::Disk(probe) => fields.put("disk", write::written_probe(probe)),
        DomainProbe::Memory(probe) => fields.put("memory", probe.fields().done()),
        DomainProbe::Timesync(probe) => fields.put("timesync", probe.fields().done()),
        DomainProbe::Container(probe) => fields.put("container", probe.fields().done()),
        DomainProbe::Database(probe) => fields.put("database", probe.fields().done()),
    }
}

/// An action in its long form.
pub(crate) fn written_action(action: &DomainAction) -> Fields {
    let fields = Fields::default();
    match action {
        DomainAction::Certificate(action) => fields.put("certificate", action.fields().done()),
        DomainAction::Disk(action) => fields.put("disk", write::written_action(action)),
        DomainAction::Memory(action) => fields.put("memory", memory::keys::written(action).done()),
        DomainAction::Container(action) => fields.put("container", container::keys::written(action).done()),
        DomainAction::Database(action) => fields.put("database", database::keys::written(action).done()),
    }
}

/// How long an action may take where nothing else is written.
pub(crate) fn timeout(action: &DomainAction) -> Duration {
    match action {
        DomainAction::Certificate(action) => certificate::timeout(action),
        DomainAction::Disk(_) => long::TIMEOUT,
        DomainAction::Memory(_) => LOCAL_TIMEOUT,
        DomainAction::Container(_) => container::TIMEOUT,
        DomainAction::Database(_) => database::TIMEOUT,
    }
}
