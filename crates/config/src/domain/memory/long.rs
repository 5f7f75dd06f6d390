//! The long form of looks at a unit's memory and of what is done about it: read, and written out.

use ansai_model::domain::memory::{MemoryAction, MemoryProbe, Release, ReleaseSignal};

use crate::{
    diagnostics::{Findings, place_of},
    document::{Node, Value},
    expand::{Fields, Written, command, size},
    form::{any_of, cut, joined},
    read::probe::unit,
};

/// A look.
pub(crate) fn probe(findings: &mut Findings<'_>, node: &Node, key: &str) -> Option<MemoryProbe> {
    let whose = need(findings, node, key)?;
    Some(MemoryProbe { unit: unit(findings, whose, &joined(key, "unit"))?, limit: node.size_at("limit") })
}

/// What is done.
pub(crate) fn action(findings: &mut Findings<'_>, node: &Node, key: &str) -> Option<MemoryAction> {
    let whose = need(findings, node, key)?;
    let unit = unit(findings, whose, &joined(key, "unit"))?;
    match (node.has("release"), node.has("high")) {
        (true, false) => Some(MemoryAction::Release { unit, how: release(findings, node, key)? }),
        (false, true) => Some(MemoryAction::Limit { unit, high: node.size_at("high")? }),
        (true, true) | (false, false) => {
            let help = "write exactly one of release: SIGUSR1 and high: 400MiB".to_owned();
            findings.error(node.place, key, "this says not, or not clearly, what is done", help);
            None
        }
    }
}

fn need<'a>(findings: &mut Findings<'_>, node: &'a Node, key: &str) -> Option<&'a Node> {
    node.map()?;
    let found = node.get("unit").filter(|unit| !unit.is_null());
    if found.is_none() {
        findings.error(node.place, key, "`unit` is missing", "write unit: app.service".to_owned());
    }
    found
}

/// What stands under `release`: a signal by its name, or a command.
pub(crate) fn release(findings: &mut Findings<'_>, parent: &Node, key: &str) -> Option<Release> {
    let node = parent.get("release").filter(|node| !node.is_null())?;
    let Value::Scalar(_) = &node.value else {
        if node.list().is_some_and(|words| words.is_empty()) {
            let help = "write [program, argument], or a signal as SIGUSR1".to_owned();
            findings.error(place_of(parent, "release"), &joined(key, "release"), "the command is empty", help);
        }
        return node.command().map(Box::new).map(Release::Command);
    };
    let text = node.text()?;
    let found = ReleaseSignal::ALL.into_iter().find(|signal| signal.as_str() == text);
    if found.is_none() {
        let names = ReleaseSignal::ALL.map(ReleaseSignal::as_str);
        let what = format!("`{}` is no signal that asks for something", cut(text));
        let help = format!("write {}, or a command as [program, argument]", any_of(&names));
        findings.error(place_of(parent, "release"), &joined(key, "release"), what, help);
    }
    found.map(Release::Signal)
}

/// A look, written out.
pub(crate) fn written_probe(probe: &MemoryProbe) -> Written {
    Fields::default().put("unit", Written::text(&probe.unit)).maybe("limit", probe.limit.map(size)).done()
}

/// What is done, written out.
pub(crate) fn written_action(action: &MemoryAction) -> Written {
    let of = |unit| Fields::default().put("unit", Written::text(unit));
    match action {
        MemoryAction::Release { unit, how: Release::Signal(signal) } => {
            of(unit).put("release", Written::text(signal.as_str())).done()
        }
        MemoryAction::Release { unit, how: Release::Command(line) } => of(unit).put("release", command(line)).done(),
        MemoryAction::Limit { unit, high } => of(unit).put("high", size(*high)).done(),
    }
}
