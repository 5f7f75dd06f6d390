//! FaultDomains of one target that stand in each other's way: which of them lets the other go first, and how it goes on later.
//! Its tries are kept meanwhile: what gives way again and again must not begin its ladder anew each time.

use alloc::{format, vec::Vec};

use ansai_model::{
    id::{IncidentId, TargetId},
    policy::Policy,
    runbook::Runbook,
    text::Text,
};

use crate::{
    context::Context,
    remediation::{Remediation, Stage},
    state::OperatorAnswer,
};

impl Context {
    /// Ends a remediation of another fault domain while the target itself is down: that comes first, and this one waits for it
    /// as its symptom. Says whether it did.
    pub(crate) fn yields_to_itself(&mut self, id: IncidentId) -> bool {
        let view = self.view();
        let other = view.incident(id).and_then(|incident| view.down_first(incident)).map(|other| other.id);
        let Some(other) = other.filter(|_| self.state.remediations.contains_key(&id)) else { return false };
        let what = Text::new(format!("the target itself is down, which comes first ({other})"));
        self.preempt(id, what);
        self.goes_again(id);
        self.change_incident(id, |incident| incident.symptom_of = Some(other));
        self.wake_waiting();
        true
    }

    /// What is under way on a target for another fault domain and waits gives way to a failure of it: a restart that waits for a
    /// quiet hour must not keep a service down that has crashed. The target itself gives way to nothing, and only to it
    /// gives way what stands still in the middle of a rung.
    pub(crate) fn yield_to(&mut self, target: &TargetId, to: IncidentId) {
        if self.checks.count_open_of(target) < 2 {
            return;
        }
        let view = self.view();
        let has_own = view.own_check(target).is_some();
        let open: Vec<_> = view.open_of(target).map(|open| (open.id, view.is_about_itself(open))).collect();
        let is_itself = open.iter().any(|(id, is_itself)| *id == to && *is_itself);
        for (id, is_own) in open.into_iter().filter(|(id, _)| *id != to) {
            let waits = self.state.remediations.get(&id).is_some_and(|remediation| match remediation.stage {
                Stage::Ready | Stage::BackingOff { .. } => remediation.step == 0 || is_itself,
                Stage::Waiting { .. } => has_own && is_itself,
                Stage::Acting { .. } | Stage::Verifying { .. } => false,
                Stage::Stabilizing { .. } | Stage::Undoing { .. } => false,
            });
            if waits && !(has_own && is_own) {
                self.preempt(id, "another failure of the same target comes first".into());
            }
        }
    }

    /// Lets what waits on a target for another fault domain give way, when this incident says that the target itself is down.
    pub(crate) fn prioritize(&mut self, id: IncidentId) {
        let view = self.view();
        let Some(incident) = view.incident(id) else { return };
        let is_alone = self.checks.count_open_of(&incident.target) < 2;
        if is_alone || view.own_check(&incident.target).is_none() || !view.is_about_itself(incident) {
            return;
        }
        let target = incident.target.clone();
        self.yield_to(&target, id);
    }

    /// Ends a remediation for now; its incident stays open, is decided on anew, and goes on with the tries that are left.
    pub(crate) fn preempt(&mut self, id: IncidentId, what: Text) {
        let remediation = self.state.remediations.get(&id).cloned();
        self.leave(id, what);
        self.state.preempted.extend(remediation.map(|remediation| (id, remediation)));
    }

    /// The remediation to begin with: what was set aside goes on where it stood, when it is still the same runbook.
    pub(crate) fn remediation_for(&mut self, id: IncidentId, runbook: Runbook, policy: Policy) -> Remediation {
        let is_forced = self.state.answers.get(&id) == Some(&OperatorAnswer::Forced);
        match self.state.preempted.remove(&id) {
            Some(before) if before.runbook == runbook && !is_forced => Remediation {
                policy,
                step: 0,
                has_acted: false,
                was_interrupted: false,
                stage: match before.stage {
                    Stage::BackingOff { until } => Stage::BackingOff { until },
                    Stage::Ready | Stage::Acting { .. } | Stage::Waiting { .. } | Stage::Verifying { .. } => {
                        Stage::Ready
                    }
                    Stage::Stabilizing { .. } | Stage::Undoing { .. } => Stage::Ready,
                },
                ..before
            },
            Some(_) | None => Remediation::new(runbook, policy),
        }
    }
}
