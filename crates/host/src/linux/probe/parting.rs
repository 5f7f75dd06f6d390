//! Leaving a connection that was only made to see that it is accepted, as a client would: the end is said, what the server had to
//! say is read, and then the socket is closed. Servers log what is reset, and a socket with unread words in it is reset.
//!
//! Nobody waits for it: connections stay here for a moment, and later looks close them.

use std::{
    collections::VecDeque,
    os::fd::OwnedFd,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use rustix::net::{RecvFlags, Shutdown, recv, shutdown};

/// Most connections that stay: each is a descriptor, and a thousand looks a second leave as many.
const STAYING_MAX: usize = 64;
/// How long a server is given to say its part.
const STAYS_FOR: Duration = Duration::from_secs(1);
/// Most bytes of a greeting that are read.
const SAID_MAX: usize = 16 * 1024;

/// Connections that have been left, oldest first.
#[derive(Debug, Default)]
pub(super) struct Partings(Mutex<VecDeque<(Instant, OwnedFd)>>);

impl Partings {
    /// Leaves a connection that does not block, and closes those that were left long enough ago.
    pub(super) fn part(&self, socket: OwnedFd) {
        // A server that has gone already needs no farewell.
        let _ = shutdown(&socket, Shutdown::Write);
        let now = Instant::now();
        let mut staying = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        staying.push_back((now, socket));
        while staying.len() > STAYING_MAX || staying.front().is_some_and(|(left, _)| now - *left >= STAYS_FOR) {
            let Some((_, socket)) = staying.pop_front() else { return };
            close(socket);
        }
    }
}

fn close(socket: OwnedFd) {
    let (mut buffer, mut read) = ([0; 2048], 0);
    while let Ok((_, count @ 1..)) = recv(&socket, &mut buffer[..], RecvFlags::DONTWAIT)
        && read < SAID_MAX
    {
        read += count;
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::{TcpListener, TcpStream},
    };

    use super::*;

    #[test]
    fn a_server_that_greets_sees_an_end_and_no_reset() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        let address = listener.local_addr().expect("an address");
        let partings = Partings::default();
        let mut served: Vec<TcpStream> = Vec::new();
        for _ in 0..=STAYING_MAX {
            let client = TcpStream::connect(address).expect("connected");
            let (mut server, _) = listener.accept().expect("accepted");
            server.write_all(b"220 ready\r\n").expect("greeted");
            client.set_nonblocking(true).expect("set");
            partings.part(client.into());
            served.push(server);
        }
        // The first one is closed by now, its greeting read; the last one has only heard the end.
        for server in [0, STAYING_MAX] {
            let ended = served[server].read(&mut [0; 16]);
            assert!(matches!(ended, Ok(0)), "{ended:?}");
            assert!(served[server].take_error().expect("asked").is_none());
        }
        let staying = partings.0.lock().expect("held by nobody").len();
        assert_eq!(staying, STAYING_MAX);
    }
}
