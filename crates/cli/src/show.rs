//! How answers look to a person: tables and lines. What is shown is decided in `command/`.

use std::{
    io::{IsTerminal, Write},
    sync::OnceLock,
};

use ansai_model::{
    incident::{Phase, Resolution},
    observation::Health,
};
use comfy_table::{Cell, Color, ContentArrangement, Table, presets::NOTHING};
use jiff::tz::TimeZone;

use crate::ColorChoice;

/// What the person asked of all output; it is set once, before anything is printed.
static STYLE: OnceLock<Style> = OnceLock::new();

#[derive(Clone, Copy)]
struct Style {
    has_color: bool,
    is_quiet: bool,
}

/// Takes over what the person asked of all output.
pub(crate) fn set_up(color: ColorChoice, is_quiet: bool) {
    let has_color = match color {
        ColorChoice::Auto => std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
        ColorChoice::Always => true,
        ColorChoice::Never => false,
    };
    // It is called once; a second call would change nothing.
    let _ = STYLE.set(Style { has_color, is_quiet });
}

fn style() -> Style {
    STYLE.get().copied().unwrap_or(Style { has_color: false, is_quiet: false })
}

/// Prints text; a reader that has gone (as `head`) is no error.
pub(crate) fn print(text: &str) {
    if style().is_quiet {
        return;
    }
    let mut out = std::io::stdout().lock();
    // Nothing is left to be said to whom has gone.
    let _ = writeln!(out, "{}", text.trim_end());
}

/// Prints JSON for programs.
pub(crate) fn print_json(value: &serde_json::Value) {
    print(&serde_json::to_string_pretty(value).unwrap_or_default());
}

/// Says something beside the answer, as a preview: on stderr, so that the answer stays readable for programs.
#[expect(clippy::print_stderr, reason = "previews go beside the answer")]
pub(crate) fn note(text: &str) {
    if !style().is_quiet {
        eprintln!("{text}");
    }
}

/// Clears the screen when a person looks, and parts one picture from the next otherwise.
pub(crate) fn next_picture() {
    print(if std::io::stdout().is_terminal() { "\u{1b}[2J\u{1b}[H" } else { "" });
}

/// A table without lines, as wide as the terminal when there is one.
pub(crate) fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<Cell>>) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(head.to_vec());
    match style().has_color {
        true => table.enforce_styling(),
        false => table.force_no_tty(),
    };
    if std::io::stdout().is_terminal() {
        table.set_content_arrangement(ContentArrangement::Dynamic);
    }
    for row in rows {
        table.add_row(row);
    }
    table.to_string().lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

/// A moment, given in milliseconds since 1970, for people.
pub(crate) fn moment(at_ms: i64, zone: &TimeZone) -> String {
    let at = jiff::Timestamp::from_millisecond(at_ms).unwrap_or_default();
    at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// A health in a word, colored when a person looks.
pub(crate) fn health(health: Health) -> Cell {
    match health {
        Health::Healthy => Cell::new("healthy").fg(Color::Green),
        Health::Failing => Cell::new("FAILING").fg(Color::Red),
        Health::Unknown => Cell::new("unknown").fg(Color::Yellow),
    }
}

/// A phase in a few words.
pub(crate) fn phase(phase: &Phase) -> &'static str {
    match phase {
        Phase::Open => "open",
        Phase::AwaitingApproval { .. } => "awaits approval",
        Phase::Remediating => "being healed",
        Phase::Stabilizing { .. } => "stabilizing",
        Phase::Resolved(Resolution::Healed { .. }) => "healed",
        Phase::Resolved(Resolution::ByItself) => "recovered",
        Phase::Resolved(Resolution::AfterEscalation) => "recovered",
        Phase::Resolved(Resolution::Withdrawn { .. }) => "withdrawn",
        Phase::Escalated { .. } => "ESCALATED",
    }
}
