//! What a drill may do at this moment, or why not and from when on. What it broke stands in `crate::incident::drilled`.

use alloc::{collections::VecDeque, format, string::String};

use ansai_model::{
    action::Action,
    id::TargetId,
    incident::Incident,
    observation::Health,
    operator::DrillKind,
    policy::{Budget, Policy},
    text::Text,
    time::{MonoTime, Shown},
};

use super::{refused, target_not_found};
use crate::{
    effect::Answer,
    invariant::{self, Behalf},
    remediation::{Stage, counting::Books},
    state::{BreakerState, TIMES_MAX, TargetMemory},
    view::View,
};

impl View<'_> {
    /// What a drill does, when nothing is in its way.
    pub(super) fn drill_to_do(self, target: &TargetId, kind: DrillKind) -> Result<Action, Answer> {
        let Some(found) = self.bundle.parts().targets.get(target).cloned() else {
            return Err(target_not_found(target));
        };
        let Some(unit) = found.unit else {
            return Err(refused(
                format!("{target} is no systemd unit"),
                "drill a service: `ansai status` lists what is watched",
            ));
        };
        // It would break what nothing may mend.
        if let Some(refusal) = self.restrained(target) {
            return Err(refusal);
        }
        if let Some(refusal) = self.nothing_to_break(target).or_else(|| self.objection_to_drill(target)) {
            return Err(refusal);
        }
        if kind == DrillKind::Port && found.port.is_none() {
            let instead = "write `port:` for it in the configuration";
            return Err(refused(format!("no port of {target} is declared"), instead));
        }
        if kind == DrillKind::Configuration && found.configuration.is_empty() {
            let instead = "write its files as `configuration:` in ansai's configuration";
            return Err(refused(format!("no configuration of {target} is declared"), instead));
        }
        if let Some(refusal) = self.busy(target) {
            return Err(refusal);
        }
        let action = Action::Drill { unit, kind, port: found.port, paths: found.configuration };
        match invariant::before_action(self, target, Behalf::Drill, action.disruption()) {
            Ok(()) => Ok(action),
            Err(violation) => Err(refused(violation.what, format!("`ansai explain {target}` has every limit"))),
        }
    }

    /// A drill breaks what runs.
    fn nothing_to_break(self, target: &TargetId) -> Option<Answer> {
        let why = self.unit_of(target)?.nothing_to_break()?;
        Some(refused(format!("{target} {why}, so there is nothing to break"), "a drill begins with a unit that runs"))
    }

    /// A drill begins with a healthy target, and leaves room for the remedy.
    fn objection_to_drill(self, target: &TargetId) -> Option<Answer> {
        if let Some(incident) = self.open_of(target).next() {
            let why = format!("incident {} of {target} is still open{}", incident.id, self.ends_when(incident));
            return Some(refused(why, "give the command again when that incident is over"));
        }
        if self.checks.of(target).any(|check| check.hard != Health::Healthy) {
            return Some(refused(format!("{target} is not known to be well"), "a drill begins with a healthy target"));
        }
        let parts = self.bundle.parts();
        let policy = self.rules_of(target).next().and_then(|rule| parts.policies.get(&rule.policy));
        let memory = self.state.targets.get(target);
        if let Some(BreakerState::Open { until }) = memory.map(|memory| memory.breaker)
            && until.mono > self.now.mono
        {
            let why = format!("the circuit breaker of {target} is open, so nothing would mend what a drill broke");
            return Some(refused(why, self.again_at(until.mono)));
        }
        self.too_many_drills(target, policy)
    }

    /// How long an incident that was healed is still watched, in words.
    fn ends_when(self, incident: &Incident) -> String {
        match self.state.remediations.get(&incident.id).map(|remediation| &remediation.stage) {
            Some(Stage::Stabilizing { until }) if *until > self.now.mono => {
                format!(": it is healed, and over when it has stayed well for another {}", self.left(*until))
            }
            Some(Stage::Stabilizing { .. }) => ": it is healed, and over when its checks have settled".into(),
            _ => String::new(),
        }
    }

    /// Drills have books of their own: what they broke is mended within them as well.
    fn too_many_drills(self, target: &TargetId, policy: Option<&Policy>) -> Option<Answer> {
        let none = VecDeque::new();
        let of_target = policy.map(|policy| {
            let times = self.state.targets.get(target).map_or(&none, |memory| &memory.drills);
            let budget = policy.target_budget.for_drills();
            // The drill, and all tries to mend what it breaks.
            let needed = 1 + policy.attempts_max as usize;
            (format!("on {target}"), budget, times, needed, self.depth().times)
        });
        // On the host the first of a target is no repetition; what it breaks is mended by one.
        let needed = if self.is_repetition(target, Books::OfDrills) { 2 } else { 1 };
        let budget = self.bundle.parts().settings.host_budget.for_drills();
        let of_host = ("on the host".into(), budget, &self.state.host_drills, needed, TIMES_MAX);
        of_target.into_iter().chain([of_host]).find_map(|(whose, budget, times, needed, remembered)| {
            let at = self.room_from(budget, times, needed, remembered)?;
            let used = TargetMemory::within(times, self.now.mono, budget.per);
            let why = format!(
                "{used} of {} actions of drills {whose} within {} are used, which leaves no room to mend another",
                budget.actions_max,
                Shown(budget.per)
            );
            Some(refused(why, self.again_at(at)))
        })
    }

    /// From when on there is room for so many more; nothing when there is room now.
    pub(crate) fn room_from(
        self,
        budget: Budget,
        times: &VecDeque<MonoTime>,
        needed: usize,
        remembered: usize,
    ) -> Option<MonoTime> {
        let most = (budget.actions_max as usize).min(remembered).max(1);
        let used = TargetMemory::within(times, self.now.mono, budget.per);
        let surplus = used.saturating_add(needed.min(most)).checked_sub(most).filter(|surplus| *surplus > 0)?;
        // Those within the window come last; the oldest of them leave it first.
        let last_to_leave = times.get(times.len() - used + surplus - 1)?;
        Some(last_to_leave.plus(budget.per))
    }

    fn left(self, at: MonoTime) -> Shown {
        Shown(at.since(self.now.mono))
    }

    fn again_at(self, at: MonoTime) -> Text {
        Text::new(format!("it may be tried again in {}", self.left(at)))
    }
}
