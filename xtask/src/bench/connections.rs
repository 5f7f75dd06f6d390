//! What connections cost whoever makes them: as many each second as the agent is asked for, from a bare loop in the same
//! host's network. It is the floor under every look at a port, on this machine in this hour. It looks at nothing and judges
//! nothing.

use std::{
    collections::VecDeque,
    fs::{self, File},
    io,
    net::{Shutdown, SocketAddr, TcpStream},
    os::fd::AsFd,
    thread,
    time::{Duration, Instant},
};

use ansai_lab::Host;
use anyhow::{Context as _, Result};
use rustix::{
    net::{RecvFlags, recv},
    thread::{LinkNameSpaceType, move_into_link_name_space},
};

/// The port of the lab's service.
const SERVER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 5000);
/// So often a part of a second's connections is made.
const TURN: Duration = Duration::from_millis(50);
/// How many stay open for a moment, so that nobody waits for the server's end.
const STAYING: usize = 64;

/// Percent of a core that `a_second` connections each second take.
pub(super) fn share(host: &Host, a_second: usize, lasts: Duration) -> Result<f64> {
    let network = File::open(format!("/proc/{}/ns/net", host.leader().as_raw_nonzero()))?;
    // A thread of its own: it is the one that moves into the host's network, and the one that is measured.
    let looped = thread::spawn(move || -> Result<f64> {
        move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))?;
        let (before, begun) = (spent()?, Instant::now());
        connect(a_second, lasts)?;
        Ok((spent()? - before) / 1e9 / begun.elapsed().as_secs_f64() * 100.0)
    });
    looped.join().map_err(|_| io::Error::other("the loop broke off"))?
}

fn connect(a_second: usize, lasts: Duration) -> Result<()> {
    let (begun, mut staying) = (Instant::now(), VecDeque::new());
    let each = a_second * usize::try_from(TURN.as_millis())? / 1000;
    for turn in 1.. {
        for _ in 0..each {
            let stream = TcpStream::connect(SERVER).context("the service listens")?;
            stream.shutdown(Shutdown::Write)?;
            staying.push_back(stream);
            if staying.len() > STAYING
                && let Some(left) = staying.pop_front()
            {
                // What the server had to say, as its end.
                while recv(&left, &mut [0; 2048][..], RecvFlags::DONTWAIT).is_ok_and(|(_, count)| count > 0) {}
            }
        }
        if begun.elapsed() >= lasts {
            break;
        }
        thread::park_timeout((TURN * turn).saturating_sub(begun.elapsed()));
    }
    Ok(())
}

/// Nanoseconds of a processor that this thread has had.
fn spent() -> Result<f64> {
    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
    text.split(' ').next().and_then(|first| first.parse().ok()).context("a figure")
}
