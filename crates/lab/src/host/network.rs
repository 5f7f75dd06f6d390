//! Talking to a host's ports from outside, although its network is private: a thread steps into the host's network to connect.
//!
//! It deliberately speaks plain HTTP/1.1 only; TLS is tested with programs inside the host.

use std::fs::File;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd as _;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::Host;
use crate::fixture::http::{self, Response};

const LIMIT: Duration = Duration::from_secs(10);

impl Host {
    /// Connects to an address as seen inside the host.
    pub fn connect(&self, address: &str) -> Result<TcpStream> {
        let address: SocketAddr = address.parse().with_context(|| format!("`{address}` is no address"))?;
        let namespace = File::open(format!("/proc/{}/ns/net", self.leader().as_raw_nonzero()))
            .context("opening the host's network")?;
        let connect = move || -> Result<TcpStream> {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
                .context("entering the host's network")?;
            let stream =
                TcpStream::connect_timeout(&address, LIMIT).with_context(|| format!("connecting to {address}"))?;
            stream.set_read_timeout(Some(LIMIT))?;
            stream.set_write_timeout(Some(LIMIT))?;
            Ok(stream)
        };
        let thread = std::thread::spawn(connect);
        thread
            .join()
            .ok()
            .context("the connecting thread panicked")?
            .with_context(|| format!("on lab host `{}`", self.name))
    }

    /// Asks a server in the host: `host.http("127.0.0.1:80", "GET", "/", "")`.
    pub fn http(&self, address: &str, method: &str, path: &str, body: &str) -> Result<Response> {
        let stream = self.connect(address)?;
        http::ask(stream, method, path, body)
            .with_context(|| format!("{method} {address}{path} on lab host `{}`", self.name))
    }
}
