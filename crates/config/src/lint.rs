//! What is legal and dangerous: warnings, never errors.

mod figures;

use std::time::Duration;

use ansai_model::{
    id::{CheckId, RuleId},
    notify::{Channel, WebhookUrl},
    rule::Autonomy,
};

use crate::{
    diagnostics::{Findings, SECRET_ADDRESSES, place_of},
    document::{Node, Value},
    domain::SECTIONS,
    form::{cut, joined},
    load::Configuration,
    read::service::Service,
};

/// More attempts of one remediation are no limit.
const ATTEMPTS_MAX: u32 = 20;
/// More disruptive actions an hour than this are no limit.
const ACTIONS_PER_HOUR_MAX: f64 = 60.0;
/// Looks at everything that was understood.
pub(crate) fn lint(findings: &mut Findings<'_>, configuration: &Configuration, root: &Node) {
    for (name, _, node) in root.named("policies") {
        policy(findings, node, &format!("policies.{name}"));
    }
    if let Some(agent) = root.section("agent") {
        budget(findings, agent, "host_budget", "agent");
    }
    for section in ["services", "processes"] {
        for (name, place, node) in root.named(section) {
            let key = format!("{section}.{name}");
            if section == "services" && name.trim_end_matches(".service").chars().all(|c| matches!(c, '*' | '?')) {
                let what = format!("`{name}` watches every service of the host");
                findings.warning(place, &key, what, "name the services, or a part of their names".to_owned());
            }
            if section == "services" && name.trim_end_matches(".service").ends_with('@') {
                let stem = name.trim_end_matches(".service");
                let what = format!("`{name}` is a template, and no unit that could run");
                let help = format!("name an instance, as `{stem}1.service`, or all that there are: `{stem}*.service`");
                findings.warning(place, &key, what, help);
            }
            if let Some(node) = node.section("policy") {
                policy(findings, node, &joined(&key, "policy"));
            }
            let known = if section == "services" { &configuration.services } else { &configuration.processes };
            if let Some(found) = known.get(name) {
                service(findings, configuration, found, node);
            }
        }
    }
    configuration.domains.all().into_iter().for_each(|domain| domain.lint(findings));
    routes(findings, configuration, root);
    nobody_to_tell(findings, configuration, root);
    nothing_to_watch(findings, root);
    secrets(findings, root, "");
    long(findings, configuration, root);
}

fn policy(findings: &mut Findings<'_>, node: &Node, key: &str) {
    if node.duration_at("cooldown").is_some_and(|cooldown| cooldown.is_zero()) {
        let what = "without a cooldown remedies follow each other without a pause";
        findings.warning(place_of(node, "cooldown"), &joined(key, "cooldown"), what, "write 10s or more".to_owned());
    }
    if node.duration_at("stable_for").is_some_and(|stable| stable.is_zero()) {
        let what = "without a time of stability a service that dies again counts as healed";
        findings.warning(
            place_of(node, "stable_for"),
            &joined(key, "stable_for"),
            what,
            "write 10s or more".to_owned(),
        );
    }
    if let Some(attempts) = node.count_at("attempts").filter(|attempts| *attempts > ATTEMPTS_MAX) {
        let what = format!("{attempts} attempts are no limit: a person is told too late");
        findings.warning(place_of(node, "attempts"), &joined(key, "attempts"), what, "write 10 or less".to_owned());
    }
    budget(findings, node, "budget", key);
}

fn budget(findings: &mut Findings<'_>, parent: &Node, name: &str, key: &str) {
    let Some(node) = parent.section(name) else { return };
    let (Some(actions), Some(per)) = (node.count_at("actions"), node.duration_at("per")) else { return };
    let hours = per.as_secs_f64() / 3_600.0;
    if f64::from(actions) > ACTIONS_PER_HOUR_MAX * hours {
        let what = format!("{actions} actions in {} are no limit", crate::units::shown_duration(per));
        findings.warning(
            place_of(node, "actions"),
            &joined(key, name),
            what,
            "write as {actions: 6, per: 1h}".to_owned(),
        );
    }
}

fn service(findings: &mut Findings<'_>, configuration: &Configuration, service: &Service, node: &Node) {
    let autonomy = service.autonomy.unwrap_or(configuration.autonomy);
    if service.is_critical && autonomy == Autonomy::Observe {
        let help = "write autonomy: act or approve here, or leave critical out".to_owned();
        let what = "it is critical, and nothing is done when it fails: its autonomy is `observe`";
        findings.warning(place_of(node, "critical"), &joined(&service.key, "critical"), what, help);
    }
    if let Some(condition) = &service.condition {
        let probes = service.looks.iter().map(|(_, look)| &look.probe);
        figures::check(findings, node, &service.key, condition, probes);
    }
    for (_, look) in &service.looks {
        let (every, timeout) = configuration.probe_defaults.times(&look.schedule);
        too_slow(findings, look.place, &look.key, every, timeout);
    }
}

fn too_slow(findings: &mut Findings<'_>, place: crate::document::Place, key: &str, every: Duration, timeout: Duration) {
    if every < timeout {
        let [every, timeout] = [every, timeout].map(crate::units::shown_duration);
        let what = format!("it looks every {every} and may wait {timeout} for one answer");
        findings.warning(place, key, what, format!("write timeout: {every}, or a longer period"));
    }
}

/// Values that may be secrets by the names that they have, wherever they stand.
fn secrets(findings: &mut Findings<'_>, node: &Node, key: &str) {
    match &node.value {
        Value::List(list) => {
            for (index, item) in list.iter().enumerate() {
                secrets(findings, item, &format!("{key}[{index}]"));
            }
        }
        Value::Map(map) => {
            let section = key.rsplit('.').next().unwrap_or_default();
            for (name, entry) in map {
                let path = joined(key, name);
                let help = match section {
                    "headers" if key.starts_with("notify.") => "sign the body instead: secret: file:/etc/ansai/NAME",
                    "headers" => {
                        "let the service answer this host without one, or probe it with a command that reads it"
                    }
                    "environment" => "let the command read it from a file that only it can read",
                    _ => "",
                };
                if !help.is_empty() && entry.node.text().is_some() && sounds_secret(name) {
                    let what = format!("`{}` may be a secret in plain text", cut(name));
                    findings.warning(entry.key, &path, what, help.to_owned());
                }
                secrets(findings, &entry.node, &path);
            }
        }
        Value::Scalar(scalar) => {
            let query = scalar.text.split_once("://").and_then(|(_, rest)| rest.split_once('?'));
            let names = query.into_iter().flat_map(|(_, query)| query.split('&'));
            if let Some(name) =
                names.filter_map(|pair| pair.split_once('=')).map(|(name, _)| name).find(|name| sounds_secret(name))
            {
                let what = format!("`{}` in this address may be a secret in plain text", cut(name));
                let help =
                    "where a reference is understood write file:/etc/ansai/NAME; elsewhere leave it out".to_owned();
                findings.warning(node.place, key, what, help);
            }
        }
    }
}

fn sounds_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace(['-', '_'], "");
    ["authorization", "cookie", "token", "apikey", "password", "passwd", "secret"]
        .iter()
        .any(|word| name.contains(word))
}

fn routes(findings: &mut Findings<'_>, configuration: &Configuration, root: &Node) {
    for (id, route) in &configuration.routes {
        let Channel::Webhook(hook) = &route.channel else { continue };
        let Some(node) = root.section("notify").and_then(|notify| notify.get(id.as_str())) else { continue };
        let key = format!("notify.{id}");
        if let WebhookUrl::Plain(url) = &hook.url
            && SECRET_ADDRESSES.iter().any(|known| url.contains(known))
        {
            let what = "this address is a secret itself, in plain text";
            let help =
                "put it into a file that only root can read, and write here webhook: file:/etc/ansai/NAME".to_owned();
            findings.warning(place_of(node, "webhook"), &joined(&key, "webhook"), what, help);
        }
    }
}

/// Sections that name what is watched.
fn watched() -> impl Iterator<Item = &'static str> {
    SECTIONS.iter().copied().chain(["checks"])
}

/// What heals by itself must be able to say so, above all when it cannot heal.
fn nobody_to_tell(findings: &mut Findings<'_>, configuration: &Configuration, root: &Node) {
    let acts = |node: &Node| node.text_at("autonomy") == Some("act");
    let (place, key) = if acts(root) {
        (place_of(root, "autonomy"), "autonomy".to_owned())
    } else {
        let mut sections = watched().flat_map(|section| root.named(section).map(move |entry| (section, entry)));
        let Some((section, (name, _, node))) = sections.find(|(_, (_, _, node))| acts(node)) else { return };
        (place_of(node, "autonomy"), format!("{section}.{name}.autonomy"))
    };
    if configuration.routes.is_empty() {
        let what = "it heals by itself and has nobody to tell when it cannot";
        let help = "add notify: {email: {to: ops@example.com, smtp: \"smtp://127.0.0.1:25\"}}".to_owned();
        findings.warning(place, &key, what, help);
    }
}

fn nothing_to_watch(findings: &mut Findings<'_>, root: &Node) {
    if watched().all(|section| root.named(section).next().is_none()) {
        let help = "`ansai init --output -` shows what this host runs".to_owned();
        findings.warning(root.place, "", "nothing is watched: it names no service, disk or certificate", help);
    }
}

fn long(findings: &mut Findings<'_>, configuration: &Configuration, root: &Node) {
    for (name, _, node) in root.named("checks") {
        if let Some(check) = CheckId::new(name).ok().and_then(|id| configuration.long.checks.get(&id)) {
            too_slow(findings, place_of(node, "probe"), &format!("checks.{name}"), check.every, check.timeout);
        }
    }
    for (name, _, node) in root.named("rules") {
        let Some(rule) = RuleId::new(name).ok().and_then(|id| configuration.long.rules.get(&id)) else { continue };
        if rule.checks.is_empty() {
            let what = "this rule names no check, so nothing triggers it";
            let help = "write checks: [unit]".to_owned();
            findings.warning(place_of(node, "checks"), &format!("rules.{name}.checks"), what, help);
        }
        let checks = &configuration.long.checks;
        // The checks of a service stand elsewhere, and what they report is not looked up.
        let is_known = rule.checks.iter().all(|check| checks.contains_key(check));
        if let Some(condition) = rule.condition.as_ref().filter(|_| is_known) {
            let probes = rule.checks.iter().filter_map(|check| checks.get(check)).map(|check| &check.probe);
            figures::check(findings, node, &format!("rules.{name}"), condition, probes);
        }
    }
}
