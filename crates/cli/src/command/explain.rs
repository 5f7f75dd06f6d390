//! `ansai explain`: why something was done to a target, or not.

use std::time::Duration;

use ansai_model::{incident::Phase, time::Shown};
use jiff::tz::TimeZone;
use serde_json::json;

use crate::{
    Paths, client,
    command::target::resolve,
    exit::{Code, Failure},
    show,
};

pub(super) fn explain(paths: &Paths, target: &str) -> Result<Code, Failure> {
    let target = resolve(paths, target)?;
    let value = client::get(paths, &format!("/v1/explain/{target}"))?;
    if paths.json {
        show::print_json(&value);
        return Ok(Code::Ok);
    }
    show::print(explanation(&value, &show::terminal().zone));
    Ok(Code::Ok)
}

/// What a gate says, in a line.
pub(super) fn gate(gate: &serde_json::Value, zone: &TimeZone) -> String {
    let text = |value: &serde_json::Value| show::told(value.as_str().unwrap_or_default(), zone);
    let verdict = match &gate["verdict"] {
        serde_json::Value::String(word) => word.clone(),
        serde_json::Value::Object(map) => map.keys().next().cloned().unwrap_or_default(),
        _ => String::new(),
    };
    format!("  {:<6} {:<16} {}", verdict, text(&gate["gate"]), text(&gate["why"]))
}

/// An explanation as a person reads it.
pub(super) fn explanation(value: &serde_json::Value, zone: &TimeZone) -> show::Page {
    let text = |value: &serde_json::Value| show::told(value.as_str().unwrap_or_default(), zone);
    let list = |value: &serde_json::Value| value.as_array().cloned().unwrap_or_default();
    let mut lines =
        vec![text(&value["target"]), format!("  {}", text(&value["summary"])), String::new(), "checks".into()];
    if let Some(since) = value["stopped"]["since"].as_i64().filter(|_| list(&value["incidents"]).is_empty()) {
        lines[1] = format!("{} (since {})", lines[1], show::moment(since, zone));
    }
    let is_stopped = value["stopped"].is_object();
    for check in list(&value["checks"]) {
        lines.push(format!("  {}: {}", text(&check["id"]), show::told(&standing(&check, is_stopped), zone)));
    }
    for incident in list(&value["incidents"]) {
        let well = incident["well_since"]["wall"].as_i64();
        let state = match (well, serde_json::from_value::<Phase>(incident["phase"].clone())) {
            (Some(since), _) => format!(": {} since {}", show::WELL_AGAIN, show::moment(since, zone)),
            // What goes on says what it does.
            (None, Ok(Phase::Remediating)) if incident["doing"].is_null() => format!(": {}", show::LEFT_ALONE),
            (None, Ok(phase)) => format!(": {}", show::phase(&phase)),
            (None, Err(_)) => String::new(),
        };
        let rule = incident["rule"].as_str().map(|rule| format!(", by rule {rule}")).unwrap_or_default();
        lines.extend([String::new(), format!("incident i{}{state}{rule}", incident["id"])]);
        lines.extend(list(&incident["told"]).iter().map(|told| format!("  {}", text(told))));
        // What is well again waits for nothing but time.
        if well.is_none() {
            lines.extend(incident["no_rule"].as_str().map(|why| format!("  no rule applies: {why}")));
            lines.extend(list(&incident["decision"]["gates"]).iter().map(|said| gate(said, zone)));
        }
    }
    for rule in list(&value["rules"]) {
        let when = rule["when"].as_str().map(|when| format!(", when: {when}")).unwrap_or_default();
        let (id, autonomy) = (text(&rule["id"]), text(&rule["autonomy"]));
        lines.extend([String::new(), format!("rule {id} (autonomy: {autonomy}{when})")]);
        let ladder = list(&rule["ladder"]);
        lines.extend(ladder.is_empty().then(|| "  people are told; nothing is done".to_owned()));
        lines.extend(ladder.iter().map(|rung| format!("  {}", text(rung))));
    }
    let limits =
        [("hold", "hold"), ("maintenance", "maintenance"), ("silence", "silence"), ("breaker", "circuit breaker")];
    lines.push(String::new());
    let limits = limits.iter().filter(|(key, _)| value[*key].is_string());
    lines.extend(limits.map(|(key, name)| format!("{name}: {}", text(&value[*key]))));
    show::Page::lines(lines)
}

/// How a check stands. What was seen last is told apart from what is believed: a service that is starting is not healthy
/// because it was, and what failed once is not failing yet. Of what somebody has stopped nothing is believed.
fn standing(check: &serde_json::Value, is_stopped: bool) -> String {
    let word = |value: &serde_json::Value| value.as_str().unwrap_or("unknown").to_owned();
    let hard = word(&check["hard"]);
    let Some(words) = check["last"][2].as_str() else { return format!("{hard}, not looked at yet") };
    // The name of its target stands before it.
    let name = check["id"].as_str().and_then(|id| id.split('#').next()?.split_once('/'));
    let bare = name.and_then(|(_, name)| words.strip_prefix(name)?.strip_prefix(": "));
    let (words, last) = (bare.unwrap_or(words), word(&check["last"][1]));
    // A look that is older than the next should be says how it was, and not how it is.
    let seen = if check["is_old"] == json!(true) { "seen" } else { "looked at" };
    let age = check["age"]["secs"].as_u64().map(|secs| match secs {
        0 => ", looked at just now".to_owned(),
        secs => format!(", {seen} {} ago", Shown(Duration::from_secs(secs))),
    });
    let age = age.unwrap_or_default();
    if last == hard || (is_stopped && last == "unknown") {
        return format!("{last} ({words}){age}");
    }
    let failures = match (last.as_str(), check["failures"][0].as_u64(), check["failures"][1].as_u64()) {
        ("failing", Some(count), Some(needed)) => format!("{count} of {needed} times "),
        _ => String::new(),
    };
    format!("{last} {failures}({words}), taken for {hard}{age}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_believed_and_what_was_seen_are_told_apart() {
        let check = |hard: &str, last: serde_json::Value| {
            standing(&json!({"hard": hard, "last": last, "failures": [1, 3]}), false)
        };
        assert_eq!(check("healthy", json!([0, "healthy", "200"])), "healthy (200)");
        let starting = json!([0, "unknown", "connection refused (starting, not judged for another 1m)"]);
        let expected = "unknown (connection refused (starting, not judged for another 1m)), taken for healthy";
        assert_eq!(check("healthy", starting), expected);
        assert_eq!(
            check("healthy", json!([0, "failing", "refused"])),
            "failing 1 of 3 times (refused), taken for healthy"
        );
        assert_eq!(check("failing", json!([0, "healthy", "200"])), "healthy (200), taken for failing");
        assert_eq!(check("unknown", json!(null)), "unknown, not looked at yet");
        let disk = json!({"id": "disk//var#space", "hard": "healthy", "last": [0, "healthy", "/var: 60.0 % used"]});
        assert_eq!(standing(&disk, false), "healthy (60.0 % used)", "its name stands once");
        let aged = |secs: u64, is_old: bool| {
            let age = json!({"secs": secs, "nanos": 7});
            let check = json!({"hard": "healthy", "last": [0, "healthy", "200"], "age": age, "is_old": is_old});
            standing(&check, false)
        };
        assert_eq!(aged(185, true), "healthy (200), seen 3m5s ago");
        assert_eq!(aged(12, false), "healthy (200), looked at 12s ago");
        assert_eq!(aged(0, false), "healthy (200), looked at just now");
        let stopped = json!({"hard": "healthy", "last": [0, "unknown", "stopped on request"]});
        assert_eq!(standing(&stopped, true), "unknown (stopped on request)");
    }

    #[test]
    fn what_stops_it_is_told_in_the_readers_zone() {
        let until = json!({"mono": 1, "wall": 1_700_000_000_000_i64});
        let value = json!({
            "target": "service/app.service", "summary": "all checks are healthy",
            "hold": "ann has held it since 2023-11-14T22:13:20Z (moving); `ansai release --all` ends that",
            "hold_until": until, "maintenance": null, "silence": null, "breaker": "closed",
        });
        let text = explanation(&value, &TimeZone::UTC).to_string();
        let expected = "\
hold: ann has held it since 2023-11-14 22:13:20 UTC (moving); `ansai release --all` ends that
circuit breaker: closed";
        assert!(text.ends_with(expected), "{text}");
    }

    #[test]
    fn an_incident_says_where_it_stands_and_the_gates_are_told_of_what_is_not_well() {
        let gate = json!({"gate": "hold", "verdict": "allow", "why": "nothing is held"});
        let incident = |well: serde_json::Value| json!({"id": 7, "phase": {"escalated": {"why": "no"}}, "well_since": well, "rule": "app", "decision": {"gates": [gate]}});
        let shown = |well| {
            let value = json!({"target": "service/app.service", "incidents": [incident(well)]});
            explanation(&value, &TimeZone::UTC).to_string()
        };
        let text = shown(json!(null));
        assert!(
            text.contains("\nincident i7: ESCALATED, by rule app\n  allow  hold             nothing is held\n"),
            "{text}"
        );
        let text = shown(json!({"mono": 1, "wall": 1_700_000_000_000_i64}));
        assert!(text.contains("\nincident i7: well again since 2023-11-14 22:13:20 UTC, by rule app\n"), "{text}");
        assert!(!text.contains("allow"), "{text}");
        let healed = |doing: serde_json::Value| {
            let incident = json!({"id": 7, "phase": "remediating", "doing": doing});
            explanation(&json!({"target": "service/app.service", "incidents": [incident]}), &TimeZone::UTC).to_string()
        };
        let (held, goes_on) = (healed(json!(null)), healed(json!("`restart` is done")));
        assert!(
            held.contains("incident i7: left alone\n") && goes_on.contains("incident i7: being healed\n"),
            "{held}"
        );
    }
}
