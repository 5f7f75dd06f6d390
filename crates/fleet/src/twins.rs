//! Two hosts with one identity, as when a disk with it was copied: neither is thrown out, both are held, and people are told.
//! A connection that was replaced and is not gone yet is no twin: it says nothing any more.

use ansai_model::{
    fleet::{FleetScope, RESTRAINTS_MAX, Restraint, RestraintKind},
    id::RestraintId,
    policy::Scope,
    text::Text,
};
use ansai_protocol::{
    link::HostId,
    record::{Kept, Record},
};

use crate::{FleetEngine, input::SessionId, limits::TWINS_AFTER};

/// By whom twins are held.
pub(crate) const CONTROLLER: &str = "the controller";

impl FleetEngine {
    /// A connection speaks: a newer one of the same identity that came a while ago is another host's.
    pub(crate) fn notice_twins(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get(&id) else { return };
        let (host, since) = (session.host, session.since);
        let newer = self.sessions_of(host).filter(|(other, _)| *other != id).map(|(_, other)| other.since);
        let newest = newer.filter(|other| other.mono >= since.mono).map(|other| other.mono).max();
        let are_two = newest.is_some_and(|newest| self.now.mono.since(newest) >= TWINS_AFTER);
        if let Some(seen) = self.seen.get_mut(&host).filter(|_| are_two) {
            seen.are_twins = true;
        }
    }

    /// Has each host that is alone again come once more and tell everything: what is known of it may be the other's.
    fn hear_out(&mut self) {
        let alone: Vec<HostId> =
            self.mixed.iter().copied().filter(|host| self.sessions_of(*host).count() < 2).collect();
        for host in alone {
            self.mixed.remove(&host);
            if let Some(kept) = self.books.kept.get(&host) {
                self.put(Record::Kept(Kept { through: 0, ..kept.clone() }));
            }
            self.end_sessions(
                host,
                "the other process with this identity is gone",
                "the agent comes again and tells everything",
            );
        }
    }

    /// Whether a connection is not the oldest of twins: what it tells would mix with what the other tells.
    pub(crate) fn is_newer_twin(&self, id: SessionId) -> bool {
        let Some(session) = self.sessions.get(&id) else { return false };
        let are_twins = self.seen.get(&session.host).is_some_and(|seen| seen.are_twins);
        are_twins && self.sessions_of(session.host).next().is_some_and(|(oldest, _)| oldest != id)
    }

    /// Members of which two are there.
    pub(crate) fn twins(&self) -> Vec<HostId> {
        self.seen.iter().filter(|(_, seen)| seen.are_twins).map(|(id, _)| *id).collect()
    }

    /// Holds twins until a person releases them; one that is alone again is a twin no more.
    pub(crate) fn hold_twins(&mut self) {
        let mut held = Vec::new();
        for host in self.twins() {
            if self.sessions_of(host).count() < 2 {
                if let Some(seen) = self.seen.get_mut(&host) {
                    seen.are_twins = false;
                }
                continue;
            }
            let Some(record) = self.books.hosts.get(&host) else { continue };
            let over = FleetScope::Host(Text::new(record.name.as_str()));
            let is_ours =
                |one: &Restraint| one.over == over && one.by.as_str() == CONTROLLER && one.scope == Scope::All;
            if self.books.restraints.values().any(is_ours) || self.books.restraints.len() >= RESTRAINTS_MAX {
                continue;
            }
            let reason =
                "two hosts have its identity, so neither may act: have one of them join for itself (`ansai join`)";
            let restraint = Restraint {
                id: RestraintId(self.next_generation()),
                kind: RestraintKind::Hold,
                over,
                scope: Scope::All,
                reason: reason.into(),
                by: CONTROLLER.into(),
                since: self.steady(),
                until: None,
            };
            self.audit(&CONTROLLER.into(), format!("held {}: two hosts have its identity", restraint.over), 1);
            self.put(Record::Restraint(restraint));
            held.push(host);
        }
        self.tell_hosts(&held);
        self.hear_out();
    }

    /// Changes come from one of two processes that speak under one identity: what they told is mixed.
    pub(crate) fn notice_mixture(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get(&id) else { return };
        let host = session.host;
        if self.is_newer_twin(id) || self.sessions_of(host).any(|(_, other)| other.feed != session.feed) {
            self.mixed.insert(host);
        }
    }
}
