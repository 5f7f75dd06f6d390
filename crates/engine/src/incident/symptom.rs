//! Symptoms: which open incident is the cause of another, and how long that one is left to it.

use core::time::Duration;

use ansai_model::{
    id::{IncidentId, TargetId},
    incident::Phase,
    time::Now,
};

use crate::host_engine::{HostEngine, Wake};

/// How long a symptom that no rule governs waits for its cause.
const PATIENCE_DEFAULT: Duration = Duration::from_secs(300);

impl HostEngine {
    /// The open incident that is the likelier cause of a new one: that of a target that it needs.
    pub(super) fn primary_of(&self, target: &TargetId) -> Option<IncidentId> {
        let needs = self.bundle.parts().targets.get(target).map(|target| target.needs.as_slice()).unwrap_or_default();
        needs.iter().find_map(|need| {
            let open = &self.targets.get(need)?.open;
            open.iter().find(|id| self.state.incidents.get(id).is_some_and(|i| i.symptom_of.is_none())).copied()
        })
    }

    /// Whether a symptom is left to its cause: a person knows of that, or there is still time for it to be healed.
    pub(super) fn is_seen_to(&mut self, now: Now, id: IncidentId, cause: IncidentId) -> bool {
        let Some(primary) = self.state.incidents.get(&cause) else { return false };
        if matches!(primary.phase, Phase::Escalated { .. }) {
            return true;
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
}
