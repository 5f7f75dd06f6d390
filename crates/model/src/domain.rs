//! The list of domains: what ansai can watch and mend. A domain is one value, [`Domain`], in a file of its own; its looks and
//! its actions have a line each here. Whoever needs something of a domain asks this list, and names none.

pub mod certificate;
pub mod container;
pub mod database;
pub mod disk;
pub mod memory;
pub mod service;
pub mod timesync;

use alloc::{borrow::ToOwned, boxed::Box, format, string::String, vec::Vec};

use serde::{Deserialize, Serialize};

use crate::{
    action::{Action, Disruption},
    condition::{Value, ValueType},
    id::TargetId,
    observation::Observation,
    probe::{CommandLine, Probe},
    text::Text,
};
use certificate::{CertificateAction, CertificateProbe};
use container::{ContainerAction, ContainerProbe};
use database::{DatabaseAction, DatabaseProbe};
use disk::{DiskAction, DiskProbe};
use memory::{MemoryAction, MemoryProbe};
use timesync::TimesyncProbe;

/// Every domain.
pub const ALL: &[&Domain] = &[
    &service::DOMAIN,
    &certificate::DOMAIN,
    &disk::DOMAIN,
    &memory::DOMAIN,
    &timesync::DOMAIN,
    &container::DOMAIN,
    &database::DOMAIN,
];

/// Every domain that has targets of its own, as it is written before the `/` of a target.
pub const DOMAINS: &[&str] = &keys_of_targets::<{ count_with_targets() }>();

/// The domain whose targets are units, each by its name.
pub const OF_UNITS: &str = service::DOMAIN.key;

/// What a domain says of itself to those who need not know which one it is.
#[derive(Clone, Copy, Debug)]
pub struct Domain {
    /// Its name, as it is written before the `/` of its targets and before the `.` of its figures.
    pub key: &'static str,
    /// Whether it has targets of its own; otherwise its looks are at targets of another domain.
    pub has_targets: bool,
    /// The figures that its looks report, as conditions name them behind `figure.`.
    pub figures: &'static [(&'static str, ValueType)],
    /// Whether what its looks find failing is down, so that people do without it: only that has a downtime. A place that fills
    /// up, a certificate that ends soon or a service that holds much memory works as before.
    pub is_down: bool,
    /// Commands by which a person sees more of a target, with `{}` for its name.
    pub by_hand: &'static [&'static str],
    /// By what its looks say why something fails.
    pub signs: Signs,
}

/// Commands by which a person sees more of a target than its reports tell, to be typed into a shell.
pub fn by_hand(target: &TargetId) -> impl Iterator<Item = String> {
    let domain = ALL.iter().find(|domain| domain.key == target.domain());
    let name = quoted(target.name());
    domain.map(|domain| domain.by_hand).unwrap_or_default().iter().map(move |command| command.replace("{}", &name))
}

/// A name as a shell takes it: the kernel writes a space in a mount point as `\040`, which is one to `$'…'` too.
fn quoted(name: &str) -> String {
    if name.contains(['\\', '#']) { format!("$'{name}'") } else { name.to_owned() }
}

/// Whether a target of which this is seen is down by it, and does not only work as before for how long nobody knows.
#[must_use]
pub fn is_down(target: &TargetId, seen: &Observation) -> bool {
    let is_its_look = |domain: &Domain| domain.figures.iter().any(|(name, _)| seen.figure(name).is_some());
    let of_target = ALL.iter().find(|domain| domain.key == target.domain());
    of_target.is_none_or(|domain| domain.is_down) && !ALL.iter().any(|domain| !domain.is_down && is_its_look(domain))
}

/// By what the looks of a domain say why something fails: the engine's causes go by these and know no domain.
#[derive(Clone, Copy, Debug)]
pub struct Signs {
    /// The figure of the memory that only its holder can give back: when it grows without end, it is a leak.
    pub held: Option<&'static str>,
    /// The figure that says that the kernel has just ended a process of it for lack of memory.
    pub killed: Option<&'static str>,
    /// For a place on which others keep their files: the names of the checks that fail when nobody can write there any more.
    pub unwritable: Option<&'static [&'static str]>,
}

impl Signs {
    /// Of a domain whose looks say nothing of why.
    pub const NONE: Self = Self { held: None, killed: None, unwritable: None };

    /// What was seen of the memory that only its holder can give back.
    #[must_use]
    pub fn held(seen: &Observation) -> Option<&Value> {
        Self::figure(seen, |signs| signs.held)
    }

    /// Whether it was seen that the kernel has just ended a process for lack of memory.
    #[must_use]
    pub fn is_killed(seen: &Observation) -> bool {
        Self::figure(seen, |signs| signs.killed) == Some(&Value::Bool(true))
    }

    /// The checks of a place on which others keep their files, by which nobody can write there any more; nothing for any
    /// other target.
    #[must_use]
    pub fn unwritable(target: &TargetId) -> Option<&'static [&'static str]> {
        ALL.iter().find(|domain| domain.key == target.domain())?.signs.unwritable
    }

    fn figure(seen: &Observation, named: fn(&Self) -> Option<&'static str>) -> Option<&Value> {
        ALL.iter().find_map(|domain| seen.figure(named(&domain.signs)?))
    }
}

const fn count_with_targets() -> usize {
    let (mut count, mut index) = (0, 0);
    while index < ALL.len() {
        if ALL[index].has_targets {
            count += 1;
        }
        index += 1;
    }
    count
}

const fn keys_of_targets<const COUNT: usize>() -> [&'static str; COUNT] {
    let mut keys = [""; COUNT];
    let (mut count, mut index) = (0, 0);
    while index < ALL.len() {
        if ALL[index].has_targets {
            keys[count] = ALL[index].key;
            count += 1;
        }
        index += 1;
    }
    keys
}

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
    /// Whether the host's clock is synchronized.
    Timesync(TimesyncProbe),
    /// A container.
    Container(Box<ContainerProbe>),
    /// A server of databases.
    Database(DatabaseProbe),
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
    /// Something about a container.
    Container(ContainerAction),
    /// Something about a server of databases.
    Database(DatabaseAction),
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

    /// Whether it measures, and changes nothing whatever comes of it.
    fn only_looks(&self) -> bool {
        false
    }

    /// What it does, in words that continue "ansai will …".
    fn describe(&self) -> Text;

    /// Every command that it may run.
    fn commands(&self) -> Vec<&CommandLine>;
}

/// The name of a figure as it stands in the program, when a look of our own reports it. Each of thousands of looks keeps
/// a handful of names.
pub(crate) fn figure(name: &str) -> Option<&'static &'static str> {
    ALL.iter().flat_map(|domain| domain.figures).map(|(known, _)| known).find(|known| **known == name)
}

impl DomainProbe {
    /// The look itself.
    #[must_use]
    pub fn look(&self) -> &dyn Look {
        match self {
            Self::Certificate(probe) => &**probe,
            Self::Disk(probe) => probe,
            Self::Memory(probe) => probe,
            Self::Timesync(probe) => probe,
            Self::Container(probe) => &**probe,
            Self::Database(probe) => probe,
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
            Self::Container(action) => action,
            Self::Database(action) => action,
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

impl From<TimesyncProbe> for Probe {
    fn from(probe: TimesyncProbe) -> Self {
        Self::Domain(DomainProbe::Timesync(probe))
    }
}

impl From<ContainerProbe> for Probe {
    fn from(probe: ContainerProbe) -> Self {
        Self::Domain(DomainProbe::Container(Box::new(probe)))
    }
}

impl From<DatabaseProbe> for Probe {
    fn from(probe: DatabaseProbe) -> Self {
        Self::Domain(DomainProbe::Database(probe))
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

impl From<ContainerAction> for Action {
    fn from(action: ContainerAction) -> Self {
        Self::Domain(DomainAction::Container(action))
    }
}

impl From<DatabaseAction> for Action {
    fn from(action: DatabaseAction) -> Self {
        Self::Domain(DomainAction::Database(action))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{id::UnitName, units::ByteSize};

    #[test]
    fn what_has_targets_is_known_before_the_slash_of_a_target() {
        assert_eq!(DOMAINS, ["service", "certificate", "disk", "timesync", "container", "database"]);
        assert!(TargetId::of(OF_UNITS, "app.service").is_ok());
        assert!(
            TargetId::of(memory::DOMAIN.key, "app.service").is_err(),
            "it is looked at on a target of another domain"
        );
    }

    #[test]
    fn what_a_look_says_of_why_is_known_without_the_name_of_its_domain() {
        let target = |text: &str| TargetId::new(text).expect("valid");
        let seen = Observation::failing("a process was ended").with_figure(memory::KILLED_LATELY, Value::Bool(true));
        assert!(Signs::is_killed(&seen) && Signs::held(&seen).is_none());
        let seen = seen.with_figure(memory::KILLED_LATELY, Value::Bool(false));
        let seen = seen.with_figure(memory::ANONYMOUS, Value::Bytes(ByteSize(7)));
        assert!(!Signs::is_killed(&seen));
        assert_eq!(Signs::held(&seen), Some(&Value::Bytes(ByteSize(7))));
        assert_eq!(Signs::unwritable(&target("disk//var")), Some(&["full", "read-only"][..]));
        assert_eq!(Signs::unwritable(&target("service/app.service")), None);
    }

    #[test]
    fn a_name_in_a_command_is_one_word_whatever_it_holds() {
        let commands = |text: &str| by_hand(&TargetId::new(text).expect("valid")).collect::<Vec<_>>();
        assert_eq!(commands("disk//var")[0], "df -h /var");
        assert_eq!(commands(r"disk//srv/old\040data")[0], r"df -h $'/srv/old\040data'");
        assert_eq!(commands("service/app.service"), [""; 0]);
    }

    #[test]
    fn only_what_people_do_without_is_down() {
        let target = |text: &str| TargetId::new(text).expect("valid");
        let seen = Observation::failing("it fails");
        assert!(is_down(&target("service/app.service"), &seen));
        assert!(!is_down(&target("disk//var"), &seen));
        assert!(!is_down(&target("certificate/www"), &seen));
        let holds = seen.with_figure(memory::ANONYMOUS, Value::Bytes(ByteSize(7)));
        assert!(!is_down(&target("service/app.service"), &holds), "it holds much, and answers");
    }

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
