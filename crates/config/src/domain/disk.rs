//! Disks in the configuration: what stands under `disks:` is read in `short`, what follows from it stands in `deduce`, which
//! services wait for a disk in `waits`, and the long form of the probe and the action in `long` and `write`.

mod deduce;
pub(crate) mod keys;
pub(crate) mod long;
mod short;
mod waits;
pub(crate) mod write;

use std::time::Duration;

use ansai_document::{Findings, Node, text::cut, units::shown_duration};
use ansai_model::{bundle::BundleParts, id::TargetId, inventory::Inventory, policy::QuietHours};

use crate::{
    common::Common,
    slice::{Domain, Provided, Slice},
};

use short::Disks;

pub(super) const SLICE: Slice = Slice {
    policy: include_str!("disk/policy.yaml"),
    read: |findings, tree, common| Box::new(short::read(findings, tree, common)),
};
/// What is younger may be in use by somebody who does not have it open just now.
const AGE_MIN: Duration = Duration::from_secs(3_600);

impl Domain for Disks {
    /// A need as `disk//data`.
    fn provides(&self, inventory: &Inventory, _: &BundleParts, need: &str) -> Option<Provided> {
        let mount = need.strip_prefix("disk/")?;
        let is_watched = self.on(inventory).contains_key(mount);
        Some(match waits::full(mount).filter(|_| is_watched) {
            Some(check) => Provided::Check(check),
            None if self.will_watch(mount) => Provided::Later,
            None => Provided::Nowhere,
        })
    }

    fn missing(&self, _: &BundleParts, need: &str) -> (String, String) {
        let mount = cut(need.trim_start_matches("disk/"));
        (format!("nothing watches the disk `{mount}`"), format!("add `{mount}: {{}}` under `disks:`"))
    }

    fn deduce(&self, findings: &mut Findings<'_>, common: &Common, inventory: &Inventory, parts: &mut BundleParts) {
        deduce::deduce(self, findings, common, inventory, parts);
    }

    fn is_watching(&self) -> bool {
        !self.0.is_empty()
    }

    /// Rules that give up what is hardly old.
    fn lint(&self, findings: &mut Findings<'_>, _: &Common, _: &Node) {
        for disk in self.0.values() {
            let lists = [("logs", &disk.clean.logs), ("temporary", &disk.clean.temporary)];
            let rules = lists.into_iter().flat_map(|(list, rules)| rules.iter().map(move |rule| (list, rule)));
            for (list, rule) in rules.filter(|(_, rule)| rule.older_than < AGE_MIN) {
                let age = shown_duration(rule.older_than);
                let what = format!("files below {} are given up {age} after they were touched last", cut(&rule.path));
                let help = "write older_than: 1d or more, unless nobody comes back to them".to_owned();
                findings.warning(disk.place, &format!("{}.clean.{list}", disk.key), what, help);
            }
        }
    }

    fn quiet(&mut self) -> Vec<&mut Option<QuietHours>> {
        self.0.values_mut().filter_map(|disk| disk.policy.own().map(|policy| &mut policy.quiet)).collect()
    }

    fn awaits(&self, target: &TargetId) -> bool {
        target.domain() == "disk" && self.will_watch(target.name())
    }

    /// Mount points as `/srv/old data`.
    fn nameless(&self, inventory: &Inventory) -> Vec<String> {
        let mounts = self.on(inventory).into_keys().filter(|mount| TargetId::of("disk", mount).is_err());
        mounts.map(|mount| format!("the disk {mount:?}")).collect()
    }
}
