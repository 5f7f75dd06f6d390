//! Which change may be why something fails: by when it was made, by what it changed, and by whether all is well with it. Each
//! change counts by itself: a later one, as the attempt to mend it, hides none that was made before.

use alloc::{format, string::String};

use ansai_model::{
    action::ActionOutcome,
    check::Trend,
    condition::Value,
    incident::{Change, Evidence, EvidenceKind, Incident, IncidentKind, SinceBy, StepKind},
    time::WallTime,
};

use super::{keeps_files, newest_steps};

/// The rungs that only start again what is there.
const STARTS: &[&str] = &["restart", "kill-and-start"];

/// The last change of the target's own that was made after it was last well and before it failed, in words.
pub(super) fn before(incident: &Incident) -> Option<String> {
    let grows_since = grows_since(incident);
    // What grows is well after each start, whatever has been changed.
    if grows_since.is_none() && is_well_with_all(incident) {
        return None;
    }
    let is_it = |change: Change| match grows_since {
        Some(since) => change.at <= since,
        None => came_before(incident, change.at),
    };
    let (found, _, line) = newest(incident, is_it)?;
    let while_failing = |change: Change| grows_since.is_none() && came_while_failing(incident, change.at);
    let later = newest(incident, while_failing).map(|(_, _, line)| format!("; and while it was failing: {line}"));
    let more = own(incident).filter(|(_, change, _)| is_it(*change)).count().saturating_sub(1);
    let more = match more {
        0 => String::new(),
        more => format!(" (and {more} more, in the evidence)"),
    };
    let valid = is_found_valid(incident).filter(|_| found.source.as_str() == Evidence::CONFIGURATION);
    Some(format!("{}: {line}{more}{}{}", found.source, later.unwrap_or_default(), valid.unwrap_or_default()))
}

/// The same of what warns that it may not come back with what it would read now.
pub(super) fn not_read(incident: &Incident) -> Option<String> {
    let unit = incident.observation.unit().filter(|_| incident.kind == IncidentKind::Warning)?;
    unit.next_start_may_fail().and_then(|_| before(incident))
}

/// The last change of the target's own that was made while it failed, when it fails in another way since.
pub(super) fn while_failing(incident: &Incident) -> Option<String> {
    let (found, _, line) = newest(incident, |change| came_while_failing(incident, change.at))?;
    Some(format!("{}: {line}", found.source))
}

/// The target's own changes that may do harm, each with the finding that tells of it and its line.
fn own(incident: &Incident) -> impl Iterator<Item = (&Evidence, Change, &str)> {
    // What fills a place is hardly what was installed on it.
    let evidence = incident.evidence.iter().filter(|_| !keeps_files(incident));
    let own = evidence.filter(|found| found.changed.as_ref().is_some_and(|changed| changed.is_own));
    let all = own.flat_map(|found| found.changes().map(move |(change, line)| (found, change, line)));
    all.filter(|(_, change, _)| !change.is_harmless)
}

/// The newest of those that are of this kind.
fn newest(incident: &Incident, is_it: impl Fn(Change) -> bool) -> Option<(&Evidence, Change, &str)> {
    own(incident).filter(|(_, change, _)| is_it(*change)).max_by_key(|(_, change, _)| change.at)
}

/// Since when it grows, when that was foreseen. What grows is well until it is not: there the change is older than the growth, and
/// the evidence goes back only a day before that.
fn grows_since(incident: &Incident) -> Option<WallTime> {
    match incident.observation.figure(Trend::GROWING) {
        Some(Value::Duration(growing)) if incident.is_foreseen() => {
            let growing = i64::try_from(growing.as_millis()).ok()?;
            Some(WallTime(incident.opened.wall.0.saturating_sub(growing)))
        }
        Some(_) | None => None,
    }
}

/// Whether a change was made between the last look that found all well and the failure. What a later run than the well one
/// fails for may have been changed since that one began: it has read nothing since.
pub(super) fn came_before(incident: &Incident, at: WallTime) -> bool {
    // Of a look that found it failing only the end is sure to be later.
    let failed = match incident.since_by {
        SinceBy::Systemd => incident.failing_since.wall,
        SinceBy::Look | SinceBy::Stillness => incident.opened.wall,
    };
    at <= failed && was_well_before(incident).is_some_and(|well| at > well)
}

/// Whether a change was made while it failed, which then failed in another way than before. What is well after a change may be so
/// by it.
fn came_while_failing(incident: &Incident, at: WallTime) -> bool {
    let since = incident.otherwise_since.filter(|_| incident.healthy_since.is_none());
    since.is_some_and(|since| at <= since && at > incident.failing_since.wall && !came_before(incident, at))
}

/// Until when a change is surely not why: all was well with it.
fn was_well_before(incident: &Incident) -> Option<WallTime> {
    incident.well_run.or(incident.well_until)
}

/// Whether it was started again once, with all that had been changed, and is well: then none of it is why.
fn is_well_with_all(incident: &Incident) -> bool {
    let only_started = incident.steps.iter().all(|step| match &step.kind {
        StepKind::Ended { rung, outcome: ActionOutcome::Succeeded { .. }, .. } => {
            STARTS.contains(&rung.as_str()) || rung.as_str() == "validate"
        }
        StepKind::Ended { outcome, .. } => matches!(outcome, ActionOutcome::NotNeeded { .. }),
        // Between two tries somebody may have mended it.
        StepKind::NotVerified { .. } | StepKind::Interrupted { .. } | StepKind::BackedOff { .. } => false,
        StepKind::Escalated { .. } | StepKind::TriedAgain { .. } | StepKind::Undone { .. } => false,
        StepKind::StartedByOthers { .. } => false,
        StepKind::Answered { .. } | StepKind::Decided(_) | StepKind::Skipped { .. } | StepKind::Started { .. } => true,
        StepKind::Verified { .. } | StepKind::Cause { .. } | StepKind::Resolved { .. } => true,
    });
    let has_started = incident.steps.iter().any(|step| match &step.kind {
        StepKind::Verified { rung, .. } => STARTS.contains(&rung.as_str()),
        _ => false,
    });
    incident.healthy_since.is_some() && incident.relapse.is_none() && has_started && only_started
}

/// That the validator of its configuration has no objection, when it was asked.
fn is_found_valid(incident: &Incident) -> Option<&'static str> {
    let is_it = |kind: &StepKind| match kind {
        StepKind::Ended { rung, outcome: ActionOutcome::Succeeded { .. }, .. } => rung.as_str() == "validate",
        _ => false,
    };
    let asked = newest_steps(incident).iter().any(|step| is_it(&step.kind));
    asked.then_some("; its validator finds nothing wrong there")
}

/// Splits changes into those that may have to do with the failure, and those with which it was well, which say so. Of other
/// packages than the target's own the latter are left out: they are of no interest to anybody.
pub(crate) fn sorted(incident: &Incident, found: Evidence) -> impl Iterator<Item = Evidence> {
    let well = was_well_before(incident).filter(|_| !incident.is_foreseen());
    let (well, changed) = match (well, &found.changed) {
        (Some(well), Some(changed)) if found.kind == EvidenceKind::Change => (well, changed),
        _ => return [Some(found), None].into_iter().flatten(),
    };
    let is_own = changed.is_own;
    let is_old: alloc::vec::Vec<bool> = found.changes().map(|(change, _)| change.at <= well).collect();
    let is_old = |index: usize| is_old.get(index).copied().unwrap_or(false);
    let old = if is_own { found.clone().with_lines(is_old) } else { None };
    let old = old.map(|old| {
        let source = format!("{}, older than when it was last well", old.source).into();
        Evidence { source, ..old }
    });
    [found.with_lines(|index| !is_old(index)), old].into_iter().flatten()
}
