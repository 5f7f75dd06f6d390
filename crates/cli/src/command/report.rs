//! `ansai report`: the report on one incident, in the words of the mail.

use std::collections::BTreeSet;

use ansai_model::id::IncidentId;
use ansai_notify::channel::render::{self, RenderOptions};
use ansai_protocol::{IncidentSummary, Incidents, ReportAnswer};

use super::{incidents, target};
use crate::{
    Paths, client,
    exit::{Code, Failure},
    show,
};

/// Longer lines are hard to read.
const WIDTH_MAX: usize = 100;

pub(super) fn report(paths: &Paths, incident: Option<&str>) -> Result<Code, Failure> {
    let incident = match incident {
        Some(text) => named(paths, text)?.to_string(),
        None => latest(paths)?,
    };
    print(paths, client::get(paths, &format!("/v1/reports/{incident}"))?)
}

/// Shows a report, whoever told it.
pub(super) fn print(paths: &Paths, value: serde_json::Value) -> Result<Code, Failure> {
    if paths.json {
        show::print_json(&value);
        return Ok(Code::Ok);
    }
    let answer: ReportAnswer = client::read(value)?;
    let mut options = RenderOptions::new(answer.host, show::terminal().zone.clone());
    options.width = show::terminal().columns.map_or(options.width, |columns| columns.min(WIDTH_MAX));
    options.is_of_user = paths.user;
    // It has its own lines, and what others have written stands in it as it is.
    show::print(show::Page::file(&render::text(&answer.report, &options)));
    Ok(Code::Ok)
}

/// The incident of this number, or the latest of the target that is meant by this name.
fn named(paths: &Paths, text: &str) -> Result<IncidentId, Failure> {
    if let Ok(number) = text.parse() {
        return Ok(number);
    }
    let list: Incidents = client::read(client::get(paths, "/v1/incidents")?)?;
    of_target(&list.incidents, target::names(&client::status(paths)?), text)
}

fn of_target(incidents: &[IncidentSummary], watched: Vec<String>, text: &str) -> Result<IncidentId, Failure> {
    // What is watched no more has past incidents all the same.
    let past = incidents.iter().map(|incident| incident.target.to_string());
    let all: BTreeSet<String> = past.chain(watched).collect();
    let meant = target::among(&all.into_iter().collect::<Vec<_>>(), text)?;
    let its: Vec<IncidentSummary> =
        incidents.iter().filter(|incident| incident.target.as_str() == meant).cloned().collect();
    incidents::latest(&its).ok_or_else(|| {
        let what = format!("there has been no incident of {meant}");
        Failure::new(Code::Failing, what, format!("`ansai status {meant}` says how it is now"))
    })
}

/// The incident that was opened last, or the one with which it stands on one line.
fn latest(paths: &Paths) -> Result<String, Failure> {
    let list: Incidents = client::read(client::get(paths, "/v1/incidents")?)?;
    let latest = incidents::latest(&list.incidents).map(|incident| incident.to_string());
    latest.ok_or_else(|| Failure::new(Code::Failing, "there has been no incident", "`ansai status` says how it is now"))
}

#[cfg(test)]
mod tests {
    use ansai_model::{
        id::{CheckId, TargetId},
        incident::Phase,
        rule::Severity,
    };

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<u64, &str>) {
        let incident = |id, target: &str| IncidentSummary {
            id: IncidentId(id),
            target: TargetId::new(target).expect("valid"),
            check: CheckId::new(format!("{target}#{id}")).expect("valid"),
            severity: Severity::Now,
            phase: Phase::Open,
            headline: "it fails".into(),
            is_drill: false,
            opened_ms: 0,
            downtime_ms: None,
            is_well_again: false,
            is_kept: false,
            well_since_ms: None,
            seen_to: None,
            told: None,
        };
        let incidents =
            [incident(9, "disk//var"), incident(8, "service/app.service"), incident(7, "service/old.service")];
        let watched = ["service/app.service", "service/web.service", "disk//var"].map(str::to_owned).to_vec();
        let found = of_target(&incidents, watched, text).map(|id| id.0).map_err(|failure| failure.text());
        assert_eq!(found.as_ref().copied().map_err(String::as_str), expected, "{text}");
    }

    #[test]
    fn an_incident_is_meant_by_its_target_as_everywhere_else() {
        for name in ["app", "app.service", "service/app.service"] {
            check(name, Ok(8));
        }
        for name in ["/var", "/var/", "disk/var", "disk//var"] {
            check(name, Ok(9));
        }
        check("old", Ok(7));
        check(
            "web",
            Err(
                "ansai: there has been no incident of service/web.service\n  help: `ansai status service/web.service` says how it is now",
            ),
        );
        check(
            "wbe",
            Err("ansai: there is no target `wbe`\n  help: did you mean `web.service`? `ansai status` lists them"),
        );
    }
}
