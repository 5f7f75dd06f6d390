//! `ansai explain`: why something was done to a target, or not.

use std::time::Duration;

use ansai_model::time::Shown;
use jiff::tz::TimeZone;

use crate::{
    Places, client,
    command::target::resolve,
    exit::{Code, Failure},
    show,
};

pub(super) fn explain(places: &Places, target: &str) -> Result<Code, Failure> {
    let target = resolve(places, target)?;
    let value = client::get(places, &format!("/v1/explain/{target}"))?;
    if places.json {
        show::print_json(&value);
        return Ok(Code::Ok);
    }
    show::print(explanation(&value, &show::terminal().zone));
    Ok(Code::Ok)
}

/// What a gate says, in a line.
pub(super) fn gate(gate: &serde_json::Value) -> String {
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let verdict = match &gate["verdict"] {
        serde_json::Value::String(word) => word.clone(),
        serde_json::Value::Object(map) => map.keys().next().cloned().unwrap_or_default(),
        _ => String::new(),
    };
    format!("  {:<6} {:<16} {}", verdict, text(&gate["gate"]), text(&gate["why"]))
}

/// An explanation as a person reads it.
fn explanation(value: &serde_json::Value, zone: &TimeZone) -> show::Page {
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let list = |value: &serde_json::Value| value.as_array().cloned().unwrap_or_default();
    let mut lines =
        vec![text(&value["target"]), format!("  {}", text(&value["summary"])), String::new(), "checks".into()];
    if let Some(since) = value["stopped"]["since"].as_i64().filter(|_| list(&value["incidents"]).is_empty()) {
        lines[1] = format!("{} (since {})", lines[1], show::moment(since, zone));
    }
    for check in list(&value["checks"]) {
        lines.push(format!("  {}: {}", text(&check["id"]), standing(&check)));
    }
    for incident in list(&value["incidents"]) {
        lines.extend([String::new(), format!("incident i{}", incident["id"])]);
        lines.extend(incident["no_rule"].as_str().map(|why| format!("  no rule applies: {why}")));
        lines.extend(list(&incident["decision"]["gates"]).iter().map(gate));
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
    lines.extend(limits.iter().filter(|(key, _)| value[*key].is_string()).map(|(key, name)| {
        let until = value[format!("{key}_until")]["wall"].as_i64();
        let until = until.map(|until| format!(", until {}", show::moment(until, zone))).unwrap_or_default();
        let why = text(&value[*key]);
        // Some say by themselves what they are.
        if why.starts_with(name) { format!("{why}{until}") } else { format!("{name}: {why}{until}") }
    }));
    show::Page::lines(lines)
}

/// How a check stands. What was seen last is told apart from what is believed: a service that is starting is not healthy
/// because it was, and what failed once is not failing yet.
fn standing(check: &serde_json::Value) -> String {
    let word = |value: &serde_json::Value| value.as_str().unwrap_or("unknown").to_owned();
    let hard = word(&check["hard"]);
    let Some(words) = check["last"][2].as_str() else { return format!("{hard}, not looked at yet") };
    let last = word(&check["last"][1]);
    // A look that is older than the next should be says how it was, and not how it is.
    let age = check["age"]["secs"].as_u64().map(|secs| format!(", seen {} ago", Shown(Duration::from_secs(secs))));
    let age = age.unwrap_or_default();
    if last == hard {
        return format!("{hard} ({words}){age}");
    }
    let failures = match (last.as_str(), check["failures"][0].as_u64(), check["failures"][1].as_u64()) {
        ("failing", Some(count), Some(needed)) => format!("{count} of {needed} times "),
        _ => String::new(),
    };
    format!("{last} {failures}({words}), taken for {hard}{age}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_believed_and_what_was_seen_are_told_apart() {
        let check =
            |hard: &str, last: serde_json::Value| standing(&json!({"hard": hard, "last": last, "failures": [1, 3]}));
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
        let old = json!({"hard": "healthy", "last": [0, "healthy", "200"], "age": {"secs": 185, "nanos": 7}});
        assert_eq!(standing(&old), "healthy (200), seen 3m5s ago");
    }

    #[test]
    fn what_stops_it_says_when_it_ends() {
        let until = json!({"mono": 1, "wall": 1_700_000_000_000_i64});
        let value = json!({
            "target": "service/app.service", "summary": "all checks are healthy",
            "hold": "held by ann (moving)", "hold_until": until, "maintenance": "maintenance (by ann)",
            "maintenance_until": until, "silence": "silenced by ann", "silence_until": null, "breaker": "closed",
        });
        let text = explanation(&value, &TimeZone::UTC).to_string();
        let expected = "\
hold: held by ann (moving), until 2023-11-14 22:13:20 UTC
maintenance (by ann), until 2023-11-14 22:13:20 UTC
silenced by ann
circuit breaker: closed";
        assert!(text.ends_with(expected), "{text}");
    }
}
