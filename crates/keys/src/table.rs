//! A line of a table, what its value must be, and a table: the keys of one kind of mapping. What is made of them is not
//! known here.

use std::time::Duration;

/// The longest duration, so that no sum of some of them leaves the range of time.
pub const DURATION_MAX: Duration = Duration::from_secs(3_650 * 86_400);
/// The shortest duration in which anything can happen.
pub const DURATION_MIN: Duration = Duration::from_millis(1);

/// One key of a mapping.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// As it is written.
    pub name: &'static str,
    /// What its value must be.
    pub kind: Kind,
    /// One sentence, without its full stop.
    pub meaning: &'static str,
    /// What holds when it is not written.
    pub default: Unwritten,
    /// A value, as it stands in a file; empty when its kind has one.
    pub example: &'static str,
    /// What is said when it is missing and nothing else can stand in its place: what is wrong, and what to do.
    pub needed: Option<(&'static str, &'static str)>,
    /// The key of the file that holds when it is not written; empty when there is none.
    pub below: &'static str,
    /// Whether its defaults stand in the shipped layer, so that a person sees them there and a file replaces them.
    pub ships: bool,
    /// Whether a list under it is written out even when it is empty.
    pub spells: bool,
    /// What an example of it needs.
    pub needs: Needs,
}

/// What an example of a key needs to be valid, each without the braces around it.
#[derive(Clone, Copy, Debug)]
pub struct Needs {
    /// What stands beside it in the place of what its mapping has beside each key.
    pub beside: Option<&'static str>,
    /// What stands beside it besides.
    pub also: &'static str,
    /// What the file must say elsewhere.
    pub elsewhere: &'static str,
}

/// What holds when a key is not written.
#[derive(Clone, Copy, Debug)]
pub enum Unwritten {
    /// Nothing, or what the mapping around it says.
    Nothing,
    /// This value, as an operator would write it.
    Value(&'static str),
    /// What these words say: it is found out, or stands elsewhere. Each `{}` in them is one of the figures that follow, as
    /// they are where they are used.
    Words(&'static str, &'static [fn() -> String]),
}

/// What a value must be.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// True or false.
    Truth,
    /// One text.
    Text,
    /// One of some words, and what they are together.
    Word(&'static str, &'static [&'static str]),
    /// A whole number within these bounds.
    Whole {
        /// The least.
        min: u64,
        /// The most.
        max: u64,
    },
    /// A duration.
    Duration,
    /// A duration of which the shortest and the longest are these.
    Between {
        /// The shortest.
        min: Duration,
        /// The longest.
        max: Duration,
    },
    /// A size in bytes.
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
    /// A text of a form of its own.
    Special(&'static Special),
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

/// A text of a form of its own.
#[derive(Debug)]
pub struct Special {
    /// What it is, with its article.
    pub expected: &'static str,
    /// How it is written, as an order.
    pub how: &'static str,
    /// One of them, as it stands in a file.
    pub example: &'static str,
    /// How it may begin; none when nothing is known of that.
    pub beginnings: fn() -> Vec<String>,
    /// What is wrong with one, and what to do, as far as that can be told from the text alone.
    pub wrong: fn(&str) -> Option<(String, String)>,
}

impl Special {
    /// Any text.
    pub const TEXT: Self = Self {
        expected: "a text",
        how: "write one text, in quotes when it holds other characters than letters and digits",
        example: "text",
        beginnings: Vec::new,
        wrong: |_| None,
    };
}

/// The keys of one kind of mapping.
#[derive(Debug)]
pub struct Shape {
    /// What it is, as a heading.
    pub title: &'static str,
    /// Each of them, in the order in which people read them.
    pub keys: &'static [Key],
    /// What stands beside each in its example, without braces; nothing says that those do that are needed.
    pub beside: Option<&'static str>,
}

impl Needs {
    const NOTHING: Self = Self { beside: None, also: "", elsewhere: "" };
}

impl Shape {
    /// A mapping with these keys.
    pub const fn of(title: &'static str, keys: &'static [Key]) -> Self {
        Self { title, keys, beside: None }
    }

    /// With what stands beside each of them in its example.
    pub const fn beside(self, beside: &'static str) -> Self {
        Self { beside: Some(beside), ..self }
    }

    /// One of them, by its name.
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}

/// A line of a table.
pub const fn key(name: &'static str, kind: Kind, meaning: &'static str) -> Key {
    Key {
        name,
        kind,
        meaning,
        default: Unwritten::Nothing,
        example: "",
        needed: None,
        below: "",
        ships: false,
        spells: false,
        needs: Needs::NOTHING,
    }
}

/// How many keys several lists have, each name counted once.
pub const fn count(lists: &[&[Key]]) -> usize {
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
pub const fn joined<const N: usize>(lists: &[&[Key]]) -> [Key; N] {
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
    pub const fn default(self, value: &'static str) -> Self {
        Self { default: Unwritten::Value(value), ..self }
    }

    /// With words for what holds when it is not written.
    pub const fn otherwise(self, words: &'static str) -> Self {
        self.otherwise_of(words, &[])
    }

    /// The same; each `{}` in the words is one of these figures.
    pub const fn otherwise_of(self, words: &'static str, figures: &'static [fn() -> String]) -> Self {
        Self { default: Unwritten::Words(words, figures), ..self }
    }

    /// With the key of the file that holds when it is not written.
    pub const fn below(self, below: &'static str) -> Self {
        let default = match self.default {
            Unwritten::Nothing => Unwritten::Words("that of the file", &[]),
            Unwritten::Value(_) | Unwritten::Words(..) => self.default,
        };
        Self { default, below, ..self }
    }

    /// With an example.
    pub const fn example(self, example: &'static str) -> Self {
        Self { example, ..self }
    }

    /// With what is said when it is missing.
    pub const fn needed(self, what: &'static str, help: &'static str) -> Self {
        Self { needed: Some((what, help)), ..self }
    }

    /// With its defaults in the shipped layer.
    pub const fn ships(self) -> Self {
        Self { ships: true, ..self }
    }

    /// With its list written out even when it is empty.
    pub const fn spelled(self) -> Self {
        Self { spells: true, ..self }
    }

    /// With what stands beside it in its example, in the place of what does beside each key of its mapping.
    pub const fn beside(self, beside: &'static str) -> Self {
        Self { needs: Needs { beside: Some(beside), ..self.needs }, ..self }
    }

    /// With what stands beside it in its example besides.
    pub const fn also(self, also: &'static str) -> Self {
        Self { needs: Needs { also, ..self.needs }, ..self }
    }

    /// With what the file of its example must say elsewhere.
    pub const fn elsewhere(self, elsewhere: &'static str) -> Self {
        Self { needs: Needs { elsewhere, ..self.needs }, ..self }
    }

    /// The value that holds when it is not written, as an operator would write it.
    pub fn value(&self) -> Option<&'static str> {
        match self.default {
            #[cfg(feature = "changed")]
            Unwritten::Value(value) => Some(crate::changed::default(self).unwrap_or(value)),
            #[cfg(not(feature = "changed"))]
            Unwritten::Value(value) => Some(value),
            Unwritten::Nothing | Unwritten::Words(..) => None,
        }
    }

    /// What holds when it is not written: a value, or words.
    pub fn said(&self) -> Option<String> {
        match self.default {
            Unwritten::Words(words, figures) => {
                Some(figures.iter().fold(words.to_owned(), |words, figure| words.replacen("{}", &figure(), 1)))
            }
            Unwritten::Nothing | Unwritten::Value(_) => self.value().map(str::to_owned),
        }
    }
}
