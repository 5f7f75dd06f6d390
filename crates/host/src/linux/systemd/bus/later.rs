//! What is asked of a unit after its first look, when nobody waits for it any more: that systemd keeps in mind how it ends,
//! and whether systemd restarts it by itself.
//!
//! A start of the agent looks at each unit once and is done when it has; a third of what a look asks is needed only when
//! the unit falls. A unit that falls before it was asked is looked at with everything, see `Properties`, and is asked then.

use std::time::{Duration, Instant};

use ansai_model::id::UnitName;
use futures_util::{StreamExt, stream};

use super::Bus;
use crate::linux::systemd::unit::{SERVICE, property};

/// How long no unit was looked at for the first time before the rest is asked.
const QUIET: Duration = Duration::from_millis(200);
/// Most units that are asked at once.
const AT_ONCE: usize = 16;

/// The units that are yet to be asked.
#[derive(Debug, Default)]
pub(super) struct Later {
    units: Vec<UnitName>,
    /// When the last one was added.
    added: Option<Instant>,
    /// Whether somebody is about to ask them.
    is_awaited: bool,
}

impl Later {
    /// Adds a unit; says whether somebody is to be found who asks.
    fn add(&mut self, unit: UnitName, now: Instant) -> bool {
        self.units.push(unit);
        self.added = Some(now);
        !std::mem::replace(&mut self.is_awaited, true)
    }

    /// Takes one out; says whether it was there.
    fn take_one(&mut self, unit: &UnitName) -> bool {
        let at = self.units.iter().position(|waiting| waiting == unit);
        at.map(|at| self.units.swap_remove(at)).is_some()
    }

    /// All of them, once none was added for a while; until then how long to wait.
    fn take(&mut self, now: Instant) -> Result<Vec<UnitName>, Duration> {
        let due = self.added.map_or(now, |added| added + QUIET);
        if due > now {
            return Err(due - now);
        }
        self.is_awaited = false;
        Ok(std::mem::take(&mut self.units))
    }
}

impl Bus {
    /// Asks the rest of a unit that is up once the first looks at all of them are over.
    pub(in crate::linux::systemd) fn ask_later(&self, unit: &UnitName) {
        let is_alone = self.state().later.add(unit.clone(), Instant::now());
        if !is_alone {
            return;
        }
        let bus = self.clone();
        self.spawn(async move {
            let units = loop {
                let taken = bus.state().later.take(Instant::now());
                match taken {
                    Ok(units) => break units,
                    Err(wait) => tokio::time::sleep(wait).await,
                }
            };
            let bus = &bus;
            stream::iter(units).for_each_concurrent(AT_ONCE, |unit| async move { bus.ask_rest(&unit).await }).await;
        });
    }

    /// Whether a unit was yet to be asked; whoever is told so asks it.
    pub(in crate::linux::systemd) fn was_to_be_asked(&self, unit: &UnitName) -> bool {
        self.state().later.take_one(unit)
    }

    async fn ask_rest(&self, unit: &UnitName) {
        // Without the reference later looks are poorer, and still looks. The next look asks what gets no answer here.
        let _ = self.tell("RefUnit", unit).await;
        if let Ok(restart) = property(self, unit, SERVICE, "Restart").await {
            self.state().told.learn(unit, "Restart", &restart);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_is_asked_once_no_unit_was_new_for_a_while() {
        let unit = |name: &str| UnitName::new(name).expect("valid");
        let (mut later, start) = (Later::default(), Instant::now());
        assert!(later.add(unit("a.service"), start), "nobody asks yet");
        assert!(!later.add(unit("b.service"), start + QUIET / 2), "somebody asks already");
        assert_eq!(later.take(start + QUIET), Err(QUIET / 2));
        assert_eq!(later.take(start + QUIET * 2), Ok(vec![unit("a.service"), unit("b.service")]));
        assert!(later.add(unit("c.service"), start + QUIET * 3), "who asked is gone");
        assert_eq!(
            ["b.service", "c.service", "c.service"].map(|name| later.take_one(&unit(name))),
            [false, true, false]
        );
    }
}
