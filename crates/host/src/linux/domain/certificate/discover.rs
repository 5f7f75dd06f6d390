//! Finds certificates: those that the host's own sockets show, and those in the usual directories. Bounded, and only when
//! an operator asks (`ansai init`): the agent's own inventory has to be quick.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use ansai_model::{
    domain::certificate::{Endpoint, EndpointProtocol, KeyMatch, keys_beside},
    id::UnitName,
    inventory::{CertificateFacts, Inventory, TlsListener},
};
use futures_util::{StreamExt, stream};

use super::{handshake, key_kind::KeyKind, read, seen, wall_now};
use crate::linux::{
    aside::{self, Kind, Work},
    listening,
    port_owner::{self, Owner},
};

/// Longest search in files.
const FILES_TIMEOUT: Duration = Duration::from_secs(20);
/// Longest wait for one of the host's own servers.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(3);
/// Where certificates of services are kept by custom.
const FOLDERS: &[&str] = &[
    "/etc/letsencrypt/live",
    "/etc/nginx",
    "/etc/apache2",
    "/etc/httpd",
    "/etc/haproxy",
    "/etc/postfix",
    "/etc/dovecot",
    "/etc/exim4",
    "/etc/postgresql",
    "/etc/mysql",
    "/etc/ssl",
    "/etc/pki/tls/certs",
    "/etc/ansai/certificates",
    "/var/lib/caddy",
    "/var/lib/postgresql",
];
/// The authorities, of which every host has more than a hundred: of the files in here, those are asked for whose keys lie
/// in [`PRIVATE`], as Debian's ssl-cert and many people do it.
const AUTHORITIES: &str = "/etc/ssl/certs";
const PRIVATE: &str = "/etc/ssl/private";
const ENTRIES_MAX: usize = 4096;
const DEPTH_MAX: usize = 5;
const SOCKETS_MAX: usize = 64;
const HANDSHAKES_MAX: usize = 256;
const AT_ONCE: usize = 16;
/// Ports whose servers speak no TLS from the first byte, and would only log our question.
pub(in crate::linux) const PLAIN: &[u16] = &[21, 22, 23, 53, 80, 111, 139, 445, 631, 3306, 6379, 11211];

/// Finds the certificates of this host, in files and as its own sockets show them.
pub(in crate::linux) async fn survey(root: &Path, inventory: &mut Inventory) {
    let (folders, work) = (root.to_owned(), Work::new(Kind::Gather, "the folders of certificates"));
    inventory.certificates = aside::run(work, FILES_TIMEOUT, move || files(&folders)).await.unwrap_or_default();
    inventory.tls_listeners = sockets(root, &inventory.certificates, HANDSHAKE_TIMEOUT).await;
}

/// Certificates of servers with their keys, in the usual directories; each file once though several paths lead to it,
/// sorted by path.
#[must_use]
pub fn files(root: &Path) -> Vec<CertificateFacts> {
    let mut found: BTreeMap<PathBuf, CertificateFacts> = BTreeMap::new();
    for candidate in candidates(root) {
        if found.len() >= Inventory::CERTIFICATES_MAX {
            break;
        }
        // The first path wins, and certbot's own come first: what leads there is no copy.
        if let Ok(real) = fs::canonicalize(&candidate)
            && !found.contains_key(&real)
            && let Some(file) = found_file(root, &candidate)
        {
            found.insert(real, file);
        }
    }
    let mut found: Vec<CertificateFacts> = found.into_values().collect();
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// Files that may be certificates, in the order of the folders and then by path.
fn candidates(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut left = ENTRIES_MAX;
    for folder in FOLDERS {
        let mut here = Vec::new();
        let mut todo = vec![(read::below(root, folder), 0)];
        while let Some((folder, depth)) = todo.pop() {
            let Ok(entries) = fs::read_dir(&folder) else { continue };
            for entry in entries.flatten().take(left) {
                left -= 1;
                let Ok(kind) = entry.file_type() else { continue };
                let path = entry.path();
                match kind.is_dir() {
                    true if depth < DEPTH_MAX && path != read::below(root, AUTHORITIES) => todo.push((path, depth + 1)),
                    true => {}
                    false if looks_like_one(&path) => here.push(path),
                    false => {}
                }
            }
        }
        here.sort();
        found.extend(here);
    }
    let keys = fs::read_dir(read::below(root, PRIVATE)).into_iter().flatten().flatten().take(ENTRIES_MAX);
    let mut stems: Vec<PathBuf> = keys.map(|key| PathBuf::from(key.file_name()).with_extension("")).collect();
    stems.sort();
    let place = |stem: &PathBuf| read::below(root, AUTHORITIES).join(stem);
    let beside = stems.iter().flat_map(|stem| ["pem", "crt"].map(|extension| place(stem).with_extension(extension)));
    found.extend(beside.filter(|path| path.is_file()));
    found
}

fn looks_like_one(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    // Certbot's parts of a chain stand beside the whole.
    let is_part = matches!(path.file_name().and_then(|name| name.to_str()), Some("chain.pem" | "cert.pem"))
        && path.with_file_name("fullchain.pem").exists();
    !is_part && matches!(extension, Some("pem" | "crt" | "cer" | "cert"))
}

/// A server's certificate is one whose key is there as well.
fn found_file(root: &Path, path: &Path) -> Option<CertificateFacts> {
    let shown = format!("/{}", path.strip_prefix(root).ok()?.to_str()?.trim_start_matches('/'));
    let chain = read::certificates(root, &shown).ok()?;
    let belongs = |candidate: &String| matches!(read::key_match(root, candidate, &chain), KeyMatch::Matches);
    let key = keys_beside(&shown).into_iter().find(belongs);
    if key.is_none() && !belongs(&shown) {
        return None;
    }
    Some(CertificateFacts { key, certificate: seen::identity(&chain, wall_now())?, path: shown })
}

/// The certificates that the host's own listening sockets show. Each socket is asked once without a name, and those that
/// speak TLS once more for each of `files` that none has shown: a server can show another one to whom asks for its name, or
/// can verify another kind of key.
/// Each handshake may take `timeout`. What systemd holds alone is not asked: that would start what rests until somebody asks.
/// Nor is what nobody is seen to hold, since whoever is not root does not see what systemd holds.
pub async fn sockets(root: &Path, files: &[CertificateFacts], timeout: Duration) -> Vec<TlsListener> {
    let all = listening::reached(listening::tcp(root));
    let owners = listening::owners(root, &all.iter().map(|one| one.inode).collect());
    let rests = |inode: &u64| owners.get(inode).is_none_or(|owners| owners.iter().all(is_systemd));
    let all = all.into_iter().filter(|one| !rests(&one.inode)).map(|one| one.at);
    let endpoints = all.filter(|at| !PLAIN.contains(&at.port())).take(SOCKETS_MAX).map(endpoint);
    let asked = stream::iter(endpoints).map(|endpoint| shown(endpoint, None, timeout)).buffered(AT_ONCE);
    let mut found: Vec<TlsListener> = asked.filter_map(std::future::ready).collect().await;
    let unseen = files
        .iter()
        .filter(|file| found.iter().all(|listener| listener.certificate.digest != file.certificate.digest))
        .flat_map(|file| {
            let kind = read::certificates(root, &file.path).ok().and_then(|chain| KeyKind::of(&chain));
            found.iter().map(move |listener| (asked_for(file, &listener.endpoint), kind))
        });
    let unseen: Vec<(Endpoint, Option<KeyKind>)> = unseen.take(HANDSHAKES_MAX).collect();
    let asked = stream::iter(unseen).map(|(endpoint, kind)| shown(endpoint, kind, timeout)).buffered(AT_ONCE);
    let more: Vec<TlsListener> = asked.filter_map(std::future::ready).collect().await;
    for listener in more {
        let is_new = |known: &TlsListener| {
            known.certificate.digest != listener.certificate.digest
                || (&known.endpoint.host, known.endpoint.port) != (&listener.endpoint.host, listener.endpoint.port)
        };
        if found.iter().all(is_new) {
            found.push(listener);
        }
    }
    found.truncate(Inventory::LISTENERS_MAX);
    let ports: BTreeSet<u16> = found.iter().map(|listener| listener.endpoint.port).collect();
    let units: BTreeMap<u16, Option<UnitName>> = ports.into_iter().map(|port| (port, unit(root, port))).collect();
    for listener in &mut found {
        listener.unit = units.get(&listener.endpoint.port).cloned().flatten();
    }
    found
}

/// Whether it is the host's systemd, or one of a user.
fn is_systemd(owner: &Owner) -> bool {
    let is_of_user = owner.unit.as_deref().is_some_and(|unit| unit.starts_with("user@"));
    owner.pid == 1 || (is_of_user && owner.name == "systemd")
}

/// A name that a server can be asked for, so that it shows a certificate for these names.
fn asked_name(names: &[String]) -> Option<String> {
    let is_name = |name: &&String| name.parse::<IpAddr>().is_err();
    names
        .iter()
        .find(is_name)
        .map(|name| name.strip_prefix("*.").map_or_else(|| name.clone(), |rest| format!("www.{rest}")))
}

/// The one service that listens on a port.
fn unit(root: &Path, port: u16) -> Option<UnitName> {
    let owners = port_owner::owners(root, port);
    let units: BTreeSet<&str> = owners.iter().filter_map(|owner| owner.unit.as_deref()).collect();
    let mut units = units.into_iter().filter(|unit| unit.ends_with(".service"));
    let unit = units.next().filter(|_| units.next().is_none())?;
    UnitName::new(unit).ok()
}

fn endpoint(socket: SocketAddr) -> Endpoint {
    let protocol = match socket.port() {
        25 | 587 => EndpointProtocol::Smtp,
        143 => EndpointProtocol::Imap,
        5432..=5439 => EndpointProtocol::Postgresql,
        _ => EndpointProtocol::Tls,
    };
    Endpoint { protocol, host: socket.ip().to_string(), port: socket.port(), server_name: None }
}

/// The same server, asked for the name of a certificate where its protocol begins with TLS.
fn asked_for(file: &CertificateFacts, endpoint: &Endpoint) -> Endpoint {
    let name = asked_name(&file.certificate.names).filter(|_| endpoint.protocol == EndpointProtocol::Tls);
    Endpoint { server_name: name, ..endpoint.clone() }
}

async fn shown(endpoint: Endpoint, kind: Option<KeyKind>, timeout: Duration) -> Option<TlsListener> {
    let chain = handshake::shake(&endpoint, kind, timeout).await.ok()?;
    Some(TlsListener { endpoint, certificate: seen::identity(&chain, wall_now())?, unit: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_asked_for_a_name_that_it_can_have() {
        let asked = |names: &[&str]| asked_name(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        assert_eq!(asked(&["127.0.0.1", "*.example.com"]).as_deref(), Some("www.example.com"));
        assert_eq!(asked(&["::1"]), None);
    }
}
