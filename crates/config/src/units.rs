//! Durations and sizes as people write them: `500ms`, `5s`, `10m`, `2h`, `7d`; `512B`, `64KiB`, `16MiB`, `2GiB`.

use std::time::Duration;

use ansai_model::units::ByteSize;

/// Reads a duration.
///
/// # Errors
/// A sentence that says what was expected.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no duration; write a number and a unit, as in 500ms, 5s, 10m, 2h or 7d");
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(wrong());
    }
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).ok_or_else(wrong)?;
        let number: f64 = rest[..digits].parse().map_err(|_| wrong())?;
        let unit_end = rest[digits..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |at| digits + at);
        let seconds = match rest[digits..unit_end].trim() {
            "ms" => number / 1000.0,
            "s" => number,
            "m" | "min" => number * 60.0,
            "h" => number * 3600.0,
            "d" => number * 86_400.0,
            _ => return Err(wrong()),
        };
        total = total.saturating_add(Duration::try_from_secs_f64(seconds).map_err(|_| wrong())?);
        rest = rest[unit_end..].trim_start();
    }
    Ok(total)
}

/// Reads a size.
///
/// # Errors
/// A sentence that says what was expected.
pub fn bytes(text: &str) -> Result<ByteSize, String> {
    let wrong = || format!("`{text}` is no size; write a number and a unit, as in 512B, 64KiB, 16MiB or 2GiB");
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let number: u64 = text[..digits].parse().map_err(|_| wrong())?;
    let factor = match text[digits..].trim() {
        "B" => 1,
        "kB" => 1000,
        "KiB" => 1 << 10,
        "MB" => 1_000_000,
        "MiB" => 1 << 20,
        "GB" => 1_000_000_000,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        _ => return Err(wrong()),
    };
    number.checked_mul(factor).map(ByteSize).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_understood_and_wrong_ones_are_refused() {
        assert_eq!(duration("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert!(duration("5").is_err() && duration("").is_err() && duration("5 parsecs").is_err());
        assert_eq!(bytes("16MiB"), Ok(ByteSize(16 << 20)));
        assert!(bytes("16").is_err() && bytes("99999999999TiB").is_err());
    }
}
