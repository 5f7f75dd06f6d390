//! The controller's disk: what a store would hold after the records that it was given, kept in books of its own.

use std::collections::BTreeMap;

use ansai_model::{
    fleet::Restraint,
    id::{IncidentId, RestraintId, TargetId},
    incident::Phase,
    text::Text,
};
use ansai_protocol::{
    link::{ControllerId, Fingerprint, HostId, TokenId},
    record::{
        FleetState, HostIncident, HostRecord, HostTarget, IdentityRecord, Kept, PendingRecord, Record, TokenRecord,
    },
};

/// What is durable.
#[derive(Clone, Debug)]
pub(super) struct Disk {
    pub(super) controller: ControllerId,
    pub(super) epoch: u64,
    pub(super) generation: u64,
    pub(super) hosts: BTreeMap<HostId, HostRecord>,
    pub(super) identities: BTreeMap<Text, IdentityRecord>,
    tokens: BTreeMap<TokenId, TokenRecord>,
    pending: BTreeMap<Fingerprint, PendingRecord>,
    pub(super) restraints: BTreeMap<RestraintId, Restraint>,
    kept: BTreeMap<HostId, Kept>,
    pub(super) targets: BTreeMap<(HostId, TargetId), HostTarget>,
    pub(super) open: BTreeMap<(Option<HostId>, i64, IncidentId), HostIncident>,
    last_incident: IncidentId,
    last_restraint: RestraintId,
}

impl Disk {
    pub(super) fn new(controller: ControllerId) -> Self {
        Self {
            controller,
            epoch: 1,
            generation: 0,
            hosts: BTreeMap::new(),
            identities: BTreeMap::new(),
            tokens: BTreeMap::new(),
            pending: BTreeMap::new(),
            restraints: BTreeMap::new(),
            kept: BTreeMap::new(),
            targets: BTreeMap::new(),
            open: BTreeMap::new(),
            last_incident: IncidentId(0),
            last_restraint: RestraintId(0),
        }
    }

    /// One transaction.
    pub(super) fn keep(&mut self, records: &[Record]) {
        records.iter().for_each(|record| self.keep_one(record));
    }

    fn keep_one(&mut self, record: &Record) {
        match record.clone() {
            Record::Host(host) => drop(self.hosts.insert(host.id, host)),
            Record::HostGone(id) => {
                self.hosts.remove(&id);
                self.kept.remove(&id);
                self.identities.retain(|_, identity| identity.host != id);
                self.targets.retain(|(host, _), _| *host != id);
            }
            Record::Identity(identity) => drop(self.identities.insert(identity.serial.clone(), identity)),
            Record::Token(token) => drop(self.tokens.insert(token.id, token)),
            Record::Pending(pending) => drop(self.pending.insert(pending.fingerprint, pending)),
            Record::PendingGone(fingerprint) => drop(self.pending.remove(&fingerprint)),
            Record::Restraint(restraint) => {
                self.last_restraint = self.last_restraint.max(restraint.id);
                self.restraints.insert(restraint.id, restraint);
            }
            Record::RestraintGone(id) => drop(self.restraints.remove(&id)),
            Record::Generation(generation) => self.generation = self.generation.max(generation),
            Record::Target(target) => {
                self.targets.insert((target.host, target.status.target.clone()), target);
            }
            Record::TargetGone { host, target } => drop(self.targets.remove(&(host, target))),
            Record::Incident(incident) => {
                let key = (incident.host, incident.incident.opened_ms, incident.incident.id);
                if incident.host.is_none() {
                    self.last_incident = self.last_incident.max(incident.incident.id);
                }
                match incident.incident.phase {
                    Phase::Resolved(_) => drop(self.open.remove(&key)),
                    _ => drop(self.open.insert(key, incident)),
                }
            }
            Record::Kept(kept) => drop(self.kept.insert(kept.host, kept)),
            Record::Report { .. } | Record::Audit(_) => {}
        }
    }

    /// What a controller that starts is given.
    pub(super) fn state(&self) -> FleetState {
        FleetState {
            controller: self.controller,
            epoch: self.epoch,
            hosts: self.hosts.values().cloned().collect(),
            identities: self.identities.values().cloned().collect(),
            tokens: self.tokens.values().cloned().collect(),
            pending: self.pending.values().cloned().collect(),
            restraints: self.restraints.values().cloned().collect(),
            generation: self.generation,
            kept: self.kept.values().cloned().collect(),
            targets: self.targets.values().cloned().collect(),
            open: self.open.values().cloned().collect(),
            last_incident: self.last_incident,
            last_restraint: self.last_restraint,
        }
    }
}
