//! Slow loops: a unit that systemd restarts by itself each minute, or that is away for most of the time, though each look
//! may find it well. It counts; what is told of it is the incident's.

use alloc::{collections::VecDeque, format, string::String};
use core::time::Duration;

use ansai_model::{
    domain::service::{ActiveState, UnitSnapshot},
    text::Text,
    time::{MonoTime, Shown},
};

/// So many restarts within [`WITHIN`] are a slow loop.
const RESTARTS: usize = 3;
const WITHIN: Duration = Duration::from_secs(15 * 60);
/// Restarts so close to each other count once: a service that comes up at its third try has come up.
const APART: Duration = Duration::from_secs(20);
/// So much time of the last hour without it is too much, when it was away more than once.
const AWAY_MAX: Duration = Duration::from_secs(6 * 60);
const HOUR: Duration = Duration::from_secs(3600);
/// Most times kept of each kind.
const TIMES_MAX: usize = 64;

/// What systemd did by itself for a unit lately.
#[derive(Clone, Debug, Default)]
pub(crate) struct Restless {
    restarts: VecDeque<MonoTime>,
    /// From when until when it waited for its restart.
    away: VecDeque<(MonoTime, MonoTime)>,
    away_since: Option<MonoTime>,
    is_on: bool,
}

impl Restless {
    /// Takes a look in, and whether systemd has restarted the unit since the one before.
    pub(super) fn saw(&mut self, now: MonoTime, unit: &UnitSnapshot, was_restarted: bool) {
        let is_waiting = unit.active == ActiveState::Activating && unit.sub.as_str().starts_with("auto-restart");
        if is_waiting {
            self.away_since.get_or_insert(now);
        } else if unit.active == ActiveState::Active
            && let Some(since) = self.away_since.take()
        {
            keep(&mut self.away, (since, now));
        }
        if was_restarted && self.restarts.back().is_none_or(|last| now.since(*last) >= APART) {
            keep(&mut self.restarts, now);
        }
        if self.restarts.is_empty() && self.away.is_empty() {
            return;
        }
        while self.restarts.front().is_some_and(|at| now.since(*at) >= WITHIN) {
            self.restarts.pop_front();
        }
        while self.away.front().is_some_and(|(_, until)| now.since(*until) >= HOUR) {
            self.away.pop_front();
        }
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

fn keep<T>(times: &mut VecDeque<T>, time: T) {
    if times.len() >= TIMES_MAX {
        times.pop_front();
    }
    times.push_back(time);
}
