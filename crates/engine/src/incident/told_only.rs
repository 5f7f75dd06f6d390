//! What is told and never acted on: what nobody can judge for longer than is patient, and what systemd restarts again and
//! again by itself. It opens and ends these incidents; gates, ladders and budgets know nothing of them.

use alloc::format;
use core::time::Duration;

use ansai_model::{
    domain::service::{ActiveState, Intent},
    id::{IncidentId, TargetId},
    incident::{IncidentKind, Phase, Resolution},
    notify::NoticeKind,
    observation::Observation,
    text::Text,
    time::{Now, Shown},
};

use super::STABLE_DEFAULT;
use crate::host_engine::{HostEngine, Wake};

/// How long what is critical may be unknown before a person is told, when no policy says.
const PATIENCE_CRITICAL: Duration = Duration::from_secs(120);
/// The same of the rest.
const PATIENCE: Duration = Duration::from_secs(600);
/// Longest that something must be known again until that is told: what comes and goes is one incident.
const KNOWN_FOR_MAX: Duration = Duration::from_secs(120);

impl HostEngine {
    /// Whether nothing may ever be done about an incident.
    pub(crate) fn is_told_only(&self, id: IncidentId) -> bool {
        self.state.incidents.get(&id).is_some_and(|incident| incident.kind.is_told_only())
    }

    /// What follows from a look for what is told only: it opens, or gives way to a failure that is known.
    pub(crate) fn follow_doubt(&mut self, now: Now, slot: usize) {
        self.remember_stop(now, slot);
        let check = &self.checks[slot];
        let target = &check.check.target;
        let is_quiet = check.unknown_since.is_none() && !check.restless.is_on();
        if is_quiet && self.targets.get(target).is_none_or(|index| index.open.is_empty()) {
            return;
        }
        let (target, is_failing) = (target.clone(), check.is_known_to_fail());
        let covered = self.open_on(&target, &check.check.id);
        match covered.and_then(|id| self.state.incidents.get(&id)) {
            Some(incident) if incident.kind.is_told_only() && is_failing => {
                let id = incident.id;
                self.is_known_to_fail_now(now, id, slot);
            }
            Some(_) | None => {}
        }
        self.tell_of_doubt(now, slot, &target);
        self.tell_of_restlessness(now, slot, &target);
    }

    /// The time that a check may be unknown.
    fn patience(&self, slot: usize) -> Duration {
        let check = &self.checks[slot].check;
        let parts = self.bundle.parts();
        let rule = self.rules_of(&check.target).find(|rule| rule.checks.contains(&check.id));
        let declared = rule.and_then(|rule| parts.policies.get(&rule.policy)).and_then(|p| p.tell_unknown_after);
        let is_critical = parts.targets.get(&check.target).is_some_and(|target| target.is_critical);
        declared.unwrap_or(if is_critical { PATIENCE_CRITICAL } else { PATIENCE })
    }

    fn tell_of_doubt(&mut self, now: Now, slot: usize, target: &TargetId) {
        let check = &self.checks[slot];
        let (Some(since), Some(why)) = (check.unknown_since, check.doubt()) else { return };
        if self.is_down_on_request(target) || self.is_in_doubt_itself(slot, target) {
            return;
        }
        let until = since.mono.plus(self.patience(slot));
        if now.mono < until {
            self.wake(until, Wake::Check(slot));
            return;
        }
        let check = &self.checks[slot];
        let Some((_, seen)) = &check.last else { return };
        let from = check.went(now, seen).filter(|went| went.mono < since.mono).unwrap_or(since);
        let lasted = Shown(Duration::from_secs(now.mono.since(from.mono).as_secs()));
        let why_told = Text::new(format!("for {lasted} nobody can say how it is, so nothing is done: {why}"));
        let covered = self.open_on(target, &check.check.id);
        let observation = Observation::unknown(why).with_details(seen.details().clone());
        if let Some(id) = covered
            && !self.gives_way_to_doubt(now, id)
        {
            return;
        }
        let Some(id) = self.begin_incident(now, slot, IncidentKind::Unknown, observation, from) else { return };
        self.join_storm(now, id);
        self.begin_evidence(id);
        self.escalate(now, id, why_told);
    }

    fn tell_of_restlessness(&mut self, now: Now, slot: usize, target: &TargetId) {
        let check = &self.checks[slot];
        if !check.restless.is_on() || check.is_known_to_fail() || self.open_on(target, &check.check.id).is_some() {
            return;
        }
        let Some((_, seen)) = &check.last else { return };
        let words = check.restless.words();
        let observation = Observation::failing(words.clone()).with_details(seen.details().clone());
        let Some(id) = self.begin_incident(now, slot, IncidentKind::Restless, observation, now) else { return };
        self.begin_evidence(id);
        self.escalate(now, id, Text::new(format!("systemd brings it back by itself, and it does not last: {words}")));
    }

    /// Ends a failure that nobody knows of, that waited for a gate and that cannot be seen any more: what is told is that.
    /// It opens anew when it is seen again. Says whether it did.
    fn gives_way_to_doubt(&mut self, now: Now, id: IncidentId) -> bool {
        let is_waiting = self.state.incidents.get(&id).is_some_and(|incident| {
            incident.kind == IncidentKind::Failure && incident.phase == Phase::Open && incident.symptom_of.is_none()
        });
        if !is_waiting || self.state.remediations.contains_key(&id) {
            return false;
        }
        let why = "nobody can see any more whether it fails".into();
        self.end(now, id, Resolution::Withdrawn { why }, NoticeKind::Healed);
        true
    }

    /// What was told only is a known failure now, which has an incident of its own.
    fn is_known_to_fail_now(&mut self, now: Now, id: IncidentId, slot: usize) {
        let seen = self.checks[slot].last.as_ref().map_or_else(|| "".into(), |(_, seen)| seen.summary().clone());
        let why = Text::new(format!("it is known again, and it fails: {seen}"));
        self.end(now, id, Resolution::Withdrawn { why }, self.kind_of_end(id));
    }

    fn kind_of_end(&self, id: IncidentId) -> NoticeKind {
        let was_told = self.state.told.contains(&(id, NoticeKind::Escalated));
        if was_told { NoticeKind::Recovered } else { NoticeKind::Healed }
    }

    /// Ends what is told only once it is known to be well for a while, or has settled.
    pub(super) fn follow_told_only(&mut self, now: Now, id: IncidentId) {
        let Some(kind) = self.state.incidents.get(&id).map(|incident| incident.kind) else { return };
        let checks = self.checks_of(id);
        let is_doubted = checks.iter().any(|check| check.unknown_since.is_some());
        let is_restless = checks.iter().any(|check| check.restless.is_on());
        let is_over = self.is_well(id) && !is_doubted && !(kind == IncidentKind::Restless && is_restless);
        let patience = self.state.incidents.get(&id).and_then(|incident| self.check_index.get(&incident.check));
        let patience = patience.map_or(PATIENCE, |slot| self.patience(*slot));
        let stable_for = self.policy_of(id).map_or(STABLE_DEFAULT, |policy| policy.stable_for);
        let Some(incident) = self.state.incidents.get_mut(&id) else { return };
        if !is_over {
            incident.healthy_since = None;
            return;
        }
        let since = *incident.healthy_since.get_or_insert(now);
        let until = since.mono.plus(stable_for.max(patience.min(KNOWN_FOR_MAX)));
        if now.mono < until {
            self.wake(until, Wake::Incident(id));
            return;
        }
        self.end(now, id, Resolution::AfterEscalation, self.kind_of_end(id));
    }

    /// Keeps in mind that a unit is down on request, so that a restart of the agent does not make it a riddle.
    fn remember_stop(&mut self, now: Now, slot: usize) {
        let check = &self.checks[slot];
        let Some(unit) = check.last.as_ref().and_then(|(_, seen)| seen.unit()) else { return };
        if unit.since.is_none() || unit.intent != Intent::Stopped || is_up(unit.active) {
            return;
        }
        let (since, target) = (unit.since, check.check.target.clone());
        let memory = self.state.targets.entry(target).or_default();
        if memory.stopped != since {
            memory.stopped = since;
            self.changed(now);
        }
    }

    /// Whether somebody wants the target down, by the jobs that were seen or by what is remembered of them.
    fn is_down_on_request(&self, target: &TargetId) -> bool {
        let stopped = self.state.targets.get(target).and_then(|memory| memory.stopped);
        self.checks_of_itself(target).any(|check| {
            let unit = check.last.as_ref().and_then(|(_, seen)| seen.unit());
            let is_same = |since| unit.is_some_and(|unit| unit.since == Some(since) && !is_up(unit.active));
            check.wanted_down().is_some() || stopped.is_some_and(is_same)
        })
    }

    /// Whether the target's own unit is in doubt as well: then that is what is told.
    fn is_in_doubt_itself(&self, slot: usize, target: &TargetId) -> bool {
        let own = self.own_slot(target).filter(|own| *own != slot);
        own.is_some_and(|own| self.checks[own].unknown_since.is_some())
    }
}

fn is_up(active: ActiveState) -> bool {
    !matches!(active, ActiveState::Inactive | ActiveState::Failed)
}
