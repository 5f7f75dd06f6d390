//! The schema for editors accepts what is valid, and does not know what the program does not know.
//! It is judged here by the part of JSON Schema that it uses; patterns and formats are left to editors.

use serde_json::{Map, Value, json};

use super::schema;
use ansai_document::{Form, Node, read};
use ansai_keys::Kind;

use crate::keys::{notify::SERVER, probe::PROBE_TEXT, shared::SECRET};

/// What is wrong with a value, at its path.
fn judge(root: &Value, schema: &Value, value: &Value, path: &str) -> Result<(), String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = root.pointer(reference.trim_start_matches('#')).ok_or("a lost reference")?;
        return judge(root, target, value, path);
    }
    if let Some(choices) = schema["anyOf"].as_array() {
        let is_one = choices.iter().any(|choice| judge(root, choice, value, path).is_ok());
        return if is_one { Ok(()) } else { Err(format!("{path} is nothing of what it may be")) };
    }
    if let Some(words) = schema["enum"].as_array() {
        return if words.contains(value) { Ok(()) } else { Err(format!("{path} is none of the words")) };
    }
    let own = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_u64() => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let may_be = |kind: &Value| kind == own || (kind == "number" && own == "integer");
    let kinds = &schema["type"];
    if !may_be(kinds) && !kinds.as_array().is_some_and(|kinds| kinds.iter().any(may_be)) {
        return Err(format!("{path} is {own}"));
    }
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        judge(root, &schema["items"], item, &format!("{path}[{index}]"))?;
    }
    for (name, inner) in value.as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        match (schema["properties"].get(name), &schema["additionalProperties"]) {
            (Some(known), _) => judge(root, known, inner, &path)?,
            (None, Value::Object(any)) => judge(root, &Value::Object(any.clone()), inner, &path)?,
            (None, _) => return Err(format!("{path} is unknown")),
        }
    }
    Ok(())
}

#[track_caller]
fn check(value: &Value, expect: Result<(), &str>) {
    let schema = schema();
    assert_eq!(judge(&schema, &schema, value, ""), expect.map_err(str::to_owned));
}

/// A document as an editor sees it.
fn as_json(node: &Node) -> Value {
    match &node.value {
        ansai_document::Value::List(list) => Value::Array(list.iter().map(as_json).collect()),
        ansai_document::Value::Map(map) => {
            let entries = map.iter().map(|(name, entry)| (name.clone(), as_json(&entry.node)));
            Value::Object(entries.collect::<Map<_, _>>())
        }
        ansai_document::Value::Scalar(_) if node.is_null() => Value::Null,
        ansai_document::Value::Scalar(scalar) => {
            match (scalar.is_text, scalar.text.as_str(), scalar.text.parse::<u64>()) {
                (false, "true", _) => Value::Bool(true),
                (false, "false", _) => Value::Bool(false),
                (false, _, Ok(number)) => number.into(),
                (_, text, _) => text.into(),
            }
        }
    }
}

#[test]
fn every_valid_file_fits_the_schema() {
    for text in [include_str!("../../tests/valid/short.yaml"), include_str!("../../tests/valid/long.yaml")] {
        check(&as_json(&read(text, Form::Yaml, 0).expect("valid")), Ok(()));
    }
    check(&as_json(&read(&crate::shipped::text(), Form::Yaml, 0).expect("valid")), Ok(()));
}

#[test]
fn what_is_unknown_or_of_another_kind_does_not_fit() {
    check(&json!({"servces": {}}), Err(".servces is unknown"));
    check(&json!({"services": {"app.service": {"port": "80"}}}), Err(".services.app.service.port is string"));
    check(&json!({"autonomy": "akt"}), Err(".autonomy is none of the words"));
    check(
        &json!({"services": {"app.service": {"probe": {"tpc": "x"}}}}),
        Err(".services.app.service.probe is nothing of what it may be"),
    );
    check(&json!({"services": {"app.service": null}, "heartbeat": null}), Ok(()));
}

#[test]
fn every_reference_of_the_schema_leads_somewhere() {
    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(map) => {
                found.extend(map.get("$ref").and_then(Value::as_str).map(str::to_owned));
                map.values().for_each(|value| references(value, found));
            }
            Value::Array(list) => list.iter().for_each(|value| references(value, found)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let schema = schema();
    let mut found = Vec::new();
    references(&schema, &mut found);
    assert!(found.len() > 30);
    for reference in found {
        assert!(schema.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
    }
    let service = &schema["$defs"]["a-service"]["properties"];
    assert_eq!(
        service["port"],
        json!({"type": "integer", "minimum": 1, "maximum": 65535,
        "description": "The TCP port that it listens on."})
    );
}

/// The beginnings that the schema's pattern of a kind takes.
fn alternatives(kind: &Kind) -> Vec<String> {
    let pattern = ansai_keys::schema::of(kind)["pattern"].as_str().expect("a pattern").to_owned();
    let inner = pattern.strip_prefix("^(").and_then(|rest| rest.strip_suffix(')')).expect("a choice");
    inner.split('|').map(|one| one.replace('\\', "")).collect()
}

/// What the program reads without an error.
fn is_read(text: &str) -> bool {
    crate::parse(&[("a.yaml".into(), text.to_owned())]).is_ok()
}

#[test]
fn each_probe_in_one_text_that_the_program_reads_fits_the_schema_and_no_other() {
    let known = alternatives(&PROBE_TEXT);
    let rest = |beginning: &str| if beginning == "unix:" { "/run/a.sock" } else { "127.0.0.1:81" };
    for beginning in &known {
        let text = format!("services: {{app.service: {{probe: \"{beginning}{}\"}}}}", rest(beginning));
        assert!(is_read(&text), "the schema takes {text}");
    }
    for protocol in ansai_model::probe::Protocol::all() {
        assert!(known.contains(&format!("{}://", protocol.name())), "{known:?}");
    }
    assert!(!is_read("services: {app.service: {probe: \"gopher://127.0.0.1:70\"}}"));
    let servers = alternatives(&SERVER);
    for server in &servers {
        assert!(is_read(&format!("notify: {{email: {{to: a@example.com, smtp: \"{server}127.0.0.1\"}}}}")), "{server}");
    }
    assert_eq!(servers, ["smtp://", "smtp+starttls://", "smtps://"]);
    assert_eq!(alternatives(&SECRET), ["file:", "env:", "credential:"]);
}
