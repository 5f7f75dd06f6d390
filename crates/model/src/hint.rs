//! A wake-up: something may have changed. It carries no truth about the host; the observation after it does.

use alloc::boxed::Box;

use serde::{Deserialize, Serialize};

use crate::{
    id::{TargetId, UnitName},
    text::Text,
};

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
    /// A target that is no unit.
    Target(TargetId),
    /// Such targets have come or gone: what is watched is to be deduced anew.
    Targets,
    /// A drill in a unit has ended, and ansai has taken back what of it would have stayed.
    DrillEnded {
        /// In which unit.
        unit: UnitName,
        /// What is as it was, in words.
        what: Text,
    },
    /// The source of hints was away: look at everything.
    Everything,
}
