//! One question to a container engine over its socket: a request, an answer of at most so many bytes, and no connection that is
//! kept. It knows no question; whoever asks bounds the time, and dropping the answer's future closes the connection.

use std::{path::Path, pin::pin};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{Method, Request, Response, body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::UnixStream;

/// Most bytes of an answer about one container.
pub(super) const ONE_MAX: usize = 1 << 20;
/// Most bytes of an answer about all of them.
pub(super) const ALL_MAX: usize = 8 << 20;
/// Most bytes of a message that says what went wrong.
const MESSAGE_MAX: usize = 300;

/// Why there is no answer to go by.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// It knows no such container.
    #[error("there is no such container")]
    Missing,
    /// It was reached, and does not do it.
    #[error("its engine answers {0}: {1}")]
    Refused(u16, String),
    /// It was not reached, or what it says makes no sense.
    #[error("its engine does not answer: {0}")]
    Silent(String),
}

/// An answer that was not an error.
pub(super) struct Answer {
    body: Bytes,
    /// Whether it is Podman's.
    pub(super) is_podman: bool,
}

impl Answer {
    /// What it says.
    pub(super) fn json(&self) -> Result<Value, Trouble> {
        serde_json::from_slice(&self.body).map_err(|error| Trouble::Silent(format!("no JSON: {error}")))
    }

    /// Its bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.body
    }
}

/// Asks for something.
pub(super) async fn get(socket: &Path, path: &str, most: usize) -> Result<Answer, Trouble> {
    ask(socket, Method::GET, path, most).await
}

/// Has a container restarted, within its own stop time-out. Nothing else changes anything: there is no way to ask for more.
pub(super) async fn restart(socket: &Path, id: &str) -> Result<Answer, Trouble> {
    ask(socket, Method::POST, &format!("/containers/{id}/restart"), ONE_MAX).await
}

async fn ask(socket: &Path, method: Method, path: &str, most: usize) -> Result<Answer, Trouble> {
    let answer = async |response: Response<Incoming>| {
        let (status, is_podman) = (response.status(), is_podman(&response));
        let body = Limited::new(response.into_body(), most).collect().await;
        let body = body.map_err(|error| silent(format!("its answer breaks off or is too long ({error})")))?.to_bytes();
        match status.as_u16() {
            // 304: it was so before.
            200..=299 | 304 => Ok(Answer { body, is_podman }),
            404 => Err(Trouble::Missing),
            code => Err(Trouble::Refused(code, message(&body))),
        }
    };
    exchange(socket, method, path, answer).await
}

/// Sends a request, and hands the answer on as it comes; the connection ends with this.
pub(super) async fn exchange<T>(
    socket: &Path,
    method: Method,
    path: &str,
    heard: impl AsyncFnOnce(Response<Incoming>) -> Result<T, Trouble>,
) -> Result<T, Trouble> {
    let stream = UnixStream::connect(socket).await.map_err(|error| silent(ansai_files::said(&error)))?;
    let request = Request::builder().method(method).uri(path).header("host", "localhost").body(Empty::<Bytes>::new());
    let request = request.map_err(|error| silent(format!("no valid request: {error}")))?;
    let shaking = http1::Builder::new().handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = shaking.map_err(|error| silent(error.to_string()))?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(|error| silent(error.to_string()))?;
        heard(response).await
    };
    let (mut exchange, mut connection) = (pin!(exchange), pin!(connection));
    tokio::select! {
        biased;
        done = &mut exchange => return done,
        ended = &mut connection => ended.map_err(|error| silent(error.to_string()))?,
    }
    // What was read before the connection ended is in the exchange's hands.
    exchange.await
}

pub(super) fn silent(why: impl Into<String>) -> Trouble {
    Trouble::Silent(why.into())
}

fn is_podman(response: &Response<Incoming>) -> bool {
    response.headers().contains_key("libpod-api-version")
}

/// What an engine says of why, by both engines' key for it.
fn message(body: &[u8]) -> String {
    let said = serde_json::from_slice::<Value>(body).ok();
    let said = said.as_ref().and_then(|said| said.get("message")?.as_str()).unwrap_or("it does not say why");
    said.chars().take(MESSAGE_MAX).collect()
}
