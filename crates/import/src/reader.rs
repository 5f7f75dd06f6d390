//! Reads one mapping of the old file: a value of the wrong kind, a misspelled key or word is said with its place.
//! What a key means stands with whoever asks for it.

use ansai_document::{Entry, Findings, Node, Place, nearest_name};
use ansai_model::id::UnitName;

use crate::{
    notes::{Fate, Notes},
    words::shown,
};

/// Longest text that is carried over, in bytes.
const TEXT_BYTES_MAX: usize = 1_000;
/// Endings that make a name a unit's.
const UNIT_ENDINGS: &[&str] = &[".service", ".socket", ".timer", ".mount", ".path"];
/// Longest name of a unit: what is made of it has at most 255 bytes.
const NAME_BYTES_MAX: usize = 200;

/// One mapping of the old file with what is wrong in it.
pub(crate) struct Reader<'r, 'f, 's> {
    pub(crate) findings: &'f mut Findings<'s>,
    pub(crate) node: &'r Node,
    /// What stands before its keys, as `monitored_services[0].`.
    pub(crate) prefix: String,
}

impl Reader<'_, '_, '_> {
    pub(crate) fn wrong(&mut self, place: Place, key: &str, what: impl Into<String>, help: impl Into<String>) {
        let key = format!("{}{}", self.prefix, shown(key));
        self.findings.error(place, &key, what, Some(help.into()));
    }

    /// The value of a key; nothing when it is missing, null or an empty text.
    pub(crate) fn value(&self, key: &str) -> Option<Node> {
        let node = self.node.get(key)?;
        (!node.is_null() && node.text() != Some("")).then(|| node.clone())
    }

    /// Where a key stands.
    pub(crate) fn key_place(&self, key: &str) -> Place {
        self.node.map().and_then(|map| map.get(key)).map_or(self.node.place, |entry| entry.key)
    }

    /// A text that is written out: a template of Ansible's has no value here.
    pub(crate) fn text(&mut self, key: &str) -> Option<String> {
        let node = self.value(key)?;
        let Some(text) = node.text() else {
            self.wrong(node.place, key, format!("`{key}` is {}, and must be a text", node.kind()), "write one text");
            return None;
        };
        if text.contains("{{") {
            let help = "write the value itself: variables of Ansible have none here";
            self.wrong(node.place, key, format!("`{key}` is a template"), help);
            return None;
        }
        if text.len() > TEXT_BYTES_MAX || text.chars().any(char::is_control) {
            let what = format!("`{key}` is longer than {TEXT_BYTES_MAX} bytes, or has more than one line");
            self.wrong(node.place, key, what, "write one short line");
            return None;
        }
        Some(text.to_owned())
    }

    pub(crate) fn truth(&mut self, key: &str) -> Option<bool> {
        let node = self.value(key)?;
        match node.plain().map(str::to_ascii_lowercase).as_deref() {
            Some("true" | "yes" | "on") => Some(true),
            Some("false" | "no" | "off") => Some(false),
            _ => {
                self.wrong(node.place, key, format!("`{key}` is neither true nor false"), "write true or false");
                None
            }
        }
    }

    /// A number from 1 to a largest one.
    pub(crate) fn number(&mut self, key: &str, most: u64) -> Option<u64> {
        let node = self.value(key)?;
        let number = node.text().and_then(|text| text.parse().ok()).filter(|number| (1..=most).contains(number));
        if number.is_none() {
            self.wrong(node.place, key, format!("`{key}` is no number from 1 to {most}"), "write a whole number");
        }
        number
    }

    /// One of some words.
    pub(crate) fn word(&mut self, key: &str, words: &[&'static str]) -> Option<&'static str> {
        let (text, place) = (self.text(key)?, self.value(key)?.place);
        let found = words.iter().find(|word| **word == text);
        if found.is_none() {
            let what = format!("`{}` is no value of `{key}`", shown(&text));
            self.wrong(place, key, what, one_of(&text, words));
        }
        found.copied()
    }

    /// The keys that nobody knows: a misspelled one is wrong, any other is somebody else's.
    pub(crate) fn strangers(
        &mut self,
        notes: &mut Notes<'_>,
        known: impl IntoIterator<Item = &'static str> + Clone,
        is_known: fn(&str) -> bool,
    ) {
        let is_listed = |name: &str| known.clone().into_iter().any(|known| known == name);
        let strange = |(name, _): &(&String, &Entry)| !is_listed(name) && !is_known(name);
        let map = self.node.map().into_iter().flatten().filter(strange);
        let strangers: Vec<(String, Place)> = map.map(|(name, entry)| (name.clone(), entry.key)).collect();
        for (name, place) in strangers {
            match nearest_name(&name, known.clone()).filter(|near| self.node.get(near).is_none()) {
                Some(near) => {
                    let what = format!("there is no key `{}`", shown(&name));
                    self.wrong(place, &name, what, format!("did you mean `{near}`?"));
                }
                None => {
                    let why = "the predecessor has no such key, so nothing is known of its meaning";
                    let instead = "nothing, when something else reads it";
                    notes.add(Fate::Dropped, place, &format!("{}{name}", self.prefix), why, instead);
                }
            }
        }
    }

    /// The unit that is meant by a name, or what is wrong with it; without an ending that is a unit's it is a service.
    pub(crate) fn unit_name(&mut self, key: &str, name: &str, place: Place) -> Option<String> {
        let has_ending =
            UNIT_ENDINGS.iter().any(|ending| name.strip_suffix(ending).is_some_and(|stem| !stem.is_empty()));
        let unit = if has_ending { name.to_owned() } else { format!("{name}.service") };
        let is_fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '-' | '_' | '.' | '\\' | '@');
        if name.len() <= NAME_BYTES_MAX && name.chars().all(is_fine) && UnitName::new(&unit).is_ok() {
            return Some(unit);
        }
        let help = "write the name as `systemctl status NAME` takes it";
        self.wrong(place, key, format!("`{}` is no name of a unit", shown(name)), help);
        None
    }
}

/// The nearest word, or all of them.
pub(crate) fn one_of(text: &str, words: &[&'static str]) -> String {
    match nearest_name(text, words.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("write one of {}", words.join(", ")),
    }
}

/// From / on, without a way back: nothing else is ever cleaned or written.
pub(crate) fn is_plain(path: &str) -> bool {
    let is_fine = |part: &str| !matches!(part, "." | "..") && !part.chars().any(char::is_control);
    path.starts_with('/') && path.len() <= 1_000 && !path.contains("//") && path.split('/').all(is_fine)
}
