//! Routes: whom to tell and how; what several keys of a route can be wrong in together.

use std::collections::BTreeMap;

use ansai_document::{
    Findings, Node, nearest, place_of,
    text::{cut, joined},
    written::{Fields, Written},
};
use ansai_model::{
    id::RouteId,
    notify::{Channel, Email, MailServer, Route, SmtpSecurity, Webhook},
};

use super::each;
use crate::{
    fill::{Filled, choice::Choice as _},
    keys::notify::{Digest, Mail, Program, RouteOptions, Way},
};

/// The routes that stand under `notify`; what is wrong with them is said.
pub fn routes(findings: &mut Findings<'_>, root: &Node) -> BTreeMap<RouteId, Route> {
    each(findings, root, "notify", |findings, node, key, id| route(findings, root, node, key, id))
}

fn route(findings: &mut Findings<'_>, root: &Node, node: &Node, key: &str, id: RouteId) -> Option<Route> {
    let options = RouteOptions::filled(findings, node, key, None)?;
    if let Some(name) = &options.fallback {
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
        scope: options.scope,
        severity_min: options.severity,
        tell_healed: options.healed,
        fallback: options.fallback.and_then(|name| RouteId::new(name).ok()),
        digest_window: options.digest.within,
        digest_after: options.digest.after,
    })
}

fn channel(findings: &mut Findings<'_>, node: &Node, key: &str) -> Option<Channel> {
    Some(match Way::one(findings, node, key)? {
        Way::Mail => Channel::Email(email(findings, node, key)?),
        Way::Webhook => Channel::Webhook(Webhook::filled(findings, node, key, None)?),
        Way::Program => Channel::Exec(Program::filled(findings, node, key, None)?.exec),
    })
}

fn email(findings: &mut Findings<'_>, node: &Node, key: &str) -> Option<Email> {
    let Mail { smtp: MailServer { security, host, port }, to, from, user, password, ca } =
        Mail::filled(findings, node, key, None)?;
    if to.is_empty() {
        findings.lacks(node.place, (key, "to"), "mail needs a recipient", "write to: ops@example.com".to_owned());
        return None;
    }
    for (to, place) in
        node.texts_at("to").iter().filter(|(to, _)| !to.contains('@') || to.contains(char::is_whitespace))
    {
        let what = format!("`{}` is no mail address", cut(to));
        findings.error(*place, &joined(key, "to"), what, "write to: ops@example.com".to_owned());
    }
    if password.is_some() && security == SmtpSecurity::None {
        let help = "write smtp+starttls:// or smtps://".to_owned();
        let what = "a password would travel unprotected";
        findings.error(place_of(node, "password"), &joined(key, "password"), what, help);
    }
    if node.has("password") && !node.has("user") {
        let help = "write user: NAME beside it".to_owned();
        findings.error(place_of(node, "password"), &joined(key, "password"), "a password belongs to a user", help);
    }
    Some(Email { to, from, host, port, security, user, password, ca_file: ca })
}

/// A route, written out.
pub(crate) fn written(route: &Route) -> Written {
    let way = match route.channel.clone() {
        Channel::Email(Email { to, from, host, port, security, user, password, ca_file }) => {
            Mail { smtp: MailServer { security, host, port }, to, from, user, password, ca: ca_file }.fields()
        }
        Channel::Webhook(hook) => hook.fields(),
        Channel::Exec(exec) => Program { exec }.fields(),
    };
    way.and(options(route)).done()
}

fn options(route: &Route) -> Fields {
    let Route { scope, severity_min, tell_healed, fallback, digest_window, digest_after, .. } = route.clone();
    let digest = Digest { after: digest_after, within: digest_window };
    let fallback = fallback.as_ref().map(ToString::to_string);
    RouteOptions { scope, severity: severity_min, healed: tell_healed, fallback, digest }.fields()
}
