//! Every key that a configuration may hold, one line each: its name, its kind with its bounds, its meaning, its default, an
//! example, and, where [`crate::fill`] makes a value of it, the field that it fills.
//!
//! From that line come the check of the form ([`crate::form`]), the reader, the writer, the JSON schema, the reference page,
//! the shipped layer and what `explain` says of a key that is not written.
//! What the values mean together stands in `read/` and with the domains.

pub(crate) mod action;
pub(crate) mod agent;
pub(crate) mod config;
pub(crate) mod kind;
pub(crate) mod limits;
pub(crate) mod long;
pub(crate) mod notify;
pub(crate) mod probe;
pub(crate) mod shared;

use std::time::Duration;

use ansai_model::check::Check;

/// One key of a mapping.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// One sentence, without its full stop.
    pub(crate) meaning: &'static str,
    pub(crate) default: Unwritten,
    pub(crate) example: &'static str,
    /// What is said when it is missing and nothing else can stand in its place: what is wrong, and what to do.
    pub(crate) needed: Option<(&'static str, &'static str)>,
    /// The key of the file that holds when it is not written; empty when there is none.
    pub(crate) below: &'static str,
    /// Whether its defaults stand in the shipped layer, so that a person sees them there and a file replaces them.
    pub(crate) ships: bool,
}

/// What holds when a key is not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unwritten {
    /// Nothing, or what the mapping around it says.
    Nothing,
    /// This value, as an operator would write it.
    Value(&'static str),
    /// What these words say: it is found out, or stands elsewhere.
    Words(&'static str),
}

/// What a value must be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Truth,
    Text,
    /// One of some words, and what they are together.
    Word(&'static str, &'static [&'static str]),
    Whole {
        min: u64,
        max: u64,
    },
    Duration,
    /// A duration of which the shortest and the longest are these.
    Between {
        min: Duration,
        max: Duration,
    },
    Size,
    /// A share, as `80%`.
    Percent,
    /// A moment, as `2030-01-31T08:00:00Z`.
    Moment,
    /// A time of the day, as `03:30`.
    TimeOfDay,
    /// An absolute path.
    Path,
    /// One absolute path or several.
    Paths,
    /// An address of this host that nobody outside can reach.
    Loopback,
    /// Permission bits in octal digits.
    Mode,
    /// A reference to a secret.
    Secret,
    /// A web address, or a reference to one that is secret.
    Address,
    /// A mail server.
    Server,
    /// A probe in one text.
    ProbeText,
    /// A condition of a rule.
    Condition,
    /// One text or several.
    Texts,
    /// One status or several.
    Statuses,
    /// A program with its arguments.
    Argv,
    /// A mapping with these keys.
    Shape(&'static Shape),
    /// A short form, or a mapping with these keys.
    Short(&'static Kind, &'static Shape),
    /// A mapping from names to these.
    Named(&'static Kind),
    /// A list of these.
    List(&'static Kind),
}

/// The keys of one kind of mapping.
#[derive(Debug)]
pub(crate) struct Shape {
    /// What it is, as a heading.
    pub(crate) title: &'static str,
    pub(crate) keys: &'static [Key],
}

impl Shape {
    pub(crate) fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}

pub(crate) const fn key(name: &'static str, kind: Kind, meaning: &'static str) -> Key {
    Key { name, kind, meaning, default: Unwritten::Nothing, example: "", needed: None, below: "", ships: false }
}

/// How many keys several lists have, each name counted once.
pub(crate) const fn count(lists: &[&[Key]]) -> usize {
    let (mut count, mut index) = (0, 0);
    while index < lists.len() {
        let mut from = 0;
        while from < lists[index].len() {
            count += !is_before(lists, index, from) as usize;
            from += 1;
        }
        index += 1;
    }
    count
}

/// The keys of several lists as one; what belongs to several of them stands where it came first.
pub(crate) const fn joined<const N: usize>(lists: &[&[Key]]) -> [Key; N] {
    let mut all = [lists[0][0]; N];
    let (mut to, mut index) = (0, 0);
    while index < lists.len() {
        let mut from = 0;
        while from < lists[index].len() {
            if !is_before(lists, index, from) {
                all[to] = lists[index][from];
                to += 1;
            }
            from += 1;
        }
        index += 1;
    }
    all
}

/// Whether an earlier list has a key of the same name.
const fn is_before(lists: &[&[Key]], list: usize, at: usize) -> bool {
    let (name, mut index) = (lists[list][at].name.as_bytes(), 0);
    while index < list {
        let mut from = 0;
        while from < lists[index].len() {
            if is_same(lists[index][from].name.as_bytes(), name) {
                return true;
            }
            from += 1;
        }
        index += 1;
    }
    false
}

const fn is_same(one: &[u8], other: &[u8]) -> bool {
    let mut at = 0;
    while at < one.len() && at < other.len() && one[at] == other[at] {
        at += 1;
    }
    at == one.len() && at == other.len()
}

impl Key {
    /// With a value that holds when it is not written, as an operator would write it.
    pub(crate) const fn default(self, value: &'static str) -> Self {
        Self { default: Unwritten::Value(value), ..self }
    }

    /// With words for what holds when it is not written.
    pub(crate) const fn otherwise(self, words: &'static str) -> Self {
        Self { default: Unwritten::Words(words), ..self }
    }

    /// With the key of the file that holds when it is not written.
    pub(crate) const fn below(self, below: &'static str) -> Self {
        let default = match self.default {
            Unwritten::Nothing => Unwritten::Words("that of the file"),
            Unwritten::Value(_) | Unwritten::Words(_) => self.default,
        };
        Self { default, below, ..self }
    }

    pub(crate) const fn example(self, example: &'static str) -> Self {
        Self { example, ..self }
    }

    /// With what is said when it is missing.
    pub(crate) const fn needed(self, what: &'static str, help: &'static str) -> Self {
        Self { needed: Some((what, help)), ..self }
    }

    /// With its defaults in the shipped layer.
    pub(crate) const fn ships(self) -> Self {
        Self { ships: true, ..self }
    }

    /// The value that holds when it is not written, as an operator would write it.
    pub(crate) fn value(&self) -> Option<&'static str> {
        match self.default {
            #[cfg(test)]
            Unwritten::Value(value) => Some(changed::default(self).unwrap_or(value)),
            #[cfg(not(test))]
            Unwritten::Value(value) => Some(value),
            Unwritten::Nothing | Unwritten::Words(_) => None,
        }
    }

    /// What holds when it is not written: a value, or words.
    pub(crate) fn said(&self) -> Option<&'static str> {
        match self.default {
            Unwritten::Words(words) => Some(words),
            Unwritten::Nothing | Unwritten::Value(_) => self.value(),
        }
    }
}

pub(crate) const DAYS: &[&str] = &["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

pub(crate) const ANY: u64 = u32::MAX as u64;
/// The longest duration, so that no sum of some of them leaves the range of time.
pub(crate) const DURATION_MAX: Duration = Duration::from_secs(3_650 * 86_400);
/// The shortest duration in which anything can happen.
pub(crate) const DURATION_MIN: Duration = Duration::from_millis(1);
/// A period in which something is looked at.
pub(crate) const PERIOD: Kind = Kind::Between { min: Check::EVERY_MIN, max: DURATION_MAX };
/// A time in which something can be answered.
pub(crate) const PATIENCE: Kind = Kind::Between { min: DURATION_MIN, max: DURATION_MAX };
/// A count of which at least one is needed.
pub(crate) const COUNT: Kind = Kind::Whole { min: 1, max: ANY };
pub(crate) const PORT: Kind = Kind::Whole { min: 1, max: 65_535 };

#[cfg(test)]
pub(crate) mod changed;
#[cfg(test)]
mod tests;
