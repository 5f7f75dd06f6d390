//! What changes things: one step of the engine works on it, and what it asks of the shell is collected here.
//! What is done with it stands in the modules named after each stage, as an `impl Context` there.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};

use ansai_model::{
    bundle::Bundle,
    id::{CheckId, IncidentId, RunId, RungId},
    incident::EvidencePart,
    notify::NoticeKind,
    probe::Probe,
    text::Text,
    time::{MonoTime, Now},
};

use crate::{
    checks::Checks,
    effect::Effect,
    state::State,
    view::{Outside, View},
};

/// Everything that the engine holds.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    /// The moment of the step under way.
    pub(crate) now: Now,
    pub(crate) bundle: Bundle,
    /// What outlives the process; all else is known again after a restart.
    pub(crate) state: State,
    pub(crate) checks: Checks,
    pub(crate) outside: Outside,
    pub(crate) wakes: BTreeSet<(MonoTime, Wake)>,
    pub(crate) effects: Vec<Effect>,
    /// The searches for evidence, until it is there.
    pub(crate) gathering: BTreeMap<IncidentId, Gathering>,
    /// Looks at what incidents wait for that a person has; they are begun anew after a restart.
    pub(crate) watches: BTreeMap<CheckId, Watch>,
    /// Notices that wait for evidence; those of the ledger's phases are found again after a restart.
    pub(crate) held_back: BTreeSet<(IncidentId, NoticeKind)>,
    pub(crate) revision: u64,
    /// Whether the agent has said that it starts: before, what was in flight is not known to be lost, so nothing is decided.
    pub(crate) has_started: bool,
}

/// What becomes due. Stale wakes are harmless: what they wake reconciles state and takes no input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Wake {
    Check(usize),
    Incident(IncidentId),
    /// What is wanted of the controller is said again.
    Permits,
}

/// The search for the evidence of an incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Gathering {
    /// What is asked for, now or next: first what a remedy takes away. What is still there after one waits as long as an
    /// action is under way: a service that is down is started first.
    pub(crate) part: EvidencePart,
    /// When the search began.
    pub(crate) begun: Now,
    /// The run of the unit that had failed by then, and its main process when that had ended.
    pub(crate) run: Option<Text>,
    pub(crate) ended_pid: Option<u32>,
    /// Whether that run was up when the search began.
    pub(crate) was_up: bool,
    /// What had been begun before it: figures are no longer those of the failure.
    pub(crate) after: Option<(RunId, RungId)>,
    /// Set once that part was asked for.
    pub(crate) asked: Option<Asked>,
    /// What earlier searches of the same incident have asked for, and no answer has come to yet.
    pub(crate) earlier: Vec<Asked>,
}

/// A part of the evidence that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    /// Of the request, which its answer bears.
    pub(crate) number: u64,
    pub(crate) at: MonoTime,
    /// Nobody waits for it after this time.
    pub(crate) until: MonoTime,
    /// Whether the unit was up, so that a remedy that begins before the answer takes what is looked for.
    pub(crate) was_up: bool,
    /// What had been begun before its search.
    pub(crate) after: Option<(RunId, RungId)>,
}

/// A look at what a remedy failed for.
#[derive(Clone, Debug)]
pub(crate) struct Watch {
    pub(crate) incident: IncidentId,
    pub(crate) probe: Probe,
    /// When a look that was begun counts as lost.
    pub(crate) in_flight: Option<MonoTime>,
    /// When the next one is due.
    pub(crate) due: MonoTime,
    pub(crate) looks: u32,
    /// When it was last seen to be gone, if the last look found it so.
    pub(crate) gone: Option<MonoTime>,
    /// How the files were at the last look, when it is about files.
    pub(crate) print: Option<Text>,
}

impl Context {
    pub(crate) fn view(&self) -> View<'_> {
        self.view_at(self.now)
    }

    /// The same at another moment.
    pub(crate) fn view_at(&self, now: Now) -> View<'_> {
        View { now, bundle: &self.bundle, state: &self.state, checks: &self.checks, outside: &self.outside }
    }

    /// Marks that the durable state has changed, so that it is saved before an effect begins.
    pub(crate) fn changed(&mut self) {
        self.state.at = self.now;
        self.revision += 1;
    }

    pub(crate) fn wake(&mut self, at: MonoTime, wake: Wake) {
        self.wakes.insert((at, wake));
    }
}
