//! A journal is bounded, says what it lost, and is read past whatever is broken in it.

use proptest::prelude::*;

use super::*;

type Read = Reader<u64, String>;

/// A limit that no test reaches by accident.
const LARGE: u64 = 1 << 20;

fn now(seconds: u64) -> MonoTime {
    MonoTime::default().plus(Duration::from_secs(seconds))
}

fn bytes_of(dir: &Path) -> u64 {
    fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    files::list(dir).into_iter().filter(files::Found::is_segment).map(|file| file.path).collect()
}

/// Records something as the recorder does, the state before it being asked for when a segment begins.
fn record<S: Serialize>(journal: &mut Journal, now: MonoTime, record: &str, snapshot: impl FnOnce() -> S) {
    match journal.next(now) {
        Next::Lost => return,
        Next::Segment => journal.begin(now, &snapshot()),
        Next::Record => {}
    }
    journal.append(now, &record, Weight::New);
}

/// Text that hardly gets smaller, the same for the same number.
fn noise(seed: u64, bytes: usize) -> String {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut byte = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b'!' + u8::try_from(state % 90).unwrap())
    };
    (0..bytes).map(|_| byte()).collect()
}

#[test]
fn what_was_recorded_is_read_in_order_over_restarts() {
    let dir = tempfile::tempdir().unwrap();
    for start in 0..3u64 {
        let mut journal = Journal::open(dir.path(), LARGE);
        for number in 0..2 {
            record(&mut journal, now(0), &format!("{start}.{number}"), || start);
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
    for count in 1..=10_000u64 {
        record(&mut journal, now(0), &format!("record {count} {}", noise(count, 100)), || count - 1);
        if count.is_multiple_of(100) {
            assert_eq!(journal.flush(now(0)), None);
            assert!(bytes_of(dir.path()) <= limit, "{}", bytes_of(dir.path()));
        }
    }
    journal.flush(now(0));
    assert!(bytes_of(dir.path()) > limit / 2 && segments(dir.path()).len() > 4, "{:?}", segments(dir.path()));
    for segment in segments(dir.path()) {
        let mut items = Read::open(&segment).unwrap();
        let Some(Item::Entry(Entry::Snapshot(before))) = items.next() else { panic!("no snapshot in {segment:?}") };
        let Some(Item::Entry(Entry::Record(first))) = items.next() else { panic!("no record in {segment:?}") };
        assert!(first.starts_with(&format!("record {} ", before + 1)));
    }
    let Some(Item::Entry(Entry::Record(last))) = Read::open(dir.path()).unwrap().last() else { panic!() };
    assert!(last.starts_with("record 10000 "));
}

#[test]
fn a_beginning_larger_than_a_segment_is_not_written_for_each_record() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(dir.path(), LARGE);
    // Three times what a segment usually takes.
    let snapshot = noise(7, 400_000);
    let mut begun = 0;
    for count in 0..5_000u64 {
        record(&mut journal, now(0), &noise(count, 200), || {
            begun += 1;
            snapshot.clone()
        });
    }
    assert_eq!(journal.flush(now(0)), None);
    // A megabyte of records is worth three of them, and without the weight of what is new one for each.
    assert_eq!(begun, 3);
    assert!(bytes_of(dir.path()) <= LARGE);
    // What is repeated for a segment's sake does not count as new.
    let mut journal = Journal::open(dir.path(), LARGE);
    for count in 0..5_000u64 {
        match journal.next(now(0)) {
            Next::Segment => {
                begun += 1;
                journal.begin(now(0), &snapshot);
            }
            Next::Record | Next::Lost => {}
        }
        journal.append(now(0), &noise(count, 50), Weight::Repeated);
    }
    assert_eq!(begun, 4);
}

#[test]
fn a_limit_that_is_too_small_is_said_once_and_holds() {
    let dir = tempfile::tempdir().unwrap();
    let limit = 200_000;
    let mut journal = Journal::open(dir.path(), limit);
    let (mut begun, mut notices) = (0, Vec::new());
    for second in 0..3_600u64 {
        record(&mut journal, now(second), "something", || {
            begun += 1;
            noise(second, 300_000)
        });
        notices.extend(journal.flush(now(second)));
        // What one write takes at most is beyond it for a moment.
        assert!(second == 0 || bytes_of(dir.path()) <= 300_000, "{}", bytes_of(dir.path()));
    }
    assert_eq!(begun, 1);
    let [Notice::Stopped { why }] = &notices[..] else { panic!("{notices:?}") };
    assert!(why.contains("`agent.journal_bytes`") && why.contains("195.3 KiB"), "{why}");
    // Another limit is tried at once.
    journal.set_bytes_max(LARGE);
    record(&mut journal, now(3_600), "fits", || 5u64);
    assert!(matches!(journal.flush(now(3_600)), Some(Notice::Resumed { .. })));
}

#[test]
fn what_is_attached_stands_there_once_and_as_long_as_a_segment_refers_to_it() {
    let dir = tempfile::tempdir().unwrap();
    let read = |number| Read::open(dir.path()).unwrap().attachment::<String>(number);
    let mut journal = Journal::open(dir.path(), LARGE);
    let large = |seed| noise(seed, 50_000);
    let first = journal.attach(now(0), &large(1)).unwrap();
    record(&mut journal, now(0), "one", || first);
    assert_eq!(journal.attach(now(0), &large(1)), Some(first));
    drop(journal);
    // An agent that starts anew with the same finds it.
    let mut journal = Journal::open(dir.path(), LARGE);
    assert_eq!(journal.attach(now(0), &large(1)), Some(first));
    assert_eq!(read(first).unwrap(), large(1));
    let mut numbers = vec![first];
    for count in 0..100 {
        record(&mut journal, now(0), &noise(count, 1_000), || *numbers.last().unwrap());
        numbers.extend(journal.attach(now(0), &large(count)));
        assert_eq!(journal.flush(now(0)), None);
        assert!(bytes_of(dir.path()) <= LARGE, "{}", bytes_of(dir.path()));
    }
    assert!(read(first).is_err_and(|error| error.to_string().contains("is not beside it")));
    // What is left can be read with all that it refers to.
    let snapshots: Vec<u64> = Read::open(dir.path())
        .unwrap()
        .filter_map(|item| match item {
            Item::Entry(Entry::Snapshot(number)) => Some(number),
            _ => None,
        })
        .collect();
    assert!(!snapshots.is_empty() && snapshots.iter().all(|number| read(*number).is_ok()), "{snapshots:?}");
    assert_eq!(read(*numbers.last().unwrap()).unwrap(), large(99));
}

#[test]
fn an_attachment_alone_above_the_limit_is_not_left_there() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(dir.path(), 0);
    assert_eq!(journal.attach(now(0), &noise(1, 400_000)), None);
    assert!(matches!(journal.flush(now(0)), Some(Notice::Stopped { why }) if why.contains("journal_bytes")));
    assert_eq!(bytes_of(dir.path()), 0);
}

#[test]
fn starts_without_number_leave_few_files() {
    let dir = tempfile::tempdir().unwrap();
    for start in 0..200u64 {
        let mut journal = Journal::open(dir.path(), LARGE);
        record(&mut journal, now(0), "started", || start);
        journal.flush(now(0));
    }
    assert_eq!(files::list(dir.path()).len(), FILES_MAX);
}

#[test]
fn a_small_file_that_claims_to_be_large_ends() {
    let dir = tempfile::tempdir().unwrap();
    let file = File::create(files::segment(dir.path(), 1)).unwrap();
    let mut packed = GzEncoder::new(file, Compression::fast());
    let zeros = vec![b' '; 1 << 20];
    (0..40).for_each(|_| packed.write_all(&zeros).unwrap());
    packed.finish().unwrap();
    let items: Vec<_> = Read::open(dir.path()).unwrap().collect();
    assert!(matches!(&items[..], [Item::Unreadable { line: 1, .. }]), "{}", items.len());
}

#[test]
fn holes_end_and_what_is_no_file_is_said() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    let dir = tempfile::tempdir().unwrap();
    // A terabyte of nothing, as a journal was written before segments were compressed.
    File::create(dir.path().join("00000001.jsonl")).unwrap().set_len(1 << 40).unwrap();
    let pipe = dir.path().join("00000002.jsonl");
    mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR, 0).unwrap();
    let items: Vec<_> = Read::open(dir.path()).unwrap().collect();
    assert!(matches!(&items[0], Item::Unreadable { line: 1, .. }), "{:?}", items[0]);
    let Some(Item::Unreadable { path, why, .. }) = items.last() else { panic!("it is said: {}", items.len()) };
    assert!(*path == pipe && why.contains("it is a named pipe"), "{why}");
}

#[test]
fn a_disk_that_fails_stops_it_with_one_notice_and_it_resumes_later() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("journal");
    // A file where the directory should be fails for root as well, as a full disk does.
    fs::write(&place, b"").unwrap();
    let mut journal = Journal::open(&place, LARGE);
    record(&mut journal, now(0), "lost", || 0u64);
    let notice = journal.flush(now(0));
    assert!(matches!(&notice, Some(Notice::Stopped { why }) if why.contains("journal: ")), "{notice:?}");
    for second in 1..29 {
        record(&mut journal, now(second), "lost", || 0u64);
        assert_eq!(journal.flush(now(second)), None);
    }
    // It tries again, in vain, and does not say so again.
    record(&mut journal, now(31), "lost", || 0u64);
    assert_eq!(journal.flush(now(31)), None);
    assert!(journal.is_stopped());
    fs::remove_file(&place).unwrap();
    record(&mut journal, now(62), "kept", || 7u64);
    assert_eq!(journal.flush(now(62)), Some(Notice::Resumed { lost: 30 }));
    let items: Vec<_> = Read::open(&place).unwrap().collect();
    assert_eq!(items, [Item::Entry(Entry::Snapshot(7)), Item::Entry(Entry::Record("kept".into()))]);
}

#[test]
fn a_device_without_room_is_a_stop() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(dir.path(), LARGE);
    record(&mut journal, now(0), "one", || 0u64);
    // The kernel's always-full device stands in for the file.
    journal.segment.as_mut().unwrap().file = OpenOptions::new().append(true).open("/dev/full").unwrap();
    let notice = journal.flush(now(0));
    assert!(matches!(&notice, Some(Notice::Stopped { why }) if why.contains("No space left")), "{notice:?}");
    record(&mut journal, now(40), "two", || 1u64);
    assert_eq!(journal.flush(now(40)), Some(Notice::Resumed { lost: 2 }));
}

#[test]
fn torn_and_broken_lines_are_said_and_passed() {
    let dir = tempfile::tempdir().unwrap();
    let whole = "{\"snapshot\":1}\n{\"record\":\"a\"}\n";
    // As they were written before segments were compressed.
    let path = |number: u64| dir.path().join(format!("{number:08}.jsonl"));
    fs::write(path(1), format!("{whole}{{\"rec")).unwrap();
    fs::write(path(2), format!("nonsense\n{whole}")).unwrap();
    let items: Vec<_> = Read::open(dir.path()).unwrap().collect();
    let whole = [Item::Entry(Entry::Snapshot(1)), Item::Entry(Entry::Record("a".into()))];
    assert_eq!(items[..2], whole);
    assert_eq!(items[2], Item::Torn { path: path(1), line: 3 });
    assert!(matches!(&items[3], Item::Unreadable { line: 1, path, .. } if path.ends_with("00000002.jsonl")));
    assert_eq!(items[4..], whole);
    assert!(Read::open(&dir.path().join("nothing")).is_err());
}

#[test]
fn a_line_without_end_is_passed_in_bounded_memory() {
    let dir = tempfile::tempdir().unwrap();
    let mut file = File::create(dir.path().join("00000001.jsonl")).unwrap();
    for _ in 0..20 {
        file.write_all(&vec![b'x'; 1 << 20]).unwrap();
    }
    file.write_all(b"\n{\"record\":\"after\"}\n").unwrap();
    let items: Vec<_> = Read::open(dir.path()).unwrap().collect();
    assert!(matches!(&items[0], Item::Unreadable { line: 1, why, .. } if why.contains("longer than")));
    assert_eq!(items[1], Item::Entry(Entry::Record("after".into())));
}

proptest! {
    #[test]
    fn cut_anywhere_what_was_written_out_before_the_cut_is_read(
        records in prop::collection::vec(".{0,20}", 1..20), each in 1usize..5, cut: usize,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(dir.path(), LARGE);
        // How many lines a file of so many bytes holds whole.
        let mut written = vec![(0, 0)];
        for (at, text) in records.iter().enumerate() {
            record(&mut journal, now(0), text, || 0u64);
            if at % each == 0 {
                journal.flush(now(0));
                written.push((bytes_of(dir.path()), at + 2));
            }
        }
        journal.flush(now(0));
        written.push((bytes_of(dir.path()), records.len() + 1));
        let place = files::segment(dir.path(), 1);
        let bytes = fs::read(&place).unwrap();
        let cut = cut % (bytes.len() + 1);
        fs::write(&place, &bytes[..cut]).unwrap();
        let lines = written.iter().rfind(|(bytes, _)| *bytes <= cut as u64).unwrap().1;
        let items: Vec<_> = Read::open(dir.path()).unwrap().collect();
        let whole = items.iter().filter(|item| matches!(item, Item::Entry(_))).count();
        // What is left of the part that does not end may hold a few lines more.
        prop_assert!(whole >= lines, "{} of {}", whole, lines);
        let is_torn = written.iter().all(|(bytes, _)| *bytes != cut as u64);
        prop_assert_eq!(items.iter().filter(|item| matches!(item, Item::Torn { .. })).count(), usize::from(is_torn));
        prop_assert_eq!(items.len(), whole + usize::from(is_torn));
    }
}
