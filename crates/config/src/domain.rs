//! The domains beside services: one file a domain, with its short form (its keys, how they are read, what is deduced from
//! them) and the long form of its probes and actions. Here stand the registry, and what all of them deduce alike.
//! Services have their own files, since everything else was made for them first.

pub(crate) mod certificate;
pub(crate) mod disk;
pub(crate) mod memory;

use std::time::Duration;

use ansai_model::{
    action::Action,
    bundle::{BundleParts, Target},
    check::Check,
    condition::Condition,
    domain::{DomainAction, DomainProbe},
    id::{NameError, PolicyId, RuleId, RunbookId, TargetId},
    inventory::Inventory,
    policy::QuietHours,
    probe::Probe,
    rule::{Autonomy, Rule, Severity},
    runbook::{Runbook, Rung},
};

use crate::{
    deduce::ladder::LOCAL_TIMEOUT, diagnostics::Findings, document::Node, fill::Filled, keys::Key, load::Configuration,
    read::service::Known, written::Fields,
};

/// The sections that name what is watched, each with names of its own below it.
pub(crate) const SECTIONS: &[&str] = &["services", "processes", "disks", "certificates"];

/// What a domain says in the short form, once it was read. Services have their own reader: everything else was made for
/// them first.
pub(crate) trait Domain {
    /// Adds what is watched on a host with this inventory.
    fn deduce(&self, _: &mut Findings<'_>, _: &Configuration, _: &Inventory, _: &mut BundleParts) {}

    /// What is allowed and dangerous.
    fn lint(&self, _: &mut Findings<'_>) {}

    /// The quiet hours that stand in it.
    fn quiet(&mut self) -> Vec<&mut Option<QuietHours>> {
        Vec::new()
    }

    /// Whether a target would be watched once the host has it.
    fn awaits(&self, _: &TargetId) -> bool {
        false
    }

    /// What of a host would be watched if names could hold its characters, in words.
    fn nameless(&self, _: &Inventory) -> Vec<String> {
        Vec::new()
    }
}

/// What a domain adds to the long form: its keys, and how they are read.
pub(crate) struct LongForm {
    pub(crate) probe_key: Key,
    pub(crate) action_key: Key,
    pub(crate) probe: fn(&mut Findings<'_>, &Node, &str) -> Option<Probe>,
    pub(crate) action: fn(&mut Findings<'_>, &Node, &str) -> Option<Action>,
}

const LONG: [LongForm; 3] = [memory::LONG, certificate::LONG, disk::LONG];
pub(crate) const PROBE_KEYS: [Key; 3] = [LONG[0].probe_key, LONG[1].probe_key, LONG[2].probe_key];
pub(crate) const ACTION_KEYS: [Key; 3] = [LONG[0].action_key, LONG[1].action_key, LONG[2].action_key];

/// The policies of the domains, entries of the shipped layer.
pub(crate) const POLICIES: [&str; 3] = [memory::POLICY, disk::POLICY_TEXT, certificate::POLICY_TEXT];

/// What the short forms of all domains say.
#[derive(Clone, Debug, Default)]
pub(crate) struct Domains {
    /// Of all services; each adds its own where it is read.
    pub(crate) memory: memory::Memory,
    pub(crate) disks: disk::Disks,
    pub(crate) certificates: certificate::Certificates,
}

impl Domains {
    /// Each of them.
    pub(crate) fn all(&self) -> [&dyn Domain; 3] {
        [&self.memory, &self.disks, &self.certificates]
    }

    /// Each of them, to be completed.
    pub(crate) fn all_mut(&mut self) -> [&mut dyn Domain; 3] {
        [&mut self.memory, &mut self.disks, &mut self.certificates]
    }
}

/// Reads the sections of all domains.
pub(crate) fn read(findings: &mut Findings<'_>, tree: &Node, known: &Known<'_>) -> Domains {
    let disk =
        known.policies.iter().find(|(id, _)| id.as_str() == disk::POLICY).map_or(known.default, |(_, disk)| disk);
    Domains {
        memory: memory::read(findings, tree, ""),
        disks: disk::read(findings, tree, &Known { default: disk, ..*known }),
        certificates: certificate::read_all(findings, tree, known.flap),
    }
}

/// The long form of a domain, by its place among [`PROBE_KEYS`] and [`ACTION_KEYS`].
pub(crate) fn long(at: usize) -> Option<LongForm> {
    LONG.into_iter().nth(at)
}

/// A look in its long form.
pub(crate) fn written_probe(probe: &DomainProbe) -> Fields {
    let fields = Fields::default();
    match probe {
        DomainProbe::Certificate(probe) => certificate::write::probe(probe),
        DomainProbe::Disk(probe) => fields.put("disk", disk::written_probe(probe)),
        DomainProbe::Memory(probe) => fields.put("memory", probe.fields().done()),
    }
}

/// An action in its long form.
pub(crate) fn written_action(action: &DomainAction) -> Fields {
    let fields = Fields::default();
    match action {
        DomainAction::Certificate(action) => certificate::write::action(action),
        DomainAction::Disk(action) => fields.put("disk", disk::written_action(action)),
        DomainAction::Memory(action) => fields.put("memory", memory::keys::written(action).done()),
    }
}

/// How long an action may take where nothing else is written.
pub(crate) fn timeout(action: &DomainAction) -> Duration {
    match action {
        DomainAction::Certificate(action) => certificate::timeout(action),
        DomainAction::Disk(_) => disk::TIMEOUT,
        DomainAction::Memory(_) => LOCAL_TIMEOUT,
    }
}

/// One fault domain of a target: checks that fail together, and what is done about them. Without rungs people are only told.
pub(crate) struct FaultDomain<'a> {
    /// Its name beside those of the other fault domains of the target, as `space`.
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
        runs_again: false,
        start_period: None,
        is_critical: false,
        is_notifier: false,
        requests: Default::default(),
    }
}

/// Adds a fault domain with its rule, its runbook and its policy to a target that is among the parts.
///
/// # Errors
/// When the target's name and the fault domain's make no name together.
pub(crate) fn add(
    configuration: &Configuration,
    parts: &mut BundleParts,
    target: &TargetId,
    fault_domain: FaultDomain<'_>,
) -> Result<(), NameError> {
    let name = format!("{target}#{}", fault_domain.name);
    let (rule, runbook) = (RuleId::new(&name)?, RunbookId::new(&name)?);
    let id = PolicyId::new(fault_domain.policy)?;
    let policy = configuration.policy_named(fault_domain.policy);
    parts.policies.entry(id.clone()).or_insert(ansai_model::policy::Policy { id: id.clone(), ..policy });
    parts.runbooks.insert(runbook.clone(), Runbook { id: runbook.clone(), rungs: fault_domain.rungs });
    let made = Rule {
        id: rule.clone(),
        target: target.clone(),
        checks: fault_domain.checks.iter().map(|check| check.id.clone()).collect(),
        condition: fault_domain.condition,
        runbook,
        policy: id,
        autonomy: fault_domain.autonomy,
        severity: fault_domain.severity,
    };
    parts.rules.insert(rule, made);
    parts.checks.extend(fault_domain.checks.into_iter().map(|check| (check.id.clone(), check.into())));
    Ok(())
}
