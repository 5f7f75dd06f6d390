//! Gates that bound repetition: cooldown, budgets, circuit breaker, back-off.

use alloc::{collections::VecDeque, format};

use ansai_model::{
    action::Disruption,
    policy::Budget,
    text::Text,
    time::{MonoTime, Shown},
};

use super::{Moment, Opinion, Proposal, allow, defer, deny, moment_at};
use crate::{
    remediation::{Remediation, backoff_wait},
    state::{BreakerState, OperatorAnswer, TargetMemory},
};

/// What is remembered of the matter that fails.
fn memory<'a>(p: &Proposal<'a>) -> Option<&'a TargetMemory> {
    p.engine.memory_of(p.incident.id)
}

pub(super) fn is_forced(p: &Proposal<'_>) -> bool {
    p.engine.state.answers.get(&p.incident.id) == Some(&OperatorAnswer::Forced)
}

pub(super) fn cooldown(p: &Proposal<'_>) -> Opinion {
    if p.moment != Moment::Start {
        return allow("within a remediation the back-off counts");
    }
    if is_forced(p) {
        return allow("an operator asked for it now");
    }
    let Some(last) = memory(p).and_then(|memory| memory.remediated) else { return allow("no remediation before") };
    let since = p.now.mono.since(last.mono);
    if since >= p.policy.cooldown {
        return allow(Text::new(format!("the last remediation ended {} ago", Shown(since))));
    }
    let until = last.mono.plus(p.policy.cooldown);
    let why = format!("the last remediation ended {} ago; the cooldown is {}", Shown(since), Shown(p.policy.cooldown));
    defer(Some(moment_at(p.now, until)), Text::new(why))
}

pub(super) fn target_budget(p: &Proposal<'_>) -> Opinion {
    match p.engine.state.targets.get(&p.incident.target) {
        Some(memory) => budget(p, &memory.actions, 0, p.policy.target_budget, "this target"),
        None => allow("no action on this target before"),
    }
}

pub(super) fn host_budget(p: &Proposal<'_>) -> Opinion {
    let others = p.engine.state.remediations.iter().filter(|(id, _)| **id != p.incident.id);
    let owed = others.map(|(_, remediation)| remediation.owed()).sum();
    budget(p, &p.engine.state.host_actions, owed, p.engine.bundle.parts().settings.host_budget, "this host")
}

/// What a service that was killed still needs is kept for it: a rung begins when there is room for all of it.
fn budget(p: &Proposal<'_>, times: &VecDeque<MonoTime>, owed: usize, budget: Budget, whose: &str) -> Opinion {
    let used = TargetMemory::within(times, p.now.mono, budget.per).saturating_add(owed);
    let needed = match p.moment {
        Moment::Start | Moment::Undo => 1,
        Moment::Continue => p.engine.state.remediations.get(&p.incident.id).map_or(1, Remediation::needed).max(1),
    };
    let mut share =
        format!("{used} of {} actions on {whose} within {} are used", budget.actions_max, Shown(budget.per));
    if needed > 1 {
        share.push_str(&format!("; the rung needs {needed}"));
    }
    // The bound of the memory is a limit as well: a budget that could not be counted would be none.
    let most = (budget.actions_max as usize).min(crate::state::TIMES_MAX);
    if used.saturating_add(needed) <= most {
        return allow(share);
    }
    // A remediation that only prepares would stop halfway: it is not begun either.
    if p.disruption == Disruption::None && p.moment != Moment::Start {
        return allow(format!("{share}; this step disrupts nothing"));
    }
    deny(share)
}

pub(super) fn circuit_breaker(p: &Proposal<'_>) -> Opinion {
    match memory(p).map(|memory| memory.breaker) {
        None | Some(BreakerState::Closed) => allow("closed"),
        Some(BreakerState::Open { .. }) if p.moment != Moment::Start => allow("half-open: this remediation may try"),
        Some(BreakerState::Open { .. }) if is_forced(p) => allow("open, but an operator asked for it now"),
        Some(BreakerState::Open { until }) if until.mono <= p.now.mono => allow("half-open: one remediation may try"),
        Some(BreakerState::Open { until }) => {
            let rest = Shown(until.mono.since(p.now.mono));
            deny(Text::new(format!("open for another {rest}: healing failed too often")))
        }
    }
}

pub(super) fn back_off(p: &Proposal<'_>) -> Opinion {
    let Some(memory) = memory(p) else { return allow("first attempt") };
    if p.moment != Moment::Start || is_forced(p) {
        return allow("no wait is left");
    }
    let (Some(last), level) = (memory.remediated, memory.backoff_level) else { return allow("first attempt") };
    if level == 0 {
        return allow("no attempt lately");
    }
    let wait = backoff_wait(&p.policy.backoff, level, p.incident.id.0);
    let until = last.mono.plus(wait);
    if until <= p.now.mono {
        return allow("the wait is over");
    }
    defer(Some(moment_at(p.now, until)), Text::new(format!("waits {} after {level} attempts lately", Shown(wait))))
}
