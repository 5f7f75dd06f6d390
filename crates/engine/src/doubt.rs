//! Whether a validator is believed: one that calls a configuration wrong with which its unit then starts and is well is not
//! asked again before a person has looked. Only what a start has shown counts: a unit that runs since before the no says
//! nothing about it.

use alloc::{boxed::Box, format, vec::Vec};
use core::time::Duration;

use ansai_model::{
    action::{Action, ActionOutcome},
    id::{RunId, TargetId},
    incident::{Incident, StepKind},
    probe::CommandLine,
    runbook::{Rung, Step},
    text::Text,
};

use crate::{
    context::Context,
    effect::Effect,
    invariant::{self, Behalf},
    last_known_good::validator_in,
    state::{Doubt, PendingRun},
    view::View,
};

/// For asking it once more.
const ASK_TIMEOUT: Duration = Duration::from_secs(30);

impl Context {
    /// Takes in how an action ended that was a validator's.
    pub(crate) fn heard_validator(&mut self, run: RunId, pending: &PendingRun, outcome: &ActionOutcome) {
        let doubt = self.state.targets.get(&pending.target).and_then(|memory| memory.doubt.as_ref());
        if doubt.is_some_and(|doubt| doubt.asked == Some(run)) {
            return self.asked_again(&pending.target, outcome);
        }
        if doubt.is_some_and(|doubt| doubt.refuted.is_some()) {
            return;
        }
        let remediation = pending.incident.and_then(|id| self.state.remediations.get(&id));
        let step = remediation.and_then(|remediation| remediation.current()?.steps.get(remediation.step));
        if !matches!(step, Some(Step::Act { action: Action::Validate { .. }, .. })) {
            return;
        }
        let generation = self.bundle.parts().generation;
        let memory = self.state.targets.entry(pending.target.clone()).or_default();
        match outcome {
            ActionOutcome::Failed { why } => {
                let doubt = Doubt { said_no: self.now, why: why.clone(), asked: None, refuted: None, generation };
                memory.doubt = Some(Box::new(doubt));
            }
            ActionOutcome::Succeeded { .. } => (memory.doubt, memory.invalid) = (None, None),
            ActionOutcome::NotNeeded { .. } | ActionOutcome::TimedOut { .. } => {}
            ActionOutcome::Refused { .. } | ActionOutcome::Lost { .. } => {}
        }
    }

    /// A unit whose validator said no is well: when it was started since, the validator is asked once more.
    pub(crate) fn ask_doubted(&mut self, slot: usize) {
        let check = &self.checks[slot];
        let target = &check.check.target;
        let Some(doubt) = self.state.targets.get(target).and_then(|memory| memory.doubt.as_ref()) else { return };
        let started = check.last.as_ref().and_then(|(_, seen)| seen.unit()).and_then(|unit| unit.since);
        let was_started = started.is_some_and(|started| started > doubt.said_no.wall);
        if !was_started || doubt.asked.is_some() || doubt.refuted.is_some() {
            return;
        }
        let target = target.clone();
        let Some(command) = self.view().validator_of(&target) else { return };
        let action = Action::Validate { command: Box::new(command) };
        // Nothing is begun in a hold: it is asked with a later look.
        if invariant::before_action(self.view(), &target, Behalf::Request, action.disruption()).is_err() {
            return;
        }
        let run = self.begin_run(None, target.clone(), action, ASK_TIMEOUT);
        if let Some(doubt) = self.state.targets.get_mut(&target).and_then(|memory| memory.doubt.as_mut()) {
            doubt.asked = Some(run.id);
        }
        self.effects.push(Effect::Perform(Box::new(run)));
    }

    /// The question was not begun: the next look asks it.
    pub(crate) fn was_not_asked(&mut self, run: RunId, target: &TargetId) {
        let doubt = self.state.targets.get_mut(target).and_then(|memory| memory.doubt.as_mut());
        if let Some(doubt) = doubt.filter(|doubt| doubt.asked == Some(run)) {
            doubt.asked = None;
        }
    }

    fn asked_again(&mut self, target: &TargetId, outcome: &ActionOutcome) {
        let (generation, now) = (self.bundle.parts().generation, self.now);
        let Some(memory) = self.state.targets.get_mut(target) else { return };
        let Some(doubt) = memory.doubt.as_mut() else { return };
        doubt.asked = None;
        match outcome {
            ActionOutcome::Failed { why } => {
                doubt.refuted = Some(now);
                doubt.generation = generation;
                let what = Text::new(format!(
                    "the validator still says no, and {target} runs with this configuration: it is not believed until \
                    `ansai heal` or a new configuration of ansai's ({why})"
                ));
                let open = self.checks.open_of(target).collect::<Vec<_>>();
                open.into_iter().for_each(|id| self.record(id, StepKind::Interrupted { what: what.clone() }));
            }
            // Nobody knows: the next look asks again.
            ActionOutcome::Lost { .. } => {}
            // The configuration has been mended, or the validator cannot say.
            ActionOutcome::Succeeded { .. } | ActionOutcome::NotNeeded { .. } => memory.doubt = None,
            ActionOutcome::TimedOut { .. } | ActionOutcome::Refused { .. } => memory.doubt = None,
        }
        self.changed();
    }

    /// A person has looked: the validator is believed again.
    pub(crate) fn trust_validator(&mut self, target: &TargetId) {
        if let Some(memory) = self.state.targets.get_mut(target) {
            memory.doubt = None;
        }
    }
}

impl View<'_> {
    /// Why a rung that only asks the validator is passed over.
    pub(crate) fn disbelief(self, incident: &Incident, rung: &Rung) -> Option<Text> {
        let asks = |step: &Step| matches!(step, Step::Act { action: Action::Validate { .. }, .. });
        if rung.steps.is_empty() || !rung.steps.iter().all(asks) {
            return None;
        }
        let doubt = self.memory(&incident.target)?.doubt.as_ref().filter(|doubt| doubt.refuted.is_some())?;
        let is_in_force = doubt.generation >= self.bundle.parts().generation;
        is_in_force.then(|| "its validator said no to a configuration with which it then ran".into())
    }

    fn validator_of(self, target: &TargetId) -> Option<CommandLine> {
        let rule = self.rules_of(target).next()?;
        self.bundle.parts().runbooks.get(&rule.runbook)?.rungs.iter().find_map(validator_in)
    }
}
