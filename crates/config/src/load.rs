//! From files to a configuration: `files` finds them, `stack` makes one tree of them, and here it is understood.

mod files;
mod kept;
mod resting;
mod stack;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use ansai_model::{
    bundle::{Bundle, BundleError, BundleParts},
    check::{Check, Flap},
    domain::DOMAINS,
    id::{CheckId, PolicyId, RouteId, TargetId, UnitName},
    inventory::{Inventory, Standing},
    notify::Route,
    policy::{MaintenanceWindow, Policy},
    probe::Probe,
    rule::Autonomy,
    settings::Settings,
    time::WallTime,
};

use self::stack::{Input, Stack};
pub use self::{kept::of_kept, resting::Resting, stack::LayerFile};
use jiff::tz::TimeZone;
use sha2::{Digest, Sha256};

use crate::{
    deduce,
    diagnostics::{Diagnostic, Diagnostics, Findings, nearest},
    document::{Node, Place},
    domain::{self, Domains},
    fill::{Filled, section},
    keys::agent::{ProbeDefaults, Schedule},
    layer::{Layer, Sources},
    lint,
    patterns::Patterns,
    read::{
        long::{self, Fallback, Long},
        notify, policy,
        probe::Look,
        service::{self, Known, Limits, Service},
        settings,
    },
    shipped,
};

/// A configuration that was read and understood; it still needs a host's units to become a bundle.
#[derive(Clone, Debug)]
pub struct Configuration {
    pub(crate) autonomy: Autonomy,
    pub(crate) generation: Option<u64>,
    pub(crate) services: BTreeMap<String, Service>,
    /// Those of the services that are patterns.
    pub(crate) by_pattern: Patterns,
    pub(crate) processes: BTreeMap<String, Service>,
    pub(crate) policies: BTreeMap<PolicyId, Policy>,
    pub(crate) maintenance: Vec<MaintenanceWindow>,
    pub(crate) routes: BTreeMap<RouteId, Route>,
    pub(crate) settings: Settings,
    pub(crate) probe_defaults: ProbeDefaults,
    pub(crate) domains: Domains,
    pub(crate) long: Long,
    pub(crate) tree: Node,
    pub(crate) sources: Sources,
    /// What it was read from, without the shipped defaults.
    inputs: Vec<Input>,
    /// When the host's civil time changes, if that matters.
    civil_change: Option<WallTime>,
    warnings: Vec<Diagnostic>,
    files: Vec<LayerFile>,
}

/// The least that a program has that does not say otherwise: plugins ask others, and are written for ten seconds.
const PROGRAM_TIMEOUT: Duration = Duration::from_secs(10);

/// The least that a server has that speaks first: some keep a client waiting on purpose (sendmail 5 s, postscreen 6 s), others
/// look for its name before. Three such looks, begun half a minute after a hang, still end within the minute.
const GREETING_TIMEOUT: Duration = Duration::from_secs(8);

impl ProbeDefaults {
    /// Period and longest look of a probe.
    pub(crate) fn times(&self, schedule: &Schedule) -> (Duration, Duration) {
        (schedule.every.unwrap_or(self.every), schedule.timeout.unwrap_or(self.timeout))
    }

    /// The check that follows from a probe.
    pub(crate) fn check(&self, id: CheckId, target: TargetId, look: &Look, flap: Flap) -> Check {
        let schedule = look.schedule;
        let every = schedule.every.unwrap_or(self.every);
        let least = match &look.probe {
            Probe::Exec(_) | Probe::Nagios(_) => PROGRAM_TIMEOUT,
            Probe::Tcp { speaks: Some(protocol), .. } | Probe::UnixSocket { speaks: Some(protocol), .. }
                if protocol.manner().opens.is_empty() =>
            {
                GREETING_TIMEOUT
            }
            _ => Duration::ZERO,
        };
        Check {
            id,
            target,
            probe: look.probe.clone(),
            every,
            every_soft: schedule.every_soft.unwrap_or(self.every_soft).min(every),
            timeout: schedule.timeout.unwrap_or(self.timeout.max(least)),
            fail_after: schedule.fail_after.unwrap_or(self.fail_after),
            recover_after: schedule.recover_after.unwrap_or(self.recover_after),
            flap,
            trend: None,
        }
    }
}

/// Reads a file, or the files of a folder, and the layers beside it, over the shipped defaults.
///
/// # Errors
/// Everything that is wrong.
pub fn load(path: &Path) -> Result<Configuration, Diagnostics> {
    load_at(path, wall_now())
}

/// The same at a given time, which decides whether an emergency layer still holds.
///
/// # Errors
/// Everything that is wrong.
pub fn load_at(path: &Path, now: WallTime) -> Result<Configuration, Diagnostics> {
    let (inputs, unreadable) = files::inputs(path)?;
    read(inputs, unreadable, now)
}

/// When a file or folder of a configuration was last changed, so that it is read anew; nothing when none is there.
#[must_use]
pub fn changed_at(path: &Path) -> Option<SystemTime> {
    files::changed_at(path)
}

/// Reads texts with the names of their files as the host's layer, over the shipped defaults.
///
/// # Errors
/// Everything that is wrong.
pub fn parse(texts: &[(PathBuf, String)]) -> Result<Configuration, Diagnostics> {
    let input = |(file, text): &(PathBuf, String)| {
        let (layer, file, text) = (Layer::Host, file.clone(), text.clone());
        Input { layer, role: None, file, text }
    };
    read(texts.iter().map(input).collect(), Diagnostics(Vec::new()), wall_now())
}

fn wall_now() -> WallTime {
    WallTime(jiff::Timestamp::now().as_millisecond())
}

fn read(own: Vec<Input>, unreadable: Diagnostics, now: WallTime) -> Result<Configuration, Diagnostics> {
    let mut inputs = own.clone();
    let (file, text) = (PathBuf::from(shipped::NAME), shipped::text());
    inputs.insert(0, Input { layer: Layer::Shipped, role: None, file, text });
    let sources = stack::sources(&inputs);
    let mut findings = Findings::new(&sources);
    unreadable.0.into_iter().for_each(|diagnostic| findings.push(diagnostic));
    let Stack { tree, files } = stack::stack(&mut findings, &sources, &inputs, now);
    let zone = ansai_files::zone::system().zone;
    let mut configuration = understand(&mut findings, &tree);
    configuration.maintenance = policy::windows(&mut findings, &tree, &zone, now);
    configuration.place_in_civil_time(&zone, now);
    (configuration.tree, configuration.files) = (tree, files);
    // What depends on several keys is checked against a host without units.
    let parts = configuration.assemble(&mut findings, &Inventory::default(), 1);
    if findings.is_valid() {
        lint::lint(&mut findings, &configuration, &configuration.tree);
        configuration.fit(&mut findings, parts);
    }
    configuration.warnings = findings.finish()?;
    (configuration.sources, configuration.inputs) = (sources, own);
    Ok(configuration)
}

/// What the merged tree says.
fn understand(findings: &mut Findings<'_>, tree: &Node) -> Configuration {
    let policies = policies(findings, tree);
    let settings = settings::settings(findings, tree);
    let default = default_policy(&policies);
    let flap = section(findings, tree, ("", "flap"), None).expect("each of both has a default");
    let probes = section(findings, tree, ("", "probe_defaults"), None).expect("each of them has a default");
    let known = Known { policies: &policies, default: &default, flap };
    let autonomy = tree.word_at("autonomy").unwrap_or_default();
    let long = long::long(findings, tree, &Fallback { probes, flap, autonomy });
    let services = service::services(findings, tree, "services", &known);
    Configuration {
        autonomy,
        generation: tree.whole_at("generation"),
        by_pattern: Patterns::among(services.keys()),
        services,
        processes: service::services(findings, tree, "processes", &known),
        maintenance: Vec::new(),
        civil_change: None,
        routes: notify::routes(findings, tree),
        settings,
        probe_defaults: probes,
        domains: domain::read(findings, tree, &known),
        long,
        policies,
        tree: Node::null(Place::default()),
        sources: Sources::default(),
        inputs: Vec::new(),
        warnings: Vec::new(),
        files: Vec::new(),
    }
}

/// The policies: `default` first, the others over it.
fn policies(findings: &mut Findings<'_>, tree: &Node) -> BTreeMap<PolicyId, Policy> {
    let mut policies = BTreeMap::new();
    let id = PolicyId::new("default").expect("a valid name");
    let nothing = Node::null(tree.place);
    let node = tree.section("policies").unwrap_or(&nothing);
    let default: Policy = section(findings, node, ("policies", "default"), None).expect("each limit has a default");
    for (name, place, node) in tree.named("policies").filter(|(name, ..)| *name != "default") {
        let key = format!("policies.{name}");
        match PolicyId::new(name) {
            Ok(id) => {
                let policy = Policy::filled(findings, node, &key, Some(&default));
                policies.extend(policy.map(|policy| (id.clone(), Policy { id, ..policy })));
            }
            Err(error) => findings.name(place, &key, &error),
        }
    }
    policies.insert(id, default);
    policies
}

fn default_policy(policies: &BTreeMap<PolicyId, Policy>) -> Policy {
    let found = policies.iter().find(|(id, _)| id.as_str() == "default").map(|(_, policy)| policy.clone());
    found.or_else(Policy::shipped).expect("each limit has a default")
}

impl Configuration {
    /// What follows the clock on the wall: windows that open each week, and quiet hours.
    fn place_in_civil_time(&mut self, zone: &TimeZone, now: WallTime) {
        let own = self.services.values_mut().chain(self.processes.values_mut());
        let own = own.flat_map(|service| {
            let limits = match &mut service.policy {
                Limits::Own(policy) => Some(&mut policy.quiet),
                Limits::Named(_) => None,
            };
            limits.into_iter().chain(&mut service.memory.quiet)
        });
        let named = self.policies.values_mut().map(|policy| &mut policy.quiet);
        let mut depends = self.maintenance.iter().any(policy::is_weekly);
        let domains = self.domains.all_mut().into_iter().flat_map(domain::Domain::quiet);
        for quiet in named.chain(own).chain(domains) {
            policy::in_civil_time(quiet, zone, now);
            depends |= quiet.is_some();
        }
        self.civil_change = depends.then(|| policy::next_change(zone, now)).flatten();
    }

    /// The files that hold, the weakest first.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        self.files.iter().filter(|found| found.ignored.is_none()).map(|found| found.file.clone()).collect()
    }

    /// Every file that was read, the weakest layer first, those included that do not hold.
    #[must_use]
    pub fn layers(&self) -> &[LayerFile] {
        &self.files
    }

    /// Until when it holds as it was read: then an emergency layer ends, or the host's civil time changes under a window
    /// that opens each week, and the files must be read anew.
    #[must_use]
    pub fn holds_until(&self) -> Option<WallTime> {
        let ends = self.files.iter().filter(|found| found.ignored.is_none()).filter_map(|found| found.expires);
        ends.chain(self.civil_change).min()
    }

    /// The agent's own settings.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What is allowed and dangerous.
    #[must_use]
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.warnings
    }

    /// The units that are named, patterns left out.
    #[must_use]
    pub fn units(&self) -> Vec<UnitName> {
        deduce::named(self).map(|(unit, _)| unit).collect()
    }

    /// What a host that knows how the named units stand makes of them: one that it does not have, with the nearest of the
    /// names that it knows, and one that is named twice.
    #[must_use]
    pub fn unit_warnings(&self, standings: &BTreeMap<UnitName, Standing>, known: &[UnitName]) -> Vec<Diagnostic> {
        let mut findings = Findings::new(&self.sources);
        for (unit, service) in deduce::named(self) {
            match standings.get(&unit) {
                Some(Standing::Missing) => {
                    let help = nearest(unit.as_str(), known.iter().map(UnitName::as_str));
                    let help = help.unwrap_or_else(|| "`systemctl list-unit-files` lists those that there are".into());
                    findings.warning(service.place, &service.key, format!("this host has no unit `{unit}`"), help);
                }
                Some(Standing::AliasOf(own)) if deduce::is_named(self, own.as_str()) => {
                    let what = format!("`{unit}` is another name of `{own}`, which is watched as well");
                    findings.warning(service.place, &service.key, what, format!("keep `{own}` alone"));
                }
                Some(Standing::AliasOf(_) | Standing::Known) | None => {}
            }
        }
        findings.finish().unwrap_or_default()
    }

    /// The patterns among the services: names of new units that would be watched.
    #[must_use]
    pub fn patterns(&self) -> Vec<String> {
        self.by_pattern.all().cloned().collect()
    }

    /// What of a host a pattern fits and that cannot be watched, in words: names hold no such characters.
    #[must_use]
    pub fn nameless(&self, inventory: &Inventory) -> Vec<String> {
        self.domains.all().into_iter().flat_map(|domain| domain.nameless(inventory)).collect()
    }

    /// Whether a unit is, or fits, one of the services.
    #[must_use]
    pub fn concerns(&self, unit: &str) -> bool {
        deduce::is_named(self, unit) || self.by_pattern.fits(unit)
    }

    pub(crate) fn policy_named(&self, name: &str) -> Policy {
        let found = self.policies.iter().find(|(id, _)| id.as_str() == name).map(|(_, policy)| policy.clone());
        found.unwrap_or_else(|| default_policy(&self.policies))
    }

    /// The edition that the files declare themselves to be, when they do.
    #[must_use]
    pub fn generation(&self) -> Option<u64> {
        self.generation
    }

    /// What tells the texts that it was read from, their names and their layers from others; never 0. The same texts have
    /// the same one in every version and on every host.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let mut hash = Sha256::new();
        for input in &self.inputs {
            for part in [input.layer.as_str(), &input.file.to_string_lossy(), &input.text] {
                // A length before each part, so that none can be moved into another.
                hash.update((part.len() as u64).to_le_bytes());
                hash.update(part);
            }
        }
        let hash = hash.finalize();
        hash.iter().take(size_of::<u64>()).fold(0, |number, byte| number << 8 | u64::from(*byte)).max(1)
    }

    /// What an agent applies on a host with these units; `generation` is its number where the files declare none.
    ///
    /// # Errors
    /// Everything that does not fit together.
    pub fn bundle(&self, inventory: &Inventory, generation: u64) -> Result<Bundle, Diagnostics> {
        let mut findings = Findings::new(&self.sources);
        let parts = self.assemble(&mut findings, inventory, self.generation.unwrap_or(generation));
        let bundle = if findings.is_valid() { self.fit(&mut findings, parts) } else { None };
        findings.finish()?;
        bundle.ok_or_else(|| Diagnostics(Vec::new()))
    }

    fn assemble(&self, findings: &mut Findings<'_>, inventory: &Inventory, generation: u64) -> BundleParts {
        let mut parts = BundleParts {
            generation,
            fingerprint: 0,
            settings: self.settings.clone(),
            targets: BTreeMap::new(),
            checks: BTreeMap::new(),
            rules: BTreeMap::new(),
            runbooks: BTreeMap::new(),
            policies: self.policies.clone(),
            maintenance: self.maintenance.clone(),
            routes: self.routes.clone(),
        };
        deduce::services(findings, self, inventory, &mut parts);
        // Services are there already, so that they can be told what they wait for.
        self.domains.all().into_iter().for_each(|domain| domain.deduce(findings, self, inventory, &mut parts));
        self.add_long(findings, &mut parts);
        parts
    }

    /// The parts as a bundle, when they fit together.
    fn fit(&self, findings: &mut Findings<'_>, parts: BundleParts) -> Option<Bundle> {
        match Bundle::new(parts) {
            Ok(bundle) => Some(bundle),
            Err(errors) => {
                errors.into_iter().for_each(|error| self.misfit(findings, error));
                None
            }
        }
    }

    /// What is written in the long form goes over what is deduced. What concerns a unit that a pattern waits for is left
    /// out until the host has the unit.
    fn add_long(&self, findings: &mut Findings<'_>, parts: &mut BundleParts) {
        parts.targets.extend(self.long.targets.clone());
        let is_pattern = |target: &TargetId| self.by_pattern.fits(target.name());
        let is_to_come = |target: &TargetId| self.domains.all().into_iter().any(|domain| domain.awaits(target));
        let awaited =
            |target: &TargetId| !parts.targets.contains_key(target) && (is_pattern(target) || is_to_come(target));
        let mut long = self.long.clone();
        long.checks.retain(|_, check| !awaited(&check.target));
        long.rules.retain(|_, rule| !awaited(&rule.target));
        parts.checks.extend(long.checks.clone());
        parts.rules.extend(long.rules.clone());
        parts.runbooks.extend(long.runbooks.clone());
        long::references(findings, &self.tree, parts, &long);
    }

    /// Something that does not fit together, at the place of what holds it.
    fn misfit(&self, findings: &mut Findings<'_>, error: BundleError) {
        let (kind, name) = error.holder.split_once(' ').unwrap_or(("", &error.holder));
        let short = name.split('#').next().unwrap_or(name);
        let short =
            short.split_once('/').filter(|(domain, _)| DOMAINS.contains(domain)).map_or(short, |(_, name)| name);
        let (own, short_form): (&[&str], _) = match kind {
            "target" | "check" => (&["targets", "checks"], domain::SECTIONS),
            "rule" => (&["rules"], domain::SECTIONS),
            "runbook" => (&["runbooks"], domain::SECTIONS),
            "route" => (&["notify"], &[] as &[&str]),
            _ => (&[], &[] as &[&str]),
        };
        let names = [name, short, short.trim_end_matches(".service")];
        let found = own.iter().chain(short_form).find_map(|section| {
            let map = self.tree.get(section).and_then(Node::map)?;
            let name = names.iter().find(|name| map.contains_key(**name))?;
            Some((map.get(*name)?.key, format!("{section}.{name}")))
        });
        let what = format!("{} {}", error.holder, error.what);
        match found {
            Some((place, key)) => {
                let help = if what.contains("needs itself") {
                    "delete one of the needs on the way round"
                } else {
                    "see docs/rules.md"
                };
                findings.error(place, &key, what, help.to_owned());
            }
            None => findings.push(Diagnostic::of_file("", what, "")),
        }
    }
}
