//! What must hold of a shell whatever happens, over all lives of the agent. It trusts no state of the agent that it can
//! count itself: actions are counted where they reach the host, and what is durable is read from the disk.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque, hash_map::DefaultHasher},
    hash::{Hash, Hasher},
    path::Path,
};

use ansai_agent::{ledger::Store, reports::Reports, shell::Shell};
use ansai_engine::State;
use ansai_host::port::Host;
use ansai_model::{
    action::{ActionOutcome, ActionRun, Disruption},
    bundle::Bundle,
    id::{IncidentId, RunId},
    incident::Phase,
    observation::{Health, Observation},
    probe::Probe,
    time::Now,
};
use ansai_sim::checker::{Checker, Facts};

use crate::disk::Disk;

/// Most lines of the story that a failure shows.
const STORY_MAX: usize = 40;

/// The books on one host.
#[derive(Debug)]
pub(crate) struct Books {
    checker: Checker,
    bundle: Bundle,
    disk: Disk,
    /// The units that this life of the agent has seen.
    looked: BTreeSet<String>,
    /// Of these, those of which the host says that a drill's signal has ended them.
    ended_by_drill: BTreeSet<String>,
    /// Incidents that were durable once.
    known: BTreeSet<IncidentId>,
    /// Incidents that were durably handed to a person once.
    escalated: BTreeSet<IncidentId>,
    /// When what an incident waits for was last seen to be gone, by the port that was held.
    free_ports: BTreeMap<u16, Now>,
    /// Why everything is held, as far as anybody was told.
    pub(crate) is_held: bool,
    /// Somebody was told that a hold is in force and saved.
    pub(crate) has_acknowledged_hold: bool,
    /// Disruptive actions that began.
    pub(crate) actions: u64,
    broken: Option<String>,
    trace: DefaultHasher,
    /// What happened last, to be shown with a failure.
    story: VecDeque<String>,
}

impl Books {
    pub(crate) fn new(bundle: Bundle, disk: Disk) -> Self {
        Self {
            checker: Checker::default(),
            bundle,
            disk,
            looked: BTreeSet::new(),
            ended_by_drill: BTreeSet::new(),
            known: BTreeSet::new(),
            free_ports: BTreeMap::new(),
            escalated: BTreeSet::new(),
            is_held: false,
            has_acknowledged_hold: false,
            actions: 0,
            broken: None,
            trace: DefaultHasher::new(),
            story: VecDeque::new(),
        }
    }

    /// Something happened that explains a failure.
    pub(crate) fn note(&mut self, what: impl FnOnce() -> String) {
        if self.story.len() >= STORY_MAX {
            self.story.pop_front();
        }
        self.story.push_back(what());
    }

    /// What happened last.
    pub(crate) fn story(&self) -> String {
        self.story.iter().map(|line| format!("  {line}\n")).collect()
    }

    /// A look of this life has ended.
    pub(crate) fn looked(&mut self, observation: &Observation, probe: &Probe) {
        if let (Some(seen), Probe::Unit { unit, .. }) = (observation.unit(), probe) {
            self.looked.insert(unit.as_str().to_owned());
            match seen.is_ended_by_drill() {
                true => self.ended_by_drill.insert(unit.as_str().to_owned()),
                false => self.ended_by_drill.remove(unit.as_str()),
            };
        }
    }

    /// A look at a port that an incident waits for was told this: whoever held it may be gone.
    pub(crate) fn shown_port(&mut self, now: Now, port: u16, observation: &Observation) {
        if observation.health() == Health::Failing {
            self.free_ports.insert(port, now);
        }
    }

    /// An action reaches the host.
    pub(crate) fn begins(&mut self, now: Now, run: &ActionRun) {
        self.note(|| format!("{} begins: {}", run.id, run.action.describe()));
        if let Err(broken) = self.check_action(now, run) {
            self.broken.get_or_insert(broken);
        }
    }

    fn check_action(&mut self, now: Now, run: &ActionRun) -> Result<(), String> {
        (run.id, now.mono.0, run.target.as_str()).hash(&mut self.trace);
        let recorded = self.disk.recorded(run.id)?;
        let disruption = run.action.disruption();
        let drilled = recorded.as_ref().and_then(|(_, drilled)| *drilled);
        let is_recorded =
            recorded.is_some_and(|(pending, _)| pending.target == run.target && pending.disruption == disruption);
        let (is_ledger_broken, is_stopped_on_request) = (false, false);
        let port = if run.target.name() == "db.service" { 5432 } else { 8000 };
        let gone = self.free_ports.get(&port).copied();
        let is_held = self.is_held;
        let is_ended_by_drill = self.ended_by_drill.contains(run.target.name());
        let facts =
            Facts { is_held, is_ledger_broken, is_stopped_on_request, is_recorded, gone, drilled, is_ended_by_drill };
        self.checker.begins(&self.bundle, now, run, facts)?;
        if disruption > Disruption::None {
            self.actions += 1;
            if !self.looked.contains(run.target.name()) {
                return Err(format!("looked_before_acting: {run:?}"));
            }
        }
        Ok(())
    }

    /// An action has ended, and the agent may be told.
    pub(crate) fn ended(&mut self, run: RunId, outcome: &ActionOutcome) {
        self.note(|| format!("{run} ends: {outcome:?}"));
        let did_nothing = matches!(outcome, ActionOutcome::NotNeeded { .. } | ActionOutcome::Refused { .. });
        self.checker.ended(run, did_nothing);
    }

    /// A new life has loaded this.
    ///
    /// # Errors
    /// What was forgotten.
    pub(crate) fn begins_life(&mut self, state: &State, reports: &Reports) -> Result<(), String> {
        self.looked.clear();
        self.ended_by_drill.clear();
        self.checker.agent_killed();
        self.note(|| format!("an agent starts; under way: {:?}", state.runs.keys()));
        if self.has_acknowledged_hold && state.holds.is_empty() {
            return Err("acknowledged_hold_is_durable: a hold that was acknowledged is forgotten".into());
        }
        self.known.extend(state.incidents.keys());
        let is_reported = |id: &IncidentId| {
            let waits = state.dispatches.values().map(|dispatch| &dispatch.report);
            let kept = reports.get(*id).ok().flatten();
            waits
                .chain(kept.as_ref())
                .any(|report| report.incident == *id && matches!(report.phase, Phase::Resolved(_)))
        };
        let lost = self.known.iter().find(|id| !state.incidents.contains_key(id) && !is_reported(id));
        match lost {
            Some(id) => Err(format!("no_incident_lost: {id} is neither open nor reported")),
            None => Ok(()),
        }
    }

    /// After each step.
    ///
    /// # Errors
    /// What is broken.
    pub(crate) fn follow<H: Host, S: Store>(&mut self, shell: &Shell<H, S>) -> Result<(), String> {
        self.checker.after_step(shell.engine())?;
        if shell.ledger_error().is_none() {
            let incidents = &shell.engine().state().incidents;
            self.known.extend(incidents.keys());
            let escalated = incidents.values().filter(|incident| matches!(incident.phase, Phase::Escalated { .. }));
            self.escalated.extend(escalated.map(|incident| incident.id));
        }
        self.verdict()
    }

    /// At the end: each incident that was handed to a person is told in a message, once.
    ///
    /// # Errors
    /// The one that is not.
    pub(crate) fn all_told(&self, outbox: &Path) -> Result<(), String> {
        let mut told: BTreeMap<u64, usize> = BTreeMap::new();
        // Without a message there is no folder.
        for entry in std::fs::read_dir(outbox).into_iter().flatten().flatten() {
            let Ok(bytes) = std::fs::read(entry.path()) else { continue };
            let message: serde_json::Value = serde_json::from_slice(&bytes).unwrap_or_default();
            if let (Some("escalated"), Some(incident)) =
                (message["notice"]["kind"].as_str(), message["notice"]["report"]["incident"].as_u64())
            {
                *told.entry(incident).or_default() += 1;
            }
        }
        let wrong = self.escalated.iter().find(|id| told.get(&id.0) != Some(&1));
        match wrong {
            Some(id) => Err(format!("told_once: {id} was handed to a person in {:?} messages", told.get(&id.0))),
            None => Ok(()),
        }
    }

    /// What was found broken where nobody could be told.
    ///
    /// # Errors
    /// That.
    pub(crate) fn verdict(&mut self) -> Result<(), String> {
        self.broken.take().map_or(Ok(()), Err)
    }

    /// How many incidents were seen.
    pub(crate) fn incidents(&self) -> u64 {
        self.known.len() as u64
    }

    /// A number that differs when anything happened otherwise.
    pub(crate) fn trace(&self) -> u64 {
        self.trace.finish()
    }
}
