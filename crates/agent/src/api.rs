//! The local API: what can be asked of the agent on its socket. It asks the loop and decides nothing; who may ask, how many at
//! once and for how long is `crates/socket`'s.

use std::path::Path;

use ansai_model::{
    id::{IncidentId, TargetId},
    operator::{Operation, OperatorCommand},
    text::Text,
};
use ansai_protocol::{Operate, Problem};
use ansai_socket::{Answers, Asker, Body, answered, problem, streamed};
use hyper::{Method, Request, Response, StatusCode, body::Incoming};
use tokio::{
    net::UnixStream,
    sync::{mpsc, oneshot},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::events::{Events, READERS_MAX, Seat};

#[cfg(test)]
mod tests;

/// Where the event stream is.
const EVENTS_PATH: &str = "/v1/events";
/// Where one reads what can be asked.
const PAGE: &str = "see /usr/share/doc/ansai/docs/reference/api.md";

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

/// Listens on `path` until stopped. The state directory's lock is held, so a socket that is left is nobody's.
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
    serve_as(path, asked, events, tasks, stop, ansai_socket::uid)
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
    ansai_socket::serve_as(path, Api { asked, events }, tasks, stop, uid)
}

/// What answers: the loop, and the stream of events.
#[derive(Clone)]
struct Api {
    asked: mpsc::Sender<Asked>,
    events: Events,
}

impl Answers for Api {
    const NAME: &'static str = "the agent";

    async fn answer(&self, request: Request<Incoming>, asker: Asker, slow: CancellationToken) -> Response<Body> {
        if (request.method(), request.uri().path()) != (&Method::GET, EVENTS_PATH) {
            return answered(answer(request, self.asked.clone(), asker.by).await);
        }
        let seat = if asker.is_trusted { Seat::Kept } else { Seat::Any };
        match self.events.listen(slow, seat) {
            Some(lines) => streamed("application/x-ndjson", lines),
            None => answered(Err(problem(
                StatusCode::SERVICE_UNAVAILABLE,
                format!("{READERS_MAX} readers listen already"),
                "end one of them",
            ))),
        }
    }

    fn overdue(&self, path: &str) -> (&'static str, &'static str) {
        match path {
            // A reading that takes longer than anybody waits for goes on.
            "/v1/reload" => {
                ("the configuration is still being read", "it comes into force by itself; see `ansai status`")
            }
            _ => ("the agent did not answer in time", "try again; see its log"),
        }
    }
}

async fn answer(request: Request<Incoming>, asked: mpsc::Sender<Asked>, by: Text) -> Reply {
    let query = query(request, by).await?;
    let (reply, answer) = oneshot::channel();
    let gone = || problem(StatusCode::SERVICE_UNAVAILABLE, "the agent is stopping", "try again when it is back");
    asked.send(Asked { query, reply }).await.map_err(|_| gone())?;
    answer.await.map_err(|_| gone())?
}

async fn query(request: Request<Incoming>, by: Text) -> Result<Query, (StatusCode, Problem)> {
    let bad = |what: String| problem(StatusCode::BAD_REQUEST, what, PAGE);
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
            let operate: Operate = ansai_socket::body(request, PAGE).await?;
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
            Err(problem(StatusCode::NOT_FOUND, format!("there is nothing at {path}"), PAGE))
        }
        _ => Err(problem(StatusCode::NOT_FOUND, format!("there is nothing at {method} {path}"), PAGE)),
    }
}
