//! Fields that hold one simple value, several, or perhaps none.

use std::{collections::BTreeMap, time::Duration};

use ansai_document::{
    Node, Value, units,
    written::{self, Fields, Written},
};
use ansai_model::{
    probe::CommandLine,
    time::WallTime,
    units::{ByteSize, Percent},
};

use super::{At, Held, Inside};
use ansai_keys::{Key, Kind};

use crate::fill::LineDefault;

impl<T: Held> Held for Option<T> {
    // Whoever asks decides what holds.
    const TAKES_DEFAULT: bool = false;

    fn read(at: &mut At<'_, '_>, node: &Node, base: Option<&Self>) -> Option<Self> {
        if T::NOTHING.is_some() && node.text() == T::NOTHING {
            return Some(None);
        }
        T::read(at, node, base.and_then(Option::as_ref)).map(Some)
    }

    fn unwritten() -> Option<Self> {
        Some(None)
    }

    fn write(&self, key: &'static Key) -> Option<Written> {
        self.as_ref().and_then(|value| value.write(key))
    }
}

impl<T: Held> Held for Box<T> {
    fn read(at: &mut At<'_, '_>, node: &Node, base: Option<&Self>) -> Option<Self> {
        T::read(at, node, base.map(AsRef::as_ref)).map(Self::new)
    }

    fn write(&self, key: &'static Key) -> Option<Written> {
        (**self).write(key)
    }
}

/// One or several; each item of the wrong form is left out.
impl<T: Held> Held for Vec<T> {
    fn read(at: &mut At<'_, '_>, node: &Node, _: Option<&Self>) -> Option<Self> {
        match &node.value {
            Value::List(items) => {
                let is_list = matches!(at.key.kind, Kind::List(_));
                let mut read = |(index, item)| {
                    at.inside = if is_list { Inside::Item(index) } else { Inside::Whole };
                    T::read(at, item, None)
                };
                Some(items.iter().enumerate().filter_map(&mut read).collect())
            }
            Value::Scalar(_) if matches!(at.key.kind, Kind::Texts | Kind::Paths | Kind::Statuses) => {
                T::read(at, node, None).map(|one| vec![one])
            }
            Value::Scalar(_) | Value::Map(_) => None,
        }
    }

    fn unwritten() -> Option<Self> {
        Some(Self::new())
    }

    fn write(&self, key: &'static Key) -> Option<Written> {
        // What is needed must be there to be read back, even when it is empty.
        let is_silent = self.is_empty() && key.needed.is_none() && !key.spells;
        (!is_silent).then(|| Written::List(self.iter().filter_map(|item| item.write(key)).collect()))
    }
}

/// Names of the operator's, each with a value; one of the wrong form is left out.
impl<T: Held> Held for BTreeMap<String, T> {
    fn read(at: &mut At<'_, '_>, node: &Node, _: Option<&Self>) -> Option<Self> {
        let mut read = Self::new();
        for (name, entry) in node.map()? {
            let (findings, inside) = (&mut *at.findings, Inside::Name(name));
            let value = T::read(&mut At { findings, around: at.around, key: at.key, inside }, &entry.node, None);
            read.extend(value.map(|value| (name.clone(), value)));
        }
        Some(read)
    }

    fn unwritten() -> Option<Self> {
        Some(Self::new())
    }

    fn write(&self, key: &'static Key) -> Option<Written> {
        let entries = self.iter().filter_map(|(name, value)| Some((name.clone(), value.write(key)?)));
        (!self.is_empty()).then(|| Written::Map(entries.collect()))
    }
}

impl Held for bool {
    fn read(_: &mut At<'_, '_>, node: &Node, _: Option<&Self>) -> Option<Self> {
        node.plain()?.parse().ok()
    }

    fn write(&self, key: &'static Key) -> Option<Written> {
        // What holds anyway is said all the same where it is not silence: a long form needs no defaults to be understood.
        let is_silent = !*self && key.held() == Some(false);
        (!is_silent).then(|| Written::plain(self))
    }
}

/// A whole number within the bounds of its kind.
macro_rules! whole {
    ($($type:ty),*) => {$(
        impl Held for $type {
            fn read(at: &mut At<'_, '_>, node: &Node, _: Option<&Self>) -> Option<Self> {
                let number: u64 = node.plain()?.parse().ok()?;
                match at.key.kind {
                    Kind::Whole { min, max } if !(min..=max).contains(&number) => None,
                    _ => Self::try_from(number).ok(),
                }
            }

            fn write(&self, _: &'static Key) -> Option<Written> {
                Some(Written::plain(self))
            }
        }
    )*};
}
whole!(u16, u64);

/// A whole number, or permission bits.
impl Held for u32 {
    fn read(at: &mut At<'_, '_>, node: &Node, _: Option<&Self>) -> Option<Self> {
        match at.key.kind {
            Kind::Mode => units::read_mode(node.text()?),
            _ => u64::read(at, node, None).and_then(|number| Self::try_from(number).ok()),
        }
    }

    fn write(&self, key: &'static Key) -> Option<Written> {
        Some(match key.kind {
            Kind::Mode => Written::Text(format!("0{self:o}")),
            _ => Written::plain(self),
        })
    }
}

/// A text, or a path.
impl Held for String {
    fn read(at: &mut At<'_, '_>, node: &Node, _: Option<&Self>) -> Option<Self> {
        let text = node.text()?;
        let is_right = match at.key.kind {
            Kind::Path | Kind::Paths => text.starts_with('/'),
            Kind::Special(special) => (special.wrong)(text).is_none(),
            _ => true,
        };
        is_right.then(|| text.to_owned())
    }

    fn write(&self, _: &'static Key) -> Option<Written> {
        Some(Written::text(self))
    }
}

impl Held for Box<str> {
    fn read(_: &mut At<'_, '_>, node: &Node, _: Option<&Self>) -> Option<Self> {
        node.text().map(Into::into)
    }

    fn write(&self, _: &'static Key) -> Option<Written> {
        Some(Written::text(self))
    }
}

impl Held for Duration {
    fn read(at: &mut At<'_, '_>, node: &Node, _: Option<&Self>) -> Option<Self> {
        let found = units::read_duration(node.text()?)?;
        match at.key.kind {
            Kind::Between { min, max } if !(min..=max).contains(&found) => None,
            _ => Some(found),
        }
    }

    fn write(&self, _: &'static Key) -> Option<Written> {
        Some(written::time(*self))
    }
}

impl Held for ByteSize {
    fn read(_: &mut At<'_, '_>, node: &Node, _: Option<&Self>) -> Option<Self> {
        units::read_bytes(node.text()?)
    }

    fn write(&self, _: &'static Key) -> Option<Written> {
        Some(written::size(*self))
    }
}

impl Held for Percent {
    fn read(_: &mut At<'_, '_>, node: &Node, _: Option<&Self>) -> Option<Self> {
        units::read_percent(node.text()?)
    }

    fn write(&self, _: &'static Key) -> Option<Written> {
        Some(Written::Plain(units::shown_percent(*self)))
    }
}

impl Held for WallTime {
    fn read(_: &mut At<'_, '_>, node: &Node, _: Option<&Self>) -> Option<Self> {
        units::read_moment(node.text()?)
    }

    fn write(&self, _: &'static Key) -> Option<Written> {
        Some(Written::Text(units::shown_moment(*self)))
    }
}

/// A list of words, or its long form.
impl Held for CommandLine {
    fn read(_: &mut At<'_, '_>, node: &Node, _: Option<&Self>) -> Option<Self> {
        command_of(node)
    }

    fn write(&self, _: &'static Key) -> Option<Written> {
        Some(command(self))
    }
}

/// A command, written out.
pub(crate) fn command(line: &CommandLine) -> Written {
    let argv = Written::texts(&line.argv);
    if line.environment.is_empty() && line.user.is_none() && line.directory.is_none() {
        return argv;
    }
    Fields::default()
        .put("argv", argv)
        .maybe("environment", written::table(&line.environment))
        .maybe("user", line.user.as_ref().map(Written::text))
        .maybe("directory", line.directory.as_ref().map(Written::text))
        .done()
}

/// The command under a key: a list of words, or its long form.
pub(crate) fn command_at(node: &Node, name: &str) -> Option<CommandLine> {
    node.get(name).and_then(command_of)
}

/// The same as this node.
pub(crate) fn command_of(node: &Node) -> Option<CommandLine> {
    let words = |list: &[Node]| -> Option<Vec<String>> {
        // An empty argument is one as well; the program's name is not.
        let word = |node: &Node| match &node.value {
            Value::Scalar(scalar) => Some(scalar.text.clone()),
            Value::List(_) | Value::Map(_) => None,
        };
        let words: Vec<String> = list.iter().map(word).collect::<Option<_>>()?;
        words.first().is_some_and(|first| !first.is_empty()).then_some(words)
    };
    match &node.value {
        Value::List(list) => words(list).map(CommandLine::new),
        Value::Map(_) => Some(CommandLine {
            argv: words(node.items("argv"))?,
            environment: node.table_at("environment"),
            user: node.string_at("user"),
            directory: node.path_at("directory"),
        }),
        Value::Scalar(_) => None,
    }
}
