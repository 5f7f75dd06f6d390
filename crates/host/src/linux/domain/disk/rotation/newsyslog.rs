//! newsyslog's configuration, and the mark that it leaves in a log that it has begun anew. What is not understood is an
//! error, so that all that it made is kept.

use super::{
    apart,
    name::{Naming, Scheme},
    read::{Files, Found, OnDisk},
    rule::Rule,
};
use crate::linux::domain::disk::clean::pattern::matches;

const DEPTH_MAX: usize = 4;
const ENTRIES_MAX: usize = 4096;
/// The mark stands in the first line.
const MARK_BYTES: usize = 1024;
/// What may stand in the column of flags.
const FLAGS: &str = "BCDEFGHIJKLMNPRSTUVWXYZp-";

/// A line about a log, or about several by a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pattern: String,
    is_pattern: bool,
    count: u64,
    source: String,
}

impl Entry {
    /// The logs that it is about.
    pub(super) fn paths(&self, files: &mut OnDisk<'_>) -> Vec<String> {
        if !self.is_pattern {
            return vec![self.pattern.clone()];
        }
        globbed(files, &self.pattern).unwrap_or_default()
    }

    /// What it says of a log; `None` when nothing of it may be given up.
    pub(super) fn rule(&self, path: &str) -> Option<Rule> {
        let (folder, stem) = apart(path)?;
        let (folder, stem) = (folder.to_owned(), stem.to_owned());
        let naming = Naming { folder, stem, tail: String::new(), compressed: None, scheme: Scheme::Numbers(0) };
        let said = format!("count {}", self.count);
        // Some keep `count` archives from 0 on, some one more: of two readings the one that keeps more.
        let count = Some(self.count + 1);
        (self.count > 0).then(|| Rule { count, days_max: None, naming, made: None, said, source: self.source.clone() })
    }
}

/// Whether newsyslog began this log, by its own word in the first line.
pub(super) fn is_marked(files: &OnDisk<'_>, path: &str) -> bool {
    let text = files.beginning(path, MARK_BYTES);
    let first = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    matches(b"*newsyslog[[]*]: logfile turned over*", first)
}

/// Reads a configuration with all that it includes.
///
/// # Errors
/// When anything in it is not understood, with its place.
pub(super) fn parse(files: &mut dyn Files, path: &str) -> Result<Vec<Entry>, String> {
    let mut entries = Vec::new();
    include(files, path, &mut entries, 0)?;
    Ok(entries)
}

fn include(files: &mut dyn Files, path: &str, entries: &mut Vec<Entry>, depth: usize) -> Result<(), String> {
    if depth >= DEPTH_MAX {
        return Err(format!("{path}: files include each other {DEPTH_MAX} deep"));
    }
    let text = match files.find(path)? {
        Found::File(text) => text,
        Found::Missing | Found::Ignored => return Ok(()),
        Found::Folder(_) => return Err(format!("{path}: a folder")),
    };
    for (index, line) in text.lines().enumerate() {
        let source = format!("{path}, line {}", index + 1);
        let words: Vec<&str> = line.split('#').next().unwrap_or_default().split_whitespace().collect();
        match words.as_slice() {
            [] => {}
            ["<default>", ..] => {}
            ["<include>", inner] => {
                for inner in globbed(files, inner).map_err(|why| format!("{source}: {why}"))? {
                    include(files, &inner, entries, depth + 1)?;
                }
            }
            words => {
                let entry = entry(words, &source).ok_or_else(|| format!("{source}: not understood"))?;
                entries.push(entry);
                if entries.len() > ENTRIES_MAX {
                    return Err(format!("{source}: too many logs"));
                }
            }
        }
    }
    Ok(())
}

/// `logfilename [owner:group] mode count size when [flags] [pid_file] [signal]`.
fn entry(words: &[&str], source: &str) -> Option<Entry> {
    let (name, rest) = words.split_first()?;
    let rest = match rest {
        [owner, rest @ ..] if owner.contains(':') => rest,
        rest => rest,
    };
    let [mode, count, size, when, more @ ..] = rest else { return None };
    let is_number = |text: &str| text == "*" || text.trim_end_matches(['K', 'M', 'G', 'k']).parse::<u64>().is_ok();
    let is_when = |text: &str| text == "*" || text.starts_with(['@', '$']) || text.as_bytes()[0].is_ascii_digit();
    let flags = more.first().filter(|flags| flags.chars().all(|letter| FLAGS.contains(letter))).copied();
    let is_plain = name.starts_with('/') && !name.contains(['\\', '"', '\'']);
    let is_entry = is_plain
        && mode.len() <= 4
        && u32::from_str_radix(mode, 8).is_ok()
        && is_number(size)
        && is_when(when)
        && (flags.is_some() || more.first().is_none_or(|word| word.starts_with('/')));
    let count = count.parse().ok().filter(|count| *count < 10_000_000)?;
    let is_pattern = flags.is_some_and(|flags| flags.contains('G'));
    is_entry.then(|| Entry { pattern: (*name).to_owned(), is_pattern, count, source: source.to_owned() })
}

/// The paths that a pattern means; only its last part may be one.
fn globbed(files: &mut (impl Files + ?Sized), pattern: &str) -> Result<Vec<String>, String> {
    let is_glob = |text: &str| text.contains(['*', '?', '[']);
    if !is_glob(pattern) {
        return Ok(vec![pattern.to_owned()]);
    }
    let (folder, wanted) = apart(pattern).filter(|(folder, _)| !is_glob(folder)).ok_or("a pattern of folders")?;
    let Found::Folder(names) = files.find(folder)? else { return Ok(Vec::new()) };
    let is_meant = |name: &&String| {
        (!name.starts_with('.') || wanted.starts_with('.')) && matches(wanted.as_bytes(), name.as_bytes())
    };
    Ok(names.iter().filter(is_meant).map(|name| format!("{}/{name}", folder.trim_end_matches('/'))).collect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[track_caller]
    fn check(line: &str, expected: Option<(&str, u64, bool)>) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let found = entry(&words, "x");
        let found = found.as_ref().map(|entry| (entry.pattern.as_str(), entry.count, entry.is_pattern));
        assert_eq!(found, expected, "{line}");
    }

    #[test]
    fn columns_are_read_with_and_without_an_owner_and_flags() {
        check("/var/log/a.log 644 5 1000 * J", Some(("/var/log/a.log", 5, false)));
        check("/var/log/a.log root:adm 0640 10 * @T00 ZC /run/a.pid 1", Some(("/var/log/a.log", 10, false)));
        check("/var/log/*.log :adm 600 7 * $W0 XGB", Some(("/var/log/*.log", 7, true)));
        check("/var/log/a.log 600 3 100K 168 /run/a.pid", Some(("/var/log/a.log", 3, false)));
        check("/var/log/a.log 600 3 * 24 -", Some(("/var/log/a.log", 3, false)));
        for bad in [
            "a.log 644 5 1000 * J",
            "/a 999 5 1000 *",
            "/a 644 -5 1000 *",
            "/a 644 5 many *",
            "/a 644 5 1000 soon",
            "/a 644 5 1000",
            "/a 644 5 1000 * J?",
            "/a\\ b 644 5 1000 *",
            "/a",
        ] {
            check(bad, None);
        }
    }

    struct Planted(BTreeMap<&'static str, Found>);

    impl Files for Planted {
        fn find(&mut self, path: &str) -> Result<Found, String> {
            Ok(self.0.get(path).cloned().unwrap_or(Found::Missing))
        }
    }

    #[test]
    fn inclusions_are_followed_and_one_that_includes_itself_is_an_error() {
        let file = |text: &str| Found::File(text.to_owned());
        let folder = Found::Folder(vec!["a.conf".into(), "b.txt".into()]);
        let mut planted = Planted(BTreeMap::from([
            ("/n", file("# all\n<default> 600 3 * @T00\n/var/log/m 600 5 * @T00 # m\n<include> /d/*.conf\n")),
            ("/d", folder),
            ("/d/a.conf", file("/var/log/a 600 2 * @T00\n")),
            ("/d/b.txt", file("nonsense\n")),
            ("/loop", file("<include> /loop\n")),
            ("/bad", file("\n/var/log/a six\n")),
        ]));
        let found = parse(&mut planted, "/n").expect("understood");
        let found: Vec<_> = found.iter().map(|entry| (entry.pattern.as_str(), entry.source.as_str())).collect();
        assert_eq!(found, [("/var/log/m", "/n, line 3"), ("/var/log/a", "/d/a.conf, line 1")]);
        assert!(parse(&mut planted, "/loop").is_err());
        assert_eq!(parse(&mut planted, "/bad"), Err("/bad, line 2: not understood".into()));
        assert_eq!(parse(&mut planted, "/none"), Ok(Vec::new()));
    }
}
