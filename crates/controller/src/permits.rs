//! What is shown of permits, made of what the engine knows.

use ansai_protocol::{
    SCHEMA,
    views::{FleetPermits, PermitView, RoleView, WaitingView},
};

use crate::answer::Reading;

/// Who holds permits, who waits and why, and how much of each role may be disturbed.
pub(crate) fn permits(reading: &Reading<'_>) -> FleetPermits {
    let engine = reading.engine;
    let hosts = &engine.books().hosts;
    let held = engine.books().permits.values().filter_map(|permit| {
        Some(PermitView {
            id: permit.id,
            host: hosts.get(&permit.host)?.name.clone(),
            role: permit.role.clone(),
            incident: permit.incident,
            target: permit.target.clone(),
            what: permit.what.clone(),
            since_ms: permit.at.0,
            until_ms: permit.until.0,
        })
    });
    let waiting = engine.permits_waiting().map(|waiting| WaitingView {
        host: waiting.host.name.clone(),
        role: waiting.host.role.clone(),
        incident: waiting.wanted.incident,
        target: waiting.wanted.target.clone(),
        what: waiting.wanted.what.clone(),
        severity: waiting.wanted.severity,
        since_ms: waiting.since.0,
        why: waiting.why.cloned(),
    });
    let roles = engine.roles().into_iter().map(|role| RoleView {
        role: role.role,
        members: role.members,
        healthy: role.healthy,
        healthy_min: role.healthy_min,
        disturbed_max: role.disturbed_max,
    });
    FleetPermits {
        schema: SCHEMA,
        none_is_given: engine.why_none_is_given(),
        permits: held.collect(),
        waiting: waiting.collect(),
        roles: roles.collect(),
    }
}
