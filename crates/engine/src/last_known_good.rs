//! Keeping the last known good configuration: only while the target is well, and only when a runbook could put it back.

use alloc::boxed::Box;
use core::time::Duration;

use ansai_model::{
    action::Action,
    id::TargetId,
    probe::{CommandLine, Probe},
    runbook::{Rung, Step},
};

use crate::{
    context::Context,
    effect::Effect,
    invariant::{self, Behalf},
    view::View,
};

/// How often it is kept anew.
const KEEP_EVERY: Duration = Duration::from_secs(600);
const KEEP_TIMEOUT: Duration = Duration::from_secs(30);

impl Context {
    /// Asks for a copy of the configuration of a healthy unit, when one is due.
    pub(crate) fn keep_configuration(&mut self, slot: usize) {
        let check = &self.checks[slot];
        let is_due = check.kept.is_none_or(|at| self.now.mono.since(at) >= KEEP_EVERY);
        if !is_due || !matches!(check.check.probe, Probe::Unit { .. }) {
            return;
        }
        let target = check.check.target.clone();
        self.checks[slot].kept = Some(self.now.mono);
        let Some(action) = self.view().keeping(&target) else { return };
        // Nothing is begun in a hold: it is tried again when the next copy is due.
        if invariant::before_action(self.view(), &target, Behalf::Request, action.disruption()).is_err() {
            return;
        }
        let run = self.begin_run(None, target, action, KEEP_TIMEOUT);
        self.effects.push(Effect::Perform(Box::new(run)));
    }
}

impl View<'_> {
    /// The action that keeps what the target's runbook could put back, with the validator of the same runbook.
    fn keeping(self, target: &TargetId) -> Option<Action> {
        let parts = self.bundle.parts();
        let rule = self.rules_of(target).next()?;
        let rungs = &parts.runbooks.get(&rule.runbook)?.rungs;
        let validator = rungs.iter().find_map(validator_in)?;
        rungs.iter().flat_map(|rung| &rung.steps).find_map(|step| match step {
            Step::Act { action: Action::RestoreConfiguration { unit, paths, .. }, .. } => {
                let (unit, paths, validator) = (unit.clone(), paths.clone(), validator.clone());
                Some(Action::SaveConfiguration { unit, paths, validator: Box::new(validator) })
            }
            Step::Act { .. } | Step::Wait(_) => None,
        })
    }
}

/// The validator that a rung asks.
pub(crate) fn validator_in(rung: &Rung) -> Option<CommandLine> {
    rung.steps.iter().find_map(|step| match step {
        Step::Act { action: Action::Validate { command }, .. } => Some((**command).clone()),
        Step::Act { .. } | Step::Wait(_) => None,
    })
}
