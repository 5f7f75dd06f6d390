//! The durable state: what must outlive the process, and nothing that a look at the host can tell.
//! How it is written to disk is the agent's ledger.

use alloc::format;
use alloc::{
    boxed::Box,
    collections::{BTreeMap, BTreeSet, VecDeque},
    string::String,
    vec::Vec,
};
use core::time::Duration;

use ansai_model::{
    action::Disruption,
    id::{CheckId, IncidentId, RuleId, RunId, TargetId, UnitName},
    incident::Incident,
    notify::NoticeKind,
    operator::DrillKind,
    policy::{Scope, WindowSchedule},
    report::Cause,
    text::Text,
    time::{MonoTime, Now, WallTime},
};
use serde::{Deserialize, Serialize};

use crate::{effect::Dispatch, ramp::Ramp, remediation::Remediation};

mod from_controller;
mod past;

pub use from_controller::{FromController, HeldPermit};
pub use past::PastIncident;

/// Most open incidents; when there are more, the new one is not opened and the check says so.
pub const INCIDENTS_MAX: usize = 1_000;
/// Most dispatches that wait for the shell; when there are more, the oldest that nobody is told of goes.
pub const DISPATCHES_MAX: usize = 256;
/// Most holds, silences and maintenance windows each.
pub const SCOPES_MAX: usize = 256;
/// Most points in time kept for each budget and each breaker; fewer where there are many checks, see [`Depth`].
pub const TIMES_MAX: usize = 256;
/// Most points in time kept for all targets together, of each kind.
const TIMES_ALL_MAX: usize = 1 << 19;
/// Most targets remembered that are configured no more.
pub const FORMER_TARGETS_MAX: usize = 1_000;
/// Most fault domains of one target that are remembered apart.
pub const FAULT_DOMAINS_MAX: usize = 64;
/// Most past incidents kept a check; fewer where there are many, see [`Depth`].
pub const PAST_MAX: usize = 32;
/// Most past incidents kept for all checks together.
const PAST_ALL_MAX: usize = 1 << 17;

/// How much is remembered of each target: on a host with very many checks less, so that the state of the largest host
/// can be saved still. Up to two thousand checks have all of it, up to four thousand all past incidents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Depth {
    /// Points in time of each kind.
    pub times: usize,
    /// Past incidents of each check.
    pub past: usize,
}

impl Depth {
    /// On a host with so many checks.
    #[must_use]
    pub fn of(checks: usize) -> Self {
        let share = |all: usize, most: usize| (all / checks.max(1)).clamp(1, most);
        Self { times: share(TIMES_ALL_MAX, TIMES_MAX), past: share(PAST_ALL_MAX, PAST_MAX) }
    }
}

/// What the ledger holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// When the state was last changed; the shell continues the monotonic clock from it after a reboot.
    pub at: Now,
    /// In which boot of the host that was; the shell's, so that within one boot no wall clock is needed to go on.
    #[serde(default)]
    pub boot: Option<Boot>,
    /// The generation of the newest bundle that was ever applied here; an older one is refused.
    #[serde(default)]
    pub generation: u64,
    /// The fingerprint of that bundle's files.
    #[serde(default)]
    pub fingerprint: u64,
    /// Numbers given out so far.
    pub incidents_counted: u64,
    /// Numbers given out so far.
    pub runs_counted: u64,
    /// Numbers given out so far.
    pub dispatches_counted: u64,
    /// Incidents that have not ended.
    pub incidents: BTreeMap<IncidentId, Incident>,
    /// Runbooks that are being run.
    pub remediations: BTreeMap<IncidentId, Remediation>,
    /// Runbooks that gave way to another fault domain of their target, and go on after it.
    #[serde(default, rename = "set_aside")]
    pub preempted: BTreeMap<IncidentId, Remediation>,
    /// What operators said about incidents.
    pub answers: BTreeMap<IncidentId, OperatorAnswer>,
    /// What people were told of open incidents, so that each thing is told once.
    #[serde(rename = "told")]
    pub notified: BTreeSet<(IncidentId, NoticeKind)>,
    /// Actions decided and not known to have ended.
    pub runs: BTreeMap<RunId, PendingRun>,
    /// What is remembered of each target.
    pub targets: BTreeMap<TargetId, TargetMemory>,
    /// Disruptive actions on the host that repeated one on the same target, oldest first.
    pub host_actions: VecDeque<MonoTime>,
    /// The same of drills and of what they broke: they cost a real failure nothing.
    #[serde(default)]
    pub host_drills: VecDeque<MonoTime>,
    /// How many actions may be under way at once.
    #[serde(default)]
    pub ramp: Ramp,
    /// Storms with an incident that is still open, by their first incident.
    #[serde(default)]
    pub storms: BTreeMap<IncidentId, Storm>,
    /// Automation stopped by a person.
    pub holds: Vec<Hold>,
    /// Notifications suppressed.
    pub silences: Vec<Silence>,
    /// Maintenance windows that operators opened by hand.
    pub maintenance: Vec<OpenedWindow>,
    /// What the operators of the host's controller want of it, once they have said anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub controller: Option<FromController>,
    /// The permits of the controller that are held, by the incidents for which they were given.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub permits: BTreeMap<IncidentId, HeldPermit>,
    /// Reports that the shell has not yet confirmed.
    pub dispatches: BTreeMap<u64, Dispatch>,
    /// Dispatches that had to be dropped.
    pub dispatches_dropped: u64,
}

/// Which boot of the host the monotonic times are counted through, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Boot {
    /// The kernel's name for it.
    pub id: Text,
    /// What is added to the time since it, in nanoseconds.
    pub offset: i64,
}

/// What an operator said about an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OperatorAnswer {
    /// `ansai approve`
    Approved,
    /// `ansai heal`: now, whatever autonomy, cooldown, back-off and circuit breaker say.
    Forced,
}

/// An action that was decided and is not known to have ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingRun {
    /// For which incident; none for a drill.
    pub incident: Option<IncidentId>,
    /// On which target.
    pub target: TargetId,
    /// What it disrupts.
    pub disruption: Disruption,
    /// When it was decided.
    pub decided: Now,
    /// After this time it counts as lost.
    pub lost_after: MonoTime,
    /// Whether it belongs to a drill, in whose books it is counted then.
    #[serde(default)]
    pub is_drill: bool,
    /// Whether it was counted on the host as well.
    #[serde(default)]
    pub is_repetition: bool,
    /// The unit that says itself how long its job may take, when it does.
    #[serde(default)]
    pub awaits: Option<UnitName>,
    /// Whether it keeps a configuration that is valid, or only asks whether it is while the unit runs.
    #[serde(default)]
    pub is_keeping: bool,
    /// It is not begun from this moment on: the permit under which it was decided ends before it would be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begins_before: Option<MonoTime>,
}

/// What is remembered of a target across incidents.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TargetMemory {
    /// Disruptive actions, oldest first.
    pub actions: VecDeque<MonoTime>,
    /// The same of drills and of what they broke.
    #[serde(default)]
    pub drills: VecDeque<MonoTime>,
    /// Failed remediations, oldest first.
    pub failures: VecDeque<MonoTime>,
    /// The end of the last remediation.
    pub remediated: Option<Now>,
    /// Attempts since it was last well for the back-off's `reset_after`.
    pub backoff_level: u32,
    /// How often it failed again soon after it was healed, since it was last well for that time.
    #[serde(default)]
    pub repeats: u32,
    /// Since when all of its incidents are over; nothing while one is open.
    pub well_since: Option<MonoTime>,
    /// The circuit breaker.
    pub breaker: BreakerState,
    /// Past incidents, oldest first, by check.
    pub past: BTreeMap<CheckId, VecDeque<PastIncident>>,
    /// How long it needed after its last starts until it answered, as far as that was seen.
    #[serde(default)]
    pub warm_up: Option<Duration>,
    /// What it was last tried in vain for was seen to be gone at this time: what is done since repeats nothing from before.
    #[serde(default)]
    pub anew: Option<MonoTime>,
    /// A failure was injected on purpose at this time.
    pub drilled: Option<MonoTime>,
    /// What is known of that drill, until it is over.
    #[serde(default)]
    pub drill: Option<Box<Drill>>,
    /// Since when its unit is down on request, by systemd's stamp: after a restart of the agent it is known again.
    #[serde(default)]
    pub stopped: Option<WallTime>,
    /// When somebody asked for that, where it was down already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_told: Option<WallTime>,
    /// What its validator said against its configuration, until that is known to be so or not.
    #[serde(default)]
    pub doubt: Option<Box<Doubt>>,
    /// What its validator says against a configuration with which it does not run yet, and since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invalid: Option<Box<(Now, Text)>>,
    /// The failures, waits and breakers of its other fault domains, by their rule; budgets are the target's.
    #[serde(default, rename = "matters")]
    pub fault_domains: BTreeMap<RuleId, TargetMemory>,
}

/// A drill that may still have to do with what fails.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drill {
    /// What it breaks.
    pub kind: DrillKind,
    /// The last run of the unit that it broke (`InvocationID`), when that is known.
    pub run: Option<Text>,
    /// When the unit was first seen well in another run since.
    pub runs_anew: Option<MonoTime>,
    /// Whether it was ended: by itself, or by somebody. What it broke may fail for a while yet.
    #[serde(default)]
    pub is_ended: bool,
    /// The drill that still lasted when this one began, and since when, until this one has broken something.
    #[serde(default)]
    pub before: Option<(MonoTime, Box<Drill>)>,
}

/// Many incidents that opened within seconds. Bounded by the number of open incidents when it grew.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Storm {
    /// Its incidents, those that have ended included.
    pub members: BTreeSet<IncidentId>,
    /// When the last of them opened.
    pub last: MonoTime,
    /// What may be behind all of them, by the rule that says so, and in whom it was seen.
    pub seen: BTreeMap<Text, BTreeSet<IncidentId>>,
    /// What is behind all of them, once that is sure enough.
    pub cause: Option<Cause>,
}

/// A validator's no, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doubt {
    /// When it said no.
    pub said_no: Now,
    /// What it said.
    pub why: Text,
    /// The unit has been started since, and the validator is asked once more in this run.
    pub asked: Option<RunId>,
    /// Since when it is known to have been wrong.
    pub refuted: Option<Now>,
    /// The generation of the configuration in force at that time: a newer one counts as looked at.
    pub generation: u64,
}

/// Where a circuit breaker stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BreakerState {
    /// Healing goes on.
    #[default]
    Closed,
    /// No healing until then; after that, half-open: one remediation may try.
    Open {
        /// Until then.
        until: Now,
    },
}

/// Automation stopped for a scope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// The targets that it covers.
    pub scope: Scope,
    /// The name of whoever did it.
    pub by: Text,
    /// The reason, as people read it.
    pub reason: Text,
    /// Since when.
    pub since: Now,
    /// When it ends by itself, if ever, as it was asked for.
    pub until: Option<WallTime>,
    /// The same moment on the clock that nobody sets, which is what counts; absent in states of older versions.
    #[serde(default)]
    pub ends: Option<MonoTime>,
}

/// Notifications suppressed for a scope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    /// The targets that it covers.
    pub scope: Scope,
    /// The name of whoever did it.
    pub by: Text,
    /// The reason, as people read it.
    pub reason: Text,
    /// When it ends, as the clock on the wall was when it began.
    pub until: WallTime,
    /// The same moment on the clock that nobody sets, which is what counts; absent in states of older versions.
    #[serde(default)]
    pub ends: Option<MonoTime>,
}

/// A maintenance window that an operator opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenedWindow {
    /// Why, and by whom.
    pub reason: String,
    /// The targets that it covers.
    pub scope: Scope,
    /// From when until when, as the clock on the wall was when it began.
    pub schedule: WindowSchedule,
    /// Its end on the clock that nobody sets, which is what counts; absent in states of older versions.
    #[serde(default)]
    pub ends: Option<MonoTime>,
}

/// A moment of the wall clock as one of the monotonic clock, seen from `now`.
fn ends(now: Now, until: WallTime) -> MonoTime {
    now.mono.plus(until.since(now.wall))
}

/// What the wall clock will show at `ends`. It is `until`, to the millisecond and at each look, unless it was set since.
fn shown(now: Now, ends: MonoTime, until: WallTime) -> WallTime {
    const JUMP_MILLIS: u64 = 2_000;
    let shown = now.wall.plus(ends.since(now.mono));
    if shown.0.abs_diff(until.0) < JUMP_MILLIS {
        until
    } else {
        WallTime(shown.0.div_euclid(1_000).saturating_mul(1_000))
    }
}

impl Hold {
    /// From now until then, or until it is released.
    #[must_use]
    pub fn new(scope: Scope, by: Text, reason: Text, now: Now, until: Option<WallTime>) -> Self {
        Self { scope, by, reason, since: now, until, ends: until.map(|until| ends(now, until)) }
    }

    /// Whether it is in force.
    #[must_use]
    pub fn is_on(&self, now: Now) -> bool {
        self.ends.is_none_or(|ends| now.mono < ends)
    }

    /// When it ends by itself, on both clocks as they are now.
    #[must_use]
    pub fn end(&self, now: Now) -> Option<Now> {
        let (ends, until) = self.ends.zip(self.until)?;
        Some(Now { mono: ends, wall: shown(now, ends, until) })
    }
}

impl Silence {
    /// From now, for so long.
    #[must_use]
    pub fn new(scope: Scope, by: Text, reason: Text, now: Now, lasts: Duration) -> Self {
        let end = now.plus(lasts);
        Self { scope, by, reason, until: end.wall, ends: Some(end.mono) }
    }

    /// When it ends, on both clocks as they are now; none when it is over.
    #[must_use]
    pub fn end(&self, now: Now) -> Option<Now> {
        let ends = self.ends.filter(|ends| now.mono < *ends)?;
        Some(Now { mono: ends, wall: shown(now, ends, self.until) })
    }
}

impl OpenedWindow {
    /// From now, for so long, opened by somebody for a reason.
    #[must_use]
    pub fn new(scope: Scope, by: &Text, reason: &Text, now: Now, lasts: Duration) -> Self {
        let reason = match reason.as_str() {
            "" => format!("by {by}"),
            reason => format!("{reason}, by {by}"),
        };
        let end = now.plus(lasts);
        Self { reason, scope, schedule: WindowSchedule::Once { from: now.wall, until: end.wall }, ends: Some(end.mono) }
    }

    /// Who opened it, and why when that was said.
    #[must_use]
    pub fn author(&self) -> (&str, &str) {
        let alone = || self.reason.strip_prefix("by ").map(|by| (by, ""));
        let both = self.reason.rsplit_once(", by ").map(|(reason, by)| (by, reason));
        both.or_else(alone).unwrap_or(("an operator", &self.reason))
    }

    /// When it ends, on both clocks as they are now; none when it is over.
    #[must_use]
    pub fn end(&self, now: Now) -> Option<Now> {
        let ends = self.ends.filter(|ends| now.mono < *ends)?;
        let WindowSchedule::Once { until, .. } = self.schedule else { return None };
        Some(Now { mono: ends, wall: shown(now, ends, until) })
    }
}

impl State {
    /// Gives what an older version left without it its end on the clock that nobody sets, as it was when that was saved.
    pub(crate) fn settle_ends(&mut self) {
        let at = self.at;
        for hold in &mut self.holds {
            hold.ends = hold.ends.or(hold.until.map(|until| ends(at, until)));
        }
        for silence in &mut self.silences {
            silence.ends.get_or_insert(ends(at, silence.until));
        }
        for window in &mut self.maintenance {
            if let WindowSchedule::Once { until, .. } = window.schedule {
                window.ends.get_or_insert(ends(at, until));
            }
        }
    }
}

/// Forgets the oldest above `most`; says whether there were any.
pub(crate) fn keep_newest<T>(list: &mut VecDeque<T>, most: usize) -> bool {
    let surplus = list.len().saturating_sub(most);
    list.drain(..surplus);
    surplus > 0
}

impl TargetMemory {
    /// When something was last noted of the target, if ever.
    #[must_use]
    pub fn last_event(&self) -> Option<MonoTime> {
        let times = [
            self.actions.back().copied(),
            self.failures.back().copied(),
            self.drills.back().copied(),
            self.remediated.map(|at| at.mono),
            self.well_since,
            self.drilled,
        ];
        times.into_iter().flatten().max()
    }

    /// Adds a time and forgets the oldest above `most`.
    pub fn push(times: &mut VecDeque<MonoTime>, at: MonoTime, most: usize) {
        times.push_back(at);
        keep_newest(times, most);
    }

    /// Forgets the oldest above this depth; says whether there was anything to forget.
    pub(crate) fn forget_beyond(&mut self, depth: Depth) -> bool {
        let mut is_changed = false;
        for times in [&mut self.actions, &mut self.drills, &mut self.failures] {
            is_changed |= keep_newest(times, depth.times);
        }
        for past in self.past.values_mut() {
            is_changed |= keep_newest(past, depth.past);
        }
        for fault_domain in self.fault_domains.values_mut() {
            is_changed |= fault_domain.forget_beyond(depth);
        }
        is_changed
    }

    /// Forgets one time, when it is remembered.
    pub fn take_back(times: &mut VecDeque<MonoTime>, at: MonoTime) {
        if let Some(index) = times.iter().rposition(|time| *time == at) {
            times.remove(index);
        }
    }

    /// How many times lie within `window` before `now`.
    #[must_use]
    pub fn within(times: &VecDeque<MonoTime>, now: MonoTime, window: Duration) -> usize {
        let from = now.minus(window);
        times.iter().rev().take_while(|at| **at > from).count()
    }
}
