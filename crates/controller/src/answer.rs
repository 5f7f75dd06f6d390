//! What is read: of the engine at once, of the store beside the loop, since a disk may take its time.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use ansai_fleet::FleetEngine;
use ansai_model::{fleet::FleetScope, id::IncidentId, text::Text, time::Now};
use ansai_protocol::{
    ReportAnswer, SCHEMA,
    link::{ControllerId, HostId, Short},
    views::{
        FleetAudit, FleetHosts, FleetIncident, FleetIncidents, FleetStatus, FleetTokens, HostsAsked, IncidentsAsked,
    },
};
use ansai_socket::problem;
use ansai_store::{
    Store, StoreError,
    page::{IncidentsOf, PAGE_MAX, Which},
};
use bytes::Bytes;
use hyper::StatusCode;
use serde::Serialize;
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

use crate::{api::Reply, figures::Figures, unwell::Unwell, views};

/// Most entries of what was done that are told at once.
const DONE_MAX: usize = 200;

/// What answers are made from.
pub(crate) struct Reading<'a> {
    pub(crate) engine: &'a FleetEngine,
    pub(crate) unwell: &'a Unwell,
    pub(crate) store: &'a Arc<dyn Store>,
    pub(crate) tasks: &'a TaskTracker,
    /// The hosts that are to join, by name.
    pub(crate) expected: &'a [String],
    pub(crate) now: Now,
    pub(crate) controller: ControllerId,
    pub(crate) epoch: u64,
    pub(crate) uptime: Duration,
    /// How many messages wait in the outbox of which nobody can be told.
    pub(crate) untold: usize,
    /// Why hosts are not reached over SSH, of those that are not.
    pub(crate) ssh_troubles: &'a BTreeMap<HostId, Text>,
}

/// A document as JSON.
pub(crate) fn json(document: &impl Serialize) -> Reply {
    serde_json::to_vec(document)
        .map(Bytes::from)
        .map_err(|error| problem(StatusCode::INTERNAL_SERVER_ERROR, error.to_string(), "see the controller's log"))
}

fn unread(error: &StoreError) -> (StatusCode, ansai_protocol::Problem) {
    problem(StatusCode::INTERNAL_SERVER_ERROR, error.to_string(), error.suggestion())
}

/// Writes a document beside the loop, since one of many hosts takes its time, and answers with it.
fn written(reading: &Reading<'_>, reply: oneshot::Sender<Reply>, document: impl Serialize + Send + 'static) {
    beside(reading, reply, move |_| json(&document));
}

/// Writes the page of figures beside the loop.
pub(crate) fn page(reading: &Reading<'_>, reply: oneshot::Sender<Reply>, figures: Figures) {
    beside(reading, reply, move |_| Ok(figures.text().into()));
}

pub(crate) fn status(reading: &Reading<'_>, reply: oneshot::Sender<Reply>) {
    let status = FleetStatus {
        schema: SCHEMA,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        controller: reading.controller,
        epoch: reading.epoch,
        uptime_seconds: reading.uptime.as_secs(),
        store_error: reading.store.plight(),
        untold: reading.engine.messages_for_nobody() + reading.untold,
        pending: views::pending(reading).len(),
        expected: views::expected(reading).len(),
        own: reading.engine.books().open_of(None).cloned().collect(),
        restraints: views::restraints(reading),
        hosts: views::hosts(reading),
        unwell: views::unwell(reading),
    };
    written(reading, reply, status);
}

pub(crate) fn hosts(reading: &Reading<'_>, reply: oneshot::Sender<Reply>) {
    let (hosts, pending, expected) = (views::hosts(reading), views::pending(reading), views::expected(reading));
    written(reading, reply, FleetHosts { schema: SCHEMA, hosts, pending, expected, next: None });
}

pub(crate) fn hosts_of(reading: &Reading<'_>, asked: HostsAsked, reply: oneshot::Sender<Reply>) {
    let most = asked.limit.clamp(1, PAGE_MAX);
    let mut hosts = views::hosts_of(reading, asked.over.as_ref(), asked.after.as_ref(), most + 1);
    let more = hosts.split_off(hosts.len().min(most));
    let next = hosts.last().filter(|_| !more.is_empty()).map(|last| last.name.clone());
    let (pending, expected) = (views::pending(reading), views::expected(reading));
    written(reading, reply, FleetHosts { schema: SCHEMA, hosts, pending, expected, next });
}

pub(crate) fn tokens(reading: &Reading<'_>) -> Reply {
    json(&FleetTokens { schema: SCHEMA, tokens: views::tokens(reading) })
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
    let over = asked.over.filter(|over| *over != FleetScope::Fleet);
    let hosts: Option<Vec<HostId>> = over.map(|over| reading.engine.meant(&over));
    let after = match asked.after.map(|after| after.parse()).transpose() {
        Ok(after) => after,
        Err(error) => {
            let refused = problem(StatusCode::BAD_REQUEST, format!("`after`: {error}"), "leave it out to begin anew");
            return drop(reply.send(Err(refused)));
        }
    };
    let which = if asked.open { Which::Open } else { Which::All };
    let of = IncidentsOf { hosts, targets: asked.targets, which, after, most: asked.limit };
    // Ten thousand names are counted references; which of them the page needs is not known before it is read.
    let names: BTreeMap<HostId, Short> =
        reading.engine.books().hosts.values().map(|host| (host.id, host.name.clone())).collect();
    beside(reading, reply, move |store| {
        let page = store.incidents(&of).map_err(|error| unread(&error))?;
        let named = |host: HostId| names.get(&host).map_or_else(|| host.to_string(), ToString::to_string);
        let incidents =
            page.incidents.into_iter().map(|one| FleetIncident { host: one.host.map(named), incident: one.incident });
        let next = page.next.map(|next| next.to_string());
        json(&FleetIncidents { schema: SCHEMA, incidents: incidents.collect(), next })
    });
}

pub(crate) fn report(reading: &Reading<'_>, host: &str, incident: IncidentId, reply: oneshot::Sender<Reply>) {
    let member = reading.engine.books().host_named(host);
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
