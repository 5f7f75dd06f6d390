//! Commands that read: status, incidents, report, explain, doctor.

use ansai_agent::notify::render::{self, RenderOptions};
use ansai_model::{observation::Health, time::Shown};
use ansai_protocol::{Incidents, ReportAnswer, Status};

use crate::{
    Places, client,
    exit::{Code, Failure},
    show,
};

pub(super) fn status(places: &Places) -> Result<Code, Failure> {
    let value = client::get(places, "/v1/status")?;
    let status: Status = client::read(value.clone())?;
    let is_well = status.targets.iter().all(|target| target.health != Health::Failing);
    let code = if is_well { Code::Ok } else { Code::Failing };
    if places.json {
        show::print_json(&value);
        return Ok(code);
    }
    let uptime = Shown(std::time::Duration::from_secs(status.uptime_seconds));
    let mut lines =
        vec![format!("ansai {} on {}, up {uptime}, configuration {}", status.version, status.host, status.generation)];
    let problems = [
        ("HELD", &status.held),
        ("THE LEDGER CANNOT BE SAVED, nothing is done", &status.ledger_error),
        ("THE NEW CONFIGURATION IS NOT APPLIED", &status.configuration_error),
    ];
    lines.extend(problems.into_iter().filter_map(|(what, why)| Some(format!("{what}: {}", why.as_ref()?))));
    lines.extend(status.holds.iter().map(|hold| format!("hold on {} by {}: {}", hold.scope, hold.by, hold.reason)));
    lines.extend(status.silences.iter().map(|s| format!("silence on {} by {}: {}", s.scope, s.by, s.reason)));
    if status.messages_waiting > 0 {
        lines.push(format!("{} messages wait to be delivered", status.messages_waiting));
    }
    lines.push(String::new());
    let rows = status.targets.iter().map(|target| {
        let incident = target.incident.map(|id| id.to_string()).unwrap_or_default();
        let text = if target.health == Health::Healthy { &target.summary } else { &target.explanation };
        vec![target.target.name().to_owned(), show::health(target.health), incident, text.as_str().to_owned()]
    });
    lines.push(show::table(&["TARGET", "HEALTH", "INCIDENT", ""], rows));
    show::print(&lines.join("\n"));
    Ok(code)
}

pub(super) fn incidents(places: &Places) -> Result<Code, Failure> {
    let value = client::get(places, "/v1/incidents")?;
    if places.json {
        show::print_json(&value);
        return Ok(Code::Ok);
    }
    let list: Incidents = client::read(value)?;
    if list.incidents.is_empty() {
        show::print("no incidents");
        return Ok(Code::Ok);
    }
    let rows = list.incidents.iter().map(|incident| {
        let opened = jiff::Timestamp::from_millisecond(incident.opened_ms).unwrap_or_default();
        let opened = opened.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string();
        let downtime = incident.downtime_ms.map(|ms| Shown(std::time::Duration::from_millis(ms)).to_string());
        let phase = show::phase(&incident.phase).to_owned();
        vec![
            incident.id.to_string(),
            opened,
            phase,
            downtime.unwrap_or_default(),
            incident.headline.as_str().to_owned(),
        ]
    });
    show::print(&show::table(&["INCIDENT", "OPENED", "STATE", "DOWN", ""], rows));
    Ok(Code::Ok)
}

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

/// The whole name of a target: `nginx` is enough when it is unique.
pub(super) fn resolve(places: &Places, name: &str) -> Result<String, Failure> {
    let status = client::status(places)?;
    let all: Vec<&str> = status.targets.iter().map(|target| target.target.as_str()).collect();
    let candidates = [name.to_owned(), format!("service/{name}"), format!("service/{name}.service")];
    if let Some(found) = candidates.iter().find(|candidate| all.contains(&candidate.as_str())) {
        return Ok(found.clone());
    }
    let part: Vec<&str> = all.iter().copied().filter(|target| target.contains(name)).collect();
    match part.as_slice() {
        [one] => Ok((*one).to_owned()),
        [] => Err(Failure::new(Code::Failing, format!("there is no target `{name}`"), "`ansai status` lists them")),
        several => {
            let what = format!("`{name}` could be {}", several.join(", "));
            Err(Failure::new(Code::Usage, what, "write more of the name"))
        }
    }
}

pub(super) fn explain(places: &Places, target: &str) -> Result<Code, Failure> {
    let target = resolve(places, target)?;
    let value = client::get(places, &format!("/v1/explain/{target}"))?;
    if places.json {
        show::print_json(&value);
        return Ok(Code::Ok);
    }
    show::print(&explanation(&value));
    Ok(Code::Ok)
}

/// An explanation as a person reads it.
fn explanation(value: &serde_json::Value) -> String {
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let list = |value: &serde_json::Value| value.as_array().cloned().unwrap_or_default();
    let mut lines =
        vec![text(&value["target"]), format!("  {}", text(&value["summary"])), String::new(), "checks".into()];
    for check in list(&value["checks"]) {
        let last = text(&check["last"][2]);
        lines.push(format!("  {}: {} ({})", text(&check["id"]), text(&check["hard"]), last));
    }
    for incident in list(&value["incidents"]) {
        lines.extend([String::new(), format!("incident i{}", incident["id"])]);
        for gate in list(&incident["decision"]["gates"]) {
            let verdict = match &gate["verdict"] {
                serde_json::Value::String(word) => word.clone(),
                serde_json::Value::Object(map) => map.keys().next().cloned().unwrap_or_default(),
                _ => String::new(),
            };
            lines.push(format!("  {:<6} {:<16} {}", verdict, text(&gate["gate"]), text(&gate["why"])));
        }
    }
    for rule in list(&value["rules"]) {
        lines.extend([String::new(), format!("rule {} (autonomy: {})", text(&rule["id"]), text(&rule["autonomy"]))]);
        lines.extend(list(&rule["ladder"]).iter().map(|rung| format!("  {}", text(rung))));
    }
    let limits =
        [("hold", "hold"), ("maintenance", "maintenance"), ("silence", "silence"), ("breaker", "circuit breaker")];
    lines.push(String::new());
    lines.extend(
        limits
            .iter()
            .filter(|(key, _)| value[*key].is_string())
            .map(|(key, name)| format!("{name}: {}", text(&value[*key]))),
    );
    lines.join("\n")
}

pub(super) fn doctor(places: &Places) -> Result<Code, Failure> {
    let mut findings: Vec<(bool, String, &str)> = Vec::new();
    match ansai_config::load(&places.config) {
        Ok(_) => findings.push((true, format!("the configuration {} is valid", places.config.display()), "")),
        Err(error) => findings.push((
            false,
            format!("the configuration is not valid:\n{error}"),
            "mend it, or write one with `ansai init`",
        )),
    }
    let systemd = std::path::Path::new("/run/systemd/system").exists();
    findings.push((
        systemd,
        format!("systemd {} here", if systemd { "runs" } else { "does not run" }),
        "units can only be healed where systemd runs",
    ));
    let state = places.state_dir.is_dir();
    findings.push((
        state,
        format!("the state directory {} {}", places.state_dir.display(), if state { "is there" } else { "is missing" }),
        "the agent makes it when it starts as root",
    ));
    if places.hold_file.exists() {
        findings.push((
            false,
            format!("{} stops all action", places.hold_file.display()),
            "remove it when healing may go on",
        ));
    }
    match client::status(places) {
        Ok(status) => {
            findings.push((
                true,
                format!("the agent {} answers, {} targets", status.version, status.targets.len()),
                "",
            ));
            findings.push((
                status.ledger_error.is_none(),
                format!("the ledger {}", status.ledger_error.as_deref().unwrap_or("can be saved")),
                "free space on its filesystem",
            ));
            findings.push((
                status.messages_waiting < 10,
                format!("{} messages wait", status.messages_waiting),
                "see the agent's log for why they cannot be delivered",
            ));
        }
        Err(_) => findings.push((false, "the agent does not answer".into(), "systemctl status ansai")),
    }
    let is_well = findings.iter().all(|(ok, ..)| *ok);
    if places.json {
        let list: Vec<_> = findings
            .iter()
            .map(|(ok, what, todo)| serde_json::json!({"ok": ok, "what": what, "suggestion": todo}))
            .collect();
        show::print_json(&serde_json::json!({"schema": ansai_protocol::SCHEMA, "findings": list}));
    } else {
        let lines = findings.iter().map(|(ok, what, todo)| match ok {
            true => format!("ok    {what}"),
            false => format!("FAIL  {what}\n      try: {todo}"),
        });
        show::print(&lines.collect::<Vec<_>>().join("\n"));
    }
    Ok(if is_well { Code::Ok } else { Code::Failing })
}
