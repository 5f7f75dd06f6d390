//! How answers look to a person: tables and lines. What is shown is decided in `command/`.
//! Everything is printed here, and nothing of it is obeyed by a terminal but the colors that are made here.

use std::{
    fmt,
    io::{ErrorKind, Write},
    sync::OnceLock,
};

use ansai_document::Diagnostic;
use ansai_model::{
    incident::{Phase, Resolution},
    observation::Health,
    text::{Counted, is_unseen, visible, visible_line},
    time::WallTime,
};
use ansai_notify::channel::render;
use ansai_protocol::IncidentSummary;
use comfy_table::Color;
use jiff::{Timestamp, tz::TimeZone};

mod colors;
mod refused;
mod table;
mod terminal;
mod wrap;

pub(crate) use refused::brief;
pub(crate) use table::{Cell, brief_table, table};
pub(crate) use terminal::{help_columns, set_up, terminal};

/// Most lines that a row says of a target or an incident on a terminal.
pub(crate) const DETAIL_LINES_MAX: usize = 4;

/// Why nothing more can be printed, once that is so.
static ENDED: OnceLock<Ended> = OnceLock::new();

/// Why nothing more can be printed.
#[derive(Clone, Debug)]
pub(crate) enum Ended {
    /// Whoever read it has gone, as `head` does.
    Gone,
    /// It cannot be written, as to a full disk.
    Failed(String),
}

/// What may be printed: of what it is made, each unseen character was written by its number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Page {
    text: String,
    /// Whether its lines may be broken where the terminal ends.
    is_prose: bool,
}

impl Page {
    /// Lines, of which each stays one line whatever it holds: what came from outside cannot begin another.
    pub(crate) fn lines(lines: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let lines: Vec<String> = lines.into_iter().map(|line| visible_line(line.as_ref()).into_owned()).collect();
        Self { text: lines.join("\n"), is_prose: true }
    }

    /// What is a file, to be copied: it keeps its lines.
    pub(crate) fn file(text: &str) -> Self {
        Self::own(visible(text))
    }

    /// What this program made itself, to the byte: completions, manual pages, references.
    pub(crate) fn own(text: impl Into<String>) -> Self {
        Self { text: text.into(), is_prose: false }
    }

    /// This, and below it the other.
    pub(crate) fn above(self, other: &Self) -> Self {
        Self::own(format!("{}\n{other}", self.fitted()))
    }

    fn fitted(self) -> String {
        let text = if self.is_prose { commands(&self.text) } else { self.text };
        match terminal().columns {
            Some(columns) if self.is_prose => wrap::wrapped(&text, columns),
            Some(_) | None => text,
        }
    }
}

impl fmt::Display for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
impl From<&str> for Page {
    fn from(text: &str) -> Self {
        Self { text: visible(text).into_owned(), is_prose: true }
    }
}
impl From<&String> for Page {
    fn from(text: &String) -> Self {
        Self::from(text.as_str())
    }
}

/// Prints text. That nobody reads it any more, or that it cannot be written, is known to [`ended`].
pub(crate) fn print(page: impl Into<Page>) {
    written(&format!("{}\n", page.into().fitted().trim_end()));
}

/// Writes to a person or a program as it is.
fn written(text: &str) {
    if terminal().is_quiet || ended().is_some() {
        return;
    }
    let mut out = std::io::stdout().lock();
    let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) else { return };
    let why = match error.kind() {
        ErrorKind::BrokenPipe => Ended::Gone,
        _ => Ended::Failed(ansai_files::said(&error)),
    };
    // The first reason is the reason.
    let _ = ENDED.set(why);
}

/// Prints the help, which comes before anything is known of the person's choices: in colors where a terminal has them.
pub(crate) fn help(text: &clap::builder::StyledStr) {
    let is_colored = terminal::shows_colors(std::io::stdout());
    print(Page::own(if is_colored { text.ansi().to_string() } else { text.to_string() }));
}

/// Says why a command was not understood, before anything is known of the person's choices.
pub(crate) fn refused(text: &str) {
    let text = visible(text);
    match terminal::error_columns() {
        Some(columns) => beside(&wrap::wrapped(&text, columns)),
        None => beside(&text),
    }
}

/// Shows the help of a command that says too little, before anything is known of the person's choices.
pub(crate) fn usage(text: &clap::builder::StyledStr) {
    let is_colored = terminal::shows_colors(std::io::stderr());
    beside(if is_colored { text.ansi().to_string() } else { text.to_string() }.trim_end());
}

/// Why nothing more can be printed, when it cannot: whoever goes on for ever ends then.
pub(crate) fn ended() -> Option<&'static Ended> {
    ENDED.get()
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
    Page::own(written)
}

/// Says something beside the answer, as a preview: on stderr, so that the answer stays readable for programs.
pub(crate) fn note(text: &str) {
    if !terminal().is_quiet {
        aside(text);
    }
}

/// Says to a person what they must know, though nothing else is to be said.
pub(crate) fn aside(text: &str) {
    let text = commands(&visible(text));
    match terminal().error_columns {
        Some(columns) => beside(&wrap::wrapped(&text, columns)),
        None => beside(&text),
    }
}

/// Says it where nothing is left to be said to when it cannot.
fn beside(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Clears the screen when a person looks, and parts one picture from the one before it otherwise.
pub(crate) fn next_picture(is_first: bool) {
    match (terminal().can_clear, is_first) {
        (true, _) => written("\u{1b}[2J\u{1b}[H"),
        (false, true) => {}
        (false, false) => written("\n"),
    }
}

/// How many of something there are, in words: `1 target`, `2 targets`.
pub(crate) fn count(count: usize, of: &str) -> String {
    Counted(count, of).to_string()
}

/// A moment, given in milliseconds since 1970, for people: with its date and the name of the zone.
pub(crate) fn moment(at_ms: i64, zone: &TimeZone) -> String {
    formatted(at_ms, zone, "%Y-%m-%d %H:%M:%S %Z")
}

/// A text of the agent as people read it: its moments, as `2026-11-30T01:02:03Z`, in their zone, and its commands as they need
/// them who look after their own services.
pub(crate) fn told(text: &str, zone: &TimeZone) -> String {
    commands(&render::in_zone(text, zone))
}

/// The same in a row of a table, where room is short.
pub(crate) fn told_in_row(text: &str, now_ms: i64, zone: &TimeZone) -> String {
    commands(&render::in_row(text, WallTime(now_ms), zone))
}

/// Suggestions in which each command is what has to be typed here.
pub(crate) fn suggested(found: &mut [Diagnostic]) {
    for one in found {
        one.suggestion = one.suggestion.as_deref().map(commands);
    }
}

/// A text in which each command that is named is what has to be typed here: for somebody's own services, and with the places
/// that this command was given.
pub(crate) fn commands(text: &str) -> String {
    let terminal = terminal();
    let text = if terminal.is_of_user { render::for_user(text) } else { text.to_owned() };
    terminal.places.iter().rev().fold(text, |text, place| render::with_option(&text, "ansai", place))
}

/// The same in a table, where room is short: without the year when it is that of `now_ms`.
pub(crate) fn moment_in_row(at_ms: i64, now_ms: i64, zone: &TimeZone) -> String {
    let year = |at_ms| formatted(at_ms, zone, "%Y");
    let is_this_year = year(at_ms) == year(now_ms);
    formatted(at_ms, zone, if is_this_year { "%m-%d %H:%M:%S %Z" } else { "%Y-%m-%d %H:%M:%S %Z" })
}

fn formatted(at_ms: i64, zone: &TimeZone, format: &str) -> String {
    let at = Timestamp::from_millisecond(at_ms).unwrap_or_default();
    at.to_zoned(zone.clone()).strftime(format).to_string()
}

/// A health in a word, colored when a person looks.
pub(crate) fn health(health: Health) -> Cell {
    match health {
        Health::Healthy => Cell::colored("healthy", Color::Green),
        Health::Failing => Cell::colored("FAILING", Color::Red),
        Health::Unknown => Cell::colored("unknown", Color::Yellow),
    }
}

/// The same of what is down because somebody wants it so.
pub(crate) fn stopped() -> Cell {
    Cell::colored("stopped", Color::Yellow)
}

/// The same of what works, and of which a person should know something all the same.
pub(crate) fn warning() -> Cell {
    Cell::colored("warning", Color::Yellow)
}

/// The state of what is open and whose target is well: whoever has it need not get up any more.
pub(crate) const WELL_AGAIN: &str = "well again";
/// The state of what was being healed and is kept from it, as by a hold.
pub(crate) const LEFT_ALONE: &str = "left alone";

/// Where an incident stands, in a few words. What has ended is neither watched nor kept from anything.
pub(crate) fn state(incident: &IncidentSummary) -> &'static str {
    match incident.is_open() {
        true if incident.is_well_again => WELL_AGAIN,
        true if incident.is_kept => LEFT_ALONE,
        _ => phase(&incident.phase),
    }
}

/// A phase in a few words.
pub(crate) fn phase(phase: &Phase) -> &'static str {
    match phase {
        Phase::Open => "open",
        Phase::AwaitingApproval { .. } => "awaits approval",
        Phase::Remediating => "being healed",
        Phase::Stabilizing { .. } => "well again",
        Phase::Resolved(Resolution::Healed { .. }) => "healed",
        Phase::Resolved(Resolution::ByItself | Resolution::StartedByOthers { .. }) => "recovered",
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
            table(&["A", "B"], &[], [vec![Cell::new(HOSTILE), Cell::new("b")]]),
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
