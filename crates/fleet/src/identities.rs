//! Which certificates are good: an allow-list by their serial numbers, so that one that was taken back is refused at once and
//! for good, with no list that can end.

use ansai_protocol::{
    link::HostId,
    record::{IdentityRecord, Record},
};

use crate::FleetEngine;

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
}
