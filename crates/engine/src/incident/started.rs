//! That somebody else had started what failed: an operator who has mended it, a package, another unit. It is told when it is seen, and
//! what is well by it has neither recovered by itself nor been healed by us.

use core::time::Duration;

use ansai_model::{
    id::{IncidentId, RunId},
    incident::{Incident, Resolution, Step, StepKind},
    text::Text,
    time::WallTime,
    unit::{ActiveState, StartedBy, UnitSnapshot},
};

use super::drilled::is_end_of_drill;
use crate::{context::Context, view::View};

/// How long after the end of an action of ours a start may still be its doing: it need not have waited for it.
const LATE_MAX: Duration = Duration::from_secs(2);

impl Context {
    /// Tells that somebody else had it started, once for each start.
    pub(super) fn note_start_by_others(&mut self, id: IncidentId) {
        let view = self.view();
        let Some(incident) = view.incident(id) else { return };
        let Some((at, who)) = view.started_by_others(incident) else { return };
        let is_told = |kind: &StepKind| matches!(kind, StepKind::StartedByOthers { at: told, .. } if *told == at);
        if !incident.steps.iter().any(|step| is_told(&step.kind)) {
            self.record(id, StepKind::StartedByOthers { at, who });
        }
    }
}

impl View<'_> {
    /// How an incident was resolved, when it was not by a start of somebody else. What a person has had is over in any case.
    pub(super) fn unless_started_by_others(self, id: IncidentId, otherwise: Resolution) -> Resolution {
        let started = self.incident(id).and_then(|incident| self.started_by_others(incident));
        match started {
            Some((at, _)) if otherwise != Resolution::AfterEscalation => Resolution::StartedByOthers { at },
            Some(_) | None => otherwise,
        }
    }

    /// When and by whom, in words, the unit of an incident's target was started that runs now, when that was since it went and
    /// not by us.
    pub(crate) fn started_by_others(self, incident: &Incident) -> Option<(WallTime, Text)> {
        let (_, seen) = self.checks[self.own_slot(&incident.target)?].last.as_ref()?;
        let unit = seen.unit().filter(|unit| unit.active == ActiveState::Active)?;
        let at = unit.since?;
        let went = incident.relapse.map_or(incident.failing_since, |relapse| relapse.went).wall;
        // Where it went is systemd's own stamp the next start cannot be of the same moment.
        if at <= went || incident.kind.is_notify_only() || is_end_of_drill(incident, at) {
            return None;
        }
        match unit.started_by {
            // A program that we run, or a unit that we start, may have others started.
            StartedBy::Others => (!self.is_our_doing(at)).then(|| (at, who(unit))),
            StartedBy::Ours | StartedBy::Systemd => None,
            // systemd counts its own restarts from zero after each start that somebody asks for, and ours are steps.
            StartedBy::Unknown => {
                let is_ours = incident.steps.iter().any(|step| matches!(step.kind, StepKind::Started { .. }));
                let failed = incident.seen_last().unit().and_then(|unit| unit.invocation.as_ref());
                let is_other_run = failed.is_some() && unit.invocation.is_some() && failed != unit.invocation.as_ref();
                let is_it = is_other_run && unit.restarts == 0 && !is_ours;
                is_it.then(|| (at, "somebody (it was not seen who)".into()))
            }
        }
    }
}

impl View<'_> {
    /// Whether an action of ours was under way at a moment, or had ended just before it.
    fn is_our_doing(self, at: WallTime) -> bool {
        self.state.incidents.values().any(|incident| {
            let begun = |step: &Step| match step.kind {
                StepKind::Started { run, is_harmless: false, .. } => Some((run, step.at.wall)),
                _ => None,
            };
            let ended = |run: RunId| {
                let is_it = |step: &&Step| matches!(step.kind, StepKind::Ended { run: of, .. } if of == run);
                incident.steps.iter().find(is_it).map(|step| step.at.wall.plus(LATE_MAX))
            };
            let mut actions = incident.steps.iter().filter_map(begun);
            actions.any(|(run, begun)| begun <= at && ended(run).is_none_or(|ended| at <= ended))
        })
    }
}

/// Who may have had it started: where nobody but a person would, that is said.
fn who(unit: &UnitSnapshot) -> Text {
    match unit.has_trigger {
        true => "somebody else, or its socket, path or timer,".into(),
        false => "somebody else".into(),
    }
}
