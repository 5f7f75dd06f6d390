//! Records to rows.

use ansai_model::{message::MessageKey, time::WallTime};
use ansai_protocol::{
    link::HostId,
    record::{Audited, Record},
};
use rusqlite::{Connection, OptionalExtension, ToSql, params};
use serde::Serialize;

use super::schema::{GENERATION, LAST_GROUP, LAST_INCIDENT, LAST_PERMIT, LAST_RESTRAINT};
use crate::{
    StoreError,
    audit::AuditEntry,
    page::{Cursor, host_key},
};

/// The kinds of records that an engine has in memory as well.
pub(super) mod kind {
    pub(crate) const HOST: &str = "host";
    pub(crate) const IDENTITY: &str = "identity";
    pub(crate) const TOKEN: &str = "token";
    pub(crate) const PENDING: &str = "pending";
    pub(crate) const RESTRAINT: &str = "restraint";
    pub(crate) const TARGET: &str = "target";
    pub(crate) const KEPT: &str = "kept";
    pub(crate) const BUNDLE: &str = "bundle";
    pub(crate) const ROLLOUT: &str = "rollout";
    pub(crate) const PERMIT: &str = "permit";
    pub(crate) const MESSAGE: &str = "message";
    pub(crate) const TAKEN: &str = "taken";
}

/// What keeps a save on the disk, and the log from growing without end.
pub(super) fn prepare(writer: &Connection) -> rusqlite::Result<()> {
    writer.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
    writer.pragma_update(None, "synchronous", "full")?;
    writer.pragma_update_and_check(None, "journal_size_limit", 16 << 20, |_| Ok(()))
}

/// A row to be written, or rows to go.
pub(super) enum Change {
    Put {
        kind: &'static str,
        key: String,
        host: Option<HostId>,
        body: String,
    },
    Drop {
        kind: &'static str,
        key: String,
    },
    DropHost(HostId),
    /// A number that was given out, under its name.
    Given(&'static str, u64),
    Incident {
        place: Cursor,
        is_open: bool,
        target: String,
        body: String,
    },
    Report {
        place: Cursor,
        body: String,
    },
    Audit(Audited),
    All(Vec<Self>),
}

fn json(value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Database(error.to_string()))
}

/// A number as SQLite has it. Larger ones than anybody counts to are the largest.
pub(super) fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The key of a target, in the order of hosts and then of names.
fn target_key(host: HostId, target: &str) -> String {
    format!("{host} {target}")
}

/// The key of a message, of which its host may be gone before it is told.
fn message_key(host: HostId, key: MessageKey) -> String {
    let MessageKey { dispatch, incident, opened } = key;
    format!("{host} {dispatch:020} {:020} {}", incident.0, opened.0)
}

/// A key in the order of numbers.
fn number_key(number: u64) -> String {
    format!("{number:020}")
}

impl Change {
    /// The rows of a record.
    pub(super) fn of(record: Record) -> Result<Self, StoreError> {
        let put = |kind, key, host, body| Self::Put { kind, key, host, body };
        Ok(match &record {
            Record::Host(host) => put(kind::HOST, host.id.to_string(), None, json(host)?),
            Record::HostGone(host) => Self::DropHost(*host),
            Record::Identity(identity) => {
                put(kind::IDENTITY, identity.serial.to_string(), Some(identity.host), json(identity)?)
            }
            Record::IdentityGone(serial) => Self::Drop { kind: kind::IDENTITY, key: serial.to_string() },
            Record::Token(token) => put(kind::TOKEN, token.id.to_string(), None, json(token)?),
            Record::TokenGone(id) => Self::Drop { kind: kind::TOKEN, key: id.to_string() },
            Record::Pending(pending) => put(kind::PENDING, pending.fingerprint.to_string(), None, json(pending)?),
            Record::PendingGone(key) => Self::Drop { kind: kind::PENDING, key: key.to_string() },
            Record::Restraint(restraint) => {
                let id = restraint.id.0;
                let restraint = put(kind::RESTRAINT, number_key(id), None, json(restraint)?);
                Self::All(vec![restraint, Self::Given(LAST_RESTRAINT, id)])
            }
            Record::RestraintGone(id) => Self::Drop { kind: kind::RESTRAINT, key: number_key(id.0) },
            Record::Generation(generation) => Self::Given(GENERATION, *generation),
            Record::Target(target) => {
                let key = target_key(target.host, target.status.target.as_str());
                put(kind::TARGET, key, Some(target.host), json(target)?)
            }
            Record::TargetGone { host, target } => {
                Self::Drop { kind: kind::TARGET, key: target_key(*host, target.as_str()) }
            }
            Record::Kept(kept) => put(kind::KEPT, kept.host.to_string(), Some(kept.host), json(kept)?),
            Record::Bundle(bundle) => put(kind::BUNDLE, number_key(bundle.generation), None, json(bundle)?),
            Record::Rollout(rollout) => put(kind::ROLLOUT, number_key(rollout.generation), None, json(rollout)?),
            Record::RolloutGone(generation) => {
                let gone = |kind| Self::Drop { kind, key: number_key(*generation) };
                Self::All(vec![gone(kind::BUNDLE), gone(kind::ROLLOUT)])
            }
            Record::Permit(permit) => {
                let id = permit.id.0;
                let permit = put(kind::PERMIT, number_key(id), Some(permit.host), json(permit)?);
                Self::All(vec![permit, Self::Given(LAST_PERMIT, id)])
            }
            Record::PermitGone(id) => Self::Drop { kind: kind::PERMIT, key: number_key(id.0) },
            Record::Message(message) => {
                let put = put(kind::MESSAGE, message_key(message.host, message.message.key), None, json(message)?);
                let group = message.group.map(|number| Self::Given(LAST_GROUP, number));
                Self::All([Some(put), group].into_iter().flatten().collect())
            }
            Record::MessageGone { host, key } => Self::Drop { kind: kind::MESSAGE, key: message_key(*host, *key) },
            Record::Taken(taken) => put(kind::TAKEN, taken.host.to_string(), Some(taken.host), json(taken)?),
            Record::Incident(incident) => {
                let (place, summary) = (Cursor::of(incident), &incident.incident);
                let (target, is_open) = (summary.target.to_string(), summary.is_open());
                let own = incident.host.is_none().then_some(Self::Given(LAST_INCIDENT, summary.id.0));
                let incident = Self::Incident { place, is_open, target, body: json(incident)? };
                Self::All([Some(incident), own].into_iter().flatten().collect())
            }
            Record::Report { host, report } => {
                Self::Report { place: Cursor::of_report(*host, report), body: json(report)? }
            }
            Record::Audit(done) => Self::Audit(done.clone()),
        })
    }

    /// Writes it within the transaction.
    pub(super) fn write(&self, connection: &Connection) -> rusqlite::Result<()> {
        match self {
            Self::Put { kind, key, host, body } => execute(
                connection,
                "INSERT INTO records (kind, key, host, body) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (kind, key) DO UPDATE SET host = excluded.host, body = excluded.body",
                &[kind, key, &host.map(|host| host.to_string()), body],
            ),
            Self::Drop { kind, key } => {
                execute(connection, "DELETE FROM records WHERE kind = ?1 AND key = ?2", &[kind, key])
            }
            Self::DropHost(host) => {
                execute(connection, "DELETE FROM records WHERE host = ?1", &[&host.to_string()])?;
                execute(
                    connection,
                    "DELETE FROM records WHERE kind = ?1 AND key = ?2",
                    &[&kind::HOST, &host.to_string()],
                )
            }
            // A store of before a number was counted has no row for it.
            Self::Given(name, given) => execute(
                connection,
                "INSERT INTO meta (name, value) VALUES (?1, ?2)
                 ON CONFLICT (name) DO UPDATE SET value = max(value, excluded.value)",
                &[name, &number(*given)],
            ),
            Self::Incident { place, is_open, target, body } => execute(
                connection,
                "INSERT INTO incidents (opened_ms, host, id, is_open, target, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT (opened_ms, host, id)
                 DO UPDATE SET is_open = excluded.is_open, target = excluded.target, body = excluded.body",
                &[&place.opened.0, &host_key(place.host.as_ref()), &number(place.id.0), is_open, target, body],
            ),
            Self::Report { place, body } => execute(
                connection,
                "INSERT INTO reports (host, id, opened_ms, body) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (host, id, opened_ms) DO UPDATE SET body = excluded.body",
                &[&host_key(place.host.as_ref()), &number(place.id.0), &place.opened.0, body],
            ),
            Self::Audit(done) => append(connection, done.clone()),
            Self::All(changes) => changes.iter().try_for_each(|change| change.write(connection)),
        }
    }
}

fn execute(connection: &Connection, sql: &str, values: &[&dyn ToSql]) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute(values).map(drop)
}

/// Adds an entry behind the last one.
fn append(connection: &Connection, done: Audited) -> rusqlite::Result<()> {
    let mut last = connection.prepare_cached("SELECT body FROM audit ORDER BY number DESC LIMIT 1")?;
    let last: Option<String> = last.query_row([], |row| row.get(0)).optional()?;
    let unreadable = |error: serde_json::Error| rusqlite::Error::ToSqlConversionFailure(Box::new(error));
    let last: Option<AuditEntry> = last.map(|body| serde_json::from_str(&body)).transpose().map_err(unreadable)?;
    let entry = AuditEntry::behind(last.as_ref(), done);
    let body = serde_json::to_string(&entry).map_err(unreadable)?;
    let mut insert = connection.prepare_cached("INSERT INTO audit (number, body) VALUES (?1, ?2)")?;
    insert.execute(params![number(entry.number), body]).map(drop)
}

/// Removes the oldest incidents that have ended, with their reports.
pub(super) fn forget(connection: &Connection, opened_before: WallTime, most: usize) -> rusqlite::Result<usize> {
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let mut old = connection.prepare_cached(
        "SELECT opened_ms, host, id FROM incidents WHERE opened_ms < ?1 AND is_open = 0
         ORDER BY opened_ms, host, id LIMIT ?2",
    )?;
    let old = old.query_map(params![opened_before.0, most], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get::<_, i64>(2)?))
    })?;
    let old: Vec<_> = old.collect::<rusqlite::Result<_>>()?;
    for (opened, host, id) in &old {
        for table in ["incidents", "reports"] {
            let sql = format!("DELETE FROM {table} WHERE opened_ms = ?1 AND host = ?2 AND id = ?3");
            connection.prepare_cached(&sql)?.execute(params![opened, host, id])?;
        }
    }
    Ok(old.len())
}
