//! After an escalation: what the last try failed for is looked at as long as the incident is open, and healing is tried
//! once more when that is gone, or when time has passed. Every try passes the gates like any other.

use alloc::{borrow::ToOwned, format, string::String, vec::Vec};
use core::time::Duration;

use ansai_model::{
    action::{Action, ActionOutcome, Disruption},
    condition::Value,
    decision::Gate,
    id::{CheckId, IncidentId, RunId, TargetId},
    incident::{self, EvidenceKind, Incident, Phase, StepKind},
    notify::NoticeKind,
    observation::{Health, Observation},
    probe::Probe,
    retry::{Obstacle, Retry, Retrying},
    rule::Autonomy,
    runbook::{Entry, Step},
    text::Text,
    time::{MonoTime, Now, Shown, WallTime},
    unit::LoadState,
};

use crate::{
    check::CheckState,
    context::{Context, Wake, Watch},
    gate::{
        context::is_being_healed,
        limits::{Hindrance, free_from},
        operator,
        proposal::{Proposal, ProposalKind, moment_at},
    },
    remediation::{Remediation, backoff_wait, disruptive_in},
    view::View,
};

/// How long after an escalation it is tried again when nothing says that it would help before; later each hour.
const WAITS: [Duration; 4] =
    [Duration::from_secs(300), Duration::from_secs(900), Duration::from_secs(1_800), Duration::from_secs(3_600)];
/// How often what it failed for is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// The same when it stays for long, or was gone before and nothing was better.
const LOOK_EVERY_MAX: Duration = Duration::from_secs(60);
const LOOK_TIMEOUT: Duration = Duration::from_secs(10);
/// Most files of a configuration that are looked at besides those that a unit names.
const PATHS_MAX: usize = 32;
/// The longest name of one.
const PATH_BYTES_MAX: usize = 256;

impl Context {
    /// Tries once more what a person has, when it is time or what it failed for is gone. Says whether it did.
    pub(super) fn try_again(&mut self, id: IncidentId) -> bool {
        let view = self.view();
        let Some(incident) = view.incident(id) else { return false };
        let Some(retry) = incident.retry.clone() else { return false };
        // A person hears first that they have it; what that waits for comes within seconds.
        let notice = (id, NoticeKind::Escalated);
        if self.held_back.contains(&notice) && self.waits_for_evidence(id, notice.1) {
            return false;
        }
        // In doubt nothing is tried; the next look that finds it failing asks again.
        if !view.checks_of(incident).into_iter().any(CheckState::is_known_to_fail) {
            return false;
        }
        let target = incident.target.clone();
        if view.is_known_of_before(incident) {
            self.look_at_target(&target);
            return false;
        }
        let held = operator::hold_on(view, &target).map(|hold| hold.until);
        let held = held.or_else(|| operator::maintenance_on(view, &target).map(|(until, _)| Some(until)));
        if let Some(until) = held {
            // Whoever ends it by hand has everything reconciled.
            if let Some(until) = until {
                self.wake(until.mono, Wake::Incident(id));
            }
            return false;
        }
        let is_gone = retry.obstacle.as_ref().filter(|obstacle| self.is_gone(incident, obstacle));
        let hindrance = if is_gone.is_some() { Hindrance::Gone } else { Hindrance::Stays };
        let free = view.free_from(incident, hindrance);
        let why = match is_gone {
            // What is gone and does not help is not tried without a pause, and nothing is that would be refused.
            Some(_) if self.now.mono < free.max(earliest(incident, &retry)) => {
                self.wake(free.max(earliest(incident, &retry)), Wake::Incident(id));
                return false;
            }
            Some(obstacle) => Text::new(format!("now {obstacle}")),
            // What others have done meanwhile may have used up what is left.
            None if retry.at.mono <= self.now.mono && self.now.mono < free => {
                let at = moment_at(self.now, free);
                self.change_incident(id, |incident| incident.retry = Some(Retry { at, ..retry }));
                self.changed();
                self.wake(free, Wake::Incident(id));
                return false;
            }
            None if retry.at.mono <= self.now.mono => "time has passed".into(),
            None => {
                self.wake(retry.at.mono, Wake::Incident(id));
                self.look_at_obstacle(id, &retry);
                return false;
            }
        };
        let watch = self.watches.values().find(|watch| watch.incident == id);
        let (gone, print) = watch.map_or((None, None), |watch| (watch.gone, watch.print.clone()));
        // What was done before says nothing about what is done now that its cause has gone.
        if let Some(gone) = gone {
            self.state.targets.entry(target).or_default().anew = Some(gone);
        }
        let obstacle = match retry.obstacle {
            Some(Obstacle::Files { unit, paths, print: before }) => {
                Some(Obstacle::Files { unit, paths, print: print.or(before) })
            }
            Some(Obstacle::Validator { .. } | Obstacle::Port { .. } | Obstacle::Needs | Obstacle::Unit) | None => None,
        };
        self.stop_watching(id);
        self.record(id, StepKind::TriedAgain { why });
        let retry = Retry { tries: retry.tries.saturating_add(1), obstacle, ..retry };
        self.change_incident(id, |incident| incident.retry = Some(retry));
        self.set_phase(id, Phase::Open);
        true
    }

    fn is_gone(&self, incident: &Incident, obstacle: &Obstacle) -> bool {
        match obstacle {
            // What systemd has not read is not run by a start.
            Obstacle::Files { .. } if self.view().needs_reload(incident) => false,
            Obstacle::Validator { .. } | Obstacle::Port { .. } | Obstacle::Files { .. } => {
                self.watches.values().any(|watch| watch.incident == incident.id && watch.gone.is_some())
            }
            Obstacle::Needs => self.view().needs_are_well(incident),
            Obstacle::Unit => self.view().checks_of(incident).into_iter().any(|check| {
                let unit = check.last.as_ref().and_then(|(_, seen)| seen.unit());
                unit.is_some_and(|unit| unit.load == LoadState::Loaded)
            }),
        }
    }

    /// Looks at what a remedy failed for, when it is time for that.
    fn look_at_obstacle(&mut self, id: IncidentId, retry: &Retry) {
        let probe = match &retry.obstacle {
            Some(Obstacle::Validator { command }) => Probe::Exec(command.clone().into()),
            Some(Obstacle::Port { port }) => Probe::Tcp { host: "127.0.0.1".into(), port: *port, speaks: None },
            Some(Obstacle::Files { unit, paths, .. }) => Probe::UnitFiles { unit: unit.clone(), paths: paths.clone() },
            Some(Obstacle::Needs | Obstacle::Unit) | None => return,
        };
        let Some(check) = self.state.incidents.get(&id).and_then(watch_id) else { return };
        let every = look_every(retry.tries);
        // How the files are is to be known before somebody mends them.
        let due = if matches!(probe, Probe::UnitFiles { .. }) { self.now.mono } else { self.now.mono.plus(every) };
        let begin = Watch { incident: id, probe, in_flight: None, due, looks: 0, gone: None, print: None };
        let watch = self.watches.entry(check.clone()).or_insert(begin);
        if let Some(lost) = watch.in_flight.filter(|lost| self.now.mono < *lost) {
            return self.wake(lost, Wake::Incident(id));
        }
        if self.now.mono < watch.due {
            let due = watch.due;
            return self.wake(due, Wake::Incident(id));
        }
        watch.looks = watch.looks.saturating_add(1);
        // For ten minutes often, then less so.
        let every = if watch.looks > 120 { LOOK_EVERY_MAX } else { every };
        let lost = self.now.mono.plus(LOOK_TIMEOUT.saturating_mul(2));
        (watch.in_flight, watch.due) = (Some(lost), self.now.mono.plus(every));
        self.wake(lost, Wake::Incident(id));
        self.effects.push(crate::effect::Effect::Observe(check));
    }

    /// Takes in a look at what a remedy failed for; says whether it was one.
    pub(crate) fn obstacle_seen(&mut self, check: &CheckId, seen: &Observation) -> bool {
        let Some(watch) = self.watches.get_mut(check) else { return false };
        watch.in_flight = None;
        let id = watch.incident;
        let is_gone = match watch.probe {
            // Whoever answers there holds the port.
            Probe::Tcp { .. } => seen.health() == Health::Failing,
            Probe::UnitFiles { .. } => self.have_changed(check, seen),
            _ => seen.health() == Health::Healthy,
        };
        if let Some(watch) = self.watches.get_mut(check) {
            watch.gone = is_gone.then_some(self.now.mono);
        }
        self.reconcile(id);
        true
    }

    /// Takes in how the files are that the unit of an incident reads; says whether somebody has changed them since it was tried
    /// last. What was written while that was under way may be the service's own, and is how they are from then on.
    fn have_changed(&mut self, check: &CheckId, seen: &Observation) -> bool {
        let Some(figure) = seen.figure(Probe::PRINT) else { return false };
        let figure = Text::new(format!("{figure:?}"));
        let Some(watch) = self.watches.get_mut(check) else { return false };
        let is_first = watch.print.replace(figure.clone()).is_none();
        let now = self.now;
        let Some(incident) = self.state.incidents.get_mut(&watch.incident) else { return false };
        let (began, ended) = last_try(incident);
        let changed = changed_at(seen).filter(|_| is_first);
        let retry = incident.retry.as_mut();
        let Some(Obstacle::Files { print, .. }) = retry.and_then(|retry| retry.obstacle.as_mut()) else { return false };
        let is_mended = match print {
            Some(before) if *before == figure => return false,
            Some(_) => changed.is_none_or(|changed| changed < began || ended < changed),
            // Whoever mended it during the last wait did so before it was looked at for the first time.
            None => changed.is_some_and(|changed| ended < changed && changed <= now.wall),
        };
        if !is_mended {
            *print = Some(figure);
            self.changed();
        }
        is_mended
    }

    /// The look at what an incident waits for, when there is one under this name.
    pub(crate) fn watch_probe(&self, check: &CheckId) -> Option<(&Probe, Duration)> {
        self.watches.get(check).map(|watch| (&watch.probe, LOOK_TIMEOUT))
    }

    pub(crate) fn stop_watching(&mut self, id: IncidentId) {
        self.watches.retain(|_, watch| watch.incident != id);
    }
}

impl View<'_> {
    /// When an incident that is handed over now is tried again, and what it waits for. What the last remedy had brought back is
    /// brought back again after its back-off, which grows: to leave it down for longer is worse than to start it.
    pub(super) fn retry_after(
        self,
        incident: &Incident,
        failed: Option<&Remediation>,
        is_brought_back: bool,
    ) -> Option<Retry> {
        let parts = self.bundle.parts();
        let rule = parts.rules.get(incident.rule.as_ref()?)?;
        let is_notifier = parts.targets.get(&incident.target).is_some_and(|target| target.is_notifier);
        let is_mended = parts.runbooks.get(&rule.runbook).is_some_and(|book| self.has_rung_for(&incident.target, book));
        let policy = parts.policies.get(&rule.policy)?;
        if rule.autonomy != Autonomy::Act || is_notifier || !is_mended || policy.retry == Retrying::Never {
            return None;
        }
        let tries = incident.retry.as_ref().map_or(0, |retry| retry.tries);
        let level = self.memory_of(incident).map_or(0, |memory| memory.backoff_level);
        let wait = match is_brought_back {
            true => backoff_wait(&policy.backoff, level.saturating_add(tries).max(1), incident.id.0),
            false => wait_after(tries),
        };
        let at = self.now.mono.plus(wait).max(self.free_from(incident, Hindrance::Stays));
        let obstacle = self.obstacle(incident, failed);
        let free = obstacle.as_ref().map(|_| self.free_from(incident, Hindrance::Gone));
        let not_before = free.filter(|free| *free > self.now.mono).map(|free| moment_at(self.now, free));
        Some(Retry { tries, at: moment_at(self.now, at), not_before, obstacle })
    }

    /// From when on the limits let an incident be tried again.
    fn free_from(self, incident: &Incident, hindrance: Hindrance) -> MonoTime {
        let parts = self.bundle.parts();
        let rule = incident.rule.as_ref().and_then(|rule| parts.rules.get(rule));
        let Some(rule) = rule else { return self.now.mono };
        let Some((policy, runbook)) = parts.policies.get(&rule.policy).zip(parts.runbooks.get(&rule.runbook)) else {
            return self.now.mono;
        };
        let mut rungs = runbook.rungs.iter().filter(|rung| rung.entry == Entry::InOrder && disruptive_in(rung) > 0);
        let needed = rungs.find(|rung| self.objection_to_rung(incident, rung).is_none()).map_or(1, disruptive_in);
        let (autonomy, disruption, kind) = (rule.autonomy, Disruption::Full, ProposalKind::Start);
        let proposal = Proposal { view: self, incident, policy, autonomy, disruption, kind, if_asked: None };
        free_from(&proposal, needed, hindrance)
    }

    /// What a remedy failed for, or a gate objected to, when it is something that can be looked at.
    fn obstacle(self, incident: &Incident, failed: Option<&Remediation>) -> Option<Obstacle> {
        if let Some(remediation) = failed {
            let known = by_last_failure(incident, remediation).or_else(|| self.needs_are_unwell(incident));
            return known.or_else(|| self.files_of(incident));
        }
        let mut objections = incident.decision.iter().flat_map(|decision| decision.objections());
        objections.find_map(|objection| match objection.gate {
            Gate::Dependency => Some(Obstacle::Needs),
            Gate::Existence => Some(Obstacle::Unit),
            // It was tried so often that something must change first.
            Gate::TargetBudget | Gate::HostBudget | Gate::CircuitBreaker => self.files_of(incident),
            Gate::Hold | Gate::Ledger | Gate::Maintenance | Gate::Intent | Gate::Autonomy | Gate::Cooldown => None,
            Gate::Concurrency | Gate::BackOff | Gate::Quiet | Gate::Permit => None,
        })
    }

    /// What the unit of an incident reads, when the unit does not run: nobody knows why, so a change of it is a reason to
    /// try. Who mends a service that runs starts it anew in their own time.
    fn files_of(self, incident: &Incident) -> Option<Obstacle> {
        let target = self.bundle.parts().targets.get(&incident.target)?;
        let unit = target.unit.clone().filter(|_| self.is_down(incident))?;
        // How they were is known since it was first handed over: what was changed during a try counts still.
        match incident.retry.as_ref().and_then(|retry| retry.obstacle.as_ref()) {
            Some(before @ Obstacle::Files { unit: of, .. }) if *of == unit => Some(before.clone()),
            _ => {
                let paths = target.configuration.iter().cloned().chain(named_in_log(incident));
                let mut paths: Vec<_> = paths.take(PATHS_MAX).collect();
                paths.sort();
                paths.dedup();
                Some(Obstacle::Files { unit, paths, print: None })
            }
        }
    }

    /// Whether a file of its unit is another one than systemd has read.
    fn needs_reload(self, incident: &Incident) -> bool {
        self.unit_of(&incident.target).is_some_and(|unit| unit.needs_reload)
    }

    fn needs_are_unwell(self, incident: &Incident) -> Option<Obstacle> {
        (!self.needs_are_well(incident)).then_some(Obstacle::Needs)
    }

    /// Whether all that is known to fail was seen before its unit was started last, by whomever: it may be well by now.
    fn is_known_of_before(self, incident: &Incident) -> bool {
        let up = self.unit_of(&incident.target).filter(|unit| unit.active.is_up());
        // By a clock that was set back it would be started in the future.
        let Some(started) = up.and_then(|unit| unit.since).filter(|since| *since <= self.now.wall) else {
            return false;
        };
        let ago = self.now.wall.since(started);
        let is_of_before = |check: &CheckState| check.looked_at.is_some_and(|at| self.now.mono.since(at) > ago);
        self.checks_of(incident).into_iter().filter(|check| check.is_known_to_fail()).all(is_of_before)
    }

    /// Whether all that a target needs or waits for is seen well.
    fn needs_are_well(self, incident: &Incident) -> bool {
        let Some(target) = self.bundle.parts().targets.get(&incident.target) else { return true };
        let is_failing = |check: &CheckState| check.hard == Health::Failing || check.failures > 0;
        let needs_fail = |need| is_being_healed(self, need) || self.checks_of_itself(need).any(is_failing);
        !target.needs.iter().any(needs_fail) && !target.waits_for.iter().any(|check| self.is_failing(check))
    }

    /// Who wants a target left alone at this moment, and what ends that.
    pub(crate) fn restrained_by(self, target: &TargetId) -> Option<Text> {
        let window = || operator::maintenance_on(self, target).map(|(_, window)| window);
        operator::hold_on(self, target).or_else(window).map(|restraint| restraint.words())
    }

    /// When an incident that a person has is tried again, in words.
    pub(crate) fn retry_in_words(self, incident: &Incident) -> Option<Text> {
        let retry = incident.retry.as_ref().filter(|_| matches!(incident.phase, Phase::Escalated { .. }))?;
        if let Some(restraint) = self.restrained_by(&incident.target) {
            return Some(Text::new(format!("it is not tried again for now: {restraint}")));
        }
        let left = |at: Now| Shown(at.mono.since(self.now.mono));
        let wait = left(retry.at);
        let free = retry.not_before.filter(|free| free.mono > self.now.mono);
        Some(Text::new(match (&retry.obstacle, free) {
            (Some(_), Some(free)) if free.mono >= retry.at.mono => {
                format!("it is tried again in {wait}, and no budget has room for it before")
            }
            (Some(obstacle), Some(free)) => {
                format!("it is tried again as soon as {obstacle}, but not within {}, or in {wait}", left(free))
            }
            (Some(obstacle), None) => format!("it is tried again as soon as {obstacle}, or in {wait}"),
            (None, _) => format!("it is tried again in {wait}"),
        }))
    }
}

/// Whether this is a try after an escalation.
pub(crate) fn is_tried_again(incident: &Incident) -> bool {
    incident.retry.as_ref().is_some_and(|retry| retry.tries > 0)
}

/// When the last try began to change something, and when it was over: its action had ended, it was known not to have helped, or
/// it was taken back. Without one, when it was seen to fail.
fn last_try(incident: &Incident) -> (WallTime, WallTime) {
    let opened = incident.opened.wall;
    incident.steps.iter().fold((opened, opened), |(began, ended), step| match &step.kind {
        StepKind::Started { is_harmless: false, .. } => (step.at.wall, step.at.wall),
        StepKind::Ended { run, .. } if !is_harmless(incident, *run) => (began, step.at.wall),
        StepKind::NotVerified { .. } | StepKind::Undone { .. } => (began, step.at.wall),
        _ => (began, ended),
    })
}

/// Whether an action was begun as one that changes nothing.
fn is_harmless(incident: &Incident, of: RunId) -> bool {
    let is_it = |kind: &StepKind| matches!(kind, StepKind::Started { run, is_harmless: true, .. } if *run == of);
    incident.steps.iter().any(|step| is_it(&step.kind))
}

/// When the last of the files that a unit reads was changed, to the millisecond.
fn changed_at(seen: &Observation) -> Option<WallTime> {
    let Value::Duration(since) = seen.figure(Probe::CHANGED)? else { return None };
    Some(WallTime(i64::try_from(since.as_millis()).ok()?))
}

/// When at the earliest what an incident was handed over for, and is gone, is tried again.
fn earliest(incident: &Incident, retry: &Retry) -> MonoTime {
    let is_it = |step: &&incident::Step| matches!(step.kind, StepKind::Escalated { .. });
    let handed_over = incident.steps.iter().rev().find(is_it).map(|step| step.at.mono);
    handed_over.unwrap_or(retry.at.mono.minus(wait_after(retry.tries))).plus(look_every(retry.tries))
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

/// The files of a configuration that the log of an incident names: only below `/etc`, since anybody may write a log.
fn named_in_log(incident: &Incident) -> impl Iterator<Item = String> {
    let logs = incident.evidence.iter().filter(|found| found.kind == EvidenceKind::Log);
    let is_end = |end: char| end.is_whitespace() || "'\"`:,;()[]<>=".contains(end);
    let words = logs.flat_map(move |found| found.text.as_str().split(is_end));
    let words = words.filter(|word| word.len() <= PATH_BYTES_MAX && word.starts_with("/etc/") && !word.contains(".."));
    words.map(|word| word.trim_end_matches(['.', '/']).to_owned())
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
        } => Some(Obstacle::Validator { command: (**command).clone() }),
        Step::Act { action: Action::FreePort { port, .. }, .. } => Some(Obstacle::Port { port: *port }),
        Step::Act { .. } | Step::Wait(_) => None,
    })
}
