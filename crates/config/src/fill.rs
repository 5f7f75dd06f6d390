//! How the value under a key becomes the field that it fills, and how a field is written out: once for each type of field.
//!
//! `fills!` ties each key of a mapping to a field of a type of the model, in the one line in which the key stands; from it
//! come the reader and the writer. What several values can be wrong in together is not said here.

pub(crate) mod choice;
mod names;
pub(crate) mod simple;
pub(crate) mod words;

use ansai_document::{
    Findings, Form, Node, Place, Scalar, Sources, Value, read,
    text::joined,
    written::{Fields, Written},
};
use ansai_keys::{Key, Shape};

/// Where a value is read: its line in the table, the key of the mapping around it, and who hears what is wrong.
pub(crate) struct At<'a, 's> {
    pub(crate) findings: &'a mut Findings<'s>,
    pub(crate) around: &'a str,
    pub(crate) key: &'static Key,
    pub(crate) inside: Inside<'a>,
}

/// Which part of what stands under a key.
#[derive(Clone, Copy)]
pub(crate) enum Inside<'a> {
    Whole,
    Item(usize),
    Name(&'a str),
}

impl At<'_, '_> {
    /// The whole key of the value.
    pub(crate) fn path(&self) -> String {
        let path = joined(self.around, self.key.name);
        match self.inside {
            Inside::Whole => path,
            Inside::Item(item) => format!("{path}[{item}]"),
            Inside::Name(name) => joined(&path, name),
        }
    }

    /// Something is wrong with the value.
    pub(crate) fn error(&mut self, place: Place, what: impl Into<String>, help: impl Into<String>) {
        let path = self.path();
        self.findings.error(place, &path, what, help.into());
    }
}

/// What the value under a key can become.
pub(crate) trait Held: Clone {
    /// Whether the default in the key's line holds for it when nothing is written; otherwise somebody else decides.
    const TAKES_DEFAULT: bool = true;

    /// The word that stands for nothing at all, of a value that may be absent.
    const NOTHING: Option<&'static str> = None;

    /// Reads what is written; of a mapping, what is not written stays as it is in `base`. Nothing when it is of the wrong
    /// form, which [`ansai_keys::check()`] has said, or wrong in itself, which is said here.
    fn read(at: &mut At<'_, '_>, node: &Node, base: Option<&Self>) -> Option<Self>;

    /// What holds when nothing is written and the key's line says nothing.
    fn unwritten() -> Option<Self> {
        None
    }

    /// As it is written out; nothing when it says no more than silence.
    fn write(&self, key: &'static Key) -> Option<Written>;
}

/// A type whose fields are filled by the keys of one mapping.
pub(crate) trait Filled: Sized {
    /// The keys, in the order in which people read them.
    const KEYS: &'static [Key];

    /// Reads the mapping; what is not written is as in `base`, or as the lines of the keys say.
    fn filled(findings: &mut Findings<'_>, node: &Node, path: &str, base: Option<&Self>) -> Option<Self>;

    /// Writes the mapping.
    fn fields(&self) -> Fields;

    /// With nothing written: what the lines of the keys say, when that is enough.
    fn shipped() -> Option<Self> {
        let nothing = Sources::default();
        Self::filled(&mut Findings::new(&nothing), &Node::null(Place::default()), "", None)
    }
}

/// What the mapping under a name fills; one that is not there is as one in which nothing is written.
pub(crate) fn section<T: Filled>(
    findings: &mut Findings<'_>,
    node: &Node,
    (around, name): (&str, &str),
    base: Option<&T>,
) -> Option<T> {
    let nothing = Node::null(node.place);
    T::filled(findings, node.section(name).unwrap_or(&nothing), &joined(around, name), base)
}

/// The mapping that fills a type.
pub(crate) const fn shape<T: Filled>(title: &'static str) -> Shape {
    Shape::of(title, T::KEYS)
}

/// What stands under a key of a mapping that has a default in its line; what is wrong with it is said elsewhere.
pub(crate) trait HeldUnder {
    /// The value under one of its keys.
    fn held<T: Held>(&'static self, node: &Node, name: &str) -> T {
        let unheard = Sources::default();
        self.heard(&mut Findings::new(&unheard), node, "", name)
    }

    /// The same; what is wrong with it is said here.
    fn heard<T: Held>(&'static self, findings: &mut Findings<'_>, node: &Node, around: &str, name: &str) -> T;

    /// Whether keys are missing that are needed; each is said.
    fn lacks(&self, findings: &mut Findings<'_>, node: &Node, around: &str) -> bool;
}

impl HeldUnder for Shape {
    fn heard<T: Held>(&'static self, findings: &mut Findings<'_>, node: &Node, around: &str, name: &str) -> T {
        let key = self.key(name).expect("a key of this mapping");
        field(findings, node, around, key, None).expect("its line has a default, as a test holds")
    }

    fn lacks(&self, findings: &mut Findings<'_>, node: &Node, around: &str) -> bool {
        self.keys.iter().filter(|key| lacks(findings, node, around, key)).count() > 0
    }
}

/// The default of a key's line as a value.
pub(crate) trait LineDefault {
    /// What is written, or the default of the key's line, which has one.
    fn or_default<T: Held>(&'static self, written: Option<T>) -> T {
        written.or_else(|| self.held()).expect("the line has a default that can be read, as a test holds")
    }

    /// The default; nothing when the line has none.
    fn held<T: Held>(&'static self) -> Option<T>;
}

impl LineDefault for Key {
    fn held<T: Held>(&'static self) -> Option<T> {
        let value = self.value()?;
        let node = match value.starts_with(['[', '{']) {
            true => read(value, Form::Yaml, 0).ok()?,
            false => Node::new(Value::Scalar(Scalar { text: value.to_owned(), is_text: false }), Place::default()),
        };
        // A test reads each of them: nothing is wrong with it.
        let nothing = Sources::default();
        T::read(
            &mut At { findings: &mut Findings::new(&nothing), around: "", key: self, inside: Inside::Whole },
            &node,
            None,
        )
    }
}

/// Whether a key is missing that is needed, which is said.
fn lacks(findings: &mut Findings<'_>, node: &Node, around: &str, key: &Key) -> bool {
    let Some((what, help)) = key.needed.filter(|_| !node.has(key.name)) else { return false };
    findings.lacks(node.place, (around, key.name), what, help.to_owned());
    true
}

/// The value of one field: what is written, else what stands below it, else the default of the key's line.
pub(crate) fn field<T: Held>(
    findings: &mut Findings<'_>,
    node: &Node,
    around: &str,
    key: &'static Key,
    base: Option<&T>,
) -> Option<T> {
    let written = node.get(key.name).filter(|written| !written.is_null());
    if base.is_none() && lacks(findings, node, around, key) {
        return None;
    }
    let below = || base.cloned().or_else(|| if T::TAKES_DEFAULT { key.held() } else { None });
    let found = written.and_then(|written| {
        // Of a mapping some keys may be written, and the others are as in what stands below it.
        let below = if written.map().is_some() { below() } else { None };
        T::read(&mut At { findings, around, key, inside: Inside::Whole }, written, below.as_ref())
    });
    found.or_else(below).or_else(T::unwritten)
}

/// Ties each key of a mapping to the field that it fills; behind `..` stands a field, or a pair of them, that several keys of
/// the mapping fill, which its type knows. A field that no key fills has its value behind `besides`; what several values can be wrong in
/// together is said by a function behind `checked`.
macro_rules! fills {
    (
        $type:ident {
            $($(.. $flat:ident: $part:ident)? $(.. ($one:ident, $other:ident): $pair:ident)? $($field:ident: $key:expr)?),*
        }
        $(besides { $($beside:ident: $value:expr),* $(,)? })? $(checked $check:path)?
    ) => {
        impl $crate::fill::Filled for $type {
            const KEYS: &'static [ansai_keys::Key] = {
                const LISTS: &[&[ansai_keys::Key]] =
                    &[$($(<$part as $crate::fill::Filled>::KEYS)? $(<$pair as $crate::fill::Filled>::KEYS)? $(&[$key])?),*];
                &ansai_keys::joined::<{ ansai_keys::count(LISTS) }>(LISTS)
            };

            fn filled(
                findings: &mut ansai_document::Findings<'_>,
                node: &ansai_document::Node,
                path: &str,
                base: Option<&Self>,
            ) -> Option<Self> {
                // Before any field has its name, which may be that of what makes a line.
                const LINES: &[ansai_keys::Key] = &[$($($key,)?)*];
                let mut lines = LINES.iter();
                $(
                    $(let $flat = <$part as $crate::fill::Filled>::filled(findings, node, path, base.map(|base| &base.$flat));)?
                    $(let ($one, $other) = <$pair as $crate::fill::Filled>::filled(findings, node, path, None).unzip();)?
                    $(let $field = $crate::fill::field(findings, node, path, lines.next()?, base.map(|base| &base.$field));)?
                )*
                $($(let $beside = base.map_or_else(|| $value, |base| base.$beside.clone());)*)?
                let made = Self { $($($flat: $flat?,)? $($one: $one?, $other: $other?,)? $($field: $field?,)?)* $($($beside,)*)? };
                $($check(findings, node, path, &made);)?
                Some(made)
            }

            fn fields(&self) -> ansai_document::written::Fields {
                let fields = ansai_document::written::Fields::default();
                $(
                    $(let fields = fields.and($crate::fill::Filled::fields(&self.$flat));)?
                    $(let fields = fields.and($crate::fill::Filled::fields(&(self.$one.clone(), self.$other.clone())));)?
                    $(let fields = $crate::fill::with(fields, &self.$field, const { &$key });)?
                )*
                fields
            }
        }

        $crate::fill::held_by_keys! { $type }
    };
}

/// Under a key that holds a mapping stands what the keys of the mapping fill.
macro_rules! held_by_keys {
    ($type:ident) => {
        impl $crate::fill::Held for $type {
            fn read(
                at: &mut $crate::fill::At<'_, '_>,
                node: &ansai_document::Node,
                base: Option<&Self>,
            ) -> Option<Self> {
                node.map()?;
                let path = at.path();
                <Self as $crate::fill::Filled>::filled(at.findings, node, &path, base)
            }

            fn unwritten() -> Option<Self> {
                <Self as $crate::fill::Filled>::shipped()
            }

            fn write(&self, _: &'static ansai_keys::Key) -> Option<ansai_document::written::Written> {
                Some($crate::fill::Filled::fields(self).done())
            }
        }
    };
}

/// With a field under its key.
pub(crate) fn with<T: Held>(fields: Fields, value: &T, key: &'static Key) -> Fields {
    fields.maybe(key.name, value.write(key))
}

pub(crate) use fills;
pub(crate) use held_by_keys;
pub(crate) use names::{Named, WEB};

#[cfg(test)]
mod tests;
