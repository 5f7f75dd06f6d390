//! Which certificates are good: an allow-list by their serial numbers, so that one that was taken back is refused at once and
//! for good, with no list that can end.

use std::collections::BTreeMap;

use ansai_model::{text::Text, time::WallTime};
use ansai_protocol::{
    link::HostId,
    record::{IdentityRecord, Record},
};

use crate::{
    FleetEngine,
    limits::{ENDED_KEPT_FOR, FORGET_EVERY, IDENTITIES_OF_HOST_MAX},
};

impl FleetEngine {
    /// Takes back every certificate of a host, and ends its connections.
    pub(crate) fn revoke(&mut self, host: HostId, why: &str, suggestion: &'static str) {
        let now = self.now.wall;
        let good = self.books.identities.values().filter(|one| one.host == host && one.revoked.is_none());
        let revoked: Vec<_> = good.map(|one| IdentityRecord { revoked: Some(now), ..one.clone() }).collect();
        for identity in revoked {
            self.put(Record::Identity(identity));
        }
        self.end_sessions(host, why, suggestion);
    }

    /// Ends the connections of a host.
    pub(crate) fn end_sessions(&mut self, host: HostId, why: &str, suggestion: &'static str) {
        let sessions: Vec<_> = self.sessions_of(host).map(|(id, _)| id).collect();
        for session in sessions {
            self.close(session, why, suggestion);
        }
    }

    /// Keeps what is remembered of a host's certificates within bounds, however often it asks for one. Those of its connections
    /// stay: it may have none that is newer on its disk.
    pub(crate) fn bound_identities(&mut self, host: HostId) {
        let in_use = |serial: &Text| self.sessions_of(host).any(|(_, session)| session.serial == *serial);
        let of_host = self.books.identities.values().filter(|one| one.host == host && !in_use(&one.serial));
        let mut idle: Vec<(WallTime, Text)> = of_host.map(|one| (one.since, one.serial.clone())).collect();
        idle.sort();
        for (_, serial) in idle.iter().rev().skip(IDENTITIES_OF_HOST_MAX) {
            self.put(Record::IdentityGone(serial.clone()));
        }
    }

    /// Forgets what has been good for nothing for long: tokens that have ended, certificates that were taken back, and those
    /// that have ended while their host is here with a later one. The newest that a host has shown stays however long it
    /// sleeps: it may renew that.
    pub(crate) fn forget_ended(&mut self) {
        if self.now.mono < self.forget_at {
            return;
        }
        self.forget_at = self.now.mono.plus(FORGET_EVERY);
        let now = self.now.wall;
        let is_old = |at: WallTime| at.plus(ENDED_KEPT_FOR) <= now;
        let mut shown: BTreeMap<HostId, WallTime> = BTreeMap::new();
        for session in self.sessions.values() {
            let Some(identity) = self.books.identities.get(&session.serial) else { continue };
            let oldest = shown.entry(session.host).or_insert(identity.since);
            *oldest = (*oldest).min(identity.since);
        }
        let is_gone = |one: &&IdentityRecord| {
            let has_later = shown.get(&one.host).is_some_and(|shown| one.since < *shown);
            one.revoked.is_some_and(is_old) || has_later && is_old(one.until)
        };
        let identities = self.books.identities.values().filter(is_gone).map(|one| one.serial.clone());
        let gone = identities.map(Record::IdentityGone);
        let tokens = self.books.tokens.values().filter(|token| crate::tokens::ended(token, now).is_some_and(is_old));
        let gone: Vec<Record> = gone.chain(tokens.map(|token| Record::TokenGone(token.id))).collect();
        gone.into_iter().for_each(|record| self.put(record));
    }
}
