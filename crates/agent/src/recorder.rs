//! What of the loop goes into the journal, so that `ansai replay` can step through it: every input but time passing, and
//! of what says nothing new only the first of a row, unless an open incident waits for it. It decides nothing and is asked
//! nothing.
//!
//! A bundle is as large as its host: it stands in a file of its own, to which snapshots and inputs refer.

use std::{collections::BTreeMap, path::Path};

use ansai_engine::{HostEngine, Input, State};
use ansai_model::{
    domain::service::UnitSnapshot,
    id::CheckId,
    observation::{Health, Observation},
    text::Text,
    time::Now,
};
use serde::Serialize;

use crate::journal::{Journal, Next, Notice, Weight};

mod records;

pub use records::{Recorded, Records, Snapshot};

#[derive(Serialize)]
struct SnapshotRef<'a> {
    at: Now,
    /// The attachment with the bundle in force.
    bundle_file: u64,
    state: &'a State,
}

#[derive(Serialize)]
struct RecordedRef<'a> {
    at: Now,
    input: &'a Input,
}

/// In place of [`Input::Apply`].
#[derive(Serialize)]
struct AppliedRef {
    at: Now,
    apply_file: u64,
}

/// What was last told of a check that does not fail.
#[derive(Debug)]
struct Told {
    /// In which segment.
    segment: u64,
    health: Health,
    /// What of it must be the same for the next one to be left out: the state of a unit, or why nothing is known. Figures,
    /// as a latency, differ each time and mean nothing while healthy.
    unit: Option<Box<UnitSnapshot>>,
    why: Option<Text>,
}

impl Told {
    fn says(&self, observation: &Observation) -> bool {
        self.health == observation.health()
            && self.unit.as_deref() == observation.unit()
            && self.why.as_ref() == why(observation)
    }
}

fn why(observation: &Observation) -> Option<&Text> {
    (observation.health() == Health::Unknown).then(|| observation.summary())
}

/// Writes the inputs of one loop.
#[derive(Debug)]
pub struct Recorder {
    journal: Journal,
    /// How many segments this recorder has begun.
    segment: u64,
    /// The attachment with the bundle in force, when there is one.
    bundle: Option<u64>,
    told: BTreeMap<CheckId, Told>,
    hold_file: Option<Text>,
}

impl Recorder {
    /// A recorder with its journal in `dir`, of at most `bytes_max` bytes.
    #[must_use]
    pub fn open(dir: &Path, bytes_max: u64) -> Self {
        let journal = Journal::open(dir, bytes_max);
        Self { journal, segment: 0, bundle: None, told: BTreeMap::new(), hold_file: None }
    }

    /// Records an input before the engine is told, when it can matter.
    pub fn record(&mut self, now: Now, input: &Input, engine: &HostEngine) {
        let Some(weight) = self.weight(input, engine) else { return };
        match self.journal.next(now.mono) {
            Next::Record => {}
            Next::Segment => self.begin(now, engine),
            Next::Lost => return self.lose(input),
        }
        match input {
            Input::Apply(bundle) => {
                self.bundle = self.journal.attach(now.mono, &**bundle);
                if let Some(apply_file) = self.bundle {
                    self.journal.append(now.mono, &AppliedRef { at: now, apply_file }, weight);
                }
            }
            input => self.journal.append(now.mono, &RecordedRef { at: now, input }, weight),
        }
        if let Input::Observed { check, observation } = input {
            self.tell(check, observation);
        }
    }

    /// A segment can be read without those before it, so in it is told anew who is healthy and whether HOLD is there.
    fn begin(&mut self, now: Now, engine: &HostEngine) {
        self.segment += 1;
        self.hold_file = None;
        self.bundle = self.bundle.or_else(|| self.journal.attach(now.mono, engine.bundle()));
        if let Some(bundle_file) = self.bundle {
            self.journal.begin(now.mono, &SnapshotRef { at: now, bundle_file, state: engine.state() });
        }
    }

    /// What is lost may have been a bundle, and a smaller one may fit.
    fn lose(&mut self, input: &Input) {
        if matches!(input, Input::Apply(_)) {
            self.bundle = None;
            self.journal.try_again();
        }
    }

    fn tell(&mut self, check: &CheckId, observation: &Observation) {
        if observation.health() == Health::Failing {
            self.told.remove(check);
            return;
        }
        let (segment, health) = (self.segment, observation.health());
        let (unit, why) = (observation.unit().cloned().map(Box::new), why(observation).cloned());
        self.told.insert(check.clone(), Told { segment, health, unit, why });
    }

    /// What an input is to the journal; nothing when it is left out.
    fn weight(&mut self, input: &Input, engine: &HostEngine) -> Option<Weight> {
        match input {
            Input::Tick => None,
            Input::HoldFile(text) => {
                let has_changed = self.hold_file != *text;
                self.hold_file.clone_from(text);
                has_changed.then_some(Weight::New)
            }
            Input::Observed { check, observation } => {
                let Some(told) = self.told.get(check).filter(|told| told.says(observation)) else {
                    return Some(Weight::New);
                };
                if engine.bears_on_incident(check) {
                    return Some(Weight::New);
                }
                (told.segment != self.segment).then_some(Weight::Repeated)
            }
            Input::Apply(bundle) => {
                // What is looked at in another way has said nothing yet.
                let (old, new) = (&engine.bundle().parts().checks, &bundle.parts().checks);
                self.told.retain(|id, _| old.get(id).map(|check| &check.probe) == new.get(id).map(|check| &check.probe));
                Some(Weight::New)
            }
            Input::Started
            | Input::Hint(_)
            | Input::ActionEnded { .. }
            | Input::NotStarted { .. }
            | Input::Gathered { .. }
            | Input::Dispatched { .. }
            | Input::Operator { .. }
            | Input::Facts(_)
            | Input::Ledger(_) => Some(Weight::New),
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
