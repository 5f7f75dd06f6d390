//! Sees what goes through the shell, counts it for the metrics, and tells whoever listens. It changes nothing, and the
//! shell does the same whether it is there or not.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use ansai_engine::{HostEngine, Input, effect::Dispatch};
use ansai_model::{
    action::ActionRun,
    decision::{Choice, Decision},
    id::IncidentId,
    incident::{Incident, Phase},
    report::Report,
    text::Text,
    time::{Now, WallTime},
};
use ansai_protocol::EventKind;

use crate::{
    events::{Events, short},
    metrics::{Incidents, Metrics},
    uplink::line::{Kept, Line},
};

/// Most reasons in a line of the stream.
const REASONS_MAX: usize = 8;

/// The figures and the stream of one shell.
#[derive(Debug, Default)]
pub struct Telemetry {
    /// The figures for Prometheus.
    pub metrics: Arc<Metrics>,
    /// The stream of events to whoever listens.
    pub events: Events,
    /// To the controller, when the host has joined one.
    line: Option<Line>,
    incidents: BTreeMap<IncidentId, Published>,
    revision: Option<u64>,
}

/// What was last told of an incident.
#[derive(Debug)]
struct Published {
    phase: Phase,
    /// How many steps there were.
    steps: u64,
    decision: Option<(Choice, Text)>,
}

impl Telemetry {
    /// Counts into `metrics` and tells `events`.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>, events: Events) -> Self {
        Self { metrics, events, line: None, incidents: BTreeMap::new(), revision: None }
    }

    /// What happens is told to this controller from now on, or to none.
    pub(crate) fn tells(&mut self, line: Option<Line>) {
        self.line = line;
    }

    /// An input is about to be taken in.
    pub(crate) fn sees(&self, now: Now, input: &Input, engine: &HostEngine) {
        match input {
            Input::Observed { observation, .. } => self.metrics.observed(observation.health()),
            Input::ActionEnded { run, outcome } => {
                self.metrics.acted(outcome);
                let target = engine.state().runs.get(run).map(|run| run.target.clone());
                self.events.tell(now.wall, EventKind::ActionEnded { run: *run, target, outcome: outcome.clone() });
            }
            Input::Ledger(error) => {
                self.events.tell(now.wall, EventKind::Ledger { error: error.as_ref().map(short) });
            }
            Input::Tick | Input::Started | Input::Hint(_) | Input::NotStarted { .. } | Input::Gathered { .. } => {}
            Input::Dispatched { .. } | Input::Operator { .. } | Input::Apply(_) | Input::Facts(_) => {}
            Input::HoldFile(_) | Input::Restraints(_) | Input::Order { .. } => {}
            Input::StandBack { .. } | Input::LeftController => {}
            Input::Linked(_) | Input::Permit(_) => {}
        }
    }

    /// The engine has taken it in: what is different about incidents is told.
    pub(crate) fn follows(&mut self, now: Now, engine: &HostEngine) {
        if self.revision.replace(engine.revision()) == Some(engine.revision()) {
            return;
        }
        let incidents = &engine.state().incidents;
        let ended = self.incidents.len();
        self.incidents.retain(|id, _| incidents.contains_key(id));
        for _ in self.incidents.len()..ended {
            self.metrics.incident_resolved();
        }
        for incident in incidents.values() {
            let has_news = self.follow(now.wall, incident);
            if has_news
                && let Some(line) = &self.line
                && let Some(report) = engine.report(now, incident.id)
            {
                // As it stands: what is done is seen at the controller while it goes on.
                line.note_report(report, Kept::No);
            }
        }
        self.metrics.set_incidents(counted(incidents.values()));
    }

    /// Says whether it stands elsewhere than before, or has more steps.
    fn follow(&mut self, at: WallTime, incident: &Incident) -> bool {
        let mut is_new = false;
        let seen = self.incidents.entry(incident.id).or_insert_with(|| {
            is_new = true;
            Published { phase: incident.phase.clone(), steps: 0, decision: None }
        });
        if is_new {
            self.metrics.incident_opened();
        }
        let has_moved = is_new || seen.phase != incident.phase;
        if has_moved {
            seen.phase.clone_from(&incident.phase);
            let (id, target, phase) = (incident.id, incident.target.clone(), incident.phase.clone());
            self.events.tell(at, EventKind::Incident { id, target, phase });
        }
        let steps =
            u64::try_from(incident.steps.len()).unwrap_or(u64::MAX).saturating_add(incident.steps_dropped.into());
        let has_news = std::mem::replace(&mut seen.steps, steps) != steps || has_moved;
        let Some(decision) = &incident.decision else { return has_news };
        let is_known = seen
            .decision
            .as_ref()
            .is_some_and(|(choice, proposal)| *choice == decision.choice && *proposal == decision.proposal);
        if !is_known {
            seen.decision = Some((decision.choice, decision.proposal.clone()));
            self.metrics.decided(decision.choice);
            // Its reasons are many texts, made for nobody most of the time.
            if self.events.is_heard() {
                self.events.tell(at, told(incident, decision));
            }
        }
        has_news
    }

    /// An action begins.
    pub(crate) fn begins(&self, at: WallTime, run: &ActionRun) {
        let what = short(&run.action.describe());
        let (target, incident) = (run.target.clone(), run.incident);
        self.events.tell(at, EventKind::ActionBegun { run: run.id, incident, target, what });
    }

    /// A report is kept.
    pub(crate) fn reported(&mut self, at: WallTime, dispatch: &Dispatch) {
        let report = &dispatch.report;
        let (incident, target) = (report.incident, report.target.clone());
        if matches!(report.phase, Phase::Resolved(_)) {
            let phase = report.phase.clone();
            self.events.tell(at, EventKind::Incident { id: incident, target: target.clone(), phase });
        }
        let (headline, suppressed) = (short(&report.headline), dispatch.suppressed.as_ref().map(short));
        self.events.tell(at, EventKind::Report { incident, target, kind: dispatch.kind, headline, suppressed });
    }

    /// A report was kept, or could not be.
    pub(crate) fn keeps(&self, report: &Report, is_kept: bool) {
        if let Some(line) = &self.line {
            line.note_report(report.clone(), if is_kept { Kept::Yes } else { Kept::No });
        }
    }

    /// The ledger was saved in this time, or could not be.
    pub(crate) fn saved(&self, took: Option<Duration>) {
        match took {
            Some(took) => self.metrics.ledger_saved(took),
            None => self.metrics.ledger_failed(),
        }
    }
}

fn told(incident: &Incident, decision: &Decision) -> EventKind {
    let reason = |gate: &ansai_model::decision::GateResult| Text::new(format!("{}: {}", gate.gate.as_str(), gate.why));
    EventKind::Decision {
        incident: incident.id,
        target: incident.target.clone(),
        choice: decision.choice,
        proposal: short(&decision.proposal),
        reasons: decision.objections().take(REASONS_MAX).map(|gate| short(&reason(gate))).collect(),
    }
}

fn counted<'a>(incidents: impl Iterator<Item = &'a Incident>) -> Incidents {
    let mut counted = Incidents::default();
    for incident in incidents {
        let figure = match incident.phase {
            Phase::Open => &mut counted.open,
            Phase::AwaitingApproval { .. } => &mut counted.awaiting_approval,
            Phase::Remediating => &mut counted.remediating,
            Phase::Stabilizing { .. } => &mut counted.stabilizing,
            Phase::Escalated { .. } => &mut counted.escalated,
            // It is about to leave the state.
            Phase::Resolved(_) => continue,
        };
        *figure += 1;
    }
    counted
}
