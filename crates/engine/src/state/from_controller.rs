//! What the operators of a controller want of this host, as the ledger holds it: what of it is in force, since when and
//! until when by this host's clocks, and which permits it has given. How it comes into force stands in `controller` and `permits`.

use core::time::Duration;

use ansai_model::{
    fleet::{Restraint, RestraintKind, RestraintSet},
    id::{PermitId, TargetId},
    time::{MonoTime, Now, WallTime},
};
use serde::{Deserialize, Serialize};

/// The set in force, as the ledger holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FromController {
    /// The set as it was said.
    pub said: RestraintSet,
    /// When it came, on this host's clocks: what ends by itself ends so long after it, whatever the controller's clock says.
    pub came: Now,
    /// Epoch and generation of the newest set that this controller has ever had in force here.
    pub newest: (u64, u64),
    /// Epoch and number of the newest order of this controller that was heard here, whatever came of it.
    #[serde(default)]
    pub ordered: (u64, u64),
}

impl FromController {
    /// The restraints of a kind that are in force and cover a target.
    pub fn on(&self, now: Now, kind: RestraintKind, target: &TargetId) -> impl Iterator<Item = &Restraint> {
        let covers = move |restraint: &&Restraint| restraint.kind == kind && restraint.scope.holds(target);
        self.in_force(now).filter(covers)
    }

    /// Every restraint that has not ended by itself.
    pub fn in_force(&self, now: Now) -> impl Iterator<Item = &Restraint> {
        self.said.restraints.iter().filter(move |restraint| self.ends(restraint).is_none_or(|ends| now.mono < ends))
    }

    /// Since when a restraint is said to hold, by this host's clock.
    #[must_use]
    pub fn since(&self, restraint: &Restraint) -> WallTime {
        let ago = i64::try_from(self.said.at.since(restraint.since).as_millis()).unwrap_or(i64::MAX);
        WallTime(self.came.wall.0.saturating_sub(ago))
    }

    /// When a restraint ends by itself, on both clocks of this host as they are now; none when somebody must end it.
    #[must_use]
    pub fn end(&self, now: Now, restraint: &Restraint) -> Option<Now> {
        let left = self.left(restraint)?;
        let mono = self.came.mono.plus(left);
        Some(Now { mono, wall: super::shown(now, mono, self.came.wall.plus(left)) })
    }

    fn ends(&self, restraint: &Restraint) -> Option<MonoTime> {
        self.left(restraint).map(|left| self.came.mono.plus(left))
    }

    /// How long it was to last when it came.
    fn left(&self, restraint: &Restraint) -> Option<Duration> {
        restraint.until.map(|until| until.since(self.said.at))
    }
}

/// A permit that the host holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldPermit {
    /// Which one.
    pub id: PermitId,
    /// The controller's life in which it was given.
    pub epoch: u64,
    /// Nothing begins under it from then on: what begins is done before it ends.
    pub begins_before: MonoTime,
    /// When it ends.
    pub until: MonoTime,
    /// Whether something was begun under it.
    pub is_used: bool,
}

impl HeldPermit {
    /// Whether something may begin under it now, in this life of the controller.
    pub(crate) fn lets_begin(&self, now: MonoTime, epoch: u64) -> bool {
        self.epoch == epoch && now < self.begins_before
    }
}
