//! The predecessor's certificates: what it renewed and where it put the copies, and the domains of its services, whose
//! certificates are watched from outside.

use std::{collections::BTreeMap, fmt::Write as _};

use ansai_document::{Findings, Node, Place};
use ansai_model::{
    cluster::is_host_name,
    domain::certificate::{Endpoint, is_name},
};

use crate::{
    notes::{Fate, Notes},
    reader::{Reader, is_plain},
    words::{quoted, shown},
};

/// The key that holds them.
pub(super) const KEY: &str = "managed_certificates";
const KEYS: &[&str] = &["domain", "provider", "services", "deploy_to"];
const PROVIDERS: &[&str] = &["letsencrypt"];
/// Most certificates of one file, and most texts in one of their lists.
const CERTIFICATES_MAX: usize = 1_000;
const LIST_MAX: usize = 100;
/// How a service shows its certificate on this host, by the beginning of its unit's name.
const SHOWN_AT: &[(&str, &str)] = &[
    ("nginx", "https://127.0.0.1"),
    ("apache2", "https://127.0.0.1"),
    ("httpd", "https://127.0.0.1"),
    ("haproxy", "https://127.0.0.1"),
    ("postfix", "smtp://127.0.0.1:25"),
    ("exim4", "smtp://127.0.0.1:25"),
    ("dovecot", "imap://127.0.0.1:143"),
    ("postgresql", "postgresql://127.0.0.1:5432"),
];

/// A certificate, as far as it has a counterpart.
#[derive(Debug)]
pub(super) struct Certificate {
    domain: String,
    line: usize,
    /// Whether certbot renews it; otherwise it is only watched.
    is_renewed: bool,
    units: Vec<String>,
    endpoints: Vec<String>,
    /// Copies: the certificate and its key.
    copies: Vec<(String, String)>,
}

impl Certificate {
    /// A wildcard's name without its star is the name of certbot's lineage.
    fn lineage(&self) -> &str {
        self.domain.strip_prefix("*.").unwrap_or(&self.domain)
    }
}

/// Reads `managed_certificates`, and adds the certificates that are shown under these web addresses, each with its line.
pub(super) fn all<'p>(
    findings: &mut Findings<'_>,
    notes: &mut Notes<'_>,
    root: &Node,
    pages: impl IntoIterator<Item = (usize, &'p str)>,
) -> Vec<Certificate> {
    let mut all: BTreeMap<String, Certificate> = BTreeMap::new();
    let mut order = Vec::new();
    for (index, node) in list(findings, root).iter().enumerate() {
        let key = format!("{KEY}[{index}]");
        let Some(certificate) = one(findings, notes, node, &key) else { continue };
        if let Some(other) = all.get(certificate.lineage()) {
            let what = format!("the certificate of {} is there twice", certificate.domain);
            let help = format!("it stands in line {} already; keep one of the two", other.line);
            findings.error(node.place, &key, what, help);
            continue;
        }
        order.push(certificate.lineage().to_owned());
        all.insert(certificate.lineage().to_owned(), certificate);
    }
    for (line, page) in pages {
        let Some((host, address)) = shown_under(page) else { continue };
        if !all.contains_key(&host) && is_name(&host) {
            let (units, copies) = (Vec::new(), Vec::new());
            let endpoints = vec![address];
            order.push(host.clone());
            all.insert(host.clone(), Certificate { domain: host, line, is_renewed: false, units, endpoints, copies });
        }
    }
    order.iter().filter_map(|name| all.remove(name)).collect()
}

/// The host of a page that is served with a certificate, and where that is shown.
fn shown_under(url: &str) -> Option<(String, String)> {
    let authority = url.strip_prefix("https://")?.split('/').next()?;
    let host = authority.split_once(':').map_or(authority, |(host, _)| host);
    let address = format!("https://{authority}");
    // A port that is none was told of with the service.
    let is_address = address.parse::<Endpoint>().is_ok();
    (is_address && host.parse::<std::net::IpAddr>().is_err()).then(|| (host.to_owned(), address))
}

fn list<'n>(findings: &mut Findings<'_>, root: &'n Node) -> &'n [Node] {
    let Some(node) = root.get(KEY).filter(|node| !node.is_null()) else { return &[] };
    let Some(list) = node.list() else {
        let what = format!("`{KEY}` is {}, and must be a list", node.kind());
        findings.error(node.place, KEY, what, "write `- domain: api.example.com`".to_owned());
        return &[];
    };
    if list.len() > CERTIFICATES_MAX {
        let what = format!("there are {} certificates, and at most {CERTIFICATES_MAX} are read", list.len());
        findings.error(node.place, KEY, what, "import them in several files".to_owned());
        return &[];
    }
    list
}

fn one(findings: &mut Findings<'_>, notes: &mut Notes<'_>, node: &Node, key: &str) -> Option<Certificate> {
    if node.map().is_none() {
        let what = format!("a certificate is a mapping, and this is {}", node.kind());
        findings.error(node.place, key, what, "write `- domain: api.example.com`".to_owned());
        return None;
    }
    let mut reader = Reader { findings, node, prefix: format!("{key}.") };
    reader.strangers(notes, KEYS.iter().copied(), |_| false);
    let domain = domain(&mut reader);
    let is_provided = reader.value("provider").is_some();
    let provider = reader.word("provider", PROVIDERS);
    let units: Vec<String> = texts(&mut reader, "services", "[nginx, postfix]")
        .into_iter()
        .filter_map(|(name, place)| reader.unit_name("services", &name, place))
        .collect();
    let places = texts(&mut reader, "deploy_to", "[/etc/nginx/ssl/]");
    let domain = domain?;
    let copies = places.iter().filter_map(|(path, place)| copy(&mut reader, path, *place, &domain)).collect();
    let endpoints = endpoints(&units);
    let line = notes.line(node.place);
    let certificate = Certificate { domain, line, is_renewed: provider.is_some(), units, endpoints, copies };
    if is_provided {
        told(&reader, notes, key, &certificate);
        return Some(certificate);
    }
    only_watched(&reader, notes, key, certificate)
}

/// Without somebody who renews it, it is watched where it is shown: which file is its own cannot be known either.
fn only_watched(
    reader: &Reader<'_, '_, '_>,
    notes: &mut Notes<'_>,
    key: &str,
    certificate: Certificate,
) -> Option<Certificate> {
    let Certificate { domain, mut endpoints, .. } = certificate;
    if endpoints.is_empty() && !domain.starts_with("*.") {
        endpoints.push(format!("https://{domain}"));
    }
    let why = match endpoints.first() {
        Some(_) => format!("who renews the certificate of {domain} is not said, so people are told before it ends"),
        None => format!("neither who renews the certificate of {domain} is said nor where it is shown"),
    };
    let instead = "write `file: /PATH`, `renew: {certbot: NAME}`, `services` and `deploy` under `certificates`";
    notes.add(Fate::Wanted, reader.node.place, &format!("{key}.provider"), why, instead);
    if endpoints.is_empty() {
        return None;
    }
    Some(Certificate { domain, endpoints, units: Vec::new(), copies: Vec::new(), ..certificate })
}

fn domain(reader: &mut Reader<'_, '_, '_>) -> Option<String> {
    let Some(text) = reader.text("domain") else {
        if reader.value("domain").is_none() {
            let help = "write `domain: api.example.com`";
            reader.wrong(reader.node.place.beginning(), "domain", "a certificate needs a domain", help);
        }
        return None;
    };
    let bare = text.strip_prefix("*.").unwrap_or(&text);
    if is_host_name(bare) && is_name(bare) && bare.contains('.') {
        return Some(text.to_ascii_lowercase());
    }
    let place = reader.value("domain").map_or(reader.node.place, |node| node.place);
    reader.wrong(place, "domain", format!("`{}` is no domain", shown(&text)), "write api.example.com");
    None
}

/// The texts of a list, or the one that stands there alone.
fn texts(reader: &mut Reader<'_, '_, '_>, key: &str, example: &str) -> Vec<(String, Place)> {
    let Some(node) = reader.value(key) else { return Vec::new() };
    let items = node.list().map_or_else(|| vec![node.clone()], <[Node]>::to_vec);
    if items.len() > LIST_MAX {
        let what = format!("there are {} of them, and at most {LIST_MAX} are read", items.len());
        reader.wrong(node.place, key, what, "name fewer");
        return Vec::new();
    }
    let mut texts = Vec::new();
    for item in items {
        match item.text().filter(|text| !text.contains("{{")) {
            Some(text) => texts.push((text.to_owned(), item.place)),
            None => {
                let what = format!("`{key}` is {}, and must be a list of texts", item.kind());
                reader.wrong(item.place, key, what, format!("write {example}"));
            }
        }
    }
    texts
}

/// The copy in a directory, or at a path that names a file.
fn copy(reader: &mut Reader<'_, '_, '_>, path: &str, place: Place, domain: &str) -> Option<(String, String)> {
    if !is_plain(path) {
        let help = "write a directory from / on, as /etc/nginx/ssl/";
        reader.wrong(place, "deploy_to", format!("`{}` is no plain absolute path", shown(path)), help);
        return None;
    }
    let stem = match [".pem", ".crt", ".cer"].iter().find_map(|ending| path.strip_suffix(ending)) {
        Some(stem) => return Some((path.to_owned(), format!("{stem}.key"))),
        None => path.trim_end_matches('/'),
    };
    let name = domain.strip_prefix("*.").unwrap_or(domain);
    Some((format!("{stem}/{name}.pem"), format!("{stem}/{name}.key")))
}

/// Where the services that are known show it.
fn endpoints(units: &[String]) -> Vec<String> {
    let mut endpoints: Vec<String> = Vec::new();
    for unit in units {
        let known = SHOWN_AT.iter().find(|(name, _)| unit.starts_with(name)).map(|(_, at)| (*at).to_owned());
        endpoints.extend(known.filter(|at| !endpoints.contains(at)));
    }
    endpoints
}

fn told(reader: &Reader<'_, '_, '_>, notes: &mut Notes<'_>, key: &str, certificate: &Certificate) {
    let Certificate { domain, units, endpoints, copies, .. } = certificate;
    if let Some((copy, _)) = copies.first() {
        let why =
            format!("which files there hold the certificate of {domain} was not said; {copy} and its key are taken");
        let instead = "compare the paths under `deploy` with what the services read";
        notes.add(Fate::Changed, reader.key_place("deploy_to"), &format!("{key}.deploy_to"), why, instead);
    }
    if !endpoints.is_empty() {
        let why = format!("a new certificate is also looked at where it is shown: {}", endpoints.join(", "));
        let instead = "nothing, when that is where its services listen";
        notes.add(Fate::Changed, reader.key_place("services"), &format!("{key}.services"), why, instead);
    }
    let unknown = units.iter().filter(|unit| SHOWN_AT.iter().all(|(name, _)| !unit.starts_with(name)));
    let unknown: Vec<&str> = unknown.map(String::as_str).collect();
    if !unknown.is_empty() {
        let why = format!("where {} shows the certificate of {domain} is not said", unknown.join(", "));
        let instead = "add it, as `endpoints: [\"tls://127.0.0.1:8443\"]`, so that a new one is verified there";
        notes.add(Fate::Wanted, reader.key_place("services"), &format!("{key}.services"), why, instead);
    }
}

/// Writes the section. Writing to a string cannot fail, so the results are dropped throughout.
pub(super) fn write(text: &mut String, certificates: &[Certificate]) {
    if certificates.is_empty() {
        return;
    }
    text.push_str(
        "\n# People are told 14, 7, 3 and 1 days before the end of one that was not renewed.\ncertificates:\n",
    );
    for certificate in certificates {
        let Certificate { domain, line, is_renewed, units, endpoints, copies } = certificate;
        let lineage = certificate.lineage();
        let _ = writeln!(text, "  {}:  # line {line}", quoted(lineage));
        if domain != lineage {
            let _ = writeln!(text, "    names: [{}]", quoted(domain));
        }
        if *is_renewed {
            let _ = writeln!(text, "    file: {}", quoted(&format!("/etc/letsencrypt/live/{lineage}/fullchain.pem")));
        }
        if !endpoints.is_empty() {
            let endpoints: Vec<String> = endpoints.iter().map(|endpoint| quoted(endpoint)).collect();
            let _ = writeln!(text, "    endpoints: [{}]", endpoints.join(", "));
        }
        if *is_renewed {
            let _ = writeln!(text, "    renew: {{certbot: {}}}", quoted(lineage));
        }
        if !copies.is_empty() {
            text.push_str("    deploy:\n");
        }
        for (certificate, key) in copies {
            let _ = writeln!(text, "      - {{certificate: {}, key: {}}}", quoted(certificate), quoted(key));
        }
        if !units.is_empty() {
            let units: Vec<String> = units.iter().map(|unit| quoted(unit)).collect();
            let _ = writeln!(text, "    services: [{}]", units.join(", "));
        }
    }
}
