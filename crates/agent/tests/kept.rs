//! What earlier versions have left on hosts is still read: `kept/` holds a journal and a ledger as 1.0 wrote them, in which
//! a declared process is killed, HOLD comes and goes, the configuration changes and the agent is restarted.

use std::path::{Path, PathBuf};

use ansai_agent::{
    journal::{Entry, Item},
    ledger::{FileStore, Ledger},
    recorder::Records,
};
use ansai_engine::{Input, State};

fn kept() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kept")
}

#[test]
fn a_journal_of_1_0_is_read() {
    let (mut snapshots, mut inputs, mut applied) = (Vec::new(), 0, Vec::new());
    for item in Records::open(&kept().join("journal")).expect("a journal") {
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
    let folder = tempfile::tempdir().expect("a folder");
    for slot in ["ledger.a", "ledger.b"] {
        std::fs::copy(kept().join(slot), folder.path().join(slot)).expect("copied");
    }
    let (_, loaded) = Ledger::load::<State>(FileStore::new(folder.path(), None));
    let state = loaded.state.expect("a state");
    assert_eq!((loaded.generation, loaded.torn), (23, None));
    assert_eq!((state.incidents_counted, state.runs_counted, state.incidents.len()), (3, 6, 0));
}
