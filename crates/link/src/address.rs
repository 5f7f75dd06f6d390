//! Where a controller is: a name or an IP address, and a port. It resolves nothing.

use std::{fmt, str::FromStr};

use ansai_protocol::link::PORT;

use crate::Trouble;

/// Longest name of a host; that of DNS.
const HOST_BYTES_MAX: usize = 253;

/// Where somebody listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    host: String,
    port: u16,
}

impl Address {
    /// The name or the IP address, without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The same with another scheme before it, as of a proxy.
    pub(crate) fn of(text: &str, scheme: &str, default_port: u16) -> Result<Self, Trouble> {
        let refused = || Trouble::NoAddress(text.to_owned());
        let rest = match text.split_once("://") {
            Some((written, rest)) if written.eq_ignore_ascii_case(scheme) => rest,
            Some(_) => return Err(refused()),
            None => text,
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = match rest.strip_prefix('[') {
            Some(bracketed) => {
                let (host, port) = bracketed.split_once(']').ok_or_else(refused)?;
                let is_address = host.parse::<std::net::Ipv6Addr>().is_ok();
                (host, if is_address { port } else { return Err(refused()) })
            }
            None => rest.find(':').map_or((rest, ""), |colon| rest.split_at(colon)),
        };
        let port = match port.strip_prefix(':') {
            Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => port.parse().map_err(|_| refused())?,
            None if port.is_empty() => default_port,
            Some(_) | None => return Err(refused()),
        };
        let is_fine = |c: char| c.is_ascii_alphanumeric() || ".-_:".contains(c);
        if host.is_empty() || host.len() > HOST_BYTES_MAX || port == 0 || !host.chars().all(is_fine) {
            return Err(refused());
        }
        Ok(Self { host: host.to_owned(), port })
    }
}

impl FromStr for Address {
    type Err = Trouble;
    fn from_str(text: &str) -> Result<Self, Trouble> {
        Self::of(text, "https", PORT)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_with_a_port_or_the_usual_one() {
        for (text, shown) in [
            ("https://ctl.example.com:7443", "ctl.example.com:7443"),
            ("https://ctl.example.com/", "ctl.example.com:7443"),
            ("HTTPS://10.0.0.1:443", "10.0.0.1:443"),
            ("ctl", "ctl:7443"),
            ("https://[::1]:8", "[::1]:8"),
            ("[fd00::7]", "[fd00::7]:7443"),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!(address.to_string(), shown, "{text}");
            assert_eq!(address.to_string().parse(), Ok(address));
        }
        for wrong in [
            "",
            "https://",
            "http://ctl",
            "ssh://ctl",
            "ctl:",
            "ctl:0",
            "ctl:65536",
            "ctl:+7",
            "a b",
            "ctl/path",
            "user@ctl",
            "::1",
            "[::1",
            "[ctl]",
            "[::1]7",
            "ctl:7443:1",
            "ctl?x",
        ] {
            assert!(matches!(wrong.parse::<Address>(), Err(Trouble::NoAddress(_))), "{wrong}");
        }
    }
}
