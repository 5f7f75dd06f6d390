//! A fixture: a program that takes a port away from its owner. It asks for the port until it has it, on TCP and UDP and for
//! every address, says so to systemd, and keeps it.
//!
//! It deliberately answers nobody: the kernel accepts connections for it, so that a look which only connects is content.

use std::net::{Ipv6Addr, TcpListener, UdpSocket};
use std::process::ExitCode;
use std::time::Duration;

use ansai_lab::{fixture::notify::notify, poll};

/// Between two tries: much less than any supervisor needs between a death and the next start.
const PAUSE: Duration = Duration::from_micros(500);

fn main() -> ExitCode {
    let Some(port) = std::env::args().nth(1).and_then(|word| word.parse::<u16>().ok()) else {
        std::io::Write::write_all(&mut std::io::stderr(), b"use: ansai-lab-squatter PORT\n").ok();
        return ExitCode::FAILURE;
    };
    // An address of IPv6 stands for those of IPv4 as well.
    let address = (Ipv6Addr::UNSPECIFIED, port);
    let mut held = (None, None);
    let both = poll::until("the port", Duration::MAX, PAUSE, || {
        held.0 = held.0.take().or_else(|| TcpListener::bind(address).ok());
        held.1 = held.1.take().or_else(|| UdpSocket::bind(address).ok());
        Ok((held.0.is_some() && held.1.is_some()).then_some(()))
    });
    if both.is_err() {
        return ExitCode::FAILURE;
    }
    notify("READY=1");
    loop {
        std::thread::park();
    }
}
