//! What the file owes: who may have it, what is refused, what happens when there is no room, and that pages stay quick.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use ansai_protocol::record::Record;
use ansai_store::{
    Store, StoreError,
    page::{IncidentsOf, Which},
    sqlite::{SqliteStore, examine},
};
use rusqlite::Connection;

use crate::records::{Stands, audited, controller, host, host_record, incident};

/// A store in a folder of its own.
pub(crate) fn made(folder: &Path) -> std::path::PathBuf {
    let path = folder.join("store.sqlite");
    SqliteStore::create(&path, controller()).expect("made");
    path
}

#[test]
fn a_store_is_made_once_and_one_process_has_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store.sqlite");
    assert!(matches!(SqliteStore::open(&path), Err(StoreError::Missing(_))));
    made(folder.path());
    assert!(matches!(SqliteStore::create(&path, controller()), Err(StoreError::There(_))));
    let store = SqliteStore::open(&path).expect("opened");
    assert!(matches!(SqliteStore::open(&path), Err(StoreError::Taken(_))));
    drop(store);
    assert!(SqliteStore::open(&path).is_ok());
    for name in fs::read_dir(folder.path()).expect("read").flatten() {
        let mode = name.metadata().expect("known").permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", name.path().display());
    }
}

#[test]
fn what_is_no_store_of_ours_or_a_newer_ones_is_refused_with_words_and_left_as_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = made(folder.path());
    let direct = Connection::open(&path).expect("opened");
    direct.pragma_update(None, "user_version", 999).expect("set");
    drop(direct);
    let before = fs::read(&path).expect("read");
    for refused in [SqliteStore::open(&path).map(drop), examine(&path).map(drop)] {
        let refused = refused.expect_err("refused");
        assert!(refused.to_string().contains("written by a newer ansai: its version is 999"), "{refused}");
        assert!(refused.suggestion().contains("install that version"));
    }
    assert_eq!(fs::read(&path).expect("read"), before);

    let foreign = folder.path().join("foreign.sqlite");
    Connection::open(&foreign).and_then(|file| file.execute_batch("CREATE TABLE a (b)")).expect("made");
    let text = folder.path().join("text.sqlite");
    fs::write(&text, "not a database at all, though it is long enough to have a header of one".repeat(9))
        .expect("made");
    let empty = folder.path().join("empty.sqlite");
    fs::write(&empty, "").expect("made");
    for path in [foreign, text, empty] {
        let before = fs::read(&path).expect("read");
        assert!(matches!(SqliteStore::open(&path), Err(StoreError::Foreign { .. })), "{}", path.display());
        assert_eq!(fs::read(&path).expect("read"), before, "{}", path.display());
    }
}

#[test]
fn a_damaged_record_is_named_and_nothing_is_guessed() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = made(folder.path());
    let store = SqliteStore::open(&path).expect("opened");
    store.save(vec![Record::Host(host_record(1)), audited("one"), audited("two")]).expect("saved");
    assert_eq!(examine(&path).expect("read").wrong, Vec::<String>::new());
    let direct = Connection::open(&path).expect("opened");
    direct
        .execute("UPDATE audit SET body = replace(body, '\"one\"', '\"won\"') WHERE number = 1", [])
        .expect("changed");
    assert_eq!(examine(&path).expect("read").wrong, ["what was done has been changed before its entry 2"]);
    direct.execute("UPDATE records SET body = '{' WHERE kind = 'host'", []).expect("changed");
    let error = store.state().expect_err("damaged").to_string();
    assert!(error.contains("the host 01010101-0101-4101-8101-010101010101 cannot be read"), "{error}");
}

#[test]
fn a_page_of_any_kind_walks_an_index_and_sorts_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = made(folder.path());
    let store = SqliteStore::open(&path).expect("opened");
    let all = (0..20_000_u32).map(|n| {
        let of = host(u8::try_from(n % 200).expect("small"));
        let stands = if n % 100 == 0 { Stands::Open } else { Stands::Ended };
        Record::Incident(incident(Some(of), u64::from(n), i64::from(n), stands))
    });
    store.save(all.collect()).expect("saved");
    let direct = Connection::open(&path).expect("opened");
    let of = || IncidentsOf { most: 100, ..IncidentsOf::default() };
    let kinds = [
        (of(), "PRIMARY KEY"),
        (IncidentsOf { which: Which::Open, ..of() }, "incidents_open"),
        (IncidentsOf { hosts: Some(vec![host(7)]), ..of() }, "incidents_of_host"),
        (IncidentsOf { hosts: Some(vec![host(7)]), which: Which::Open, ..of() }, "incidents_of_host"),
        (IncidentsOf { hosts: Some(vec![host(7), host(8)]), ..of() }, "PRIMARY KEY"),
    ];
    for (of, index) in kinds {
        let sql = format!("EXPLAIN QUERY PLAN {}", ansai_store::sqlite::page_sql(&of));
        let mut plan = direct.prepare(&sql).expect("understood");
        let plan = plan.query_map(rusqlite::params![9, "a", 9, "a"], |row| row.get::<_, String>(3)).expect("asked");
        let plan: Vec<String> = plan.map(|line| line.expect("read")).collect();
        assert!(plan.len() == 1 && plan[0].starts_with("SEARCH") && plan[0].contains(index), "{of:?}: {plan:?}");
    }
}
