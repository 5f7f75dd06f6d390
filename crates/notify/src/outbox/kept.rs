//! The files of the outbox: a message each, those that were given up, and a short memory of those that are done.

use std::{
    collections::{BTreeMap, VecDeque},
    fs, io,
    path::{Path, PathBuf},
};

use ansai_model::{
    id::{IncidentId, RouteId},
    message::MessageKey,
    notify::Notice,
    text::Text,
    time::WallTime,
};
use serde::{Deserialize, Serialize};

use super::{
    duty::Given,
    handing::ToldOn,
    plan::{MESSAGES_MAX, Queued},
};
use crate::durable::{create_private_dir, read_bounded, write_atomically};

/// Largest message; a report with every part full has less than half of it.
const MESSAGE_BYTES_MAX: u64 = 1 << 20;
/// How many deliveries are remembered, so that a dispatch repeated after a crash counts once.
const DONE_MAX: usize = 512;
/// Most messages that are told from memory, for want of room on the disk: of some kilobytes each.
const UNKEPT_MAX: usize = 64;
/// The file that says which messages are not the host's any more.
const GIVEN: &str = "given.json";
/// Most files kept in `dead/`; the oldest go.
const DEAD_MAX: usize = 200;

/// A message in its file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Stored {
    /// The number under which the engine dispatched it.
    pub(super) dispatch: u64,
    /// The route on which it is sent now.
    pub(super) route: RouteId,
    /// Routes that failed it before.
    pub(super) tried: Vec<RouteId>,
    /// Failures on all routes.
    pub(super) failures: u32,
    /// Recipients of whom nothing is left to do: they have it, or never will.
    #[serde(default)]
    pub(super) done: Vec<String>,
    /// The message.
    pub(super) notice: Notice,
}

/// What makes a message the same one. The opening of the incident is part of it: numbers begin again when the ledger
/// was moved away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct DoneKey {
    dispatch: u64,
    route: RouteId,
    incident: IncidentId,
    opened: WallTime,
}

/// What became of a message of which nothing is left to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Done {
    #[serde(flatten)]
    key: DoneKey,
    /// The route that took it in place of its own, when one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    on: Option<RouteId>,
    /// The controller that has it, when it was given away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    given_to: Option<Text>,
}

impl Done {
    fn told_on(&self) -> ToldOn {
        let own = &self.key.route;
        match &self.on {
            Some(on) => ToldOn { route: on.clone(), instead_of: Some(own.clone()) },
            None => ToldOn { route: own.clone(), instead_of: None },
        }
    }
}

impl DoneKey {
    /// The message, on whatever route.
    fn message(&self) -> MessageKey {
        MessageKey { dispatch: self.dispatch, incident: self.incident, opened: self.opened }
    }

    pub(super) fn of(stored: &Stored) -> Self {
        Self {
            dispatch: stored.dispatch,
            route: stored.tried.first().unwrap_or(&stored.route).clone(),
            incident: stored.notice.report.incident,
            opened: stored.notice.report.opened.wall,
        }
    }

    /// The same, without its file.
    pub(super) fn of_queued(queued: &Queued) -> Self {
        let Queued { dispatch, origin, incident, opened, .. } = queued;
        Self { dispatch: *dispatch, route: origin.clone(), incident: *incident, opened: *opened }
    }
}

/// The messages with their numbers, and why others could not be read.
type Scanned = (Vec<(u64, Stored)>, Vec<String>);

pub(super) struct Kept {
    dir: PathBuf,
    done: VecDeque<Done>,
    /// Messages for which there is no room on the disk: they are told all the same, as long as the agent runs.
    unkept: BTreeMap<u64, Stored>,
    /// How far messages have come whose files say less, since they could not be written again: nobody is told twice.
    ahead: BTreeMap<u64, Progress>,
}

/// What changes of a message while it waits.
struct Progress {
    route: RouteId,
    tried: Vec<RouteId>,
    failures: u32,
    done: Vec<String>,
}

impl Progress {
    fn of(stored: &Stored) -> Self {
        let Stored { route, tried, failures, done, .. } = stored.clone();
        Self { route, tried, failures, done }
    }

    fn over(&self, stored: Stored) -> Stored {
        let (route, tried, done) = (self.route.clone(), self.tried.clone(), self.done.clone());
        Stored { route, tried, failures: self.failures, done, ..stored }
    }
}

impl Kept {
    pub(super) fn open(dir: &Path) -> Self {
        // A memory that cannot be read is an empty one: the worst is a message told twice.
        let done = read_bounded(&dir.join("done.json"), MESSAGE_BYTES_MAX)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default();
        Self { dir: dir.to_owned(), done, unkept: BTreeMap::new(), ahead: BTreeMap::new() }
    }

    /// The messages in order of their numbers; what cannot be read is put aside.
    pub(super) fn scan(&mut self) -> Scanned {
        let (mut messages, mut unreadable) = (Vec::new(), Vec::new());
        let mut numbers: Vec<u64> = match fs::read_dir(&self.dir) {
            Ok(entries) => entries.flatten().filter_map(|entry| number_of(entry.file_name().to_str()?)).collect(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => {
                unreadable.push(format!("what waits in {} is not known: {error}", self.dir.display()));
                Vec::new()
            }
        };
        numbers.sort_unstable();
        for number in numbers.into_iter().take(MESSAGES_MAX) {
            match self.read(number) {
                Ok(stored) => messages.push((number, stored)),
                Err(why) => {
                    self.bury(number);
                    unreadable.push(why);
                }
            }
        }
        (messages, unreadable)
    }

    pub(super) fn read(&self, number: u64) -> Result<Stored, String> {
        if let Some(stored) = self.unkept.get(&number) {
            return Ok(stored.clone());
        }
        let path = self.path(number);
        let bytes = read_bounded(&path, MESSAGE_BYTES_MAX).map_err(|error| format!("{}: {error}", path.display()))?;
        let stored: Stored = serde_json::from_slice(&bytes).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(match self.ahead.get(&number) {
            Some(progress) => progress.over(stored),
            None => stored,
        })
    }

    /// Keeps a message, on the disk when there is room, else in memory while there is.
    ///
    /// # Errors
    /// When it is not on the disk.
    pub(super) fn write(&mut self, number: u64, stored: &Stored) -> Result<(), (PathBuf, io::Error)> {
        let path = self.path(number);
        let bytes = serde_json::to_vec(stored).map_err(|error| (path.clone(), error.into()))?;
        match write_atomically(&path, &bytes) {
            Ok(()) => {
                self.unkept.remove(&number);
                self.ahead.remove(&number);
                Ok(())
            }
            Err(error) => {
                // One a file: there are no more of them than messages.
                if path.is_file() {
                    self.ahead.insert(number, Progress::of(stored));
                } else if self.unkept.len() < UNKEPT_MAX || self.unkept.contains_key(&number) {
                    self.unkept.insert(number, stored.clone());
                }
                Err((path, error))
            }
        }
    }

    /// Whether a message is only in memory.
    pub(super) fn is_unkept(&self, number: u64) -> bool {
        self.unkept.contains_key(&number)
    }

    /// Takes a message away without remembering it.
    pub(super) fn remove(&mut self, number: u64) {
        self.unkept.remove(&number);
        self.ahead.remove(&number);
        // What cannot be removed is delivered again after a restart, which is better than not at all.
        let _ = fs::remove_file(self.path(number));
    }

    /// The messages that are not the host's any more.
    pub(super) fn given(&self) -> Vec<Given> {
        // A memory that cannot be read is an empty one: the worst is a message told twice.
        let given = read_bounded(&self.dir.join(GIVEN), MESSAGE_BYTES_MAX).ok();
        given.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    /// Keeps which messages are not the host's any more: of one that goes on several routes all at once.
    ///
    /// # Errors
    /// When that is not on the disk; what was there before counts.
    pub(super) fn keep_given(&self, given: &[Given]) -> io::Result<()> {
        write_atomically(&self.dir.join(GIVEN), &serde_json::to_vec(given)?)
    }

    /// On which routes messages about an incident were told, and to whom they were given, by their numbers.
    pub(super) fn done_of(&self, key: impl Fn(MessageKey) -> bool) -> Vec<(u64, ToldOn, Option<&Text>)> {
        let all = self.done.iter().filter(|done| key(done.key.message()));
        all.map(|done| (done.key.dispatch, done.told_on(), done.given_to.as_ref())).collect()
    }

    /// Whether this route has taken a message, as its own or in place of another.
    pub(super) fn is_told_on(&self, key: MessageKey, route: &RouteId) -> bool {
        self.done.iter().any(|done| {
            done.given_to.is_none() && done.key.message() == key && done.on.as_ref().unwrap_or(&done.key.route) == route
        })
    }

    /// Remembers messages as done and takes them away. `on` is the route that took them, `given_to` the controller that has
    /// them, when one has.
    pub(super) fn finish(&mut self, messages: Vec<(u64, DoneKey)>, on: Option<&RouteId>, given_to: Option<&Text>) {
        let (numbers, keys): (Vec<u64>, Vec<DoneKey>) = messages.into_iter().unzip();
        self.done.extend(keys.into_iter().map(|key| {
            let on = on.filter(|on| **on != key.route).cloned();
            Done { key, on, given_to: given_to.cloned() }
        }));
        while self.done.len() > DONE_MAX {
            self.done.pop_front();
        }
        if let Ok(bytes) = serde_json::to_vec(&self.done) {
            // On a full disk the memory stays older; the worst is a message told twice.
            let _ = write_atomically(&self.dir.join("done.json"), &bytes);
        }
        for number in numbers {
            self.remove(number);
        }
    }

    /// Whether a message was delivered or given up before.
    pub(super) fn is_done(&self, stored: &Stored) -> bool {
        let key = DoneKey::of(stored);
        self.done.iter().any(|done| done.key == key)
    }

    /// Puts a message aside for a person to look at.
    pub(super) fn bury(&mut self, number: u64) {
        let dead = self.dir.join("dead");
        // Where it cannot be made, what is given up is let go.
        let _ = create_private_dir(&dead);
        if fs::rename(self.path(number), dead.join(file_name(number))).is_err() {
            return self.remove(number);
        }
        self.ahead.remove(&number);
        let mut numbers: Vec<u64> = fs::read_dir(&dead)
            .into_iter()
            .flatten()
            .filter_map(|entry| number_of(entry.ok()?.file_name().to_str()?))
            .collect();
        numbers.sort_unstable();
        let surplus = numbers.len().saturating_sub(DEAD_MAX);
        for number in numbers.into_iter().take(surplus) {
            let _ = fs::remove_file(dead.join(file_name(number)));
        }
    }

    fn path(&self, number: u64) -> PathBuf {
        self.dir.join(file_name(number))
    }
}

fn file_name(number: u64) -> String {
    format!("{number:012}.json")
}

fn number_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".json")?;
    if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse().ok() } else { None }
}
