//! The predecessor's disks: how full they may be, and what is given up to make room. What it left to guess is asked for.

use std::fmt::Write as _;

use ansai_document::{Findings, Node};

use crate::{
    notes::{Fate, Notes},
    reader::{Reader, is_plain},
    words::{duration, quoted, shown},
};

/// The keys that hold them.
pub(super) const MONITORING: &str = "disk_monitoring";
pub(super) const RULES: &str = "disk_cleanup_rules";
const THRESHOLDS: &[&str] = &["warning", "critical", "emergency"];
const CLEANUP: &[&str] =
    &["logs_older_than", "temp_files_older_than", "package_cache", "docker_images", "journal_size"];
const RULE: &[&str] = &["path", "pattern", "age", "strategy", "threshold_percent"];
const ARCHIVE: &str = "archive_then_delete";
const STRATEGIES: &[&str] = &[ARCHIVE, "aggressive_delete"];
const RULES_MAX: usize = 1_000;
/// After how many seconds rotations that their owner does not keep are given up.
const ROTATED_AGE: u64 = 30 * DAY;
const DAY: u64 = 86_400;
/// The share from which room is made unless it is said, in percent.
const ACT_AT: u64 = 90;
/// Longest age, in seconds: about a hundred years.
const AGE_MAX: u64 = 36_500 * DAY;
/// Units of an age, with their seconds.
const UNITS: &[(&[&str], u64)] = &[
    (&["s", "sec", "second", "seconds"], 1),
    (&["m", "min", "minute", "minutes"], 60),
    (&["h", "hour", "hours"], 3_600),
    (&["d", "day", "days"], DAY),
    (&["w", "week", "weeks"], 7 * DAY),
];

/// What was said of disks, as far as it has a counterpart.
#[derive(Debug, Default)]
pub(super) struct Disks {
    line: usize,
    /// Percent: people are told, room is made, a person must act.
    thresholds: [Option<u64>; 3],
    packages: Option<bool>,
    /// Whether rotations of logrotate may be given up.
    keeps_rotated: bool,
    containers: Option<&'static str>,
    journal: Option<String>,
    /// The age of temporary files, in seconds.
    temporary_age: Option<u64>,
    logs: Vec<Rule>,
    temporary: Vec<Rule>,
}

/// Files that may be given up.
#[derive(Debug)]
struct Rule {
    line: usize,
    path: String,
    pattern: Option<String>,
    /// In seconds.
    older_than: u64,
    threshold: Option<u64>,
}

/// Reads both keys; nothing when neither is there.
pub(super) fn read(findings: &mut Findings<'_>, notes: &mut Notes<'_>, root: &Node) -> Option<Disks> {
    let is_there = |key: &str| root.get(key).is_some_and(|node| !node.is_null());
    let first = [MONITORING, RULES].into_iter().find(|key| is_there(key))?;
    let place = root.map().and_then(|map| map.get(first)).map_or(root.place, |entry| entry.key);
    let mut disks = Disks { line: notes.line(place), ..Disks::default() };
    if let Some(node) = mapping(findings, root, MONITORING, "") {
        let prefix = format!("{MONITORING}.");
        let mut reader = Reader { findings, node, prefix: prefix.clone() };
        reader.strangers(notes, ["thresholds", "auto_cleanup"], |_| false);
        if let Some(node) = mapping(findings, node, "thresholds", &prefix) {
            thresholds(&mut Reader { findings, node, prefix: format!("{prefix}thresholds.") }, notes, &mut disks);
        }
        if let Some(node) = mapping(findings, node, "auto_cleanup", &prefix) {
            cleanup(&mut Reader { findings, node, prefix: format!("{prefix}auto_cleanup.") }, notes, &mut disks);
        }
    }
    rules(findings, notes, root, &mut disks);
    Some(disks)
}

fn mapping<'n>(findings: &mut Findings<'_>, parent: &'n Node, key: &str, prefix: &str) -> Option<&'n Node> {
    let node = parent.get(key).filter(|node| !node.is_null())?;
    if node.map().is_none() {
        let what = format!("`{key}` is {}, and must be a mapping", node.kind());
        findings.error(node.place, &format!("{prefix}{key}"), what, "write its keys below it".to_owned());
        return None;
    }
    Some(node)
}

fn thresholds(reader: &mut Reader<'_, '_, '_>, notes: &mut Notes<'_>, disks: &mut Disks) {
    reader.strangers(notes, THRESHOLDS.iter().copied(), |_| false);
    let mut highest: Option<(u64, &str)> = None;
    for (index, key) in THRESHOLDS.iter().enumerate() {
        let Some(percent) = percent(reader, key) else { continue };
        if let Some((lower, name)) = highest.filter(|(lower, _)| *lower > percent) {
            let place = reader.value(key).map_or(reader.node.place, |node| node.place);
            let what = format!("`{key}` is {percent}, and `{name}` is {lower}");
            reader.wrong(place, key, what, format!("write at least {lower}"));
        }
        highest = Some((percent, key));
        disks.thresholds[index] = Some(percent);
    }
}

/// A share, with or without its sign.
fn percent(reader: &mut Reader<'_, '_, '_>, key: &str) -> Option<u64> {
    let node = reader.value(key)?;
    let text = node.text().map(|text| text.trim().trim_end_matches('%').trim_end().to_owned());
    let percent = text.and_then(|text| text.parse().ok()).filter(|percent| (1..=100).contains(percent));
    if percent.is_none() {
        reader.wrong(node.place, key, format!("`{key}` is no share from 1 to 100"), "write a whole number, as 90");
    }
    percent
}

fn cleanup(reader: &mut Reader<'_, '_, '_>, notes: &mut Notes<'_>, disks: &mut Disks) {
    reader.strangers(notes, CLEANUP.iter().copied(), |_| false);
    disks.packages = reader.truth("package_cache");
    disks.containers = reader.word("docker_images", &["unused", "dangling", "none"]).filter(|word| *word != "none");
    disks.journal = journal(reader);
    disks.temporary_age = age(reader, "temp_files_older_than");
    let key = |name: &str| format!("{MONITORING}.auto_cleanup.{name}");
    if disks.temporary_age.is_some() {
        let why = "which directories hold temporary files was not said; /tmp and /var/tmp are taken";
        let instead = "name others under `temporary`; what is open is never deleted";
        let place = reader.key_place("temp_files_older_than");
        notes.add(Fate::Changed, place, &key("temp_files_older_than"), why, instead);
    }
    if let Some(age) = age(reader, "logs_older_than") {
        let (place, key) = (reader.key_place("logs_older_than"), key("logs_older_than"));
        let example = format!("`logs: [{{path: /var/log/app, pattern: \"*.log\", older_than: {}}}]`", duration(age));
        disks.keeps_rotated = age > ROTATED_AGE;
        let (fate, why) = match age {
            ROTATED_AGE => (
                Fate::Changed,
                "without a path only what logrotate made below /var/log and does not keep by its rule is given up",
            ),
            _ => (
                Fate::Wanted,
                "which logs are meant was not said, and what logrotate made and does not keep by its rule is given up after 30 days",
            ),
        };
        let instead = match disks.keeps_rotated {
            true => format!("name your own: {example}; what logrotate made is kept until you do"),
            false => format!("name your own: {example}"),
        };
        notes.add(fate, place, &key, why, instead);
    }
}

/// How much of the journal is kept, in the units of journald, which count in 1024.
fn journal(reader: &mut Reader<'_, '_, '_>) -> Option<String> {
    let text = reader.text("journal_size")?;
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = match text[digits.len()..].trim().to_ascii_uppercase().as_str() {
        "K" | "KB" | "KIB" => Some("KiB"),
        "M" | "MB" | "MIB" => Some("MiB"),
        "G" | "GB" | "GIB" => Some("GiB"),
        _ => None,
    };
    let number = digits.parse::<u64>().ok().filter(|number| (1..=1_000_000).contains(number));
    if let (Some(number), Some(unit)) = (number, unit) {
        return Some(format!("{number}{unit}"));
    }
    let place = reader.value("journal_size").map_or(reader.node.place, |node| node.place);
    reader.wrong(place, "journal_size", format!("`{}` is no size", shown(&text)), "write 100M");
    None
}

/// An age as `7d` or `30 days`, in seconds.
fn age(reader: &mut Reader<'_, '_, '_>, key: &str) -> Option<u64> {
    let text = reader.text(key)?;
    let digits: &str = text.trim().split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
    let unit = text.trim()[digits.len()..].trim().to_ascii_lowercase();
    let size = UNITS.iter().find(|(names, _)| names.contains(&unit.as_str())).map(|(_, size)| *size);
    let number = digits.parse::<u64>().ok();
    let seconds = number.zip(size).and_then(|(number, size)| number.checked_mul(size));
    let seconds = seconds.filter(|seconds| (1..=AGE_MAX).contains(seconds));
    if seconds.is_none() {
        let place = reader.value(key).map_or(reader.node.place, |node| node.place);
        reader.wrong(place, key, format!("`{}` is no age", shown(&text)), "write 7d or 30 days");
    }
    seconds
}

fn rules(findings: &mut Findings<'_>, notes: &mut Notes<'_>, root: &Node, disks: &mut Disks) {
    let Some(node) = root.get(RULES).filter(|node| !node.is_null()) else { return };
    let Some(list) = node.list() else {
        let what = format!("`{RULES}` is {}, and must be a list", node.kind());
        return findings.error(node.place, RULES, what, "write `- path: /var/log/app`".to_owned());
    };
    if list.len() > RULES_MAX {
        let what = format!("there are {} rules, and at most {RULES_MAX} are read", list.len());
        return findings.error(node.place, RULES, what, "import them in several files".to_owned());
    }
    for (index, node) in list.iter().enumerate() {
        let key = format!("{RULES}[{index}]");
        if node.map().is_none() {
            let what = format!("a rule is a mapping, and this is {}", node.kind());
            findings.error(node.place, &key, what, "write `- path: /var/log/app`".to_owned());
            continue;
        }
        rule(&mut Reader { findings, node, prefix: format!("{key}.") }, notes, &key, disks);
    }
}

fn rule(reader: &mut Reader<'_, '_, '_>, notes: &mut Notes<'_>, key: &str, disks: &mut Disks) {
    reader.strangers(notes, RULE.iter().copied(), |_| false);
    let (path, pattern) = (path(reader), pattern(reader));
    let is_aged = reader.value("age").is_some();
    let (age, threshold) = (age(reader, "age"), percent(reader, "threshold_percent"));
    let is_strategy_said = reader.value("strategy").is_some();
    let Some(strategy) = reader.word("strategy", STRATEGIES) else {
        if !is_strategy_said {
            let help = format!("write one of {}", STRATEGIES.join(", "));
            reader.wrong(reader.node.place, "strategy", "what becomes of the files is not said", help);
        }
        return;
    };
    let is_archived = strategy == ARCHIVE;
    // What holds where the rule says nothing is what holds for our own.
    let older_than = age.unwrap_or(if is_archived { ROTATED_AGE } else { 7 * DAY });
    let Some(path) = path else { return };
    if !is_aged {
        let why = format!("it says no age; only files of {path} that nobody touched for {} are", duration(older_than));
        let why = format!("{why} {}", if is_archived { "compressed, then deleted" } else { "deleted" });
        notes.add(Fate::Changed, reader.node.place, &format!("{key}.age"), why, "write another `older_than` there");
    }
    let act_at = disks.thresholds[1].unwrap_or(ACT_AT);
    if let Some(threshold) = threshold.filter(|threshold| *threshold < act_at) {
        let why = format!("room is made from {act_at} % on, and not for one rule alone from {threshold} %");
        let instead = format!("write `act_at: {threshold}%` when all of it should begin there");
        let place = reader.key_place("threshold_percent");
        notes.add(Fate::Changed, place, &format!("{key}.threshold_percent"), why, instead);
    }
    let line = notes.line(reader.node.place);
    let rule = Rule { line, path, pattern, older_than, threshold };
    if is_archived { &mut disks.logs } else { &mut disks.temporary }.push(rule);
}

fn path(reader: &mut Reader<'_, '_, '_>) -> Option<String> {
    let Some(text) = reader.text("path") else {
        if reader.value("path").is_none() {
            reader.wrong(reader.node.place, "path", "a rule needs a path", "write `path: /var/log/app`");
        }
        return None;
    };
    let path = text.trim_end_matches('/');
    if is_plain(path) {
        return Some(path.to_owned());
    }
    let place = reader.value("path").map_or(reader.node.place, |node| node.place);
    let help = "name one directory from / on, as /var/log/app; the whole host is never cleaned";
    reader.wrong(place, "path", format!("`{}` is no directory that can be cleaned", shown(&text)), help);
    None
}

fn pattern(reader: &mut Reader<'_, '_, '_>) -> Option<String> {
    let text = reader.text("pattern")?;
    if !text.contains('/') {
        return Some(text).filter(|text| text != "*");
    }
    let place = reader.value("pattern").map_or(reader.node.place, |node| node.place);
    let help = "write a pattern of names, as \"*.log\"; directories below are looked into anyway";
    reader.wrong(place, "pattern", format!("`{}` is no pattern of a name", shown(&text)), help);
    None
}

/// Writes the section. Writing to a string cannot fail, so the results are dropped throughout.
pub(super) fn write(text: &mut String, disks: Option<&Disks>) {
    let Some(disks) = disks else { return };
    let _ = writeln!(text, "\n# Every filesystem of this host, those mounted later as well.\ndisks:");
    let _ = writeln!(text, "  \"*\":  # line {}", disks.line);
    let mut lines: Vec<String> = Vec::new();
    for (key, percent) in ["warn_at", "act_at", "urgent_at"].iter().zip(disks.thresholds) {
        lines.extend(percent.map(|percent| format!("{key}: {percent}%")));
    }
    let clean = clean(disks);
    if !clean.is_empty() {
        lines.push("clean:".to_owned());
        lines.extend(clean);
    }
    if lines.is_empty() {
        lines.push("{}".to_owned());
    }
    lines.iter().for_each(|line| {
        let _ = writeln!(text, "    {line}");
    });
}

fn clean(disks: &Disks) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    lines.extend(disks.packages.map(|packages| format!("  packages: {packages}")));
    lines.extend(disks.journal.as_ref().map(|size| format!("  journal: {size}")));
    if disks.keeps_rotated {
        lines.push("  rotated: false".to_owned());
    }
    lines.extend(disks.containers.map(|images| format!("  containers: {images}")));
    let temporary = disks.temporary_age.map(duration);
    let temporary = temporary
        .into_iter()
        .flat_map(|age| ["/tmp", "/var/tmp"].map(|path| format!("    - {{path: {path}, older_than: {age}}}")));
    for (key, shared, rules) in
        [("logs", Vec::new(), &disks.logs), ("temporary", temporary.collect(), &disks.temporary)]
    {
        if !shared.is_empty() || !rules.is_empty() {
            lines.push(format!("  {key}:"));
        }
        lines.extend(shared);
        for Rule { line, path, pattern, older_than, threshold } in rules {
            let pattern = pattern.as_ref().map_or(String::new(), |pattern| format!(", pattern: {}", quoted(pattern)));
            let threshold = threshold.map_or(String::new(), |percent| format!(", threshold: {percent}%"));
            let (path, age) = (quoted(path), duration(*older_than));
            lines.push(format!("    - {{path: {path}{pattern}, older_than: {age}{threshold}}}  # line {line}"));
        }
    }
    lines
}
