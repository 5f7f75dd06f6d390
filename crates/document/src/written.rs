//! Values to YAML: in one line where that is short enough, and quoted whenever a text could be read as something else.
//! Which keys there are and what stands under them is not known here.

use std::{collections::BTreeMap, fmt::Write as _};

use ansai_model::units::ByteSize;

use crate::units::{shown_bytes, shown_duration};

/// The longest line before a value is broken into several.
const LINE_MAX: usize = 100;

/// A value to be written.
#[derive(Clone, Debug)]
pub enum Written {
    /// A number, a truth value, a duration: read back by its look.
    Plain(String),
    /// A text, quoted where it could be read as something else.
    Text(String),
    /// Several values.
    List(Vec<Written>),
    /// Keys with their values, in this order.
    Map(Vec<(String, Written)>),
}

impl Written {
    /// A text.
    pub fn text(text: impl ToString) -> Self {
        Self::Text(text.to_string())
    }

    /// What is read back by its look.
    pub fn plain(value: impl ToString) -> Self {
        Self::Plain(value.to_string())
    }

    /// A list of texts.
    pub fn texts<T: ToString>(texts: impl IntoIterator<Item = T>) -> Self {
        Self::List(texts.into_iter().map(Self::text).collect())
    }

    /// The value in one line.
    pub fn flow(&self) -> String {
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

/// A mapping that is being written.
#[derive(Default)]
pub struct Fields(Vec<(String, Written)>);

impl Fields {
    /// With one more key.
    pub fn put(mut self, key: &str, value: Written) -> Self {
        self.0.push((key.to_owned(), value));
        self
    }

    /// Only when there is something.
    pub fn maybe(self, key: &str, value: Option<Written>) -> Self {
        match value {
            Some(value) => self.put(key, value),
            None => self,
        }
    }

    /// Only when it is so.
    pub fn only_if(self, key: &str, is_so: bool) -> Self {
        self.maybe(key, is_so.then(|| Written::plain(true)))
    }

    /// With a duration.
    pub fn time(self, key: &str, duration: std::time::Duration) -> Self {
        self.put(key, time(duration))
    }

    /// With everything of another mapping behind.
    pub fn and(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }

    /// The mapping.
    pub fn done(self) -> Written {
        Written::Map(self.0)
    }

    /// A whole document: the outermost keys, each on lines of its own.
    pub fn document(&self) -> String {
        let mut text = String::new();
        entries(&mut text, &self.0, 0);
        text
    }
}

/// A duration.
pub fn time(duration: std::time::Duration) -> Written {
    Written::Plain(shown_duration(duration))
}

/// Names of the operator's with texts, when there are some.
pub fn table(map: &BTreeMap<String, String>) -> Option<Written> {
    let entries = map.iter().map(|(key, value)| (key.clone(), Written::text(value)));
    (!map.is_empty()).then(|| Written::Map(entries.collect()))
}

/// A size.
pub fn size(size: ByteSize) -> Written {
    Written::Plain(shown_bytes(size))
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
pub fn quoted(text: &str) -> String {
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
    use crate::{Form, Node, Value, read};

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
            let written = Fields::default().put(text, Written::List(vec![Written::text(text)])).document();
            let node = read(&written, Form::Yaml, 0).unwrap_or_else(|error| panic!("{written}: {error:?}"));
            let items = node.get(text).and_then(Node::list).unwrap_or_else(|| panic!("{written}"));
            let found = items.first().map(|item| match &item.value {
                Value::Scalar(scalar) => scalar.text.clone(),
                other => panic!("{other:?}"),
            });
            assert_eq!(found.as_deref(), Some(text), "{written}");
        }
    }
}
