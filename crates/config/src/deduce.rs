//! From the short form to checks and rules: what an operator would have written, had they written it all.
//! The rungs stand in `ladder`.

pub(crate) mod ladder;

use std::{collections::BTreeMap, time::Duration};

use ansai_model::{
    bundle::{BundleParts, Target},
    check::Check,
    domain::service::validators,
    id::{CheckId, NameError, PolicyId, RuleId, RunbookId, TargetId, UnitName},
    inventory::{Inventory, UnitFacts},
    notify::Channel,
    policy::{Policy, matches},
    probe::Probe,
    rule::{Rule, Severity},
    runbook::Runbook,
    unit::UnitExpectation,
};

use crate::{
    diagnostics::{Findings, nearest},
    document::Place,
    domain::{
        disk::{Needed, Watched},
        memory,
    },
    form::joined,
    load::Configuration,
    read::service::{Limits, Service},
};

const UNIT_EVERY_SOFT: Duration = Duration::from_millis(250);
const UNIT_TIMEOUT: Duration = Duration::from_secs(5);
/// Units that carry mail for the programs of their host.
const MAIL_UNITS: &[&str] =
    &["postfix.service", "postfix@*.service", "exim4.service", "opensmtpd.service", "sendmail.service"];

/// What is kept well, before it has checks and a rule.
pub(crate) enum Subject<'a> {
    Unit(UnitName, Option<&'a UnitFacts>),
    Process,
}

/// Adds every configured service and process, globs expanded over the inventory's units, to the parts.
pub(crate) fn services(
    findings: &mut Findings<'_>,
    configuration: &Configuration,
    inventory: &Inventory,
    parts: &mut BundleParts,
) {
    let mut needs = Vec::new();
    let known: BTreeMap<&UnitName, &UnitFacts> = inventory.units.iter().map(|unit| (&unit.name, unit)).collect();
    let mut by_pattern = by_pattern(configuration, inventory);
    for (name, service) in &configuration.services {
        let units: Vec<(UnitName, Option<&UnitFacts>)> = if name.contains(['*', '?']) {
            let found = by_pattern.remove(name.as_str()).unwrap_or_default();
            found.into_iter().map(|unit| (unit.name.clone(), Some(unit))).collect()
        } else {
            let Some(unit) = valid(findings, service, UnitName::new(with_suffix(name))) else { continue };
            // What the host has of that name shares it.
            match known.get(&unit) {
                Some(facts) => vec![(facts.name.clone(), Some(*facts))],
                None => vec![(unit, None)],
            }
        };
        for (unit, facts) in units {
            let name = unit.as_str().to_owned();
            needs.extend(one(findings, configuration, service, &name, &Subject::Unit(unit, facts), parts));
        }
    }
    for (name, service) in configuration.processes.iter().filter(|(_, service)| service.process.is_some()) {
        needs.extend(one(findings, configuration, service, name, &Subject::Process, parts));
    }
    needs_exist(findings, configuration, inventory, parts, needs);
}

pub(crate) fn with_suffix(name: &str) -> String {
    if name.contains('.') { name.to_owned() } else { format!("{name}.service") }
}

/// The units that are named, with what is said of each.
pub(crate) fn named(configuration: &Configuration) -> impl Iterator<Item = (UnitName, &Service)> {
    let named = configuration.services.iter().filter(|(name, _)| !name.contains(['*', '?']));
    named.filter_map(|(name, service)| Some((UnitName::new(with_suffix(name)).ok()?, service)))
}

pub(crate) fn is_named(configuration: &Configuration, unit: &str) -> bool {
    is_among(unit, |name| configuration.services.contains_key(name))
}

/// Whether a unit is among names, with its ending or without.
pub(crate) fn is_among(unit: &str, has: impl Fn(&str) -> bool) -> bool {
    let short = unit.strip_suffix(".service").filter(|short| !short.contains('.'));
    has(unit) || short.is_some_and(has)
}

/// The units of a host that no service names, by the pattern that says most of their name.
fn by_pattern<'a>(configuration: &'a Configuration, inventory: &'a Inventory) -> BTreeMap<&'a str, Vec<&'a UnitFacts>> {
    let mut found: BTreeMap<&str, Vec<&UnitFacts>> = BTreeMap::new();
    for unit in inventory.units.iter().filter(|unit| !is_named(configuration, unit.name.as_str())) {
        if let Some(pattern) = configuration.by_pattern.strongest(unit.name.as_str()) {
            found.entry(pattern).or_default().push(unit);
        }
    }
    found
}

fn valid<T>(findings: &mut Findings<'_>, service: &Service, made: Result<T, NameError>) -> Option<T> {
    made.map_err(|error| findings.name(service.place, &service.key, &error)).ok()
}

/// What a target needs, with the place where that is written.
type Needs = (TargetId, String, Place, String);

fn one(
    findings: &mut Findings<'_>,
    configuration: &Configuration,
    service: &Service,
    name: &str,
    subject: &Subject<'_>,
    parts: &mut BundleParts,
) -> Vec<Needs> {
    let Some(target) = valid(findings, service, TargetId::of("service", name)) else { return Vec::new() };
    if parts.targets.contains_key(&target) {
        let help = "keep one of the two".to_owned();
        findings.error(service.place, &service.key, format!("`{name}` is configured twice"), help);
        return Vec::new();
    }
    let checks = checks(findings, configuration, service, subject, &target);
    let (runbook, rule) = (RunbookId::from(&target), RuleId::from(&target));
    let policy = policy_of(configuration, service, &target);
    let port = service.port.or_else(|| loopback_port(&checks));
    let mut paths = service.configuration.clone();
    let unit = match subject {
        Subject::Unit(unit, _) => Some(unit.clone()),
        Subject::Process => None,
    };
    if paths.is_empty() {
        let validator = unit.as_ref().and_then(|unit| validators::for_unit(unit.as_str()));
        paths.extend(validator.into_iter().flat_map(|known| known.paths.iter().map(|path| (*path).to_owned())));
    }
    let rungs = ladder::ladder(service, unit.as_ref(), port, &paths);
    parts.runbooks.insert(runbook.clone(), Runbook { id: runbook.clone(), rungs });
    let severity = if service.is_critical { Severity::Now } else { Severity::Day };
    let made = Rule {
        id: rule.clone(),
        target: target.clone(),
        checks: checks.keys().cloned().collect(),
        condition: service.condition.clone(),
        runbook,
        policy: policy.id.clone(),
        autonomy: service.autonomy.unwrap_or(configuration.autonomy),
        severity: service.severity.unwrap_or(severity),
    };
    parts.rules.insert(rule, made);
    parts.policies.insert(policy.id.clone(), policy);
    parts.checks.extend(checks.into_iter().map(|(id, check)| (id, check.into())));
    let made = Target {
        id: target.clone(),
        unit,
        process: service.process.clone(),
        port,
        configuration: paths,
        needs: Vec::new(),
        waits_for: Vec::new(),
        runs_again: service.runs_again,
        start_period: service.start_period,
        is_critical: service.is_critical,
        is_notifier: service.is_notifier.unwrap_or_else(|| carries_mail(configuration, name)),
        requests: BTreeMap::new(),
    };
    parts.targets.insert(target.clone(), made);
    if let Subject::Unit(unit, facts) = subject {
        let stays = expectation(service, *facts) == UnitExpectation::Running;
        memory::of_service(findings, configuration, service, (&target, unit, stays), parts);
    }
    let needs = service.needs.iter().map(|(need, place)| (need.clone(), *place));
    needs.map(|(need, place)| (target.clone(), need, place, joined(&service.key, "needs"))).collect()
}

/// Whether a unit is the mail server of this host that a route uses.
fn carries_mail(configuration: &Configuration, unit: &str) -> bool {
    let is_mail = MAIL_UNITS.iter().any(|pattern| matches(pattern, unit));
    is_mail
        && configuration.routes.values().any(|route| match &route.channel {
            Channel::Email(email) => is_local(&email.host),
            Channel::Webhook(_) | Channel::Exec(_) => false,
        })
}

pub(crate) fn is_local(host: &str) -> bool {
    matches!(host, "127.0.0.1" | "localhost" | "::1" | "[::1]")
}

fn policy_of(configuration: &Configuration, service: &Service, target: &TargetId) -> Policy {
    match &service.policy {
        Limits::Named(id) => configuration.policy_named(id.as_str()),
        Limits::Own(policy) => match PolicyId::new(target.as_str()) {
            Ok(id) => Policy { id, ..(**policy).clone() },
            Err(_) => (**policy).clone(),
        },
    }
}

fn expectation(service: &Service, facts: Option<&UnitFacts>) -> UnitExpectation {
    service.expect.unwrap_or(match facts {
        Some(unit) if unit.is_socket_activated || unit.is_started_by_event => UnitExpectation::NotFailed,
        Some(unit) if unit.is_oneshot && !unit.remains_after_exit => UnitExpectation::NotFailed,
        Some(_) | None => UnitExpectation::Running,
    })
}

fn checks(
    findings: &mut Findings<'_>,
    configuration: &Configuration,
    service: &Service,
    subject: &Subject<'_>,
    target: &TargetId,
) -> BTreeMap<CheckId, Check> {
    let mut checks = BTreeMap::new();
    let (name, probe) = match subject {
        Subject::Unit(unit, facts) => {
            ("unit", Probe::Unit { unit: unit.clone(), expect: expectation(service, *facts) })
        }
        Subject::Process => ("process", Probe::Process { name: target.name().to_owned() }),
    };
    let every = configuration.settings.full_pass_every;
    if let Some(id) = valid(findings, service, CheckId::of(target, name)) {
        let check = Check {
            id: id.clone(),
            target: target.clone(),
            probe,
            every,
            every_soft: UNIT_EVERY_SOFT.min(every),
            timeout: UNIT_TIMEOUT,
            fail_after: 1,
            recover_after: 1,
            flap: service.flap,
            trend: None,
        };
        checks.insert(id, check);
    }
    let defaults = &configuration.probe_defaults;
    for (name, look) in &service.looks {
        let name = name.clone().unwrap_or_else(|| look.probe.kind().to_owned());
        let id = match CheckId::of(target, &name) {
            Ok(id) => id,
            Err(error) => {
                findings.name(look.place, &look.key, &error);
                continue;
            }
        };
        if checks.contains_key(&id) {
            let what = format!("there are two checks `{name}`");
            findings.error(look.place, &look.key, what, "give it another name under `probes:`".to_owned());
        }
        checks.insert(id.clone(), defaults.check(id, target.clone(), look, service.flap));
    }
    checks
}

/// The port of a probe that looks at this host: the service is taken to listen there.
fn loopback_port(checks: &BTreeMap<CheckId, Check>) -> Option<u16> {
    checks.values().find_map(|check| match &check.probe {
        Probe::Tcp { host, port, .. } if is_local(host) => Some(*port),
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
        Probe::Process { .. } | Probe::ProcessCount { .. } | Probe::File { .. } | Probe::UnitFiles { .. } => None,
        Probe::Domain(_) => None,
    })
}

/// A need that only a glob provides does not exist before the host has its unit: it is dropped with what needs it kept.
fn needs_exist(
    findings: &mut Findings<'_>,
    configuration: &Configuration,
    inventory: &Inventory,
    parts: &mut BundleParts,
    needs: Vec<Needs>,
) {
    let disks = Watched::on(configuration, inventory);
    for (target, need, place, key) in needs {
        if let Some(found) = disks.needed(&need) {
            match (found, parts.targets.get_mut(&target)) {
                (Needed::Disk(check), Some(target)) => target.waits_for.push(check),
                (Needed::Nowhere, _) => {
                    let mount = need.trim_start_matches("disk/");
                    let what = format!("nothing watches the disk `{}`", crate::form::cut(mount));
                    let help = format!("add `{}: {{}}` under `disks:`", crate::form::cut(mount));
                    findings.error(place, &key, what, help);
                }
                (Needed::Disk(_), None) | (Needed::NotYet, _) => {}
            }
            continue;
        }
        let names = [need.clone(), with_suffix(&need)];
        let found = names.iter().find_map(|name| {
            let id = TargetId::of("service", name).ok()?;
            parts.targets.contains_key(&id).then_some(id)
        });
        if let Some(id) = found {
            if let Some(target) = parts.targets.get_mut(&target) {
                target.needs.push(id);
            }
            continue;
        }
        let services = &configuration.services;
        if names.iter().any(|name| services.contains_key(name) || configuration.by_pattern.fits(name)) {
            continue;
        }
        if findings.is_full() {
            findings.miss();
            continue;
        }
        let help = nearest(&names[1], parts.targets.keys().map(TargetId::name));
        let help = help.unwrap_or_else(|| format!("add `{}: {{}}` under `services:`", names[1]));
        findings.error(place, &key, format!("there is no service `{}`", crate::form::cut(&names[1])), help);
    }
}
