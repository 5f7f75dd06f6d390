//! Gates that look around: the ledger, whether there is anything to act on, and what the target needs.

use alloc::format;

use ansai_model::{
    id::{CheckId, TargetId},
    incident::Incident,
    observation::Health,
    text::Text,
    time::{MonoTime, Shown},
    unit::{ActiveState, LoadState},
};

use super::{
    limits::is_forced,
    proposal::{Proposal, ProposalKind, Ruling, allow, defer, deny, moment_at},
};
use crate::{remediation::Stage, view::View};

pub(super) fn ledger(p: &Proposal<'_>) -> Ruling {
    match &p.view.outside.ledger_trouble {
        None => allow("the ledger is saved before every action"),
        Some(why) => defer(None, Text::new(format!("the ledger cannot be saved, so nothing may be done: {why}"))),
    }
}

/// No remedy makes a unit file. A person who asks for healing may have made it since the last look.
pub(super) fn existence(p: &Proposal<'_>) -> Ruling {
    let check = p.view.checks.named(&p.incident.check);
    let unit = check.and_then(|check| p.view.scene(check).unit);
    match unit.map(|unit| (unit.load, unit.active)) {
        _ if p.kind != ProposalKind::Start => allow("it was asked for when this healing was decided on"),
        _ if is_forced(p) => allow("an operator asked for it now, who may have made its unit"),
        Some((LoadState::NotFound, active)) if active != ActiveState::Active => {
            deny("its unit does not exist: install it, or take it out of the configuration")
        }
        Some((LoadState::BadSetting | LoadState::Error, _)) => deny(Text::new(format!(
            "systemd cannot read its unit file; `systemd-analyze verify {}` says why",
            p.incident.target.name()
        ))),
        Some(_) | None => allow("nothing speaks against its existence"),
    }
}

/// A cause is healed before its symptom. What is needed is looked at once more before anything is disrupted.
pub(super) fn dependency(p: &Proposal<'_>) -> Ruling {
    let view = p.view;
    // Each try asks anew: what it needs may have been found down only after the first.
    let remediation = view.state.remediations.get(&p.incident.id);
    let begins_a_try = remediation.is_some_and(|remediation| remediation.attempts > 0 && remediation.step == 0);
    if p.kind == ProposalKind::Undo || (p.kind == ProposalKind::Continue && !begins_a_try) {
        return allow("what it needs was looked at when this healing was decided on");
    }
    let target = view.bundle.parts().targets.get(&p.incident.target);
    let needs = target.map(|target| target.needs.as_slice()).unwrap_or_default();
    let causes = target.map(|target| target.waits_for.as_slice()).unwrap_or_default();
    if needs.is_empty() && causes.is_empty() {
        return allow("it needs no other target");
    }
    let patience = p.incident.opened.mono.plus(p.policy.dependency_wait);
    if let Some(ruling) = causes.iter().find_map(|cause| awaited(p, cause, patience)) {
        return ruling;
    }
    let mut pending = None;
    for need in needs {
        // Its unit may run again while its service does not answer yet: only a verified remedy lets others begin.
        if is_being_healed(view, need) && p.view.now.mono < patience {
            return defer(
                Some(moment_at(p.view.now, patience)),
                Text::new(format!("it needs {need}, which is being healed first")),
            );
        }
        // Whoever waits for what nobody mends would wait for nothing.
        let is_left_alone = |other: &Incident| view.is_about_itself(other) && view.is_only_observed(other);
        if view.open_of(need).any(is_left_alone) {
            let why = format!("it needs {need}, which is failing and which ansai only observes (autonomy: observe)");
            return deny(Text::new(why));
        }
        for check in view.checks_of_itself(need) {
            if check.hard == Health::Failing || check.failures > 0 {
                let who = view.need_is_with_a_person(need);
                if patience <= p.view.now.mono {
                    let waited = Shown(p.policy.dependency_wait);
                    let who = who.map(|who| format!(": {who}")).unwrap_or_default();
                    return deny(Text::new(format!("it needs {need}, which was not healed within {waited}{who}")));
                }
                let why = match who {
                    Some(who) => format!(
                        "it needs {need}, which is failing and is not healed now: {who}; nothing is done about this one \
                         before that is well"
                    ),
                    None => format!("it needs {need}, which is failing and is healed first"),
                };
                return defer(Some(moment_at(p.view.now, patience)), Text::new(why));
            }
            // On its way up or down it is not known to be well, unless somebody wants it down.
            let is_unknown = check.last.as_ref().is_some_and(|(_, seen)| seen.health() == Health::Unknown);
            if check.looked_at.is_none_or(|at| at < p.incident.opened.mono)
                || (is_unknown && check.wanted_down().is_none())
            {
                pending = Some(need);
            }
        }
    }
    match pending {
        Some(need) if p.view.now.mono < patience => defer(
            Some(moment_at(p.view.now, patience)),
            Text::new(format!("it needs {need}, which is looked at first")),
        ),
        Some(_) | None => allow("what it needs is well"),
    }
}

/// What a check that may explain the failure asks for: a look at it, and time for it to be mended. It never forbids: a
/// service that was down for another reason must not stay down for it.
fn awaited(p: &Proposal<'_>, cause: &CheckId, patience: MonoTime) -> Option<Ruling> {
    let check = p.view.checks.named(cause)?;
    if patience <= p.view.now.mono || is_forced(p) {
        return None;
    }
    let until = Some(moment_at(p.view.now, patience));
    if p.view.is_failing(cause) {
        let seen = check.last.as_ref().map_or("it fails", |(_, seen)| seen.summary().as_str());
        let open = p.view.open_on(&check.check.target, cause).and_then(|open| p.view.with_a_person(open));
        let why = match open {
            Some(who) => format!(
                "it waits for {cause} ({seen}), which is not mended now: {who}; this one is seen to all the same in {}",
                Shown(patience.since(p.view.now.mono))
            ),
            None => format!("it waits for {cause}, which is mended first: {seen}"),
        };
        return Some(defer(until, Text::new(why)));
    }
    let is_seen = check.looked_at.is_some_and(|at| at >= p.incident.opened.mono);
    (!is_seen)
        .then(|| defer(until, Text::new(format!("{cause} is looked at first, since it would explain the failure"))))
}

/// Whether a remedy for a target is under way and not verified yet. One for another fault domain of it counts while it acts.
pub(crate) fn is_being_healed(view: View<'_>, target: &TargetId) -> bool {
    let open = view.open_of(target).filter_map(|incident| Some((incident, view.state.remediations.get(&incident.id)?)));
    open.into_iter().any(|(incident, remediation)| match remediation.stage {
        Stage::Stabilizing { .. } => false,
        Stage::Acting { .. } | Stage::Verifying { .. } | Stage::Undoing { .. } => true,
        Stage::Ready | Stage::Waiting { .. } | Stage::BackingOff { .. } => view.is_about_itself(incident),
    })
}
