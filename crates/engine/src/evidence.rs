//! When evidence is asked for, and which notices wait for it. What counts as evidence is found out by the host's adapter.

use alloc::{boxed::Box, vec::Vec};
use core::time::Duration;

use ansai_model::{
    check::Trend,
    condition::Value,
    decision::{Decision, Gate},
    domain::service::{ActiveState, UnitSnapshot},
    id::IncidentId,
    incident::{Evidence, EvidenceKind, EvidenceRequest, Incident, Phase},
    notify::NoticeKind,
    text::Text,
    time::{MonoTime, Now, WallTime},
};

use crate::{
    effect::Effect,
    host_engine::{HostEngine, Wake},
};

/// Changes in this time before an incident are evidence.
const CHANGES_WITHIN: Duration = Duration::from_secs(3 * 86_400);
/// So long before something began to grow a change may be why.
const CHANGES_BEFORE_GROWTH: Duration = Duration::from_secs(86_400);
/// So many searches at once: in a storm the host has other things to do.
const GATHERED_AT_ONCE_MAX: usize = 8;
/// Longest that a notice waits for the evidence that belongs into it.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// Where the evidence of an incident is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gathering {
    /// It is asked for as soon as no action is under way: a service that is down is started first.
    Due,
    /// It was asked for; nobody waits for it after this time.
    Asked(MonoTime),
}

impl HostEngine {
    /// Keeps what the last look at the unit has told, and has the rest gathered.
    pub(crate) fn begin_evidence(&mut self, id: IncidentId) {
        let text = self.unit_seen(id).map(|unit| Text::new(alloc::format!("{unit}")));
        if let (Some(text), Some(incident)) = (text, self.state.incidents.get_mut(&id)) {
            add(incident, [Evidence { source: "systemd".into(), kind: EvidenceKind::Unit, text }]);
        }
        self.gathering.insert(id, Gathering::Due);
    }

    /// What was last seen of the unit of an incident's target.
    fn unit_seen(&self, id: IncidentId) -> Option<&UnitSnapshot> {
        self.checks_to_verify(id).into_iter().find_map(|check| check.last.as_ref()?.1.unit())
    }

    /// Asks for the evidence that is due. The traces of a unit that is down wait, while its remedy should not; a unit
    /// that is up loses its own by a remedy.
    pub(crate) fn ask_for_due_evidence(&mut self, now: Now) {
        let due: Vec<_> =
            self.gathering.iter().filter(|(_, stage)| **stage == Gathering::Due).map(|(id, _)| *id).collect();
        let is_awaited = |stage: &Gathering| matches!(stage, Gathering::Asked(until) if now.mono < *until);
        let mut under_way = self.gathering.values().filter(|stage| is_awaited(stage)).count();
        for id in due {
            if under_way >= GATHERED_AT_ONCE_MAX {
                return;
            }
            let Some(incident) = self.state.incidents.get(&id) else {
                self.gathering.remove(&id);
                continue;
            };
            let is_running = self.unit_seen(id).is_none_or(is_up);
            if !is_running && self.is_started_soon(id) {
                continue;
            }
            under_way += 1;
            let request = self.request(now, incident, is_running);
            let until = now.mono.plus(WAIT_MAX);
            self.gathering.insert(id, Gathering::Asked(until));
            self.wake(until, Wake::Incident(id));
            self.effects.push(Effect::Gather(Box::new(request)));
        }
    }

    /// Whether a remedy is under way, or only waits for those of others.
    fn is_started_soon(&self, id: IncidentId) -> bool {
        let incident = self.state.incidents.get(&id);
        let decision = incident.filter(|incident| incident.phase == Phase::Open).and_then(|i| i.decision.as_ref());
        let mut objections = decision.into_iter().flat_map(Decision::objections);
        objections.any(|objection| objection.gate == Gate::Concurrency)
            || self.state.runs.values().any(|run| run.incident == Some(id))
    }

    fn request(&self, now: Now, incident: &Incident, is_running: bool) -> EvidenceRequest {
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
            since: WallTime(now.wall.0.saturating_sub(within)),
            lines_max: self.bundle.parts().settings.evidence_lines_max,
        }
    }

    pub(crate) fn gathered(&mut self, now: Now, id: IncidentId, evidence: Vec<Evidence>) {
        self.gathering.remove(&id);
        if let Some(incident) = self.state.incidents.get_mut(&id) {
            add(incident, evidence);
            self.changed(now);
        }
        self.look_for_shared_cause(id);
        self.tell_what_waited(now, id);
        if self.state.incidents.get(&id).is_some_and(Incident::is_foreseen) {
            self.reconcile(now, id);
        }
    }

    /// Whether a notice should wait: a person who is asked to act needs the evidence, and who is told early has the time.
    pub(crate) fn waits_for_evidence(&self, now: Now, id: IncidentId, kind: NoticeKind) -> bool {
        (kind.asks() || kind == NoticeKind::Foreseen)
            && match self.gathering.get(&id) {
                Some(Gathering::Due) => true,
                Some(Gathering::Asked(until)) => now.mono < *until,
                None => false,
            }
    }

    /// Tells what has waited for evidence that is there, or that nobody waits for any more.
    pub(crate) fn tell_what_waited(&mut self, now: Now, id: IncidentId) {
        let waiting: Vec<_> = self.held_back.iter().filter(|(held, _)| *held == id).copied().collect();
        for (id, kind) in waiting {
            if !self.waits_for_evidence(now, id, kind) && !self.waits_for_silence(now, id, kind) {
                self.held_back.remove(&(id, kind));
                self.tell(now, id, kind);
            }
        }
    }

    /// After a restart of the agent: evidence that was not kept is asked for again, and notices that were not yet
    /// made are made when it is there.
    pub(crate) fn resume_evidence(&mut self, now: Now) {
        let open: Vec<_> = self.state.incidents.values().map(|incident| (incident.id, wanted(incident))).collect();
        for (id, kind) in open {
            let has_some = |incident: &Incident| incident.evidence.iter().any(|found| found.kind != EvidenceKind::Unit);
            if !self.state.incidents.get(&id).is_some_and(has_some) {
                self.gathering.insert(id, Gathering::Due);
            }
            if let Some(kind) = kind {
                self.tell(now, id, kind);
            }
        }
    }
}

/// What a person must have been told of an incident as it stands.
fn wanted(incident: &Incident) -> Option<NoticeKind> {
    match incident.phase {
        Phase::Escalated { .. } => Some(NoticeKind::Escalated),
        Phase::AwaitingApproval { .. } => Some(NoticeKind::ApprovalWanted),
        Phase::Remediating if incident.is_foreseen() => Some(NoticeKind::Foreseen),
        Phase::Open | Phase::Remediating | Phase::Stabilizing { .. } | Phase::Resolved(_) => None,
    }
}

fn is_up(unit: &UnitSnapshot) -> bool {
    !matches!(unit.active, ActiveState::Inactive | ActiveState::Failed)
}

/// It is gathered again after a failed remedy; lines that the same source has said before say nothing new.
fn add(incident: &mut Incident, evidence: impl IntoIterator<Item = Evidence>) {
    for found in evidence {
        if incident.evidence.len() >= Incident::EVIDENCE_MAX {
            return;
        }
        // How something is now replaces how it was: a port that was free then may be held by somebody now.
        let is_state = matches!(found.kind, EvidenceKind::Port | EvidenceKind::Resources);
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
