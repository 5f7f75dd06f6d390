//! The few HTTP requests that the agent makes of others: web hooks and the dead-man's switch.
//!
//! One request, one connection: they are rare, and a connection kept open for an hour is one that broke unnoticed.
//! Redirections are not followed, so that a message never goes where nobody sent it.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use ansai_host::linux::tls;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Uri,
    body::Incoming,
    header::{HeaderName, HeaderValue},
};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

use super::chain;

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// `GET` or `POST`.
    pub method: Method,
    /// Whole address; may hold a secret, and is in no error.
    pub url: String,
    /// Headers besides `Host` and `User-Agent`.
    pub headers: Vec<(String, String)>,
    /// What is sent.
    pub body: Bytes,
    /// From the lookup of the name to the end of the answer.
    pub timeout: Duration,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// The first bytes of the body.
    pub body: String,
}

/// Makes requests.
pub trait HttpClient: Send + Sync + 'static {
    /// One request; an error says in words why there is no answer, without the address.
    fn send(&self, request: Request) -> impl Future<Output = Result<Response, String>> + Send;
}

/// Most bytes of an answer that are read.
const ANSWER_BYTES_MAX: usize = 4096;

/// A client on TCP and TLS.
#[derive(Default)]
pub struct HyperClient {
    /// When not the authorities of the host are trusted.
    trusting: Option<Arc<ClientConfig>>,
}

impl HyperClient {
    /// A client that trusts the certificate authorities of the host; they are read at the first `https` request.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A client that trusts these certificate authorities and no others.
    #[must_use]
    pub fn trusting(roots: RootCertStore) -> Self {
        Self { trusting: Some(tls::trusting(roots).expect("the provider knows the safe protocol versions")) }
    }

    fn tls(&self) -> Result<Arc<ClientConfig>, String> {
        match &self.trusting {
            Some(config) => Ok(Arc::clone(config)),
            None => tls::verifying(None).map_err(|error| error.to_string()),
        }
    }

    /// Whether the server of an address takes connections; it is asked nothing.
    ///
    /// # Errors
    /// Why not, in words, without the address.
    pub async fn reach(&self, url: &str) -> Result<(), String> {
        self.connected(&address(url)?).await.map(drop)
    }

    async fn exchange(&self, request: Request) -> Result<Response, String> {
        let uri = address(&request.url)?;
        let stream = self.connected(&uri).await?;
        talk(stream, &uri, request).await
    }

    async fn connected(&self, uri: &Uri) -> Result<Box<dyn Stream>, String> {
        let host = uri.host().ok_or("the address has no host")?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let is_tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            Some(_) | None => return Err("the address begins neither with http:// nor with https://".to_owned()),
        };
        let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let stream =
            TcpStream::connect((host.as_str(), port)).await.map_err(|error| format!("no connection: {error}"))?;
        if !is_tls {
            return Ok(Box::new(stream));
        }
        let name = ServerName::try_from(host).map_err(|_| "the host is not a valid name".to_owned())?;
        let connected = TlsConnector::from(self.tls()?).connect(name, stream).await;
        Ok(Box::new(connected.map_err(|error| format!("TLS: {}", tls::io_in_words(&error)))?))
    }
}

impl HttpClient for HyperClient {
    async fn send(&self, request: Request) -> Result<Response, String> {
        let timeout = request.timeout;
        match tokio::time::timeout(timeout, self.exchange(request)).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("no answer within {}", ansai_model::time::Shown(timeout))),
        }
    }
}

fn address(url: &str) -> Result<Uri, String> {
    url.parse().map_err(|_| "the address is not valid".to_owned())
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

async fn talk(stream: Box<dyn Stream>, uri: &Uri, request: Request) -> Result<Response, String> {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| chain(&error))?;
    let request = built(uri, request)?;
    let exchange = async {
        let answer = sender.send_request(request).await.map_err(|error| chain(&error))?;
        let status = answer.status().as_u16();
        Ok(Response { status, body: body(answer.into_body()).await })
    };
    let connection: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(async {
        // What breaks the connection breaks the exchange as well, which says it better.
        let _ = connection.await;
        std::future::pending::<()>().await;
    });
    tokio::select! {
        answer = exchange => answer,
        () = connection => Err("the connection ended".to_owned()),
    }
}

fn built(uri: &Uri, request: Request) -> Result<hyper::Request<Full<Bytes>>, String> {
    let authority = uri.authority().ok_or("the address has no host")?;
    // Whoever wrote `user:password@` into the address meant it for the address, not for a header.
    let host = authority.as_str().rsplit('@').next().unwrap_or_default();
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let mut built = hyper::Request::builder()
        .method(request.method)
        .uri(path)
        .header("host", host)
        .header("user-agent", concat!("ansai/", env!("CARGO_PKG_VERSION")));
    for (name, value) in &request.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("`{name}` is not a header's name"))?;
        let value = HeaderValue::from_str(value).map_err(|_| format!("the value of `{name}` is not a header's"))?;
        built = built.header(name, value);
    }
    built.body(Full::new(request.body)).map_err(|error| chain(&error))
}

/// The first bytes of an answer, which is an explanation at best.
async fn body(body: Incoming) -> String {
    let mut limited = Limited::new(body, ANSWER_BYTES_MAX);
    let mut bytes = Vec::new();
    while let Some(Ok(frame)) = limited.frame().await {
        if let Some(data) = frame.data_ref() {
            bytes.extend_from_slice(data);
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
pub(crate) mod testing;
