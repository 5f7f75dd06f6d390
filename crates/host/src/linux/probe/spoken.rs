//! A look that speaks the protocol of a server: asks as its row in the model's table says, reads until the answer can be
//! judged, and leaves as a client would. It knows no protocol itself, keeps nothing of an answer, and never logs in.

use std::{io, os::fd::OwnedFd, time::Duration};

use ansai_model::{
    observation::Observation,
    probe::{Heard, Protocol},
    time::Shown,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpStream, UnixStream},
};

use super::{
    parting::Partings,
    reach::{Time, Why},
};

/// Most bytes of an answer that are read before it can be judged.
const SAID_MAX: usize = 8 * 1024;
/// Most characters of an answer that are shown.
const SHOWN_MAX: usize = 80;

/// A connection that can be left in good order.
pub(super) trait Leaves: AsyncRead + AsyncWrite + Unpin {
    /// What is left of it, which does not block.
    fn into_fd(self) -> io::Result<OwnedFd>;
}

impl Leaves for TcpStream {
    fn into_fd(self) -> io::Result<OwnedFd> {
        self.into_std().map(Into::into)
    }
}

impl Leaves for UnixStream {
    fn into_fd(self) -> io::Result<OwnedFd> {
        self.into_std().map(Into::into)
    }
}

/// What came of the talk.
#[derive(Debug)]
enum Ended {
    Alive,
    Refuses(String),
    Foreign(String),
    Closed,
    Endless,
    Silent,
    Broke(io::Error),
}

/// Speaks over a connection of TCP that does not block.
pub(super) async fn tcp(
    partings: &Partings,
    socket: OwnedFd,
    protocol: Protocol,
    who: &str,
    time: Time,
) -> Observation {
    match TcpStream::from_std(socket.into()) {
        Ok(stream) => look(partings, stream, protocol, who, time).await,
        Err(error) => Why::from(error).seen(who),
    }
}

/// Speaks over a connection for as long as the look has left.
pub(super) async fn look(
    partings: &Partings,
    mut stream: impl Leaves,
    protocol: Protocol,
    who: &str,
    time: Time,
) -> Observation {
    let mut said = Vec::new();
    let left = time.timeout.saturating_sub(time.begun.elapsed());
    let ended = match tokio::time::timeout(left, talk(&mut stream, protocol, &mut said)).await {
        Ok(Ok(ended)) => ended,
        Ok(Err(error)) => Ended::Broke(error),
        Err(_) if said.is_empty() => Ended::Silent,
        Err(_) => Ended::Foreign(first_line(&said)),
    };
    if matches!(ended, Ended::Alive) {
        // A server that has gone by now has answered all the same.
        let _ = tokio::time::timeout(left, stream.write_all(protocol.manner().leaves)).await;
    }
    if let Ok(socket) = stream.into_fd() {
        partings.part(socket);
    }
    // Who had the smaller part of the time is not to blame.
    if matches!(ended, Ended::Silent) && left < time.timeout / 2 {
        return Observation::unknown(format!("{who}: most of the {} went to finding its name", Shown(time.timeout)));
    }
    seen(ended, protocol, who, left)
}

async fn talk(stream: &mut impl Leaves, protocol: Protocol, said: &mut Vec<u8>) -> io::Result<Ended> {
    let manner = protocol.manner();
    // Who closes at once has often said why, and that is read below.
    let asked = stream.write_all(manner.opens).await;
    let mut buffer = [0; 1024];
    loop {
        let count = match (stream.read(&mut buffer).await, said.is_empty()) {
            (Ok(count), _) => count,
            (Err(error), true) => return Err(error),
            (Err(_), false) => 0,
        };
        if count == 0 {
            asked?;
            return Ok(if said.is_empty() { Ended::Closed } else { Ended::Foreign(first_line(said)) });
        }
        said.extend_from_slice(&buffer[..count]);
        match (manner.hears)(said) {
            Heard::Alive => return Ok(Ended::Alive),
            Heard::Refuses(from) => return Ok(Ended::Refuses(first_line(said.get(from..).unwrap_or_default()))),
            Heard::Foreign => return Ok(Ended::Foreign(first_line(said))),
            Heard::More if said.len() >= SAID_MAX => return Ok(Ended::Endless),
            Heard::More => {}
        }
    }
}

fn seen(ended: Ended, protocol: Protocol, who: &str, left: Duration) -> Observation {
    let name = protocol.name();
    match ended {
        Ended::Alive => Observation::healthy(format!("{who} answers as {name}")),
        Ended::Refuses(words) => {
            Observation::warning(format!("{who} answers as {name}, and serves nobody now: {words}"))
        }
        Ended::Foreign(words) => Observation::failing(format!("{who} answers, but not as {name}: `{words}`")),
        Ended::Closed => {
            Observation::failing(format!("{who} accepts connections and closes them without a word of {name}"))
        }
        Ended::Endless => Observation::failing(format!("{who} talks without end, and not as {name}")),
        Ended::Silent => {
            Observation::failing(format!("{who} accepts connections and says nothing as {name} within {}", Shown(left)))
        }
        Ended::Broke(error) => Why::from(error).seen(who),
    }
}

/// The beginning of what a server said, as a person may read it.
fn first_line(said: &[u8]) -> String {
    let line = said.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
    let text = String::from_utf8_lossy(&line[..line.len().min(4 * SHOWN_MAX)]);
    let shown = |c: char| if c.is_control() { '.' } else { c };
    let cut: String = text.chars().take(SHOWN_MAX).map(shown).collect();
    if text.chars().nth(SHOWN_MAX).is_some() { format!("{cut}…") } else { cut }
}

#[cfg(test)]
mod tests;
