//! What the memory of units is to the list of domains.

use std::time::Duration;

use ansai_model::{
    action::{ActionOutcome, ActionRun},
    domain::memory::{MemoryAction, MemoryProbe, Release},
    incident::{Evidence, EvidenceRequest},
    observation::Observation,
};
use futures_util::future::BoxFuture;

use super::{act, evidence, pretend};
use crate::{
    fake::Machine,
    linux::{
        LinuxHost,
        ability::{Ability, MissingProgram, needs::Collected},
        act::Planned,
        domain::{Acts, Observes},
        probe::Context,
        systemd::Bus,
    },
};

impl Observes for MemoryProbe {
    fn observe<'a>(&'a self, host: &'a LinuxHost, timeout: Duration) -> BoxFuture<'a, Observation> {
        let inner = &host.inner;
        Box::pin(super::observe(&inner.context, &inner.kept.memory, inner.bus.as_ref(), self, timeout))
    }

    fn gather<'a>(
        &'a self,
        context: &'a Context,
        bus: Option<&'a Bus>,
        request: &'a EvidenceRequest,
    ) -> BoxFuture<'a, Vec<Evidence>> {
        Box::pin(evidence::gather(context, bus, self, request.since))
    }

    fn is_of_the_moment(&self) -> bool {
        true
    }

    fn needs(&self, who: &str, all: &mut Collected) {
        all.add(who, Ability::Bus);
    }

    fn pretend(&self, machine: &Machine) -> Observation {
        pretend::held(machine, self)
    }
}

impl Acts for MemoryAction {
    fn perform<'a>(&'a self, host: &'a LinuxHost, run: &'a ActionRun) -> BoxFuture<'a, ActionOutcome> {
        Box::pin(act::perform(host, self, run))
    }

    fn plan<'a>(&'a self, _: &'a LinuxHost) -> BoxFuture<'a, Planned> {
        Box::pin(std::future::ready(Ok(vec![self.detail()].into())))
    }

    fn needs(&self, who: &str, all: &mut Collected) {
        match self {
            Self::Release { how: Release::Command(command), .. } => all.command(who, command, MissingProgram::Amiss),
            Self::Release { how: Release::Signal(_), .. } | Self::Limit { .. } => all.add(who, Ability::Bus),
        }
    }

    fn pretend(&self, machine: &mut Machine) -> Option<ActionOutcome> {
        pretend::give_back(machine, self)
    }
}
