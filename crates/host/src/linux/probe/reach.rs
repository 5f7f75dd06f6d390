//! Reaching somebody: finding a name, connecting in time, and whether a failure says anything of who was asked. What is
//! then said and expected is each probe's own.

use std::{
    fmt::Display,
    io::{self, ErrorKind},
    net::{SocketAddr, ToSocketAddrs},
    time::{Duration, Instant},
};

use ansai_model::{observation::Observation, time::Shown};
use rustix::io::Errno;
use tokio::net::TcpStream;

use crate::linux::aside::{self, Kind, Late, Work};

use crate::linux::permission;

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
pub(in crate::linux) enum Why {
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
        let is_ours = is_of_this_host(&error) || permission::is_refused(&error);
        if is_ours { Self::Ours(in_words(&error)) } else { Self::Theirs(in_words(&error)) }
    }
}

/// How long a look may take, and since when it takes.
#[derive(Clone, Copy)]
pub(super) struct Time {
    pub(super) begun: Instant,
    pub(super) timeout: Duration,
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
pub(in crate::linux) async fn addresses(host: &str, port: u16, timeout: Duration) -> Result<Vec<SocketAddr>, Why> {
    // An address needs no resolver.
    if let Ok(ip) = host.parse() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    let asked = host.to_owned();
    let look_up = move || (asked.as_str(), port).to_socket_addrs().map(Iterator::collect);
    match aside::run(Work::new(Kind::Name, host), timeout, look_up).await {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(error)) => Err(Why::Ours(format!("its name is not found: {error}"))),
        Err(Late::Broke { why, .. }) => Err(Why::Ours(format!("its name is not found: {why}"))),
        Err(_) => Err(Why::Ours(format!("its name is not found within {}", Shown(timeout)))),
    }
}

/// Connects to the first of these addresses that accepts. When none does, the word of one that was reached counts before
/// what this host lacked for another.
pub(in crate::linux) async fn to_any(addresses: &[SocketAddr]) -> Result<TcpStream, Why> {
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

/// Whether this host lacks what a connection takes: descriptors, watches, memory, a network, an address or a port of its
/// own. That says nothing of who was to be reached, and would be seen of every service at once.
pub(in crate::linux) fn is_of_this_host(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    errno.is_some_and(|errno| LACKING.contains(&errno))
}

/// An error of connecting as a person says it.
fn in_words(error: &std::io::Error) -> String {
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
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_had_the_smaller_part_of_the_time_is_not_to_blame() {
        let silent = || std::future::pending::<io::Result<()>>();
        let (timeout, now) = (Duration::from_secs(60), Instant::now());
        let earlier = now.checked_sub(timeout * 2 / 3).expect("the machine is up for longer");
        assert!(matches!(within(timeout, now, silent()).await, Err(Why::Theirs(_))));
        assert!(matches!(within(timeout, earlier, silent()).await, Err(Why::Ours(_))));
    }

    #[test]
    fn what_the_agent_may_not_do_says_nothing_of_the_service() {
        for errno in [Errno::PERM, Errno::ACCESS, Errno::AFNOSUPPORT, Errno::NOSYS] {
            assert!(matches!(Why::from(io::Error::from(errno)), Why::Ours(_)), "{errno}");
        }
        assert!(matches!(Why::from(io::Error::from(Errno::CONNREFUSED)), Why::Theirs(_)));
    }

    #[test]
    fn what_this_host_lacks_says_nothing_of_the_service() {
        assert!(is_of_this_host(&Errno::MFILE.into()));
        for errno in [Errno::CONNREFUSED, Errno::CONNRESET, Errno::HOSTUNREACH, Errno::ACCESS] {
            assert!(!is_of_this_host(&errno.into()), "{errno}");
        }
    }
}
