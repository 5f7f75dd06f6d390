//! The gate of concurrency: one remedy a target at a time, and of all targets no more under way than the ramp allows.
//! What is only watched holds nobody back, and mending what is down disturbs nobody.

use alloc::format;
use core::time::Duration;

use ansai_model::{id::IncidentId, incident::Incident, text::Text, time::Now};

use super::proposal::{Proposal, ProposalKind, Ruling, allow, defer, moment_at};
use crate::{
    remediation::{Remediation, Stage},
    state::PendingRun,
    view::View,
};

/// An action that has been under way for so long mostly waits: it keeps its target, and holds up no other that is down.
const SLOW_AFTER: Duration = Duration::from_secs(2);
/// So much of what has not failed yet is restarted at once, however well that goes.
const FORESEEN_AT_ONCE_MAX: usize = 2;
/// How long a remedy of what had not failed yet is watched before the next one: a leak is watched for hours.
const WATCHED_FOR: Duration = Duration::from_secs(60);
/// When a remediation that was told to wait for others asks again at the latest.
const ASKED_AGAIN: Duration = Duration::from_secs(10);

pub(super) fn concurrency(p: &Proposal<'_>) -> Ruling {
    let (view, state, own) = (p.view, p.view.state, p.incident.id);
    let on_target = state.runs.values().find(|run| run.target == p.incident.target && run.lost_after > p.view.now.mono);
    if let Some(pending) = on_target {
        let until = moment_at(p.view.now, pending.lost_after);
        return defer(Some(until), "an action on it is still under way");
    }
    let has_disrupted = state.remediations.get(&own).is_some_and(|remediation| remediation.has_disrupted());
    if p.kind == ProposalKind::Undo || has_disrupted {
        return allow("what has begun to disrupt is brought to its end");
    }
    if let Some(other) = view.down_first(p.incident) {
        return defer(None, Text::new(format!("incident {} comes first, since by that it is down itself", other.id)));
    }
    let mut open = view.checks.open_of(&p.incident.target);
    let is_healed = |id: &IncidentId| {
        let remediation = state.remediations.get(id).filter(|_| *id != own);
        remediation.is_some_and(|other| !matches!(other.stage, Stage::Stabilizing { .. }))
    };
    if let Some(other) = open.find(is_healed) {
        return defer(None, Text::new(format!("another incident of it, {other}, is being healed first")));
    }
    let UnderWay { count, width, why, next } = under_way(view, p.incident);
    let why = Text::new(format!("{count} remedies of others are under way; at most {width} at once ({why})"));
    if count < width {
        return allow(why);
    }
    let again = moment_at(p.view.now, p.view.now.mono.plus(next.unwrap_or(ASKED_AGAIN)));
    defer(Some(again), why)
}

/// Whether so much is under way that no more may begin for this incident.
pub(crate) fn is_full(view: View<'_>, incident: &Incident) -> bool {
    let UnderWay { count, width, .. } = under_way(view, incident);
    count >= width
}

/// What is under way beside an incident.
struct UnderWay {
    /// How many remedies of others.
    count: usize,
    /// How many may be.
    width: usize,
    /// Why no more may be.
    why: &'static str,
    /// In how long the first of them no longer counts.
    next: Option<Duration>,
}

fn under_way(view: View<'_>, incident: &Incident) -> UnderWay {
    let (state, now, own) = (view.state, view.now, incident.id);
    let age = |run: &PendingRun| now.mono.since(run.decided.mono);
    let others = state.runs.values().filter(|run| run.incident.is_some_and(|id| id != own));
    let acting = || others.clone().filter(|run| run.lost_after > now.mono && age(run) < SLOW_AFTER);
    let next = acting().map(|run| SLOW_AFTER.saturating_sub(age(run))).min();
    let most = view.bundle.parts().settings.remediations_at_once_max;
    let width = state.ramp.width(now, most) as usize;
    if view.is_down(incident) {
        let why = state.ramp.why(now, most);
        return UnderWay { count: acting().count(), width, why, next };
    }
    // A restart of what runs disturbs: half as many at once, and those before it must be seen to have helped.
    let can_wait = incident.is_foreseen();
    // One that takes long is under way all the same: what it restarts serves nobody meanwhile.
    let is_slow = |run: &&PendingRun| run.lost_after > now.mono && age(run) >= SLOW_AFTER;
    let slow = others.clone().filter(is_slow).count();
    let others = state.remediations.iter().filter_map(|(id, other)| Some((view.incident(*id)?, other)));
    let judged = others.filter(|(of, _)| of.id != own && !view.is_down(of));
    let judged = judged.filter(|(of, other)| is_judged(now, of, other, can_wait)).count();
    let (width, why) = match can_wait {
        true => (width.min(FORESEEN_AT_ONCE_MAX), "what has not failed yet can wait"),
        false => {
            (width.div_ceil(2), "half of what the ramp allows, since it is not down and its remedy may disturb it")
        }
    };
    UnderWay { count: acting().count() + slow + judged, width, why, next }
}

/// Whether it is not yet known if a remedy has helped; what can wait does so until that has lasted.
fn is_judged(now: Now, incident: &Incident, remediation: &Remediation, can_wait: bool) -> bool {
    match remediation.stage {
        Stage::Verifying { .. } => true,
        Stage::Stabilizing { until } if can_wait && now.mono < until => {
            let well = incident.healthy_since.filter(|_| incident.is_foreseen());
            well.is_some_and(|at| now.mono.since(at.mono) < WATCHED_FOR)
        }
        Stage::Stabilizing { .. } | Stage::Ready | Stage::Acting { .. } | Stage::Waiting { .. } => false,
        Stage::BackingOff { .. } | Stage::Undoing { .. } => false,
    }
}
