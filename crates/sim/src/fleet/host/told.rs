//! What a simulated host tells of its targets, and again until it is kept.

use ansai_model::{id::TargetId, observation::Health, time::Now};
use ansai_protocol::{
    TargetStatus,
    link::{CHANGES_MAX, Change, FeedId, FromHost},
};

use super::{EXTRA, SERVICES, SimHost};

impl SimHost {
    /// The link is up: what is not kept is told, all of it when nothing of this feed is.
    pub(in crate::fleet) fn is_welcomed(&mut self, kept: Option<(FeedId, u64)>, now: Now) {
        self.beats = now.mono;
        // A controller that was brought back from a copy has less than it once said: the rest is forgotten here.
        match kept.filter(|(feed, through)| *feed == self.feed && *through >= self.confirmed) {
            Some((_, through)) => self.is_kept(through),
            None => {
                self.unkept.clear();
                let targets: Vec<Change> = (0..SERVICES.len()).filter_map(|which| self.target(which)).collect();
                let extra = self.has_extra.then(|| self.extra()).flatten();
                for change in [Change::Anew].into_iter().chain(targets).chain(extra).chain([Change::Told]) {
                    self.numbered += 1;
                    self.unkept.push_back((self.numbered, change));
                }
            }
        }
        let unkept: Vec<(u64, Change)> = self.unkept.iter().cloned().collect();
        for part in unkept.chunks(CHANGES_MAX) {
            let (first, changes) = (part[0].0, part.iter().map(|(_, change)| change.clone()).collect());
            self.says(FromHost::Changes { first, changes });
        }
    }

    /// The controller has changes up to this number on its disk.
    pub(in crate::fleet) fn is_kept(&mut self, through: u64) {
        self.confirmed = self.confirmed.max(through);
        self.unkept.retain(|(number, _)| *number > through);
    }

    /// The names of the targets that it has.
    pub(in crate::fleet) fn targets(&self) -> Vec<&'static str> {
        SERVICES.into_iter().chain(self.has_extra.then_some(EXTRA)).collect()
    }

    fn target(&self, which: usize) -> Option<Change> {
        status(SERVICES[which], if self.up[which] { Health::Healthy } else { Health::Failing })
    }

    fn extra(&self) -> Option<Change> {
        match self.has_extra {
            true => status(EXTRA, Health::Healthy),
            false => TargetId::of("service", EXTRA).ok().map(Change::TargetGone),
        }
    }

    /// Its configuration has one target more, or one less.
    pub(in crate::fleet) fn is_configured_anew(&mut self) {
        self.has_extra = !self.has_extra;
        let change = self.extra();
        self.tells(change);
    }

    pub(super) fn changed(&mut self, which: usize) {
        let change = self.target(which);
        self.tells(change);
    }

    fn tells(&mut self, change: Option<Change>) {
        let Some(change) = change else { return };
        self.numbered += 1;
        // What is longer ago than can be kept is told anew one day; here it is not.
        self.unkept.push_back((self.numbered, change.clone()));
        self.says(FromHost::Changes { first: self.numbered, changes: vec![change] });
    }

    /// How many changes are not known to be kept.
    pub(in crate::fleet) fn untold(&self) -> usize {
        self.unkept.len()
    }
}

/// A target as it is told.
fn status(name: &str, health: Health) -> Option<Change> {
    let target = TargetId::of("service", name).ok()?;
    Some(Change::Target(Box::new(TargetStatus {
        target,
        health,
        summary: "sim".into(),
        incident: None,
        explanation: "sim".into(),
        is_critical: false,
        autonomy: None,
        is_held: false,
        stopped: None,
        warning: None,
    })))
}
