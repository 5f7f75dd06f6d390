//! The controller's own incidents: about hosts that it does not hear, and about what no single host can know. They open and
//! close by a look at what is, once a second, and never by what just happened.

use ansai_model::{
    id::{CheckId, IncidentId, TargetId},
    incident::{Phase, Resolution},
    rule::Severity,
    text::Text,
    time::WallTime,
};
use ansai_protocol::{
    IncidentSummary,
    record::{HostIncident, Record},
};

use crate::{
    FleetEngine,
    effect::{FleetEffect, FleetNotice},
};

/// The target of what is the controller's own.
const OF_ITSELF: (&str, &str) = ("service", "ansai.service");

/// What an own incident is about: the name of its check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum About {
    /// Hosts that are not heard.
    Silence,
    /// Two hosts with one identity.
    Twins,
    /// Hosts that know newer restraints than this controller: it was brought back from a copy.
    Generations,
    /// A configuration that was stopped on its way to the hosts.
    Rollout,
}

impl About {
    const fn check(self) -> &'static str {
        match self {
            Self::Silence => "link",
            Self::Twins => "identity",
            Self::Generations => "restraints",
            Self::Rollout => "configuration",
        }
    }

    /// Whether an incident is about this.
    pub(crate) fn is_of(self, incident: &IncidentSummary) -> bool {
        incident.check.name() == self.check()
    }
}

/// What people are told of an own incident that is open.
fn told(incident: &IncidentSummary) -> FleetNotice {
    FleetNotice {
        incident: incident.id,
        target: incident.target.clone(),
        check: incident.check.clone(),
        opened: WallTime(incident.opened_ms),
        severity: incident.severity,
        headline: incident.headline.clone(),
        is_over: false,
    }
}

/// What people are told of a store that keeps nothing since then. It is no incident: that could not be kept either.
pub(crate) fn of_the_store(since: WallTime, headline: String, is_over: bool) -> Option<FleetNotice> {
    let target = TargetId::of(OF_ITSELF.0, OF_ITSELF.1).ok()?;
    let check = CheckId::of(&target, "store").ok()?;
    let (incident, severity) = (IncidentId(0), Severity::Now);
    Some(FleetNotice { incident, target, check, opened: since, severity, headline: headline.into(), is_over })
}

impl FleetEngine {
    /// What people were told of, or were to be told when the process before this one ended: all own incidents that are open.
    /// Whoever tells them knows what has been told.
    #[must_use]
    pub fn open_notices(&self) -> Vec<FleetNotice> {
        self.books.open_of(None).map(told).collect()
    }

    /// The open own incidents about something.
    pub(crate) fn own(&self, about: About) -> impl Iterator<Item = &IncidentSummary> {
        self.books.open_of(None).filter(move |incident| about.is_of(incident))
    }

    /// Opens an own incident, of which nobody is told yet; nothing when its names could not be made, which they can.
    pub(crate) fn open_own(&mut self, about: About, severity: Severity, headline: Text) -> Option<IncidentId> {
        let id = IncidentId(self.books.last_incident.0.saturating_add(1));
        let target = TargetId::of(OF_ITSELF.0, OF_ITSELF.1).ok()?;
        let incident = IncidentSummary {
            id,
            check: CheckId::of(&target, about.check()).ok()?,
            target,
            severity,
            phase: Phase::Escalated { why: "a person has to see what is wrong with it".into() },
            headline,
            is_drill: false,
            opened_ms: self.now.wall.0,
            downtime_ms: None,
            is_well_again: false,
            is_kept: false,
            well_since_ms: None,
            seen_to: None,
            told: None,
        };
        self.put(Record::Incident(HostIncident { host: None, incident }));
        Some(id)
    }

    /// Tells people of an own incident that is open.
    pub(crate) fn tell_own(&mut self, incident: &IncidentSummary) {
        self.effects.push(FleetEffect::Tell(told(incident)));
    }

    /// Says of an own incident what it is about by now.
    pub(crate) fn headline_own(&mut self, incident: &IncidentSummary, headline: Text) {
        if incident.headline != headline {
            // It is about other hosts by now, which somebody has to see.
            let incident = IncidentSummary { headline, seen_to: None, ..incident.clone() };
            self.put(Record::Incident(HostIncident { host: None, incident }));
        }
    }

    /// Closes an own incident and tells people so.
    pub(crate) fn close_and_tell(&mut self, incident: &IncidentSummary) {
        let headline = Text::new(format!("over: {}", incident.headline));
        self.effects.push(FleetEffect::Tell(FleetNotice { headline, is_over: true, ..told(incident) }));
        self.close_own(incident);
    }

    /// Closes an own incident.
    pub(crate) fn close_own(&mut self, incident: &IncidentSummary) {
        let (phase, well_since_ms) = (Phase::Resolved(Resolution::ByItself), Some(self.now.wall.0));
        let incident = IncidentSummary { phase, well_since_ms, ..incident.clone() };
        self.put(Record::Incident(HostIncident { host: None, incident }));
    }

    /// Has one incident about something as long as there is a reason for it, with what is said of it now.
    pub(crate) fn one_own(&mut self, about: About, reason: Option<Text>) {
        let open = self.own(about).next().cloned();
        match (open, reason) {
            (None, None) => {}
            (None, Some(headline)) => {
                self.open_own(about, Severity::Now, headline);
                let notice = self.own(about).next().map(told);
                self.effects.extend(notice.map(FleetEffect::Tell));
            }
            (Some(open), Some(headline)) => self.headline_own(&open, headline),
            (Some(open), None) => self.close_and_tell(&open),
        }
    }
}
