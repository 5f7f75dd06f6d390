//! Values to YAML: in one line where that is short enough, and quoted whenever a text could be read as something else.

use std::fmt::Write as _;

/// The longest line before a value is broken into several.
const LINE_MAX: usize = 100;

/// A value to be written.
#[derive(Clone, Debug)]
pub(crate) enum Written {
    /// A number, a truth value, a duration: read back by its look.
    Plain(String),
    Text(String),
    List(Vec<Written>),
    Map(Vec<(String, Written)>),
}

impl Written {
    pub(crate) fn text(text: impl ToString) -> Self {
        Self::Text(text.to_string())
    }

    pub(crate) fn plain(value: impl ToString) -> Self {
        Self::Plain(value.to_string())
    }

    pub(crate) fn texts<T: ToString>(texts: impl IntoIterator<Item = T>) -> Self {
        Self::List(texts.into_iter().map(Self::text).collect())
    }

    /// The value in one line.
    fn flow(&self) -> String {
        match self {
            Self::Plain(text) => text.clone(),
            Self::Text(text) => quoted(text),
            Self::List(list) => format!("[{}]", list.iter().map(Self::flow).collect::<Vec<_>>().join(", ")),
            Self::Map(map) => {
                let entries = map.iter().map(|(key, value)| format!("{}: {}", quoted(key), value.flow()));
                format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
            }
        }
    }
}

/// A whole document: the outermost keys, each on lines of its own.
pub(super) fn document(map: &[(String, Written)]) -> String {
    let mut text = String::new();
    entries(&mut text, map, 0);
    text
}

fn entries(text: &mut String, map: &[(String, Written)], indent: usize) {
    for (key, value) in map {
        let key = quoted(key);
        let flow = value.flow();
        let is_long = indent + key.len() + flow.len() + 2 > LINE_MAX;
        let margin = " ".repeat(indent);
        match value {
            // The outermost sections list their names one below the other.
            Written::Map(inner) if !inner.is_empty() && (indent == 0 || is_long) => {
                line(text, &format!("{margin}{key}:"));
                entries(text, inner, indent + 2);
            }
            Written::List(items) if !items.is_empty() && is_long => {
                line(text, &format!("{margin}{key}:"));
                items.iter().for_each(|value| item(text, value, indent + 2));
            }
            _ => line(text, &format!("{margin}{key}: {flow}")),
        }
    }
}

fn item(text: &mut String, value: &Written, indent: usize) {
    let (flow, margin) = (value.flow(), " ".repeat(indent));
    match value {
        Written::Map(inner) if !inner.is_empty() && indent + flow.len() + 2 > LINE_MAX => {
            let mut block = String::new();
            entries(&mut block, inner, indent + 2);
            // The first key stands behind the dash.
            line(text, &format!("{margin}- {}", block.trim()));
        }
        _ => line(text, &format!("{margin}- {flow}")),
    }
}

fn line(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

/// A text that is read back as this text.
fn quoted(text: &str) -> String {
    let is_safe = |c: char| c.is_ascii_alphanumeric() || "_-./@".contains(c);
    let starts_well = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/' || c == '_');
    let is_word =
        ["true", "false", "null", "yes", "no", "on", "off", "y", "n"].contains(&text.to_ascii_lowercase().as_str());
    if starts_well && text.chars().all(is_safe) && !is_word {
        return text.to_owned();
    }
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            // What YAML does not call printable is written by its number.
            c if c.is_control() || matches!(c, '\u{feff}' | '\u{2028}' | '\u{2029}' | '\u{fffe}' | '\u{ffff}') => {
                let _ = write!(out, "\\U{:08x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::{Form, Node, read};

    #[test]
    fn every_text_is_read_back() {
        let texts = [
            "",
            "a",
            "5",
            "true",
            "a: b",
            "#",
            "- x",
            "\u{7f}\u{85}\0\r\n\t\"\\",
            "ä€😀",
            "~",
            "[",
            "{a",
            "200-399",
            "0x1F",
            "\u{feff}",
        ];
        for text in texts {
            let written = document(&[(text.to_owned(), Written::List(vec![Written::text(text)]))]);
            let node = read(&written, Form::Yaml, 0).unwrap_or_else(|error| panic!("{written}: {error:?}"));
            let items = node.get(text).and_then(Node::list).unwrap_or_else(|| panic!("{written}"));
            let found = items.first().map(|item| match &item.value {
                crate::document::Value::Scalar(scalar) => scalar.text.clone(),
                other => panic!("{other:?}"),
            });
            assert_eq!(found.as_deref(), Some(text), "{written}");
        }
    }
}
