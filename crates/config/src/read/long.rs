//! The long form: targets, checks, rules and runbooks as the bundle holds them. What is written here wins over what is
//! deduced under the same name.

use std::{collections::BTreeMap, sync::Arc};

use ansai_document::{
    Findings, Node, Place, nearest, place_of,
    text::{cut, joined},
};
use ansai_model::{
    bundle::{BundleParts, Target},
    check::Check,
    id::{CheckId, PolicyId, RuleId, RunbookId, TargetId},
    rule::Rule,
    runbook::{OnFailure, Runbook, Rung, Step},
};

use super::{
    declaration, each, name_of,
    probe::look,
    rung::{self, Processes},
};
use crate::{
    common::Common,
    domain::unit_of,
    fill::{Filled, HeldUnder, section, words::Words},
    keys::{
        agent::Schedule,
        long::{CHECK, RULE},
    },
};

/// Everything that is written in the long form.
#[derive(Clone, Debug, Default)]
pub(crate) struct Long {
    pub(crate) targets: BTreeMap<TargetId, Target>,
    pub(crate) checks: BTreeMap<CheckId, Arc<Check>>,
    pub(crate) rules: BTreeMap<RuleId, Rule>,
    pub(crate) runbooks: BTreeMap<RunbookId, Runbook>,
}

/// Everything that is written in the long form.
pub(crate) fn long(findings: &mut Findings<'_>, root: &Node, common: &Common) -> Long {
    let mut long = Long {
        targets: each(findings, root, "targets", target),
        checks: each(findings, root, "checks", |findings, node, key, id| {
            check(findings, node, key, id, common).map(Arc::new)
        }),
        rules: each(findings, root, "rules", |findings, node, key, id| rule(findings, node, key, id, common)),
        runbooks: each(findings, root, "runbooks", runbook),
    };
    long.declare(findings, root);
    long
}

impl Long {
    /// Puts the declarations of processes in the places of their names.
    fn declare(&mut self, findings: &mut Findings<'_>, root: &Node) {
        let processes = processes(root, &self.targets);
        for section in ["targets", "runbooks"] {
            root.get(section).into_iter().for_each(|node| rung::undeclared(findings, node, section, &processes));
        }
        let requests = self.targets.values_mut().flat_map(|target| target.requests.values_mut());
        requests.for_each(|request| rung::declare(&mut request.action, &processes));
        for rung in self.runbooks.values_mut().flat_map(|runbook| &mut runbook.rungs) {
            rung.undo.iter_mut().for_each(|action| rung::declare(action, &processes));
            for step in &mut rung.steps {
                if let Step::Act { action, .. } = step {
                    rung::declare(action, &processes);
                }
            }
        }
    }
}

/// Every declared process by its name.
fn processes(root: &Node, targets: &BTreeMap<TargetId, Target>) -> Processes {
    // What is wrong with a declaration is said where it is read for its own sake.
    let nothing = ansai_document::Sources::default();
    let mut unheard = Findings::new(&nothing);
    let short = root.named("processes").filter_map(|(name, _, node)| declaration(&mut unheard, node, "", name));
    let mut found: BTreeMap<_, _> = short.map(|process| (process.name.clone(), process)).collect();
    found.extend(targets.values().filter_map(|target| target.process.clone()).map(|it| (it.name.clone(), it)));
    found
}

fn target(findings: &mut Findings<'_>, node: &Node, key: &str, id: TargetId) -> Option<Target> {
    let mut target = Target::filled(findings, node, key, None)?;
    if let Some(process) = &mut target.process {
        id.name().clone_into(&mut process.name);
    }
    if !node.has("unit") && !node.has("process") {
        target.unit = unit_of(&id);
    }
    Some(Target { id, ..target })
}

fn check(findings: &mut Findings<'_>, node: &Node, key: &str, id: CheckId, common: &Common) -> Option<Check> {
    let target = id.as_str().split_once('#').map_or("", |(target, _)| target);
    let target = TargetId::new(target).ok()?;
    let Some(probe) = node.get("probe").filter(|probe| !probe.is_null()) else {
        let help = "write probe: http://…, or probe: {exec: [...]}".to_owned();
        findings.lacks(node.place, (key, "probe"), "a check needs its probe", help);
        return None;
    };
    let mut look = look(findings, probe, &joined(key, "probe"))?;
    // What stands beside the probe is stronger than what stands in it.
    look.schedule = Schedule::filled(findings, node, key, Some(&look.schedule))?;
    let trend = CHECK.heard(findings, node, key, "trend");
    let flap = section(findings, node, (key, "flap"), Some(&common.flap))?;
    Some(Check { trend, ..common.probe_defaults.check(id, target, &look, flap) })
}

fn rule(findings: &mut Findings<'_>, node: &Node, key: &str, id: RuleId, common: &Common) -> Option<Rule> {
    if RULE.lacks(findings, node, key) {
        return None;
    }
    let target: Option<TargetId> = RULE.heard(findings, node, key, "target");
    let runbook: Option<RunbookId> = RULE.heard(findings, node, key, "runbook");
    let (target, runbook) = (target?, runbook?);
    let mut checks = Vec::new();
    for (name, place) in node.texts_at("checks") {
        let made = if name.contains('#') { CheckId::new(&name) } else { CheckId::of(&target, &name) };
        checks.extend(name_of(findings, made, place, &joined(key, "checks")));
    }
    Some(Rule {
        id,
        target,
        checks,
        condition: RULE.heard(findings, node, key, "when"),
        runbook,
        policy: RULE.heard(findings, node, key, "policy"),
        autonomy: Words::at(node, "autonomy").unwrap_or(common.autonomy),
        severity: RULE.held(node, "severity"),
    })
}

/// References of rules and checks, held against everything that there is.
pub(crate) fn references(findings: &mut Findings<'_>, root: &Node, parts: &BundleParts, long: &Long) {
    rules_refer(findings, root, parts, long);
    let of_targets = || parts.targets.keys().map(TargetId::as_str);
    for (name, place, _) in root.named("checks") {
        let Some(check) = CheckId::new(name).ok().and_then(|id| long.checks.get(&id)) else { continue };
        if !parts.targets.contains_key(&check.target) {
            let what = ("target", check.target.as_str());
            missing(findings, place, &format!("checks.{name}"), what, &mut of_targets());
        }
    }
    for (name, _, node) in root.named("targets") {
        let key = format!("targets.{name}.needs");
        for (need, place) in node.texts_at("needs") {
            let Ok(id) = TargetId::new(&need) else { continue };
            if need == name || !parts.targets.contains_key(&id) {
                let others = &mut of_targets().filter(|other| *other != name);
                missing(findings, place, &key, ("other target", &need), others);
            }
        }
    }
}

fn rules_refer(findings: &mut Findings<'_>, root: &Node, parts: &BundleParts, long: &Long) {
    let mut checks: BTreeMap<&TargetId, Vec<&str>> = BTreeMap::new();
    for check in parts.checks.values() {
        checks.entry(&check.target).or_default().push(check.id.as_str());
    }
    for (name, _, node) in root.named("rules") {
        let Some(rule) = RuleId::new(name).ok().and_then(|id| long.rules.get(&id)) else { continue };
        let has_target = parts.targets.contains_key(&rule.target);
        let mut refer = |what: &'static str, is_there: bool, text: &str, known: &mut dyn Iterator<Item = &str>| {
            if !is_there {
                missing(findings, place_of(node, what), &format!("rules.{name}.{what}"), (what, text), known);
            }
        };
        refer("target", has_target, rule.target.as_str(), &mut parts.targets.keys().map(TargetId::as_str));
        let has_policy = parts.policies.contains_key(&rule.policy);
        refer("policy", has_policy, rule.policy.as_str(), &mut parts.policies.keys().map(PolicyId::as_str));
        let has_runbook = parts.runbooks.contains_key(&rule.runbook);
        refer("runbook", has_runbook, rule.runbook.as_str(), &mut parts.runbooks.keys().map(RunbookId::as_str));
        if !has_target {
            continue;
        }
        let known = checks.get(&rule.target).map(Vec::as_slice).unwrap_or_default();
        let places = node.texts_at("checks").into_iter().map(|(_, place)| place);
        for (check, place) in rule.checks.iter().zip(places).filter(|(check, _)| !known.contains(&check.as_str())) {
            let (key, known) = (format!("rules.{name}.checks"), &mut known.iter().copied());
            missing(findings, place, &key, ("check", check.as_str()), known);
        }
    }
}

/// Something is named that is not there.
fn missing(
    findings: &mut Findings<'_>,
    place: Place,
    key: &str,
    (what, text): (&str, &str),
    known: &mut dyn Iterator<Item = &str>,
) {
    if findings.is_full() {
        return findings.miss();
    }
    let known: Vec<&str> = known.collect();
    let help = nearest(text, known.iter().copied()).unwrap_or_else(|| match &known[..] {
        [] => format!("no {what} is there at all"),
        known => format!("known here: {}", known.iter().take(20).copied().collect::<Vec<_>>().join(", ")),
    });
    findings.error(place, key, format!("there is no {what} `{}`", cut(text)), help);
}

fn runbook(findings: &mut Findings<'_>, node: &Node, key: &str, id: RunbookId) -> Option<Runbook> {
    let items = node.list().unwrap_or_default().iter().enumerate();
    let items = items.filter(|(_, node)| node.map().is_some());
    let rungs =
        items.filter_map(|(index, node)| Some((Rung::filled(findings, node, &format!("{key}[{index}]"), None)?, node)));
    let rungs: Vec<_> = rungs.collect();
    check_ladder(findings, node, key, &rungs);
    Some(Runbook { id, rungs: rungs.into_iter().map(|(rung, _)| rung).collect() })
}

/// What must be right in a ladder as a whole.
fn check_ladder(findings: &mut Findings<'_>, node: &Node, key: &str, rungs: &[(Rung, &Node)]) {
    if node.is_null() {
        let help = "write its rungs: [{name: restart, steps: [{restart_unit: app.service}]}], or [] when it only tells";
        let help = help.to_owned();
        findings.error(node.place, key, "this runbook has no rungs", help);
    }
    for (index, (rung, node)) in rungs.iter().enumerate() {
        if rungs[..index].iter().any(|(earlier, _)| earlier.id == rung.id) {
            let what = format!("there are two rungs `{}`", rung.id);
            findings.error(place_of(node, "name"), key, what, "give one of them another name".to_owned());
        }
        let OnFailure::Rung(next) = &rung.on_failure else { continue };
        // Only downwards, so that a ladder always ends.
        let later: Vec<&str> = rungs[index + 1..].iter().map(|(later, _)| later.id.as_str()).collect();
        if !later.contains(&next.as_str()) {
            let help = nearest(next.as_str(), later)
                .unwrap_or_else(|| "write next-rung, escalate, or the name of a later rung".into());
            let what = format!("there is no later rung `{}`", cut(next.as_str()));
            findings.error(place_of(node, "on_failure"), key, what, help);
        }
    }
}
