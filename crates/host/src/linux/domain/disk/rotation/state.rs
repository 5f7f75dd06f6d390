//! logrotate's own record of the logs that it knows and of when it rotated each of them last. It is only read.

use std::ops::RangeInclusive;

use jiff::{civil, tz::TimeZone};

/// A run with many large logs to compress takes its time after the moment that it writes down.
const RUN: i64 = 6 * 3600;
/// An hour is written down twice when summer time ends.
const DOUBT: i64 = 2 * 3600;
const DAY: i64 = 86_400;

/// A log that logrotate knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) path: String,
    /// When it was rotated last, in seconds: the run in which that was.
    pub(super) rotated: RangeInclusive<i64>,
}

/// Reads a state of version 1 or 2; a log whose path or time cannot be told is left out.
///
/// # Errors
/// When it is no state.
pub(super) fn parse(text: &str, zone: &TimeZone) -> Result<Vec<Entry>, String> {
    let mut lines = text.lines();
    match lines.next().map(str::trim_end) {
        None | Some("") if text.trim().is_empty() => return Ok(Vec::new()),
        Some("logrotate state -- version 1" | "logrotate state -- version 2") => {}
        _ => return Err("it does not begin as a state of logrotate".into()),
    }
    Ok(lines.filter_map(|line| entry(line, zone)).collect())
}

fn entry(line: &str, zone: &TimeZone) -> Option<Entry> {
    let (path, time) = match line.strip_prefix('"') {
        Some(rest) => quoted(rest)?,
        None => line.split_once(' ').map(|(path, time)| (path.to_owned(), time))?,
    };
    Some(Entry { path, rotated: run(time.trim(), zone)? })
}

/// A path in quotation marks, and what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut path = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((path, &text[at + 1..])),
            '\\' => path.push(letters.next()?.1),
            letter => path.push(letter),
        }
    }
    None
}

/// `2026-1-31-6:25:1`, or without the hour, in local time.
fn run(time: &str, zone: &TimeZone) -> Option<RangeInclusive<i64>> {
    let parts: Vec<i16> = time.split(['-', ':']).map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let small = |number: i16| i8::try_from(number).ok();
    let (year, month, day, rest) = match parts.as_slice() {
        [year, month, day, rest @ ..] => (*year, small(*month)?, small(*day)?, rest),
        _ => return None,
    };
    let ([hour, minute, second], takes) = match rest {
        [] => ([0; 3], DAY),
        [hour, minute, second] => ([small(*hour)?, small(*minute)?, small(*second)?], 0),
        _ => return None,
    };
    let at = civil::DateTime::new(year, month, day, hour, minute, second, 0).ok()?;
    let at = at.to_zoned(zone.clone()).ok()?.timestamp().as_second();
    Some(at - DOUBT..=at + takes + RUN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_times_are_read_as_logrotate_writes_them() {
        let text = "logrotate state -- version 2\n\"/var/log/a b\\\"c\\\\d.log\" 1970-1-2-0:0:0\n/var/log/old 1970-1-2\n\
                    \"/torn 2026-1-1\n\"/no/time\"\n\"/bad\" 2026-13-1-0:0:0\n\"/worse\" 2026-1-1-0:0\n\"/x\" a\n\n";
        let found = parse(text, &TimeZone::UTC).expect("a state");
        let found: Vec<_> = found.iter().map(|entry| (entry.path.as_str(), entry.rotated.clone())).collect();
        let expected =
            [("/var/log/a b\"c\\d.log", DAY - DOUBT..=DAY + RUN), ("/var/log/old", DAY - DOUBT..=2 * DAY + RUN)];
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_no_state_is_said_and_an_empty_one_knows_nothing() {
        assert!(parse("rotate 4\n", &TimeZone::UTC).is_err());
        assert!(parse("logrotate state -- version 9\n", &TimeZone::UTC).is_err());
        assert_eq!(parse("", &TimeZone::UTC), Ok(Vec::new()));
        assert_eq!(parse("logrotate state -- version 2\n", &TimeZone::UTC), Ok(Vec::new()));
    }
}
