//! From written values to the model's: probes, policies, settings, windows. All that is wrong is collected.

use std::{collections::BTreeMap, time::Duration};

use ansai_model::{
    action::{EnvironmentEntry, EnvironmentKind},
    id::PolicyId,
    policy::{Backoff, Breaker, Budget, MaintenanceWindow, Policy, Scope, WindowSchedule},
    probe::{CommandLine, HttpProbe, Probe},
    rule::{Autonomy, Severity},
    settings::{Heartbeat, Settings},
    time::WallTime,
    units::ByteSize,
};

use crate::{
    diagnostics::{Findings, nearest},
    notify::{secret, secret_url},
    raw::{RawAgent, RawBudget, RawEntry, RawHeartbeat, RawPolicy, RawProbe, RawProbeMap, RawWindow, Short},
    units,
};

pub(crate) fn duration(findings: &mut Findings, key: &str, text: &Option<String>) -> Option<Duration> {
    let text = text.as_ref()?;
    findings.take(key, units::duration(text))
}

pub(crate) fn autonomy(findings: &mut Findings, key: &str, text: &str) -> Option<Autonomy> {
    let all = [Autonomy::Observe, Autonomy::Suggest, Autonomy::Approve, Autonomy::Act];
    let found = all.into_iter().find(|autonomy| autonomy.as_str() == text);
    if found.is_none() {
        let hint = nearest(text, all.iter().map(|autonomy| autonomy.as_str()));
        findings.add(key, format!("`{text}` is no autonomy"), hint.or(Some("observe, suggest, approve or act".into())));
    }
    found
}

pub(crate) fn severity(findings: &mut Findings, key: &str, text: &str) -> Option<Severity> {
    match text {
        "now" => Some(Severity::Now),
        "day" => Some(Severity::Day),
        "week" => Some(Severity::Week),
        _ => {
            findings.add(key, format!("`{text}` is no severity"), Some("write now, day or week".into()));
            None
        }
    }
}

/// A probe with its schedule, as far as it was written.
pub(crate) struct Looked {
    pub(crate) probe: Probe,
    pub(crate) every: Option<Duration>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) fail_after: Option<u32>,
    pub(crate) recover_after: Option<u32>,
}

pub(crate) fn probe(findings: &mut Findings, key: &str, raw: &RawProbe) -> Option<Looked> {
    let map = match raw {
        Short::Long(map) => map.clone(),
        Short::Text(text) => short_probe(findings, key, text)?,
    };
    let kinds = [
        map.http.is_some(),
        map.tcp.is_some(),
        map.unix.is_some(),
        map.exec.is_some(),
        map.nagios.is_some(),
        map.file.is_some(),
    ];
    if kinds.iter().filter(|is_there| **is_there).count() != 1 {
        let help = "name exactly one of http, tcp, unix, exec, nagios, file".to_owned();
        findings.add(key, "a probe looks in one way", Some(help));
        return None;
    }
    let probe = one_probe(findings, key, &map)?;
    for (name, count) in [("fail_after", map.fail_after), ("recover_after", map.recover_after)] {
        if count == Some(0) {
            findings.add(&format!("{key}.{name}"), "at least one result is needed", Some("write 1 or more".into()));
        }
    }
    Some(Looked {
        probe,
        every: duration(findings, &format!("{key}.every"), &map.every),
        timeout: duration(findings, &format!("{key}.timeout"), &map.timeout),
        fail_after: map.fail_after,
        recover_after: map.recover_after,
    })
}

fn short_probe(findings: &mut Findings, key: &str, text: &str) -> Option<RawProbeMap> {
    let mut map = RawProbeMap::default();
    if text.starts_with("http://") || text.starts_with("https://") {
        map.http = Some(text.to_owned());
    } else if let Some(address) = text.strip_prefix("tcp://") {
        map.tcp = Some(address.to_owned());
    } else if let Some(path) = text.strip_prefix("unix:") {
        map.unix = Some(path.trim_start_matches("//").to_owned());
    } else {
        let help = "write http://…, https://…, tcp://HOST:PORT, unix:/PATH, or a mapping as {exec: [...]}".to_owned();
        findings.add(key, format!("`{text}` is no probe"), Some(help));
        return None;
    }
    Some(map)
}

fn one_probe(findings: &mut Findings, key: &str, map: &RawProbeMap) -> Option<Probe> {
    if let Some(url) = &map.http {
        return http_probe(findings, key, url, map);
    }
    if let Some(address) = &map.tcp {
        let parsed = address.rsplit_once(':').and_then(|(host, port)| Some((host.to_owned(), port.parse().ok()?)));
        return match parsed {
            Some((host, port)) if !host.is_empty() && port != 0 => Some(Probe::Tcp { host, port }),
            Some(_) | None => {
                findings.add(
                    key,
                    format!("`{address}` is no address"),
                    Some("write HOST:PORT, as in 127.0.0.1:5432".into()),
                );
                None
            }
        };
    }
    if let Some(path) = &map.unix {
        return absolute(findings, key, path).map(|path| Probe::UnixSocket { path });
    }
    if let Some(argv) = &map.exec {
        return command(findings, key, argv).map(Probe::Exec);
    }
    if let Some(argv) = &map.nagios {
        return command(findings, key, argv).map(Probe::Nagios);
    }
    let path = absolute(findings, key, map.file.as_ref()?)?;
    Some(Probe::File { path, age_max: duration(findings, &format!("{key}.age_max"), &map.age_max), size_max: None })
}

fn http_probe(findings: &mut Findings, key: &str, url: &str, map: &RawProbeMap) -> Option<Probe> {
    if !(url.starts_with("http://") || url.starts_with("https://")) {
        findings.add(key, format!("`{url}` is no web address"), Some("write http://… or https://…".into()));
        return None;
    }
    let expect = map.expect.clone().unwrap_or_default();
    let mut statuses = Vec::new();
    for text in expect.status.map(|status| status.0).unwrap_or_else(|| vec!["200-399".into()]) {
        let (from, to) = text.split_once('-').unwrap_or((&text, &text));
        match (from.trim().parse(), to.trim().parse()) {
            (Ok(from @ 100..=599), Ok(to @ 100..=599)) if from <= to => statuses.push((from, to)),
            _ => findings.add(
                &format!("{key}.expect.status"),
                format!("`{text}` is no status code"),
                Some("write 200, or 200-299".into()),
            ),
        }
    }
    Some(Probe::Http(HttpProbe {
        url: url.to_owned(),
        method: "GET".into(),
        headers: BTreeMap::new(),
        statuses,
        body_contains: expect.body,
        answer_headers: expect.header,
        within: duration(findings, &format!("{key}.expect.within"), &expect.within),
        verify_certificate: !map.insecure,
        ca_file: map.ca.clone(),
    }))
}

pub(crate) fn absolute(findings: &mut Findings, key: &str, path: &str) -> Option<String> {
    if path.starts_with('/') {
        return Some(path.to_owned());
    }
    findings.add(key, format!("`{path}` is no absolute path"), Some(format!("write /…/{path}")));
    None
}

pub(crate) fn command(findings: &mut Findings, key: &str, argv: &[String]) -> Option<CommandLine> {
    if argv.first().is_none_or(String::is_empty) {
        findings.add(key, "the command is empty", Some("write a list: [program, argument, …]".into()));
        return None;
    }
    Some(CommandLine::new(argv.iter().cloned()))
}

pub(crate) fn entry(findings: &mut Findings, key: &str, raw: &RawEntry) -> Option<EnvironmentEntry> {
    let (path, kind) = match (&raw.file, &raw.directory, &raw.symlink) {
        (Some(path), None, None) => (path, EnvironmentKind::File { create: raw.create }),
        (None, Some(path), None) => (path, EnvironmentKind::Directory),
        (None, None, Some(path)) => (path, EnvironmentKind::Symlink(raw.to.clone().unwrap_or_default())),
        _ => {
            findings.add(key, "an entry is one of file, directory or symlink", None);
            return None;
        }
    };
    let mode = match &raw.mode {
        None => None,
        Some(text) => match u32::from_str_radix(text.trim_start_matches("0o"), 8) {
            Ok(mode) if mode <= 0o7777 => Some(mode),
            _ => {
                findings.add(
                    &format!("{key}.mode"),
                    format!("`{text}` is no mode"),
                    Some("write \"0640\", with quotes".into()),
                );
                None
            }
        },
    };
    let path = absolute(findings, key, path)?;
    Some(EnvironmentEntry { path, kind, mode, owner: raw.owner.clone(), group: raw.group.clone() })
}

fn budget(findings: &mut Findings, key: &str, raw: &Option<RawBudget>, base: Budget) -> Budget {
    let Some(raw) = raw else { return base };
    let per = duration(findings, &format!("{key}.per"), &raw.per);
    let actions_max = raw.actions.unwrap_or(base.actions_max);
    if actions_max == 0 {
        let help = "to stop all action use autonomy `observe` or `ansai hold`".to_owned();
        findings.add(&format!("{key}.actions"), "a budget of nothing", Some(help));
    }
    Budget { actions_max, per: per.unwrap_or(base.per) }
}

/// A policy: what is written over what stands below it.
pub(crate) fn policy(findings: &mut Findings, key: &str, raw: &RawPolicy, base: &Policy, id: PolicyId) -> Policy {
    let mut time = |name: &str, text: &Option<String>, base: Duration| {
        duration(findings, &format!("{key}.{name}"), text).unwrap_or(base)
    };
    let breaker = raw.breaker.clone().unwrap_or_default();
    let backoff = raw.backoff.clone().unwrap_or_default();
    Policy {
        id,
        cooldown: time("cooldown", &raw.cooldown, base.cooldown),
        breaker: Breaker {
            failures_max: breaker.failures.unwrap_or(base.breaker.failures_max).max(1),
            window: time("breaker.within", &breaker.within, base.breaker.window),
            open_for: time("breaker.open_for", &breaker.open_for, base.breaker.open_for),
        },
        backoff: Backoff {
            initial: time("backoff.initial", &backoff.initial, base.backoff.initial),
            factor: backoff.factor.unwrap_or(base.backoff.factor).max(1),
            wait_max: time("backoff.max", &backoff.max, base.backoff.wait_max),
            jitter_percent: backoff.jitter.unwrap_or(base.backoff.jitter_percent).min(100),
            reset_after: time("backoff.reset_after", &backoff.reset_after, base.backoff.reset_after),
        },
        attempts_max: raw.attempts.unwrap_or(base.attempts_max).max(1),
        verify_within: time("verify_within", &raw.verify_within, base.verify_within),
        stable_for: time("stable_for", &raw.stable_for, base.stable_for),
        approval_expires: time("approval_expires", &raw.approval_expires, base.approval_expires),
        dependency_wait: time("dependency_wait", &raw.dependency_wait, base.dependency_wait),
        loud_after: raw.loud_after.unwrap_or(base.loud_after).max(1),
        target_budget: budget(findings, &format!("{key}.budget"), &raw.budget, base.target_budget),
    }
}

/// A policy that forbids nearly everything; the shipped layer is read over it.
pub(crate) fn strictest() -> Policy {
    let hour = Duration::from_secs(3600);
    Policy {
        id: PolicyId::new("default").expect("a valid name"),
        cooldown: hour,
        target_budget: Budget { actions_max: 1, per: hour },
        breaker: Breaker { failures_max: 1, window: hour, open_for: hour },
        backoff: Backoff { initial: hour, factor: 2, wait_max: hour, jitter_percent: 0, reset_after: hour },
        attempts_max: 1,
        verify_within: hour,
        stable_for: hour,
        approval_expires: hour,
        dependency_wait: hour,
        loud_after: 1,
    }
}

/// The agent's settings: what is written over what stands below it.
pub(crate) fn settings(findings: &mut Findings, raw: &RawAgent, base: Option<&Settings>) -> Settings {
    let base = base.cloned().unwrap_or_else(|| Settings {
        role: None,
        host_budget: strictest().target_budget,
        remediations_at_once_max: 1,
        full_pass_every: Duration::from_secs(60),
        evidence_lines_max: 20,
        metrics_listen: None,
        heartbeat: None,
        journal_bytes_max: ByteSize(1 << 20),
        reports_kept_for: Duration::from_secs(86_400),
        memory_max: ByteSize(64 << 20),
        redact: Vec::new(),
        labels: BTreeMap::new(),
    });
    let mut size = |name: &str, text: &Option<String>, base: ByteSize| {
        text.as_ref().and_then(|text| findings.take(&format!("agent.{name}"), units::bytes(text))).unwrap_or(base)
    };
    let journal_bytes_max = size("journal_bytes", &raw.journal_bytes, base.journal_bytes_max);
    let memory_max = size("memory_max", &raw.memory_max, base.memory_max);
    Settings {
        role: raw.role.clone().or(base.role),
        host_budget: budget(findings, "agent.host_budget", &raw.host_budget, base.host_budget),
        remediations_at_once_max: raw.remediations_at_once.unwrap_or(base.remediations_at_once_max).max(1),
        full_pass_every: duration(findings, "agent.full_pass_every", &raw.full_pass_every)
            .unwrap_or(base.full_pass_every),
        evidence_lines_max: raw.evidence_lines.unwrap_or(base.evidence_lines_max).min(200),
        metrics_listen: raw.metrics_listen.clone().or(base.metrics_listen),
        heartbeat: base.heartbeat,
        journal_bytes_max,
        reports_kept_for: duration(findings, "agent.reports_kept_for", &raw.reports_kept_for)
            .unwrap_or(base.reports_kept_for),
        memory_max,
        redact: raw.redact.clone().unwrap_or(base.redact),
        labels: if raw.labels.is_empty() { base.labels } else { raw.labels.clone() },
    }
}

pub(crate) fn heartbeat(findings: &mut Findings, raw: &RawHeartbeat) -> Option<Heartbeat> {
    let Some(url) = &raw.url else {
        findings.add("heartbeat.url", "a heartbeat needs an address", None);
        return None;
    };
    Some(Heartbeat {
        url: secret_url(url),
        every: duration(findings, "heartbeat.every", &raw.every).unwrap_or(Duration::from_secs(300)),
        token: raw.token.as_ref().and_then(|text| secret(findings, "heartbeat.token", text)),
    })
}

pub(crate) fn window(findings: &mut Findings, key: &str, raw: &RawWindow) -> Option<MaintenanceWindow> {
    let Some(scope) = &raw.scope else {
        findings.add(key, "a maintenance window needs a scope", Some("write scope: [\"*\"] for every target".into()));
        return None;
    };
    let mut at = |name: &str, text: &Option<String>| -> Option<WallTime> {
        let key = format!("{key}.{name}");
        let Some(text) = text else {
            findings.add(&key, "a maintenance window needs both ends", None);
            return None;
        };
        let parsed: Result<jiff::Timestamp, String> = text.parse().map_err(|error: jiff::Error| error.to_string());
        findings.take(&key, parsed).map(|time| WallTime(time.as_millisecond()))
    };
    let schedule = WindowSchedule::Once { from: at("from", &raw.from)?, until: at("until", &raw.until)? };
    let scope = Scope::Matching(scope.0.clone());
    Some(MaintenanceWindow { reason: raw.reason.clone().unwrap_or_default(), scope, schedule })
}
