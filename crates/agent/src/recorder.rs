//! What of the loop goes into the journal, so that `ansai replay` can step through it: every input from which something
//! follows. Of what says nothing new only the first of a row is told, and time that passes not at all, unless an open incident
//! waits for it or something came of it: a copy of a configuration that was due is a run like any other, and has its number.
//! It decides nothing and is asked nothing.
//!
//! A bundle is as large as its host: it stands in a file of its own, to which snapshots and inputs refer.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
    path::Path,
};

use ansai_engine::{Effect, HostEngine, Input, State, replaying::Look};
use ansai_model::{
    id::CheckId,
    observation::{Health, Observation},
    text::Text,
    time::{MonoTime, Now},
};
use serde::Serialize;

use crate::{
    journal::{Journal, Next, Notice, Weight},
    program,
};

mod records;

pub use records::{Recorded, Records, Snapshot};

#[derive(Serialize)]
struct SnapshotRef<'a> {
    at: Now,
    /// Which program this is: another one may decide otherwise.
    program: &'a str,
    /// The attachment with the bundle in force.
    bundle_file: u64,
    state: &'a State,
    /// Time that has passed is told where something came of it, and of each look when it was begun.
    is_exact: bool,
    /// When the configurations of which checks were kept: it is not known from the state, and decides what is due.
    kept: Vec<(CheckId, MonoTime)>,
}

#[derive(Serialize)]
struct RecordedRef<'a> {
    at: Now,
    input: &'a Input,
    /// When the look was begun of which this is the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    begun: Option<MonoTime>,
    /// The looks that are under way, when an incident has begun to wait for them.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    looks: &'a [Look],
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
    /// What of it must be the same for the next one to be left out, by its hash.
    said: u64,
}

impl Told {
    fn says(&self, observation: &Observation) -> bool {
        self.said == said(observation)
    }
}

/// The hash of what an observation says: its health, whether it warns, the state of a unit, or why nothing is known. Figures, as a latency,
/// differ each time and mean nothing while healthy.
fn said(observation: &Observation) -> u64 {
    let mut hasher = DefaultHasher::new();
    let why = (observation.health() == Health::Unknown).then(|| observation.summary());
    (observation.health(), observation.is_warning(), observation.unit(), why).hash(&mut hasher);
    hasher.finish()
}

/// An input of which it is not known yet what comes of it.
#[derive(Debug)]
pub struct Taken {
    at: Now,
    /// The input when it was left out, as it seemed to change nothing.
    left_out: Option<Input>,
    begun: Option<MonoTime>,
    revision: u64,
    incidents: u64,
}

/// Writes the inputs of one loop.
#[derive(Debug)]
pub struct Recorder {
    journal: Journal,
    /// Which program this is.
    program: String,
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
        Self { journal, program: program::program(), segment: 0, bundle: None, told: BTreeMap::new(), hold_file: None }
    }

    /// Records an input before the engine is told, when it can matter; else it is left out, until it is known whether something
    /// came of it.
    pub fn record(&mut self, now: Now, input: &Input, engine: &HostEngine) -> Taken {
        let begun = match input {
            Input::Observed { check, .. } => engine.look_begun(check),
            _ => None,
        };
        let (revision, incidents) = (engine.revision(), engine.state().incidents_counted);
        let mut taken = Taken { at: now, left_out: None, begun, revision, incidents };
        let Some(weight) = self.weight(input, engine) else {
            taken.left_out = matches!(input, Input::Tick | Input::Observed { .. }).then(|| input.clone());
            return taken;
        };
        match self.journal.next(now.mono) {
            Next::Record => {}
            Next::Segment => self.begin(now, engine),
            Next::Lost => {
                self.lose(input);
                return taken;
            }
        }
        match input {
            Input::Apply(bundle) => {
                self.bundle = self.journal.attach(now.mono, &**bundle);
                if let Some(apply_file) = self.bundle {
                    self.journal.append(now.mono, &AppliedRef { at: now, apply_file }, weight);
                }
            }
            input => self.journal.append(now.mono, &RecordedRef { at: now, input, begun, looks: &[] }, weight),
        }
        if let Input::Observed { check, observation } = input {
            self.tell(check, observation);
        }
        taken
    }

    /// Records what came of an input: the input itself, when it was left out and something came of it after all; and when an
    /// incident was opened, for which looks it waits from now on.
    pub fn came_of(&mut self, taken: Taken, effects: &[Effect], engine: &HostEngine) {
        let Taken { at, left_out, begun, revision, incidents } = taken;
        let has_changed = engine.revision() != revision;
        // When what is waited for was looked at says whether it is of before.
        let matters = |effect: &Effect| match effect {
            Effect::Observe(check) => engine.bears_on_incident(check),
            _ => true,
        };
        let is_unsettled = matches!(&left_out, Some(Input::Observed { check, .. }) if !engine.is_settled(check));
        if let Some(input) = left_out.filter(|_| has_changed || is_unsettled || effects.iter().any(matters)) {
            // Without a segment the next one begins with the state that has it already.
            let record = RecordedRef { at, input: &input, begun, looks: &[] };
            self.journal.append(at.mono, &record, Weight::New);
        }
        let looks = match engine.state().incidents_counted > incidents {
            true => engine.looks_awaited(),
            false => Vec::new(),
        };
        if !looks.is_empty() {
            let record = RecordedRef { at, input: &Input::Tick, begun: None, looks: &looks };
            self.journal.append(at.mono, &record, Weight::New);
        }
    }

    /// A segment can be read without those before it, so in it is told anew who is healthy and whether HOLD is there.
    fn begin(&mut self, now: Now, engine: &HostEngine) {
        self.segment += 1;
        self.hold_file = None;
        self.bundle = self.bundle.or_else(|| self.journal.attach(now.mono, engine.bundle()));
        if let Some(bundle_file) = self.bundle {
            let (state, kept) = (engine.state(), engine.kept());
            self.journal.begin(
                now.mono,
                &SnapshotRef { at: now, program: &self.program, bundle_file, state, is_exact: true, kept },
            );
        }
    }

    /// What is lost may have been a bundle, and a smaller one may fit.
    fn lose(&mut self, input: &Input) {
        if matches!(input, Input::Apply(_)) {
            self.bundle = None;
            self.journal.try_again();
        }
    }

    /// Gives back the room that what was told in turn leaves: a map that grew by single keys is half empty.
    pub fn pack(&mut self) {
        self.told = std::mem::take(&mut self.told).into_iter().collect();
    }

    fn tell(&mut self, check: &CheckId, observation: &Observation) {
        if observation.health() == Health::Failing {
            self.told.remove(check);
            return;
        }
        self.told.insert(check.clone(), Told { segment: self.segment, said: said(observation) });
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
                if engine.bears_on_incident(check) || !engine.is_settled(check) {
                    return Some(Weight::New);
                }
                (told.segment != self.segment).then_some(Weight::Repeated)
            }
            Input::Apply(bundle) => {
                // What is looked at in another way has said nothing yet.
                let (old, new) = (&engine.bundle().parts().checks, &bundle.parts().checks);
                let is_same =
                    |id: &CheckId| new.get(id).is_some_and(|new| old.get(id).is_some_and(|old| old.probe == new.probe));
                self.told.retain(|id, _| is_same(id));
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
            | Input::Ledger(_)
            | Input::Restraints(_)
            | Input::Order { .. }
            | Input::StandBack { .. }
            | Input::LeftController
            | Input::Linked(_)
            | Input::Permit(_) => Some(Weight::New),
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
        bundle::Bundle,
        condition::Value,
        inventory::Inventory,
        observation::Details,
        time::MonoTime,
        unit::{ActiveState, UnitSnapshot},
    };

    use super::*;
    use crate::journal::{Entry, Item};

    fn observed(health: Observation) -> Input {
        Input::Observed { check: CheckId::new("service/a#unit").expect("valid"), observation: health }
    }

    fn bundle(text: &str) -> Bundle {
        let configuration = ansai_config::parse(&[("a.yaml".into(), text.to_owned())]);
        configuration.and_then(|known| known.bundle(&Inventory::default(), 1)).expect("valid")
    }

    fn engine(text: &str) -> HostEngine {
        HostEngine::new(bundle(text), State::default(), Now::default())
    }

    fn second(second: usize) -> Now {
        let mono = MonoTime(i64::try_from(second).expect("small") * 1_000_000_000);
        Now { mono, ..Now::default() }
    }

    fn inputs(folder: &Path) -> Vec<Input> {
        let records = Records::open(folder).expect("a journal");
        records
            .filter_map(|item| match item {
                Item::Entry(Entry::Record(record)) => Some(record.input),
                Item::Entry(Entry::Snapshot(_)) => None,
                other => panic!("{other:?}"),
            })
            .collect()
    }

    /// One turn of the loop.
    fn step(recorder: &mut Recorder, engine: &mut HostEngine, at: Now, input: Input) {
        let taken = recorder.record(at, &input, engine);
        let effects = engine.step(at, input);
        recorder.came_of(taken, &effects, engine);
    }

    /// What is written of these inputs, one a second.
    fn kept(given: &[Input]) -> Vec<Input> {
        let (folder, engine) = (tempfile::tempdir().expect("a folder"), engine(""));
        let mut recorder = Recorder::open(folder.path(), 1 << 20);
        for (at, input) in given.iter().enumerate() {
            drop(recorder.record(second(at), input, &engine));
        }
        assert_eq!(recorder.flush(Now::default()), None);
        inputs(folder.path())
    }

    #[test]
    fn a_row_that_says_nothing_new_is_told_once_and_failures_always() {
        let healthy = || observed(Observation::healthy("up"));
        let failing = || observed(Observation::failing("down"));
        let unknown = |why: &str| observed(Observation::unknown(why));
        let inputs =
            [Input::Tick, healthy(), healthy(), failing(), failing(), healthy(), Input::HoldFile(None), healthy()];
        assert_eq!(kept(&inputs), [healthy(), failing(), failing(), healthy()]);
        let inputs = [unknown("stopped"), unknown("stopped"), unknown("gone"), healthy(), unknown("gone")];
        assert_eq!(kept(&inputs), [unknown("stopped"), unknown("gone"), healthy(), unknown("gone")]);
    }

    #[test]
    fn a_hold_file_is_told_when_it_comes_or_goes() {
        let held = || Input::HoldFile(Some("by hand".into()));
        let (gone, failing) = (|| Input::HoldFile(None), || observed(Observation::failing("down")));
        let inputs = [failing(), held(), held(), gone(), gone(), held()];
        assert_eq!(kept(&inputs), [failing(), held(), gone(), held()]);
        // The first opens the segment, which forgets it: it is told twice.
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
        assert_eq!(kept(&inputs), [latency(1.0), run(7), run(8), latency(4.0)]);
    }

    #[test]
    fn while_something_is_open_all_is_told_that_bears_on_it_and_no_more() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut engine = engine("services: {a: {needs: [b]}, b: {}, c: {}}");
        let mut recorder = Recorder::open(folder.path(), 1 << 20);
        let of = |name: &str, observation| Input::Observed {
            check: CheckId::new(format!("service/{name}.service#unit")).expect("valid"),
            observation,
        };
        let healthy = |name: &str| of(name, Observation::healthy("up"));
        let failing = || of("a", Observation::failing("down"));
        let row = ["a", "b", "c", "a", "b", "c"].map(healthy);
        let given = [Input::Started].into_iter().chain(row.clone()).chain([failing()]).chain(row);
        for (at, input) in given.enumerate() {
            step(&mut recorder, &mut engine, second(at), input);
        }
        assert!(!engine.state().incidents.is_empty());
        assert_eq!(recorder.flush(Now::default()), None);
        let before = [Input::Started, healthy("a"), healthy("b"), healthy("c"), failing()];
        let open = ["a", "b", "a", "b"].map(healthy);
        let told = inputs(folder.path()).into_iter().filter(|input| *input != Input::Tick).collect::<Vec<_>>();
        assert_eq!(told, before.into_iter().chain(open).collect::<Vec<_>>());
    }

    #[test]
    fn a_bundle_stands_in_the_journal_once_and_is_read_where_it_is_meant() {
        let folder = tempfile::tempdir().expect("a folder");
        let (first, other) = ("services: {a: {}, b: {}}", "services: {a: {}, b: {}, c: {}}");
        let up = |name: &str| Input::Observed {
            check: CheckId::new(format!("service/{name}.service#unit")).expect("valid"),
            observation: Observation::healthy("up"),
        };
        for start in 0..3 {
            let mut engine = engine(first);
            let mut recorder = Recorder::open(folder.path(), 1 << 20);
            let apply = Input::Apply(Box::new(bundle(other)));
            // Who is well is still known under the new one.
            for (at, input) in [Input::Started, up("a"), apply, up("a"), up("c")].into_iter().enumerate() {
                step(&mut recorder, &mut engine, second(start * 10 + at), input);
            }
            assert_eq!(recorder.flush(Now::default()), None);
        }
        let items: Vec<_> = Records::open(folder.path()).expect("a journal").collect();
        let mut told = Vec::new();
        for item in items {
            match item {
                Item::Entry(Entry::Snapshot(snapshot)) => assert_eq!(snapshot.bundle, bundle(first)),
                Item::Entry(Entry::Record(record)) => told.push(record.input),
                other => panic!("{other:?}"),
            }
        }
        let once = [Input::Started, up("a"), Input::Apply(Box::new(bundle(other))), up("c")];
        assert_eq!(told, [once.clone(), once.clone(), once].concat());
        // A segment for each start, and each bundle where it came into force.
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 3 + 6);
        std::fs::read_dir(folder.path()).expect("a folder").flatten().for_each(|entry| {
            if entry.file_name().to_string_lossy().ends_with(".json.gz") {
                std::fs::remove_file(entry.path()).expect("removed");
            }
        });
        let first = Records::open(folder.path()).expect("a journal").next();
        assert!(matches!(first, Some(Item::Unreadable { line: 1, why, .. }) if why.contains("is not beside it")));
    }

    #[test]
    fn what_is_written_is_bounded_by_what_is_recorded() {
        let folder = tempfile::tempdir().expect("a folder");
        let names: Vec<String> = (0..2_000).map(|number| format!("idle-{number}.service")).collect();
        let text: String = names.iter().map(|name| format!("  {name}: {{}}\n")).collect();
        let engine = engine(&format!("services:\n{text}"));
        let mut recorder = Recorder::open(folder.path(), 1 << 20);
        let unit = || Box::new(UnitSnapshot::plain(ActiveState::Active));
        let mut sizes = Vec::new();
        for pass in 0..5 {
            for name in &names {
                let check = CheckId::new(format!("service/{name}#unit")).expect("valid");
                let observation = Observation::healthy("active (running)").with_details(Details::Unit(unit()));
                drop(recorder.record(second(pass * 30), &Input::Observed { check, observation }, &engine));
            }
            assert_eq!(recorder.flush(second(pass * 30)), None);
            let files: Vec<_> = std::fs::read_dir(folder.path()).expect("a folder").flatten().collect();
            sizes.push((
                files.len(),
                files.iter().map(|file| file.metadata().map_or(0, |meta| meta.len())).sum::<u64>(),
            ));
        }
        // One segment and one bundle, and nothing more after the first pass.
        assert_eq!(sizes[0].0, 2, "{sizes:?}");
        assert!(sizes.iter().all(|size| *size == sizes[0]) && sizes[0].1 < 300_000, "{sizes:?}");
        assert_eq!(inputs(folder.path()).len(), names.len());
    }
}
