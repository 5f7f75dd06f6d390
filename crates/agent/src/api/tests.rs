//! The socket against what arrives on sockets: wrong paths, wrong bodies, too much, and too many.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf, time::Duration};

use ansai_model::time::WallTime;
use ansai_protocol::EventKind;
use ansai_socket::{BODY_MAX, CONNECTION_MAX, USER_MAX};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::events::READERS_KEPT;

/// A served socket whose loop answers each question with its words.
struct Served {
    path: PathBuf,
    stop: CancellationToken,
    events: Events,
    _folder: TempDir,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn served(tasks: &TaskTracker) -> Served {
    served_as(tasks, ansai_socket::uid)
}

/// The same, with who is at the other end of each connection.
fn served_as(tasks: &TaskTracker, uid: impl Fn(&UnixStream) -> u32 + Send + 'static) -> Served {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("deep/api.sock");
    let (asked, mut questions) = mpsc::channel::<Asked>(4);
    let stop = CancellationToken::new();
    let events = Events::new();
    serve_as(&path, asked, events.clone(), tasks, stop.clone(), uid).expect("a socket");
    tasks.spawn(async move {
        while let Some(asked) = questions.recv().await {
            // More than the buffer of a socket holds, so that an answer that nobody reads keeps its connection.
            let padding = if matches!(asked.query, Query::Incidents) { 1 << 21 } else { 0 };
            let _ = asked.reply.send(Ok(format!("{:?}{}", asked.query, " ".repeat(padding)).into()));
        }
    });
    Served { path, stop, events, _folder: folder }
}

/// Sends bytes, and returns the status code with the body of the answer.
async fn ask(served: &Served, request: &[u8]) -> (u16, String) {
    let mut stream = UnixStream::connect(&served.path).await.expect("connected");
    // A server that has heard enough may close before everything is sent.
    let _ = stream.write_all(request).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let code = answer.split_whitespace().nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    (code, answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default())
}

fn request(method: &str, path: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("{method} {path} HTTP/1.1\r\nhost: ansai\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}")
        .into()
}

#[tokio::test]
async fn each_path_asks_its_question_and_wrong_ones_say_so() {
    let tasks = TaskTracker::new();
    let served = served(&tasks);
    let hold = r#"{"operation": {"hold": {"scope": "all", "reason": "x", "until": null}}}"#;
    let cases = [
        ("GET", "/v1/status", "", 200, "Status"),
        ("GET", "/v1/incidents", "", 200, "Incidents"),
        ("GET", "/v1/reports/i7", "", 200, "Report(i7)"),
        ("GET", "/v1/explain/service/nginx.service", "", 200, "Explain(service/nginx.service)"),
        ("POST", "/v1/reload", "", 200, "Reload"),
        ("POST", "/v1/rehearse-reload", "", 200, "RehearseReload"),
        ("POST", "/v1/operate", hold, 200, "Hold"),
        ("GET", "/v1/reports/seven", "", 400, "`ansai incidents` lists them"),
        ("POST", "/v1/rehearse", hold, 200, "Rehearse"),
        ("GET", "/v1/plan/service/nginx.service", "", 200, "Plan(service/nginx.service)"),
        ("GET", "/v1/explain/nginx", "", 400, "is not of the form domain/name"),
        ("POST", "/v1/operate", "{", 400, "EOF"),
        ("POST", "/v1/operate", r#"{"operation": {"explode": {}}}"#, 400, "unknown variant"),
        ("GET", "/", "", 404, "there is nothing at /"),
        ("DELETE", "/v1/status", "", 404, "there is nothing at DELETE /v1/status"),
    ];
    for (method, path, body, code, expected) in cases {
        let (status, answer) = ask(&served, &request(method, path, body)).await;
        assert_eq!(status, code, "{method} {path}: {answer}");
        assert!(answer.contains(expected), "{method} {path}: {answer}");
    }
}

#[tokio::test]
async fn too_much_and_nonsense_are_refused_and_the_next_one_is_served() {
    let tasks = TaskTracker::new();
    let served = served(&tasks);
    let body = "x".repeat(BODY_MAX + 1);
    let (status, answer) = ask(&served, &request("POST", "/v1/operate", &body)).await;
    assert!(status == 400 && answer.contains("length limit exceeded"), "{status} {answer}");
    for nonsense in [&b"\0\0\0\r\n\r\n"[..], b"GET", &[b'a'; 100_000]] {
        let mut request = nonsense.to_vec();
        request.extend(b"\r\n\r\n");
        let (status, answer) = ask(&served, &request).await;
        assert_ne!(status, 200, "{answer}");
    }
    assert_eq!(ask(&served, &request("GET", "/v1/status", "")).await.0, 200);
}

/// Each connection is that of the next user of this list; behind its end it is root's.
fn users(uids: impl IntoIterator<Item = u32>) -> impl Fn(&UnixStream) -> u32 + Send + 'static {
    let uids = std::sync::Mutex::new(uids.into_iter().collect::<std::collections::VecDeque<u32>>());
    move |_| uids.lock().map_or(0, |mut uids| uids.pop_front().unwrap_or(0))
}

/// Connections that ask for much, many times over, and read nothing.
async fn attack(served: &Served, count: usize) -> Vec<UnixStream> {
    let requests = b"GET /v1/incidents HTTP/1.1\r\nhost: ansai\r\n\r\n".repeat(100);
    let mut held = Vec::new();
    for _ in 0..count {
        let mut stream = UnixStream::connect(&served.path).await.expect("connected");
        let _ = stream.write_all(&requests).await;
        held.push(stream);
    }
    held
}

#[tokio::test]
async fn attackers_that_never_read_do_not_keep_root_from_being_heard() {
    let tasks = TaskTracker::new();
    // Ten users take all slots that they may, and a hundred more; then one of them, and root.
    let attackers = (0..200_u32).map(|number| 1000 + number % 10);
    let served = served_as(&tasks, users(attackers.chain([1000])));
    let held = attack(&served, 200).await;
    let (status, answer) = ask(&served, &request("GET", "/v1/status", "")).await;
    assert!(status == 503 && answer.contains("busy: 24 connections are open, "), "{status} {answer}");
    let hold = r#"{"operation": {"hold": {"scope": "all", "reason": "x", "until": null}}}"#;
    for _ in 0..20 {
        assert_eq!(ask(&served, &request("POST", "/v1/operate", hold)).await.0, 200, "root is heard");
    }
    drop(held);
}

#[tokio::test(start_paused = true)]
async fn who_does_not_read_or_does_not_finish_asking_is_let_go_and_places_come_back() {
    let tasks = TaskTracker::new();
    let served = served_as(&tasks, users([1000; 50]));
    let mut held = attack(&served, USER_MAX - 2).await;
    for unfinished in [&b"GET /v1/status HT"[..], b"POST /v1/operate HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n{"]
    {
        let mut stream = UnixStream::connect(&served.path).await.expect("connected");
        stream.write_all(unfinished).await.expect("sent");
        held.push(stream);
    }
    let begun = tokio::time::Instant::now();
    // Time passes only while nothing else is to be done.
    while ask(&served, &request("GET", "/v1/status", "")).await.0 != 200 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(begun.elapsed() <= CONNECTION_MAX + Duration::from_secs(5), "no place came back");
    }
    drop(held);
}

#[tokio::test]
async fn what_is_sent_behind_a_request_is_not_answered() {
    let tasks = TaskTracker::new();
    let served = served(&tasks);
    let one = "GET /v1/status HTTP/1.1\r\nhost: ansai\r\n\r\n";
    let (status, answer) = ask(&served, one.repeat(5).as_bytes()).await;
    assert!(status == 200 && !answer.contains("HTTP/1.1"), "{answer}");
}

#[tokio::test]
async fn only_the_owner_and_the_group_may_use_the_socket() {
    let tasks = TaskTracker::new();
    let served = served(&tasks);
    let mode = fs::metadata(&served.path).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
}

/// A reader of the stream that has heard its first line.
async fn listening(served: &Served) -> UnixStream {
    let mut stream = UnixStream::connect(&served.path).await.expect("connected");
    stream.write_all(&request("GET", EVENTS_PATH, "")).await.expect("asked");
    let mut first = [0; 16];
    let _ = stream.read_exact(&mut first).await.expect("an answer");
    assert!(first.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&first));
    stream
}

fn tell(served: &Served, text: &str) {
    served.events.tell(WallTime(7), EventKind::Warning { text: text.into() });
}

async fn rest(mut stream: UnixStream) -> String {
    let mut lines = String::new();
    let _ = stream.read_to_string(&mut lines).await.expect("lines");
    lines
}

#[tokio::test]
async fn the_stream_tells_what_happens_and_how_it_ends() {
    let tasks = TaskTracker::new();
    let served = served(&tasks);
    let stream = listening(&served).await;
    tell(&served, "the first");
    tell(&served, "the second");
    served.events.close();
    let lines = rest(stream).await;
    let slots = ["x-ndjson", "alive", "the first", "the second", "the agent is stopping"].map(|word| lines.find(word));
    assert!(slots.iter().all(Option::is_some) && slots.is_sorted(), "{lines}");
}

#[tokio::test]
async fn a_reader_that_reads_nothing_is_let_go_and_told_so() {
    let tasks = TaskTracker::new();
    let served = served(&tasks);
    let stream = listening(&served).await;
    let text = "x".repeat(500);
    let mut told = 0;
    while served.events.is_heard() {
        tell(&served, &text);
        told += 1;
        assert!(told < 100_000, "what waits for a reader is bounded");
        // The server gets its turn to fill the socket.
        tokio::task::yield_now().await;
    }
    let lines = rest(stream).await;
    assert!(lines.contains("too slow"), "{}", &lines[lines.len().saturating_sub(300)..]);
}

#[tokio::test]
async fn readers_beyond_the_limit_are_told_so_and_root_has_places_of_its_own() {
    let tasks = TaskTracker::new();
    let served = served_as(&tasks, users([1000, 1000, 1000, 1001, 1001, 1001, 1002]));
    let mut readers = Vec::new();
    for _ in 0..READERS_MAX - READERS_KEPT {
        readers.push(listening(&served).await);
    }
    let (status, answer) = ask(&served, &request("GET", EVENTS_PATH, "")).await;
    assert!(status == 503 && answer.contains("listen already"), "{status} {answer}");
    for _ in 0..READERS_KEPT {
        readers.push(listening(&served).await);
    }
    let (status, answer) = ask(&served, &request("GET", EVENTS_PATH, "")).await;
    assert!(status == 503 && answer.contains("listen already"), "{status} {answer}");
}
