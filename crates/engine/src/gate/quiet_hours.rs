//! The gate of quiet hours: what is foreseen and can wait is done when it is least felt.
//! It foresees nothing; the forecast comes with the observation.

use alloc::format;
use core::time::Duration;

use ansai_model::{
    action::Disruption,
    condition::Value,
    observation::Details,
    policy::{QuietHours, WindowSchedule},
    text::Text,
    time::{Now, Shown, WallTime},
};

use super::{
    limits::is_forced,
    operator::at_wall,
    proposal::{Proposal, ProposalKind, Ruling, allow, defer},
};
use crate::{check::CheckState, remediation::Remediation, view::View};

/// The figure by which a check says how soon its limit may be reached at the earliest.
pub(crate) const EARLIEST: &str = "forecast.earliest";
/// How long before the limit a disruptive action is done at the latest: it needs its own time, and a second try.
const MARGIN: Duration = Duration::from_secs(600);
/// How long learned quiet hours last.
const LEARNED_FOR: Duration = Duration::from_secs(3600);
const DAY: i64 = 86_400_000;
/// While the quiet hours of a host are not known, a day is left for them to be learned and to come.
const LEFT_MIN: Duration = Duration::from_secs(86_400);

/// Defers a disruptive action until the quiet hours, unless the limit is reached before, or nothing says when it is.
pub(super) fn quiet(p: &Proposal<'_>) -> Ruling {
    let Some(hours) = p.policy.quiet else { return allow("no quiet hours are asked for") };
    if p.disruption < Disruption::Full || p.kind != ProposalKind::Continue {
        return allow("quiet hours are for what disrupts");
    }
    if is_forced(p) {
        return allow("an operator asked for it now");
    }
    if p.view.state.remediations.get(&p.incident.id).is_some_and(Remediation::has_disrupted) {
        return allow("what has begun to disrupt is brought to its end");
    }
    let opens = opens_at(p.view, hours);
    if opens.is_some_and(|opens| opens <= p.view.now.wall) {
        return allow("these are quiet hours");
    }
    let Some(left) = limit_in(p) else {
        if p.view.checks_of(p.incident).into_iter().any(CheckState::is_known_to_fail) {
            return allow("nothing says that it can wait");
        }
        // A look that failed says nothing of the time that is left.
        let until = opens.map(|opens| at_wall(p.view.now, opens));
        return defer(until, "it waits for the quiet hours; how long it can wait is not known");
    };
    let Some(opens) = opens else { return while_unknown(left) };
    let wait = opens.since(p.view.now.wall);
    if left < wait.saturating_add(MARGIN) {
        let (left, wait) = (Shown(left), Shown(wait));
        return allow(Text::new(format!("the limit may be reached in {left}, before the quiet hours in {wait}")));
    }
    let why =
        format!("it waits for the quiet hours, in {}; the limit is not reached before {}", Shown(wait), Shown(left));
    defer(Some(at_wall(p.view.now, opens)), Text::new(why))
}

/// Of a host whose quiet hours are not known it is only known that they come once a day. The next look asks again.
fn while_unknown(left: Duration) -> Ruling {
    if left <= LEFT_MIN {
        return allow("the quiet hours of this host are not known yet, and the limit is near");
    }
    let why =
        format!("the quiet hours of this host are not known yet; the limit is not reached before {}", Shown(left));
    defer(None, Text::new(why))
}

/// The least time until one of the incident's checks may reach its limit, counted from now.
fn limit_in(p: &Proposal<'_>) -> Option<Duration> {
    let checks = p.view.checks_of(p.incident);
    checks.into_iter().filter_map(|check| earliest(p.view.now, check.last.as_ref()?)).min()
}

fn earliest(now: Now, (at, seen): &(Now, ansai_model::observation::Observation)) -> Option<Duration> {
    let Details::Figures(figures) = seen.details() else { return None };
    match figures.get(EARLIEST)? {
        Value::Duration(left) => Some(left.saturating_sub(now.mono.since(at.mono))),
        Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::Bytes(_) | Value::Percent(_) => None,
    }
}

/// When the quiet hours open next; in the past or now when they are open. `None` when that is not known.
fn opens_at(view: View<'_>, hours: QuietHours) -> Option<WallTime> {
    let now = view.now.wall;
    let schedule = match hours {
        QuietHours::Declared(schedule) => schedule,
        QuietHours::Learned => {
            let Some(Value::Number(hour)) = view.outside.facts.get("host.quiet_hour") else { return None };
            let hour = (0..24_u16).find(|known| f64::from(*known) >= *hour)?;
            let from_minute = hour * 60;
            WindowSchedule::Weekly { days: 0x7f, from_minute, lasts: LEARNED_FOR, utc_offset_seconds: 0 }
        }
    };
    if schedule.open_until(now).is_some() {
        return Some(now);
    }
    match schedule {
        WindowSchedule::Once { from, .. } => (from > now).then_some(from),
        WindowSchedule::Weekly { days, from_minute, utc_offset_seconds, .. } => {
            let offset = i64::from(utc_offset_seconds) * 1000;
            let today = now.0.saturating_add(offset).div_euclid(DAY);
            (0..=7).find_map(|ahead| {
                let day = today + ahead;
                let opens = WallTime(day * DAY + i64::from(from_minute) * 60_000 - offset);
                // 1970-01-01 was a Thursday, the day with index 3.
                let is_open_that_day = days >> (day + 3).rem_euclid(7) & 1 == 1;
                (is_open_that_day && opens > now).then_some(opens)
            })
        }
    }
}
