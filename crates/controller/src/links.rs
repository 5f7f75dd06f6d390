//! The port on which agents come: a task for each connection, which tells the loop what it hears and sends what the loop says.
//! What any of it means is the engine's.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use ansai_fleet::input::{Came, JoiningId, SessionId};
use ansai_link::{
    accept::{Acceptor, Arrival, Arrived},
    dial::Link,
};
use ansai_model::text::Text;
use ansai_protocol::link::{FromController, FromHost, Hello, Join, JoinAnswer, Message, Short};
use bytes::Bytes;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc, oneshot, watch},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::start::now;

/// Most connections; the unit allows a few more files than that.
const CONNECTIONS_MAX: usize = 60_000;
/// Most that ask to join at once, of all.
const JOININGS_MAX: usize = 64;
/// Most frames that wait for one host: one that takes nothing is let go.
const WAITING_MAX: usize = 64;
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
#[derive(Clone)]
struct Shared {
    acceptor: watch::Receiver<Acceptor>,
    news: mpsc::Sender<News>,
    joinings: Arc<Semaphore>,
    stop: CancellationToken,
}

/// Takes connections until stopped.
pub(crate) async fn serve(
    listener: TcpListener,
    acceptor: watch::Receiver<Acceptor>,
    news: mpsc::Sender<News>,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    let shared = Shared { acceptor, news, joinings: Arc::new(Semaphore::new(JOININGS_MAX)), stop: stop.clone() };
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut number = 0_u64;
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
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
        let Ok(place) = places.clone().try_acquire_owned() else { continue };
        number += 1;
        let (shared, number) = (shared.clone(), number);
        tasks.spawn(async move {
            tokio::select! {
                () = shared.stop.cancelled() => {}
                () = connection(stream, peer, number, &shared) => {}
            }
            drop(place);
        });
    }
}

async fn connection(stream: TcpStream, peer: SocketAddr, number: u64, shared: &Shared) {
    let acceptor = shared.acceptor.borrow().clone();
    let address = Short::new(peer.ip().to_canonical().to_string());
    let is_beside = stream.local_addr().is_ok_and(|own| own.ip() == peer.ip());
    match acceptor.accept(stream).await {
        // The future of a session is small and lives long; that of a handshake is large, and has ended.
        Ok(Arrival::Host(arrived)) => Box::pin(session(arrived, SessionId(number), address, is_beside, shared)).await,
        Ok(Arrival::Joining(link)) => Box::pin(joining(*link, JoiningId(number), address, shared)).await,
        Err(trouble) => tracing::debug!("{address}: {trouble}"),
    }
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
    let (answer, answered) = oneshot::channel();
    let joins = Joins { joining, join, address, answer };
    if shared.news.send(News::Joins(Box::new(joins))).await.is_err() {
        return;
    }
    let answered = tokio::time::timeout(ANSWER_WITHIN, answered).await;
    let busy = || JoinAnswer::Refused {
        what: "the controller could not answer in time".into(),
        suggestion: "try again; `ansai controller doctor` there says more".into(),
    };
    let answer = answered.ok().and_then(Result::ok).unwrap_or_else(busy);
    if link.send(&answer).await.is_ok() {
        link.close().await;
    }
}
