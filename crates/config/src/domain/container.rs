//! Containers in the configuration: what stands under `containers:`, the check and the one rung that are deduced from it for
//! each container of the host, and the long form of the probe and the action.

pub(crate) mod keys;

use std::{collections::BTreeMap, time::Duration};

use ansai_document::{
    Findings, Node, Place,
    patterns::Patterns,
    text::{cut, joined},
};
use ansai_keys::{Kind, key};
use ansai_model::{
    bundle::{BundleParts, Target},
    check::Check,
    domain::container::{ContainerAction, ContainerFacts, ContainerProbe, Owner},
    id::{CheckId, NameError, PolicyId, RungId, TargetId},
    inventory::Inventory,
    policy::Policy,
    rule::{Autonomy, Severity},
    runbook::{Rung, Step},
};

use crate::{
    common::Common,
    fill::Filled,
    slice::{Domain, FaultDomain, LongAction, LongProbe, Provided, Slice, add, target},
};

/// The name of the section.
const SECTION: &str = "containers";
/// The name of the policy, and of the domain of its targets.
const NAME: &str = "container";
/// The name of the check, and that of the fault domain.
const CHECK: &str = "health";
pub(super) const SLICE: Slice = Slice { policy: include_str!("container/policy.yaml"), read };
const EVERY_SOFT: Duration = Duration::from_secs(2);
const LOOK_TIMEOUT: Duration = Duration::from_secs(5);
/// A container has a stop time-out of its own, and its engine a start besides.
pub(super) const TIMEOUT: Duration = Duration::from_secs(300);

/// The long form of its looks.
pub(super) const LONG_PROBE: LongProbe = LongProbe {
    key: key(NAME, Kind::Shape(&keys::PROBE), "How a container of Docker or Podman is")
        .example("{name: web}")
        .beside(""),
    read: |findings, node, key| {
        node.map()?;
        Some(ContainerProbe::filled(findings, node, key, None)?.into())
    },
};
/// And that of its actions.
pub(super) const LONG_ACTION: LongAction = LongAction {
    key: key(NAME, Kind::Shape(&keys::ACTION), "Restarts a container").example("{restart: web}"),
    read: |findings, node, key| {
        node.map()?;
        let keys::Action { restart } = keys::Action::filled(findings, node, key, None)?;
        Some(ContainerAction::Restart { name: restart }.into())
    },
};

/// What is said of a container.
#[derive(Clone, Debug)]
struct Container {
    every: Duration,
    restarts_max: u32,
    within: Duration,
    autonomy: Option<Autonomy>,
    severity: Severity,
}

/// One entry: what is said, and nothing where it is not watched.
#[derive(Debug)]
struct Entry {
    key: String,
    place: Place,
    said: Option<Container>,
}

/// What stands under `containers`, by name or pattern.
#[derive(Debug)]
struct Containers {
    entries: BTreeMap<String, Entry>,
    patterns: Patterns,
}

fn read(findings: &mut Findings<'_>, tree: &Node, _: &Common) -> Box<dyn Domain> {
    let mut entries = BTreeMap::new();
    for (name, place, node) in tree.named(SECTION) {
        let key = joined(SECTION, name);
        let is_name = name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c));
        if !is_pattern(name) && !is_name {
            let help =
                "letters, digits and _.- are fine; `docker ps --all` and `podman ps --all` show names".to_owned();
            findings.error(place, &key, format!("`{}` is no name of a container", cut(name)), help);
            continue;
        }
        let nothing = Node::null(node.place);
        let is_watched = node.plain().is_none_or(|text| text != "false");
        let node = if node.map().is_some() { node } else { &nothing };
        let said = Container::filled(findings, node, &key, None).filter(|_| is_watched);
        entries.insert(name.to_owned(), Entry { key, place, said });
    }
    let patterns = Patterns::among(entries.keys());
    Box::new(Containers { entries, patterns })
}

fn is_pattern(name: &str) -> bool {
    name.contains(['*', '?'])
}

impl Containers {
    /// What holds for a container: its own entry, or that of the pattern which says most of its name.
    fn of(&self, name: &str) -> Option<&Entry> {
        self.entries.get(name).or_else(|| self.entries.get(self.patterns.strongest(name)?))
    }

    /// Those that are watched on a host, each with what is said of it and what is known: those that are named, there or not,
    /// and those that the host has and a pattern fits.
    fn on<'a>(
        &'a self,
        inventory: &'a Inventory,
    ) -> BTreeMap<&'a str, (&'a Entry, &'a Container, Option<&'a ContainerFacts>)> {
        let named = self.entries.keys().filter(|name| !is_pattern(name)).map(|name| (name.as_str(), None));
        let found = inventory.containers.iter().map(|facts| (facts.name.as_str(), Some(facts)));
        let all = named.chain(found).filter_map(|(name, facts)| {
            let entry = self.of(name)?;
            Some((name, (entry, entry.said.as_ref()?, facts)))
        });
        // What is known of it comes last.
        all.collect()
    }
}

impl Domain for Containers {
    /// A need as `container/db`.
    fn provides(&self, _: &Inventory, _: &BundleParts, need: &str) -> Option<Provided> {
        let name = need.strip_prefix("container/")?;
        let is_watched = self.of(name).is_some_and(|entry| entry.said.is_some());
        let target = TargetId::of(NAME, name).ok().filter(|_| is_watched);
        Some(target.map_or(Provided::Nowhere, |target| match self.entries.contains_key(name) {
            true => Provided::Target(target),
            false => Provided::Later,
        }))
    }

    fn missing(&self, _: &BundleParts, need: &str) -> (String, String) {
        let name = cut(need.trim_start_matches("container/"));
        (format!("nothing watches the container `{name}`"), format!("add `{name}: {{}}` under `containers:`"))
    }

    fn deduce(&self, findings: &mut Findings<'_>, common: &Common, inventory: &Inventory, parts: &mut BundleParts) {
        let all = self.on(inventory);
        for (name, (entry, said, facts)) in &all {
            let needs = facts.iter().flat_map(|facts| &facts.needs).filter(|need| all.contains_key(need.as_str()));
            let needs = needs.filter_map(|need| TargetId::of(NAME, need).ok()).collect();
            if let Err(error) = one(common, (name, said), *facts, needs, parts)
                && self.entries.contains_key(*name)
            {
                findings.name(entry.place, &entry.key, &error);
            }
        }
    }

    fn is_watching(&self) -> bool {
        !self.entries.is_empty()
    }

    fn awaits(&self, target: &TargetId) -> bool {
        let entry = self.of(target.name()).filter(|_| target.domain() == NAME);
        entry.is_some_and(|entry| entry.said.is_some())
    }
}

/// Adds a container, with the one remedy that there is for it; what is another's is looked at and told.
fn one(
    common: &Common,
    (name, said): (&str, &Container),
    facts: Option<&ContainerFacts>,
    needs: Vec<TargetId>,
    parts: &mut BundleParts,
) -> Result<(), NameError> {
    let id = TargetId::of(NAME, name)?;
    let probe = ContainerProbe { name: name.to_owned(), restarts_max: said.restarts_max, within: said.within };
    let check = Check {
        id: CheckId::of(&id, CHECK)?,
        target: id.clone(),
        probe: probe.into(),
        every: said.every,
        every_soft: EVERY_SOFT.min(said.every),
        timeout: LOOK_TIMEOUT,
        // Its own health check has failed several times in a row by then.
        fail_after: 1,
        recover_after: 1,
        flap: common.flap,
        trend: None,
    };
    let is_others = facts.is_some_and(|facts| matches!(facts.owner, Owner::Other(_)));
    let restart = ContainerAction::Restart { name: name.to_owned() };
    let restart =
        Rung::healing(RungId::new("restart")?, vec![Step::Act { action: restart.into(), timeout: TIMEOUT }], 2);
    let named = format!("{id}#{CHECK}");
    let settles = facts.and_then(|facts| facts.settles_within).unwrap_or_default();
    let fault_domain = FaultDomain {
        name: CHECK,
        checks: vec![check],
        rungs: if is_others { Vec::new() } else { vec![restart] },
        policy: if waits_longer(common, settles, &named, parts)? { &named } else { NAME },
        condition: None,
        autonomy: said.autonomy.unwrap_or(common.autonomy),
        severity: said.severity,
    };
    parts.targets.insert(id.clone(), Target { needs, ..target(id.clone()) });
    add(common, parts, &id, fault_domain)
}

/// Gives a remedy half as long again as a start may take, where the policy would not; says whether that took a policy of its own.
fn waits_longer(common: &Common, settles: Duration, named: &str, parts: &mut BundleParts) -> Result<bool, NameError> {
    let (policy, verify_within) = (common.policy_named(NAME), settles.saturating_add(settles / 2));
    if policy.verify_within >= verify_within {
        return Ok(false);
    }
    let id = PolicyId::new(named)?;
    parts.policies.insert(id.clone(), Policy { id, verify_within, ..policy });
    Ok(true)
}
