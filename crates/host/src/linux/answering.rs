//! How the services of this host answer, for whoever sets up looks at them (`ansai init`): each is asked in the protocol that
//! its program or its port speaks for, and over HTTP, and what answered well is what is said of it.
//!
//! Each socket is asked a few times at most and the agent never does it: a server that is asked in a language which it does not
//! speak may log that once.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::Duration,
};

use ansai_model::{
    condition::Value,
    id::UnitName,
    inventory::{Answering, TlsListener},
    observation::{Health, Observation},
    probe::{HttpProbe, Probe, Protocol},
};
use futures_util::{StreamExt, stream};
use tokio::time::Instant;

use super::{
    aside::{self, Kind, Work},
    listening::{self, Listening},
    packages,
    port_owner::Owner,
    probe::{self, Context},
};

/// Longest wait for one answer.
const ANSWER_TIME: Duration = Duration::from_secs(2);
/// Longest wait for an answer over HTTP of what has just been started: the kernel accepts for a server that is not ready, and
/// one in Java takes its time.
const START_TIME: Duration = Duration::from_secs(30);
/// What is older than this has started.
const YOUNG: Duration = Duration::from_secs(120);
/// Longest search for who listens.
const SEARCH_TIME: Duration = Duration::from_secs(10);
/// Most services that are asked.
const UNITS_MAX: usize = 128;
/// Most sockets of one service that are asked, of TCP and of the file system each.
const SOCKETS_MAX: usize = 6;
const AT_ONCE: usize = 16;
/// Ports of protocols that are no web server's, and have no row in the table of what looks can speak.
const NOT_WEB: &[u16] = &[23, 111, 139, 445, 465, 587, 636, 853, 993, 995];

/// The sockets of one unit, with the short names of who holds them.
#[derive(Debug, Default)]
struct Sockets {
    tcp: Vec<(SocketAddr, BTreeSet<String>)>,
    unix: Vec<(String, BTreeSet<String>)>,
    /// Whether one of those who hold them has just been started.
    is_young: bool,
}

/// How each service that listens answers, sorted by unit: one look for each, the best that was found. One that answers to
/// nothing is looked at by its lowest port.
pub(super) async fn found(context: &Context, tls: &[TlsListener]) -> Vec<Answering> {
    let root = context.root.clone();
    let search = move || {
        let (tcp, unix) = (listening::reached(listening::tcp(&root)), listening::unix(&root));
        let inodes = tcp.iter().map(|one| one.inode).chain(unix.iter().map(|one| one.inode)).collect();
        let is_young = |pid: u32| packages::age(&root, pid).is_some_and(|age| age < YOUNG);
        by_unit(&tcp, &unix, &listening::owners(&root, &inodes), is_young)
    };
    let work = Work::new(Kind::Gather, "who listens on this host");
    let units = aside::run(work, SEARCH_TIME, search).await.unwrap_or_default();
    let encrypted: BTreeSet<u16> = tls.iter().map(|listener| listener.endpoint.port).collect();
    // One time for all: right after a boot everything is young.
    let until = Instant::now() + START_TIME;
    let asked = stream::iter(units.into_iter().take(UNITS_MAX)).map(|(unit, sockets)| {
        let encrypted = &encrypted;
        async move { Some(Answering { unit, probe: Box::pin(answer(context, &sockets, encrypted, until)).await? }) }
    });
    asked.buffered(AT_ONCE).filter_map(std::future::ready).collect().await
}

/// Sockets by the services that hold them. What systemd holds as well is the service's that it starts.
fn by_unit(
    tcp: &[Listening<SocketAddr>],
    unix: &[Listening<std::path::PathBuf>],
    owners: &BTreeMap<u64, Vec<Owner>>,
    is_young: impl Fn(u32) -> bool,
) -> BTreeMap<UnitName, Sockets> {
    let holders = |inode: u64| {
        let mut units: BTreeMap<UnitName, BTreeSet<String>> = BTreeMap::new();
        for owner in owners.get(&inode).into_iter().flatten() {
            let unit = owner.unit.as_deref().filter(|unit| unit.ends_with(".service"));
            if let Some(unit) = unit.and_then(|unit| UnitName::new(unit).ok()) {
                units.entry(unit).or_default().insert(owner.name.clone());
            }
        }
        units
    };
    let mut found: BTreeMap<UnitName, Sockets> = BTreeMap::new();
    for one in tcp {
        for (unit, programs) in holders(one.inode) {
            found.entry(unit).or_default().tcp.push((one.at, programs));
        }
    }
    for one in unix {
        let Some(path) = one.at.to_str() else { continue };
        for (unit, programs) in holders(one.inode) {
            found.entry(unit).or_default().unix.push((path.to_owned(), programs));
        }
    }
    found.values_mut().for_each(|sockets| sockets.tcp.sort_by_key(|(at, _)| at.port()));
    for owner in owners.values().flatten().filter(|owner| is_young(owner.pid)) {
        let unit = owner.unit.as_deref().and_then(|unit| UnitName::new(unit).ok());
        if let Some(sockets) = unit.and_then(|unit| found.get_mut(&unit)) {
            sockets.is_young = true;
        }
    }
    found
}

/// The protocols to ask a socket in, the likeliest first: those of its program on its usual port, of its program, of its port.
fn likely(port: Option<u16>, programs: &BTreeSet<String>) -> Vec<Protocol> {
    let is_programs = |protocol: &Protocol| {
        let known = protocol.manner().programs;
        programs.iter().any(|program| known.iter().any(|name| program.starts_with(name)))
    };
    let is_ports = |protocol: &Protocol| port.is_some() && protocol.manner().port == port;
    let mut found: Vec<Protocol> =
        Protocol::all().filter(|protocol| is_programs(protocol) || is_ports(protocol)).collect();
    found.sort_by_key(|protocol| (!is_programs(protocol), !is_ports(protocol)));
    found
}

async fn answer(context: &Context, sockets: &Sockets, encrypted: &BTreeSet<u16>, until: Instant) -> Option<Probe> {
    let tcp = || sockets.tcp.iter().take(SOCKETS_MAX);
    for (at, programs) in tcp() {
        for protocol in likely(Some(at.port()), programs) {
            let probe = Probe::Tcp { host: at.ip().to_string(), port: at.port(), speaks: Some(protocol) };
            // Where it is not asked from loopback, a server of MySQL would shut this host out in the end.
            let may_ask = protocol != Protocol::Mysql || at.ip().is_loopback();
            if may_ask && answers(context, &probe).await {
                return Some(probe);
            }
        }
    }
    for (path, programs) in
        sockets.unix.iter().filter(|(_, programs)| !likely(None, programs).is_empty()).take(SOCKETS_MAX)
    {
        for protocol in likely(None, programs) {
            let probe = Probe::UnixSocket { path: path.clone(), speaks: Some(protocol) };
            if answers(context, &probe).await {
                return Some(probe);
            }
        }
    }
    let servers = tcp().filter(|(at, _)| may_be_web(at.port())).map(|(at, _)| *at);
    let first = servers.clone().next().filter(|_| sockets.is_young);
    for (at, is_awaited) in servers.map(|at| (at, false)).chain(first.map(|at| (at, true))) {
        let left = until.saturating_duration_since(Instant::now());
        let within = if is_awaited { left.max(ANSWER_TIME) } else { ANSWER_TIME };
        if let Some(probe) = web(context, at, encrypted.contains(&at.port()), within).await {
            return Some(probe);
        }
    }
    let (at, _) = sockets.tcp.first()?;
    Some(Probe::Tcp { host: at.ip().to_string(), port: at.port(), speaks: None })
}

fn may_be_web(port: u16) -> bool {
    !NOT_WEB.contains(&port) && Protocol::all().all(|protocol| protocol.manner().port != Some(port))
}

async fn answers(context: &Context, probe: &Probe) -> bool {
    probe::observe(context, probe, ANSWER_TIME).await.health() == Health::Healthy
}

/// A look at a web server that calls healthy whatever it answers now, short of being no answer.
async fn web(context: &Context, at: SocketAddr, is_encrypted: bool, within: Duration) -> Option<Probe> {
    let scheme = if is_encrypted { "https" } else { "http" };
    let whole = HttpProbe::get(format!("{scheme}://{at}/"));
    let any = HttpProbe { statuses: vec![(100, 599)], verify_certificate: !is_encrypted, ..whole.clone() };
    let seen: Observation = probe::observe(context, &Probe::Http(Box::new(any.clone())), within).await;
    let status = match seen.figure("http.status") {
        Some(Value::Number(status)) if seen.health() == Health::Healthy => *status,
        _ => return None,
    };
    let statuses = match status {
        ..400.0 => whole.statuses,
        ..500.0 => vec![(200, 499)],
        _ => vec![(200, 599)],
    };
    Some(Probe::Http(Box::new(HttpProbe { statuses, ..any })))
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    fn owner(pid: u32, name: &str, unit: &str) -> Owner {
        Owner { pid, name: name.into(), unit: Some(unit.into()) }
    }

    #[test]
    fn sockets_belong_to_the_services_that_hold_them() {
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let tcp = [Listening { at: at(81), inode: 1 }, Listening { at: at(80), inode: 2 }];
        let unix = [Listening { at: "/run/x".into(), inode: 3 }];
        let owners = BTreeMap::from([
            (1, vec![owner(1, "systemd", "init.scope"), owner(7, "nginx", "web.service")]),
            (2, vec![owner(7, "nginx", "web.service"), owner(8, "nginx", "web.service")]),
            (3, vec![owner(9, "bash", "session-1.scope")]),
        ]);
        let found = by_unit(&tcp, &unix, &owners, |pid| pid == 8);
        assert!(found.values().all(|sockets| sockets.is_young));
        assert!(by_unit(&tcp, &unix, &owners, |pid| pid == 9).values().all(|sockets| !sockets.is_young));
        let ports: Vec<u16> = found.values().flat_map(|one| one.tcp.iter().map(|(at, _)| at.port())).collect();
        assert_eq!((found.len(), ports), (1, vec![80, 81]));
    }

    #[test]
    fn the_likeliest_protocol_is_asked_for_first() {
        let asked = |port, program: &str| {
            let programs = BTreeSet::from([program.to_owned()]);
            likely(port, &programs).iter().map(|protocol| protocol.name()).collect::<Vec<_>>()
        };
        assert_eq!(asked(Some(6380), "redis-server"), ["redis"]);
        assert_eq!(asked(Some(110), "dovecot"), ["pop3", "imap"]);
        assert_eq!(asked(Some(2525), "exim4"), ["smtp"]);
        assert_eq!(asked(Some(5432), "pooler"), ["postgresql"]);
        assert_eq!(asked(None, "php-fpm8.9"), ["fastcgi"]);
        assert!(asked(Some(8080), "java").is_empty());
    }

    async fn found_at(reply: &'static [u8], programs: &[&str]) -> Option<Probe> {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let at = listener.local_addr().expect("an address");
        let serve = async {
            loop {
                let (mut stream, _) = listener.accept().await.expect("accepted");
                let _ = stream.read(&mut [0; 1024]).await;
                let _ = stream.write_all(reply).await;
            }
        };
        let programs = programs.iter().map(|name| (*name).to_owned()).collect();
        let sockets = Sockets { tcp: vec![(at, programs)], ..Sockets::default() };
        let (context, none) = (Context::new("/".into()), BTreeSet::new());
        tokio::select! {
            () = serve => None,
            found = answer(&context, &sockets, &none, Instant::now() + START_TIME) => found,
        }
    }

    #[tokio::test]
    async fn what_answered_is_proposed_and_a_bare_port_when_nothing_did() {
        let redis = found_at(b"+PONG\r\n", &["redis-server"]).await;
        assert!(matches!(redis, Some(Probe::Tcp { speaks: Some(Protocol::Redis), .. })), "{redis:?}");
        let web = found_at(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", &["java"]).await;
        let Some(Probe::Http(http)) = &web else { panic!("{web:?}") };
        assert_eq!(http.statuses, [(200, 499)]);
        let other = found_at(b"what?\n", &["redis-server"]).await;
        assert!(matches!(other, Some(Probe::Tcp { speaks: None, .. })), "{other:?}");
    }

    /// The kernel accepts for a server that begins to serve after the time in which others answer.
    #[tokio::test(start_paused = true)]
    async fn what_has_just_been_started_is_waited_for() {
        for is_young in [true, false] {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
            let at = listener.local_addr().expect("an address");
            let sockets = Sockets { tcp: vec![(at, BTreeSet::new())], is_young, ..Sockets::default() };
            let serve = async {
                tokio::time::sleep(ANSWER_TIME * 2).await;
                loop {
                    let (mut stream, _) = listener.accept().await.expect("accepted");
                    let _ = stream.read(&mut [0; 1024]).await;
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
                }
            };
            let (context, none) = (Context::new("/".into()), BTreeSet::new());
            let found = tokio::select! {
                () = serve => None,
                found = answer(&context, &sockets, &none, Instant::now() + START_TIME) => found,
            };
            assert_eq!(matches!(found, Some(Probe::Http(_))), is_young, "{found:?}");
        }
    }
}
