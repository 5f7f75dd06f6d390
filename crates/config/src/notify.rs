//! Routes: whom to tell and how, from `notify:`. Secrets are references; a plain one is refused.

use std::{collections::BTreeMap, time::Duration};

use ansai_model::{
    id::RouteId,
    notify::{Channel, Email, Route, SecretRef, SmtpSecurity, Webhook, WebhookFormat, WebhookUrl},
    policy::Scope,
    rule::Severity,
};

use crate::{
    convert,
    diagnostics::Findings,
    raw::{RawChannel, RawConfig},
};

const DIGEST_WINDOW: Duration = Duration::from_secs(60);
const DIGEST_AFTER: u32 = 5;

/// A reference to a secret.
pub(crate) fn secret(findings: &mut Findings, key: &str, text: &str) -> Option<SecretRef> {
    match text.split_once(':') {
        Some(("file", path)) => Some(SecretRef::File(path.to_owned())),
        Some(("env", name)) => Some(SecretRef::Env(name.to_owned())),
        Some(("credential", name)) => Some(SecretRef::Credential(name.to_owned())),
        Some(_) | None => {
            // The text itself is not repeated: it may be the secret.
            let help = "put it into a file that only root can read and write file:/etc/ansai/NAME, or use env:NAME or credential:NAME";
            findings.add(key, "a secret must not stand in the configuration", Some(help.into()));
            None
        }
    }
}

/// An address that may itself be a secret.
pub(crate) fn secret_url(text: &str) -> WebhookUrl {
    match text.split_once(':') {
        Some(("file", path)) => WebhookUrl::Secret(SecretRef::File(path.to_owned())),
        Some(("env", name)) => WebhookUrl::Secret(SecretRef::Env(name.to_owned())),
        Some(("credential", name)) => WebhookUrl::Secret(SecretRef::Credential(name.to_owned())),
        Some(_) | None => WebhookUrl::Plain(text.to_owned()),
    }
}

pub(crate) fn routes(findings: &mut Findings, raw: &RawConfig) -> BTreeMap<RouteId, Route> {
    let mut routes = BTreeMap::new();
    for (name, channel) in raw.notify.iter().flatten() {
        let key = format!("notify.{name}");
        let Some(id) = findings.take(&key, RouteId::new(name).map_err(|error| error.to_string())) else { continue };
        if let Some(route) = route(findings, &key, id.clone(), channel) {
            routes.insert(id, route);
        }
    }
    routes
}

fn route(findings: &mut Findings, key: &str, id: RouteId, raw: &RawChannel) -> Option<Route> {
    let channel = channel(findings, key, raw)?;
    let fallback = raw.fallback.as_ref().and_then(|name| {
        findings.take(&format!("{key}.fallback"), RouteId::new(name).map_err(|error| error.to_string()))
    });
    let severity = raw.severity.as_ref().and_then(|text| convert::severity(findings, &format!("{key}.severity"), text));
    Some(Route {
        id,
        channel,
        scope: raw.scope.clone().map_or(Scope::All, Scope::Matching),
        severity_min: severity.unwrap_or(Severity::Week),
        tell_healed: raw.healed,
        fallback,
        digest_window: DIGEST_WINDOW,
        digest_after: DIGEST_AFTER,
    })
}

fn channel(findings: &mut Findings, key: &str, raw: &RawChannel) -> Option<Channel> {
    match (&raw.smtp, &raw.webhook, &raw.exec) {
        (Some(smtp), None, None) => email(findings, key, raw, smtp).map(Channel::Email),
        (None, Some(url), None) => {
            let format = match raw.format.as_deref() {
                None | Some("generic") => WebhookFormat::Generic,
                Some("slack") => WebhookFormat::Slack,
                Some("discord") => WebhookFormat::Discord,
                Some(other) => {
                    let help = "write generic, slack or discord".to_owned();
                    findings.add(&format!("{key}.format"), format!("`{other}` is no format"), Some(help));
                    return None;
                }
            };
            let signed = raw.secret.as_ref().and_then(|text| secret(findings, &format!("{key}.secret"), text));
            Some(Channel::Webhook(Webhook { url: secret_url(url), format, secret: signed, headers: BTreeMap::new() }))
        }
        (None, None, Some(argv)) => convert::command(findings, key, argv).map(Channel::Exec),
        _ => {
            let help = "name exactly one of smtp (with to), webhook, exec".to_owned();
            findings.add(key, "a route tells in one way", Some(help));
            None
        }
    }
}

fn email(findings: &mut Findings, key: &str, raw: &RawChannel, smtp: &str) -> Option<Email> {
    let (security, default_port, rest) = if let Some(rest) = smtp.strip_prefix("smtp://") {
        (SmtpSecurity::None, 25, rest)
    } else if let Some(rest) = smtp.strip_prefix("smtp+starttls://") {
        (SmtpSecurity::Starttls, 587, rest)
    } else if let Some(rest) = smtp.strip_prefix("smtps://") {
        (SmtpSecurity::Tls, 465, rest)
    } else {
        let help = "write smtp://HOST, smtp+starttls://HOST or smtps://HOST".to_owned();
        findings.add(&format!("{key}.smtp"), format!("`{smtp}` is no mail server"), Some(help));
        return None;
    };
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) => {
            (host, findings.take(&format!("{key}.smtp"), port.parse().map_err(|_| format!("`{port}` is no port")))?)
        }
        None => (rest, default_port),
    };
    let Some(to) =
        raw.to.clone().map(|list| list.0).filter(|to| to.iter().all(|to| to.contains('@')) && !to.is_empty())
    else {
        findings.add(&format!("{key}.to"), "mail needs a recipient", Some("write to: ops@example.com".into()));
        return None;
    };
    let password = raw.password.as_ref().and_then(|text| secret(findings, &format!("{key}.password"), text));
    if password.is_some() && security == SmtpSecurity::None {
        let help = "write smtp+starttls:// or smtps://".to_owned();
        findings.add(&format!("{key}.password"), "a password would travel unprotected", Some(help));
    }
    let (user, from) = (raw.user.clone(), raw.from.clone());
    Some(Email { to, from, host: host.to_owned(), port, security, user, password, ca_file: raw.ca.clone() })
}
