//! Rows to records, for an engine that begins, for pages, and for who looks whether all is well.

use std::path::Path;

use ansai_model::{
    id::{IncidentId, PermitId, RestraintId},
    report::Report,
    time::WallTime,
};
use ansai_protocol::{
    link::{ControllerId, HostId},
    record::FleetState,
};
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};
use serde::de::DeserializeOwned;

use super::{
    failed, opened,
    schema::{self, CONTROLLER, EPOCH, GENERATION, LAST_GROUP, LAST_INCIDENT, LAST_PERMIT, LAST_RESTRAINT},
    write::{kind, number},
};
use crate::{
    StoreError,
    audit::AuditEntry,
    page::{Cursor, IncidentPage, IncidentsOf, SCANNED_MAX, Which, host_key, host_of},
};

/// A value as it was written.
fn body<T: DeserializeOwned>(what: &str, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::Damaged(format!("{what} cannot be read: {error}")))
}

fn meta<T: rusqlite::types::FromSql>(connection: &Connection, name: &str) -> Result<T, StoreError> {
    let value = connection.query_row("SELECT value FROM meta WHERE name = ?1", [name], |row| row.get(0)).optional();
    value.map_err(failed)?.ok_or_else(|| StoreError::Damaged(format!("its {name} is missing")))
}

fn counted(connection: &Connection, name: &str) -> Result<u64, StoreError> {
    meta::<i64>(connection, name).map(|value| u64::try_from(value).unwrap_or(0))
}

/// The same of what an older store did not count.
fn counted_since(connection: &Connection, name: &str) -> Result<u64, StoreError> {
    let value = connection.query_row("SELECT value FROM meta WHERE name = ?1", [name], |row| row.get::<_, i64>(0));
    Ok(u64::try_from(value.optional().map_err(failed)?.unwrap_or(0)).unwrap_or(0))
}

/// The epoch of a store.
pub(super) fn epoch(connection: &Connection) -> Result<u64, StoreError> {
    counted(connection, EPOCH)
}

/// All records of a kind, in the order of their keys.
fn all<T: DeserializeOwned>(connection: &Connection, kind: &str) -> Result<Vec<T>, StoreError> {
    let sql = "SELECT key, body FROM records WHERE kind = ?1 ORDER BY key";
    let mut statement = connection.prepare(sql).map_err(failed)?;
    let mut rows = statement.query([kind]).map_err(failed)?;
    let mut records = Vec::new();
    while let Some(row) = rows.next().map_err(failed)? {
        let (key, text): (String, String) = (row.get(0).map_err(failed)?, row.get(1).map_err(failed)?);
        records.push(body(&format!("the {kind} {key}"), &text)?);
    }
    Ok(records)
}

/// What an engine needs, as it stood at one moment.
pub(super) fn state(connection: &Connection) -> Result<FleetState, StoreError> {
    let _moment = connection.unchecked_transaction().map_err(failed)?;
    let controller: String = meta(connection, CONTROLLER)?;
    let controller: ControllerId =
        controller.parse().map_err(|error| StoreError::Damaged(format!("its controller: {error}")))?;
    let mut statement = connection
        .prepare("SELECT body FROM incidents WHERE is_open = 1 ORDER BY opened_ms, host, id")
        .map_err(failed)?;
    let open = statement.query_map([], |row| row.get::<_, String>(0)).map_err(failed)?;
    let open = open.map(|text| body("an incident", &text.map_err(failed)?)).collect::<Result<_, _>>()?;
    Ok(FleetState {
        controller,
        epoch: epoch(connection)?,
        hosts: all(connection, kind::HOST)?,
        identities: all(connection, kind::IDENTITY)?,
        tokens: all(connection, kind::TOKEN)?,
        pending: all(connection, kind::PENDING)?,
        restraints: all(connection, kind::RESTRAINT)?,
        generation: counted(connection, GENERATION)?,
        kept: all(connection, kind::KEPT)?,
        targets: all(connection, kind::TARGET)?,
        open,
        last_incident: IncidentId(counted(connection, LAST_INCIDENT)?),
        last_restraint: RestraintId(counted(connection, LAST_RESTRAINT)?),
        bundles: all(connection, kind::BUNDLE)?,
        rollouts: all(connection, kind::ROLLOUT)?,
        permits: all(connection, kind::PERMIT)?,
        last_permit: PermitId(counted_since(connection, LAST_PERMIT)?),
        messages: all(connection, kind::MESSAGE)?,
        taken: all(connection, kind::TAKEN)?,
        last_group: counted_since(connection, LAST_GROUP)?,
    })
}

/// The query for a page: everything in order from a place on (opened ?1, host ?2, number ?3), of the host ?4 when it is one.
/// Each kind walks one index, and looks at nothing behind the page.
#[must_use]
pub fn page_sql(of: &IncidentsOf) -> String {
    let host = match of.hosts.as_deref() {
        Some([_]) => "host = ?4",
        _ => "?4 IS NOT NULL",
    };
    let open = if of.which == Which::Open { "AND is_open = 1" } else { "" };
    format!(
        "SELECT opened_ms, host, id, target, body FROM incidents
         WHERE {host} {open} AND opened_ms <= ?1 AND (opened_ms, host, id) < (?1, ?2, ?3)
         ORDER BY opened_ms DESC, host DESC, id DESC"
    )
}

pub(super) fn incidents(connection: &Connection, of: &IncidentsOf) -> Result<IncidentPage, StoreError> {
    // Behind every text that a host has.
    const LAST: &str = "\u{10ffff}";
    let mut statement = connection.prepare_cached(&page_sql(of)).map_err(failed)?;
    let (opened, host, id) = of.after.as_ref().map_or((i64::MAX, LAST.to_owned(), i64::MAX), |after| {
        (after.opened.0, host_key(after.host.as_ref()), number(after.id.0))
    });
    let only = of.hosts.as_deref().and_then(|hosts| hosts.first()).map_or_else(String::new, ToString::to_string);
    let mut rows = statement.query(params![opened, host, id, only]).map_err(failed)?;
    let mut page = IncidentPage::default();
    let mut scanned = 0;
    while let Some(row) = rows.next().map_err(failed)? {
        if page.incidents.len() == of.most() || scanned == SCANNED_MAX {
            return Ok(page);
        }
        scanned += 1;
        let place = place(row)?;
        let target: String = row.get(3).map_err(failed)?;
        if of.wants(&place, &target) {
            let text: String = row.get(4).map_err(failed)?;
            page.incidents.push(body("an incident", &text)?);
        }
        page.next = Some(place);
    }
    Ok(IncidentPage { next: None, ..page })
}

/// The place of an incident's row.
fn place(row: &rusqlite::Row<'_>) -> Result<Cursor, StoreError> {
    let opened = WallTime(row.get(0).map_err(failed)?);
    let host: String = row.get(1).map_err(failed)?;
    let host = host_of(&host).ok_or_else(|| StoreError::Damaged(format!("`{host}` is no host")))?;
    let id: i64 = row.get(2).map_err(failed)?;
    Ok(Cursor { opened, host, id: IncidentId(u64::try_from(id).unwrap_or(0)) })
}

pub(super) fn report(connection: &Connection, host: HostId, id: IncidentId) -> Result<Option<Report>, StoreError> {
    let sql = "SELECT body FROM reports WHERE host = ?1 AND id = ?2 ORDER BY opened_ms DESC LIMIT 1";
    let mut statement = connection.prepare_cached(sql).map_err(failed)?;
    let text: Option<String> =
        statement.query_row(params![host.to_string(), number(id.0)], |row| row.get(0)).optional().map_err(failed)?;
    text.map(|text| body(&format!("the report on {id} of {host}"), &text)).transpose()
}

pub(super) fn audit(connection: &Connection, before: Option<u64>, most: usize) -> Result<Vec<AuditEntry>, StoreError> {
    let sql = "SELECT body FROM audit WHERE number < ?1 ORDER BY number DESC LIMIT ?2";
    let mut statement = connection.prepare_cached(sql).map_err(failed)?;
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let before = before.map_or(i64::MAX, number);
    let rows = statement.query_map(params![before, most], |row| row.get::<_, String>(0)).map_err(failed)?;
    rows.map(|text| body("an entry of what was done", &text.map_err(failed)?)).collect()
}

/// What a look at a store found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Examined {
    /// The controller.
    pub controller: ControllerId,
    /// How often it was brought back, or later.
    pub epoch: u64,
    /// How many hosts it knows.
    pub hosts: usize,
    /// How many entries say what was done.
    pub done: u64,
    /// What is wrong with it, in words.
    pub wrong: Vec<String>,
}

/// Looks at a store that may be in use: whether all of it can be read, and whether nobody has changed what was done.
///
/// # Errors
/// When it is none, or cannot be opened.
pub fn examine(path: &Path) -> Result<Examined, StoreError> {
    if !path.exists() {
        return Err(StoreError::Missing(path.to_owned()));
    }
    let connection = opened(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    schema::known(&connection, path)?;
    examined(&connection)
}

pub(super) fn examined(connection: &Connection) -> Result<Examined, StoreError> {
    let mut wrong = Vec::new();
    let checked: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(failed)?;
    if checked != "ok" {
        wrong.push(checked);
    }
    let state = state(connection)?;
    let mut statement = connection.prepare("SELECT body FROM audit ORDER BY number").map_err(failed)?;
    let mut rows = statement.query([]).map_err(failed)?;
    let mut last: Option<AuditEntry> = None;
    while let Some(row) = rows.next().map_err(failed)? {
        let text: String = row.get(0).map_err(failed)?;
        let entry: AuditEntry = body("an entry of what was done", &text)?;
        if !entry.follows(last.as_ref()) {
            wrong.push(format!("what was done has been changed before its entry {}", entry.number));
            break;
        }
        last = Some(entry);
    }
    Ok(Examined {
        controller: state.controller,
        epoch: state.epoch,
        hosts: state.hosts.len(),
        done: last.map_or(0, |last| last.number),
        wrong,
    })
}
