//! What is legal and dangerous: warnings, never errors.

pub(crate) mod figures;
pub(crate) mod limits;

use ansai_document::{
    Findings, Node, Value, place_of,
    secrets::{SECRET_ADDRESSES, sounds_secret},
    text::{cut, joined},
};
use ansai_model::{
    id::{CheckId, RuleId},
    notify::{Channel, WebhookUrl},
};

use crate::{
    configuration::Configuration,
    domain::{sections, whole_sections},
};

use limits::{budget, policy, too_slow};

/// Looks at everything that was understood.
pub(crate) fn lint(findings: &mut Findings<'_>, configuration: &Configuration, root: &Node) {
    for (name, _, node) in root.named("policies") {
        policy(findings, node, &format!("policies.{name}"));
    }
    if let Some(agent) = root.section("agent") {
        budget(findings, agent, "host_budget", "agent");
    }
    for section in sections() {
        for (name, _, node) in root.named(section) {
            if let Some(node) = node.section("policy") {
                policy(findings, node, &format!("{section}.{name}.policy"));
            }
        }
    }
    configuration.domains.iter().for_each(|domain| domain.lint(findings, &configuration.common, root));
    routes(findings, configuration, root);
    nobody_to_tell(findings, configuration, root);
    nothing_to_watch(findings, configuration, root);
    secrets(findings, root, "");
    long(findings, configuration, root);
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

fn routes(findings: &mut Findings<'_>, configuration: &Configuration, root: &Node) {
    for (id, route) in &configuration.common.routes {
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

/// What is said where it acts and no route is declared.
pub const NOBODY_TO_TELL: &str = "it heals by itself and has nobody to tell when it cannot";
/// What is said of a configuration with nothing in it.
pub const NOTHING_WATCHED: &str = "nothing is watched: it names no service, disk or certificate";

/// What heals by itself must be able to say so, above all when it cannot heal.
fn nobody_to_tell(findings: &mut Findings<'_>, configuration: &Configuration, root: &Node) {
    let acts = |node: &Node| node.text_at("autonomy") == Some("act");
    let (place, key) = if acts(root) {
        (place_of(root, "autonomy"), "autonomy".to_owned())
    } else {
        let named = sections().chain(["checks"]);
        let mut named = named.flat_map(|section| root.named(section).map(move |entry| (section, entry)));
        let whole = || whole_sections().filter_map(|section| Some((section.to_owned(), root.get(section)?)));
        let found = named.find(|(_, (_, _, node))| acts(node));
        let found = found.map(|(section, (name, _, node))| (joined(section, name), node));
        let Some((key, node)) = found.or_else(|| whole().find(|(_, node)| acts(node))) else { return };
        (place_of(node, "autonomy"), joined(&key, "autonomy"))
    };
    if configuration.common.routes.is_empty() {
        let help = "add notify: {email: {to: ops@example.com, smtp: \"smtp://127.0.0.1:25\"}}".to_owned();
        findings.warning(place, &key, NOBODY_TO_TELL, help);
    }
}

fn nothing_to_watch(findings: &mut Findings<'_>, configuration: &Configuration, root: &Node) {
    let is_watching = configuration.domains.iter().any(|domain| domain.is_watching());
    if !is_watching && root.named("checks").next().is_none() {
        let help = "`ansai init --output -` shows what this host runs".to_owned();
        findings.warning(root.place, "", NOTHING_WATCHED, help);
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
