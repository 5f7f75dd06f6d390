//! `ansai status`: the agent and its targets, what stops it first.

use std::time::Duration;

use ansai_model::{observation::Health, time::Shown, units::ByteSize};
use ansai_protocol::{Own, ScopeView, Status};
use jiff::tz::TimeZone;

use crate::{
    Places, client,
    exit::{Code, Failure},
    show::{self, Cell},
};

/// How often `--watch` looks.
const WATCH_EVERY: Duration = Duration::from_secs(1);

pub(super) fn status(places: &Places) -> Result<Code, Failure> {
    let value = client::get(places, "/v1/status")?;
    let status: Status = client::read(value.clone())?;
    match places.json {
        true => show::print_json(&value),
        false => show::print(rendered(&status, &TimeZone::system())),
    }
    let is_failing = status.targets.iter().any(|target| target.health == Health::Failing);
    Ok(if is_failing { Code::Failing } else { Code::Ok })
}

/// Shows it again and again until it is interrupted, or the agent is gone.
pub(super) fn watch(places: &Places) -> Result<Code, Failure> {
    loop {
        let value = client::get(places, "/v1/status")?;
        if places.json {
            show::print_json_line(&value);
        } else {
            show::next_picture();
            show::print(rendered(&client::read(value)?, &TimeZone::system()));
        }
        // Nothing is waited for: it is how often a person can look at a picture, and the agent be asked for one.
        std::thread::sleep(WATCH_EVERY);
    }
}

/// A hold, a silence or a maintenance window in a line.
fn restraint(name: &str, view: &ScopeView, zone: &TimeZone) -> String {
    let reason = if view.reason.is_empty() { String::new() } else { format!(": {}", view.reason) };
    let until = view.until_ms.map_or(String::new(), |until| format!(" until {}", show::moment(until, zone)));
    format!("{name} on {}{until}, by {}{reason}", view.scope, view.by)
}

fn rendered(status: &Status, zone: &TimeZone) -> show::Page {
    let uptime = Shown(Duration::from_secs(status.uptime_seconds));
    let Status { version, host, generation, .. } = status;
    let own = status.own.as_ref().map(own).unwrap_or_default();
    let mut lines = vec![format!("ansai {version} on {host}, up {uptime}, configuration {generation}{own}")];
    let problems = [
        ("HELD", &status.held),
        ("THE LEDGER CANNOT BE SAVED, nothing is done", &status.ledger_error),
        ("THE NEW CONFIGURATION IS NOT APPLIED", &status.configuration_error),
    ];
    lines.extend(problems.into_iter().filter_map(|(what, why)| Some(format!("{what}: {}", why.as_ref()?))));
    let restraints = [("hold", &status.holds), ("silence", &status.silences), ("maintenance", &status.maintenance)];
    for (name, views) in restraints {
        lines.extend(views.iter().map(|view| restraint(name, view, zone)));
    }
    lines.extend(status.warnings.iter().map(|warning| format!("warning: {warning}")));
    if status.messages_waiting > 0 {
        lines.push(format!("{} messages wait to be delivered", status.messages_waiting));
    }
    lines.push(String::new());
    let rows = status.targets.iter().map(|target| {
        let incident = target.incident.map(|id| id.to_string()).unwrap_or_default();
        let text = if target.health == Health::Healthy { &target.summary } else { &target.explanation };
        vec![Cell::new(target.target.name()), show::health(target.health), Cell::new(incident), Cell::new(text)]
    });
    show::Page::lines(lines).above(&show::table(&["TARGET", "HEALTH", "INCIDENT", ""], rows))
}

/// What the agent takes, at the end of a line.
fn own(own: &Own) -> String {
    let load = own.cpu_percent.map(|percent| format!(", {percent:.1} % of a core"));
    format!(", {} of memory{}", ByteSize(own.memory_bytes), load.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use ansai_model::id::{IncidentId, TargetId};
    use ansai_protocol::{SCHEMA, TargetStatus};

    use super::*;

    fn target(name: &str, health: Health, incident: Option<u64>) -> TargetStatus {
        TargetStatus {
            target: TargetId::new(name).expect("valid"),
            health,
            summary: "active (running)".into(),
            incident: incident.map(IncidentId),
            explanation: "waits 3s before the next attempt".into(),
            is_critical: false,
        }
    }

    #[test]
    fn what_stops_it_stands_above_the_targets() {
        let view = |reason: &str, until_ms| ScopeView {
            scope: "nginx.service".into(),
            by: "root".into(),
            reason: reason.into(),
            until_ms,
        };
        let status = Status {
            schema: SCHEMA,
            version: "1.0.0".into(),
            pid: 1,
            host: "web1".into(),
            uptime_seconds: 3700,
            generation: 2,
            configuration_error: None,
            ledger_error: Some("no space left".into()),
            held: None,
            holds: vec![view("moving", None)],
            silences: vec![view("", Some(1_700_000_000_000))],
            maintenance: vec![],
            messages_waiting: 2,
            warnings: vec!["the wall clock was set back by 5h".into()],
            own: Some(Own { memory_bytes: 8 << 20, memory_bytes_max: 64 << 20, cpu_ms: 900, cpu_percent: Some(0.04) }),
            targets: vec![
                target("service/app.service", Health::Failing, Some(3)),
                target("service/nginx.service", Health::Healthy, None),
            ],
        };
        let expected = [
            "ansai 1.0.0 on web1, up 1h1m, configuration 2, 8.0 MiB of memory, 0.0 % of a core",
            "THE LEDGER CANNOT BE SAVED, nothing is done: no space left",
            "hold on nginx.service, by root: moving",
            "silence on nginx.service until 2023-11-14 22:13:20, by root",
            "warning: the wall clock was set back by 5h",
            "2 messages wait to be delivered",
            "",
            " TARGET         HEALTH   INCIDENT",
            " app.service    FAILING  i3        waits 3s before the next attempt",
            " nginx.service  healthy            active (running)",
        ];
        assert_eq!(rendered(&status, &TimeZone::UTC).to_string(), expected.join("\n"));
    }
}
