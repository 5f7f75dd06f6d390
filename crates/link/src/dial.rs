//! A host dials its controller: over a name or an IP address, through a proxy when there is one, with its own certificate.
//! The link is up when the controller has said welcome: with TLS 1.3 the handshake of one that is refused succeeds, and the
//! refusal comes with the first read.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use ansai_protocol::link::{ALPN, Certificate, ControllerId, FromController, FromHost, Hello, Roots, Welcome, agreed};
use rustls::{ClientConfig, client::Resumption, pki_types::ServerName, version::TLS13};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, TlsStream};

use crate::{
    Trouble,
    address::Address,
    certificate::ders,
    frames::Frames,
    key::Key,
    provider,
    road::Road,
    trouble::{of_stream, settings},
    trust::ControllerVerifier,
};

/// Longest wait for the resolver.
const RESOLVED_WITHIN: Duration = Duration::from_secs(5);
/// Longest wait for one address to take the connection.
const TAKEN_WITHIN: Duration = Duration::from_secs(5);
/// Most addresses of one name that are tried.
const ADDRESSES_MAX: usize = 8;
/// Longest wait for a TLS handshake, and for the first message after it.
const SHAKEN_WITHIN: Duration = Duration::from_secs(10);
/// Most bytes of a proxy's answer.
const PROXY_BYTES_MAX: usize = 4 << 10;

/// A stream of messages under TLS.
pub type Link = Frames<TlsStream<Road>>;

/// How a controller is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Where it listens.
    pub controller: Address,
    /// The HTTP proxy that connects to it, when one must.
    pub proxy: Option<Address>,
}

impl Route {
    /// A route by what people write.
    ///
    /// # Errors
    /// When one of the two is no address.
    pub fn new(controller: &str, proxy: Option<&str>) -> Result<Self, Trouble> {
        let proxy = proxy.map(|proxy| Address::of(proxy, "http", 3128)).transpose()?;
        Ok(Self { controller: controller.parse()?, proxy })
    }
}

/// Who a host is, ready to dial.
#[derive(Clone)]
pub struct Caller(Arc<ClientConfig>);

impl std::fmt::Debug for Caller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Caller")
    }
}

impl Caller {
    /// A host with its key and certificate, and what it knows its controller by.
    ///
    /// # Errors
    /// When these do not belong together or are no certificates.
    pub fn new(key: &Key, own: &Certificate, controller: ControllerId, roots: &Roots) -> Result<Self, Trouble> {
        let verifier = Arc::new(ControllerVerifier::of(controller, roots)?);
        let config = builder(verifier)?.with_client_auth_cert(ders(own.as_str())?, key.der()).map_err(settings)?;
        Ok(Self(Arc::new(finished(config, ALPN))))
    }

    /// Dials, says hello, and hears the welcome. It does not wait before: that is [`crate::pause`].
    ///
    /// # Errors
    /// When the controller cannot be reached, is another one, or does not take the host in.
    pub async fn dial(&self, route: &Route, hello: Hello) -> Result<(Link, Box<Welcome>), Trouble> {
        Self::greet(shake(&self.0, route).await?, hello).await
    }

    /// The same on a stream that leads to the controller already.
    ///
    /// # Errors
    /// As [`Caller::dial`].
    pub async fn dial_on(&self, road: Road, hello: Hello) -> Result<(Link, Box<Welcome>), Trouble> {
        // Which controller it is says its certificate, by its id and not by a name.
        let nobody = ServerName::try_from("controller").map_err(|_| Trouble::NoAddress("controller".into()))?;
        Self::greet(shake_on(&self.0, road, nobody).await?, hello).await
    }

    async fn greet(stream: TlsStream<Road>, hello: Hello) -> Result<(Link, Box<Welcome>), Trouble> {
        let mut link = Frames::of_link(stream);
        link.send(&FromHost::Hello(Box::new(hello))).await?;
        match link.receive_within(SHAKEN_WITHIN).await? {
            FromController::Welcome(welcome) => match agreed(welcome.version, welcome.version) {
                Some(_) => Ok((link, welcome)),
                None => Err(Trouble::Version { oldest: welcome.version, newest: welcome.version }),
            },
            FromController::Closing { why, suggestion, again_after_ms, is_removed } => {
                let again_after = again_after_ms.map(Duration::from_millis);
                Err(Trouble::Closing { why, suggestion, again_after, is_removed })
            }
            _ => Err(Trouble::NoMessage("the controller speaks before it says welcome".into())),
        }
    }
}

type Building = rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>;

pub(crate) fn builder(verifier: Arc<ControllerVerifier>) -> Result<Building, Trouble> {
    let builder =
        ClientConfig::builder_with_provider(provider()).with_protocol_versions(&[&TLS13]).map_err(settings)?;
    Ok(builder.dangerous().with_custom_certificate_verifier(verifier))
}

pub(crate) fn finished(mut config: ClientConfig, alpn: &[u8]) -> ClientConfig {
    config.alpn_protocols = vec![alpn.to_vec()];
    // A resumed session asks nobody whether a certificate is still good.
    config.resumption = Resumption::disabled();
    config
}

/// Connects and shakes hands.
pub(crate) async fn shake(config: &Arc<ClientConfig>, route: &Route) -> Result<TlsStream<Road>, Trouble> {
    let stream = match &route.proxy {
        None => connect(&route.controller).await?,
        Some(proxy) => through(connect(proxy).await?, proxy, &route.controller).await?,
    };
    let name = ServerName::try_from(route.controller.host().to_owned())
        .map_err(|_| Trouble::NoAddress(route.controller.to_string()))?;
    shake_on(config, stream.into(), name).await
}

async fn shake_on(
    config: &Arc<ClientConfig>,
    road: Road,
    name: ServerName<'static>,
) -> Result<TlsStream<Road>, Trouble> {
    road.hurry();
    let shaking = TlsConnector::from(Arc::clone(config)).connect(name, road);
    match timeout(SHAKEN_WITHIN, shaking).await {
        Ok(Ok(stream)) => Ok(stream.into()),
        Ok(Err(error)) => Err(match of_stream(&error) {
            Trouble::Ended => Trouble::NoController("it hangs up when it is greeted in TLS".into()),
            trouble => trouble,
        }),
        Err(_) => Err(Trouble::Silent(SHAKEN_WITHIN)),
    }
}

async fn connect(address: &Address) -> Result<TcpStream, Trouble> {
    let resolving = tokio::net::lookup_host((address.host(), address.port()));
    let nameless = |why: String| Trouble::NoName { name: address.host().to_owned(), why };
    let resolved = match timeout(RESOLVED_WITHIN, resolving).await {
        Ok(Ok(addresses)) => addresses.take(ADDRESSES_MAX).collect::<Vec<SocketAddr>>(),
        Ok(Err(error)) => return Err(nameless(ansai_files::unnumbered(&error.to_string()))),
        Err(_) => return Err(nameless("the resolver does not answer".into())),
    };
    let mut last = "the name has no address".to_owned();
    for socket in resolved {
        match timeout(TAKEN_WITHIN, TcpStream::connect(socket)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = ansai_files::said(&error),
            Err(_) => last = "nobody answers".into(),
        }
    }
    Err(Trouble::Unreachable { at: address.to_string(), why: last })
}

/// Asks a proxy to connect to the controller (RFC 9110, section 9.3.6).
async fn through(mut stream: TcpStream, proxy: &Address, controller: &Address) -> Result<TcpStream, Trouble> {
    let refused = |why: String| Trouble::Proxy { proxy: proxy.to_string(), why };
    let asking = async {
        let request = format!("CONNECT {controller} HTTP/1.1\r\nHost: {controller}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.map_err(|error| ansai_files::said(&error))?;
        let mut head = Vec::new();
        // Byte by byte: what comes behind the head is the controller's.
        while !head.ends_with(b"\r\n\r\n") {
            if head.len() == PROXY_BYTES_MAX {
                return Err("its answer has no end".to_owned());
            }
            head.push(stream.read_u8().await.map_err(|error| ansai_files::said(&error))?);
        }
        Ok(head)
    };
    let head =
        timeout(SHAKEN_WITHIN, asking).await.unwrap_or_else(|_| Err("it does not answer".into())).map_err(refused)?;
    let head = String::from_utf8_lossy(&head);
    let mut words = head.lines().next().unwrap_or_default().splitn(3, ' ');
    match (words.next(), words.next(), words.next()) {
        (Some(version), Some(code), _) if version.starts_with("HTTP/1.") && code.starts_with('2') => Ok(stream),
        (Some(version), Some(code), why) if version.starts_with("HTTP/1.") => {
            Err(refused(format!("it answers {code} {}", why.unwrap_or_default()).trim_end().to_owned()))
        }
        _ => Err(refused("what answers is no HTTP proxy".into())),
    }
}
