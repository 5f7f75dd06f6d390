//! What a controller keeps, and how: one trait, SQLite for use, a store in memory for tests and simulation, and one suite that
//! both pass (`crates/store/tests/conformance.rs`). What the records mean is the fleet engine's; nothing is decided here.

pub mod audit;
pub mod page;
pub mod sqlite;
pub mod volatile;

use std::path::PathBuf;

use ansai_model::{id::IncidentId, report::Report, text::Text, time::WallTime};
use ansai_protocol::{
    link::HostId,
    record::{FleetState, Record},
};

use crate::{
    audit::AuditEntry,
    page::{IncidentPage, IncidentsOf},
};

/// Keeps a controller's records. Every call may take as long as a disk does: none is made on a loop.
pub trait Store: Send + Sync {
    /// Keeps all of these, in their order, or none. When it returns well they outlive a loss of power.
    ///
    /// # Errors
    /// When they cannot be kept; what was kept before still is, and [`Store::plight`] says why from then on, until a later save
    /// succeeds.
    fn save(&self, records: Vec<Record>) -> Result<(), StoreError>;

    /// All that an engine needs to begin.
    ///
    /// # Errors
    /// When it cannot be read.
    fn state(&self) -> Result<FleetState, StoreError>;

    /// A page of incidents, newest first.
    ///
    /// # Errors
    /// When it cannot be read.
    fn incidents(&self, of: &IncidentsOf) -> Result<IncidentPage, StoreError>;

    /// The newest report on a host's incident.
    ///
    /// # Errors
    /// When it cannot be read.
    fn report(&self, host: &HostId, incident: IncidentId) -> Result<Option<Report>, StoreError>;

    /// What was done, newest first: at most `most` entries, of those with a number below `before` when one is given.
    ///
    /// # Errors
    /// When it cannot be read.
    fn audit(&self, before: Option<u64>, most: usize) -> Result<Vec<AuditEntry>, StoreError>;

    /// Forgets incidents that have ended and were opened before `opened_before`, with their reports: at most `most`, the oldest
    /// first. Says how many.
    ///
    /// # Errors
    /// When that cannot be kept.
    fn forget(&self, opened_before: WallTime, most: usize) -> Result<usize, StoreError>;

    /// Why nothing new is kept, when it is so: what is there can still be read.
    fn plight(&self) -> Option<Text>;
}

/// Why a store does not do what it is asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is none.
    #[error("there is no store at {}", .0.display())]
    Missing(PathBuf),
    /// There is one already.
    #[error("{} is there already", .0.display())]
    There(PathBuf),
    /// A later program has written it.
    #[error("{} was written by a newer ansai: its version is {found}, this program knows up to {known}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The newest that is known here.
        known: i64,
    },
    /// It is something else.
    #[error("{} is no store of an ansai controller: {why}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        why: String,
    },
    /// Another process has it.
    #[error("another controller has {}", .0.display())]
    Taken(PathBuf),
    /// There is no room, or the disk takes no writes.
    #[error("nothing new is kept, what is there can be read: {0}")]
    ReadOnly(String),
    /// Something in it cannot be understood.
    #[error("the store is damaged: {0}")]
    Damaged(String),
    /// The database's own words.
    #[error("the store cannot be used: {0}")]
    Database(String),
    /// The system's own words.
    #[error("{path}: {why}", path = .0.display(), why = .1)]
    File(PathBuf, std::io::Error),
}

impl StoreError {
    /// What to do about it.
    #[must_use]
    pub fn suggestion(&self) -> &'static str {
        match self {
            Self::Missing(_) => "`ansai controller init` makes one",
            Self::There(_) => "it is kept: name another place, or move it away",
            Self::Newer { .. } => "install that version again, or restore a copy that this one can read",
            Self::Foreign { .. } => "name the file that `ansai controller init` or `ansai controller backup` made",
            Self::Taken(_) => "systemctl stop ansai-controller, and try again",
            Self::ReadOnly(_) => {
                "make room on its filesystem, and see that it can be written; agents go on by themselves"
            }
            Self::Damaged(_) | Self::Database(_) => {
                "`ansai controller restore` brings back a copy; see `ansai controller doctor`"
            }
            Self::File(..) => "see who may read and write it: ls -l",
        }
    }
}
