//! What the clock's synchronization is to the list of domains.

use std::time::Duration;

use ansai_model::{
    domain::timesync::TimesyncProbe,
    incident::{Evidence, EvidenceRequest},
    observation::Observation,
};
use futures_util::future::BoxFuture;

use super::{evidence, pretend};
use crate::{
    fake::Machine,
    linux::{
        LinuxHost,
        ability::{Ability, needs::Collected},
        domain::Observes,
        probe::Context,
        systemd::Bus,
    },
};

impl Observes for TimesyncProbe {
    fn observe<'a>(&'a self, host: &'a LinuxHost, timeout: Duration) -> BoxFuture<'a, Observation> {
        Box::pin(super::observe(host.inner.bus.as_ref(), self, timeout))
    }

    fn gather<'a>(
        &'a self,
        _: &'a Context,
        bus: Option<&'a Bus>,
        _: &'a EvidenceRequest,
    ) -> BoxFuture<'a, Vec<Evidence>> {
        Box::pin(evidence::gather(bus, self))
    }

    /// Another run has other servers, and has asked them less often.
    fn is_of_the_moment(&self) -> bool {
        true
    }

    fn needs(&self, who: &str, all: &mut Collected) {
        all.add(who, Ability::Bus);
    }

    fn pretend(&self, machine: &Machine) -> Observation {
        pretend::seen(machine, self)
    }
}
