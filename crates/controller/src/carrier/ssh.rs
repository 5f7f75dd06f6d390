//! The system's `ssh`, as it is run: in batch mode, with known hosts of our own, without a shared connection, its remote command
//! `exec /bin/sh` and nothing else. What it says on its standard error is kept for who asks why.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use ansai_model::text::Text;
use ansai_notify::durable;
use ansai_protocol::ssh::{KEYS_MAX, OverSsh, SshKey};
use tokio::{
    io::AsyncReadExt,
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command},
    time::timeout,
};
use tokio_util::task::TaskTracker;

use super::{dialogue::Dialogue, trouble::SshTrouble};

/// Both ends of `ssh`.
pub(crate) type Out = ChildStdout;
pub(crate) type In = ChildStdin;

/// Most bytes of what `ssh` said last that are kept.
const SAID_MAX: usize = 4 << 10;
/// Most bytes of a file of keys.
const KEYS_BYTES_MAX: u64 = 64 << 10;
/// Longest run of `ssh-keygen`.
const KEYGEN_MAX: Duration = Duration::from_secs(20);
/// How long the end of `ssh` is waited for, once its streams have ended.
const EXIT_WITHIN: Duration = Duration::from_secs(5);

/// Where the files for `ssh` are.
#[derive(Clone, Debug)]
pub(crate) struct Ssh {
    /// Those that stay: the controller's key, and the operator's own `config`.
    kept: PathBuf,
    /// Those of connections.
    passing: PathBuf,
    tasks: TaskTracker,
}

/// A run of `ssh`.
#[derive(Debug)]
pub(crate) struct Run {
    child: Child,
    said: Arc<Mutex<String>>,
    destination: Text,
    ssh: Ssh,
    /// The files of this run: what `ssh` goes by, and the known hosts.
    config: PathBuf,
    known: PathBuf,
}

impl Drop for Run {
    fn drop(&mut self) {
        // What is left is written over by the next run, or gone with the runtime folder.
        let _ = std::fs::remove_file(&self.config);
        let _ = std::fs::remove_file(&self.known);
    }
}

/// Whether a host's key is taken that is not known yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keys {
    Known,
    New,
}

impl Ssh {
    pub(crate) fn new(state_dir: &Path, runtime_dir: &Path, tasks: TaskTracker) -> Self {
        Self { kept: state_dir.join("ssh"), passing: runtime_dir.join("ssh"), tasks }
    }

    fn key(&self) -> PathBuf {
        self.kept.join("id_ed25519")
    }

    /// Begins a connection to a host by the keys that are pinned for it.
    pub(crate) async fn connect(&self, name: &str, over: &OverSsh) -> Result<Run, SshTrouble> {
        let known: String = over.known.iter().map(|line| format!("{line}\n")).collect();
        self.run(name, over, &known, Keys::Known).await
    }

    /// Begins a connection to a host whose key is not known yet: it is shown to a person before anything is done.
    pub(crate) async fn meet(&self, over: &OverSsh) -> Result<Run, SshTrouble> {
        let name = ansai_link::chance::<8>().map(|bytes| format!("new-{:016x}", u64::from_le_bytes(bytes)));
        let name = name.map_err(|error| SshTrouble::new(error.to_string(), error.suggestion().to_string()))?;
        self.run(&name, over, "", Keys::New).await
    }

    async fn run(&self, name: &str, over: &OverSsh, known: &str, keys: Keys) -> Result<Run, SshTrouble> {
        check_destination(over.destination.as_str())?;
        self.make_key().await?;
        let (config, file) = (self.passing.join(format!("{name}.conf")), self.passing.join(format!("{name}.known")));
        let written = durable::create_private_dir(&self.passing)
            .and_then(|()| durable::write_atomically(&file, known.as_bytes()))
            .and_then(|()| durable::write_atomically(&config, self.config(&file, keys).as_bytes()));
        written.map_err(|error| unwritten(&self.passing, &error))?;
        let mut command = Command::new("ssh");
        command.arg("-F").arg(&config).args(["-T", "--", over.destination.as_str(), "exec /bin/sh"]);
        command.env_remove("SSH_AUTH_SOCK").env_remove("SSH_ASKPASS").env_remove("DISPLAY").env("LC_ALL", "C");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| {
            SshTrouble::new(format!("ssh cannot be run: {}", ansai_files::said(&error)), "apt install openssh-client")
        })?;
        let said = Arc::new(Mutex::new(String::new()));
        if let Some(stderr) = child.stderr.take() {
            self.tasks.spawn(hear(stderr, said.clone()));
        }
        Ok(Run { child, said, destination: over.destination.clone(), ssh: self.clone(), config, known: file })
    }

    /// What `ssh` goes by, on the way to the host too: what comes first counts.
    fn config(&self, known: &Path, keys: Keys) -> String {
        let strict = if keys == Keys::Known { "yes" } else { "accept-new" };
        format!(
            "BatchMode yes\nStrictHostKeyChecking {strict}\nUserKnownHostsFile {known}\nGlobalKnownHostsFile /dev/null\n\
             HashKnownHosts no\nUpdateHostKeys no\nCheckHostIP no\nControlMaster no\nControlPath none\nForwardAgent no\nForwardX11 no\n\
             ClearAllForwardings yes\nPermitLocalCommand no\nTunnel no\nRequestTTY no\nLogLevel ERROR\nConnectTimeout 10\n\
             ServerAliveInterval 10\nServerAliveCountMax 3\nIdentityFile {key}\nInclude {own}\nInclude /etc/ssh/ssh_config\n",
            known = known.display(),
            key = self.key().display(),
            own = self.kept.join("config").display(),
        )
    }

    /// The controller has a key of its own, made when it is first needed.
    async fn make_key(&self) -> Result<(), SshTrouble> {
        if self.key().exists() {
            return Ok(());
        }
        durable::create_private_dir(&self.kept).map_err(|error| unwritten(&self.kept, &error))?;
        let mut command = Command::new("ssh-keygen");
        command.args(["-q", "-t", "ed25519", "-N", "", "-C", "ansai-controller", "-f"]).arg(self.key());
        keygen(command).await.map(|_| ())
    }

    /// What a host must know to let the controller in.
    fn own_key(&self) -> String {
        let read = ansai_files::text(&self.key().with_extension("pub"), KEYS_BYTES_MAX);
        read.map_or_else(|_| self.key().with_extension("pub").display().to_string(), |key| key.trim().to_owned())
    }
}

impl Run {
    /// The conversation with the shell there.
    pub(crate) fn dialogue(&mut self) -> Result<Dialogue<Out, In>, SshTrouble> {
        let (Some(out), Some(into)) = (self.child.stdout.take(), self.child.stdin.take()) else {
            return Err(SshTrouble::unknown("it has no streams"));
        };
        Dialogue::new(out, into)
    }

    /// What is behind a trouble: what `ssh` itself says, when it has ended.
    pub(crate) async fn explained(&mut self, trouble: SshTrouble) -> SshTrouble {
        let is_end = trouble == SshTrouble::unknown("");
        let exited = timeout(if is_end { EXIT_WITHIN } else { Duration::ZERO }, self.child.wait()).await;
        let said = self.said();
        match SshTrouble::of_ssh(&said, &self.ssh.own_key()) {
            Some(known) if exited.is_ok() => known,
            _ if is_end => SshTrouble::unknown(&said),
            _ => trouble,
        }
    }

    /// Waits for the end of `ssh`, and says what it said last.
    pub(crate) async fn ended(&mut self, within: Duration) -> String {
        // What goes on beyond that ends with the connection.
        let _ = timeout(within, self.child.wait()).await;
        self.said()
    }

    fn said(&self) -> String {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The keys that were met on the way to the host, its own the last.
    pub(crate) async fn keys(&self) -> Result<Vec<SshKey>, SshTrouble> {
        let text = ansai_files::text(&self.known, KEYS_BYTES_MAX);
        let text = text.map_err(|error| SshTrouble::new(error.to_string(), "try again"))?;
        let mut command = Command::new("ssh-keygen");
        command.arg("-lf").arg(&self.known);
        let shown = keygen(command).await?;
        let keys: Vec<SshKey> = text.lines().zip(shown.lines()).filter_map(|(line, shown)| key(line, shown)).collect();
        if keys.is_empty() || keys.len() > KEYS_MAX {
            let what = format!("{} shows {} keys", self.destination, keys.len());
            return Err(SshTrouble::new(what, "see what ssh-keyscan says of it"));
        }
        Ok(keys)
    }
}

/// A line of known hosts, with what `ssh-keygen -l` says of it: bits, fingerprint, a comment, and the kind in brackets.
fn key(line: &str, shown: &str) -> Option<SshKey> {
    let fingerprint = shown.split_whitespace().nth(1)?;
    let kind = shown.split_whitespace().last()?.trim_matches(['(', ')']);
    let host = line.split_whitespace().next()?;
    let text = |text: &str| Text::new(text);
    Some(SshKey { host: text(host), kind: text(kind), fingerprint: text(fingerprint), line: text(line) })
}

/// A destination is a word that no option of `ssh` begins with.
fn check_destination(destination: &str) -> Result<(), SshTrouble> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.@:/[]%".contains(c);
    if destination.is_empty() || destination.starts_with('-') || !destination.chars().all(is_plain) {
        let what = format!("`{destination}` is no destination for ssh");
        return Err(SshTrouble::new(
            what,
            "write it as root@web-01, ssh://root@web-01:2222, or a name of the controller's ssh/config",
        ));
    }
    Ok(())
}

async fn keygen(mut command: Command) -> Result<String, SshTrouble> {
    command.stdin(Stdio::null()).env("LC_ALL", "C").kill_on_drop(true);
    let failed = |why: String| SshTrouble::new(format!("ssh-keygen: {why}"), "apt install openssh-client");
    let ended = timeout(KEYGEN_MAX, command.output()).await.map_err(|_| failed("it does not end".into()))?;
    let ended = ended.map_err(|error| failed(ansai_files::said(&error)))?;
    match ended.status.success() {
        true => Ok(String::from_utf8_lossy(&ended.stdout).into_owned()),
        false => Err(failed(String::from_utf8_lossy(&ended.stderr).trim().to_owned())),
    }
}

/// Keeps what is said last.
async fn hear(mut stderr: ChildStderr, said: Arc<Mutex<String>>) {
    let mut piece = [0; 1024];
    while let Ok(count @ 1..) = stderr.read(&mut piece).await {
        let text = String::from_utf8_lossy(&piece[..count]).into_owned();
        tracing::debug!("over ssh: {}", text.trim_end());
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        said.push_str(&text);
        let over = said.len().saturating_sub(SAID_MAX);
        let cut = said.ceil_char_boundary(over);
        said.drain(..cut);
    }
}

fn unwritten(path: &Path, error: &std::io::Error) -> SshTrouble {
    SshTrouble::new(format!("{}: {}", path.display(), ansai_files::said(error)), "see who may write there: ls -ld")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_be_an_option_or_a_command_is_no_destination() {
        for good in ["root@web-01", "web-01.example.com", "ssh://root@[fe80::1%eth0]:2222", "jump"] {
            assert_eq!(check_destination(good), Ok(()), "{good}");
        }
        for bad in ["", "-oProxyCommand=x", "a b", "a;b", "a\n", "$(x)", "ü"] {
            assert!(check_destination(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_key_is_shown_as_ssh_shows_it() {
        let line = "web-01 ssh-ed25519 AAAA";
        let key = key(line, "256 SHA256:abc/+ web-01 (ED25519)").expect("a key");
        assert_eq!(
            (key.host.as_str(), key.kind.as_str(), key.fingerprint.as_str()),
            ("web-01", "ED25519", "SHA256:abc/+")
        );
        assert_eq!(key.line.as_str(), line);
    }
}
