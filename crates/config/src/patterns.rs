//! Patterns among names, found by what stands before their first wildcard: asking which of thousands fits a name looks at
//! those only that begin as it does.

use std::collections::BTreeMap;

use ansai_model::policy::matches;

const WILDCARDS: [char; 2] = ['*', '?'];

/// Some patterns.
#[derive(Clone, Debug, Default)]
pub(crate) struct Patterns {
    by_beginning: BTreeMap<String, Vec<String>>,
}

impl Patterns {
    /// Those among some names that are patterns.
    pub(crate) fn among<'n>(names: impl IntoIterator<Item = &'n String>) -> Self {
        let mut by_beginning: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for name in names {
            if let Some(end) = name.find(WILDCARDS) {
                by_beginning.entry(name[..end].to_owned()).or_default().push(name.clone());
            }
        }
        Self { by_beginning }
    }

    /// Every one.
    pub(crate) fn all(&self) -> impl Iterator<Item = &String> {
        self.by_beginning.values().flatten()
    }

    /// Those that a name fits.
    pub(crate) fn fitting(&self, name: &str) -> impl Iterator<Item = &String> {
        let ends = name.char_indices().map(|(end, _)| end).chain([name.len()]);
        let beginnings = ends.filter_map(|end| self.by_beginning.get(&name[..end]));
        beginnings.flatten().filter(move |pattern| matches(pattern, name))
    }

    /// Whether a name fits one.
    pub(crate) fn fits(&self, name: &str) -> bool {
        self.fitting(name).next().is_some()
    }

    /// The one that says most of a name; of two that say as much, the first by name.
    pub(crate) fn strongest(&self, name: &str) -> Option<&String> {
        let said = |pattern: &str| pattern.chars().filter(|c| !WILDCARDS.contains(c)).count();
        self.fitting(name).max_by(|a, b| said(a).cmp(&said(b)).then_with(|| b.cmp(a)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patterns(names: &[&str]) -> Patterns {
        Patterns::among(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn a_name_finds_the_patterns_that_it_fits_and_the_one_that_says_most_of_it() {
        let known = patterns(&["*", "app", "app-*", "app-?", "*-1", "b*", "ä*"]);
        let fitting = |name: &str| known.fitting(name).map(String::as_str).collect::<Vec<_>>().join(" ");
        assert_eq!(fitting("app-1"), "* *-1 app-* app-?");
        assert_eq!(fitting("app"), "*");
        assert_eq!(fitting("äö"), "* ä*");
        assert_eq!(fitting(""), "*");
        assert_eq!(known.strongest("app-1").map(String::as_str), Some("app-*"));
        assert_eq!(known.strongest("x-1").map(String::as_str), Some("*-1"));
        assert_eq!((known.all().count(), known.fits("b")), (6, true));
        assert!(!patterns(&["app"]).fits("app"), "a name is no pattern");
    }
}
