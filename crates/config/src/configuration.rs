//! A configuration that was read: what is asked of it, and the bundle that follows from it on a host. How it is read stands in
//! `load`.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use ansai_document::{Diagnostic, Diagnostics, Findings, Node, Place, Sources, nearest};
use ansai_model::{
    bundle::{Bundle, BundleError, BundleParts},
    domain::DOMAINS,
    id::{TargetId, UnitName},
    inventory::{Inventory, Standing},
    policy::MaintenanceWindow,
    settings::{HostSettings, Settings},
    time::WallTime,
};
use jiff::tz::TimeZone;
use sha2::{Digest, Sha256};

use crate::{
    common::Common,
    domain,
    layer::{Input, LayerFile},
    read::{
        long::{self, Long},
        policy,
    },
    slice::Domain,
};
use ansai_document::patterns::Names;

/// A configuration that was read and understood; it still needs a host's units to become a bundle.
#[derive(Debug)]
pub struct Configuration {
    pub(crate) generation: Option<u64>,
    pub(crate) common: Common,
    pub(crate) domains: Vec<Box<dyn Domain>>,
    pub(crate) maintenance: Vec<MaintenanceWindow>,
    pub(crate) long: Long,
    pub(crate) tree: Node,
    pub(crate) sources: Sources,
    /// What it was read from, without the shipped defaults.
    pub(crate) inputs: Arc<[Input]>,
    /// When the host's civil time changes, if that matters.
    pub(crate) civil_change: Option<WallTime>,
    pub(crate) warnings: Vec<Diagnostic>,
    pub(crate) files: Vec<LayerFile>,
}

impl Configuration {
    /// What follows the clock on the wall: windows that open each week, and quiet hours.
    pub(crate) fn place_in_civil_time(&mut self, zone: &TimeZone, now: WallTime) {
        let mut depends = self.maintenance.iter().any(policy::is_weekly);
        let named = self.common.policies.values_mut().map(|policy| &mut policy.quiet);
        for quiet in named.chain(self.domains.iter_mut().flat_map(|domain| domain.quiet())) {
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

    /// What decisions go by on the whole host, as in the bundle.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.common.settings
    }

    /// What is the host's own, and in no bundle.
    #[must_use]
    pub fn host_settings(&self) -> &HostSettings {
        &self.common.host_settings
    }

    /// What is allowed and dangerous.
    #[must_use]
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.warnings
    }

    /// The units that are named, patterns left out.
    #[must_use]
    pub fn units(&self) -> Vec<UnitName> {
        self.named().map(|(unit, ..)| unit).collect()
    }

    /// What a host that knows how the named units stand makes of them: one that it does not have, with the nearest of the
    /// names that it knows, and one that is named twice.
    #[must_use]
    pub fn unit_warnings(&self, standings: &BTreeMap<UnitName, Standing>, known: &[UnitName]) -> Vec<Diagnostic> {
        let mut findings = Findings::new(&self.sources);
        for (unit, key, place) in self.named() {
            match standings.get(&unit) {
                Some(Standing::Missing) => {
                    let help = nearest(unit.as_str(), known.iter().map(UnitName::as_str));
                    let help = help.unwrap_or_else(|| "`systemctl list-unit-files` lists those that there are".into());
                    findings.warning(place, key, format!("this host has no unit `{unit}`"), help);
                }
                Some(Standing::AliasOf(own)) if self.names().any(|names| names.has(own.as_str())) => {
                    let what = format!("`{unit}` is another name of `{own}`, which is watched as well");
                    findings.warning(place, key, what, format!("keep `{own}` alone"));
                }
                Some(Standing::AliasOf(_) | Standing::Known) | None => {}
            }
        }
        findings.finish().unwrap_or_default()
    }

    /// The patterns among the names of units: names of new ones that would be watched.
    #[must_use]
    pub fn patterns(&self) -> Vec<String> {
        self.names().flat_map(|names| names.patterns.all().cloned()).collect()
    }

    /// What of a host a pattern fits and that cannot be watched, in words: names hold no such characters.
    #[must_use]
    pub fn nameless(&self, inventory: &Inventory) -> Vec<String> {
        self.domains.iter().flat_map(|domain| domain.nameless(inventory)).collect()
    }

    /// Whether a unit is, or fits, one of those that are watched.
    #[must_use]
    pub fn concerns(&self, unit: &str) -> bool {
        self.names().any(|names| names.concerns(unit))
    }

    fn named(&self) -> impl Iterator<Item = (UnitName, &str, Place)> {
        self.domains.iter().flat_map(|domain| domain.units())
    }

    /// The names under which units are watched.
    pub(crate) fn names(&self) -> impl Iterator<Item = &Names> {
        self.domains.iter().filter_map(|domain| domain.names())
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
        for input in self.inputs.iter() {
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

    pub(crate) fn assemble(&self, findings: &mut Findings<'_>, inventory: &Inventory, generation: u64) -> BundleParts {
        let mut parts = BundleParts {
            generation,
            fingerprint: 0,
            settings: self.common.settings.clone(),
            targets: BTreeMap::new(),
            checks: BTreeMap::new(),
            rules: BTreeMap::new(),
            runbooks: BTreeMap::new(),
            policies: self.common.policies.clone(),
            maintenance: self.maintenance.clone(),
            routes: self.common.routes.clone(),
        };
        domain::deduce(&self.domains, findings, &self.common, inventory, &mut parts);
        self.add_long(findings, &mut parts);
        parts
    }

    /// The parts as a bundle, when they fit together.
    pub(crate) fn fit(&self, findings: &mut Findings<'_>, parts: BundleParts) -> Option<Bundle> {
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
        let is_to_come = |target: &TargetId| self.domains.iter().any(|domain| domain.awaits(target));
        let awaited = |target: &TargetId| !parts.targets.contains_key(target) && is_to_come(target);
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
        let (own, is_short): (&[&'static str], _) = match kind {
            "target" | "check" => (&["targets", "checks"], true),
            "rule" => (&["rules"], true),
            "runbook" => (&["runbooks"], true),
            "route" => (&["notify"], false),
            _ => (&[], false),
        };
        let names = [name, short, short.trim_end_matches(".service")];
        let found = own.iter().copied().chain(domain::sections().filter(|_| is_short)).find_map(|section| {
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
                    "see /usr/share/doc/ansai/docs/rules.md"
                };
                findings.error(place, &key, what, help.to_owned());
            }
            None => findings.push(Diagnostic::of_file("", what, "")),
        }
    }
}
