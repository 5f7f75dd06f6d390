//! Gates that bound repetition: cooldown, budgets, circuit breaker, back-off.

use alloc::{collections::VecDeque, format};
use core::time::Duration;

use ansai_model::{
    action::Disruption,
    policy::{Budget, Policy},
    text::Text,
    time::{MonoTime, Shown},
};

use super::proposal::{Proposal, ProposalKind, Ruling, allow, defer, deny, moment_at};
use crate::{
    remediation::{Remediation, backoff_wait, counting::Books},
    state::{BreakerState, OperatorAnswer, TIMES_MAX, TargetMemory},
};

/// What is remembered of the fault domain that fails.
fn memory<'a>(p: &Proposal<'a>) -> Option<&'a TargetMemory> {
    p.view.memory_of(p.incident)
}

pub(super) fn is_forced(p: &Proposal<'_>) -> bool {
    p.if_asked.is_some() || p.view.state.answers.get(&p.incident.id) == Some(&OperatorAnswer::Forced)
}

/// Whether what the last tries failed for has been seen to be gone since: this one is no repetition of them.
fn is_anew(p: &Proposal<'_>) -> bool {
    let Some(memory) = p.view.memory(&p.incident.target) else { return false };
    memory.anew.is_some_and(|anew| memory.actions.back().is_none_or(|last| *last < anew))
}

const ANEW: &str = "what the last try failed for is gone";
/// What did nothing is not remembered, so it is not said that nothing was tried.
const NO_WAIT: &str = "nothing is waited for";
const DRILLED: &str = "a drill broke it, and does not wait for what failed before";

pub(super) fn cooldown(p: &Proposal<'_>) -> Ruling {
    if p.kind != ProposalKind::Start {
        return allow("between the tries of one healing the back-off counts instead");
    }
    if is_forced(p) {
        return allow("an operator asked for it now");
    }
    if is_drill(p) {
        return allow(DRILLED);
    }
    if is_anew(p) {
        return allow(ANEW);
    }
    let Some(memory) = memory(p) else { return allow(NO_WAIT) };
    let Some(last) = memory.remediated else { return allow(NO_WAIT) };
    let since = p.view.now.mono.since(last.mono);
    let wait = cooldown_wait(p.policy, memory.repeats);
    if since >= wait {
        // It may have healed or not.
        let first = if memory.repeats <= 1 { ", and the first time nothing is waited for" } else { "" };
        return allow(Text::new(format!("the last remediation ended {} ago{first}", Shown(since))));
    }
    let until = last.mono.plus(wait);
    let (since, repeats) = (Shown(since), memory.repeats);
    let why = format!(
        "the last remediation ended {since} ago and it has failed since, {repeats} times in a row by now: the next try waits \
         until {} after that",
        Shown(wait)
    );
    defer(Some(moment_at(p.view.now, until)), Text::new(why))
}

/// What fails again soon after it was healed is mended at once the first time; from the second time on it waits, and
/// longer each time.
fn cooldown_wait(policy: &Policy, repeats: u32) -> Duration {
    let Some(doublings) = repeats.checked_sub(2) else { return Duration::ZERO };
    let longest = policy.backoff.wait_max.max(policy.cooldown);
    policy.cooldown.saturating_mul(1_u32 << doublings.min(16)).min(longest)
}

fn is_drill(p: &Proposal<'_>) -> bool {
    p.incident.is_drill
}

fn books(p: &Proposal<'_>) -> Books {
    Books::of(is_drill(p))
}

fn of_books(p: &Proposal<'_>, budget: Budget) -> Budget {
    if is_drill(p) { budget.for_drills() } else { budget }
}

pub(super) fn target_budget(p: &Proposal<'_>) -> Ruling {
    let Some(memory) = p.view.memory(&p.incident.target) else {
        return allow("no action on this target before");
    };
    let times = books(p).of_target(memory);
    let remembered = p.view.depth().times;
    budget(p, times, Share { owed: 0, free: 0, remembered }, of_books(p, p.policy.target_budget), "this target")
}

pub(super) fn host_budget(p: &Proposal<'_>) -> Ruling {
    let (state, budget_of_host) = (p.view.state, p.view.bundle.parts().settings.host_budget);
    let others = state.remediations.iter().filter(|(id, _)| **id != p.incident.id);
    let others = others.filter(|(id, _)| state.incidents.get(id).is_some_and(|other| other.is_drill == is_drill(p)));
    let owed = others.map(|(_, remediation)| remediation.owed()).sum();
    // The first action on a target is no repetition.
    let free = usize::from(!p.view.is_repetition(&p.incident.target, books(p)));
    let times = books(p).of_host(state);
    budget(p, times, Share { owed, free, remembered: TIMES_MAX }, of_books(p, budget_of_host), "this host")
}

/// What of a budget is used beside the actions that were done.
struct Share {
    /// Actions that rungs under way still need.
    owed: usize,
    /// Actions of the next rung that cost nothing.
    free: usize,
    /// How many actions are remembered at most.
    remembered: usize,
}

/// What a service that was killed still needs is kept for it: a rung begins when there is room for all of it.
fn budget(p: &Proposal<'_>, times: &VecDeque<MonoTime>, share: Share, budget: Budget, whose: &str) -> Ruling {
    let used = TargetMemory::within(times, p.view.now.mono, budget.per).saturating_add(share.owed);
    let needed = match p.kind {
        ProposalKind::Start => p.if_asked.unwrap_or(1).max(1),
        ProposalKind::Undo => 1,
        ProposalKind::Continue => p.view.state.remediations.get(&p.incident.id).map_or(1, Remediation::needed).max(1),
    };
    let needed = needed.saturating_sub(share.free);
    let what = if whose == "this host" { "repeated actions" } else { "actions" };
    let mut words = format!("{used} of {} {what} on {whose} within {} are used", budget.actions_max, Shown(budget.per));
    if needed > 1 {
        words.push_str(&format!(", and the rung needs {needed} more"));
    }
    // The bound of the memory is a limit as well: a budget that could not be counted would be none.
    let most = (budget.actions_max as usize).min(share.remembered);
    if needed == 0 || used.saturating_add(needed) <= most {
        return allow(words);
    }
    // A remediation that only prepares would stop halfway: it is not begun either.
    if p.disruption == Disruption::None && p.kind != ProposalKind::Start {
        return allow(format!("{words}; this step disrupts nothing"));
    }
    // What rungs under way still need is not used yet: nobody knows when that will be free again.
    let at = p.view.room_from(budget, times, needed, share.remembered).filter(|_| share.owed == 0);
    if let Some(at) = at {
        words.push_str(&format!("; there is room again at {}", moment_at(p.view.now, at).wall));
    }
    deny(words)
}

/// What will have become, by the time of a try, of what the last one failed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hindrance {
    Stays,
    Gone,
}

/// From when on no limit of time keeps a remediation from beginning that needs so many disruptive actions first, as far as that
/// is known now. Nobody is promised a try before that.
pub(crate) fn free_from(p: &Proposal<'_>, needed: usize, hindrance: Hindrance) -> MonoTime {
    let (state, view, now) = (p.view.state, p.view, p.view.now.mono);
    let Some(of_target) = view.memory(&p.incident.target) else { return now };
    let (times, host) = (books(p).of_target(of_target), books(p).of_host(state));
    let is_anew = hindrance == Hindrance::Gone;
    let depth = view.depth().times;
    let of_host = of_books(p, view.bundle.parts().settings.host_budget);
    let is_repetition = !is_anew && view.is_repetition(&p.incident.target, books(p));
    let repeated = needed.saturating_sub(usize::from(!is_repetition));
    let budgets = [
        view.room_from(of_books(p, p.policy.target_budget), times, needed, depth),
        (repeated > 0).then(|| view.room_from(of_host, host, repeated, TIMES_MAX)).flatten(),
    ];
    let memory = memory(p).filter(|_| !is_anew && !is_drill(p));
    let waits = memory.map(|memory| {
        let last = memory.remediated.map(|last| last.mono);
        let cooldown = cooldown_wait(p.policy, memory.repeats);
        let level = memory.backoff_level;
        let backoff = if level == 0 { Duration::ZERO } else { backoff_wait(&p.policy.backoff, level, p.incident.id.0) };
        let open = match memory.breaker {
            BreakerState::Open { until } => Some(until.mono),
            BreakerState::Closed => None,
        };
        [last.map(|last| last.plus(cooldown.max(backoff))), open]
    });
    budgets.into_iter().chain(waits.into_iter().flatten()).flatten().max().map_or(now, |free| free.max(now))
}

pub(super) fn circuit_breaker(p: &Proposal<'_>) -> Ruling {
    match memory(p).map(|memory| memory.breaker) {
        None | Some(BreakerState::Closed) => allow("closed"),
        Some(BreakerState::Open { .. }) if p.kind != ProposalKind::Start => {
            allow("half-open: this remediation may try")
        }
        Some(BreakerState::Open { .. }) if is_forced(p) => allow("open, but an operator asked for it now"),
        Some(BreakerState::Open { .. }) if is_anew(p) => allow(ANEW),
        Some(BreakerState::Open { until }) if until.mono <= p.view.now.mono => {
            allow("half-open: one remediation may try")
        }
        Some(BreakerState::Open { until }) => {
            // What is handed over for it is read later: a time that is left would be wrong then.
            let until = moment_at(p.view.now, until.mono).wall;
            deny(Text::new(format!("healing failed too often, so it is not tried before {until}")))
        }
    }
}

pub(super) fn back_off(p: &Proposal<'_>) -> Ruling {
    let Some(memory) = memory(p) else { return allow(NO_WAIT) };
    if p.kind != ProposalKind::Start || is_forced(p) {
        return allow(NO_WAIT);
    }
    if is_drill(p) {
        return allow(DRILLED);
    }
    if is_anew(p) {
        return allow(ANEW);
    }
    let (Some(last), level) = (memory.remediated, memory.backoff_level) else { return allow(NO_WAIT) };
    if level == 0 {
        return allow(NO_WAIT);
    }
    let wait = backoff_wait(&p.policy.backoff, level, p.incident.id.0);
    let until = last.mono.plus(wait);
    if until <= p.view.now.mono {
        return allow("the wait is over");
    }
    let rest = Shown(until.since(p.view.now.mono));
    let why = format!("after {level} attempts lately the next one waits {}, for another {rest}", Shown(wait));
    defer(Some(moment_at(p.view.now, until)), Text::new(why))
}
