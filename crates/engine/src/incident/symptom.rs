//! Symptoms: which open incident is the cause of another, how long that one is left to it, and what it is told of it.

use core::time::Duration;

use ansai_model::{
    id::{IncidentId, TargetId},
    incident::{Incident, Phase, Step, StepKind},
    text::Text,
    time::Now,
};

use crate::host_engine::{HostEngine, Wake};

/// How long a symptom that no rule governs waits for its cause.
const PATIENCE_DEFAULT: Duration = Duration::from_secs(300);

impl HostEngine {
    /// Notes the open incident that is the likelier cause of this one when it opens, and once a check that the target
    /// waits for is found failing after it.
    pub(super) fn link_to_cause(&mut self, now: Now, id: IncidentId) {
        let Some(incident) = self.state.incidents.get(&id) else { return };
        let (target, is_new) = (incident.target.clone(), incident.opened == now);
        let needed = if is_new { self.needed_that_failed(id, &target) } else { None };
        let Some(cause) = needed.or_else(|| self.awaited_that_failed(&target)) else { return };
        let (Some(primary), Some(incident)) = (self.state.incidents.get(&cause), self.state.incidents.get(&id)) else {
            return;
        };
        // It was left to it once, for as long as there was patience.
        let is_this = |step: &Step| matches!(step.kind, StepKind::Cause { incident, .. } if incident == cause);
        if incident.steps.iter().any(is_this) {
            return;
        }
        let what = Text::new(alloc::format!("{}: {}", primary.target, primary.observation.summary()));
        if let Some(incident) = self.state.incidents.get_mut(&id) {
            incident.symptom_of = Some(cause);
        }
        self.record(now, id, StepKind::Cause { incident: cause, what });
    }

    /// The open incident of a target that this one needs.
    fn needed_that_failed(&self, id: IncidentId, target: &TargetId) -> Option<IncidentId> {
        let needs = &self.bundle.parts().targets.get(target)?.needs;
        needs.iter().find_map(|need| {
            let open = &self.targets.get(need)?.open;
            // That it leaks, as long as it runs, is no reason for another to be down.
            let is_cause =
                |cause: IncidentId| self.is_primary(cause) && self.is_about_itself(cause) && self.explains(cause, id);
            open.iter().copied().find(|cause| is_cause(*cause))
        })
    }

    /// Whether the failure of what it needs may be why an incident has opened: not when that was seen well again before the
    /// target itself went down. One that only answers wrongly, as without its connections, may still suffer from it.
    fn explains(&self, cause: IncidentId, id: IncidentId) -> bool {
        let Some((cause, incident)) = self.state.incidents.get(&cause).zip(self.state.incidents.get(&id)) else {
            return false;
        };
        let is_verified = matches!(cause.phase, Phase::Stabilizing { .. });
        !is_verified
            || !self.is_down(id)
            || cause.healthy_since.is_none_or(|well| incident.failing_since.mono < well.mono)
    }

    /// The open incident of a check that this target waits for and that fails now.
    fn awaited_that_failed(&self, target: &TargetId) -> Option<IncidentId> {
        let causes = &self.bundle.parts().targets.get(target)?.waits_for;
        let failing = causes.iter().filter(|check| self.is_failing(check));
        failing
            .filter_map(|check| self.open_on(&TargetId::new(check.target()).ok()?, check))
            .find(|id| self.is_primary(*id))
    }

    fn is_primary(&self, id: IncidentId) -> bool {
        let is_cause = |incident: &Incident| incident.symptom_of.is_none() && !incident.kind.is_told_only();
        self.state.incidents.get(&id).is_some_and(is_cause)
    }

    /// Whether a symptom is left to its cause: a person knows of that, or there is still time for it to be healed.
    pub(super) fn is_seen_to(&mut self, now: Now, id: IncidentId, cause: IncidentId) -> bool {
        let Some(primary) = self.state.incidents.get(&cause) else { return false };
        let is_needed = self.state.incidents.get(&id).is_some_and(|incident| {
            let target = self.bundle.parts().targets.get(&incident.target);
            target.is_some_and(|target| target.needs.contains(&primary.target))
        });
        match primary.phase {
            Phase::Escalated { .. } if is_needed => return true,
            // It does not come back by itself: neither when there is room again, nor when it is down itself.
            Phase::Stabilizing { .. } if !is_needed || self.is_down(id) => return false,
            Phase::Escalated { .. } | Phase::Stabilizing { .. } | Phase::Open | Phase::AwaitingApproval { .. } => {}
            Phase::Remediating | Phase::Resolved(_) => {}
        }
        let patience = self.policy_of(id).map_or(PATIENCE_DEFAULT, |policy| policy.dependency_wait);
        let Some(until) = self.state.incidents.get(&id).map(|incident| incident.opened.mono.plus(patience)) else {
            return false;
        };
        if now.mono < until {
            self.wake(until, Wake::Incident(id));
            return true;
        }
        false
    }

    /// Notes in the symptoms of an incident what happened in it, so that one report tells both in their order.
    pub(crate) fn tell_symptoms(&mut self, now: Now, cause: IncidentId, what: &Text) {
        let symptoms = self.state.incidents.values().filter(|incident| incident.symptom_of == Some(cause));
        for id in symptoms.map(|incident| incident.id).collect::<alloc::vec::Vec<_>>() {
            self.record(now, id, StepKind::Cause { incident: cause, what: what.clone() });
        }
    }
}
