//! Durations, sizes and shares as people write them: `500ms`, `5s`, `10m`, `2h`, `7d`; `512B`, `64KiB`, `16MiB`, `2GiB`;
//! `80%`; times of the day, permission bits, status codes.
//! What is read is exact, and what is shown is read back as the same value.

use std::time::Duration;

use ansai_model::{
    time::WallTime,
    units::{ByteSize, Percent},
};

/// How a duration is written.
pub const DURATION_HELP: &str = "write a number and a unit, as in 500ms, 5s, 10m, 2h or 7d";
/// How a size is written.
pub const SIZE_HELP: &str = "write a number and a unit, as in 512B, 64KiB, 16MiB or 2GiB";
/// How a share is written.
pub const PERCENT_HELP: &str = "write a number from 0 to 100 and the sign, as in 80%";
/// The most characters that a duration or a size has.
const BYTES_MAX: usize = 64;
const UNITS: &[(&str, u128)] = &[
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("min", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];
const SIZES: &[(&str, u64)] = &[
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
];

/// The units of durations.
pub fn duration_units() -> impl Iterator<Item = &'static str> {
    UNITS.iter().map(|(name, _)| *name)
}

/// The units of sizes.
pub fn size_units() -> impl Iterator<Item = &'static str> {
    SIZES.iter().map(|(name, _)| *name)
}

/// Reads a duration.
///
/// # Errors
/// A sentence that says what was expected.
pub fn duration(text: &str) -> Result<Duration, String> {
    read_duration(text).ok_or_else(|| format!("`{text}` is no duration; {DURATION_HELP}"))
}

/// A duration, of `1m30s`: units from milliseconds to days, as many as one likes.
pub fn read_duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    if rest.is_empty() || rest.len() > BYTES_MAX {
        return None;
    }
    let mut nanos: u128 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
        let end = rest[digits..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |at| digits + at);
        let unit = rest[digits..end].trim();
        let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit)?;
        nanos = nanos.checked_add(times(&rest[..digits], *factor)?)?;
        rest = rest[end..].trim_start();
    }
    let seconds = u64::try_from(nanos / 1_000_000_000).ok()?;
    Some(Duration::new(seconds, u32::try_from(nanos % 1_000_000_000).ok()?))
}

/// A decimal number times a whole one, without rounding on the way.
fn times(number: &str, factor: u128) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.len() > 18 {
        return None;
    }
    let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let parts: u128 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
    let scale = 10u128.pow(u32::try_from(fraction.len()).ok()?);
    whole.checked_mul(factor)?.checked_add(parts.checked_mul(factor)? / scale)
}

/// Reads a size.
///
/// # Errors
/// A sentence that says what was expected.
pub fn bytes(text: &str) -> Result<ByteSize, String> {
    read_bytes(text).ok_or_else(|| format!("`{text}` is no size; {SIZE_HELP}"))
}

/// A size, of `16MiB`.
pub fn read_bytes(text: &str) -> Option<ByteSize> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let number: u64 = text[..digits].parse().ok()?;
    let unit = text[digits..].trim();
    let (_, factor) = SIZES.iter().find(|(name, _)| *name == unit)?;
    number.checked_mul(*factor).map(ByteSize)
}

/// A share with at most two digits behind the point.
pub fn read_percent(text: &str) -> Option<Percent> {
    let number = text.trim().strip_suffix('%')?.trim_end();
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let is_number = |text: &str, most| (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    if !is_number(whole, 3) || !is_number(fraction, 2) {
        return None;
    }
    let hundredths = whole.parse::<u64>().ok()? * 100 + format!("{fraction:0<2}").parse::<u64>().ok()?;
    (hundredths <= 10_000).then(|| Percent::of(hundredths, 10_000))
}

/// A share that is read back as the same one.
pub fn shown_percent(share: Percent) -> String {
    match (share.hundredths() / 100, share.hundredths() % 100) {
        (whole, 0) => format!("{whole}%"),
        (whole, rest) => format!("{whole}.{rest:02}%"),
    }
}

/// A duration that is read back as the same one.
pub fn shown_duration(duration: Duration) -> String {
    let (seconds, nanos) = (duration.as_secs(), duration.subsec_nanos());
    if nanos % 1_000_000 != 0 {
        return format!("{seconds}.{nanos:09}s").replace("000s", "s");
    }
    if nanos != 0 {
        return format!("{}ms", duration.as_millis());
    }
    let units = [(86_400, "d"), (3_600, "h"), (60, "m")];
    let found = units.iter().find(|(size, _)| seconds != 0 && seconds.is_multiple_of(*size));
    found.map_or_else(|| format!("{seconds}s"), |(size, unit)| format!("{}{unit}", seconds / size))
}

/// A size that is read back as the same one.
pub fn shown_bytes(size: ByteSize) -> String {
    let found = SIZES.iter().find(|(_, factor)| size.0 != 0 && size.0.is_multiple_of(*factor));
    found.map_or_else(|| format!("{}B", size.0), |(unit, factor)| format!("{}{unit}", size.0 / factor))
}

/// Minutes after midnight, of `03:30`.
pub fn read_time_of_day(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let digits = |text: &str| (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(hour) || !digits(minute) || minute.len() != 2 {
        return None;
    }
    let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
    (hour < 24 && minute < 60).then_some(hour * 60 + minute)
}

/// A moment with its time zone, of `2030-01-31T08:00:00Z`.
pub fn read_moment(text: &str) -> Option<WallTime> {
    let moment: jiff::Timestamp = text.parse().ok()?;
    Some(WallTime(moment.as_millisecond()))
}

/// A moment that is read back as the same one.
pub fn shown_moment(moment: WallTime) -> String {
    jiff::Timestamp::from_millisecond(moment.0).map(|at| at.to_string()).unwrap_or_default()
}

/// Permission bits, of `0640`.
pub fn read_mode(text: &str) -> Option<u32> {
    let mode = u32::from_str_radix(text.trim_start_matches("0o"), 8).ok()?;
    (mode <= 0o7777).then_some(mode)
}

/// A status or a range of them, of `200` or `200-299`.
pub fn read_statuses(text: &str) -> Option<(u16, u16)> {
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    let (from, to): (u16, u16) = (from.trim().parse().ok()?, to.trim().parse().ok()?);
    ((100..=599).contains(&from) && (100..=599).contains(&to) && from <= to).then_some((from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_understood_and_wrong_ones_are_refused() {
        assert_eq!(duration("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("1.5h"), Ok(Duration::from_secs(5_400)));
        assert!(duration("5").is_err() && duration("").is_err() && duration("5 parsecs").is_err());
        assert!(
            duration(".s").is_err() && duration("99999999999999999999999d").is_err() && duration("1.2.3s").is_err()
        );
        assert_eq!(bytes("16MiB"), Ok(ByteSize(16 << 20)));
        assert!(bytes("16").is_err() && bytes("99999999999TiB").is_err());
    }

    #[test]
    fn shares_are_read_and_shown() {
        for (text, hundredths) in [("80%", 8_000), (" 92.5 % ", 9_250), ("0.05%", 5), ("100%", 10_000), ("0%", 0)] {
            let share = read_percent(text);
            assert_eq!(share.map(Percent::hundredths), Some(hundredths), "{text}");
            assert_eq!(share.map(shown_percent).as_deref().and_then(read_percent), share);
        }
        for text in ["80", "%", "100.01%", "1.234%", ".5%", "5.%", "-1%", "1000%"] {
            assert_eq!(read_percent(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_shown_is_read_back() {
        let nanos =
            [0, 1, 1_000, 1_500_000, 250_000_000, 1_500_000_000, 90_000_000_000, 86_400_000_000_000, 123_456_789_012];
        for duration in nanos.map(Duration::from_nanos) {
            assert_eq!(read_duration(&shown_duration(duration)), Some(duration), "{}", shown_duration(duration));
        }
        for size in [0, 1, 1_000, 1_024, 1 << 30, 1_025].map(ByteSize) {
            assert_eq!(read_bytes(&shown_bytes(size)), Some(size));
        }
        assert_eq!(shown_duration(Duration::from_secs(120)), "2m");
        assert_eq!(shown_bytes(ByteSize(16 << 20)), "16MiB");
    }
}
