//! Finds certificates: those that the host's own sockets show, and those in the usual directories. Bounded, and only when
//! an operator asks (`ansai init`): the agent's own inventory has to be quick.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
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
use crate::linux::port_owner;

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
const TABLE_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Ports whose servers speak no TLS from the first byte, and would only log our question.
const PLAIN: &[u16] = &[21, 22, 23, 53, 80, 111, 139, 445, 631, 3306, 6379, 11211];

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

/// Where somebody listens for TCP, from the tables of the kernel.
fn listening(root: &Path) -> BTreeSet<SocketAddr> {
    let mut found = BTreeSet::new();
    for table in ["proc/net/tcp", "proc/net/tcp6"] {
        let text = ansai_files::head_text(&root.join(table), TABLE_BYTES_MAX).unwrap_or_default();
        found.extend(text.lines().skip(1).filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().take(4).collect();
            if *fields.get(3)? == "0A" { socket_address(fields.get(1)?) } else { None }
        }));
    }
    found
}

/// `0100007F:01BB`: each four bytes of the address as the host orders them, then the port.
fn socket_address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    if !address.len().is_multiple_of(8) {
        return None;
    }
    let words: Option<Vec<[u8; 4]>> = address
        .as_bytes()
        .chunks(8)
        .map(|word| u32::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok().map(u32::to_ne_bytes))
        .collect();
    let ip = match *words?.concat() {
        [a, b, c, d] => IpAddr::V4(Ipv4Addr::new(a, b, c, d)),
        ref long => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(long).ok()?)).to_canonical(),
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

/// How these are reached from this host: what listens everywhere is asked on loopback, and nowhere else.
fn reached(listening: BTreeSet<SocketAddr>) -> Vec<SocketAddr> {
    let is_local = |ip: IpAddr| ip.is_unspecified() || ip == Ipv4Addr::LOCALHOST;
    let local = |socket: SocketAddr| match is_local(socket.ip()) {
        true => SocketAddr::new(Ipv4Addr::LOCALHOST.into(), socket.port()),
        false => socket,
    };
    // A link-local address means nothing without its interface.
    let can_be_asked = |ip: IpAddr| !matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
    let all: BTreeSet<SocketAddr> = listening.into_iter().map(local).collect();
    let is_own = |socket: &&SocketAddr| {
        socket.ip() == Ipv4Addr::LOCALHOST || !all.contains(&SocketAddr::new(Ipv4Addr::LOCALHOST.into(), socket.port()))
    };
    let asked = all.iter().filter(is_own).filter(|socket| can_be_asked(socket.ip()) && !PLAIN.contains(&socket.port()));
    asked.take(SOCKETS_MAX).copied().collect()
}

/// The certificates that the host's own listening sockets show. Each socket is asked once without a name, and those that
/// speak TLS once more for each of `files` that none has shown: a server can show another one to whom asks for its name, or
/// can verify another kind of key.
/// Each handshake may take `timeout`.
pub async fn sockets(root: &Path, files: &[CertificateFacts], timeout: Duration) -> Vec<TlsListener> {
    let endpoints = reached(listening(root)).into_iter().map(endpoint);
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
    fn what_listens_everywhere_is_asked_on_loopback_and_the_rest_where_it_listens() {
        let root = tempfile::tempdir().expect("a root");
        let net = root.path().join("proc/net");
        fs::create_dir_all(&net).expect("made");
        let table = "  sl  local_address rem_address st\n\
                     0: 00000000:01BB 00000000:0000 0A\n\
                     1: 0100007F:0050 00000000:0000 0A\n\
                     2: 0200000A:01BB 00000000:0000 0A\n\
                     3: 0200000A:20FB 00000000:0000 0A\n\
                     4: 0100007F:1F90 00000000:0000 01\n\
                     5: 0100007:1F91 0 0A\n\
                     not a line\n";
        fs::write(net.join("tcp"), table).expect("written");
        let table = "  sl  local_address\n\
                     0: 00000000000000000000000000000000:0019 0 0A\n\
                     1: 00000000000000000000000001000000:1538 0 0A\n\
                     2: 000080FE000000000000000001000000:1539 0 0A\n\
                     3: 0000000000000000FFFF00000100007F:03E1 0 0A\n";
        fs::write(net.join("tcp6"), table).expect("written");
        let found: Vec<String> =
            reached(listening(root.path())).into_iter().map(|socket| endpoint(socket).to_string()).collect();
        let expected = [
            "tls://10.0.0.2:8443",
            "smtp://127.0.0.1:25",
            "tls://127.0.0.1:443",
            "tls://127.0.0.1:993",
            "postgresql://[::1]:5432",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_server_is_asked_for_a_name_that_it_can_have() {
        let asked = |names: &[&str]| asked_name(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        assert_eq!(asked(&["127.0.0.1", "*.example.com"]).as_deref(), Some("www.example.com"));
        assert_eq!(asked(&["::1"]), None);
    }
}
