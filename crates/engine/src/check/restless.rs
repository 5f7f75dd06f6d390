//! Slow loops: a unit that systemd restarts by itself each minute, or that is away for most of the time, though each look
//! may find it well. It counts; what is told of it is the incident's.

use alloc::{format, string::String};
use core::time::Duration;

use ansai_model::{
    text::Text,
    time::{MonoTime, Shown},
    unit::{ActiveState, UnitSnapshot},
};

use super::times::Times;

/// So many restarts within [`WITHIN`] are a slow loop.
const RESTARTS: usize = 3;
const WITHIN: Duration = Duration::from_secs(15 * 60);
/// Restarts so close to each other count once: a service that comes up at its third try has come up.
const APART: Duration = Duration::from_secs(20);
/// So much time of the last hour without it is too much, when it was away more than once.
const AWAY_MAX: Duration = Duration::from_secs(6 * 60);
const HOUR: Duration = Duration::from_secs(3600);

/// What systemd did by itself for a unit lately.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Restless {
    restarts: Times<MonoTime>,
    /// From when until when it waited for its restart.
    away: Times<(MonoTime, MonoTime)>,
    away_since: Option<MonoTime>,
    is_on: bool,
}

/// Whether a unit waits for systemd to restart it.
pub(super) fn is_waiting(unit: &UnitSnapshot) -> bool {
    unit.active == ActiveState::Activating && unit.sub.as_str().starts_with("auto-restart")
}

impl Restless {
    pub(super) const NONE: Self = Self { restarts: Times::NONE, away: Times::NONE, away_since: None, is_on: false };

    /// Takes a look in, and whether systemd has restarted the unit since the one before.
    pub(super) fn saw(&mut self, now: MonoTime, unit: &UnitSnapshot, was_restarted: bool) {
        if is_waiting(unit) {
            self.away_since.get_or_insert(now);
        } else if unit.active == ActiveState::Active
            && let Some(since) = self.away_since.take()
        {
            self.away.keep((since, now));
        }
        if was_restarted && self.restarts.last().is_none_or(|last| now.since(*last) >= APART) {
            self.restarts.keep(now);
        }
        if self.restarts.is_empty() && self.away.is_empty() {
            return;
        }
        self.restarts.forget(|at| now.since(*at) >= WITHIN);
        self.away.forget(|(_, until)| now.since(*until) >= HOUR);
        let (restarts, away) = (self.restarts.len(), self.away());
        if restarts >= RESTARTS || (self.away.len() > 1 && away > AWAY_MAX) {
            self.is_on = true;
        } else if restarts <= RESTARTS / 2 && away <= AWAY_MAX / 2 {
            self.is_on = false;
        }
    }

    /// Whether it is a slow loop: set above a limit, cleared at half of it.
    pub(crate) fn is_on(&self) -> bool {
        self.is_on
    }

    /// What was counted, in words.
    pub(crate) fn words(&self) -> Text {
        let mut words = format!("systemd restarted it {} times within {}", self.restarts.len(), Shown(WITHIN));
        let away = self.away();
        if away > AWAY_MAX / 2 {
            let seconds = Duration::from_secs(away.as_secs());
            words.push_str(&format!(" and it was away for {} of the last hour", Shown(seconds)));
        }
        Text::new(String::from("slow restart loop: ") + &words)
    }

    fn away(&self) -> Duration {
        self.away.iter().map(|(from, until)| until.since(*from)).sum()
    }
}
