//! What a look means: why something is failing, and why it is not although it looks so. What the probe saw is changed here
//! and nowhere else: by a unit that is on its way, by a start, by a restart loop, by a forecast. So is said here whether
//! nobody can tell how something is, since when it is down, and whether somebody wants it so.
//! How often it must be seen until it counts is decided in `check`.

use alloc::{format, vec::Vec};
use core::time::Duration;

use ansai_model::{
    check::Trend,
    condition::Value,
    id::TargetId,
    incident::SinceBy,
    observation::{Details, Health, Observation},
    probe::Probe,
    text::Text,
    time::{MonoTime, Now, Shown, WallTime},
    unit::{ActiveState, Intent, LoadState, UnitSnapshot, judge},
};

use serde::Serialize;

use crate::{check::CheckState, context::Context, view::View};

/// Longest that a unit counts as down since before anybody looked: a clock that was set would say anything.
const DOWN_BEFORE_MAX: Duration = Duration::from_secs(86_400);
/// What is left of a start is shown in steps, so that not every look says something else.
const SHOWN_STEP: u64 = 10;

/// That a target is down because an operator wants it so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stopped {
    /// In words.
    pub why: Text,
    /// Since when, by systemd's stamps.
    pub since: Option<WallTime>,
}

impl Context {
    /// What a look at a check means, with what is learned from it on the way.
    pub(crate) fn interpret(&mut self, slot: usize, seen: Observation) -> Observation {
        let seen = self.view().as_remembered(&self.checks[slot], seen);
        let seen = self.view().in_doubt_with_its_unit(&self.checks[slot], seen);
        let seen = self.view().with_what_is_invalid(&self.checks[slot], seen);
        let seen = self.spare_start(slot, seen);
        self.learn_start(slot, &seen);
        self.checks[slot].count(self.now, &seen);
        restart_loop(&self.checks[slot], seen)
    }

    /// A failing look at a service that has just been started and has not answered since says nothing yet.
    fn spare_start(&mut self, slot: usize, seen: Observation) -> Observation {
        let (left, now) = (self.view().start_left(&self.checks[slot], &seen), self.now);
        let check = &mut self.checks[slot];
        check.is_spared = left.is_some();
        if seen.health() == Health::Healthy {
            check.spare(None);
        } else if check.is_spared {
            check.spare(Some(check.in_flight.unwrap_or(now.mono)));
        }
        let Some(left) = left else { return seen };
        let left = Duration::from_secs(left.as_secs().div_ceil(SHOWN_STEP).max(1) * SHOWN_STEP);
        let text = format!("{} (starting, not judged for another {})", seen.summary(), Shown(left));
        Observation::unknown(text).with_details(seen.details().clone()).with_took(seen.took())
    }
}

impl View<'_> {
    /// A unit that nobody saw go down, as an agent that was started since has not, is stopped on request when it is remembered
    /// to have been and has not changed since. What nobody keeps loaded systemd forgets with the agent that did, and has no
    /// stamp of it then; what failed since it does not forget.
    fn as_remembered(self, check: &CheckState, seen: Observation) -> Observation {
        let Probe::Unit { expect, .. } = &check.check.probe else { return seen };
        let stopped = self.memory(&check.check.target).and_then(|memory| memory.stopped);
        let is_it = |unit: &UnitSnapshot| {
            let is_forgotten = unit.since.is_none() && unit.active == ActiveState::Inactive;
            let is_same = stopped.is_some() && (unit.since == stopped || is_forgotten);
            unit.intent == Intent::Unknown && unit.active.is_down() && is_same
        };
        match seen.unit().filter(|unit| is_it(unit)) {
            Some(unit) => {
                let stopped = UnitSnapshot { intent: Intent::Stopped, since: stopped, ..unit.clone() };
                judge(*expect, stopped).with_took(seen.took())
            }
            None => seen,
        }
    }

    /// That a target is down because an operator wants it so, and since when: from the stop on, when it was down before.
    pub(crate) fn stopped(self, target: &TargetId) -> Option<Stopped> {
        let mut stopped = self.checks.of(target).find_map(CheckState::stopped)?;
        let told = self.memory(target).and_then(|memory| memory.stop_told);
        stopped.since = told.or(stopped.since);
        Some(stopped)
    }

    /// A failing probe of a unit that is stopped on request, starting or in an unknown state says nothing.
    fn in_doubt_with_its_unit(self, check: &CheckState, seen: Observation) -> Observation {
        if seen.health() != Health::Failing || matches!(check.check.probe, Probe::Unit { .. }) {
            return seen;
        }
        match self.checks.of(&check.check.target).find_map(CheckState::in_transition) {
            Some(why) => Observation::unknown(format!("{} (the unit: {why})", seen.summary())),
            None => seen,
        }
    }
}

/// A unit that systemd restarts again and again is failing, though each look may find it running.
fn restart_loop(check: &CheckState, seen: Observation) -> Observation {
    let (count, flap) = (check.restarts(), check.check.flap);
    let is_one = seen.unit().is_some_and(|unit| !is_wanted_down(unit)) && count > flap.changes_max as usize;
    if !is_one || seen.health() == Health::Failing {
        return seen;
    }
    let text = format!("restart loop: systemd restarted it {count} times within {}", Shown(flap.window));
    Observation::failing(text).with_details(seen.details().clone()).with_took(seen.took())
}

/// What is well fails when its figure is forecast to reach its limit soon. What fails or is unknown stays so.
pub(crate) fn foreseen(seen: Observation, is_near: bool, symptom: impl FnOnce() -> Text) -> Observation {
    if !is_near || seen.health() != Health::Healthy {
        return seen;
    }
    let failing = Observation::failing(symptom()).with_details(seen.details().clone());
    failing.with_figure(Trend::FORESEEN, Value::Bool(true)).with_took(seen.took())
}

impl CheckState {
    /// Whether it is the check of a unit or a process that was last found well beyond doubt.
    pub(crate) fn is_running_well(&self) -> bool {
        let unit = self.last.as_ref().filter(|(_, seen)| seen.health() == Health::Healthy).map(|(_, seen)| seen.unit());
        unit.flatten().is_some_and(|unit| unit.still_for.is_none())
    }

    /// Since when an observed unit fails, where that is known better than by this look: by systemd's own stamps, or since
    /// nothing of it has run. Not before it was last found well.
    pub(crate) fn went(&self, now: Now, observation: &Observation) -> Option<(Now, SinceBy)> {
        let unit = observation.unit()?;
        let earliest = self.well_at.unwrap_or(now.mono.minus(DOWN_BEFORE_MAX));
        if unit.active.is_up() {
            let since = now.mono.minus(unit.still_for?).max(earliest);
            return Some((now.at(since), SinceBy::Stillness));
        }
        // Of what was down before the agent looked only the present state is known to be part of this failure.
        let of_this_run = [unit.left_active, unit.ended_at].into_iter().filter(|_| self.well_at.is_some());
        let stamps = of_this_run.chain([unit.since]).flatten();
        let moments: Vec<MonoTime> = stamps.map(|stamp| now.mono.minus(now.wall.since(stamp))).collect();
        let first = moments.iter().copied().filter(|at| *at >= earliest).min();
        match first {
            Some(at) => Some((now.at(at), SinceBy::Systemd)),
            // The clock was set in between: then it went at some time since it was last found well.
            None if !moments.is_empty() => Some((now.at(earliest), SinceBy::Look)),
            None => None,
        }
    }

    /// Why nobody can say how it is, when nobody can and nobody wants it down.
    #[must_use]
    pub fn doubt(&self) -> Option<Text> {
        let (_, seen) = self.last.as_ref()?;
        match (seen.health(), seen.unit()) {
            (Health::Unknown, Some(unit)) if is_wanted_down(unit) => None,
            // What is starting has a time of its own.
            (Health::Unknown, _) if self.is_spared => None,
            (Health::Unknown, _) if is_said_elsewhere(&self.check.probe) => None,
            (Health::Unknown, _) => Some(seen.summary().clone()),
            (Health::Healthy, Some(unit)) if unit.active == ActiveState::Reloading => {
                Some(Text::new(format!("reloading ({})", unit.sub)))
            }
            (Health::Healthy | Health::Failing, _) => None,
        }
    }

    /// What systemd does by itself again and again, in words, when that is a slow loop: each look may find it well.
    pub(crate) fn slow_loop(&self) -> Option<Text> {
        let restless = &self.unwell().restless;
        restless.is_on().then(|| restless.words())
    }

    /// When the observed unit is down because somebody wants it so, in words.
    #[must_use]
    pub fn wanted_down(&self) -> Option<Text> {
        let (_, observation) = self.last.as_ref()?;
        let unit = observation.unit()?;
        (observation.health() == Health::Unknown && is_wanted_down(unit)).then(|| observation.summary().clone())
    }

    /// That its unit is down because somebody wants it so, and since when it is down.
    fn stopped(&self) -> Option<Stopped> {
        self.wanted_down()?;
        // One that runs may be masked.
        let unit = self.last.as_ref()?.1.unit().filter(|unit| !unit.active.is_up())?;
        let why = if unit.load == LoadState::Masked { "masked by an operator" } else { "stopped by an operator" };
        Some(Stopped { why: why.into(), since: unit.left_active.or(unit.since) })
    }

    /// When it is the check of a unit and nothing is known of the unit, in words: not looked at since the start, or the
    /// bus is gone. Nobody can say then whether somebody stopped it.
    #[must_use]
    pub fn is_blind(&self) -> Option<Text> {
        if !matches!(self.check.probe, Probe::Unit { .. }) {
            return None;
        }
        match &self.last {
            None => Some("the unit has not been looked at yet".into()),
            Some((_, seen)) if seen.health() == Health::Unknown && seen.unit().is_none() => {
                Some(seen.summary().clone())
            }
            Some(_) => None,
        }
    }

    /// When the unit is in a state in which its other probes cannot be believed, in words.
    #[must_use]
    pub fn in_transition(&self) -> Option<Text> {
        let (_, observation) = self.last.as_ref()?;
        match (observation.details(), observation.health()) {
            (Details::Unit(_), Health::Unknown) => Some(observation.summary().clone()),
            (Details::Unit(_) | Details::None | Details::Figures(_), _) => None,
        }
    }
}

/// Whether a unit is down because an operator wants it so.
fn is_wanted_down(unit: &UnitSnapshot) -> bool {
    unit.load == LoadState::Masked || unit.is_stopped_on_request()
}

/// Whether another check of the target says that nobody can say how it is.
fn is_said_elsewhere(probe: &Probe) -> bool {
    matches!(probe, Probe::Domain(probe) if probe.look().is_unknown_elsewhere())
}
