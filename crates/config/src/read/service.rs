//! Services and declared processes as they are written; what they are expanded to stands in `deduce.rs`.

use std::{collections::BTreeMap, time::Duration};

use ansai_model::{
    action::{EnvironmentEntry, ProcessDeclaration},
    check::Flap,
    condition::Condition,
    id::PolicyId,
    policy::Policy,
    probe::CommandLine,
    rule::{Autonomy, Severity},
    unit::UnitExpectation,
};

use super::{
    environment,
    probe::{Look, look},
};
use crate::{
    diagnostics::{Findings, nearest, place_of},
    document::{Node, Place},
    domain::memory::{self, Memory},
    fill::{Filled, section},
    form::{cut, joined},
    keys::SERVICE,
};

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
    /// What is said of its memory; of a process that ansai itself keeps, nothing can be.
    pub(crate) memory: Memory,
    /// Its commands, when ansai itself keeps it running.
    pub(crate) process: Option<Box<ProcessDeclaration>>,
}

/// The limits of a service.
#[derive(Clone, Debug)]
pub(crate) enum Limits {
    /// A policy by its name.
    Named(PolicyId),
    /// Limits written out, over the policy `default`; each unit gets them under its own name.
    Own(Box<Policy>),
}

/// What services are read against.
pub(crate) struct Known<'k> {
    pub(crate) policies: &'k BTreeMap<PolicyId, Policy>,
    pub(crate) default: &'k Policy,
    pub(crate) flap: Flap,
}

/// Everything under `services` or `processes`.
pub(crate) fn services(
    findings: &mut Findings<'_>,
    root: &Node,
    section: &'static str,
    known: &Known<'_>,
) -> BTreeMap<String, Service> {
    let mut services = BTreeMap::new();
    for (name, place, node) in root.named(section) {
        let key = format!("{section}.{name}");
        let mut read = service(findings, node, &key, known);
        read.place = place;
        if section == "processes" {
            read.process = declaration(findings, node, &key, name);
        }
        services.insert(name.to_owned(), read);
    }
    // A map that grew in the order of its names is half empty, and this one is kept.
    services.into_iter().collect()
}

fn service(findings: &mut Findings<'_>, node: &Node, key: &str, known: &Known<'_>) -> Service {
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
        runs_again: SERVICE.held(node, "run_again"),
        start_period: node.duration_at("start_period"),
        is_critical: SERVICE.held(node, "critical"),
        configuration: node.paths_at("configuration"),
        validator: node.command_at("validate"),
        restores_configuration: SERVICE.held(node, "restore_configuration"),
        environment: environment::entries(findings, node, "environment", key),
        autonomy: node.word_at("autonomy"),
        policy: limits(findings, node, key, known),
        severity: node.word_at("severity"),
        expect: node.word_at("expect"),
        condition: condition(findings, node, key),
        flap: section(findings, node, (key, "flap"), Some(&known.flap)).unwrap_or(known.flap),
        is_notifier: node.truth_at("notifier"),
        memory: memory::read(findings, node, key),
        process: None,
    }
}

/// The limits that stand under `policy`: a name, or limits over the usual ones.
pub(crate) fn limits(findings: &mut Findings<'_>, node: &Node, key: &str, known: &Known<'_>) -> Limits {
    let default = || Limits::Named(known.default.id.clone());
    let Some(written) = node.get("policy") else { return default() };
    if let Some(text) = written.text() {
        if let Some((id, _)) = known.policies.iter().find(|(id, _)| id.as_str() == text) {
            return Limits::Named(id.clone());
        }
        let help = nearest(text, known.policies.keys().map(PolicyId::as_str));
        let help = help.unwrap_or_else(|| format!("define it under `policies: {{{}: …}}`", cut(text)));
        let what = format!("there is no policy `{}`", cut(text));
        findings.error(written.place, &joined(key, "policy"), what, help);
        return default();
    }
    match written.map() {
        Some(_) => Policy::filled(findings, written, &joined(key, "policy"), Some(known.default))
            .map_or_else(default, |policy| Limits::Own(Box::new(policy))),
        None => default(),
    }
}

/// The condition under `when`.
pub(crate) fn condition(findings: &mut Findings<'_>, node: &Node, key: &str) -> Option<Condition> {
    let text = node.text_at("when")?;
    match crate::condition::parse(text) {
        Ok(condition) => Some(condition),
        Err(wrong) => {
            let place = findings.within(place_of(node, "when"), text, wrong.offset, wrong.length);
            findings.error(place, &joined(key, "when"), wrong.message, wrong.suggestion);
            None
        }
    }
}

/// The commands of a declared process.
pub(crate) fn declaration(
    findings: &mut Findings<'_>,
    node: &Node,
    key: &str,
    name: &str,
) -> Option<Box<ProcessDeclaration>> {
    if !node.has("start") {
        let help = "write start: [program, argument, …]".to_owned();
        findings.error(node.place, key, "a process needs the command that starts it", help);
        return None;
    }
    let (start, stop) = (node.command_at("start")?, node.command_at("stop"));
    Some(Box::new(ProcessDeclaration { name: name.to_owned(), start, stop, pid_file: node.path_at("pid_file") }))
}
