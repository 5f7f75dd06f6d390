//! Talks to the agent over its socket. It knows addresses and errors, not what is shown.

use std::{
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

use ansai_model::{operator::Operation, time::Shown};
use ansai_protocol::{Done, Event, Operate, Problem, Status, TestSent};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{
    Places,
    exit::{Code, Failure},
};

/// Longest answer that is read.
const ANSWER_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// Longest line of the stream of events that is read.
const EVENT_BYTES_MAX: u64 = 256 * 1024;
const TIMEOUT: Duration = Duration::from_secs(35);

/// Asks for something to read.
pub(crate) fn get(places: &Places, path: &str) -> Result<Value, Failure> {
    ask(places, "GET", path, "")
}

/// Asks for something to be done.
pub(crate) fn operate(places: &Places, operation: Operation) -> Result<Done, Failure> {
    let body = serde_json::to_string(&Operate { operation }).map_err(|error| unreadable(&error))?;
    read(ask(places, "POST", "/v1/operate", &body)?)
}

/// Sends a test on every route.
pub(crate) fn send_test(places: &Places) -> Result<TestSent, Failure> {
    read(ask(places, "POST", "/v1/send-test", "")?)
}

/// The agent's status.
pub(crate) fn status(places: &Places) -> Result<Status, Failure> {
    read(get(places, "/v1/status")?)
}

/// What happens from now on, a line each, until the agent says nothing for a while. Lines that are not understood are
/// passed over.
pub(crate) fn events(places: &Places) -> Result<impl Iterator<Item = Event>, Failure> {
    let socket = places.runtime_dir.join("api.sock");
    let unreachable = |error| unreachable(&socket, &error);
    let mut stream = UnixStream::connect(&socket).map_err(unreachable)?;
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
        Some(_) | None => return Err(unreadable(&"no stream of events")),
    }
    Ok(lines.filter_map(|line| serde_json::from_slice(&line).ok()))
}

/// An answer in its shape.
pub(crate) fn read<T: DeserializeOwned>(value: Value) -> Result<T, Failure> {
    serde_json::from_value(value).map_err(|error| unreadable(&error))
}

fn unreadable(error: &dyn std::fmt::Display) -> Failure {
    let what = format!("the agent's answer is not understood: {error}");
    Failure::new(Code::Failing, what, "restart the agent after an upgrade: systemctl restart ansai")
}

fn unreachable(socket: &Path, error: &std::io::Error) -> Failure {
    let socket = socket.display();
    let run = "start it: systemctl start ansai; journalctl -u ansai says why it ended";
    match error.kind() {
        ErrorKind::PermissionDenied => {
            let what = format!("you may not talk to the agent: {socket}: permission denied");
            Failure::new(Code::Forbidden, what, "sudo ansai …, or join the group `ansai`")
        }
        ErrorKind::NotFound => {
            Failure::new(Code::Unreachable, format!("no agent runs here: there is no socket {socket}"), run)
        }
        ErrorKind::ConnectionRefused => {
            Failure::new(Code::Unreachable, format!("no agent runs here: nobody listens at {socket}"), run)
        }
        ErrorKind::WouldBlock | ErrorKind::TimedOut => {
            let what = format!("the agent gave no answer within {} at {socket}", Shown(TIMEOUT));
            Failure::new(Code::Unreachable, what, "journalctl -u ansai says what it is doing")
        }
        _ => Failure::new(Code::Unreachable, format!("the agent cannot be asked at {socket}: {error}"), run),
    }
}

// A request and an answer of HTTP/1.1 on a socket of this host: no client library is worth its start-up time here.
fn ask(places: &Places, method: &str, path: &str, body: &str) -> Result<Value, Failure> {
    let socket = places.runtime_dir.join("api.sock");
    let unreachable = |error| unreachable(&socket, &error);
    let mut stream = UnixStream::connect(&socket).map_err(unreachable)?;
    stream.set_read_timeout(Some(TIMEOUT)).map_err(unreachable)?;
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: ansai\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).map_err(unreachable)?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).map_err(unreachable)?;
    let text = String::from_utf8_lossy(&answer);
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(|| unreadable(&"no HTTP answer"))?;
    let status: u16 = head.split_whitespace().nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    let value: Value = serde_json::from_str(body).map_err(|error| unreadable(&error))?;
    if status == 200 {
        return Ok(value);
    }
    let problem: Problem = read(value)?;
    let code = if status == 409 { Code::Refused } else { Code::Failing };
    Err(Failure::new(code, problem.what.as_str(), problem.suggestion.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_that_is_away_is_told_from_one_that_may_not_be_asked() {
        let path = Path::new("/run/ansai/api.sock");
        let code = |kind: ErrorKind| unreachable(path, &kind.into()).code;
        assert_eq!(code(ErrorKind::NotFound), Code::Unreachable);
        assert_eq!(code(ErrorKind::ConnectionRefused), Code::Unreachable);
        assert_eq!(code(ErrorKind::WouldBlock), Code::Unreachable);
        assert_eq!(code(ErrorKind::PermissionDenied), Code::Forbidden);
    }
}
