//! A ledger that is killed anywhere still holds the state before the save, or the one that was saved.

use std::{
    fs,
    time::{Duration, Instant},
};

use ansai_engine::state::{BreakerState, Depth, PastIncident, TargetMemory};
use ansai_model::{
    bundle::CHECKS_MAX,
    id::{CheckId, TargetId},
    time::{MonoTime, Now, WallTime},
};
use proptest::prelude::*;

use super::*;

fn reload(store: MemoryStore) -> Loaded<String> {
    Ledger::load(store).1
}

/// A ledger that has saved each of the states.
fn saved(states: &[&str]) -> Ledger<MemoryStore> {
    let (mut ledger, loaded) = Ledger::load::<String>(MemoryStore::new());
    assert_eq!(loaded, Loaded { state: None, torn: None, generation: 0, trouble: None });
    for state in states {
        ledger.save(state).unwrap();
    }
    ledger
}

#[test]
fn the_newest_state_is_loaded() {
    for count in 1..5usize {
        let states = &["one", "two", "three", "four"][..count];
        let loaded = reload(saved(states).into_store());
        assert_eq!(loaded.state.as_deref(), states.last().copied());
        assert_eq!((loaded.torn, loaded.generation), (None, count as u64));
    }
}

#[test]
fn torn_at_every_byte_the_previous_state_is_loaded_and_the_tear_is_said() {
    // The new state is shorter and longer than what lay in the slot before.
    for (before, new) in [("a much longer state than the new one", "new"), ("x", "a new state that is longer")] {
        let whole = {
            let mut ledger = saved(&[before, "kept"]);
            ledger.save(&new).unwrap();
            ledger.frame_bytes()
        };
        for offset in 0..whole {
            let mut ledger = saved(&[before, "kept"]);
            ledger.store_mut().fail_next(Fault::TornAfter(offset));
            ledger.save(&new).unwrap_err();
            let loaded = reload(ledger.into_store());
            assert_eq!(loaded.state.as_deref(), Some("kept"), "torn after {offset} bytes");
            // Without a byte of the new frame, or with only those that are the same in both, the old slot is whole.
            assert!(loaded.torn.is_some() || offset <= 12, "torn after {offset} bytes and not said");
        }
    }
}

#[test]
fn the_first_save_torn_leaves_a_fresh_ledger_that_says_so() {
    for offset in 1..30 {
        let mut ledger = saved(&[]);
        ledger.store_mut().fail_next(Fault::TornAfter(offset));
        ledger.save(&"first").unwrap_err();
        let loaded = reload(ledger.into_store());
        assert_eq!(loaded.state, None);
        assert!(loaded.torn.is_some());
    }
}

#[test]
fn both_torn_is_a_loss_that_names_both_places() {
    let mut store = saved(&["one", "two"]).into_store();
    for slot in Slot::ALL {
        store.slot_mut(slot).as_mut().unwrap()[20] ^= 1;
    }
    let loaded = reload(store);
    assert_eq!(loaded.state, None);
    let error = loaded.trouble.unwrap().to_string();
    assert!(
        error.contains("memory slot A") && error.contains("memory slot B") && error.contains("checksum"),
        "{error}"
    );
}

#[test]
fn a_slot_that_was_removed_beside_a_torn_one_is_a_loss() {
    for (removed, torn) in [(Slot::A, Slot::B), (Slot::B, Slot::A)] {
        let mut store = saved(&["one", "two"]).into_store();
        *store.slot_mut(removed) = None;
        store.slot_mut(torn).as_mut().unwrap()[30] ^= 1;
        assert!(matches!(reload(store).trouble, Some(Trouble::Lost(_))));
    }
}

#[test]
fn after_a_full_disk_the_same_slot_is_tried_again() {
    let mut ledger = saved(&["one", "two"]);
    ledger.store_mut().fill();
    for _ in 0..3 {
        assert!(matches!(ledger.save(&"lost"), Err(SaveError::Write { .. })));
    }
    assert_eq!(reload(ledger.store_mut().clone()).state.as_deref(), Some("two"));
    ledger.store_mut().free();
    ledger.save(&"three").unwrap();
    assert_eq!(reload(ledger.into_store()).state.as_deref(), Some("three"));
}

/// The memory of the largest host: each target has a check of its own, a long name, and all that is remembered.
fn largest() -> ansai_engine::State {
    let depth = Depth::of(CHECKS_MAX);
    let at = Now { mono: MonoTime(i64::MAX / 2), wall: WallTime(4_000_000_000_000) };
    let times = || vec![at.mono; depth.times].into();
    let past =
        PastIncident { opened: at, was_healed: false, downtime: Duration::new(1_000_000, 999_999_999), again: 0 };
    let mut state = ansai_engine::State::default();
    for number in 0..CHECKS_MAX {
        let name = format!("service/{number:0>180}.service");
        let mut memory = TargetMemory {
            actions: times(),
            drills: times(),
            failures: times(),
            remediated: Some(at),
            backoff_level: u32::MAX,
            repeats: u32::MAX,
            well_since: Some(at.mono),
            breaker: BreakerState::Open { until: at },
            drilled: Some(at.mono),
            ..TargetMemory::default()
        };
        let check = CheckId::new(format!("{name}#unit")).unwrap();
        memory.past.insert(check, vec![past; depth.past].into());
        state.targets.insert(TargetId::new(name).unwrap(), memory);
    }
    state
}

#[test]
fn the_memory_of_the_largest_host_fits_with_room_for_its_open_incidents() {
    let mut frame = Vec::new();
    encode(&mut frame, 1, &largest()).unwrap();
    assert!(frame.len() > 8 << 20, "it is no small state: {}", frame.len());
    assert!(frame.len() < PAYLOAD_BYTES_MAX * 3 / 4, "{} of {PAYLOAD_BYTES_MAX}", frame.len());
    let Decoded::Whole(1, payload) = decode(&frame) else { panic!("it is whole") };
    assert_eq!(payload.len(), frame.len() - frame::HEADER_BYTES);
}

#[test]
fn a_state_that_is_too_large_or_of_another_shape_is_refused() {
    let mut ledger = saved(&["one"]);
    let large = "x".repeat(PAYLOAD_BYTES_MAX + 1);
    assert!(matches!(ledger.save(&large), Err(SaveError::TooLarge { .. })));
    let (mut ledger, loaded) = Ledger::load::<u64>(ledger.into_store());
    assert!(matches!(loaded.trouble, Some(Trouble::Unreadable(_))));
    // It is not written over: the version that knows it finds it as it was.
    assert!(matches!(ledger.save(&1_u64), Err(SaveError::Sealed(_))));
    assert_eq!(reload(ledger.into_store()).state.as_deref(), Some("one"));
}

proptest! {
    #[test]
    fn whatever_sectors_reach_the_disk_one_of_the_two_states_is_loaded(
        states in prop::collection::vec(".{0,3000}", 1..6), new in ".{0,3000}", sectors: u64,
    ) {
        let (mut ledger, _) = Ledger::load::<String>(MemoryStore::new());
        for state in &states {
            ledger.save(state).unwrap();
        }
        ledger.store_mut().fail_next(Fault::Sectors(sectors));
        let _ = ledger.save(&new);
        let (mut ledger, loaded) = Ledger::load::<String>(ledger.into_store());
        let state = loaded.state.unwrap();
        prop_assert!(state == *states.last().unwrap() || state == new);
        // And it goes on from there.
        ledger.save(&"next").unwrap();
        let again = reload(ledger.into_store());
        prop_assert_eq!(again.state.as_deref(), Some("next"));
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), magic: bool) {
        let mut bytes = bytes;
        if magic && bytes.len() >= 12 {
            bytes[..8].copy_from_slice(b"ansaildg");
            bytes[8..12].copy_from_slice(&1u32.to_le_bytes());
        }
        let _ = decode(&bytes);
    }
}

#[test]
fn files_keep_the_state_between_processes_and_are_private() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    for round in 0..4u64 {
        let (mut ledger, loaded) = Ledger::load::<u64>(FileStore::new(&state, None));
        assert_eq!(loaded.state, round.checked_sub(1));
        assert_eq!(loaded.torn, None);
        ledger.save(&round).unwrap();
    }
    assert_eq!(fs::metadata(state.join("ledger.a")).unwrap().permissions().mode() & 0o777, 0o600);
    let bytes = fs::read(state.join("ledger.b")).unwrap();
    fs::write(state.join("ledger.b"), &bytes[..20]).unwrap();
    let (_, loaded) = Ledger::load::<u64>(FileStore::new(&state, None));
    assert_eq!(loaded.state, Some(2));
    assert!(loaded.torn.unwrap().place.ends_with("ledger.b"));
}

#[test]
fn a_slot_grows_with_its_state() {
    let dir = tempfile::tempdir().unwrap();
    let (mut ledger, _) = Ledger::load::<String>(FileStore::new(dir.path(), None));
    for bytes in [10, 300 << 10, 3 << 20, 5] {
        let state = "s".repeat(bytes);
        ledger.save(&state).unwrap();
        let (_, loaded) = Ledger::load::<String>(FileStore::new(dir.path(), None));
        assert_eq!(loaded.state.map(|state| state.len()), Some(bytes));
    }
}

/// Somebody removes or replaces the directory under a running agent: what it saves then is where the next one looks.
#[test]
fn a_directory_that_is_removed_or_moved_is_made_anew_by_the_next_save() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let (mut ledger, _) = Ledger::load::<u64>(FileStore::new(&state, None));
    for round in 0..3 {
        ledger.save(&round).unwrap();
        match round {
            1 => fs::remove_dir_all(&state).unwrap(),
            _ => fs::rename(&state, dir.path().join(format!("away{round}"))).unwrap(),
        }
        ledger.save(&(round + 10)).unwrap();
        let held = StateLock::take(&state).unwrap_err().to_string();
        assert!(held.contains("another agent"), "{held}");
        let (_, loaded) = Ledger::load::<u64>(Reader(FileStore::new(&state, None)));
        assert_eq!((loaded.state, loaded.trouble), (Some(round + 10), None));
    }
}

/// A store that is only read, as by an agent that has no lock.
struct Reader(FileStore);

impl Store for Reader {
    fn read(&mut self, slot: Slot) -> io::Result<Option<Vec<u8>>> {
        self.0.read(slot)
    }

    fn prepare(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn write(&mut self, _: Slot, _: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn was_used(&mut self) -> bool {
        self.0.was_used()
    }

    fn mark_used(&mut self) {}

    fn place(&self, slot: Slot) -> String {
        self.0.place(slot)
    }
}

#[test]
fn without_room_at_the_first_start_it_saves_as_soon_as_there_is_some() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    // Something lies where the directory should be, as a full disk refuses to make it.
    fs::write(&state, "").unwrap();
    let (mut ledger, loaded) = Ledger::load::<u64>(FileStore::new(&state, None));
    assert_eq!((loaded.state, loaded.trouble, loaded.torn), (None, None, None));
    assert!(matches!(ledger.save(&1), Err(SaveError::Write { .. })));
    fs::remove_file(&state).unwrap();
    ledger.save(&2).unwrap();
    let (_, loaded) = Ledger::load::<u64>(Reader(FileStore::new(&state, None)));
    assert_eq!((loaded.state, loaded.torn.map(|torn| torn.why)), (Some(2), Some("it is missing".into())));
}

#[test]
fn a_second_agent_is_refused_with_the_pid_of_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let first = StateLock::take(dir.path()).unwrap();
    let error = StateLock::take(dir.path()).unwrap_err().to_string();
    let expected = format!(
        "another agent (pid {}) uses {}; stop it first or choose --state-dir",
        std::process::id(),
        dir.path().display()
    );
    assert_eq!(error, expected);
    drop(first);
    StateLock::take(dir.path()).unwrap();
}

/// Not a promise on any disk, so nothing is asserted of the time; `SPECIFICATION.md`'s figures come from the benches.
#[test]
fn a_save_of_ten_kibibytes_is_measured() {
    let dir = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
    let (mut ledger, _) = Ledger::load::<String>(FileStore::new(dir.path(), None));
    let state = "s".repeat(10 << 10);
    let mut times: Vec<_> = (0..200)
        .map(|_| {
            let begun = Instant::now();
            ledger.save(&state).unwrap();
            begun.elapsed()
        })
        .collect();
    times.sort();
    println!("save of 10 KiB: median {:?}, 99 % {:?}", times[100], times[198]);
}
