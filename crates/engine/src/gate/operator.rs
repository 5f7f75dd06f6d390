//! Gates that keep what people want: hold, maintenance window, the operator's intent, autonomy.

use alloc::{borrow::ToOwned, format, string::String};

use ansai_model::{
    action::ActionOutcome,
    decision::{Decision, Gate, GateResult, Verdict},
    fleet::{Restraint as Said, RestraintKind},
    id::TargetId,
    incident::{Incident, Phase, Step, StepKind},
    observation::{Health, Observation},
    rule::Autonomy,
    text::Text,
    time::{MonoTime, Now, WallTime},
    unit::{ActiveState, Intent},
};

use super::proposal::{Proposal, ProposalKind, Ruling, allow, defer, deny};
use crate::{check::CheckState, state::OperatorAnswer, view::View};

/// Where the file is that holds everything, as long as nobody has it elsewhere.
pub(crate) const HOLD_FILE: &str = "/etc/ansai/HOLD";

/// What somebody wants left alone, in sentences.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Restraint {
    /// When it ends by itself, if ever.
    pub(crate) until: Option<Now>,
    /// Who wants what, since when or until when, and why.
    pub(crate) why: Text,
    /// What ends it.
    pub(crate) instead: Text,
}

impl Restraint {
    fn new(until: Option<Now>, why: String, instead: String) -> Self {
        Self { until, why: Text::new(why), instead: Text::new(instead) }
    }

    /// Both in one sentence.
    pub(crate) fn words(&self) -> Text {
        Text::new(format!("{}; {}", self.why, self.instead))
    }
}

/// Why automation is held for a target, and until when.
pub(crate) fn hold_on(view: View<'_>, target: &TargetId) -> Option<Restraint> {
    if let Some(text) = &view.outside.hold_file {
        let why = format!("the HOLD file stops all action{}", quoted(text));
        return Some(Restraint::new(None, why, format!("it is over when {HOLD_FILE} is removed")));
    }
    let here = view.state.holds.iter().filter(|hold| hold.scope.holds(target) && hold.is_on(view.now)).map(|hold| {
        let (until, scope) = (hold.end(view.now), hold.scope.arguments());
        let why = format!("{} has held it since {}{}{}", hold.by, hold.since.wall, quoted(&hold.reason), ends(until));
        Restraint::new(until, why, format!("`ansai release {scope}` ends that"))
    });
    let elsewhere = by_controller(view, RestraintKind::Hold, target).map(|(until, said, since)| {
        let Said { by, over, .. } = said;
        let why =
            format!("{by} has held {over} at the controller since {since}{}{}", quoted(&said.reason), ends(until));
        Restraint::new(until, why, at_controller(said))
    });
    let meanwhile = view.stands_back().map(|(why, until)| {
        let why = format!("the controller has it stand back until {}: {why}", until.wall);
        Restraint::new(Some(until), why, "it ends by itself when the controller says so no more".to_owned())
    });
    here.chain(elsewhere)
        .chain(meanwhile)
        .max_by_key(|restraint| (restraint.until.is_none(), restraint.until.map(|until| until.mono)))
}

/// What a controller's operators have said of a target, with its end if it has one, and since when.
fn by_controller<'a>(
    view: View<'a>,
    kind: RestraintKind,
    target: &'a TargetId,
) -> impl Iterator<Item = (Option<Now>, &'a Said, WallTime)> {
    let from = view.state.controller.iter();
    from.flat_map(move |from| {
        let on = from.on(view.now, kind, target);
        on.map(move |said| (from.end(view.now, said), said, from.since(said)))
    })
}

fn at_controller(said: &Said) -> String {
    format!("`{}` on the controller ends that", said.end_command())
}

fn ends(until: Option<Now>) -> String {
    until.map(|until| format!(", until {}", until.wall)).unwrap_or_default()
}

/// Until when a maintenance window is open for a target, and why: one of the configuration, by the clock on the wall, or
/// one that an operator opened, for as long as was said.
pub(crate) fn maintenance_on(view: View<'_>, target: &TargetId) -> Option<(Now, Restraint)> {
    let restraint = |until: Now, whose: String, reason: &str, instead: String| {
        let why = format!("it is in {whose}{}, until {}", quoted(reason), until.wall);
        (until, Restraint::new(Some(until), why, instead))
    };
    let planned = view.bundle.parts().maintenance.iter().filter(|window| window.scope.holds(target));
    let planned = planned.filter_map(|window| {
        let until = at_wall(view.now, window.schedule.open_until(view.now.wall)?);
        let instead = "`maintenance:` in the configuration says when".to_owned();
        Some(restraint(until, "a planned maintenance window".into(), &window.reason, instead))
    });
    let opened = view.state.maintenance.iter().filter(|window| window.scope.holds(target));
    let opened = opened.filter_map(|window| {
        let (by, reason) = window.author();
        let instead = format!("`ansai maintenance end {}` ends that", window.scope.arguments());
        Some(restraint(window.end(view.now)?, format!("a maintenance window that {by} opened"), reason, instead))
    });
    let elsewhere = by_controller(view, RestraintKind::Maintenance, target).filter_map(|(until, said, _)| {
        let whose = format!("a maintenance window that {} opened at the controller for {}", said.by, said.over);
        Some(restraint(until?, whose, said.reason.as_str(), at_controller(said)))
    });
    planned.chain(opened).chain(elsewhere).max_by_key(|(until, _)| until.mono)
}

/// Until when nobody is told of a target, and by whose silence.
pub(crate) fn silence_on(view: View<'_>, target: &TargetId) -> Option<(Now, Restraint)> {
    let silences = view.state.silences.iter().filter(|silence| silence.scope.holds(target));
    let silences = silences.filter_map(|silence| {
        let until = silence.end(view.now)?;
        let why = format!("{} has silenced it{}, until {}", silence.by, quoted(&silence.reason), until.wall);
        let instead = format!("`ansai unsilence {}` ends that", silence.scope.arguments());
        Some((until, Restraint::new(Some(until), why, instead)))
    });
    let elsewhere = by_controller(view, RestraintKind::Silence, target).filter_map(|(until, said, _)| {
        let (until, Said { by, over, .. }) = (until?, said);
        let why = format!("{by} has silenced {over} at the controller{}, until {}", quoted(&said.reason), until.wall);
        Some((until, Restraint::new(Some(until), why, at_controller(said))))
    });
    silences.chain(elsewhere).max_by_key(|(until, _)| until.mono)
}

fn quoted(reason: impl core::fmt::Display) -> String {
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

pub(super) fn hold(p: &Proposal<'_>) -> Ruling {
    match hold_on(p.view, &p.incident.target) {
        Some(hold) => defer(hold.until, hold.words()),
        None => allow("nothing is held"),
    }
}

pub(super) fn maintenance(p: &Proposal<'_>) -> Ruling {
    match maintenance_on(p.view, &p.incident.target) {
        Some((until, window)) => defer(Some(until), window.words()),
        None => allow("no maintenance window is open"),
    }
}

/// Acts only on what is known to fail now, and never on what somebody wants stopped.
pub(super) fn intent(p: &Proposal<'_>) -> Ruling {
    let view = p.view;
    // It left the configuration while no agent ran, or is an instance that nobody knows of yet.
    if view.checks.slots_of(&p.incident.target).is_empty() {
        return defer(None, "no check looks at it any more, so nobody knows whether it fails");
    }
    if let Some(why) = view.checks.of(&p.incident.target).find_map(CheckState::wanted_down) {
        return deny(why);
    }
    if let Some(doubt) = view.checks.of(&p.incident.target).find_map(CheckState::is_blind) {
        return defer(None, Text::new(format!("whether it fails is not known: {doubt}")));
    }
    let remediation = view.state.remediations.get(&p.incident.id);
    let has_acted = remediation.is_some_and(|remediation| remediation.has_acted || remediation.has_helped);
    if p.kind != ProposalKind::Start && has_acted {
        return allow("nobody has stopped it on purpose");
    }
    // An incident is the target's: another check may fail when the one that opened it is content again.
    if view.checks_of(p.incident).into_iter().any(CheckState::is_known_to_fail) {
        return allow("nobody has stopped it on purpose");
    }
    let check = view.checks.named(&p.incident.check);
    match check.and_then(|check| check.last.as_ref()) {
        None => defer(None, "it has not been looked at yet"),
        Some((_, seen)) => match seen.health() {
            Health::Failing => allow("nobody has stopped it on purpose"),
            Health::Healthy => defer(None, "the last look found it healthy, so there is nothing to mend"),
            Health::Unknown if p.kind != ProposalKind::Start && is_unseen_stop(p, seen) => deny(seen.summary().clone()),
            // What is done so far is why: between two steps a unit is stopped, or starting.
            Health::Unknown if p.kind != ProposalKind::Start => {
                allow("nobody had stopped it on purpose when this began")
            }
            Health::Unknown => defer(None, Text::new(format!("whether it fails is not known: {}", seen.summary()))),
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

/// Whether the rule may act, or a person is asked; what the other gates say decides whether one is asked now.
pub(super) fn autonomy(p: &Proposal<'_>, others: &[GateResult]) -> Ruling {
    // What is under way keeps its runbook and its limits, but not more freedom than it has by now.
    let rule = p.incident.rule.as_ref().and_then(|rule| p.view.bundle.parts().rules.get(rule));
    let autonomy = match (p.kind, rule) {
        (ProposalKind::Start, _) => p.autonomy,
        (ProposalKind::Continue | ProposalKind::Undo, Some(rule)) => rule.autonomy,
        // An instance of a template is not known before its units are; what has left is withdrawn by its bundle.
        (ProposalKind::Continue | ProposalKind::Undo, None) if !p.view.checks.has(&p.incident.check) => {
            return defer(None, "its rule is not known at this moment");
        }
        (ProposalKind::Continue | ProposalKind::Undo, None) => return deny("its rule is no longer configured"),
    };
    let id = p.incident.id;
    let answer = if p.if_asked.is_some() { Some(&OperatorAnswer::Forced) } else { p.view.state.answers.get(&id) };
    match (autonomy, answer) {
        (_, Some(OperatorAnswer::Approved | OperatorAnswer::Forced)) => allow("an operator allowed it"),
        // The way of telling people is never restarted by the healer alone: who would say what went wrong with it?
        (Autonomy::Act, None) if is_notifier(p) => defer(
            None,
            Text::new(format!(
                "it carries ansai's own messages (notifier: true), so a person is asked first{}",
                approval(p.incident, others)
            )),
        ),
        (Autonomy::Act, None) => allow("the rule may act"),
        (Autonomy::Approve, None) => {
            let why = format!("its rule asks a person first (autonomy: approve){}", approval(p.incident, others));
            defer(None, Text::new(why))
        }
        (Autonomy::Suggest, None) => deny("the rule may only suggest (autonomy: suggest)"),
        (Autonomy::Observe, None) => deny("the rule may only observe (autonomy: observe)"),
    }
}

/// How the words begin by which a person is asked, and by which it is said that they will be.
const ASKS: &str = ": `ansai approve ";
const WILL_ASK: &str = ", and will when no other gate objects: ";

/// What a person can answer, and until when; an answer to what is not asked would be refused.
fn approval(incident: &Incident, others: &[GateResult]) -> String {
    let id = incident.id;
    // What a person has, or is over, is asked about no more.
    if matches!(incident.phase, Phase::Resolved(_) | Phase::Escalated { .. }) {
        return String::new();
    }
    let ends = |other: &&GateResult| match other.verdict {
        Verdict::Defer { until: Some(until) } => (false, until.mono),
        Verdict::Allow | Verdict::Deny | Verdict::Defer { until: None } => (true, MonoTime(0)),
    };
    // The one that objects longest says from when on it may be asked.
    if let Some(other) = others.iter().filter(|other| other.verdict != Verdict::Allow).max_by_key(ends) {
        let until = match other.verdict {
            Verdict::Defer { until: Some(until) } => format!(", until {}", until.wall),
            Verdict::Allow | Verdict::Deny | Verdict::Defer { until: None } => String::new(),
        };
        return format!("{WILL_ASK}{}{until}", other.why);
    }
    let until = match incident.phase {
        Phase::AwaitingApproval { expires } => format!(", until {}", expires.wall),
        Phase::Open | Phase::Remediating | Phase::Stabilizing { .. } => String::new(),
        Phase::Resolved(_) | Phase::Escalated { .. } => String::new(),
    };
    format!("{ASKS}{id}` has it done, `ansai reject {id}` leaves it to you{until}")
}

/// Takes the question out of a decision that was kept: a person has said no, or nothing, and an answer would be refused.
pub(crate) fn ask_no_more(decision: &mut Decision) {
    for said in decision.gates.iter_mut().filter(|said| said.gate == Gate::Autonomy && said.verdict != Verdict::Allow) {
        let why = said.why.as_str();
        let asks = why.find(ASKS).or_else(|| why.find(WILL_ASK));
        said.why = asks.and_then(|at| why.get(..at)).map_or_else(|| said.why.clone(), Text::new);
    }
}
