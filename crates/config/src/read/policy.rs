//! Limits, and planned times.

use std::time::Duration;

use ansai_model::{
    check::Flap,
    id::PolicyId,
    policy::{Backoff, Breaker, Budget, MaintenanceWindow, Policy, QuietHours, WindowSchedule},
    retry::Retrying,
    time::WallTime,
};
use jiff::{Timestamp, tz::TimeZone};

use crate::{
    diagnostics::{Findings, place_of},
    document::Node,
    form::{any_of, joined},
    keys::DAYS,
};

/// The longest that a weekly window stays open.
const WEEK: Duration = Duration::from_secs(7 * 86_400);
/// How long quiet hours last that do not say it.
const QUIET_FOR: Duration = Duration::from_secs(2 * 3_600);
/// Bit 0 is Monday.
const EVERY_DAY: u8 = 0x7f;

/// A policy: what is written over what stands below it.
pub(crate) fn policy(node: &Node, base: &Policy, id: PolicyId) -> Policy {
    let time =
        |node: Option<&Node>, name: &str, base: Duration| node.and_then(|node| node.duration_at(name)).unwrap_or(base);
    let (breaker, backoff, here) = (node.section("breaker"), node.section("backoff"), Some(node));
    let count = |node: Option<&Node>, name: &str, base: u32| node.and_then(|node| node.count_at(name)).unwrap_or(base);
    let jitter = backoff.and_then(|backoff| backoff.whole_at::<u32>("jitter"));
    Policy {
        id,
        cooldown: time(here, "cooldown", base.cooldown),
        target_budget: budget(node, "budget", base.target_budget),
        breaker: Breaker {
            failures_max: count(breaker, "failures", base.breaker.failures_max),
            window: time(breaker, "within", base.breaker.window),
            open_for: time(breaker, "open_for", base.breaker.open_for),
        },
        backoff: Backoff {
            initial: time(backoff, "initial", base.backoff.initial),
            factor: count(backoff, "factor", base.backoff.factor),
            wait_max: time(backoff, "max", base.backoff.wait_max),
            jitter_percent: jitter.unwrap_or(base.backoff.jitter_percent).min(100),
            reset_after: time(backoff, "reset_after", base.backoff.reset_after),
        },
        attempts_max: count(here, "attempts", base.attempts_max),
        verify_within: time(here, "verify_within", base.verify_within),
        stable_for: time(here, "stable_for", base.stable_for),
        approval_expires: time(here, "approval_expires", base.approval_expires),
        dependency_wait: time(here, "dependency_wait", base.dependency_wait),
        tell_unknown_after: node.duration_at("tell_unknown_after").or(base.tell_unknown_after),
        quiet: quiet(node).unwrap_or(base.quiet),
        retry: match node.text_at("retry") {
            Some("growing") => Retrying::Growing,
            Some("never") => Retrying::Never,
            Some(_) | None => base.retry,
        },
        loud_after: count(here, "loud_after", base.loud_after),
    }
}

/// Quiet hours as far as they are written: every day, unless days are named; in UTC until [`in_civil_time`].
pub(crate) fn quiet(parent: &Node) -> Option<Option<QuietHours>> {
    let node = parent.get("quiet")?;
    match node.text() {
        Some("learned") => return Some(Some(QuietHours::Learned)),
        Some("none") => return Some(None),
        Some(_) | None => {}
    }
    let days = days(node);
    Some(Some(QuietHours::Declared(WindowSchedule::Weekly {
        days: if days == 0 { EVERY_DAY } else { days },
        from_minute: super::time_of_day(node.text_at("at")?)?,
        lasts: node.duration_at("lasts").unwrap_or(QUIET_FOR).min(WEEK),
        utc_offset_seconds: 0,
    })))
}

/// Quiet hours in the civil time of the host.
pub(crate) fn in_civil_time(quiet: &mut Option<QuietHours>, zone: &TimeZone, now: WallTime) {
    if let Some(QuietHours::Declared(WindowSchedule::Weekly { utc_offset_seconds, .. })) = quiet {
        *utc_offset_seconds = offset_at(zone, now);
    }
}

fn offset_at(zone: &TimeZone, now: WallTime) -> i32 {
    let now = Timestamp::from_millisecond(now.0).unwrap_or(Timestamp::UNIX_EPOCH);
    zone.to_offset(now).seconds()
}

pub(crate) fn budget(parent: &Node, name: &str, base: Budget) -> Budget {
    let Some(node) = parent.section(name) else { return base };
    Budget {
        actions_max: node.count_at("actions").unwrap_or(base.actions_max),
        per: node.duration_at("per").unwrap_or(base.per),
    }
}

/// When a check flaps: what is written over what holds otherwise.
pub(crate) fn flap(parent: &Node, base: Flap) -> Flap {
    let Some(node) = parent.section("flap") else { return base };
    Flap {
        changes_max: node.count_at("changes").unwrap_or(base.changes_max),
        window: node.duration_at("within").unwrap_or(base.window),
    }
}

/// A policy that forbids nearly everything; the shipped layer is read over it.
pub(crate) fn strictest(id: PolicyId) -> Policy {
    let hour = Duration::from_secs(3600);
    Policy {
        id,
        cooldown: hour,
        target_budget: Budget { actions_max: 1, per: hour },
        breaker: Breaker { failures_max: 1, window: hour, open_for: hour },
        backoff: Backoff { initial: hour, factor: 2, wait_max: hour, jitter_percent: 0, reset_after: hour },
        attempts_max: 1,
        verify_within: hour,
        stable_for: hour,
        approval_expires: hour,
        dependency_wait: hour,
        tell_unknown_after: None,
        quiet: None,
        retry: Retrying::Never,
        loud_after: 1,
    }
}

/// Every maintenance window; those that open each week in the civil time of a zone as it is now.
pub(crate) fn windows(
    findings: &mut Findings<'_>,
    root: &Node,
    zone: &TimeZone,
    now: WallTime,
) -> Vec<MaintenanceWindow> {
    let offset = offset_at(zone, now);
    let items = root.items("maintenance").iter().enumerate();
    items.filter_map(|(index, node)| window(findings, node, &format!("maintenance[{index}]"), offset)).collect()
}

/// Whether a window opens each week, and so depends on the civil time of the host.
pub(crate) fn is_weekly(window: &MaintenanceWindow) -> bool {
    matches!(window.schedule, WindowSchedule::Weekly { .. })
}

/// When the civil time of the zone changes next.
pub(crate) fn next_change(zone: &TimeZone, now: WallTime) -> Option<WallTime> {
    let change = zone.following(Timestamp::from_millisecond(now.0).ok()?).next()?;
    Some(WallTime(change.timestamp().as_millisecond()))
}

/// A maintenance window: one with two ends, or one that opens each week.
fn window(findings: &mut Findings<'_>, node: &Node, key: &str, offset: i32) -> Option<MaintenanceWindow> {
    node.map()?;
    let mut needs = |name: &str, help: &str| {
        let is_there = node.has(name);
        if !is_there {
            findings.error(node.place, key, format!("a maintenance window needs `{name}`"), help.to_owned());
        }
        is_there
    };
    let has_scope = needs("scope", "write scope: \"*\" for every target");
    let is_weekly = ["days", "at", "lasts"].iter().any(|name| node.has(name));
    let is_whole = if is_weekly {
        let days = needs("days", &format!("write days: [sun], with {}", any_of(DAYS)));
        let at = needs("at", "write at: \"03:00\"");
        needs("lasts", "write lasts: 2h") && at && days
    } else {
        let from = needs("from", "write from: 2030-01-31T08:00:00Z, or days, at and lasts for each week");
        needs("until", "write until: 2030-01-31T10:00:00Z") && from
    };
    if is_weekly && let Some(name) = ["from", "until"].iter().find(|name| node.has(name)) {
        let help = "write two windows: one with from and until, one with days, at and lasts".to_owned();
        findings.error(place_of(node, name), &joined(key, name), "a window opens once or each week, not both", help);
        return None;
    }
    if !has_scope || !is_whole {
        return None;
    }
    let schedule = if is_weekly { weekly(findings, node, key, offset)? } else { once(findings, node, key)? };
    let scope = super::scope(node);
    Some(MaintenanceWindow { reason: node.string_at("reason").unwrap_or_default(), scope, schedule })
}

fn once(findings: &mut Findings<'_>, node: &Node, key: &str) -> Option<WindowSchedule> {
    let (from, until) = (node.moment_at("from")?, node.moment_at("until")?);
    if until <= from {
        let what = "the window ends before it begins";
        findings.error(place_of(node, "until"), &joined(key, "until"), what, "exchange from and until".to_owned());
        return None;
    }
    Some(WindowSchedule::Once { from, until })
}

fn weekly(findings: &mut Findings<'_>, node: &Node, key: &str, utc_offset_seconds: i32) -> Option<WindowSchedule> {
    let lasts = node.duration_at("lasts")?;
    if lasts.is_zero() || lasts > WEEK {
        let help = "write a time of up to 7d".to_owned();
        findings.error(place_of(node, "lasts"), &joined(key, "lasts"), "a weekly window lasts up to a week", help);
        return None;
    }
    let days = days(node);
    if days == 0 {
        let help = format!("write at least one of {}", any_of(DAYS));
        findings.error(place_of(node, "days"), &joined(key, "days"), "the window opens on no day", help);
        return None;
    }
    let from_minute = super::time_of_day(node.text_at("at")?)?;
    Some(WindowSchedule::Weekly { days, from_minute, lasts, utc_offset_seconds })
}

fn days(node: &Node) -> u8 {
    let days = node.strings_at("days");
    let days = days.iter().filter_map(|day| DAYS.iter().position(|known| known == day));
    days.fold(0, |bits, day| bits | 1 << day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        document::{Form, read},
        layer::Sources,
    };

    #[test]
    fn a_weekly_window_follows_the_civil_time_of_the_host() {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").expect("a zone");
        let at = |text: &str| WallTime(text.parse::<Timestamp>().expect("a moment").as_millisecond());
        let text = "maintenance: [{scope: '*', days: [sun, mon], at: '03:30', lasts: 2h}]";
        let root = read(text, Form::Yaml, 0).expect("valid");
        let offset = |now| {
            let sources = Sources::default();
            let windows = windows(&mut Findings::new(&sources), &root, &zone, now);
            match windows.first().map(|window| window.schedule) {
                Some(WindowSchedule::Weekly { days, from_minute, utc_offset_seconds, .. }) => {
                    assert_eq!((days, from_minute), (0b100_0001, 210));
                    (utc_offset_seconds, next_change(&zone, now))
                }
                other => panic!("{other:?}"),
            }
        };
        let (winter, summer) = (at("2026-01-10T00:00:00Z"), at("2026-07-10T00:00:00Z"));
        assert_eq!(offset(winter), (3_600, Some(at("2026-03-29T01:00:00Z"))));
        assert_eq!(offset(summer), (7_200, Some(at("2026-10-25T01:00:00Z"))));
        assert_eq!(next_change(&TimeZone::UTC, winter), None);
    }
}
