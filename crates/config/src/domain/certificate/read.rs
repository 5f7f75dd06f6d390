//! Reads looks at certificates, what is done about them, and the parts that the short form shares with these.

use std::time::Duration;

use ansai_document::{
    Findings, Node, place_of,
    text::{cut, joined},
    units::read_mode,
};
use ansai_keys::Key;
use ansai_model::{
    domain::certificate::{
        AcmeIssuer, Aspect, CertificateAction, CertificateProbe, Deployment, Endpoint, Expectation, FileProbe,
        KeyPlace, Pair, Place, PutBack, Renewal, RenewalReason, Renewer, Replacement, Revocation, ServedProbe, Solver,
        Trust, is_name,
    },
    id::UnitName,
    probe::CommandLine,
};

use super::keys::{self, By, Doing, Proof};
use crate::{
    fill::{
        HeldUnder, LineDefault,
        choice::Choice,
        simple::{command_at, command_of},
    },
    patterns::with_ending,
};

/// A look at a certificate.
pub(crate) fn probe(findings: &mut Findings<'_>, node: &Node, key: &str) -> Option<CertificateProbe> {
    node.map()?;
    let steps = in_steps(keys::PROBE.held(node, "tell_before"));
    if steps.is_empty() && node.has("tell_before") {
        let help = "write when people are told, as [14d, 3d]; without the key everything is judged".to_owned();
        let what = "a look that tells of the end at no time tells nothing";
        findings.error(place_of(node, "tell_before"), &joined(key, "tell_before"), what, help);
    }
    let aspect = if steps.is_empty() { Aspect::Everything } else { Aspect::EndInSteps(steps.into()) };
    let expect = Expectation { aspect, ..expect(findings, node, key) };
    let same_as = node.path_at("same_as");
    match (node.path_at("file"), node.has("endpoint")) {
        (Some(path), false) => {
            if node.has("server_name") {
                let help = "it belongs to `endpoint`; delete it".to_owned();
                let what = "`server_name` says nothing about a file";
                findings.error(place_of(node, "server_name"), &joined(key, "server_name"), what, help);
            }
            Some(CertificateProbe::File(FileProbe { path, key: key_place(findings, node, key)?, expect, same_as }))
        }
        (None, true) => {
            let (value, key) = (node.get("endpoint")?, joined(key, "endpoint"));
            let endpoint = endpoint(findings, value, &key)?;
            let endpoint = Endpoint { server_name: node.string_at("server_name"), ..endpoint };
            Some(CertificateProbe::Served(ServedProbe { endpoint, expect, same_as }))
        }
        (_, is_served) => {
            let what = if is_served { "a look is at a file or at a server" } else { "it does not say where to look" };
            findings.error(node.place, key, what, "write one of file: /PATH and endpoint: https://HOST".to_owned());
            None
        }
    }
}

/// When people are told of the end: the longest time before it first, each once.
pub(crate) fn in_steps(mut before: Vec<Duration>) -> Vec<Duration> {
    before.sort_unstable_by(|a, b| b.cmp(a));
    before.dedup();
    before
}

fn key_place(findings: &mut Findings<'_>, node: &Node, key: &str) -> Option<KeyPlace> {
    match (node.path_at("key"), keys::PROBE.held(node, "keyless")) {
        (Some(_), true) => {
            let help = "write either key: /PATH or keyless: true".to_owned();
            findings.error(place_of(node, "keyless"), &joined(key, "keyless"), "it has a key or none", help);
            None
        }
        (Some(path), false) => Some(KeyPlace::Apart(path)),
        (None, true) => Some(KeyPlace::Nowhere),
        (None, false) => Some(KeyPlace::Inside),
    }
}

/// A server's address.
pub(crate) fn endpoint(findings: &mut Findings<'_>, node: &Node, key: &str) -> Option<Endpoint> {
    let text = node.text()?;
    let parsed = text.parse::<Endpoint>();
    let told =
        |error| findings.error(node.place, key, format!("`{}` is no endpoint", cut(text)), format!("it {error}"));
    parsed.map_err(told).ok()
}

/// What a certificate must be.
pub(crate) fn expect(findings: &mut Findings<'_>, node: &Node, key: &str) -> Expectation {
    Expectation {
        names: node.strings_at("names"),
        trust: trust(findings, node, key, &keys::TRUST),
        renew_before: keys::RENEW_BEFORE.or_default(node.duration_at("renew_before")),
        aspect: Aspect::Everything,
    }
}

fn trust(findings: &mut Findings<'_>, node: &Node, key: &str, line: &'static Key) -> Trust {
    match line.or_default(node.string_at("trust")).as_str() {
        "host" => Trust::Host,
        "nobody" => Trust::Nobody,
        path if path.starts_with('/') => Trust::File(path.to_owned()),
        other => {
            let what = format!("`{}` is nobody whose word can be taken", cut(other));
            let help = "write host, nobody, or a file of authorities as /etc/ssl/company.pem".to_owned();
            findings.error(place_of(node, "trust"), &joined(key, "trust"), what, help);
            Trust::Host
        }
    }
}

/// Says that a key is missing.
fn need<'a>(findings: &mut Findings<'_>, node: &'a Node, key: &str, name: &str) -> Option<&'a Node> {
    let found = node.get(name);
    if found.is_none() {
        findings.error(node.place, key, format!("`{name}` is missing"), format!("write {name}: …"));
    }
    found
}

/// What is done about a certificate.
pub(crate) fn action(findings: &mut Findings<'_>, node: &Node, key: &str) -> Option<CertificateAction> {
    node.map()?;
    let doing = Doing::one(findings, node, key)?;
    let (node, key) = (node.get(doing.name())?, joined(key, doing.name()));
    node.map()?;
    Some(match doing {
        Doing::Renew => CertificateAction::Renew(renewal(findings, node, &key)?),
        Doing::Deploy => CertificateAction::Deploy(deployment(findings, node, &key)?),
        Doing::PutBack => {
            let name = name(findings, node, &key)?;
            CertificateAction::PutBack(PutBack { name, units: units(findings, node, "units", &key) })
        }
        Doing::Revoke => {
            let (name, by) = (name(findings, node, &key)?, need(findings, node, &key, "by")?);
            CertificateAction::Revoke(Revocation { name, by: renewer(findings, by, &joined(&key, "by"))? })
        }
        Doing::Replace => {
            let (renew, deploy) = (need(findings, node, &key, "renew")?, need(findings, node, &key, "deploy")?);
            CertificateAction::Replace(Box::new(Replacement {
                renewal: renewal(findings, renew, &joined(&key, "renew"))?,
                deployment: deployment(findings, deploy, &joined(&key, "deploy"))?,
                endpoints: endpoints(findings, node, &key, node.text_at("server_name")),
                revokes: keys::REPLACEMENT.held(node, "revokes"),
            }))
        }
    })
}

fn name(findings: &mut Findings<'_>, node: &Node, key: &str) -> Option<String> {
    let name = need(findings, node, key, "name")?.text()?.to_owned();
    if is_name(&name) {
        return Some(name);
    }
    let help = "letters, digits and .-_ are fine".to_owned();
    findings.error(place_of(node, "name"), &joined(key, "name"), format!("`{}` is no name", cut(&name)), help);
    None
}

fn renewal(findings: &mut Findings<'_>, node: &Node, key: &str) -> Option<Renewal> {
    node.map()?;
    let name = name(findings, node, key)?;
    let certificate = need(findings, node, key, "file").and_then(|_| node.path_at("file"))?;
    let by = need(findings, node, key, "by")?;
    Some(Renewal {
        name,
        current: Pair { certificate, key: node.path_at("key") },
        expect: expect(findings, node, key),
        by: renewer(findings, by, &joined(key, "by"))?,
        reason: match keys::RENEWAL.held(node, "asked") {
            true => RenewalReason::Asked,
            false => RenewalReason::Due,
        },
    })
}

fn deployment(findings: &mut Findings<'_>, node: &Node, key: &str) -> Option<Deployment> {
    node.map()?;
    let name = name(findings, node, key)?;
    let source = need(findings, node, key, "source")?;
    Some(Deployment {
        name,
        source: place(findings, source, &joined(key, "source"))?,
        copies: places(findings, node, "copies", key),
        validators: commands(node, "validators"),
        units: units(findings, node, "units", key),
    })
}

/// The servers under `endpoints`, all asked for one name.
pub(crate) fn endpoints(
    findings: &mut Findings<'_>,
    node: &Node,
    key: &str,
    server_name: Option<&str>,
) -> Vec<Endpoint> {
    let key = joined(key, "endpoints");
    let texts = match node.get("endpoints") {
        Some(list) if list.list().is_some() => list.list().unwrap_or_default().iter().collect(),
        Some(one) if !one.is_null() => vec![one],
        Some(_) | None => Vec::new(),
    };
    let read = texts.into_iter().filter_map(|text| endpoint(findings, text, &key));
    read.map(|endpoint| Endpoint { server_name: server_name.map(str::to_owned), ..endpoint }).collect()
}

/// Commands in a list.
pub(crate) fn commands(node: &Node, name: &str) -> Vec<CommandLine> {
    node.items(name).iter().filter_map(command_of).collect()
}

/// Names of units in a list.
pub(crate) fn units(findings: &mut Findings<'_>, node: &Node, name: &str, key: &str) -> Vec<UnitName> {
    let mut units = Vec::new();
    for (text, place) in node.texts_at(name) {
        match UnitName::new(with_ending(&text)) {
            Ok(unit) => units.push(unit),
            Err(error) => findings.name(place, &joined(key, name), &error),
        }
    }
    units
}

/// The places in a list.
pub(crate) fn places(findings: &mut Findings<'_>, node: &Node, name: &str, key: &str) -> Vec<Place> {
    let items = node.items(name).iter().enumerate();
    items.filter_map(|(index, item)| place(findings, item, &format!("{}[{index}]", joined(key, name)))).collect()
}

/// Where the key of a certificate lies, or where it does when nothing is written.
pub(super) fn place_of_key(
    findings: &mut Findings<'_>,
    node: &Node,
    key: &str,
    unwritten: KeyPlace,
) -> Option<KeyPlace> {
    match (node.path_at("key"), keys::PLACE.held(node, "bundle")) {
        (Some(_), true) => {
            let help = "write either key: /PATH or bundle: true".to_owned();
            findings.error(place_of(node, "bundle"), key, "the key cannot be in two places", help);
            None
        }
        (Some(path), false) => Some(KeyPlace::Apart(path)),
        (None, true) => Some(KeyPlace::Inside),
        (None, false) => Some(unwritten),
    }
}

fn place(findings: &mut Findings<'_>, node: &Node, key: &str) -> Option<Place> {
    node.map()?;
    let certificate = need(findings, node, key, "certificate").and_then(|_| node.path_at("certificate"))?;
    let key_place = place_of_key(findings, node, key, KeyPlace::Nowhere)?;
    let mode = private_mode(findings, node, key, &key_place);
    let (owner, group) = (node.string_at("owner"), node.string_at("group"));
    Some(Place { certificate, key: key_place, owner, group, mode })
}

/// The declared permission bits; those of a key must not be for all.
pub(crate) fn private_mode(findings: &mut Findings<'_>, node: &Node, key: &str, at: &KeyPlace) -> Option<u32> {
    let mode = node.text_at("mode").and_then(read_mode);
    if mode.is_some_and(|mode| mode & 0o7 != 0) && *at != KeyPlace::Nowhere {
        let help = "write \"0640\", and give the group leave".to_owned();
        findings.error(place_of(node, "mode"), &joined(key, "mode"), "a key must not be for all to read", help);
    }
    mode
}

/// Who renews a certificate.
pub(crate) fn renewer(findings: &mut Findings<'_>, node: &Node, key: &str) -> Option<Renewer> {
    node.map()?;
    let by = By::one(findings, node, key)?;
    let (value, key) = (node.get(by.name())?, joined(key, by.name()));
    match by {
        By::Certbot => {
            let lineage = value.text()?.to_owned();
            if is_name(&lineage) {
                return Some(Renewer::Certbot { lineage });
            }
            let help = "`certbot certificates` lists them".to_owned();
            let what = format!("`{}` is no name of a certificate", cut(&lineage));
            findings.error(value.place, &key, what, help);
            None
        }
        By::Exec => Some(Renewer::Exec(command_of(value)?)),
        By::Acme => acme(findings, value, &key).map(Renewer::Acme),
    }
}

fn acme(findings: &mut Findings<'_>, node: &Node, key: &str) -> Option<AcmeIssuer> {
    node.map()?;
    let directory: String = keys::ACME.held(node, "directory");
    if !directory.starts_with("https://") || directory.chars().any(|c| c.is_whitespace() || c.is_control()) {
        let help = "an issuer is asked by https:// only".to_owned();
        let what = format!("`{}` is no directory of an issuer", cut(&directory));
        findings.error(place_of(node, "directory"), &joined(key, "directory"), what, help);
    }
    let proof = Proof::one(findings, node, key)?;
    let (value, inner) = (node.get(proof.name())?, joined(key, proof.name()));
    let solver = match proof {
        Proof::Webroot => Solver::Webroot { path: node.path_at(proof.name())? },
        Proof::Listen => {
            let address = value.text()?.to_owned();
            if address.parse::<std::net::SocketAddr>().is_err() {
                let what = format!("`{}` is no address with a port", cut(&address));
                findings.error(value.place, &inner, what, "write 0.0.0.0:80".to_owned());
            }
            Solver::Listen { address }
        }
        Proof::Dns => {
            need(findings, value, &inner, "set")?;
            let wait = keys::DNS.held(value, "wait");
            Solver::Hook { set: command_at(value, "set")?, clear: command_at(value, "clear"), wait }
        }
    };
    Some(AcmeIssuer {
        directory,
        contacts: node.strings_at("contact"),
        trust: trust(findings, node, key, &keys::ACME_TRUST),
        solver,
    })
}
