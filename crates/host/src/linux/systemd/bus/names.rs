//! Units are known by their own names: what is told of one is kept under it, whatever names the configuration has for it.

use std::time::Instant;

use ansai_model::{hint::Hint, id::UnitName, unit::ActiveState};

use super::{Bus, flood::Admission};

impl Bus {
    /// The unit's own name, when a look has found that this is another (`Alias=`).
    pub(in crate::linux) fn own_name(&self, unit: &UnitName) -> UnitName {
        self.state().tracker.own_name(unit)
    }

    /// A look has found that a watched name is another unit's.
    pub(in crate::linux::systemd) fn learn_name(&self, name: &UnitName, own: &UnitName) {
        let mut state = self.state();
        if state.tracker.is_alias(name.clone(), own.clone()) {
            state.told.also(own);
        }
    }

    /// A look has found which sockets, paths and timers start a unit: what happens to them bears on it. One that was asked
    /// what sort of service it is before they were loaded is another sort now, and the services are gone through again.
    pub(in crate::linux::systemd) fn learn_triggers(&self, unit: &UnitName, triggers: &[Box<str>]) {
        let mut state = self.state();
        state.tracker.started_by(unit, triggers);
        let is_another_sort = state.kinds.get(unit).is_some_and(|kind| *kind != kind.started_by(triggers));
        if is_another_sort {
            state.kinds.remove(unit);
            drop(state);
            self.hint(Hint::Units);
        }
    }

    /// Hints at a unit under every name that it is watched by; later, when it was hinted at without end.
    pub(super) fn hint_at(&self, unit: &UnitName) {
        let admission = self.state().flood.admit(unit, Instant::now());
        match admission {
            Admission::Now => self.hint_now(unit),
            Admission::Owed => {}
            Admission::After { wait, is_news } => {
                if is_news {
                    tracing::warn!("systemd tells of {unit} without end: it is looked at less often");
                }
                let (bus, unit) = (self.clone(), unit.clone());
                self.spawn(async move {
                    tokio::time::sleep(wait).await;
                    bus.hint_now(&unit);
                });
            }
        }
    }

    /// The same at once, whatever was hinted at before: it has come into another state.
    ///
    /// That a unit is down is no news while systemd is to do something about it for us: the end of that job is hinted at.
    /// systemd would answer each question of a look before it begins with the job.
    pub(super) fn hint_now(&self, unit: &UnitName) {
        let is_awaited = {
            let state = self.state();
            let is_down = matches!(state.told.active(unit), Some(ActiveState::Inactive | ActiveState::Failed));
            is_down && state.awaited.contains(unit)
        };
        if !is_awaited {
            self.pass_on(unit);
        }
    }

    /// The same, also of a unit that something is awaited of.
    pub(super) fn pass_on(&self, unit: &UnitName) {
        let names = self.state().tracker.names_of(unit);
        names.into_iter().for_each(|name| self.hint(Hint::Unit(name)));
    }

    /// Something is not a watched unit's; it may be what starts one.
    pub(super) fn trigger_changed(&self, path: &str) {
        let unit = self.state().tracker.by_trigger(path);
        if let Some(unit) = unit {
            self.hint_at(&unit);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashMap};

    use tokio::sync::mpsc;
    use tokio_util::task::TaskTracker;
    use zbus::{OwnedVariant, Variant};

    use super::*;

    #[tokio::test]
    async fn that_a_unit_is_down_is_no_news_until_the_job_that_is_awaited_of_it_has_ended() {
        let unit = UnitName::new("a.service").expect("valid");
        let (sender, mut hints) = mpsc::channel(8);
        let bus = Bus::start(Vec::new(), &TaskTracker::new(), sender);
        bus.watch(BTreeSet::from([unit.clone()]), Vec::new());
        let is = |state: &str| {
            let value = OwnedVariant::try_from(Variant::from(state)).expect("a text");
            bus.state().told.changed(&unit, &HashMap::from([("ActiveState", value)]), true, Instant::now());
        };
        let mut are_hints = || std::iter::from_fn(|| hints.try_recv().ok()).count();
        let hints_when_it_is = |state: &str| {
            is(state);
            bus.hint_now(&unit);
        };
        hints_when_it_is("failed");
        assert_eq!(are_hints(), 1);
        let awaiting = bus.awaits(&unit);
        hints_when_it_is("failed");
        hints_when_it_is("inactive");
        assert_eq!(are_hints(), 0);
        hints_when_it_is("active");
        assert_eq!(are_hints(), 1, "that it is up is news");
        is("failed");
        bus.pass_on(&unit);
        assert_eq!(are_hints(), 1, "the end of a job is told whatever came of it");
        drop(awaiting);
        hints_when_it_is("failed");
        assert_eq!(are_hints(), 1);
    }
}
