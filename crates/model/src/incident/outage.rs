//! How long an incident's target was down: an incident may have several outages, and what was well between two of them is no
//! downtime. When something went and when it is well is found out by the engine.

use core::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Incident, Phase, Resolution, SinceBy};
use crate::{domain, time::Now};

/// The outages of an incident before its last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relapse {
    /// When it went the last time.
    pub went: Now,
    /// How often it had gone before.
    pub outages: u32,
    /// How long it was down then, together.
    pub down: Duration,
}

impl Incident {
    /// Whether what failed is down by it; otherwise it has no downtime.
    #[must_use]
    pub fn is_outage(&self) -> bool {
        domain::is_down(&self.target, &self.observation)
    }

    /// How long it was down in all its outages, once it has recovered from the last one or is withdrawn: no time of what was only foreseen or
    /// is told only, and nothing of what is no outage.
    #[must_use]
    pub fn downtime(&self) -> Option<Duration> {
        // What is withdrawn while it was down was so until then.
        let withdrawn = matches!(self.phase, Phase::Resolved(Resolution::Withdrawn { .. }));
        let healthy = self.healthy_since.or(self.ended.filter(|_| withdrawn))?;
        if self.is_foreseen() || self.kind.is_notify_only() {
            return Some(Duration::ZERO);
        }
        self.is_outage().then(|| down(self.failing_since, self.relapse, healthy))
    }

    /// When its last outage began and by what that is known, while it lasts.
    #[must_use]
    pub fn went(&self) -> Option<(Now, SinceBy)> {
        let last = self.relapse.map(|relapse| (relapse.went, SinceBy::Look));
        self.healthy_since.is_none().then(|| last.unwrap_or((self.failing_since, self.since_by)))
    }

    /// Notes that what had recovered went again.
    pub fn went_again(&mut self, went: Now) {
        let Some(healthy) = self.healthy_since.take() else { return };
        let outages = self.relapse.map_or(0, |before| before.outages).saturating_add(1);
        let down = down(self.failing_since, self.relapse, healthy);
        let went = if went.mono < healthy.mono { healthy } else { went };
        self.relapse = Some(Relapse { went, outages, down });
    }
}

/// How long something was down that went first at `since`, when its last outage lasts until `at`.
#[must_use]
pub fn down(since: Now, relapse: Option<Relapse>, at: Now) -> Duration {
    let last = relapse.map_or(since, |relapse| relapse.went);
    let before = relapse.map_or(Duration::ZERO, |relapse| relapse.down);
    before.saturating_add(at.mono.since(last.mono))
}
