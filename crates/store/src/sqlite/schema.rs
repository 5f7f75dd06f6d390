//! How the file is divided, and how one of an older version is brought up to date. Which records there are is `write`'s.

use std::path::Path;

use ansai_protocol::link::ControllerId;
use rusqlite::{Connection, OpenFlags, params};

use super::{failed, opened};
use crate::StoreError;

/// What tells the file from other programs': `ansc`.
const APPLICATION: i64 = 0x616e_7363;

/// The steps from an empty file to this version; each is one version, and none is changed once it has shipped.
const MIGRATIONS: &[&str] = &["
    CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
    -- What the engine has in memory as well: read whole, and only when it begins.
    CREATE TABLE records (
        kind TEXT NOT NULL, key TEXT NOT NULL, host TEXT, body TEXT NOT NULL, PRIMARY KEY (kind, key)
    ) WITHOUT ROWID;
    CREATE INDEX records_of_host ON records (host) WHERE host IS NOT NULL;
    -- What is only read a page at a time; the controller's own have no host.
    CREATE TABLE incidents (
        opened_ms INTEGER NOT NULL, host TEXT NOT NULL, id INTEGER NOT NULL, is_open INTEGER NOT NULL,
        target TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (opened_ms, host, id)
    ) WITHOUT ROWID;
    CREATE INDEX incidents_of_host ON incidents (host, opened_ms, id);
    CREATE INDEX incidents_open ON incidents (opened_ms, host, id) WHERE is_open = 1;
    CREATE TABLE reports (
        host TEXT NOT NULL, id INTEGER NOT NULL, opened_ms INTEGER NOT NULL, body TEXT NOT NULL,
        UNIQUE (host, id, opened_ms)
    );
    CREATE TABLE audit (number INTEGER PRIMARY KEY, body TEXT NOT NULL);
"];

/// The newest version that is known here.
pub(super) const VERSION: i64 = MIGRATIONS.len() as i64;

/// The names in the table of what holds for all.
pub(super) const CONTROLLER: &str = "controller";
pub(super) const EPOCH: &str = "epoch";
pub(super) const GENERATION: &str = "generation";
pub(super) const LAST_INCIDENT: &str = "last-incident";
pub(super) const LAST_RESTRAINT: &str = "last-restraint";
pub(super) const LAST_PERMIT: &str = "last-permit";
pub(super) const LAST_GROUP: &str = "last-group";

/// Makes a store of an empty file.
pub(super) fn make(path: &Path, controller: ControllerId) -> Result<(), StoreError> {
    let mut connection = opened(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let mut make = || {
        connection.pragma_update(None, "application_id", APPLICATION)?;
        migrate(&mut connection)?;
        let meta = "INSERT INTO meta (name, value) VALUES (?1, ?2)";
        connection.execute(meta, params![CONTROLLER, controller.to_string()])?;
        connection.execute(meta, params![EPOCH, 1])?;
        let none_yet = [GENERATION, LAST_INCIDENT, LAST_RESTRAINT, LAST_PERMIT];
        none_yet.iter().try_for_each(|name| connection.execute(meta, params![name, 0]).map(drop))
    };
    make().map_err(super::not_kept)
}

/// Whether a file is a store that this version can read.
///
/// # Errors
/// When it is not.
pub(super) fn known(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let foreign = |why: String| StoreError::Foreign { path: path.to_owned(), why };
    let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let application = pragma("application_id").map_err(|error| match failed(error) {
        StoreError::Damaged(_) => foreign("it is no database".into()),
        other => other,
    })?;
    if application != APPLICATION {
        return Err(foreign("another program made it".into()));
    }
    let found = pragma("user_version").map_err(failed)?;
    if found > VERSION {
        return Err(StoreError::Newer { path: path.to_owned(), found, known: VERSION });
    }
    Ok(())
}

/// Takes the steps that a file has not taken yet, each whole.
pub(super) fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let done = usize::try_from(found).unwrap_or(0);
    for (version, step) in MIGRATIONS.iter().enumerate().skip(done) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(step)?;
        transaction.pragma_update(None, "user_version", i64::try_from(version + 1).unwrap_or(i64::MAX))?;
        transaction.commit()?;
    }
    Ok(())
}
