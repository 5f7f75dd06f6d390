//! The domains of the predecessor's file: one file each, with the keys that it reads and the section that it writes. Here they
//! are put together, in the order in which they are written.

mod certificate;
mod disk;
mod service;

use ansai_document::{Findings, Node};

use crate::notes::Notes;
use certificate::Certificate;
use disk::Disks;
use service::Service;
pub(crate) use service::Timing;

/// The keys of each.
pub(crate) const KEYS: [&[&str]; 3] = [&[service::KEY], &[disk::MONITORING, disk::RULES], &[certificate::KEY]];

/// What the file says of each, as far as it has a counterpart.
#[derive(Debug, Default)]
pub(crate) struct Domains {
    services: Vec<Service>,
    disks: Option<Disks>,
    certificates: Vec<Certificate>,
}

impl Domains {
    /// Whether anything is looked at by a probe.
    pub(crate) fn have_probes(&self) -> bool {
        self.services.iter().any(Service::has_probe)
    }
}

/// Reads what the file says of each; `heals` says whether the whole file asks for healing.
pub(crate) fn read(findings: &mut Findings<'_>, notes: &mut Notes<'_>, root: &Node, heals: bool) -> Domains {
    let services = service::all(findings, notes, root, heals);
    let disks = disk::read(findings, notes, root);
    let pages = services.iter().filter_map(Service::page);
    let certificates = certificate::all(findings, notes, root, pages);
    Domains { services, disks, certificates }
}

/// Writes their sections.
pub(crate) fn write(text: &mut String, domains: &Domains, timing: &Timing) {
    service::write(text, &domains.services, timing);
    disk::write(text, domains.disks.as_ref());
    certificate::write(text, &domains.certificates);
}
