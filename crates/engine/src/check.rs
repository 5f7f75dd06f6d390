//! Check state: from single observations to a debounced, three-valued state.
//! It opens no incident and asks for no action; it says what changed.

use alloc::{collections::VecDeque, format, sync::Arc};
use core::time::Duration;

use ansai_model::{
    check::Check,
    domain::service::{ActiveState, Intent, LoadState, UnitSnapshot},
    observation::{Details, Health, Observation},
    probe::Probe,
    text::Text,
    time::{MonoTime, Now, Shown, WallTime},
};

mod restless;

use restless::Restless;

/// Longest that a unit counts as down since before anybody looked: a clock that was set would say anything.
const DOWN_BEFORE_MAX: Duration = Duration::from_secs(86_400);

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
    /// The first failing result of the current row.
    pub failing_since: Option<Now>,
    /// When the hard state last changed.
    pub hard_since: Option<Now>,
    /// The last look that found it well.
    pub well_at: Option<MonoTime>,
    /// The first of the last looks in a row that could not tell how it is.
    pub unknown_since: Option<Now>,
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
    /// When the hard state changed, for flapping.
    changes: VecDeque<MonoTime>,
    /// Restarts that systemd did by itself, for loops.
    restarts: VecDeque<MonoTime>,
    last_restarts: Option<u32>,
    /// The same over a longer time, for slow loops.
    pub(crate) restless: Restless,
    /// Whether the state changes too often.
    pub is_flapping: bool,
    /// Which of its target's rules cover it, a bit each; set only where several rules divide a target.
    pub(crate) rules: u64,
}

const TIMES_MAX: usize = 64;

impl CheckState {
    /// A check that has not been looked at; due at once.
    #[must_use]
    pub fn new(check: Arc<Check>, now: MonoTime) -> Self {
        Self {
            check,
            hard: Health::Unknown,
            failures: 0,
            successes: 0,
            failing_since: None,
            hard_since: None,
            well_at: None,
            unknown_since: None,
            last: None,
            looked_at: None,
            in_flight: None,
            again: false,
            due: now,
            kept: None,
            changes: VecDeque::new(),
            restarts: VecDeque::new(),
            last_restarts: None,
            restless: Restless::default(),
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

    /// Takes in what a look saw.
    pub fn absorb(&mut self, now: Now, observation: Observation) -> Change {
        let observation = self.count_restarts(now.mono, observation);
        let change = match observation.health() {
            Health::Unknown => Change::None,
            Health::Healthy => self.absorb_healthy(now),
            Health::Failing => self.absorb_failing(now, &observation),
        };
        if observation.health() == Health::Healthy {
            self.well_at = Some(now.mono);
        }
        self.last = Some((now, observation));
        match self.doubt() {
            Some(_) => self.unknown_since = self.unknown_since.or(Some(now)),
            None => self.unknown_since = None,
        }
        if change != Change::None {
            push(&mut self.changes, now.mono);
        }
        self.update_flapping(now.mono);
        change
    }

    fn absorb_healthy(&mut self, now: Now) -> Change {
        self.failures = 0;
        self.failing_since = None;
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

    fn absorb_failing(&mut self, now: Now, observation: &Observation) -> Change {
        self.successes = 0;
        self.failures = self.failures.saturating_add(1);
        if self.failing_since.is_none() {
            self.failing_since = Some(self.went(now, observation).unwrap_or(now));
        }
        match self.hard {
            Health::Failing => Change::None,
            Health::Healthy | Health::Unknown if self.failures >= self.check.fail_after => {
                self.become_hard(now, Health::Failing, Change::Failed)
            }
            Health::Healthy | Health::Unknown => Change::None,
        }
    }

    /// Since when an observed unit has been down, by systemd's own stamps: not before it was last found well.
    pub(crate) fn went(&self, now: Now, observation: &Observation) -> Option<Now> {
        let unit = observation.unit()?;
        if matches!(unit.active, ActiveState::Active | ActiveState::Reloading) {
            return None;
        }
        // Of what was down before the agent looked only the present state is known to be part of this failure.
        let stamp = if self.well_at.is_some() { unit.left_active.or(unit.since) } else { unit.since };
        let ago = now.wall.since(stamp?);
        let earliest = self.well_at.unwrap_or(now.mono.minus(DOWN_BEFORE_MAX));
        let mono = now.mono.minus(ago).max(earliest);
        let ago = i64::try_from(now.mono.since(mono).as_millis()).unwrap_or(0);
        Some(Now { mono, wall: WallTime(now.wall.0.saturating_sub(ago)) })
    }

    /// Why nobody can say how it is, when nobody can and nobody wants it down.
    #[must_use]
    pub fn doubt(&self) -> Option<Text> {
        let (_, seen) = self.last.as_ref()?;
        match (seen.health(), seen.unit()) {
            (Health::Unknown, Some(unit)) if is_wanted_down(unit) => None,
            // What does not run has no memory: its unit's own check says the rest.
            (Health::Unknown, _) if matches!(self.check.probe, Probe::Memory(_)) => None,
            (Health::Unknown, _) => Some(seen.summary().clone()),
            (Health::Healthy, Some(unit)) if unit.active == ActiveState::Reloading => {
                Some(Text::new(format!("reloading ({})", unit.sub)))
            }
            (Health::Healthy | Health::Failing, _) => None,
        }
    }

    fn become_hard(&mut self, now: Now, health: Health, change: Change) -> Change {
        self.hard = health;
        self.hard_since = Some(now);
        change
    }

    /// Takes over the hard state of an incident that the ledger remembers.
    pub fn resume_failing(&mut self, since: Now) {
        self.hard = Health::Failing;
        self.failing_since = Some(since);
        self.hard_since = Some(since);
    }

    /// Forgets the row of failures: the target was stopped on request, or acted upon.
    pub fn forget(&mut self) {
        self.hard = Health::Unknown;
        self.failures = 0;
        self.successes = 0;
        self.failing_since = None;
        self.restarts.clear();
        self.restless = Restless::default();
    }

    /// Forgets restarts by systemd: an action of ours starts the count anew.
    pub fn forget_restarts(&mut self) {
        self.restarts.clear();
        self.last_restarts = None;
        self.restless = Restless::default();
    }

    /// Whether the hard state changes more often than its limit: set above it, cleared at half of it (hysteresis).
    fn update_flapping(&mut self, now: MonoTime) {
        if self.changes.is_empty() {
            return;
        }
        let from = now.minus(self.check.flap.window);
        while self.changes.front().is_some_and(|at| *at <= from) {
            self.changes.pop_front();
        }
        let (count, limit) = (self.changes.len(), self.check.flap.changes_max as usize);
        if count > limit {
            self.is_flapping = true;
        } else if count <= limit / 2 {
            self.is_flapping = false;
        }
    }

    /// A unit that systemd restarts again and again is failing, though each look may find it running.
    fn count_restarts(&mut self, now: MonoTime, observation: Observation) -> Observation {
        let Some(unit) = observation.unit() else { return observation };
        let new = match self.last_restarts {
            Some(before) => unit.restarts.saturating_sub(before).min(64),
            None => 0,
        };
        self.last_restarts = Some(unit.restarts);
        self.restless.saw(now, unit, new > 0);
        for _ in 0..new {
            push(&mut self.restarts, now);
        }
        let from = now.minus(self.check.flap.window);
        while self.restarts.front().is_some_and(|at| *at <= from) {
            self.restarts.pop_front();
        }
        let count = self.restarts.len();
        if count <= self.check.flap.changes_max as usize
            || observation.health() == Health::Failing
            || is_wanted_down(unit)
        {
            return observation;
        }
        let window = Shown(self.check.flap.window);
        let text = format!("restart loop: systemd restarted it {count} times within {window}");
        let took = observation.took();
        Observation::failing(text).with_details(observation.details().clone()).with_took(took)
    }

    /// When the observed unit is down because somebody wants it so, in words.
    #[must_use]
    pub fn wanted_down(&self) -> Option<Text> {
        let (_, observation) = self.last.as_ref()?;
        let unit = observation.unit()?;
        (observation.health() == Health::Unknown && is_wanted_down(unit)).then(|| observation.summary().clone())
    }

    /// Whether it is hard failing and the last look says so too.
    #[must_use]
    pub fn is_known_to_fail(&self) -> bool {
        self.hard == Health::Failing && self.last.as_ref().is_some_and(|(_, seen)| seen.health() == Health::Failing)
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
#[must_use]
pub fn is_wanted_down(unit: &UnitSnapshot) -> bool {
    unit.load == LoadState::Masked || unit.intent == Intent::Stopped
}

fn push(times: &mut VecDeque<MonoTime>, at: MonoTime) {
    if times.len() >= TIMES_MAX {
        times.pop_front();
    }
    times.push_back(at);
}
