//! The checks of a bundle as they stand, and how they are found: by name, by target, by unit. It judges nothing.

use alloc::{
    boxed::Box,
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};
use core::ops::{Index, IndexMut};

use ansai_model::id::{CheckId, IncidentId, RuleId, TargetId, UnitName};

use crate::check::CheckState;

/// Every check, each in its slot.
#[derive(Clone, Debug, Default)]
pub(crate) struct Checks {
    pub(crate) states: Vec<CheckState>,
    pub(crate) slots: BTreeMap<CheckId, usize>,
    pub(crate) targets: BTreeMap<TargetId, TargetIndex>,
    pub(crate) units: BTreeMap<UnitName, Box<[usize]>>,
}

/// What is looked up about a target on every observation.
#[derive(Clone, Debug, Default)]
pub(crate) struct TargetIndex {
    pub(crate) checks: Vec<usize>,
    /// Its rules, in the order of their names.
    pub(crate) rules: Box<[RuleId]>,
    /// Whether its checks are governed by different rules, so that they fail and are healed apart.
    pub(crate) is_divided: bool,
    pub(crate) open: BTreeSet<IncidentId>,
}

impl Checks {
    /// The check with this name.
    pub(crate) fn named(&self, check: &CheckId) -> Option<&CheckState> {
        self.states.get(*self.slots.get(check)?)
    }

    /// Whether there is a check with this name.
    pub(crate) fn has(&self, check: &CheckId) -> bool {
        self.slots.contains_key(check)
    }

    /// The slot of the check with this name.
    pub(crate) fn slot(&self, check: &CheckId) -> Option<usize> {
        self.slots.get(check).copied()
    }

    /// The slots of a target's checks.
    pub(crate) fn slots_of(&self, target: &TargetId) -> &[usize] {
        self.targets.get(target).map(|index| index.checks.as_slice()).unwrap_or_default()
    }

    /// The checks of a target.
    pub(crate) fn of(&self, target: &TargetId) -> impl Iterator<Item = &CheckState> {
        self.slots_of(target).iter().map(|slot| &self.states[*slot])
    }

    /// The same, to be changed.
    pub(crate) fn change_all_of(&mut self, target: &TargetId, change: impl Fn(&mut CheckState)) {
        let slots = self.targets.get(target).into_iter().flat_map(|index| &index.checks);
        for slot in slots {
            change(&mut self.states[*slot]);
        }
    }

    /// The open incidents of a target.
    pub(crate) fn open_of(&self, target: &TargetId) -> impl Iterator<Item = IncidentId> {
        self.targets.get(target).into_iter().flat_map(|index| index.open.iter().copied())
    }

    /// How many they are.
    pub(crate) fn count_open_of(&self, target: &TargetId) -> usize {
        self.targets.get(target).map_or(0, |index| index.open.len())
    }
}

impl Index<usize> for Checks {
    type Output = CheckState;

    fn index(&self, slot: usize) -> &CheckState {
        &self.states[slot]
    }
}

impl IndexMut<usize> for Checks {
    fn index_mut(&mut self, slot: usize) -> &mut CheckState {
        &mut self.states[slot]
    }
}
