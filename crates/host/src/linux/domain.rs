//! The list of domains on a host: how the looks and the actions of each are carried out here, what they need, what they
//! remember and search for, and how the fake machine answers to them. One line a domain in each; its files have its name.
//! What a look means is the model's.

pub mod certificate;
pub mod container;
pub mod database;
pub mod disk;
mod memory;
pub mod timesync;

use std::time::Duration;

use ansai_model::{
    action::{ActionOutcome, ActionRun},
    domain::{DomainAction, DomainProbe},
    incident::{Evidence, EvidenceRequest},
    inventory::Inventory,
    observation::Observation,
};
use futures_util::future::BoxFuture;

use super::{LinuxHost, ability::needs::Collected, act::Planned, probe::Context, systemd::Bus};
use crate::fake::Machine;

/// A look of a domain.
pub(crate) trait Observes: Send + Sync {
    /// Observes once, within `timeout`.
    fn observe<'a>(&'a self, host: &'a LinuxHost, timeout: Duration) -> BoxFuture<'a, Observation>;

    /// What is found out about its failure.
    fn gather<'a>(
        &'a self,
        context: &'a Context,
        bus: Option<&'a Bus>,
        request: &'a EvidenceRequest,
    ) -> BoxFuture<'a, Vec<Evidence>>;

    /// The mount point of the filesystem that it looks at; of nothing else the room is told with its failure but of `/`.
    fn place(&self) -> Option<&str> {
        None
    }

    /// Whether a remedy changes what is found out, so that it is gathered first.
    fn is_of_the_moment(&self) -> bool {
        false
    }

    /// What the agent must be allowed to do for it.
    fn needs(&self, who: &str, all: &mut Collected);

    /// How the fake machine answers.
    fn pretend(&self, machine: &Machine) -> Observation;
}

/// An action of a domain.
pub(crate) trait Acts: Send + Sync {
    /// Does it.
    fn perform<'a>(&'a self, host: &'a LinuxHost, run: &'a ActionRun) -> BoxFuture<'a, ActionOutcome>;

    /// What it would do besides what it says of itself, step by step, without doing it.
    fn plan<'a>(&'a self, host: &'a LinuxHost) -> BoxFuture<'a, Planned>;

    /// What the agent must be allowed to do for it.
    fn needs(&self, who: &str, all: &mut Collected);

    /// What it does on the fake machine; the outcome, unless it comes later.
    fn pretend(&self, machine: &mut Machine) -> Option<ActionOutcome>;
}

/// What domains remember between two looks.
#[derive(Debug, Default)]
pub(super) struct Kept {
    memory: memory::Seen,
    container: container::Seen,
    database: database::Seen,
}

/// What of the domains the fake machine has; its units and their memory are its own.
#[derive(Debug, Default)]
pub struct Pretended {
    /// Its certificates.
    pub certificates: certificate::pretend::Certificates,
    /// Its filesystems.
    pub filesystems: disk::pretend::Filesystems,
    /// Whether its clock is synchronized.
    pub timesync: timesync::pretend::Timesync,
    /// Its containers.
    pub containers: container::pretend::Containers,
    /// Its servers of databases.
    pub databases: database::pretend::Databases,
}

impl Pretended {
    /// Adds to the inventory what it has.
    pub(crate) fn tell(&self, inventory: &mut Inventory) {
        inventory.mounts = self.filesystems.facts();
        self.timesync.tell(inventory);
        self.containers.tell(inventory);
        self.databases.tell(inventory);
    }
}

/// What domains find at every look at what there is. Whoever starts waits for it.
pub(super) async fn found(host: &LinuxHost, inventory: &mut Inventory) {
    disk::found(&host.inner.options.root, inventory).await;
    timesync::found(host, inventory).await;
    container::found(host, inventory).await;
    database::found(host, inventory).await;
}

/// What domains search for only when an operator asks what there is: it takes seconds. The rest of the inventory is empty.
pub(super) async fn survey(host: &LinuxHost) -> Inventory {
    let mut found = Inventory::default();
    certificate::discover::survey(&host.inner.options.root, &mut found).await;
    found
}

/// An inventory with what was searched for before it.
pub(super) fn surveyed(now: Inventory, found: Inventory) -> Inventory {
    Inventory { certificates: found.certificates, tls_listeners: found.tls_listeners, ..now }
}

/// A look, as it is carried out here.
pub(crate) fn looks(probe: &DomainProbe) -> &dyn Observes {
    match probe {
        DomainProbe::Certificate(probe) => &**probe,
        DomainProbe::Disk(probe) => probe,
        DomainProbe::Memory(probe) => probe,
        DomainProbe::Timesync(probe) => probe,
        DomainProbe::Container(probe) => &**probe,
        DomainProbe::Database(probe) => probe,
    }
}

/// An action, as it is carried out here.
pub(crate) fn acts(action: &DomainAction) -> &dyn Acts {
    match action {
        DomainAction::Certificate(action) => &**action,
        DomainAction::Disk(action) => &**action,
        DomainAction::Memory(action) => action,
        DomainAction::Container(action) => action,
        DomainAction::Database(action) => action,
    }
}
