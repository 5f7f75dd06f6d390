//! What whoever records an engine, or steps another one through a record, must know and say of its looks: most of them say what
//! the last one has said, and are left out of a record. It decides nothing.

use ansai_model::{
    bundle::Bundle,
    id::CheckId,
    observation::Health,
    time::{MonoTime, Now},
};

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::{
    HostEngine, State,
    check::CheckState,
    context::{Context, Wake},
};

/// A look that is under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Look {
    /// At which check.
    pub check: CheckId,
    /// When it was begun.
    pub begun: MonoTime,
    /// Whether another follows at once.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub again: bool,
}

impl HostEngine {
    /// An engine in the middle of its work, of which only the durable state is known, and when the configurations of which checks
    /// were kept: what is under way stays so.
    #[must_use]
    pub fn going_on(bundle: Bundle, state: State, now: Now, kept: &[(CheckId, MonoTime)]) -> Self {
        let mut engine = Self::new(bundle, state, now);
        engine.context.go_on();
        for (check, at) in kept {
            if let Some(slot) = engine.context.checks.slot(check) {
                engine.context.checks[slot].kept = Some(*at);
            }
        }
        engine
    }

    /// When the configurations of which checks were last kept as known good.
    #[must_use]
    pub fn kept(&self) -> Vec<(CheckId, MonoTime)> {
        let states = self.context.checks.states.iter();
        states.filter_map(|state| Some((state.check.id.clone(), state.kept?))).collect()
    }

    /// Whether one more look at a check that says what the last one said changes nothing but when it was seen. What is not
    /// checked is.
    #[must_use]
    pub fn is_settled(&self, check: &CheckId) -> bool {
        self.context.checks.named(check).is_none_or(CheckState::is_settled)
    }

    /// When the look at a check that is under way was begun.
    #[must_use]
    pub fn look_begun(&self, check: &CheckId) -> Option<MonoTime> {
        self.context.checks.named(check)?.in_flight
    }

    /// The looks that are under way and that an open incident waits for.
    #[must_use]
    pub fn looks_awaited(&self) -> Vec<Look> {
        let states = self.context.checks.states.iter().filter(|state| state.in_flight.is_some());
        let awaited = states.filter(|state| self.bears_on_incident(&state.check.id));
        let look = |state: &CheckState| {
            Some(Look { check: state.check.id.clone(), begun: state.in_flight?, again: state.again })
        };
        awaited.filter_map(look).collect()
    }

    /// These looks are under way.
    pub fn look_is_awaited(&mut self, looks: &[Look]) {
        for look in looks {
            if let Some(slot) = self.context.checks.slot(&look.check) {
                self.context.look_since(slot, look.begun);
                self.context.checks[slot].again = look.again;
            }
        }
    }

    /// The look at a check whose answer comes next was begun then.
    pub fn began_look(&mut self, check: &CheckId, begun: MonoTime) {
        if let Some(slot) = self.context.checks.slot(check) {
            self.context.checks[slot].in_flight = Some(begun);
        }
    }

    /// A look that was asked for is in no record: it said what the last one had said.
    pub fn look_is_left_out(&mut self, now: Now, check: &CheckId) {
        if let Some(slot) = self.context.checks.slot(check) {
            self.context.pass_look(now, slot);
        }
    }
}

impl Context {
    fn go_on(&mut self) {
        self.has_started = true;
        let open: alloc::vec::Vec<_> = self.state.incidents.keys().copied().collect();
        open.into_iter().for_each(|id| self.wake(self.now.mono, Wake::Incident(id)));
    }

    /// Ends a look that nobody will answer, and takes over what it said.
    fn pass_look(&mut self, now: Now, slot: usize) {
        let check = &mut self.checks[slot];
        let Some(begun) = check.in_flight.take() else { return };
        check.again = false;
        if check.is_settled() {
            check.seen_as_before(now, begun);
        }
        let next = now.mono.plus(check.period());
        let due = core::mem::replace(&mut check.due, next);
        self.wakes.remove(&(due, Wake::Check(slot)));
        self.wakes.insert((next, Wake::Check(slot)));
    }
}

impl CheckState {
    /// Whether a look that says what the last one said changes nothing of it but times.
    fn is_settled(&self) -> bool {
        let Some((_, last)) = &self.last else { return true };
        let is_as_seen = match last.health() {
            Health::Healthy => self.hard == Health::Healthy,
            Health::Unknown => true,
            Health::Failing => false,
        };
        is_as_seen && self.failures == 0 && !self.is_flapping && (!last.is_warning() || self.warns_since().is_some())
    }

    /// Takes over that it was seen as it was seen last.
    fn seen_as_before(&mut self, now: Now, begun: MonoTime) {
        self.looked_at = Some(begun);
        if let Some((at, seen)) = &mut self.last {
            *at = now;
            if seen.health() == Health::Healthy {
                self.well_at = Some(begun);
            }
        }
    }
}
