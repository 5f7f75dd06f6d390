//! What a host says that it is and has. Asking for it is `host`'s.

use alloc::{boxed::Box, collections::BTreeMap, string::String, vec::Vec};

use serde::{Deserialize, Serialize};

use crate::{condition::Value, domain::service::ActiveState, id::UnitName, text::Text};

/// One look at the host.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct Inventory {
    /// Its name.
    pub hostname: String,
    /// Differs after every start of the host.
    pub boot_id: String,
    /// Its units that can be services, loaded or installed, sorted by name; at most [`Inventory::UNITS_MAX`].
    pub units: Vec<UnitFacts>,
    /// The `host.*` fields of the condition language that could be read.
    pub facts: BTreeMap<Box<str>, Value>,
}

impl Inventory {
    /// Most units kept.
    pub const UNITS_MAX: usize = 10_000;
}

/// What is known of a unit without looking at its health.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitFacts {
    /// Its name.
    pub name: UnitName,
    /// Its state when it was asked.
    pub active: ActiveState,
    /// `Description=`.
    pub description: Text,
    /// Whether it is `Type=oneshot`.
    pub is_oneshot: bool,
    /// Whether it counts as active after its process ended.
    pub remains_after_exit: bool,
    /// Whether a socket starts it.
    pub is_socket_activated: bool,
    /// Whether a timer starts it.
    pub is_started_by_timer: bool,
}

impl UnitFacts {
    /// A unit of which no more is known than its name and its state: started by itself, with a process that stays.
    #[must_use]
    pub fn plain(name: UnitName, active: ActiveState) -> Self {
        Self {
            name,
            active,
            description: "".into(),
            is_oneshot: false,
            remains_after_exit: false,
            is_socket_activated: false,
            is_started_by_timer: false,
        }
    }
}
