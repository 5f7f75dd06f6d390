//! Talks to the agent over its socket, and to the controller over its own, or by a context over the network. It knows addresses and errors, not what is shown.

use std::{
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    os::unix::net::UnixStream,
    path::PathBuf,
    time::{Duration, Instant},
};

use ansai_link::https;
use ansai_model::{operator::Operation, time::Shown};
use ansai_protocol::{Abilities, Done, Event, Operate, Problem, RouteTrials, Status, Would};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{
    Paths,
    context::{Context, Contexts},
    exit::{Code, Failure},
    show,
};

/// Longest answer that is read.
const ANSWER_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// Longest line of the stream of events that is read.
const EVENT_BYTES_MAX: u64 = 256 * 1024;
const TIMEOUT: Duration = Duration::from_secs(35);
/// Longest wait for a place with an agent that is busy with others.
const BUSY_MAX: Duration = Duration::from_secs(30);
/// The first wait of these; each is twice as long as the one before, up to a second, from which on the person is told.
const BUSY_FIRST: Duration = Duration::from_millis(50);
const BUSY_TOLD_AFTER: Duration = Duration::from_secs(1);
/// How a failure begins that says that no agent runs.
pub(crate) const NO_AGENT: &str = "no agent runs here";

/// Who is asked, and how it is called.
#[derive(Clone, Debug)]
struct Server {
    place: Place,
    /// As in "the agent".
    name: &'static str,
    /// The unit that runs it.
    unit: &'static str,
    /// The group whose members may ask it.
    group: &'static str,
}

/// Where somebody is asked.
#[derive(Clone, Debug)]
enum Place {
    /// On a socket of this host.
    Socket(PathBuf),
    /// Over the network.
    Elsewhere(Box<Context>),
}

impl Server {
    fn agent(paths: &Paths) -> Result<Self, Failure> {
        paths.is_here()?;
        let place = Place::Socket(paths.runtime_dir.join("api.sock"));
        Ok(Self { place, name: "agent", unit: "ansai", group: "ansai" })
    }

    fn controller(paths: &Paths) -> Result<Self, Failure> {
        let place = match paths.context() {
            Some(name) => Place::Elsewhere(Box::new(Contexts::own()?.named(name)?)),
            None => Place::Socket(paths.controller_runtime_dir.join("api.sock")),
        };
        Ok(Self::controller_at(place))
    }

    fn controller_at(place: Place) -> Self {
        let (name, unit) = ("controller", "ansai-controller");
        Self { place, name, unit, group: unit }
    }

    /// Where it is asked, as people read it.
    fn at(&self) -> String {
        match &self.place {
            Place::Socket(socket) => socket.display().to_string(),
            Place::Elsewhere(context) => context.address.clone(),
        }
    }
}

/// Asks the controller, on this host or by the context that was named, for something to read.
pub(crate) fn of_controller(paths: &Paths, path: &str) -> Result<Value, Failure> {
    asked(&Server::controller(paths)?, "GET", path, "").map_err(|failure| sent_on(paths, failure))
}

/// Asks it for something to be done.
pub(crate) fn tell_controller(paths: &Paths, path: &str, body: &Value) -> Result<Value, Failure> {
    let server = Server::controller(paths)?;
    asked(&server, "POST", path, &body.to_string()).map_err(|failure| sent_on(paths, failure))
}

/// Asks the controller of a context that is kept nowhere yet.
pub(crate) fn by_context(context: &Context, method: &str, path: &str, body: &Value) -> Result<Value, Failure> {
    let server = Server::controller_at(Place::Elsewhere(Box::new(context.clone())));
    asked(&server, method, path, &body.to_string())
}

/// Whoever asks on a host that has joined a controller is sent to that one.
fn sent_on(paths: &Paths, failure: Failure) -> Failure {
    if failure.code != Code::Unreachable || paths.context().is_some() || has_controller(paths) {
        return failure;
    }
    let joined = status(paths).ok().and_then(|status| status.controller);
    match joined.filter(|controller| !controller.address.is_empty()) {
        Some(controller) => {
            let what = format!("no controller runs here: this host has joined the one at {}", controller.address);
            let host = controller.address.rsplit_once(':').map_or(controller.address.as_str(), |(host, _)| host);
            let todo = format!("run it on the controller's host {host}, as over ssh");
            Failure::new(Code::Unreachable, what, todo)
        }
        None => failure,
    }
}

/// Whether a controller has run on this host since it was started.
pub(crate) fn has_controller(paths: &Paths) -> bool {
    paths.controller_runtime_dir.join("api.sock").exists()
}

/// Asks for something to read.
pub(crate) fn get(paths: &Paths, path: &str) -> Result<Value, Failure> {
    ask(paths, "GET", path, "")
}

/// Asks for something to be done.
pub(crate) fn operate(paths: &Paths, operation: Operation) -> Result<Done, Failure> {
    let body = serde_json::to_string(&Operate { operation }).map_err(|error| unreadable(&error))?;
    read(ask(paths, "POST", "/v1/operate", &body)?)
}

/// Asks what would come of it; nothing is done.
pub(crate) fn rehearse(paths: &Paths, operation: Operation) -> Result<Would, Failure> {
    let body = serde_json::to_string(&Operate { operation }).map_err(|error| unreadable(&error))?;
    read(ask(paths, "POST", "/v1/rehearse", &body)?)
}

/// Sends a test on every route.
pub(crate) fn send_test(paths: &Paths) -> Result<RouteTrials, Failure> {
    read(ask(paths, "POST", "/v1/send-test", "")?)
}

/// Has the configuration read anew, and waits until it is in force.
pub(crate) fn reload(paths: &Paths) -> Result<Done, Failure> {
    read(ask(paths, "POST", "/v1/reload", "")?)
}

/// What a reload would come to; nothing is applied.
pub(crate) fn rehearse_reload(paths: &Paths) -> Result<Done, Failure> {
    read(ask(paths, "POST", "/v1/rehearse-reload", "")?)
}

/// Whether the servers of routes can be reached; nothing is sent.
pub(crate) fn reach_routes(paths: &Paths) -> Result<RouteTrials, Failure> {
    read(get(paths, "/v1/routes")?)
}

/// What the agent may do, tried by itself from where it runs.
pub(crate) fn abilities(paths: &Paths) -> Result<Abilities, Failure> {
    read(get(paths, "/v1/abilities")?)
}

/// The agent's status.
pub(crate) fn status(paths: &Paths) -> Result<Status, Failure> {
    read(get(paths, "/v1/status")?)
}

/// What happens from now on, a line each, until the agent says nothing for a while. Lines that are not understood are
/// passed over.
pub(crate) fn events(paths: &Paths) -> Result<impl Iterator<Item = Event>, Failure> {
    let agent = Server::agent(paths)?;
    let mut wait = Wait::new(BUSY_MAX);
    loop {
        let answer = match listened(&agent)? {
            Listened::Lines(lines) => return Ok(lines),
            Listened::Answer(answer) => answer,
        };
        if !is_busy(&answer) || !wait.goes_on(&answer) {
            return Err(answered(&agent, &answer).err().unwrap_or_else(|| unreadable(&"no stream of events")));
        }
    }
}

/// What came of asking for the stream.
enum Listened<L> {
    /// Its lines as they come.
    Lines(L),
    /// An answer instead.
    Answer(Vec<u8>),
}

fn listened(server: &Server) -> Result<Listened<impl Iterator<Item = Event> + use<>>, Failure> {
    let unreachable = |error| unreachable(server, &error);
    let mut stream = UnixStream::connect(server.at()).map_err(unreachable)?;
    stream.set_read_timeout(Some(TIMEOUT)).map_err(unreachable)?;
    // An answer to HTTP/1.0 ends with the connection, so its lines come as they are.
    stream.write_all(b"GET /v1/events HTTP/1.0\r\nhost: ansai\r\n\r\n").map_err(unreachable)?;
    let mut reader = BufReader::new(stream);
    let mut lines = std::iter::from_fn(move || {
        let mut line = Vec::new();
        // What is cut off is not understood, and so passed over.
        let read = reader.by_ref().take(EVENT_BYTES_MAX).read_until(b'\n', &mut line).ok()?;
        (read > 0).then_some(line)
    });
    match lines.next() {
        Some(line) if line.split(|byte| *byte == b' ').nth(1) == Some(b"200") => {}
        Some(mut answer) => {
            lines.by_ref().for_each(|line| answer.extend(line));
            return Ok(Listened::Answer(answer));
        }
        None => return Err(silent(server)),
    }
    Ok(Listened::Lines(lines.filter_map(|line| serde_json::from_slice(&line).ok())))
}

/// An answer in its shape.
pub(crate) fn read<T: DeserializeOwned>(value: Value) -> Result<T, Failure> {
    serde_json::from_value(value).map_err(|error| unreadable(&error))
}

fn unreadable(error: &dyn std::fmt::Display) -> Failure {
    let what = format!("the agent's answer is not understood: {error}");
    Failure::new(Code::Failing, what, "restart the agent after an upgrade: systemctl restart ansai")
}

fn unreachable(server: &Server, error: &std::io::Error) -> Failure {
    let Server { name, unit, group, .. } = server;
    let socket = server.at();
    let none = if *name == "agent" { NO_AGENT.to_owned() } else { format!("no {name} runs here") };
    let run = format!("start it: systemctl start {unit}; journalctl -u {unit} says why it ended");
    match error.kind() {
        ErrorKind::PermissionDenied => {
            let what = format!("you may not talk to the {name}: {socket}: permission denied");
            Failure::new(Code::Forbidden, what, format!("sudo ansai …, or join the group `{group}`"))
        }
        ErrorKind::NotFound => Failure::new(Code::Unreachable, format!("{none}: there is no socket {socket}"), run),
        ErrorKind::ConnectionRefused => {
            Failure::new(Code::Unreachable, format!("{none}: nobody listens at {socket}"), run)
        }
        ErrorKind::WouldBlock | ErrorKind::TimedOut => {
            let what = format!("the {name} gave no answer within {} at {socket}", Shown(TIMEOUT));
            Failure::new(Code::Unreachable, what, format!("journalctl -u {unit} says what it is doing"))
        }
        _ => Failure::new(
            Code::Unreachable,
            format!("the {name} cannot be asked at {socket}: {}", ansai_files::said(error)),
            run,
        ),
    }
}

// A request and an answer of HTTP/1.1 on a socket of this host: no client library is worth its start-up time here.
fn ask(paths: &Paths, method: &str, path: &str, body: &str) -> Result<Value, Failure> {
    asked(&Server::agent(paths)?, method, path, body)
}

fn asked(server: &Server, method: &str, path: &str, body: &str) -> Result<Value, Failure> {
    let close = format!("connection: close\r\ncontent-length: {}", body.len());
    let request = match &server.place {
        Place::Socket(_) => format!("{method} {path} HTTP/1.1\r\nhost: ansai\r\n{close}\r\n\r\n{body}"),
        Place::Elsewhere(context) => {
            let (host, token) = (context.route()?.controller, context.token.expose());
            format!(
                "{method} /api{path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\n{close}\r\n\r\n{body}"
            )
        }
    };
    let mut wait = Wait::new(BUSY_MAX);
    loop {
        let answer = exchanged(server, &request)?;
        if !is_busy(&answer) || !wait.goes_on(&answer) {
            return answered(server, &answer);
        }
    }
}

/// One request, and what was answered to it.
fn exchanged(server: &Server, request: &str) -> Result<Vec<u8>, Failure> {
    let socket = match &server.place {
        Place::Socket(socket) => socket,
        Place::Elsewhere(context) => {
            return elsewhere(context, request).and_then(|answer| match answer.is_empty() {
                true => Err(silent(server)),
                false => Ok(answer),
            });
        }
    };
    let unreachable = |error| unreachable(server, &error);
    let mut stream = UnixStream::connect(socket).map_err(unreachable)?;
    stream.set_read_timeout(Some(TIMEOUT)).map_err(unreachable)?;
    // An agent that is busy says so without having listened, and closes.
    let sent = stream.write_all(request.as_bytes());
    let mut answer = Vec::new();
    match stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).and(sent) {
        Err(error) if answer.is_empty() && !is_closed(error.kind()) => Err(unreachable(error)),
        Ok(()) | Err(_) if answer.is_empty() => Err(silent(server)),
        Ok(()) | Err(_) => Ok(answer),
    }
}

/// The same over the network.
fn elsewhere(context: &Context, request: &str) -> Result<Vec<u8>, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(Code::Failing, ansai_files::said(&error), "try again"))?;
    let (route, trust) = (context.route()?, context.trust());
    let bytes_max = usize::try_from(ANSWER_BYTES_MAX).unwrap_or(usize::MAX);
    let answer = runtime.block_on(https::exchange(&route, &trust, request.as_bytes(), bytes_max, TIMEOUT));
    // A resolver that hangs holds nobody up.
    runtime.shutdown_background();
    answer.map_err(|trouble| {
        let what = format!("context {}: {trouble}", context.name);
        Failure::new(Code::Unreachable, what, trouble.suggestion().as_str())
    })
}

/// Whether the agent had no place for the request and has not read it, so that it may be asked the same again.
fn is_busy(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let mut head = text.lines().take_while(|line| !line.is_empty());
    let is_503 = head.next().and_then(|line| line.split_whitespace().nth(1)) == Some("503");
    is_503 && head.any(|line| line.to_ascii_lowercase().starts_with("retry-after:"))
}

/// Lets an agent that is to see something have the time for it; it is asked again after that.
pub(crate) fn pause(long: Duration) {
    // Nobody says when it has.
    std::thread::sleep(long);
}

/// A wait for a place with an agent that is busy, which ends.
struct Wait {
    begun: Instant,
    longest: Duration,
    next: Duration,
    is_told: bool,
}

impl Wait {
    fn new(longest: Duration) -> Self {
        // Commands that were begun together do not come back together.
        let next = BUSY_FIRST + Duration::from_millis(u64::from(std::process::id() % 50));
        Self { begun: Instant::now(), longest, next, is_told: false }
    }

    /// Waits a while, longer each time, and says once that it does; no when it has waited long enough.
    fn goes_on(&mut self, answer: &[u8]) -> bool {
        let waited = self.begun.elapsed();
        if waited >= self.longest {
            return false;
        }
        if waited >= BUSY_TOLD_AFTER && !std::mem::replace(&mut self.is_told, true) {
            let why = problem_of(answer).map_or_else(String::new, |busy| busy.what.to_string());
            show::note(&format!("{why}; asking again for up to {}", Shown(self.longest)));
        }
        // There is nothing to wait for but that others end.
        std::thread::sleep(self.next.min(self.longest.saturating_sub(waited)));
        self.next = (self.next * 2).min(BUSY_TOLD_AFTER);
        true
    }
}

/// Whether the other end closed the connection.
fn is_closed(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted)
}

/// Somebody listened, and closed the connection without a word.
fn silent(server: &Server) -> Failure {
    let Server { name, unit, .. } = server;
    let article = if *name == "agent" { "an" } else { "a" };
    let at = server.at();
    let what = format!("{article} {name} runs, and closed the connection without an answer at {at}");
    let todo = format!("it may be stopping: try again; journalctl -u {unit} says what it is doing");
    Failure::new(Code::Unreachable, what, todo)
}

/// What went wrong, as an answer of HTTP/1.1 says.
fn problem_of(answer: &[u8]) -> Option<Problem> {
    let text = String::from_utf8_lossy(answer);
    serde_json::from_str(text.split_once("\r\n\r\n")?.1).ok()
}

/// What an answer of HTTP/1.1 says.
fn answered(server: &Server, answer: &[u8]) -> Result<Value, Failure> {
    let text = String::from_utf8_lossy(answer);
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(|| unreadable(&"no HTTP answer"))?;
    let status: u16 = head.split_whitespace().nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    let value: Value = serde_json::from_str(body).map_err(|error| unreadable(&error))?;
    if status == 200 {
        return Ok(value);
    }
    let problem: Problem = read(value)?;
    let told = |text: &str| show::told(text, &show::terminal().zone);
    let code = match status {
        401 | 403 => Code::Forbidden,
        409 => Code::Refused,
        // It is the configuration that is wrong.
        422 => Code::Usage,
        // It is stopping, or busy, or has heard too many wrong tokens.
        429 | 503 | 504 => Code::Unreachable,
        _ => Code::Failing,
    };
    // Of its pages on the API only who writes programs has use. This one asks what its own version answers.
    if problem.suggestion.as_str().contains("docs/reference/api.md") {
        let Server { name, unit, .. } = server;
        let what = format!("the {name} does not understand what it was asked: {}", problem.what);
        let todo = format!("restart the {name} after an upgrade: systemctl restart {unit}");
        return Err(Failure::new(code, what, todo));
    }
    Err(Failure::new(code, told(problem.what.as_str()), told(problem.suggestion.as_str())))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn agent(socket: PathBuf) -> Server {
        Server { place: Place::Socket(socket), name: "agent", unit: "ansai", group: "ansai" }
    }

    /// What the program says when whoever listens at the socket does this with a connection.
    fn said(serve: impl FnOnce(UnixStream) + Send + 'static) -> Failure {
        let folder = tempfile::tempdir().expect("a folder");
        let listener = std::os::unix::net::UnixListener::bind(folder.path().join("api.sock")).expect("bound");
        let served = std::thread::spawn(move || serve(listener.accept().expect("accepted").0));
        let failure = asked(&agent(folder.path().join("api.sock")), "GET", "/v1/status", "").expect_err("a failure");
        served.join().expect("served");
        failure
    }

    #[test]
    fn an_agent_that_is_busy_is_told_from_one_that_does_not_run() {
        let busy = said(|mut stream| {
            let body = r#"{"schema":1,"what":"the agent is busy: 24 connections are open, 8 of them by eve","suggestion":"x"}"#;
            let _ = write!(stream, "HTTP/1.1 503 Service Unavailable\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        });
        assert_eq!(busy.code, Code::Unreachable);
        assert!(busy.what().contains("busy: 24 connections are open, 8 of them by eve"), "{}", busy.what());
        let silent = said(drop);
        assert_eq!(silent.code, Code::Unreachable);
        assert!(silent.what().starts_with("an agent runs"), "{}", silent.what());
    }

    #[test]
    fn an_agent_that_is_busy_is_asked_again_until_it_has_a_place() {
        let folder = tempfile::tempdir().expect("a folder");
        let socket = folder.path().join("api.sock");
        let listener = std::os::unix::net::UnixListener::bind(&socket).expect("bound");
        let served = std::thread::spawn(move || {
            for turn in 0..4 {
                let mut stream = listener.accept().expect("accepted").0;
                let (status, more, body) = match turn {
                    0..3 => (
                        "503 Service Unavailable",
                        "retry-after: 1\r\n",
                        r#"{"schema":1,"what":"busy","suggestion":"x"}"#,
                    ),
                    _ => ("200 OK", "", r#"{"schema":1}"#),
                };
                let _ = write!(stream, "HTTP/1.1 {status}\r\n{more}content-length: {}\r\n\r\n{body}", body.len());
            }
        });
        assert!(asked(&agent(socket), "GET", "/v1/status", "").is_ok());
        served.join().expect("served");
    }

    #[test]
    fn a_wait_for_a_place_ends() {
        let busy = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n\r\n{\"schema\":1,\"what\":\"busy\",\"suggestion\":\"\"}";
        assert!(is_busy(busy));
        assert!(!is_busy(b"HTTP/1.1 503 Service Unavailable\r\n\r\nretry-after: 1"), "it is stopping");
        let mut wait = Wait::new(Duration::from_millis(300));
        let turns = std::iter::from_fn(|| wait.goes_on(busy).then_some(())).count();
        assert!((1..=6).contains(&turns), "{turns}");
        assert!(wait.begun.elapsed() >= Duration::from_millis(300));
    }

    #[test]
    fn an_agent_that_is_away_is_told_from_one_that_may_not_be_asked() {
        let path = Path::new("/run/ansai/api.sock");
        let code = |kind: ErrorKind| unreachable(&agent(path.to_owned()), &kind.into()).code;
        assert_eq!(code(ErrorKind::NotFound), Code::Unreachable);
        assert_eq!(code(ErrorKind::ConnectionRefused), Code::Unreachable);
        assert_eq!(code(ErrorKind::WouldBlock), Code::Unreachable);
        assert_eq!(code(ErrorKind::PermissionDenied), Code::Forbidden);
    }
}
