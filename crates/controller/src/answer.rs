//! What is read: of the engine at once, of the store beside the loop, since a disk may take its time.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use ansai_fleet::FleetEngine;
use ansai_model::{fleet::FleetScope, id::IncidentId, text::Text, time::Now};
use ansai_protocol::{
    ReportAnswer, SCHEMA,
    link::{ControllerId, HostId},
    views::{
        FleetAudit, FleetHosts, FleetIncident, FleetIncidents, FleetStatus, FleetTokens, HostView, IncidentsAsked,
    },
};
use ansai_socket::problem;
use ansai_store::{
    Store, StoreError,
    page::{IncidentsOf, Which},
};
use hyper::StatusCode;
use serde::Serialize;
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

use crate::{api::Reply, unwell::Unwell, views};

/// Most entries of what was done that are told at once.
const DONE_MAX: usize = 200;

/// What answers are made from.
pub(crate) struct Reading<'a> {
    pub(crate) engine: &'a FleetEngine,
    pub(crate) unwell: &'a Unwell,
    pub(crate) store: &'a Arc<dyn Store>,
    pub(crate) tasks: &'a TaskTracker,
    pub(crate) now: Now,
    pub(crate) controller: ControllerId,
    pub(crate) epoch: u64,
    pub(crate) uptime: Duration,
}

/// A document as JSON.
pub(crate) fn json(document: &impl Serialize) -> Reply {
    serde_json::to_value(document)
        .map_err(|error| problem(StatusCode::INTERNAL_SERVER_ERROR, error.to_string(), "see the controller's log"))
}

fn unread(error: &StoreError) -> (StatusCode, ansai_protocol::Problem) {
    problem(StatusCode::INTERNAL_SERVER_ERROR, error.to_string(), error.suggestion())
}

pub(crate) fn status(reading: &Reading<'_>) -> Reply {
    json(&FleetStatus {
        schema: SCHEMA,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        controller: reading.controller,
        epoch: reading.epoch,
        uptime_seconds: reading.uptime.as_secs(),
        store_error: reading.store.plight(),
        pending: views::pending(reading).len(),
        restraints: views::restraints(reading),
        hosts: views::hosts(reading),
        unwell: views::unwell(reading),
    })
}

pub(crate) fn hosts(reading: &Reading<'_>) -> Reply {
    json(&FleetHosts { schema: SCHEMA, hosts: views::hosts(reading), pending: views::pending(reading) })
}

pub(crate) fn tokens(reading: &Reading<'_>) -> Reply {
    json(&FleetTokens { schema: SCHEMA, tokens: views::tokens(reading) })
}

/// Whether a host is among those that are meant.
fn is_over(over: &FleetScope, host: &HostView) -> bool {
    match over {
        FleetScope::Fleet => true,
        FleetScope::Host(name) => host.name.as_str() == name.as_str(),
        FleetScope::Role(role) => host.role.as_ref().is_some_and(|has| has.as_str() == role.as_str()),
        FleetScope::Label { key, value } => {
            host.labels.iter().any(|(has, is)| has.as_str() == key.as_str() && is.as_str() == value.as_str())
        }
    }
}

/// Reads beside the loop, and answers when that is done.
fn beside(
    reading: &Reading<'_>,
    reply: oneshot::Sender<Reply>,
    read: impl FnOnce(&dyn Store) -> Reply + Send + 'static,
) {
    let store = reading.store.clone();
    reading.tasks.spawn_blocking(move || {
        // Whoever asked may have gone.
        let _ = reply.send(read(&*store));
    });
}

pub(crate) fn incidents(reading: &Reading<'_>, asked: IncidentsAsked, reply: oneshot::Sender<Reply>) {
    let members = views::hosts(reading);
    let over = asked.over.filter(|over| *over != FleetScope::Fleet);
    let hosts: Option<Vec<HostId>> =
        over.map(|over| members.iter().filter(|host| is_over(&over, host)).map(|host| host.id).collect());
    let after = match asked.after.map(|after| after.parse()).transpose() {
        Ok(after) => after,
        Err(error) => {
            let refused = problem(StatusCode::BAD_REQUEST, format!("`after`: {error}"), "leave it out to begin anew");
            return drop(reply.send(Err(refused)));
        }
    };
    let which = if asked.open { Which::Open } else { Which::All };
    let of = IncidentsOf { hosts, targets: asked.targets, which, after, most: asked.limit };
    let names: BTreeMap<HostId, String> = members.into_iter().map(|host| (host.id, host.name.to_string())).collect();
    beside(reading, reply, move |store| {
        let page = store.incidents(&of).map_err(|error| unread(&error))?;
        let named = |host: HostId| names.get(&host).cloned().unwrap_or_else(|| host.to_string());
        let incidents =
            page.incidents.into_iter().map(|one| FleetIncident { host: one.host.map(named), incident: one.incident });
        let next = page.next.map(|next| next.to_string());
        json(&FleetIncidents { schema: SCHEMA, incidents: incidents.collect(), next })
    });
}

pub(crate) fn report(reading: &Reading<'_>, host: &str, incident: IncidentId, reply: oneshot::Sender<Reply>) {
    let member = views::hosts(reading).into_iter().find(|member| member.name.as_str() == host);
    // One that is no member any more is asked for by its id: what happened on it stays.
    let Some(id) = member.map(|member| member.id).or_else(|| host.parse().ok()) else {
        let what = Text::new(format!("no host of the fleet is called `{host}`"));
        return drop(reply.send(Err(problem(StatusCode::NOT_FOUND, what, "`ansai hosts list` lists them"))));
    };
    let host = host.to_owned();
    beside(reading, reply, move |store| match store.report(&id, incident).map_err(|error| unread(&error))? {
        Some(report) => json(&ReportAnswer { schema: SCHEMA, host, report }),
        None => Err(problem(
            StatusCode::NOT_FOUND,
            format!("there is no report on {incident} of {host}"),
            format!("`ansai incidents --host {host}` lists what happened there"),
        )),
    });
}

pub(crate) fn audit(reading: &Reading<'_>, reply: oneshot::Sender<Reply>) {
    beside(reading, reply, |store| {
        let entries = store.audit(None, DONE_MAX).map_err(|error| unread(&error))?;
        let entries = entries.into_iter().map(|entry| (entry.number, entry.done)).collect();
        json(&FleetAudit { schema: SCHEMA, entries })
    });
}
