//! The HTTPS that an ACME issuer is asked by: one connection a request, verified, bounded in time and size.
//!
//! Our own instead of the library's: that one brings a second HTTP client, and trusts what it likes.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use ansai_model::domain::certificate::Trust;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Request, Response, Uri, client::conn::http1};
use hyper_util::rt::TokioIo;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::net::TcpStream;

use crate::linux::tls;

const TIMEOUT: Duration = Duration::from_secs(30);
const BODY_MAX: usize = 1024 * 1024;

type Anything = Box<dyn std::error::Error + Send + Sync>;

/// A client that trusts whom it is told to.
pub(super) struct Client {
    config: Arc<ClientConfig>,
}

impl Client {
    pub(super) fn new(trust: &Trust) -> Result<Self, String> {
        let config = match trust {
            Trust::Host => tls::verifying(None),
            Trust::File(path) => tls::roots_of_file(path).and_then(tls::trusting),
            Trust::Nobody => return Err("an issuer that nobody vouches for is not asked".into()),
        };
        config.map(|config| Self { config }).map_err(|error| error.to_string())
    }
}

impl HttpClient for Client {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let config = Arc::clone(&self.config);
        Box::pin(async move {
            match tokio::time::timeout(TIMEOUT, exchange(config, request)).await {
                Ok(Ok(response)) => Ok(BytesResponse::from(response)),
                Ok(Err(error)) => Err(Error::Other(error)),
                Err(_) => Err(Error::Other("no answer within 30s".into())),
            }
        })
    }
}

async fn exchange(
    config: Arc<ClientConfig>,
    mut request: Request<BodyWrapper<Bytes>>,
) -> Result<Response<Full<Bytes>>, Anything> {
    let uri = request.uri().clone();
    if uri.scheme_str() != Some("https") {
        return Err("an issuer is asked by https only".into());
    }
    let authority = uri.authority().ok_or("the address has no host")?.clone();
    let host = authority.host().trim_matches(['[', ']']).to_owned();
    let stream = TcpStream::connect((host.as_str(), authority.port_u16().unwrap_or(443))).await?;
    let name = ServerName::try_from(host)?;
    let stream = tokio_rustls::TlsConnector::from(config).connect(name, stream).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    *request.uri_mut() = uri.path_and_query().map_or("/", |path| path.as_str()).parse::<Uri>()?;
    request.headers_mut().insert("host", authority.as_str().parse()?);
    request.headers_mut().insert("connection", "close".parse()?);
    let talk = async {
        let (parts, body) = sender.send_request(request).await?.into_parts();
        let body = Limited::new(body, BODY_MAX).collect().await?.to_bytes();
        Ok::<_, Anything>(Response::from_parts(parts, Full::new(body)))
    };
    let drive = async {
        match connection.await {
            // It ended in good order: the exchange says what it read.
            Ok(()) => std::future::pending().await,
            Err(error) => error,
        }
    };
    tokio::select! {
        answer = talk => answer,
        error = drive => Err(error.into()),
    }
}
