//! What containers are to the list of domains.

use std::time::Duration;

use ansai_model::{
    action::{ActionOutcome, ActionRun},
    domain::container::{ContainerAction, ContainerProbe},
    incident::{Evidence, EvidenceRequest},
    observation::Observation,
    time::Shown,
};
use futures_util::future::BoxFuture;

use super::{act, evidence, pretend};
use crate::{
    fake::Machine,
    linux::{
        LinuxHost,
        ability::{Ability, needs::Collected},
        act::Planned,
        domain::{Acts, Observes},
        probe::Context,
        systemd::Bus,
    },
};

/// Where the engines of root listen.
const SOCKETS: &[&str] = &["/run/docker.sock", "/run/podman/podman.sock"];

impl Observes for ContainerProbe {
    fn observe<'a>(&'a self, host: &'a LinuxHost, timeout: Duration) -> BoxFuture<'a, Observation> {
        Box::pin(async move {
            let looked = tokio::time::timeout(timeout, super::observe(host, self)).await;
            let late = |_| Observation::unknown(format!("its engine has not answered within {}", Shown(timeout)));
            looked.unwrap_or_else(late)
        })
    }

    fn gather<'a>(
        &'a self,
        context: &'a Context,
        bus: Option<&'a Bus>,
        request: &'a EvidenceRequest,
    ) -> BoxFuture<'a, Vec<Evidence>> {
        Box::pin(evidence::gather(context, bus, self, request.failed))
    }

    /// The log of a run and what its health check said are another's after a restart.
    fn is_of_the_moment(&self) -> bool {
        true
    }

    fn needs(&self, who: &str, all: &mut Collected) {
        SOCKETS.iter().for_each(|socket| all.add(who, Ability::Socket((*socket).into())));
    }

    fn pretend(&self, machine: &Machine) -> Observation {
        pretend::seen(machine, self)
    }
}

impl Acts for ContainerAction {
    fn perform<'a>(&'a self, host: &'a LinuxHost, run: &'a ActionRun) -> BoxFuture<'a, ActionOutcome> {
        Box::pin(act::perform(host, self, run))
    }

    fn plan<'a>(&'a self, host: &'a LinuxHost) -> BoxFuture<'a, Planned> {
        Box::pin(act::plan(host, self))
    }

    fn needs(&self, who: &str, all: &mut Collected) {
        SOCKETS.iter().for_each(|socket| all.add(who, Ability::Socket((*socket).into())));
    }

    fn pretend(&self, machine: &mut Machine) -> Option<ActionOutcome> {
        Some(pretend::restart(machine, self))
    }
}
