//! Connections end: each side sees that when it does, and what is behind the break is gone.

use std::{collections::BTreeSet, time::Duration};

use ansai_engine::Input;
use ansai_model::permit::LinkStanding;

use super::{Event, World};

impl World {
    /// The controller closes a connection: what it has said before still arrives.
    pub(super) fn closes(&mut self, session: u64) {
        let Some(connection) = self.connections.get_mut(&session) else { return };
        let at = connection.last_down.plus(Duration::from_millis(1));
        connection.breaks = Some(connection.breaks.unwrap_or(at).min(at));
        self.at(at, Event::HostSees(session));
    }

    /// A connection breaks somewhere on its way.
    pub(in crate::fleet) fn breaks(&mut self, session: u64) {
        let at = self.now.mono.plus(Duration::from_millis(self.random.below(200)));
        let Some(connection) = self.connections.get_mut(&session).filter(|one| one.breaks.is_none()) else { return };
        connection.breaks = Some(at);
        self.totals.broken += 1;
        let (host, controller) = (self.random.below(8_000), self.random.below(35_000));
        self.at(at.plus(Duration::from_millis(host)), Event::HostSees(session));
        self.at(at.plus(Duration::from_millis(controller)), Event::ControllerSees(session));
    }

    /// The controller is dead: its connections break at once.
    pub(in crate::fleet) fn breaks_all(&mut self) {
        let now = self.now.mono;
        let open: BTreeSet<u64> = self.connections.keys().copied().collect();
        for session in open {
            if let Some(connection) = self.connections.get_mut(&session) {
                connection.breaks = Some(connection.breaks.unwrap_or(now).min(now));
            }
            let sees = Duration::from_millis(self.random.below(2_000));
            self.after(sees, Event::HostSees(session));
        }
    }

    pub(super) fn loses_link(&mut self, session: u64) {
        let Some(connection) = self.connections.get(&session) else { return };
        let index = connection.host;
        let host = &mut self.hosts[index];
        if host.link.is_some_and(|link| link.session == session) {
            (host.link, host.linked_since) = (None, None);
            host.outbox.link(None);
            let again = Duration::from_millis(100 + self.random.below(3_000));
            self.after(again, Event::Dials(index));
            let away = Input::Linked(LinkStanding::Away);
            let done = self.on_host(index, |host, now, random| host.step(now, away, random));
            self.failed = self.failed.take().or(done.err());
        }
    }
}
