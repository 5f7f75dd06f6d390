//! Every key that a configuration may hold, in one table: its kind, its meaning, its default, an example.
//!
//! From it come the check of the form ([`crate::form`]), the JSON schema and the reference page.
//! What the values mean together stands in `read/` and `deduce.rs`.

mod long;
mod short;

pub(crate) use long::{ACTION, COMMAND, STEP};
pub(crate) use short::{CONFIG, POLICY, QUIET_HOURS, SERVICE};

/// One key of a mapping.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// One sentence, without its full stop.
    pub(crate) meaning: &'static str,
    /// What holds when it is not written; empty when `defaults.yaml` says it, or when nothing does.
    pub(crate) default: &'static str,
    pub(crate) example: &'static str,
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
    Size,
    /// A share, as `80%`.
    Percent,
    /// A moment, as `2030-01-31T08:00:00Z`.
    Moment,
    /// A time of the day, as `03:30`.
    TimeOfDay,
    /// An absolute path.
    Path,
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
    Key { name, kind, meaning, default: "", example: "" }
}

/// How many keys several lists have.
const fn count(lists: &[&[Key]]) -> usize {
    let (mut count, mut index) = (0, 0);
    while index < lists.len() {
        count += lists[index].len();
        index += 1;
    }
    count
}

/// The keys of several lists as one.
const fn joined<const N: usize>(lists: &[&[Key]]) -> [Key; N] {
    let mut all = [lists[0][0]; N];
    let (mut to, mut index) = (0, 0);
    while index < lists.len() {
        let mut from = 0;
        while from < lists[index].len() {
            all[to] = lists[index][from];
            (to, from) = (to + 1, from + 1);
        }
        index += 1;
    }
    all
}

impl Key {
    pub(crate) const fn default(self, default: &'static str) -> Self {
        Self { default, ..self }
    }

    pub(crate) const fn example(self, example: &'static str) -> Self {
        Self { example, ..self }
    }
}

pub(crate) const AUTONOMY: &[&str] = &["observe", "suggest", "approve", "act"];
pub(crate) const SEVERITY: &[&str] = &["now", "day", "week"];
pub(crate) const DAYS: &[&str] = &["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

const ANY: u64 = u32::MAX as u64;
/// A count of which at least one is needed.
const COUNT: Kind = Kind::Whole { min: 1, max: ANY };
const PORT: Kind = Kind::Whole { min: 1, max: 65_535 };
pub(crate) const AUTONOMIES: Kind = Kind::Word("autonomy", AUTONOMY);
pub(crate) const SEVERITIES: Kind = Kind::Word("severity", SEVERITY);
pub(crate) const COMMAND_LINE: Kind = Kind::Short(&Kind::Argv, &COMMAND);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_a_meaning_and_a_name_of_its_own() {
        fn check(kind: &Kind, depth: usize) {
            match kind {
                Kind::Shape(shape) | Kind::Short(_, shape) if depth < 12 => {
                    for (index, key) in shape.keys.iter().enumerate() {
                        assert!(!key.meaning.is_empty() && !key.meaning.ends_with('.'), "{}", key.name);
                        assert!(shape.keys[..index].iter().all(|earlier| earlier.name != key.name), "{}", key.name);
                        check(&key.kind, depth + 1);
                    }
                }
                Kind::Named(kind) | Kind::List(kind) => check(kind, depth + 1),
                _ => {}
            }
        }
        check(&Kind::Shape(&CONFIG), 0);
    }
}
