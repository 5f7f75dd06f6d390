//! What one probe run saw. Looking is `host`'s, drawing conclusions the engine's.

use alloc::{boxed::Box, collections::BTreeMap, vec::Vec};
use core::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{condition::Value, domain, id::NAME_BYTES_MAX, text::Text, unit::UnitSnapshot};

/// The three values of health. `Unknown` never closes an incident and never triggers an action; when it lasts, a person
/// is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    /// As it should be.
    Healthy,
    /// Not as it should be.
    Failing,
    /// It could not be told.
    #[default]
    Unknown,
}

/// The figures behind an observation.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Details {
    /// None.
    #[default]
    None,
    /// A unit's state.
    Unit(Box<UnitSnapshot>),
    /// Named figures, as `latency` or a plugin's performance data; at most [`Observation::FIGURES_MAX`].
    Figures(Figures),
}

/// Named figures in the order of their names. The latest of every check is kept, and most have a handful: a list takes a
/// third of what a tree does.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Figures(Vec<(Name, Value)>);

/// The name of a figure: one that our own looks report stands once in the program.
#[derive(Clone, Debug, PartialEq)]
enum Name {
    Known(&'static &'static str),
    Given(Box<str>),
}

impl From<&str> for Name {
    fn from(name: &str) -> Self {
        domain::figure(name).map_or_else(|| Self::Given(name.into()), Self::Known)
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        match self {
            Self::Known(name) => name,
            Self::Given(name) => name,
        }
    }
}

impl Figures {
    /// The figure of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.place(name).ok().map(|index| &self.0[index].1)
    }

    /// All, in the order of their names.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), value))
    }

    fn insert(&mut self, name: &str, value: Value) {
        match self.place(name) {
            Ok(index) => self.0[index].1 = value,
            Err(index) => {
                self.0.reserve_exact(1);
                self.0.insert(index, (name.into(), value));
            }
        }
    }

    fn place(&self, name: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(known, _)| known.as_ref().cmp(name))
    }
}

impl Serialize for Figures {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for Figures {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The tree puts them in order, whoever wrote them.
        let read = BTreeMap::<Box<str>, Value>::deserialize(deserializer)?;
        Ok(Self(read.into_iter().map(|(name, value)| (Name::from(name.as_ref()), value)).collect()))
    }
}

/// What one probe run saw.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    health: Health,
    summary: Text,
    details: Details,
    took: Duration,
}

impl Observation {
    /// The most figures of one observation; more are dropped.
    pub const FIGURES_MAX: usize = 32;
    /// The figure that says how urgent it is, counted from 1: when it grows while a person has it in hand, the person is
    /// told again.
    pub const STEP: &str = "told.step";
    /// The figure that says whether that step is the last one, of which somebody must know at once.
    pub const IS_LAST_STEP: &str = "told.is_last";

    /// The figure by which a warning is known.
    const WARNS: &str = "told.warning";

    fn new(health: Health, summary: Text) -> Self {
        Self { health, summary, details: Details::None, took: Duration::ZERO }
    }

    /// All is well; `summary` says what was seen.
    #[must_use]
    pub fn healthy(summary: impl Into<Text>) -> Self {
        Self::new(Health::Healthy, summary.into())
    }

    /// It is well, and a person should know of what `summary` says. Nothing is done about it.
    #[must_use]
    pub fn warning(summary: impl Into<Text>) -> Self {
        Self::healthy(summary).with_figure(Self::WARNS, Value::Bool(true))
    }

    /// Not as it should be; `symptom` says how.
    #[must_use]
    pub fn failing(symptom: impl Into<Text>) -> Self {
        Self::new(Health::Failing, symptom.into())
    }

    /// It could not be told; `cause` says why.
    #[must_use]
    pub fn unknown(cause: impl Into<Text>) -> Self {
        Self::new(Health::Unknown, cause.into())
    }

    /// With the state of a unit or other details.
    #[must_use]
    pub fn with_details(mut self, details: Details) -> Self {
        self.details = details;
        self
    }

    /// With one more figure; dropped when there are [`Observation::FIGURES_MAX`] or its name is too long.
    #[must_use]
    pub fn with_figure(mut self, name: &str, value: Value) -> Self {
        if matches!(self.details, Details::None) {
            self.details = Details::Figures(Figures::default());
        }
        if let Details::Figures(figures) = &mut self.details
            && figures.0.len() < Self::FIGURES_MAX
            && name.len() <= NAME_BYTES_MAX
        {
            figures.insert(name, value);
        }
        self
    }

    /// With each text in it put into other words, as without its secrets.
    #[must_use]
    pub fn reworded(mut self, reword: impl Fn(&Text) -> Text) -> Self {
        self.summary = reword(&self.summary);
        if let Details::Figures(figures) = &mut self.details {
            for (_, value) in &mut figures.0 {
                if let Value::Text(text) = value {
                    *text = reword(text);
                }
            }
        }
        self
    }

    /// With the time that the look took.
    #[must_use]
    pub fn with_took(mut self, took: Duration) -> Self {
        self.took = took;
        self
    }

    /// The health seen.
    #[must_use]
    pub fn health(&self) -> Health {
        self.health
    }

    /// What was seen, in words: a symptom when failing, a cause when unknown.
    #[must_use]
    pub fn summary(&self) -> &Text {
        &self.summary
    }

    /// The figures.
    #[must_use]
    pub fn details(&self) -> &Details {
        &self.details
    }

    /// The unit's state, when this was a look at a unit.
    #[must_use]
    pub fn unit(&self) -> Option<&UnitSnapshot> {
        match &self.details {
            Details::Unit(unit) => Some(unit),
            Details::None | Details::Figures(_) => None,
        }
    }

    /// The figure of this name.
    #[must_use]
    pub fn figure(&self, name: &str) -> Option<&Value> {
        match &self.details {
            Details::Figures(figures) => figures.get(name),
            Details::None | Details::Unit(_) => None,
        }
    }

    /// How urgent it is, counted from 1; 0 for what is not told in steps.
    #[must_use]
    pub fn step(&self) -> f64 {
        match self.figure(Self::STEP) {
            Some(Value::Number(step)) => *step,
            Some(_) | None => 0.0,
        }
    }

    /// Whether it is at the last of the steps in which it is told.
    #[must_use]
    pub fn is_last_step(&self) -> bool {
        self.figure(Self::IS_LAST_STEP) == Some(&Value::Bool(true))
    }

    /// Whether it is well and a person should know of something.
    #[must_use]
    pub fn is_warning(&self) -> bool {
        let is_broken = self.unit().is_some_and(|unit| unit.next_start_may_fail().is_some());
        self.health == Health::Healthy && (is_broken || self.figure(Self::WARNS) == Some(&Value::Bool(true)))
    }

    /// How long the look took.
    #[must_use]
    pub fn took(&self) -> Duration {
        self.took
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_in_the_order_of_their_names_and_the_last_of_one_name_counts() {
        let number = |value: f64| Value::Number(value);
        let seen = Observation::healthy("well").with_figure("b", number(1.0)).with_figure("a", number(2.0));
        let seen = seen.with_figure("c", number(3.0)).with_figure("b", number(4.0));
        let Details::Figures(figures) = seen.details() else { panic!("{seen:?}") };
        assert!(figures.iter().eq([("a", &number(2.0)), ("b", &number(4.0)), ("c", &number(3.0))]));
        assert_eq!((seen.figure("b"), seen.figure("d")), (Some(&number(4.0)), None));
    }

    #[test]
    fn a_name_that_the_program_knows_is_kept_by_nobody() {
        let seen = Observation::healthy("well").with_figure(domain::memory::LIFE, Value::Bool(true));
        let seen = seen.with_figure("load1", Value::Bool(false));
        let Details::Figures(figures) = seen.details() else { panic!("{seen:?}") };
        let kept: Vec<_> = figures.0.iter().map(|(name, _)| matches!(name, Name::Given(_))).collect();
        assert_eq!(kept, [true, false]);
        assert_eq!(size_of::<(Name, Value)>(), 40);
        let text = serde_json::to_string(&seen).expect("written");
        assert_eq!(serde_json::from_str::<Observation>(&text).expect("read"), seen);
    }

    #[test]
    fn no_more_figures_are_kept_than_there_may_be() {
        let names: Vec<_> = (0..100).map(|number| alloc::format!("figure-{number}")).collect();
        let seen =
            names.iter().fold(Observation::healthy("well"), |seen, name| seen.with_figure(name, Value::Bool(true)));
        let Details::Figures(figures) = seen.details() else { panic!("{seen:?}") };
        assert_eq!(figures.iter().len(), Observation::FIGURES_MAX);
    }
}
