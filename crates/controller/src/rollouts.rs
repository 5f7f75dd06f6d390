//! What is shown of the fleet's configuration, made of what the engine knows.

use ansai_model::time::WallTime;
use ansai_protocol::{
    SCHEMA,
    link::{HostId, Short},
    operation::FleetAnswer,
    record::{RolloutRecord, RolloutState},
    views::{DriftView, FleetDrift, FleetPlan, FleetRollouts, PlanAsked, PlannedHost, RolloutHostView, RolloutView},
};

use crate::answer::Reading;

fn name_of(reading: &Reading<'_>, host: HostId) -> Option<Short> {
    reading.engine.books().hosts.get(&host).map(|host| host.name.clone())
}

/// How configurations came to the hosts.
pub(crate) fn rollouts(reading: &Reading<'_>) -> FleetRollouts {
    let newest_first = reading.engine.books().rollouts.values().rev();
    FleetRollouts { schema: SCHEMA, rollouts: newest_first.map(|rollout| view(reading, rollout)).collect() }
}

fn view(reading: &Reading<'_>, rollout: &RolloutRecord) -> RolloutView {
    let (state, why) = match &rollout.state {
        RolloutState::Running => ("running", None),
        RolloutState::Done => ("done", None),
        RolloutState::Stopped { why } => ("stopped", Some(why.clone())),
    };
    let waves = rollout.waves.iter().enumerate();
    let hosts = waves.flat_map(|(number, wave)| wave.iter().map(move |host| (number + 1, *host)));
    let hosts = hosts.map(|(wave, host)| RolloutHostView {
        host: name_of(reading, host).map_or_else(|| host.to_string(), |name| name.to_string()),
        wave,
        progress: rollout.hosts.get(&host).map(|told| told.progress.clone()),
    });
    let WallTime(at_ms) = rollout.at;
    RolloutView {
        generation: rollout.generation,
        reverts: rollout.reverts,
        by: rollout.by.clone(),
        at_ms,
        soak_ms: rollout.soak_ms,
        state: state.to_owned(),
        why,
        wave: rollout.wave + 1,
        waves: rollout.waves.len(),
        hosts: hosts.collect(),
    }
}

/// Hosts whose configuration is not what the fleet says.
pub(crate) fn drift(reading: &Reading<'_>) -> FleetDrift {
    let drift = reading.engine.drift().filter_map(|drift| {
        let host = name_of(reading, drift.host)?;
        Some(DriftView { host, wanted: drift.wanted, has: drift.has, why: drift.why })
    });
    FleetDrift { schema: SCHEMA, hosts: reading.engine.books().hosts.len(), drift: drift.collect() }
}

/// What would come of files.
pub(crate) fn plan(reading: &Reading<'_>, asked: &PlanAsked) -> Result<FleetPlan, FleetAnswer> {
    let planned = reading.engine.plan(&asked.files, asked.canary)?;
    let books = reading.engine.books();
    let newest = books.bundles.keys().next_back().copied().unwrap_or(0);
    let done = books.rollouts.values().rev().find(|rollout| rollout.state == RolloutState::Done);
    let before = done.and_then(|rollout| books.bundles.get(&rollout.generation));
    let hosts = planned.into_iter().filter_map(|planned| {
        let host = books.hosts.get(&planned.host)?;
        Some(PlannedHost {
            host: host.name.clone(),
            role: host.role.clone(),
            wave: planned.wave.map(|wave| wave + 1),
            is_changed: planned.is_changed,
            files: planned.files.into_iter().map(|file| file.name).collect(),
        })
    });
    Ok(FleetPlan {
        schema: SCHEMA,
        generation: newest.saturating_add(1),
        before_generation: before.map_or(0, |before| before.generation),
        before: before.map(|before| before.files.clone()).unwrap_or_default(),
        hosts: hosts.collect(),
    })
}
