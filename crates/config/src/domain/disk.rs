//! Disks in the configuration: what stands under `disks:` and is wrong with it. What follows from it stands in `deduce`,
//! which services wait for a disk in `waits`, and the long form of the probe and the action in `long` and `write`.

mod deduce;
pub(crate) mod keys;
pub(crate) mod long;
mod waits;
mod write;

use std::{collections::BTreeMap, time::Duration};

use ansai_model::{
    bundle::BundleParts,
    check::Flap,
    domain::disk::{CleanRule, Images},
    id::TargetId,
    inventory::Inventory,
    policy::{QuietHours, matches},
    probe::CommandLine,
    rule::{Autonomy, Severity},
    units::{ByteSize, Percent},
};

pub(crate) use waits::{Needed, Watched};
pub(crate) use write::{written_action, written_probe};

use self::long::Files;
use super::{Domain, LongForm};
use crate::{
    diagnostics::{Findings, place_of},
    document::{Node, Place},
    fill::Words,
    form::{cut, joined},
    keys::{Kind, key},
    load::Configuration,
    read::service::{Known, Limits, limits},
    units::{read_bytes, shown_percent},
};

/// How long one cleaning may take where nothing else is written: millions of files are.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(15 * 60);
/// The long form of its looks and actions.
pub(crate) const LONG: LongForm = LongForm {
    probe_key: key("disk", Kind::Shape(&keys::PROBE), "How full a filesystem is, or whether it can be written to")
        .example("{mount: /var, look: space, fails_at: 90%}"),
    action_key: key("disk", Kind::Shape(&keys::ACTION), "Makes room on a filesystem, or looks whether there is enough")
        .example("{mount: /var, clean: packages, goal: 80%}"),
    probe: |findings, node, key| Some(long::probe(findings, node, key)?.into()),
    action: |findings, node, key| Some(long::action(findings, node, key)?.into()),
};
/// The name of the policy.
pub(crate) const POLICY: &str = "disk";
/// The policy, an entry of the shipped layer.
pub(super) const POLICY_TEXT: &str = include_str!("disk/policy.yaml");
/// What is younger may be in use by somebody who does not have it open just now.
const AGE_MIN: Duration = Duration::from_secs(3_600);
/// How much of the journal is kept where nobody says it.
const JOURNAL: Journal = Journal { keep: ByteSize(100_000_000), is_said: false };

/// What stands under `disks`, by mount point or pattern.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disks(BTreeMap<String, Disk>);

/// One of them.
#[derive(Clone, Debug)]
pub(crate) struct Disk {
    key: String,
    place: Place,
    is_watched: bool,
    warn_at: Percent,
    act_at: Percent,
    urgent_at: Percent,
    goal: Percent,
    horizon: Duration,
    every: Duration,
    clean: Clean,
    protect: Vec<String>,
    autonomy: Option<Autonomy>,
    severity: Severity,
    policy: Limits,
    flap: Flap,
}

/// What is given up to make room.
#[derive(Clone, Debug, Default)]
struct Clean {
    packages: bool,
    journal: Option<Journal>,
    rotated: bool,
    logs: Vec<CleanRule>,
    temporary: Vec<CleanRule>,
    images: Option<Images>,
    grow: Option<CommandLine>,
}

/// How much of the journal is kept.
#[derive(Clone, Copy, Debug)]
struct Journal {
    keep: ByteSize,
    /// Whether that is somebody's word, and not only ours.
    is_said: bool,
}

/// Everything under `disks`.
pub(crate) fn read(findings: &mut Findings<'_>, tree: &Node, known: &Known<'_>) -> Disks {
    let mut disks = BTreeMap::new();
    for (name, place, node) in tree.named("disks") {
        let key = joined("disks", name);
        if !is_pattern(name)
            && let Some(what) = long::no_mount(name)
        {
            let help = format!("{}, or \"*\" for every real filesystem", long::meant(name));
            findings.error(place, &key, what, help);
            continue;
        }
        let disk = disk(findings, node, (name, place, key), known);
        disks.insert(name.to_owned(), disk);
    }
    Disks(disks)
}

fn is_pattern(name: &str) -> bool {
    name.contains(['*', '?'])
}

fn disk(
    findings: &mut Findings<'_>,
    node: &Node,
    (name, place, key): (&str, Place, String),
    known: &Known<'_>,
) -> Disk {
    // What is not written gives way to what is: it is never in the wrong order with it.
    let act_at: Percent = keys::DISK.held(node, "act_at");
    let at = |name: &str, fitting: fn(Percent, Percent) -> Percent| {
        let found: Percent = keys::DISK.held(node, name);
        if node.percent_at(name).is_some() { found } else { fitting(found, act_at) }
    };
    let warn_at = at("warn_at", Percent::min);
    let urgent_at = at("urgent_at", Percent::max);
    let goal = node.percent_at("goal").unwrap_or(warn_at.min(act_at));
    let disk = Disk {
        is_watched: node.plain().is_none_or(|text| text != "false"),
        warn_at,
        act_at,
        urgent_at,
        goal,
        horizon: keys::DISK.held(node, "horizon"),
        every: keys::DISK.held(node, "every"),
        clean: clean(findings, node, (name, &key)),
        protect: long::protect(findings, node, &key),
        autonomy: node.word_at("autonomy"),
        severity: keys::DISK.held(node, "severity"),
        policy: limits(findings, node, &key, known),
        flap: known.flap,
        key,
        place,
    };
    disk.in_order(findings, node);
    disk
}

impl Disk {
    /// Says which shares do not follow each other.
    fn in_order(&self, findings: &mut Findings<'_>, node: &Node) {
        let order = [
            (("warn_at", self.warn_at), ("act_at", self.act_at), "people are told before room is made"),
            (("act_at", self.act_at), ("urgent_at", self.urgent_at), "room is made before a person must act"),
            (("goal", self.goal), ("act_at", self.act_at), "cleaning would have nothing to do"),
        ];
        for ((low, below), (high, above), why) in order.into_iter().filter(|((_, below), (_, above), _)| below > above)
        {
            let written = if node.has(low) { low } else { high };
            let what =
                format!("{low} is {}, above the {} of {high}: {why}", shown_percent(below), shown_percent(above));
            let help = match written == low {
                true => format!("write {low}: {} or less", shown_percent(above)),
                false => format!("write {high}: {} or more", shown_percent(below)),
            };
            findings.error(place_of(node, written), &joined(&self.key, written), what, help);
        }
        if self.act_at == Percent::default() {
            let help = "write act_at: 90%".to_owned();
            findings.error(
                place_of(node, "act_at"),
                &joined(&self.key, "act_at"),
                "every disk is as full as that",
                help,
            );
        }
    }
}

fn clean(findings: &mut Findings<'_>, parent: &Node, (name, key): (&str, &str)) -> Clean {
    let nothing = Node::null(parent.place);
    let node = match parent.get("clean").filter(|node| !node.is_null()) {
        Some(node) if node.map().is_some() => node,
        Some(_) | None if !keys::DISK.held::<bool>(parent, "clean") => return Clean::default(),
        Some(_) | None => &nothing,
    };
    let key = joined(key, "clean");
    let mut files = |list, files| {
        let rules = long::rules(findings, node, list, &key, files);
        for (index, (rule, place)) in rules.iter().enumerate() {
            if !is_pattern(name) && !std::path::Path::new(&rule.path).starts_with(name) {
                let what = format!("{} does not lie below {}", cut(&rule.path), cut(name));
                let help = "write it under the disk that it lies on; nothing else is touched".to_owned();
                findings.error(*place, &format!("{key}.{list}[{index}].path"), what, help);
            }
        }
        rules.into_iter().map(|(rule, _)| rule).collect()
    };
    let (logs, temporary) = (files("logs", Files::Logs), files("temporary", Files::Temporary));
    Clean {
        packages: keys::CLEAN.held(node, "packages"),
        journal: journal(findings, node, &key),
        rotated: keys::CLEAN.held(node, "rotated"),
        logs,
        temporary,
        images: Images::named(&keys::CLEAN.held::<String>(node, "containers")),
        grow: node.command_at("grow"),
    }
}

/// How much of the journal is kept; nothing when it is not shortened.
fn journal(findings: &mut Findings<'_>, node: &Node, key: &str) -> Option<Journal> {
    let Some(text) = node.text_at("journal") else { return Some(JOURNAL) };
    if text == "none" {
        return None;
    }
    let size = read_bytes(text);
    if size.is_none() {
        let help = "write how much is kept, as 100MB, or none".to_owned();
        let what = format!("`{}` is no size", cut(text));
        findings.error(place_of(node, "journal"), &joined(key, "journal"), what, help);
    }
    size.map(|keep| Journal { keep, is_said: true })
}

impl Disks {
    /// The mount points that are watched on a host, each with what is said of it: those that are named, mounted or not, and
    /// those that the host has and a pattern fits. Of several patterns the one that says most of a name wins.
    fn on<'a>(&'a self, inventory: &'a Inventory) -> BTreeMap<&'a str, &'a Disk> {
        let named = self.0.iter().filter(|(name, _)| !is_pattern(name)).map(|(name, disk)| (name.as_str(), disk));
        let found =
            inventory.mounts.iter().filter_map(|mount| Some((mount.path.as_str(), self.by_pattern(&mount.path)?)));
        // What is named comes last, and stands over what a pattern says.
        let all: BTreeMap<&str, &Disk> = found.chain(named).collect();
        all.into_iter().filter(|(_, disk)| disk.is_watched).collect()
    }

    fn by_pattern(&self, mount: &str) -> Option<&Disk> {
        let said = |pattern: &str| pattern.chars().filter(|c| !matches!(c, '*' | '?')).count();
        let fitting = self.0.iter().filter(|(name, _)| is_pattern(name) && matches(name, mount));
        fitting.rev().max_by_key(|(name, _)| said(name)).map(|(_, disk)| disk)
    }
}

impl Disks {
    /// Whether a mount point would be watched once it is there.
    fn will_watch(&self, mount: &str) -> bool {
        !self.0.contains_key(mount) && self.by_pattern(mount).is_some_and(|disk| disk.is_watched)
    }
}

impl Domain for Disks {
    fn deduce(
        &self,
        findings: &mut Findings<'_>,
        configuration: &Configuration,
        inventory: &Inventory,
        parts: &mut BundleParts,
    ) {
        deduce::deduce(findings, configuration, inventory, parts);
    }

    /// Rules that give up what is hardly old.
    fn lint(&self, findings: &mut Findings<'_>) {
        for disk in self.0.values() {
            let lists = [("logs", &disk.clean.logs), ("temporary", &disk.clean.temporary)];
            let rules = lists.into_iter().flat_map(|(list, rules)| rules.iter().map(move |rule| (list, rule)));
            for (list, rule) in rules.filter(|(_, rule)| rule.older_than < AGE_MIN) {
                let age = crate::units::shown_duration(rule.older_than);
                let what = format!("files below {} are given up {age} after they were touched last", cut(&rule.path));
                let help = "write older_than: 1d or more, unless nobody comes back to them".to_owned();
                findings.warning(disk.place, &format!("{}.clean.{list}", disk.key), what, help);
            }
        }
    }

    fn quiet(&mut self) -> Vec<&mut Option<QuietHours>> {
        let own = self.0.values_mut().filter_map(|disk| match &mut disk.policy {
            Limits::Own(policy) => Some(&mut policy.quiet),
            Limits::Named(_) => None,
        });
        own.collect()
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
