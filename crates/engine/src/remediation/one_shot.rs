//! What a ladder leaves alone because its unit is a one-shot: it does one thing and ends, and nobody but who declared it knows
//! whether it may do so twice. It begins nothing.

use ansai_model::{
    action::Action,
    id::TargetId,
    incident::Incident,
    runbook::{Runbook, Rung, Step},
    text::Text,
};

use crate::view::View;

impl View<'_> {
    /// Why a try of a rung is not for an incident's target: what a one-shot has begun is not undone by beginning anew, so
    /// it is run again only where that is declared, once where a person asks for it, and never killed.
    pub(super) fn spares_one_shot(self, incident: &Incident, rung: &Rung) -> Option<Text> {
        let id = incident.id;
        let is_first = self.state.remediations.get(&id).is_none_or(|remediation| remediation.attempts == 0);
        if is_first && self.state.answers.contains_key(&id) && !rung.steps.iter().any(kills) {
            return None;
        }
        self.spared(&incident.target, rung)
    }

    /// Whether a ladder has something for a target that is not spared for being a one-shot.
    pub(crate) fn has_rung_for(self, target: &TargetId, runbook: &Runbook) -> bool {
        runbook.rungs.iter().any(|rung| self.spared(target, rung).is_none())
    }

    fn spared(self, target: &TargetId, rung: &Rung) -> Option<Text> {
        // What cannot be seen at this moment is what it was when it was last seen.
        if !self.checks.of(target).any(|check| check.is_job) {
            return None;
        }
        if rung.steps.iter().any(kills) {
            return Some("its unit is a one-shot, which is left to end".into());
        }
        let runs_again = self.bundle.parts().targets.get(target).is_some_and(|target| target.runs_again);
        let is_run = rung.steps.iter().any(runs);
        (is_run && !runs_again)
            .then(|| "its unit is a one-shot, which is run again only where `run_again: true` says so".into())
    }
}

fn kills(step: &Step) -> bool {
    matches!(step, Step::Act { action: Action::KillUnit { .. }, .. })
}

fn runs(step: &Step) -> bool {
    matches!(step, Step::Act { action: Action::RestartUnit { .. } | Action::StartUnit { .. }, .. })
}
