//! logrotate's configuration: which logs it rotates, and how many of their rotations it keeps.
//!
//! It is read as logrotate reads it, defaults and inclusions in order. What is not understood is an error, so that all of
//! it is kept: a directive that a newer logrotate knows may say that something is kept. Scripts are passed over.

use super::{
    apart,
    name::{DateFormat, Naming, Scheme},
    read::{Files, Found},
    rule::Rule,
};
use crate::linux::domain::disk::clean::pattern::matches;

/// How deep files may include each other; logrotate's own limit is near.
const DEPTH_MAX: usize = 8;
const BLOCKS_MAX: usize = 8192;
const PATTERNS_MAX: usize = 16_384;
/// Names in an included folder that logrotate leaves out.
const TABOO: &[&str] = &[
    "*,v",
    "*.cfsaved",
    "*.disabled",
    "*.dpkg-bak",
    "*.dpkg-del",
    "*.dpkg-dist",
    "*.dpkg-new",
    "*.dpkg-old",
    "*.dpkg-tmp",
    "*.rhn-cfg-tmp-*",
    "*.rpmnew",
    "*.rpmorig",
    "*.rpmsave",
    "*.swp",
    "*.ucf-dist",
    "*.ucf-new",
    "*.ucf-old",
    "*~",
];
/// What says nothing about which rotations are kept or what they are called.
const INDIFFERENT: &[&str] = &[
    "allowhardlink",
    "compress",
    "compresscmd",
    "compressoptions",
    "copy",
    "copytruncate",
    "create",
    "createolddir",
    "daily",
    "datehourago",
    "dateyesterday",
    "delaycompress",
    "errors",
    "ifempty",
    "ignoreduplicates",
    "maillast",
    "mailfirst",
    "maxsize",
    "minage",
    "minsize",
    "missingok",
    "monthly",
    "noallowhardlink",
    "nocompress",
    "nocopy",
    "nocopytruncate",
    "nocreate",
    "nocreateolddir",
    "nodatehourago",
    "nodateyesterday",
    "nodelaycompress",
    "noignoreduplicates",
    "nomissingok",
    "norenamecopy",
    "nosharedscripts",
    "notifempty",
    "renamecopy",
    "sharedscripts",
    "shredcycles",
    "size",
    "su",
    "uncompresscmd",
    "weekly",
    "yearly",
];
const SCRIPTS: &[&str] = &["firstaction", "lastaction", "postrotate", "preremove", "prerotate"];

/// What holds for the logs of a block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Options {
    rotate: i64,
    maxage: Option<u64>,
    start: Option<u64>,
    olddir: Option<String>,
    is_dated: bool,
    is_hourly: bool,
    format: Option<String>,
    extension: Option<String>,
    added: Option<String>,
    compressed: Option<String>,
    /// The owner wants to see what goes: it is mailed.
    is_mailed: bool,
    /// It is overwritten before it goes, which is not done here.
    is_shredded: bool,
    /// A script sees it before it goes.
    is_seen_off: bool,
}

/// A list of logs, and what holds for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Block {
    patterns: Vec<String>,
    options: Options,
    source: String,
}

impl Block {
    /// Whether it is about this log.
    pub(super) fn is_about(&self, path: &str) -> bool {
        self.patterns.iter().any(|pattern| is_path(pattern, path))
    }

    /// What it says of a log that was rotated last in this time; `None` when nothing of it may be given up.
    pub(super) fn rule(&self, path: &str, rotated: std::ops::RangeInclusive<i64>) -> Option<Rule> {
        let options = &self.options;
        // With none kept, logrotate makes none: those that are there are somebody else's.
        if options.rotate == 0 || options.is_mailed || options.is_shredded || options.is_seen_off {
            return None;
        }
        let count = u64::try_from(options.rotate).ok();
        let said = format!("rotate {}", options.rotate);
        let (days_max, naming) = (options.maxage, options.naming(path)?);
        Some(Rule { count, days_max, naming, made: Some(rotated), said, source: self.source.clone() })
    }
}

impl Options {
    /// What it calls the rotations of a log, and where it puts them.
    fn naming(&self, path: &str) -> Option<Naming> {
        let (folder, name) = apart(path)?;
        let folder = match self.olddir.as_deref() {
            None => folder.to_owned(),
            Some(olddir) if olddir.starts_with('/') => plain(olddir)?,
            Some(olddir) => plain(&format!("{folder}/{olddir}"))?,
        };
        let (mut stem, mut tail) = (name, "");
        if let Some(added) = self.added.as_deref() {
            (stem, tail) = (stem.strip_suffix(added).unwrap_or(stem), added);
        }
        if let Some(extension) = self.extension.as_deref()
            && let Some(before) = stem.strip_suffix(extension)
        {
            (stem, tail) = (before, extension);
        }
        let scheme = match self.is_dated {
            false => Scheme::Numbers(self.start.unwrap_or(1)),
            true => {
                let usual = if self.is_hourly { "-%Y%m%d%H" } else { "-%Y%m%d" };
                Scheme::Dates(DateFormat::new(self.format.as_deref().unwrap_or(usual))?)
            }
        };
        let (stem, tail) = (stem.to_owned(), tail.to_owned());
        (!stem.is_empty()).then(|| Naming { folder, stem, tail, compressed: self.compressed.clone(), scheme })
    }

    /// Takes a directive; its value is `None` where none stands.
    fn take(&mut self, word: &str, value: Option<&str>) -> Result<(), String> {
        let text = || value.map(str::to_owned).ok_or_else(|| format!("`{word}` says nothing"));
        let number = || value.and_then(|value| value.parse().ok()).ok_or_else(|| format!("`{word}` is no number"));
        let limit = |number: i64| u64::try_from(number).map_err(|_| format!("`{word}` is negative"));
        match word {
            "rotate" => {
                self.rotate = number()?;
                if !(-1..=10_000_000).contains(&self.rotate) {
                    return Err("`rotate` is no count".into());
                }
            }
            // No age is none that is too high.
            "maxage" => self.maxage = Some(limit(number()?)?).filter(|days| *days > 0),
            "start" => self.start = Some(limit(number()?)?).filter(|start| *start < 1 << 32),
            "olddir" => self.olddir = Some(text()?),
            "noolddir" => self.olddir = None,
            "dateext" => self.is_dated = true,
            "nodateext" => self.is_dated = false,
            "dateformat" => self.format = Some(text()?),
            "hourly" => self.is_hourly = true,
            "daily" | "weekly" | "monthly" | "yearly" => self.is_hourly = false,
            "extension" => self.extension = Some(text()?),
            "addextension" => self.added = Some(text()?),
            "compressext" => self.compressed = Some(text()?),
            "mail" => self.is_mailed = true,
            "nomail" => self.is_mailed = false,
            "shred" => self.is_shredded = true,
            "noshred" => self.is_shredded = false,
            word if INDIFFERENT.contains(&word) => {}
            word => return Err(format!("`{}` is not known", word.escape_debug())),
        }
        Ok(())
    }
}

/// A path without `.` and `..`; nothing when it leads above the root.
fn plain(path: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(format!("/{}", parts.join("/")))
}

/// Whether a path is meant by a pattern as the shell's `*` means it: within one folder, and no hidden name.
fn is_path(pattern: &str, path: &str) -> bool {
    let (mut wanted, mut parts) = (pattern.split('/'), path.split('/'));
    loop {
        match (wanted.next(), parts.next()) {
            (None, None) => return true,
            (Some(wanted), Some(part)) => {
                let is_hidden = part.starts_with('.') && !wanted.starts_with('.');
                if is_hidden || !matches(wanted.as_bytes(), part.as_bytes()) {
                    return false;
                }
            }
            _ => return false,
        }
    }
}

/// Reads a configuration with all that it includes.
///
/// # Errors
/// When anything in it is not understood, with its place.
pub(super) fn parse(files: &mut dyn Files, path: &str) -> Result<Vec<Block>, String> {
    let mut reader = Reader { files, blocks: Vec::new(), patterns: 0, defaults: Options::default() };
    match reader.files.find(path)? {
        Found::File(text) => reader.file(path, &text, 0)?,
        Found::Missing | Found::Ignored => {}
        Found::Folder(_) => return Err(format!("{path}: a folder")),
    }
    Ok(reader.blocks)
}

struct Reader<'f> {
    files: &'f mut dyn Files,
    blocks: Vec<Block>,
    patterns: usize,
    /// What holds for blocks that follow, in this file and in those after it.
    defaults: Options,
}

/// Where in a file the reader is.
enum At {
    Outside,
    /// Among the paths of a block that has not begun.
    Paths(Vec<String>, usize),
    Block(Block),
}

impl Reader<'_> {
    fn include(&mut self, path: &str, depth: usize) -> Result<(), String> {
        if depth >= DEPTH_MAX {
            return Err(format!("{path}: files include each other {DEPTH_MAX} deep"));
        }
        match self.files.find(path)? {
            Found::File(text) => self.file(path, &text, depth),
            Found::Ignored => Ok(()),
            Found::Missing => Err(format!("{path}: not there")),
            Found::Folder(names) => {
                let is_taboo =
                    |name: &&String| TABOO.iter().any(|pattern| matches(pattern.as_bytes(), name.as_bytes()));
                for name in names.iter().filter(|name| !is_taboo(name)) {
                    let inner = format!("{}/{name}", path.trim_end_matches('/'));
                    // Folders in it are left out.
                    if let Found::File(text) = self.files.find(&inner)? {
                        self.file(&inner, &text, depth)?;
                    }
                }
                Ok(())
            }
        }
    }

    fn file(&mut self, path: &str, text: &str, depth: usize) -> Result<(), String> {
        let mut at = At::Outside;
        let mut is_script = false;
        for (index, line) in text.lines().enumerate() {
            let (line, number) = (line.trim(), index + 1);
            if is_script {
                is_script = line != "endscript";
                continue;
            }
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let place = |why: String| format!("{path}, line {number}: {why}");
            (at, is_script) = self.line(at, line, (path, number), depth).map_err(place)?;
        }
        match at {
            At::Outside if !is_script => Ok(()),
            At::Outside => Err(format!("{path}: a script does not end")),
            At::Paths(..) | At::Block(_) => Err(format!("{path}: a block does not end")),
        }
    }

    /// Takes a line; says where that leads, and whether a script follows.
    fn line(&mut self, at: At, line: &str, place: (&str, usize), depth: usize) -> Result<(At, bool), String> {
        match at {
            At::Outside if line.starts_with(['/', '"', '\'']) => self.paths((Vec::new(), place.1), line, place.0),
            At::Paths(paths, from) => self.paths((paths, from), line, place.0),
            At::Outside => {
                let (word, value) = directive(line);
                if word == "include" {
                    let value = value.ok_or("`include` says nothing")?;
                    self.include(value, depth + 1)?;
                    return Ok((At::Outside, false));
                }
                let is_script = SCRIPTS.contains(&word);
                match word {
                    "preremove" => self.defaults.is_seen_off = true,
                    _ if is_script => {}
                    word => self.defaults.take(word, value)?,
                }
                Ok((At::Outside, is_script))
            }
            At::Block(block) if line == "}" => {
                self.patterns += block.patterns.len();
                if self.blocks.len() >= BLOCKS_MAX || self.patterns > PATTERNS_MAX {
                    return Err("too many logs".into());
                }
                self.blocks.push(block);
                Ok((At::Outside, false))
            }
            At::Block(mut block) => {
                let (word, value) = directive(line);
                let is_script = SCRIPTS.contains(&word);
                match word {
                    "preremove" => block.options.is_seen_off = true,
                    _ if is_script => {}
                    word => block.options.take(word, value)?,
                }
                Ok((At::Block(block), is_script))
            }
        }
    }

    fn paths(&self, (mut paths, from): (Vec<String>, usize), line: &str, file: &str) -> Result<(At, bool), String> {
        let (list, begins) = match line.strip_suffix('{') {
            Some(list) => (list, true),
            None => (line, false),
        };
        paths.extend(words(list)?);
        if !begins {
            return Ok((At::Paths(paths, from), false));
        }
        if paths.is_empty() {
            return Err("a block of no logs".into());
        }
        let source = format!("{file}, line {from}");
        Ok((At::Block(Block { patterns: paths, options: self.defaults.clone(), source }), false))
    }
}

/// A word and what stands behind it, with or without `=`.
fn directive(line: &str) -> (&str, Option<&str>) {
    let end = line.find(|letter: char| letter.is_whitespace() || letter == '=').unwrap_or(line.len());
    let (word, rest) = line.split_at(end);
    let rest = rest.trim_start();
    let rest = rest.strip_prefix('=').unwrap_or(rest).trim();
    (word, (!rest.is_empty()).then_some(rest))
}

/// The absolute paths of a list, some in quotation marks.
fn words(list: &str) -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    let mut rest = list.trim_start();
    while let Some(first) = rest.chars().next() {
        let (word, after) = match first {
            '"' | '\'' => rest[1..].split_once(first).ok_or("a quotation mark is open")?,
            _ => rest.split_at(rest.find(char::is_whitespace).unwrap_or(rest.len())),
        };
        let is_odd = |letter: char| matches!(letter, '\\' | '"' | '\'' | '{' | '}') || letter.is_control();
        if !word.starts_with('/') || word.contains(is_odd) {
            return Err(format!("`{}` is no plain path", word.escape_debug()));
        }
        found.push(word.to_owned());
        rest = after.trim_start();
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
