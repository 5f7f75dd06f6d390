//! `ansai report`: the report on one incident, in the words of the mail.

use ansai_notify::channel::render::{self, RenderOptions};
use ansai_protocol::{Incidents, ReportAnswer};

use super::{incidents, operate};
use crate::{
    Paths, client,
    exit::{Code, Failure},
    show,
};

/// Longer lines are hard to read.
const WIDTH_MAX: usize = 100;

pub(super) fn report(paths: &Paths, incident: Option<&str>) -> Result<Code, Failure> {
    let incident = match incident {
        Some(incident) => operate::number(incident)?.to_string(),
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

/// The incident that was opened last, or the one with which it stands on one line.
fn latest(paths: &Paths) -> Result<String, Failure> {
    let list: Incidents = client::read(client::get(paths, "/v1/incidents")?)?;
    let latest = incidents::latest(&list.incidents).map(|incident| incident.to_string());
    latest.ok_or_else(|| Failure::new(Code::Failing, "there has been no incident", "`ansai status` says how it is now"))
}
