//! Is a document of the right form? Every key and value is held against the table; everything wrong is collected.
//! What values mean together is checked by whoever reads them.

use std::time::Duration;

use ansai_document::{
    Findings, Node, Value, nearest_name,
    text::{any_of, cut, joined},
    units,
};

use crate::{
    kind::{bare, between, expected, how},
    table::{DURATION_MAX, DURATION_MIN, Key, Kind, Shape},
};

/// What may be meant by a key that is none in a mapping, where more is known than the table says.
pub type Meant<'a> = &'a dyn Fn(&Shape, &str) -> Option<String>;

/// The longest text of a single value, in bytes.
const TEXT_BYTES_MAX: usize = 64 << 10;

/// Holds a value and all that is in it against what it must be; `key` is how it is called in messages.
pub fn check(findings: &mut Findings<'_>, node: &Node, kind: &Kind, key: &str, meant: Meant<'_>) {
    if node.is_null() {
        return;
    }
    match kind {
        Kind::Shape(shape) => check_shape(findings, node, shape, key, meant),
        Kind::Short(_, shape) if node.map().is_some() => check_shape(findings, node, shape, key, meant),
        Kind::Short(short, _) => check(findings, node, short, key, meant),
        Kind::Named(inner) => match node.map() {
            Some(map) => {
                for (name, entry) in map {
                    check(findings, &entry.node, inner, &joined(key, name), meant);
                }
            }
            None => wrong_kind(findings, node, kind, key),
        },
        Kind::List(inner) => match node.list() {
            Some(list) => {
                for (index, item) in list.iter().enumerate() {
                    check(findings, item, inner, &format!("{key}[{index}]"), meant);
                }
            }
            None => wrong_kind(findings, node, kind, key),
        },
        Kind::Texts | Kind::Paths | Kind::Statuses => check_texts(findings, node, kind, key),
        Kind::Argv => check_argv(findings, node, key),
        leaf => check_leaf(findings, node, leaf, key),
    }
}

fn wrong_kind(findings: &mut Findings<'_>, node: &Node, kind: &Kind, key: &str) {
    let what = format!("{} is expected here; this is {}", expected(kind), node.kind());
    findings.error(node.place, key, what, meant_by(node, kind).unwrap_or_else(|| how(kind)));
}

/// What is meant where a mapping is expected: a key without its colon or the blank behind it, or names behind dashes.
fn meant_by(node: &Node, kind: &Kind) -> Option<String> {
    match (kind, &node.value) {
        (Kind::Shape(shape) | Kind::Short(_, shape), Value::Scalar(_)) => {
            let text = node.plain()?;
            let (name, value) = text.split_once([':', ' '])?;
            shape.key(name)?;
            // What may be a secret is not repeated.
            let is_short = value.len() < 20 && value.chars().all(|c| c.is_ascii_alphanumeric());
            let value = if is_short { value } else { "…" };
            Some(format!("write {name}: {value}, with a colon and a blank behind it"))
        }
        (Kind::Named(Kind::Shape(_) | Kind::Short(..)), Value::List(list)) => {
            let name = list.first()?.plain().filter(|name| !name.contains(' '))?;
            Some(format!("write each name with a colon and without a dash, as in {}: {{}}", cut(name)))
        }
        _ => None,
    }
}

fn check_shape(findings: &mut Findings<'_>, node: &Node, shape: &'static Shape, key: &str, meant_by_others: Meant<'_>) {
    let Some(map) = node.map() else { return wrong_kind(findings, node, &Kind::Shape(shape), key) };
    for (name, entry) in map {
        let path = joined(key, name);
        match shape.key(name) {
            Some(key) => match out_of_bounds(&entry.node, key) {
                Some((what, help)) => findings.error(entry.node.place, &path, what, help),
                None => check(findings, &entry.node, &key.kind, &path, meant_by_others),
            },
            None if findings.is_full() => findings.miss(),
            None => {
                let help = meant_by_others(shape, name).unwrap_or_else(|| meant(shape, name));
                findings.unknown(entry.key, (key, name), help);
            }
        }
    }
    let program = shape.keys.iter().find(|key| matches!(key.kind, Kind::Argv)).map(|key| key.name);
    if let Some(program) = program.filter(|program| !map.contains_key(*program)) {
        let help = format!("write {program}: [program, argument, …]");
        findings.lacks(node.place, (key, program), "a command needs its program", help);
    }
}

/// What is wrong with a duration that is one, but not between its bounds, and what would be usual under this key.
fn out_of_bounds(node: &Node, key: &Key) -> Option<(String, String)> {
    let Kind::Between { min, max } = key.kind else { return None };
    let text = node.text()?;
    let found = units::read_duration(text).filter(|found| !(min..=max).contains(found))?;
    let bounds = match found < min {
        // That the shortest of all is long enough to be read helps nobody.
        true if min == DURATION_MIN => "a longer time".to_owned(),
        false if max == DURATION_MAX => format!("{} or less", units::shown_duration(max)),
        _ => between(min, max),
    };
    let usual = Some(key.example).filter(|example| !example.is_empty()).or_else(|| key.value());
    let usual = usual.map(|usual| format!(", as {usual}")).unwrap_or_default();
    let what = if found < min { "short" } else { "long" };
    Some((format!("`{}` is too {what}", cut(text)), format!("write {bounds}{usual}")))
}

/// What may be meant by a key that is none here: one that belongs further in, one with nearly this name, or any.
fn meant(shape: &Shape, name: &str) -> String {
    let inner = shape.keys.iter().find(|key| match key.kind {
        Kind::Shape(inner) | Kind::Short(_, inner) => inner.key(name).is_some(),
        _ => false,
    });
    if let Some(inner) = inner {
        return format!("it belongs into `{}`: write {0}: {{{name}: …}}", inner.name);
    }
    let names = shape.keys.iter().map(|key| key.name);
    match nearest_name(name, names.clone()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known here: {}", names.collect::<Vec<_>>().join(", ")),
    }
}

fn check_texts(findings: &mut Findings<'_>, node: &Node, kind: &Kind, key: &str) {
    let leaf = match kind {
        Kind::Statuses => &Kind::Statuses,
        Kind::Paths => &Kind::Path,
        _ => &Kind::Text,
    };
    match &node.value {
        Value::Scalar(_) => check_leaf(findings, node, leaf, key),
        Value::List(list) => {
            for (index, item) in list.iter().enumerate() {
                match item.text() {
                    Some(_) => check_leaf(findings, item, leaf, &format!("{key}[{index}]")),
                    None => wrong_kind(findings, item, leaf, &format!("{key}[{index}]")),
                }
            }
        }
        Value::Map(_) => wrong_kind(findings, node, kind, key),
    }
}

fn check_argv(findings: &mut Findings<'_>, node: &Node, key: &str) {
    let help = || Some(how(&Kind::Argv));
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
            wrong_kind(findings, item, &Kind::Text, key);
        }
    }
}

fn check_leaf(findings: &mut Findings<'_>, node: &Node, kind: &Kind, key: &str) {
    let Some(text) = node.text() else { return wrong_kind(findings, node, kind, key) };
    if text.len() > TEXT_BYTES_MAX {
        let what = format!("this text has {} bytes; at most {TEXT_BYTES_MAX} are read", text.len());
        findings.error(node.place, key, what, None);
        return;
    }
    if let Some((what, help)) = wrong(node, text, kind) {
        findings.error(node.place, key, what, (!help.is_empty()).then_some(help));
    }
}

/// What is wrong with a value, and what to do; nothing when it is right.
fn wrong(node: &Node, text: &str, kind: &Kind) -> Option<(String, String)> {
    let no = |is_right: bool| (!is_right).then(|| (format!("`{}` is no {}", cut(text), bare(kind)), how(kind)));
    match kind {
        Kind::Truth => wrong_truth(node, text),
        Kind::Word(_, words) if words.contains(&text) => None,
        Kind::Word(what, words) => {
            let near = nearest_name(text, words.iter().copied()).map(|near| format!("did you mean `{near}`?"));
            Some((format!("`{}` is no {what}", cut(text)), near.unwrap_or_else(|| how(kind))))
        }
        Kind::Whole { min, max } => wrong_whole(text, node.plain().is_none(), (*min, *max), how(kind)),
        Kind::Duration if units::read_duration(text).is_some_and(|found| found > DURATION_MAX) => {
            Some((format!("`{}` is too long", cut(text)), "write 3650d or less".to_owned()))
        }
        Kind::Duration | Kind::Between { .. } | Kind::Size | Kind::Percent if is_bare(text, kind) => {
            let what = format!("`{}` is no {}: its unit is missing", cut(text), bare(kind));
            Some((what, with_unit(text, kind)))
        }
        Kind::Duration => no(units::read_duration(text).is_some()),
        Kind::Between { .. } if units::read_duration(text).is_some() => None,
        Kind::Between { .. } => wrong(node, text, &Kind::Duration),
        Kind::Size => no(units::read_bytes(text).is_some()),
        Kind::Percent => no(units::read_percent(text).is_some()),
        Kind::Moment => no(units::read_moment(text).is_some()),
        Kind::TimeOfDay => no(units::read_time_of_day(text).is_some()),
        Kind::Path if text.starts_with('/') => None,
        Kind::Path => Some((format!("`{}` is no absolute path", cut(text)), format!("write /…/{}", cut(text)))),
        Kind::Loopback => wrong_loopback(text),
        Kind::Mode => no(units::read_mode(text).is_some()),
        Kind::Statuses => no(units::read_statuses(text).is_some()),
        // The text of a secret is not repeated; who reads it says what is wrong.
        Kind::Special(special) => (special.wrong)(text),
        Kind::Text => None,
        Kind::Texts | Kind::Paths | Kind::Argv | Kind::Shape(_) | Kind::Short(..) | Kind::Named(_) | Kind::List(_) => {
            None
        }
    }
}

fn wrong_loopback(text: &str) -> Option<(String, String)> {
    match text.parse::<std::net::SocketAddr>() {
        Ok(address) if address.ip().is_loopback() => None,
        Ok(_) => {
            let help = "nothing but loopback is allowed here: write 127.0.0.1:PORT or [::1]:PORT".to_owned();
            Some((format!("`{}` can be reached from outside", cut(text)), help))
        }
        Err(_) => Some((format!("`{}` is no address", cut(text)), "write 127.0.0.1:PORT".to_owned())),
    }
}

/// Whether it is a number without a unit, as it may stand before one.
fn is_bare(text: &str, kind: &Kind) -> bool {
    let most = if matches!(kind, Kind::Percent) { 100 } else { 100_000 };
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    is_plain && text.parse::<u32>().is_ok_and(|number| number <= most)
}

/// A number with the units that may be meant, as far as they stay within the bounds.
fn with_unit(text: &str, kind: &Kind) -> String {
    let (min, max) = match kind {
        Kind::Size => return format!("write {text}MiB, or another unit of B, KiB and GiB"),
        Kind::Percent => return format!("write {text}%"),
        Kind::Between { min, max } => (*min, *max),
        _ => (Duration::ZERO, DURATION_MAX),
    };
    let is_within = |text: &String| units::read_duration(text).is_some_and(|found| (min..=max).contains(&found));
    let written: Vec<_> = ["s", "m", "h"].iter().map(|unit| format!("{text}{unit}")).filter(is_within).collect();
    if written.is_empty() { how(kind) } else { format!("write {}", any_of(&written)) }
}

fn wrong_truth(node: &Node, text: &str) -> Option<(String, String)> {
    let is_truth = matches!(text, "true" | "false");
    if node.plain().is_none() && is_truth {
        return Some((format!("`{text}` is a text here, in its quotes"), format!("write {text}, without quotes")));
    }
    let help = match text.to_ascii_lowercase().as_str() {
        "yes" | "on" | "true" | "y" => "write true",
        "no" | "off" | "false" | "n" => "write false",
        _ => "write true or false",
    };
    (!is_truth).then(|| (format!("`{}` is neither true nor false", cut(text)), help.to_owned()))
}

fn wrong_whole(text: &str, is_text: bool, (min, max): (u64, u64), range: String) -> Option<(String, String)> {
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
