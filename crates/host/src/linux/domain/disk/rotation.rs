//! Who rotates which log on this host, and what its owner's own rule gives up.
//!
//! A rotation is known by who made it, never by a number after a dot: logrotate's state says which logs it has rotated and
//! when, its configuration how many of them it keeps; newsyslog marks the log that it begins. Which rotations may then be
//! given up is said in [`rule`] alone. What is in doubt (a rule that is not understood, two rules for one log, a program
//! that rotates its log itself) is kept. Nothing is deleted here.

pub(super) mod journald;
mod logrotate;
mod name;
mod newsyslog;
mod precious;
pub(super) mod read;
mod rule;
mod state;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use self::{
    logrotate::Block,
    read::{Files as _, Found, OnDisk},
};

pub(super) use self::{
    name::{Naming, Order},
    rule::{Rotation, Rule, given_up},
};

const LOGROTATE: &str = "/etc/logrotate.conf";
/// Where distributions have logrotate keep its state.
const STATES: &[&str] = &[
    "/var/lib/logrotate/status",
    "/var/lib/logrotate/logrotate.status",
    "/var/lib/logrotate.status",
    "/var/lib/misc/logrotate.status",
];
const NEWSYSLOG: &str = "/etc/newsyslog.conf";
/// Most logs whose rotations are looked at.
const LOGS_MAX: usize = 8192;

/// A log whose owner's rule is known.
#[derive(Debug)]
pub(super) struct Log {
    /// The path of the file.
    pub(super) path: String,
    /// What its owner says of its rotations.
    pub(super) rule: Rule,
}

/// What is known of the rotations of a host.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// The logs, each with the one rule that is about it.
    pub(super) logs: Vec<Log>,
    /// What is not understood, and is kept for that.
    pub(super) remarks: Vec<String>,
    /// Everything that is a log itself.
    names: BTreeSet<String>,
    blocks: Vec<Block>,
}

impl Known {
    /// Reads what logrotate and newsyslog say.
    ///
    /// # Errors
    /// When logrotate is at work at this moment.
    pub(super) fn read(root: &Path) -> Result<Self, String> {
        let mut known = Self::default();
        let mut files = OnDisk::new(root);
        let mut states = Vec::new();
        for path in STATES {
            if files.is_locked(path) {
                return Err("logrotate is at work".into());
            }
            match files.find(path) {
                Ok(Found::File(text)) => match state::parse(&text, &ansai_files::zone::system().zone) {
                    Ok(entries) => states.extend(entries),
                    Err(why) => known.remarks.push(kept("logrotate", &format!("{path}: {why}"))),
                },
                Ok(Found::Missing | Found::Folder(_) | Found::Ignored) => {}
                Err(why) => known.remarks.push(kept("logrotate", &why)),
            }
        }
        match logrotate::parse(&mut files, LOGROTATE) {
            Ok(blocks) => known.blocks = blocks,
            Err(why) => known.remarks.push(kept("logrotate", &why)),
        }
        known.of_logrotate(&states);
        match newsyslog::parse(&mut files, NEWSYSLOG) {
            Ok(entries) => known.of_newsyslog(&mut files, &entries),
            Err(why) => known.remarks.push(kept("newsyslog", &why)),
        }
        known.without_doubles();
        Ok(known)
    }

    /// Two owners of a log, or two logs whose rotations share their names: neither says what the other keeps.
    fn without_doubles(&mut self) {
        let mut counts: BTreeMap<(String, String), usize> = BTreeMap::new();
        let keys = |log: &Log| {
            let naming = &log.rule.naming;
            [(String::new(), log.path.clone()), (naming.folder.clone(), naming.stem.clone())]
        };
        for key in self.logs.iter().flat_map(keys) {
            *counts.entry(key).or_default() += 1;
        }
        self.logs.retain(|log| keys(log).iter().all(|key| counts.get(key) == Some(&1)));
    }

    /// The logs that logrotate has rotated, by its state, and that exactly one block of its configuration is about.
    fn of_logrotate(&mut self, states: &[state::Entry]) {
        for entry in states.iter().take(LOGS_MAX) {
            self.names.insert(entry.path.clone());
            let mut blocks = self.blocks.iter().filter(|block| block.is_about(&entry.path));
            let (Some(block), None) = (blocks.next(), blocks.next()) else { continue };
            if precious::is_precious(&entry.path) {
                continue;
            }
            if let Some(rule) = block.rule(&entry.path, entry.rotated.clone()) {
                self.logs.push(Log { path: entry.path.clone(), rule });
            }
        }
    }

    /// The logs that newsyslog has begun, by its own mark in them.
    fn of_newsyslog(&mut self, files: &mut OnDisk<'_>, entries: &[newsyslog::Entry]) {
        for entry in entries {
            for path in entry.paths(files).into_iter().take(LOGS_MAX) {
                self.names.insert(path.clone());
                if self.logs.len() < LOGS_MAX && !precious::is_precious(&path) && newsyslog::is_marked(files, &path) {
                    self.logs.extend(entry.rule(&path).map(|rule| Log { path, rule }));
                }
            }
        }
    }

    /// Whether a file is a log itself, however its name ends.
    pub(super) fn is_log(&self, path: &str) -> bool {
        self.names.contains(path) || self.blocks.iter().any(|block| block.is_about(path))
    }
}

fn kept(owner: &str, why: &str) -> String {
    format!("{owner}'s word is not understood, and what it made is kept: {why}")
}

/// The folder of a path, and the name in it.
fn apart(path: &str) -> Option<(&str, &str)> {
    let (folder, name) = path.rsplit_once('/')?;
    (path.starts_with('/') && !name.is_empty()).then_some((if folder.is_empty() { "/" } else { folder }, name))
}

#[cfg(test)]
mod tests;
