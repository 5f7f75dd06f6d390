//! How often what systemd says of one unit has it looked at: a unit that is told of without end, by a look of ours, by what it
//! says of itself or by anybody else's questions, must cost neither us nor systemd a processor. It forgets nothing: what is too
//! much is looked at later. A unit that comes into another state is no matter of it: that is looked at whatever was before.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use ansai_model::id::UnitName;

/// How long hints are counted together.
const WINDOW: Duration = Duration::from_secs(10);
/// Most hints of one unit in that time; a restart tells of its unit about ten times.
const HINTS_MAX: u32 = 200;

/// What becomes of one hint.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// The unit is looked at now.
    Now,
    /// It is looked at after that long, once for all hints until then.
    After {
        /// Until the window ends.
        wait: Duration,
        /// Whether it was calm before, so that this is news.
        is_news: bool,
    },
    /// It will be looked at anyway.
    Owed,
}

/// The hints of each unit in its present window.
#[derive(Debug, Default)]
pub(super) struct Flood {
    windows: BTreeMap<UnitName, Window>,
    /// When those that are over were dropped last.
    swept: Option<Instant>,
}

#[derive(Debug)]
struct Window {
    begun: Instant,
    hints: u32,
    /// Whether the window right before it was too full as well.
    was_full: bool,
}

impl Window {
    fn new(begun: Instant, was_full: bool) -> Self {
        Self { begun, hints: 0, was_full }
    }
}

impl Flood {
    /// Counts one hint of a unit.
    pub(super) fn admit(&mut self, unit: &UnitName, now: Instant) -> Admission {
        let age = |window: &Window| now.saturating_duration_since(window.begun);
        if self.swept.is_none_or(|swept| now.saturating_duration_since(swept) >= WINDOW) {
            // One that has just ended is still asked whether it was full.
            self.windows.retain(|_, window| age(window) < WINDOW * 2);
            self.swept = Some(now);
        }
        let window = self.windows.entry(unit.clone()).or_insert_with(|| Window::new(now, false));
        if age(window) >= WINDOW {
            *window = Window::new(now, window.hints > HINTS_MAX && age(window) < WINDOW * 2);
        }
        window.hints = window.hints.saturating_add(1);
        match window.hints {
            ..=HINTS_MAX => Admission::Now,
            hints if hints == HINTS_MAX + 1 => Admission::After {
                wait: (window.begun + WINDOW).saturating_duration_since(now),
                is_news: !window.was_full,
            },
            _ => Admission::Owed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_of_without_end_is_looked_at_so_often_and_once_more_later() {
        let (a, b) = (UnitName::new("a.service").expect("valid"), UnitName::new("b.service").expect("valid"));
        let begun = Instant::now();
        let mut flood = Flood::default();
        let fill = |flood: &mut Flood, at: Instant| {
            for _ in 0..HINTS_MAX {
                assert_eq!(flood.admit(&a, at), Admission::Now);
            }
            flood.admit(&a, at + Duration::from_secs(4))
        };
        let after = |is_news| Admission::After { wait: Duration::from_secs(6), is_news };
        assert_eq!(fill(&mut flood, begun), after(true));
        let later = begun + Duration::from_secs(4);
        assert_eq!(flood.admit(&a, later), Admission::Owed);
        assert_eq!(flood.admit(&b, later), Admission::Now, "another one is told of as ever");
        assert_eq!(fill(&mut flood, begun + WINDOW), after(false), "it goes on, which is no news");
        assert_eq!(fill(&mut flood, begun + WINDOW * 4), after(true), "it was calm in between");
    }

    #[test]
    fn units_that_were_told_of_once_take_no_memory_for_ever() {
        let mut flood = Flood::default();
        let begun = Instant::now();
        for number in 0..1000 {
            let unit = UnitName::new(format!("u{number}.service")).expect("valid");
            flood.admit(&unit, begun + WINDOW * number);
        }
        assert!(flood.windows.len() <= 2, "{}", flood.windows.len());
    }
}
