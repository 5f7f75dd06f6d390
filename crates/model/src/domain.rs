//! The registry of domains: what ansai can watch and mend. One file a domain; its looks and its actions have a line each
//! here, and nobody else lists them.

pub mod certificate;
pub mod disk;
pub mod memory;
pub mod service;

use alloc::{boxed::Box, vec::Vec};

use serde::{Deserialize, Serialize};

use crate::{
    action::{Action, Disruption},
    condition::ValueType,
    probe::{CommandLine, Probe},
    text::Text,
};
use certificate::{CertificateAction, CertificateProbe};
use disk::{DiskAction, DiskProbe};
use memory::{MemoryAction, MemoryProbe};

/// Every domain that has targets of its own, as it is written before the `/` of a target.
pub const DOMAINS: &[&str] = &["service", "certificate", "disk"];

/// How a thing of a domain is looked at. Services are looked at by the probes that everybody may use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DomainProbe {
    /// A certificate in a file or in a handshake.
    Certificate(Box<CertificateProbe>),
    /// A mounted filesystem.
    Disk(DiskProbe),
    /// What a unit's processes hold in memory.
    Memory(MemoryProbe),
}

/// What is done about a thing of a domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DomainAction {
    /// About a certificate.
    Certificate(Box<CertificateAction>),
    /// Something about a filesystem.
    Disk(Box<DiskAction>),
    /// Something about a unit's memory.
    Memory(MemoryAction),
}

/// What a look says of itself.
pub trait Look {
    /// The kind, in one word, as in the configuration.
    fn kind(&self) -> &'static str;

    /// The figures that it reports, as conditions name them behind `figure.`.
    fn figures(&self) -> &'static [(&'static str, ValueType)];

    /// Whether another check of the target tells people when nobody can say how this one is.
    fn is_unknown_elsewhere(&self) -> bool {
        false
    }
}

/// What an action says of itself.
pub trait Deed {
    /// What it disrupts.
    fn disruption(&self) -> Disruption;

    /// Whether doing it twice is the same as doing it once, so that it may be repeated after an unknown outcome.
    fn is_idempotent(&self) -> bool;

    /// What it does, in words that continue "ansai will …".
    fn describe(&self) -> Text;

    /// Every command that it may run.
    fn commands(&self) -> Vec<&CommandLine>;
}

/// The figures that the domains' own looks report.
const FIGURES: [&[(&str, ValueType)]; 3] = [certificate::FIGURES, disk::USAGE_FIGURES, memory::FIGURES];

/// The name of a figure as it stands in the program, when a look of our own reports it. Each of thousands of looks keeps
/// a handful of names.
pub(crate) fn figure(name: &str) -> Option<&'static &'static str> {
    FIGURES.iter().copied().flatten().map(|(known, _)| known).find(|known| **known == name)
}

impl DomainProbe {
    /// The look itself.
    #[must_use]
    pub fn look(&self) -> &dyn Look {
        match self {
            Self::Certificate(probe) => &**probe,
            Self::Disk(probe) => probe,
            Self::Memory(probe) => probe,
        }
    }
}

impl DomainAction {
    /// The action itself.
    #[must_use]
    pub fn deed(&self) -> &dyn Deed {
        match self {
            Self::Certificate(action) => &**action,
            Self::Disk(action) => &**action,
            Self::Memory(action) => action,
        }
    }
}

impl From<CertificateProbe> for Probe {
    fn from(probe: CertificateProbe) -> Self {
        Self::Domain(DomainProbe::Certificate(Box::new(probe)))
    }
}

impl From<DiskProbe> for Probe {
    fn from(probe: DiskProbe) -> Self {
        Self::Domain(DomainProbe::Disk(probe))
    }
}

impl From<MemoryProbe> for Probe {
    fn from(probe: MemoryProbe) -> Self {
        Self::Domain(DomainProbe::Memory(probe))
    }
}

impl From<CertificateAction> for Action {
    fn from(action: CertificateAction) -> Self {
        Self::Domain(DomainAction::Certificate(Box::new(action)))
    }
}

impl From<DiskAction> for Action {
    fn from(action: DiskAction) -> Self {
        Self::Domain(DomainAction::Disk(Box::new(action)))
    }
}

impl From<MemoryAction> for Action {
    fn from(action: MemoryAction) -> Self {
        Self::Domain(DomainAction::Memory(action))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{id::UnitName, units::ByteSize};

    /// What was written before the domains had a type of their own is read, and written as it was.
    #[test]
    fn probes_and_actions_of_a_domain_are_written_like_all_others() {
        let unit = UnitName::new("app.service").expect("valid");
        let probe = Probe::from(MemoryProbe { unit: unit.clone(), limit: None });
        let written = r#"{"memory":{"unit":"app.service","limit":null}}"#;
        assert_eq!(serde_json::to_string(&probe).expect("written"), written);
        assert_eq!(serde_json::from_str::<Probe>(written).expect("read"), probe);
        let action = Action::from(MemoryAction::Limit { unit, high: ByteSize(1) });
        let written = serde_json::to_string(&action).expect("written");
        assert!(written.starts_with(r#"{"memory":{"limit":{"unit":"app.service""#), "{written}");
        assert_eq!(serde_json::from_str::<Action>(&written).expect("read"), action);
    }
}
