//! Planned times: what several keys of a window can be wrong in together, and what follows the clock on the wall.

use std::time::Duration;

use ansai_document::{
    Findings, Node, place_of,
    text::{any_of, joined},
    written::Written,
};
use ansai_model::{
    policy::{MaintenanceWindow, QuietHours, WindowSchedule},
    time::WallTime,
};
use jiff::{Timestamp, tz::TimeZone};

use crate::{
    fill::Filled,
    keys::{
        DAYS,
        limits::{Days, TimeOfDay, Window},
    },
};

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
    let is_weekly = ["days", "at", "lasts"].iter().any(|name| node.has(name));
    let (from, until) =
        ("write from: 2030-01-31T08:00:00Z, or days, at and lasts for each week", "write until: 2030-01-31T10:00:00Z");
    let days = format!("write days: [sun], with {}", any_of(DAYS));
    let needs: &[(&str, &str)] = match is_weekly {
        true => &[("days", &days), ("at", "write at: \"03:00\""), ("lasts", "write lasts: 2h")],
        false => &[("from", from), ("until", until)],
    };
    let window = Window::filled(findings, node, key, None);
    let missing: Vec<_> = needs.iter().filter(|(name, _)| !node.has(name)).collect();
    for (name, help) in &missing {
        findings.lacks(node.place, (key, name), format!("a maintenance window needs `{name}`"), (*help).to_owned());
    }
    if is_weekly && let Some(name) = ["from", "until"].iter().find(|name| node.has(name)) {
        let help = "write two windows: one with from and until, one with days, at and lasts".to_owned();
        findings.error(place_of(node, name), &joined(key, name), "a window opens once or each week, not both", help);
        return None;
    }
    let Window { scope, reason, from, until, days, at, lasts } = window.filter(|_| missing.is_empty())?;
    let schedule = match is_weekly {
        true => weekly(findings, node, key, (days?, at?, lasts?), offset)?,
        false => once(findings, node, key, (from?, until?))?,
    };
    Some(MaintenanceWindow { reason: reason.unwrap_or_default(), scope, schedule })
}

fn once(
    findings: &mut Findings<'_>,
    node: &Node,
    key: &str,
    (from, until): (WallTime, WallTime),
) -> Option<WindowSchedule> {
    if until <= from {
        let what = "the window ends before it begins";
        findings.error(place_of(node, "until"), &joined(key, "until"), what, "exchange from and until".to_owned());
        return None;
    }
    Some(WindowSchedule::Once { from, until })
}

fn weekly(
    findings: &mut Findings<'_>,
    node: &Node,
    key: &str,
    (Days(days), TimeOfDay(from_minute), lasts): (Days, TimeOfDay, Duration),
    utc_offset_seconds: i32,
) -> Option<WindowSchedule> {
    if days == 0 {
        let help = format!("write at least one of {}", any_of(DAYS));
        findings.error(place_of(node, "days"), &joined(key, "days"), "the window opens on no day", help);
        return None;
    }
    Some(WindowSchedule::Weekly { days, from_minute, lasts, utc_offset_seconds })
}

/// A maintenance window, written out.
pub(crate) fn written(window: &MaintenanceWindow) -> Written {
    let MaintenanceWindow { reason, scope, schedule } = window.clone();
    let window = Window { scope, reason: Some(reason), from: None, until: None, days: None, at: None, lasts: None };
    match schedule {
        WindowSchedule::Once { from, until } => Window { from: Some(from), until: Some(until), ..window },
        WindowSchedule::Weekly { days, from_minute, lasts, .. } => {
            Window { days: Some(Days(days)), at: Some(TimeOfDay(from_minute)), lasts: Some(lasts), ..window }
        }
    }
    .fields()
    .done()
}

#[cfg(test)]
mod tests;
