//! What databases are to the list of domains.

use std::time::Duration;

use ansai_model::{
    action::{ActionOutcome, ActionRun},
    domain::database::{DatabaseAction, DatabaseProbe},
    incident::{Evidence, EvidenceRequest},
    observation::Observation,
    time::Shown,
};
use futures_util::future::BoxFuture;

use super::{act, around, evidence, pretend};
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

fn needs_socket(postgresql: &str, who: &str, all: &mut Collected) {
    all.add(who, Ability::Socket(around::socket(postgresql).to_string_lossy().into_owned()));
    // Who manages it besides is known by what runs.
    all.add(who, Ability::SeeProcesses);
}

impl Observes for DatabaseProbe {
    fn observe<'a>(&'a self, host: &'a LinuxHost, timeout: Duration) -> BoxFuture<'a, Observation> {
        Box::pin(async move {
            let looked = tokio::time::timeout(timeout, super::observe(host, self)).await;
            looked.unwrap_or_else(|_| Observation::unknown(format!("it could not be asked within {}", Shown(timeout))))
        })
    }

    fn gather<'a>(
        &'a self,
        context: &'a Context,
        _: Option<&'a Bus>,
        _: &'a EvidenceRequest,
    ) -> BoxFuture<'a, Vec<Evidence>> {
        Box::pin(evidence::gather(context, self))
    }

    /// After an end nobody waits any more.
    fn is_of_the_moment(&self) -> bool {
        true
    }

    fn needs(&self, who: &str, all: &mut Collected) {
        needs_socket(&self.postgresql, who, all);
    }

    fn pretend(&self, machine: &Machine) -> Observation {
        pretend::seen(machine, self)
    }
}

impl Acts for DatabaseAction {
    fn perform<'a>(&'a self, host: &'a LinuxHost, run: &'a ActionRun) -> BoxFuture<'a, ActionOutcome> {
        Box::pin(act::perform(host, self, run))
    }

    fn plan<'a>(&'a self, host: &'a LinuxHost) -> BoxFuture<'a, Planned> {
        Box::pin(act::plan(host, self))
    }

    fn needs(&self, who: &str, all: &mut Collected) {
        let Self::EndIdle { postgresql, .. } = self;
        needs_socket(postgresql, who, all);
    }

    fn pretend(&self, machine: &mut Machine) -> Option<ActionOutcome> {
        Some(pretend::end(machine, self))
    }
}
