//! Patterns among names, found by what stands before their first wildcard: asking which of thousands fits a name looks at
//! those only that begin as it does.

use std::collections::BTreeMap;

use ansai_model::policy::matches;

const WILDCARDS: [char; 2] = ['*', '?'];

/// Some patterns.
#[derive(Clone, Debug, Default)]
pub struct Patterns {
    by_beginning: BTreeMap<String, Vec<String>>,
}

impl Patterns {
    /// Those among some names that are patterns.
    #[must_use]
    pub fn among<'n>(names: impl IntoIterator<Item = &'n String>) -> Self {
        let mut by_beginning: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for name in names {
            if let Some(end) = name.find(WILDCARDS) {
                by_beginning.entry(name[..end].to_owned()).or_default().push(name.clone());
            }
        }
        Self { by_beginning }
    }

    /// Every one.
    pub fn all(&self) -> impl Iterator<Item = &String> {
        self.by_beginning.values().flatten()
    }

    /// Those that a name fits.
    pub fn fitting(&self, name: &str) -> impl Iterator<Item = &String> {
        let ends = name.char_indices().map(|(end, _)| end).chain([name.len()]);
        let beginnings = ends.filter_map(|end| self.by_beginning.get(&name[..end]));
        beginnings.flatten().filter(move |pattern| matches(pattern, name))
    }

    /// Whether a name fits one.
    #[must_use]
    pub fn fits(&self, name: &str) -> bool {
        self.fitting(name).next().is_some()
    }

    /// The one that says most of a name; of two that say as much, the first by name.
    #[must_use]
    pub fn strongest(&self, name: &str) -> Option<&String> {
        let said = |pattern: &str| pattern.chars().filter(|c| !WILDCARDS.contains(c)).count();
        self.fitting(name).max_by(|a, b| said(a).cmp(&said(b)).then_with(|| b.cmp(a)))
    }
}

/// Names as an operator writes them, patterns among them.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// Each of them, sorted.
    written: Box<[Box<str>]>,
    /// The patterns among them.
    pub patterns: Patterns,
}

impl Names {
    /// These names, which are sorted.
    #[must_use]
    pub fn of<'n>(sorted: impl IntoIterator<Item = &'n String> + Clone) -> Self {
        let patterns = Patterns::among(sorted.clone());
        Self { written: sorted.into_iter().map(|name| name.as_str().into()).collect(), patterns }
    }

    /// Whether a unit is among them, with its ending or without.
    #[must_use]
    pub fn has(&self, unit: &str) -> bool {
        let has = |name: &str| self.written.binary_search_by(|known| (**known).cmp(name)).is_ok();
        let short = unit.strip_suffix(".service").filter(|short| !short.contains('.'));
        has(unit) || short.is_some_and(has)
    }

    /// Whether a unit is among them, or fits a pattern among them.
    #[must_use]
    pub fn concerns(&self, unit: &str) -> bool {
        self.has(unit) || self.patterns.fits(unit)
    }
}

/// Endings of the names of units.
pub const UNIT_KINDS: &[&str] = &[".service", ".socket", ".timer", ".path", ".mount", ".target"];

/// The name of a unit, which is a service when it has no ending.
#[must_use]
pub fn with_ending(name: &str) -> String {
    if name.contains('.') { name.to_owned() } else { format!("{name}.service") }
}

#[cfg(test)]
mod tests;
