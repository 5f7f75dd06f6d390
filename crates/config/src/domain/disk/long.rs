//! Looks at disks and what is done about them in their long form, and the rules about files that both forms share: read.

use std::{path::Path, time::Duration};

use ansai_document::{
    Findings, Node, Place, place_of,
    text::{cut, joined},
};
use ansai_keys::{Kind, key};
use ansai_model::domain::disk::{CleanRule, Cleaning, DiskAction, DiskProbe, PROTECTED, TOO_WIDE};

use super::keys::{self, ACTION, Files, Look, PROBE, RULE, Room};
use crate::{
    fill::{HeldUnder, simple::command_at, words::Words},
    slice::{LongAction, LongProbe},
};

/// How long one cleaning may take where nothing else is written: millions of files are.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(15 * 60);
/// The long form of its looks.
pub(crate) const LONG_PROBE: LongProbe = LongProbe {
    key: key("disk", Kind::Shape(&keys::PROBE), "How full a filesystem is, or whether it can be written to")
        .example("{mount: /var, look: space, fails_at: 90%}")
        .beside(""),
    read: |findings, node, key| Some(probe(findings, node, key)?.into()),
};
/// And that of its action.
pub(crate) const LONG_ACTION: LongAction = LongAction {
    key: key("disk", Kind::Shape(&keys::ACTION), "Makes room on a filesystem, or looks whether there is enough")
        .example("{mount: /var, clean: packages, goal: 80%}"),
    read: |findings, node, key| Some(action(findings, node, key)?.into()),
};

/// A look.
pub(crate) fn probe(findings: &mut Findings<'_>, node: &Node, key: &str) -> Option<DiskProbe> {
    let mount = mount(findings, node, key)?;
    need(findings, node, key, "look")?;
    let look: Look = Words::at(node, "look")?;
    let belongs = match look {
        Look::Space | Look::Inodes => Some("fails_at"),
        Look::Full => Some("available_min"),
        Look::Errors => Some("within"),
        Look::ReadOnly => None,
    };
    only(findings, node, key, look.word(), &["fails_at", "available_min", "within"], belongs.as_slice());
    let fails_at = |findings: &mut Findings<'_>| {
        need(findings, node, key, "fails_at")?;
        node.percent_at("fails_at")
    };
    Some(match look {
        Look::Space => DiskProbe::Space { mount, fails_at: fails_at(findings)? },
        Look::Inodes => DiskProbe::Inodes { mount, fails_at: fails_at(findings)? },
        Look::Full => DiskProbe::Full { mount, available_min: PROBE.held(node, "available_min") },
        Look::ReadOnly => DiskProbe::ReadOnly { mount },
        Look::Errors => DiskProbe::Errors { mount, within: PROBE.held(node, "within") },
    })
}

/// What is done.
pub(crate) fn action(findings: &mut Findings<'_>, node: &Node, key: &str) -> Option<DiskAction> {
    const OWN: &[&str] = &["goal", "keep", "yields", "path", "older_than", "rules", "images", "command", "protect"];
    let mount = mount(findings, node, key)?;
    match (node.has("measure"), node.has("clean")) {
        (true, false) => {
            only(findings, node, key, "measure", OWN, &[]);
            Some(DiskAction::Measure { mount, below: node.percent_at("measure")? })
        }
        (false, true) => {
            let what: Room = Words::at(node, "clean")?;
            let belongs: &[&str] = match what {
                Room::Packages => &["goal", "protect"],
                Room::Journal => &["goal", "protect", "keep", "yields"],
                Room::Rotated => &["goal", "protect", "path", "older_than"],
                Room::Logs | Room::Temporary => &["goal", "protect", "rules"],
                Room::Containers => &["goal", "protect", "images"],
                Room::Grow => &["goal", "protect", "command"],
            };
            only(findings, node, key, what.word(), OWN, belongs);
            for name in belongs.iter().filter(|name| !matches!(**name, "protect" | "yields")) {
                need(findings, node, key, name)?;
            }
            let what = cleaning(findings, node, key, what)?;
            Some(DiskAction::Clean {
                mount,
                goal: node.percent_at("goal")?,
                what,
                protect: protect(findings, node, key),
            })
        }
        (is_both, _) => {
            let help = "write exactly one of clean: packages and measure: 90%".to_owned();
            let what = "this says not, or not clearly, what is done";
            match is_both {
                true => findings.error(node.place, key, what, help),
                false => findings.nothing(node.place, key, what, help),
            }
            None
        }
    }
}

fn cleaning(findings: &mut Findings<'_>, node: &Node, key: &str, what: Room) -> Option<Cleaning> {
    Some(match what {
        Room::Packages => Cleaning::PackageCache,
        Room::Journal => Cleaning::Journal { keep: node.size_at("keep")?, yields: ACTION.held(node, "yields") },
        Room::Rotated => Cleaning::Rotated {
            path: node.path_at("path").and_then(|path| below(findings, node, "path", key, &path))?,
            older_than: node.duration_at("older_than")?,
        },
        Room::Logs => Cleaning::Logs { rules: plain(rules(findings, node, "rules", key, Files::Logs)) },
        Room::Temporary => Cleaning::Temporary { rules: plain(rules(findings, node, "rules", key, Files::Temporary)) },
        Room::Containers => Cleaning::Containers { images: Words::at(node, "images")? },
        Room::Grow => Cleaning::Grow { command: command_at(node, "command")? },
    })
}

fn plain(rules: Vec<(CleanRule, Place)>) -> Vec<CleanRule> {
    rules.into_iter().map(|(rule, _)| rule).collect()
}

/// The rules in a list, each with the place of its path.
pub(crate) fn rules(
    findings: &mut Findings<'_>,
    node: &Node,
    name: &str,
    key: &str,
    files: Files,
) -> Vec<(CleanRule, Place)> {
    let mut rules = Vec::new();
    for (index, item) in node.items(name).iter().enumerate().filter(|(_, item)| item.map().is_some()) {
        let key = format!("{}[{index}]", joined(key, name));
        if need(findings, item, &key, "path").is_none() {
            continue;
        }
        let Some(path) = item.path_at("path").and_then(|path| below(findings, item, "path", &key, &path)) else {
            continue;
        };
        let pattern: String = RULE.held(item, "pattern");
        if pattern.is_empty() || pattern.contains('/') {
            let help = "write a pattern of names, as \"*.log\"; directories below are looked into anyway".to_owned();
            let what = format!("`{}` is no pattern of a name", cut(&pattern));
            findings.error(place_of(item, "pattern"), &joined(&key, "pattern"), what, help);
        }
        let rule = CleanRule {
            path,
            pattern,
            older_than: item.duration_at("older_than").unwrap_or(files.age()),
            threshold: item.percent_at("threshold"),
            strategy: Words::at(item, "strategy").unwrap_or(files.strategy()),
        };
        rules.push((rule, place_of(item, "path")));
    }
    rules
}

/// Paths that are left alone.
pub(crate) fn protect(findings: &mut Findings<'_>, node: &Node, key: &str) -> Vec<String> {
    let mut paths = Vec::new();
    for (path, place) in node.texts_at("protect") {
        if is_plain(&path) {
            paths.push(path);
        } else {
            not_plain(findings, place, &joined(key, "protect"), &path);
        }
    }
    paths
}

/// A directory that may be declared as one whose files are given up, without a slash at its end.
fn below(findings: &mut Findings<'_>, node: &Node, name: &str, key: &str, path: &str) -> Option<String> {
    let (place, key) = (place_of(node, name), joined(key, name));
    if !is_plain(path) {
        not_plain(findings, place, &key, path);
        return None;
    }
    let path = if path == "/" { path } else { path.trim_end_matches('/') };
    let help = || "name the directory that holds what may be given up, as /var/tmp/scratch".to_owned();
    if TOO_WIDE.contains(&path) {
        findings.error(place, &key, format!("{path} as a whole is never cleaned"), help());
        return None;
    }
    if let Some(by) = PROTECTED.iter().find(|protected| Path::new(path).starts_with(protected)) {
        findings.error(
            place,
            &key,
            format!("{} is never cleaned: {by} and all below it is protected", cut(path)),
            help(),
        );
        return None;
    }
    Some(path.to_owned())
}

/// Absolute, and no way back in it.
pub(crate) fn is_plain(path: &str) -> bool {
    path.starts_with('/') && !path.contains("//") && path.split('/').all(|part| !matches!(part, "." | ".."))
}

fn not_plain(findings: &mut Findings<'_>, place: Place, key: &str, path: &str) {
    let help = "write it from / on, without . and ..".to_owned();
    findings.error(place, key, format!("`{}` is no plain absolute path", cut(path)), help);
}

/// The mount point.
fn mount(findings: &mut Findings<'_>, node: &Node, key: &str) -> Option<String> {
    node.map()?;
    let mount = need(findings, node, key, "mount")?.text()?;
    if let Some(what) = no_mount(mount) {
        findings.error(place_of(node, "mount"), &joined(key, "mount"), what, meant(mount));
        return None;
    }
    Some(mount.to_owned())
}

/// Why a text is no mount point as the kernel writes it; nothing when it is one.
pub(crate) fn no_mount(text: &str) -> Option<String> {
    let is_one = text == "/" || (is_plain(text) && !text.ends_with('/'));
    (!is_one).then(|| format!("`{}` is no mount point", cut(text)))
}

/// The mount point that is meant.
pub(crate) fn meant(text: &str) -> String {
    let parts = Path::new(text).components().filter_map(|part| match part {
        std::path::Component::Normal(part) => part.to_str(),
        _ => None,
    });
    format!("write /{}", cut(&parts.collect::<Vec<_>>().join("/")))
}

fn need<'a>(findings: &mut Findings<'_>, node: &'a Node, key: &str, name: &str) -> Option<&'a Node> {
    let found = node.get(name).filter(|found| !found.is_null());
    if found.is_none() {
        findings.lacks(node.place, (key, name), format!("`{name}` is missing"), format!("write {name}: …"));
    }
    found
}

/// Says which of some keys mean nothing beside what is looked at or done.
fn only(findings: &mut Findings<'_>, node: &Node, key: &str, what: &str, of: &[&str], belongs: &[&str]) {
    for name in of.iter().filter(|name| node.has(name) && !belongs.contains(name)) {
        let text = format!("`{name}` says nothing about `{}`", cut(what));
        findings.error(place_of(node, name), &joined(key, name), text, "delete it".to_owned());
    }
}
