//! What listens on this host and whose it is, from the kernel's tables: TCP of both protocols, and unix sockets with a path.
//! Of the network that the agent is in; nobody is connected to.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
};

use super::port_owner::{Owner, owner};

const TABLE_BYTES_MAX: u64 = 8 * 1024 * 1024;
const PROCESSES_MAX: usize = 65_536;

/// A socket that listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listening<T> {
    /// Where.
    pub(super) at: T,
    /// By which its processes are found.
    pub(super) inode: u64,
}

/// Where somebody listens for TCP, sorted by address.
pub(super) fn tcp(root: &Path) -> Vec<Listening<SocketAddr>> {
    let mut found = Vec::new();
    for table in ["proc/net/tcp", "proc/net/tcp6"] {
        let text = ansai_files::head_text(&root.join(table), TABLE_BYTES_MAX).unwrap_or_default();
        found.extend(text.lines().skip(1).filter_map(tcp_line));
    }
    found.sort_by_key(|listening: &Listening<SocketAddr>| listening.at);
    found
}

/// A line of `/proc/net/tcp` in state LISTEN (0A).
fn tcp_line(line: &str) -> Option<Listening<SocketAddr>> {
    let fields: Vec<&str> = line.split_whitespace().take(10).collect();
    let is_listening = *fields.get(3)? == "0A";
    let at = socket_address(fields.get(1)?).filter(|_| is_listening)?;
    Some(Listening { at, inode: fields.get(9)?.parse().ok()? })
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

/// How these are reached from this host: what listens everywhere is asked on loopback, and nowhere else. Each address once.
pub(super) fn reached(listening: Vec<Listening<SocketAddr>>) -> Vec<Listening<SocketAddr>> {
    let local = |socket: SocketAddr| match socket.ip().is_unspecified() {
        true => SocketAddr::new(Ipv4Addr::LOCALHOST.into(), socket.port()),
        false => socket,
    };
    // A link-local address means nothing without its interface.
    let can_be_asked = |ip: IpAddr| !matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
    let mut all: BTreeMap<SocketAddr, u64> = BTreeMap::new();
    for one in listening {
        all.entry(local(one.at)).or_insert(one.inode);
    }
    let on_loopback = |port| SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port);
    let is_own = |at: &SocketAddr| *at == on_loopback(at.port()) || !all.contains_key(&on_loopback(at.port()));
    let asked = all.iter().filter(|(at, _)| is_own(at) && can_be_asked(at.ip()));
    asked.map(|(at, inode)| Listening { at: *at, inode: *inode }).collect()
}

/// Unix sockets that listen for connections, by their paths.
pub(super) fn unix(root: &Path) -> Vec<Listening<PathBuf>> {
    let text = ansai_files::head_text(&root.join("proc/net/unix"), TABLE_BYTES_MAX).unwrap_or_default();
    text.lines().skip(1).filter_map(unix_line).collect()
}

/// `Num RefCount Protocol Flags Type St Inode Path`: a stream (0001) that accepts connections (the flag 00010000).
fn unix_line(line: &str) -> Option<Listening<PathBuf>> {
    let mut fields = line.split_whitespace().skip(3);
    let (flags, kind) = (fields.next()?, fields.next()?);
    let inode = fields.nth(1)?.parse().ok()?;
    let path = fields.next().filter(|path| path.starts_with('/') && flags == "00010000" && kind == "0001")?;
    Some(Listening { at: path.into(), inode })
}

/// The processes that hold these sockets, by inode. One pass over the processes of the host.
pub(super) fn owners(root: &Path, inodes: &BTreeSet<u64>) -> BTreeMap<u64, Vec<Owner>> {
    let mut found: BTreeMap<u64, Vec<Owner>> = BTreeMap::new();
    let processes = root.join("proc");
    if inodes.is_empty() {
        return found;
    }
    let Ok(entries) = std::fs::read_dir(&processes) else { return found };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    for pid in pids.take(PROCESSES_MAX) {
        let folder = processes.join(pid.to_string());
        let held = held(&folder, inodes);
        if held.is_empty() {
            continue;
        }
        let who = owner(&folder, pid);
        for inode in held {
            found.entry(inode).or_default().push(who.clone());
        }
    }
    found.values_mut().for_each(|owners| owners.sort());
    found
}

/// Which of these sockets a process holds.
fn held(folder: &Path, inodes: &BTreeSet<u64>) -> BTreeSet<u64> {
    let Ok(entries) = std::fs::read_dir(folder.join("fd")) else { return BTreeSet::new() };
    let links = entries.flatten().filter_map(|entry| std::fs::read_link(entry.path()).ok());
    let sockets = links.filter_map(|link| link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok());
    sockets.filter(|inode| inodes.contains(inode)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_listens_everywhere_is_reached_on_loopback_and_the_rest_where_it_listens() {
        let root = tempfile::tempdir().expect("a root");
        let net = root.path().join("proc/net");
        std::fs::create_dir_all(&net).expect("made");
        let table = "  sl  local_address rem_address st\n\
                     0: 00000000:01BB 00000000:0000 0A 0:0 0:0 0 0 0 101\n\
                     1: 0100007F:0050 00000000:0000 0A 0:0 0:0 0 0 0 102\n\
                     2: 0200000A:01BB 00000000:0000 0A 0:0 0:0 0 0 0 103\n\
                     3: 0200000A:20FB 00000000:0000 0A 0:0 0:0 0 0 0 104\n\
                     4: 0100007F:1F90 00000000:0000 01 0:0 0:0 0 0 0 105\n\
                     5: 0100007:1F91 0 0A 0:0 0:0 0 0 0 106\n\
                     not a line\n";
        std::fs::write(net.join("tcp"), table).expect("written");
        let table = "  sl  local_address\n\
                     0: 00000000000000000000000000000000:0019 0 0A 0:0 0:0 0 0 0 201\n\
                     1: 00000000000000000000000001000000:1538 0 0A 0:0 0:0 0 0 0 202\n\
                     2: 000080FE000000000000000001000000:1539 0 0A 0:0 0:0 0 0 0 203\n\
                     3: 0000000000000000FFFF00000100007F:03E1 0 0A 0:0 0:0 0 0 0 204\n";
        std::fs::write(net.join("tcp6"), table).expect("written");
        let found: Vec<String> =
            reached(tcp(root.path())).iter().map(|one| format!("{} {}", one.at, one.inode)).collect();
        let expected = [
            "10.0.0.2:8443 104",
            "127.0.0.1:25 201",
            "127.0.0.1:80 102",
            "127.0.0.1:443 101",
            "127.0.0.1:993 204",
            "[::1]:5432 202",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn only_sockets_with_a_path_that_accept_connections_are_listed() {
        let line = |flags: &str, kind: &str, rest: &str| {
            format!("0000000000000000: 00000002 00000000 {flags} {kind} 01 {rest}")
        };
        let seen = |line: String| unix_line(&line).map(|one| (one.at.display().to_string(), one.inode));
        assert_eq!(seen(line("00010000", "0001", "77 /run/a.sock")), Some(("/run/a.sock".into(), 77)));
        assert_eq!(seen(line("00000000", "0001", "77 /run/a.sock")), None);
        assert_eq!(seen(line("00010000", "0002", "77 /run/a.sock")), None);
        assert_eq!(seen(line("00010000", "0001", "77 @abstract")), None);
        assert_eq!(seen(line("00010000", "0001", "77")), None);
        assert_eq!(seen("torn".into()), None);
    }

    #[test]
    fn a_socket_of_this_process_is_found_with_its_owner() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
        let address = listener.local_addr().expect("an address");
        let root = Path::new("/");
        let inode = tcp(root).into_iter().find(|one| one.at == address).expect("listed").inode;
        let found = owners(root, &BTreeSet::from([inode, u64::MAX]));
        assert!(found[&inode].iter().any(|owner| owner.pid == std::process::id()), "{found:?}");
        assert_eq!(found.len(), 1);
    }
}
