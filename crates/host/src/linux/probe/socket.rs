//! TCP and unix sockets: a connection must be accepted. Nothing is sent.

use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
    os::fd::{AsFd, OwnedFd},
    time::Duration,
};

use ansai_model::{observation::Observation, time::Shown};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    net::{AddressFamily, SocketFlags, SocketType, connect, socket_with, sockopt},
};
use tokio::net::{TcpStream, UnixStream};

/// Looks at a TCP port.
pub(super) async fn tcp(host: &str, port: u16, timeout: Duration) -> Observation {
    // An address needs no resolver, and no thread for it; boxed, a name costs the others no room.
    let connected = match host.parse() {
        Ok(ip) => tokio::time::timeout(timeout, to_address(SocketAddr::new(ip, port))).await,
        Err(_) => Box::pin(tokio::time::timeout(timeout, to_name(host, port))).await,
    };
    match connected {
        Ok(Ok(())) => Observation::healthy(format!("{host}:{port} accepts connections")),
        Ok(Err(error)) => Observation::failing(format!("{host}:{port}: {}", in_words(&error))),
        Err(_) => Observation::failing(format!("{host}:{port}: no answer within {}", Shown(timeout))),
    }
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

async fn to_name(host: &str, port: u16) -> io::Result<()> {
    part(&TcpStream::connect((host, port)).await?);
    Ok(())
}

fn has_answered(socket: &OwnedFd) -> io::Result<bool> {
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    Ok(poll(&mut [PollFd::new(socket, PollFlags::OUT)], Some(&at_once))? > 0)
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
    match tokio::time::timeout(timeout, UnixStream::connect(path)).await {
        Ok(Ok(_)) => Observation::healthy(format!("{path} accepts connections")),
        Ok(Err(error)) if error.kind() == ErrorKind::NotFound => Observation::failing(format!("{path} does not exist")),
        Ok(Err(error)) => Observation::failing(format!("{path}: {}", in_words(&error))),
        Err(_) => Observation::failing(format!("{path}: no answer within {}", Shown(timeout))),
    }
}

/// An error of connecting as a person says it.
pub(in crate::linux) fn in_words(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::ConnectionRefused => "connection refused: nothing listens there".to_owned(),
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
        assert_eq!(unix("/no/such/socket", SECOND).await.summary().as_str(), "/no/such/socket does not exist");
    }

    #[tokio::test]
    async fn a_port_of_the_newer_protocol_is_looked_at_alike() {
        let listener = tokio::net::TcpListener::bind("[::1]:0").await.expect("bound");
        let port = listener.local_addr().expect("an address").port();
        assert_eq!(tcp("::1", port, SECOND).await.health(), Health::Healthy);
        assert_eq!(tcp("localhost", 0, SECOND).await.health(), Health::Failing);
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
