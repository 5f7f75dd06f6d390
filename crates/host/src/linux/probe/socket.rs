//! TCP and unix sockets: a connection must be accepted. Nothing is sent.

use std::{io::ErrorKind, net::SocketAddr, time::Duration};

use ansai_model::{observation::Observation, time::Shown};
use tokio::net::{TcpStream, UnixStream};

/// Looks at a TCP port.
pub(super) async fn tcp(host: &str, port: u16, timeout: Duration) -> Observation {
    // An address needs no resolver, and no thread for it; boxed, a name costs the others no room.
    let connected = match host.parse() {
        Ok(ip) => tokio::time::timeout(timeout, TcpStream::connect(SocketAddr::new(ip, port))).await,
        Err(_) => Box::pin(tokio::time::timeout(timeout, TcpStream::connect((host, port)))).await,
    };
    match connected {
        Ok(Ok(stream)) => {
            // Reset instead of a farewell: no socket lingers after a thousand looks a second.
            let _ = rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO));
            Observation::healthy(format!("{host}:{port} accepts connections"))
        }
        Ok(Err(error)) => Observation::failing(format!("{host}:{port}: {}", in_words(&error))),
        Err(_) => Observation::failing(format!("{host}:{port}: no answer within {}", Shown(timeout))),
    }
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
}
