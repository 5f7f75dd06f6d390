//! Routes: whom to tell and how. Secrets are references; a plain one is refused, and never repeated.

use std::{collections::BTreeMap, time::Duration};

use ansai_model::{
    id::RouteId,
    notify::{Channel, Email, Route, SecretRef, SmtpSecurity, Webhook, WebhookFormat, WebhookUrl},
    rule::Severity,
};

use crate::{
    diagnostics::{Findings, nearest, place_of},
    document::Node,
    form::{cut, joined},
};

const DIGEST_WINDOW: Duration = Duration::from_secs(60);
const DIGEST_AFTER: u32 = 5;
const SECRET_HELP: &str =
    "put it into a file that only root can read and write file:/etc/ansai/NAME, or use env:NAME or credential:NAME";

fn reference(text: &str) -> Option<SecretRef> {
    match text.split_once(':')? {
        ("file", path) => Some(SecretRef::File(path.to_owned())),
        ("env", name) => Some(SecretRef::Env(name.to_owned())),
        ("credential", name) => Some(SecretRef::Credential(name.to_owned())),
        _ => None,
    }
}

/// A reference to a secret under a key.
pub(crate) fn secret(findings: &mut Findings<'_>, node: &Node, name: &str, key: &str) -> Option<SecretRef> {
    let found = reference(node.text_at(name)?);
    match &found {
        // The text itself is not repeated: it may be the secret.
        None => findings.error(
            place_of(node, name),
            key,
            "a secret must not stand in the configuration",
            SECRET_HELP.to_owned(),
        ),
        Some(SecretRef::File(path)) if !path.starts_with('/') => {
            let help = format!("write file:/…/{}", cut(path));
            findings.error(place_of(node, name), key, "the file of a secret needs an absolute path", help);
        }
        Some(SecretRef::Env(rest) | SecretRef::Credential(rest)) if rest.is_empty() => {
            findings.error(place_of(node, name), key, "this reference names no secret", "write env:NAME".to_owned());
        }
        Some(_) => {}
    }
    found
}

/// A web address under a key, or a reference to one that is secret.
pub(crate) fn address(findings: &mut Findings<'_>, node: &Node, name: &str, key: &str) -> Option<WebhookUrl> {
    let text = node.text_at(name)?;
    if reference(text).is_some() {
        return secret(findings, node, name, key).map(WebhookUrl::Secret);
    }
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    let Some(rest) = rest.filter(|rest| !rest.is_empty()) else {
        let help = "write https://…, or a reference as file:/etc/ansai/NAME".to_owned();
        findings.error(place_of(node, name), key, "this is no web address", help);
        return None;
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':')) {
        let what = "a password must not stand in the configuration";
        findings.error(place_of(node, name), key, what, SECRET_HELP.to_owned());
        return None;
    }
    Some(WebhookUrl::Plain(text.to_owned()))
}

pub(crate) fn routes(findings: &mut Findings<'_>, root: &Node) -> BTreeMap<RouteId, Route> {
    let mut routes = BTreeMap::new();
    for (name, place, node) in root.named("notify") {
        let key = format!("notify.{name}");
        let id = match RouteId::new(name) {
            Ok(id) => id,
            Err(error) => {
                findings.name(place, &key, &error);
                continue;
            }
        };
        routes.extend(route(findings, root, node, &key, id.clone()).map(|route| (id, route)));
    }
    routes
}

fn route(findings: &mut Findings<'_>, root: &Node, node: &Node, key: &str, id: RouteId) -> Option<Route> {
    let digest = node.section("digest");
    if let Some(name) = node.text_at("fallback") {
        let others = root.named("notify").map(|(name, ..)| name).filter(|other| *other != id.as_str());
        if !others.clone().any(|other| other == name) {
            let help = nearest(name, others).or(Some("name another route under `notify:`".into()));
            let what = format!("there is no other route `{}`", cut(name));
            findings.error(place_of(node, "fallback"), &joined(key, "fallback"), what, help);
        }
    }
    Some(Route {
        channel: channel(findings, node, key)?,
        id,
        scope: super::scope(node),
        severity_min: node.severity_at("severity").unwrap_or(Severity::Week),
        tell_healed: node.truth_at("healed").unwrap_or_default(),
        fallback: node.text_at("fallback").and_then(|name| RouteId::new(name).ok()),
        digest_window: digest.and_then(|digest| digest.duration_at("within")).unwrap_or(DIGEST_WINDOW),
        digest_after: digest.and_then(|digest| digest.count_at("after")).unwrap_or(DIGEST_AFTER),
    })
}

/// Keys that belong to one kind of route only, and that kind.
const BELONGS: &[(&str, &str)] = &[
    ("to", "smtp"),
    ("from", "smtp"),
    ("user", "smtp"),
    ("password", "smtp"),
    ("ca", "smtp"),
    ("format", "webhook"),
    ("secret", "webhook"),
    ("headers", "webhook"),
];

fn channel(findings: &mut Findings<'_>, node: &Node, key: &str) -> Option<Channel> {
    let ways: Vec<&str> = ["smtp", "webhook", "exec"].into_iter().filter(|way| node.has(way)).collect();
    let [way] = ways[..] else {
        let what = match ways.as_slice() {
            [] => "it does not say how to tell".to_owned(),
            several => format!("a route tells in one way; this one has {}", several.join(" and ")),
        };
        let help = "name exactly one of smtp (with to), webhook, exec".to_owned();
        findings.error(ways.get(1).map_or(node.place, |way| place_of(node, way)), key, what, help);
        return None;
    };
    for (name, owner) in BELONGS.iter().filter(|(name, owner)| node.has(name) && *owner != way) {
        let what = format!("`{name}` says nothing about a route by `{way}`");
        findings.error(place_of(node, name), &joined(key, name), what, format!("it belongs to `{owner}`; delete it"));
    }
    match way {
        "smtp" => email(findings, node, key).map(Channel::Email),
        "webhook" => Some(Channel::Webhook(Webhook {
            url: address(findings, node, "webhook", &joined(key, "webhook"))?,
            format: match node.text_at("format") {
                Some("slack") => WebhookFormat::Slack,
                Some("discord") => WebhookFormat::Discord,
                Some(_) | None => WebhookFormat::Generic,
            },
            secret: secret(findings, node, "secret", &joined(key, "secret")),
            headers: node.table_at("headers"),
        })),
        _ => node.command_at("exec").map(Channel::Exec),
    }
}

fn email(findings: &mut Findings<'_>, node: &Node, key: &str) -> Option<Email> {
    let (security, host, port) = server(findings, node, key)?;
    let to = node.texts_at("to");
    if to.is_empty() {
        findings.error(node.place, key, "mail needs a recipient", "write to: ops@example.com".to_owned());
        return None;
    }
    for (to, place) in to.iter().filter(|(to, _)| !to.contains('@') || to.contains(char::is_whitespace)) {
        let what = format!("`{}` is no mail address", cut(to));
        findings.error(*place, &joined(key, "to"), what, "write to: ops@example.com".to_owned());
    }
    let password = secret(findings, node, "password", &joined(key, "password"));
    if password.is_some() && security == SmtpSecurity::None {
        let help = "write smtp+starttls:// or smtps://".to_owned();
        let what = "a password would travel unprotected";
        findings.error(place_of(node, "password"), &joined(key, "password"), what, help);
    }
    if node.has("password") && !node.has("user") {
        let help = "write user: NAME beside it".to_owned();
        findings.error(place_of(node, "password"), &joined(key, "password"), "a password belongs to a user", help);
    }
    Some(Email {
        to: to.into_iter().map(|(to, _)| to).collect(),
        from: node.string_at("from"),
        host,
        port,
        security,
        user: node.string_at("user"),
        password,
        ca_file: node.path_at("ca"),
    })
}

fn server(findings: &mut Findings<'_>, node: &Node, key: &str) -> Option<(SmtpSecurity, String, u16)> {
    let (text, place, key) = (node.text_at("smtp")?, place_of(node, "smtp"), joined(key, "smtp"));
    let (security, default_port, rest) = if let Some(rest) = text.strip_prefix("smtp://") {
        (SmtpSecurity::None, 25, rest)
    } else if let Some(rest) = text.strip_prefix("smtp+starttls://") {
        (SmtpSecurity::Starttls, 587, rest)
    } else if let Some(rest) = text.strip_prefix("smtps://") {
        (SmtpSecurity::Tls, 465, rest)
    } else {
        let help = "write smtp://HOST, smtp+starttls://HOST or smtps://HOST".to_owned();
        findings.error(place, &key, format!("`{}` is no mail server", cut(text)), help);
        return None;
    };
    let rest = rest.trim_end_matches('/');
    if rest.contains('@') {
        let help = "write user: NAME and password: file:/etc/ansai/NAME beside smtp".to_owned();
        findings.error(place, &key, "user and password must not stand in the address of the server", help);
        return None;
    }
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => match port.parse() {
            Ok(port) if port != 0 => (host, port),
            _ => {
                findings.error(
                    place,
                    &key,
                    format!("`{}` is no port", cut(port)),
                    "write a number from 1 to 65535".to_owned(),
                );
                return None;
            }
        },
        Some(_) | None => (rest, default_port),
    };
    if host.is_empty() || host.contains(['/', ' ']) {
        findings.error(place, &key, "the mail server has no name", "write smtp://HOST:PORT".to_owned());
        return None;
    }
    Some((security, host.to_owned(), port))
}
