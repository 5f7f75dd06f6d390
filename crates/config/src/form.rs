//! Is a document of the right form? Every key and value is held against the table; everything wrong is collected.
//! What values mean together is checked by whoever reads them.

use crate::{
    diagnostics::{Findings, nearest_name},
    document::{Node, Value},
    keys::{COMMAND, Key, Kind, Shape},
    units,
};

/// The longest text of a single value, in bytes.
const TEXT_BYTES_MAX: usize = 64 << 10;

/// Holds a value and all that is in it against what it must be.
pub(crate) fn check(findings: &mut Findings<'_>, node: &Node, kind: &Kind, key: &str) {
    if node.is_null() {
        return;
    }
    match kind {
        Kind::Shape(shape) => check_shape(findings, node, shape, key),
        Kind::Short(_, shape) if node.map().is_some() => check_shape(findings, node, shape, key),
        Kind::Short(short, _) => check(findings, node, short, key),
        Kind::Named(inner) => match node.map() {
            Some(map) => {
                for (name, entry) in map {
                    check(findings, &entry.node, inner, &joined(key, name));
                }
            }
            None => wrong_kind(findings, node, "a mapping from names to values", key),
        },
        Kind::List(inner) => match node.list() {
            Some(list) => {
                for (index, item) in list.iter().enumerate() {
                    check(findings, item, inner, &format!("{key}[{index}]"));
                }
            }
            None => wrong_kind(findings, node, "a list", key),
        },
        Kind::Texts | Kind::Statuses => check_texts(findings, node, kind, key),
        Kind::Argv => check_argv(findings, node, key),
        leaf => check_leaf(findings, node, leaf, key),
    }
}

/// The key of something within something.
pub(crate) fn joined(key: &str, name: &str) -> String {
    if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") }
}

fn wrong_kind(findings: &mut Findings<'_>, node: &Node, expected: &str, key: &str) {
    findings.error(node.place, key, format!("{expected} is expected here; this is {}", node.kind()), None);
}

fn check_shape(findings: &mut Findings<'_>, node: &Node, shape: &Shape, key: &str) {
    let Some(map) = node.map() else {
        let known: Vec<_> = shape.keys.iter().take(6).map(|key| key.name).collect();
        let what = format!("a mapping is expected here; this is {}", node.kind());
        findings.error(node.place, key, what, format!("write {{KEY: VALUE}} with keys as {}", known.join(", ")));
        return;
    };
    if shape.title == COMMAND.title && !map.contains_key("argv") {
        let help = "write argv: [program, argument, …]".to_owned();
        findings.error(node.place, key, "a command needs its program", help);
    }
    for (name, entry) in map {
        let path = joined(key, name);
        match shape.key(name) {
            Some(Key { kind, .. }) => check(findings, &entry.node, kind, &path),
            None => {
                let names = shape.keys.iter().map(|key| key.name);
                let help = match nearest_name(name, names.clone()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("known here: {}", names.collect::<Vec<_>>().join(", ")),
                };
                findings.error(entry.key, &path, format!("there is no key `{}` here", cut(name)), help);
            }
        }
    }
}

fn check_texts(findings: &mut Findings<'_>, node: &Node, kind: &Kind, key: &str) {
    let leaf = if matches!(kind, Kind::Statuses) { &Kind::Statuses } else { &Kind::Text };
    match &node.value {
        Value::Scalar(_) => check_leaf(findings, node, leaf, key),
        Value::List(list) => {
            for (index, item) in list.iter().enumerate() {
                match item.text() {
                    Some(_) => check_leaf(findings, item, leaf, &format!("{key}[{index}]")),
                    None => wrong_kind(findings, item, "a text", &format!("{key}[{index}]")),
                }
            }
        }
        Value::Map(_) => wrong_kind(findings, node, "a text or a list of texts", key),
    }
}

fn check_argv(findings: &mut Findings<'_>, node: &Node, key: &str) {
    let help = || Some("write a list: [program, argument, …]".to_owned());
    let Some(list) = node.list() else {
        let what = format!("a command is a list; this is {}", node.kind());
        let words = node.text().map(|text| text.split_whitespace().collect::<Vec<_>>().join(", "));
        let help = words.filter(|words| words.len() < 200).map_or_else(help, |words| Some(format!("write [{words}]")));
        findings.error(node.place, key, what, help);
        return;
    };
    if list.first().is_none_or(|first| first.text().is_none_or(str::is_empty)) {
        findings.error(node.place, key, "the command is empty", help());
    }
    for item in list {
        if !matches!(item.value, Value::Scalar(_)) {
            wrong_kind(findings, item, "a word of a command", key);
        }
    }
}

fn check_leaf(findings: &mut Findings<'_>, node: &Node, kind: &Kind, key: &str) {
    let Some(text) = node.text() else { return wrong_kind(findings, node, expected(kind), key) };
    if text.len() > TEXT_BYTES_MAX {
        let what = format!("this text has {} bytes; at most {TEXT_BYTES_MAX} are read", text.len());
        findings.error(node.place, key, what, None);
        return;
    }
    if let Some((what, help)) = wrong(node, text, kind) {
        findings.error(node.place, key, what, (!help.is_empty()).then_some(help));
    }
}

/// What is expected of a kind, with its article.
pub(crate) fn expected(kind: &Kind) -> &'static str {
    match kind {
        Kind::Truth => "true or false",
        Kind::Word(..) => "a word",
        Kind::Whole { .. } => "a whole number",
        Kind::Duration => "a duration",
        Kind::Size => "a size",
        Kind::Moment => "a moment",
        Kind::TimeOfDay => "a time of the day",
        Kind::Path => "an absolute path",
        Kind::Mode => "permission bits",
        Kind::Secret => "a reference to a secret",
        Kind::Address => "a web address",
        Kind::Server => "a mail server",
        Kind::ProbeText => "a probe",
        Kind::Condition => "a condition",
        Kind::Texts => "a text or a list of texts",
        Kind::Statuses => "a status code",
        Kind::Argv => "a command",
        Kind::Text => "a text",
        Kind::Shape(_) | Kind::Named(_) => "a mapping",
        Kind::Short(short, _) => expected(short),
        Kind::List(_) => "a list",
    }
}

/// What is wrong with a value, and what to do; nothing when it is right.
fn wrong(node: &Node, text: &str, kind: &Kind) -> Option<(String, String)> {
    let no = |help: &str| Some((format!("`{}` is no {}", cut(text), bare(kind)), help.to_owned()));
    let is_text = node.plain().is_none();
    match kind {
        Kind::Truth if !is_text && matches!(text, "true" | "false") => None,
        Kind::Truth => {
            let word = match text.to_ascii_lowercase().as_str() {
                "yes" | "on" | "true" | "y" => "write true",
                "no" | "off" | "false" | "n" => "write false",
                _ => "write true or false",
            };
            Some((format!("`{}` is neither true nor false", cut(text)), word.to_owned()))
        }
        Kind::Word(_, words) if words.contains(&text) => None,
        Kind::Word(what, words) => {
            let help = match nearest_name(text, words.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("write {}", any_of(words)),
            };
            Some((format!("`{}` is no {what}", cut(text)), help))
        }
        Kind::Whole { min, max } => wrong_whole(text, is_text, *min, *max),
        Kind::Duration if units::read_duration(text).is_some() => None,
        Kind::Duration => no(units::DURATION_HELP),
        Kind::Size if units::read_bytes(text).is_some() => None,
        Kind::Size => no(units::SIZE_HELP),
        Kind::Moment => match text.parse::<jiff::Timestamp>() {
            Ok(_) => None,
            Err(_) => no("write it with its time zone, as in 2030-01-31T08:00:00Z"),
        },
        Kind::TimeOfDay if crate::read::time_of_day(text).is_some() => None,
        Kind::TimeOfDay => no("write hour and minute in quotes, as in \"03:30\""),
        Kind::Path if text.starts_with('/') => None,
        Kind::Path => Some((format!("`{}` is no absolute path", cut(text)), format!("write /…/{}", cut(text)))),
        Kind::Mode if crate::read::mode(text).is_some() => None,
        Kind::Mode => no("write \"0640\", with quotes"),
        Kind::Statuses if crate::read::statuses(text).is_some() => None,
        Kind::Statuses => no("write 200, or 200-299"),
        // The text of a secret is not repeated; who reads it says what is wrong.
        Kind::Secret | Kind::Address | Kind::Server | Kind::ProbeText | Kind::Condition | Kind::Text => None,
        Kind::Texts | Kind::Argv | Kind::Shape(_) | Kind::Short(..) | Kind::Named(_) | Kind::List(_) => None,
    }
}

fn wrong_whole(text: &str, is_text: bool, min: u64, max: u64) -> Option<(String, String)> {
    let range = match (min, max) {
        (min, max) if max == u64::from(u32::MAX) => format!("write a whole number, {min} or more"),
        (min, max) => format!("write a whole number from {min} to {max}"),
    };
    match text.parse::<u64>() {
        Ok(_) if is_text => {
            Some((format!("`{text}` is a text, not a number"), format!("write {text}, without quotes")))
        }
        Ok(number) if number < min => Some((format!("{number} is too small"), range)),
        Ok(number) if number > max => Some((format!("{number} is too large"), range)),
        Ok(_) => None,
        Err(_) => Some((format!("`{}` is no whole number", cut(text)), range)),
    }
}

fn bare(kind: &Kind) -> &'static str {
    let text = expected(kind);
    text.strip_prefix("a ").or_else(|| text.strip_prefix("an ")).unwrap_or(text)
}

/// Some words as one reads them: `a`, `b` or `c`.
pub(crate) fn any_of(words: &[&str]) -> String {
    match words.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}

/// A text short enough for a message.
pub(crate) fn cut(text: &str) -> String {
    const CHARS_MAX: usize = 60;
    match text.char_indices().nth(CHARS_MAX) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}
