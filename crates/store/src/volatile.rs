//! A store in memory: what the suite holds SQLite against, and what tests and simulations use. It outlives nothing.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use ansai_model::{
    fleet::Restraint,
    id::{IncidentId, RestraintId, TargetId},
    report::Report,
    text::Text,
    time::WallTime,
};
use ansai_protocol::{
    link::{ControllerId, Fingerprint, HostId, TokenId},
    record::{
        FleetState, HostIncident, HostRecord, HostTarget, IdentityRecord, Kept, PendingRecord, Record, TokenRecord,
    },
};

use crate::{
    Store, StoreError,
    audit::AuditEntry,
    page::{Cursor, IncidentPage, IncidentsOf, SCANNED_MAX, Which},
};

/// Records in memory.
#[derive(Debug)]
pub struct VolatileStore {
    controller: ControllerId,
    epoch: u64,
    records: Mutex<Records>,
}

#[derive(Debug, Default)]
struct Records {
    hosts: BTreeMap<HostId, HostRecord>,
    identities: BTreeMap<String, IdentityRecord>,
    tokens: BTreeMap<TokenId, TokenRecord>,
    pending: BTreeMap<Fingerprint, PendingRecord>,
    restraints: BTreeMap<RestraintId, Restraint>,
    targets: BTreeMap<(HostId, TargetId), HostTarget>,
    kept: BTreeMap<HostId, Kept>,
    incidents: BTreeMap<Cursor, HostIncident>,
    reports: BTreeMap<Cursor, Report>,
    audit: Vec<AuditEntry>,
    last_incident: IncidentId,
    last_restraint: RestraintId,
    generation: u64,
}

impl VolatileStore {
    /// An empty store of this controller.
    #[must_use]
    pub fn new(controller: ControllerId, epoch: u64) -> Self {
        Self { controller, epoch, records: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Records> {
        // No code panics while it holds the lock half-changed.
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Records {
    fn take(&mut self, record: Record) {
        match record {
            Record::Host(host) => drop(self.hosts.insert(host.id, host)),
            Record::HostGone(host) => {
                self.hosts.remove(&host);
                self.kept.remove(&host);
                self.identities.retain(|_, identity| identity.host != host);
                self.targets.retain(|(of, _), _| *of != host);
            }
            Record::Identity(identity) => {
                drop(self.identities.insert(identity.serial.as_str().to_owned(), identity));
            }
            Record::Token(token) => drop(self.tokens.insert(token.id, token)),
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
        let mut kept = self.lock();
        records.into_iter().for_each(|record| kept.take(record));
        Ok(())
    }

    fn state(&self) -> Result<FleetState, StoreError> {
        let kept = self.lock();
        Ok(FleetState {
            controller: self.controller,
            epoch: self.epoch,
            hosts: kept.hosts.values().cloned().collect(),
            identities: kept.identities.values().cloned().collect(),
            tokens: kept.tokens.values().cloned().collect(),
            pending: kept.pending.values().cloned().collect(),
            restraints: kept.restraints.values().cloned().collect(),
            generation: kept.generation,
            kept: kept.kept.values().cloned().collect(),
            targets: kept.targets.values().cloned().collect(),
            open: kept.incidents.values().filter(|incident| incident.incident.is_open()).cloned().collect(),
            last_incident: kept.last_incident,
            last_restraint: kept.last_restraint,
        })
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
