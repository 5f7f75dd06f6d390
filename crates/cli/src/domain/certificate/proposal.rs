//! The certificates of this host as `ansai init` proposes to watch them: one entry each that a server of this host shows,
//! with its file where that was found, and with who renews it where that is known.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    net::IpAddr,
};

use ansai_model::{
    domain::certificate::{Endpoint, EndpointProtocol, keys_beside},
    inventory::{CertificateFacts, CertificateIdentity, Signer},
};

use crate::command::init::{Found, quoted, shown};

/// Most names of a certificate that are repeated.
const NAMES_MAX: usize = 20;
/// Longest name of an entry.
const NAME_CHARS_MAX: usize = 80;
/// Where certbot keeps what it renews.
const LIVE: &str = "/etc/letsencrypt/live/";

/// A certificate that is shown, with where.
pub(super) struct Shown<'a> {
    /// Its name among the others.
    name: String,
    certificate: &'a CertificateIdentity,
    /// Its files; the first is the one that is renewed.
    files: Vec<&'a CertificateFacts>,
    endpoints: Vec<&'a Endpoint>,
    units: BTreeSet<&'a str>,
}

/// Every certificate that a server of this host shows, by the order of the servers.
pub(super) fn all(found: &Found) -> Vec<Shown<'_>> {
    let mut order: Vec<&str> = Vec::new();
    let mut all: BTreeMap<&str, Shown<'_>> = BTreeMap::new();
    let mut names = BTreeSet::new();
    for listener in &found.inventory.tls_listeners {
        let certificate = &listener.certificate;
        let shown = all.entry(&certificate.digest).or_insert_with(|| {
            order.push(&certificate.digest);
            let files = files(found, certificate);
            let name = unique(&mut names, &name(certificate, files.first().copied()));
            Shown { name, certificate, files, endpoints: Vec::new(), units: BTreeSet::new() }
        });
        shown.endpoints.push(&listener.endpoint);
        shown.units.extend(listener.unit.as_ref().map(|unit| unit.as_str()));
    }
    order.into_iter().filter_map(|digest| all.remove(digest)).collect()
}

/// The files of a certificate, that of certbot first: it is what the others are copied from.
fn files<'a>(found: &'a Found, certificate: &CertificateIdentity) -> Vec<&'a CertificateFacts> {
    let is_same = |file: &&CertificateFacts| file.certificate.digest == certificate.digest;
    let mut files: Vec<&CertificateFacts> = found.inventory.certificates.iter().filter(is_same).collect();
    files.sort_by_key(|file| (!file.path.starts_with(LIVE), &file.path));
    files
}

/// The name of an entry: the first name that it covers, or else that of its file.
fn name(certificate: &CertificateIdentity, file: Option<&CertificateFacts>) -> String {
    let covered = host_names(certificate).next().map(|name| name.replace("*.", "wildcard."));
    let stem = || {
        let path = file.map_or("unnamed", |file| file.path.as_str());
        let last = path.rsplit('/').next().unwrap_or(path);
        last.rsplit_once('.').map_or(last, |(stem, _)| stem).replace('.', "-")
    };
    let name = covered.unwrap_or_else(stem);
    let is_fine = |c: &char| c.is_ascii_alphanumeric() || "._-".contains(*c);
    let name: String = name.trim_start_matches('.').chars().filter(is_fine).take(NAME_CHARS_MAX).collect();
    if name.is_empty() { "unnamed".to_owned() } else { name }
}

fn unique(names: &mut BTreeSet<String>, name: &str) -> String {
    let numbered = (2..).map(|number| format!("{name}-{number}"));
    let free = std::iter::once(name.to_owned()).chain(numbered).find(|name| !names.contains(name));
    let free = free.unwrap_or_default();
    names.insert(free.clone());
    free
}

fn host_names(certificate: &CertificateIdentity) -> impl Iterator<Item = &String> {
    let is_plain = |name: &&String| name.chars().all(|c| c.is_ascii_graphic() && c != '"' && c != '\\');
    certificate.names.iter().filter(is_plain).filter(|name| name.parse::<IpAddr>().is_err()).take(NAMES_MAX)
}

// Writing to a string cannot fail, so the results are dropped throughout.
pub(super) fn proposal(found: &Found, text: &mut String) {
    let all = all(found);
    text.push_str(
        "# Certificates: renewed 30 days before they end, and verified where they are\n\
         # shown; people are told 14, 7, 3 and 1 days before the end when that did not\n\
         # work, or when nobody is named who renews.\n",
    );
    if all.is_empty() {
        text.push_str("# No server of this host shows one. Others can be watched as well:\n");
        text.push_str("# certificates: {partner: {endpoints: [\"https://partner.example.com\"]}}\n");
    } else {
        text.push_str("certificates:\n");
    }
    for shown in &all {
        entry(found, shown, text);
    }
    let used: BTreeSet<&str> = all.iter().flat_map(|shown| &shown.files).map(|file| file.path.as_str()).collect();
    let unused = found.inventory.certificates.iter().filter(|file| !used.contains(file.path.as_str()));
    for file in unused.filter(|file| file.certificate.signer != Signer::Itself) {
        let until = day(&file.certificate);
        let _ = writeln!(text, "# Shown by no server that was asked: {}, good until {until}", shown(&file.path));
    }
}

fn entry(found: &Found, one: &Shown<'_>, text: &mut String) {
    let Shown { name, certificate, files, endpoints, units } = one;
    let by = match certificate.signer {
        Signer::Trusted => "",
        Signer::Itself => ", signed by itself",
        Signer::Unknown => ", signed by an authority that this host does not know",
    };
    let _ = writeln!(text, "  # good until {}{by}", day(certificate));
    let _ = writeln!(text, "  {}:", quoted(name));
    if let Some(file) = files.first() {
        file_lines(file, text);
    }
    let names: Vec<String> = host_names(certificate).map(|name| quoted(name)).collect();
    // A name with a dot is one that it must cover.
    if !names.is_empty() && (names != [quoted(name)] || !name.contains('.')) {
        let _ = writeln!(text, "    names: [{}]", names.join(", "));
    }
    // A server is asked for the first name that is no pattern; where there is none, for the one that was answered.
    let asked = endpoints.iter().find_map(|endpoint| endpoint.server_name.as_ref());
    if let Some(asked) = asked.filter(|_| host_names(certificate).all(|name| name.starts_with("*."))) {
        let _ = writeln!(text, "    server_name: {}", quoted(asked));
    }
    let endpoints: Vec<String> = endpoints.iter().map(|endpoint| quoted(&address(endpoint))).collect();
    let _ = writeln!(text, "    endpoints: [{}]", endpoints.join(", "));
    match certificate.signer {
        Signer::Trusted => {}
        Signer::Itself => text.push_str("    trust: nobody\n"),
        Signer::Unknown => text.push_str("    trust: nobody  # or the file of its authority: /etc/ssl/company.pem\n"),
    }
    let Some(file) = files.first() else {
        text.push_str(
            "    # Its file was not found; with `file: /PATH` it is watched there as well, and\n    # can be renewed.\n",
        );
        return;
    };
    if !units.is_empty() {
        let units: Vec<String> = units.iter().map(|unit| quoted(unit)).collect();
        let _ = writeln!(text, "    services: [{}]", units.join(", "));
    }
    copies(&files[1..], text);
    renewer(found, file, text);
}

fn file_lines(file: &CertificateFacts, text: &mut String) {
    let _ = writeln!(text, "    file: {}", quoted(&file.path));
    match &file.key {
        None => text.push_str("    bundle: true\n"),
        Some(key) if keys_beside(&file.path).first() != Some(key) => {
            let _ = writeln!(text, "    key: {}", quoted(key));
        }
        Some(_) => {}
    }
}

/// Other files that hold the same certificate now, and have to hold the next one.
fn copies(files: &[&CertificateFacts], text: &mut String) {
    if files.is_empty() {
        return;
    }
    text.push_str("    deploy:\n");
    for file in files {
        let key = file.key.as_ref().map_or("bundle: true".to_owned(), |key| format!("key: {}", quoted(key)));
        let _ = writeln!(text, "      - {{certificate: {}, {key}}}", quoted(&file.path));
    }
}

fn renewer(found: &Found, file: &CertificateFacts, text: &mut String) {
    let lineage = file.path.strip_prefix(LIVE).and_then(|rest| rest.split('/').next());
    if let Some(name) = lineage.filter(|name| found.renewals.contains(*name)) {
        let _ = writeln!(text, "    renew: {{certbot: {}}}", quoted(name));
        return;
    }
    text.push_str("    # Nobody is known who renews it, so people are told in time. One of these can:\n");
    text.push_str("    # renew: {exec: [/usr/local/bin/renew]}\n");
    let names: Vec<&String> = host_names(&file.certificate).collect();
    // An issuer is shown a page for each name, or a record in the DNS where a name stands for many.
    let proof = match names.iter().any(|name| name.starts_with("*.")) {
        true => "dns: {set: [/usr/local/bin/dns-set], clear: [/usr/local/bin/dns-clear]}",
        false => "webroot: /var/www/html",
    };
    if names.iter().any(|name| name.contains('.')) {
        let _ = writeln!(text, "    # renew: {{acme: {{contact: ops@example.com, {proof}}}}}");
    }
}

/// The address with the scheme that people know.
fn address(endpoint: &Endpoint) -> String {
    let host = match endpoint.host.contains(':') {
        true => format!("[{}]", endpoint.host),
        false => endpoint.host.clone(),
    };
    match (endpoint.protocol, endpoint.port) {
        (EndpointProtocol::Tls, 443) => format!("https://{host}"),
        (EndpointProtocol::Tls, 465) => format!("smtps://{host}"),
        (EndpointProtocol::Tls, 993) => format!("imaps://{host}"),
        (EndpointProtocol::Tls | EndpointProtocol::Smtp | EndpointProtocol::Imap | EndpointProtocol::Postgresql, _) => {
            endpoint.to_string()
        }
    }
}

fn day(certificate: &CertificateIdentity) -> String {
    let at = jiff::Timestamp::from_millisecond(certificate.expires.0).ok();
    at.map_or_else(|| "an unknown day".to_owned(), |at| at.strftime("%F").to_string())
}
