//! Fault domains: which checks of a target belong together. Checks that one rule covers fail together, are healed together and
//! are verified together; those of different rules, as a filesystem's space and its errors, are not.
//! It decides nothing about incidents; it says what belongs to one.

use alloc::vec::Vec;

use ansai_model::{
    id::{CheckId, TargetId},
    incident::Incident,
    observation::Health,
    probe::Probe,
};

use crate::{
    check::CheckState,
    remediation::{Remediation, Stage},
    view::View,
};

mod remembered;
mod yielding;

impl<'a> View<'a> {
    /// Whether two checks of a target are one fault domain: one rule covers both, or no rule covers one of them.
    pub(crate) fn are_together(self, target: &TargetId, one: &CheckId, other: &CheckId) -> bool {
        if one == other || self.checks.targets.get(target).is_none_or(|index| !index.is_divided) {
            return true;
        }
        let rules = |check| self.checks.named(check).map_or(0, |state| state.rules);
        let (one, other) = (rules(one), rules(other));
        one == 0 || other == 0 || one & other != 0
    }

    /// The checks that an incident is about: all of its target, or of these the ones that are one fault domain with its own.
    pub(crate) fn checks_of(self, incident: &Incident) -> Vec<&'a CheckState> {
        let checks = self.checks.of(&incident.target);
        checks.filter(|check| self.are_together(&incident.target, &incident.check, &check.check.id)).collect()
    }

    /// The checks that must be well before an incident may be called over: its own, and those that are one fault domain with the
    /// target's unit or process, since a remedy for one fault domain must not break the whole.
    pub(crate) fn checks_to_verify(self, incident: &Incident) -> Vec<&'a CheckState> {
        let target = &incident.target;
        let own = self.own_check(target);
        let checks = self.checks.of(target);
        checks
            .filter(|check| {
                let is_with = |other: &CheckId| self.are_together(target, other, &check.check.id);
                is_with(&incident.check) || own.is_some_and(is_with)
            })
            .collect()
    }

    /// The check that says whether a target runs at all, when it has one.
    pub(crate) fn own_check(self, target: &TargetId) -> Option<&'a CheckId> {
        self.own_slot(target).map(|slot| &self.checks[slot].check.id)
    }

    /// The place of that check.
    pub(crate) fn own_slot(self, target: &TargetId) -> Option<usize> {
        let is_own = |probe: &Probe| matches!(probe, Probe::Unit { .. } | Probe::Process { .. });
        self.checks.slots_of(target).iter().copied().find(|slot| is_own(&self.checks[*slot].check.probe))
    }

    /// The checks that say whether a target is there for others: those of its unit or process, or all when it has none.
    pub(crate) fn checks_of_itself(self, target: &TargetId) -> impl Iterator<Item = &'a CheckState> {
        let own = self.own_check(target);
        let checks = self.checks.of(target);
        checks.filter(move |check| own.is_none_or(|own| self.are_together(target, own, &check.check.id)))
    }

    /// Whether an incident says that its target itself is down; any of a target does that has no unit or process.
    pub(crate) fn is_about_itself(self, incident: &Incident) -> bool {
        let own = self.own_check(&incident.target);
        own.is_none_or(|own| self.are_together(&incident.target, own, &incident.check))
    }

    /// Whether the target of an incident is known to be down, so that mending it disturbs nobody.
    pub(crate) fn is_down(self, incident: &Incident) -> bool {
        self.checks_to_verify(incident).into_iter().any(|check| {
            check.is_known_to_fail() && matches!(check.check.probe, Probe::Unit { .. } | Probe::Process { .. })
        })
    }

    /// The incident that says that the target itself is down, when this one is about another fault domain of it.
    pub(crate) fn down_first(self, incident: &Incident) -> Option<&'a Incident> {
        let target = &incident.target;
        if self.checks.count_open_of(target) < 2 {
            return None;
        }
        let own = self.own_check(target).filter(|own| !self.are_together(target, own, &incident.check))?;
        // What is told only keeps nothing else from being healed.
        let other = self.open_on(target, own).filter(|other| !other.kind.is_notify_only())?;
        let is_watched = |remediation: &Remediation| matches!(remediation.stage, Stage::Stabilizing { .. });
        (!self.state.remediations.get(&other.id).is_some_and(is_watched)).then_some(other)
    }

    /// The open incidents of a target.
    pub(crate) fn open_of(self, target: &TargetId) -> impl Iterator<Item = &'a Incident> {
        self.checks.open_of(target).filter_map(move |id| self.incident(id))
    }

    /// The open incident that covers a check, when there is one.
    pub(crate) fn open_on(self, target: &TargetId, check: &CheckId) -> Option<&'a Incident> {
        self.open_of(target).find(|incident| self.are_together(target, &incident.check, check))
    }

    /// Whether a check fails, by an incident that covers it or by what was last seen.
    pub(crate) fn is_failing(self, check: &CheckId) -> bool {
        let is_failing = |state: &CheckState| state.hard == Health::Failing || state.failures > 0;
        self.checks.named(check).is_some_and(is_failing)
    }

    /// Whether another incident of the same target has a remedy under way.
    pub(crate) fn is_healed_elsewhere(self, incident: &Incident) -> bool {
        let others = self.checks.open_of(&incident.target).filter(|other| *other != incident.id);
        others
            .filter_map(|other| self.state.remediations.get(&other))
            .any(|remediation| !matches!(remediation.stage, Stage::Stabilizing { .. }))
    }
}
