//! Observes that ask the kernel instead of the service: when they may, and that a failure is seen by a connection.

use std::net::{TcpListener, TcpStream};

use ansai_model::observation::Health;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// A listener that can say how many have connected, and looks at it.
struct Port {
    listener: TcpListener,
    host: &'static str,
    at: SocketAddr,
    listened: Listened,
    partings: Partings,
}

impl Port {
    fn new(host: &'static str, room: i32) -> Self {
        let ip: IpAddr = host.parse().expect("an address");
        let family = if ip.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None).expect("a socket");
        bind(&socket, &SocketAddr::new(ip, 0)).expect("bound");
        listen(&socket, room).expect("listening");
        let listener = TcpListener::from(socket);
        listener.set_nonblocking(true).expect("set");
        let at = listener.local_addr().expect("an address");
        Self { listener, host, at, listened: Listened::default(), partings: Partings::default() }
    }

    async fn look(&self) -> Observation {
        look(&self.listened, &self.partings, self.host, self.at.port(), 30 * SECOND).await
    }

    /// Observes twice, after which the kernel is known to answer; says how many connected.
    async fn known(&self) -> usize {
        assert_eq!(self.look().await.health(), Health::Healthy);
        assert_eq!(self.look().await.health(), Health::Healthy);
        self.accept()
    }

    /// Accepts who waits; says how many did.
    fn accept(&self) -> usize {
        std::iter::from_fn(|| self.listener.accept().ok()).count()
    }

    /// As if all that was seen had been seen so much earlier.
    fn age(&self, by: Duration) {
        let earlier = |at: &mut Instant| *at = at.checked_sub(by).expect("the machine is up for longer");
        self.listened.with(|known| known.accepted.values_mut().for_each(earlier));
    }
}

#[tokio::test]
async fn a_port_that_accepted_of_late_is_not_connected_to_again() {
    for host in ["127.0.0.1", "127.0.0.9", "::1"] {
        let port = Port::new(host, 16);
        assert_eq!(port.known().await, 2);
        for _ in 0..50 {
            let seen = port.look().await;
            let expected = format!("{} is listened on, and connections are accepted", port.at);
            assert_eq!((seen.health(), seen.summary().as_str()), (Health::Healthy, expected.as_str()));
        }
        assert_eq!(port.accept(), 0);
    }
}

#[tokio::test]
async fn after_ten_seconds_it_is_connected_to() {
    let port = Port::new("127.0.0.1", 16);
    port.known().await;
    port.age(SPEAKS_FOR);
    assert!(port.look().await.summary().as_str().ends_with("accepts connections"));
    assert_eq!(port.accept(), 1);
    port.look().await;
    assert_eq!(port.accept(), 0);
}

#[tokio::test]
async fn a_listener_that_goes_is_seen_at_the_next_look_and_back_only_by_a_connection() {
    let port = Port::new("127.0.0.1", 16);
    port.known().await;
    port.look().await;
    let Port { listener, host, at, listened, partings } = port;
    drop(listener);
    let seen = look(&listened, &partings, host, at.port(), SECOND).await;
    assert_eq!(seen.health(), Health::Failing, "{}", seen.summary());
    let listener = TcpListener::bind(at).expect("bound");
    listener.set_nonblocking(true).expect("set");
    let port = Port { listener, host, at, listened, partings };
    assert_eq!(port.look().await.health(), Health::Healthy);
    assert_eq!(port.accept(), 1);
}

#[tokio::test]
async fn where_somebody_waits_the_look_connects_and_a_full_queue_fails() {
    let port = Port::new("127.0.0.1", 1);
    port.known().await;
    port.look().await;
    assert_eq!(port.accept(), 0);
    let _waits = TcpStream::connect(port.at).expect("connected");
    assert!(port.look().await.summary().as_str().ends_with("accepts connections"));
    let seen = look(&port.listened, &port.partings, port.host, port.at.port(), SECOND / 5).await;
    assert_eq!(seen.summary().as_str(), format!("{}: no answer within 200ms", port.at));
    assert_eq!(port.accept(), 2);
}

#[tokio::test]
async fn when_the_kernel_does_not_answer_each_look_connects() {
    let port = Port::new("127.0.0.1", 16);
    port.known().await;
    port.listened.with(|known| known.asker = None);
    for _ in 0..5 {
        assert!(port.look().await.summary().as_str().ends_with("accepts connections"));
    }
    assert_eq!(port.accept(), 5);
    port.listened.with(|known| known.tried = known.tried.and_then(|tried| tried.checked_sub(TRIED_EVERY)));
    port.look().await;
    assert_eq!(port.accept(), 1, "which has it tried anew");
    port.look().await;
    assert_eq!(port.accept(), 0);
}

#[test]
fn only_literal_addresses_of_this_host_are_its_business() {
    for host in ["127.0.0.1", "127.8.9.1", "::1"] {
        assert!(of_this_host(host, 80).is_some(), "{host}");
    }
    for host in
        ["localhost", "0.0.0.0", "::", "10.0.0.1", "::ffff:127.0.0.1", "fe80::1", "128.0.0.1", "example.org", ""]
    {
        assert_eq!(of_this_host(host, 80), None, "{host}");
    }
}

#[test]
fn the_oldest_port_makes_room() {
    let (mut known, now) = (Known::default(), Instant::now());
    let at = |index: usize| SocketAddr::new([127, 0, 0, 1].into(), u16::try_from(index).expect("a port"));
    for index in 0..=PORTS_MAX {
        known.saw(at(index), now + Duration::from_micros(index as u64), true);
    }
    let later = now + SECOND;
    assert_eq!(known.accepted.len(), PORTS_MAX);
    assert!(!known.has_accepted(at(0), later) && known.has_accepted(at(1), later));
    known.saw(at(0), now + 2 * SPEAKS_FOR, true);
    assert_eq!(known.accepted.len(), 1, "none of the others speaks any more");
}
