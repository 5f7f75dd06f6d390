//! The local API: HTTP and JSON on a unix socket, guarded by the socket's file permissions.
//! It asks the loop and decides nothing. One connection asks one thing, in bounded time, and keeps none of root's slots.

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

use ansai_model::{
    id::{IncidentId, TargetId},
    operator::{Operation, OperatorCommand},
    text::Text,
    time::Shown,
};
use ansai_protocol::{Operate, Problem};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use http_body_util::{BodyExt, Either, Full, Limited, StreamBody};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{UnixListener, UnixStream},
    sync::{mpsc, oneshot},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::events::{CLOSING_MAX, Events, READERS_MAX, Seat};

mod slots;
#[cfg(test)]
mod tests;

/// Largest body of a request.
const BODY_MAX: usize = 64 * 1024;
/// Longest that one request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest that a head may take to arrive, and a body after it.
const ARRIVAL_MAX: Duration = Duration::from_secs(10);
/// Longest life of a connection that is no stream: whoever does not read an answer is let go.
const CONNECTION_MAX: Duration = Duration::from_secs(60);

/// Most of the host's tables of users and groups that is read.
const TABLE_BYTES_MAX: u64 = 4 << 20;

/// The group that may use the socket besides root.
const GROUP: &str = "ansai";

/// Where the event stream is.
const EVENTS_PATH: &str = "/v1/events";

type Frames = Pin<Box<dyn Stream<Item = Result<Frame<Bytes>, Infallible>> + Send>>;
/// One answer, or a stream of lines.
type Body = Either<Full<Bytes>, StreamBody<Frames>>;

/// What can be asked of the loop.
#[derive(Debug)]
pub enum Query {
    /// The agent and all targets.
    Status,
    /// Open and past incidents.
    Incidents,
    /// One report.
    Report(IncidentId),
    /// Everything about a target.
    Explain(TargetId),
    /// What healing a target would do.
    Plan(TargetId),
    /// An operator's command.
    Operate(OperatorCommand),
    /// What such a command would be answered; nothing is done.
    Rehearse(OperatorCommand),
    /// Try what the agent may do.
    Abilities,
    /// Read the configuration anew, and say whether it is in force.
    Reload,
    /// What a reload would come to; nothing is applied.
    RehearseReload,
    /// Say whether the servers of routes can be reached; nothing is sent.
    ReachRoutes,
    /// Send a test on every route, asked for by this person.
    SendTest(Text),
}

/// The loop's answer: JSON, or a problem with its status code.
pub type Reply = Result<serde_json::Value, (StatusCode, Problem)>;

/// A question with the place for its answer.
#[derive(Debug)]
pub struct Asked {
    /// What is asked.
    pub query: Query,
    /// Where the answer goes.
    pub reply: oneshot::Sender<Reply>,
}

/// Listens on `path` until stopped.
///
/// # Errors
/// When the socket cannot be made.
pub fn serve(
    path: &Path,
    asked: mpsc::Sender<Asked>,
    events: Events,
    tasks: &TaskTracker,
    stop: CancellationToken,
) -> std::io::Result<()> {
    serve_as(path, asked, events, tasks, stop, uid)
}

/// The same, with who is at the other end of a connection told by `uid`.
fn serve_as(
    path: &Path,
    asked: mpsc::Sender<Asked>,
    events: Events,
    tasks: &TaskTracker,
    stop: CancellationToken,
    uid: impl Fn(&UnixStream) -> u32 + Send + 'static,
) -> std::io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    // The state directory's lock is held, so a socket that is left is nobody's.
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        Err(_) | Ok(()) => {}
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o660))?;
    if let Some(group) = group_id(&table("/etc/group")) {
        // An agent that is not root keeps its own group on the socket.
        let _ = std::os::unix::fs::chown(path, None, Some(group));
    }
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
                    turn_away(&stream, &busy);
                    continue;
                }
            };
            let seat = if slots.is_trusted(uid) { Seat::Kept } else { Seat::Any };
            let (asked, events, stop) = (asked.clone(), events.clone(), stop.clone());
            connections.spawn(async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = connection(stream, asked, events, Asker { by: name(uid), seat }) => {}
                }
                drop(place);
            });
        }
    });
    Ok(())
}

/// The group whose members may talk to the agent, when the host has it.
fn group_id(groups: &str) -> Option<u32> {
    groups.lines().find(|line| line.split(':').next() == Some(GROUP))?.split(':').nth(2)?.parse().ok()
}

/// Who asks.
#[derive(Clone)]
struct Asker {
    by: Text,
    seat: Seat,
}

async fn connection(stream: UnixStream, asked: mpsc::Sender<Asked>, events: Events, asker: Asker) {
    let slow = CancellationToken::new();
    let dropped = slow.clone();
    let is_stream = Arc::new(AtomicBool::new(false));
    let streams = is_stream.clone();
    let answers = service_fn(move |request: Request<Incoming>| {
        let (asked, asker, events, dropped) = (asked.clone(), asker.clone(), events.clone(), dropped.clone());
        streams.store(request.uri().path() == EVENTS_PATH, Ordering::Relaxed);
        async move { Ok::<_, Infallible>(respond(request, asked, asker, &events, dropped).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(ARRIVAL_MAX)
        // What is sent behind the first request is not read.
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), answers);
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
fn uid(stream: &UnixStream) -> u32 {
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
fn turn_away(stream: &UnixStream, busy: &slots::Busy) {
    let (uid, count) = busy.most;
    let what = format!("the agent is busy: {} connections are open, {count} of them by {}", busy.open, name(uid));
    let body =
        serde_json::to_string(&Problem::new(what, "end what keeps them open, and try again")).unwrap_or_default();
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nconnection: close\r\n\
         retry-after: 1\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    // Whoever does not hear it hears that the connection was closed.
    let _ = stream.try_write(answer.as_bytes());
}

async fn respond(
    request: Request<Incoming>,
    asked: mpsc::Sender<Asked>,
    asker: Asker,
    events: &Events,
    dropped: CancellationToken,
) -> Response<Body> {
    let Asker { by, seat } = asker;
    if (request.method(), request.uri().path()) == (&Method::GET, EVENTS_PATH) {
        return match events.listen(dropped, seat) {
            Some(lines) => {
                response(StatusCode::OK, "application/x-ndjson", Body::Right(StreamBody::new(frames(lines))))
            }
            None => refusal(problem(
                StatusCode::SERVICE_UNAVAILABLE,
                format!("{READERS_MAX} readers listen already"),
                "end one of them",
            )),
        };
    }
    let (what, suggestion) = match request.uri().path() {
        // A reading that takes longer than anybody waits for goes on.
        "/v1/reload" => ("the configuration is still being read", "it comes into force by itself; see `ansai status`"),
        _ => ("the agent did not answer in time", "try again; see its log"),
    };
    match tokio::time::timeout(REQUEST_TIMEOUT, answer(request, asked, by)).await {
        Ok(Ok(value)) => response(StatusCode::OK, "application/json", whole(&value)),
        Ok(Err(problem)) => refusal(problem),
        Err(_) => refusal(problem(StatusCode::GATEWAY_TIMEOUT, what, suggestion)),
    }
}

/// The lines as a body; it ends with them.
fn frames(lines: impl Stream<Item = Bytes> + Send + 'static) -> Frames {
    Box::pin(lines.map(|line| Ok(Frame::data(line))))
}

fn whole(value: &serde_json::Value) -> Body {
    Body::Left(Full::new(Bytes::from(value.to_string())))
}

fn refusal((status, problem): (StatusCode, Problem)) -> Response<Body> {
    response(status, "application/json", whole(&serde_json::to_value(problem).unwrap_or_default()))
}

fn response(status: StatusCode, kind: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert("content-type", hyper::header::HeaderValue::from_static(kind));
    response
}

fn problem(status: StatusCode, what: impl Into<Text>, suggestion: impl Into<Text>) -> (StatusCode, Problem) {
    (status, Problem::new(what, suggestion))
}

async fn answer(request: Request<Incoming>, asked: mpsc::Sender<Asked>, by: Text) -> Reply {
    let query = query(request, by).await?;
    let (reply, answer) = oneshot::channel();
    let gone = || problem(StatusCode::SERVICE_UNAVAILABLE, "the agent is stopping", "try again when it is back");
    asked.send(Asked { query, reply }).await.map_err(|_| gone())?;
    answer.await.map_err(|_| gone())?
}

async fn query(request: Request<Incoming>, by: Text) -> Result<Query, (StatusCode, Problem)> {
    let bad = |what: String| problem(StatusCode::BAD_REQUEST, what, "see docs/reference/api.md");
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    match (&method, path.as_str()) {
        (&Method::GET, "/v1/status") => Ok(Query::Status),
        (&Method::GET, "/v1/incidents") => Ok(Query::Incidents),
        (&Method::GET, "/v1/abilities") => Ok(Query::Abilities),
        (&Method::GET, "/v1/routes") => Ok(Query::ReachRoutes),
        (&Method::POST, "/v1/reload") => Ok(Query::Reload),
        (&Method::POST, "/v1/rehearse-reload") => Ok(Query::RehearseReload),
        (&Method::POST, "/v1/send-test") => Ok(Query::SendTest(by)),
        (&Method::POST, path @ ("/v1/operate" | "/v1/rehearse")) => {
            let body = tokio::time::timeout(ARRIVAL_MAX, Limited::new(request.into_body(), BODY_MAX).collect()).await;
            let body = body.map_err(|_| bad(format!("the body did not arrive within {}", Shown(ARRIVAL_MAX))))?;
            let body = body.map_err(|error| bad(error.to_string()))?;
            let operate: Operate = serde_json::from_slice(&body.to_bytes()).map_err(|error| bad(error.to_string()))?;
            let operation: Operation = operate.operation;
            let command = OperatorCommand { by, operation };
            Ok(if path == "/v1/rehearse" { Query::Rehearse(command) } else { Query::Operate(command) })
        }
        (&Method::GET, path) => {
            if let Some(id) = path.strip_prefix("/v1/reports/") {
                return id.parse().map(Query::Report).map_err(|_| {
                    let todo = "write its number as i7; `ansai incidents` lists them";
                    problem(StatusCode::BAD_REQUEST, format!("`{id}` is no incident"), todo)
                });
            }
            if let Some(target) = path.strip_prefix("/v1/explain/") {
                return TargetId::new(target).map(Query::Explain).map_err(|error| bad(error.to_string()));
            }
            if let Some(target) = path.strip_prefix("/v1/plan/") {
                return TargetId::new(target).map(Query::Plan).map_err(|error| bad(error.to_string()));
            }
            Err(problem(StatusCode::NOT_FOUND, format!("there is nothing at {path}"), "see docs/reference/api.md"))
        }
        _ => Err(problem(
            StatusCode::NOT_FOUND,
            format!("there is nothing at {method} {path}"),
            "see docs/reference/api.md",
        )),
    }
}
