//! TOML to the tree. The parser bounds depth itself and keeps the place of each value.

use std::{collections::BTreeMap, ops::Range};

use ::toml::de::{DeTable, DeValue};

use crate::tree::{DEPTH_HELP, DEPTH_MAX, Entry, FormError, Node, Place, Reading, Scalar, Value};

/// Largest text of which more than the first mistake is told: the parser keeps each that it finds.
const RECOVERED_BYTES_MAX: usize = 64 * 1024;
/// Most keys of it that are told as standing twice.
const TWICE_MAX: usize = 100;
/// How the parser says that a key stands twice, which hides nothing else.
const TWICE: &str = "duplicate key";

pub(crate) fn read(text: &str, source: usize) -> Reading {
    let wrong = |error: &::toml::de::Error| {
        let span = error.span().unwrap_or(0..0);
        let what = error.message().trim().replace('\n', ", ");
        FormError { start: span.start.min(text.len()), length: span.len(), help: Some(help(&what).to_owned()), what }
    };
    let (table, errors) = if text.len() <= RECOVERED_BYTES_MAX {
        DeTable::parse_recoverable(text)
    } else {
        match DeTable::parse(text) {
            Ok(table) => (table, Vec::new()),
            Err(error) => return Reading { root: None, wrong: vec![wrong(&error)] },
        }
    };
    let is_twice = |error: &&::toml::de::Error| error.message().contains(TWICE);
    let mut found: Vec<FormError> = errors.iter().filter(is_twice).take(TWICE_MAX).map(wrong).collect();
    // What else is wrong changes what follows.
    if let Some(error) = errors.iter().find(|error| !is_twice(error)) {
        found.push(wrong(error));
        found.sort_by_key(|error| error.start);
        return Reading { root: None, wrong: found };
    }
    match convert_table(table.get_ref(), table.span(), source, 0) {
        Ok(root) => Reading { root: Some(root), wrong: found },
        Err(error) => {
            found.push(error);
            Reading { root: None, wrong: found }
        }
    }
}

fn help(what: &str) -> &'static str {
    if what.contains(TWICE) {
        return "keep one of the two";
    }
    if what.contains("must be quoted") {
        return "write it in quotes";
    }
    "check the quotes and the brackets up to this place"
}

fn place(range: Range<usize>, source: usize) -> Place {
    Place { source, start: range.start, length: range.len() }
}

fn convert_table(table: &DeTable<'_>, range: Range<usize>, source: usize, depth: usize) -> Result<Node, FormError> {
    let mut map = BTreeMap::new();
    for (key, value) in table {
        let node = convert(value.get_ref(), value.span(), source, depth + 1)?;
        map.insert(key.get_ref().to_string(), Entry { key: place(key.span(), source), node: Box::new(node) });
    }
    Ok(Node::new(Value::Map(map), place(range, source)))
}

fn convert(value: &DeValue<'_>, range: Range<usize>, source: usize, depth: usize) -> Result<Node, FormError> {
    if depth > DEPTH_MAX {
        let what = format!("more than {DEPTH_MAX} levels within each other");
        return Err(FormError { start: range.start, length: range.len(), what, help: Some(DEPTH_HELP.to_owned()) });
    }
    let scalar =
        |text: String, is_text| Ok(Node::new(Value::Scalar(Scalar { text, is_text }), place(range.clone(), source)));
    match value {
        DeValue::String(text) => scalar(text.to_string(), true),
        // Octal digits are permission bits, and stay as they are.
        DeValue::Integer(number) if number.radix() == 8 => scalar(format!("0o{}", number.as_str()), false),
        DeValue::Integer(number) => {
            let decimal = i64::from_str_radix(number.as_str(), number.radix());
            scalar(decimal.map_or_else(|_| number.to_string(), |decimal| decimal.to_string()), false)
        }
        DeValue::Float(number) => scalar(number.to_string(), false),
        DeValue::Boolean(value) => scalar(value.to_string(), false),
        DeValue::Datetime(time) => scalar(time.to_string(), false),
        DeValue::Array(items) => {
            let items = items.iter().map(|item| convert(item.get_ref(), item.span(), source, depth + 1));
            Ok(Node::new(Value::List(items.collect::<Result<_, _>>()?), place(range, source)))
        }
        DeValue::Table(table) => convert_table(table, range, source, depth),
    }
}
