//! The controller's own incidents: about hosts that it does not hear, and about what no single host can know. They open and
//! close by a look at what is, once a second, and never by what just happened.

use ansai_model::{
    id::{CheckId, IncidentId, TargetId},
    incident::{Phase, Resolution},
    rule::Severity,
    text::Text,
};
use ansai_protocol::{
    IncidentSummary,
    record::{HostIncident, Record},
};

use crate::{
    FleetEngine,
    effect::{FleetEffect, FleetNotice},
};

/// What an own incident is about: the name of its check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum About {
    /// Hosts that are not heard.
    Silence,
    /// Two hosts with one identity.
    Twins,
    /// Hosts that know newer restraints than this controller: it was brought back from a copy.
    Generations,
}

impl About {
    const fn check(self) -> &'static str {
        match self {
            Self::Silence => "link",
            Self::Twins => "identity",
            Self::Generations => "restraints",
        }
    }

    /// Whether an incident is about this.
    pub(crate) fn is_of(self, incident: &IncidentSummary) -> bool {
        incident.check.name() == self.check()
    }
}

impl FleetEngine {
    /// The open own incidents about something.
    pub(crate) fn own(&self, about: About) -> impl Iterator<Item = &IncidentSummary> {
        self.books.open_of(None).filter(move |incident| about.is_of(incident))
    }

    /// Opens an own incident and tells people of it; nothing when its names could not be made, which they can.
    pub(crate) fn open_own(&mut self, about: About, severity: Severity, headline: Text) -> Option<IncidentId> {
        let id = IncidentId(self.books.last_incident.0.saturating_add(1));
        let target = TargetId::of("service", "ansai.service").ok()?;
        let incident = IncidentSummary {
            id,
            check: CheckId::of(&target, about.check()).ok()?,
            target,
            severity,
            phase: Phase::Escalated { why: "a person has to see what is wrong with it".into() },
            headline: headline.clone(),
            is_drill: false,
            opened_ms: self.now.wall.0,
            downtime_ms: None,
            is_well_again: false,
            well_since_ms: None,
        };
        self.put(Record::Incident(HostIncident { host: None, incident }));
        self.effects.push(FleetEffect::Tell(FleetNotice { severity, headline, is_over: false }));
        Some(id)
    }

    /// Says of an own incident what it is about by now.
    pub(crate) fn headline_own(&mut self, incident: &IncidentSummary, headline: Text) {
        if incident.headline != headline {
            let incident = IncidentSummary { headline, ..incident.clone() };
            self.put(Record::Incident(HostIncident { host: None, incident }));
        }
    }

    /// Closes an own incident and tells people so.
    pub(crate) fn close_own(&mut self, incident: &IncidentSummary) {
        let (severity, headline) = (incident.severity, Text::new(format!("over: {}", incident.headline)));
        let (phase, well_since_ms) = (Phase::Resolved(Resolution::ByItself), Some(self.now.wall.0));
        let incident = IncidentSummary { phase, well_since_ms, ..incident.clone() };
        self.put(Record::Incident(HostIncident { host: None, incident }));
        self.effects.push(FleetEffect::Tell(FleetNotice { severity, headline, is_over: true }));
    }

    /// Has one incident about something as long as there is a reason for it, with what is said of it now.
    pub(crate) fn one_own(&mut self, about: About, reason: Option<Text>) {
        let open = self.own(about).next().cloned();
        match (open, reason) {
            (None, None) => {}
            (None, Some(headline)) => drop(self.open_own(about, Severity::Now, headline)),
            (Some(open), Some(headline)) => self.headline_own(&open, headline),
            (Some(open), None) => self.close_own(&open),
        }
    }
}
