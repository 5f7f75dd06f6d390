//! A store in memory: what the suite holds SQLite against, and what tests and simulations use. It outlives nothing. It never
//! fails, and does not pretend to: whoever wants a disk that fails, or one that is copied, does that with the [`Records`].

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use ansai_model::{
    fleet::Restraint,
    id::{IncidentId, PermitId, RestraintId, TargetId},
    message::MessageKey,
    report::Report,
    text::Text,
    time::WallTime,
};
use ansai_protocol::{
    link::{ControllerId, Fingerprint, HostId, TokenId},
    record::{
        BundleRecord, FleetState, HostIncident, HostRecord, HostTarget, IdentityRecord, Kept, MessageRecord,
        PendingRecord, PermitRecord, Record, RolloutRecord, TakenRecord, TokenRecord,
    },
};

use crate::{
    Store, StoreError,
    audit::AuditEntry,
    page::{Cursor, IncidentPage, IncidentsOf, SCANNED_MAX, Which},
};

/// A store of [`Records`].
#[derive(Debug)]
pub struct VolatileStore {
    records: Mutex<Records>,
}

/// What a store holds after what it was given. A clone is a copy, as of a disk.
#[derive(Clone, Debug)]
pub struct Records {
    controller: ControllerId,
    /// How often it was brought back from a copy, or later.
    pub epoch: u64,
    /// Members, by their ids.
    pub hosts: BTreeMap<HostId, HostRecord>,
    identities: BTreeMap<Text, IdentityRecord>,
    tokens: BTreeMap<TokenId, TokenRecord>,
    pending: BTreeMap<Fingerprint, PendingRecord>,
    /// Restraints, by their numbers.
    pub restraints: BTreeMap<RestraintId, Restraint>,
    /// Targets as they were told last, by host and name.
    pub targets: BTreeMap<(HostId, TargetId), HostTarget>,
    kept: BTreeMap<HostId, Kept>,
    incidents: BTreeMap<Cursor, HostIncident>,
    reports: BTreeMap<Cursor, Report>,
    audit: Vec<AuditEntry>,
    last_incident: IncidentId,
    last_restraint: RestraintId,
    /// The generation of restraints.
    pub generation: u64,
    bundles: BTreeMap<u64, BundleRecord>,
    rollouts: BTreeMap<u64, RolloutRecord>,
    /// Permits, by their numbers.
    pub permits: BTreeMap<PermitId, PermitRecord>,
    last_permit: PermitId,
    /// Messages of hosts that are to be told.
    pub messages: BTreeMap<(HostId, MessageKey), MessageRecord>,
    /// Those that each host has given lately.
    pub taken: BTreeMap<HostId, TakenRecord>,
    last_group: u64,
}

impl VolatileStore {
    /// An empty store of this controller.
    #[must_use]
    pub fn new(controller: ControllerId, epoch: u64) -> Self {
        Self { records: Mutex::new(Records::new(controller, epoch)) }
    }

    fn lock(&self) -> MutexGuard<'_, Records> {
        // No code panics while it holds the lock half-changed.
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Records {
    /// None yet, of this controller.
    #[must_use]
    pub fn new(controller: ControllerId, epoch: u64) -> Self {
        Self {
            controller,
            epoch,
            hosts: BTreeMap::new(),
            identities: BTreeMap::new(),
            tokens: BTreeMap::new(),
            pending: BTreeMap::new(),
            restraints: BTreeMap::new(),
            targets: BTreeMap::new(),
            kept: BTreeMap::new(),
            incidents: BTreeMap::new(),
            reports: BTreeMap::new(),
            audit: Vec::new(),
            last_incident: IncidentId(0),
            last_restraint: RestraintId(0),
            generation: 0,
            bundles: BTreeMap::new(),
            rollouts: BTreeMap::new(),
            permits: BTreeMap::new(),
            last_permit: PermitId(0),
            messages: BTreeMap::new(),
            taken: BTreeMap::new(),
            last_group: 0,
        }
    }

    /// Keeps all of these, in their order: one save.
    pub fn keep(&mut self, records: Vec<Record>) {
        records.into_iter().for_each(|record| self.take(record));
    }

    /// All that an engine needs to begin.
    #[must_use]
    pub fn state(&self) -> FleetState {
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
            open: self.open().cloned().collect(),
            last_incident: self.last_incident,
            last_restraint: self.last_restraint,
            bundles: self.bundles.values().cloned().collect(),
            rollouts: self.rollouts.values().cloned().collect(),
            permits: self.permits.values().cloned().collect(),
            last_permit: self.last_permit,
            messages: self.messages.values().cloned().collect(),
            taken: self.taken.values().cloned().collect(),
            last_group: self.last_group,
        }
    }

    /// The incidents that have not ended, the oldest first.
    pub fn open(&self) -> impl Iterator<Item = &HostIncident> {
        self.incidents.values().filter(|incident| incident.incident.is_open())
    }

    fn take(&mut self, record: Record) {
        match record {
            Record::Host(host) => drop(self.hosts.insert(host.id, host)),
            Record::HostGone(host) => {
                self.hosts.remove(&host);
                self.kept.remove(&host);
                self.identities.retain(|_, identity| identity.host != host);
                self.targets.retain(|(of, _), _| *of != host);
                self.permits.retain(|_, permit| permit.host != host);
                self.taken.remove(&host);
            }
            Record::Identity(identity) => drop(self.identities.insert(identity.serial.clone(), identity)),
            Record::IdentityGone(serial) => drop(self.identities.remove(&serial)),
            Record::Token(token) => drop(self.tokens.insert(token.id, token)),
            Record::TokenGone(id) => drop(self.tokens.remove(&id)),
            Record::Pending(pending) => drop(self.pending.insert(pending.fingerprint, pending)),
            Record::PendingGone(fingerprint) => drop(self.pending.remove(&fingerprint)),
            Record::Restraint(restraint) => {
                self.last_restraint = self.last_restraint.max(restraint.id);
                self.restraints.insert(restraint.id, restraint);
            }
            Record::RestraintGone(id) => drop(self.restraints.remove(&id)),
            Record::Generation(generation) => self.generation = self.generation.max(generation),
            Record::Target(target) => drop(self.targets.insert((target.host, target.status.target.clone()), target)),
            Record::TargetGone { host, target } => drop(self.targets.remove(&(host, target))),
            Record::Incident(incident) => {
                if incident.host.is_none() {
                    self.last_incident = self.last_incident.max(incident.incident.id);
                }
                self.incidents.insert(Cursor::of(&incident), incident);
            }
            Record::Report { host, report } => drop(self.reports.insert(Cursor::of_report(host, &report), *report)),
            Record::Bundle(bundle) => drop(self.bundles.insert(bundle.generation, bundle)),
            Record::Rollout(rollout) => drop(self.rollouts.insert(rollout.generation, rollout)),
            Record::RolloutGone(generation) => {
                self.bundles.remove(&generation);
                self.rollouts.remove(&generation);
            }
            Record::Permit(permit) => {
                self.last_permit = self.last_permit.max(permit.id);
                self.permits.insert(permit.id, permit);
            }
            Record::PermitGone(id) => drop(self.permits.remove(&id)),
            Record::Message(message) => {
                self.last_group = self.last_group.max(message.group.unwrap_or(0));
                self.messages.insert(message.key(), message);
            }
            Record::MessageGone { host, key } => drop(self.messages.remove(&(host, key))),
            Record::Taken(taken) => drop(self.taken.insert(taken.host, taken)),
            Record::Kept(kept) => drop(self.kept.insert(kept.host, kept)),
            Record::Audit(done) => {
                let entry = AuditEntry::behind(self.audit.last(), done);
                self.audit.push(entry);
            }
        }
    }
}

impl Store for VolatileStore {
    fn save(&self, records: Vec<Record>) -> Result<(), StoreError> {
        self.lock().keep(records);
        Ok(())
    }

    fn state(&self) -> Result<FleetState, StoreError> {
        Ok(self.lock().state())
    }

    fn incidents(&self, of: &IncidentsOf) -> Result<IncidentPage, StoreError> {
        let kept = self.lock();
        let mut page = IncidentPage::default();
        let before = |place: &Cursor| of.after.as_ref().is_none_or(|after| place < after);
        let counts = |incident: &HostIncident| of.which == Which::All || incident.incident.is_open();
        let candidates = kept.incidents.iter().rev().filter(|(place, incident)| before(place) && counts(incident));
        for (scanned, (place, incident)) in candidates.enumerate() {
            if page.incidents.len() == of.most() || scanned == SCANNED_MAX {
                return Ok(page);
            }
            page.next = Some(place.clone());
            if of.wants(place, incident.incident.target.as_str()) {
                page.incidents.push(incident.clone());
            }
        }
        Ok(IncidentPage { next: None, ..page })
    }

    fn report(&self, host: &HostId, incident: IncidentId) -> Result<Option<Report>, StoreError> {
        let kept = self.lock();
        let is_it = |place: &Cursor| place.host.as_ref() == Some(host) && place.id == incident;
        Ok(kept.reports.iter().rfind(|(place, _)| is_it(place)).map(|(_, report)| report.clone()))
    }

    fn audit(&self, before: Option<u64>, most: usize) -> Result<Vec<AuditEntry>, StoreError> {
        let kept = self.lock();
        let is_before = |entry: &&AuditEntry| before.is_none_or(|before| entry.number < before);
        Ok(kept.audit.iter().rev().filter(is_before).take(most).cloned().collect())
    }

    fn forget(&self, opened_before: WallTime, most: usize) -> Result<usize, StoreError> {
        let mut kept = self.lock();
        let old = kept
            .incidents
            .iter()
            .filter(|(place, incident)| place.opened < opened_before && !incident.incident.is_open());
        let old: Vec<Cursor> = old.map(|(place, _)| place.clone()).take(most).collect();
        for place in &old {
            kept.incidents.remove(place);
            kept.reports.remove(place);
        }
        Ok(old.len())
    }

    fn plight(&self) -> Option<Text> {
        None
    }
}
