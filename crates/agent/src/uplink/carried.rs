//! An agent that a controller has carried to its host over SSH: it asks for its certificate on the stream on which it came, its
//! link is that stream, and it ends with it. What it is to know lies in a folder in memory, for as long as the host is up: who
//! comes and goes with a connection must not forget what it has tried already.

use std::{
    fs::File,
    io::{self, Read, Write},
    net::Shutdown,
    os::{fd::AsFd, unix::net::UnixStream},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use ansai_link::{dial::Route, key::Key, road::Road};
use ansai_model::time::WallTime;
use ansai_notify::durable::{create_private_dir, write_atomically};
use ansai_protocol::{
    link::{JoinAnswer, Short},
    ssh::{CarriedAsks, CarriedTold, LINE_BYTES_MAX},
};
use anyhow::{Context, Result, bail};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::membership::{Folder, Joined};

/// What the agent's own file says: nothing, for what holds comes from the fleet.
const OWN: &str =
    "# This host is kept well over SSH. What holds here comes from the fleet, or is what `ansai init` proposes.\n";
/// The owner's own ceiling, which no controller widens.
const LIMITS: &str = "/etc/ansai/limits.yaml";
/// Most bytes that are handed on at once.
const PIECE_BYTES: usize = 16 << 10;
/// Whoever has no link by then has lost its controller.
const LINKED_WITHIN: Duration = Duration::from_secs(60);

/// The stream to the controller.
#[derive(Debug)]
pub struct Carried {
    stream: Mutex<Option<UnixStream>>,
    ended: CancellationToken,
}

impl Carried {
    /// On the standard input and output, which two threads read and write: both may wait, and are the host's and not ours to
    /// make them wait for nothing.
    ///
    /// # Errors
    /// When the system has no socket or thread to give.
    pub fn on_standard() -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        let (mut into, mut out) = (theirs.try_clone()?, theirs);
        let (mut from, mut to) = (File::from(io::stdin().as_fd().try_clone_to_owned()?), standard_output()?);
        std::thread::Builder::new().name("from ssh".into()).spawn(move || {
            pass(&mut from, &mut into);
            // What is over is over, whichever side ended it.
            let _ = into.shutdown(Shutdown::Write);
        })?;
        std::thread::Builder::new().name("to ssh".into()).spawn(move || pass(&mut out, &mut to))?;
        Ok(Self { stream: Mutex::new(Some(ours)), ended: CancellationToken::new() })
    }

    /// The stream; nothing the second time.
    pub(crate) fn road(&self) -> Option<Road> {
        let stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        stream.set_nonblocking(true).ok()?;
        tokio::net::UnixStream::from_std(stream).ok().map(Road::given)
    }

    fn is_waiting(&self) -> bool {
        self.stream.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// The link is over.
    pub(crate) fn has_ended(&self) {
        self.ended.cancel();
    }

    /// Waits until the link is over; for ever where the agent was not carried.
    pub(crate) async fn over(carried: Option<&Self>) {
        let Some(carried) = carried else { return std::future::pending().await };
        tokio::select! {
            () = carried.ended.cancelled() => {}
            () = sleep(LINKED_WITHIN) => {
                if !carried.is_waiting() {
                    carried.ended.cancelled().await;
                }
            }
        }
    }
}

/// Where a carried agent has its things.
#[derive(Clone, Debug)]
pub struct Place {
    /// The folder.
    pub folder: PathBuf,
}

impl Place {
    /// Its own file.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.folder.join("etc/ansai.yaml")
    }

    /// What it knows.
    #[must_use]
    pub fn state_dir(&self) -> PathBuf {
        self.folder.join("state")
    }

    /// Makes the folder: with nothing of its own to say, the owner's ceiling, and what is proposed where the fleet says nothing.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn make(&self, proposal: &str) -> io::Result<()> {
        let config = self.config();
        create_private_dir(&self.folder)?;
        create_private_dir(&self.state_dir())?;
        create_private_dir(&self.folder.join("etc"))?;
        write_atomically(&config, OWN.as_bytes())?;
        Folder::of(&self.state_dir()).propose(proposal)?;
        let limits = crate::ceiling::beside(&config);
        match std::os::unix::fs::symlink(LIMITS, limits) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            Err(_) | Ok(()) => Ok(()),
        }
    }

    /// Asks the controller for a certificate: a line each way, the first marked by `tag`. The key is made here and stays here.
    ///
    /// # Errors
    /// When it is refused, or what answers is no controller.
    pub fn join_on_standard(&self, tag: &str, name: &str, now: WallTime) -> Result<()> {
        // Nothing else has read of it, and no buffer keeps back what is the link's.
        self.join(tag, name, &mut File::from(io::stdin().as_fd().try_clone_to_owned()?), &mut standard_output()?, now)
    }

    fn join(&self, tag: &str, name: &str, from: &mut impl Read, to: &mut impl Write, now: WallTime) -> Result<()> {
        let key = Key::generate()?;
        let machine_id = ansai_files::bytes(Path::new("/etc/machine-id"), 256).unwrap_or_default();
        let asks = CarriedAsks {
            request: key.request()?,
            name: Short::new(name),
            machine_id: Short::new(String::from_utf8_lossy(&machine_id).trim()),
            program: env!("CARGO_PKG_VERSION").into(),
        };
        writeln!(to, "{tag} asks {}", serde_json::to_string(&asks)?)?;
        to.flush()?;
        let told: CarriedTold = serde_json::from_slice(&line(from)?).context("what the controller answers")?;
        let identity = match told.answer {
            JoinAnswer::Joined(identity) => identity,
            JoinAnswer::Refused { what, suggestion } => bail!("{what}; {suggestion}"),
            JoinAnswer::Pending { .. } => bail!("the controller lets nobody in who waits"),
        };
        let folder = Folder::of(&self.state_dir());
        let before = folder.joined().ok().flatten();
        if before.is_some_and(|before| (before.controller, before.host) == (identity.controller, identity.host)) {
            return Ok(folder.renew(&key, identity.host, &identity.certificate, &identity.roots)?);
        }
        let route = Route::new("over-ssh", None)?;
        Ok(folder.keep(&key, &Joined::new(&route, &identity, now), &identity)?)
    }
}

fn standard_output() -> io::Result<File> {
    Ok(File::from(io::stdout().as_fd().try_clone_to_owned()?))
}

/// Hands on each piece as it comes, until either side is gone. `io::copy` would have the kernel do it, which wakes nobody who
/// waits for a piece before it has the next.
fn pass(from: &mut impl Read, to: &mut impl Write) {
    let mut piece = [0; PIECE_BYTES];
    loop {
        match from.read(&mut piece) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(0) | Err(_) => return,
            Ok(count) => {
                if to.write_all(&piece[..count]).and_then(|()| to.flush()).is_err() {
                    return;
                }
            }
        }
    }
}

/// Reads a line byte by byte: what comes behind it is the link's.
fn line(from: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    let mut byte = [0];
    loop {
        from.read_exact(&mut byte)?;
        match byte {
            [b'\n'] => return Ok(line),
            [byte] if line.len() < LINE_BYTES_MAX => line.push(byte),
            _ => return Err(io::Error::other("a line without an end")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};

    use ansai_link::authority::Authority;
    use ansai_protocol::link::{ControllerId, HostId, Identity};

    use super::{super::membership::Told, *};

    const NOW: WallTime = WallTime(1_800_000_000_000);

    /// A controller that answers one who asks: with a certificate for this host, or not.
    fn answers(
        authority: Authority,
        host: Option<HostId>,
        mut stream: UnixStream,
    ) -> std::thread::JoinHandle<Authority> {
        std::thread::spawn(move || {
            let mut line = String::new();
            BufReader::new(stream.try_clone().expect("another handle")).read_line(&mut line).expect("it asks");
            let asks: CarriedAsks =
                serde_json::from_str(line.strip_prefix("tag asks ").expect("marked")).expect("asks");
            let answer = match host {
                Some(host) => JoinAnswer::Joined(Identity {
                    host,
                    name: asks.name,
                    controller: ControllerId::of_chance([2; 16]),
                    certificate: authority.sign_host(&asks.request, host, NOW).expect("signed").certificate,
                    roots: authority.roots().expect("roots"),
                    now_ms: NOW.0,
                }),
                None => JoinAnswer::Refused { what: "no agent is carried here".into(), suggestion: "look".into() },
            };
            let told = serde_json::to_string(&CarriedTold { answer }).expect("written");
            // What comes behind the line is the link's, and stays unread.
            stream.write_all(format!("{told}\nTLS").as_bytes()).expect("told");
            authority
        })
    }

    fn joins(place: &Place, authority: Authority, host: Option<HostId>) -> (Result<()>, Authority, UnixStream) {
        let (mut ours, theirs) = UnixStream::pair().expect("a pair");
        let controller = answers(authority, host, theirs);
        let mut to = ours.try_clone().expect("another handle");
        let joined = place.join("tag", "web-01", &mut ours, &mut to, NOW);
        (joined, controller.join().expect("it answered"), ours)
    }

    #[test]
    fn each_connection_has_another_key_and_knows_what_was_known() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = Place { folder: folder.path().join("carried") };
        place.make("services: {}\n").expect("made");
        place.make("services: {app.service: {}}\n").expect("made once more");
        let (host, fleet) = (HostId::of_chance([1; 16]), Folder::of(&place.state_dir()));
        let (joined, authority, mut rest) = joins(&place, Authority::create(NOW).expect("a CA"), Some(host));
        joined.expect("joined");
        let mut unread = [0; 3];
        rest.read_exact(&mut unread).expect("read");
        assert_eq!(&unread, b"TLS", "nothing of the link was taken");
        let proposed = fleet.texts().expect("read");
        assert_eq!(proposed.len(), 1);
        assert_eq!(proposed[0].text, "services: {app.service: {}}\n", "the fleet says nothing yet");
        let first = fleet.read().expect("read").expect("joined").facts.key;
        let told = Told { controller: ControllerId::of_chance([2; 16]), epoch: 1, reports_ms: 7 };
        fleet.keep_told(&told).expect("kept");
        let (joined, authority, _) = joins(&place, authority, Some(host));
        joined.expect("joined again");
        assert_ne!(fleet.read().expect("read").expect("joined").facts.key, first);
        assert_eq!(fleet.told(), Some(told), "the same host goes on");
        let (refused, authority, _) = joins(&place, authority, None);
        assert!(refused.expect_err("refused").to_string().contains("no agent is carried here"));
        joins(&place, authority, Some(HostId::of_chance([3; 16]))).0.expect("joined as another");
        assert_eq!(fleet.told(), None, "another host begins anew");
    }

    #[test]
    fn what_answers_without_an_end_is_given_up() {
        let mut endless = io::repeat(b'x');
        assert!(line(&mut endless).is_err());
        assert!(line(&mut &b"half a line"[..]).is_err());
    }
}
