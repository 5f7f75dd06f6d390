//! What is asked of a unit after its first look, when nobody waits for it any more: that systemd keeps in mind how it ends,
//! and whether systemd restarts it by itself.
//!
//! A start of the agent looks at each unit once and is done when it has; a third of what a look asks is needed only when
//! the unit falls. A unit that falls before it was asked is looked at with everything, see `Properties`, and is asked then.

use ansai_model::id::UnitName;
use futures_util::{StreamExt, stream};

use super::Bus;
use crate::linux::systemd::unit::{SERVICE, property};

/// Most units that are asked at once.
const AT_ONCE: usize = 16;
/// With so few units a look waits until systemd has been told to keep them in mind: it takes no time to speak of.
const FEW: usize = 8;

/// The units that are yet to be asked, and how many first looks are under way.
#[derive(Debug, Default)]
pub(super) struct Later {
    units: Vec<UnitName>,
    under_way: usize,
}

impl Later {
    fn begins(&mut self) {
        self.under_way += 1;
    }

    /// A first look has ended; the units whose turn it is now, if it was the last.
    fn ends(&mut self) -> Vec<UnitName> {
        self.under_way = self.under_way.saturating_sub(1);
        if self.under_way == 0 { std::mem::take(&mut self.units) } else { Vec::new() }
    }

    /// Takes one out; says whether it was there.
    fn take_one(&mut self, unit: &UnitName) -> bool {
        let at = self.units.iter().position(|waiting| waiting == unit);
        at.map(|at| self.units.swap_remove(at)).is_some()
    }
}

/// The first look at a unit, for as long as it lasts.
pub(in crate::linux::systemd) struct FirstLook<'a> {
    bus: &'a Bus,
    has_ended: bool,
}

impl FirstLook<'_> {
    /// It has ended. Of few units systemd keeps how they end from now on, whatever becomes of them; of many, in a moment.
    pub(in crate::linux::systemd) async fn ends(mut self) {
        let units = self.end();
        let are_few = units.len() <= FEW;
        if are_few {
            for unit in &units {
                self.bus.keep_in_mind(unit).await;
            }
        }
        self.ask_rest(units, are_few);
    }

    /// The units whose turn it is, if this was the last look.
    fn end(&mut self) -> Vec<UnitName> {
        match std::mem::replace(&mut self.has_ended, true) {
            true => Vec::new(),
            false => self.bus.state().later.ends(),
        }
    }

    fn ask_rest(&self, units: Vec<UnitName>, are_kept_in_mind: bool) {
        if units.is_empty() {
            return;
        }
        let bus = self.bus.clone();
        self.bus.spawn(async move {
            let bus = &bus;
            let ask = |unit: UnitName| async move {
                if !are_kept_in_mind {
                    bus.keep_in_mind(&unit).await;
                }
                bus.learn_restart(&unit).await;
            };
            stream::iter(units).for_each_concurrent(AT_ONCE, ask).await;
        });
    }
}

impl Drop for FirstLook<'_> {
    fn drop(&mut self) {
        let units = self.end();
        self.ask_rest(units, false);
    }
}

impl Bus {
    /// A first look begins.
    pub(in crate::linux::systemd) fn first_look(&self) -> FirstLook<'_> {
        self.state().later.begins();
        FirstLook { bus: self, has_ended: false }
    }

    /// Asks the rest of a unit that is up as soon as no first look is under way.
    pub(in crate::linux::systemd) fn ask_later(&self, unit: &UnitName) {
        self.state().later.units.push(unit.clone());
    }

    /// Whether a unit was yet to be asked; whoever is told so asks it.
    pub(in crate::linux::systemd) fn was_to_be_asked(&self, unit: &UnitName) -> bool {
        self.state().later.take_one(unit)
    }

    /// Without the reference later looks are poorer, and still looks.
    async fn keep_in_mind(&self, unit: &UnitName) {
        let _ = self.tell("RefUnit", unit).await;
    }

    /// The next look asks what gets no answer here.
    async fn learn_restart(&self, unit: &UnitName) {
        if let Ok(restart) = property(self, unit, SERVICE, "Restart").await {
            self.state().told.learn(unit, "Restart", &restart);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_is_asked_once_no_first_look_is_under_way() {
        let unit = |name: &str| UnitName::new(name).expect("valid");
        let mut later = Later::default();
        later.begins();
        later.begins();
        later.units.extend(["a.service", "b.service"].map(unit));
        assert_eq!(later.ends(), [], "the other look waits for its answers");
        later.units.push(unit("c.service"));
        assert_eq!(["b.service", "b.service"].map(|name| later.take_one(&unit(name))), [true, false]);
        assert_eq!(later.ends(), ["a.service", "c.service"].map(unit));
        later.begins();
        assert_eq!(later.ends(), []);
    }
}
