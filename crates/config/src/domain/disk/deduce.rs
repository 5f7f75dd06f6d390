//! From a disk to its fault domains: what is only told, what is cleaned, and the ladder by which room is made.

use std::time::Duration;

use ansai_document::{Findings, units::shown_percent};
use ansai_model::{
    bundle::BundleParts,
    check::{Check, Trend, TrendKind},
    condition::Condition,
    domain::disk::{CleanRule, Cleaning, DiskAction, DiskProbe, USABLE, USED},
    id::{CheckId, NameError, PolicyId, RungId, TargetId},
    inventory::Inventory,
    policy::Policy,
    rule::Severity,
    runbook::{Rung, Step, Then},
    units::{ByteSize, Percent},
};

use super::{
    keys::{AVAILABLE_MIN, ERRORS_WITHIN},
    long::TIMEOUT,
    short::{Disk, Disks},
    waits::{self, Mounts},
};
use crate::{
    common::{Common, Limits},
    fill::LineDefault,
    slice::{FaultDomain, add, target},
};

/// Less room than this is none on any disk: what asks for more at once, as a database does for its log, fails already.
const AVAILABLE_MAX: ByteSize = ByteSize(16 << 20);
/// Growth shows in minutes, not in seconds.
const TREND_EVERY: Duration = Duration::from_secs(60);
const STATE_EVERY: Duration = Duration::from_secs(60);
const EVERY_SOFT: Duration = Duration::from_secs(2);
const LOOK_TIMEOUT: Duration = Duration::from_secs(5);
/// A declared command may wait for a volume manager.
const GROW_TIMEOUT: Duration = Duration::from_secs(300);
/// What is cleaned at once is no news: people are told of what stays.
const STAYS: &str = "failing_for > 5m";
/// How old a rotation must be.
const ROTATED_AGE: Duration = Duration::from_secs(30 * 86_400);
/// Where logs are rotated.
const LOG_ROOT: &str = "/var/log";
/// Where package managers keep what they downloaded.
const PACKAGE_CACHES: &[&str] =
    &["/var/cache/apt", "/var/cache/dnf", "/var/cache/libdnf5", "/var/cache/yum", "/var/cache/zypp"];
const JOURNAL_ROOT: &str = "/var/log/journal";

/// Adds every disk of a host, and what services wait for.
pub(super) fn deduce(
    disks: &Disks,
    findings: &mut Findings<'_>,
    common: &Common,
    inventory: &Inventory,
    parts: &mut BundleParts,
) {
    let known = waits::mounts(disks, inventory);
    for (mount, disk) in disks.on(inventory) {
        // A name that was found rather than written cannot be mended in the configuration.
        let is_written = disks.0.contains_key(mount);
        let size = inventory.mounts.iter().find(|facts| facts.path == mount).map_or(ByteSize(0), |facts| facts.size);
        if let Err(error) = one(common, (disk, size), mount, &known, parts)
            && is_written
        {
            findings.name(disk.place, &disk.key, &error);
        }
    }
    waits::for_room(&known, parts);
}

fn one(
    common: &Common,
    (disk, size): (&Disk, ByteSize),
    mount: &str,
    known: &Mounts<'_>,
    parts: &mut BundleParts,
) -> Result<(), NameError> {
    let id = TargetId::of("disk", mount)?;
    let policy = match &disk.policy {
        Limits::Named(id) => id.clone(),
        Limits::Own(own) => {
            let id = PolicyId::new(id.as_str())?;
            parts.policies.insert(id.clone(), Policy { id: id.clone(), ..(**own).clone() });
            id
        }
    };
    let ByteSize(least) = AVAILABLE_MIN.or_default(None);
    let available_min = ByteSize((size.0 / 100).clamp(least, AVAILABLE_MAX.0));
    let made = Made { disk, mount, id: &id, available_min };
    let fault_domains = made.fault_domains(common, policy.as_str(), &made.ladder(known))?;
    parts.targets.insert(id.clone(), target(id.clone()));
    fault_domains.into_iter().try_for_each(|fault_domain| add(common, parts, &id, fault_domain))
}

/// A disk under the name that it has on a host.
struct Made<'a> {
    disk: &'a Disk,
    mount: &'a str,
    id: &'a TargetId,
    /// With less it is full: one percent of it, within bounds.
    available_min: ByteSize,
}

impl Made<'_> {
    fn fault_domains<'p>(
        &self,
        common: &Common,
        policy: &'p str,
        ladder: &[Rung],
    ) -> Result<Vec<FaultDomain<'p>>, NameError> {
        let disk = self.disk;
        let autonomy = disk.autonomy.unwrap_or(common.autonomy);
        let told = |name: &'static str, checks, condition, severity| {
            let rungs = Vec::new();
            FaultDomain { name, checks, rungs, policy, condition, autonomy, severity }
        };
        let used = |[space, inodes]: [&str; 2], at| -> Result<Vec<Check>, NameError> {
            Ok(vec![self.look(space, self.space(at))?, self.look(inodes, self.inodes(at))?])
        };
        let severity = disk.severity;
        let forecast = self.forecast()?;
        let space = vec![
            self.look("space", self.space(disk.act_at))?,
            self.look("inodes", self.inodes(disk.act_at))?,
            Check { fail_after: 1, ..self.look("full", self.full(self.available_min))? },
        ];
        let mut fault_domains = vec![
            told("warn", used(["warn", "warn-inodes"], disk.warn_at)?, condition(STAYS), Severity::Week),
            FaultDomain { rungs: ladder.to_vec(), ..told("space", space, None, severity) },
            told("urgent", used(["urgent", "urgent-inodes"], disk.urgent_at)?, condition(STAYS), Severity::Now),
            told("forecast-told", vec![forecast.clone()], None, severity),
            told(
                "read-only",
                vec![self.state("read-only", DiskProbe::ReadOnly { mount: self.mount.into() })?],
                None,
                Severity::Now,
            ),
            told(
                "errors",
                vec![self.state(
                    "errors",
                    DiskProbe::Errors { mount: self.mount.into(), within: ERRORS_WITHIN.or_default(None) },
                )?],
                None,
                Severity::Now,
            ),
        ];
        // Of what is foreseen people are told in any case; where room may be made, and there is some to make, it is made
        // first. The rule is asked before the one that tells, by its name.
        if autonomy == ansai_model::rule::Autonomy::Act && !ladder.is_empty() {
            let above_goal = condition(&format!("figure.disk.used > {}", shown_percent(disk.goal)));
            let rungs = ladder.to_vec();
            let checks = vec![forecast];
            fault_domains.push(FaultDomain { rungs, ..told("forecast", checks, above_goal, severity) });
        }
        Ok(fault_domains)
    }

    fn space(&self, fails_at: Percent) -> DiskProbe {
        DiskProbe::Space { mount: self.mount.into(), fails_at }
    }

    fn inodes(&self, fails_at: Percent) -> DiskProbe {
        DiskProbe::Inodes { mount: self.mount.into(), fails_at }
    }

    fn full(&self, available_min: ByteSize) -> DiskProbe {
        DiskProbe::Full { mount: self.mount.into(), available_min }
    }

    /// A look at how full it is.
    fn look(&self, name: &str, probe: DiskProbe) -> Result<Check, NameError> {
        let every = self.disk.every;
        Ok(Check {
            id: CheckId::of(self.id, name)?,
            target: self.id.clone(),
            probe: probe.into(),
            every,
            every_soft: EVERY_SOFT.min(every),
            timeout: LOOK_TIMEOUT,
            fail_after: 2,
            recover_after: 1,
            flap: self.disk.flap,
            trend: None,
        })
    }

    /// A look at what changes seldom.
    fn state(&self, name: &str, probe: DiskProbe) -> Result<Check, NameError> {
        let every = STATE_EVERY.max(self.disk.every);
        Ok(Check { every, fail_after: 1, ..self.look(name, probe)? })
    }

    /// When it will be full; that it is full is another check's word.
    fn forecast(&self) -> Result<Check, NameError> {
        let trend = Trend {
            figure: USED.into(),
            limit: USABLE.into(),
            life: None,
            kind: TrendKind::Fill,
            horizon: self.disk.horizon,
        };
        let every = TREND_EVERY.max(self.disk.every);
        let look = self.look("forecast", self.full(ByteSize(0)))?;
        Ok(Check { every, every_soft: every.min(Duration::from_secs(10)), trend: Some(Box::new(trend)), ..look })
    }

    /// Gentlest first, each until the goal is reached; then it is measured what all of them brought, and verified.
    fn ladder(&self, known: &Mounts<'_>) -> Vec<Rung> {
        let (disk, clean) = (self.disk, &self.disk.clean);
        let is_here = |path: &str| waits::holder(known, path) == Some(self.mount);
        let mut rungs = Vec::new();
        let mut give_up = |name: &str, what, goal, timeout| {
            let (mount, protect) = (self.mount.to_owned(), disk.protect.clone());
            rungs.extend(rung(name, DiskAction::Clean { mount, goal, what, protect }, timeout, Then::Accumulate));
        };
        if clean.packages && PACKAGE_CACHES.iter().any(|path| is_here(path)) {
            give_up("packages", Cleaning::PackageCache, disk.goal, TIMEOUT);
        }
        if let Some(journal) = clean.journal.filter(|_| is_here(JOURNAL_ROOT)) {
            let what = Cleaning::Journal { keep: journal.keep, yields: !journal.is_said };
            give_up("journal", what, disk.goal, TIMEOUT);
        }
        if clean.rotated && is_here(LOG_ROOT) {
            let what = Cleaning::Rotated { path: LOG_ROOT.to_owned(), older_than: ROTATED_AGE };
            give_up("rotated", what, disk.goal, TIMEOUT);
        }
        let below = |rules: &[CleanRule]| rules.iter().filter(|rule| is_here(&rule.path)).cloned().collect::<Vec<_>>();
        let (logs, temporary) = (below(&clean.logs), below(&clean.temporary));
        if !logs.is_empty() {
            give_up("logs", Cleaning::Logs { rules: logs }, disk.goal, TIMEOUT);
        }
        if !temporary.is_empty() {
            give_up("temporary", Cleaning::Temporary { rules: temporary }, disk.goal, TIMEOUT);
        }
        if let Some(images) = clean.images {
            give_up("containers", Cleaning::Containers { images }, disk.goal, TIMEOUT);
        }
        // It is not made larger for the sake of the goal.
        if let Some(command) = clean.grow.clone() {
            give_up("grow", Cleaning::Grow { command }, disk.act_at, GROW_TIMEOUT);
        }
        if !rungs.is_empty() {
            let measure = DiskAction::Measure { mount: self.mount.to_owned(), below: disk.act_at };
            rungs.extend(rung("cleaning", measure, LOOK_TIMEOUT, Then::Verify));
        }
        rungs
    }
}

fn rung(name: &str, action: DiskAction, timeout: Duration, then: Then) -> Option<Rung> {
    let id = RungId::new(name).ok()?;
    let steps = vec![Step::Act { action: action.into(), timeout }];
    Some(Rung { then, ..Rung::healing(id, steps, 1) })
}

/// Ours are well formed, as a test holds.
fn condition(text: &str) -> Option<Condition> {
    ansai_condition::parse(text).ok()
}
