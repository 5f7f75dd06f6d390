//! `ansai report`: the report on one incident, in the words of the mail.

use ansai_agent::notify::render::{self, RenderOptions};
use ansai_protocol::ReportAnswer;

use crate::{
    Places, client,
    exit::{Code, Failure},
    show,
};

pub(super) fn report(places: &Places, incident: &str) -> Result<Code, Failure> {
    let value = client::get(places, &format!("/v1/reports/{incident}"))?;
    if places.json {
        show::print_json(&value);
        return Ok(Code::Ok);
    }
    let answer: ReportAnswer = client::read(value)?;
    let options = RenderOptions::new(answer.host, jiff::tz::TimeZone::system());
    show::print(&render::text(&answer.report, &options));
    Ok(Code::Ok)
}
