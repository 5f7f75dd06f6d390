//! Moments in lines from outside, told in the zone of the rest of the page: those that say by themselves which moment they
//! mean, as `2026-11-21T02:04:05+0100`. What leaves its zone open stays as it is, since nobody knows it.

use ansai_model::incident::{Evidence, EvidenceKind};
use jiff::{Timestamp, fmt::temporal::DateTimeParser, tz::TimeZone};

/// The shortest and the longest way of writing a moment, in bytes.
const STAMP_BYTES: std::ops::RangeInclusive<usize> = 20..=40;
const PARSER: DateTimeParser = DateTimeParser::new();

/// The lines of evidence. In a log only what begins a line is the log's own word; the rest is a program's.
pub(super) fn lines(evidence: &Evidence, zone: &TimeZone) -> Vec<String> {
    let lines = evidence.text.as_str().lines();
    match evidence.kind {
        EvidenceKind::Log => lines.map(|line| first(line, zone)).collect(),
        _ => lines.map(|line| all(line, zone)).collect(),
    }
}

/// Every moment of a line.
pub(super) fn all(line: &str, zone: &TimeZone) -> String {
    line.split(' ').map(|word| told(word, zone)).collect::<Vec<_>>().join(" ")
}

fn first(line: &str, zone: &TimeZone) -> String {
    match line.split_once(' ') {
        Some((word, rest)) => format!("{} {rest}", told(word, zone)),
        None => told(line, zone),
    }
}

/// Every moment of a line where room is short: without seconds when they are none, without the day when it is that of the moment
/// before, which is `now` at first, without the year when it is this one, and with the name of the zone once.
pub(super) fn briefly(line: &str, now: Timestamp, zone: &TimeZone) -> String {
    let now = now.to_zoned(zone.clone());
    let (mut day, mut said) = (now.date(), String::new());
    let mut brief = |word: &str| {
        let Some((at, rest)) = moment(word) else { return word.to_owned() };
        let at = at.to_zoned(zone.clone());
        let date = match at.date() {
            date if date == day => "",
            date if date.year() == now.year() => "%m-%d ",
            _ => "%Y-%m-%d ",
        };
        let time = if at.second() == 0 { "%H:%M" } else { "%H:%M:%S" };
        let name = at.strftime("%Z").to_string();
        let told = format!("{}{}", at.strftime(date), at.strftime(time));
        day = at.date();
        if name == said {
            return format!("{told}{rest}");
        }
        said.clone_from(&name);
        format!("{told} {name}{rest}")
    };
    line.split(' ').map(&mut brief).collect::<Vec<_>>().join(" ")
}

fn told(word: &str, zone: &TimeZone) -> String {
    moment(word).map_or_else(
        || word.to_owned(),
        |(at, rest)| format!("{}{rest}", at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S %Z")),
    )
}

/// The moment that a word is, and the signs behind it.
fn moment(word: &str) -> Option<(Timestamp, &str)> {
    let stamp = word.trim_end_matches([',', ';', ')', ':', '.']);
    let is_like = STAMP_BYTES.contains(&stamp.len()) && stamp.starts_with(|c: char| c.is_ascii_digit());
    let at = PARSER.parse_timestamp(Some(stamp).filter(|stamp| is_like && stamp.contains('T'))?).ok()?;
    Some((at, &word[stamp.len()..]))
}

#[cfg(test)]
mod tests {
    use jiff::tz::offset;

    use super::*;

    #[track_caller]
    fn check(kind: EvidenceKind, text: &str, expected: &str) {
        let zone = TimeZone::fixed(offset(-5));
        assert_eq!(lines(&Evidence::new("a", kind, text), &zone).join("\n"), expected);
    }

    #[test]
    fn what_begins_a_line_of_the_log_is_told_in_the_zone_of_the_page() {
        check(
            EvidenceKind::Log,
            "2026-11-21T02:04:05+0100 web1 app[7]: at 2026-11-21T02:04:05Z\n2026-11-21T02:04:05+01:00",
            "2026-11-20 20:04:05 -05 web1 app[7]: at 2026-11-21T02:04:05Z\n2026-11-20 20:04:05 -05",
        );
    }

    #[test]
    fn changes_and_figures_are_told_in_it_wherever_they_name_a_moment() {
        check(
            EvidenceKind::Change,
            "/etc/app was changed at 2026-11-21T02:04:05Z\njust now: 2026-11-21T02:04:05Z upgrade app 1 2",
            "/etc/app was changed at 2026-11-20 21:04:05 -05\njust now: 2026-11-20 21:04:05 -05 upgrade app 1 2",
        );
    }

    #[test]
    fn where_room_is_short_a_moment_says_what_the_one_before_has_not() {
        let now = "2026-11-21T12:00:00Z".parse().expect("a time");
        let check = |text: &str, expected: &str| {
            let told = briefly(text, now, &TimeZone::fixed(offset(-5)));
            assert_eq!(told, expected);
        };
        check(
            "at about 2026-11-21T19:10:00Z (between 2026-11-21T18:10:00Z and 2026-11-22T12:10:00Z); since 2026-11-21T12:05:00Z",
            "at about 14:10 -05 (between 13:10 and 11-22 07:10); since 11-21 07:05",
        );
        check("2027-01-01T12:00:01Z, and 2027-01-01T12:00:02Z", "2027-01-01 07:00:01 -05, and 07:00:02");
        check("nothing at 12:00", "nothing at 12:00");
    }

    #[test]
    fn what_names_no_moment_stays_as_it_is() {
        let texts = ["2026-11-21T02:04:05 web1", "-- Boot 4f --", "", "2026-13-41T99:04:05+0100 x", "é2026 T", "T  a"];
        for text in texts {
            check(EvidenceKind::Log, text, text);
            check(EvidenceKind::Change, text, text);
        }
    }
}
