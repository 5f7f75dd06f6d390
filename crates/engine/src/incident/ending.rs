//! How an incident ends, or is handed over, and what is remembered of it.

use alloc::format;
use core::time::Duration;

use ansai_model::{
    id::IncidentId,
    incident::{Phase, Resolution, StepKind},
    notify::NoticeKind,
    text::Text,
    time::Now,
};

use crate::{
    context::{Context, Wake},
    gate::operator,
    incident::{again::is_tried_again, drilled::drill_over},
    remediation::{Remediation, anew::worked_last},
    state::{BreakerState, PastIncident, TargetMemory, keep_newest},
};

impl Context {
    /// A remedy of ours worked and has lasted; one that has changed nothing has only seen it become well.
    pub(crate) fn healed(&mut self, id: IncidentId) {
        let Some(remediation) = self.state.remediations.remove(&id) else { return };
        let Some(incident) = self.state.incidents.get(&id) else { return };
        // What is remembered of each target on the largest hosts may be less than that.
        let loud_after = (remediation.policy.loud_after as usize).min(self.view().depth().past);
        let memory = self.state.targets.entry(incident.target.clone()).or_default();
        let is_too_often = too_often(memory, self.now, loud_after);
        let is_drill = incident.is_drill;
        let now = self.now;
        let has_changed = remediation.has_changed;
        if let Some(memory) = self.memory_of_mut(id).filter(|_| has_changed && !is_drill) {
            memory.remediated = Some(now);
            memory.breaker = BreakerState::Closed;
        }
        let Some(rung) = remediation.current().map(|rung| rung.id.clone()) else { return };
        let was_notified = self.state.notified.contains(&(id, NoticeKind::Escalated));
        let kind = match is_too_often && has_changed {
            true => NoticeKind::HealedTooOften,
            // Whoever was told that a person is needed is told that none is needed any more.
            false if was_notified => NoticeKind::Recovered,
            false => NoticeKind::Healed,
        };
        let resolution = match has_changed {
            true => Resolution::Healed { rung },
            false if was_notified => Resolution::AfterEscalation,
            false => Resolution::ByItself,
        };
        self.end(id, self.view().unless_started_by_others(id, resolution), kind);
    }

    /// Hands an incident to a person; it is still watched, and resolved when it recovers.
    pub(crate) fn escalate(&mut self, id: IncidentId, why: Text) {
        if !self.state.incidents.contains_key(&id) {
            return;
        }
        self.state.answers.remove(&id);
        self.state.preempted.remove(&id);
        self.tell_symptoms(id, &Text::new(format!("handed to a person: {why}")));
        let view = self.view();
        let is_brought_back = view.incident(id).is_some_and(|of| view.is_down(of) && worked_last(of).is_some());
        self.record(id, StepKind::Escalated { why: why.clone() });
        self.set_phase(id, Phase::Escalated { why });
        self.ask_no_more(id);
        let remediation = self.state.remediations.remove(&id);
        let view = self.view();
        let Some(incident) = view.incident(id) else { return };
        let (was_again, is_drill) = (is_tried_again(incident), incident.is_drill);
        let counts = |tried: &&Remediation| tried.attempts > 0 && tried.has_changed && !is_drill;
        if let Some(failed) = remediation.as_ref().filter(counts) {
            self.remember_failure(id, failed, was_again);
        }
        // What it costs to have failed is known now, and so when it may be tried again.
        let view = self.view();
        let retry = view.incident(id).and_then(|of| view.retry_after(of, remediation.as_ref(), is_brought_back));
        if let Some(retry) = &retry {
            self.wake(retry.at.mono.min(self.now.mono), Wake::Incident(id));
        }
        self.change_incident(id, |incident| incident.retry = retry);
        if remediation.is_some() {
            // Whoever takes over needs to know how it is now, not only how it broke.
            self.begin_evidence(id);
        }
        self.tell(id, NoticeKind::Escalated);
        self.wake_waiting();
    }

    /// Counts that a remediation has failed, which has changed something; a try after an escalation has its own waits.
    fn remember_failure(&mut self, id: IncidentId, failed: &Remediation, was_again: bool) {
        let (times_max, now) = (self.view().depth().times, self.now);
        let Some(memory) = self.memory_of_mut(id) else { return };
        memory.remediated = Some(now);
        if was_again {
            return;
        }
        TargetMemory::push(&mut memory.failures, now.mono, times_max);
        let breaker = failed.policy.breaker;
        let failures = TargetMemory::within(&memory.failures, now.mono, breaker.window);
        let was_half_open = matches!(memory.breaker, BreakerState::Open { .. });
        if was_half_open || failures >= (breaker.failures_max as usize).min(times_max) {
            memory.breaker = BreakerState::Open { until: now.plus(breaker.open_for) };
        }
    }

    /// What was asked of a person is asked no more, wherever it is told.
    fn ask_no_more(&mut self, id: IncidentId) {
        self.change_incident(id, |incident| incident.decision.iter_mut().for_each(operator::ask_no_more));
    }

    /// Ends an incident and says so.
    pub(crate) fn end(&mut self, id: IncidentId, resolution: Resolution, kind: NoticeKind) {
        let incident = self.state.incidents.get(&id);
        let is_watched = incident.is_some_and(
            |incident| matches!(incident.phase, Phase::Stabilizing { until } if self.now.mono < until.mono),
        );
        let how = match &resolution {
            Resolution::Healed { rung } if is_watched => Text::new(format!("healed by `{rung}`")),
            Resolution::Healed { rung } => Text::new(format!("healed by `{rung}`, and it has stayed well")),
            Resolution::ByItself if incident.is_some_and(|incident| drill_over(incident).is_some()) => {
                "it recovered once the drill was over".into()
            }
            Resolution::ByItself => "it recovered by itself".into(),
            Resolution::StartedByOthers { at } => Text::new(format!("somebody else had started it at {at}")),
            Resolution::AfterEscalation => "it recovered after it had been handed to a person".into(),
            Resolution::Withdrawn { why } => Text::new(format!("withdrawn: {why}")),
        };
        let (was_healed, is_withdrawn) =
            (matches!(resolution, Resolution::Healed { .. }), matches!(resolution, Resolution::Withdrawn { .. }));
        self.record(id, StepKind::Resolved { how });
        self.ask_no_more(id);
        let now = self.now;
        let Some(incident) = self.state.incidents.get_mut(&id) else { return };
        incident.phase = Phase::Resolved(resolution);
        incident.ended = Some(now);
        let (is_drill, is_notify_only) = (incident.is_drill, incident.kind.is_notify_only());
        let again = incident.relapse.map_or(0, |relapse| relapse.outages);
        let (target, check, opened, downtime) =
            (incident.target.clone(), incident.check.clone(), incident.opened, incident.downtime().unwrap_or_default());
        self.state.targets.entry(target.clone()).or_default();
        if let Some(memory) = self.known_memory_of_mut(id).filter(|_| !is_notify_only) {
            memory.well_since = memory.well_since.filter(|_| is_drill).or(Some(now.mono));
        }
        self.gathering.remove(&id);
        self.stop_watching(id);
        // Nobody is asked any more for what is over.
        self.held_back.retain(|(held, _)| *held != id);
        self.tell(id, kind);
        let storm = self.state.incidents.remove(&id).and_then(|incident| incident.storm);
        self.leave_storm(storm);
        self.state.remediations.remove(&id);
        self.state.preempted.remove(&id);
        self.state.answers.remove(&id);
        self.state.notified.retain(|(of, _)| *of != id);
        if let Some(index) = self.checks.targets.get_mut(&target) {
            index.open.remove(&id);
        }
        // It was seen well; what somebody only stopped may still be as the drill left it.
        if is_drill && !is_withdrawn && !is_notify_only {
            self.drill_is_over(&target);
        }
        let past_max = self.view().depth().past;
        let memory = self.state.targets.entry(target).or_default();
        // What was broken on purpose, or was not known to be broken, says nothing about how often it breaks.
        if !is_withdrawn && !is_drill && !is_notify_only {
            let past = memory.past.entry(check).or_default();
            past.push_back(PastIncident { opened, was_healed, downtime, again });
            keep_newest(past, past_max);
        }
        self.changed();
        self.wake_waiting();
    }
}

fn too_often(memory: &TargetMemory, now: Now, loud_after: usize) -> bool {
    const DAY: Duration = Duration::from_secs(86_400);
    let healed = memory
        .past
        .values()
        .flatten()
        .filter(|past| past.was_healed && now.mono.since(past.opened.mono) <= DAY)
        .count();
    healed >= loud_after
}
