//! A journal is bounded, says what it lost, and is read past whatever is broken in it.

use proptest::prelude::*;

use super::*;

type Read = Reader<u64, String>;

fn now(seconds: u64) -> MonoTime {
    MonoTime::default().plus(Duration::from_secs(seconds))
}

fn bytes_of(dir: &Path) -> u64 {
    numbers(dir).iter().map(|number| fs::metadata(path(dir, *number)).unwrap().len()).sum()
}

#[test]
fn what_was_recorded_is_read_in_order_over_restarts() {
    let dir = tempfile::tempdir().unwrap();
    for start in 0..3u64 {
        let mut journal = Journal::open(dir.path(), 1 << 20);
        for record in 0..2 {
            journal.append(now(0), &format!("{start}.{record}"), || start);
        }
        assert_eq!(journal.flush(now(1)), None);
    }
    let items: Vec<_> = Read::open(dir.path()).unwrap().collect();
    let expected = (0..3u64).flat_map(|start| {
        let record = move |record: u64| Item::Entry(Entry::Record(format!("{start}.{record}")));
        [Item::Entry(Entry::Snapshot(start)), record(0), record(1)]
    });
    assert_eq!(items, expected.collect::<Vec<_>>());
}

#[test]
fn it_keeps_to_its_limit_and_each_segment_begins_with_a_snapshot() {
    let dir = tempfile::tempdir().unwrap();
    let limit = 200_000;
    let mut journal = Journal::open(dir.path(), limit);
    let mut count = 0u64;
    for _ in 0..10_000 {
        count += 1;
        journal.append(now(0), &format!("record {count} {}", "x".repeat(100)), || count - 1);
        if count.is_multiple_of(100) {
            journal.flush(now(0));
            assert!(bytes_of(dir.path()) <= limit + SEGMENT_BYTES_MIN, "{}", bytes_of(dir.path()));
        }
    }
    journal.flush(now(0));
    for number in numbers(dir.path()) {
        let mut items = Read::open(&path(dir.path(), number)).unwrap();
        let Some(Item::Entry(Entry::Snapshot(before))) = items.next() else { panic!("no snapshot in {number}") };
        let Some(Item::Entry(Entry::Record(first))) = items.next() else { panic!("no record in {number}") };
        assert!(first.starts_with(&format!("record {} ", before + 1)));
    }
    let Some(Item::Entry(Entry::Record(last))) = Read::open(dir.path()).unwrap().last() else { panic!() };
    assert!(last.starts_with("record 10000 "));
}

#[test]
fn a_disk_that_fails_stops_it_with_one_notice_and_it_resumes_later() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("journal");
    // A file where the directory should be fails for root as well, as a full disk does.
    fs::write(&place, b"").unwrap();
    let mut journal = Journal::open(&place, 1 << 20);
    journal.append(now(0), &"lost", || 0u64);
    let notice = journal.flush(now(0));
    assert!(matches!(&notice, Some(Notice::Stopped { why }) if why.contains("journal: ")), "{notice:?}");
    for second in 1..29 {
        journal.append(now(second), &"lost", || 0u64);
        assert_eq!(journal.flush(now(second)), None);
    }
    // It tries again, in vain, and does not say so again.
    journal.append(now(31), &"lost", || 0u64);
    assert_eq!(journal.flush(now(31)), None);
    assert!(journal.is_stopped());
    fs::remove_file(&place).unwrap();
    journal.append(now(62), &"kept", || 7u64);
    assert_eq!(journal.flush(now(62)), Some(Notice::Resumed { lost: 28 }));
    let items: Vec<_> = Read::open(&place).unwrap().collect();
    assert_eq!(items, [Item::Entry(Entry::Snapshot(7)), Item::Entry(Entry::Record("kept".into()))]);
}

#[test]
fn a_device_without_room_is_a_stop() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(dir.path(), 1 << 20);
    journal.append(now(0), &"one", || 0u64);
    // The kernel's always-full device stands in for the file.
    journal.segment.as_mut().unwrap().file = OpenOptions::new().append(true).open("/dev/full").unwrap();
    let notice = journal.flush(now(0));
    assert!(matches!(&notice, Some(Notice::Stopped { why }) if why.contains("No space left")), "{notice:?}");
    journal.append(now(40), &"two", || 1u64);
    assert_eq!(journal.flush(now(40)), Some(Notice::Resumed { lost: 2 }));
}

#[test]
fn torn_and_broken_lines_are_said_and_passed() {
    let dir = tempfile::tempdir().unwrap();
    let whole = "{\"snapshot\":1}\n{\"record\":\"a\"}\n";
    fs::write(path(dir.path(), 1), format!("{whole}{{\"rec")).unwrap();
    fs::write(path(dir.path(), 2), format!("nonsense\n{whole}")).unwrap();
    let items: Vec<_> = Read::open(dir.path()).unwrap().collect();
    let whole = [Item::Entry(Entry::Snapshot(1)), Item::Entry(Entry::Record("a".into()))];
    assert_eq!(items[..2], whole);
    assert_eq!(items[2], Item::Torn { path: path(dir.path(), 1), line: 3 });
    assert!(matches!(&items[3], Item::Unreadable { line: 1, path, .. } if path.ends_with("00000002.jsonl")));
    assert_eq!(items[4..], whole);
    assert!(Read::open(&dir.path().join("nothing")).is_err());
}

#[test]
fn a_line_without_end_is_passed_in_bounded_memory() {
    let dir = tempfile::tempdir().unwrap();
    let mut file = File::create(path(dir.path(), 1)).unwrap();
    for _ in 0..40 {
        file.write_all(&vec![b'x'; 1 << 20]).unwrap();
    }
    file.write_all(b"\n{\"record\":\"after\"}\n").unwrap();
    let items: Vec<_> = Read::open(dir.path()).unwrap().collect();
    assert!(matches!(&items[0], Item::Unreadable { line: 1, why, .. } if why.contains("longer than")));
    assert_eq!(items[1], Item::Entry(Entry::Record("after".into())));
}

proptest! {
    #[test]
    fn cut_anywhere_the_lines_before_the_cut_are_read(records in prop::collection::vec(".{0,20}", 1..20), cut: usize) {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(dir.path(), 1 << 20);
        for record in &records {
            journal.append(now(0), record, || 0u64);
        }
        journal.flush(now(0));
        let place = path(dir.path(), 1);
        let bytes = fs::read(&place).unwrap();
        let cut = cut % (bytes.len() + 1);
        fs::write(&place, &bytes[..cut]).unwrap();
        let lines = bytes[..cut].iter().filter(|byte| **byte == b'\n').count();
        let items: Vec<_> = Read::open(dir.path()).unwrap().collect();
        let whole = items.iter().filter(|item| matches!(item, Item::Entry(_))).count();
        prop_assert_eq!(whole, lines);
        prop_assert_eq!(items.len() - whole, usize::from(cut > 0 && bytes[cut - 1] != b'\n'));
    }
}
