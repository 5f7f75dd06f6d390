//! What people mend meanwhile, and what a look at an incident's obstacle is told of it: when its cause was seen to be gone.

use std::collections::BTreeMap;

use ansai_model::{
    action::ActionRun,
    condition::Value,
    id::{CheckId, IncidentId, TargetId},
    observation::{Health, Observation},
    probe::Probe,
    time::Now,
};

/// Books on what was mended, kept apart from those of the engine.
#[derive(Debug, Default)]
pub(super) struct Mending {
    /// How often somebody has changed what the units read.
    pub(super) edits: u32,
    /// What a look for an incident was last told of that.
    told: BTreeMap<IncidentId, u32>,
    /// What it had been told when it was last tried to heal it.
    tried: BTreeMap<IncidentId, u32>,
    /// When a look was last told that what an incident of the target waits for is gone.
    gone: BTreeMap<TargetId, Now>,
}

impl Mending {
    /// What a look at the files of a unit sees.
    pub(super) fn files(&self) -> Observation {
        Observation::healthy("as they are").with_figure(Probe::PRINT, Value::Number(f64::from(self.edits)))
    }

    /// Notes when a look at what an incident waits for is told that it is gone.
    pub(super) fn shows(&mut self, now: Now, check: &CheckId, probe: &Probe, target: &TargetId, seen: &Observation) {
        let number = check.as_str().rsplit_once("#=again-i").and_then(|(_, number)| number.parse().ok());
        let Some(id) = number.map(IncidentId) else { return };
        let is_gone = match probe {
            Probe::Tcp { .. } => seen.health() == Health::Failing,
            Probe::UnitFiles { .. } => {
                self.told.insert(id, self.edits);
                self.tried.get(&id) != Some(&self.edits)
            }
            _ => seen.health() == Health::Healthy,
        };
        if is_gone {
            self.gone.insert(target.clone(), now);
        }
    }

    /// An action begins.
    pub(super) fn begins(&mut self, run: &ActionRun) {
        if let Some(id) = run.incident {
            self.tried.insert(id, self.told.get(&id).copied().unwrap_or(self.edits));
        }
    }

    /// When what an incident of the target waits for was last seen to be gone.
    pub(super) fn gone(&self, target: &TargetId) -> Option<Now> {
        self.gone.get(target).copied()
    }
}
