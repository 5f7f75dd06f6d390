//! A report in the words that a person reads at three in the morning: as text, as HTML, and as one line.
//!
//! What is said is made once, in [`document`], and laid out twice. Nothing is said that was not measured: a part that
//! is not known is left out, or said to be unknown.

use std::{borrow::Cow, collections::BTreeSet, time::Duration};

use ansai_model::{
    incident::StepKind,
    message::Hosts,
    notify::{Notice, NoticeKind},
    report::Report,
    text::{Counted, Text, visible_line},
    time::{Shown, WallTime},
};
use jiff::{Timestamp, tz::TimeZone};

use crate::outbox::TestNotice;

mod document;
#[cfg(test)]
pub(crate) mod fixtures;
mod html;
mod layout;
mod stamps;
#[cfg(test)]
mod tests;

/// Whether escape codes for colors are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Color {
    /// None: for mail, files and pipes.
    #[default]
    Never,
    /// For a person at a terminal.
    Always,
}

/// How a report is rendered.
#[derive(Clone, Debug)]
pub struct RenderOptions {
    /// The host that it is about, or the hosts.
    pub host: String,
    /// The host that says it.
    pub sender: String,
    /// The time zone in which times are told.
    pub time_zone: TimeZone,
    /// Columns; at least 40 are used.
    pub width: usize,
    /// Colors.
    pub color: Color,
    /// Whether it is about somebody's own services: the commands are theirs then.
    pub is_of_user: bool,
}

impl RenderOptions {
    /// For mail: 78 columns, no colors.
    #[must_use]
    pub fn new(host: impl Into<String>, time_zone: TimeZone) -> Self {
        let host = visible_line(&host.into()).into_owned();
        Self {
            sender: host.clone(),
            host,
            time_zone,
            width: 78,
            color: Color::Never,
            is_of_user: !rustix::process::geteuid().is_root(),
        }
    }
}

impl RenderOptions {
    /// The same for a message that may be about other hosts than the one that says it.
    #[must_use]
    pub fn about(&self, notice: &Notice) -> Self {
        let host = notice.hosts.as_ref().map(|hosts| one_line(&hosts.in_words(Hosts::NAMED_MAX), HOSTS_MAX));
        Self { host: host.unwrap_or_else(|| self.host.clone()), ..self.clone() }
    }
}

/// Most characters of the names of hosts.
const HOSTS_MAX: usize = 400;
/// The same in a subject.
const SUBJECT_HOSTS_MAX: usize = 80;
/// Most hosts that a subject names.
const SUBJECT_NAMED_MAX: usize = 2;

/// The host that a line says it is about: `host`, or those of the message.
fn spoken_of<'a>(notice: &Notice, host: &'a str) -> Cow<'a, str> {
    match &notice.hosts {
        Some(hosts) => Cow::Owned(one_line(&hosts.in_words(SUBJECT_NAMED_MAX), SUBJECT_HOSTS_MAX)),
        None => Cow::Borrowed(host),
    }
}

/// The command that shows the report of a message, typed where it was sent from.
fn report_command(notice: &Notice) -> String {
    match &notice.hosts {
        Some(Hosts { named, .. }) => {
            let host = named.first().map(Text::as_str).unwrap_or_default();
            format!("ansai report --host {host} {}", notice.report.incident)
        }
        None => format!("ansai report {}", notice.report.incident),
    }
}

/// Most reports in a digest that are shown; the rest are counted.
pub const DIGEST_SHOWN_MAX: usize = 50;

/// A report as plain text.
#[must_use]
pub fn text(report: &Report, options: &RenderOptions) -> String {
    layout::document(&document::of(report, options), options)
}

/// A report as an HTML page with inline styles, readable on a telephone.
#[must_use]
pub fn html(report: &Report, options: &RenderOptions) -> String {
    html::document(&document::of(report, options))
}

/// Several messages as one plain text.
#[must_use]
pub fn digest_text(notices: &[Notice], options: &RenderOptions) -> String {
    layout::document(&document::of_digest(notices, options), options)
}

/// Several messages as one HTML page.
#[must_use]
pub fn digest_html(notices: &[Notice], options: &RenderOptions) -> String {
    html::document(&document::of_digest(notices, options))
}

/// The word for why somebody is told.
#[must_use]
pub fn kind_word(kind: NoticeKind) -> &'static str {
    match kind {
        NoticeKind::Escalated => "needs you",
        NoticeKind::Recovered => "recovered",
        NoticeKind::Withdrawn => "withdrawn",
        NoticeKind::Healed => "healed",
        NoticeKind::HealedTooOften => "healed too often",
        NoticeKind::Suggested => "suggestion",
        NoticeKind::Foreseen => "foreseen",
        NoticeKind::ApprovalWanted => "approval wanted",
    }
}

/// The subject of a message: host, why, the headline, and the storm that it is of, on one line of at most 200 characters.
#[must_use]
pub fn subject(notice: &Notice, host: &str) -> String {
    let drill = if notice.report.is_drill { "drill, " } else { "" };
    let urgency = match notice.kind {
        NoticeKind::Escalated | NoticeKind::ApprovalWanted if !notice.report.is_drill => {
            format!(", {}", notice.report.severity.as_str())
        }
        NoticeKind::Escalated | NoticeKind::ApprovalWanted => String::new(),
        NoticeKind::Recovered | NoticeKind::Withdrawn => String::new(),
        NoticeKind::Healed | NoticeKind::HealedTooOften | NoticeKind::Suggested | NoticeKind::Foreseen => String::new(),
    };
    let (kind, headline) = (kind_word(notice.kind), notice.report.headline.as_str());
    // That it needs a person is said by the kind already.
    let headline = match notice.kind {
        NoticeKind::Escalated => headline.replacen(" needs a person: ", ": ", 1),
        _ => headline.to_owned(),
    };
    // The last piece of a storm tells the storm as well.
    let storm = storm_headline(std::slice::from_ref(notice)).filter(|_| !notice.report.is_drill);
    let storm = storm.map(|storm| format!(" ({storm})")).unwrap_or_default();
    let host = spoken_of(notice, host);
    one_line(&format!("[{host}] {drill}{kind}{urgency}: {headline}{storm}"), 200)
}

/// The subject of a digest.
#[must_use]
pub fn digest_subject(notices: &[Notice], host: &str) -> String {
    if let Some(headline) = storm_headline(notices) {
        return one_line(&format!("[{host}] {headline}"), 200);
    }
    let urgent = notices.iter().filter(|notice| notice.kind == NoticeKind::Escalated).count();
    let urgent = match urgent {
        0 => String::new(),
        1 => ", 1 of them needs you".to_owned(),
        more => format!(", {more} of them need you"),
    };
    one_line(&format!("[{host}] {} in one{urgent}", Counted(notices.len(), "message")), 200)
}

/// Whether who is told so hears of something that is well.
fn is_of_well(kind: NoticeKind) -> bool {
    matches!(kind, NoticeKind::Recovered | NoticeKind::Healed | NoticeKind::HealedTooOften)
}

/// The headline of messages about the incidents of one storm, one alone included: how many failed, and what became of each.
/// None when they are not of one.
#[must_use]
pub fn storm_headline(notices: &[Notice]) -> Option<String> {
    let storm_of = |notice: &Notice| notice.report.storm.as_ref().map(|storm| storm.first);
    let storm = notices.last()?.report.storm.as_ref()?;
    if notices.iter().any(|notice| storm_of(notice) != Some(storm.first)) {
        return None;
    }
    let mut counts: Vec<(NoticeKind, usize)> = Vec::new();
    for notice in notices {
        match counts.iter_mut().find(|(kind, _)| *kind == notice.kind) {
            Some((_, count)) => *count += 1,
            None => counts.push((notice.kind, 1)),
        }
    }
    counts.sort();
    let word = |kind, count| match (kind, count) {
        (NoticeKind::Escalated, 2..) => "need you",
        (kind, _) => kind_word(kind),
    };
    let told_well: usize = counts.iter().filter(|(kind, _)| is_of_well(*kind)).map(|(_, count)| count).sum();
    let mut told: Vec<_> = counts.into_iter().map(|(kind, count)| format!("{count} {}", word(kind, count))).collect();
    // What became of those that are not told here: people may not be told of what is healed, or were told before.
    let told_incidents: BTreeSet<_> = notices.iter().map(|notice| notice.report.incident).collect();
    let size = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    let others = size(storm.incidents).saturating_sub(told_incidents.len());
    let well = size(storm.well).saturating_sub(told_well).min(others);
    told.extend((well > 0).then(|| format!("{well} well again")));
    told.extend((others > well).then(|| format!("{} not well yet", others - well)));
    let cause = storm.cause.as_ref().map(|cause| format!("; {}", cause.text)).unwrap_or_default();
    Some(format!("{} failed at once: {}{cause}", storm.incidents, told.join(", ")))
}

/// A test as plain text.
#[must_use]
pub fn test_text(test: &TestNotice, options: &RenderOptions) -> String {
    layout::document(&document::of_test(test, options), options)
}

/// A test as an HTML page.
#[must_use]
pub fn test_html(test: &TestNotice, options: &RenderOptions) -> String {
    html::document(&document::of_test(test, options))
}

/// The subject of a test.
#[must_use]
pub fn test_subject(test: &TestNotice, host: &str) -> String {
    one_line(&format!("[{host}] test: messages of the route {} arrive here", test.route), 200)
}

/// Text on one line, with unseen characters written by their numbers, of at most `characters_max` characters.
#[must_use]
pub fn one_line(text: &str, characters_max: usize) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let line = visible_line(&line).into_owned();
    match line.char_indices().nth(characters_max) {
        None => line,
        Some(_) => line.chars().take(characters_max.saturating_sub(1)).chain(['…']).collect(),
    }
}

/// A step in words, as reports show it; not cleaned of what came from outside.
#[must_use]
pub fn step(kind: &StepKind) -> String {
    document::step_words(kind).1
}

/// The commands of `ansai`, by which what is to be typed is told from what is said of it; those of domains are named in
/// backticks, in which everything is typed.
pub const COMMANDS: &[&str] = &[
    "acknowledge",
    "agent",
    "approve",
    "check",
    "controller",
    "token",
    "hosts",
    "fleet",
    "context",
    "join",
    "leave",
    "completions",
    "config",
    "doctor",
    "drill",
    "explain",
    "heal",
    "hold",
    "import",
    "incidents",
    "init",
    "maintenance",
    "permits",
    "man",
    "reject",
    "release",
    "reload",
    "replay",
    "report",
    "silence",
    "status",
    "test",
    "unsilence",
];

/// Commands and advice as somebody needs them who looks after their own services.
#[must_use]
pub fn for_user(text: &str) -> String {
    let text = text.replace("/etc/ansai/HOLD", "~/.config/ansai/HOLD");
    ["systemctl", "journalctl", "ansai"].iter().fold(text, |text, program| with_option(&text, program, "--user"))
}

/// A text in which each command of this program that is named has this option, with its value when it has one: whoever gave
/// it once means the same in what they type next. One that has it already is left as it is, and so is one that is for the
/// controller, which is another host, or has places of its own.
#[must_use]
pub fn with_option(text: &str, program: &str, option: &str) -> String {
    // `systemctl start ansai; …` names the unit, and `ansai will not …` what does it: both are no command.
    let is_command = |before: &str, rest: &str| {
        let before = before.trim_end();
        let is_typed = before.ends_with(['`', '$']);
        let begins = before.is_empty()
            || before.ends_with([':', ';', ',', '(', '&', '|'])
            || before.ends_with("then")
            || before.ends_with("or");
        let word = rest.split([' ', '`', ';', ',', '\n']).next().unwrap_or_default();
        is_typed || begins && (program != "ansai" || word.starts_with('-') || COMMANDS.contains(&word))
    };
    let (name, from) = (option.split(' ').next().unwrap_or(option), format!("{program} "));
    let mut text = text.to_owned();
    let places: Vec<usize> = text.match_indices(&from).map(|(at, _)| at).collect();
    for at in places.into_iter().rev() {
        let rest = &text[at + from.len()..];
        let command = rest.split(['`', ';', '&', '|', '\n']).next().unwrap_or(rest);
        let has_it = command.split(' ').any(|word| word.split('=').next() == Some(name));
        let is_for_controller = is_for_controller(command, &rest[command.len()..]);
        let is_elsewhere = match name {
            // It names a controller elsewhere: what is done on one's own host is typed there.
            "--context" => !is_for_controller || ["controller", "context"].iter().any(|own| command.starts_with(own)),
            _ => program == "ansai" && is_for_controller,
        };
        if is_command(&text[..at], rest) && !has_it && !is_elsewhere {
            text.insert_str(at + from.len(), &format!("{option} "));
        }
    }
    text
}

/// Whether a command of `ansai`, behind whose words the text goes on so, is one for the controller.
fn is_for_controller(command: &str, behind: &str) -> bool {
    let mut words = command.split(' ');
    words.next().is_some_and(|first| ["controller", "token", "hosts", "permits", "fleet", "context"].contains(&first))
        || words.any(|word| ["--fleet", "--host", "--label"].contains(&word.split('=').next().unwrap_or_default()))
        || behind.starts_with("` on the controller")
}

/// A text in which every moment that says by itself which one it means is told in this zone.
#[must_use]
pub fn in_zone(text: &str, zone: &TimeZone) -> String {
    stamps::all(text, zone)
}

/// The same in a row of a table, where room is short: what is said by the moment before, or by what time it is now, is left out.
#[must_use]
pub fn in_row(text: &str, now: WallTime, zone: &TimeZone) -> String {
    stamps::briefly(text, Timestamp::from_millisecond(now.0).unwrap_or_default(), zone)
}

/// A moment for people, with its date and the zone's name.
#[must_use]
pub fn moment(at: WallTime, zone: &TimeZone) -> String {
    formatted(at, zone, "%Y-%m-%d %H:%M:%S %Z")
}

fn formatted(at: WallTime, zone: &TimeZone, format: &str) -> String {
    match Timestamp::from_millisecond(at.0) {
        Ok(timestamp) => timestamp.to_zoned(zone.clone()).strftime(format).to_string(),
        Err(_) => format!("{} ms since 1970", at.0),
    }
}

fn shown(duration: Duration) -> String {
    Shown(duration).to_string()
}
