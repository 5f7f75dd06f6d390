//! What filesystems are to the list of domains.

use std::time::Duration;

use ansai_model::{
    action::{ActionOutcome, ActionRun},
    domain::disk::{Cleaning, DiskAction, DiskProbe},
    incident::{Evidence, EvidenceRequest},
    observation::Observation,
    probe::CommandLine,
};
use futures_util::future::BoxFuture;

use super::clean;
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

/// Where the journal lies when it is kept.
const JOURNAL: &str = "/var/log/journal";

impl Observes for DiskProbe {
    fn observe<'a>(&'a self, host: &'a LinuxHost, timeout: Duration) -> BoxFuture<'a, Observation> {
        Box::pin(super::observe(&host.inner.context, self, timeout))
    }

    fn gather<'a>(
        &'a self,
        context: &'a Context,
        _: Option<&'a Bus>,
        _: &'a EvidenceRequest,
    ) -> BoxFuture<'a, Vec<Evidence>> {
        Box::pin(super::gather(context, self))
    }

    fn place(&self) -> Option<&str> {
        Some(self.mount())
    }

    /// All but the kernel's log is open to everybody: the look itself says whether it may look.
    fn needs(&self, who: &str, all: &mut Collected) {
        match self {
            Self::Errors { .. } => all.add(who, Ability::Journal),
            Self::Space { .. } | Self::Inodes { .. } | Self::Full { .. } | Self::ReadOnly { .. } => {}
        }
    }

    fn pretend(&self, machine: &Machine) -> Observation {
        machine.domains.filesystems.look(self)
    }
}

impl Acts for DiskAction {
    fn perform<'a>(&'a self, host: &'a LinuxHost, run: &'a ActionRun) -> BoxFuture<'a, ActionOutcome> {
        Box::pin(clean::perform(host, self, run))
    }

    fn plan<'a>(&'a self, host: &'a LinuxHost) -> BoxFuture<'a, Planned> {
        Box::pin(clean::plan(host, self))
    }

    fn needs(&self, who: &str, all: &mut Collected) {
        let Self::Clean { what, .. } = self else { return };
        match what {
            Cleaning::PackageCache | Cleaning::Rotated { .. } | Cleaning::Logs { .. } | Cleaning::Temporary { .. } => {
                all.add(who, Ability::OpenBeneath);
                all.add(who, Ability::Leases);
            }
            Cleaning::Journal { .. } => {
                all.command(who, &CommandLine::new(["journalctl"]), MissingProgram::PassedOver);
                all.add(who, Ability::Write(JOURNAL.into()));
            }
            Cleaning::Containers { .. } => {
                all.add(who, Ability::Engine("podman"));
                all.add(who, Ability::Engine("docker"));
            }
            Cleaning::Grow { .. } => all.add(who, Ability::OwnUnit),
        }
    }

    fn pretend(&self, machine: &mut Machine) -> Option<ActionOutcome> {
        Some(machine.domains.filesystems.act(self))
    }
}
