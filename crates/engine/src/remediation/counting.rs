//! What an action costs: it is counted against the budgets before it begins, and taken back when it did nothing.

use alloc::collections::VecDeque;
use core::time::Duration;

use ansai_model::{
    action::{AS_DECLARED, Action, ActionRun, Disruption},
    id::{IncidentId, RunId, TargetId},
    time::MonoTime,
};

use super::awaited::AWAITED_FIRST;
use crate::{
    check::CheckState,
    context::Context,
    state::{PendingRun, State, TIMES_MAX, TargetMemory},
    view::View,
};

/// How long after its time-out an action that never answered is lost.
const ACTION_GRACE: Duration = Duration::from_secs(15);

/// Where disruptive actions are counted: drills, and what mends what they broke, have books of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Books {
    OfDrills,
    OfActions,
}

impl Books {
    pub(crate) fn of(is_drill: bool) -> Self {
        if is_drill { Self::OfDrills } else { Self::OfActions }
    }

    pub(crate) fn of_target(self, memory: &TargetMemory) -> &VecDeque<MonoTime> {
        match self {
            Self::OfDrills => &memory.drills,
            Self::OfActions => &memory.actions,
        }
    }

    pub(crate) fn of_host(self, state: &State) -> &VecDeque<MonoTime> {
        match self {
            Self::OfDrills => &state.host_drills,
            Self::OfActions => &state.host_actions,
        }
    }
}

impl Context {
    /// Counts an action against every budget and notes it as pending: the durable record before the action.
    pub(crate) fn begin_run(
        &mut self,
        incident: Option<IncidentId>,
        target: TargetId,
        action: Action,
        timeout: Duration,
    ) -> ActionRun {
        self.state.runs_counted += 1;
        let id = RunId(self.state.runs_counted);
        let disruption = action.disruption();
        let broke = incident.and_then(|id| self.state.incidents.get(&id)).map(|incident| incident.is_drill);
        let is_drill = broke.unwrap_or(matches!(action, Action::Drill { .. }));
        let is_repetition = disruption > Disruption::None && self.view().is_repetition(&target, Books::of(is_drill));
        let awaits = action.job_of().filter(|_| timeout == AS_DECLARED).cloned();
        let first = if awaits.is_some() { AWAITED_FIRST } else { timeout };
        let lost_after = self.now.mono.plus(first.saturating_add(ACTION_GRACE));
        let pending = PendingRun {
            incident,
            target: target.clone(),
            disruption,
            decided: self.now,
            lost_after,
            is_drill,
            is_repetition,
            awaits,
            is_keeping: false,
            begins_before: None,
        };
        if disruption > Disruption::None {
            self.count(&pending);
            self.checks.change_all_of(&target, CheckState::forget_restarts);
        }
        // What was lost on this target gives its place to what follows it.
        self.state.runs.retain(|_, run| run.target != target || run.lost_after > self.now.mono);
        self.state.runs.insert(id, pending);
        self.changed();
        ActionRun { id, incident, target, action, timeout }
    }

    /// Counts a disruptive action: on its target always, on the host when it repeats one on that target. What belongs to a
    /// drill has books of its own.
    fn count(&mut self, pending: &PendingRun) {
        let depth = self.view().depth();
        let memory = self.state.targets.entry(pending.target.clone()).or_default();
        let (on_target, on_host) = match pending.is_drill {
            true => (&mut memory.drills, &mut self.state.host_drills),
            false => (&mut memory.actions, &mut self.state.host_actions),
        };
        TargetMemory::push(on_target, pending.decided.mono, depth.times);
        if pending.is_repetition {
            TargetMemory::push(on_host, pending.decided.mono, TIMES_MAX);
        }
    }

    /// What did nothing costs nothing; what was begun after it counts from its own beginning.
    pub(super) fn refund(&mut self, pending: &PendingRun) {
        if pending.disruption == Disruption::None {
            return;
        }
        let Some(memory) = self.state.targets.get_mut(&pending.target) else { return };
        let (on_target, on_host) = match pending.is_drill {
            true => (&mut memory.drills, &mut self.state.host_drills),
            false => (&mut memory.actions, &mut self.state.host_actions),
        };
        TargetMemory::take_back(on_target, pending.decided.mono);
        if pending.is_repetition {
            TargetMemory::take_back(on_host, pending.decided.mono);
        }
    }
}

impl<'a> View<'a> {
    /// Whether an action on a target would repeat one, within the window in which the host counts. The first one after
    /// the cause of the failure was seen to be gone repeats none.
    pub(crate) fn is_repetition(self, target: &TargetId, books: Books) -> bool {
        let window = self.bundle.parts().settings.host_budget.per;
        let Some(memory) = self.state.targets.get(target) else { return false };
        let times = books.of_target(memory);
        TargetMemory::within(times, self.now.mono, window) > 0
            && times.back().is_some_and(|last| memory.anew.is_none_or(|anew| *last >= anew))
    }
}
