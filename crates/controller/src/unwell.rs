//! The targets of the fleet that are not healthy, as their hosts told them last and the store has them. All others are only
//! counted by the engine: most are healthy, and nobody asks how.

use std::collections::BTreeMap;

use ansai_model::{id::TargetId, observation::Health};
use ansai_protocol::{
    link::HostId,
    record::{FleetState, HostTarget, Record},
};

/// What is not healthy.
#[derive(Debug, Default)]
pub(crate) struct Unwell(BTreeMap<HostId, BTreeMap<TargetId, HostTarget>>);

impl Unwell {
    /// As the store has it.
    pub(crate) fn new(state: &FleetState) -> Self {
        let mut unwell = Self::default();
        state.targets.iter().for_each(|target| unwell.put(target));
        unwell
    }

    /// Takes over what was kept.
    pub(crate) fn take(&mut self, record: &Record) {
        match record {
            Record::Target(target) => self.put(target),
            Record::TargetGone { host, target } => self.drop_target(*host, target),
            Record::HostGone(host) => drop(self.0.remove(host)),
            _ => {}
        }
    }

    /// Whether a record says something of this.
    pub(crate) fn is_about(record: &Record) -> bool {
        matches!(record, Record::Target(_) | Record::TargetGone { .. } | Record::HostGone(_))
    }

    fn put(&mut self, target: &HostTarget) {
        let name = &target.status.target;
        match target.status.health {
            Health::Healthy => self.drop_target(target.host, name),
            Health::Failing | Health::Unknown => {
                self.0.entry(target.host).or_default().insert(name.clone(), target.clone());
            }
        }
    }

    fn drop_target(&mut self, host: HostId, target: &TargetId) {
        let Some(targets) = self.0.get_mut(&host) else { return };
        targets.remove(target);
        if targets.is_empty() {
            self.0.remove(&host);
        }
    }

    /// Those of a host, by name.
    pub(crate) fn of(&self, host: HostId) -> Vec<&HostTarget> {
        self.0.get(&host).into_iter().flat_map(BTreeMap::values).collect()
    }
}

#[cfg(test)]
mod tests {
    use ansai_model::time::WallTime;
    use ansai_protocol::TargetStatus;

    use super::*;

    fn target(host: HostId, name: &str, health: Health) -> Record {
        let status = TargetStatus {
            target: TargetId::new(name).expect("valid"),
            health,
            summary: "".into(),
            incident: None,
            explanation: "".into(),
            is_critical: false,
            autonomy: None,
            is_held: false,
            stopped: None,
            warning: None,
        };
        Record::Target(HostTarget { host, at: WallTime(1), status })
    }

    #[test]
    fn what_becomes_healthy_or_goes_is_forgotten() {
        let [a, b] = [1, 2].map(|n| HostId::of_chance([n; 16]));
        let mut unwell = Unwell::default();
        let (app, db) = ("service/app.service", "service/db.service");
        let told =
            [(a, app, Health::Failing), (a, db, Health::Unknown), (b, app, Health::Failing), (b, db, Health::Healthy)];
        told.iter().for_each(|(host, name, health)| unwell.take(&target(*host, name, *health)));
        assert_eq!((unwell.of(a).len(), unwell.of(b).len()), (2, 1));
        unwell.take(&target(a, app, Health::Healthy));
        unwell.take(&Record::TargetGone { host: a, target: TargetId::new(db).expect("valid") });
        unwell.take(&Record::HostGone(b));
        assert!(unwell.0.is_empty());
    }
}
