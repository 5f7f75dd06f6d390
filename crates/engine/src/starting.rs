//! The start period: after any start, by whomever, a service may not answer yet. Until it has answered once, or the period is
//! over, failing looks at it are shown and not judged (see `meaning`). The unit's own state is always judged.
//! When the period is over, what is seen counts as ever.

use core::time::Duration;

use ansai_model::{
    bundle::Target,
    id::TargetId,
    incident::IncidentKind,
    observation::{Health, Observation},
    probe::Probe,
    time::{MonoTime, Now, WallTime},
};

use crate::{check::CheckState, context::Context, view::View};

/// Nothing learned makes it shorter.
const LEAST: Duration = Duration::from_secs(10);
/// Nothing learned makes it longer.
const LEARNED_MAX: Duration = Duration::from_secs(15 * 60);
/// A first look that finds it well says what the start took only when it came so soon.
const SEEN_SOON: Duration = Duration::from_secs(30);

/// Whether a probe asks the service itself, which answers when it is ready.
fn asks(probe: &Probe) -> bool {
    match probe {
        Probe::Tcp { .. } | Probe::Http(_) | Probe::UnixSocket { .. } | Probe::Exec(_) | Probe::Nagios(_) => true,
        Probe::Unit { .. } | Probe::Process { .. } | Probe::ProcessCount { .. } | Probe::File { .. } => false,
        Probe::Domain(_) | Probe::UnitFiles { .. } => false,
    }
}

impl Context {
    /// Learns from the first answer after a start how long the service needs. What a start by us and one by anybody else
    /// takes is the same.
    pub(crate) fn learn_start(&mut self, slot: usize, observation: &Observation) {
        let check = &self.checks[slot];
        if observation.health() != Health::Healthy || !asks(&check.check.probe) {
            return;
        }
        let target = check.check.target.clone();
        let Some(started) = self.view().started_at(&target).filter(|at| !has_answered(check, *at)) else { return };
        let looked = check.in_flight.unwrap_or(self.now.mono);
        // A look from before the start says nothing of it.
        if looked < started {
            return;
        }
        let needed = looked.since(started);
        let was_watched = check.last.as_ref().is_some_and(|(at, _)| at.mono >= started);
        if !was_watched && needed > SEEN_SOON {
            return;
        }
        let before = self.state.targets.get(&target).and_then(|memory| memory.warm_up);
        // What kept it from answering may have been another failure: one start at most doubles the time.
        let most = self.view().known_period(&target).unwrap_or(Target::START_PERIOD).saturating_mul(2).min(LEARNED_MAX);
        let learned = needed.min(most).max(before.unwrap_or_default() / 2);
        // What stays within the least need not be written down each time.
        let is_news = before.is_none_or(|before| before.max(LEAST) != learned.max(LEAST));
        if is_news && (before.is_some() || was_watched) {
            self.state.targets.entry(target).or_default().warm_up = Some(learned);
            self.changed();
        }
    }
}

impl View<'_> {
    /// How long the service of a target has after a start: as declared, or as learned, or nothing of the two.
    fn known_period(self, target: &TargetId) -> Option<Duration> {
        let declared = self.bundle.parts().targets.get(target).and_then(|target| target.start_period);
        let needed = || self.state.targets.get(target).and_then(|memory| memory.warm_up);
        declared.or_else(|| needed().map(|needed| (needed + needed / 2).clamp(LEAST, LEARNED_MAX)))
    }

    /// How long a remedy of a target is waited for: what it starts has its start period, as after any other start. What was
    /// failing before is what the remedy is for, so that only what is known of it makes its time longer.
    pub(crate) fn verified_within(self, target: &TargetId, within: Duration) -> Duration {
        let period = self.known_period(target).unwrap_or_else(|| {
            let mut asking = self.checks.of(target).filter(|check| asks(&check.check.probe)).peekable();
            let is_unlearned = asking.peek().is_some() && asking.all(|check| !self.is_being_mended(check));
            if is_unlearned { Target::START_PERIOD } else { Duration::ZERO }
        });
        period.max(within)
    }

    /// Whether what a check sees is what a remedy is for. A remedy has a time of its own, and only what is known of the service
    /// makes it longer.
    fn is_being_mended(self, check: &CheckState) -> bool {
        self.open_of(&check.check.target).any(|open| open.check == check.check.id)
    }

    /// When the unit of a target was last started.
    fn started_at(self, target: &TargetId) -> Option<MonoTime> {
        self.checks.of(target).find_map(|check| check.start.at())
    }

    /// When the run of a target's unit began that was well before it failed in a later one; of what warns that it may not come
    /// back, when the run that is well began: it says nothing of what it has not read since.
    pub(crate) fn well_run(self, target: &TargetId, kind: IncidentKind, failed: Now) -> Option<WallTime> {
        let check = &self.checks[self.own_slot(target)?];
        let unit = check.last.as_ref()?.1.unit()?;
        let began = match kind == IncidentKind::Warning && unit.next_start_may_fail().is_some() {
            true => check.start.at()?,
            false => check.start.of_well_run(unit, failed.mono)?,
        };
        let ago = i64::try_from(self.now.mono.since(began).as_millis()).unwrap_or(i64::MAX);
        Some(WallTime(self.now.wall.0.saturating_sub(ago)))
    }

    /// What is left of the start period in which what was seen is not judged.
    pub(crate) fn start_left(self, check: &CheckState, observation: &Observation) -> Option<Duration> {
        if observation.health() != Health::Failing || !asks(&check.check.probe) {
            return None;
        }
        let started = self.started_at(&check.check.target).filter(|at| !has_answered(check, *at))?;
        let unlearned = if self.is_being_mended(check) { Duration::ZERO } else { Target::START_PERIOD };
        let period = self.known_period(&check.check.target).unwrap_or(unlearned);
        // Who restarts it again and again before it has ever answered must not keep that from being seen.
        if check.unwell().spared_since.is_some_and(|since| self.now.mono >= since.plus(period.saturating_mul(2))) {
            return None;
        }
        let until = started.plus(period);
        (self.now.mono < until).then(|| until.since(self.now.mono))
    }
}

/// Whether a check has found the service well in a look begun after its start.
fn has_answered(check: &CheckState, started: MonoTime) -> bool {
    check.well_at.is_some_and(|at| at >= started)
}
