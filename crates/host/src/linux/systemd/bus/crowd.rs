//! Questions spared where there are many units: one list of all in place of a look at each, and what sort of service each
//! is asked once. What a list says is held against what is known in `told`.

use std::time::Instant;

use ansai_model::{id::UnitName, inventory::Inventory};
use zbus::{ObjectPath, message::Message};

use super::{Bus, CallError, MANAGER, MANAGER_PATH};
use crate::linux::systemd::told::{Properties, Row};

/// A unit as `ListUnits` tells of it: name, description, load, active and sub state, whom it follows, path, and number, type
/// and path of its job.
pub(in crate::linux::systemd) type Listed<'a> =
    (&'a str, &'a str, &'a str, &'a str, &'a str, &'a str, ObjectPath<'a>, u32, &'a str, ObjectPath<'a>);

/// What sort of service a unit is, which only its file says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::linux::systemd) struct ServiceKind {
    pub(in crate::linux::systemd) is_oneshot: bool,
    pub(in crate::linux::systemd) remains_after_exit: bool,
    pub(in crate::linux::systemd) is_socket_activated: bool,
    pub(in crate::linux::systemd) is_started_by_event: bool,
}

impl ServiceKind {
    /// The same service, started by these sockets, paths and timers.
    pub(in crate::linux::systemd) fn started_by<T: AsRef<str>>(self, triggers: &[T]) -> Self {
        let has = |suffix: &str| triggers.iter().any(|trigger| trigger.as_ref().ends_with(suffix));
        Self { is_socket_activated: has(".socket"), is_started_by_event: has(".timer") || has(".path"), ..self }
    }
}

impl Bus {
    /// Every loaded unit: a message of [`Listed`].
    pub(in crate::linux::systemd) async fn list(&self) -> Result<Message, CallError> {
        self.call(MANAGER_PATH, MANAGER, "ListUnits", &()).await
    }

    /// The unit's properties, when a list of all units has just said that they still hold: with many units a full pass is
    /// one question, and not four for each.
    pub(in crate::linux::systemd) async fn listed(&self, unit: &UnitName) -> Option<Properties> {
        let now = Instant::now();
        if let Some(seen) = self.state().told.listed(unit, now) {
            return Some(seen.clone());
        }
        // Whoever comes while a list is on its way waits for it.
        let _turn = self.shared.lists.lock().await;
        let wants_list = self.state().told.wants_list(unit, now);
        if wants_list && let Ok(reply) = self.list().await {
            let body = reply.body();
            // Without it each is asked, which tells what is wrong.
            let listed: Vec<Listed<'_>> = body.deserialize().unwrap_or_default();
            let rows = listed.iter().map(|(name, _, load, active, sub, _, _, job, ..)| {
                let row = Row { load, active, sub, job: *job };
                (*name, row)
            });
            if !listed.is_empty() {
                self.state().told.list(&rows.collect(), now);
            }
        }
        self.state().told.listed(unit, Instant::now()).cloned()
    }

    /// What sort of service a unit is, when it was asked before.
    pub(in crate::linux::systemd) fn kind(&self, unit: &UnitName) -> Option<ServiceKind> {
        self.state().kinds.get(unit).copied()
    }

    /// Keeps what sort of service a unit is.
    pub(in crate::linux::systemd) fn learn(&self, unit: &UnitName, kind: ServiceKind) {
        let mut state = self.state();
        if state.kinds.len() >= Inventory::UNITS_MAX {
            // Units come and go: those that are still there are asked once more.
            state.kinds.clear();
        }
        state.kinds.insert(unit.clone(), kind);
    }
}
