//! Copies of a store while it is in use, with the files that belong to it, and the way back. A controller that was brought back
//! is another life of it: its epoch is higher than any that hosts may have heard of.

use std::{
    fs,
    path::{Path, PathBuf},
};

use ansai_model::time::WallTime;
use rusqlite::{Connection, OpenFlags, params};

use super::{beside, empty_file, failed, lock, not_kept, opened, put_in_place, read, schema};
use crate::StoreError;

/// What came back from a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The epoch from now on.
    pub epoch: u64,
    /// How many hosts are known.
    pub hosts: usize,
    /// The files that were kept with it, by their names.
    pub files: Vec<(String, Vec<u8>)>,
    /// Where the store lies that was there before, when one was.
    pub aside: Option<PathBuf>,
}

/// Copies a store, which may be in use, as it stands at this moment, with `files` in it, by their names.
///
/// # Errors
/// When there is no store, something is at `to`, or it cannot be written; nothing is left there then.
pub fn backup(path: &Path, to: &Path, files: &[(String, Vec<u8>)]) -> Result<(), StoreError> {
    if !path.exists() {
        return Err(StoreError::Missing(path.to_owned()));
    }
    if to.exists() {
        return Err(StoreError::There(to.to_owned()));
    }
    let source = opened(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    schema::known(&source, path)?;
    let fresh = beside(to, ".new");
    empty_file(&fresh)?;
    let made = copied(&source, &fresh, files).and_then(|()| put_in_place(&fresh, to));
    if made.is_err() {
        let _ = fs::remove_file(&fresh);
    }
    made
}

fn copied(source: &Connection, fresh: &Path, files: &[(String, Vec<u8>)]) -> Result<(), StoreError> {
    let name = fresh.to_str().ok_or_else(|| {
        let why = "its name is no UTF-8".into();
        StoreError::Foreign { path: fresh.to_owned(), why }
    })?;
    source.execute("VACUUM INTO ?1", [name]).map_err(not_kept)?;
    let copy = opened(fresh, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    copy.execute_batch("CREATE TABLE files (name TEXT PRIMARY KEY, bytes BLOB NOT NULL)").map_err(not_kept)?;
    for (name, bytes) in files {
        copy.execute("INSERT INTO files (name, bytes) VALUES (?1, ?2)", params![name, bytes]).map_err(not_kept)?;
    }
    Ok(())
}

/// Brings a store back from a copy, in place of the one that is there, which is put aside. No controller may have it.
///
/// # Errors
/// When the copy is none, is damaged or of a newer version, or a controller has the store; nothing is changed then.
pub fn restore(from: &Path, to: &Path, now: WallTime) -> Result<Restored, StoreError> {
    if !from.exists() {
        return Err(StoreError::Missing(from.to_owned()));
    }
    let _lock = lock(to)?;
    let fresh = beside(to, ".new");
    empty_file(&fresh)?;
    let restored = brought_back(from, to, &fresh, now);
    if restored.is_err() {
        let _ = fs::remove_file(&fresh);
    }
    restored
}

fn brought_back(from: &Path, to: &Path, fresh: &Path, now: WallTime) -> Result<Restored, StoreError> {
    let read_only = OpenFlags::SQLITE_OPEN_READ_ONLY;
    schema::known(&opened(from, read_only)?, from)?;
    fs::copy(from, fresh).map_err(|error| StoreError::File(fresh.to_owned(), error))?;
    let mut copy = opened(fresh, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    schema::migrate(&mut copy).map_err(not_kept)?;
    let found = read::examined(&copy)?;
    if let Some(wrong) = found.wrong.first() {
        return Err(StoreError::Damaged(wrong.clone()));
    }
    // One that cannot be read tells nothing; then the clock has to do.
    let replaced = to.exists().then(|| opened(to, read_only).and_then(|store| read::epoch(&store)).ok()).flatten();
    let epoch = next_epoch(found.epoch.max(replaced.unwrap_or(0)), now);
    let files = files(&copy)?;
    let set = "UPDATE meta SET value = ?2 WHERE name = ?1";
    copy.execute(set, params![schema::EPOCH, i64::try_from(epoch).unwrap_or(i64::MAX)]).map_err(not_kept)?;
    copy.execute_batch("DROP TABLE IF EXISTS files").map_err(not_kept)?;
    drop(copy);
    let aside = put_aside(to, epoch)?;
    put_in_place(fresh, to)?;
    Ok(Restored { epoch, hosts: found.hosts, files, aside })
}

/// Higher than any before: by one, or the seconds since 1970 when these are more. The same copy brought back twice, with the
/// store in between lost, would have the same number otherwise.
fn next_epoch(before: u64, now: WallTime) -> u64 {
    before.saturating_add(1).max(u64::try_from(now.0 / 1_000).unwrap_or(0))
}

fn files(copy: &Connection) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
    if !copy.table_exists(None, "files").map_err(failed)? {
        return Ok(Vec::new());
    }
    let mut statement = copy.prepare("SELECT name, bytes FROM files ORDER BY name").map_err(failed)?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).map_err(failed)?;
    rows.collect::<rusqlite::Result<_>>().map_err(failed)
}

/// Moves the store that is there away, with its log, which belongs to it and to no other.
fn put_aside(path: &Path, epoch: u64) -> Result<Option<PathBuf>, StoreError> {
    if !path.exists() {
        return Ok(None);
    }
    let aside = beside(path, &format!(".before-{epoch}"));
    for suffix in ["-wal", "-shm", ""] {
        let (from, to) = (beside(path, suffix), beside(&aside, suffix));
        match fs::rename(&from, &to) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(StoreError::File(from, error)),
            Err(_) | Ok(()) => {}
        }
    }
    Ok(Some(aside))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_is_higher_than_any_that_was() {
        assert_eq!(next_epoch(1, WallTime(5_000)), 5);
        assert_eq!(next_epoch(900, WallTime(5_000)), 901);
        assert_eq!(next_epoch(3, WallTime(-5_000)), 4, "a clock that is wrong");
        let first = next_epoch(1, WallTime(1_700_000_000_000));
        assert!(next_epoch(1, WallTime(1_700_000_001_000)) > first, "the same copy, a second later");
    }
}
