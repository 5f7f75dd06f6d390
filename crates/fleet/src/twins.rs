//! Two hosts with one identity, as when a disk with it was copied: neither is thrown out, both are held, and people are told.
//! A connection that was replaced and is not gone yet is no twin: it says nothing any more.

use ansai_model::{
    fleet::{FleetScope, RESTRAINTS_MAX, Restraint, RestraintKind},
    id::RestraintId,
    policy::Scope,
    text::Text,
};
use ansai_protocol::{
    link::{FromController, HostId},
    record::{Kept, Record},
};

use crate::{
    FleetEngine,
    effect::FleetEffect,
    input::SessionId,
    limits::{STAND_BACK_EVERY, STAND_BACK_FOR, TWINS_AFTER},
};

/// By whom twins are held, and why.
pub(crate) const CONTROLLER: &str = "the controller";
const WHY_HELD: &str =
    "two hosts have its identity, so neither may act: have one of them join for itself (`ansai join`)";

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
            let Some(over) = self.unheld(host).filter(|_| self.books.restraints.len() < RESTRAINTS_MAX) else {
                continue;
            };
            let restraint = Restraint {
                id: RestraintId(self.next_generation()),
                kind: RestraintKind::Hold,
                over,
                scope: Scope::All,
                reason: WHY_HELD.into(),
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

    /// Over what a member is to be held as one of twins; nothing when it is.
    fn unheld(&self, host: HostId) -> Option<FleetScope> {
        let over = FleetScope::Host(Text::new(self.books.hosts.get(&host)?.name.as_str()));
        let is_ours = |one: &Restraint| one.over == over && one.by.as_str() == CONTROLLER && one.scope == Scope::All;
        (!self.books.restraints.values().any(is_ours)).then_some(over)
    }

    /// Twins that cannot be held, since nothing can be kept or there is no room for a hold, stand back for a while instead, again
    /// and again: that has no number that could come to mean something else, so nobody has to know later that it was said.
    pub(crate) fn have_twins_stand_back(&mut self) {
        // What is said beside a save is not said when that fails, as the next one will.
        if self.saving.trouble.is_some() && !self.is_settled() {
            return;
        }
        let now = self.now.mono;
        for host in self.twins() {
            if self.unheld(host).is_none() {
                continue;
            }
            let there: Vec<SessionId> = self.sessions_of(host).map(|(id, _)| id).collect();
            if there.len() < 2 {
                continue;
            }
            for id in there {
                let Some(session) = self.sessions.get_mut(&id) else { continue };
                if session.stood_back.is_some_and(|told| now.since(told) < STAND_BACK_EVERY) {
                    continue;
                }
                session.stood_back = Some(now);
                let lasts_ms = u64::try_from(STAND_BACK_FOR.as_millis()).unwrap_or(u64::MAX);
                let message = FromController::StandBack { why: WHY_HELD.into(), lasts_ms };
                self.effects.push(FleetEffect::Send { session: id, message });
            }
        }
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
