//! The domains beside services: one file a domain, with its short form (its keys, how they are read, what is deduced from
//! them) and the long form of its probes and actions. Here stand the registry, and what all of them deduce alike.
//! Services have their own files, since everything else was made for them first.

pub(crate) mod certificate;
pub(crate) mod disk;
pub(crate) mod memory;

use ansai_model::{
    bundle::{BundleParts, Target},
    check::Check,
    condition::Condition,
    id::{NameError, PolicyId, RuleId, RunbookId, TargetId},
    inventory::Inventory,
    rule::{Autonomy, Rule, Severity},
    runbook::{Runbook, Rung},
};

use crate::{diagnostics::Findings, document::Node, load::Configuration, read::service::Known};

/// What the short forms of all domains say.
#[derive(Clone, Debug, Default)]
pub(crate) struct Domains {
    /// Of all services; each adds its own where it is read.
    pub(crate) memory: memory::Memory,
    pub(crate) disks: disk::Disks,
    pub(crate) certificates: Vec<certificate::Certificate>,
}

/// Reads the sections of all domains.
pub(crate) fn read(findings: &mut Findings<'_>, tree: &Node, known: &Known<'_>) -> Domains {
    let disk =
        known.policies.iter().find(|(id, _)| id.as_str() == disk::POLICY).map_or(known.default, |(_, disk)| disk);
    Domains {
        memory: memory::read(findings, tree, ""),
        disks: disk::read(findings, tree, &Known { default: disk, ..*known }),
        certificates: certificate::read_all(findings, tree),
    }
}

/// Adds what every domain watches on a host with this inventory. Services are there already, so that they can be told
/// what they wait for.
pub(crate) fn deduce(
    findings: &mut Findings<'_>,
    configuration: &Configuration,
    inventory: &Inventory,
    parts: &mut BundleParts,
) {
    disk::deduce(findings, configuration, inventory, parts);
    certificate::deduce(findings, configuration, parts);
}

/// One matter of a target: checks that fail together, and what is done about them. Without rungs people are only told.
pub(crate) struct Matter<'a> {
    /// Its name beside those of the other matters of the target, as `space`.
    pub(crate) name: &'a str,
    pub(crate) checks: Vec<Check>,
    pub(crate) rungs: Vec<Rung>,
    /// The name of its policy; the shipped layer has one for each domain.
    pub(crate) policy: &'a str,
    pub(crate) condition: Option<Condition>,
    pub(crate) autonomy: Autonomy,
    pub(crate) severity: Severity,
}

/// A target of a domain, which has no unit.
pub(crate) fn target(id: TargetId) -> Target {
    Target {
        id,
        unit: None,
        process: None,
        port: None,
        configuration: Vec::new(),
        needs: Vec::new(),
        waits_for: Vec::new(),
        is_critical: false,
        is_notifier: false,
        requests: Default::default(),
    }
}

/// Adds a matter with its rule, its runbook and its policy to a target that is among the parts.
///
/// # Errors
/// When the target's name and the matter's make no name together.
pub(crate) fn add(
    configuration: &Configuration,
    parts: &mut BundleParts,
    target: &TargetId,
    matter: Matter<'_>,
) -> Result<(), NameError> {
    let name = format!("{target}#{}", matter.name);
    let (rule, runbook) = (RuleId::new(&name)?, RunbookId::new(&name)?);
    let id = PolicyId::new(matter.policy)?;
    let policy = configuration.policy_named(matter.policy);
    parts.policies.entry(id.clone()).or_insert(ansai_model::policy::Policy { id: id.clone(), ..policy });
    parts.runbooks.insert(runbook.clone(), Runbook { id: runbook.clone(), rungs: matter.rungs });
    let made = Rule {
        id: rule.clone(),
        target: target.clone(),
        checks: matter.checks.iter().map(|check| check.id.clone()).collect(),
        condition: matter.condition,
        runbook,
        policy: id,
        autonomy: matter.autonomy,
        severity: matter.severity,
    };
    parts.rules.insert(rule, made);
    parts.checks.extend(matter.checks.into_iter().map(|check| (check.id.clone(), check.into())));
    Ok(())
}
