//! Gates that keep what people want: hold, maintenance window, the operator's intent, autonomy.

use alloc::format;

use ansai_model::{
    action::ActionOutcome,
    id::TargetId,
    incident::{Step, StepKind},
    observation::{Health, Observation},
    rule::Autonomy,
    text::Text,
    time::{MonoTime, Now, WallTime},
    unit::{ActiveState, Intent},
};

use super::proposal::{Moment, Opinion, Proposal, allow, defer, deny};
use crate::{
    check::CheckState,
    state::{OperatorAnswer, Silence},
    view::View,
};

/// Why automation is held for a target, and until when.
pub(crate) fn hold_on(view: View<'_>, target: &TargetId) -> Option<(Option<Now>, Text)> {
    if let Some(text) = &view.outside.hold_file {
        return Some((None, Text::new(format!("the HOLD file stops all action{}", quoted(text)))));
    }
    let hold = view
        .state
        .holds
        .iter()
        .filter(|hold| hold.scope.holds(target) && hold.is_on(view.now))
        .max_by_key(|hold| (hold.ends.is_none(), hold.ends))?;
    Some((hold.end(view.now), Text::new(format!("held by {}{}", hold.by, quoted(&hold.reason)))))
}

/// Until when a maintenance window is open for a target, and why: one of the configuration, by the clock on the wall, or
/// one that an operator opened, for as long as was said.
pub(crate) fn maintenance_on(view: View<'_>, target: &TargetId) -> Option<(Now, Text)> {
    let planned = view.bundle.parts().maintenance.iter().filter(|window| window.scope.holds(target));
    let planned = planned
        .filter_map(|window| Some((at_wall(view.now, window.schedule.open_until(view.now.wall)?), &window.reason)));
    let opened = view.state.maintenance.iter().filter(|window| window.scope.holds(target));
    let opened = opened.filter_map(|window| Some((window.end(view.now)?, &window.reason)));
    let (until, reason) = planned.chain(opened).max_by_key(|(until, _)| until.mono)?;
    Some((until, Text::new(format!("maintenance{}", quoted(reason)))))
}

/// Until when nobody is told of a target, and by whose silence.
pub(crate) fn silence_on<'a>(view: View<'a>, target: &TargetId) -> Option<(Now, &'a Silence)> {
    let silences = view.state.silences.iter().filter(|silence| silence.scope.holds(target));
    silences.filter_map(|silence| Some((silence.end(view.now)?, silence))).max_by_key(|(until, _)| until.mono)
}

fn quoted(reason: impl core::fmt::Display) -> alloc::string::String {
    match format!("{reason}") {
        reason if reason.trim().is_empty() => reason,
        reason => format!(" ({})", reason.trim()),
    }
}

/// When the wall clock will show `wall`, as far as that is known: up to the whole second, so that each look at the
/// same limit, on two clocks that drift, asks for the same wake-up.
pub(crate) fn at_wall(now: Now, wall: WallTime) -> Now {
    const SECOND: i64 = 1_000_000_000;
    let seconds = now.mono.plus(wall.since(now.wall)).0.div_euclid(SECOND).saturating_add(1);
    Now { mono: MonoTime(seconds.saturating_mul(SECOND)), wall }
}

pub(super) fn hold(p: &Proposal<'_>) -> Opinion {
    match hold_on(p.view, &p.incident.target) {
        Some((until, why)) => defer(until, why),
        None => allow("nothing is held"),
    }
}

pub(super) fn maintenance(p: &Proposal<'_>) -> Opinion {
    match maintenance_on(p.view, &p.incident.target) {
        Some((until, why)) => defer(Some(until), why),
        None => allow("no maintenance window is open"),
    }
}

/// Acts only on what is known to fail now, and never on what somebody wants stopped.
pub(super) fn intent(p: &Proposal<'_>) -> Opinion {
    let view = p.view;
    // It left the configuration while no agent ran, or is an instance that nobody knows of yet.
    if view.checks.slots_of(&p.incident.target).is_empty() {
        return defer(None, "nothing looks at the target any more");
    }
    if let Some(why) = view.checks.of(&p.incident.target).find_map(CheckState::wanted_down) {
        return deny(why);
    }
    if let Some(doubt) = view.checks.of(&p.incident.target).find_map(CheckState::is_blind) {
        return defer(None, Text::new(format!("in doubt nothing is done: {doubt}")));
    }
    let remediation = view.state.remediations.get(&p.incident.id);
    let has_acted = remediation.is_some_and(|remediation| remediation.has_acted || remediation.has_helped);
    if p.moment != Moment::Start && has_acted {
        return allow("the operator wants it running");
    }
    // An incident is the target's: another check may fail when the one that opened it is content again.
    if view.checks_of(p.incident).into_iter().any(CheckState::is_known_to_fail) {
        return allow("the operator wants it running");
    }
    let check = view.checks.named(&p.incident.check);
    match check.and_then(|check| check.last.as_ref()) {
        None => defer(None, "it has not been looked at yet"),
        Some((_, seen)) => match seen.health() {
            Health::Failing => allow("the operator wants it running"),
            Health::Healthy => defer(None, "the last look found it healthy"),
            Health::Unknown if p.moment != Moment::Start && is_unseen_stop(p, seen) => deny(seen.summary().clone()),
            // What is done so far is why: between two steps a unit is stopped, or starting.
            Health::Unknown if p.moment != Moment::Start => allow("the operator wanted it running when it began"),
            Health::Unknown => defer(None, Text::new(format!("in doubt nothing is done: {}", seen.summary()))),
        },
    }
}

fn is_notifier(p: &Proposal<'_>) -> bool {
    p.view.bundle.parts().targets.get(&p.incident.target).is_some_and(|target| target.is_notifier)
}

/// Whether the unit was stopped while nobody listened, and no lost action of ours may be why: a person must say then
/// whether it should run.
fn is_unseen_stop(p: &Proposal<'_>, seen: &Observation) -> bool {
    let is_unseen =
        seen.unit().is_some_and(|unit| unit.intent == Intent::Unknown && unit.active == ActiveState::Inactive);
    let last = p.incident.steps.iter().rev().find(|step| matches!(step.kind, StepKind::Ended { .. }));
    let was_lost = |step: &Step| matches!(step.kind, StepKind::Ended { outcome: ActionOutcome::Lost { .. }, .. });
    is_unseen && !last.is_some_and(was_lost)
}

pub(super) fn autonomy(p: &Proposal<'_>) -> Opinion {
    // What is under way keeps its runbook and its limits, but not more freedom than it has by now.
    let rule = p.incident.rule.as_ref().and_then(|rule| p.view.bundle.parts().rules.get(rule));
    let autonomy = match (p.moment, rule) {
        (Moment::Start, _) => p.autonomy,
        (Moment::Continue | Moment::Undo, Some(rule)) => rule.autonomy,
        // An instance of a template is not known before its units are; what has left is withdrawn by its bundle.
        (Moment::Continue | Moment::Undo, None) if !p.view.checks.has(&p.incident.check) => {
            return defer(None, "its rule is not known at this moment");
        }
        (Moment::Continue | Moment::Undo, None) => return deny("its rule is no longer configured"),
    };
    match (autonomy, p.view.state.answers.get(&p.incident.id)) {
        (_, Some(OperatorAnswer::Approved | OperatorAnswer::Forced)) => allow("an operator allowed it"),
        // The way of telling people is never restarted by the healer alone: who would say what went wrong with it?
        (Autonomy::Act, None) if is_notifier(p) => defer(
            None,
            Text::new(format!(
                "it carries ansai's own messages, so it waits for `ansai approve {}` (notifier: true)",
                p.incident.id
            )),
        ),
        (Autonomy::Act, None) => allow("the rule may act"),
        (Autonomy::Approve, None) => defer(None, Text::new(format!("waits for `ansai approve {}`", p.incident.id))),
        (Autonomy::Suggest, None) => deny("the rule may only suggest (autonomy: suggest)"),
        (Autonomy::Observe, None) => deny("the rule may only observe (autonomy: observe)"),
    }
}
