//! What of the loop goes into the journal, so that `ansai replay` can step through it: every input but time passing,
//! and of healthy observations only the first of a row while nothing is open. It decides nothing and is asked nothing.

use std::{cell::Cell, collections::BTreeMap, path::Path};

use ansai_engine::{HostEngine, Input, State};
use ansai_model::{
    bundle::Bundle, domain::service::UnitSnapshot, id::CheckId, observation::Health, text::Text, time::Now,
};
use serde::{Deserialize, Serialize};

use crate::journal::{Journal, Notice, Reader};

/// What happened, and when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recorded {
    /// When the engine was told.
    pub at: Now,
    /// What it was told.
    pub input: Input,
}

#[derive(Serialize)]
struct RecordedRef<'a> {
    at: Now,
    input: &'a Input,
}

/// What the engine was made of when a segment began. What its checks had seen is not in it: they begin unknown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// When.
    pub at: Now,
    /// The bundle in force.
    pub bundle: Bundle,
    /// The ledger's state.
    pub state: State,
}

#[derive(Serialize)]
struct SnapshotRef<'a> {
    at: Now,
    bundle: &'a Bundle,
    state: &'a State,
}

/// Reads a recorded journal, oldest first.
pub type Records = Reader<Snapshot, Recorded>;

/// What of a healthy observation must be the same for the next one to be left out: the state of a unit. Figures, as a
/// latency, differ each time and mean nothing while healthy.
type Known = Option<Box<UnitSnapshot>>;

/// Writes the inputs of one loop.
#[derive(Debug)]
pub struct Recorder {
    journal: Journal,
    healthy: BTreeMap<CheckId, Known>,
    hold_file: Option<Text>,
}

impl Recorder {
    /// A recorder with its journal in `dir`, of at most `bytes_max` bytes.
    #[must_use]
    pub fn open(dir: &Path, bytes_max: u64) -> Self {
        Self { journal: Journal::open(dir, bytes_max), healthy: BTreeMap::new(), hold_file: None }
    }

    /// Records an input before the engine is told, when it can matter.
    pub fn record(&mut self, now: Now, input: &Input, engine: &HostEngine) {
        if !self.matters(input, engine) {
            return;
        }
        let has_begun = Cell::new(false);
        let snapshot = || {
            has_begun.set(true);
            SnapshotRef { at: now, bundle: engine.bundle(), state: engine.state() }
        };
        self.journal.append(now.mono, &RecordedRef { at: now, input }, snapshot);
        if has_begun.get() {
            // A segment can be read without those before it, so it tells anew who is healthy and whether HOLD is there.
            self.healthy.clear();
            self.hold_file = None;
        }
    }

    fn matters(&mut self, input: &Input, engine: &HostEngine) -> bool {
        match input {
            Input::Tick => false,
            Input::HoldFile(text) => {
                let has_changed = self.hold_file != *text;
                self.hold_file.clone_from(text);
                has_changed
            }
            Input::Observed { check, observation } => {
                if observation.health() != Health::Healthy {
                    self.healthy.remove(check);
                    return true;
                }
                let unit = observation.unit();
                let is_known = self.healthy.get(check).is_some_and(|known| known.as_deref() == unit);
                if !is_known {
                    self.healthy.insert(check.clone(), unit.cloned().map(Box::new));
                }
                !is_known || !engine.state().incidents.is_empty()
            }
            Input::Apply(_) => {
                // Checks may have gone; those that are left tell once more.
                self.healthy.clear();
                true
            }
            Input::Started
            | Input::Hint(_)
            | Input::ActionEnded { .. }
            | Input::NotStarted { .. }
            | Input::Gathered { .. }
            | Input::Dispatched { .. }
            | Input::Operator { .. }
            | Input::Facts(_)
            | Input::Ledger(_) => true,
        }
    }

    /// Writes out what is buffered; to be called about once a second, and at the end. Says what is to be told, once.
    pub fn flush(&mut self, now: Now) -> Option<Notice> {
        self.journal.flush(now.mono)
    }

    /// Takes over another limit of the journal on disk.
    pub fn set_bytes_max(&mut self, bytes_max: u64) {
        self.journal.set_bytes_max(bytes_max);
    }

    /// Gives back memory that is only kept to be used again.
    pub fn shrink(&mut self, now: Now) {
        self.journal.shrink(now.mono);
    }

    /// Records nothing for the next half minute; what follows begins a segment of its own.
    pub fn pause(&mut self, now: Now, why: &str) {
        self.journal.pause(now.mono, why);
    }
}

#[cfg(test)]
mod tests {
    use ansai_model::{
        condition::Value,
        domain::service::ActiveState,
        inventory::Inventory,
        observation::{Details, Observation},
        time::MonoTime,
    };

    use super::*;
    use crate::journal::{Entry, Item};

    fn observed(health: Observation) -> Input {
        Input::Observed { check: CheckId::new("service/a#unit").expect("valid"), observation: health }
    }

    /// What is written of these inputs, one a second.
    fn kept(inputs: &[Input]) -> Vec<Input> {
        let folder = tempfile::tempdir().expect("a folder");
        let bundle = ansai_config::parse(&[]).and_then(|shipped| shipped.bundle(&Inventory::default(), 1));
        let engine = HostEngine::new(bundle.expect("valid"), State::default(), Now::default());
        let mut recorder = Recorder::open(folder.path(), 1 << 20);
        for (second, input) in inputs.iter().enumerate() {
            let mono = MonoTime(i64::try_from(second).expect("small") * 1_000_000_000);
            recorder.record(Now { mono, ..Now::default() }, input, &engine);
        }
        assert_eq!(recorder.flush(Now::default()), None);
        let records = Records::open(folder.path()).expect("a journal");
        records
            .filter_map(|item| match item {
                Item::Entry(Entry::Record(record)) => Some(record.input),
                Item::Entry(Entry::Snapshot(_)) => None,
                other => panic!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn a_row_of_healthy_observations_is_told_once_and_failures_always() {
        let healthy = || observed(Observation::healthy("up"));
        let failing = || observed(Observation::failing("down"));
        let inputs =
            [Input::Tick, healthy(), healthy(), failing(), failing(), healthy(), Input::HoldFile(None), healthy()];
        // The first healthy one opens the segment, which forgets who is healthy: it is told twice.
        assert_eq!(kept(&inputs), [healthy(), healthy(), failing(), failing(), healthy()]);
    }

    #[test]
    fn a_hold_file_is_told_when_it_comes_or_goes_and_in_each_segment() {
        let held = || Input::HoldFile(Some("by hand".into()));
        let (gone, failing) = (|| Input::HoldFile(None), || observed(Observation::failing("down")));
        // The first record opens the segment, as above.
        let inputs = [failing(), held(), held(), gone(), gone(), held()];
        assert_eq!(kept(&inputs), [failing(), held(), gone(), held()]);
        assert_eq!(kept(&[held(), held(), held()]), [held(), held()]);
    }

    #[test]
    fn figures_differ_each_time_and_a_unit_only_when_something_happened() {
        let latency = |value| observed(Observation::healthy("up").with_figure("latency", Value::Number(value)));
        let run = |main_pid| {
            let unit = UnitSnapshot { main_pid: Some(main_pid), ..UnitSnapshot::plain(ActiveState::Active) };
            observed(Observation::healthy("up").with_details(Details::Unit(Box::new(unit))))
        };
        let inputs = [latency(1.0), latency(2.0), latency(3.0), run(7), run(7), run(8), latency(4.0)];
        // The first opens the segment, as above.
        assert_eq!(kept(&inputs), [latency(1.0), latency(2.0), run(7), run(8), latency(4.0)]);
    }
}
