//! The memory of services in the configuration: what a service says under `memory:`, what `memory:` at the top says for
//! all of them, the check and the ladder that are deduced from both, and the long form of the probe and the actions.

pub(crate) mod keys;

use std::{collections::BTreeMap, sync::LazyLock, time::Duration};

use ansai_document::{Findings, Node, text::joined};
use ansai_keys::{Kind, key};
use ansai_model::{
    action::{AS_DECLARED, Action},
    bundle::BundleParts,
    check::{Check, Trend, TrendKind},
    condition::Condition,
    domain::memory::{ANONYMOUS, KILLED_LATELY, LIFE, LIMIT, MemoryAction, MemoryProbe, NEAR_LIMIT, Release},
    id::{CheckId, PolicyId, RungId, UnitName},
    policy::{Policy, QuietHours},
    rule::{Autonomy, Severity},
    runbook::{Rung, Step},
    units::ByteSize,
};

use crate::{
    common::Common,
    fill::{Filled, LineDefault},
    slice::{Domain, FaultDomain, Kept, LOCAL_TIMEOUT, LongAction, LongProbe, Slice, add},
};

/// The name of the check, of its rule beside that of the unit, of its policy, and of its keys.
const NAME: &str = "memory";
pub(super) const SLICE: Slice = Slice { policy: include_str!("memory/policy.yaml"), read };
const EVERY_SOFT: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(5);
const FAIL_AFTER: u32 = 3;
const RECOVER_AFTER: u32 = 2;
/// How often a service is restarted for one leak before a person is asked.
const RESTARTS_MAX: u32 = 3;

/// The long form of its looks.
pub(super) const LONG_PROBE: LongProbe = LongProbe {
    key: key(NAME, Kind::Shape(&keys::PROBE), "What the processes of a unit hold in memory")
        .example("{unit: app.service}")
        .beside(""),
    read: |findings, node, key| {
        node.map()?;
        Some(MemoryProbe::filled(findings, node, key, None)?.into())
    },
};
/// And that of its actions.
pub(super) const LONG_ACTION: LongAction = LongAction {
    key: key(NAME, Kind::Shape(&keys::ACTION), "Asks a unit to give memory back, or has the kernel slow it down")
        .example("{unit: app.service, release: SIGUSR1}"),
    read: |findings, node, key| Some(keys::action(findings, node, key)?.into()),
};

/// What is said of a service's memory, or of that of all services.
#[derive(Clone, Debug, Default)]
struct Memory {
    /// Whether it is watched, when that is said.
    is_watched: Option<bool>,
    limit: Option<ByteSize>,
    release: Option<Release>,
    high: Option<ByteSize>,
    horizon: Option<Duration>,
    every: Option<Duration>,
    quiet: Option<Option<QuietHours>>,
    autonomy: Option<Autonomy>,
    severity: Option<Severity>,
}

/// What is said of the memory of all units, and of that of each that says something, by the name under which it is written.
#[derive(Debug)]
struct Memories {
    of_all: Memory,
    of: BTreeMap<String, Memory>,
}

fn read(findings: &mut Findings<'_>, tree: &Node, _: &Common) -> Box<dyn Domain> {
    let of_all = memory(findings, tree, "").unwrap_or_default();
    let mut of = BTreeMap::new();
    for (section, entry) in tree.map().into_iter().flatten() {
        for (name, _, node) in tree.named(section).filter(|_| !entry.node.is_null()) {
            let said = memory(findings, node, &format!("{section}.{name}"));
            of.extend(said.map(|said| (name.to_owned(), said)));
        }
    }
    Box::new(Memories { of_all, of })
}

/// What stands under `memory`, when something does.
fn memory(findings: &mut Findings<'_>, parent: &Node, key: &str) -> Option<Memory> {
    let node = parent.get(NAME).filter(|node| !node.is_null())?;
    if node.map().is_none() {
        return Some(Memory { is_watched: parent.truth_at(NAME), ..Memory::default() });
    }
    Memory::filled(findings, node, &joined(key, NAME), None)
}

impl Domain for Memories {
    /// Adds the memory of a unit as a fault domain of its target, when it is to be watched: when that is said of the unit, or said of
    /// all and the unit has a process that stays.
    fn beside(&self, findings: &mut Findings<'_>, common: &Common, kept: &Kept, parts: &mut BundleParts) {
        let Some(unit) = &kept.unit else { return };
        let own = self.of.get(&kept.name);
        let memory = own.map_or_else(|| self.of_all.clone(), |own| own.over(&self.of_all));
        let is_watched = own.and_then(|own| own.is_watched).unwrap_or(kept.stays && memory.is_watched == Some(true));
        let (Ok(id), true) = (CheckId::of(&kept.target, NAME), is_watched) else { return };
        if parts.checks.contains_key(&id) {
            let what = format!("there are two checks `{NAME}`");
            let help = "give the other one another name under `probes:`".to_owned();
            findings.error(kept.place, &joined(&kept.key, NAME), what, help);
            return;
        }
        let policy = memory.quiet.map(|quiet| Policy { quiet, ..common.policy_named(NAME) });
        let named = format!("{}#{NAME}", kept.target);
        if let (Some(policy), Ok(id)) = (&policy, PolicyId::new(&named)) {
            parts.policies.insert(id.clone(), Policy { id, ..policy.clone() });
        }
        let fault_domain = FaultDomain {
            name: NAME,
            checks: vec![check(id, unit, kept, &memory)],
            rungs: ladder(unit, &memory),
            policy: if policy.is_some() { &named } else { NAME },
            condition: None,
            autonomy: memory.autonomy.unwrap_or(kept.autonomy),
            severity: memory.severity.unwrap_or(kept.severity),
        };
        if let Err(error) = add(common, parts, &kept.target, fault_domain) {
            findings.name(kept.place, &joined(&kept.key, NAME), &error);
        }
    }

    fn quiet(&mut self) -> Vec<&mut Option<QuietHours>> {
        std::iter::once(&mut self.of_all)
            .chain(self.of.values_mut())
            .filter_map(|memory| memory.quiet.as_mut())
            .collect()
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

fn check(id: CheckId, unit: &UnitName, kept: &Kept, memory: &Memory) -> Check {
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
        target: kept.target.clone(),
        probe: MemoryProbe { unit: unit.clone(), limit: memory.limit }.into(),
        every,
        every_soft: EVERY_SOFT.min(every),
        timeout: TIMEOUT,
        fail_after: FAIL_AFTER,
        recover_after: RECOVER_AFTER,
        flap: kept.flap,
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
    ansai_condition::parse(&text).expect("a condition on figures")
});
