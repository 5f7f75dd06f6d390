//! What a domain is in the configuration: what it reads, what follows from that on a host, what is dangerous in it, and its
//! looks and actions in the long form. Here stand the trait, and what all domains deduce alike; `domain` lists them.

use std::{fmt, time::Duration};

use ansai_document::{Findings, Node, Place};
use ansai_keys::Key;
use ansai_model::{
    action::Action,
    bundle::{BundleParts, Target},
    check::{Check, Flap},
    condition::Condition,
    id::{CheckId, NameError, PolicyId, RuleId, RunbookId, TargetId, UnitName},
    inventory::Inventory,
    policy::{Policy, QuietHours},
    probe::Probe,
    rule::{Autonomy, Rule, Severity},
    runbook::{Runbook, Rung},
};

use crate::common::Common;
use ansai_document::patterns::Names;

/// For what does not wait for a unit.
pub(crate) const LOCAL_TIMEOUT: Duration = Duration::from_secs(15);
/// For what waits for a program that starts or stops a declared process.
pub(crate) const PROCESS_TIMEOUT: Duration = Duration::from_secs(100);

/// A domain: how its sections are read, and its policy.
pub(crate) struct Slice {
    /// Its policy, an entry of the shipped layer; nothing when it has none of its own.
    pub(crate) policy: &'static str,
    pub(crate) read: fn(&mut Findings<'_>, &Node, &Common) -> Box<dyn Domain>,
}

/// What a domain says in the short form, once it was read.
pub(crate) trait Domain: fmt::Debug + Send + Sync {
    /// Adds units and processes that are kept well, and says of each what other domains may want to know.
    fn keep(&self, _: &mut Findings<'_>, _: &Common, _: &Inventory, _: &mut BundleParts) -> Vec<Kept> {
        Vec::new()
    }

    /// Adds what it has to say of a unit that another domain keeps well.
    fn beside(&self, _: &mut Findings<'_>, _: &Common, _: &Kept, _: &mut BundleParts) {}

    /// What a need means, as it is written; nothing when it is not for this domain to say.
    fn provides(&self, _: &Inventory, _: &BundleParts, _: &str) -> Option<Provided> {
        None
    }

    /// What is wrong with a need that this domain finds nowhere, and what to do.
    fn missing(&self, _: &BundleParts, _: &str) -> (String, String) {
        (String::new(), String::new())
    }

    /// Adds what else is watched on a host with this inventory. Units are there already, and know what they need.
    fn deduce(&self, _: &mut Findings<'_>, _: &Common, _: &Inventory, _: &mut BundleParts) {}

    /// Whether it watches anything, on this host or on one that has more.
    fn is_watching(&self) -> bool {
        false
    }

    /// What is allowed and dangerous.
    fn lint(&self, _: &mut Findings<'_>, _: &Common, _: &Node) {}

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

    /// The units that it keeps well, patterns left out, each with its key and where it is written.
    fn units(&self) -> Vec<(UnitName, &str, Place)> {
        Vec::new()
    }

    /// The names of units under which it keeps them, as they are written, patterns included.
    fn names(&self) -> Option<&Names> {
        None
    }
}

/// A unit or a process that is kept well.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) target: TargetId,
    /// Nothing, of a process.
    pub(crate) unit: Option<UnitName>,
    /// The name under which it is written, which may be a pattern; its key, and its place.
    pub(crate) name: String,
    pub(crate) key: String,
    pub(crate) place: Place,
    /// Whether it has a process that stays.
    pub(crate) stays: bool,
    pub(crate) flap: Flap,
    pub(crate) autonomy: Autonomy,
    pub(crate) severity: Severity,
    /// What it needs, as it is written.
    pub(crate) needs: Vec<(String, Place)>,
}

/// What a need means.
pub(crate) enum Provided {
    /// This target must be well.
    Target(TargetId),
    /// While this check fails it is waited for.
    Check(CheckId),
    /// A pattern provides it, and the host does not have it yet.
    Later,
    /// Nothing does.
    Nowhere,
}

/// What a domain adds to the long form of probes or of actions: its key, and how what stands below it is read.
pub(crate) struct LongForm<T> {
    pub(crate) key: Key,
    pub(crate) read: fn(&mut Findings<'_>, &Node, &str) -> Option<T>,
}

/// How its things are looked at.
pub(crate) type LongProbe = LongForm<Probe>;
/// What is done about them besides what everybody may do. A domain need not have any.
pub(crate) type LongAction = LongForm<Action>;

/// One matter of a target: checks that fail together, and what is done about them. Without rungs people are only told.
pub(crate) struct FaultDomain<'a> {
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
        runs_again: false,
        start_period: None,
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
    common: &Common,
    parts: &mut BundleParts,
    target: &TargetId,
    fault_domain: FaultDomain<'_>,
) -> Result<(), NameError> {
    let name = format!("{target}#{}", fault_domain.name);
    let (rule, runbook) = (RuleId::new(&name)?, RunbookId::new(&name)?);
    let id = PolicyId::new(fault_domain.policy)?;
    let policy = common.policy_named(fault_domain.policy);
    parts.policies.entry(id.clone()).or_insert(Policy { id: id.clone(), ..policy });
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
