//! After an escalation: what the last try failed for is looked at as long as the incident is open, and healing is tried
//! once more when that is gone, or when time has passed. Every try passes the gates like any other.

use alloc::format;
use core::time::Duration;

use ansai_model::{
    action::{Action, ActionOutcome},
    decision::Gate,
    domain::service::LoadState,
    id::{CheckId, IncidentId},
    incident::{Incident, Phase, StepKind},
    observation::{Health, Observation},
    probe::Probe,
    retry::{Obstacle, Retry, Retrying},
    rule::Autonomy,
    runbook::Step,
    text::Text,
    time::{MonoTime, Now, Shown},
};

use crate::{
    check::CheckState,
    gate::{surroundings::is_being_healed, wishes},
    host_engine::{HostEngine, Wake},
    remediation::Remediation,
};

/// How long after an escalation it is tried again when nothing says that it would help before; later each hour.
const WAITS: [Duration; 4] =
    [Duration::from_secs(300), Duration::from_secs(900), Duration::from_secs(1_800), Duration::from_secs(3_600)];
/// How often what it failed for is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// The same when it stays for long, or was gone before and nothing was better.
const LOOK_EVERY_MAX: Duration = Duration::from_secs(60);
const LOOK_TIMEOUT: Duration = Duration::from_secs(10);

/// A look at what a remedy failed for.
#[derive(Clone, Debug)]
pub(crate) struct Watch {
    incident: IncidentId,
    probe: Probe,
    /// When a look that was begun counts as lost.
    in_flight: Option<MonoTime>,
    /// When the next one is due.
    due: MonoTime,
    looks: u32,
    is_gone: bool,
}

impl HostEngine {
    /// When an incident that is handed over now is tried again, and what it waits for.
    pub(super) fn retry_after(&self, now: Now, id: IncidentId, failed: Option<&Remediation>) -> Option<Retry> {
        let incident = self.state.incidents.get(&id)?;
        let parts = self.bundle.parts();
        let rule = parts.rules.get(incident.rule.as_ref()?)?;
        let is_notifier = parts.targets.get(&incident.target).is_some_and(|target| target.is_notifier);
        let is_mended = parts.runbooks.get(&rule.runbook).is_some_and(|runbook| !runbook.rungs.is_empty());
        let policy = parts.policies.get(&rule.policy)?;
        if rule.autonomy != Autonomy::Act || is_notifier || !is_mended || policy.retry == Retrying::Never {
            return None;
        }
        let tries = incident.retry.as_ref().map_or(0, |retry| retry.tries);
        Some(Retry { tries, at: now.plus(wait_after(tries)), obstacle: self.obstacle(incident, failed) })
    }

    /// What a remedy failed for, or a gate objected to, when it is something that can be looked at.
    fn obstacle(&self, incident: &Incident, failed: Option<&Remediation>) -> Option<Obstacle> {
        if let Some(remediation) = failed {
            return by_last_failure(incident, remediation).or_else(|| self.needs_are_unwell(incident));
        }
        let mut objections = incident.decision.iter().flat_map(|decision| decision.objections());
        objections.find_map(|objection| match objection.gate {
            Gate::Dependency => Some(Obstacle::Needs),
            Gate::Existence => Some(Obstacle::Unit),
            Gate::Hold | Gate::Ledger | Gate::Maintenance | Gate::Intent | Gate::Autonomy | Gate::Cooldown => None,
            Gate::TargetBudget | Gate::HostBudget | Gate::CircuitBreaker | Gate::Concurrency => None,
            Gate::BackOff | Gate::Quiet => None,
        })
    }

    fn needs_are_unwell(&self, incident: &Incident) -> Option<Obstacle> {
        (!self.needs_are_well(incident)).then_some(Obstacle::Needs)
    }

    /// Whether all that a target needs or waits for is seen well.
    fn needs_are_well(&self, incident: &Incident) -> bool {
        let Some(target) = self.bundle.parts().targets.get(&incident.target) else { return true };
        let is_failing = |check: &CheckState| check.hard == Health::Failing || check.failures > 0;
        let needs_fail = |need| is_being_healed(self, need) || self.checks_of_itself(need).any(is_failing);
        !target.needs.iter().any(needs_fail) && !target.waits_for.iter().any(|check| self.is_failing(check))
    }

    /// Tries once more what a person has, when it is time or what it failed for is gone. Says whether it did.
    pub(super) fn try_again(&mut self, now: Now, id: IncidentId) -> bool {
        let Some(incident) = self.state.incidents.get(&id) else { return false };
        let Some(retry) = incident.retry.clone() else { return false };
        // In doubt nothing is tried; the next look that finds it failing asks again.
        if !self.checks_of(id).into_iter().any(CheckState::is_known_to_fail) {
            return false;
        }
        let held = wishes::hold_on(self, &incident.target, now).map(|(until, _)| until);
        let held = held.or_else(|| wishes::maintenance_on(self, &incident.target, now).map(|(until, _)| Some(until)));
        if let Some(until) = held {
            // Whoever ends it by hand has everything reconciled.
            if let Some(until) = until {
                self.wake(until.mono, Wake::Incident(id));
            }
            return false;
        }
        let is_gone = retry.obstacle.as_ref().filter(|obstacle| self.is_gone(id, obstacle));
        // What is gone and does not help is not tried without a pause.
        let earliest = retry.at.mono.minus(wait_after(retry.tries)).plus(look_every(retry.tries));
        let why = match is_gone {
            Some(_) if now.mono < earliest => {
                self.wake(earliest, Wake::Incident(id));
                return false;
            }
            Some(obstacle) => Text::new(format!("now {obstacle}")),
            None if retry.at.mono <= now.mono => "time has passed".into(),
            None => {
                self.wake(retry.at.mono, Wake::Incident(id));
                self.look_at_obstacle(now, id, &retry);
                return false;
            }
        };
        self.stop_watching(id);
        self.record(now, id, StepKind::TriedAgain { why });
        if let Some(incident) = self.state.incidents.get_mut(&id) {
            incident.retry = Some(Retry { tries: retry.tries.saturating_add(1), obstacle: None, ..retry });
        }
        self.set_phase(now, id, Phase::Open);
        true
    }

    /// Whether this is a try after an escalation.
    pub(crate) fn is_tried_again(&self, id: IncidentId) -> bool {
        let retry = self.state.incidents.get(&id).and_then(|incident| incident.retry.as_ref());
        retry.is_some_and(|retry| retry.tries > 0)
    }

    fn is_gone(&self, id: IncidentId, obstacle: &Obstacle) -> bool {
        let Some(incident) = self.state.incidents.get(&id) else { return false };
        match obstacle {
            Obstacle::Validator { .. } | Obstacle::Port { .. } => {
                self.watches.values().any(|watch| watch.incident == id && watch.is_gone)
            }
            Obstacle::Needs => self.needs_are_well(incident),
            Obstacle::Unit => self.checks_of(id).into_iter().any(|check| {
                let unit = check.last.as_ref().and_then(|(_, seen)| seen.unit());
                unit.is_some_and(|unit| unit.load == LoadState::Loaded)
            }),
        }
    }

    /// Looks at what a remedy failed for, when it is time for that.
    fn look_at_obstacle(&mut self, now: Now, id: IncidentId, retry: &Retry) {
        let probe = match &retry.obstacle {
            Some(Obstacle::Validator { command }) => Probe::Exec(command.clone().into()),
            Some(Obstacle::Port { port }) => Probe::Tcp { host: "127.0.0.1".into(), port: *port },
            Some(Obstacle::Needs | Obstacle::Unit) | None => return,
        };
        let Some(check) = self.state.incidents.get(&id).and_then(watch_id) else { return };
        let every = look_every(retry.tries);
        let begin = Watch { incident: id, probe, in_flight: None, due: now.mono.plus(every), looks: 0, is_gone: false };
        let watch = self.watches.entry(check.clone()).or_insert(begin);
        if let Some(lost) = watch.in_flight.filter(|lost| now.mono < *lost) {
            return self.wake(lost, Wake::Incident(id));
        }
        if now.mono < watch.due {
            let due = watch.due;
            return self.wake(due, Wake::Incident(id));
        }
        watch.looks = watch.looks.saturating_add(1);
        // For ten minutes often, then less so.
        let every = if watch.looks > 120 { LOOK_EVERY_MAX } else { every };
        let lost = now.mono.plus(LOOK_TIMEOUT.saturating_mul(2));
        (watch.in_flight, watch.due) = (Some(lost), now.mono.plus(every));
        self.wake(lost, Wake::Incident(id));
        self.effects.push(crate::effect::Effect::Observe(check));
    }

    /// Takes in a look at what a remedy failed for; says whether it was one.
    pub(crate) fn obstacle_seen(&mut self, now: Now, check: &CheckId, seen: &Observation) -> bool {
        let Some(watch) = self.watches.get_mut(check) else { return false };
        watch.in_flight = None;
        watch.is_gone = match watch.probe {
            // Whoever answers there holds the port.
            Probe::Tcp { .. } => seen.health() == Health::Failing,
            _ => seen.health() == Health::Healthy,
        };
        let id = watch.incident;
        self.reconcile(now, id);
        true
    }

    /// The look at what an incident waits for, when there is one under this name.
    pub(crate) fn watch_probe(&self, check: &CheckId) -> Option<(&Probe, Duration)> {
        self.watches.get(check).map(|watch| (&watch.probe, LOOK_TIMEOUT))
    }

    pub(crate) fn stop_watching(&mut self, id: IncidentId) {
        self.watches.retain(|_, watch| watch.incident != id);
    }

    /// When an incident that a person has is tried again, in words.
    pub(crate) fn retry_in_words(&self, now: Now, id: IncidentId) -> Option<Text> {
        let incident = self.state.incidents.get(&id)?;
        let retry = incident.retry.as_ref().filter(|_| matches!(incident.phase, Phase::Escalated { .. }))?;
        let wait = Shown(retry.at.mono.since(now.mono));
        Some(match &retry.obstacle {
            Some(obstacle) => Text::new(format!("it is tried again as soon as {obstacle}, or in {wait}")),
            None => Text::new(format!("it is tried again in {wait}")),
        })
    }
}

/// How long after an escalation it is tried again whatever is seen.
fn wait_after(tries: u32) -> Duration {
    WAITS.get(tries as usize).or(WAITS.last()).copied().unwrap_or_default()
}

/// How often it is looked at what it failed for, and the least time between two tries.
fn look_every(tries: u32) -> Duration {
    LOOK_EVERY.saturating_mul(1 << tries.min(4)).min(LOOK_EVERY_MAX)
}

/// The name under which the look at what an incident waits for is asked for; no check of a configuration begins so.
fn watch_id(incident: &Incident) -> Option<CheckId> {
    CheckId::of(&incident.target, &format!("=again-{}", incident.id)).ok()
}

/// What the last action that failed was about.
fn by_last_failure(incident: &Incident, remediation: &Remediation) -> Option<Obstacle> {
    let tried = incident.steps.iter().rev().take_while(|step| !matches!(step.kind, StepKind::TriedAgain { .. }));
    let last = tried.filter_map(|step| match &step.kind {
        StepKind::Ended { rung, outcome, .. } => Some((rung, outcome)),
        _ => None,
    });
    let (rung, outcome) = last.into_iter().next()?;
    if !matches!(outcome, ActionOutcome::Failed { .. } | ActionOutcome::Refused { .. }) {
        return None;
    }
    let rung = remediation.runbook.rungs.iter().find(|of_ladder| of_ladder.id == *rung)?;
    rung.steps.iter().find_map(|step| match step {
        Step::Act {
            action: Action::Validate { command } | Action::RestoreConfiguration { validator: Some(command), .. },
            ..
        } => Some(Obstacle::Validator { command: command.clone() }),
        Step::Act { action: Action::FreePort { port, .. }, .. } => Some(Obstacle::Port { port: *port }),
        Step::Act { .. } | Step::Wait(_) => None,
    })
}
