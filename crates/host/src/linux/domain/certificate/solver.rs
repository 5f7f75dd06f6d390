//! Shows an issuer that names are ours, and takes away what was shown: files below a web root, our own small web server,
//! or records that commands set. What an issuer sends is untrusted: a token becomes a file's name only when it can be one.

use std::{ffi::OsString, net::SocketAddr, path::Path, time::Duration};

use ansai_model::{domain::certificate::Solver, probe::CommandLine, time::Shown};
use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::linux::{
    command::{self, Ended},
    owned_path::{Folder, Fresh, Ownership, Trusted},
    redact::Redactor,
};

const HOOK_TIMEOUT: Duration = Duration::from_secs(60);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
const REQUEST_BYTES_MAX: usize = 4096;
const REQUESTS_AT_ONCE_MAX: usize = 16;
const CHALLENGES: &str = ".well-known/acme-challenge";

/// What must be shown for one name.
#[derive(Clone, Debug)]
pub(super) struct Proof {
    /// The name, without `*.`.
    pub(super) name: String,
    /// Under which path (HTTP-01).
    pub(super) token: String,
    /// What must be found there.
    pub(super) answer: String,
    /// What the record must be (DNS-01).
    pub(super) record: String,
}

/// Proofs that are shown. [`Proofs::take_away`] takes them away; files go even when that is forgotten.
pub(super) struct Proofs<'a> {
    redactor: &'a Redactor,
    proofs: Vec<Proof>,
    shown: Display<'a>,
}

/// How they are shown.
enum Display<'a> {
    /// Files, which go with this.
    Files(#[expect(dead_code, reason = "it is there to be dropped")] Files),
    Served(TcpListener),
    Records {
        clear: Option<&'a CommandLine>,
    },
}

/// Files that are removed when this is dropped.
struct Files(Folder, Vec<OsString>);

impl Drop for Files {
    fn drop(&mut self) {
        for name in &self.1 {
            let _ = self.0.remove(name);
        }
    }
}

impl<'a> Proofs<'a> {
    /// Shows them.
    pub(super) async fn show(redactor: &'a Redactor, solver: &'a Solver, proofs: Vec<Proof>) -> Result<Self, String> {
        let is_token = |token: &str| {
            !token.is_empty()
                && token.len() <= 200
                && token.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        };
        let shown = match solver {
            Solver::Webroot { path } => {
                if let Some(proof) = proofs.iter().find(|proof| !is_token(&proof.token)) {
                    return Err(format!("the issuer sent a token that is none: {}", proof.token.escape_debug()));
                }
                Display::Files(write_files(path, &proofs)?)
            }
            Solver::Listen { address } => Display::Served(listen(address).await?),
            Solver::Hook { set, clear, wait } => {
                let shown = Self { redactor, proofs, shown: Display::Records { clear: clear.as_ref() } };
                if let Err(why) = shown.run_hook(set).await {
                    let _ = shown.take_away().await;
                    return Err(why);
                }
                tokio::time::sleep(*wait).await;
                return Ok(shown);
            }
        };
        Ok(Self { redactor, proofs, shown })
    }

    /// Does something while they are shown.
    pub(super) async fn while_shown<T>(&self, task: impl Future<Output = T>) -> T {
        match &self.shown {
            Display::Files(_) | Display::Records { .. } => task.await,
            Display::Served(listener) => tokio::select! {
                done = task => done,
                never = serve(listener, &self.proofs) => match never {},
            },
        }
    }

    /// Takes them away.
    pub(super) async fn take_away(self) -> Result<(), String> {
        match &self.shown {
            Display::Files(_) | Display::Served(_) | Display::Records { clear: None } => Ok(()),
            Display::Records { clear: Some(clear) } => self.run_hook(clear).await,
        }
    }

    /// Runs a command for each name.
    async fn run_hook(&self, hook: &CommandLine) -> Result<(), String> {
        for proof in &self.proofs {
            let mut line = hook.clone();
            let record = format!("_acme-challenge.{}", proof.name);
            line.environment.insert("ANSAI_ACME_NAME".into(), proof.name.clone());
            line.environment.insert("ANSAI_ACME_RECORD".into(), record.clone());
            line.environment.insert("ANSAI_ACME_VALUE".into(), proof.record.clone());
            let finished = command::run(&line, HOOK_TIMEOUT).await;
            let said = || self.redactor.redact(&command::said(&finished));
            match &finished.ended {
                Ended::Code(0) => {}
                Ended::TimedOut => {
                    return Err(format!("`{}` for {record} did not end within {}", line.shown(), Shown(HOOK_TIMEOUT)));
                }
                ended => return Err(format!("`{}` for {record} did not work ({ended:?}): {}", line.shown(), said())),
            }
        }
        Ok(())
    }
}

/// Writes below the web root, which may belong to the web server's own user: what is written is for all to see.
fn write_files(webroot: &str, proofs: &[Proof]) -> Result<Files, String> {
    let trusted = Trusted::own().and_one_other();
    let root = Folder::open(Path::new(webroot), &trusted);
    root.map_err(|why| format!("the web root {webroot} cannot be used: {why}"))?;
    let folder = Folder::open_or_make(&Path::new(webroot).join(CHALLENGES), &trusted)?;
    let mut files = Files(folder, Vec::new());
    let ids = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    for proof in proofs {
        let name = OsString::from(&proof.token);
        // The web server's user must be able to read it.
        let ownership = Ownership { uid: ids.0, gid: ids.1, mode: 0o644 };
        Fresh::file(files.0.again()?, &name, proof.answer.as_bytes(), ownership)?.commit()?;
        files.1.push(name);
    }
    Ok(files)
}

async fn listen(address: &str) -> Result<TcpListener, String> {
    let address: SocketAddr = address.parse().map_err(|_| format!("`{address}` is no address with a port"))?;
    TcpListener::bind(address).await.map_err(|error| {
        format!("{address} cannot be listened on ({error}): when a web server is there, use `webroot` instead")
    })
}

/// Answers requests for proofs until it is dropped.
async fn serve(listener: &TcpListener, proofs: &[Proof]) -> std::convert::Infallible {
    let mut open = FuturesUnordered::new();
    loop {
        tokio::select! {
            // A client beyond the limit waits in the kernel's queue.
            accepted = listener.accept(), if open.len() < REQUESTS_AT_ONCE_MAX => match accepted {
                Ok((stream, _)) => open.push(tokio::time::timeout(REQUEST_TIMEOUT, answer(stream, proofs))),
                // Out of descriptors, or a client that went away: the next one may have more luck.
                Err(_) => tokio::task::yield_now().await,
            },
            Some(_) = open.next() => {}
        }
    }
}

async fn answer(mut stream: TcpStream, proofs: &[Proof]) -> std::io::Result<()> {
    let mut request = Vec::new();
    let mut buffer = [0; 1024];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") && request.len() < REQUEST_BYTES_MAX {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        request.extend_from_slice(&buffer[..count]);
    }
    let request = String::from_utf8_lossy(&request);
    let path =
        request.lines().next().and_then(|line| line.strip_prefix("GET /")?.split(' ').next()).unwrap_or_default();
    let token = path.strip_prefix(CHALLENGES).and_then(|rest| rest.strip_prefix('/'));
    let found = token.and_then(|token| proofs.iter().find(|proof| proof.token == token));
    let (status, body) = match found {
        Some(proof) => ("200 OK", proof.answer.as_str()),
        None => ("404 Not Found", "there is nothing else here\n"),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/octet-stream\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.shutdown().await
}
