//! Services in the configuration: units by name or by pattern, and declared processes. What stands there is read in `short`,
//! what follows from it in `deduce` and `ladder`, what is dangerous in it in `lint`. They have no long form of their own: they
//! are looked at and mended in the ways that everybody may use.

mod deduce;
pub(crate) mod keys;
mod ladder;
mod lint;
mod short;

use ansai_document::{Findings, Node, Place, nearest, text::cut};
use ansai_model::{
    bundle::BundleParts,
    id::{TargetId, UnitName},
    inventory::Inventory,
    policy::QuietHours,
};

use crate::{
    common::Common,
    slice::{Domain, Kept, Provided, Slice},
};
use ansai_document::patterns::{Names, with_ending};

use short::Services;

pub(super) const SLICE: Slice =
    Slice { policy: "", read: |findings, tree, common| Box::new(short::services(findings, tree, common)) };
/// One of them, as its id is written.
pub(super) const A_TARGET: &str = "service/app.service";
/// The domain of their targets.
const NAME: &str = "service";

/// The unit that a target is by its name, when it is one of ours.
pub(super) fn unit_of(target: &TargetId) -> Option<UnitName> {
    UnitName::new(target.name()).ok().filter(|_| target.domain() == NAME)
}

impl Domain for Services {
    fn keep(
        &self,
        findings: &mut Findings<'_>,
        common: &Common,
        inventory: &Inventory,
        parts: &mut BundleParts,
    ) -> Vec<Kept> {
        deduce::keep(self, findings, common, inventory, parts)
    }

    /// A need that only a pattern provides does not exist before the host has its unit.
    fn provides(&self, _: &Inventory, parts: &BundleParts, need: &str) -> Option<Provided> {
        let names = [need.to_owned(), with_ending(need)];
        let targets = names.iter().filter_map(|name| TargetId::of(NAME, name).ok());
        let found = targets.into_iter().find(|id| parts.targets.contains_key(id)).map(Provided::Target);
        let is_to_come = |name: &String| self.units.contains_key(name) || self.names.patterns.fits(name);
        let later = || names.iter().any(is_to_come).then_some(Provided::Later);
        Some(found.or_else(later).unwrap_or(Provided::Nowhere))
    }

    fn missing(&self, parts: &BundleParts, need: &str) -> (String, String) {
        let name = with_ending(need);
        let ours = parts.targets.keys().filter(|id| id.domain() == NAME);
        let help = nearest(&name, ours.map(TargetId::name));
        let help = help.unwrap_or_else(|| format!("add `{name}: {{}}` under `services:`"));
        (format!("there is no service `{}`", cut(&name)), help)
    }

    fn is_watching(&self) -> bool {
        !self.units.is_empty() || !self.processes.is_empty()
    }

    fn lint(&self, findings: &mut Findings<'_>, common: &Common, root: &Node) {
        lint::lint(self, findings, common, root);
    }

    fn quiet(&mut self) -> Vec<&mut Option<QuietHours>> {
        let all = self.units.values_mut().chain(self.processes.values_mut());
        all.filter_map(|service| service.policy.own().map(|policy| &mut policy.quiet)).collect()
    }

    fn awaits(&self, target: &TargetId) -> bool {
        target.domain() == NAME && self.names.patterns.fits(target.name())
    }

    fn units(&self) -> Vec<(UnitName, &str, Place)> {
        let named = self.units.iter().filter(|(name, _)| !is_pattern(name));
        let unit = |name: &str| UnitName::new(with_ending(name)).ok();
        named.filter_map(|(name, service)| Some((unit(name)?, service.key.as_str(), service.place))).collect()
    }

    fn names(&self) -> Option<&Names> {
        Some(&self.names)
    }
}

fn is_pattern(name: &str) -> bool {
    name.contains(['*', '?'])
}
