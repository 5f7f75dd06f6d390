//! How answers look to a person: tables and lines. What is shown is decided in `command/`.

use std::io::{IsTerminal, Write};

use ansai_model::{
    incident::{Phase, Resolution},
    observation::Health,
};
use comfy_table::{Table, presets::NOTHING};

/// Prints text; a reader that has gone (as `head`) is no error.
pub(crate) fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    // Nothing is left to be said to whom has gone.
    let _ = writeln!(out, "{}", text.trim_end());
}

/// Prints JSON for programs.
pub(crate) fn print_json(value: &serde_json::Value) {
    print(&serde_json::to_string_pretty(value).unwrap_or_default());
}

/// Whether a person looks, and wants color.
pub(crate) fn has_color() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// A table without lines.
pub(crate) fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(head.to_vec());
    for row in rows {
        table.add_row(row);
    }
    table.to_string()
}

/// A health in a word, colored when a person looks.
pub(crate) fn health(health: Health) -> String {
    let (word, color) = match health {
        Health::Healthy => ("healthy", "32"),
        Health::Failing => ("FAILING", "31"),
        Health::Unknown => ("unknown", "33"),
    };
    if has_color() { format!("\u{1b}[{color}m{word}\u{1b}[0m") } else { word.to_owned() }
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
