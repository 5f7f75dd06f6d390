//! Groups: which checks of a target are one matter. Checks that one rule covers fail together, are healed together and
//! are verified together; those of different rules, as a filesystem's space and its errors, are not.
//! It decides nothing about incidents; it says what belongs to one.

use alloc::{collections::BTreeSet, vec::Vec};

use ansai_model::{
    id::{CheckId, IncidentId, TargetId},
    time::Now,
};

use crate::{
    check::CheckState,
    host_engine::HostEngine,
    remediation::{Remediation, Stage},
};

impl HostEngine {
    /// Marks the targets that more than one rule divides; of the others, which are nearly all, nothing has to be asked.
    pub(crate) fn divide_targets(&mut self) {
        let rules = self.bundle.parts().rules.values();
        let mut seen: BTreeSet<&TargetId> = BTreeSet::new();
        let divided: Vec<_> = rules.map(|rule| &rule.target).filter(|target| !seen.insert(*target)).collect();
        for target in divided {
            if let Some(index) = self.targets.get_mut(target) {
                index.is_divided = true;
            }
        }
    }

    /// Whether two checks of a target are one matter: one rule covers both, or no rule covers one of them.
    pub(crate) fn are_together(&self, target: &TargetId, one: &CheckId, other: &CheckId) -> bool {
        if one == other || self.targets.get(target).is_none_or(|index| !index.is_divided) {
            return true;
        }
        let rules = || self.bundle.parts().rules.values().filter(|rule| rule.target == *target);
        let is_ruled = |check: &CheckId| rules().any(|rule| rule.checks.contains(check));
        rules().any(|rule| rule.checks.contains(one) && rule.checks.contains(other))
            || !is_ruled(one)
            || !is_ruled(other)
    }

    /// The checks that an incident is about: all of its target, or of these the ones that are one matter with its own.
    pub(crate) fn checks_of(&self, id: IncidentId) -> Vec<&CheckState> {
        let Some(incident) = self.state.incidents.get(&id) else { return Vec::new() };
        let slots = self.targets.get(&incident.target).map(|index| index.checks.as_slice()).unwrap_or_default();
        let checks = slots.iter().map(|slot| &self.checks[*slot]);
        checks.filter(|check| self.are_together(&incident.target, &incident.check, &check.check.id)).collect()
    }

    /// The open incident that covers a check, when there is one.
    pub(crate) fn open_on(&self, target: &TargetId, check: &CheckId) -> Option<IncidentId> {
        let open = &self.targets.get(target)?.open;
        let covers = |id: &IncidentId| {
            self.state.incidents.get(id).is_some_and(|incident| self.are_together(target, &incident.check, check))
        };
        open.iter().copied().find(covers)
    }

    /// Whether a check fails, by an incident that covers it or by what was last seen.
    pub(crate) fn is_failing(&self, check: &CheckId) -> bool {
        self.check_index.get(check).is_some_and(|slot| {
            let state = &self.checks[*slot];
            state.hard == ansai_model::observation::Health::Failing || state.failures > 0
        })
    }

    /// Whether another incident of the same target has a remedy under way.
    pub(crate) fn is_healed_elsewhere(&self, id: IncidentId) -> bool {
        let target = self.state.incidents.get(&id).and_then(|incident| self.targets.get(&incident.target));
        let others = target.into_iter().flat_map(|index| &index.open).filter(|other| **other != id);
        others
            .filter_map(|other| self.state.remediations.get(other))
            .any(|remediation| !matches!(remediation.stage, Stage::Stabilizing { .. }))
    }

    /// What is under way on a target for another matter and has begun nothing yet gives way to a new failure of it: a
    /// restart that waits for a quiet hour must not keep a service down that has crashed.
    pub(crate) fn give_way(&mut self, now: Now, target: &TargetId, to: IncidentId) {
        let open: Vec<_> =
            self.targets.get(target).map(|index| index.open.iter().copied().collect()).unwrap_or_default();
        let waits = |remediation: &Remediation| {
            matches!(remediation.stage, Stage::Ready | Stage::BackingOff { .. }) && remediation.step == 0
        };
        for id in open.into_iter().filter(|id| *id != to) {
            if self.state.remediations.get(&id).is_some_and(waits) {
                self.leave(now, id, "another failure of the same target comes first".into());
            }
        }
    }
}
