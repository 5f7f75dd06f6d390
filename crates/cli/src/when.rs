//! When something ends, as people write it for a command: for how long, a time of the day, a day, a date. The one reader of that; what
//! lasts until then is the command's.
//!
//! A time is one to come, in the zone of whoever writes it, also where times are to be told in UTC; what is told is read as what
//! it says, with its zone.

use std::time::Duration;

use ansai_document::units;
use ansai_model::time::{Shown, WallTime};
use jiff::{
    Timestamp, ToSpan, Zoned,
    civil::{Date, Time, Weekday},
    tz::TimeZone,
};

use crate::{
    exit::{Code, Failure},
    show,
};

/// How it is written, for whoever wrote it otherwise.
const WRITTEN: &str = "write for how long, as 2h, or until when: 18:30, 'tomorrow 08:00', 'monday 08:00', '2030-01-31 08:00' \
                       or 2030-01-31T08:00:00Z";
/// The most characters that are read.
const BYTES_MAX: usize = 64;
/// The next day of a name is within so many days, today of next week included.
const DAYS_TO_NEXT: i32 = 7;

/// When something ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct When {
    /// From now on; more than nothing.
    pub(crate) lasts: Duration,
    /// By the wall clock.
    pub(crate) until: WallTime,
}

/// What a person wrote, with a word on how it was understood when that is more than a length.
///
/// # Errors
/// When it is none, or over.
pub(crate) fn when(text: &str) -> Result<When, Failure> {
    let terminal = show::terminal();
    let now = Timestamp::now().to_zoned(terminal.own_zone.clone());
    // An option may have taken the next one for its value.
    if let Some(option) = text.strip_prefix("--").filter(|option| option.starts_with(|c: char| c.is_ascii_alphabetic()))
    {
        return Err(wrong(format!("no time is given: what follows is the option `--{option}`")));
    }
    if let Some(lasts) = length(text) {
        let until = WallTime(now.timestamp().as_millisecond()).plus(lasts);
        return match lasts.is_zero() {
            true => Err(wrong(format!("`{text}` is no time at all"))),
            false => Ok(When { lasts, until }),
        };
    }
    let at = moment(text, &now).ok_or_else(|| wrong(format!("`{text}` is neither a duration nor a time")))?;
    let told = |at: &Zoned| show::moment(at.timestamp().as_millisecond(), &terminal.zone);
    let lasts = Duration::try_from(now.duration_until(&at)).unwrap_or_default();
    if lasts.is_zero() {
        return Err(wrong(format!("`{text}` is already over: it is {} now", told(&now))));
    }
    show::note(&format!("`{text}` is {}, in {}", told(&at), Shown(lasts)));
    Ok(When { lasts, until: WallTime(at.timestamp().as_millisecond()) })
}

/// How long something lasts, written as what [`when`] reads. Nothing at all is a length as well: whoever takes it says what ends
/// what there is.
///
/// # Errors
/// As [`when`].
pub(crate) fn lasting(text: &str) -> Result<Duration, Failure> {
    length(text).map_or_else(|| when(text).map(|when| when.lasts), Ok)
}

fn wrong(what: String) -> Failure {
    Failure::new(Code::Usage, what, WRITTEN)
}

/// `2h`, and `in 2h`.
fn length(text: &str) -> Option<Duration> {
    let text = text.trim();
    units::read_duration(text.strip_prefix("in ").unwrap_or(text))
}

/// The moment that is meant; one that is over where the text leaves no choice.
fn moment(text: &str, now: &Zoned) -> Option<Zoned> {
    if text.len() > BYTES_MAX {
        return None;
    }
    let text = text.trim();
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at.to_zoned(now.time_zone().clone()));
    }
    // As times are shown, with the name of their zone.
    if let Some((before, zone)) = text.rsplit_once(' ').filter(|(before, _)| before.contains(':')) {
        let is_utc = ["UTC", "GMT", "Z"].contains(&zone);
        let here = if is_utc { now.with_time_zone(TimeZone::UTC) } else { now.clone() };
        let named = civil(before, &here).filter(|at| is_utc || at.strftime("%Z").to_string() == zone);
        if named.is_some() {
            return named;
        }
    }
    civil(text, now)
}

/// A day, a time, or both, in either order.
fn civil(text: &str, now: &Zoned) -> Option<Zoned> {
    let text = text.to_ascii_lowercase();
    // As in `2030-01-31T08:00`.
    let text = match text.split_once('t') {
        Some((date, time)) if date.parse::<Date>().is_ok() => format!("{date} {time}"),
        Some(_) | None => text,
    };
    let (mut day, mut time) = (None, None);
    for word in text.split_whitespace().filter(|word| !matches!(*word, "at" | "on" | "until")) {
        match (time_of(word), day_of(word)) {
            (Some(found), _) if time.is_none() => time = Some(found),
            (None, Some(found)) if day.is_none() => day = Some(found),
            _ => return None,
        }
    }
    let at = |date: Date, time: Time| date.to_datetime(time).to_zoned(now.time_zone().clone()).ok();
    let after = |days: i32| now.date().checked_add(days.days()).ok();
    let next = |is_meant: &dyn Fn(Date) -> bool, time: Time| {
        let days = (0..=DAYS_TO_NEXT).filter_map(after).filter(|date| is_meant(*date));
        days.filter_map(|date| at(date, time)).find(|at| at > now)
    };
    match (day, time) {
        (None, None) => None,
        (None, Some(time)) => next(&|_| true, time),
        (Some(Day::After(days)), time) => at(after(days)?, time.unwrap_or_default()),
        (Some(Day::Named(name)), time) => next(&|date| date.weekday() == name, time.unwrap_or_default()),
        (Some(Day::Date(date)), time) => at(date, time.unwrap_or_default()),
    }
}

/// A day as people say it.
#[derive(Clone, Copy)]
enum Day {
    /// So many days from today.
    After(i32),
    /// The next day of this name.
    Named(Weekday),
    /// One of the calendar.
    Date(Date),
}

fn day_of(word: &str) -> Option<Day> {
    Some(match word {
        "today" => Day::After(0),
        "tomorrow" => Day::After(1),
        "mon" | "monday" => Day::Named(Weekday::Monday),
        "tue" | "tuesday" => Day::Named(Weekday::Tuesday),
        "wed" | "wednesday" => Day::Named(Weekday::Wednesday),
        "thu" | "thursday" => Day::Named(Weekday::Thursday),
        "fri" | "friday" => Day::Named(Weekday::Friday),
        "sat" | "saturday" => Day::Named(Weekday::Saturday),
        "sun" | "sunday" => Day::Named(Weekday::Sunday),
        word => Day::Date(word.parse().ok()?),
    })
}

/// `18:30`, `18:30:15`, `6:30pm`, `6pm`, `noon`, `midnight`.
fn time_of(word: &str) -> Option<Time> {
    match word {
        "noon" => return Time::new(12, 0, 0, 0).ok(),
        "midnight" => return Some(Time::midnight()),
        _ => {}
    }
    let half = [("am", 0), ("pm", 12)].into_iter().find_map(|(end, add)| Some((word.strip_suffix(end)?, add)));
    let (digits, is_half) = (half.map_or(word, |(digits, _)| digits), half.is_some());
    let mut parts = digits.split(':').map(|part| match part.len() {
        1 | 2 if part.bytes().all(|byte| byte.is_ascii_digit()) => part.parse::<i8>().ok(),
        _ => None,
    });
    let hour = parts.next()??;
    let minute = match parts.next() {
        Some(minute) => minute?,
        // A number alone is no time.
        None if is_half => 0,
        None => return None,
    };
    let second = parts.next().unwrap_or(Some(0))?;
    let hour = match half {
        None => hour,
        Some((_, add)) if (1..=12).contains(&hour) => hour % 12 + add,
        Some(_) => return None,
    };
    if parts.next().is_some() {
        return None;
    }
    Time::new(hour, minute, second, 0).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A Monday, in a zone of which the clock goes two hours before UTC.
    fn now() -> Zoned {
        let zone = TimeZone::posix("CEST-2").expect("a zone");
        "2026-06-01T09:30:00Z".parse::<Timestamp>().expect("a time").to_zoned(zone)
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let found = moment(text, &now()).map(|at| at.timestamp().to_string());
        assert_eq!(found.as_deref(), Some(expected), "{text}");
    }

    #[test]
    fn a_time_of_the_day_is_the_next_such_time_of_the_reader() {
        check("18:30", "2026-06-01T16:30:00Z");
        check("11:31", "2026-06-01T09:31:00Z");
        check("11:30", "2026-06-02T09:30:00Z");
        check("8:00", "2026-06-02T06:00:00Z");
        check("23:59:59", "2026-06-01T21:59:59Z");
        check("00:00", "2026-06-01T22:00:00Z");
        check("midnight", "2026-06-01T22:00:00Z");
        check("noon", "2026-06-01T10:00:00Z");
        check("6:30pm", "2026-06-01T16:30:00Z");
        check("12am", "2026-06-01T22:00:00Z");
        check("at 18:30", "2026-06-01T16:30:00Z");
        check("18:30 UTC", "2026-06-01T18:30:00Z");
        check("18:30 CEST", "2026-06-01T16:30:00Z");
    }

    #[test]
    fn a_day_is_one_to_come_with_its_time_or_from_its_beginning() {
        check("tomorrow 08:00", "2026-06-02T06:00:00Z");
        check("08:00 tomorrow", "2026-06-02T06:00:00Z");
        check("Tomorrow", "2026-06-01T22:00:00Z");
        check("today 18:30", "2026-06-01T16:30:00Z");
        check("monday", "2026-06-07T22:00:00Z");
        check("monday 18:00", "2026-06-01T16:00:00Z");
        check("mon 08:00", "2026-06-08T06:00:00Z");
        check("sunday at 08:00", "2026-06-07T06:00:00Z");
        check("2030-01-31", "2030-01-30T22:00:00Z");
        check("2030-01-31 08:00", "2030-01-31T06:00:00Z");
        check("2030-01-31T08:00", "2030-01-31T06:00:00Z");
        check("2030-01-31T08:00:00Z", "2030-01-31T08:00:00Z");
        check("2030-01-31T08:00:00+01:00", "2030-01-31T07:00:00Z");
        // As this program shows times.
        check("2030-01-31 08:00:00 UTC", "2030-01-31T08:00:00Z");
        check("2030-01-31 08:00:00 CEST", "2030-01-31T06:00:00Z");
    }

    #[test]
    fn what_is_no_time_is_refused() {
        let wrong = [
            "",
            "soon",
            "18",
            "18:60",
            "24:00",
            "25:00",
            "1:2:3:4",
            "18:30 18:30",
            "monday tomorrow",
            "13pm",
            "0am",
            "-1:00",
            "2030-02-30",
            "2030-13-01",
            "18:30 PST",
            "tomorrow 8",
            "١٨:٣٠",
            ":",
            "1:",
            "pm",
        ];
        for wrong in wrong {
            assert_eq!(moment(wrong, &now()), None, "{wrong}");
        }
        assert_eq!(moment(&"1".repeat(100), &now()), None);
    }

    #[test]
    fn what_is_over_is_refused_and_what_is_to_come_has_one_end() {
        for wrong in ["2020-01-01T00:00:00Z", "2020-01-01", "soon", "", "0s", "-5m"] {
            assert_eq!(when(wrong).expect_err(wrong).code, Code::Usage);
        }
        let taken = when("--until").expect_err("an option");
        assert!(
            taken.what().ends_with("the option `--until`") && taken.suggestion().contains("as 2h"),
            "{}",
            taken.what()
        );
        assert_eq!(when("30m").map(|when| when.lasts).ok(), Some(Duration::from_secs(1_800)));
        assert_eq!(when("in 30m").map(|when| when.lasts).ok(), Some(Duration::from_secs(1_800)));
        let now = Timestamp::now().as_millisecond();
        for (text, longest) in [("2h", 7_260_000), ("18:30", 86_460_000), ("tomorrow 08:00", 2 * 86_400_000)] {
            let when = when(text).expect("to come");
            assert!((now..=now + longest).contains(&when.until.0), "{text}: {when:?}");
            let lasts = i64::try_from(when.lasts.as_millis()).expect("few");
            assert!((when.until.0 - now - lasts).abs() < 60_000, "{text}: {when:?}");
        }
        assert_eq!(when("9999-01-01T00:00:00Z").map(|when| when.until.0).ok(), Some(253_370_764_800_000));
    }
}
