//! Remediation: one climb of a runbook's ladder for one incident.
//! `advance` reconciles: it looks at the stage and the clock and takes no other input, so it may be called at any time.

use alloc::{boxed::Box, format, string::ToString};
use core::time::Duration;

use ansai_model::{
    action::{Action, ActionOutcome, Disruption},
    decision::{Choice, Decision},
    id::{IncidentId, RunId, RungId},
    incident::{Phase, StepKind},
    policy::{Backoff, Policy},
    rule::Autonomy,
    runbook::{Entry, Runbook, Rung, Step, Then},
    text::Text,
    time::{MonoTime, Now, Shown},
};
use serde::{Deserialize, Serialize};

use crate::{
    condition,
    effect::Effect,
    gate::{self, Moment, Proposal},
    host_engine::{HostEngine, Wake},
    invariant::{self, Behalf},
    verification::Verification,
};

mod attempt;
mod awaited;
mod counting;
mod outcome;

/// How long after its time-out an action that never answered is lost.
const ACTION_GRACE: Duration = Duration::from_secs(15);

/// A runbook being run. It keeps the runbook and the policy that it began with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Remediation {
    /// The ladder.
    pub runbook: Runbook,
    /// The limits.
    pub policy: Policy,
    /// Which rung.
    pub rung: usize,
    /// Which step of it.
    pub step: usize,
    /// Whether the rung was reached by its name.
    pub is_by_name: bool,
    /// Whether a step of the rung has done something.
    pub has_acted: bool,
    /// Whether a rung that helps in part has done something: what it did is verified with the last of them.
    #[serde(default)]
    pub has_helped: bool,
    /// Whether an action of this try was lost, so that its failure says nothing of the rung.
    #[serde(default)]
    pub was_interrupted: bool,
    /// Whether its next try does not wait: what it did had worked, and failed again for the first time.
    #[serde(default)]
    pub is_at_once: bool,
    /// Failed tries of this rung.
    pub rung_attempts: u32,
    /// Failed tries of all rungs.
    pub attempts: u32,
    /// Where it stands.
    pub stage: Stage,
}

/// Where a remediation stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// The next step is to be proposed.
    Ready,
    /// An action is under way.
    Acting {
        /// Which run.
        run: RunId,
        /// Since when.
        since: Now,
    },
    /// A declared wait.
    Waiting {
        /// Until then.
        until: MonoTime,
    },
    /// Every check of the target must be seen healthy.
    Verifying {
        /// Only looks begun after this count.
        since: Now,
        /// Until then.
        until: MonoTime,
    },
    /// It must stay healthy.
    Stabilizing {
        /// Until then.
        until: MonoTime,
    },
    /// The wait before the next attempt.
    BackingOff {
        /// Until then.
        until: MonoTime,
    },
    /// The rung's effect is taken back.
    Undoing {
        /// Which of its undo actions.
        index: usize,
        /// Which run.
        run: RunId,
        /// Since when.
        since: Now,
    },
}

impl Remediation {
    /// At the foot of the ladder.
    #[must_use]
    pub fn new(runbook: Runbook, policy: Policy) -> Self {
        Self {
            runbook,
            policy,
            rung: 0,
            step: 0,
            is_by_name: false,
            has_acted: false,
            has_helped: false,
            was_interrupted: false,
            is_at_once: false,
            rung_attempts: 0,
            attempts: 0,
            stage: Stage::Ready,
        }
    }

    /// The rung that it stands on, when it is not above the ladder.
    #[must_use]
    pub fn current(&self) -> Option<&Rung> {
        self.runbook.rungs.get(self.rung)
    }

    /// How many disruptive actions the rung still has from its next step on.
    #[must_use]
    pub(crate) fn needed(&self) -> usize {
        self.disruptive_from(self.step)
    }

    /// How many disruptive actions follow in a rung that was begun: a service that was stopped must be started again.
    #[must_use]
    pub(crate) fn owed(&self) -> usize {
        match self.stage {
            Stage::Acting { .. } => self.disruptive_from(self.step + 1),
            Stage::Ready | Stage::Waiting { .. } if self.step > 0 => self.disruptive_from(self.step),
            Stage::Ready | Stage::Waiting { .. } | Stage::Verifying { .. } | Stage::Stabilizing { .. } => 0,
            Stage::BackingOff { .. } | Stage::Undoing { .. } => 0,
        }
    }

    /// Whether a step of this try has disrupted the target: what was stopped is not left so.
    #[must_use]
    pub(crate) fn has_disrupted(&self) -> bool {
        let steps = self.current().map(|rung| rung.steps.iter().take(self.step));
        steps.into_iter().flatten().any(disrupts)
    }

    fn disruptive_from(&self, step: usize) -> usize {
        let steps = self.current().and_then(|rung| rung.steps.get(step..)).unwrap_or_default();
        steps.iter().filter(|step| disrupts(step)).count()
    }

    fn climb_to(&mut self, rung: usize, is_by_name: bool) {
        self.rung = rung;
        self.step = 0;
        self.rung_attempts = 0;
        self.has_acted = false;
        self.was_interrupted = false;
        self.is_by_name = is_by_name;
        self.stage = Stage::Ready;
    }
}

fn disrupts(step: &Step) -> bool {
    matches!(step, Step::Act { action, .. } if action.disruption() > Disruption::None)
}

/// The wait before attempt `level + 1`: `initial × factor^(level − 1)`, capped, plus a jitter that is a function of the
/// incident and the level, since chance never enters.
#[must_use]
pub fn backoff_wait(backoff: &Backoff, level: u32, salt: u64) -> Duration {
    let mut wait = backoff.initial;
    for _ in 1..level.min(64) {
        wait = wait.saturating_mul(backoff.factor.max(1)).min(backoff.wait_max);
    }
    let wait = wait.min(backoff.wait_max);
    // FNV-1a over salt and level, see draft-eastlake-fnv.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in salt.to_le_bytes().into_iter().chain(level.to_le_bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    let percent = u32::try_from(hash % (u64::from(backoff.jitter_percent.min(100)) + 1)).unwrap_or(0);
    wait.saturating_add(wait.saturating_mul(percent) / 100)
}

impl HostEngine {
    /// Does what is due in a remediation; says whether something more may be due at once.
    pub(crate) fn advance(&mut self, now: Now, id: IncidentId) -> bool {
        let Some(remediation) = self.state.remediations.get(&id) else { return false };
        match remediation.stage.clone() {
            Stage::Ready => self.propose(now, id),
            Stage::Acting { run, .. } | Stage::Undoing { run, .. } => self.await_run(now, run),
            Stage::Waiting { until } => self.until(now, id, until, |remediation| {
                remediation.step += 1;
                remediation.stage = Stage::Ready;
            }),
            Stage::BackingOff { until } => self.until(now, id, until, |remediation| remediation.stage = Stage::Ready),
            Stage::Verifying { since, until } => self.verify(now, id, since, until),
            Stage::Stabilizing { until } => self.stabilize(now, id, until),
        }
    }

    fn until(&mut self, now: Now, id: IncidentId, until: MonoTime, then: fn(&mut Remediation)) -> bool {
        if now.mono < until {
            self.wake(until, Wake::Incident(id));
            return false;
        }
        self.change_remediation(now, id, then);
        true
    }

    pub(crate) fn change_remediation(&mut self, now: Now, id: IncidentId, change: impl FnOnce(&mut Remediation)) {
        if let Some(remediation) = self.state.remediations.get_mut(&id) {
            change(remediation);
            self.changed(now);
        }
    }

    fn await_run(&mut self, now: Now, run: RunId) -> bool {
        let Some(pending) = self.state.runs.get(&run) else { return false };
        let (lost_after, incident) = (pending.lost_after, pending.incident);
        let lost_after = self.awaited_until(now, run).unwrap_or(lost_after);
        if now.mono < lost_after {
            if let Some(incident) = incident {
                self.wake(lost_after, Wake::Incident(incident));
            }
            return false;
        }
        self.action_ended(now, run, ActionOutcome::Lost { why: "no outcome was reported in time".into() });
        false
    }

    fn propose(&mut self, now: Now, id: IncidentId) -> bool {
        let Some((remediation, rung)) = self.state.remediations.get(&id).and_then(|r| Some((r, r.current()?.clone())))
        else {
            self.escalate(now, id, "no rung of the runbook is left".into());
            return false;
        };
        if !remediation.has_acted && !remediation.has_helped && self.is_well(id) {
            self.leave_alone(now, id);
            return true;
        }
        if remediation.step == 0
            && remediation.rung_attempts == 0
            && let Some(why) = self.does_not_apply(now, id, &rung)
        {
            self.skip(now, id, &rung.id, why);
            return true;
        }
        if self.waits_for_arrival(now, id, &rung) {
            return false;
        }
        let Some(step) = self.state.remediations.get(&id).map(|remediation| remediation.step) else { return false };
        match rung.steps.get(step) {
            None => self.rung_done(now, id, &rung),
            Some(Step::Wait(wait)) => {
                let until = now.mono.plus(*wait);
                self.change_remediation(now, id, |remediation| remediation.stage = Stage::Waiting { until });
                true
            }
            Some(Step::Act { action, timeout }) => {
                let (action, timeout) = (action.clone(), *timeout);
                match self.ask_gates(now, id, action.disruption(), action.describe()) {
                    Choice::Act => self.perform(now, id, &rung.id, action, timeout),
                    Choice::Defer => false,
                    Choice::Deny | Choice::Escalate => {
                        let why = self.objection(id);
                        self.escalate(now, id, why);
                        false
                    }
                }
            }
        }
    }

    /// Asks the gates within a remediation, keeps what they say, and wakes the incident when they want to be asked again.
    fn ask_gates(&mut self, now: Now, id: IncidentId, disruption: Disruption, what: Text) -> Choice {
        let Some(decision) = self.decision_within(now, id, disruption, Moment::Continue, what) else {
            return Choice::Deny;
        };
        let (choice, until) = (decision.choice, decision.until);
        self.keep_decision(now, id, decision);
        if let Some(until) = until {
            self.wake(until.mono, Wake::Incident(id));
        }
        choice
    }

    /// What the gates say of an action within a remediation; the rule's autonomy was asked when it began.
    fn decision_within(
        &self,
        now: Now,
        id: IncidentId,
        disruption: Disruption,
        moment: Moment,
        what: Text,
    ) -> Option<Decision> {
        let (incident, remediation) = (self.state.incidents.get(&id)?, self.state.remediations.get(&id)?);
        let (policy, autonomy) = (&remediation.policy, Autonomy::Act);
        let proposal = Proposal { now, engine: self, incident, policy, autonomy, disruption, moment };
        Some(gate::evaluate(&proposal, what))
    }

    fn does_not_apply(&self, now: Now, id: IncidentId, rung: &Rung) -> Option<Text> {
        let remediation = self.state.remediations.get(&id)?;
        if rung.entry == Entry::OnlyByName && !remediation.is_by_name {
            return Some("only after another rung has failed".into());
        }
        if let Some(why) = self.disbelief(id, rung) {
            return Some(why);
        }
        let condition = rung.when.as_ref()?;
        let incident = self.state.incidents.get(&id)?;
        let check = self.checks.get(*self.check_index.get(&incident.check)?)?;
        match condition::holds(condition, self.scene(check, now)) {
            Some(true) => None,
            Some(false) => Some(Text::new(format!("`{}` does not hold", condition.source))),
            None => Some(Text::new(format!("`{}` cannot be known", condition.source))),
        }
    }

    fn skip(&mut self, now: Now, id: IncidentId, rung: &RungId, why: Text) {
        self.record(now, id, StepKind::Skipped { rung: rung.clone(), why });
        self.change_remediation(now, id, |remediation| remediation.climb_to(remediation.rung + 1, false));
    }

    fn rung_done(&mut self, now: Now, id: IncidentId, rung: &Rung) -> bool {
        let Some(remediation) = self.state.remediations.get(&id) else { return false };
        let (has_acted, has_helped) = (remediation.has_acted, remediation.has_helped);
        match rung.then {
            Then::Continue => {
                self.change_remediation(now, id, |remediation| remediation.climb_to(remediation.rung + 1, false));
            }
            Then::AddUp => self.change_remediation(now, id, |remediation| {
                remediation.has_helped |= has_acted;
                remediation.climb_to(remediation.rung + 1, false);
            }),
            // Nothing was done, so nothing is to be verified.
            Then::Verify if !has_acted && !has_helped => self.skip(now, id, &rung.id, "there was nothing to do".into()),
            Then::Verify => self.begin_verification(now, id),
        }
        true
    }

    pub(crate) fn begin_verification(&mut self, now: Now, id: IncidentId) {
        let Some(target) = self.state.incidents.get(&id).map(|incident| incident.target.clone()) else { return };
        self.change_remediation(now, id, |remediation| {
            let until = now.mono.plus(remediation.policy.verify_within);
            remediation.stage = Stage::Verifying { since: now, until };
        });
        self.look_at_target(now, &target);
    }

    fn verify(&mut self, now: Now, id: IncidentId, since: Now, until: MonoTime) -> bool {
        match self.verification(id, since.mono) {
            Verification::Passed(seen) => {
                self.passed(now, id, since, seen);
                true
            }
            Verification::Failed(why) => {
                self.attempt_failed(now, id, why);
                true
            }
            // How long it may be on its way is the unit's own word; what it says is judged when it has arrived.
            Verification::Pending(_) if until <= now.mono && self.is_on_its_way(id) => {
                self.change_remediation(now, id, |remediation| {
                    let until = now.mono.plus(remediation.policy.verify_within);
                    remediation.stage = Stage::Verifying { since, until };
                });
                true
            }
            Verification::Pending(why) if until <= now.mono => {
                self.attempt_failed(now, id, Text::new(format!("not healthy within the time: {why}")));
                true
            }
            Verification::Pending(_) => {
                self.wake(until, Wake::Incident(id));
                false
            }
        }
    }

    fn passed(&mut self, now: Now, id: IncidentId, since: Now, seen: Text) {
        let Some(remediation) = self.state.remediations.get(&id) else { return };
        let (Some(rung), until) = (remediation.current(), now.plus(remediation.policy.stable_for)) else { return };
        let rung = rung.id.clone();
        self.tell_symptoms(now, id, &Text::new(format!("{rung}: verified: {seen}")));
        self.record(now, id, StepKind::Verified { rung, seen, after: now.mono.since(since.mono) });
        self.change_remediation(now, id, |remediation| {
            remediation.was_interrupted = false;
            remediation.stage = Stage::Stabilizing { until: until.mono };
        });
        if let Some(incident) = self.state.incidents.get_mut(&id) {
            incident.healthy_since = Some(now);
            incident.phase = Phase::Stabilizing { until };
        }
        self.wake_waiting(now);
    }

    fn stabilize(&mut self, now: Now, id: IncidentId, until: MonoTime) -> bool {
        if let Some(why) = self.fails_again(id) {
            let lasted = self.state.incidents.get(&id).and_then(|i| i.healthy_since).map(|at| now.mono.since(at.mono));
            let why = Text::new(format!("failed again after {}: {why}", Shown(lasted.unwrap_or_default())));
            if let Some(incident) = self.state.incidents.get_mut(&id) {
                incident.healthy_since = None;
                incident.phase = Phase::Remediating;
            }
            self.come_first(now, id);
            if self.is_healed_elsewhere(id) {
                self.set_aside(now, id, Text::new(format!("{why}; another failure of the target is being healed")));
                return false;
            }
            let is_first = self.fails_once_more(id);
            self.change_remediation(now, id, |remediation| remediation.is_at_once = is_first);
            self.attempt_failed(now, id, why);
            return true;
        }
        if now.mono < until {
            self.wake(until, Wake::Incident(id));
        } else if self.is_well(id) {
            self.healed(now, id);
        } else {
            self.gives_way_to_itself(now, id);
        }
        // Not known to be well: unknown never closes, the next observation will tell.
        false
    }

    fn perform(&mut self, now: Now, id: IncidentId, rung: &RungId, action: Action, timeout: Duration) -> bool {
        let Some(target) = self.state.incidents.get(&id).map(|incident| incident.target.clone()) else { return false };
        if let Err(violation) = invariant::before_action(self, now, &target, Behalf::Incident(id), action.disruption())
        {
            self.hold_for_violation(now, &target, &violation);
            return false;
        }
        let run = self.begin_run(now, Some(id), target, action, timeout);
        let (what, run_id) = (run.action.describe(), run.id);
        self.record(now, id, StepKind::Started { rung: rung.clone(), run: run_id, what });
        self.change_remediation(now, id, |remediation| remediation.stage = Stage::Acting { run: run_id, since: now });
        self.effects.push(Effect::Perform(Box::new(run)));
        true
    }

    /// What a remediation would do next, in words.
    #[must_use]
    pub(crate) fn next_step_of(runbook: &Runbook, rung: usize) -> Text {
        let steps = runbook.rungs.get(rung).map(|rung| rung.steps.as_slice()).unwrap_or_default();
        let words: alloc::vec::Vec<_> = steps
            .iter()
            .map(|step| match step {
                Step::Act { action, .. } => action.describe().to_string(),
                Step::Wait(wait) => format!("wait {}", Shown(*wait)),
            })
            .collect();
        Text::new(words.join(", then "))
    }
}
