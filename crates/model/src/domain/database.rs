//! The database domain's values: how a server of PostgreSQL answers, who waits for whose locks, and which session may be ended
//! without that anything written is lost. Asking a server is `host::linux::domain::database`'s work. Nothing here ends what has
//! written, promotes, drops or changes a setting.

mod judge;

use alloc::{format, string::String, vec::Vec};
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    action::Disruption,
    condition::ValueType,
    domain::{Deed, Domain, Look, Signs},
    probe::CommandLine,
    text::Text,
};

pub use judge::{chain, freeing, harmless, judge, roots};

/// The domain: each server by the name that the configuration gives it.
pub const DOMAIN: Domain =
    Domain { key: "database", has_targets: true, figures: FIGURES, is_down: true, by_hand: &[], signs: Signs::NONE };

/// How many sessions wait for a lock for longer than the patience that is declared.
pub const WAITING: &str = "database.waiting";

const FIGURES: &[(&str, ValueType)] = &[(WAITING, ValueType::Number)];

/// A look at a server of PostgreSQL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseProbe {
    /// The folder of its socket, or the socket itself.
    pub postgresql: String,
    /// With a patience, whether anybody waits for a lock for longer than that; without, whether it answers.
    pub locks: Option<Duration>,
}

impl Look for DatabaseProbe {
    fn kind(&self) -> &'static str {
        DOMAIN.key
    }

    fn figures(&self) -> &'static [(&'static str, ValueType)] {
        FIGURES
    }
}

/// What is done about a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DatabaseAction {
    /// End the sessions that are idle in a transaction, have written nothing and block others for longer than the patience: each
    /// only while the server itself finds in the same statement that all of that still holds.
    EndIdle {
        /// The folder of its socket, or the socket itself.
        postgresql: String,
        /// How long others must have waited.
        patience: Duration,
    },
}

impl Deed for DatabaseAction {
    fn disruption(&self) -> Disruption {
        match self {
            Self::EndIdle { .. } => Disruption::Brief,
        }
    }

    /// A second time it would end others.
    fn is_idempotent(&self) -> bool {
        false
    }

    fn describe(&self) -> Text {
        match self {
            Self::EndIdle { postgresql, .. } => Text::new(format!(
                "end the sessions of {postgresql} that block others while they are idle in a transaction and have written nothing"
            )),
        }
    }

    fn commands(&self) -> Vec<&CommandLine> {
        Vec::new()
    }
}

/// What is known of a server without asking it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseFacts {
    /// The folder of its socket, or the socket itself where that has not the usual port.
    pub postgresql: String,
    /// Who manages it besides, in words; it is observed only then.
    pub owner: Option<Text>,
}

/// A session, as the server tells of it. It is one that waits, or one that somebody waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The number of its process; it means another one after a while.
    pub pid: i32,
    /// When it was begun, when its transaction was, and when its state last changed, in microseconds by the server's clock: which
    /// session in which transaction this is.
    pub moments: [Option<i64>; 3],
    /// `client backend`, or what else it is.
    pub kind: Text,
    /// `idle in transaction`, `active` or another one.
    pub state: Text,
    /// For how long it has been in that.
    pub in_state: Duration,
    /// For how long its transaction has been open.
    pub in_transaction: Duration,
    /// Its database,
    pub database: String,
    /// its role,
    pub role: Text,
    /// and what it calls itself.
    pub application: Text,
    /// Whether its transaction has a number, as each has that has written or locked a row.
    pub has_written: bool,
    /// Whether it keeps a snapshot, as a dump or a cursor does.
    pub has_snapshot: bool,
    /// Whether it has locks that a plain statement does not take: advisory ones, or a table by `LOCK TABLE`, which may be an
    /// application's mutex.
    pub has_other_locks: bool,
    /// Whether it waits for a lock itself.
    pub is_waiting: bool,
    /// For how long, where it was asked for whom.
    pub waits: Option<Duration>,
    /// For whom; 0 is a prepared transaction.
    pub waits_for: Vec<i32>,
    /// Its statement, or the last one, without anything that is a value.
    pub statement: Text,
    /// Whether its role is a superuser or may replicate, as that of a backup: `pg_backup_start` leaves nothing else to be seen.
    pub is_keeper: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_no_thing_to_be_repeated_without_a_look() {
        let end = DatabaseAction::EndIdle { postgresql: "/run/postgresql".into(), patience: Duration::from_secs(30) };
        assert!(!end.is_idempotent() && !end.only_looks());
        assert_eq!(
            end.describe().as_str(),
            "end the sessions of /run/postgresql that block others while they are idle in a transaction and have written nothing"
        );
    }
}
