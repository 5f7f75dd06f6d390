//! HTTP and JSON on a unix socket, for an agent as for a controller: guarded by the socket's file permissions, one question a
//! connection, in bounded time, and nobody keeps root's places. The same is spoken on a stream that somebody else has accepted
//! ([`converse`]). What can be asked, and what is answered, is the caller's.

use std::{
    convert::Infallible,
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use ansai_model::{text::Text, time::Shown};
use ansai_protocol::Problem;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use http_body_util::{BodyExt, Either, Full, Limited, StreamBody};
use hyper::{
    Request, Response, StatusCode,
    body::{Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::de::DeserializeOwned;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{UnixListener, UnixStream},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

mod slots;

pub use slots::USER_MAX;

/// Largest body of a request.
pub const BODY_MAX: usize = 64 * 1024;
/// Largest head of a request, and most of a body that is read at once.
const HEAD_MAX: usize = 64 * 1024;
/// How long a reader of a stream that was dropped may take to read what is left, with its closing line.
pub const CLOSING_MAX: Duration = Duration::from_secs(5);
/// Longest that one request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest that a head may take to arrive, and a body after it.
const ARRIVAL_MAX: Duration = Duration::from_secs(10);
/// Longest life of a connection that is no stream: whoever does not read an answer is let go.
pub const CONNECTION_MAX: Duration = Duration::from_secs(60);

/// Most of the host's tables of users and groups that is read.
const TABLE_BYTES_MAX: u64 = 4 << 20;

/// The group that may use the socket besides root.
const GROUP: &str = "ansai";

type Frames = Pin<Box<dyn Stream<Item = Result<Frame<Bytes>, Infallible>> + Send>>;
/// One answer, or a stream of lines.
pub type Body = Either<Full<Bytes>, StreamBody<Frames>>;
/// A problem with its status code.
pub type Refusal = (StatusCode, Problem);

/// Who asks.
#[derive(Clone, Debug)]
pub struct Asker {
    /// The user's name.
    pub by: Text,
    /// Whether it is root, or the user as whom we run.
    pub is_trusted: bool,
}

/// Who answers. A clone is another handle.
pub trait Answers: Clone + Send + Sync + 'static {
    /// What it is called, as in "the agent is busy".
    const NAME: &'static str;

    /// Answers a request. A stream whose reader is too slow cancels `slow`, and is closed [`CLOSING_MAX`] later.
    fn answer(
        &self,
        request: Request<Incoming>,
        asker: Asker,
        slow: CancellationToken,
    ) -> impl Future<Output = Response<Body>> + Send;

    /// What is said of a request for `path` that took too long: what, and what to do.
    fn overdue(&self, path: &str) -> (&'static str, &'static str);
}

/// Listens on `path` until stopped. Whoever calls has the right to it: a socket that is there is nobody's.
///
/// # Errors
/// When the socket cannot be made.
pub fn serve(path: &Path, answers: impl Answers, tasks: &TaskTracker, stop: CancellationToken) -> std::io::Result<()> {
    serve_as(path, answers, tasks, stop, uid)
}

/// The same, with who is at the other end of a connection told by `uid`.
///
/// # Errors
/// When the socket cannot be made.
pub fn serve_as(
    path: &Path,
    answers: impl Answers,
    tasks: &TaskTracker,
    stop: CancellationToken,
    uid: impl Fn(&UnixStream) -> u32 + Send + 'static,
) -> std::io::Result<()> {
    let listener = bound(path)?;
    let connections = tasks.clone();
    tasks.spawn(async move {
        let slots = slots::Slots::new(rustix::process::geteuid().as_raw());
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            let Ok((stream, _)) = accepted else { continue };
            let uid = uid(&stream);
            let place = match slots.take(uid) {
                Ok(place) => place,
                Err(busy) => {
                    turn_away(&stream, &busy, who(&answers));
                    continue;
                }
            };
            let asker = Asker { by: name(uid), is_trusted: slots.is_trusted(uid) };
            let (answers, stop) = (answers.clone(), stop.clone());
            connections.spawn(async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = converse(stream, answers, asker) => {}
                }
                drop(place);
            });
        }
    });
    Ok(())
}

fn who<A: Answers>(_: &A) -> &'static str {
    A::NAME
}

fn bound(path: &Path) -> std::io::Result<UnixListener> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        Err(_) | Ok(()) => {}
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o660))?;
    if let Some(group) = group_id(&table("/etc/group")) {
        // Who is not root, and no member of it, keeps the own group on the socket.
        let _ = std::os::unix::fs::chown(path, None, Some(group));
    }
    Ok(listener)
}

/// The group whose members may ask, when the host has it.
fn group_id(groups: &str) -> Option<u32> {
    groups.lines().find(|line| line.split(':').next() == Some(GROUP))?.split(':').nth(2)?.parse().ok()
}

/// Answers the one question of a connection, in bounded time and memory.
pub async fn converse<A: Answers>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    answers: A,
    asker: Asker,
) {
    let slow = CancellationToken::new();
    let dropped = slow.clone();
    let is_stream = Arc::new(AtomicBool::new(false));
    let streams = is_stream.clone();
    let answering = service_fn(move |request: Request<Incoming>| {
        let (answers, asker, dropped, streams) = (answers.clone(), asker.clone(), dropped.clone(), streams.clone());
        async move {
            let (what, suggestion) = answers.overdue(request.uri().path());
            let answered = tokio::time::timeout(REQUEST_TIMEOUT, answers.answer(request, asker, dropped)).await;
            let answered = answered.unwrap_or_else(|_| refusal(problem(StatusCode::GATEWAY_TIMEOUT, what, suggestion)));
            streams.store(matches!(answered.body(), Either::Right(_)), Ordering::Relaxed);
            Ok::<_, Infallible>(answered)
        }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(ARRIVAL_MAX)
        .max_buf_size(HEAD_MAX)
        // What is sent behind the first request is not read.
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), answering);
    let overdue = async {
        tokio::time::sleep(CONNECTION_MAX).await;
        if is_stream.load(Ordering::Relaxed) {
            // Readers of the stream are let go by what waits for them.
            std::future::pending::<()>().await;
        }
    };
    let given_up = async {
        slow.cancelled().await;
        // What waits for the reader may still be read, with the line that says why it ends.
        tokio::time::sleep(CLOSING_MAX).await;
    };
    tokio::select! {
        // A client that breaks off has its reasons.
        _ = served => {}
        () = given_up => {}
        () = overdue => {}
    }
}

/// The user at the other end, from the socket's credentials; nobody's number where the kernel does not say.
pub fn uid(stream: &UnixStream) -> u32 {
    stream.peer_cred().map_or(u32::MAX, |credentials| credentials.uid())
}

/// The host's table of groups or users; one that cannot be read names nobody.
fn table(file: &str) -> String {
    ansai_files::head_text(Path::new(file), TABLE_BYTES_MAX).unwrap_or_default()
}

/// A user's name.
fn name(uid: u32) -> Text {
    if uid == u32::MAX {
        return "somebody".into();
    }
    let number = uid.to_string();
    let passwd = table("/etc/passwd");
    let line = passwd.lines().find(|line| line.split(':').nth(2) == Some(&number));
    let name = line.and_then(|line| line.split(':').next());
    Text::new(name.map_or_else(|| format!("user {uid}"), str::to_owned))
}

/// Says why nothing is heard, and that nothing was: whoever asks may ask the same again a little later. The buffer of a new connection is empty, so nothing is waited for.
fn turn_away(stream: &UnixStream, busy: &slots::Busy, who: &str) {
    let (uid, count) = busy.most;
    let what = format!("{who} is busy: {} connections are open, {count} of them by {}", busy.open, name(uid));
    let problem = Problem::new(what, "end what keeps them open, and try again").document(503, "Service Unavailable");
    let body = serde_json::to_string(&problem).unwrap_or_default();
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\nconnection: close\r\n\
         retry-after: 1\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    // Whoever does not hear it hears that the connection was closed.
    let _ = stream.try_write(answer.as_bytes());
}

/// What a request says, in JSON. It has a bound, in bytes and in time.
///
/// # Errors
/// When it is longer, does not arrive, or is something else; `page` is where one may read what it should be.
pub async fn body<T: DeserializeOwned>(request: Request<Incoming>, page: &str) -> Result<T, Refusal> {
    body_within(request, page, BODY_MAX).await
}

/// The same, of at most so many bytes.
///
/// # Errors
/// When it is too long, does not come in time, or is no such document.
pub async fn body_within<T: DeserializeOwned>(
    request: Request<Incoming>,
    page: &str,
    bytes_max: usize,
) -> Result<T, Refusal> {
    let bad = |what: String| problem(StatusCode::BAD_REQUEST, what, page);
    let body = tokio::time::timeout(ARRIVAL_MAX, Limited::new(request.into_body(), bytes_max).collect()).await;
    let body = body.map_err(|_| bad(format!("the body did not arrive within {}", Shown(ARRIVAL_MAX))))?;
    let body = body.map_err(|error| bad(error.to_string()))?;
    serde_json::from_slice(&body.to_bytes()).map_err(|error| bad(error.to_string()))
}

/// An answer of one document, or why there is none.
#[must_use]
pub fn answered(reply: Result<serde_json::Value, Refusal>) -> Response<Body> {
    match reply {
        Ok(value) => response(StatusCode::OK, "application/json", whole(&value)),
        Err(refused) => refusal(refused),
    }
}

/// The same, of a document that was written already: one of many hosts is written where it holds nobody up.
#[must_use]
pub fn written(reply: Result<Bytes, Refusal>) -> Response<Body> {
    written_as("application/json", reply)
}

/// The same, of another kind than JSON.
#[must_use]
pub fn written_as(kind: &'static str, reply: Result<Bytes, Refusal>) -> Response<Body> {
    match reply {
        Ok(text) => response(StatusCode::OK, kind, Body::Left(Full::new(text))),
        Err(refused) => refusal(refused),
    }
}

/// An answer of lines, for as long as they come.
#[must_use]
pub fn streamed(kind: &'static str, lines: impl Stream<Item = Bytes> + Send + 'static) -> Response<Body> {
    let frames: Frames = Box::pin(lines.map(|line| Ok(Frame::data(line))));
    response(StatusCode::OK, kind, Body::Right(StreamBody::new(frames)))
}

/// What went wrong, with its status code.
#[must_use]
pub fn problem(status: StatusCode, what: impl Into<Text>, suggestion: impl Into<Text>) -> Refusal {
    (status, Problem::new(what, suggestion))
}

fn whole(value: &serde_json::Value) -> Body {
    Body::Left(Full::new(Bytes::from(value.to_string())))
}

/// A problem, as RFC 9457 writes it.
#[must_use]
pub fn refusal((status, problem): Refusal) -> Response<Body> {
    let document = problem.document(status.as_u16(), status.canonical_reason().unwrap_or("Error"));
    response(status, "application/problem+json", whole(&serde_json::to_value(document).unwrap_or_default()))
}

fn response(status: StatusCode, kind: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert("content-type", hyper::header::HeaderValue::from_static(kind));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_goes_to_the_group_of_that_very_name() {
        let groups = "root:x:0:\nansai-old:x:5:\nansai:x:998:alice\n";
        assert_eq!(group_id(groups), Some(998));
        assert_eq!(group_id("ansai:x:\nbroken\n"), None);
        assert_eq!(group_id(""), None);
    }
}
