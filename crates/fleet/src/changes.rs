//! What hosts tell: each change becomes a record, and the host may forget it once that is durable. A full telling counts only
//! when it is whole; what it does not name is gone.

use ansai_model::{
    incident::{Phase, Resolution},
    report::Report,
};
use ansai_protocol::{
    IncidentSummary, TargetStatus,
    link::{Change, FromController, HostId},
    record::{HostIncident, HostTarget, Kept, Record},
};

use crate::{
    FleetEngine,
    books::{OpenKey, key},
    effect::FleetEffect,
    input::SessionId,
    limits::{OPEN_OF_HOST_MAX, TARGETS_OF_HOST_MAX},
    sessions::{Session, Telling},
};

impl FleetEngine {
    /// Takes a host's changes in, those that are not kept yet.
    pub(crate) fn changes(&mut self, id: SessionId, first: u64, changes: Vec<Change>) {
        let is_not_taken = self.saving.trouble.is_some() || self.is_newer_twin(id);
        self.notice_mixture(id);
        let Some(session) = self.sessions.get_mut(&id) else { return };
        // What comes behind a change that was not taken must not be kept before it.
        session.is_stalled |= is_not_taken;
        let (host, feed) = (session.host, session.feed);
        if session.is_stalled {
            return;
        }
        // Of a telling in parts one could be lost otherwise, and the rest kept.
        self.saving.now.sessions.insert(id);
        let kept = self.books.kept.get(&host).filter(|kept| kept.feed == feed).map_or(0, |kept| kept.through);
        let count = u64::try_from(changes.len()).unwrap_or(u64::MAX);
        let last = first.saturating_add(count).saturating_sub(1);
        for (number, change) in (first..).zip(changes) {
            if number > kept {
                self.change(id, host, change);
            }
        }
        // Half a telling would leave what it did not name for good: it is told again whole.
        if self.sessions.get(&id).is_some_and(|session| session.telling.is_some()) {
            return;
        }
        if last > kept {
            // While two tell, what is kept goes on from neither: whoever comes to a controller that was killed meanwhile tells
            // everything anew.
            let through = if self.mixed.contains(&host) { 0 } else { last };
            self.put(Record::Kept(Kept { host, feed, through }));
        }
        let message = FromController::Kept { through: last.max(kept) };
        self.effects.push(FleetEffect::Send { session: id, message });
    }

    fn change(&mut self, id: SessionId, host: HostId, change: Change) {
        match change {
            Change::Anew => self.telling(id, |session| session.telling = Some(Telling::default())),
            Change::Told => self.told(id, host),
            Change::Target(status) => self.target(id, host, *status),
            Change::TargetGone(target) => self.put(Record::TargetGone { host, target }),
            Change::Incident(incident) => self.incident(id, host, *incident),
            Change::Report(report) => self.report(id, host, report),
            Change::Lost { count } => {
                let name = self.books.hosts.get(&host).map(|host| host.name.to_string()).unwrap_or_default();
                self.audit(
                    &"the controller".into(),
                    format!("{name} could not tell {count} changes, which are lost"),
                    1,
                );
            }
            Change::Unknown => {}
        }
    }

    fn telling(&mut self, id: SessionId, change: impl FnOnce(&mut Session)) {
        if let Some(session) = self.sessions.get_mut(&id) {
            change(session);
        }
    }

    fn target(&mut self, id: SessionId, host: HostId, status: TargetStatus) {
        let name = status.target.clone();
        let known = self.books.targets.get(&host);
        if known.is_some_and(|known| known.len() >= TARGETS_OF_HOST_MAX && !known.contains(&name)) {
            return;
        }
        self.telling(id, |session| {
            if let Some(telling) = &mut session.telling {
                telling.targets.insert(name);
            }
        });
        self.put(Record::Target(HostTarget { host, at: self.now.wall, status }));
    }

    fn incident(&mut self, id: SessionId, host: HostId, incident: IncidentSummary) {
        if !self.has_room(host, key(&incident)) {
            return;
        }
        self.names(id, key(&incident));
        let incident = self.still_seen_to(host, incident);
        self.put(Record::Incident(HostIncident { host: Some(host), incident }));
    }

    fn report(&mut self, id: SessionId, host: HostId, report: Box<Report>) {
        self.names(id, (report.opened.wall.0, report.incident));
        self.put(Record::Report { host, report });
    }

    /// A telling has named an incident.
    fn names(&mut self, id: SessionId, key: OpenKey) {
        self.telling(id, |session| {
            if let Some(telling) = &mut session.telling {
                telling.incidents.insert(key);
            }
        });
    }

    fn has_room(&self, host: HostId, key: OpenKey) -> bool {
        let open = self.books.open.get(&Some(host));
        open.is_none_or(|open| open.len() < OPEN_OF_HOST_MAX || open.contains_key(&key))
    }

    /// A telling is whole: what it did not name is gone.
    fn told(&mut self, id: SessionId, host: HostId) {
        let Some(telling) = self.sessions.get_mut(&id).and_then(|session| session.telling.take()) else { return };
        let known = self.books.targets.get(&host).into_iter().flatten();
        let gone: Vec<_> = known.filter(|target| !telling.targets.contains(*target)).cloned().collect();
        for target in gone {
            self.put(Record::TargetGone { host, target });
        }
        self.withdraw(host, "its host knows it no more", |open| !telling.incidents.contains(&key(open)));
    }

    /// Ends the open incidents of a host that nobody tells of any more.
    pub(crate) fn withdraw(&mut self, host: HostId, why: &str, which: impl Fn(&IncidentSummary) -> bool) {
        let open = self.books.open_of(Some(host)).filter(|open| which(open));
        let forgotten: Vec<IncidentSummary> = open.cloned().collect();
        for incident in forgotten {
            let phase = Phase::Resolved(Resolution::Withdrawn { why: why.into() });
            let incident = IncidentSummary { phase, is_well_again: false, is_kept: false, ..incident };
            self.put(Record::Incident(HostIncident { host: Some(host), incident }));
        }
    }
}
