//! Matters of one target that stand in each other's way: which of them lets the other go first, and how it goes on later.
//! Its tries are kept meanwhile: what gives way again and again must not begin its ladder anew each time.

use alloc::{format, vec::Vec};

use ansai_model::{
    id::{IncidentId, TargetId},
    policy::Policy,
    runbook::Runbook,
    text::Text,
    time::Now,
};

use crate::{
    host_engine::HostEngine,
    remediation::{Remediation, Stage},
    state::OperatorAnswer,
};

impl HostEngine {
    /// Ends a remediation of another matter while the target itself is down: that comes first, and this one waits for it
    /// as its symptom. Says whether it did.
    pub(crate) fn gives_way_to_itself(&mut self, now: Now, id: IncidentId) -> bool {
        let Some(other) = self.down_first(id).filter(|_| self.state.remediations.contains_key(&id)) else {
            return false;
        };
        let what = Text::new(format!("the target itself is down, which comes first ({other})"));
        self.set_aside(now, id, what);
        if let Some(incident) = self.state.incidents.get_mut(&id) {
            incident.healthy_since = None;
            incident.symptom_of = Some(other);
        }
        self.wake_waiting(now);
        true
    }

    /// What is under way on a target for another matter and waits gives way to a failure of it: a restart that waits for a
    /// quiet hour must not keep a service down that has crashed. The target itself gives way to nothing, and only to it
    /// gives way what stands still in the middle of a rung.
    pub(crate) fn give_way(&mut self, now: Now, target: &TargetId, to: IncidentId) {
        let Some(open) = self.targets.get(target).map(|index| &index.open).filter(|open| open.len() > 1) else {
            return;
        };
        let open: Vec<_> = open.iter().copied().collect();
        let (has_own, is_itself) = (self.own_check(target).is_some(), self.is_about_itself(to));
        for id in open.into_iter().filter(|id| *id != to) {
            let waits = self.state.remediations.get(&id).is_some_and(|remediation| match remediation.stage {
                Stage::Ready | Stage::BackingOff { .. } => remediation.step == 0 || is_itself,
                Stage::Waiting { .. } => has_own && is_itself,
                Stage::Acting { .. } | Stage::Verifying { .. } => false,
                Stage::Stabilizing { .. } | Stage::Undoing { .. } => false,
            });
            if waits && !(has_own && self.is_about_itself(id)) {
                self.set_aside(now, id, "another failure of the same target comes first".into());
            }
        }
    }

    /// Lets what waits on a target for another matter give way, when this incident says that the target itself is down.
    pub(crate) fn come_first(&mut self, now: Now, id: IncidentId) {
        let Some(target) = self.state.incidents.get(&id).map(|incident| &incident.target) else { return };
        let is_alone = self.targets.get(target).is_none_or(|index| index.open.len() < 2);
        if is_alone || self.own_check(target).is_none() || !self.is_about_itself(id) {
            return;
        }
        let target = target.clone();
        self.give_way(now, &target, id);
    }

    /// Ends a remediation for now; its incident stays open, is decided on anew, and goes on with the tries that are left.
    pub(crate) fn set_aside(&mut self, now: Now, id: IncidentId, what: Text) {
        let remediation = self.state.remediations.get(&id).cloned();
        self.leave(now, id, what);
        self.state.set_aside.extend(remediation.map(|remediation| (id, remediation)));
    }

    /// The remediation to begin with: what was set aside goes on where it stood, when it is still the same runbook.
    pub(crate) fn remediation_for(&mut self, id: IncidentId, runbook: Runbook, policy: Policy) -> Remediation {
        let is_forced = self.state.answers.get(&id) == Some(&OperatorAnswer::Forced);
        match self.state.set_aside.remove(&id) {
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
