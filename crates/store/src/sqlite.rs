//! The store in SQLite: one file with a write-ahead log beside it. One connection writes, and every save is on the disk when it
//! is answered (`synchronous=FULL`); others read beside it. Copies and their way back are in `copy`.

mod copy;
mod read;
mod schema;
mod write;

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ansai_model::{id::IncidentId, report::Report, text::Text, time::WallTime};
use ansai_protocol::{
    link::{ControllerId, HostId},
    record::{FleetState, Record},
};
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

pub use self::{
    copy::{Restored, backup, restore},
    read::{Examined, examine, page_sql},
};
use crate::{
    Store, StoreError,
    audit::AuditEntry,
    page::{IncidentPage, IncidentsOf},
};

/// Most connections that read and are kept for the next reader.
const READERS_MAX: usize = 4;
/// Longest wait for another process that has the file for a moment.
const BUSY_MAX: Duration = Duration::from_secs(5);

/// Records in a file. It is nobody else's for as long as this lives; others may read and copy it.
#[derive(Debug)]
pub struct SqliteStore {
    path: PathBuf,
    writer: Mutex<Connection>,
    readers: Mutex<Vec<Connection>>,
    plight: Mutex<Option<Text>>,
    /// Held until the end.
    _lock: File,
}

impl SqliteStore {
    /// Makes a store where none is. It is there whole or not at all.
    ///
    /// # Errors
    /// When there is one, or it cannot be made.
    pub fn create(path: &Path, controller: ControllerId) -> Result<(), StoreError> {
        let _lock = lock(path)?;
        if path.exists() {
            return Err(StoreError::There(path.to_owned()));
        }
        let fresh = path.with_extension("new");
        empty_file(&fresh)?;
        let made = schema::make(&fresh, controller).and_then(|()| put_in_place(&fresh, path));
        if made.is_err() {
            // What was begun may hold the last blocks of a full disk.
            let _ = fs::remove_file(&fresh);
        }
        made
    }

    /// Opens a store, and brings one of an older version up to this one's.
    ///
    /// # Errors
    /// When there is none, it is another program's or a newer version's, another controller has it, or it cannot be read.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        if !path.exists() {
            return Err(StoreError::Missing(path.to_owned()));
        }
        let lock = lock(path)?;
        let mut writer = opened(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        schema::known(&writer, path)?;
        schema::migrate(&mut writer).map_err(failed)?;
        write::prepare(&writer).map_err(failed)?;
        let readers = Mutex::new(Vec::new());
        Ok(Self { path: path.to_owned(), writer: Mutex::new(writer), readers, plight: Mutex::default(), _lock: lock })
    }

    /// Reads with a connection of its own, so that no reader waits for a writer.
    fn reading<T>(&self, read: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let kept = locked(&self.readers).pop();
        let reader = kept.map_or_else(|| opened(&self.path, OpenFlags::SQLITE_OPEN_READ_ONLY), Ok)?;
        let value = read(&reader)?;
        let mut readers = locked(&self.readers);
        if readers.len() < READERS_MAX {
            readers.push(reader);
        }
        Ok(value)
    }

    /// Changes something in one transaction, and remembers whether that could be kept.
    fn writing<T>(&self, write: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        let mut writer = locked(&self.writer);
        let written = writer.transaction_with_behavior(TransactionBehavior::Immediate).and_then(|transaction| {
            let value = write(&transaction)?;
            transaction.commit().map(|()| value)
        });
        let written = written.map_err(not_kept);
        *locked(&self.plight) = written.as_ref().err().map(|error| Text::new(error.to_string()));
        written
    }
}

impl Store for SqliteStore {
    fn save(&self, records: Vec<Record>) -> Result<(), StoreError> {
        // A value that cannot be written is refused before anything is.
        let changes: Vec<write::Change> = records.into_iter().map(write::Change::of).collect::<Result<_, _>>()?;
        self.writing(|connection| changes.iter().try_for_each(|change| change.write(connection)))
    }

    fn state(&self) -> Result<FleetState, StoreError> {
        self.reading(read::state)
    }

    fn incidents(&self, of: &IncidentsOf) -> Result<IncidentPage, StoreError> {
        self.reading(|connection| read::incidents(connection, of))
    }

    fn report(&self, host: &HostId, incident: IncidentId) -> Result<Option<Report>, StoreError> {
        self.reading(|connection| read::report(connection, *host, incident))
    }

    fn audit(&self, before: Option<u64>, most: usize) -> Result<Vec<AuditEntry>, StoreError> {
        self.reading(|connection| read::audit(connection, before, most))
    }

    fn forget(&self, opened_before: WallTime, most: usize) -> Result<usize, StoreError> {
        self.writing(|connection| write::forget(connection, opened_before, most))
    }

    fn plight(&self) -> Option<Text> {
        locked(&self.plight).clone()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No code panics while it holds a lock half-changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A name beside the store's.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// The right to change the store, until it is dropped.
fn lock(path: &Path) -> Result<File, StoreError> {
    let name = beside(path, ".lock");
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&name);
    let file = file.map_err(|error| StoreError::File(name.clone(), error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Taken(path.to_owned())),
        Err(TryLockError::Error(error)) => Err(StoreError::File(name, error)),
    }
}

/// An empty file that only its owner reads; what a crash left of an earlier one goes.
fn empty_file(path: &Path) -> Result<(), StoreError> {
    let failed = |error| StoreError::File(path.to_owned(), error);
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        Err(_) | Ok(()) => {}
    }
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map(drop).map_err(failed)
}

/// Gives a finished file its name, for good.
fn put_in_place(fresh: &Path, path: &Path) -> Result<(), StoreError> {
    let failed = |error| StoreError::File(path.to_owned(), error);
    File::open(fresh).and_then(|file| file.sync_all()).map_err(failed)?;
    fs::rename(fresh, path).map_err(failed)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
}

/// A connection to a file that is there.
fn opened(path: &Path, how: OpenFlags) -> Result<Connection, StoreError> {
    let connection = Connection::open_with_flags(path, how | OpenFlags::SQLITE_OPEN_NO_MUTEX).map_err(failed)?;
    connection.busy_timeout(BUSY_MAX).map_err(failed)?;
    // What stands in the file's own definitions is not trusted with anything but data.
    connection.pragma_update(None, "trusted_schema", false).map_err(failed)?;
    Ok(connection)
}

/// An error of reading.
fn failed(error: rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreError::Damaged(error.to_string()),
        _ => StoreError::Database(error.to_string()),
    }
}

/// An error of writing.
fn not_kept(error: rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::ReadOnly("its filesystem is full".into()),
        Some(
            ErrorCode::ReadOnly | ErrorCode::SystemIoFailure | ErrorCode::CannotOpen | ErrorCode::PermissionDenied,
        ) => StoreError::ReadOnly(format!("its filesystem takes no writes ({error})")),
        _ => failed(error),
    }
}

#[cfg(test)]
mod tests {
    use ansai_protocol::record::Audited;

    use super::*;

    #[test]
    fn a_store_without_room_reads_on_says_why_and_takes_saves_again_when_there_is_room() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("store.sqlite");
        SqliteStore::create(&path, ControllerId::of_chance([1; 16])).expect("made");
        let store = SqliteStore::open(&path).expect("opened");
        let entry =
            |what: String| Record::Audit(Audited { at: WallTime(1), by: "ada".into(), what: what.into(), hosts: 1 });
        let many = || (0..200).map(|n| entry(format!("{n:0900}"))).collect();
        store.save(vec![entry("first".into())]).expect("saved");
        let room = |pages: i64| {
            let writer = locked(&store.writer);
            let now: i64 = writer.pragma_query_value(None, "page_count", |row| row.get(0)).expect("known");
            writer.pragma_update_and_check(None, "max_page_count", now + pages, |_| Ok(())).expect("set");
        };
        room(8);
        let error = store.save(many()).expect_err("no room");
        assert!(matches!(error, StoreError::ReadOnly(_)), "{error}");
        assert_eq!(error.to_string(), "nothing new is kept, what is there can be read: its filesystem is full");
        assert_eq!(store.plight().map(|plight| plight.to_string()), Some(error.to_string()));
        assert_eq!(store.audit(None, 1_000).expect("read").len(), 1, "all of it or nothing");
        store.save(vec![entry("small".into())]).expect("what needs no room is kept");
        assert_eq!(store.plight(), None);
        room(1_000);
        store.save(many()).expect("saved");
        assert_eq!(store.audit(None, 1_000).expect("read").len(), 202);
    }

    #[test]
    fn what_is_answered_is_on_the_disk() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("store.sqlite");
        SqliteStore::create(&path, ControllerId::of_chance([1; 16])).expect("made");
        let store = SqliteStore::open(&path).expect("opened");
        let writer = locked(&store.writer);
        let synchronous: i64 = writer.pragma_query_value(None, "synchronous", |row| row.get(0)).expect("known");
        let journal: String = writer.pragma_query_value(None, "journal_mode", |row| row.get(0)).expect("known");
        assert_eq!((synchronous, journal.as_str()), (2, "wal"));
    }
}
