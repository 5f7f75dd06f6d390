//! Looks: what makes the engine look at something, when the next look is due, and what follows from what was seen.
//! What a look means is not decided here.

use alloc::vec::Vec;
use core::time::Duration;

use ansai_model::{
    hint::Hint,
    id::{CheckId, TargetId},
    observation::{Health, Observation},
    probe::Probe,
    time::MonoTime,
};

use crate::{
    check::{Change, CheckState},
    context::{Context, Wake},
    effect::Effect,
    remediation::Stage,
    view::View,
};

/// Looks with a period of at least a second become due on this grid, so that many share one wake-up.
const GRID: Duration = Duration::from_millis(50);
/// How long after its time-out a look that never answered is given up.
const LOOK_GRACE: Duration = Duration::from_secs(5);
/// How long a remedy that worked is looked at more often; a policy may want to see it well for hours.
const WATCHED_CLOSELY: Duration = Duration::from_secs(60);

impl Context {
    pub(crate) fn hinted(&mut self, hint: &Hint) {
        match hint {
            Hint::Unit(unit) => {
                for slot in self.checks.units.get(unit).cloned().unwrap_or_default() {
                    self.keep_before(slot);
                    self.look(slot);
                }
            }
            Hint::Process(name) => {
                let is_it = |probe: &Probe| matches!(probe, Probe::Process { name: watched } if **watched == **name);
                for slot in (0..self.checks.states.len())
                    .filter(|slot| is_it(&self.checks[*slot].check.probe))
                    .collect::<Vec<_>>()
                {
                    self.keep_before(slot);
                    self.look(slot);
                }
            }
            Hint::Target(target) => self.look_at_target(target),
            // What comes of it is another bundle.
            Hint::Targets => {}
            Hint::DrillEnded { unit, what } => {
                for slot in self.checks.units.get(unit).cloned().unwrap_or_default() {
                    let target = self.checks[slot].check.target.clone();
                    self.drill_took_back(&target, what);
                    self.look_at_target(&target);
                }
            }
            Hint::Everything | Hint::Units | Hint::Mounts => {
                (0..self.checks.states.len()).for_each(|slot| self.look(slot))
            }
        }
    }

    /// Something has happened to the unit of a check: what the others of its target see from now on may be of what came of it.
    fn keep_before(&mut self, slot: usize) {
        let target = self.checks[slot].check.target.clone();
        self.checks.change_all_of(&target, CheckState::keep_before);
    }

    pub(crate) fn look_at_target(&mut self, target: &TargetId) {
        for slot in self.checks.slots_of(target).to_vec() {
            self.look(slot);
        }
    }

    /// Has a target looked at in so long, or before.
    pub(crate) fn look_within(&mut self, target: &TargetId, wait: Duration) {
        let at = self.now.mono.plus(wait);
        for slot in self.checks.slots_of(target).to_vec() {
            let check = &mut self.checks[slot];
            if check.in_flight.is_some() {
                check.again = true;
            } else if at < check.due {
                let due = core::mem::replace(&mut check.due, at);
                self.wakes.remove(&(due, Wake::Check(slot)));
                self.wakes.insert((at, Wake::Check(slot)));
            }
        }
    }

    /// Begins a look now, or another one as soon as the one under way has ended.
    pub(crate) fn look(&mut self, slot: usize) {
        let Some(check) = self.checks.states.get_mut(slot) else { return };
        if check.in_flight.is_some() {
            check.again = true;
            return;
        }
        let id = check.check.id.clone();
        self.look_since(slot, self.now.mono);
        self.effects.push(Effect::Observe(id));
    }

    /// A look is under way since then, and lost when it takes too long.
    pub(crate) fn look_since(&mut self, slot: usize, begun: MonoTime) {
        let check = &mut self.checks[slot];
        check.in_flight = Some(begun);
        let lost = begun.plus(check.check.timeout.saturating_add(LOOK_GRACE));
        let due = core::mem::replace(&mut check.due, lost);
        self.wakes.remove(&(due, Wake::Check(slot)));
        self.wakes.insert((lost, Wake::Check(slot)));
    }

    pub(crate) fn observed(&mut self, id: &CheckId, observation: Observation) {
        let Some(slot) = self.checks.slot(id) else {
            self.obstacle_seen(id, &observation);
            return;
        };
        let observation = self.interpret(slot, observation);
        let is_awaited = self.view().is_verifying(&self.checks[slot].check.target);
        let check = &mut self.checks[slot];
        check.looked_at = Some(check.in_flight.take().unwrap_or(self.now.mono));
        let change = check.update(self.now, observation);
        let period = if is_awaited { check.check.every_soft } else { check.period() };
        let next = on_grid(self.now.mono.plus(period), period);
        let due = core::mem::replace(&mut check.due, next);
        let again = core::mem::take(&mut check.again);
        if due != next {
            self.wakes.remove(&(due, Wake::Check(slot)));
            self.wakes.insert((next, Wake::Check(slot)));
        }
        if again {
            self.look(slot);
        }
        // What is broken on purpose, and comes back from that, does not flap.
        let counts = change != Change::None && !self.view().is_by_drill(slot, change);
        self.checks[slot].count_change(self.now.mono, counts);
        self.follow_up(slot, change);
    }

    /// What follows from a check's new state. The quick way out is the everyday one: nothing changed, nothing is open.
    fn follow_up(&mut self, slot: usize, change: Change) {
        self.follow_doubt(slot);
        let check = &self.checks[slot];
        let target = check.check.target.clone();
        let is_wanted_down = check.wanted_down();
        let has_open = self.checks.count_open_of(&target) > 0;
        if check.hard == Health::Healthy {
            self.keep_configuration(slot);
        }
        if self.checks[slot].hard == Health::Healthy {
            self.ask_doubted(slot);
        }
        if self.checks[slot].is_running_well() {
            self.checks.change_all_of(&target, CheckState::forget_before);
            self.look_at_what_started(slot, &target);
        }
        self.follow_drill(slot);
        let check = &self.checks[slot];
        if change == Change::None && !has_open && check.hard != Health::Failing {
            if is_wanted_down.is_some() {
                self.forget_failures(&target);
            }
            // That nothing changed is what those wait for that need it.
            if !self.state.incidents.is_empty() {
                self.reconcile_dependents(&target);
            }
            return;
        }
        if let Some(why) = is_wanted_down {
            self.withdraw_target(&target, &why);
            self.forget_failures(&target);
            return;
        }
        if self.checks[slot].hard == Health::Failing {
            self.end_outlived_drill(slot);
            self.open_incident(slot);
        }
        self.began_earlier(slot);
        self.reconcile_target(&target);
        if change == Change::Recovered || change == Change::Failed {
            self.reconcile_dependents(&target);
        }
    }

    /// What could not be seen of a unit that did not run can be seen once it does: it waits for no turn of its own.
    fn look_at_what_started(&mut self, slot: usize, target: &TargetId) {
        let Some(started) = self.checks[slot].start.at() else { return };
        let is_of_before = |check: &CheckState| {
            let is_unknown = check.last.as_ref().is_some_and(|(_, seen)| seen.health() == Health::Unknown);
            is_unknown && check.in_flight.or(check.looked_at).is_some_and(|at| at < started)
        };
        let slots = self.checks.slots_of(target).iter().copied();
        let stale: Vec<_> = slots.filter(|slot| is_of_before(&self.checks[*slot])).collect();
        stale.into_iter().for_each(|slot| self.look(slot));
    }

    fn forget_failures(&mut self, target: &TargetId) {
        for slot in self.checks.targets.get(target).map(|index| index.checks.clone()).unwrap_or_default() {
            if self.checks[slot].hard != Health::Healthy || self.checks[slot].failures > 0 {
                self.checks[slot].forget();
            }
        }
    }

    pub(crate) fn run_due(&mut self) {
        // Each turn removes a wake or moves it into the future, so this ends; the bound is a second safeguard.
        for _ in 0..self.wakes.len().saturating_mul(2).saturating_add(16) {
            let Some(&(at, wake)) = self.wakes.first() else { return };
            if at > self.now.mono {
                return;
            }
            self.wakes.pop_first();
            match wake {
                Wake::Check(slot) => self.check_due(slot),
                Wake::Incident(id) => self.reconcile(id),
                // It is said at the end of each step, when it is due.
                Wake::Permits => {}
            }
        }
    }

    fn check_due(&mut self, slot: usize) {
        let Some(check) = self.checks.states.get_mut(slot) else { return };
        if check.in_flight.is_none() {
            self.look(slot);
            return;
        }
        // Woken for another reason while a look is under way that still has its time.
        if self.now.mono < check.due {
            return;
        }
        // The look never answered, although the shell has its own time-out: it is unknown, and looked at again.
        let id = check.check.id.clone();
        self.observed(&id, Observation::unknown("the probe gave no answer"));
    }
}

impl View<'_> {
    /// Whether a remedy waits for what the target's checks say, or has just worked: they are looked at more often then.
    fn is_verifying(self, target: &TargetId) -> bool {
        let open = self.checks.targets.get(target).into_iter().flat_map(|index| &index.open);
        open.into_iter().any(|id| match self.state.remediations.get(id).map(|remediation| &remediation.stage) {
            Some(Stage::Verifying { .. }) => true,
            Some(Stage::Stabilizing { .. }) => {
                let healthy = self.state.incidents.get(id).and_then(|incident| incident.healthy_since);
                healthy.is_none_or(|since| self.now.mono.since(since.mono) < WATCHED_CLOSELY)
            }
            Some(Stage::Ready | Stage::Acting { .. } | Stage::Waiting { .. }) => false,
            Some(Stage::BackingOff { .. } | Stage::Undoing { .. }) | None => false,
        })
    }
}

fn on_grid(at: MonoTime, period: Duration) -> MonoTime {
    if period < Duration::from_secs(1) {
        return at;
    }
    let grid = i64::try_from(GRID.as_nanos()).unwrap_or(1);
    MonoTime(at.0.div_euclid(grid).saturating_add(1).saturating_mul(grid))
}
