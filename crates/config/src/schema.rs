//! The JSON schema for editors, made from the table of keys.
//! It is laxer than [`crate::load`] where a schema cannot say it: what is valid here may still be refused there.

use serde_json::{Map, Value, json};

use crate::{
    form::expected,
    keys::{CONFIG, Kind, Shape},
    reference::shapes,
};

/// The schema of a configuration file (JSON Schema 2020-12).
#[must_use]
pub fn schema() -> Value {
    let definitions: Map<String, Value> = shapes().into_iter().map(|shape| (slug(shape), definition(shape))).collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "ansai.yaml",
        "$ref": format!("#/$defs/{}", slug(&CONFIG)),
        "$defs": definitions,
    })
}

fn slug(shape: &Shape) -> String {
    let letters = shape.title.to_lowercase();
    letters.chars().filter(|c| c.is_alphanumeric() || *c == ' ').collect::<String>().replace(' ', "-")
}

fn definition(shape: &Shape) -> Value {
    let properties: Map<String, Value> = shape
        .keys
        .iter()
        .map(|key| {
            let mut value = of(&key.kind);
            if let Value::Object(map) = &mut value {
                map.insert("description".into(), format!("{}.", key.meaning).into());
            }
            (key.name.to_owned(), value)
        })
        .collect();
    json!({"type": ["object", "null"], "title": shape.title, "properties": properties, "additionalProperties": false})
}

fn of(kind: &Kind) -> Value {
    match kind {
        Kind::Truth => json!({"type": "boolean"}),
        Kind::Word(_, words) => json!({"enum": words}),
        Kind::Whole { min, max } => json!({"type": "integer", "minimum": min, "maximum": max}),
        Kind::Duration => json!({"type": "string", "pattern": r"^([0-9.]+ *(ms|s|m|min|h|d) *)+$"}),
        Kind::Size => json!({"type": "string", "pattern": "^[0-9]+ *(B|kB|KiB|MB|MiB|GB|GiB|TiB)$"}),
        Kind::Percent => json!({"type": "string", "pattern": r"^[0-9]{1,3}(\.[0-9]{1,2})? *%$"}),
        Kind::Moment => json!({"type": "string", "format": "date-time"}),
        Kind::TimeOfDay => json!({"type": "string", "pattern": "^[0-9]{1,2}:[0-9]{2}$"}),
        Kind::Path => json!({"type": "string", "pattern": "^/"}),
        Kind::Mode => json!({"type": ["string", "integer"], "pattern": "^(0o)?[0-7]{1,5}$"}),
        Kind::Secret => json!({"type": "string", "pattern": "^(file|env|credential):"}),
        Kind::Address => json!({"type": "string", "pattern": "^(https?://|file:|env:|credential:)"}),
        Kind::Server => json!({"type": "string", "pattern": r"^smtp(s|\+starttls)?://"}),
        Kind::ProbeText => json!({"type": "string", "pattern": "^(https?://|tcp://|unix:)"}),
        Kind::Condition => json!({"type": "string", "title": expected(kind)}),
        Kind::Text => json!({"type": ["string", "number", "boolean"]}),
        Kind::Texts | Kind::Statuses => {
            let one = json!({"type": ["string", "number"]});
            json!({"anyOf": [one, {"type": "array", "items": one}]})
        }
        Kind::Argv => json!({"type": "array", "minItems": 1, "items": {"type": ["string", "number", "boolean"]}}),
        Kind::Shape(shape) => json!({"$ref": format!("#/$defs/{}", slug(shape))}),
        Kind::Short(short, shape) => json!({"anyOf": [of(short), of(&Kind::Shape(shape))]}),
        Kind::Named(inner) => json!({"type": ["object", "null"], "additionalProperties": of(inner)}),
        Kind::List(inner) => json!({"type": ["array", "null"], "items": of(inner)}),
    }
}

#[cfg(test)]
mod tests;
