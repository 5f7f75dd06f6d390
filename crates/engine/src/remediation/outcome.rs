//! What follows from the outcome of an action, from not knowing it, and from being well without one.

use alloc::{boxed::Box, format};
use core::time::Duration;

use ansai_model::{
    action::{AS_DECLARED, Action, ActionOutcome, Disruption},
    id::{IncidentId, RunId},
    incident::{Incident, Phase, StepKind},
    runbook::{OnFailure, Rung, Step, Then},
    text::Text,
    time::Shown,
};

use super::{Reached, Remediation, Stage, anew::worked_last};
use crate::{
    context::Context,
    effect::Effect,
    gate::proposal::ProposalKind,
    invariant::{self, Behalf},
    view::View,
};

/// How long an undo action may take, when it does not wait for a unit.
const UNDO_TIMEOUT: Duration = Duration::from_secs(60);

/// What a step has changed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Done {
    Something,
    Nothing,
}

impl Context {
    pub(crate) fn action_ended(&mut self, run: RunId, outcome: ActionOutcome) {
        // An outcome that nobody waits for is a late or repeated one: the run was counted as lost already.
        let Some(pending) = self.state.runs.remove(&run) else { return };
        self.changed();
        self.heard_validator(run, &pending, &outcome);
        self.heard_of_keeping(&pending, &outcome);
        if matches!(outcome, ActionOutcome::NotNeeded { .. } | ActionOutcome::Refused { .. }) {
            self.refund(&pending);
            self.drill_did_nothing(&pending);
        } else {
            self.drill_is_injected(&pending);
        }
        if pending.disruption > Disruption::None && matches!(outcome, ActionOutcome::Succeeded { .. }) {
            self.state.ramp.opens(self.now, self.bundle.parts().settings.remediations_at_once_max);
        }
        let remediation = pending.incident.and_then(|id| Some((id, self.state.remediations.get(&id)?)));
        let Some((id, remediation)) = remediation else {
            // A drill, a copy of a configuration, or an action whose incident is over: another may have waited for it.
            self.look_at_target(&pending.target);
            self.reconcile_target(&pending.target);
            return self.wake_waiting();
        };
        let Some(rung) = remediation.current().cloned() else { return };
        match remediation.stage {
            Stage::Acting { run: current, since } if current == run => {
                let took = self.now.mono.since(since.mono);
                self.tell_symptoms(id, &Text::new(format!("{}: {outcome}", rung.id)));
                self.record(id, StepKind::Ended { rung: rung.id.clone(), run, outcome: outcome.clone(), took });
                self.note_change(id, &outcome);
                self.outcome(id, &rung, outcome);
            }
            Stage::Undoing { run: current, index, .. } if current == run => {
                let what = rung.undo.get(index).map(|action| action.describe()).unwrap_or_else(|| "undo".into());
                self.record(id, StepKind::Undone { what, outcome });
                if !self.undo(id, &rung, index + 1) {
                    self.next_attempt(id, &rung);
                }
            }
            Stage::Acting { .. } | Stage::Undoing { .. } | Stage::Ready | Stage::Waiting { .. } => {}
            Stage::Verifying { .. } | Stage::Stabilizing { .. } | Stage::BackingOff { .. } => {}
        }
        self.reconcile(id);
        self.wake_waiting();
    }

    /// Notes that an action may have changed something: one that only looks, was not needed or was refused has not.
    fn note_change(&mut self, id: IncidentId, outcome: &ActionOutcome) {
        if matches!(outcome, ActionOutcome::NotNeeded { .. } | ActionOutcome::Refused { .. }) {
            return;
        }
        self.change_remediation(id, |remediation| {
            let step = remediation.current().and_then(|rung| rung.steps.get(remediation.step));
            let may_change = matches!(step, Some(Step::Act { action, .. }) if !action.only_looks());
            remediation.has_changed |= may_change;
        });
    }

    fn outcome(&mut self, id: IncidentId, rung: &Rung, outcome: ActionOutcome) {
        let view = self.view();
        let climbing = view.climbing(id);
        let only_starts = climbing.is_some_and(|(incident, remediation)| view.only_starts_again(incident, remediation));
        let why = match outcome {
            ActionOutcome::Succeeded { .. } => return self.step_done(id, Done::Something),
            ActionOutcome::NotNeeded { .. } if only_starts => {
                let why = "nothing is left to kill, and a start alone was tried already".into();
                return self.skip(id, &rung.id, why);
            }
            ActionOutcome::NotNeeded { .. } => return self.step_done(id, Done::Nothing),
            // Nobody knows what it did: look before anything else is done.
            ActionOutcome::Lost { .. } if rung.then == Then::Verify => {
                self.change_remediation(id, |remediation| remediation.was_interrupted = true);
                return self.begin_verification(id);
            }
            // What prepares and may be done twice is done again: being interrupted is no failure of the remedy.
            ActionOutcome::Lost { .. } if self.state.remediations.get(&id).is_some_and(may_repeat) => {
                return self.change_remediation(id, |remediation| {
                    remediation.attempts += 1;
                    remediation.stage = Stage::Ready;
                });
            }
            ActionOutcome::Lost { why } => Text::new(format!("its outcome is unknown: {why}")),
            ActionOutcome::Failed { why } => why,
            ActionOutcome::TimedOut { after } => Text::new(format!("it did not end within {}", Shown(after))),
            ActionOutcome::Refused { why } => why,
        };
        match (rung.then, &rung.on_failure) {
            // A try like any other: taken back, counted, and handed over when it was the last.
            (Then::Verify, _) => self.attempt_failed(id, why),
            (Then::Continue | Then::Accumulate, OnFailure::Escalate) => {
                self.escalate(id, Text::new(format!("{}: {why}", rung.id)))
            }
            (Then::Continue | Then::Accumulate, OnFailure::NextRung) => {
                self.change_remediation(id, Remediation::climb);
            }
            (Then::Continue | Then::Accumulate, OnFailure::Rung(name)) => self.change_remediation(id, |remediation| {
                let rungs = &remediation.runbook.rungs;
                let next = rungs.iter().position(|rung| rung.id == *name).unwrap_or(rungs.len());
                remediation.climb_to(next, Reached::ByName);
            }),
        }
    }

    /// The target became well while nothing of this rung was done: by itself, by a person, late after the rung before,
    /// or while the agent was away. What is well is not acted on.
    pub(super) fn leave_alone(&mut self, id: IncidentId) {
        let has_changed = self.state.remediations.get(&id).is_some_and(|remediation| remediation.has_changed);
        self.leave(id, "it is well again, so nothing more is done".into());
        let now = self.now;
        let is_drill = self.state.incidents.get(&id).is_some_and(|incident| incident.is_drill);
        if let Some(memory) = self.memory_of_mut(id).filter(|_| has_changed && !is_drill) {
            memory.remediated = Some(now);
        }
        self.wake_waiting();
    }

    /// Ends a remediation that has nothing under way; its incident stays open and is decided on anew.
    pub(crate) fn leave(&mut self, id: IncidentId, what: Text) {
        self.record(id, StepKind::Interrupted { what });
        self.state.remediations.remove(&id);
        self.change_incident(id, |incident| incident.phase = Phase::Open);
        self.changed();
    }

    fn step_done(&mut self, id: IncidentId, done: Done) {
        self.change_remediation(id, |remediation| {
            remediation.step += 1;
            remediation.has_acted |= done == Done::Something;
            remediation.stage = Stage::Ready;
        });
    }

    /// The decision could not be saved, so the action was not begun: it is taken back as if it had not been made.
    pub(crate) fn action_not_started(&mut self, run: RunId, why: Text) {
        let Some(pending) = self.state.runs.remove(&run) else { return };
        self.changed();
        self.refund(&pending);
        self.drill_did_nothing(&pending);
        self.was_not_asked(run, &pending.target);
        let Some(id) = pending.incident else { return };
        if pending.begins_before.is_some() {
            self.did_not_use_permit(id);
        }
        self.record(id, StepKind::Interrupted { what: Text::new(format!("not begun: {why}")) });
        let Some(remediation) = self.state.remediations.get(&id) else { return };
        match remediation.stage {
            Stage::Acting { run: current, .. } if current == run => {
                self.change_remediation(id, |remediation| remediation.stage = Stage::Ready);
            }
            // The try that it belongs to has failed already; it is not begun again.
            Stage::Undoing { run: current, .. } if current == run => {
                if let Some(rung) = remediation.current().cloned() {
                    self.next_attempt(id, &rung);
                }
            }
            Stage::Acting { .. } | Stage::Undoing { .. } | Stage::Ready | Stage::Waiting { .. } => {}
            Stage::Verifying { .. } | Stage::Stabilizing { .. } | Stage::BackingOff { .. } => {}
        }
    }

    /// Begins the undo action with this index; says whether there was one.
    pub(super) fn undo(&mut self, id: IncidentId, rung: &Rung, index: usize) -> bool {
        let Some(action) = rung.undo.get(index).cloned() else { return false };
        let view = self.view();
        let Some((incident, remediation)) = view.climbing(id) else { return false };
        let target = incident.target.clone();
        if let Some(why) = view.objection_to_undo(incident, remediation, &action) {
            let why = Text::new(format!("not undone: {why}"));
            self.record(id, StepKind::Undone { what: action.describe(), outcome: ActionOutcome::Refused { why } });
            return false;
        }
        let timeout = if action.job_of().is_some() { AS_DECLARED } else { UNDO_TIMEOUT };
        let run = self.begin_run(Some(id), target, action, timeout);
        let stage = Stage::Undoing { index, run: run.id, since: self.now };
        self.change_remediation(id, |remediation| remediation.stage = stage);
        self.effects.push(Effect::Perform(Box::new(run)));
        true
    }

    /// After a restart of the agent: what was in flight has an unknown outcome, and is observed before anything is done.
    pub(crate) fn resume(&mut self) {
        let lost: alloc::vec::Vec<_> = self.state.runs.iter().map(|(run, pending)| (*run, pending.incident)).collect();
        for (run, incident) in lost {
            if let Some(id) = incident {
                let what = Text::new("the agent stopped while this was under way; its outcome is unknown");
                self.record(id, StepKind::Interrupted { what });
            }
            self.action_ended(run, ActionOutcome::Lost { why: "the agent was restarted".into() });
        }
        self.reconcile_all();
    }
}

impl View<'_> {
    /// Whether nothing was left to kill of a unit that is down, and its rung would only do what one before it did in vain.
    fn only_starts_again(self, incident: &Incident, remediation: &Remediation) -> bool {
        let rungs = &remediation.runbook.rungs;
        let (Some(rung), Some(before)) = (remediation.current(), rungs.get(..remediation.rung)) else { return false };
        let Some(Step::Act { action: Action::KillUnit { unit }, .. }) = rung.steps.get(remediation.step) else {
            return false;
        };
        let starts = |step: &Step| matches!(step, Step::Act { action: Action::StartUnit { unit: of } | Action::RestartUnit { unit: of }, .. } if of == unit);
        let is_start_left = rung.steps.iter().skip(remediation.step + 1).all(starts);
        remediation.attempts > 0
            && !remediation.has_acted
            && is_start_left
            && before.iter().flat_map(|rung| &rung.steps).any(starts)
            // A start that was verified was none in vain, however soon it died again.
            && worked_last(incident).is_none()
            && self.is_down(incident)
    }

    /// Why an effect may not be taken back now: it is an action like any other, and nobody waits for it to be allowed.
    fn objection_to_undo(self, incident: &Incident, remediation: &Remediation, action: &Action) -> Option<Text> {
        let (disruption, what) = (action.disruption(), action.describe());
        let decision = self.decision_within(incident, remediation, disruption, ProposalKind::Undo, what);
        if let Some(objection) = decision.objections().next() {
            return Some(objection.why.clone());
        }
        let on = Behalf::Incident(incident.id);
        Some(invariant::before_action(self, &incident.target, on, disruption).err()?.what)
    }
}

/// Whether the action that was lost may be done twice, and an attempt is left for it.
fn may_repeat(remediation: &Remediation) -> bool {
    let step = remediation.current().and_then(|rung| rung.steps.get(remediation.step));
    let is_idempotent = matches!(step, Some(Step::Act { action, .. }) if action.is_idempotent());
    is_idempotent && remediation.attempts + 1 < remediation.policy.attempts_max
}
