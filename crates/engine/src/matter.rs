//! Matters: which checks of a target belong together. Checks that one rule covers fail together, are healed together and
//! are verified together; those of different rules, as a filesystem's space and its errors, are not.
//! It decides nothing about incidents; it says what belongs to one.

use alloc::{collections::BTreeMap, vec::Vec};

use ansai_model::{
    id::{CheckId, IncidentId, TargetId},
    probe::Probe,
    rule::Rule,
};

use crate::{
    check::CheckState,
    host_engine::HostEngine,
    remediation::{Remediation, Stage},
};

mod aside;
mod memory;

impl HostEngine {
    /// Notes the rules of each target, and of those that more than one rule divides which rules cover which checks; of the
    /// others, which are nearly all, nothing has to be asked.
    pub(crate) fn divide_targets(&mut self) {
        let mut rules: BTreeMap<&TargetId, Vec<&Rule>> = BTreeMap::new();
        for rule in self.bundle.parts().rules.values() {
            rules.entry(&rule.target).or_default().push(rule);
        }
        for (target, rules) in rules {
            let Some(index) = self.targets.get_mut(target) else { continue };
            index.rules = rules.iter().map(|rule| rule.id.clone()).collect();
            if rules.len() < 2 {
                continue;
            }
            index.is_divided = true;
            for slot in &index.checks {
                let Some(state) = self.checks.get_mut(*slot) else { continue };
                let covers = |rule: &&Rule| rule.checks.contains(&state.check.id);
                // Beyond the last bit all rules are one: what is not told apart is healed together.
                let bits = rules.iter().enumerate().filter(|(_, rule)| covers(rule)).map(|(bit, _)| 1 << bit.min(63));
                state.rules = bits.fold(0, |all, bit: u64| all | bit);
            }
        }
    }

    /// The rules of a target, in the order of their names.
    pub(crate) fn rules_of(&self, target: &TargetId) -> impl Iterator<Item = &Rule> {
        let rules = self.targets.get(target).into_iter().flat_map(|index| &index.rules);
        rules.filter_map(|rule| self.bundle.parts().rules.get(rule))
    }

    /// Whether two checks of a target are one matter: one rule covers both, or no rule covers one of them.
    pub(crate) fn are_together(&self, target: &TargetId, one: &CheckId, other: &CheckId) -> bool {
        if one == other || self.targets.get(target).is_none_or(|index| !index.is_divided) {
            return true;
        }
        let rules = |check| self.check_index.get(check).map_or(0, |slot| self.checks[*slot].rules);
        let (one, other) = (rules(one), rules(other));
        one == 0 || other == 0 || one & other != 0
    }

    /// The checks that an incident is about: all of its target, or of these the ones that are one matter with its own.
    pub(crate) fn checks_of(&self, id: IncidentId) -> Vec<&CheckState> {
        let Some(incident) = self.state.incidents.get(&id) else { return Vec::new() };
        let slots = self.targets.get(&incident.target).map(|index| index.checks.as_slice()).unwrap_or_default();
        let checks = slots.iter().map(|slot| &self.checks[*slot]);
        checks.filter(|check| self.are_together(&incident.target, &incident.check, &check.check.id)).collect()
    }

    /// The checks that must be well before an incident may be called over: its own, and those that are one matter with the
    /// target's unit or process, since a remedy for one matter must not break the whole.
    pub(crate) fn checks_to_verify(&self, id: IncidentId) -> Vec<&CheckState> {
        let Some(incident) = self.state.incidents.get(&id) else { return Vec::new() };
        let target = &incident.target;
        let slots = self.targets.get(target).map(|index| index.checks.as_slice()).unwrap_or_default();
        let own = self.own_check(target);
        let checks = slots.iter().map(|slot| &self.checks[*slot]);
        checks
            .filter(|check| {
                let is_with = |other: &CheckId| self.are_together(target, other, &check.check.id);
                is_with(&incident.check) || own.is_some_and(is_with)
            })
            .collect()
    }

    /// The check that says whether a target runs at all, when it has one.
    fn own_check(&self, target: &TargetId) -> Option<&CheckId> {
        self.own_slot(target).map(|slot| &self.checks[slot].check.id)
    }

    /// The place of that check.
    pub(crate) fn own_slot(&self, target: &TargetId) -> Option<usize> {
        let slots = self.targets.get(target)?.checks.iter();
        let is_own = |probe: &Probe| matches!(probe, Probe::Unit { .. } | Probe::Process { .. });
        slots.copied().find(|slot| is_own(&self.checks[*slot].check.probe))
    }

    /// The checks that say whether a target is there for others: those of its unit or process, or all when it has none.
    pub(crate) fn checks_of_itself(&self, target: &TargetId) -> impl Iterator<Item = &CheckState> {
        let own = self.own_check(target);
        let slots = self.targets.get(target).map(|index| index.checks.as_slice()).unwrap_or_default();
        let checks = slots.iter().map(|slot| &self.checks[*slot]);
        checks.filter(move |check| own.is_none_or(|own| self.are_together(target, own, &check.check.id)))
    }

    /// Whether an incident says that its target itself is down; any of a target does that has no unit or process.
    pub(crate) fn is_about_itself(&self, id: IncidentId) -> bool {
        self.state.incidents.get(&id).is_some_and(|incident| {
            let own = self.own_check(&incident.target);
            own.is_none_or(|own| self.are_together(&incident.target, own, &incident.check))
        })
    }

    /// Whether the target of an incident is known to be down, so that mending it disturbs nobody.
    pub(crate) fn is_down(&self, id: IncidentId) -> bool {
        self.checks_to_verify(id).into_iter().any(|check| {
            check.is_known_to_fail() && matches!(check.check.probe, Probe::Unit { .. } | Probe::Process { .. })
        })
    }

    /// The incident that says that the target itself is down, when this one is about another matter of it.
    pub(crate) fn down_first(&self, id: IncidentId) -> Option<IncidentId> {
        let incident = self.state.incidents.get(&id)?;
        let target = &incident.target;
        if self.targets.get(target)?.open.len() < 2 {
            return None;
        }
        let own = self.own_check(target).filter(|own| !self.are_together(target, own, &incident.check))?;
        // What is told only keeps nothing else from being healed.
        let other = self.open_on(target, own).filter(|other| !self.is_told_only(*other))?;
        let is_watched = |remediation: &Remediation| matches!(remediation.stage, Stage::Stabilizing { .. });
        (!self.state.remediations.get(&other).is_some_and(is_watched)).then_some(other)
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
}
