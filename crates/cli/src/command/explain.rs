//! `ansai explain`: why something was done to a target, or not.

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
    show::print(explanation(&value));
    Ok(Code::Ok)
}

/// An explanation as a person reads it.
fn explanation(value: &serde_json::Value) -> show::Page {
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
        lines.extend(incident["no_rule"].as_str().map(|why| format!("  no rule applies: {why}")));
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
    lines.extend(
        limits
            .iter()
            .filter(|(key, _)| value[*key].is_string())
            .map(|(key, name)| (name, text(&value[*key])))
            // Some say by themselves what they are.
            .map(|(name, why)| if why.starts_with(name) { why } else { format!("{name}: {why}") }),
    );
    show::Page::lines(lines)
}
