//! TOML to the tree. The parser bounds depth itself and keeps the place of each value.

use std::{collections::BTreeMap, ops::Range};

use ::toml::de::{DeTable, DeValue};

use crate::tree::{DEPTH_HELP, DEPTH_MAX, Entry, FormError, Node, Place, Scalar, Value};

pub(crate) fn read(text: &str, source: usize) -> Result<Node, FormError> {
    let table = DeTable::parse(text).map_err(|error| {
        let span = error.span().unwrap_or(0..0);
        let what = error.message().trim().replace('\n', ", ");
        FormError { start: span.start.min(text.len()), length: span.len(), help: Some(help(&what).to_owned()), what }
    })?;
    let range = table.span();
    convert_table(table.get_ref(), range, source, 0)
}

fn help(what: &str) -> &'static str {
    if what.contains("duplicate key") {
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
