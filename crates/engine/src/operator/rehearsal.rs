//! What an operator's command would do at this moment, and `ansai heal` rung by rung. It is tried on a copy of the engine, so
//! that what is told is what would be decided, and nothing is begun.

use alloc::vec::Vec;

use ansai_model::{
    action::Action,
    decision::GateResult,
    id::{IncidentId, RungId, TargetId},
    incident::Incident,
    operator::OperatorCommand,
    runbook::{Entry, Runbook, Step},
    text::Text,
};
use serde::Serialize;

use crate::{
    context::Context,
    effect::{Answer, Effect},
    view::View,
};

/// What would be done, and under what.
#[derive(Clone, Debug, Serialize)]
pub struct Rehearsal {
    /// On which target.
    pub target: TargetId,
    /// For which incident, when one is open that could be healed.
    pub incident: Option<IncidentId>,
    /// Why it would be refused; nothing when it would begin.
    pub refused: Option<Text>,
    /// What to do instead, when it would be refused.
    pub suggestion: Option<Text>,
    /// What all gates say of it.
    pub gates: Vec<GateResult>,
    /// The rungs that would be climbed until one helps, in order.
    pub rungs: Vec<RungPlan>,
}

/// A rung as it would be climbed.
#[derive(Clone, Debug, Serialize)]
pub struct RungPlan {
    /// The rung, by its name.
    pub rung: RungId,
    /// How often at most.
    pub attempts_max: u32,
    /// Why it would be passed over at this moment; nothing when it would not.
    pub passed_over: Option<Text>,
    /// What would be done.
    pub steps: Vec<Step>,
}

impl Context {
    /// What an operator's command is answered now, on a copy that nobody keeps, and the action that was asked for itself; a
    /// remedy is none, for what one of its steps is refused the next may do.
    pub(crate) fn rehearse(&mut self, command: OperatorCommand) -> (Answer, Option<Action>) {
        let answer = self.answer_to(command);
        let asked_for = self.effects.drain(..).find_map(|effect| match effect {
            Effect::Perform(run) if run.incident.is_none() => Some(run.action),
            _ => None,
        });
        (answer, asked_for)
    }

    /// What healing a target on request does now, on a copy that nobody keeps; `None` when there is no such target.
    pub(crate) fn rehearse_heal(&mut self, target: &TargetId) -> Option<Rehearsal> {
        self.checks.targets.get(target)?;
        let is_healed = |incident: &&Incident| self.state.remediations.contains_key(&incident.id);
        let is_to_heal = |open: &&Incident| !open.kind.is_notify_only() && !is_healed(open);
        let incident = self.view().open_of(target).find(is_to_heal).map(|open| open.id);
        let (refused, suggestion) = match self.heal(target, &"a rehearsal".into()) {
            Answer::Done(_) => (None, None),
            Answer::Refused { why, suggestion } | Answer::NotFound { what: why, suggestion } => {
                (Some(why), Some(suggestion))
            }
        };
        let view = self.view();
        let proposed = incident.and_then(|id| view.incident(id));
        let decision = proposed.and_then(|incident| incident.decision.as_ref());
        let gates = decision.map(|decision| decision.gates.clone()).unwrap_or_default();
        let rungs = proposed.and_then(|incident| view.rungs_for(incident)).unwrap_or_default();
        Some(Rehearsal { target: target.clone(), incident, refused, suggestion, gates, rungs })
    }
}

impl View<'_> {
    fn rungs_for(self, incident: &Incident) -> Option<Vec<RungPlan>> {
        let runbook: &Runbook = match self.state.remediations.get(&incident.id) {
            Some(remediation) => &remediation.runbook,
            None => {
                let rule = self.rules_for(incident).next()?;
                self.bundle.parts().runbooks.get(&rule.runbook)?
            }
        };
        let plans = runbook.rungs.iter().map(|rung| RungPlan {
            rung: rung.id.clone(),
            attempts_max: rung.attempts_max,
            passed_over: match rung.entry {
                Entry::OnlyByName => Some("only after another rung has failed".into()),
                Entry::InOrder => self.objection_to_rung(incident, rung),
            },
            steps: rung.steps.clone(),
        });
        Some(plans.collect())
    }
}
