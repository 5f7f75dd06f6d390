//! The keys of databases: of the section, of the probe and of the action, each with the field that it fills.

use std::time::Duration;

use ansai_keys::{DURATION_MAX, Key, Kind, Shape, key};
use ansai_model::domain::database::{DatabaseAction, DatabaseProbe};

use super::{Database, SECTION as NAME};
use crate::{
    fill::{fills, shape},
    keys::{
        PERIOD,
        shared::{AUTONOMIES, SEVERITIES},
    },
};

const POSTGRESQL: Key = key("postgresql", Kind::Path, "The folder of its UNIX socket, or the socket itself")
    .example("/var/run/postgresql")
    .needed("`postgresql` is missing", "write postgresql: /var/run/postgresql");
/// Without any patience whoever thinks for a moment within a transaction would be ended.
const WAIT: Kind = Kind::Between { min: Duration::from_secs(1), max: DURATION_MAX };
const PATIENCE: Key =
    key("patience", WAIT, "For how long somebody may wait for a lock of one who is idle in a transaction")
        .default("30s");

fills! {
    Database {
        postgresql: POSTGRESQL,
        patience: PATIENCE,
        every: key("every", PERIOD, "The period; whether anybody waits for a lock is looked at every two seconds").default("10s"),
        autonomy: key("autonomy", AUTONOMIES, "How much may be done about it").below("autonomy"),
        severity: key("severity", SEVERITIES, "How soon a person must act when it cannot be mended").default("now"),
    }
}

static DATABASE: Shape = shape::<Database>("A server of databases");

/// The section.
pub(crate) const SECTION: Key =
    key(NAME, Kind::Named(const { &Kind::Shape(&DATABASE) }), "Servers of databases to keep well, by a name")
        .example("{main: {postgresql: /var/run/postgresql}}");

fills! {
    DatabaseProbe {
        postgresql: POSTGRESQL,
        locks: key("locks", WAIT, "Fails when somebody waits for a lock for longer, in place of whether it answers")
            .example("30s"),
    }
}

/// The long form of a look.
pub(crate) static PROBE: Shape = shape::<DatabaseProbe>("A look at a server of databases");

/// What is done.
#[derive(Clone)]
pub(super) struct Action {
    pub(super) end_idle: String,
    pub(super) patience: Duration,
}

fills! {
    Action {
        end_idle: key("end_idle", Kind::Path, "The server whose sessions are ended that block others while they are idle in a transaction and have written nothing")
            .example("/var/run/postgresql").needed("`end_idle` is missing", "write end_idle: /var/run/postgresql"),
        patience: PATIENCE,
    }
}

/// The long form of what is done.
pub(crate) static ACTION: Shape = shape::<Action>("Something about a server of databases");

/// What is done, written out.
pub(crate) fn written(action: &DatabaseAction) -> ansai_document::written::Fields {
    use crate::fill::Filled as _;
    match action {
        DatabaseAction::EndIdle { postgresql, patience } => {
            Action { end_idle: postgresql.clone(), patience: *patience }.fields()
        }
    }
}
