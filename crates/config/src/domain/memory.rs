//! The memory of services in the configuration: what a service says under `memory:`, what `memory:` at the top says for
//! all of them, the check and the ladder that are deduced from both, and the long form of the probe and the actions.

pub(crate) mod keys;

use std::{sync::LazyLock, time::Duration};

use ansai_model::{
    action::{AS_DECLARED, Action},
    bundle::BundleParts,
    check::{Check, Trend, TrendKind},
    condition::Condition,
    domain::memory::{ANONYMOUS, KILLED_LATELY, LIFE, LIMIT, MemoryAction, MemoryProbe, NEAR_LIMIT, Release},
    id::{CheckId, PolicyId, RungId, TargetId, UnitName},
    policy::{Policy, QuietHours},
    rule::{Autonomy, Severity},
    runbook::{Rung, Step},
    units::ByteSize,
};

use super::{Domain, FaultDomain, LongForm, add};
use crate::{
    deduce::ladder::LOCAL_TIMEOUT,
    diagnostics::Findings,
    document::Node,
    fill::Filled,
    form::joined,
    keys::{Kind, key},
    load::Configuration,
    read::service::Service,
};

/// The name of the check, of its rule beside that of the unit, and of its policy.
const NAME: &str = "memory";
/// Its policy, an entry of the shipped layer.
pub(super) const POLICY: &str = include_str!("memory/policy.yaml");
const EVERY_SOFT: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(5);
const FAIL_AFTER: u32 = 3;
const RECOVER_AFTER: u32 = 2;
/// How often a service is restarted for one leak before a person is asked.
const RESTARTS_MAX: u32 = 3;

/// The long form of its looks and actions.
pub(crate) const LONG: LongForm = LongForm {
    probe_key: key("memory", Kind::Shape(&keys::PROBE), "What the processes of a unit hold in memory")
        .example("{unit: app.service}"),
    action_key: key(
        "memory",
        Kind::Shape(&keys::ACTION),
        "Asks a unit to give memory back, or has the kernel slow it down",
    )
    .example("{unit: app.service, release: SIGUSR1}"),
    probe: |findings, node, key| {
        node.map()?;
        Some(MemoryProbe::filled(findings, node, key, None)?.into())
    },
    action: |findings, node, key| Some(keys::action(findings, node, key)?.into()),
};

/// What is said of a service's memory, or of that of all services.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory {
    /// Whether it is watched, when that is said.
    is_watched: Option<bool>,
    limit: Option<ByteSize>,
    release: Option<Release>,
    high: Option<ByteSize>,
    horizon: Option<Duration>,
    every: Option<Duration>,
    pub(crate) quiet: Option<Option<QuietHours>>,
    autonomy: Option<Autonomy>,
    severity: Option<Severity>,
}

/// Reads what stands under `memory`.
pub(crate) fn read(findings: &mut Findings<'_>, parent: &Node, key: &str) -> Memory {
    let key = joined(key, "memory");
    let Some(node) = parent.get("memory").filter(|node| !node.is_null()) else { return Memory::default() };
    if node.map().is_none() {
        return Memory { is_watched: parent.truth_at("memory"), ..Memory::default() };
    }
    Memory::filled(findings, node, &key, None).unwrap_or_default()
}

impl Domain for Memory {
    fn quiet(&mut self) -> Vec<&mut Option<QuietHours>> {
        self.quiet.iter_mut().collect()
    }
}

impl Memory {
    /// This, and where it says nothing, that.
    fn over(&self, below: &Self) -> Self {
        let above = self.clone();
        Self {
            is_watched: above.is_watched.or(below.is_watched),
            limit: above.limit.or(below.limit),
            release: above.release.or_else(|| below.release.clone()),
            high: above.high.or(below.high),
            horizon: above.horizon.or(below.horizon),
            every: above.every.or(below.every),
            quiet: above.quiet.or(below.quiet),
            autonomy: above.autonomy.or(below.autonomy),
            severity: above.severity.or(below.severity),
        }
    }
}

/// Adds the memory of a unit as a fault domain of its service, when it is to be watched: when the service says so, or when it is
/// said of all and the unit has a process that stays.
pub(crate) fn of_service(
    findings: &mut Findings<'_>,
    configuration: &Configuration,
    service: &Service,
    (target, unit, stays): (&TargetId, &UnitName, bool),
    parts: &mut BundleParts,
) {
    let memory = service.memory.over(&configuration.domains.memory);
    let is_watched = service.memory.is_watched.unwrap_or(stays && memory.is_watched == Some(true));
    let (Ok(id), true) = (CheckId::of(target, NAME), is_watched) else { return };
    if parts.checks.contains_key(&id) {
        let what = format!("there are two checks `{NAME}`");
        let help = "give the other one another name under `probes:`".to_owned();
        findings.error(service.place, &joined(&service.key, NAME), what, help);
        return;
    }
    let policy = memory.quiet.map(|quiet| Policy { quiet, ..configuration.policy_named(NAME) });
    let named = format!("{target}#{NAME}");
    if let (Some(policy), Ok(id)) = (&policy, PolicyId::new(&named)) {
        parts.policies.insert(id.clone(), Policy { id, ..policy.clone() });
    }
    let severity = if service.is_critical { Severity::Now } else { Severity::Day };
    let fault_domain = FaultDomain {
        name: NAME,
        checks: vec![check(id, target, unit, service, &memory)],
        rungs: ladder(unit, &memory),
        policy: if policy.is_some() { &named } else { NAME },
        condition: None,
        autonomy: memory.autonomy.or(service.autonomy).unwrap_or(configuration.autonomy),
        severity: memory.severity.or(service.severity).unwrap_or(severity),
    };
    if let Err(error) = add(configuration, parts, target, fault_domain) {
        findings.name(service.place, &joined(&service.key, NAME), &error);
    }
}

fn check(id: CheckId, target: &TargetId, unit: &UnitName, service: &Service, memory: &Memory) -> Check {
    let every = keys::EVERY.or_default(memory.every);
    let trend = Trend {
        figure: ANONYMOUS.into(),
        limit: LIMIT.into(),
        life: Some(LIFE.into()),
        kind: TrendKind::Leak,
        horizon: keys::HORIZON.or_default(memory.horizon),
    };
    Check {
        id,
        target: target.clone(),
        probe: MemoryProbe { unit: unit.clone(), limit: memory.limit }.into(),
        every,
        every_soft: EVERY_SOFT.min(every),
        timeout: TIMEOUT,
        fail_after: FAIL_AFTER,
        recover_after: RECOVER_AFTER,
        flap: service.flap,
        trend: Some(Box::new(trend)),
    }
}

/// Asked to give memory back, then restarted, then slowed down before a person is asked. When the restart is done is for
/// the policy's quiet hours and the forecast to say.
fn ladder(unit: &UnitName, memory: &Memory) -> Vec<Rung> {
    let act = |action, timeout| vec![Step::Act { action, timeout }];
    let mut rungs = Vec::new();
    if let (Some(how), Ok(id)) = (&memory.release, RungId::new("release")) {
        let release = MemoryAction::Release { unit: unit.clone(), how: how.clone() };
        rungs.push(Rung::healing(id, act(release.into(), LOCAL_TIMEOUT), 1));
    }
    if let Ok(id) = RungId::new("restart") {
        let restart = act(Action::RestartUnit { unit: unit.clone() }, AS_DECLARED);
        rungs.push(Rung { when: Some(GROWS.clone()), ..Rung::healing(id, restart, RESTARTS_MAX) });
    }
    if let (Some(high), Ok(id)) = (memory.high, RungId::new("limit")) {
        let limit = MemoryAction::Limit { unit: unit.clone(), high }.into();
        rungs.push(Rung::preparing(id, limit, LOCAL_TIMEOUT));
    }
    rungs
}

/// A service that lives on without one of its processes is not restarted for that: what there was to lose is lost, and
/// why is for a person to find out. Neither is one that is near its limit and does not grow: it may have been so for
/// weeks, and would be so again after a restart.
static GROWS: LazyLock<Condition> = LazyLock::new(|| {
    let text = format!(
        "figure.{KILLED_LATELY} == false and (figure.{NEAR_LIMIT} == false or figure.forecast.confidence >= 50%)"
    );
    crate::condition::parse(&text).expect("a condition on figures")
});
