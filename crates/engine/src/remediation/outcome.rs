//! What follows from the outcome of an action, from not knowing it, and from being well without one.

use alloc::{boxed::Box, format};
use core::time::Duration;

use ansai_model::{
    action::{AS_DECLARED, Action, ActionOutcome, Disruption},
    id::{IncidentId, RunId},
    incident::{Phase, StepKind},
    runbook::{OnFailure, Rung, Step, Then},
    text::Text,
    time::{Now, Shown},
};

use super::Stage;
use crate::{
    effect::Effect,
    gate::Moment,
    host_engine::HostEngine,
    invariant::{self, Behalf},
};

/// How long an undo action may take, when it does not wait for a unit.
const UNDO_TIMEOUT: Duration = Duration::from_secs(60);

impl HostEngine {
    pub(crate) fn action_ended(&mut self, now: Now, run: RunId, outcome: ActionOutcome) {
        // An outcome that nobody waits for is a late or repeated one: the run was counted as lost already.
        let Some(pending) = self.state.runs.remove(&run) else { return };
        self.changed(now);
        self.heard_validator(now, run, &pending, &outcome);
        if matches!(outcome, ActionOutcome::NotNeeded { .. } | ActionOutcome::Refused { .. }) {
            self.refund(&pending);
        }
        if pending.disruption > Disruption::None && matches!(outcome, ActionOutcome::Succeeded { .. }) {
            self.state.ramp.opens(now, self.bundle.parts().settings.remediations_at_once_max);
        }
        let remediation = pending.incident.and_then(|id| Some((id, self.state.remediations.get(&id)?)));
        let Some((id, remediation)) = remediation else {
            // A drill, a copy of a configuration, or an action whose incident is over: another may have waited for it.
            self.look_at_target(now, &pending.target);
            self.reconcile_target(now, &pending.target);
            return self.wake_waiting(now);
        };
        let Some(rung) = remediation.current().cloned() else { return };
        match remediation.stage {
            Stage::Acting { run: current, since } if current == run => {
                let took = now.mono.since(since.mono);
                self.tell_symptoms(now, id, &Text::new(format!("{}: {outcome}", rung.id)));
                self.record(now, id, StepKind::Ended { rung: rung.id.clone(), run, outcome: outcome.clone(), took });
                self.outcome(now, id, &rung, outcome);
            }
            Stage::Undoing { run: current, index, .. } if current == run => {
                let what = rung.undo.get(index).map(|action| action.describe()).unwrap_or_else(|| "undo".into());
                self.record(now, id, StepKind::Undone { what, outcome });
                if !self.undo(now, id, &rung, index + 1) {
                    self.next_attempt(now, id, &rung);
                }
            }
            Stage::Acting { .. } | Stage::Undoing { .. } | Stage::Ready | Stage::Waiting { .. } => {}
            Stage::Verifying { .. } | Stage::Stabilizing { .. } | Stage::BackingOff { .. } => {}
        }
        self.reconcile(now, id);
        self.wake_waiting(now);
    }

    fn outcome(&mut self, now: Now, id: IncidentId, rung: &Rung, outcome: ActionOutcome) {
        let why = match outcome {
            ActionOutcome::Succeeded { .. } => return self.step_done(now, id, true),
            ActionOutcome::NotNeeded { .. } => return self.step_done(now, id, false),
            // Nobody knows what it did: look before anything else is done.
            ActionOutcome::Lost { .. } if rung.then == Then::Verify => {
                self.change_remediation(now, id, |remediation| remediation.was_interrupted = true);
                return self.begin_verification(now, id);
            }
            // What prepares and may be done twice is done again: being interrupted is no failure of the remedy.
            ActionOutcome::Lost { .. } if self.may_repeat(id) => {
                return self.change_remediation(now, id, |remediation| {
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
            (Then::Verify, _) => self.attempt_failed(now, id, why),
            (Then::Continue | Then::AddUp, OnFailure::Escalate) => {
                self.escalate(now, id, Text::new(format!("{}: {why}", rung.id)))
            }
            (Then::Continue | Then::AddUp, OnFailure::NextRung) => {
                self.change_remediation(now, id, |remediation| remediation.climb_to(remediation.rung + 1, false));
            }
            (Then::Continue | Then::AddUp, OnFailure::Rung(name)) => self.change_remediation(now, id, |remediation| {
                let rungs = &remediation.runbook.rungs;
                let next = rungs.iter().position(|rung| rung.id == *name).unwrap_or(rungs.len());
                remediation.climb_to(next, true);
            }),
        }
    }

    /// The target became well while nothing of this rung was done: by itself, by a person, late after the rung before,
    /// or while the agent was away. What is well is not acted on.
    pub(super) fn leave_alone(&mut self, now: Now, id: IncidentId) {
        self.leave(now, id, "it is well again, so nothing more is done".into());
        if let Some(memory) = self.memory_of_mut(id) {
            memory.remediated = Some(now);
        }
        self.wake_waiting(now);
    }

    /// Ends a remediation that has nothing under way; its incident stays open and is decided on anew.
    pub(crate) fn leave(&mut self, now: Now, id: IncidentId, what: Text) {
        self.record(now, id, StepKind::Interrupted { what });
        self.state.remediations.remove(&id);
        if let Some(incident) = self.state.incidents.get_mut(&id) {
            incident.phase = Phase::Open;
        }
        self.changed(now);
    }

    /// Whether the action that was lost may be done twice, and an attempt is left for it.
    fn may_repeat(&self, id: IncidentId) -> bool {
        let Some(remediation) = self.state.remediations.get(&id) else { return false };
        let step = remediation.current().and_then(|rung| rung.steps.get(remediation.step));
        let is_idempotent = matches!(step, Some(Step::Act { action, .. }) if action.is_idempotent());
        is_idempotent && remediation.attempts + 1 < remediation.policy.attempts_max
    }

    fn step_done(&mut self, now: Now, id: IncidentId, has_acted: bool) {
        self.change_remediation(now, id, |remediation| {
            remediation.step += 1;
            remediation.has_acted |= has_acted;
            remediation.stage = Stage::Ready;
        });
    }

    /// The decision could not be saved, so the action was not begun: it is taken back as if it had not been made.
    pub(crate) fn action_not_started(&mut self, now: Now, run: RunId, why: Text) {
        let Some(pending) = self.state.runs.remove(&run) else { return };
        self.changed(now);
        self.refund(&pending);
        let Some(id) = pending.incident else { return };
        self.record(now, id, StepKind::Interrupted { what: Text::new(format!("not begun: {why}")) });
        let Some(remediation) = self.state.remediations.get(&id) else { return };
        match remediation.stage {
            Stage::Acting { run: current, .. } if current == run => {
                self.change_remediation(now, id, |remediation| remediation.stage = Stage::Ready);
            }
            // The try that it belongs to has failed already; it is not begun again.
            Stage::Undoing { run: current, .. } if current == run => {
                if let Some(rung) = remediation.current().cloned() {
                    self.next_attempt(now, id, &rung);
                }
            }
            Stage::Acting { .. } | Stage::Undoing { .. } | Stage::Ready | Stage::Waiting { .. } => {}
            Stage::Verifying { .. } | Stage::Stabilizing { .. } | Stage::BackingOff { .. } => {}
        }
    }

    /// Begins the undo action with this index; says whether there was one.
    pub(super) fn undo(&mut self, now: Now, id: IncidentId, rung: &Rung, index: usize) -> bool {
        let Some(action) = rung.undo.get(index).cloned() else { return false };
        let Some(target) = self.state.incidents.get(&id).map(|incident| incident.target.clone()) else { return false };
        if let Some(why) = self.objection_to_undo(now, id, &action) {
            let why = Text::new(format!("not undone: {why}"));
            self.record(now, id, StepKind::Undone { what: action.describe(), outcome: ActionOutcome::Refused { why } });
            return false;
        }
        let timeout = if action.job_of().is_some() { AS_DECLARED } else { UNDO_TIMEOUT };
        let run = self.begin_run(now, Some(id), target, action, timeout);
        let stage = Stage::Undoing { index, run: run.id, since: now };
        self.change_remediation(now, id, |remediation| remediation.stage = stage);
        self.effects.push(Effect::Perform(Box::new(run)));
        true
    }

    /// Why an effect may not be taken back now: it is an action like any other, and nobody waits for it to be allowed.
    fn objection_to_undo(&self, now: Now, id: IncidentId, action: &Action) -> Option<Text> {
        let incident = self.state.incidents.get(&id)?;
        let decision = self.decision_within(now, id, action.disruption(), Moment::Undo, action.describe())?;
        if let Some(objection) = decision.objections().next() {
            return Some(Text::new(format!("{}: {}", objection.gate.as_str(), objection.why)));
        }
        let violation =
            invariant::before_action(self, now, &incident.target, Behalf::Incident(id), action.disruption()).err()?;
        Some(violation.what)
    }

    /// After a restart of the agent: what was in flight has an unknown outcome, and is observed before anything is done.
    pub(crate) fn resume(&mut self, now: Now) {
        let lost: alloc::vec::Vec<_> = self.state.runs.iter().map(|(run, pending)| (*run, pending.incident)).collect();
        for (run, incident) in lost {
            if let Some(id) = incident {
                let what = Text::new(format!("the agent stopped while {run} was under way; its outcome is unknown"));
                self.record(now, id, StepKind::Interrupted { what });
            }
            self.action_ended(now, run, ActionOutcome::Lost { why: "the agent was restarted".into() });
        }
        self.reconcile_all(now);
    }
}
