//! Serves the figures over HTTP, on loopback only and to few at a time: whoever wants them elsewhere has a proxy with
//! its own guard.

use std::{
    io,
    net::{AddrParseError, SocketAddr},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures_util::{StreamExt, stream::FuturesUnordered};
use http_body_util::Full;
use hyper::{Method, Request, Response, StatusCode, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::Metrics;

/// Most connections at once; more wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 8;
/// A connection that lasts longer is closed.
const CONNECTION_MAX: Duration = Duration::from_secs(15);
const HEADER_MAX: Duration = Duration::from_secs(5);
const ACCEPT_RETRY: Duration = Duration::from_millis(200);

/// Why the figures cannot be served.
#[derive(Debug, Error)]
pub enum ListenError {
    /// The address is none.
    #[error("`{address}` is not an address with a port, as 127.0.0.1:9188")]
    Address {
        /// What was written.
        address: String,
        /// What is wrong with it.
        #[source]
        source: AddrParseError,
    },
    /// Others than this host could reach it.
    #[error("{address} is not on loopback; use 127.0.0.1 or [::1], and a proxy for others")]
    NotLoopback {
        /// What was written.
        address: SocketAddr,
    },
    /// The system refuses.
    #[error("{address}: nothing can listen there")]
    Bind {
        /// The address with its port.
        address: SocketAddr,
        /// What it said.
        #[source]
        source: io::Error,
    },
}

/// Listens on a loopback address.
///
/// # Errors
/// When the address is none, is not on loopback, or is taken.
pub async fn listen(address: &str) -> Result<TcpListener, ListenError> {
    let parsed: SocketAddr =
        address.parse().map_err(|source| ListenError::Address { address: address.to_owned(), source })?;
    if !parsed.ip().is_loopback() {
        return Err(ListenError::NotLoopback { address: parsed });
    }
    TcpListener::bind(parsed).await.map_err(|source| ListenError::Bind { address: parsed, source })
}

/// Serves until `stop`.
pub async fn serve(listener: TcpListener, metrics: Arc<Metrics>, stop: CancellationToken) {
    let mut connections = FuturesUnordered::new();
    loop {
        // Each arm may be dropped at any moment: a connection that is not accepted stays in the kernel's queue.
        tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept(), if connections.len() < CONNECTIONS_MAX => {
                connections.push(connection(accepted.ok().map(|(stream, _)| stream), metrics.clone()));
            }
            Some(()) = connections.next() => {}
        }
    }
}

/// Serves a connection. One that could not be accepted (no descriptor is free, say) takes its place for a moment, so
/// that trying again does not take a processor.
async fn connection(stream: Option<TcpStream>, metrics: Arc<Metrics>) {
    let Some(stream) = stream else { return tokio::time::sleep(ACCEPT_RETRY).await };
    let answers = service_fn(|request| {
        let answer = answer(&request, &metrics);
        async { Ok::<_, std::convert::Infallible>(answer) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_MAX)
        .keep_alive(false)
        .max_buf_size(16 << 10)
        .serve_connection(TokioIo::new(stream), answers);
    // Whether the client got all of it is the client's affair.
    let _ = tokio::time::timeout(CONNECTION_MAX, connection).await;
}

fn answer(request: &Request<Incoming>, metrics: &Metrics) -> Response<Full<Bytes>> {
    let (status, kind, text) = match (request.method(), request.uri().path()) {
        (&Method::GET, "/metrics") => (StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", metrics.text()),
        (&Method::GET, _) => (StatusCode::NOT_FOUND, "text/plain", "the figures are at /metrics\n".to_owned()),
        _ => (StatusCode::METHOD_NOT_ALLOWED, "text/plain", "only GET\n".to_owned()),
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert("content-type", hyper::header::HeaderValue::from_static(kind));
    response
}
