//! Remediation: one climb of a runbook's ladder for one incident, and where it stands. How it goes on is in the files
//! beneath.

use alloc::{format, string::ToString, vec::Vec};
use core::time::Duration;

use ansai_model::{
    action::Disruption,
    id::RunId,
    policy::{Backoff, Policy},
    runbook::{Runbook, Rung, Step},
    text::Text,
    time::{MonoTime, Now, Shown},
};
use serde::{Deserialize, Serialize};

mod advance;
pub(crate) mod anew;
mod attempt;
mod awaited;
pub(crate) mod counting;
mod one_shot;
mod outcome;

/// A runbook being run. It keeps the runbook and the policy that it began with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Remediation {
    /// The ladder that is climbed.
    pub runbook: Runbook,
    /// The limits under which it is climbed.
    pub policy: Policy,
    /// The rung, counted from 0.
    pub rung: usize,
    /// Which step of it.
    pub step: usize,
    /// Whether the rung was reached by its name.
    pub is_by_name: bool,
    /// Whether a step of the rung has done something.
    pub has_acted: bool,
    /// Whether an action of this climb may have changed something: a climb that has changed nothing costs nothing.
    #[serde(default = "assumed")]
    pub has_changed: bool,
    /// Whether a rung that helps in part has done something: what it did is verified with the last of them.
    #[serde(default)]
    pub has_helped: bool,
    /// Whether an action of this try was lost, so that its failure says nothing of the rung.
    #[serde(default)]
    pub was_interrupted: bool,
    /// Whether its next try does not wait: what it did had worked, and failed again for the first time.
    #[serde(default)]
    pub is_at_once: bool,
    /// Whether its remedy had worked and it failed anew, so that what is cheap to ask is asked again.
    #[serde(default)]
    pub fails_anew: bool,
    /// Where on the ladder it goes on once that was asked.
    #[serde(default)]
    pub place: Option<Place>,
    /// Failed tries of this rung.
    pub rung_attempts: u32,
    /// Failed tries of all rungs.
    pub attempts: u32,
    /// Where it stands.
    pub stage: Stage,
}

/// A place on a ladder, to come back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The rung, counted from 0.
    pub rung: usize,
    /// Failed tries of it.
    pub attempts: u32,
    /// Whether it was reached by its name.
    pub is_by_name: bool,
}

/// Where a remediation stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// The next step is to be proposed.
    Ready,
    /// An action is under way.
    Acting {
        /// The run of the action, by its number.
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
        /// The run of the action, by its number.
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
            has_changed: false,
            has_helped: false,
            was_interrupted: false,
            is_at_once: false,
            fails_anew: false,
            place: None,
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

    /// Goes on with the rung after this one.
    fn climb(&mut self) {
        self.climb_to(self.rung + 1, Reached::InOrder);
    }

    fn climb_to(&mut self, rung: usize, reached: Reached) {
        self.rung = rung;
        self.step = 0;
        self.rung_attempts = 0;
        self.has_acted = false;
        self.was_interrupted = false;
        self.is_by_name = reached == Reached::ByName;
        self.stage = Stage::Ready;
    }
}

/// Of what an older version had begun it is not known.
fn assumed() -> bool {
    true
}

/// How a rung is reached: from the one before it, or because one that failed named it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reached {
    InOrder,
    ByName,
}

/// How many disruptive actions a rung has.
pub(crate) fn disruptive_in(rung: &Rung) -> usize {
    rung.steps.iter().filter(|step| disrupts(step)).count()
}

fn disrupts(step: &Step) -> bool {
    matches!(step, Step::Act { action, .. } if action.disruption() > Disruption::None)
}

/// What a remediation would do next, in words.
pub(crate) fn next_step_of(runbook: &Runbook, rung: usize) -> Text {
    let steps = runbook.rungs.get(rung).map(|rung| rung.steps.as_slice()).unwrap_or_default();
    let words: Vec<_> = steps
        .iter()
        .map(|step| match step {
            Step::Act { action, .. } => action.describe().to_string(),
            Step::Wait(wait) => format!("wait {}", Shown(*wait)),
        })
        .collect();
    Text::new(words.join(", then "))
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
