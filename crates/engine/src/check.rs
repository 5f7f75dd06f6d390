//! Check state: from single observations to a debounced, three-valued state.
//! It opens no incident and asks for no action; it says what changed. What a single look means is decided in `meaning`.

use alloc::sync::Arc;
use core::time::Duration;

use ansai_model::{
    check::Check,
    incident::SinceBy,
    observation::{Health, Observation},
    text::Text,
    time::{MonoTime, Now},
};

mod restless;
mod start;
mod times;
mod unwell;

use restless::{Restless, is_waiting};
use start::Start;
use times::Times;
pub(crate) use unwell::Since;
use unwell::{Seldom, Unwell};

/// What an observation changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing that matters outside.
    None,
    /// The state became hard failing.
    Failed,
    /// The state became hard healthy.
    Recovered,
}

/// The state of one check. Rebuilt from observations after a restart.
#[derive(Clone, Debug)]
pub struct CheckState {
    /// What is checked and how.
    pub check: Arc<Check>,
    /// The hard state.
    pub hard: Health,
    /// Failing results in a row.
    pub failures: u32,
    /// Healthy results in a row.
    pub successes: u32,
    /// When the hard state last changed.
    pub hard_since: Option<Now>,
    /// When the last look that found it well beyond doubt was begun.
    pub well_at: Option<MonoTime>,
    /// What was last seen, and when.
    pub last: Option<(Now, Observation)>,
    /// When the look that gave `last` was begun.
    pub looked_at: Option<MonoTime>,
    /// When the look that is under way was begun.
    pub in_flight: Option<MonoTime>,
    /// Whether another look follows at once, since something happened during the one under way.
    pub again: bool,
    /// When the next look is due.
    pub due: MonoTime,
    /// When the target's configuration was last kept as known good.
    pub kept: Option<MonoTime>,
    unwell: Seldom,
    last_restarts: Option<u32>,
    /// Of a unit's own check: when the unit was last started.
    pub(crate) start: Start,
    /// Of a unit's own check: whether the unit, when it was last seen, was a one-shot.
    pub(crate) is_job: bool,
    /// Whether the last look failed in the start period, so that it is not judged.
    pub(crate) is_spared: bool,
    /// Whether the state changes too often.
    pub is_flapping: bool,
    /// Which of its target's rules cover it, a bit each; set only where several rules divide a target.
    pub(crate) rules: u64,
}

impl CheckState {
    /// A check that has not been looked at; due at once.
    #[must_use]
    pub fn new(check: Arc<Check>, now: MonoTime) -> Self {
        Self {
            check,
            hard: Health::Unknown,
            failures: 0,
            successes: 0,
            hard_since: None,
            well_at: None,
            last: None,
            looked_at: None,
            in_flight: None,
            again: false,
            due: now,
            kept: None,
            unwell: Seldom::default(),
            last_restarts: None,
            start: Start::default(),
            is_job: false,
            is_spared: false,
            is_flapping: false,
            rules: 0,
        }
    }

    /// The time until the next look: shorter while the last results point elsewhere than the hard state.
    #[must_use]
    pub fn period(&self) -> Duration {
        let is_soft = match self.hard {
            Health::Failing => self.successes > 0,
            Health::Healthy | Health::Unknown => self.failures > 0,
        };
        if is_soft {
            return self.check.every_soft;
        }
        self.check.every
    }

    /// What it has of not being well, or of having been.
    pub(crate) fn unwell(&self) -> &Unwell {
        self.unwell.get()
    }

    /// Since when it fails, by the first failing result of the current row.
    #[must_use]
    pub fn failing_since(&self) -> Option<Now> {
        self.unwell().failing_since.map(|since| since.at)
    }

    /// Since when it fails and by what that is known; also when its unit is about to be called hung, since two looks have
    /// found that nothing of it runs.
    pub(crate) fn began(&self) -> Option<Since> {
        let (at, seen) = self.last.as_ref()?;
        if seen.health() == Health::Failing {
            return self.unwell().failing_since;
        }
        let still = seen.unit()?.still_for.filter(|still| !still.is_zero())?;
        let since = at.mono.minus(still).max(self.well_at.unwrap_or(MonoTime(i64::MIN)));
        Some(Since { at: at.at(since), by: SinceBy::Stillness, told: at.mono })
    }

    /// Failing looks are not judged for a start from now on, when they were before this one; or it has answered.
    pub(crate) fn spare(&mut self, since: Option<MonoTime>) {
        match since {
            Some(since) => drop(self.unwell.note().spared_since.get_or_insert(since)),
            None => drop(self.unwell.any().and_then(|unwell| unwell.spared_since.take())),
        }
    }

    /// Takes in what a look saw, as it was interpreted.
    pub fn update(&mut self, now: Now, observation: Observation) -> Change {
        let change = match observation.health() {
            Health::Unknown => Change::None,
            Health::Healthy => self.update_healthy(now),
            Health::Failing => self.update_failing(now, &observation),
        };
        let is_still = observation.unit().is_some_and(|unit| unit.still_for.is_some());
        if observation.health() == Health::Healthy && !is_still {
            self.well_at = self.looked_at.or(Some(now.mono));
        }
        self.count_warnings(now, &observation);
        self.last = Some((now, observation));
        if self.doubt().is_some() {
            self.unwell.note().unknown_since.get_or_insert(now);
        } else if let Some(unwell) = self.unwell.any() {
            unwell.unknown_since = None;
        }
        self.unwell.settle();
        change
    }

    /// Takes note of a change of the hard state, unless there is none, or it is of no account: whether it flaps goes by that.
    pub(crate) fn count_change(&mut self, now: MonoTime, counts: bool) {
        if counts {
            self.unwell.note().changes.keep(now);
        }
        self.update_flapping(now);
        self.unwell.settle();
    }

    /// A look that cannot tell how it is says neither that it warns nor that it has ended to.
    fn count_warnings(&mut self, now: Now, observation: &Observation) {
        match (observation.is_warning(), observation.health()) {
            (true, _) => {
                let unwell = self.unwell.note();
                unwell.warned_since.get_or_insert(now);
                unwell.warnings = unwell.warnings.saturating_add(1);
            }
            (false, Health::Unknown) => {}
            (false, Health::Healthy | Health::Failing) => self.forget_warnings(),
        }
    }

    /// Forgets that it warned.
    pub(crate) fn forget_warnings(&mut self) {
        if let Some(unwell) = self.unwell.any() {
            (unwell.warned_since, unwell.warnings) = (None, 0);
        }
    }

    /// Since when it has warned, once it has done so as often in a row as a failure would be believed.
    pub(crate) fn warns_since(&self) -> Option<Now> {
        let unwell = self.unwell();
        unwell.warned_since.filter(|_| unwell.warnings >= self.check.fail_after)
    }

    fn update_healthy(&mut self, now: Now) -> Change {
        self.failures = 0;
        self.forget_failing_since();
        self.successes = self.successes.saturating_add(1);
        match self.hard {
            Health::Healthy => Change::None,
            // Nothing was known before: one healthy look is enough, and no news.
            Health::Unknown => self.become_hard(now, Health::Healthy, Change::None),
            Health::Failing if self.successes >= self.check.recover_after => {
                self.become_hard(now, Health::Healthy, Change::Recovered)
            }
            Health::Failing => Change::None,
        }
    }

    fn update_failing(&mut self, now: Now, observation: &Observation) -> Change {
        self.successes = 0;
        self.failures = self.failures.saturating_add(1);
        if self.failing_since().is_none() {
            // What has never answered since its start has not done so since the first look that was not judged for that.
            let look = self.unwell().spared_since.or(self.looked_at).unwrap_or(now.mono);
            let look = || (now.at(look), SinceBy::Look);
            let (at, by) = self.went(now, observation).unwrap_or_else(look);
            self.unwell.note().failing_since = Some(Since { at, by, told: now.mono });
        }
        match self.hard {
            Health::Failing => Change::None,
            Health::Healthy | Health::Unknown if self.failures >= self.check.fail_after => {
                self.become_hard(now, Health::Failing, Change::Failed)
            }
            Health::Healthy | Health::Unknown => Change::None,
        }
    }

    /// Keeps what it has last seen, so that it can be told as of before whatever is about to be found.
    pub(crate) fn keep_before(&mut self) {
        let last = self.last.as_ref().filter(|(_, seen)| seen.unit().is_none() && seen.health() != Health::Unknown);
        let Some((at, seen)) = last else { return };
        let before = (*at, seen.summary().clone());
        self.unwell.note().before.get_or_insert(before);
    }

    /// Nothing was found: what is seen from now on is as good as what was kept.
    pub(crate) fn forget_before(&mut self) {
        drop(self.unwell.any().and_then(|unwell| unwell.before.take()));
        self.unwell.settle();
    }

    /// What it had last seen in a look from before a moment, and when: as what a memory held before its service died.
    pub(crate) fn seen_before(&self, moment: MonoTime) -> Option<(Now, &Text)> {
        let last = self.last.as_ref().filter(|(_, seen)| seen.health() != Health::Unknown);
        let last = last.map(|(at, seen)| (*at, seen.summary()));
        let kept = self.unwell().before.as_ref().map(|(at, words)| (*at, words));
        last.into_iter().chain(kept).find(|(at, _)| at.mono < moment)
    }

    fn become_hard(&mut self, now: Now, health: Health, change: Change) -> Change {
        self.hard = health;
        self.hard_since = Some(now);
        change
    }

    /// Takes over the hard state of an incident that the ledger remembers, and when it went unless it had recovered since.
    pub fn resume_failing(&mut self, since: Now, went: Option<(Now, SinceBy)>) {
        self.hard = Health::Failing;
        self.unwell.note().failing_since = went.map(|(at, by)| Since { at, by, told: at.mono });
        self.hard_since = Some(since);
    }

    fn forget_failing_since(&mut self) {
        if let Some(unwell) = self.unwell.any() {
            unwell.failing_since = None;
        }
    }

    fn forget_loops(&mut self) {
        if let Some(unwell) = self.unwell.any() {
            (unwell.restarts, unwell.restless) = (Times::NONE, Restless::NONE);
        }
    }

    /// Forgets the row of failures: the target was stopped on request, or acted upon.
    pub fn forget(&mut self) {
        self.hard = Health::Unknown;
        self.failures = 0;
        self.successes = 0;
        self.forget_failing_since();
        self.forget_loops();
    }

    /// Forgets restarts by systemd: an action of ours starts the count anew.
    pub fn forget_restarts(&mut self) {
        self.last_restarts = None;
        self.forget_loops();
    }

    /// Whether the hard state changes more often than its limit: set above it, cleared at half of it (hysteresis).
    fn update_flapping(&mut self, now: MonoTime) {
        let Some(changes) = self.unwell.any().map(|unwell| &mut unwell.changes).filter(|changes| !changes.is_empty())
        else {
            return;
        };
        let from = now.minus(self.check.flap.window);
        changes.forget(|at| *at <= from);
        let (count, limit) = (changes.len(), self.check.flap.changes_max as usize);
        if count > limit {
            self.is_flapping = true;
        } else if count <= limit / 2 {
            self.is_flapping = false;
        }
    }

    /// Takes in what a look tells of a unit: whether it was started since, and how often systemd has restarted it by itself.
    pub(crate) fn count(&mut self, now: Now, observation: &Observation) {
        let Some(unit) = observation.unit() else { return };
        self.start.saw(now, unit);
        self.is_job = unit.is_job;
        let new = match self.last_restarts {
            Some(before) => unit.restarts.saturating_sub(before).min(64),
            None => 0,
        };
        // systemd counts from zero after each start that somebody asks for: as after an action of ours, the loop before it is over.
        let is_begun_anew = self.last_restarts.is_some_and(|before| unit.restarts < before);
        self.last_restarts = Some(unit.restarts);
        if let Some(unwell) = self.unwell.any().filter(|_| is_begun_anew) {
            unwell.restarts = Times::NONE;
        }
        if new > 0 || is_waiting(unit) {
            self.unwell.note();
        }
        let Some(unwell) = self.unwell.any() else { return };
        unwell.restless.saw(now.mono, unit, new > 0);
        for _ in 0..new {
            unwell.restarts.keep(now.mono);
        }
        let from = now.mono.minus(self.check.flap.window);
        unwell.restarts.forget(|at| *at <= from);
    }

    /// How often systemd has restarted the unit by itself lately.
    pub(crate) fn restarts(&self) -> usize {
        self.unwell().restarts.len()
    }

    /// When systemd was last seen to have restarted the unit by itself, since an action of ours.
    pub(crate) fn died_at(&self) -> Option<MonoTime> {
        self.unwell().restarts.last().copied()
    }

    /// Whether it is hard failing and the last look says so too.
    #[must_use]
    pub fn is_known_to_fail(&self) -> bool {
        self.hard == Health::Failing && self.last.as_ref().is_some_and(|(_, seen)| seen.health() == Health::Failing)
    }
}
