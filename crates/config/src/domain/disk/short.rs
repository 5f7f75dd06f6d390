//! What stands under `disks:`, and what is wrong with it. What follows from it stands in `deduce`.

use std::{collections::BTreeMap, time::Duration};

use ansai_document::{
    Findings, Node, Place, place_of,
    text::{cut, joined},
    units::{read_bytes, shown_percent},
};
use ansai_model::{
    check::Flap,
    domain::disk::{CleanRule, Images},
    inventory::Inventory,
    policy::matches,
    probe::CommandLine,
    rule::{Autonomy, Severity},
    units::{ByteSize, Percent},
};

use super::{
    keys::{self, Files},
    long,
};
use crate::{
    common::{Common, Limits, limits},
    fill::{HeldUnder, simple::command_at, words::Words},
};

/// The name of the policy.
pub(super) const POLICY: &str = "disk";

/// What stands under `disks`, by mount point or pattern.
#[derive(Debug)]
pub(super) struct Disks(pub(super) BTreeMap<String, Disk>);

/// One of them.
#[derive(Debug)]
pub(super) struct Disk {
    pub(super) key: String,
    pub(super) place: Place,
    pub(super) is_watched: bool,
    pub(super) warn_at: Percent,
    pub(super) act_at: Percent,
    pub(super) urgent_at: Percent,
    pub(super) goal: Percent,
    pub(super) horizon: Duration,
    pub(super) every: Duration,
    pub(super) clean: Clean,
    pub(super) protect: Vec<String>,
    pub(super) autonomy: Option<Autonomy>,
    pub(super) severity: Severity,
    pub(super) policy: Limits,
    pub(super) flap: Flap,
}

/// What is given up to make room.
#[derive(Clone, Debug, Default)]
pub(super) struct Clean {
    pub(super) packages: bool,
    pub(super) journal: Option<Journal>,
    pub(super) rotated: bool,
    pub(super) logs: Vec<CleanRule>,
    pub(super) temporary: Vec<CleanRule>,
    pub(super) images: Option<Images>,
    pub(super) grow: Option<CommandLine>,
}

/// How much of the journal is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Journal {
    pub(super) keep: ByteSize,
    /// Whether that is somebody's word, and not only ours.
    pub(super) is_said: bool,
}

/// Everything under `disks`.
pub(super) fn read(findings: &mut Findings<'_>, tree: &Node, common: &Common) -> Disks {
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
        let disk = disk(findings, node, (name, place, key), common);
        disks.insert(name.to_owned(), disk);
    }
    Disks(disks)
}

pub(super) fn is_pattern(name: &str) -> bool {
    name.contains(['*', '?'])
}

fn disk(findings: &mut Findings<'_>, node: &Node, (name, place, key): (&str, Place, String), common: &Common) -> Disk {
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
        autonomy: Words::at(node, "autonomy"),
        severity: keys::DISK.held(node, "severity"),
        policy: limits(findings, node, &key, common, POLICY),
        flap: common.flap,
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
        grow: command_at(node, "grow"),
    }
}

/// How much of the journal is kept; nothing when it is not shortened.
fn journal(findings: &mut Findings<'_>, node: &Node, key: &str) -> Option<Journal> {
    let said = node.text_at("journal");
    let text = said.unwrap_or(keys::JOURNAL_KEPT);
    if text == "none" {
        return None;
    }
    let size = read_bytes(text);
    if size.is_none() {
        let help = "write how much is kept, as 100MB, or none".to_owned();
        let what = format!("`{}` is no size", cut(text));
        findings.error(place_of(node, "journal"), &joined(key, "journal"), what, help);
    }
    size.map(|keep| Journal { keep, is_said: said.is_some() })
}

impl Disks {
    /// The mount points that are watched on a host, each with what is said of it: those that are named, mounted or not, and
    /// those that the host has and a pattern fits. Of several patterns the one that says most of a name wins.
    pub(super) fn on<'a>(&'a self, inventory: &'a Inventory) -> BTreeMap<&'a str, &'a Disk> {
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

    /// Whether a mount point would be watched once it is there.
    pub(super) fn will_watch(&self, mount: &str) -> bool {
        !self.0.contains_key(mount) && self.by_pattern(mount).is_some_and(|disk| disk.is_watched)
    }
}
