//! What is told and never acted on: what nobody can judge for longer than is patient, what systemd restarts again and again
//! by itself, and what is well and warns. It opens and ends these incidents; gates, ladders and budgets know nothing of them.

use alloc::format;
use core::time::Duration;

use ansai_model::{
    id::{IncidentId, TargetId},
    incident::{Incident, IncidentKind, Phase, Resolution, SinceBy},
    notify::NoticeKind,
    observation::Observation,
    policy::Policy,
    text::Text,
    time::Shown,
    unit::Intent,
};

use super::STABLE_DEFAULT;
use crate::{
    check::CheckState,
    context::{Context, Wake},
    view::View,
};

/// Longest that something must be known again until that is told: what comes and goes is one incident.
const KNOWN_FOR_MAX: Duration = Duration::from_secs(120);

impl Context {
    /// What follows from a look for what is told only: it opens, or gives way to a failure that is known.
    pub(crate) fn follow_doubt(&mut self, slot: usize) {
        self.remember_stop(slot);
        let check = &self.checks[slot];
        let target = &check.check.target;
        let unwell = check.unwell();
        let is_quiet = unwell.unknown_since.is_none() && !unwell.restless.is_on() && unwell.warned_since.is_none();
        if is_quiet && self.checks.count_open_of(target) == 0 {
            return;
        }
        let (target, is_failing) = (target.clone(), check.is_known_to_fail());
        let covered = self.view().open_on(&target, &check.check.id).filter(|incident| incident.kind.is_notify_only());
        if let Some((id, kind)) = covered.filter(|_| is_failing).map(|incident| (incident.id, incident.kind)) {
            self.is_known_to_fail_now(id, kind, slot);
        }
        self.tell_of_doubt(slot, &target);
        self.tell_of_restlessness(slot, &target);
        self.tell_of_warning(slot, &target);
    }

    fn tell_of_doubt(&mut self, slot: usize, target: &TargetId) {
        let check = &self.checks[slot];
        let (Some(since), Some(why)) = (check.unwell().unknown_since, check.doubt()) else { return };
        if self.view().is_down_on_request(target) || self.view().is_in_doubt_itself(slot, target) {
            return;
        }
        let until = since.mono.plus(self.view().patience(check));
        if self.now.mono < until {
            self.wake(until, Wake::Check(slot));
            return;
        }
        let check = &self.checks[slot];
        let Some((_, seen)) = &check.last else { return };
        let went = check.went(self.now, seen).filter(|(went, _)| went.mono < since.mono);
        let (from, by) = went.unwrap_or((since, SinceBy::Look));
        let lasted = Shown(Duration::from_secs(self.now.mono.since(from.mono).as_secs()));
        let why_told = Text::new(format!("for {lasted} nobody can say how it is, so nothing is done: {why}"));
        let observation = Observation::unknown(why).with_details(seen.details().clone());
        if let Some(covered) = self.view().open_on(target, &check.check.id) {
            let Some((kind, why)) = self.view().end_in_doubt(covered) else { return };
            self.end(covered.id, Resolution::Withdrawn { why }, kind);
        }
        // What it warned of is not known either: it is counted anew.
        self.checks[slot].forget_warnings();
        let began = self.view().began_at(slot, from, by);
        let Some(id) = self.begin_incident(slot, IncidentKind::Unknown, observation, began) else { return };
        self.join_storm(id);
        self.begin_evidence(id);
        self.escalate(id, why_told);
    }

    fn tell_of_restlessness(&mut self, slot: usize, target: &TargetId) {
        let check = &self.checks[slot];
        if check.is_known_to_fail() || self.view().open_on(target, &check.check.id).is_some() {
            return;
        }
        let Some((_, seen)) = &check.last else { return };
        let Some(words) = check.slow_loop() else { return };
        let observation = Observation::failing(words.clone()).with_details(seen.details().clone());
        let began = self.view().began_at(slot, self.now, SinceBy::Look);
        let Some(id) = self.begin_incident(slot, IncidentKind::Restless, observation, began) else { return };
        self.begin_evidence(id);
        self.escalate(id, Text::new(format!("systemd brings it back by itself, and it does not last: {words}")));
    }

    fn tell_of_warning(&mut self, slot: usize, target: &TargetId) {
        let check = &self.checks[slot];
        let Some(since) = check.warns_since().filter(|_| self.view().open_on(target, &check.check.id).is_none()) else {
            return;
        };
        let Some((_, seen)) = &check.last else { return };
        let observation = seen.clone();
        let words = Text::new(format!("it is well, so nothing is done, and it warns: {}", observation.summary()));
        let began = self.view().began_at(slot, since, SinceBy::Look);
        let Some(id) = self.begin_incident(slot, IncidentKind::Warning, observation, began) else { return };
        self.begin_evidence(id);
        self.escalate(id, words);
    }

    /// What was told only is a known failure now, which has an incident of its own.
    fn is_known_to_fail_now(&mut self, id: IncidentId, kind: IncidentKind, slot: usize) {
        let seen = self.checks[slot].last.as_ref().map_or_else(|| "".into(), |(_, seen)| seen.summary().clone());
        let how = if kind == IncidentKind::Warning {
            "it warned, and now it fails"
        } else {
            "it is known again, and it fails"
        };
        let why = Text::new(format!("{how}: {seen}"));
        self.end(id, Resolution::Withdrawn { why }, self.view().kind_of_withdrawal(id));
    }

    /// Ends what is told only once it is known to be well for a while, or has settled.
    pub(super) fn follow_notify_only(&mut self, id: IncidentId) {
        let (view, now) = (self.view(), self.now);
        let Some(incident) = view.incident(id) else { return };
        let checks = view.checks_of(incident);
        let is_doubted = checks.iter().any(|check| check.unwell().unknown_since.is_some());
        let is_restless = checks.iter().any(|check| check.unwell().restless.is_on());
        let is_warning = checks.iter().any(|check| check.unwell().warned_since.is_some());
        let goes_on = match incident.kind {
            IncidentKind::Restless => is_restless,
            IncidentKind::Warning => is_warning,
            IncidentKind::Failure | IncidentKind::Unknown => false,
        };
        let is_over = view.is_well(incident) && !is_doubted && !goes_on;
        let patience = self.checks.named(&incident.check).map_or(Policy::PATIENCE, |check| view.patience(check));
        let stable_for = view.policy_of(incident).map_or(STABLE_DEFAULT, |policy| policy.stable_for);
        let since = incident.healthy_since.unwrap_or(now);
        self.change_incident(id, |incident| incident.healthy_since = is_over.then_some(since));
        if !is_over {
            return;
        }
        let until = since.mono.plus(stable_for.max(patience.min(KNOWN_FOR_MAX)));
        if now.mono < until {
            self.wake(until, Wake::Incident(id));
            return;
        }
        self.end(id, Resolution::AfterEscalation, self.view().kind_of_end(id));
    }

    /// Keeps in mind that a unit is down on request, so that a restart of the agent does not make it a riddle.
    fn remember_stop(&mut self, slot: usize) {
        let check = &self.checks[slot];
        let Some(unit) = check.last.as_ref().and_then(|(_, seen)| seen.unit()) else { return };
        if unit.active.is_up() {
            let memory = self.state.targets.get_mut(&check.check.target).filter(|memory| memory.stopped.is_some());
            if let Some(memory) = memory {
                (memory.stopped, memory.stop_told) = (None, None);
                self.changed();
            }
            return;
        }
        if unit.since.is_none() || unit.intent != Intent::Stopped || !unit.active.is_down() {
            return;
        }
        // systemd's own stop of what is bound to a unit that failed is no person's.
        let (since, target) = (unit.since.filter(|_| unit.is_stopped_on_request()), check.check.target.clone());
        // What was seen to fail in this state was stopped later than it came into it.
        let told = check.failing_since().map(|_| self.now.wall).filter(|_| since.is_some());
        let memory = self.state.targets.entry(target).or_default();
        if memory.stopped != since {
            (memory.stopped, memory.stop_told) = (since, told);
            self.changed();
        }
    }
}

impl View<'_> {
    /// How a failure ends that nobody knows of, that waited for a gate and that cannot be seen any more, and why: what is
    /// told is that, and it opens anew when it is seen again. Nothing for one that goes on.
    fn end_in_doubt(self, incident: &Incident) -> Option<(NoticeKind, Text)> {
        if incident.kind == IncidentKind::Warning {
            return Some((self.kind_of_withdrawal(incident.id), "it warned, and now nobody can say how it is".into()));
        }
        let is_failure = incident.kind == IncidentKind::Failure && incident.symptom_of.is_none();
        let is_waiting = is_failure && incident.phase == Phase::Open;
        let is_left = is_waiting && !self.state.remediations.contains_key(&incident.id);
        is_left.then(|| (NoticeKind::Healed, "nobody can see any more whether it fails".into()))
    }

    /// The time that a check may be unknown.
    fn patience(self, check: &CheckState) -> Duration {
        let check = &check.check;
        let parts = self.bundle.parts();
        let rule = self.rules_of(&check.target).find(|rule| rule.checks.contains(&check.id));
        let declared = rule.and_then(|rule| parts.policies.get(&rule.policy)).and_then(|p| p.tell_unknown_after);
        let is_critical = parts.targets.get(&check.target).is_some_and(|target| target.is_critical);
        declared.unwrap_or(if is_critical { Policy::PATIENCE_CRITICAL } else { Policy::PATIENCE })
    }

    fn kind_of_end(self, id: IncidentId) -> NoticeKind {
        let was_notified = self.state.notified.contains(&(id, NoticeKind::Escalated));
        if was_notified { NoticeKind::Recovered } else { NoticeKind::Healed }
    }

    /// As what it is told that something was told for another reason than that it is well: nobody is to think that it is.
    fn kind_of_withdrawal(self, id: IncidentId) -> NoticeKind {
        let was_notified = self.state.notified.contains(&(id, NoticeKind::Escalated));
        if was_notified { NoticeKind::Withdrawn } else { NoticeKind::Healed }
    }

    /// Whether somebody wants the target down.
    fn is_down_on_request(self, target: &TargetId) -> bool {
        self.checks_of_itself(target).any(|check| check.wanted_down().is_some())
    }

    /// Whether the target's own unit is in doubt as well: then that is what is told.
    fn is_in_doubt_itself(self, slot: usize, target: &TargetId) -> bool {
        let own = self.own_slot(target).filter(|own| *own != slot);
        own.is_some_and(|own| self.checks[own].unwell().unknown_since.is_some())
    }
}
