//! How answers look to a person: tables and lines. What is shown is decided in `command/`.
//! Everything is printed here, and nothing of it is obeyed by a terminal but the colors that are made here.

use std::{
    fmt,
    io::{IsTerminal, Write},
    sync::OnceLock,
};

use ansai_model::{
    incident::{Phase, Resolution},
    observation::Health,
    text::{is_unseen, visible, visible_line},
};
use comfy_table::{Color, ContentArrangement, Table, presets::NOTHING};
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

/// What may be printed: of what it is made, each unseen character was written by its number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Page(String);

impl Page {
    /// Lines, of which each stays one line whatever it holds: what came from outside cannot begin another.
    pub(crate) fn lines(lines: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let lines: Vec<String> = lines.into_iter().map(|line| visible_line(line.as_ref()).into_owned()).collect();
        Self(lines.join("\n"))
    }

    /// What this program made itself, to the byte: completions, manual pages, references.
    pub(crate) fn own(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// This, and below it the other.
    pub(crate) fn above(self, other: &Self) -> Self {
        Self(format!("{self}\n{other}"))
    }
}

impl fmt::Display for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl From<&str> for Page {
    fn from(text: &str) -> Self {
        Self(visible(text).into_owned())
    }
}
impl From<&String> for Page {
    fn from(text: &String) -> Self {
        Self::from(text.as_str())
    }
}

/// Prints text; a reader that has gone (as `head`) is no error.
pub(crate) fn print(page: impl Into<Page>) {
    if style().is_quiet {
        return;
    }
    let mut out = std::io::stdout().lock();
    // Nothing is left to be said to whom has gone.
    let _ = writeln!(out, "{}", page.into().0.trim_end());
}

/// Prints JSON for programs.
pub(crate) fn print_json(value: &serde_json::Value) {
    print(json(&serde_json::to_string_pretty(value).unwrap_or_default()));
}

/// Prints JSON on one line, so that a program knows where one document ends.
pub(crate) fn print_json_line(value: &serde_json::Value) {
    print(json(&value.to_string()));
}

/// JSON that means the same and that a terminal does not obey: unseen characters stand in texts only, where JSON writes
/// them by their numbers.
fn json(text: &str) -> Page {
    let mut written = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if c == '\n' || !is_unseen(c) => written.push(c),
            c => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| written.push_str(&format!("\\u{unit:04x}"))),
        }
    }
    Page(written)
}

/// Says something beside the answer, as a preview: on stderr, so that the answer stays readable for programs.
#[expect(clippy::print_stderr, reason = "previews go beside the answer")]
pub(crate) fn note(text: &str) {
    if !style().is_quiet {
        eprintln!("{}", visible(text));
    }
}

/// Clears the screen when a person looks, and parts one picture from the next otherwise.
pub(crate) fn next_picture() {
    print(Page::own(if std::io::stdout().is_terminal() { "\u{1b}[2J\u{1b}[H" } else { "" }));
}

/// A cell of a table: one line, in which nothing is unseen.
pub(crate) struct Cell(comfy_table::Cell);

impl Cell {
    /// With this in it.
    pub(crate) fn new(content: impl fmt::Display) -> Self {
        Self(comfy_table::Cell::new(visible_line(&content.to_string())))
    }

    fn colored(word: &str, color: Color) -> Self {
        Self(comfy_table::Cell::new(word).fg(color))
    }
}

/// A table without lines, as wide as the terminal when there is one.
pub(crate) fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<Cell>>) -> Page {
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
        table.add_row(row.into_iter().map(|cell| cell.0));
    }
    Page(table.to_string().lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n"))
}

/// A moment, given in milliseconds since 1970, for people.
pub(crate) fn moment(at_ms: i64, zone: &TimeZone) -> String {
    let at = jiff::Timestamp::from_millisecond(at_ms).unwrap_or_default();
    at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// A health in a word, colored when a person looks.
pub(crate) fn health(health: Health) -> Cell {
    match health {
        Health::Healthy => Cell::colored("healthy", Color::Green),
        Health::Failing => Cell::colored("FAILING", Color::Red),
        Health::Unknown => Cell::colored("unknown", Color::Yellow),
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What attackers write into symptoms, reasons and names: a title, a bell, a cleared screen, a turned line, a new one.
    const HOSTILE: &str = "a\u{1b}]0;x\u{7}\u{1b}[2J\u{0}\u{202e}\u{9b}31m\u{200b}\nHELD: not at all";

    #[test]
    fn nothing_that_is_printed_is_obeyed_and_no_line_becomes_two() {
        let is_seen = |page: &Page| page.to_string().chars().all(|c| c == '\n' || !is_unseen(c));
        let pages = [
            Page::from(HOSTILE),
            Page::lines([HOSTILE, "b"]),
            table(&["A", "B"], [vec![Cell::new(HOSTILE), Cell::new("b")]]),
            json(&serde_json::json!({"a": HOSTILE}).to_string()),
        ];
        for page in &pages {
            assert!(is_seen(page), "{page:?}");
            assert!(page.to_string().contains("u{202e}") || page.to_string().contains("u202e"), "{page:?}");
        }
        assert_eq!(pages[1].to_string().lines().count(), 2);
        assert_eq!(pages[2].to_string().lines().count(), 2, "{}", pages[2]);
    }

    #[test]
    fn json_means_what_it_meant() {
        let value = serde_json::json!({"a": HOSTILE, "tag": "\u{e0001}", "ä": "日本"});
        for text in [value.to_string(), serde_json::to_string_pretty(&value).unwrap_or_default()] {
            assert_eq!(serde_json::from_str::<serde_json::Value>(&json(&text).to_string()).ok(), Some(value.clone()));
        }
    }
}
