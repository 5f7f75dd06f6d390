//! From services and processes to targets, checks and rules: what an operator would have written, had they written it all.
//! The rungs stand in `ladder`.

use std::{collections::BTreeMap, time::Duration};

use ansai_document::Findings;
use ansai_model::{
    bundle::{BundleParts, Target},
    check::Check,
    id::{CheckId, NameError, RuleId, RunbookId, TargetId, UnitName},
    inventory::{Inventory, UnitFacts},
    notify::Channel,
    policy::matches,
    probe::Probe,
    rule::{Rule, Severity},
    runbook::Runbook,
    unit::UnitExpectation,
    validators,
};

use super::{
    ladder,
    short::{Service, Services},
};
use crate::{common::Common, read::probe::is_local, slice::Kept};
use ansai_document::patterns::with_ending;

const UNIT_EVERY_SOFT: Duration = Duration::from_millis(250);
const UNIT_TIMEOUT: Duration = Duration::from_secs(5);
/// Units that carry mail for the programs of their host.
const MAIL_UNITS: &[&str] =
    &["postfix.service", "postfix@*.service", "exim4.service", "opensmtpd.service", "sendmail.service"];

/// What is kept well, before it has checks and a rule.
enum Subject<'a> {
    Unit(UnitName, Option<&'a UnitFacts>),
    Process,
}

/// Adds every configured service and process, globs expanded over the inventory's units, to the parts.
pub(super) fn keep(
    services: &Services,
    findings: &mut Findings<'_>,
    common: &Common,
    inventory: &Inventory,
    parts: &mut BundleParts,
) -> Vec<Kept> {
    let mut kept = Vec::new();
    let known: BTreeMap<&UnitName, &UnitFacts> = inventory.units.iter().map(|unit| (&unit.name, unit)).collect();
    let mut by_pattern = by_pattern(services, inventory);
    for (name, service) in &services.units {
        let units: Vec<(UnitName, Option<&UnitFacts>)> = if super::is_pattern(name) {
            let found = by_pattern.remove(name.as_str()).unwrap_or_default();
            found.into_iter().map(|unit| (unit.name.clone(), Some(unit))).collect()
        } else {
            let Some(unit) = valid(findings, service, UnitName::new(with_ending(name))) else { continue };
            // What the host has of that name shares it.
            match known.get(&unit) {
                Some(facts) => vec![(facts.name.clone(), Some(*facts))],
                None => vec![(unit, None)],
            }
        };
        for (unit, facts) in units {
            kept.extend(one(findings, common, (name, service), Subject::Unit(unit, facts), parts));
        }
    }
    for (name, service) in services.processes.iter().filter(|(_, service)| service.process.is_some()) {
        kept.extend(one(findings, common, (name, service), Subject::Process, parts));
    }
    kept
}

/// The units of a host that no service names, by the pattern that says most of their name.
fn by_pattern<'a>(services: &'a Services, inventory: &'a Inventory) -> BTreeMap<&'a str, Vec<&'a UnitFacts>> {
    let mut found: BTreeMap<&str, Vec<&UnitFacts>> = BTreeMap::new();
    for unit in inventory.units.iter().filter(|unit| !services.names.has(unit.name.as_str())) {
        if let Some(pattern) = services.names.patterns.strongest(unit.name.as_str()) {
            found.entry(pattern).or_default().push(unit);
        }
    }
    found
}

fn valid<T>(findings: &mut Findings<'_>, service: &Service, made: Result<T, NameError>) -> Option<T> {
    made.map_err(|error| findings.name(service.place, &service.key, &error)).ok()
}

fn one(
    findings: &mut Findings<'_>,
    common: &Common,
    (written, service): (&str, &Service),
    subject: Subject<'_>,
    parts: &mut BundleParts,
) -> Option<Kept> {
    let name = match &subject {
        Subject::Unit(unit, _) => unit.as_str(),
        Subject::Process => written,
    };
    let target = valid(findings, service, TargetId::of(super::NAME, name))?;
    if parts.targets.contains_key(&target) {
        let help = "keep one of the two".to_owned();
        findings.error(service.place, &service.key, format!("`{name}` is configured twice"), help);
        return None;
    }
    let checks = checks(findings, common, service, &subject, &target);
    let stays = match &subject {
        Subject::Unit(_, facts) => expectation(service, *facts) == UnitExpectation::Running,
        Subject::Process => true,
    };
    let is_notifier = service.is_notifier.unwrap_or_else(|| carries_mail(common, name));
    let unit = match subject {
        Subject::Unit(unit, _) => Some(unit),
        Subject::Process => None,
    };
    let port = service.port.or_else(|| loopback_port(&checks));
    let paths = paths_of(service, unit.as_ref());
    let (runbook, rule) = (RunbookId::from(&target), RuleId::from(&target));
    let rungs = ladder::ladder(service, unit.as_ref(), port, &paths);
    let policy = service.policy.policy(common, target.as_str());
    let severity = service.severity.unwrap_or(if service.is_critical { Severity::Now } else { Severity::Day });
    let made = Rule {
        id: rule.clone(),
        target: target.clone(),
        checks: checks.keys().cloned().collect(),
        condition: service.condition.clone(),
        runbook: runbook.clone(),
        policy: policy.id.clone(),
        autonomy: service.autonomy.unwrap_or(common.autonomy),
        severity,
    };
    let kept = Kept {
        target: target.clone(),
        unit: unit.clone(),
        name: written.to_owned(),
        key: service.key.clone(),
        place: service.place,
        stays,
        flap: service.flap,
        autonomy: made.autonomy,
        severity,
        needs: service.needs.clone(),
    };
    parts.runbooks.insert(runbook.clone(), Runbook { id: runbook, rungs });
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
        is_notifier,
        requests: BTreeMap::new(),
    };
    parts.targets.insert(target, made);
    Some(kept)
}

/// Its configuration: as it is written, or as a known validator reads it.
fn paths_of(service: &Service, unit: Option<&UnitName>) -> Vec<String> {
    if !service.configuration.is_empty() {
        return service.configuration.clone();
    }
    let known = unit.and_then(|unit| validators::for_unit(unit.as_str()));
    known.into_iter().flat_map(|known| known.paths.iter().map(|path| (*path).to_owned())).collect()
}

/// Whether a unit is the mail server of this host that a route uses.
fn carries_mail(common: &Common, unit: &str) -> bool {
    let is_mail = MAIL_UNITS.iter().any(|pattern| matches(pattern, unit));
    is_mail
        && common.routes.values().any(|route| match &route.channel {
            Channel::Email(email) => is_local(&email.host),
            Channel::Webhook(_) | Channel::Exec(_) => false,
        })
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
    common: &Common,
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
    let every = common.settings.full_pass_every;
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
    let defaults = &common.probe_defaults;
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
