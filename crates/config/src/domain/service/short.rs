//! Services and declared processes as they are written; what they are expanded to stands in `deduce`.

use std::{collections::BTreeMap, time::Duration};

use ansai_document::{Findings, Node, Place, text::joined};
use ansai_model::{
    action::{EnvironmentEntry, ProcessDeclaration},
    check::Flap,
    condition::Condition,
    probe::CommandLine,
    rule::{Autonomy, Severity},
    unit::UnitExpectation,
};

use super::keys::PROCESS;
use crate::{
    common::{Common, DEFAULT, Limits, limits},
    fill::{HeldUnder, section, simple::command_at, words::Words},
    read::{
        declaration,
        probe::{Look, look},
    },
};
use ansai_document::patterns::Names;

/// What stands under `services` and `processes`.
#[derive(Debug)]
pub(super) struct Services {
    pub(super) units: BTreeMap<String, Service>,
    pub(super) names: Names,
    pub(super) processes: BTreeMap<String, Service>,
}

/// A service, a pattern over units, or a declared process.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    /// Where it is written, as `services.nginx.service`.
    pub(crate) key: String,
    pub(crate) place: Place,
    /// Its probes, those under `probes` with their names.
    pub(crate) looks: Vec<(Option<String>, Look)>,
    pub(crate) needs: Vec<(String, Place)>,
    pub(crate) port: Option<u16>,
    pub(crate) runs_again: bool,
    pub(crate) start_period: Option<Duration>,
    pub(crate) is_critical: bool,
    pub(crate) configuration: Vec<String>,
    pub(crate) validator: Option<CommandLine>,
    pub(crate) restores_configuration: bool,
    pub(crate) environment: Vec<EnvironmentEntry>,
    pub(crate) autonomy: Option<Autonomy>,
    pub(crate) policy: Limits,
    pub(crate) severity: Option<Severity>,
    pub(crate) expect: Option<UnitExpectation>,
    pub(crate) condition: Option<Condition>,
    pub(crate) flap: Flap,
    pub(crate) is_notifier: Option<bool>,
    /// Its commands, when ansai itself keeps it running.
    pub(crate) process: Option<Box<ProcessDeclaration>>,
}

/// Everything under `services` and `processes`.
pub(super) fn services(findings: &mut Findings<'_>, root: &Node, common: &Common) -> Services {
    let units = all(findings, root, "services", common);
    let mut processes = all(findings, root, "processes", common);
    for (name, process) in &mut processes {
        let node = root.get("processes").and_then(|section| section.get(name));
        process.process = node.and_then(|node| declaration(findings, node, &process.key, name));
    }
    Services { names: Names::of(units.keys()), units, processes }
}

fn all(findings: &mut Findings<'_>, root: &Node, section: &str, common: &Common) -> BTreeMap<String, Service> {
    let named = root.named(section).map(|(name, place, node)| {
        let read = service(findings, node, &format!("{section}.{name}"), common);
        (name.to_owned(), Service { place, ..read })
    });
    // A map that grew in the order of its names is half empty, and this one is kept.
    named.collect::<Vec<_>>().into_iter().collect()
}

fn service(findings: &mut Findings<'_>, node: &Node, key: &str, common: &Common) -> Service {
    let single = node.get("probe").filter(|node| !node.is_null()).map(|node| (None, joined(key, "probe"), node));
    let named =
        node.named("probes").map(|(name, _, node)| (Some(name.to_owned()), format!("{key}.probes.{name}"), node));
    let mut looks: Vec<_> = single
        .into_iter()
        .chain(named)
        .filter_map(|(name, key, node)| look(findings, node, &key).map(|look| (name, look)))
        .collect();
    // The shortest list that grows has room for four, and most services have one.
    looks.shrink_to_fit();
    Service {
        key: key.to_owned(),
        place: node.place,
        looks,
        needs: node.texts_at("needs"),
        port: node.whole_at::<u16>("port").filter(|port| *port != 0),
        runs_again: PROCESS.held(node, "run_again"),
        start_period: node.duration_at("start_period"),
        is_critical: PROCESS.held(node, "critical"),
        configuration: node.paths_at("configuration"),
        validator: command_at(node, "validate"),
        restores_configuration: PROCESS.held(node, "restore_configuration"),
        environment: PROCESS.heard(findings, node, key, "environment"),
        autonomy: Words::at(node, "autonomy"),
        policy: limits(findings, node, key, common, DEFAULT),
        severity: Words::at(node, "severity"),
        expect: Words::at(node, "expect"),
        condition: PROCESS.heard(findings, node, key, "when"),
        flap: section(findings, node, (key, "flap"), Some(&common.flap)).unwrap_or(common.flap),
        is_notifier: node.truth_at("notifier"),
        process: None,
    }
}
