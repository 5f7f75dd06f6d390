//! When evidence is asked for, and which notices wait for it. What counts as evidence is found out by the host's adapter.

use alloc::{boxed::Box, vec::Vec};
use core::time::Duration;

use ansai_model::{
    check::Trend,
    condition::Value,
    decision::{Decision, Gate},
    domain::service::{ActiveState, UnitSnapshot},
    id::{IncidentId, RungId},
    incident::{Evidence, EvidenceKind, EvidenceRequest, Incident, Phase, StepKind},
    notify::NoticeKind,
    text::Text,
    time::WallTime,
};

use crate::{
    context::{Context, Gathering, Wake},
    effect::Effect,
    view::View,
};

/// Changes in this time before an incident are evidence.
const CHANGES_WITHIN: Duration = Duration::from_secs(3 * 86_400);
/// So long before something began to grow a change may be why.
const CHANGES_BEFORE_GROWTH: Duration = Duration::from_secs(86_400);
/// So many searches at once: in a storm the host has other things to do.
const GATHERED_AT_ONCE_MAX: usize = 8;
/// Longest that a notice waits for the evidence that belongs into it.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// Longest that the first action on a service that is up waits, so that its processes and its port are seen as they fail.
const MOMENT_MAX: Duration = Duration::from_secs(1);

impl Context {
    /// Keeps what the last look at the unit has told, and has the rest gathered.
    pub(crate) fn begin_evidence(&mut self, id: IncidentId) {
        let view = self.view();
        let unit = view.incident(id).and_then(|incident| view.unit_seen(incident));
        if let Some(text) = unit.map(|unit| Text::new(alloc::format!("{unit}"))) {
            self.change_incident(id, |incident| add(incident, [Evidence::new("systemd", EvidenceKind::Unit, text)]));
        }
        self.gathering.insert(id, Gathering::Due);
    }

    /// Whether the first action waits for what it would take away: a service that is up has its processes and its port
    /// still, as they fail.
    pub(crate) fn waits_for_traces(&mut self, id: IncidentId) -> bool {
        let view = self.view();
        let Some(incident) = view.incident(id) else { return false };
        let until = incident.opened.mono.plus(MOMENT_MAX);
        let is_up = |unit: &UnitSnapshot| matches!(unit.active, ActiveState::Active | ActiveState::Reloading);
        let waits = self.gathering.contains_key(&id)
            && self.now.mono < until
            && acted(incident).is_none()
            && view.unit_seen(incident).is_some_and(is_up);
        if waits {
            self.wake(until, Wake::Incident(id));
        }
        waits
    }

    /// Asks for the evidence that is due. The traces of a unit that is down wait, while its remedy should not; a unit
    /// that is up loses its own by a remedy.
    pub(crate) fn ask_for_due_evidence(&mut self) {
        let due: Vec<_> =
            self.gathering.iter().filter(|(_, stage)| **stage == Gathering::Due).map(|(id, _)| *id).collect();
        let is_awaited = |stage: &Gathering| matches!(stage, Gathering::Asked { until, .. } if self.now.mono < *until);
        let mut under_way = self.gathering.values().filter(|stage| is_awaited(stage)).count();
        for id in due {
            if under_way >= GATHERED_AT_ONCE_MAX {
                return;
            }
            let Some(incident) = self.state.incidents.get(&id) else {
                self.gathering.remove(&id);
                continue;
            };
            let is_running = self.view().unit_seen(incident).is_none_or(is_up);
            if !is_running && self.view().is_started_soon(incident) {
                continue;
            }
            under_way += 1;
            let request = self.view().request(incident, is_running);
            let (until, after) = (self.now.mono.plus(WAIT_MAX), acted(incident).cloned());
            self.gathering.insert(id, Gathering::Asked { until, after });
            self.wake(until, Wake::Incident(id));
            self.effects.push(Effect::Gather(Box::new(request)));
        }
    }

    pub(crate) fn gathered(&mut self, id: IncidentId, evidence: Vec<Evidence>) {
        let after = match self.gathering.remove(&id) {
            Some(Gathering::Asked { after, .. }) => after,
            Some(Gathering::Due) | None => None,
        };
        if let Some(incident) = self.state.incidents.get_mut(&id) {
            add(incident, evidence.into_iter().map(|found| labeled(found, after.as_ref())));
            self.changed();
        }
        self.look_for_shared_cause(id);
        self.tell_what_waited(id);
        // What waited for the traces goes on.
        self.reconcile(id);
    }

    /// Whether a notice should wait: a person who is asked to act needs the evidence, and who is told early has the time.
    pub(crate) fn waits_for_evidence(&self, id: IncidentId, kind: NoticeKind) -> bool {
        (kind.asks() || kind == NoticeKind::Foreseen)
            && match self.gathering.get(&id) {
                Some(Gathering::Due) => true,
                Some(Gathering::Asked { until, .. }) => self.now.mono < *until,
                None => false,
            }
    }

    /// Tells what has waited for evidence that is there, or that nobody waits for any more.
    pub(crate) fn tell_what_waited(&mut self, id: IncidentId) {
        let waiting: Vec<_> = self.held_back.iter().filter(|(held, _)| *held == id).copied().collect();
        for (id, kind) in waiting {
            if !self.waits_for_evidence(id, kind) && !self.waits_for_silence(id, kind) {
                self.held_back.remove(&(id, kind));
                self.tell(id, kind);
            }
        }
    }

    /// After a restart of the agent: evidence that was not kept is asked for again, and notices that were not yet
    /// made are made when it is there.
    pub(crate) fn resume_evidence(&mut self) {
        let has_some = |incident: &Incident| incident.evidence.iter().any(|found| found.kind != EvidenceKind::Unit);
        let open = self.state.incidents.values().map(|incident| (incident.id, has_some(incident), wanted(incident)));
        for (id, has_some, kind) in open.collect::<Vec<_>>() {
            if !has_some {
                self.gathering.insert(id, Gathering::Due);
            }
            if let Some(kind) = kind {
                self.tell(id, kind);
            }
        }
    }
}

impl<'a> View<'a> {
    /// What was last seen of the unit of an incident's target.
    fn unit_seen(self, incident: &Incident) -> Option<&'a UnitSnapshot> {
        self.checks_to_verify(incident).into_iter().find_map(|check| check.last.as_ref()?.1.unit())
    }

    /// Whether a remedy is under way, or only waits for those of others.
    fn is_started_soon(self, incident: &Incident) -> bool {
        let decision = incident.decision.as_ref().filter(|_| incident.phase == Phase::Open);
        let mut objections = decision.into_iter().flat_map(Decision::objections);
        objections.any(|objection| objection.gate == Gate::Concurrency)
            || self.state.runs.values().any(|run| run.incident == Some(incident.id))
    }

    fn request(self, incident: &Incident, is_running: bool) -> EvidenceRequest {
        let target = self.bundle.parts().targets.get(&incident.target);
        // What grows may have begun to with a change of long ago.
        let growing = match incident.observation.figure(Trend::GROWING) {
            Some(Value::Duration(growing)) => growing.saturating_add(CHANGES_BEFORE_GROWTH),
            Some(_) | None => Duration::ZERO,
        };
        let within = i64::try_from(CHANGES_WITHIN.max(growing).as_millis()).unwrap_or(0);
        EvidenceRequest {
            incident: incident.id,
            target: incident.target.clone(),
            probe: self.bundle.parts().checks.get(&incident.check).map(|check| check.probe.clone()),
            unit: target.and_then(|target| target.unit.clone()),
            is_running,
            port: target.and_then(|target| target.port),
            paths: target.map(|target| target.configuration.clone()).unwrap_or_default(),
            since: WallTime(self.now.wall.0.saturating_sub(within)),
            lines_max: self.bundle.parts().settings.evidence_lines_max,
        }
    }
}

/// What a person must have been told of an incident as it stands.
fn wanted(incident: &Incident) -> Option<NoticeKind> {
    match incident.phase {
        Phase::Escalated { .. } => Some(NoticeKind::Escalated),
        Phase::AwaitingApproval { .. } => Some(NoticeKind::ApprovalWanted),
        Phase::Remediating if incident.is_foreseen() => Some(NoticeKind::Foreseen),
        // It was handed over, and is tried again.
        Phase::Open | Phase::Remediating | Phase::Stabilizing { .. } if was_handed_over(incident) => {
            Some(NoticeKind::Escalated)
        }
        Phase::Open | Phase::Remediating | Phase::Stabilizing { .. } | Phase::Resolved(_) => None,
    }
}

fn was_handed_over(incident: &Incident) -> bool {
    incident.retry.as_ref().is_some_and(|retry| retry.tries > 0)
}

fn is_up(unit: &UnitSnapshot) -> bool {
    !matches!(unit.active, ActiveState::Inactive | ActiveState::Failed)
}

/// The rung of the last action that was begun, when one was.
fn acted(incident: &Incident) -> Option<&RungId> {
    incident.steps.iter().rev().find_map(|step| match &step.kind {
        StepKind::Started { rung, .. } => Some(rung),
        _ => None,
    })
}

/// Figures are of one moment: those that were taken after an action say so.
fn labeled(found: Evidence, after: Option<&RungId>) -> Evidence {
    match after {
        Some(rung) if is_of_a_moment(&found) => {
            let source = Text::new(alloc::format!("{} (after {rung})", found.source));
            Evidence { source, ..found }
        }
        Some(_) | None => found,
    }
}

fn is_of_a_moment(found: &Evidence) -> bool {
    matches!(found.kind, EvidenceKind::Port | EvidenceKind::Resources)
}

/// It is gathered again after a failed remedy; lines that the same source has said before say nothing new.
fn add(incident: &mut Incident, evidence: impl IntoIterator<Item = Evidence>) {
    for found in evidence {
        if incident.evidence.len() >= Incident::EVIDENCE_MAX {
            return;
        }
        // How something is now replaces how it was: a port that was free then may be held by somebody now.
        let is_state = is_of_a_moment(&found);
        if is_state && incident.evidence.iter().any(|kept| kept.kind == found.kind && kept.text == found.text) {
            continue;
        }
        let same = |kept: &&mut Evidence| kept.source == found.source && kept.kind == found.kind;
        if let Some(kept) = incident.evidence.iter_mut().find(same).filter(|_| is_state) {
            kept.text = found.text;
            continue;
        }
        let before: Vec<&Evidence> = incident.evidence.iter().filter(|kept| kept.source == found.source).collect();
        let is_old = |line: &str| before.iter().any(|kept| kept.text.as_str().lines().any(|said| said == line));
        let news: Vec<&str> = found.text.as_str().lines().filter(|line| !is_old(line)).collect();
        if news.is_empty() {
            continue;
        }
        let text = Text::new(news.join("\n"));
        incident.evidence.push(Evidence { text, ..found });
    }
}
