//! A bundle: the validated set of checks, rules, runbooks and policies that an agent applies as a whole.
//! Reading it from files is `config`'s.

mod commands;

use alloc::{
    boxed::Box,
    collections::{BTreeMap, BTreeSet},
    string::String,
    sync::Arc,
    vec::Vec,
};
use core::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    action::{Action, ProcessDeclaration},
    check::Check,
    id::{CheckId, PolicyId, RouteId, RuleId, RunbookId, RungId, TargetId, UnitName},
    notify::Route,
    policy::{MaintenanceWindow, Policy},
    rule::Rule,
    runbook::{OnFailure, Runbook},
    settings::Settings,
};

mod cycles;

/// Something that is kept well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// The target, by its name.
    pub id: TargetId,
    /// Its unit, when it is one.
    pub unit: Option<UnitName>,
    /// Its declaration, when ansai itself starts and stops it.
    pub process: Option<Box<ProcessDeclaration>>,
    /// The port that it listens on, when declared.
    pub port: Option<u16>,
    /// Its configuration, for evidence and for the last known good copy.
    pub configuration: Vec<String>,
    /// Targets that must be well before this one is healed.
    pub needs: Vec<TargetId>,
    /// Checks of other targets that explain a failure of this one, as a full filesystem: while one fails, this target
    /// waits for it as long as its policy says, and is then healed all the same.
    #[serde(default)]
    pub waits_for: Vec<CheckId>,
    /// Whether its unit, a one-shot, is run again when it failed.
    #[serde(default)]
    pub runs_again: bool,
    /// How long after a start failing looks at it are not judged, until it has answered; learned when it is not declared.
    #[serde(default)]
    pub start_period: Option<Duration>,
    /// Whether a person must act now when it cannot be healed.
    pub is_critical: bool,
    /// Whether it is one of ansai's own ways of telling people, which no remedy touches before a person has approved.
    pub is_notifier: bool,
    /// What an operator may ask for by name though nothing is wrong, as `renew` for a certificate.
    #[serde(default)]
    pub requests: BTreeMap<String, Request>,
}

/// Something that is done when an operator asks for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The action with its parameters.
    pub action: Action,
    /// How long it may take.
    pub timeout: Duration,
}

impl Target {
    /// The start period of a service of which neither a declaration nor an earlier start says how long it needs.
    pub const START_PERIOD: Duration = Duration::from_secs(120);

    /// Whether a failure of `other` may be the cause of one of this target.
    #[must_use]
    pub fn waits_on(&self, other: &TargetId) -> bool {
        self.needs.contains(other) || self.waits_for.iter().any(|check| check.target() == other.as_str())
    }
}

/// What an agent applies; every reference in it leads somewhere.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "BundleParts")]
pub struct Bundle(BundleParts);

/// The parts of a bundle, before they are known to fit together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BundleParts {
    /// Only grows: an engine refuses one that is older than what it has applied, also before it was restarted.
    pub generation: u64,
    /// What tells the files that it was made of from others; 0 where nobody said. It is no secret and no signature.
    #[serde(default)]
    pub fingerprint: u64,
    /// The agent's own settings.
    pub settings: Settings,
    /// What is kept well.
    pub targets: BTreeMap<TargetId, Target>,
    /// How it is looked at; shared with what follows the state of each.
    pub checks: BTreeMap<CheckId, Arc<Check>>,
    /// When what is run; the first that fits an incident wins, in the order of their names.
    pub rules: BTreeMap<RuleId, Rule>,
    /// What is run.
    pub runbooks: BTreeMap<RunbookId, Runbook>,
    /// Under which limits.
    pub policies: BTreeMap<PolicyId, Policy>,
    /// Planned times.
    pub maintenance: Vec<MaintenanceWindow>,
    /// Whom to tell.
    pub routes: BTreeMap<RouteId, Route>,
}

/// Why parts do not fit together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundleError {
    /// What holds the wrong reference, as "rule app".
    pub holder: String,
    /// What is wrong, as "names the runbook `x`, which does not exist".
    pub what: String,
}

impl fmt::Display for BundleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.holder, self.what)
    }
}
impl core::error::Error for BundleError {}

/// The most checks of one bundle.
pub const CHECKS_MAX: usize = 20_000;
/// The most rungs of one runbook.
pub const RUNGS_MAX: usize = 32;

impl Bundle {
    /// Checks that every reference leads somewhere and that no limit is passed.
    ///
    /// # Errors
    /// All that is wrong, at once.
    pub fn new(mut parts: BundleParts) -> Result<Self, Vec<BundleError>> {
        let mut errors = Vec::new();
        let mut wrong = |holder: String, what: String| errors.push(BundleError { holder, what });
        if parts.checks.len() > CHECKS_MAX {
            wrong("the bundle".into(), alloc::format!("has {} checks; the limit is {CHECKS_MAX}", parts.checks.len()));
        }
        check_targets(&parts, &mut wrong);
        check_rules(&parts, &mut wrong);
        check_runbooks(&parts, &mut wrong);
        for (id, route) in &parts.routes {
            if let Some(fallback) = &route.fallback
                && (!parts.routes.contains_key(fallback) || fallback == id)
            {
                wrong(
                    alloc::format!("route {id}"),
                    alloc::format!("falls back to `{fallback}`, which is no other route"),
                );
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        parts.pack();
        Ok(Self(parts))
    }

    /// The same, made of files with this fingerprint.
    #[must_use]
    pub fn made_of(mut self, fingerprint: u64) -> Self {
        self.0.fingerprint = fingerprint;
        self
    }

    /// A bundle that watches nothing.
    #[must_use]
    pub fn empty(settings: Settings) -> Self {
        Self(BundleParts {
            generation: 0,
            fingerprint: 0,
            settings,
            targets: BTreeMap::new(),
            checks: BTreeMap::new(),
            rules: BTreeMap::new(),
            runbooks: BTreeMap::new(),
            policies: BTreeMap::new(),
            maintenance: Vec::new(),
            routes: BTreeMap::new(),
        })
    }

    /// The parts, known to fit together.
    #[must_use]
    pub fn parts(&self) -> &BundleParts {
        &self.0
    }

    /// The parts, to be changed and validated again.
    #[must_use]
    pub fn into_parts(self) -> BundleParts {
        self.0
    }
}

impl BundleParts {
    /// Builds the larger maps anew: one that grew in the order of its names is half empty, one that is made at once is full.
    /// Lists are as long as what they hold: the shortest that grow have room for four. Rungs of one name share it: the
    /// ladders of a thousand services have the same few.
    fn pack(&mut self) {
        fn packed<K: Ord, V>(map: &mut BTreeMap<K, V>) {
            *map = core::mem::take(map).into_iter().collect();
        }
        packed(&mut self.targets);
        packed(&mut self.checks);
        packed(&mut self.rules);
        packed(&mut self.runbooks);
        for target in self.targets.values_mut() {
            target.configuration.shrink_to_fit();
            target.needs.shrink_to_fit();
            target.waits_for.shrink_to_fit();
        }
        self.rules.values_mut().for_each(|rule| rule.checks.shrink_to_fit());
        let mut names = BTreeSet::new();
        for runbook in self.runbooks.values_mut() {
            runbook.rungs.shrink_to_fit();
            for rung in &mut runbook.rungs {
                rung.steps.shrink_to_fit();
                match names.get(&rung.id) {
                    Some(name) => rung.id = RungId::clone(name),
                    None => drop(names.insert(rung.id.clone())),
                }
            }
        }
    }
}

impl TryFrom<BundleParts> for Bundle {
    type Error = BundleError;
    fn try_from(parts: BundleParts) -> Result<Self, BundleError> {
        Self::new(parts).map_err(|mut errors| errors.swap_remove(0))
    }
}

fn check_targets(parts: &BundleParts, wrong: &mut dyn FnMut(String, String)) {
    for (id, target) in &parts.targets {
        for need in &target.needs {
            if !parts.targets.contains_key(need) || need == id {
                wrong(alloc::format!("target {id}"), alloc::format!("needs `{need}`, which is no other target"));
            }
        }
        for check in &target.waits_for {
            if parts.checks.get(check).is_none_or(|found| found.target == *id) {
                wrong(alloc::format!("target {id}"), alloc::format!("waits for `{check}`, which is no other's check"));
            }
        }
    }
    for id in cycles::on_cycles(&parts.targets) {
        wrong(alloc::format!("target {id}"), "needs itself, through the targets that it needs".into());
    }
    for (id, check) in &parts.checks {
        if !parts.targets.contains_key(&check.target) {
            wrong(alloc::format!("check {id}"), alloc::format!("looks at `{}`, which is no target", check.target));
        }
        if check.every < Check::EVERY_MIN || check.fail_after == 0 || check.recover_after == 0 {
            wrong(alloc::format!("check {id}"), "has a period or a threshold of nothing".into());
        }
    }
}

fn check_rules(parts: &BundleParts, wrong: &mut dyn FnMut(String, String)) {
    for (id, rule) in &parts.rules {
        let holder = || alloc::format!("rule {id}");
        if !parts.targets.contains_key(&rule.target) {
            wrong(holder(), alloc::format!("heals `{}`, which is no target", rule.target));
        }
        if !parts.runbooks.contains_key(&rule.runbook) {
            wrong(holder(), alloc::format!("names the runbook `{}`, which does not exist", rule.runbook));
        }
        if !parts.policies.contains_key(&rule.policy) {
            wrong(holder(), alloc::format!("names the policy `{}`, which does not exist", rule.policy));
        }
        for check in &rule.checks {
            match parts.checks.get(check) {
                Some(found) if found.target == rule.target => {}
                Some(_) => wrong(holder(), alloc::format!("names the check `{check}` of another target")),
                None => wrong(holder(), alloc::format!("names the check `{check}`, which does not exist")),
            }
        }
    }
}

fn check_runbooks(parts: &BundleParts, wrong: &mut dyn FnMut(String, String)) {
    for (id, runbook) in &parts.runbooks {
        let holder = || alloc::format!("runbook {id}");
        if runbook.rungs.len() > RUNGS_MAX {
            wrong(holder(), alloc::format!("has {} rungs; at most {RUNGS_MAX} are allowed", runbook.rungs.len()));
        }
        for (index, rung) in runbook.rungs.iter().enumerate() {
            if runbook.rungs[..index].iter().any(|earlier| earlier.id == rung.id) {
                wrong(holder(), alloc::format!("has two rungs named `{}`", rung.id));
            }
            if rung.steps.is_empty() || rung.attempts_max == 0 {
                wrong(holder(), alloc::format!("has a rung `{}` without steps or attempts", rung.id));
            }
            // Only downwards, so that a ladder always ends.
            if let OnFailure::Rung(next) = &rung.on_failure
                && !runbook.rungs[index + 1..].iter().any(|later| later.id == *next)
            {
                wrong(holder(), alloc::format!("leads from `{}` to `{next}`, which is no later rung", rung.id));
            }
        }
    }
}
