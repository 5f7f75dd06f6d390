//! Finds certificates: those that the host's own sockets show, and those in the usual directories. Bounded, and only when
//! an operator asks (`ansai init`) or the inventory is made.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Read,
    path::{Path, PathBuf},
    time::Duration,
};

use ansai_model::domain::certificate::{Endpoint, EndpointProtocol, keys_beside};
use futures_util::{StreamExt, stream};

use super::{handshake, read, seen};

/// Where certificates of services are kept by custom. Not the authorities of `/etc/ssl/certs`, of which every host has
/// more than a hundred: of those, the file that Debian's ssl-cert makes is asked for by name.
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
    "/etc/ssl/private",
    "/etc/ssl/local",
    "/etc/pki/tls/certs",
    "/etc/ansai/certificates",
    "/var/lib/caddy",
    "/var/lib/postgresql",
];
const FILES: &[&str] = &["/etc/ssl/certs/ssl-cert-snakeoil.pem"];
const ENTRIES_MAX: usize = 4096;
const DEPTH_MAX: usize = 5;
const FOUND_MAX: usize = 256;
const SOCKETS_MAX: usize = 64;
const TABLE_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Ports whose servers speak no TLS from the first byte, and would only log our question.
const PLAIN: &[u16] = &[21, 22, 23, 53, 80, 111, 139, 445, 631, 3306, 6379, 11211];

/// A certificate that was found in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundFile {
    /// Its path, below the root.
    pub path: String,
    /// Its key, when one that belongs to it lies beside it or inside.
    pub key: Option<String>,
    /// What it covers.
    pub names: Vec<String>,
    /// SHA-256 of the certificate, hexadecimal: copies of one certificate have the same.
    pub digest: String,
    /// Whether it signed itself.
    pub is_self_signed: bool,
}

/// A certificate that a socket shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundSocket {
    /// Who shows it.
    pub endpoint: Endpoint,
    /// What it covers.
    pub names: Vec<String>,
    /// SHA-256 of the certificate, hexadecimal.
    pub digest: String,
}

/// Certificates of servers with their keys, in the usual directories; sorted by path.
#[must_use]
pub fn files(root: &Path) -> Vec<FoundFile> {
    let mut found = BTreeMap::new();
    let mut left = ENTRIES_MAX;
    let mut todo: Vec<(PathBuf, usize)> = FOLDERS.iter().map(|folder| (read::below(root, folder), 0)).collect();
    let mut candidates: Vec<PathBuf> = FILES.iter().map(|file| read::below(root, file)).collect();
    while let Some((folder, depth)) = todo.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            left = left.saturating_sub(1);
            if left == 0 {
                break;
            }
            let Ok(kind) = entry.file_type() else { continue };
            match kind.is_dir() {
                true if depth < DEPTH_MAX => todo.push((entry.path(), depth + 1)),
                true => {}
                false if looks_like_one(&entry.path()) => candidates.push(entry.path()),
                false => {}
            }
        }
    }
    for candidate in candidates.into_iter().take(ENTRIES_MAX) {
        if found.len() >= FOUND_MAX {
            break;
        }
        if let Some(file) = found_file(root, &candidate) {
            found.insert(file.path.clone(), file);
        }
    }
    found.into_values().collect()
}

fn looks_like_one(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    // Certbot's parts of a chain stand beside the whole.
    let is_part = matches!(path.file_name().and_then(|name| name.to_str()), Some("chain.pem" | "cert.pem"))
        && path.with_file_name("fullchain.pem").exists();
    !is_part && matches!(extension, Some("pem" | "crt" | "cer" | "cert"))
}

/// A server's certificate is one whose key is there as well.
fn found_file(root: &Path, path: &Path) -> Option<FoundFile> {
    let shown = format!("/{}", path.strip_prefix(root).ok()?.to_str()?.trim_start_matches('/'));
    let chain = read::certificates(root, &shown).ok()?;
    let belongs = |candidate: &String| {
        matches!(read::key_match(root, candidate, &chain), ansai_model::domain::certificate::KeyMatch::Matches)
    };
    let inside = belongs(&shown);
    let key = keys_beside(&shown).into_iter().find(belongs);
    if !inside && key.is_none() {
        return None;
    }
    let facts = seen::facts(chain.first()?)?;
    Some(FoundFile {
        path: shown,
        key,
        names: facts.names,
        digest: seen::digest(chain.first()?),
        is_self_signed: facts.is_self_signed,
    })
}

/// The ports on which somebody listens for TCP, from the tables of the kernel.
#[must_use]
pub fn listening_ports(root: &Path) -> BTreeSet<u16> {
    let mut ports = BTreeSet::new();
    for table in ["proc/net/tcp", "proc/net/tcp6"] {
        let mut text = String::new();
        let Ok(file) = fs::File::open(root.join(table)) else { continue };
        if file.take(TABLE_BYTES_MAX).read_to_string(&mut text).is_err() {
            continue;
        }
        ports.extend(text.lines().skip(1).filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().take(4).collect();
            let port = fields.get(1)?.rsplit(':').next()?;
            (*fields.get(3)? == "0A").then(|| u16::from_str_radix(port, 16).ok()).flatten()
        }));
    }
    ports
}

/// The certificates that the host's own listening sockets show, asked one after the other on loopback, each for at most
/// `timeout`.
pub async fn sockets(root: &Path, timeout: Duration) -> Vec<FoundSocket> {
    let ports = listening_ports(root);
    let ports = ports.into_iter().filter(|port| !PLAIN.contains(port)).take(SOCKETS_MAX);
    let asked = stream::iter(ports).map(|port| socket(port, timeout)).buffered(4);
    asked.filter_map(std::future::ready).collect().await
}

async fn socket(port: u16, timeout: Duration) -> Option<FoundSocket> {
    let protocol = match port {
        25 | 587 => EndpointProtocol::Smtp,
        143 => EndpointProtocol::Imap,
        5432..=5439 => EndpointProtocol::Postgresql,
        _ => EndpointProtocol::Tls,
    };
    let endpoint = Endpoint { protocol, host: "127.0.0.1".into(), port, server_name: None };
    let chain = handshake::shake(&endpoint, timeout).await.ok()?;
    let facts = seen::facts(chain.first()?)?;
    Some(FoundSocket { endpoint, names: facts.names, digest: seen::digest(chain.first()?) })
}
