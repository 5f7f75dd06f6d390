//! How the demo shows what happens: steps as they come, the closing table.

use serde_json::Value;

/// A line of the closing table.
pub(super) struct Row {
    pub(super) what: String,
    pub(super) noticed: String,
    pub(super) healed: String,
    pub(super) verified: String,
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

/// Most characters of what verified it; the report has it whole.
const VERIFIED_MAX: usize = 60;

pub(super) fn table(rows: &[Row]) {
    let line = |a: &str, b: &str, c: &str, d: &str| say(&format!("{a:<46} {b:>13} {c:>13}  {d}"));
    line("BROKEN", "NOTICED AFTER", "HEALED AFTER", "VERIFIED BY");
    for row in rows {
        let verified: String = row.verified.chars().take(VERIFIED_MAX).collect();
        line(&row.what, &row.noticed, &row.healed, &verified);
    }
}

#[expect(clippy::print_stdout, reason = "this is a program for people at a terminal")]
pub(super) fn say(text: &str) {
    println!("{text}");
}
