//! TCP and unix sockets: a connection must be accepted. Nothing is sent.

use std::{
    fmt::Display,
    io::{self, ErrorKind},
    net::SocketAddr,
    os::fd::{AsFd, OwnedFd},
    time::{Duration, Instant},
};

use ansai_model::{observation::Observation, time::Shown};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::{Errno, retry_on_intr},
    net::{AddressFamily, SocketFlags, SocketType, connect, socket_with, sockopt},
};
use tokio::net::{TcpStream, UnixStream, lookup_host};

/// How often a unix socket with a full queue is asked anew.
const QUEUE_ASKED_EVERY: Duration = Duration::from_millis(50);

/// What a connection fails with when this host lacks what it takes.
const LACKING: &[Errno] = &[
    Errno::MFILE,
    Errno::NFILE,
    Errno::NOMEM,
    Errno::NOBUFS,
    Errno::NOSPC,
    Errno::ADDRNOTAVAIL,
    Errno::AFNOSUPPORT,
    Errno::NETDOWN,
];

/// Why nobody was reached.
pub(super) enum Why {
    /// Of who was asked.
    Theirs(String),
    /// Of this host, as without a descriptor, or of what it was told: it says nothing of who was asked.
    Ours(String),
}

impl Why {
    /// What a look says of it.
    pub(super) fn seen(self, who: impl Display) -> Observation {
        match self {
            Self::Theirs(why) => Observation::failing(format!("{who}: {why}")),
            Self::Ours(why) => Observation::unknown(format!("{who}: {why}")),
        }
    }
}

impl From<io::Error> for Why {
    fn from(error: io::Error) -> Self {
        if is_of_this_host(&error) { Self::Ours(in_words(&error)) } else { Self::Theirs(in_words(&error)) }
    }
}

/// Looks at a TCP port.
pub(super) async fn tcp(host: &str, port: u16, timeout: Duration) -> Observation {
    let begun = Instant::now();
    // An address needs no resolver, and no thread for it; boxed, a name costs the others no room.
    let connected = match host.parse() {
        Ok(ip) => within(timeout, begun, to_address(SocketAddr::new(ip, port))).await,
        Err(_) => Box::pin(to_name(host, port, timeout, begun)).await,
    };
    match connected {
        Ok(()) => Observation::healthy(format!("{host}:{port} accepts connections")),
        Err(why) => why.seen(format_args!("{host}:{port}")),
    }
}

/// What comes of it within this time of a look that has begun then.
pub(super) async fn within<T, E>(
    timeout: Duration,
    begun: Instant,
    asked: impl Future<Output = Result<T, E>>,
) -> Result<T, Why>
where
    Why: From<E>,
{
    let left = timeout.saturating_sub(begun.elapsed());
    match tokio::time::timeout(left, asked).await {
        Ok(ended) => Ok(ended?),
        // Who had the smaller part of the time is not to blame.
        Err(_) if left < timeout / 2 => {
            Err(Why::Ours(format!("no answer within {}, most of which went to finding its name", Shown(timeout))))
        }
        Err(_) => Err(Why::Theirs(format!("no answer within {}", Shown(timeout)))),
    }
}

/// The addresses of a name. One that is not found, or not in time, says nothing of who has it: a look-up asks others, who
/// may be away for every service at once.
pub(super) async fn addresses(host: &str, port: u16, timeout: Duration) -> Result<Vec<SocketAddr>, Why> {
    match tokio::time::timeout(timeout, lookup_host((host, port))).await {
        Ok(Ok(found)) => Ok(found.collect()),
        Ok(Err(error)) => Err(Why::Ours(format!("its name is not found: {error}"))),
        Err(_) => Err(Why::Ours(format!("its name is not found within {}", Shown(timeout)))),
    }
}

/// Connects to the first of these addresses that accepts. When none does, the word of one that was reached counts before
/// what this host lacked for another.
pub(super) async fn to_any(addresses: &[SocketAddr]) -> Result<TcpStream, Why> {
    let mut first = None;
    for address in addresses {
        match TcpStream::connect(address).await.map_err(Why::from) {
            Ok(stream) => return Ok(stream),
            Err(why) if matches!((&first, &why), (None, _) | (Some(Why::Ours(_)), Why::Theirs(_))) => first = Some(why),
            Err(_) => {}
        }
    }
    Err(first.unwrap_or_else(|| Why::Ours("its name has no address".into())))
}

async fn to_name(host: &str, port: u16, timeout: Duration, begun: Instant) -> Result<(), Why> {
    let addresses = addresses(host, port, timeout).await?;
    part(&within(timeout, begun, to_any(&addresses)).await?);
    Ok(())
}

/// A port of this host has answered by the time that it is asked for: that is seen at once, without the loop's help, which
/// would cost a thousand looks a second as much again as connecting does.
async fn to_address(address: SocketAddr) -> io::Result<()> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(family, SocketType::STREAM, flags, None)?;
    match connect(&socket, &address) {
        Ok(()) => {}
        Err(Errno::INPROGRESS) if has_answered(&socket)? => sockopt::socket_error(&socket)??,
        Err(Errno::INPROGRESS) => return answered(TcpStream::from_std(socket.into())?).await,
        Err(error) => return Err(error.into()),
    }
    part(&socket);
    Ok(())
}

fn has_answered(socket: &OwnedFd) -> io::Result<bool> {
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    Ok(retry_on_intr(|| poll(&mut [PollFd::new(socket, PollFlags::OUT)], Some(&at_once)))? > 0)
}

/// Waits until a connection that was begun is there, or is refused.
async fn answered(stream: TcpStream) -> io::Result<()> {
    stream.writable().await?;
    stream.take_error()?.map_or(Ok(()), Err)?;
    part(&stream);
    Ok(())
}

/// Reset instead of a farewell: no socket lingers after a thousand looks a second.
fn part(socket: impl AsFd) {
    let _ = sockopt::set_socket_linger(socket, Some(Duration::ZERO));
}

/// Looks at a unix socket.
pub(super) async fn unix(path: &str, timeout: Duration) -> Observation {
    let connected = async {
        loop {
            match UnixStream::connect(path).await {
                // Its queue is full, which the kernel says at once and of which it tells no end.
                Err(error) if error.kind() == ErrorKind::WouldBlock => tokio::time::sleep(QUEUE_ASKED_EVERY).await,
                ended => return ended,
            }
        }
    };
    match within(timeout, Instant::now(), connected).await {
        Ok(_) => Observation::healthy(format!("{path} accepts connections")),
        Err(why) => why.seen(path),
    }
}

/// Whether this host lacks what a connection takes: descriptors, watches, memory, a network, an address or a port of its
/// own. That says nothing of who was to be reached, and would be seen of every service at once.
pub(in crate::linux) fn is_of_this_host(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    errno.is_some_and(|errno| LACKING.contains(&errno))
}

/// An error of connecting as a person says it.
pub(in crate::linux) fn in_words(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::ConnectionRefused => "connection refused: nothing listens there".to_owned(),
        ErrorKind::NotFound => "it does not exist".to_owned(),
        ErrorKind::ConnectionReset => "the connection was reset".to_owned(),
        ErrorKind::TimedOut => "no answer".to_owned(),
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => "no route to it".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use ansai_model::observation::Health;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test]
    async fn a_listening_port_is_healthy_and_a_closed_one_fails() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let port = listener.local_addr().expect("an address").port();
        assert_eq!(tcp("127.0.0.1", port, SECOND).await.health(), Health::Healthy);
        drop(listener);
        let seen = tcp("127.0.0.1", port, SECOND).await;
        assert_eq!(seen.health(), Health::Failing);
        assert!(seen.summary().as_str().contains("refused"), "{}", seen.summary());
        assert_eq!(unix("/no/such/socket", SECOND).await.summary().as_str(), "/no/such/socket: it does not exist");
    }

    #[tokio::test]
    async fn a_port_of_the_newer_protocol_is_looked_at_alike() {
        let listener = tokio::net::TcpListener::bind("[::1]:0").await.expect("bound");
        let port = listener.local_addr().expect("an address").port();
        assert_eq!(tcp("::1", port, SECOND).await.health(), Health::Healthy);
    }

    #[tokio::test]
    async fn a_unix_socket_whose_queue_is_full_is_waited_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("socket").display().to_string();
        let socket = tokio::net::UnixSocket::new_stream().expect("a socket");
        socket.bind(&path).expect("bound");
        let listener = socket.listen(0).expect("listening");
        let waits = UnixStream::connect(&path).await.expect("the one that there is room for");
        let seen = unix(&path, Duration::from_millis(200)).await;
        assert_eq!(seen.summary().as_str(), format!("{path}: no answer within 200ms"));
        let accept = async { drop(listener.accept().await.expect("accepted")) };
        let (seen, ()) = tokio::join!(unix(&path, 30 * SECOND), accept);
        assert_eq!(seen.health(), Health::Healthy, "{}", seen.summary());
        drop(waits);
    }

    #[tokio::test]
    async fn who_had_the_smaller_part_of_the_time_is_not_to_blame() {
        let silent = || std::future::pending::<io::Result<()>>();
        let timeout = Duration::from_millis(100);
        let now = Instant::now();
        assert!(matches!(within(timeout, now, silent()).await, Err(Why::Theirs(_))));
        assert!(matches!(within(timeout, now, silent()).await, Err(Why::Ours(_))));
    }

    #[test]
    fn what_this_host_lacks_says_nothing_of_the_service() {
        assert!(is_of_this_host(&Errno::MFILE.into()));
        for errno in [Errno::CONNREFUSED, Errno::CONNRESET, Errno::HOSTUNREACH, Errno::ACCESS] {
            assert!(!is_of_this_host(&errno.into()), "{errno}");
        }
    }

    #[tokio::test]
    async fn a_port_that_has_no_room_is_waited_for_as_long_as_it_may_take() {
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        socket.bind("127.0.0.1:0".parse().expect("an address")).expect("bound");
        let listener = socket.listen(0).expect("listening");
        let address = listener.local_addr().expect("an address");
        let waits = TcpStream::connect(address).await.expect("the one that there is room for");
        let seen = tcp("127.0.0.1", address.port(), Duration::from_millis(200)).await;
        assert_eq!(seen.summary().as_str(), format!("{address}: no answer within 200ms"));
        // Once there is room, the kernel's next try succeeds while the look still waits.
        let accept = async {
            for _ in 0..2 {
                drop(listener.accept().await.expect("accepted"));
            }
        };
        let (seen, ()) = tokio::join!(tcp("127.0.0.1", address.port(), 30 * SECOND), accept);
        assert_eq!(seen.health(), Health::Healthy);
        drop(waits);
    }
}
