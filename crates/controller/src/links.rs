//! The port on which agents come: a task for each connection, which tells the loop what it hears and sends what the loop says.
//! The tasks have threads of their own, so that ten thousand who shake hands keep nobody from the loop. What any of it means is
//! the engine's.

use std::{
    net::SocketAddr,
    num::NonZero,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::available_parallelism,
    time::Duration,
};

use ansai_fleet::input::{Came, JoiningId, SessionId};
use ansai_link::{
    Trouble,
    accept::{Acceptor, Arrival, Arrived},
    dial::Link,
    road::Road,
};
use ansai_model::text::Text;
use ansai_protocol::link::{FromController, FromHost, Hello, HostId, Join, JoinAnswer, Message, Short};
use bytes::Bytes;
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::{Semaphore, mpsc, oneshot, watch},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{listening, start::now};

/// Most threads for links: shaking hands is most of the work, and ten thousand come back in seconds with two.
const THREADS_MAX: usize = 4;
/// Most connections; the unit allows a few more files than that.
const CONNECTIONS_MAX: usize = 60_000;
/// Most connections that wait in the kernel's queue; `net.core.somaxconn` (4096) may allow fewer.
const QUEUED_MAX: u32 = 16_384;
/// Most that shake hands at once on a thread. All of them at once would take as long as all together for each, and be given up;
/// whoever has a turn is done soon, and the others wait for theirs with what they have said unread.
const SHAKING_MAX: usize = 64;
/// Who has not shaken hands by then waits for its network and not for us: its turn is over, and it goes on beside the others.
const TURN_LASTS: Duration = Duration::from_millis(500);
/// Most that ask to join at once, of all.
const JOININGS_MAX: usize = 64;
/// Most frames that wait for one host: one that takes nothing is let go.
const WAITING_MAX: usize = 64;
/// Longest wait for the first byte of a connection: who says nothing has no turn, and takes none from others.
const GREETED_WITHIN: Duration = Duration::from_secs(10);
/// Longest wait for the first message of a host, and for the engine's answer to one who joins.
const FIRST_WITHIN: Duration = Duration::from_secs(10);
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// The wait after a connection that could not be taken, as for want of a file descriptor.
const AGAIN_AFTER: Duration = Duration::from_millis(100);

/// What is told to the loop.
#[derive(Debug)]
pub(crate) enum News {
    /// A host is there.
    Connected(Box<Connected>),
    /// It said something.
    Heard(SessionId, Box<FromHost>),
    /// It is gone.
    Gone(SessionId, Text),
    /// Somebody wants to join.
    Joins(Box<Joins>),
}

/// A host that proved who it is, with the first thing that it said.
#[derive(Debug)]
pub(crate) struct Connected {
    pub(crate) session: SessionId,
    pub(crate) came: Came,
    pub(crate) hello: Hello,
    pub(crate) to: Outgoing,
}

/// Somebody who wants to join, with the place for the answer.
#[derive(Debug)]
pub(crate) struct Joins {
    pub(crate) joining: JoiningId,
    pub(crate) join: Join,
    pub(crate) address: Short,
    /// The member to which we have carried the agent that asks.
    pub(crate) carried: Option<HostId>,
    pub(crate) answer: oneshot::Sender<JoinAnswer>,
}

/// Where a host is told things. The session ends when this is dropped, after what was told.
#[derive(Debug)]
pub(crate) struct Outgoing(mpsc::Sender<Bytes>);

impl Outgoing {
    /// Tells it, without waiting; no when the host takes nothing, and is to be let go.
    pub(crate) fn tell(&self, message: &FromController) -> bool {
        self.0.try_send(message.write().into()).is_ok()
    }
}

/// What every connection's task has.
pub(crate) struct Shared {
    acceptor: watch::Receiver<Acceptor>,
    news: mpsc::Sender<News>,
    /// The number of the last connection, whichever thread has it.
    last: Arc<AtomicU64>,
    places: Arc<Semaphore>,
    joinings: Arc<Semaphore>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// Listens. Hosts that lost their controller in one moment dial within two seconds of each other, faster than hands are shaken;
/// whoever finds no room in the kernel's queue comes seconds later.
///
/// # Errors
/// When the address cannot be had.
pub(crate) fn listen(at: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if at.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // As a service that is started again needs it: connections of the one before may linger.
    socket.set_reuseaddr(true)?;
    socket.bind(at)?;
    socket.listen(QUEUED_MAX)
}

/// Takes connections until stopped, each on the thread that has time for it first.
///
/// # Errors
/// When the system has no thread or no file to give to one of them: then some may take connections already, until stopped.
pub(crate) fn serve(listener: TcpListener, shared: &Arc<Shared>) -> std::io::Result<()> {
    let listener = listener.into_std()?;
    for _ in 0..available_parallelism().map_or(1, NonZero::get).min(THREADS_MAX) {
        let shared = shared.clone();
        listening::begin("links", listener.try_clone()?, |listener| take(listener, shared))?;
    }
    Ok(())
}

impl Shared {
    /// What connections need; none is there yet.
    pub(crate) fn new(
        acceptor: watch::Receiver<Acceptor>,
        news: mpsc::Sender<News>,
        tasks: TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        Self {
            acceptor,
            news,
            last: Arc::default(),
            places: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
            joinings: Arc::new(Semaphore::new(JOININGS_MAX)),
            tasks,
            stop,
        }
    }

    fn number(&self) -> u64 {
        self.last.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Has an agent that we have carried to a member get its certificate.
    pub(crate) async fn certify(&self, host: HostId, join: Join, address: Short) -> JoinAnswer {
        self.ask(Some(host), JoiningId(self.number()), join, address).await.unwrap_or_else(|| JoinAnswer::Refused {
            what: "the controller is stopping".into(),
            suggestion: "it is carried again when the controller is back".into(),
        })
    }

    /// The link of an agent that we have carried, on a stream that leads there, until it ends.
    pub(crate) async fn carried(&self, road: Road, address: Short) -> Result<(), Trouble> {
        let acceptor = self.acceptor.borrow().clone();
        let Arrival::Host(arrived) = Box::pin(acceptor.accept(road)).await? else { return Err(Trouble::SomebodyElse) };
        Box::pin(session(arrived, SessionId(self.number()), address, false, self)).await;
        Ok(())
    }

    /// Asks the loop; nothing when it turns no more.
    async fn ask(&self, carried: Option<HostId>, joining: JoiningId, join: Join, address: Short) -> Option<JoinAnswer> {
        let (answer, answered) = oneshot::channel();
        let joins = Joins { joining, join, address, carried, answer };
        self.news.send(News::Joins(Box::new(joins))).await.ok()?;
        let answered = tokio::time::timeout(ANSWER_WITHIN, answered).await;
        let busy = || JoinAnswer::Refused {
            what: "the controller could not answer in time".into(),
            suggestion: "try again; `ansai controller doctor` there says more".into(),
        };
        Some(answered.ok().and_then(Result::ok).unwrap_or_else(busy))
    }
}

/// One thread's part of it.
async fn take(listener: TcpListener, shared: Arc<Shared>) {
    let turns = Arc::new(Semaphore::new(SHAKING_MAX));
    loop {
        let accepted = tokio::select! {
            () = shared.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!("a connection could not be taken: {}", ansai_files::said(&error));
                tokio::time::sleep(AGAIN_AFTER).await;
                continue;
            }
        };
        // Who finds no place hears that the connection was closed, and comes again.
        let Ok(place) = shared.places.clone().try_acquire_owned() else { continue };
        let number = shared.number();
        let (of_task, turns) = (shared.clone(), turns.clone());
        shared.tasks.spawn(async move {
            tokio::select! {
                () = of_task.stop.cancelled() => {}
                () = connection(stream, peer, number, &of_task, &turns) => {}
            }
            drop(place);
        });
    }
}

async fn connection(stream: TcpStream, peer: SocketAddr, number: u64, shared: &Shared, turns: &Semaphore) {
    let address = Short::new(peer.ip().to_canonical().to_string());
    let is_beside = stream.local_addr().is_ok_and(|own| own.ip() == peer.ip());
    match in_turn(&shared.acceptor, stream, turns).await {
        Ok(Arrival::Host(arrived)) => Box::pin(session(arrived, SessionId(number), address, is_beside, shared)).await,
        Ok(Arrival::Joining(link)) => Box::pin(joining(*link, JoiningId(number), address, shared)).await,
        Err(trouble) => tracing::debug!("{address}: {trouble}"),
    }
}

/// Waits until somebody has said something and it is their turn, and shakes hands.
async fn in_turn(
    acceptor: &watch::Receiver<Acceptor>,
    stream: TcpStream,
    turns: &Semaphore,
) -> Result<Arrival, Trouble> {
    // Being woken is no sign that something came. What a look at the socket says of its trouble the handshake says as well.
    let greeted = tokio::time::timeout(GREETED_WITHIN, stream.peek(&mut [0])).await;
    let _ = greeted.map_err(|_| Trouble::Silent(GREETED_WITHIN))?;
    // Nobody closes it.
    let turn = turns.acquire().await;
    let acceptor = acceptor.borrow().clone();
    // The future of a session is small and lives long; that of a handshake is large, and goes when it has ended.
    Box::pin(shaken(&acceptor, stream, turn)).await
}

/// Shakes hands; the turn ends with that, or before.
async fn shaken(acceptor: &Acceptor, stream: TcpStream, turn: impl Send) -> Result<Arrival, Trouble> {
    let mut shaking = std::pin::pin!(acceptor.accept(stream));
    if let Ok(arrived) = tokio::time::timeout(TURN_LASTS, &mut shaking).await {
        return arrived;
    }
    drop(turn);
    shaking.await
}

async fn session(arrived: Box<Arrived>, session: SessionId, address: Short, is_beside: bool, shared: &Shared) {
    let Arrived { host, serial, is_expired, mut link, .. } = *arrived;
    let hello = match link.receive_within(FIRST_WITHIN).await {
        Ok(FromHost::Hello(hello)) => *hello,
        Ok(_) => return tracing::info!("{address}: host {host} did not say who it is first"),
        Err(trouble) => return tracing::info!("{address}: host {host}: {trouble}"),
    };
    let (to, said) = mpsc::channel(WAITING_MAX);
    let serial = Text::new(serial.to_string());
    let came = Came { host, serial, address, is_expired, is_beside };
    let connected = Connected { session, came, hello, to: Outgoing(to) };
    if shared.news.send(News::Connected(Box::new(connected))).await.is_err() {
        return;
    }
    let why = talk(&mut link, session, said, shared).await;
    link.close().await;
    // While we stop nobody listens.
    let _ = shared.news.send(News::Gone(session, why)).await;
}

/// Hears and tells until one of both ends it; why it ended.
async fn talk(link: &mut Link, session: SessionId, mut said: mpsc::Receiver<Bytes>, shared: &Shared) -> Text {
    loop {
        // Both arms only receive, and lose nothing when the other one is chosen.
        tokio::select! {
            heard = link.receive::<FromHost>() => match heard {
                Ok(message) => {
                    // A host whose controller says nothing for long takes its link for dead.
                    let is_beat = matches!(message, FromHost::Beat { .. });
                    if is_beat && let Err(trouble) = link.send(&FromController::Beat { now_ms: now().wall.0 }).await {
                        return Text::new(trouble.to_string());
                    }
                    if shared.news.send(News::Heard(session, Box::new(message))).await.is_err() {
                        return "the controller is stopping".into();
                    }
                }
                Err(trouble) => return Text::new(trouble.to_string()),
            },
            frame = said.recv() => match frame {
                Some(frame) => {
                    if let Err(trouble) = link.send_frame(frame).await {
                        return Text::new(trouble.to_string());
                    }
                }
                None => return "the controller closed it".into(),
            },
        }
    }
}

async fn joining(mut link: Link, joining: JoiningId, address: Short, shared: &Shared) {
    // Whoever finds no place comes again; a few who say nothing keep nobody out for long.
    let Ok(_place) = shared.joinings.try_acquire() else { return };
    let join = match link.receive_within::<Join>(FIRST_WITHIN).await {
        Ok(join) => join,
        Err(trouble) => return tracing::info!("{address}: did not ask to join: {trouble}"),
    };
    let Some(answer) = shared.ask(None, joining, join, address).await else { return };
    if link.send(&answer).await.is_ok() {
        link.close().await;
    }
}

#[cfg(test)]
mod tests {
    use ansai_link::{authority::Authority, key::Key};
    use ansai_protocol::link::ControllerId;
    use tokio::io::AsyncWriteExt;

    use super::*;

    fn acceptor() -> Acceptor {
        let (authority, key) = (Authority::create(now().wall).expect("a CA"), Key::generate().expect("a key"));
        let signed = authority.sign_controller(&key, ControllerId::of_chance([3; 16]), now().wall).expect("signed");
        let roots = authority.roots().expect("short");
        Acceptor::new(&key, &signed.certificate, authority.certificate_pem(), &roots).expect("settings")
    }

    #[tokio::test]
    async fn who_says_nothing_takes_no_turn_from_others() {
        let listener = listen("127.0.0.1:0".parse().expect("an address")).expect("a port");
        let at = listener.local_addr().expect("bound");
        let (_keep, acceptor) = watch::channel(acceptor());
        let turns = Semaphore::new(1);
        let _silent = TcpStream::connect(at).await.expect("connected");
        let (taken, _) = listener.accept().await.expect("somebody");
        let silent = in_turn(&acceptor, taken, &turns);
        let next = async {
            let mut other = TcpStream::connect(at).await.expect("connected");
            let (taken, _) = listener.accept().await.expect("somebody");
            other.write_all(b"GET / HTTP/1.1\r\n\r\n").await.expect("said");
            in_turn(&acceptor, taken, &turns).await
        };
        tokio::select! {
            biased;
            _ = silent => panic!("it has said nothing"),
            arrived = next => assert!(arrived.is_err(), "it has had its turn, and speaks no TLS"),
        }
        assert_eq!(turns.available_permits(), 1);
    }
}
