//! Who is told what, and when silence, maintenance or quiet means that nobody is.
//! Grouping into digests and delivery are the agent's.

use alloc::{boxed::Box, format, vec::Vec};

use ansai_model::{
    decision::Choice,
    id::{IncidentId, RouteId, TargetId},
    incident::{Incident, Phase, Resolution, StepKind},
    notify::NoticeKind,
    observation::Observation,
    rule::Severity,
    text::Text,
};

use crate::{
    context::{Context, Wake},
    effect::{Dispatch, Effect},
    gate::operator,
    state::DISPATCHES_MAX,
    view::View,
};

impl Context {
    /// Makes the report of an incident and hands it over for keeping and for telling, once for each kind.
    /// One that asks a person to act waits a little for the evidence.
    pub(crate) fn tell(&mut self, id: IncidentId, kind: NoticeKind) {
        if self.waits_for_evidence(id, kind) || self.waits_for_silence(id, kind) {
            self.held_back.insert((id, kind));
            return;
        }
        if !self.state.notified.insert((id, kind)) {
            return;
        }
        let view = self.view();
        let Some(report) = view.incident(id).map(|incident| view.report(incident)) else { return };
        let suppressed = view.suppressed(&report.target, kind, &report.phase);
        let routes = match suppressed {
            Some(_) => Vec::new(),
            None => view.routes_for(&report.target, kind, report.severity),
        };
        let is_unrouted = suppressed.is_none() && view.bundle.parts().routes.is_empty();
        let suppressed = suppressed.or_else(|| routes.is_empty().then(|| "no route wants it".into()));
        self.make_room();
        self.state.dispatches_counted += 1;
        let dispatch = Dispatch { id: self.state.dispatches_counted, kind, routes, suppressed, is_unrouted, report };
        self.state.dispatches.insert(dispatch.id, dispatch.clone());
        self.changed();
        self.effects.push(Effect::Dispatch(Box::new(dispatch)));
    }

    /// Tells of what will break if nothing is done, and what is about to be done: there may be time for a better remedy.
    pub(crate) fn tell_what_is_foreseen(&mut self, id: IncidentId) {
        let Some(incident) = self.state.incidents.get(&id).filter(|incident| incident.is_foreseen()) else { return };
        let is_deferred = incident.decision.as_ref().is_some_and(|decision| decision.choice == Choice::Defer);
        if incident.phase == Phase::Remediating || (incident.phase == Phase::Open && is_deferred) {
            self.tell(id, NoticeKind::Foreseen);
        }
    }

    /// What is told in steps is told again when one more has come, to whoever has it in hand: not a month ahead and never
    /// again. At the last one somebody must know at once. When it is less near than before, as with another certificate
    /// that ends soon as well, the steps are told anew.
    pub(crate) fn tell_of_the_next_step(&mut self, id: IncidentId) {
        let (view, now) = (self.view(), self.now);
        let Some(incident) = view.incident(id) else { return };
        let Some(seen) = view.seen_in_steps(incident).cloned() else { return };
        let told = &incident.observation;
        let is_nearer = seen.step() > told.step() || (seen.is_last_step() && !told.is_last_step());
        let is_less_near = seen.step() < told.step() && !is_nearer;
        if !matches!(incident.phase, Phase::Escalated { .. }) || !(is_nearer || is_less_near) {
            return;
        }
        self.change_incident(id, |incident| {
            if is_nearer {
                if seen.is_last_step() {
                    incident.severity = Severity::Now;
                }
                let why = Text::new(format!("it is nearer: {}", seen.summary()));
                incident.record(now, StepKind::Escalated { why });
            }
            incident.observation = seen;
        });
        self.changed();
        if is_nearer {
            self.state.notified.remove(&(id, NoticeKind::Escalated));
            self.tell(id, NoticeKind::Escalated);
        }
    }

    /// Whether evidence is awaited on something that is not broken yet.
    pub(crate) fn is_foreseen_and_looked_into(&self, id: IncidentId) -> bool {
        self.state.incidents.get(&id).is_some_and(Incident::is_foreseen)
            && self.waits_for_evidence(id, NoticeKind::Foreseen)
    }

    /// Whether a person who is asked to act is asked later, when a silence or a maintenance window is over: what is
    /// still broken then must not stay unsaid.
    pub(crate) fn waits_for_silence(&mut self, id: IncidentId, kind: NoticeKind) -> bool {
        let view = self.view();
        let Some(target) = view.incident(id).filter(|_| kind.asks()).map(|incident| &incident.target) else {
            return false;
        };
        let silence = operator::silence_on(view, target).map(|(until, _)| until.mono);
        let window = operator::maintenance_on(view, target).map(|(until, _)| until.mono);
        let Some(until) = silence.into_iter().chain(window).max() else { return false };
        self.wake(until, Wake::Incident(id));
        true
    }

    /// The least important waiting dispatch goes when there are too many: one that nobody is told of, else the oldest
    /// quiet one, else the oldest.
    fn make_room(&mut self) {
        if self.state.dispatches.len() < DISPATCHES_MAX {
            return;
        }
        let waiting = &self.state.dispatches;
        let victim = waiting
            .values()
            .find(|dispatch| dispatch.routes.is_empty())
            .or_else(|| waiting.values().find(|dispatch| !dispatch.kind.is_loud()))
            .or_else(|| waiting.values().next())
            .map(|dispatch| dispatch.id);
        if let Some(victim) = victim {
            self.state.dispatches.remove(&victim);
            self.state.dispatches_dropped += 1;
        }
    }
}

impl<'a> View<'a> {
    /// What is seen of an incident's check now, when it is known to fail and is told in steps.
    pub(crate) fn seen_in_steps(self, incident: &Incident) -> Option<&'a Observation> {
        let check = self.checks.named(&incident.check).filter(|check| check.is_known_to_fail())?;
        let (_, seen) = check.last.as_ref()?;
        (seen.step() > 0.0).then_some(seen)
    }

    /// Why nobody is told, when nobody is.
    fn suppressed(self, target: &TargetId, kind: NoticeKind, phase: &Phase) -> Option<Text> {
        if let Some((_, silence)) = operator::silence_on(self, target) {
            return Some(silence.why);
        }
        if let Some((_, window)) = operator::maintenance_on(self, target) {
            return Some(window.why);
        }
        let is_quiet_end = kind == NoticeKind::Healed && is_without_us(phase);
        is_quiet_end.then(|| "it ended without an action of ours".into())
    }

    fn routes_for(self, target: &TargetId, kind: NoticeKind, severity: Severity) -> Vec<RouteId> {
        let routes = self.bundle.parts().routes.values();
        routes
            .filter(|route| route.scope.holds(target) && severity >= route.severity_min)
            .filter(|route| kind.is_loud() || route.tell_healed)
            .map(|route| route.id.clone())
            .collect()
    }
}

/// Whether it ended, and no action of ours had to do with that.
fn is_without_us(phase: &Phase) -> bool {
    match phase {
        Phase::Resolved(Resolution::ByItself | Resolution::StartedByOthers { .. }) => true,
        Phase::Resolved(Resolution::Withdrawn { .. }) => true,
        Phase::Resolved(Resolution::Healed { .. } | Resolution::AfterEscalation) => false,
        Phase::Open | Phase::AwaitingApproval { .. } | Phase::Remediating => false,
        Phase::Stabilizing { .. } | Phase::Escalated { .. } => false,
    }
}
