//! A unit of the simulated world: what it does by itself, and what a look at it shows.

use std::time::Duration;

use ansai_model::{
    time::MonoTime,
    unit::{ActiveState, Exit, Intent, UnitResult, UnitSnapshot},
};

#[derive(Clone, Debug)]
pub(super) struct Unit {
    pub(super) state: ActiveState,
    pub(super) intent: Intent,
    /// It answers its probes.
    pub(super) answers: bool,
    /// Its memory grows until it is restarted.
    pub(super) grows: bool,
    /// It ends this long after each start.
    pub(super) dies_after: Option<Duration>,
    pub(super) started: MonoTime,
    /// When it last went down.
    pub(super) changed: MonoTime,
    pub(super) restarts: u32,
}

impl Unit {
    pub(super) fn well(now: MonoTime) -> Self {
        Self {
            state: ActiveState::Active,
            intent: Intent::Unknown,
            answers: true,
            grows: false,
            dies_after: None,
            started: now,
            changed: now,
            restarts: 0,
        }
    }

    pub(super) fn dies_at(&self) -> Option<MonoTime> {
        let after = self.dies_after.filter(|_| self.state == ActiveState::Active)?;
        Some(self.started.plus(after))
    }

    pub(super) fn snapshot(&self) -> UnitSnapshot {
        UnitSnapshot {
            sub: "sim".into(),
            result: if self.state == ActiveState::Failed { UnitResult::Signal } else { UnitResult::Success },
            exit: (self.state == ActiveState::Failed).then_some(Exit::Signal(9)),
            main_pid: (self.state == ActiveState::Active).then_some(1),
            restarts: self.restarts,
            intent: self.intent,
            ..UnitSnapshot::plain(self.state)
        }
    }
}
