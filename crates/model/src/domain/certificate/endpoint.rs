//! Where a certificate is served: a protocol, a host and a port, written as one address.
//! Connecting is `host::linux::domain::certificate`'s.

use alloc::string::{String, ToString};
use core::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// How a server is brought to show its certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EndpointProtocol {
    /// TLS from the first byte: HTTPS, SMTPS, IMAPS and all others.
    Tls,
    /// SMTP with STARTTLS.
    Smtp,
    /// IMAP with STARTTLS.
    Imap,
    /// PostgreSQL with its request for TLS.
    Postgresql,
}

impl EndpointProtocol {
    /// The word for it before `://`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::Smtp => "smtp",
            Self::Imap => "imap",
            Self::Postgresql => "postgresql",
        }
    }
}

/// A server that shows a certificate, as `tls://127.0.0.1:443` or `smtp://mail.example.com:25`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Endpoint {
    /// How it is asked.
    pub protocol: EndpointProtocol,
    /// Name or address to connect to, without brackets.
    pub host: String,
    /// Port, 1 to 65535.
    pub port: u16,
    /// The name that is asked for (SNI); the host itself when absent.
    pub server_name: Option<String>,
}

/// An endpoint as it is stored: the address, and the name that is asked for.
#[derive(Clone, Serialize, Deserialize)]
struct Written {
    address: String,
    server_name: Option<String>,
}

/// Why a text is no endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointError {
    /// Without `://`, or with a protocol that is not known.
    Protocol,
    /// Without a host, or with characters that no host has.
    Host,
    /// A port that is none, or none where the protocol has no usual one.
    Port,
}

impl fmt::Display for EndpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Protocol => {
                "starts with https://, tls://, smtp://, smtps://, imap://, imaps:// or postgresql://, as in https://127.0.0.1"
            }
            Self::Host => "needs a host name or an address behind ://",
            Self::Port => "needs a port from 1 to 65535, as in tls://127.0.0.1:8443",
        })
    }
}
impl core::error::Error for EndpointError {}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let (scheme, rest) = text.split_once("://").ok_or(EndpointError::Protocol)?;
        let (protocol, usual) = match scheme {
            "https" => (EndpointProtocol::Tls, Some(443)),
            "tls" => (EndpointProtocol::Tls, None),
            "smtp" => (EndpointProtocol::Smtp, Some(25)),
            "smtps" => (EndpointProtocol::Tls, Some(465)),
            "imap" => (EndpointProtocol::Imap, Some(143)),
            "imaps" => (EndpointProtocol::Tls, Some(993)),
            "postgresql" | "postgres" => (EndpointProtocol::Postgresql, Some(5432)),
            _ => return Err(EndpointError::Protocol),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = match rest.strip_prefix('[').map(|inner| inner.split_once(']')) {
            Some(Some((host, ""))) => (host, None),
            Some(Some((host, port))) => (host, Some(port.strip_prefix(':').ok_or(EndpointError::Port)?)),
            Some(None) => return Err(EndpointError::Host),
            None => rest.rsplit_once(':').map_or((rest, None), |(host, port)| (host, Some(port))),
        };
        let is_host = |c: char| c.is_ascii_alphanumeric() || "-._:%".contains(c);
        if host.is_empty() || host.len() > 255 || !host.chars().all(is_host) {
            return Err(EndpointError::Host);
        }
        let port = match port {
            Some(port) => port.parse().ok().filter(|port| *port != 0),
            None => usual,
        };
        Ok(Self { protocol, host: host.to_string(), port: port.ok_or(EndpointError::Port)?, server_name: None })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.protocol.as_str();
        match self.host.contains(':') {
            true => write!(f, "{scheme}://[{}]:{}", self.host, self.port),
            false => write!(f, "{scheme}://{}:{}", self.host, self.port),
        }
    }
}

impl From<Endpoint> for Written {
    fn from(endpoint: Endpoint) -> Self {
        Self { address: endpoint.to_string(), server_name: endpoint.server_name }
    }
}

impl TryFrom<Written> for Endpoint {
    type Error = EndpointError;
    fn try_from(written: Written) -> Result<Self, EndpointError> {
        Ok(Self { server_name: written.server_name, ..written.address.parse()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Result<&str, EndpointError>) {
        let read = text.parse::<Endpoint>();
        assert_eq!(read.clone().map(|read| read.to_string()), expect.map(String::from), "{text}");
        if let Ok(read) = read {
            assert_eq!(read.to_string().parse(), Ok(read), "it is written as it is read");
        }
    }

    #[test]
    fn endpoints_are_read_with_their_usual_ports() {
        check("https://127.0.0.1", Ok("tls://127.0.0.1:443"));
        check("https://example.com:8443/", Ok("tls://example.com:8443"));
        check("smtp://mail", Ok("smtp://mail:25"));
        check("imaps://mail", Ok("tls://mail:993"));
        check("postgresql://[::1]:5433", Ok("postgresql://[::1]:5433"));
        check("tls://host", Err(EndpointError::Port));
        check("tls://host:0", Err(EndpointError::Port));
        check("tls://[::1", Err(EndpointError::Host));
        check("https://", Err(EndpointError::Host));
        check("https://a b", Err(EndpointError::Host));
        check("ftp://host", Err(EndpointError::Protocol));
        check("", Err(EndpointError::Protocol));
    }
}
