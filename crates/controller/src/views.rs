//! What is shown of the fleet, made of what the engine knows.

use ansai_fleet::standing::HostStanding;
use ansai_model::{cluster, fleet::FleetScope, observation::Health, time::WallTime};
use ansai_protocol::{
    link::{HostId, Short},
    record::TokenRecord,
    views::{HostTargetView, HostView, PendingView, RestraintView, TokenView},
};

use crate::answer::Reading;

/// Members, by name.
pub(crate) fn hosts(reading: &Reading<'_>) -> Vec<HostView> {
    reading.engine.hosts(reading.now).map(|host| view(reading, &host)).collect()
}

/// The first so many members of a scope, by name, from behind a name on.
pub(crate) fn hosts_of(
    reading: &Reading<'_>,
    over: Option<&FleetScope>,
    after: Option<&Short>,
    most: usize,
) -> Vec<HostView> {
    reading.engine.hosts_of(reading.now, over, after).take(most).map(|host| view(reading, &host)).collect()
}

fn view(reading: &Reading<'_>, host: &HostStanding<'_>) -> HostView {
    let record = host.record;
    let unwell = reading.unwell.of(record.id);
    let failing = unwell.iter().filter(|target| target.status.health == Health::Failing).count();
    let health = match (host.is_silent || host.connected.is_none(), failing, unwell.len()) {
        (true, ..) => Health::Unknown,
        (false, 0, 0) => Health::Healthy,
        (false, 0, _) => Health::Unknown,
        (false, ..) => Health::Failing,
    };
    HostView {
        id: record.id,
        name: record.name.clone(),
        role: record.role.clone(),
        labels: record.labels.clone(),
        program: record.program.clone(),
        address: record.address.clone(),
        is_connected: is_heard(host),
        heard_ms: host.heard.map(|WallTime(ms)| ms),
        ahead_ms: host.ahead_ms,
        joined_ms: record.joined.0,
        is_twin: host.are_twins,
        health,
        targets: host.targets,
        failing,
        open: host.open,
        over_ssh: record.over_ssh.as_ref().map(|over| over.destination.clone()),
        ssh_trouble: reading.ssh_troubles.get(&record.id).filter(|_| record.over_ssh.is_some()).cloned(),
    }
}

/// Whether what a host told last is how it is now.
fn is_heard(host: &HostStanding<'_>) -> bool {
    host.connected.is_some() && !host.is_silent
}

/// What is not healthy, by host and name.
pub(crate) fn unwell(reading: &Reading<'_>) -> Vec<HostTargetView> {
    let of = |host: HostStanding<'_>| {
        let (name, is_connected) = (host.record.name.clone(), is_heard(&host));
        reading.unwell.of(host.record.id).into_iter().map(move |target| HostTargetView {
            host: name.clone(),
            told_ms: target.at.0,
            is_connected,
            status: target.status.clone(),
        })
    };
    reading.engine.hosts(reading.now).flat_map(of).collect()
}

/// Who waits for a person.
pub(crate) fn pending(reading: &Reading<'_>) -> Vec<PendingView> {
    let books = reading.engine.books();
    let name_of = |id: HostId| books.hosts.get(&id).map(|host| host.name.clone());
    // One that was accepted waits for its certificate only.
    let waits = books.pending.values().filter(|waits| waits.accepted.is_none() && waits.until > reading.now.wall);
    waits
        .map(|waits| PendingView {
            fingerprint: waits.fingerprint,
            name: waits.name.clone(),
            address: waits.address.clone(),
            machine_id: waits.machine_id.clone(),
            program: waits.program.clone(),
            role: waits.role.clone(),
            labels: waits.labels.clone(),
            since_ms: waits.since.0,
            until_ms: waits.until.0,
            replaces: waits.replaces.and_then(name_of),
        })
        .collect()
}

/// Who is expected by name and has not joined.
pub(crate) fn expected(reading: &Reading<'_>) -> Vec<String> {
    let members = reading.engine.books().hosts.values().map(|host| host.name.as_str());
    cluster::missing(reading.expected, members).into_iter().map(str::to_owned).collect()
}

/// What was said for many, with who obeys it.
pub(crate) fn restraints(reading: &Reading<'_>) -> Vec<RestraintView> {
    let all = reading.engine.restraints();
    all.map(|(restraint, reached)| RestraintView {
        id: restraint.id,
        kind: restraint.kind,
        over: restraint.over.to_string(),
        scope: restraint.scope.to_string(),
        reason: restraint.reason.clone(),
        by: restraint.by.clone(),
        since_ms: restraint.since.0,
        until_ms: restraint.until.map(|WallTime(ms)| ms),
        hosts: usize::try_from(reached.meant).unwrap_or(usize::MAX),
        missing: reached.missing.into_iter().map(|missing| missing.host).collect(),
        end: restraint.end_command(),
    })
    .collect()
}

/// Tokens, the newest first.
pub(crate) fn tokens(reading: &Reading<'_>) -> Vec<TokenView> {
    let mut all: Vec<&TokenRecord> = reading.engine.books().tokens.values().collect();
    all.sort_by_key(|token| std::cmp::Reverse(token.made));
    let is_good = |token: &TokenRecord| {
        let is_for_some = token.uses_left > 0 || token.access.is_some();
        token.revoked.is_none() && is_for_some && token.until > reading.now.wall
    };
    all.into_iter()
        .map(|token| TokenView {
            id: token.id,
            role: token.role.clone(),
            uses_left: token.uses_left,
            until_ms: token.until.0,
            by: token.by.clone(),
            used_ms: token.used.map(|WallTime(ms)| ms),
            is_good: is_good(token),
            access: token.access.clone(),
        })
        .collect()
}
