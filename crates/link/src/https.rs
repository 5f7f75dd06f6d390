//! HTTPS for a controller's API: TLS as its server and its clients speak it, and one exchange of a client. Whom a token names,
//! and what is asked, is for who calls. A client sends nothing before it knows whose certificate it sees.

use std::{path::Path, sync::Arc, time::Duration};

use ansai_protocol::link::{API_PORT, Certificate, Fingerprint};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::NoServerSessionStorage,
    version::{TLS12, TLS13},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::{
    Trouble, Whose,
    address::Address,
    certificate::ders,
    dial::{Route, builder, finished, shake},
    key::Key,
    provider,
    trouble::{of_stream, settings},
    trust::{ControllerVerifier, Known},
};

/// The name of HTTP in the TLS handshake.
const ALPN_HTTP: &[u8] = b"http/1.1";
/// Longest that a handshake may take, from the first byte on.
const SHAKEN_WITHIN: Duration = Duration::from_secs(10);
/// Most bytes of a file with CAs: that of a whole distribution has a quarter of a megabyte.
const CA_FILE_BYTES_MAX: u64 = 2 << 20;

/// A stream of a client that has shaken hands.
pub type Served = tokio_rustls::server::TlsStream<TcpStream>;

/// Takes the connections of clients, who show no certificate. A clone is another handle.
#[derive(Clone)]
pub struct HttpsAcceptor(Arc<ServerConfig>);

impl std::fmt::Debug for HttpsAcceptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HttpsAcceptor")
    }
}

impl HttpsAcceptor {
    /// With a certificate of the controller's own CA, which is shown as well: whoever has a token knows it by its digest.
    ///
    /// # Errors
    /// When these do not belong together or are no certificates.
    pub fn own(key: &Key, own: &Certificate, authority_pem: &str) -> Result<Self, Trouble> {
        let mut chain = ders(own.as_str())?;
        chain.extend(ders(authority_pem)?);
        Self::of(chain, key.der())
    }

    /// With a certificate that was given, the leaf first, and its key (PEM). No error holds anything of the key.
    ///
    /// # Errors
    /// When these do not belong together or are no certificates.
    pub fn given(chain_pem: &str, key_pem: &str) -> Result<Self, Trouble> {
        let chain = ders(chain_pem)?;
        let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes())
            .map_err(|_| Trouble::Settings("the key of the API's certificate is no private key (PEM)".into()))?;
        Self::of(chain, key)
    }

    fn of(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<Self, Trouble> {
        let builder = ServerConfig::builder_with_provider(provider()).with_protocol_versions(&[&TLS13, &TLS12]);
        let builder = builder.map_err(settings)?.with_no_client_auth();
        let mut config = builder.with_single_cert(chain, key).map_err(settings)?;
        config.alpn_protocols = vec![ALPN_HTTP.to_vec()];
        // Each connection asks one thing: a session to resume would be kept for nobody.
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(Self(Arc::new(config)))
    }

    /// Shakes hands. It takes ten seconds at most.
    ///
    /// # Errors
    /// When what comes is no TLS, or speaks another protocol.
    pub async fn accept(&self, stream: TcpStream) -> Result<Served, Trouble> {
        // An answer leaves at once; where it cannot be said it leaves a little later.
        let _ = stream.set_nodelay(true);
        let shaking = tokio_rustls::TlsAcceptor::from(Arc::clone(&self.0)).accept(stream);
        match timeout(SHAKEN_WITHIN, shaking).await {
            Ok(shaken) => shaken.map_err(|error| of_stream(&error)),
            Err(_) => Err(Trouble::Silent(SHAKEN_WITHIN)),
        }
    }
}

/// By what a client knows the controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust<'a> {
    /// By the digest of its CA, as a token names it.
    Digest(Fingerprint),
    /// By a file of CAs (PEM), and the name in its certificate.
    File(&'a Path),
}

/// The way to a controller's API, by what people write.
///
/// # Errors
/// When one of the two is no address.
pub fn route(controller: &str, proxy: Option<&str>) -> Result<Route, Trouble> {
    let proxy = proxy.map(|proxy| Address::of(proxy, "http", 3128)).transpose()?;
    Ok(Route { controller: Address::of(controller, "https", API_PORT)?, proxy })
}

/// Sends a request of HTTP/1.1 that asks to close the connection, and reads what is answered, to its end. It takes at most
/// `within` from when hands are shaken.
///
/// # Errors
/// When the controller cannot be reached, is not the one that is trusted (nothing was sent then), or answers too slowly or
/// more than `bytes_max`.
pub async fn exchange(
    route: &Route,
    trust: &Trust<'_>,
    request: &[u8],
    bytes_max: usize,
    within: Duration,
) -> Result<Vec<u8>, Trouble> {
    let config = Arc::new(client(trust)?);
    let mut stream = shake(&config, route).await.map_err(|trouble| match (trust, trouble) {
        (Trust::Digest(wanted), Trouble::Untrusted(Whose::Theirs) | Trouble::SomebodyElse) => {
            Trouble::OtherAuthority { wanted: *wanted }
        }
        (_, trouble) => trouble,
    })?;
    let exchanging = async {
        // One that is busy may answer without having listened.
        let sent = stream.write_all(request).await;
        let mut answer = Vec::new();
        let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
        let read = (&mut stream).take(limit).read_to_end(&mut answer).await;
        match read.map(drop).and(sent) {
            _ if answer.len() > bytes_max => Err(Trouble::TooLarge(bytes_max)),
            Err(error) if answer.is_empty() => Err(of_stream(&error)),
            // Who closes without a word of TLS has said all the same what was read.
            Ok(()) | Err(_) => Ok(answer),
        }
    };
    timeout(within, exchanging).await.unwrap_or(Err(Trouble::Silent(within)))
}

fn client(trust: &Trust<'_>) -> Result<ClientConfig, Trouble> {
    match trust {
        Trust::Digest(authority) => {
            let verifier = ControllerVerifier::new(Known::Digest(*authority));
            Ok(finished(builder(Arc::new(verifier))?.with_no_client_auth(), ALPN_HTTP))
        }
        Trust::File(path) => {
            let builder = ClientConfig::builder_with_provider(provider()).with_protocol_versions(&[&TLS13, &TLS12]);
            let config = builder.map_err(settings)?.with_root_certificates(roots(path)?).with_no_client_auth();
            Ok(finished(config, ALPN_HTTP))
        }
    }
}

/// The CAs of a file.
///
/// # Errors
/// When it cannot be read, or holds none.
pub fn roots(path: &Path) -> Result<RootCertStore, Trouble> {
    let unread = |why: String| Trouble::Settings(format!("{}: {why}", path.display()));
    let pem = ansai_files::bytes(path, CA_FILE_BYTES_MAX).map_err(|error| unread(error.to_string()))?;
    let mut store = RootCertStore::empty();
    let ders = CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok);
    store.add_parsable_certificates(ders);
    if store.is_empty() { Err(unread("it holds no CA (PEM)".into())) } else { Ok(store) }
}
