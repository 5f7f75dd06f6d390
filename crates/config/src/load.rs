//! Reads the files, layer by layer, and checks what can be checked without a host.

use std::{collections::BTreeMap, path::Path, path::PathBuf};

use ansai_model::{
    bundle::{Bundle, BundleParts},
    id::{PolicyId, RouteId},
    inventory::Inventory,
    notify::Route,
    policy::{MaintenanceWindow, Policy},
    rule::Autonomy,
    settings::Settings,
};

use crate::{
    convert, deduce,
    diagnostics::{Diagnostic, Diagnostics, Findings, nearest},
    notify,
    raw::{RawConfig, RawPolicyRef, RawService, Short},
};

const FILE_BYTES_MAX: u64 = 1 << 20;
const FILES_MAX: usize = 1_000;
const DEFAULTS: &str = include_str!("defaults.yaml");
const ENDINGS: &[&str] = &["yaml", "yml", "json"];

/// A configuration that was read and understood; it still needs a host's units to become a bundle.
#[derive(Clone, Debug)]
pub struct Configuration {
    pub(crate) autonomy: Autonomy,
    pub(crate) services: BTreeMap<String, (String, RawService)>,
    pub(crate) policies: BTreeMap<PolicyId, Policy>,
    pub(crate) maintenance: Vec<MaintenanceWindow>,
    pub(crate) routes: BTreeMap<RouteId, Route>,
    pub(crate) settings: Settings,
    files: Vec<PathBuf>,
}

/// Reads a file, or the files of a folder, over the shipped defaults.
///
/// # Errors
/// Everything that is wrong.
pub fn load(path: &Path) -> Result<Configuration, Diagnostics> {
    let mut texts = Vec::new();
    let mut errors = Vec::new();
    for file in files(path).map_err(|diagnostic| Diagnostics(vec![diagnostic]))? {
        match read(&file) {
            Ok(text) => texts.push((file, text)),
            Err(diagnostic) => errors.push(diagnostic),
        }
    }
    if errors.is_empty() { parse(&texts) } else { Err(Diagnostics(errors)) }
}

fn problem(file: &Path, what: impl Into<String>, suggestion: &str) -> Diagnostic {
    let (file, what) = (file.display().to_string(), what.into());
    Diagnostic { file, key: String::new(), what, suggestion: Some(suggestion.to_owned()) }
}

fn files(path: &Path) -> Result<Vec<PathBuf>, Diagnostic> {
    let meta = std::fs::metadata(path).map_err(|error| {
        problem(path, format!("the configuration cannot be read: {error}"), "`ansai init` writes one")
    })?;
    if !meta.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = std::fs::read_dir(path).map_err(|error| problem(path, error.to_string(), "check its permissions"))?;
    let mut files: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|ending| ENDINGS.iter().any(|known| ending == *known)))
        .take(FILES_MAX)
        .collect();
    files.sort();
    Ok(files)
}

fn read(file: &Path) -> Result<String, Diagnostic> {
    let size = std::fs::metadata(file).map(|meta| meta.len()).unwrap_or(0);
    if size > FILE_BYTES_MAX {
        return Err(problem(file, format!("it has {size} bytes; at most {FILE_BYTES_MAX} are read"), "split it"));
    }
    std::fs::read_to_string(file)
        .map_err(|error| problem(file, format!("cannot be read: {error}"), "check its permissions"))
}

/// Reads texts with the names of their files, over the shipped defaults.
///
/// # Errors
/// Everything that is wrong.
pub fn parse(texts: &[(PathBuf, String)]) -> Result<Configuration, Diagnostics> {
    let shipped =
        layer(Path::new("the shipped defaults"), DEFAULTS).map_err(|diagnostic| Diagnostics(vec![diagnostic]))?;
    let mut findings = Findings { file: "the shipped defaults".into(), list: Vec::new() };
    let mut configuration = base(&mut findings, &shipped);
    for (file, text) in texts {
        findings.file = file.display().to_string();
        match layer(file, text) {
            Ok(raw) => configuration.add(&mut findings, raw),
            Err(diagnostic) => findings.list.push(diagnostic),
        }
        configuration.files.push(file.clone());
    }
    if findings.list.is_empty() {
        // What depends on several files is checked against a host without units.
        configuration.bundle(&Inventory::default(), 1)?;
        return Ok(configuration);
    }
    Err(Diagnostics(findings.list))
}

fn layer(file: &Path, text: &str) -> Result<RawConfig, Diagnostic> {
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return Ok(RawConfig::default());
    }
    serde_saphyr::from_str(text).map_err(|error| Diagnostic {
        file: file.display().to_string(),
        key: String::new(),
        what: error.to_string(),
        suggestion: None,
    })
}

fn base(findings: &mut Findings, shipped: &RawConfig) -> Configuration {
    let id = PolicyId::new("default").expect("a valid name");
    let raw = shipped.policies.get("default").cloned().unwrap_or_default();
    let policy = convert::policy(findings, "policies.default", &raw, &convert::strictest(), id.clone());
    Configuration {
        autonomy: Autonomy::Observe,
        services: BTreeMap::new(),
        policies: [(id, policy)].into(),
        maintenance: Vec::new(),
        routes: BTreeMap::new(),
        settings: convert::settings(findings, &shipped.agent, None),
        files: Vec::new(),
    }
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

    /// The patterns among the services: names of new units that would be watched.
    #[must_use]
    pub fn patterns(&self) -> Vec<String> {
        self.services.keys().filter(|name| name.contains(['*', '?'])).cloned().collect()
    }

    fn add(&mut self, findings: &mut Findings, raw: RawConfig) {
        if let Some(text) = &raw.autonomy
            && let Some(autonomy) = convert::autonomy(findings, "autonomy", text)
        {
            self.autonomy = autonomy;
        }
        self.settings = convert::settings(findings, &raw.agent, Some(&self.settings));
        if let Some(heartbeat) = &raw.heartbeat {
            self.settings.heartbeat = convert::heartbeat(findings, heartbeat);
        }
        self.add_policies(findings, &raw);
        for (index, window) in raw.maintenance.iter().enumerate() {
            self.maintenance.extend(convert::window(findings, &format!("maintenance[{index}]"), window));
        }
        self.routes.extend(notify::routes(findings, &raw));
        for (name, service) in raw.services {
            let service = service.unwrap_or_default();
            if let Some(RawPolicyRef::Text(policy)) = &service.policy
                && !self.policies.keys().any(|known| known.as_str() == policy)
            {
                let hint = nearest(policy, self.policies.keys().map(PolicyId::as_str));
                let help = hint.or_else(|| Some(format!("define it under `policies: {{{policy}: …}}`")));
                findings.add(&format!("services.{name}.policy"), format!("there is no policy `{policy}`"), help);
            }
            if self.services.contains_key(&name) {
                let help = "keep one of the two".to_owned();
                findings.add(&format!("services.{name}"), "this service is configured in an earlier file", Some(help));
            }
            self.services.insert(name, (findings.file.clone(), service));
        }
    }

    fn add_policies(&mut self, findings: &mut Findings, raw: &RawConfig) {
        // `default` first: the others are read over it.
        let (default, others): (Vec<_>, Vec<_>) = raw.policies.iter().partition(|(name, _)| *name == "default");
        for (name, policy) in default.into_iter().chain(others) {
            let key = format!("policies.{name}");
            let Some(id) = findings.take(&key, PolicyId::new(name).map_err(|error| error.to_string())) else {
                continue;
            };
            let below = self.policy_named("default");
            let policy = convert::policy(findings, &key, policy, &below, id.clone());
            self.policies.insert(id, policy);
        }
    }

    pub(crate) fn policy_named(&self, name: &str) -> Policy {
        let found = self.policies.iter().find(|(id, _)| id.as_str() == name).map(|(_, policy)| policy.clone());
        found.unwrap_or_else(convert::strictest)
    }

    /// What an agent applies on a host with these units.
    ///
    /// # Errors
    /// Everything that does not fit together.
    pub fn bundle(&self, inventory: &Inventory, generation: u64) -> Result<Bundle, Diagnostics> {
        let mut findings = Findings::default();
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
        if !findings.list.is_empty() {
            return Err(Diagnostics(findings.list));
        }
        Bundle::new(parts).map_err(|errors| {
            let diagnostic = |error: ansai_model::bundle::BundleError| Diagnostic {
                file: String::new(),
                key: error.holder,
                what: error.what,
                suggestion: None,
            };
            Diagnostics(errors.into_iter().map(diagnostic).collect())
        })
    }
}

/// The policy of a service: named, written out, or the default one.
pub(crate) fn policy_of(
    findings: &mut Findings,
    configuration: &Configuration,
    name: &str,
    service: &RawService,
) -> Policy {
    match &service.policy {
        None => configuration.policy_named("default"),
        Some(Short::Text(policy)) => configuration.policy_named(policy),
        Some(Short::Long(raw)) => {
            let key = format!("services.{name}.policy");
            let id = PolicyId::new(format!("service/{name}")).unwrap_or_else(|_| convert::strictest().id);
            convert::policy(findings, &key, raw, &configuration.policy_named("default"), id)
        }
    }
}
