//! TCP and unix sockets: a connection must be accepted. What is said there, if anything, is `spoken`'s; it is closed in good
//! order (`parting`).

use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use ansai_model::{observation::Observation, probe::Protocol};
use rustix::{
    io::Errno,
    net::{AddressFamily, SocketFlags, SocketType, connect, socket_with},
};
use tokio::net::{TcpStream, UnixStream};

use super::{
    parting::Partings,
    reach::{Time, Why, addresses, to_any, within},
    spoken,
};

/// How often a unix socket with a full queue is asked anew.
const QUEUE_ASKED_EVERY: Duration = Duration::from_millis(50);

/// Observes at a TCP port.
pub(super) async fn tcp(
    partings: &Partings,
    host: &str,
    port: u16,
    speaks: Option<Protocol>,
    timeout: Duration,
) -> Observation {
    let begun = Instant::now();
    // An address needs no resolver, and no thread for it; boxed, a name costs the others no room.
    let connected = match host.parse() {
        Ok(ip) => within(timeout, begun, to_address(SocketAddr::new(ip, port))).await,
        Err(_) => Box::pin(to_name(host, port, timeout, begun)).await,
    };
    let who = || who(host, port);
    match (connected, speaks) {
        (Ok(socket), Some(protocol)) => {
            Box::pin(spoken::tcp(partings, socket, protocol, &who(), Time { begun, timeout })).await
        }
        (Ok(socket), None) => {
            partings.part(socket);
            Observation::healthy(format!("{} accepts connections", who()))
        }
        (Err(why), _) => why.seen(who()),
    }
}

/// A port as a person reads it: an address of the newer protocol would not be told from its port otherwise.
pub(super) fn who(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

async fn to_name(host: &str, port: u16, timeout: Duration, begun: Instant) -> Result<OwnedFd, Why> {
    let addresses = addresses(host, port, timeout).await?;
    let stream = within(timeout, begun, to_any(&addresses)).await?;
    Ok(stream.into_std()?.into())
}

/// A port of this host has answered by the time that it is asked for: that is seen at once, without the loop's help, which
/// would cost a thousand looks a second as much again as connecting does. Connecting once more says what came of it.
async fn to_address(address: SocketAddr) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(family, SocketType::STREAM, flags, None)?;
    match connect(&socket, &address) {
        Ok(()) => {}
        Err(Errno::INPROGRESS) => match connect(&socket, &address) {
            Ok(()) | Err(Errno::ISCONN) => {}
            Err(Errno::ALREADY | Errno::INPROGRESS | Errno::INTR) => {
                return answered(TcpStream::from_std(socket.into())?).await;
            }
            Err(error) => return Err(error.into()),
        },
        Err(error) => return Err(error.into()),
    }
    Ok(socket)
}

/// Waits until a connection that was begun is there, or is refused.
async fn answered(stream: TcpStream) -> io::Result<OwnedFd> {
    stream.writable().await?;
    stream.take_error()?.map_or(Ok(()), Err)?;
    Ok(stream.into_std()?.into())
}

/// Observes at a unix socket.
pub(super) async fn unix(partings: &Partings, path: &str, speaks: Option<Protocol>, timeout: Duration) -> Observation {
    let begun = Instant::now();
    let connected = async {
        loop {
            match UnixStream::connect(path).await {
                // Its queue is full, which the kernel says at once and of which it tells no end.
                Err(error) if error.kind() == ErrorKind::WouldBlock => tokio::time::sleep(QUEUE_ASKED_EVERY).await,
                ended => return ended,
            }
        }
    };
    match (within(timeout, begun, connected).await, speaks) {
        (Ok(stream), Some(protocol)) => spoken::look(partings, stream, protocol, path, Time { begun, timeout }).await,
        (Ok(stream), None) => match stream.into_std() {
            Ok(stream) => {
                partings.part(stream.into());
                Observation::healthy(format!("{path} accepts connections"))
            }
            Err(error) => Why::from(error).seen(path),
        },
        (Err(why), _) => why.seen(path),
    }
}

#[cfg(test)]
mod tests {
    use ansai_model::observation::Health;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test]
    async fn a_listening_port_is_healthy_and_a_closed_one_fails() {
        let partings = Partings::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let port = listener.local_addr().expect("an address").port();
        assert_eq!(tcp(&partings, "127.0.0.1", port, None, SECOND).await.health(), Health::Healthy);
        drop(listener);
        let seen = tcp(&partings, "127.0.0.1", port, None, SECOND).await;
        assert_eq!(seen.health(), Health::Failing);
        assert!(seen.summary().as_str().contains("refused"), "{}", seen.summary());
        assert_eq!(
            unix(&partings, "/no/such/socket", None, SECOND).await.summary().as_str(),
            "/no/such/socket: it does not exist"
        );
    }

    #[tokio::test]
    async fn a_port_of_the_newer_protocol_is_looked_at_alike() {
        let partings = Partings::default();
        let listener = tokio::net::TcpListener::bind("[::1]:0").await.expect("bound");
        let port = listener.local_addr().expect("an address").port();
        assert_eq!(tcp(&partings, "::1", port, None, SECOND).await.health(), Health::Healthy);
    }

    #[tokio::test]
    async fn a_unix_socket_whose_queue_is_full_is_waited_for() {
        let partings = Partings::default();
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("socket").display().to_string();
        let socket = tokio::net::UnixSocket::new_stream().expect("a socket");
        socket.bind(&path).expect("bound");
        let listener = socket.listen(0).expect("listening");
        let waits = UnixStream::connect(&path).await.expect("the one that there is room for");
        let seen = unix(&partings, &path, None, Duration::from_millis(200)).await;
        assert_eq!(seen.summary().as_str(), format!("{path}: no answer within 200ms"));
        let accept = async { drop(listener.accept().await.expect("accepted")) };
        let (seen, ()) = tokio::join!(unix(&partings, &path, None, 30 * SECOND), accept);
        assert_eq!(seen.health(), Health::Healthy, "{}", seen.summary());
        drop(waits);
    }

    #[tokio::test]
    async fn a_port_that_has_no_room_is_waited_for_as_long_as_it_may_take() {
        let partings = Partings::default();
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        socket.bind("127.0.0.1:0".parse().expect("an address")).expect("bound");
        let listener = socket.listen(0).expect("listening");
        let address = listener.local_addr().expect("an address");
        let waits = TcpStream::connect(address).await.expect("the one that there is room for");
        let seen = tcp(&partings, "127.0.0.1", address.port(), None, Duration::from_millis(200)).await;
        assert_eq!(seen.summary().as_str(), format!("{address}: no answer within 200ms"));
        // Once there is room, the kernel's next try succeeds while the look still waits.
        let accept = async {
            for _ in 0..2 {
                drop(listener.accept().await.expect("accepted"));
            }
        };
        let (seen, ()) = tokio::join!(tcp(&partings, "127.0.0.1", address.port(), None, 30 * SECOND), accept);
        assert_eq!(seen.health(), Health::Healthy);
        drop(waits);
    }
}
