//! A controller that listens, and hosts that it has signed.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ansai_link::{
    Trouble,
    accept::{Acceptor, Arrival, Arrived},
    authority::{Authority, Signed},
    dial::{Caller, Link, Route},
    key::Key,
};
use ansai_model::time::WallTime;
use ansai_protocol::link::{
    ControllerId, FeedId, FromController, FromHost, Held, Hello, HostId, RestraintsAt, VERSION, Welcome,
};
use tokio::net::{TcpListener, TcpStream};

pub(crate) const HOUR: Duration = Duration::from_secs(3600);
pub(crate) const DAY: Duration = Duration::from_secs(86_400);

pub(crate) fn now() -> WallTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    WallTime(i64::try_from(since.as_millis()).expect("before the end of time"))
}

/// A moment so long ago.
pub(crate) fn ago(long: Duration) -> WallTime {
    WallTime(now().0 - i64::try_from(long.as_millis()).expect("short"))
}

/// A moment to come.
pub(crate) fn to_come(long: Duration) -> WallTime {
    now().plus(long)
}

pub(crate) struct Controller {
    pub(crate) id: ControllerId,
    pub(crate) authority: Authority,
    pub(crate) acceptor: Acceptor,
    pub(crate) listener: TcpListener,
}

impl Controller {
    /// One whose own certificate was signed at this moment.
    pub(crate) async fn signed_at(at: WallTime) -> Self {
        let id = ControllerId::of_chance([3; 16]);
        let authority = Authority::create(ago(365 * DAY)).expect("a CA");
        let key = Key::generate().expect("a key");
        let signed = authority.sign_controller(&key, id, at).expect("signed");
        let roots = authority.roots().expect("short");
        let acceptor = Acceptor::new(&key, &signed.certificate, authority.certificate_pem(), &roots).expect("settings");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        Self { id, authority, acceptor, listener }
    }

    pub(crate) async fn new() -> Self {
        Self::signed_at(now()).await
    }

    pub(crate) fn route(&self) -> Route {
        let address = self.listener.local_addr().expect("bound").to_string();
        Route::new(&address, None).expect("an address")
    }

    pub(crate) async fn tcp(&self) -> TcpStream {
        self.listener.accept().await.expect("somebody comes").0
    }

    pub(crate) async fn accept(&self) -> Result<Arrival, Trouble> {
        self.acceptor.accept(self.tcp().await).await
    }

    pub(crate) async fn accept_host(&self) -> Result<Box<Arrived>, Trouble> {
        match self.accept().await? {
            Arrival::Host(arrived) => Ok(arrived),
            Arrival::Joining(_) => panic!("it came to join"),
        }
    }

    /// Takes one host in, whoever it is, and hands its hello back.
    pub(crate) async fn take_in(&self) -> Result<(Link, Hello), Trouble> {
        let mut arrived = self.accept_host().await?;
        let FromHost::Hello(hello) = arrived.link.receive().await? else { panic!("no hello") };
        arrived.link.send(&FromController::Welcome(Box::new(self.welcome(arrived.host)))).await?;
        Ok((arrived.link, *hello))
    }

    pub(crate) fn welcome(&self, host: HostId) -> Welcome {
        Welcome {
            version: VERSION,
            controller: self.id,
            epoch: 1,
            host,
            name: "web-01".into(),
            now_ms: now().0,
            kept: None,
            tells: false,
        }
    }

    /// A host of it, signed at this moment.
    pub(crate) fn host_at(&self, at: WallTime) -> (Caller, Signed) {
        let key = Key::generate().expect("a key");
        let signed = self.authority.sign_host(&key.request().expect("a request"), host(), at).expect("signed");
        (self.caller(&key, &signed), signed)
    }

    pub(crate) fn host(&self) -> Caller {
        self.host_at(now()).0
    }

    pub(crate) fn caller(&self, key: &Key, signed: &Signed) -> Caller {
        let roots = self.authority.roots().expect("short");
        Caller::new(key, &signed.certificate, self.id, &roots).expect("settings")
    }
}

pub(crate) fn host() -> HostId {
    HostId::of_chance([1; 16])
}

pub(crate) fn hello() -> Hello {
    Hello {
        oldest: VERSION,
        newest: VERSION,
        program: "1.5.0".into(),
        name: "web-01".into(),
        machine_id: "".into(),
        boot_id: "".into(),
        started_ms: 1,
        now_ms: now().0,
        feed: FeedId::of_chance([2; 16]),
        restraints: RestraintsAt::default(),
        configuration: Held::default(),
        role: None,
        labels: Vec::new(),
    }
}
