//! The list of domains as people meet them at the terminal: how targets are named, what `init` proposes, what `doctor` says,
//! and the commands that only one domain has. One line a domain; its files have its name.
//!
//! It asks no host and no agent: what a domain is told is what a command has found out.

mod certificate;
mod container;
mod database;
mod disk;
mod memory;
mod service;
mod timesync;

use ansai_config::Configuration;
use ansai_model::{bundle::Bundle, inventory::Inventory};
use clap::Subcommand;

use crate::{
    Paths,
    command::{doctor::Finding, init::Found},
    exit::{Code, Failure},
};

/// Examples of the help, by command.
pub(crate) type Examples = &'static [(&'static str, &'static [(&'static str, &'static str)])];

/// Every domain, in the order in which `init` and `doctor` speak of them.
const ALL: &[&dyn Domain] = &[
    &service::Services,
    &memory::Memory,
    &disk::Disks,
    &certificate::Certificates,
    &timesync::Timesync,
    &container::Containers,
    &database::Databases,
];

/// The commands that only one domain has.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// List the declared certificates, or have one replaced everywhere.
    Certificate {
        #[command(subcommand)]
        what: certificate::Command,
    },
}

impl Command {
    /// Runs it.
    pub(crate) fn run(self, paths: &Paths) -> Result<Code, Failure> {
        match self {
            Self::Certificate { what } => what.run(paths),
        }
    }
}

/// What people see of a domain.
pub(crate) trait Domain: Sync {
    /// What the model says of it.
    fn model(&self) -> &'static ansai_model::domain::Domain;

    /// What its things are called, all of them: `filesystems`.
    fn plural(&self) -> &'static str;

    /// How many of its things are watched.
    fn watched(&self, bundle: &Bundle) -> usize {
        let targets = bundle.parts().targets.keys();
        targets.filter(|target| target.domain() == self.model().key).count()
    }

    /// What `doctor` says of what is not watched; `is_user` for the agent of a person, who is not root.
    fn amiss(&self, _watched: usize, _inventory: &Inventory, _is_user: bool) -> Option<Finding> {
        None
    }

    /// Whether it is proposed to a person without root as well.
    fn is_for_everybody(&self) -> bool {
        false
    }

    /// How much of it `init` has found, in words; nothing for what is no thing of its own.
    fn counted(&self, found: &Found) -> Option<String>;

    /// Writes what `init` proposes.
    fn propose(&self, found: &Found, text: &mut String);

    /// The name by which people call a target, from the one behind its domain.
    fn short<'a>(&self, name: &'a str) -> &'a str {
        name
    }

    /// What a target is called in words, where each is named by the place in which other things lie: `filesystem`.
    fn place(&self) -> Option<&'static str> {
        None
    }

    /// Whether what fails of it is more or less bad, as how full a place is, which people want to know first.
    fn has_degrees(&self) -> bool {
        self.place().is_some()
    }

    /// Examples of the commands that only it has.
    fn examples(&self) -> Examples {
        &[]
    }
}

/// Every domain.
pub(crate) fn all() -> impl Iterator<Item = &'static dyn Domain> {
    ALL.iter().copied()
}

/// The domain of a target, by the target's whole name, with the name behind it.
pub(crate) fn split(target: &str) -> Option<(&'static dyn Domain, &str)> {
    let (key, name) = target.split_once('/')?;
    Some((all().find(|domain| domain.model().key == key)?, name))
}

/// What follows here where a key of the configuration is not written, as it would be written; nothing where that is not known.
pub(crate) fn deduced(configuration: &Configuration, key: &str) -> Option<String> {
    service::deduced(configuration, key)
}

/// The commands that only one domain has.
pub(crate) fn commands() -> impl Iterator<Item = &'static str> {
    let examples = all().flat_map(|domain| domain.examples());
    // What stands below a command has a name of two words.
    examples.map(|(name, _)| *name).filter(|name| !name.contains(' '))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_domain_of_the_model_is_met_at_the_terminal_once() {
        let keys = |list: Vec<&'static str>| list.into_iter().collect::<BTreeSet<_>>();
        let here: Vec<_> = all().map(|domain| domain.model().key).collect();
        assert_eq!(here.len(), ansai_model::domain::ALL.len());
        assert_eq!(keys(here), keys(ansai_model::domain::ALL.iter().map(|domain| domain.key).collect()));
    }

    #[test]
    fn a_domain_is_told_by_the_name_of_its_target() {
        let of = |target: &str| split(target).map(|(domain, name)| (domain.plural(), name.to_owned()));
        assert_eq!(of("disk//var"), Some(("filesystems", "/var".to_owned())));
        assert_eq!(of("service/app.service"), Some(("services", "app.service".to_owned())));
        assert_eq!((of("nonsense/app"), of("app")), (None, None));
        assert_eq!(commands().collect::<Vec<_>>(), ["certificate"]);
    }
}
