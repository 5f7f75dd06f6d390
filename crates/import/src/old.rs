//! The predecessor's keys that belong to no domain: which there are, what each may hold, and what becomes of it.

use std::collections::BTreeSet;

use ansai_document::{Findings, Node, Place, nearest_name};
use ansai_model::cluster::is_host_name;

use crate::{
    cluster::{self, Fleet},
    domain::{self, Domains, Timing},
    notes::{Fate, Notes},
    reader::Reader,
    words::shown,
};

/// Longest period, in seconds: a week.
const SECONDS_MAX: u64 = 7 * 86_400;
/// The longest start period that is carried over: until it ends, nothing that a probe sees is healed.
const START_PERIOD_MAX: u64 = 900;

/// The keys of the predecessor that are read here, besides those of its language model.
const KEYS: &[&str] = &[
    "owner_email",
    "smtp_server",
    "smtp_port",
    "smtp_user",
    "smtp_password",
    "check_interval",
    "failure_threshold",
    "self_healing_enabled",
    "alert_on_success",
    "alert_method",
    "webhook_url",
    "webhook_format",
    "healthcheck_ping_url",
    "healthcheck_interval",
    "healthcheck_grace",
    "ai_analysis_enabled",
    cluster::KEY,
];

/// Every key that is read.
fn keys() -> impl Iterator<Item = &'static str> + Clone {
    KEYS.iter().chain(domain::KEYS.into_iter().flatten()).copied()
}

/// The keys that only mail needs.
const MAIL: &[&str] = &["owner_email", "smtp_server", "smtp_port", "smtp_user", "smtp_password"];

/// The predecessor's configuration, as far as it has a counterpart.
#[derive(Debug, Default)]
pub(super) struct Old {
    /// Whether it healed; not said when the key is missing.
    pub(super) heals: Option<bool>,
    /// Whether healed incidents are told.
    pub(super) tells_healed: Option<bool>,
    pub(super) mail: Option<Mail>,
    pub(super) hook: Option<Hook>,
    /// The period of the dead-man's switch in seconds, when it has one.
    pub(super) heartbeat: Option<Option<u64>>,
    /// The fleet that its host was of.
    pub(super) fleet: Option<Fleet>,
    pub(super) timing: Timing,
    pub(super) domains: Domains,
}

/// Mail, as it was set up.
#[derive(Debug)]
pub(super) struct Mail {
    pub(super) to: Vec<String>,
    pub(super) server: Option<String>,
    pub(super) port: Option<u64>,
    pub(super) user: Option<String>,
    pub(super) has_password: bool,
}

/// A web hook, as it was set up. Its address is a secret.
#[derive(Debug)]
pub(super) struct Hook {
    pub(super) format: String,
}

/// Reads the whole file.
pub(super) fn read(findings: &mut Findings<'_>, notes: &mut Notes<'_>, root: &Node) -> Old {
    let is_ours = |name: &str| keys().any(|known| known == name) || name.starts_with("ai_");
    let Some(map) = root.map() else {
        let what = format!("the file is {}, and must be a mapping", root.kind());
        findings.error(root.place, "", what, "name the file with its variables, as monitored_services".to_owned());
        return Old::default();
    };
    let strangers = map.keys().all(|name| !is_ours(name) && nearest_name(name, keys()).is_none());
    if strangers {
        let help = "name the file that holds monitored_services, owner_email and their like".to_owned();
        findings.error(root.place, "", "no key of the predecessor is in this file", help);
        return Old::default();
    }
    let mut reader = Reader { findings, node: root, prefix: String::new() };
    reader.strangers(notes, keys(), |name| name.starts_with("ai_"));
    let mut old = Old {
        heals: reader.truth("self_healing_enabled"),
        tells_healed: reader.truth("alert_on_success"),
        ..Old::default()
    };
    old.timing.every = minutes(&mut reader);
    old.timing.fail_after = reader.number("failure_threshold", 1_000);
    people(&mut reader, notes, &mut old);
    old.heartbeat = heartbeat(&mut reader, notes);
    let grace =
        reader.number("healthcheck_grace", SECONDS_MAX).map(|grace| (grace, reader.key_place("healthcheck_grace")));
    language_model(&mut reader, notes);
    old.fleet = cluster::read(&mut reader, notes);
    old.domains = domain::read(findings, notes, root, old.heals == Some(true));
    if let Some((grace, place)) = grace {
        old.timing.start_period = start_period(notes, &old, grace, place);
    }
    if !old.domains.have_probes() {
        for key in ["check_interval", "failure_threshold"] {
            if let Some(entry) = map.get(key).filter(|entry| !entry.node.is_null()) {
                let why = "it would hold for probes, and no service has a port or a domain to look at";
                notes.add(Fate::Dropped, entry.key, key, why, "units are heard of through systemd at once; nothing");
            }
        }
    }
    old
}

/// The period of checks, in minutes there, here in seconds.
fn minutes(reader: &mut Reader<'_, '_, '_>) -> Option<u64> {
    let node = reader.value("check_interval")?;
    let minutes = node.text().and_then(|text| text.parse::<f64>().ok());
    let seconds = minutes.map(|minutes| (minutes * 60.0).round()).filter(|seconds| (1.0..=86_400.0).contains(seconds));
    let Some(seconds) = seconds else {
        let help = "write a number of minutes, at most 1440";
        reader.wrong(node.place, "check_interval", "this is no number of minutes", help);
        return None;
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is whole, from 1 to 86400")]
    Some(seconds as u64)
}

/// Whom to tell, and how.
fn people(reader: &mut Reader<'_, '_, '_>, notes: &mut Notes<'_>, old: &mut Old) {
    let method = reader.word("alert_method", &["email", "webhook", "both", "none"]);
    let (to, server) = (recipients(reader), server(reader));
    let (port, user) = (reader.number("smtp_port", 65_535), reader.text("smtp_user"));
    let has_password = reader.value("smtp_password").is_some();
    let has_url = reader.value("webhook_url").is_some();
    let format = reader.word("webhook_format", &["slack", "discord", "generic"]);
    let wants_mail = matches!(method, Some("email" | "both")) || (method.is_none() && !to.is_empty());
    let wants_hook = matches!(method, Some("webhook" | "both")) || (method.is_none() && has_url);
    let unused = |reader: &Reader<'_, '_, '_>, notes: &mut Notes<'_>, keys: &[&str], why: &str, instead: &str| {
        for key in keys.iter().filter(|key| reader.value(key).is_some()) {
            notes.add(Fate::Dropped, reader.key_place(key), key, why, instead);
        }
    };
    if wants_mail && !to.is_empty() {
        old.mail = Some(Mail { to, server, port, has_password: has_password && user.is_some(), user });
        password(reader, notes, has_password, old.mail.as_ref().is_some_and(|mail| mail.has_password));
    } else {
        let why = match wants_mail {
            true => "mail is wanted, and owner_email does not say by whom",
            false => "no mail is wanted: alert_method does not ask for it, or owner_email is missing",
        };
        unused(reader, notes, MAIL, why, "add a route under `notify:` when mail is wanted after all");
        if wants_mail {
            let instead = "write `notify: {email: {to: …, smtp: …}}`";
            notes.add(Fate::Wanted, reader.key_place("alert_method"), "alert_method", why, instead);
        }
    }
    if wants_hook && has_url {
        old.hook = Some(Hook { format: format.unwrap_or("generic").to_owned() });
        let why = "the address of a web hook lets everybody post there, so it is a secret";
        let instead = "put it into /etc/ansai/webhook-url, owned by root with mode 0600";
        notes.add(Fate::Wanted, reader.key_place("webhook_url"), "webhook_url", why, instead);
    } else {
        let instead = "add a route under `notify:` when one is wanted after all";
        unused(
            reader,
            notes,
            &["webhook_url", "webhook_format"],
            "no web hook is wanted, or it has no address",
            instead,
        );
        if wants_hook {
            let why = "a web hook is wanted, and webhook_url is empty";
            let instead = "write `notify: {webhook: {webhook: file:/etc/ansai/webhook-url}}`";
            notes.add(Fate::Wanted, reader.key_place("alert_method"), "alert_method", why, instead);
        }
    }
    if old.mail.is_none() && old.hook.is_none() && old.tells_healed.is_some() {
        let why = "there is no route on which healed incidents could be told";
        unused(reader, notes, &["alert_on_success"], why, "write `healed: true` at the route that is added");
    }
}

fn password(reader: &Reader<'_, '_, '_>, notes: &mut Notes<'_>, is_there: bool, is_used: bool) {
    let place = reader.key_place("smtp_password");
    if is_used {
        let why = "a secret does not stand in a configuration";
        let instead = "put it into /etc/ansai/smtp-password, owned by root with mode 0600";
        notes.add(Fate::Wanted, place, "smtp_password", why, instead);
    } else if is_there {
        let why = "a password belongs to a user, and smtp_user is missing";
        let instead = "write `user: NAME` and `password: file:/etc/ansai/smtp-password` under notify.email";
        notes.add(Fate::Wanted, place, "smtp_password", why, instead);
    }
}

fn recipients(reader: &mut Reader<'_, '_, '_>) -> Vec<String> {
    let Some(text) = reader.text("owner_email") else { return Vec::new() };
    let place = reader.value("owner_email").map_or(reader.node.place, |node| node.place);
    let mut to = Vec::new();
    for address in text.split(',').map(str::trim) {
        let is_address = address.split_once('@').is_some_and(|(name, domain)| !name.is_empty() && !domain.is_empty());
        if !is_address || address.contains(char::is_whitespace) {
            let what = format!("`{}` is no mail address", shown(address));
            reader.wrong(place, "owner_email", what, "write ops@example.com");
        }
        to.push(address.to_owned());
    }
    to
}

fn server(reader: &mut Reader<'_, '_, '_>) -> Option<String> {
    let (text, place) = (reader.text("smtp_server")?, reader.value("smtp_server")?.place);
    if is_host_name(&text) {
        return Some(text);
    }
    reader.wrong(place, "smtp_server", format!("`{}` is no name of a host", shown(&text)), "write smtp.example.com");
    None
}

fn heartbeat(reader: &mut Reader<'_, '_, '_>, notes: &mut Notes<'_>) -> Option<Option<u64>> {
    let every = reader.number("healthcheck_interval", SECONDS_MAX);
    let is_there = reader.value("healthcheck_ping_url").is_some();
    if !is_there {
        if every.is_some() {
            let why = "there is no healthcheck_ping_url to ping";
            let instead = "write `heartbeat: {url: file:/etc/ansai/heartbeat-url}`";
            notes.add(Fate::Dropped, reader.key_place("healthcheck_interval"), "healthcheck_interval", why, instead);
        }
        return None;
    }
    let why = "whoever knows the address can ping it in the host's name, so it is a secret";
    let instead = "put it into /etc/ansai/heartbeat-url, owned by root with mode 0600";
    notes.add(Fate::Wanted, reader.key_place("healthcheck_ping_url"), "healthcheck_ping_url", why, instead);
    Some(every)
}

/// What its grace is for: the pings of its dead-man's switch, and without one the services that it looks at.
fn start_period(notes: &mut Notes<'_>, old: &Old, grace: u64, place: Place) -> Option<u64> {
    let key = "healthcheck_grace";
    if old.heartbeat.is_some() {
        let why = "how long pings may be missing is known to the service that receives them";
        let instead =
            format!("set {grace} seconds of grace there; what a service has after its start is its `start_period`");
        notes.add(Fate::Dropped, place, key, why, instead);
        return None;
    }
    if !old.domains.have_probes() {
        let why = "it would hold for probes, and no service has a port or a domain to look at";
        notes.add(Fate::Dropped, place, key, why, "nothing");
        return None;
    }
    let why =
        "there are no pings that it could be for, so it is how long a service's probes are not judged after its start";
    let instead = "leave `start_period` out where a service answers soon: what it needs is learned";
    notes.add(Fate::Changed, place, key, why, instead);
    Some(grace.min(START_PERIOD_MAX))
}

/// Its language model: nothing of it is on the healing path, and nothing of it is read yet. Values are not repeated.
fn language_model(reader: &mut Reader<'_, '_, '_>, notes: &mut Notes<'_>) {
    let keys: BTreeSet<String> = reader.node.map().into_iter().flatten().map(|(name, _)| name.clone()).collect();
    let is_off = matches!(reader.truth("ai_analysis_enabled"), Some(false));
    for key in keys.iter().filter(|key| key.starts_with("ai_")) {
        let place = reader.key_place(key);
        if is_off {
            notes.add(Fate::Changed, place, key, "no language model is asked here either", "nothing");
            continue;
        }
        let why = "no language model is asked yet; one will only ever advise, and never be waited for";
        let instead = match key.ends_with("_api_key") {
            true => "keep the key where only its owner can read it, and delete it from the old file",
            false => "nothing; the probable cause in a report comes from rules",
        };
        notes.add(Fate::NotYet, place, key, why, instead);
    }
}
