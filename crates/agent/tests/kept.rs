//! What earlier versions have left on hosts is still read: `kept/` holds a journal and a ledger of each format. In that of 1.0
//! a declared process is killed, HOLD comes and goes, the configuration changes and the agent is restarted; in that of 1.1
//! (all four domains, storms, retries, generations) services are killed at once, held, silenced and drilled, a certificate
//! and a service that cannot be healed are left to a person, and the agent is killed.

use std::path::{Path, PathBuf};

use ansai_agent::{
    journal::{Entry, Item},
    ledger::{FileStore, Ledger},
    recorder::Records,
};
use ansai_engine::{Input, State};

fn kept(version: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kept").join(version)
}

/// The state of a ledger.
fn state_of(version: &str) -> (u64, State) {
    let folder = tempfile::tempdir().expect("a folder");
    for slot in ["ledger.a", "ledger.b"] {
        std::fs::copy(kept(version).join(slot), folder.path().join(slot)).expect("copied");
    }
    let (_, loaded) = Ledger::load::<State>(FileStore::new(folder.path(), None));
    assert_eq!(loaded.torn, None);
    (loaded.generation, loaded.state.expect("a state"))
}

#[test]
fn a_journal_of_1_0_is_read() {
    let (mut snapshots, mut inputs, mut applied) = (Vec::new(), 0, Vec::new());
    for item in Records::open(&kept("1.0").join("journal")).expect("a journal") {
        match item {
            Item::Entry(Entry::Snapshot(snapshot)) => snapshots.push(snapshot),
            Item::Entry(Entry::Record(record)) => {
                inputs += 1;
                if let Input::Apply(bundle) = record.input {
                    applied.push(*bundle);
                }
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((snapshots.len(), inputs, applied.len()), (2, 50, 1));
    // The agent that was started anew read what had been applied, and counted from one again.
    let [before, after] = &snapshots[..] else { panic!("{snapshots:?}") };
    assert_eq!(after.bundle.parts().targets, applied[0].parts().targets);
    assert_ne!(after.bundle.parts().targets, before.bundle.parts().targets);
    assert_eq!((before.state.incidents_counted, after.state.incidents_counted), (0, 2));
}

#[test]
fn a_ledger_of_1_0_is_read() {
    let (saved, state) = state_of("1.0");
    assert_eq!((saved, state.incidents_counted, state.runs_counted, state.incidents.len()), (23, 3, 6, 0));
    // It knew no generations: whatever comes is newer.
    assert_eq!((state.generation, state.fingerprint), (0, 0));
}

#[test]
fn a_journal_of_1_1_is_read() {
    let (mut snapshots, mut inputs) = (Vec::new(), 0);
    for item in Records::open(&kept("1.1").join("journal")).expect("a journal") {
        match item {
            Item::Entry(Entry::Snapshot(snapshot)) => snapshots.push(snapshot),
            Item::Entry(Entry::Record(_)) => inputs += 1,
            other => panic!("{other:?}"),
        }
    }
    let targets: Vec<String> = snapshots[0].bundle.parts().targets.keys().map(ToString::to_string).collect();
    assert_eq!(targets.len(), 5, "{targets:?}");
    assert_eq!((snapshots.len(), inputs), (2, 235));
    assert_eq!(snapshots.last().map(|snapshot| snapshot.state.generation), Some(4));
}

#[test]
fn a_ledger_of_1_1_is_read() {
    let (saved, state) = state_of("1.1");
    let open: Vec<&str> = state.incidents.values().map(|incident| incident.target.name()).collect();
    assert_eq!((saved, open), (56, vec!["api", "db.service"]));
    assert_eq!((state.generation, state.silences.len(), state.incidents_counted), (4, 1, 7));
}
