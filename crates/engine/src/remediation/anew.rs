//! What failed anew after a remedy that was verified: what the ladder knew is from before, so what is cheap to ask is asked
//! again before anything more is done, and then it goes on where it stood. It frees no try and begins nothing itself.

use alloc::vec::Vec;

use ansai_model::{
    action::Disruption,
    id::{IncidentId, RungId},
    incident::{Incident, StepKind},
    observation::{Health, Observation},
    runbook::{Rung, Step, Then},
};

use super::{Place, Reached, Remediation, Stage};
use crate::{cause, context::Context, view::View};

impl Remediation {
    /// Goes back to the foot of the ladder for what is cheap to ask, when it failed anew and something stands there.
    pub(super) fn ask_anew(&mut self) {
        let before = self.runbook.rungs.get(..self.rung).unwrap_or_default();
        if !core::mem::take(&mut self.fails_anew) || !before.iter().any(is_cheap) {
            return;
        }
        self.place = Some(Place { rung: self.rung, attempts: self.rung_attempts, is_by_name: self.is_by_name });
        (self.rung, self.step, self.rung_attempts) = (0, 0, 0);
        (self.has_acted, self.is_by_name) = (false, false);
    }
}

impl Context {
    /// Notes that what a remedy had mended fails anew, and as what it is seen now.
    pub(super) fn failed_anew(&mut self, id: IncidentId) {
        let view = self.view();
        let Some(incident) = view.incident(id) else { return };
        // What gives way to another fault domain now asks as well when it goes on.
        let gives_way = view.is_healed_elsewhere(incident);
        if let Some(seen) = view.failure_seen(incident).cloned() {
            self.keep_as_seen(id, seen);
        }
        self.change_remediation(id, |remediation| {
            remediation.fails_anew = true;
            if gives_way {
                remediation.ask_anew();
            }
        });
    }

    /// Goes back to the rung that worked last, when nothing else is left to try and it was no failed remedy that led here: to
    /// leave down what a start brings back is worse than to start it again. Says whether it did. The attempts of the policy
    /// and the gates bound it, and the back-off before this try has passed.
    pub(super) fn repeats_what_worked(&mut self, id: IncidentId) -> bool {
        let view = self.view();
        let Some((incident, remediation)) = view.climbing(id) else { return false };
        let Some(worked) = worked_last(incident).filter(|_| view.is_down(incident)) else { return false };
        let Some(index) = remediation.runbook.rungs.iter().position(|rung| rung.id == *worked) else { return false };
        self.change_remediation(id, |remediation| remediation.climb_to(index, Reached::ByName));
        true
    }

    /// Notes that what was well by itself fails once more before its incident is over: it is told as it is seen now.
    pub(crate) fn fails_once_more_by_itself(&mut self, id: IncidentId) {
        let view = self.view();
        let seen = view.incident(id).and_then(|incident| view.failure_seen(incident)).cloned();
        if !self.goes_again(id) {
            return;
        }
        if let Some(seen) = seen {
            self.keep_as_seen(id, seen);
        }
        self.begin_evidence(id);
    }

    /// Notes as what it is seen now after a try that did not heal it, when its unit ended in another way than it broke: that
    /// keeps it broken, whatever broke it first. The look that says so may come after the try was given up.
    pub(crate) fn fails_otherwise(&mut self, id: IncidentId) {
        let view = self.view();
        let Some(incident) = view.incident(id) else { return };
        let stage = self.state.remediations.get(&id).map(|remediation| &remediation.stage);
        let is_tried = incident
            .steps
            .iter()
            .any(|step| matches!(step.kind, StepKind::NotVerified { .. } | StepKind::Ended { .. }));
        // What an action does to it on its way is the action's.
        if !is_tried || matches!(stage, Some(Stage::Acting { .. } | Stage::Undoing { .. } | Stage::Waiting { .. })) {
            return;
        }
        let Some(seen) = view.failure_seen(incident) else { return };
        if cause::fails_otherwise(incident.seen_last(), seen) {
            let seen = seen.clone();
            self.keep_as_seen(id, seen);
        }
    }

    /// Keeps as what an incident is seen failing now, and since when it does so in another way than before.
    fn keep_as_seen(&mut self, id: IncidentId, seen: Observation) {
        let now = self.now;
        self.change_incident(id, |incident| {
            if cause::fails_otherwise(incident.seen_last(), &seen) {
                cause::keep_first(incident, cause::Kept::Down);
                incident.otherwise_since = Some(now.wall);
            }
            incident.seen_anew = Some(seen);
        });
    }

    /// Passes by a rung that is not asked again on the way back to where the ladder stood; says whether it did.
    pub(super) fn passes_by(&mut self, id: IncidentId, rung: &Rung) -> bool {
        let remediation = self.state.remediations.get(&id).filter(|remediation| remediation.step == 0);
        let Some((place, at)) = remediation.and_then(|remediation| Some((remediation.place?, remediation.rung))) else {
            return false;
        };
        let passes = at < place.rung;
        if passes && is_cheap(rung) {
            return false;
        }
        self.change_remediation(id, |remediation| {
            if passes {
                remediation.climb();
                return;
            }
            remediation.place = None;
            // An answer may have led above it.
            if remediation.rung == place.rung {
                (remediation.rung_attempts, remediation.is_by_name) = (place.attempts, place.is_by_name);
            }
        });
        passes
    }
}

impl<'a> View<'a> {
    /// What was last seen of an incident's target that fails: of its unit, when that does.
    fn failure_seen(self, incident: &Incident) -> Option<&'a Observation> {
        let seen = self.checks_of(incident).into_iter().filter_map(|check| Some(&check.last.as_ref()?.1));
        seen.filter(|seen| seen.health() == Health::Failing).min_by_key(|seen| seen.unit().is_none())
    }
}

/// Whether a rung prepares and ends nothing: it asks, or puts right what a start needs.
fn is_cheap(rung: &Rung) -> bool {
    let ends = |step: &Step| matches!(step, Step::Act { action, .. } if action.disruption() >= Disruption::Full);
    rung.then == Then::Continue && !rung.steps.iter().any(ends)
}

/// The rung whose remedy had worked when the last try ended, and that was not passed over since.
pub(crate) fn worked_last(incident: &Incident) -> Option<&RungId> {
    let mut passed_over = Vec::new();
    for step in incident.steps.iter().rev() {
        match &step.kind {
            StepKind::Skipped { rung, .. } => passed_over.push(rung),
            StepKind::NotVerified { rung, was_verified: true, .. } => {
                return (!passed_over.contains(&rung)).then_some(rung);
            }
            StepKind::NotVerified { .. } | StepKind::Escalated { .. } | StepKind::TriedAgain { .. } => return None,
            _ => {}
        }
    }
    None
}
