//! What the operators of a controller want of hosts: over which hosts, and the restraints that one host gets of it.
//! Which hosts a scope means is decided by the controller, what a restraint stops by the host's engine; neither stands here.

use alloc::{collections::BTreeSet, format, string::String, vec::Vec};

use serde::{Deserialize, Serialize};

use crate::{
    id::{NAME_BYTES_MAX, RestraintId, TargetId},
    listed::listed,
    operator::{Objection, sensible_scope, short},
    policy::Scope,
    text::Text,
    time::WallTime,
};

/// Most restraints that a controller may set for one host.
pub const RESTRAINTS_MAX: usize = 256;

/// Which hosts of a fleet are meant. What no host has selects nothing; every host is written out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FleetScope {
    /// Every host, those that join later as well.
    Fleet,
    /// Every host of a role, those that join later as well.
    Role(Text),
    /// The host with this name.
    Host(Text),
    /// Every host with this label.
    Label {
        /// The label's name.
        key: Text,
        /// What it is on the hosts that are meant.
        value: Text,
    },
}

impl FleetScope {
    /// As the arguments of a command that is about exactly these hosts.
    #[must_use]
    pub fn arguments(&self) -> String {
        match self {
            Self::Fleet => "--fleet".into(),
            Self::Role(role) => format!("--role {}", quoted(role)),
            Self::Host(host) => format!("--host {}", quoted(host)),
            Self::Label { key, value } => format!("--label {}", quoted(&Text::new(format!("{key}={value}")))),
        }
    }

    /// What is wrong with it, whichever hosts there are: a name that is empty or longer than names are.
    ///
    /// # Errors
    /// What it is, and what to write instead.
    pub fn check(&self) -> Result<(), Objection> {
        let names: [&Text; 2] = match self {
            Self::Fleet => return Ok(()),
            Self::Role(name) | Self::Host(name) => [name, name],
            Self::Label { key, value } => [key, value],
        };
        let suggestion = || "name hosts as `ansai hosts` lists them; --fleet is every one".into();
        if names.iter().any(|name| name.as_str().trim().is_empty()) {
            let what = "the scope names no host, and an empty scope never means all".into();
            return Err(Objection { what, suggestion: suggestion() });
        }
        match names.iter().map(|name| name.as_str().len()).find(|length| *length > NAME_BYTES_MAX) {
            Some(length) => Err(Objection {
                what: format!("a name in the scope has {length} bytes; names have at most {NAME_BYTES_MAX}"),
                suggestion: suggestion(),
            }),
            None => Ok(()),
        }
    }
}

/// A word for a shell: as it is when nothing in it is special.
fn quoted(word: &Text) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.:@/=,+".contains(c);
    match word.as_str() {
        "" => "''".into(),
        plain if plain.chars().all(is_plain) => plain.into(),
        special => format!("'{}'", special.replace('\'', "'\\''")),
    }
}

impl core::fmt::Display for FleetScope {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Fleet => f.write_str("every host"),
            Self::Role(role) => write!(f, "every host of role {role}"),
            Self::Host(host) => write!(f, "host {host}"),
            Self::Label { key, value } => write!(f, "every host with {key}={value}"),
        }
    }
}

listed! {
    /// What a restraint stops.
    #[derive(PartialOrd, Ord)]
    pub enum RestraintKind {
        /// All action.
        Hold => "hold",
        /// Messages; healing goes on.
        Silence => "silence",
        /// All action and all messages, for planned work.
        Maintenance => "maintenance window",
    }
}

impl RestraintKind {
    /// The command that ends one.
    #[must_use]
    pub const fn ended_by(self) -> &'static str {
        match self {
            Self::Hold => "ansai release",
            Self::Silence => "ansai unsilence",
            Self::Maintenance => "ansai maintenance end",
        }
    }
}

/// What somebody has said at a controller for several hosts at once, as one of them gets it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restraint {
    /// Its number at the controller.
    pub id: RestraintId,
    /// What it stops.
    pub kind: RestraintKind,
    /// For which hosts it was said: what ends it names the same.
    pub over: FleetScope,
    /// The targets that it covers on each of them.
    pub scope: Scope,
    /// The reason, as people read it.
    pub reason: Text,
    /// Who said it, as the controller knows them.
    pub by: Text,
    /// Since when, by the controller's clock.
    pub since: WallTime,
    /// When it ends by itself, by the controller's clock; nothing when somebody must end it.
    #[serde(default)]
    pub until: Option<WallTime>,
}

impl Restraint {
    /// The command that ends exactly it.
    #[must_use]
    pub fn end_command(&self) -> String {
        let over = self.over.arguments();
        match &self.scope {
            Scope::All => format!("{} {over}", self.kind.ended_by()),
            scope @ Scope::Matching(_) => format!("{} {over} {}", self.kind.ended_by(), scope.arguments()),
        }
    }
}

/// Every restraint that a controller has for one host: a set replaces the one before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestraintSet {
    /// Which controller; the numbers of two cannot be compared.
    pub controller: Text,
    /// Grows with each restore of the controller from a backup.
    pub epoch: u64,
    /// Grows with each change of this host's set within an epoch.
    pub generation: u64,
    /// When this was said, by the controller's clock.
    pub at: WallTime,
    /// All of them.
    pub restraints: Vec<Restraint>,
}

impl RestraintSet {
    /// Epoch and generation: of two sets of a controller the one whose pair is smaller is older.
    #[must_use]
    pub const fn age(&self) -> (u64, u64) {
        (self.epoch, self.generation)
    }

    /// What is wrong with it, whatever the host has: more restraints than may be, a number twice, a scope or a reason out of
    /// bounds.
    ///
    /// # Errors
    /// What it is, and what to do.
    pub fn check(&self) -> Result<(), Objection> {
        let count = self.restraints.len();
        if count > RESTRAINTS_MAX {
            return Err(Objection {
                what: format!("there are {count} restraints for one host; at most {RESTRAINTS_MAX} are taken"),
                suggestion: "end some, or set one for the whole fleet in the place of several".into(),
            });
        }
        let mut numbers = BTreeSet::new();
        for restraint in &self.restraints {
            if !numbers.insert(restraint.id) {
                let what = format!("restraint {} is in the set twice", restraint.id);
                return Err(Objection { what, suggestion: "each has a number of its own".into() });
            }
            if restraint.until.is_none() && restraint.kind != RestraintKind::Hold {
                let what = format!("the {} {} has no end", restraint.kind.as_str(), restraint.id);
                return Err(Objection { what, suggestion: "say for how long; only a hold may have no end".into() });
            }
            sensible_scope(&restraint.scope)?;
            restraint.over.check()?;
            short(&restraint.reason)?;
        }
        Ok(())
    }
}

/// What a host answers to a set once its ledger holds what it says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledged {
    /// Whose set is in force.
    pub controller: Text,
    /// Of which epoch it is.
    pub epoch: u64,
    /// Of which generation it is.
    pub generation: u64,
    /// The targets on which an action was begun before they were held or in maintenance and goes on still.
    pub under_way: Vec<TargetId>,
    /// Why the set that was said last is not in force, when it is not.
    #[serde(default)]
    pub refused: Option<Text>,
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    fn restraint(id: u64, scope: Scope) -> Restraint {
        Restraint {
            id: RestraintId(id),
            kind: RestraintKind::Hold,
            over: FleetScope::Fleet,
            scope,
            reason: "moving".into(),
            by: "ann".into(),
            since: WallTime(1),
            until: None,
        }
    }

    fn set(restraints: Vec<Restraint>) -> RestraintSet {
        RestraintSet { controller: "c".into(), epoch: 1, generation: 1, at: WallTime(1), restraints }
    }

    #[test]
    fn the_command_that_ends_it_names_the_same_hosts_and_targets() {
        let mut hold = restraint(1, Scope::All);
        assert_eq!(hold.end_command(), "ansai release --fleet");
        hold.over = FleetScope::Role("web".into());
        hold.scope = Scope::Matching(vec!["app@*".into(), "db.service".into()]);
        assert_eq!(hold.end_command(), "ansai release --role web 'app@*' db.service");
        hold.kind = RestraintKind::Maintenance;
        hold.over = FleetScope::Label { key: "rack".into(), value: "it's 7".into() };
        assert_eq!(hold.end_command(), "ansai maintenance end --label 'rack=it'\\''s 7' 'app@*' db.service");
    }

    #[test]
    fn a_set_out_of_bounds_is_refused_with_what_to_do() {
        let many = (0..=u64::try_from(RESTRAINTS_MAX).expect("small")).map(|id| restraint(id, Scope::All)).collect();
        let mut long = restraint(1, Scope::All);
        long.reason = "x".repeat(501).into();
        let mut endless = restraint(1, Scope::All);
        endless.kind = RestraintKind::Silence;
        let mut nobody = restraint(1, Scope::All);
        nobody.over = FleetScope::Role(" ".into());
        for wrong in [
            many,
            vec![restraint(1, Scope::All), restraint(1, Scope::All)],
            vec![restraint(1, Scope::Matching(vec![]))],
            vec![long],
            vec![endless],
            vec![nobody],
        ] {
            let objection = set(wrong).check().expect_err("an objection");
            assert!(!objection.what.is_empty() && !objection.suggestion.is_empty());
        }
        assert_eq!(set(vec![restraint(1, Scope::All), restraint(2, Scope::All)]).check(), Ok(()));
        assert_eq!(set(vec![]).check(), Ok(()));
    }

    #[test]
    fn of_two_sets_the_epoch_counts_before_the_generation() {
        let mut older = set(vec![]);
        older.generation = 90;
        let mut newer = set(vec![]);
        newer.epoch = 2;
        assert!(older.age() < newer.age());
    }
}
