//! Probes and actions of disks in their long form.

use ansai_document::{
    units::shown_percent,
    written::{Fields, Written, size, time},
};
use ansai_model::{
    domain::disk::{CleanRule, Cleaning, DiskAction, DiskProbe},
    units::Percent,
};

use super::keys::{Look, Room};
use crate::fill::{simple::command, words::Words};

/// A share as it is read back.
fn share(share: Percent) -> Written {
    Written::Plain(shown_percent(share))
}

/// A look at a filesystem.
pub(crate) fn written_probe(probe: &DiskProbe) -> Written {
    let look = |what: Look| {
        Fields::default().put("mount", Written::text(probe.mount())).put("look", Written::text(what.word()))
    };
    match probe {
        DiskProbe::Space { fails_at, .. } => look(Look::Space).put("fails_at", share(*fails_at)),
        DiskProbe::Inodes { fails_at, .. } => look(Look::Inodes).put("fails_at", share(*fails_at)),
        DiskProbe::Full { available_min, .. } => look(Look::Full).put("available_min", size(*available_min)),
        DiskProbe::ReadOnly { .. } => look(Look::ReadOnly),
        DiskProbe::Errors { within, .. } => look(Look::Errors).put("within", time(*within)),
    }
    .done()
}

/// An action on a filesystem.
pub(crate) fn written_action(action: &DiskAction) -> Written {
    let fields = Fields::default().put("mount", Written::text(action.mount()));
    match action {
        DiskAction::Measure { below, .. } => fields.put("measure", share(*below)),
        DiskAction::Clean { goal, what, protect, .. } => {
            let fields = fields.put("goal", share(*goal));
            let fields = match what {
                Cleaning::PackageCache => fields.put("clean", Written::text(Room::Packages.word())),
                Cleaning::Journal { keep, yields } => fields
                    .put("clean", Written::text(Room::Journal.word()))
                    .put("keep", size(*keep))
                    .maybe("yields", yields.then(|| Written::Plain("true".to_owned()))),
                Cleaning::Rotated { path, older_than } => fields
                    .put("clean", Written::text(Room::Rotated.word()))
                    .put("path", Written::text(path))
                    .put("older_than", time(*older_than)),
                Cleaning::Logs { rules } => {
                    fields.put("clean", Written::text(Room::Logs.word())).put("rules", written_rules(rules))
                }
                Cleaning::Temporary { rules } => {
                    fields.put("clean", Written::text(Room::Temporary.word())).put("rules", written_rules(rules))
                }
                Cleaning::Containers { images } => fields
                    .put("clean", Written::text(Room::Containers.word()))
                    .put("images", Written::text(images.word())),
                Cleaning::Grow { command: line } => {
                    fields.put("clean", Written::text(Room::Grow.word())).put("command", command(line))
                }
            };
            fields.maybe("protect", (!protect.is_empty()).then(|| Written::texts(protect)))
        }
    }
    .done()
}

fn written_rules(rules: &[CleanRule]) -> Written {
    let rule = |rule: &CleanRule| {
        Fields::default()
            .put("path", Written::text(&rule.path))
            .put("pattern", Written::text(&rule.pattern))
            .time("older_than", rule.older_than)
            .maybe("threshold", rule.threshold.map(share))
            .put("strategy", Written::text(rule.strategy.word()))
            .done()
    };
    Written::List(rules.iter().map(rule).collect())
}
