//! How a world must be found when it was left in peace: nothing is being healed, and what is well has no incident.

use std::time::Duration;

use ansai_model::{decision::Choice, id::TargetId, incident::Phase, unit::ActiveState};

use super::World;

/// Half minutes that a try after an escalation takes at most, and what waited for it.
const TRY_MAX: u32 = 60;

impl World {
    /// What a person has is tried again for ever: a try that has just begun is let end, and so is what it made well, which
    /// must stay so for a while.
    pub(super) fn lets_tries_end(&mut self) -> Result<(), String> {
        for _ in 0..TRY_MAX {
            let state = self.engine.state();
            // What is well ends only with the rest of its target: beside what a person has it stays open, as long as that lasts.
            let is_kept_open = |target: &TargetId| {
                state.incidents.values().any(|other| other.target == *target && other.healthy_since.is_none())
            };
            let mut well = state.incidents.values().filter(|incident| incident.healthy_since.is_some());
            let is_ending = well.any(|incident| !is_kept_open(&incident.target));
            if state.remediations.is_empty() && !is_ending {
                break;
            }
            self.pass(Duration::from_secs(30))?;
        }
        Ok(())
    }

    /// Safety is one half; the other is that it ends: nothing is being healed, and what is well has no incident.
    pub(super) fn at_rest(&self) -> Result<(), String> {
        let state = self.engine.state();
        self.checker.none_lost(state)?;
        if let Some(id) = state.remediations.keys().next() {
            return Err(format!(
                "goes_quiet: {id} is still being healed: {:?}: {:?}",
                state.remediations.get(id).map(|r| &r.stage),
                state.incidents.get(id).map(|i| &i.decision)
            ));
        }
        for incident in state.incidents.values() {
            let unit = self.units.iter().find(|(name, _)| name.as_str() == incident.target.name());
            let is_well = unit.is_some_and(|(_, unit)| unit.state == ActiveState::Active && unit.answers);
            let waits = incident.decision.as_ref().is_some_and(|decision| decision.choice == Choice::Defer);
            if is_well {
                return Err(format!("resolved_when_well: {} is {:?} though all is well", incident.id, incident.phase));
            }
            if !matches!(incident.phase, Phase::Escalated { .. }) && !waits && incident.symptom_of.is_none() {
                return Err(format!(
                    "resolved_or_escalated: {} is {:?}: {:?}",
                    incident.id, incident.phase, incident.decision
                ));
            }
        }
        Ok(())
    }
}
