//! Verification: a succeeded action alone is not success; every check of the target must say so, and keep saying so.

use alloc::{format, string::String, vec::Vec};

use ansai_model::{
    incident::{Incident, Phase},
    observation::Health,
    probe::Probe,
    text::Text,
    time::{MonoTime, Now},
};

use crate::{check::CheckState, incident::STABLE_DEFAULT, remediation::Stage, view::View};

/// What the checks say after a remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verification {
    /// All healthy; what they saw.
    Passed(Text),
    /// Waiting would not help.
    Failed(Text),
    /// Not all healthy yet; what is missing.
    Pending(Text),
}

impl<'a> View<'a> {
    /// What the checks of an incident's target say in looks begun after `since`.
    pub(crate) fn verification(self, incident: &Incident, since: MonoTime) -> Verification {
        let checks = self.checks_to_verify(incident);
        if checks.is_empty() {
            return Verification::Failed("nothing looks at the target any more".into());
        }
        let mut seen: Vec<String> = Vec::new();
        let mut pending = None;
        for check in checks {
            let name = check.check.id.name();
            let Some((_, observation)) = check.last.as_ref().filter(|_| check.looked_at.is_some_and(|at| at >= since))
            else {
                pending.get_or_insert_with(|| Text::new(format!("{name} has not been looked at since")));
                continue;
            };
            match observation.health() {
                Health::Healthy => seen.push(format!("{name}: {}", observation.summary())),
                // A unit that is down again will not come up by waiting.
                Health::Failing if matches!(check.check.probe, Probe::Unit { .. } | Probe::Process { .. }) => {
                    return Verification::Failed(observation.summary().clone());
                }
                Health::Failing | Health::Unknown => {
                    pending.get_or_insert_with(|| Text::new(format!("{name}: {}", observation.summary())));
                }
            }
        }
        match pending {
            Some(why) => Verification::Pending(why),
            None => Verification::Passed(Text::new(seen.join("; "))),
        }
    }

    /// Why a target that was verified is failing again, when it is.
    pub(crate) fn fails_again(self, incident: &Incident) -> Option<Text> {
        self.checks_of(incident).into_iter().find_map(|check| {
            let (_, observation) = check.last.as_ref()?;
            let is_enough = check.failures >= check.check.fail_after;
            (observation.health() == Health::Failing && is_enough).then(|| observation.summary().clone())
        })
    }

    /// Since when all that an incident is about is well, when it is: until that has lasted it is open still, and so it is while
    /// its checks change too often to be believed. Nothing while something is done about it, but for the wait between two tries.
    pub(crate) fn well_since(self, incident: &Incident) -> Option<Now> {
        let waits = || {
            let remediation = self.state.remediations.get(&incident.id);
            remediation.is_none_or(|remediation| matches!(remediation.stage, Stage::BackingOff { .. }))
        };
        let healthy = incident.healthy_since.filter(|_| incident.phase != Phase::Remediating || waits())?;
        match self.died_since_well(incident) {
            Some((died, until)) => (until <= self.now.mono).then(|| self.now.at(died)),
            None => Some(healthy),
        }
    }

    /// When systemd last had to restart by itself what an incident is about, since it was found well, and until when it must run
    /// from then on to be well: each look between two deaths finds it so.
    pub(crate) fn died_since_well(self, incident: &Incident) -> Option<(MonoTime, MonoTime)> {
        let well = incident.healthy_since?;
        let died = self.checks_to_verify(incident).into_iter().filter_map(CheckState::died_at);
        let died = died.filter(|died| *died > well.mono).max()?;
        Some((died, died.plus(self.policy_of(incident).map_or(STABLE_DEFAULT, |policy| policy.stable_for))))
    }

    /// Whether every check of an incident's target is hard healthy now, and none flaps. What nobody looks at is not well.
    pub(crate) fn is_well(self, incident: &Incident) -> bool {
        self.looks_well(incident) && self.checks_to_verify(incident).iter().all(|check| !check.is_flapping)
    }

    /// Whether every check of an incident's target is hard healthy now, however often that changes.
    pub(crate) fn looks_well(self, incident: &Incident) -> bool {
        let checks = self.checks_to_verify(incident);
        let is_well = |check: &CheckState| {
            let is_healthy = check.last.as_ref().is_some_and(|(_, seen)| seen.health() == Health::Healthy);
            is_healthy && check.hard == Health::Healthy
        };
        !checks.is_empty() && checks.into_iter().all(is_well)
    }
}
