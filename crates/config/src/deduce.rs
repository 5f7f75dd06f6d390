//! From the short form to checks, ladders and rules: what an operator would have written, had they written it all.

use std::{collections::BTreeMap, time::Duration};

use ansai_model::{
    action::Action,
    bundle::{BundleParts, Target},
    check::{Check, Flap},
    domain::service::{UnitExpectation, validators},
    id::{CheckId, RuleId, RunbookId, RungId, TargetId, UnitName},
    inventory::{Inventory, UnitFacts},
    policy::matches,
    probe::{CommandLine, Probe},
    rule::{Rule, Severity},
    runbook::{Entry, OnFailure, Runbook, Rung, Step, Then},
};

use crate::{
    convert,
    diagnostics::{Findings, nearest},
    load::{Configuration, policy_of},
    raw::RawService,
};

const UNIT_EVERY_SOFT: Duration = Duration::from_millis(250);
const PROBE_EVERY: Duration = Duration::from_secs(10);
const PROBE_EVERY_SOFT: Duration = Duration::from_secs(1);
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);
const UNIT_TIMEOUT: Duration = Duration::from_secs(5);
const VALIDATE_TIMEOUT: Duration = Duration::from_secs(15);
const LOCAL_TIMEOUT: Duration = Duration::from_secs(15);
const JOB_TIMEOUT: Duration = Duration::from_secs(100);
const FLAP: Flap = Flap { changes_max: 5, window: Duration::from_secs(120) };

/// Adds every configured service, globs expanded over the inventory's units, to the parts.
pub(crate) fn services(
    findings: &mut Findings,
    configuration: &Configuration,
    inventory: &Inventory,
    parts: &mut BundleParts,
) {
    for (name, (file, service)) in &configuration.services {
        findings.file.clone_from(file);
        let units: Vec<(UnitName, Option<&UnitFacts>)> = if name.contains(['*', '?']) {
            let found = inventory.units.iter().filter(|unit| matches(name, unit.name.as_str()));
            found.map(|unit| (unit.name.clone(), Some(unit))).collect()
        } else {
            let name = if name.contains('.') { name.clone() } else { format!("{name}.service") };
            let key = format!("services.{name}");
            let Some(unit) = findings.take(&key, UnitName::new(&name).map_err(|error| error.to_string())) else {
                continue;
            };
            let facts = inventory.units.iter().find(|facts| facts.name == unit);
            vec![(unit, facts)]
        };
        for (unit, facts) in units {
            // A unit named for itself wins over a glob that matches it.
            if name.contains(['*', '?']) && configuration.services.contains_key(unit.as_str()) {
                continue;
            }
            one(findings, configuration, &format!("services.{name}"), service, (unit, facts), parts);
        }
    }
    needs_exist(findings, configuration, parts);
}

fn one(
    findings: &mut Findings,
    configuration: &Configuration,
    key: &str,
    service: &RawService,
    (unit, facts): (UnitName, Option<&UnitFacts>),
    parts: &mut BundleParts,
) {
    let made = TargetId::of("service", unit.as_str()).map_err(|error| error.to_string());
    let Some(target) = findings.take(key, made) else { return };
    let Some(checks) = checks(findings, configuration, key, service, &unit, facts, &target) else { return };
    let policy = policy_of(findings, configuration, unit.as_str(), service);
    let autonomy = match &service.autonomy {
        Some(text) => convert::autonomy(findings, &format!("{key}.autonomy"), text),
        None => Some(configuration.autonomy),
    };
    let severity =
        service.severity.as_ref().and_then(|text| convert::severity(findings, &format!("{key}.severity"), text));
    let port = service.port.or_else(|| loopback_port(&checks));
    let validator = validators::for_unit(unit.as_str());
    let mut configuration_paths = Vec::new();
    for path in &service.configuration {
        configuration_paths.extend(convert::absolute(findings, &format!("{key}.configuration"), path));
    }
    if configuration_paths.is_empty() {
        configuration_paths.extend(validator.into_iter().flat_map(|v| v.paths.iter().map(|path| (*path).to_owned())));
    }
    let needs = needs(findings, key, service);
    let name = RunbookId::new(target.as_str()).ok().zip(RuleId::new(target.as_str()).ok());
    let (Some(autonomy), Some((runbook, rule))) = (autonomy, name) else { return };
    let rungs = ladder(findings, key, service, &unit, port, &configuration_paths);
    parts.runbooks.insert(runbook.clone(), Runbook { id: runbook.clone(), rungs });
    let is_default = service.critical;
    parts.rules.insert(
        rule.clone(),
        Rule {
            id: rule,
            target: target.clone(),
            checks: checks.keys().cloned().collect(),
            condition: None,
            runbook,
            policy: policy.id.clone(),
            autonomy,
            severity: severity.unwrap_or(if is_default { Severity::Now } else { Severity::Day }),
        },
    );
    parts.policies.insert(policy.id.clone(), policy);
    parts.checks.extend(checks);
    parts.targets.insert(
        target.clone(),
        Target {
            id: target,
            unit: Some(unit),
            process: None,
            port,
            configuration: configuration_paths,
            needs,
            is_critical: service.critical,
            is_notifier: false,
        },
    );
}

fn expectation(
    findings: &mut Findings,
    key: &str,
    service: &RawService,
    facts: Option<&UnitFacts>,
) -> Option<UnitExpectation> {
    match service.expect.as_deref() {
        Some("running") => Some(UnitExpectation::Running),
        Some("not-failed") => Some(UnitExpectation::NotFailed),
        Some(other) => {
            let help = "write running or not-failed".to_owned();
            findings.add(&format!("{key}.expect"), format!("`{other}` is no expectation"), Some(help));
            None
        }
        None => Some(match facts {
            Some(unit) if unit.is_socket_activated || unit.is_started_by_timer => UnitExpectation::NotFailed,
            Some(unit) if unit.is_oneshot && !unit.remains_after_exit => UnitExpectation::NotFailed,
            Some(_) | None => UnitExpectation::Running,
        }),
    }
}

fn checks(
    findings: &mut Findings,
    configuration: &Configuration,
    key: &str,
    service: &RawService,
    unit: &UnitName,
    facts: Option<&UnitFacts>,
    target: &TargetId,
) -> Option<BTreeMap<CheckId, Check>> {
    let expect = expectation(findings, key, service, facts)?;
    let mut checks = BTreeMap::new();
    let id = CheckId::of(target, "unit").ok()?;
    let probe = Probe::Unit { unit: unit.clone(), expect };
    let check = Check {
        id: id.clone(),
        target: target.clone(),
        probe,
        every: configuration.settings.full_pass_every,
        every_soft: UNIT_EVERY_SOFT,
        timeout: UNIT_TIMEOUT,
        fail_after: 1,
        recover_after: 1,
        flap: FLAP,
    };
    checks.insert(id, check);
    let single = service.probe.as_ref().map(|probe| (None, format!("{key}.probe"), probe));
    let named = service.probes.iter().map(|(name, probe)| (Some(name.clone()), format!("{key}.probes.{name}"), probe));
    for (name, key, raw) in single.into_iter().chain(named) {
        let Some(looked) = convert::probe(findings, &key, raw) else { continue };
        let name = name.unwrap_or_else(|| looked.probe.kind().to_owned());
        let made = CheckId::of(target, &name).map_err(|error| error.to_string());
        let Some(id) = findings.take(&key, made) else { continue };
        let every = looked.every.unwrap_or(PROBE_EVERY);
        if every < Check::EVERY_MIN {
            findings.add(&format!("{key}.every"), "the period is too short", Some("write 100ms or more".into()));
            continue;
        }
        let check = Check {
            id: id.clone(),
            target: target.clone(),
            probe: looked.probe,
            every,
            every_soft: PROBE_EVERY_SOFT.min(every),
            timeout: looked.timeout.unwrap_or(PROBE_TIMEOUT),
            fail_after: looked.fail_after.unwrap_or(3).max(1),
            recover_after: looked.recover_after.unwrap_or(2).max(1),
            flap: FLAP,
        };
        checks.insert(id, check);
    }
    Some(checks)
}

/// The port of a probe that looks at this host: the service is taken to listen there.
fn loopback_port(checks: &BTreeMap<CheckId, Check>) -> Option<u16> {
    let is_local = |host: &str| matches!(host, "127.0.0.1" | "localhost" | "::1" | "[::1]");
    checks.values().find_map(|check| match &check.probe {
        Probe::Tcp { host, port } if is_local(host) => Some(*port),
        Probe::Http(http) => {
            let (scheme, rest) = http.url.split_once("://")?;
            let authority = rest.split('/').next()?;
            let (host, port) = match authority.rsplit_once(':') {
                Some((host, port)) => (host, port.parse().ok()?),
                None => (authority, if scheme == "https" { 443 } else { 80 }),
            };
            is_local(host).then_some(port)
        }
        Probe::Tcp { .. } | Probe::Unit { .. } | Probe::UnixSocket { .. } | Probe::Exec(_) | Probe::Nagios(_) => None,
        Probe::Process { .. } | Probe::ProcessCount { .. } | Probe::File { .. } => None,
    })
}

fn needs(findings: &mut Findings, key: &str, service: &RawService) -> Vec<TargetId> {
    let name = |name: &String| if name.contains('.') { name.clone() } else { format!("{name}.service") };
    service
        .needs
        .iter()
        .filter_map(|need| {
            let made = TargetId::of("service", &name(need)).map_err(|error| error.to_string());
            findings.take(&format!("{key}.needs"), made)
        })
        .collect()
}

/// A need that only a glob provides does not exist before the host has its unit: it is dropped with what needs it kept.
fn needs_exist(findings: &mut Findings, configuration: &Configuration, parts: &mut BundleParts) {
    let known: Vec<TargetId> = parts.targets.keys().cloned().collect();
    for target in parts.targets.values_mut() {
        let (kept, missing): (Vec<_>, Vec<_>) = target.needs.drain(..).partition(|need| known.contains(need));
        target.needs = kept;
        for need in missing {
            if configuration.services.keys().any(|pattern| matches(pattern, need.name())) {
                continue;
            }
            let hint = nearest(need.name(), known.iter().map(TargetId::name));
            let help = hint.or_else(|| Some(format!("add `{}: {{}}` under `services:`", need.name())));
            findings.add(
                &format!("services.{}.needs", target.id.name()),
                format!("there is no service `{}`", need.name()),
                help,
            );
        }
    }
}

fn act(action: Action, timeout: Duration) -> Step {
    Step::Act { action, timeout }
}

fn rung(name: &str, steps: Vec<Step>, then: Then, on_failure: OnFailure, attempts_max: u32) -> Option<Rung> {
    let id = RungId::new(name).ok()?;
    Some(Rung { id, when: None, entry: Entry::InOrder, steps, then, on_failure, attempts_max, undo: Vec::new() })
}

/// Gentlest first; what follows the last rung is a person.
fn ladder(
    findings: &mut Findings,
    key: &str,
    service: &RawService,
    unit: &UnitName,
    port: Option<u16>,
    paths: &[String],
) -> Vec<Rung> {
    let mut rungs = Vec::new();
    let restores = service.restore_configuration && !paths.is_empty();
    let validator = match &service.validate {
        Some(argv) => convert::command(findings, &format!("{key}.validate"), argv),
        None => validators::for_unit(unit.as_str()).map(|validator| CommandLine::new(validator.argv.iter().copied())),
    };
    if let Some(command) = validator {
        let on_failure = match RungId::new("restore-configuration") {
            Ok(restore) if restores => OnFailure::Rung(restore),
            Ok(_) | Err(_) => OnFailure::Escalate,
        };
        let steps = vec![act(Action::Validate { command: command.clone() }, VALIDATE_TIMEOUT)];
        rungs.extend(rung("validate", steps, Then::Continue, on_failure, 1));
        if restores {
            let restore = Action::RestoreConfiguration { unit: unit.clone(), paths: paths.to_vec() };
            let steps = vec![act(restore, LOCAL_TIMEOUT), act(Action::Validate { command }, VALIDATE_TIMEOUT)];
            let made = rung("restore-configuration", steps, Then::Continue, OnFailure::Escalate, 1);
            rungs.extend(made.map(|rung| Rung { entry: Entry::OnlyByName, ..rung }));
        }
    }
    if let Some(port) = port {
        let steps = vec![act(Action::FreePort { unit: unit.clone(), port }, LOCAL_TIMEOUT)];
        rungs.extend(rung("free-port", steps, Then::Continue, OnFailure::Escalate, 1));
    }
    let entries: Vec<_> = service
        .environment
        .iter()
        .enumerate()
        .filter_map(|(index, entry)| convert::entry(findings, &format!("{key}.environment[{index}]"), entry))
        .collect();
    if !entries.is_empty() {
        let steps = vec![act(Action::EnsureEnvironment { entries }, LOCAL_TIMEOUT)];
        rungs.extend(rung("environment", steps, Then::Continue, OnFailure::NextRung, 1));
    }
    let restart = vec![act(Action::RestartUnit { unit: unit.clone() }, JOB_TIMEOUT)];
    rungs.extend(rung("restart", restart, Then::Verify, OnFailure::NextRung, 2));
    let kill = vec![
        act(Action::KillUnit { unit: unit.clone() }, LOCAL_TIMEOUT),
        act(Action::StartUnit { unit: unit.clone() }, JOB_TIMEOUT),
    ];
    rungs.extend(rung("kill-and-start", kill, Then::Verify, OnFailure::NextRung, 1));
    rungs
}
