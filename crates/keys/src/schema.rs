//! A JSON schema for editors, made from the lines of keys.
//! It is laxer than [`crate::check()`] where a schema cannot say it: what is valid here may still be refused there.

use ansai_document::{Form, Node, read, units};
use serde_json::{Map, Value, json};

use crate::{
    kind::expected,
    page::shapes,
    table::{Kind, Shape},
};

/// The schema of files with these keys (JSON Schema 2020-12); `title` is what such a file is called.
#[must_use]
pub fn schema(root: &'static Shape, title: &str) -> Value {
    let definitions: Map<String, Value> =
        shapes(root).into_iter().map(|shape| (slug(shape), definition(shape))).collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        "$ref": format!("#/$defs/{}", slug(root)),
        "$defs": definitions,
    })
}

/// The name of a mapping's definition.
#[must_use]
pub fn slug(shape: &Shape) -> String {
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
                map.extend(key.value().map(|value| ("default".to_owned(), as_json(value, &key.kind))));
            }
            (key.name.to_owned(), value)
        })
        .collect();
    json!({"type": ["object", "null"], "title": shape.title, "properties": properties, "additionalProperties": false})
}

/// A default as an editor takes it over: what it writes is read back as the same.
#[must_use]
pub fn as_json(value: &str, kind: &Kind) -> Value {
    fn of_node(node: &Node) -> Value {
        match &node.value {
            ansai_document::Value::Scalar(scalar) => scalar.text.clone().into(),
            ansai_document::Value::List(list) => list.iter().map(of_node).collect(),
            ansai_document::Value::Map(map) => {
                map.iter().map(|(name, entry)| (name.clone(), of_node(&entry.node))).collect()
            }
        }
    }
    let plain = match kind {
        Kind::Truth | Kind::Short(Kind::Truth, _) => value.parse().ok().map(Value::Bool),
        Kind::Whole { .. } => value.parse::<u64>().ok().map(Value::from),
        Kind::Shape(_) | Kind::List(_) => read(value, Form::Yaml, 0).ok().map(|node| of_node(&node)),
        _ => None,
    };
    plain.unwrap_or_else(|| value.into())
}

/// What a value of a kind must be.
#[must_use]
pub fn of(kind: &Kind) -> Value {
    match kind {
        Kind::Truth => json!({"type": "boolean"}),
        Kind::Word(_, words) => json!({"enum": words}),
        Kind::Whole { min, max } => json!({"type": "integer", "minimum": min, "maximum": max}),
        Kind::Duration | Kind::Between { .. } => {
            json!({"type": "string", "pattern": format!(r"^([0-9.]+ *{} *)+$", one_of(units::duration_units()))})
        }
        Kind::Size => {
            json!({"type": "string", "pattern": format!("^[0-9]+ *{}$", one_of(units::size_units()))})
        }
        Kind::Percent => json!({"type": "string", "pattern": r"^[0-9]{1,3}(\.[0-9]{1,2})? *%$"}),
        Kind::Moment => json!({"type": "string", "format": "date-time"}),
        Kind::TimeOfDay => json!({"type": "string", "pattern": "^[0-9]{1,2}:[0-9]{2}$"}),
        Kind::Path => json!({"type": "string", "pattern": "^/"}),
        Kind::Mode => json!({"type": ["string", "integer"], "pattern": "^(0o)?[0-7]{1,5}$"}),
        Kind::Special(special) => match (special.beginnings)() {
            none if none.is_empty() => json!({"type": "string", "title": expected(kind)}),
            some => json!({"type": "string", "pattern": format!("^{}", one_of(some.iter()))}),
        },
        Kind::Text => json!({"type": ["string", "number", "boolean"]}),
        Kind::Loopback => json!({"type": "string"}),
        Kind::Texts | Kind::Paths | Kind::Statuses => {
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

/// A pattern for one of some texts.
fn one_of(texts: impl Iterator<Item = impl AsRef<str>>) -> String {
    // Of what may stand in such a text, only this means something in a pattern.
    let plain: Vec<String> = texts.map(|text| text.as_ref().replace('+', r"\+").replace('.', r"\.")).collect();
    format!("({})", plain.join("|"))
}
