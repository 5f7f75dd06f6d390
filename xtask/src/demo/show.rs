//! How the demo shows what happens: steps as they come, and a picture of all of it at the end.

use serde_json::Value;

/// No line of the picture is longer.
pub(super) const COLUMNS: usize = 100;

/// A line of the closing picture.
pub(super) struct Row {
    pub(super) what: String,
    pub(super) noticed_ms: i64,
    /// When it was verified, when it was healed.
    pub(super) healed_ms: Option<i64>,
    /// What healed it.
    pub(super) by: String,
    pub(super) is_healed: bool,
    /// The report, as `ansai report` prints it.
    pub(super) report: String,
}

/// A step of an incident in a few words; what has several lines is indented under its first.
pub(super) fn step_words(kind: &Value) -> String {
    let Some((name, value)) = kind.as_object().and_then(|map| map.iter().next()) else { return kind.to_string() };
    let text = |key: &str| value[key].as_str().unwrap_or_default().to_owned();
    let words = match name.as_str() {
        "started" => format!("begins: {}", text("what")),
        "ended" => {
            let outcome = value["outcome"].as_object().and_then(|map| map.iter().next());
            outcome
                .map(|(how, why)| {
                    format!("{how}: {}", why["note"].as_str().or(why["why"].as_str()).unwrap_or_default())
                })
                .unwrap_or_default()
        }
        "verified" => format!("verified: {}", text("seen")),
        "not-verified" | "skipped" | "escalated" => format!("{name}: {}", text("why")),
        "resolved" => text("how"),
        "cause" => format!("its cause, i{}: {}", value["incident"], text("what")),
        _ => format!("{name}: {}", value.as_str().unwrap_or_default()),
    };
    words.trim_end().replace('\n', "\n       ")
}

/// Columns of what was broken.
const WHAT: usize = 44;
/// Columns of ten times the time.
const DECADE: usize = 5;
/// From a millisecond to a hundred seconds.
const DECADES: usize = 5;

/// When each was noticed and when it was well again, each on a line of time that is ten times longer every few columns.
pub(super) fn picture(rows: &[Row]) -> Vec<String> {
    let scale: String = ["1ms", "10ms", ".1s", "1s", "10s"].map(|mark| format!("{mark:<DECADE$}")).concat();
    let mut lines = vec![format!("{:<WHAT$} {scale} WELL IN BY", "BROKEN")];
    for row in rows {
        let what: String = row.what.chars().take(WHAT).collect();
        let well = row.healed_ms.map_or("-".to_owned(), shown);
        let line = format!("{what:<WHAT$} {} {well:>7} {}", bar(row), row.by);
        lines.push(line.chars().take(COLUMNS).collect());
    }
    lines.push(String::new());
    lines.push(format!("{:36} . not noticed   = being healed   + verified   ! with a person", ""));
    lines
}

fn bar(row: &Row) -> String {
    let (noticed, end) = (column(row.noticed_ms), row.healed_ms.map(column));
    let last = end.unwrap_or(noticed);
    let mark = |at: usize| match at {
        at if at == last => {
            if row.is_healed {
                '+'
            } else {
                '!'
            }
        }
        at if at < noticed => '.',
        at if at < last => '=',
        _ => ' ',
    };
    (0..DECADE * DECADES).map(mark).collect()
}

/// Where a time stands on the line.
fn column(millis: i64) -> usize {
    let last = DECADE * DECADES - 1;
    // The largest column whose time has come: ten to the power of `column / DECADE` milliseconds.
    (0..=last).rev().find(|column| time_of(*column) <= millis).unwrap_or(0)
}

/// The time of a column in milliseconds, to three figures.
fn time_of(column: usize) -> i64 {
    const STEPS: [i64; DECADE] = [100, 158, 251, 398, 631];
    let decade = i64::pow(10, u32::try_from(column / DECADE).unwrap_or(0));
    STEPS[column % DECADE] * decade / 100
}

fn shown(millis: i64) -> String {
    match millis {
        ..1_000 => format!("{millis} ms"),
        _ => format!("{}.{} s", millis / 1_000, millis % 1_000 / 100),
    }
}

#[expect(clippy::print_stdout, reason = "this is a program for people at a terminal")]
pub(super) fn say(text: &str) {
    println!("{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(noticed_ms: i64, healed_ms: Option<i64>) -> Row {
        let (what, by) =
            ("something with a name that is far too long for a picture".into(), "restore-configuration".into());
        Row { what, noticed_ms, healed_ms, by, is_healed: healed_ms.is_some(), report: String::new() }
    }

    #[test]
    fn the_picture_fits_a_hundred_columns_and_shows_times_in_their_order() {
        let rows = [
            row(0, Some(12)),
            row(2_100, Some(4_200)),
            row(i64::MAX, Some(i64::MAX)),
            row(40, None),
            row(-3, Some(-1)),
        ];
        let lines = picture(&rows);
        assert!(lines.iter().all(|line| line.chars().count() <= COLUMNS), "{lines:#?}");
        let bars: Vec<String> = rows.iter().map(bar).collect();
        assert_eq!(bars[0].trim_end(), "=====+");
        assert_eq!(bars[1].trim_end(), "................==+");
        assert_eq!(bars[3].trim_end(), "........!");
        assert_eq!([shown(12), shown(4_210)], ["12 ms", "4.2 s"]);
    }
}
