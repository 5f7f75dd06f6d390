//! How many connections wait to be accepted at each listening socket, of TCP and of the file system, from the kernel
//! (sock_diag(7)): one question for each of three families, for the whole host, or one for a single address. Whose they are
//! is found elsewhere.

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    os::fd::OwnedFd,
    time::Duration,
};

use rustix::{
    io::Errno,
    net::{
        AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, connect, netlink, recv, send, sendto,
        socket_with, sockopt,
    },
};

/// Longest wait for a part of the answer, which the kernel makes while it is read.
const PART_TIME: Duration = Duration::from_secs(1);
/// Most bytes of an answer: a listening socket takes a hundred or two.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

const HEADER_BYTES: usize = 16;
const INET_BYTES: usize = 72;
const UNIX_BYTES: usize = 16;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const ERROR: u16 = 2;
const REQUEST: u16 = 1;
const REQUEST_AND_DUMP: u16 = 0x301;
/// The state of a socket that listens, and as one of a set.
const LISTENS: u8 = 10;
const LISTEN: u32 = 1 << LISTENS;
/// As many ports ask, one after the other: of the sockets that share an address, which one is told depends on who asks.
const ASKING_PORTS: u32 = 1024;
const IPPROTO_TCP: u8 = 6;
/// What is asked of a unix socket, its name and its queues, and as what each is told.
const SHOW_NAME_AND_QUEUES: u32 = 0x01 | 0x10;
const NAME: u16 = 0;
const QUEUES: u16 = 4;
/// What a name says of its length; the kernel has no longer ones.
const NAME_BYTES_MAX: usize = 108;
const AF_UNIX: u8 = 1;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// A listening socket at which somebody waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Backlog {
    /// By which its processes are found.
    pub(super) inode: u64,
    /// Where.
    pub(super) at: At,
    /// So many wait.
    pub(super) waiting: u32,
    /// Whether there is no room for another.
    pub(super) is_full: bool,
}

/// Where a socket listens, as a person knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum At {
    /// At a port of TCP.
    Port(u16),
    /// At this path, or under this name with `@` before it; nothing when it has none.
    Name(Box<str>),
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Port(port) => write!(f, "port {port}"),
            Self::Name(name) if name.is_empty() => f.write_str("a socket without a name"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// The listening sockets at which somebody waits; none when the kernel does not say.
pub(super) fn all() -> Vec<Backlog> {
    [AF_INET, AF_INET6, AF_UNIX].into_iter().flat_map(|family| asked(family).unwrap_or_default()).collect()
}

fn asked(family: u8) -> io::Result<Vec<Backlog>> {
    let socket =
        socket_with(AddressFamily::NETLINK, SocketType::DGRAM, SocketFlags::CLOEXEC, Some(netlink::SOCK_DIAG))?;
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(PART_TIME))?;
    sendto(&socket, &question(family), SendFlags::empty(), &netlink::SocketAddrNetlink::new(0, 0))?;
    let (mut found, mut read, mut buffer) = (Vec::new(), 0, vec![0; 32 * 1024]);
    while read < ANSWER_BYTES_MAX {
        let (_, count) = recv(&socket, &mut buffer[..], RecvFlags::empty())?;
        read += count;
        if !take(&buffer[..count.min(buffer.len())], &mut found) || count == 0 {
            break;
        }
    }
    Ok(found)
}

/// Asks of one address at a time. The kernel has answered by the time that it has been asked, so nobody waits; only the
/// first question of all may make it load what answers, which takes time.
#[derive(Debug)]
pub(super) struct Asker {
    socket: OwnedFd,
    asked: u32,
}

impl Asker {
    /// Opens a socket of its own, in the network that the calling thread is in.
    ///
    /// # Errors
    /// When the kernel has none for it.
    pub(super) fn open() -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, Some(netlink::SOCK_DIAG))?;
        // Nobody but the kernel answers then.
        connect(&socket, &netlink::SocketAddrNetlink::new(0, 0))?;
        Ok(Self { socket, asked: 0 })
    }

    /// How many wait at the socket to which the kernel would give a connection to this address of this host, which is its
    /// own choice among those of the address and of all addresses. `None` when nobody listens there, or when it would not
    /// say so.
    ///
    /// # Errors
    /// When it did not answer at once, or not what was asked: what it says later would be taken for another answer.
    pub(super) fn waiting_at(&mut self, address: SocketAddr) -> io::Result<Option<u32>> {
        self.asked = self.asked.wrapping_add(1);
        send(&self.socket, &question_of(address, self.asked), SendFlags::DONTWAIT)?;
        let mut buffer = [0; 1024];
        let (_, count) = recv(&self.socket, &mut buffer[..], RecvFlags::DONTWAIT)?;
        told_of(&buffer[..count.min(buffer.len())], address, self.asked)
    }
}

/// What an answer says to this question.
fn told_of(answer: &[u8], address: SocketAddr, asked: u32) -> io::Result<Option<u32>> {
    let foreign = || io::Error::from(io::ErrorKind::InvalidData);
    if number(answer, 8) != Some(asked) {
        return Err(foreign());
    }
    let message = answer.get(HEADER_BYTES..).unwrap_or_default();
    match half(answer, 4) {
        Some(ERROR) => {
            let error = number(message, 0).ok_or_else(foreign)?.cast_signed().wrapping_neg();
            let is_none = error == Errno::NOENT.raw_os_error();
            if is_none { Ok(None) } else { Err(io::Error::from_raw_os_error(error)) }
        }
        Some(SOCK_DIAG_BY_FAMILY) => {
            let message = message.get(..INET_BYTES).ok_or_else(foreign)?;
            let is_it = message[1] == LISTENS && message[4..6] == address.port().to_be_bytes();
            Ok(number(message, 56).filter(|_| is_it))
        }
        _ => Err(foreign()),
    }
}

/// For the socket that a connection to this address would reach.
fn question_of(address: SocketAddr, asked: u32) -> Vec<u8> {
    let mut bytes = question(if address.is_ipv4() { AF_INET } else { AF_INET6 });
    let from = u16::try_from(asked % ASKING_PORTS).unwrap_or_default();
    bytes[6..8].copy_from_slice(&REQUEST.to_ne_bytes());
    bytes[8..12].copy_from_slice(&asked.to_ne_bytes());
    // `struct inet_diag_sockid`: both ports, both addresses, any interface, no cookie.
    let id = &mut bytes[HEADER_BYTES + 8..];
    id[..2].copy_from_slice(&address.port().to_be_bytes());
    id[2..4].copy_from_slice(&from.to_be_bytes());
    for at in [4, 20] {
        match address.ip() {
            IpAddr::V4(ip) => id[at..at + 4].copy_from_slice(&ip.octets()),
            IpAddr::V6(ip) => id[at..at + 16].copy_from_slice(&ip.octets()),
        }
    }
    id[40..48].fill(0xff);
    bytes
}

/// For all sockets of this family that listen.
fn question(family: u8) -> Vec<u8> {
    // `struct unix_diag_req`, or `struct inet_diag_req_v2`.
    let mut bytes = vec![0; HEADER_BYTES + if family == AF_UNIX { 24 } else { 56 }];
    let length = u32::try_from(bytes.len()).unwrap_or_default();
    bytes[..4].copy_from_slice(&length.to_ne_bytes());
    bytes[4..6].copy_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    bytes[6..8].copy_from_slice(&REQUEST_AND_DUMP.to_ne_bytes());
    (bytes[HEADER_BYTES], bytes[HEADER_BYTES + 1]) = (family, if family == AF_UNIX { 0 } else { IPPROTO_TCP });
    if family == AF_UNIX {
        bytes[HEADER_BYTES + 12..HEADER_BYTES + 16].copy_from_slice(&SHOW_NAME_AND_QUEUES.to_ne_bytes());
    }
    bytes[HEADER_BYTES + 4..HEADER_BYTES + 8].copy_from_slice(&LISTEN.to_ne_bytes());
    bytes
}

/// Takes a part of an answer; says whether more follows.
fn take(mut part: &[u8], found: &mut Vec<Backlog>) -> bool {
    while let Some(length) = number(part, 0).and_then(|length| usize::try_from(length).ok()) {
        let kind = part.get(4..6).map(|bytes| u16::from_ne_bytes([bytes[0], bytes[1]]));
        let Some(message) = part.get(HEADER_BYTES..length).filter(|_| kind == Some(SOCK_DIAG_BY_FAMILY)) else {
            return false;
        };
        found.extend(if message.first() == Some(&AF_UNIX) { at_a_name(message) } else { at_a_port(message) });
        // Messages begin at every fourth byte.
        part = part.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    true
}

/// `struct inet_diag_msg` of a socket that listens: its queues are who waits, and for how many there is room.
fn at_a_port(message: &[u8]) -> Option<Backlog> {
    let message = message.get(..INET_BYTES)?;
    let port = u16::from_be_bytes([message[4], message[5]]);
    backlog(number(message, 68)?, At::Port(port), number(message, 56)?, number(message, 60)?)
}

/// `struct unix_diag_msg` of one, with what was asked for behind it.
fn at_a_name(message: &[u8]) -> Option<Backlog> {
    let (inode, mut rest) = (number(message, 4)?, message.get(UNIX_BYTES..)?);
    let (mut name, mut queues) = ("".into(), None);
    while let Some(length) = half(rest, 0).map(usize::from) {
        let Some(value) = rest.get(4..length) else { break };
        match half(rest, 2) {
            Some(NAME) => name = shown(value),
            Some(QUEUES) => queues = number(value, 0).zip(number(value, 4)),
            _ => {}
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    let (waiting, room) = queues?;
    backlog(inode, At::Name(name), waiting, room)
}

fn backlog(inode: u32, at: At, waiting: u32, room: u32) -> Option<Backlog> {
    (waiting > 0).then_some(Backlog { inode: inode.into(), at, waiting, is_full: waiting > room })
}

/// A name as a person may read it: whoever made the socket chose it.
fn shown(name: &[u8]) -> Box<str> {
    let name = &name[..name.len().min(NAME_BYTES_MAX)];
    let (mark, name) = name.strip_prefix(b"\0").map_or(("", name), |hidden| ("@", hidden));
    let text = String::from_utf8_lossy(name.split(|byte| *byte == 0).next().unwrap_or_default());
    let text: String = text.chars().map(|c| if c.is_control() { '.' } else { c }).collect();
    format!("{mark}{text}").into()
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    let two = bytes.get(at..at.checked_add(2)?)?;
    Some(u16::from_ne_bytes([two[0], two[1]]))
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_ne_bytes([four[0], four[1], four[2], four[3]]))
}

#[cfg(test)]
mod tests {
    use std::{net::TcpStream, os::unix::net::UnixStream};

    use proptest::prelude::*;
    use rustix::net::{bind, listen};

    use super::*;

    fn seen_at(at: &At) -> Option<(u32, bool)> {
        all().into_iter().find(|one| one.at == *at).map(|one| (one.waiting, one.is_full))
    }

    #[test]
    fn who_waits_at_a_unix_socket_is_counted_until_there_is_no_room() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("socket");
        let socket =
            socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).expect("a socket");
        bind(&socket, &rustix::net::SocketAddrUnix::new(&path).expect("an address")).expect("bound");
        listen(&socket, 1).expect("listening");
        let listener = std::os::unix::net::UnixListener::from(socket);
        let at = At::Name(path.to_str().expect("text").into());
        assert_eq!(seen_at(&at), None);
        let _first = UnixStream::connect(&path).expect("connected");
        assert_eq!(seen_at(&at), Some((1, false)));
        let _second = UnixStream::connect(&path).expect("connected");
        assert_eq!(seen_at(&at), Some((2, true)));
        drop(listener.accept().expect("accepted"));
        assert_eq!(seen_at(&at), Some((1, false)));
    }

    #[test]
    fn a_name_that_somebody_chose_is_shown_as_one_line() {
        assert_eq!(&*shown(b"/run/app.sock\0"), "/run/app.sock");
        assert_eq!(&*shown(b"\0hidden"), "@hidden");
        assert_eq!(&*shown(b"/run/\x1b[31m\n\xff"), "/run/.[31m.\u{fffd}");
        assert!(shown(&[b'x'; 4096]).len() <= NAME_BYTES_MAX);
    }

    #[test]
    fn who_waits_at_a_port_is_counted_until_there_is_no_room() {
        for (family, address) in [(AddressFamily::INET, "127.0.0.1:0"), (AddressFamily::INET6, "[::1]:0")] {
            let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None).expect("a socket");
            bind(&socket, &address.parse::<std::net::SocketAddr>().expect("an address")).expect("bound");
            listen(&socket, 1).expect("listening");
            let listener = std::net::TcpListener::from(socket);
            let at = listener.local_addr().expect("an address");
            let seen = || seen_at(&At::Port(at.port()));
            assert_eq!(seen(), None);
            let _first = TcpStream::connect(at).expect("connected");
            assert_eq!(seen(), Some((1, false)));
            let _second = TcpStream::connect(at).expect("connected");
            assert_eq!(seen(), Some((2, true)));
        }
    }

    /// A socket that listens there, alone of its kind unless it takes both protocols.
    fn listening_at(address: &str, v6_only: bool) -> std::net::TcpListener {
        let address: SocketAddr = address.parse().expect("an address");
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None).expect("a socket");
        if address.is_ipv6() {
            sockopt::set_ipv6_v6only(&socket, v6_only).expect("set");
        }
        bind(&socket, &address).expect("bound");
        listen(&socket, 1).expect("listening");
        socket.into()
    }

    #[test]
    fn a_single_address_is_found_where_a_connection_would_be() {
        let mut asker = Asker::open().expect("a socket");
        let mut waiting = |ip: &str, listener: &std::net::TcpListener| {
            let port = listener.local_addr().expect("an address").port();
            asker.waiting_at(SocketAddr::new(ip.parse().expect("an address"), port)).expect("an answer")
        };
        let exact = listening_at("127.0.0.2:0", true);
        assert_eq!((waiting("127.0.0.2", &exact), waiting("127.0.0.1", &exact)), (Some(0), None));
        let all = listening_at("0.0.0.0:0", true);
        assert_eq!((waiting("127.0.0.1", &all), waiting("::1", &all)), (Some(0), None));
        let both = listening_at("[::]:0", false);
        assert_eq!((waiting("127.0.0.1", &both), waiting("::1", &both)), (Some(0), Some(0)));
        let newer = listening_at("[::]:0", true);
        assert_eq!((waiting("127.0.0.1", &newer), waiting("::1", &newer)), (None, Some(0)));
        let _waits = TcpStream::connect(exact.local_addr().expect("an address")).expect("connected");
        assert_eq!(waiting("127.0.0.2", &exact), Some(1));
    }

    #[test]
    fn what_does_not_listen_or_answers_another_question_is_not_taken_for_what_does() {
        let address: SocketAddr = "127.0.0.1:80".parse().expect("an address");
        let answer = |kind: u16, state: u8, port: u16| {
            let mut bytes = vec![0; HEADER_BYTES + INET_BYTES];
            bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
            bytes[8..12].copy_from_slice(&7_u32.to_ne_bytes());
            bytes[HEADER_BYTES + 1] = state;
            bytes[HEADER_BYTES + 4..HEADER_BYTES + 6].copy_from_slice(&port.to_be_bytes());
            bytes
        };
        let told = |bytes: &[u8], asked| told_of(bytes, address, asked).map_err(drop);
        let listens = answer(SOCK_DIAG_BY_FAMILY, LISTENS, 80);
        assert_eq!(told(&listens, 7), Ok(Some(0)));
        assert_eq!(told(&listens, 8), Err(()), "to another question");
        assert_eq!(told(&listens[..40], 7), Err(()), "torn");
        assert_eq!(told(&answer(SOCK_DIAG_BY_FAMILY, 1, 80), 7), Ok(None), "a connection");
        assert_eq!(told(&answer(SOCK_DIAG_BY_FAMILY, LISTENS, 81), 7), Ok(None), "another port");
        assert_eq!(told(&answer(ERROR, 0, 0), 7), Err(()), "an acknowledgement");
        assert_eq!(told(&answer(3, LISTENS, 80), 7), Err(()), "an end");
    }

    proptest! {
        #[test]
        fn any_answer_is_survived(part in prop::collection::vec(any::<u8>(), 0..300), length in 0_u32..200) {
            let mut found = Vec::new();
            take(&part, &mut found);
            let of_unix: Vec<u8> = [AF_UNIX].into_iter().chain(part.iter().copied()).collect();
            let _ = (at_a_port(&part), at_a_name(&of_unix));
            let address = SocketAddr::new([127, 0, 0, 1].into(), 80);
            let _ = told_of(&part, address, number(&part, 8).unwrap_or_default());
            let mut framed = length.to_ne_bytes().to_vec();
            framed.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
            framed.extend(part);
            take(&framed, &mut found);
            prop_assert!(found.len() <= 300);
        }
    }
}
