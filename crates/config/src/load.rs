//! From texts to a configuration: read, held against the table, merged, read into values. Files are found by `files`.

mod files;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use ansai_model::{
    bundle::{Bundle, BundleError, BundleParts},
    check::{Check, Flap},
    id::{CheckId, PolicyId, RouteId, TargetId},
    inventory::Inventory,
    notify::Route,
    policy::{MaintenanceWindow, Policy},
    rule::Autonomy,
    settings::Settings,
};

use crate::{
    deduce,
    diagnostics::{Diagnostic, Diagnostics, Findings},
    document::{self, Form, Node, Place},
    form,
    keys::{CONFIG, Kind},
    layer::{self, Layer, Source, Sources},
    lint,
    read::{
        long::{self, Fallback, Long},
        notify, policy,
        probe::{Look, Schedule},
        service::{Known, Service, services},
        settings,
    },
};

pub(crate) const DEFAULTS: &str = include_str!("defaults.yaml");
/// What the shipped layer is called in messages.
pub(crate) const SHIPPED: &str = "the shipped defaults";

/// A configuration that was read and understood; it still needs a host's units to become a bundle.
#[derive(Clone, Debug)]
pub struct Configuration {
    pub(crate) autonomy: Autonomy,
    pub(crate) services: BTreeMap<String, Service>,
    pub(crate) processes: BTreeMap<String, Service>,
    pub(crate) policies: BTreeMap<PolicyId, Policy>,
    pub(crate) maintenance: Vec<MaintenanceWindow>,
    pub(crate) routes: BTreeMap<RouteId, Route>,
    pub(crate) settings: Settings,
    pub(crate) probe_defaults: ProbeDefaults,
    pub(crate) long: Long,
    pub(crate) tree: Node,
    pub(crate) sources: Sources,
    warnings: Vec<Diagnostic>,
    files: Vec<PathBuf>,
}

/// What holds for a probe that does not say otherwise.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ProbeDefaults {
    every: Duration,
    every_soft: Duration,
    timeout: Duration,
    fail_after: u32,
    recover_after: u32,
}

impl ProbeDefaults {
    fn read(root: &Node) -> Self {
        let empty = Node::null(root.place);
        let node = root.section("probe_defaults").unwrap_or(&empty);
        Self {
            every: node.duration_at("every").unwrap_or(Duration::from_secs(60)),
            every_soft: node.duration_at("every_soft").unwrap_or(Duration::from_secs(60)),
            timeout: node.duration_at("timeout").unwrap_or(Duration::from_secs(3)),
            fail_after: node.count_at("fail_after").unwrap_or(3),
            recover_after: node.count_at("recover_after").unwrap_or(2),
        }
    }

    /// Period and longest look of a probe.
    pub(crate) fn times(&self, schedule: &Schedule) -> (Duration, Duration) {
        (schedule.every.unwrap_or(self.every), schedule.timeout.unwrap_or(self.timeout))
    }

    /// The check that follows from a probe.
    pub(crate) fn check(&self, id: CheckId, target: TargetId, look: &Look, flap: Flap) -> Check {
        let schedule = look.schedule;
        let every = schedule.every.unwrap_or(self.every);
        Check {
            id,
            target,
            probe: look.probe.clone(),
            every,
            every_soft: schedule.every_soft.unwrap_or(self.every_soft).min(every),
            timeout: schedule.timeout.unwrap_or(self.timeout),
            fail_after: schedule.fail_after.unwrap_or(self.fail_after),
            recover_after: schedule.recover_after.unwrap_or(self.recover_after),
            flap,
        }
    }
}

/// Reads a file, or the files of a folder, over the shipped defaults.
///
/// # Errors
/// Everything that is wrong.
pub fn load(path: &Path) -> Result<Configuration, Diagnostics> {
    let mut texts = Vec::new();
    let mut errors = Vec::new();
    for file in files::list(path)? {
        match files::read(&file) {
            Ok(text) => texts.push((file, text)),
            Err(wrong) => errors.extend(wrong.0),
        }
    }
    if errors.is_empty() { parse(&texts) } else { Err(Diagnostics(errors)) }
}

/// Reads texts with the names of their files as the host's layer, over the shipped defaults.
///
/// # Errors
/// Everything that is wrong.
pub fn parse(texts: &[(PathBuf, String)]) -> Result<Configuration, Diagnostics> {
    let shipped = Source { name: SHIPPED.into(), text: DEFAULTS.into(), layer: Layer::Shipped };
    let own = texts.iter().map(|(path, text)| Source {
        name: path.display().to_string(),
        text: text.clone(),
        layer: Layer::Host,
    });
    let sources = Sources(std::iter::once(shipped).chain(own).collect());
    let mut configuration = read(sources)?;
    configuration.files = texts.iter().map(|(path, _)| path.clone()).collect();
    Ok(configuration)
}

fn read(sources: Sources) -> Result<Configuration, Diagnostics> {
    let mut findings = Findings::new(&sources);
    let mut tree = Node::null(Place::default());
    for (index, source) in sources.0.iter().enumerate() {
        match document::read(&source.text, Form::of(Path::new(&source.name)), index) {
            Ok(node) => {
                form::check(&mut findings, &node, &Kind::Shape(&CONFIG), "");
                layer::merge(&mut findings, &sources, &mut tree, node, "");
            }
            Err(error) => findings.form(index, error),
        }
    }
    let mut configuration = understand(&mut findings, &tree);
    if findings.is_valid() {
        lint::lint(&mut findings, &configuration, &tree);
    }
    configuration.warnings = findings.finish()?;
    configuration.tree = tree;
    configuration.sources = sources;
    // What depends on several keys is checked against a host without units.
    configuration.bundle(&Inventory::default(), 1)?;
    Ok(configuration)
}

/// What the merged tree says.
fn understand(findings: &mut Findings<'_>, tree: &Node) -> Configuration {
    let policies = policies(findings, tree);
    let settings = settings::settings(findings, tree);
    let default = default_policy(&policies);
    let flap = policy::flap(tree, Flap { changes_max: 1, window: Duration::from_secs(3_600) });
    let known = Known { policies: &policies, default: &default, flap };
    let (autonomy, probes) = (tree.autonomy_at("autonomy").unwrap_or_default(), ProbeDefaults::read(tree));
    let long = long::long(findings, tree, &Fallback { probes, flap, autonomy });
    let windows = tree.items("maintenance").iter().enumerate();
    let maintenance =
        windows.filter_map(|(index, node)| policy::window(findings, node, &format!("maintenance[{index}]"))).collect();
    Configuration {
        autonomy,
        services: services(findings, tree, "services", &known),
        processes: services(findings, tree, "processes", &known),
        maintenance,
        routes: notify::routes(findings, tree),
        settings,
        probe_defaults: probes,
        long,
        policies,
        tree: Node::null(Place::default()),
        sources: Sources::default(),
        warnings: Vec::new(),
        files: Vec::new(),
    }
}

/// The policies: `default` first, the others over it.
fn policies(findings: &mut Findings<'_>, tree: &Node) -> BTreeMap<PolicyId, Policy> {
    let mut policies = BTreeMap::new();
    let id = PolicyId::new("default").expect("a valid name");
    let mut default = policy::strictest(id.clone());
    if let Some(node) = tree.section("policies").and_then(|node| node.get("default")) {
        default = policy::policy(node, &default, id.clone());
    }
    for (name, place, node) in tree.named("policies").filter(|(name, ..)| *name != "default") {
        match PolicyId::new(name) {
            Ok(other) => {
                policies.insert(other.clone(), policy::policy(node, &default, other));
            }
            Err(error) => findings.error(place, &format!("policies.{name}"), error.to_string(), None),
        }
    }
    policies.insert(id, default);
    policies
}

fn default_policy(policies: &BTreeMap<PolicyId, Policy>) -> Policy {
    let found = policies.iter().find(|(id, _)| id.as_str() == "default").map(|(_, policy)| policy.clone());
    found.unwrap_or_else(|| policy::strictest(PolicyId::new("default").expect("a valid name")))
}

impl Configuration {
    /// The files that it was read from, in order.
    #[must_use]
    pub fn files(&self) -> &[PathBuf] {
        &self.files
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

    /// The patterns among the services: names of new units that would be watched.
    #[must_use]
    pub fn patterns(&self) -> Vec<String> {
        self.services.keys().filter(|name| name.contains(['*', '?'])).cloned().collect()
    }

    pub(crate) fn policy_named(&self, name: &str) -> Policy {
        let found = self.policies.iter().find(|(id, _)| id.as_str() == name).map(|(_, policy)| policy.clone());
        found.unwrap_or_else(|| default_policy(&self.policies))
    }

    /// What an agent applies on a host with these units.
    ///
    /// # Errors
    /// Everything that does not fit together.
    pub fn bundle(&self, inventory: &Inventory, generation: u64) -> Result<Bundle, Diagnostics> {
        let mut findings = Findings::new(&self.sources);
        let mut parts = BundleParts {
            generation,
            settings: self.settings.clone(),
            targets: BTreeMap::new(),
            checks: BTreeMap::new(),
            rules: BTreeMap::new(),
            runbooks: BTreeMap::new(),
            policies: self.policies.clone(),
            maintenance: self.maintenance.clone(),
            routes: self.routes.clone(),
        };
        deduce::services(&mut findings, self, inventory, &mut parts);
        self.add_long(&mut findings, &mut parts);
        findings.finish()?;
        Bundle::new(parts).map_err(|errors| {
            let mut findings = Findings::new(&self.sources);
            for error in errors {
                self.misfit(&mut findings, error);
            }
            findings.finish().err().unwrap_or(Diagnostics(Vec::new()))
        })
    }

    /// What is written in the long form goes over what is deduced.
    fn add_long(&self, findings: &mut Findings<'_>, parts: &mut BundleParts) {
        parts.targets.extend(self.long.targets.clone());
        parts.checks.extend(self.long.checks.clone());
        parts.rules.extend(self.long.rules.clone());
        parts.runbooks.extend(self.long.runbooks.clone());
        let policies: Vec<&str> = parts.policies.keys().map(PolicyId::as_str).collect();
        let runbooks: Vec<&str> = parts.runbooks.keys().map(|id| id.as_str()).collect();
        long::references(findings, &self.tree, &self.long, &policies, &runbooks);
    }

    /// Something that does not fit together, at the place of what holds it.
    fn misfit(&self, findings: &mut Findings<'_>, error: BundleError) {
        let (kind, name) = error.holder.split_once(' ').unwrap_or(("", &error.holder));
        let short = name.split('#').next().unwrap_or(name).trim_start_matches("service/");
        let sections: &[&str] = match kind {
            "target" | "check" => &["targets", "checks", "services", "processes"],
            "rule" => &["rules", "services", "processes"],
            "runbook" => &["runbooks", "services", "processes"],
            "route" => &["notify"],
            _ => &[],
        };
        let names = [name, short, short.trim_end_matches(".service")];
        let found = sections.iter().find_map(|section| {
            let map = self.tree.get(section).and_then(Node::map)?;
            let name = names.iter().find(|name| map.contains_key(**name))?;
            Some((map.get(*name)?.key, format!("{section}.{name}")))
        });
        let what = format!("{} {}", error.holder, error.what);
        match found {
            Some((place, key)) => findings.error(place, &key, what, None),
            None => findings.push(Diagnostic::of_file("", what, "")),
        }
    }
}
