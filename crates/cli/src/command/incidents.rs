//! `ansai incidents`: open and past incidents, newest first.

use ansai_model::{incident::Phase, time::Shown};
use ansai_protocol::{IncidentSummary, Incidents};
use jiff::tz::TimeZone;

use crate::{
    Places, client,
    exit::{Code, Failure},
    show::{self, Cell},
};

pub(super) fn incidents(places: &Places, open_only: bool, limit: usize) -> Result<Code, Failure> {
    let mut list: Incidents = client::read(client::get(places, "/v1/incidents")?)?;
    list.incidents.retain(|incident| !open_only || !matches!(incident.phase, Phase::Resolved(_)));
    list.incidents.truncate(limit);
    match places.json {
        true => show::print_json(&serde_json::to_value(&list).unwrap_or_default()),
        false if list.incidents.is_empty() => show::print("no incidents"),
        false => show::print(rendered(&list.incidents, &TimeZone::system())),
    }
    Ok(Code::Ok)
}

fn rendered(incidents: &[IncidentSummary], zone: &TimeZone) -> show::Page {
    let rows = incidents.iter().map(|incident| {
        let downtime = incident.downtime_ms.map(|ms| Shown(std::time::Duration::from_millis(ms)).to_string());
        vec![
            Cell::new(incident.id),
            Cell::new(show::moment(incident.opened_ms, zone)),
            Cell::new(show::phase(&incident.phase)),
            Cell::new(downtime.unwrap_or_default()),
            Cell::new(&incident.headline),
        ]
    });
    show::table(&["INCIDENT", "OPENED", "STATE", "DOWN", ""], rows)
}

#[cfg(test)]
mod tests {
    use ansai_model::{
        id::{CheckId, IncidentId, RungId, TargetId},
        incident::Resolution,
        rule::Severity,
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
            headline: "nginx.service was killed".into(),
            opened_ms: 1_700_000_000_000,
            downtime_ms,
        };
        let healed = Phase::Resolved(Resolution::Healed { rung: RungId::new("restart").expect("valid") });
        let text = rendered(
            &[incident(12, Phase::Escalated { why: "no".into() }, None), incident(7, healed, Some(48))],
            &TimeZone::UTC,
        );
        let expected = [
            " INCIDENT  OPENED               STATE      DOWN",
            " i12       2023-11-14 22:13:20  ESCALATED        nginx.service was killed",
            " i7        2023-11-14 22:13:20  healed     48ms  nginx.service was killed",
        ];
        assert_eq!(text.to_string(), expected.join("\n"));
    }
}
