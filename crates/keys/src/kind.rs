//! What a value must be, in words: what is expected, how it is written, its bounds.

use std::time::Duration;

use ansai_document::{text::any_of, units};

use crate::table::{DURATION_MAX, DURATION_MIN, Kind};

/// How a kind is written.
pub fn how(kind: &Kind) -> String {
    match kind {
        Kind::Truth => "write true or false".into(),
        Kind::Word(_, words) => format!("write {}", any_of(words)),
        Kind::Whole { min, max } if *max == u64::from(u32::MAX) => format!("write a whole number, {min} or more"),
        Kind::Whole { min, max } => format!("write a whole number from {min} to {max}"),
        Kind::Duration => units::DURATION_HELP.into(),
        Kind::Between { min, max } => format!("write {}", between(*min, *max)),
        Kind::Size => units::SIZE_HELP.into(),
        Kind::Percent => units::PERCENT_HELP.into(),
        Kind::Moment => "write it with its time zone, as in 2030-01-31T08:00:00Z".into(),
        Kind::TimeOfDay => "write hour and minute in quotes, as in \"03:30\"".into(),
        Kind::Path => "write /PATH".into(),
        Kind::Paths => "write /PATH or [/PATH, /PATH]".into(),
        Kind::Loopback => "write 127.0.0.1:PORT or [::1]:PORT".into(),
        Kind::Mode => "write \"0640\", with quotes".into(),
        Kind::Special(special) => special.how.into(),
        Kind::Text => "write one text, in quotes when it holds other characters than letters and digits".into(),
        Kind::Texts => "write TEXT or [TEXT, TEXT]".into(),
        Kind::Statuses => "write 200, or 200-299".into(),
        Kind::Argv => "write a list: [program, argument, …]".into(),
        Kind::Short(short, _) => how(short),
        Kind::Shape(shape) => {
            let known: Vec<_> = shape.keys.iter().take(6).map(|key| key.name).collect();
            format!("write {{KEY: VALUE}} with keys as {}", known.join(", "))
        }
        Kind::Named(_) => {
            "write NAME: VALUE on a line of its own, with a blank after the colon and no dash before".into()
        }
        Kind::List(_) => "write [ITEM, ITEM], or each item behind a dash on a line of its own".into(),
    }
}

/// The bounds of a duration, as one writes them.
pub fn between(min: Duration, max: Duration) -> String {
    let [shortest, longest] = [min, max].map(units::shown_duration);
    match (min == DURATION_MIN, max == DURATION_MAX) {
        (_, true) => format!("{shortest} or more"),
        (true, false) => format!("up to {longest}"),
        (false, false) => format!("{shortest} to {longest}"),
    }
}

/// What is expected of a kind, with its article.
pub fn expected(kind: &Kind) -> &'static str {
    match kind {
        Kind::Truth => "true or false",
        Kind::Word(..) => "one word",
        Kind::Whole { .. } => "a whole number",
        Kind::Duration | Kind::Between { .. } => "a duration",
        Kind::Size => "a size",
        Kind::Percent => "a share",
        Kind::Moment => "a moment",
        Kind::TimeOfDay => "a time of the day",
        Kind::Path => "an absolute path",
        Kind::Paths => "an absolute path or a list of them",
        Kind::Loopback => "a loopback address",
        Kind::Mode => "a mode",
        Kind::Special(special) => special.expected,
        Kind::Texts => "a text or a list of texts",
        Kind::Statuses => "a status code",
        Kind::Argv => "a command",
        Kind::Text => "a text",
        Kind::Shape(_) | Kind::Named(_) => "a mapping",
        Kind::Short(short, _) => expected(short),
        Kind::List(_) => "a list",
    }
}

/// What is expected of a kind, without its article.
pub fn bare(kind: &Kind) -> &'static str {
    let text = expected(kind);
    text.strip_prefix("a ").or_else(|| text.strip_prefix("an ")).unwrap_or(text)
}
