//! The invariants of one host as named functions: used by the engine before it acts, by tests and by the simulator.
//! They do not share code with the gates, so that one mistake is not made twice. In production a violation puts the
//! target on hold.

use alloc::{format, vec::Vec};
use core::time::Duration;

use ansai_model::{
    action::Disruption,
    bundle::Bundle,
    fleet::{RESTRAINTS_MAX, RestraintKind},
    id::{IncidentId, TargetId},
    incident::Phase,
    observation::Health,
    permit::LinkStanding,
    policy::{Budget, Scope},
    probe::Probe,
    runbook::Step,
    text::Text,
    time::{MonoTime, Now},
};

use crate::{
    context::Context,
    effect::{Dispatch, Effect},
    remediation::{Remediation, Stage},
    state::{DISPATCHES_MAX, Hold, INCIDENTS_MAX, PendingRun, SCOPES_MAX, State},
    view::View,
};

/// A broken invariant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which invariant, by the name of its function.
    pub invariant: &'static str,
    /// What was found.
    pub what: Text,
}

fn violated(invariant: &'static str, what: impl Into<Text>) -> Result<(), Violation> {
    Err(Violation { invariant, what: what.into() })
}

/// On whose behalf an action is about to begin.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Behalf {
    /// An incident's.
    Incident(IncidentId),
    /// An operator's, who wants something broken.
    Drill,
    /// An operator's, who wants something done.
    Request,
}

/// Whether an action may be begun: I2, I3, I5 and "at most one remediation a target", asked once more.
pub(crate) fn before_action(
    view: View<'_>,
    target: &TargetId,
    on: Behalf,
    disruption: Disruption,
) -> Result<(), Violation> {
    nothing_acts_while_stopped(view, target)?;
    one_remediation_a_target(view.state)?;
    one_action_a_target(view.state, view.now, target)?;
    if let Behalf::Incident(id) = on {
        acts_on_failures_only(view.state, id)?;
        let begins = view.state.remediations.get(&id).is_some_and(|r| r.step == 0 && r.stage == Stage::Ready);
        if begins {
            at_once_bounded(view)?;
        }
        disturbs_by_permit_only(view, target, id, disruption)?;
    }
    if disruption > Disruption::None {
        budget_respected(view, target, on)?;
    }
    Ok(())
}

/// Every invariant of the state between two steps.
///
/// # Errors
/// The first that is broken.
pub fn of_state(bundle: &Bundle, state: &State) -> Result<(), Violation> {
    newest_bundle_in_force(bundle, state)?;
    newest_restraints_in_force(state)?;
    one_remediation_a_target(state)?;
    attempts_bounded(state)?;
    collections_bounded(state)?;
    state.remediations.keys().try_for_each(|id| acts_on_failures_only(state, *id))?;
    let runs = state.runs.values().filter_map(|run| run.incident);
    runs.into_iter().try_for_each(|id| acts_on_failures_only(state, id))?;
    phases_consistent(state)
}

/// An older generation is never applied.
fn newest_bundle_in_force(bundle: &Bundle, state: &State) -> Result<(), Violation> {
    let (newest, in_force) = (state.generation, bundle.parts().generation);
    if in_force < newest {
        return violated(
            "newest_bundle_in_force",
            format!("generation {in_force} is in force, and {newest} has been applied"),
        );
    }
    Ok(())
}

/// I4: of what a controller says nothing older is ever in force.
fn newest_restraints_in_force(state: &State) -> Result<(), Violation> {
    let Some(from) = &state.controller else { return Ok(()) };
    let ((epoch, generation), newest) = ((from.said.epoch, from.said.generation), from.newest);
    if epoch < newest.0 || epoch == newest.0 && generation < newest.1 {
        let (of_newest, newest) = newest;
        let what = format!(
            "restraints of epoch {epoch}, generation {generation} are in force, and {newest} of epoch {of_newest} were"
        );
        return violated("newest_restraints_in_force", what);
    }
    Ok(())
}

/// I6: what is not known to fail is told and never acted on.
fn acts_on_failures_only(state: &State, id: IncidentId) -> Result<(), Violation> {
    match state.incidents.get(&id).map(|incident| incident.kind) {
        Some(kind) if kind.is_notify_only() => {
            violated("acts_on_failures_only", format!("{id} is healed although it is told only ({kind:?})"))
        }
        Some(_) | None => Ok(()),
    }
}

/// I5: in hold, in a maintenance window, or without a ledger nothing is begun.
fn nothing_acts_while_stopped(view: View<'_>, target: &TargetId) -> Result<(), Violation> {
    const NAME: &str = "nothing_acts_while_stopped";
    if view.outside.hold_file.is_some() {
        return violated(NAME, "an action was about to begin although the HOLD file is there");
    }
    if view.outside.ledger_trouble.is_some() {
        return violated(NAME, "an action was about to begin although the ledger cannot be saved");
    }
    if view.outside.stands_back.as_ref().is_some_and(|(_, until)| *until > view.now.mono) {
        return violated(NAME, format!("an action on {target} was about to begin although the host stands back"));
    }
    for hold in &view.state.holds {
        if hold.scope.holds(target) && hold.is_on(view.now) {
            return violated(NAME, format!("an action on {target} was about to begin although it is held"));
        }
    }
    let said = view.state.controller.iter().flat_map(|from| from.said.restraints.iter().map(move |said| (from, said)));
    for (from, said) in said {
        let age = view.now.mono.since(from.came.mono);
        let is_over = said.until.is_some_and(|until| until.since(from.said.at) <= age);
        if said.kind != RestraintKind::Silence && !is_over && said.scope.holds(target) {
            let what = format!("an action on {target} was about to begin although the controller's {} is on", said.id);
            return violated(NAME, what);
        }
    }
    let planned = view.bundle.parts().maintenance.iter();
    let planned = planned.map(|window| (&window.scope, window.schedule.open_until(view.now.wall).is_some()));
    let opened = view.state.maintenance.iter().map(|window| (&window.scope, window.end(view.now).is_some()));
    match planned.chain(opened).any(|(scope, is_open)| is_open && scope.holds(target)) {
        true => violated(NAME, format!("an action on {target} was about to begin in its maintenance window")),
        false => Ok(()),
    }
}

/// I1 and I4 at this end: in a fleet what serves is not taken away without a permit of this life of the controller that lasts.
fn disturbs_by_permit_only(
    view: View<'_>,
    target: &TargetId,
    id: IncidentId,
    disruption: Disruption,
) -> Result<(), Violation> {
    const NAME: &str = "disturbs_by_permit_only";
    let epoch = match view.outside.permits.link {
        None | Some(LinkStanding::Up { gives_permits: false, .. }) => return Ok(()),
        Some(LinkStanding::Away) => None,
        Some(LinkStanding::Up { epoch, .. }) => Some(epoch),
    };
    let is_down = view.checks.of(target).any(|check| {
        let fails = check.last.as_ref().is_some_and(|(_, seen)| seen.health() == Health::Failing);
        fails && !matches!(check.check.probe, Probe::Domain(_))
    });
    let done = view.state.remediations.get(&id).map_or(0, |remediation| remediation.step);
    let steps = view.state.remediations.get(&id).and_then(Remediation::current).map(|rung| rung.steps.iter());
    let was_taken = steps
        .into_iter()
        .flatten()
        .take(done)
        .any(|step| matches!(step, Step::Act { action, .. } if action.disruption() == Disruption::Full));
    if disruption < Disruption::Full || is_down || was_taken {
        return Ok(());
    }
    let held = view.state.permits.get(&id);
    match held.is_some_and(|held| Some(held.epoch) == epoch && view.now.mono < held.until) {
        true => Ok(()),
        false => violated(NAME, format!("{target} serves, and was about to be taken away without a permit")),
    }
}

/// At most one remediation a target; one whose remedy worked and that is only watched does not count.
fn one_remediation_a_target(state: &State) -> Result<(), Violation> {
    let is_watched = |remediation: &Remediation| matches!(remediation.stage, Stage::Stabilizing { .. });
    let climbing = state.remediations.iter().filter(|(_, remediation)| !is_watched(remediation));
    let mut targets: Vec<&TargetId> =
        climbing.filter_map(|(id, _)| state.incidents.get(id)).map(|incident| &incident.target).collect();
    targets.sort();
    match targets.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => violated("one_remediation_a_target", format!("{} is being healed twice at once", pair[0])),
        None => Ok(()),
    }
}

/// At most one action under way on a target.
fn one_action_a_target(state: &State, now: Now, target: &TargetId) -> Result<(), Violation> {
    match state.runs.iter().find(|(_, run)| run.target == *target && run.lost_after > now.mono) {
        Some((run, _)) => violated("one_action_a_target", format!("{run} is still under way on {target}")),
        None => Ok(()),
    }
}

/// I2: never more disruptive actions than the budgets of the target and of the host, where the first action on a target
/// is no repetition, nor the first after what it failed for is gone. A drill and what it broke are counted in books of their own,
/// under limits that are four times as wide.
fn budget_respected(view: View<'_>, target: &TargetId, on: Behalf) -> Result<(), Violation> {
    const NAME: &str = "budget_respected";
    let state = view.state;
    let (is_drill, policy) = match on {
        Behalf::Drill => (true, None),
        Behalf::Request => (false, None),
        Behalf::Incident(id) => {
            let policy = state.remediations.get(&id).map(|remediation| &remediation.policy);
            (state.incidents.get(&id).is_some_and(|incident| incident.is_drill), policy)
        }
    };
    let memory = state.targets.get(target);
    let on_target = memory.map(|memory| if is_drill { &memory.drills } else { &memory.actions });
    let host = view.bundle.parts().settings.host_budget;
    let times_as_many = if is_drill { Budget::DRILLS_FACTOR } else { 1 };
    let host_max = host.actions_max.saturating_mul(times_as_many);
    let host_from = view.now.mono.minus(host.per);
    let anew = memory.and_then(|memory| memory.anew);
    let counts = |at: &MonoTime| *at > host_from && anew.is_none_or(|anew| anew <= *at);
    if on_target.into_iter().flatten().any(counts) {
        let repeated = if is_drill { &state.host_drills } else { &state.host_actions };
        let on_host = repeated.iter().filter(|at| **at > host_from).count();
        if on_host >= host_max as usize {
            return violated(NAME, format!("{on_host} repeated actions on the host already; the budget is {host_max}"));
        }
    }
    if let (Some(policy), Some(times)) = (policy, on_target) {
        let from = view.now.mono.minus(policy.target_budget.per);
        let used = times.iter().filter(|at| **at > from).count();
        if used >= policy.target_budget.actions_max.saturating_mul(times_as_many) as usize {
            return violated(NAME, format!("{used} actions on {target} already; its budget is used up"));
        }
    }
    Ok(())
}

/// No more actions of incidents under way than may be at once.
fn at_once_bounded(view: View<'_>) -> Result<(), Violation> {
    const SLOW: Duration = Duration::from_secs(2);
    let is_counted = |run: &&PendingRun| {
        run.incident.is_some() && run.lost_after > view.now.mono && view.now.mono.since(run.decided.mono) < SLOW
    };
    let count = view.state.runs.values().filter(is_counted).count();
    let most = view.bundle.parts().settings.remediations_at_once_max;
    if count >= most.max(1) as usize {
        return violated("at_once_bounded", format!("{count} actions are under way already; at most {most} may be"));
    }
    Ok(())
}

/// Attempts never exceed the policy, so that each incident ends resolved or escalated.
fn attempts_bounded(state: &State) -> Result<(), Violation> {
    for (id, remediation) in &state.remediations {
        if remediation.attempts > remediation.policy.attempts_max {
            return violated("attempts_bounded", format!("{id} has had {} attempts", remediation.attempts));
        }
    }
    Ok(())
}

/// Nothing in the state grows without bound.
fn collections_bounded(state: &State) -> Result<(), Violation> {
    let restraints = state.controller.as_ref().map_or(0, |from| from.said.restraints.len());
    let sizes = [
        ("incidents", state.incidents.len(), INCIDENTS_MAX),
        ("dispatches", state.dispatches.len(), DISPATCHES_MAX),
        ("holds", state.holds.len(), SCOPES_MAX),
        ("silences", state.silences.len(), SCOPES_MAX),
        ("maintenance windows", state.maintenance.len(), SCOPES_MAX),
        ("restraints of the controller", restraints, RESTRAINTS_MAX),
        ("remediations", state.remediations.len(), state.incidents.len()),
        ("storms", state.storms.len(), state.incidents.len()),
        ("remediations set aside", state.preempted.len(), state.incidents.len()),
        ("pending runs", state.runs.len(), INCIDENTS_MAX * 2),
    ];
    match sizes.iter().find(|(_, size, most)| size > most) {
        Some((what, size, most)) => violated("collections_bounded", format!("{size} {what}; at most {most}")),
        None => Ok(()),
    }
}

/// A remediation belongs to an open incident that is not with a person.
fn phases_consistent(state: &State) -> Result<(), Violation> {
    for id in state.remediations.keys() {
        let phase = state.incidents.get(id).map(|incident| &incident.phase);
        match phase {
            Some(Phase::Remediating | Phase::Stabilizing { .. }) => {}
            Some(Phase::Open | Phase::AwaitingApproval { .. } | Phase::Resolved(_) | Phase::Escalated { .. })
            | None => {
                return violated("phases_consistent", format!("{id} is being healed in phase {phase:?}"));
            }
        }
    }
    Ok(())
}

impl Context {
    /// Puts a target on hold because an invariant was about to be broken: a healer fails safe.
    pub(crate) fn hold_for_violation(&mut self, target: &TargetId, violation: &Violation) {
        let reason = Text::new(format!("invariant {} would have been broken: {}", violation.invariant, violation.what));
        let scope = Scope::Matching(alloc::vec![target.as_str().into()]);
        if self.state.holds.len() < SCOPES_MAX && !self.state.holds.iter().any(|hold| hold.scope == scope) {
            self.state.holds.push(Hold::new(scope, "ansai itself".into(), reason, self.now, None));
            self.changed();
        }
    }
}

/// For checkers: the dispatches among effects.
pub fn dispatches(effects: &[Effect]) -> impl Iterator<Item = &Dispatch> {
    effects.iter().filter_map(|effect| match effect {
        Effect::Dispatch(dispatch) => Some(&**dispatch),
        Effect::Observe(_) | Effect::Perform(_) | Effect::Gather(_) => None,
        Effect::Answer { .. } | Effect::Restrained(_) | Effect::Ordered(_) | Effect::Permits { .. } => None,
    })
}
