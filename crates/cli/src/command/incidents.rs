//! `ansai incidents`: open and past incidents, newest first.

use ansai_model::{id::IncidentId, incident::Phase, time::Shown};
use ansai_protocol::{IncidentSummary, Incidents};
use jiff::tz::TimeZone;

use super::target;
use crate::{
    Paths, client,
    exit::{Code, Failure},
    show::{self, Cell},
};

pub(super) fn incidents(paths: &Paths, targets: &[String], open_only: bool, limit: usize) -> Result<Code, Failure> {
    let mut list: Incidents = client::read(client::get(paths, "/v1/incidents")?)?;
    if !targets.is_empty() {
        // What is watched no more has past incidents all the same.
        let past = list.incidents.iter().map(|incident| incident.target.to_string());
        let wanted = target::wanted(target::names(&client::status(paths)?).into_iter().chain(past), targets)?;
        list.incidents.retain(|incident| wanted.contains(incident.target.as_str()));
    }
    list.incidents.retain(|incident| !open_only || !matches!(incident.phase, Phase::Resolved(_)));
    match paths.json {
        true => {
            list.incidents.truncate(limit);
            show::print_json(&serde_json::to_value(&list).unwrap_or_default());
        }
        false if list.incidents.is_empty() && open_only => show::print("no incident is open"),
        false if list.incidents.is_empty() => show::print("there has been no incident"),
        false => {
            let now = jiff::Timestamp::now().as_millisecond();
            show::print(rendered(&list.incidents, limit, now, &show::terminal().zone));
        }
    }
    Ok(Code::Ok)
}

/// What happened last: of several matters that are one to people, that of their line.
pub(super) fn latest(incidents: &[IncidentSummary]) -> Option<IncidentId> {
    let newest = |(first, others): &(&IncidentSummary, Vec<IncidentId>)| others.iter().copied().chain([first.id]).max();
    grouped(incidents).into_iter().max_by_key(newest).map(|(first, _)| first.id)
}

/// What is open about one target is one matter to people, as a disk that is full, out of inodes and was forecast to be: the
/// first of them, and the numbers of the others. One that waits for an answer has a line of its own.
fn grouped(incidents: &[IncidentSummary]) -> Vec<(&IncidentSummary, Vec<IncidentId>)> {
    let is_open =
        |incident: &IncidentSummary| !matches!(incident.phase, Phase::Resolved(_) | Phase::AwaitingApproval { .. });
    let mut groups: Vec<(&IncidentSummary, Vec<IncidentId>)> = Vec::new();
    for incident in incidents {
        let same = |(first, _): &&mut (&IncidentSummary, _)| {
            is_open(first) && first.target == incident.target && first.is_well_again == incident.is_well_again
        };
        match groups.iter_mut().find(same).filter(|_| is_open(incident)) {
            None => groups.push((incident, Vec::new())),
            // They come newest first; the oldest began it, unless another is more urgent.
            Some((first, others)) if incident.severity >= first.severity => {
                others.insert(0, first.id);
                *first = incident;
            }
            Some((_, others)) => others.push(incident.id),
        }
    }
    groups
}

fn rendered(incidents: &[IncidentSummary], limit: usize, now_ms: i64, zone: &TimeZone) -> show::Page {
    let rows = grouped(incidents).into_iter().take(limit).map(|(incident, others)| {
        let others = others.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let more = if others.is_empty() { others } else { format!(" (with it: {others})") };
        let drill = if incident.is_drill { "drill: " } else { "" };
        let since = incident.well_since_ms.filter(|_| incident.is_well_again);
        let since = since.map(|since| format!("; well since {}", show::moment_in_row(since, now_ms, zone)));
        let headline = show::told_in_row(incident.headline.as_str(), now_ms, zone);
        let downtime = incident.downtime_ms.map(|ms| Shown(std::time::Duration::from_millis(ms)).to_string());
        vec![
            Cell::new(incident.id),
            Cell::new(show::moment_in_row(incident.opened_ms, now_ms, zone)),
            Cell::new(show::state(incident)),
            Cell::new(downtime.unwrap_or_default()),
            Cell::new(format!("{drill}{headline}{}{more}", since.unwrap_or_default())),
        ]
    });
    let told = "`ansai report INCIDENT` tells the rest";
    show::brief_table(&["INCIDENT", "OPENED", "STATE", "DOWN", "WHAT"], &[3, 1], rows, show::DETAIL_LINES_MAX, told)
}

#[cfg(test)]
mod tests {
    use ansai_model::{
        id::{CheckId, RungId, TargetId},
        incident::Resolution,
        rule::Severity,
        time::Now,
    };

    use super::*;

    #[test]
    fn incidents_are_a_line_each() {
        let incident = |id, phase, downtime_ms| IncidentSummary {
            id: IncidentId(id),
            target: TargetId::new("service/nginx.service").expect("valid"),
            check: CheckId::new("service/nginx.service#unit").expect("valid"),
            severity: Severity::Now,
            phase,
            headline: "nginx.service was killed at 2023-11-14T22:13:20Z".into(),
            is_drill: id == 7,
            opened_ms: 1_700_000_000_000,
            downtime_ms,
            is_well_again: id == 13,
            is_kept: false,
            well_since_ms: Some(1_700_000_060_000),
            seen_to: None,
            told: None,
        };
        let healed = Phase::Resolved(Resolution::Healed { rung: RungId::new("restart").expect("valid") });
        let text = rendered(
            &[
                incident(13, Phase::Escalated { why: "no".into() }, Some(60_000)),
                incident(12, Phase::Escalated { why: "no".into() }, None),
                incident(7, healed, Some(48)),
            ],
            3,
            1_700_000_000_000 + 1_000,
            &TimeZone::UTC,
        );
        let expected = [
            " INCIDENT  OPENED              STATE       DOWN  WHAT",
            " i13       11-14 22:13:20 UTC  well again  1m    nginx.service was killed at 22:13:20 UTC; well since 11-14 22:14:20 UTC",
            " i12       11-14 22:13:20 UTC  ESCALATED         nginx.service was killed at 22:13:20 UTC",
            " i7        11-14 22:13:20 UTC  healed      48ms  drill: nginx.service was killed at 22:13:20 UTC",
        ];
        assert_eq!(text.to_string(), expected.join("\n"));
    }

    #[test]
    fn what_is_held_is_not_told_as_being_healed() {
        let row = |phase, is_kept, is_well_again| {
            let incident = IncidentSummary {
                id: IncidentId(1),
                target: TargetId::new("service/nginx.service").expect("valid"),
                check: CheckId::new("service/nginx.service#unit").expect("valid"),
                severity: Severity::Now,
                phase,
                headline: "nginx.service is failing".into(),
                is_drill: false,
                opened_ms: 0,
                downtime_ms: None,
                is_well_again,
                is_kept,
                well_since_ms: None,
                seen_to: None,
                told: None,
            };
            rendered(&[incident], 1, 0, &TimeZone::UTC).to_string()
        };
        let healed = Phase::Remediating;
        let (held, goes_on) = (row(healed.clone(), true, false), row(healed.clone(), false, false));
        assert!(held.contains("left alone") && !held.contains("being healed") && goes_on.contains("being healed"));
        assert!(row(healed, true, true).contains("well again"));
        let over = row(Phase::Resolved(Resolution::Withdrawn { why: "it is gone".into() }), true, true);
        assert!(over.contains("withdrawn"), "{over}");
    }

    #[test]
    fn what_is_open_about_one_target_is_one_line() {
        let incident = |id, target: &str, severity, phase| IncidentSummary {
            id: IncidentId(id),
            target: TargetId::new(target).expect("valid"),
            check: CheckId::new(format!("{target}#{id}")).expect("valid"),
            severity,
            phase,
            headline: "it is full".into(),
            is_drill: false,
            opened_ms: 0,
            downtime_ms: None,
            is_well_again: false,
            is_kept: false,
            well_since_ms: None,
            seen_to: None,
            told: None,
        };
        let waits = Phase::AwaitingApproval { expires: Now::default() };
        let incidents = [
            incident(9, "disk//var", Severity::Week, Phase::Open),
            incident(8, "disk//", Severity::Now, Phase::Open),
            incident(7, "disk//var", Severity::Now, Phase::Open),
            incident(6, "disk//var", Severity::Day, Phase::Open),
            incident(4, "disk//var", Severity::Now, waits),
            incident(5, "disk//var", Severity::Now, Phase::Resolved(Resolution::ByItself)),
        ];
        let groups = grouped(&incidents);
        let seen: Vec<_> = groups.iter().map(|(first, others)| (first.id.0, others.len())).collect();
        assert_eq!(seen, [(7, 2), (8, 0), (4, 0), (5, 0)]);
        assert_eq!(latest(&incidents), Some(IncidentId(7)), "nobody means the least of three");
        assert_eq!(latest(&incidents[1..]), Some(IncidentId(8)));
        let text = |limit| rendered(&incidents, limit, 0, &TimeZone::UTC).to_string();
        assert!(text(9).contains("it is full (with it: i9, i6)"));
        assert_eq!(text(1).lines().count(), 2, "a line that is shown is whole: {}", text(1));
    }
}
