//! Copies while the store is written, and the way back.

use std::{
    fs,
    sync::atomic::{AtomicBool, Ordering},
};

use ansai_model::time::WallTime;
use ansai_protocol::record::Record;
use ansai_store::{
    Store, StoreError,
    sqlite::{SqliteStore, backup, examine, restore},
};

use crate::{
    file::made,
    records::{audited, host_record, kept},
};

#[test]
fn a_copy_that_is_made_while_it_is_written_is_of_one_moment() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = made(folder.path());
    let store = SqliteStore::open(&path).expect("opened");
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _end = Over(&is_over);
        scope.spawn(|| {
            // Two records that are saved together always agree.
            for n in 1_u64.. {
                store.save(vec![Record::Kept(kept(1, n)), Record::Kept(kept(2, n)), audited("save")]).expect("saved");
                if is_over.load(Ordering::Relaxed) {
                    break;
                }
            }
        });
        for n in 0..20 {
            let copy = folder.path().join(format!("copy-{n}"));
            backup(&path, &copy, &[]).expect("copied");
            let to = folder.path().join(format!("back-{n}"));
            let restored = restore(&copy, &to, WallTime(0)).expect("restored");
            assert_eq!((restored.epoch, restored.aside), (2, None));
            let state = SqliteStore::open(&to).expect("opened").state().expect("read");
            let through: Vec<u64> = state.kept.iter().map(|kept| kept.through).collect();
            assert!(through.is_empty() || (through.len() == 2 && through[0] == through[1]), "{through:?}");
            assert_eq!(examine(&to).expect("read").done, through.first().copied().unwrap_or(0));
        }
    });
}

/// Says that it is over when it is dropped, also by a test that fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn what_is_brought_back_is_another_life_with_the_files_and_the_old_store_beside_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = made(folder.path());
    let copy = folder.path().join("copy");
    let files = vec![("ca.pem".to_owned(), vec![0, 159, 146, 150]), ("controller.yaml".to_owned(), b"a: b".to_vec())];
    {
        let store = SqliteStore::open(&path).expect("opened");
        store.save(vec![Record::Host(host_record(1))]).expect("saved");
        backup(&path, &copy, &files).expect("copied");
        assert!(matches!(backup(&path, &copy, &files), Err(StoreError::There(_))), "a copy is never written over");
        store.save(vec![Record::Host(host_record(2))]).expect("saved");
        assert!(matches!(restore(&copy, &path, WallTime(0)), Err(StoreError::Taken(_))), "it is in use");
    }
    let restored = restore(&copy, &path, WallTime(0)).expect("restored");
    assert_eq!((restored.epoch, restored.hosts, &restored.files), (2, 1, &files));
    let hosts = |path: &std::path::Path| SqliteStore::open(path).expect("opened").state().expect("read").hosts.len();
    assert_eq!(hosts(&path), 1);
    assert_eq!(hosts(restored.aside.as_deref().expect("put aside")), 2, "with its log");
    let again = restore(&copy, &path, WallTime(0)).expect("restored");
    assert_eq!(again.epoch, 3, "higher than that of the store it replaces, whatever the copy says");
    let later = restore(&copy, &path, WallTime(1_800_000_000_000)).expect("restored");
    assert_eq!(later.epoch, 1_800_000_000);
    assert_eq!(examine(&path).expect("read").epoch, 1_800_000_000);
}

#[test]
fn a_copy_that_is_damaged_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = made(folder.path());
    {
        let store = SqliteStore::open(&path).expect("opened");
        store.save((0..200).map(|_| audited("something that was done")).collect()).expect("saved");
    }
    let copy = folder.path().join("copy");
    backup(&path, &copy, &[]).expect("copied");
    let whole = fs::read(&copy).expect("read");
    let before = fs::read(&path).expect("read");
    let mut torn = whole.clone();
    torn.truncate(whole.len() / 2);
    let mut overwritten = whole.clone();
    overwritten[4096..5 * 4096].fill(0x5a);
    for (what, bytes) in [("torn", torn), ("overwritten", overwritten), ("empty", Vec::new())] {
        fs::write(&copy, bytes).expect("written");
        let error = restore(&copy, &path, WallTime(0)).expect_err(what);
        assert!(!error.suggestion().is_empty());
        assert_eq!(fs::read(&path).expect("read"), before, "{what}: {error}");
    }
    let left: Vec<_> = fs::read_dir(folder.path()).expect("read").flatten().map(|entry| entry.file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains(".new")), "{left:?}");
    fs::write(&copy, whole).expect("written");
    assert!(restore(&copy, &path, WallTime(0)).is_ok());
}
