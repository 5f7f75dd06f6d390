//! Servers of databases in the configuration: what stands under `databases:`, the two checks and the one rung that are deduced
//! from it, and the long form of the probe and the action.

pub(crate) mod keys;

use std::{collections::BTreeMap, time::Duration};

use ansai_document::{
    Findings, Node, Place,
    text::{cut, joined},
};
use ansai_keys::{Kind, key};
use ansai_model::{
    bundle::BundleParts,
    check::Check,
    domain::database::{DatabaseAction, DatabaseProbe},
    id::{CheckId, NameError, RungId, TargetId},
    inventory::Inventory,
    rule::{Autonomy, Severity},
    runbook::{Rung, Step},
};

use crate::{
    common::Common,
    fill::Filled,
    slice::{Domain, FaultDomain, LongAction, LongProbe, Provided, Slice, add, target},
};

/// The name of the section.
const SECTION: &str = "databases";
/// The name of the policy, and of the domain of its targets.
const NAME: &str = "database";
/// The names of the checks, and those of the fault domains.
const ANSWERS: &str = "answers";
const LOCKS: &str = "locks";
pub(super) const SLICE: Slice = Slice { policy: include_str!("database/policy.yaml"), read };
const EVERY_SOFT: Duration = Duration::from_secs(2);
/// Whether anybody waits is asked without asking the lock manager, so it costs little.
const EVERY_LOCKS: Duration = Duration::from_secs(2);
const LOCKS_TIMEOUT: Duration = Duration::from_secs(5);
/// A server that hangs has those looks wait for each other, and that it does not answer must still be seen.
const ANSWERS_TIMEOUT: Duration = Duration::from_secs(12);
/// Several sessions may be ended, each over a connection of its own.
pub(super) const TIMEOUT: Duration = Duration::from_secs(30);

/// The long form of its looks.
pub(super) const LONG_PROBE: LongProbe = LongProbe {
    key: key(NAME, Kind::Shape(&keys::PROBE), "How a server of databases is")
        .example("{postgresql: /var/run/postgresql}")
        .beside(""),
    read: |findings, node, key| {
        node.map()?;
        Some(DatabaseProbe::filled(findings, node, key, None)?.into())
    },
};
/// And that of its actions.
pub(super) const LONG_ACTION: LongAction = LongAction {
    key: key(NAME, Kind::Shape(&keys::ACTION), "Ends sessions that block others and have written nothing")
        .example("{end_idle: /var/run/postgresql}"),
    read: |findings, node, key| {
        node.map()?;
        let keys::Action { end_idle, patience } = keys::Action::filled(findings, node, key, None)?;
        Some(DatabaseAction::EndIdle { postgresql: end_idle, patience }.into())
    },
};

/// What is said of a server.
#[derive(Clone, Debug)]
struct Database {
    postgresql: String,
    patience: Duration,
    every: Duration,
    autonomy: Option<Autonomy>,
    severity: Severity,
}

/// What stands under `databases`, by name.
#[derive(Debug)]
struct Databases(BTreeMap<String, (Place, Database)>);

fn read(findings: &mut Findings<'_>, tree: &Node, _: &Common) -> Box<dyn Domain> {
    let mut databases = BTreeMap::new();
    for (name, place, node) in tree.named(SECTION) {
        let key = joined(SECTION, name);
        if node.map().is_none() {
            continue;
        }
        if let Some(said) = Database::filled(findings, node, &key, None) {
            databases.insert(name.to_owned(), (place, said));
        }
    }
    Box::new(Databases(databases))
}

impl Domain for Databases {
    /// A need as `database/main`: that it answers.
    fn provides(&self, _: &Inventory, _: &BundleParts, need: &str) -> Option<Provided> {
        let name = need.strip_prefix("database/")?;
        let check = TargetId::of(NAME, name).and_then(|id| CheckId::of(&id, ANSWERS));
        let check = check.ok().filter(|_| self.0.contains_key(name));
        Some(check.map_or(Provided::Nowhere, Provided::Check))
    }

    fn missing(&self, _: &BundleParts, need: &str) -> (String, String) {
        let name = cut(need.trim_start_matches("database/"));
        let help = format!("add `{name}: {{postgresql: /var/run/postgresql}}` under `databases:`");
        (format!("nothing watches the database `{name}`"), help)
    }

    fn deduce(&self, findings: &mut Findings<'_>, common: &Common, inventory: &Inventory, parts: &mut BundleParts) {
        for (at, (name, (place, said))) in self.0.iter().enumerate() {
            // Each would end sessions of its own count.
            let is_same = |other: &(Place, Database)| socket(&other.1.postgresql) == socket(&said.postgresql);
            if self.0.values().take(at).any(is_same) {
                let key = joined(SECTION, name);
                let text = format!("`{}` is configured twice", cut(&said.postgresql));
                findings.error(*place, &key, text, "keep one of the two".to_owned());
                continue;
            }
            if let Err(error) = one(common, (name, said), inventory, parts) {
                findings.name(*place, &joined(SECTION, name), &error);
            }
        }
    }

    fn is_watching(&self) -> bool {
        !self.0.is_empty()
    }
}

/// A path without what may be written otherwise: `/var/run` is `/run`.
fn place(path: &str) -> &str {
    path.strip_prefix("/var").filter(|rest| rest.starts_with("/run/")).unwrap_or(path).trim_end_matches('/')
}

/// The socket that is meant, also by its folder.
fn socket(path: &str) -> &str {
    place(path).trim_end_matches("/.s.PGSQL.5432")
}

/// Adds a server: whether it answers is told; who blocks others may be ended, where nobody else manages it.
fn one(
    common: &Common,
    (name, said): (&str, &Database),
    inventory: &Inventory,
    parts: &mut BundleParts,
) -> Result<(), NameError> {
    let id = TargetId::of(NAME, name)?;
    let check = |named: &str, locks: Option<Duration>, every: Duration| {
        Ok(Check {
            id: CheckId::of(&id, named)?,
            target: id.clone(),
            probe: DatabaseProbe { postgresql: said.postgresql.clone(), locks }.into(),
            every,
            every_soft: EVERY_SOFT.min(every),
            timeout: if locks.is_some() { LOCKS_TIMEOUT } else { ANSWERS_TIMEOUT },
            // A patience is over by the time that a lock counts.
            fail_after: if locks.is_some() { 1 } else { 2 },
            recover_after: 1,
            flap: common.flap,
            trend: None,
        })
    };
    let (answers, locks) =
        (check(ANSWERS, None, said.every)?, check(LOCKS, Some(said.patience), EVERY_LOCKS.min(said.every))?);
    let end = DatabaseAction::EndIdle { postgresql: said.postgresql.clone(), patience: said.patience };
    let end = Rung::healing(RungId::new("end-idle")?, vec![Step::Act { action: end.into(), timeout: TIMEOUT }], 2);
    let known = inventory.databases.iter().find(|facts| socket(&facts.postgresql) == socket(&said.postgresql));
    let is_others = known.is_some_and(|facts| facts.owner.is_some());
    parts.targets.insert(id.clone(), target(id.clone()));
    for (name, check, rungs) in
        [(ANSWERS, answers, Vec::new()), (LOCKS, locks, if is_others { Vec::new() } else { vec![end] })]
    {
        let fault_domain = FaultDomain {
            name,
            checks: vec![check],
            rungs,
            policy: NAME,
            condition: None,
            autonomy: said.autonomy.unwrap_or(common.autonomy),
            severity: said.severity,
        };
        add(common, parts, &id, fault_domain)?;
    }
    Ok(())
}
