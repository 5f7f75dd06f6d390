//! A wake-up: something may have changed. It carries no truth; the observation after it does.

use alloc::boxed::Box;

use serde::{Deserialize, Serialize};

use crate::id::UnitName;

/// What may have changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hint {
    /// A unit's properties or jobs.
    Unit(UnitName),
    /// A declared process, by its name: it has ended.
    Process(Box<str>),
    /// Units have come or gone: templates and globs are to be matched anew.
    Units,
    /// Filesystems have been mounted or unmounted.
    Mounts,
    /// The source of hints was away: look at everything.
    Everything,
}
