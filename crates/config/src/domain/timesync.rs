//! Whether the host's clock is synchronized, in the configuration: what stands under `timesync:`, the checks and the one rung
//! that are deduced from it, and the long form of the probe. It has no action of its own: a unit is restarted.

pub(crate) mod keys;

use std::time::Duration;

use ansai_document::{Findings, Node, Place, place_of, text::joined, units::shown_duration};
use ansai_keys::{Kind, key};
use ansai_model::{
    action::{AS_DECLARED, Action},
    bundle::{BundleParts, Target},
    check::Check,
    domain::timesync::TimesyncProbe,
    id::{CheckId, NameError, PolicyId, RungId, TargetId, UnitName},
    inventory::Inventory,
    policy::Policy,
    probe::Probe,
    rule::{Autonomy, Severity},
    runbook::{Rung, Step},
    unit::UnitExpectation,
};

use crate::{
    common::Common,
    fill::Filled,
    slice::{Domain, FaultDomain, LongProbe, Slice, add, target},
};

/// The name of the section, of the policy, and of the domain of its target.
const NAME: &str = "timesync";
/// The name of the target where the unit is not kept well as a service.
const TARGET: &str = "clock";
/// The name of the check, and that of the fault domain.
const CHECK: &str = "synchronized";
/// And those of the unit, on a target of its own.
const UNIT: &str = "unit";
pub(super) const SLICE: Slice = Slice { policy: include_str!("timesync/policy.yaml"), read };
const EVERY_SOFT: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(5);
const FAIL_AFTER: u32 = 2;
/// No synchronizer trusts its servers sooner.
const SETTLE_MIN: Duration = Duration::from_secs(60);

/// The long form of its looks.
pub(super) const LONG_PROBE: LongProbe = LongProbe {
    key: key(NAME, Kind::Shape(&keys::PROBE), "Whether the host's clock is synchronized")
        .example("{unit: chrony.service}")
        .beside(""),
    read: |findings, node, key| {
        node.map()?;
        Some(TimesyncProbe::filled(findings, node, key, None)?.into())
    },
};

/// What stands under `timesync`.
#[derive(Clone, Debug)]
struct Timesync {
    unit: Option<UnitName>,
    settle: Duration,
    every: Duration,
    autonomy: Option<Autonomy>,
    severity: Severity,
}

/// The section, with its place; nothing when the clock is not watched.
#[derive(Debug)]
struct Section(Option<(Timesync, Place)>);

fn read(findings: &mut Findings<'_>, tree: &Node, _: &Common) -> Box<dyn Domain> {
    let nothing = Node::null(tree.place);
    let node = match tree.get(NAME) {
        Some(node) if node.map().is_some() => node,
        Some(_) if tree.truth_at(NAME) == Some(true) => &nothing,
        Some(_) | None => return Box::new(Section(None)),
    };
    let said = Timesync::filled(findings, node, NAME, None);
    Box::new(Section(said.map(|said| (said, place_of(tree, NAME)))))
}

impl Domain for Section {
    fn deduce(&self, findings: &mut Findings<'_>, common: &Common, inventory: &Inventory, parts: &mut BundleParts) {
        let Some((said, place)) = &self.0 else { return };
        let Some(unit) = said.unit.as_ref().or(inventory.timesync.as_ref()) else { return };
        if let Err(error) = one(findings, common, (said, *place), unit, parts) {
            findings.name(*place, NAME, &error);
        }
    }

    fn is_watching(&self) -> bool {
        self.0.is_some()
    }

    fn lint(&self, findings: &mut Findings<'_>, _: &Common, root: &Node) {
        let Some((said, place)) = self.0.as_ref().filter(|(said, _)| said.settle < SETTLE_MIN) else { return };
        let place = root.get(NAME).map_or(*place, |node| place_of(node, "settle"));
        let settle = shown_duration(said.settle);
        let what = format!("{settle} after its start no synchronizer trusts its servers, and it would be restarted");
        findings.warning(place, &joined(NAME, "settle"), what, "write settle: 10m".to_owned());
    }
}

/// Adds the check to the target that has the unit; where none has, the clock becomes one, which sees to its unit as well.
fn one(
    findings: &mut Findings<'_>,
    common: &Common,
    (said, place): (&Timesync, Place),
    unit: &UnitName,
    parts: &mut BundleParts,
) -> Result<(), NameError> {
    let kept = parts.targets.values().find(|target| target.unit.as_ref() == Some(unit)).map(|target| target.id.clone());
    let id = match kept {
        Some(id) => id,
        None => {
            let id = TargetId::of(NAME, TARGET)?;
            parts.targets.insert(id.clone(), Target { unit: Some(unit.clone()), ..target(id.clone()) });
            let running = Probe::Unit { unit: unit.clone(), expect: UnitExpectation::Running };
            let every = common.settings.full_pass_every;
            let check = Check { every, fail_after: 1, ..check(common, CheckId::of(&id, UNIT)?, &id, running, said) };
            add(common, parts, &id, fault_domain(common, said, unit, (UNIT, check, NAME))?)?;
            id
        }
    };
    let own = CheckId::of(&id, CHECK)?;
    if parts.checks.contains_key(&own) {
        let help = "give the other one another name under `probes:`".to_owned();
        findings.error(place, NAME, format!("{id} has another check `{CHECK}`"), help);
        return Ok(());
    }
    let probe = TimesyncProbe { unit: unit.clone(), settle: said.settle };
    let check = check(common, own, &id, probe.into(), said);
    let named = format!("{id}#{CHECK}");
    let policy = if waits_longer(common, said, &named, parts)? { &named } else { NAME };
    add(common, parts, &id, fault_domain(common, said, unit, (CHECK, check, policy))?)
}

/// What one restart may mend.
fn fault_domain<'a>(
    common: &Common,
    said: &Timesync,
    unit: &UnitName,
    (name, check, policy): (&'a str, Check, &'a str),
) -> Result<FaultDomain<'a>, NameError> {
    let restart = vec![Step::Act { action: Action::RestartUnit { unit: unit.clone() }, timeout: AS_DECLARED }];
    Ok(FaultDomain {
        name,
        checks: vec![check],
        rungs: vec![Rung::healing(RungId::new("restart")?, restart, 1)],
        policy,
        condition: None,
        autonomy: said.autonomy.unwrap_or(common.autonomy),
        severity: said.severity,
    })
}

/// Gives a remedy half as long again as the clock may take, where the policy would not; says whether that took a policy of its own.
fn waits_longer(common: &Common, said: &Timesync, named: &str, parts: &mut BundleParts) -> Result<bool, NameError> {
    let (policy, verify_within) = (common.policy_named(NAME), said.settle.saturating_add(said.settle / 2));
    if policy.verify_within >= verify_within {
        return Ok(false);
    }
    let id = PolicyId::new(named)?;
    parts.policies.insert(id.clone(), Policy { id, verify_within, ..policy });
    Ok(true)
}

fn check(common: &Common, id: CheckId, target: &TargetId, probe: Probe, said: &Timesync) -> Check {
    Check {
        id,
        target: target.clone(),
        probe,
        every: said.every,
        every_soft: EVERY_SOFT.min(said.every),
        timeout: TIMEOUT,
        fail_after: FAIL_AFTER,
        recover_after: 1,
        flap: common.flap,
        trend: None,
    }
}
