//! What is kept, as the engine needs it: every change goes through one door, as the record that the store keeps, and gives
//! back what undoes it, whole: what could not be kept leaves no trace. What a store holds is exactly what this holds after the
//! same records; nothing is decided here.

use std::collections::{BTreeMap, BTreeSet};

use ansai_model::{
    fleet::Restraint,
    id::{IncidentId, PermitId, RestraintId, TargetId},
    incident::{Phase, Resolution},
    message::MessageKey,
    text::Text,
};
use ansai_protocol::{
    IncidentSummary,
    link::{ControllerId, Fingerprint, HostId, Short, TokenId},
    record::{
        BundleRecord, FleetState, HostIncident, HostRecord, HostTarget, IdentityRecord, Kept, MessageRecord,
        PendingRecord, PermitRecord, Record, RolloutRecord, TakenRecord, TokenRecord,
    },
};

/// An incident by when it was opened and its number: a host that lost its ledger counts anew.
pub(crate) type OpenKey = (i64, IncidentId);

/// Everything that is kept of the fleet and needed to decide.
#[derive(Clone, Debug, PartialEq)]
pub struct Books {
    /// The controller.
    pub controller: ControllerId,
    /// How often the whole was brought back from a copy.
    pub epoch: u64,
    /// The generation of restraints; the number of a restraint is the generation in which it came.
    pub generation: u64,
    /// Members, by their ids.
    pub hosts: BTreeMap<HostId, HostRecord>,
    /// Members, by their names.
    pub names: BTreeMap<Short, HostId>,
    /// Certificates, by their serial numbers.
    pub identities: BTreeMap<Text, IdentityRecord>,
    /// Tokens, by their public parts.
    pub tokens: BTreeMap<TokenId, TokenRecord>,
    /// Hosts that wait for a person, by their keys.
    pub pending: BTreeMap<Fingerprint, PendingRecord>,
    /// Restraints, by their numbers.
    pub restraints: BTreeMap<RestraintId, Restraint>,
    /// Configurations of the fleet, by their generations.
    pub bundles: BTreeMap<u64, BundleRecord>,
    /// How they come to the hosts, by the same.
    pub rollouts: BTreeMap<u64, RolloutRecord>,
    /// Where each host's changes stand.
    pub kept: BTreeMap<HostId, Kept>,
    /// The targets that each host has.
    pub targets: BTreeMap<HostId, BTreeSet<TargetId>>,
    /// Open incidents of each host, and under no host the controller's own.
    pub(crate) open: BTreeMap<Option<HostId>, BTreeMap<OpenKey, IncidentSummary>>,
    /// The highest number of an own incident.
    pub(crate) last_incident: IncidentId,
    /// Permits that are held, by their numbers.
    pub permits: BTreeMap<PermitId, PermitRecord>,
    /// The highest number that a permit ever had; one that could not be kept counts as well.
    pub(crate) last_permit: PermitId,
    /// Messages of hosts that are to be told, by their hosts and keys.
    pub messages: BTreeMap<(HostId, MessageKey), MessageRecord>,
    /// The keys of those that each host has given lately, told ones among them.
    pub taken: BTreeMap<HostId, Vec<MessageKey>>,
    /// The highest number that a group of messages ever had; one that could not be kept counts as well.
    pub(crate) last_group: u64,
}

/// What puts one thing back as it was before a record.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Undo {
    /// This was said of it.
    Put(Box<Record>),
    /// A host had this target: how it stood is the store's.
    Target(HostId, TargetId),
}

impl Undo {
    fn put(record: Record) -> Self {
        Self::Put(Box::new(record))
    }
}

fn is_over(incident: &IncidentSummary) -> bool {
    matches!(incident.phase, Phase::Resolved(_))
}

pub(crate) fn key(incident: &IncidentSummary) -> OpenKey {
    (incident.opened_ms, incident.id)
}

impl Books {
    /// As the store has them.
    #[must_use]
    pub fn new(state: FleetState) -> Self {
        let mut books = Self {
            controller: state.controller,
            epoch: state.epoch,
            generation: state.generation.max(state.last_restraint.0),
            hosts: BTreeMap::new(),
            names: BTreeMap::new(),
            identities: BTreeMap::new(),
            tokens: BTreeMap::new(),
            pending: BTreeMap::new(),
            restraints: BTreeMap::new(),
            bundles: BTreeMap::new(),
            rollouts: BTreeMap::new(),
            kept: BTreeMap::new(),
            targets: BTreeMap::new(),
            open: BTreeMap::new(),
            last_incident: state.last_incident,
            permits: BTreeMap::new(),
            last_permit: state.last_permit,
            messages: BTreeMap::new(),
            taken: BTreeMap::new(),
            last_group: state.last_group,
        };
        let records = state.hosts.into_iter().map(Record::Host);
        let records = records.chain(state.identities.into_iter().map(Record::Identity));
        let records = records.chain(state.tokens.into_iter().map(Record::Token));
        let records = records.chain(state.pending.into_iter().map(Record::Pending));
        let records = records.chain(state.restraints.into_iter().map(Record::Restraint));
        let records = records.chain(state.bundles.into_iter().map(Record::Bundle));
        let records = records.chain(state.rollouts.into_iter().map(Record::Rollout));
        let records = records.chain(state.permits.into_iter().map(Record::Permit));
        let records = records.chain(state.messages.into_iter().map(Record::Message));
        let records = records.chain(state.taken.into_iter().map(Record::Taken));
        let records = records.chain(state.kept.into_iter().map(Record::Kept));
        let records = records.chain(state.targets.into_iter().map(Record::Target));
        for record in records.chain(state.open.into_iter().map(Record::Incident)) {
            books.put(&record);
        }
        books
    }

    /// Takes a record over.
    pub fn put(&mut self, record: &Record) {
        drop(self.change(record));
    }

    /// Takes a record over; what puts everything back as it was, in this order.
    pub(crate) fn change(&mut self, record: &Record) -> Vec<Undo> {
        let before = match record {
            Record::Host(host) => Some(self.put_host(host)),
            Record::HostGone(id) => return self.drop_host(*id),
            Record::Identity(identity) => {
                let before = self.identities.insert(identity.serial.clone(), identity.clone());
                Some(before.map_or_else(|| Record::IdentityGone(identity.serial.clone()), Record::Identity))
            }
            Record::IdentityGone(serial) => self.identities.remove(serial).map(Record::Identity),
            Record::Token(token) => {
                let before = self.tokens.insert(token.id, token.clone());
                Some(before.map_or(Record::TokenGone(token.id), Record::Token))
            }
            Record::TokenGone(id) => self.tokens.remove(id).map(Record::Token),
            Record::Pending(pending) => {
                let before = self.pending.insert(pending.fingerprint, pending.clone());
                Some(before.map_or(Record::PendingGone(pending.fingerprint), Record::Pending))
            }
            Record::PendingGone(fingerprint) => self.pending.remove(fingerprint).map(Record::Pending),
            Record::Restraint(restraint) => {
                let before = self.restraints.insert(restraint.id, restraint.clone());
                Some(before.map_or(Record::RestraintGone(restraint.id), Record::Restraint))
            }
            Record::RestraintGone(id) => self.restraints.remove(id).map(Record::Restraint),
            Record::Generation(generation) => {
                Some(Record::Generation(std::mem::replace(&mut self.generation, *generation)))
            }
            Record::Bundle(bundle) => {
                let before = self.bundles.insert(bundle.generation, bundle.clone());
                Some(before.map_or(Record::RolloutGone(bundle.generation), Record::Bundle))
            }
            Record::Rollout(rollout) => {
                let before = self.rollouts.insert(rollout.generation, rollout.clone());
                Some(before.map_or(Record::RolloutGone(rollout.generation), Record::Rollout))
            }
            Record::RolloutGone(generation) => {
                let rollout = self.rollouts.remove(generation).map(Record::Rollout);
                let bundle = self.bundles.remove(generation).map(Record::Bundle);
                return rollout.into_iter().chain(bundle).map(Undo::put).collect();
            }
            Record::Kept(kept) => {
                let before = self.kept.insert(kept.host, kept.clone());
                // Nothing of the feed is kept: everything is told anew.
                Some(Record::Kept(before.unwrap_or_else(|| Kept { through: 0, ..kept.clone() })))
            }
            Record::Target(HostTarget { host, status, .. }) => {
                let is_new = self.targets.entry(*host).or_default().insert(status.target.clone());
                is_new.then(|| Record::TargetGone { host: *host, target: status.target.clone() })
            }
            Record::TargetGone { host, target } => {
                let was_there = self.targets.get_mut(host).is_some_and(|targets| targets.remove(target));
                return was_there.then(|| Undo::Target(*host, target.clone())).into_iter().collect();
            }
            Record::Permit(permit) => {
                self.last_permit = self.last_permit.max(permit.id);
                let before = self.permits.insert(permit.id, permit.clone());
                Some(before.map_or(Record::PermitGone(permit.id), Record::Permit))
            }
            Record::PermitGone(id) => self.permits.remove(id).map(Record::Permit),
            Record::Message(message) => Some(self.put_message(message)),
            Record::MessageGone { host, key } => self.messages.remove(&(*host, *key)).map(Record::Message),
            Record::Taken(TakenRecord { host, keys }) => {
                let keys = self.taken.insert(*host, keys.clone()).unwrap_or_default();
                Some(Record::Taken(TakenRecord { host: *host, keys }))
            }
            Record::Incident(incident) => Some(self.put_incident(incident)),
            Record::Report { .. } | Record::Audit(_) => None,
        };
        before.map(Undo::put).into_iter().collect()
    }

    /// One thing is as it was.
    pub(crate) fn take_back(&mut self, undo: &Undo) {
        match undo {
            Undo::Put(record) => self.put(record),
            Undo::Target(host, target) => {
                self.targets.entry(*host).or_default().insert(target.clone());
            }
        }
    }

    fn put_message(&mut self, message: &MessageRecord) -> Record {
        self.last_group = self.last_group.max(message.group.unwrap_or(0));
        let before = self.messages.insert(message.key(), message.clone());
        let (host, key) = message.key();
        before.map_or(Record::MessageGone { host, key }, Record::Message)
    }

    fn put_host(&mut self, host: &HostRecord) -> Record {
        let before = self.hosts.insert(host.id, host.clone());
        if let Some(before) = &before {
            self.names.remove(&before.name);
        }
        self.names.insert(host.name.clone(), host.id);
        before.map_or(Record::HostGone(host.id), Record::Host)
    }

    fn drop_host(&mut self, id: HostId) -> Vec<Undo> {
        let Some(host) = self.hosts.remove(&id) else { return Vec::new() };
        self.names.remove(&host.name);
        let mut undo = vec![Undo::put(Record::Host(host))];
        let of_host = |identity: &IdentityRecord| identity.host == id;
        let identities = self.identities.values().filter(|one| of_host(one)).cloned();
        undo.extend(identities.map(Record::Identity).map(Undo::put));
        self.identities.retain(|_, identity| !of_host(identity));
        undo.extend(self.kept.remove(&id).map(Record::Kept).map(Undo::put));
        let held = self.permits.values().filter(|permit| permit.host == id).cloned();
        undo.extend(held.map(Record::Permit).map(Undo::put));
        self.permits.retain(|_, permit| permit.host != id);
        let taken = self.taken.remove(&id).map(|keys| TakenRecord { host: id, keys });
        undo.extend(taken.map(Record::Taken).map(Undo::put));
        undo.extend(self.targets.remove(&id).into_iter().flatten().map(|target| Undo::Target(id, target)));
        let open = self.open.remove(&Some(id)).into_iter().flat_map(BTreeMap::into_values);
        undo.extend(open.map(|incident| Undo::put(Record::Incident(HostIncident { host: Some(id), incident }))));
        undo
    }

    /// Takes an incident over; how it stood before.
    fn put_incident(&mut self, HostIncident { host, incident }: &HostIncident) -> Record {
        if host.is_none() {
            self.last_incident = self.last_incident.max(incident.id);
        }
        let open = self.open.entry(*host).or_default();
        let before = match is_over(incident) {
            true => open.remove(&key(incident)),
            false => open.insert(key(incident), incident.clone()),
        };
        // One that was not open was not there, or had ended: here that is the same.
        let not_open = || {
            let why = "it could not be kept".into();
            IncidentSummary { phase: Phase::Resolved(Resolution::Withdrawn { why }), ..incident.clone() }
        };
        Record::Incident(HostIncident { host: *host, incident: before.unwrap_or_else(not_open) })
    }

    /// The host that is meant by a name or an id.
    #[must_use]
    pub fn host_named(&self, name: &str) -> Option<&HostRecord> {
        let by_id = || name.parse().ok().and_then(|id: HostId| self.hosts.get(&id));
        self.names.get(&Short::new(name)).and_then(|id| self.hosts.get(id)).or_else(by_id)
    }

    /// The open incidents of a host, or with no host the controller's own.
    pub fn open_of(&self, host: Option<HostId>) -> impl Iterator<Item = &IncidentSummary> {
        self.open.get(&host).into_iter().flat_map(BTreeMap::values)
    }

    /// Whether a certificate of a host is good for a session.
    #[must_use]
    pub fn is_member(&self, host: HostId, serial: &Text) -> bool {
        let identity = self.identities.get(serial);
        self.hosts.contains_key(&host)
            && identity.is_some_and(|identity| identity.host == host && identity.revoked.is_none())
    }
}
