//! Keeping the last known good configuration: only while the target is well, and only when a runbook could put it back. What its
//! validator says no to is not kept: the unit runs with what it has read before, and people are told before its next start. Where
//! nothing is kept the validator is asked once a reload has failed.

use alloc::boxed::Box;
use core::time::Duration;

use ansai_model::{
    action::{Action, ActionOutcome},
    id::TargetId,
    incident::IncidentKind,
    observation::{Health, Observation},
    probe::{CommandLine, Probe},
    runbook::{Rung, Step},
    unit::{UnitSnapshot, judge},
};

use crate::{
    check::CheckState,
    context::Context,
    effect::Effect,
    invariant::{self, Behalf},
    state::PendingRun,
    view::View,
};

/// How often it is kept anew.
const KEEP_EVERY: Duration = Duration::from_secs(600);
/// The same once its validator has said no, or a reload has failed: whoever mends it sees soon that it is mended.
const ASK_EVERY: Duration = Duration::from_secs(60);
const KEEP_TIMEOUT: Duration = Duration::from_secs(30);

impl Context {
    /// Asks for a copy of the configuration of a healthy unit, when one is due.
    pub(crate) fn keep_configuration(&mut self, slot: usize) {
        let check = &self.checks[slot];
        if !matches!(check.check.probe, Probe::Unit { .. }) {
            return;
        }
        let lasts = check.kept.map(|at| self.now.mono.since(at));
        if lasts.is_some_and(|lasts| lasts < ASK_EVERY) {
            return;
        }
        let memory = self.state.targets.get(&check.check.target);
        let unit = check.last.as_ref().and_then(|(_, seen)| seen.unit());
        let is_in_question =
            memory.is_some_and(|memory| memory.invalid.is_some()) || unit.is_some_and(|unit| unit.has_failed_to_reload);
        let is_early = !is_in_question && lasts.is_some_and(|lasts| lasts < KEEP_EVERY);
        if is_early || !self.may_keep(&check.check.target) {
            return;
        }
        let target = check.check.target.clone();
        self.checks[slot].kept = Some(self.now.mono);
        let Some(action) = self.view().keeping(&target, is_in_question) else { return };
        // Nothing is begun in a hold: it is tried again when the next copy is due.
        if invariant::before_action(self.view(), &target, Behalf::Request, action.disruption()).is_err() {
            return;
        }
        let run = self.begin_run(None, target, action, KEEP_TIMEOUT);
        if let Some(pending) = self.state.runs.get_mut(&run.id) {
            pending.is_keeping = true;
        }
        self.effects.push(Effect::Perform(Box::new(run)));
    }
}

impl Context {
    /// Whether nothing is amiss with a target but what it warns of.
    fn may_keep(&self, target: &TargetId) -> bool {
        let mut open = self.checks.open_of(target).filter_map(|id| self.state.incidents.get(&id));
        open.all(|incident| incident.kind == IncidentKind::Warning)
    }

    /// Takes in whether a configuration was kept, or its validator has said no.
    pub(crate) fn heard_of_keeping(&mut self, pending: &PendingRun, outcome: &ActionOutcome) {
        if !pending.is_keeping {
            return;
        }
        let now = self.now;
        let memory = self.state.targets.entry(pending.target.clone()).or_default();
        let is_believed = memory.doubt.as_ref().is_none_or(|doubt| doubt.refuted.is_none());
        match outcome {
            ActionOutcome::Failed { why } if is_believed => {
                let (_, said) = &mut **memory.invalid.get_or_insert_with(|| Box::new((now, why.clone())));
                said.clone_from(why);
            }
            // It was not the validator that refused.
            ActionOutcome::Succeeded { .. } | ActionOutcome::Refused { .. } => memory.invalid = None,
            ActionOutcome::Failed { .. } => memory.invalid = None,
            ActionOutcome::NotNeeded { .. } | ActionOutcome::TimedOut { .. } | ActionOutcome::Lost { .. } => {}
        }
        self.changed();
    }
}

impl View<'_> {
    /// A unit that is well warns when its validator says no to what it will read when it is started next. One that was
    /// started since and is well has shown that it does not mind.
    pub(crate) fn with_what_is_invalid(self, check: &CheckState, seen: Observation) -> Observation {
        let (Probe::Unit { expect, .. }, Health::Healthy) = (&check.check.probe, seen.health()) else { return seen };
        let invalid = self.memory(&check.check.target).and_then(|memory| memory.invalid.as_deref());
        let (Some((since, why)), Some(unit)) = (invalid, seen.unit()) else { return seen };
        if unit.since.is_some_and(|started| started > since.wall) {
            return seen;
        }
        judge(*expect, UnitSnapshot { invalid: Some(why.clone()), ..unit.clone() }).with_took(seen.took())
    }

    /// The action that keeps what the target's runbook could put back, with the validator of the same runbook; or only
    /// asks that, when it is in question whether it is valid.
    fn keeping(self, target: &TargetId, is_in_question: bool) -> Option<Action> {
        let parts = self.bundle.parts();
        let rule = self.rules_of(target).next()?;
        let rungs = &parts.runbooks.get(&rule.runbook)?.rungs;
        let validator = rungs.iter().find_map(validator_in)?;
        let kept = rungs.iter().flat_map(|rung| &rung.steps).find_map(|step| match step {
            Step::Act { action: Action::RestoreConfiguration { unit, paths, .. }, .. } => {
                let (unit, paths, validator) = (unit.clone(), paths.clone(), validator.clone());
                Some(Action::SaveConfiguration { unit, paths, validator: Box::new(validator) })
            }
            Step::Act { .. } | Step::Wait(_) => None,
        });
        kept.or_else(|| is_in_question.then(|| Action::Validate { command: Box::new(validator) }))
    }
}

/// The validator that a rung asks.
pub(crate) fn validator_in(rung: &Rung) -> Option<CommandLine> {
    rung.steps.iter().find_map(|step| match step {
        Step::Act { action: Action::Validate { command }, .. } => Some((**command).clone()),
        Step::Act { .. } | Step::Wait(_) => None,
    })
}
