//! What is said to the shell of a host: a nonce begins each line that counts, so whatever a login shell, a banner or a profile
//! says beside it is passed over. It knows streams and no `ssh`.

use std::collections::BTreeMap;

use ansai_link::chance;
use ansai_protocol::ssh::{LINE_BYTES_MAX, SshProgram};
use serde::Serialize;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::{program::Program, trouble::SshTrouble};

/// Most bytes that a host may say before and between what was asked.
const SAID_MAX: usize = 1 << 20;
/// Most bytes that are read at once.
const READ_BYTES: usize = 8 << 10;

/// Where the program may lie, the first in which one can be executed; `$HOME` is root's.
const FOLDERS: &str =
    r#"/var/lib/ansai/carried /run/ansai-carried /var/tmp/ansai-carried "${HOME:-/root}/.cache/ansai/carried""#;

/// What is known of a machine before anything else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Machine {
    /// What `uname -sm` says.
    pub(crate) kind: String,
    /// What the host calls itself.
    pub(crate) name: String,
    /// Whether `sudo -n` made root of the user.
    pub(crate) by_sudo: bool,
}

/// Which program is looked for.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    hash: String,
}

impl Wanted {
    pub(crate) fn of(program: &Program) -> Self {
        Self { hash: program.hash.clone() }
    }
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) program: SshProgram,
    /// In which folder it is, or would be.
    pub(crate) folder: String,
}

impl Found {
    pub(crate) fn is_to_be_carried(&self) -> bool {
        self.program == SshProgram::Carried
    }
}

/// A conversation with a shell.
#[derive(Debug)]
pub(crate) struct Dialogue<R, W> {
    from: R,
    to: W,
    /// In two halves, so that a terminal that repeats what it is told never says it.
    nonce: (String, String),
    unread: Vec<u8>,
    said: usize,
}

/// What was said after the nonce: a word, and the rest of the line.
type Word = (String, String);

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Dialogue<R, W> {
    /// With a shell that reads commands from `to`.
    ///
    /// # Errors
    /// When the system gives no chance.
    pub(crate) fn new(from: R, to: W) -> Result<Self, SshTrouble> {
        let half = || chance::<8>().map(|bytes| format!("{:016x}", u64::from_le_bytes(bytes)));
        let no_chance = |error: ansai_link::Trouble| SshTrouble::new(error.to_string(), error.suggestion().to_string());
        let nonce = (half().map_err(no_chance)?, half().map_err(no_chance)?);
        Ok(Self { from, to, nonce, unread: Vec::new(), said: 0 })
    }

    /// Which machine it is, and the shell becomes root's.
    ///
    /// # Errors
    /// When no shell answers, or nobody is root there.
    pub(crate) async fn begin(&mut self, sudo: bool) -> Result<Machine, SshTrouble> {
        let said = self.ask(r#"say kind "$(uname -sm)"; say name "$(uname -n)"; say user "$(id -u)""#).await?;
        let user = value(&said, "user");
        let mut machine = Machine { kind: value(&said, "kind"), name: value(&said, "name"), by_sudo: false };
        if user == "0" {
            return Ok(machine);
        }
        if !sudo {
            let todo = "log in as root, or add it with --sudo where `sudo -n` makes root of that user";
            return Err(SshTrouble::new("the user is not root there", todo));
        }
        let said = self.ask(r#"if sudo -n true 2>/dev/null; then say sudo yes; else say sudo no; fi"#).await?;
        if value(&said, "sudo") != "yes" {
            let todo =
                "let it without a password, as with a file in /etc/sudoers.d there: USER ALL=(root) NOPASSWD: ALL";
            return Err(SshTrouble::new("sudo makes no root of that user without a password", todo));
        }
        // A shell may have read more than the line that it executes, so nothing is said before the next one is there.
        let (a, b) = self.nonce.clone();
        self.tell(&format!("exec sudo -n /bin/sh -c \"printf '%s%s root\\n' {a} {b}; exec /bin/sh\"\n")).await?;
        self.word().await?;
        let said = self.ask(r#"say user "$(id -u)""#).await?;
        if value(&said, "user") != "0" {
            return Err(SshTrouble::new(
                "sudo lets the user run `true` as root, and no shell",
                "allow /bin/sh as well",
            ));
        }
        machine.by_sudo = true;
        Ok(machine)
    }

    /// Where the program is, or where one can be executed. A file that is written for that is removed at once.
    ///
    /// # Errors
    /// When an agent runs there, systemd does not, or nothing can be executed anywhere.
    pub(crate) async fn find(&mut self, wanted: &Wanted) -> Result<Found, SshTrouble> {
        let script = format!(
            r#"{OWN}
{CAN_EXECUTE}
[ -d /run/systemd/system ] && say systemd yes
systemctl -q is-active ansai.service 2>/dev/null && say agent yes
[ -x /usr/bin/ansai ] && own /usr/bin && say installed "$(/usr/bin/ansai --version 2>/dev/null | head -n 1)"
for folder in {FOLDERS}; do
    program=$folder/ansai-{hash}
    own "$folder" && [ -f "$program" ] && is_it "$program" {hash} || continue
    say cached "$folder"; say version "$("$program" --version 2>/dev/null | head -n 1)"; break
done
for folder in {FOLDERS}; do can_execute "$folder" && {{ say folder "$folder"; break; }}; done"#,
            hash = wanted.hash
        );
        let said = self.ask(&script).await?;
        let has = |word: &str| said.iter().any(|(said, _)| said == word);
        if !has("systemd") {
            return Err(SshTrouble::new(
                "systemd does not run there",
                "ansai keeps hosts with systemd well; leave it out",
            ));
        }
        if has("agent") {
            let todo =
                "two agents would both act: join that one, `ansai join` there, or stop and disable ansai.service first";
            return Err(SshTrouble::new("an agent is installed and runs there already", todo));
        }
        let ours = format!("ansai {}", env!("CARGO_PKG_VERSION"));
        if value(&said, "installed") == ours {
            return Ok(Found { program: SshProgram::Installed, folder: "/usr/bin".into() });
        }
        if value(&said, "version") == ours {
            return Ok(Found { program: SshProgram::Cached, folder: value(&said, "cached") });
        }
        if !has("folder") {
            let todo = "mount one of /var/lib, /run, /var/tmp or root's home without noexec";
            return Err(SshTrouble::new("nothing can be executed there in any folder (noexec, or read-only)", todo));
        }
        Ok(Found { program: SshProgram::Carried, folder: value(&said, "folder") })
    }

    /// Brings the program, and tries it.
    ///
    /// # Errors
    /// When it cannot be written, or does not run there.
    pub(crate) async fn carry(&mut self, found: &Found, program: &Program) -> Result<(), SshTrouble> {
        let (path, read) = (program.path.clone(), program.bytes);
        let bytes = tokio::task::spawn_blocking(move || ansai_files::bytes(&path, read));
        let unread = |why: String| SshTrouble::new(format!("{}: {why}", program.path.display()), "see to that file");
        let bytes =
            bytes.await.map_err(|error| unread(error.to_string()))?.map_err(|error| unread(error.to_string()))?;
        let (folder, hash, count) = (quoted(&found.folder), &program.hash, bytes.len());
        // What could not be written must not be read as commands: then all the rest is thrown away.
        self.said_by(&format!(
            r#"{OWN}
folder={folder}; program=$folder/ansai-{hash}; new=$folder/.new-$$
umask 077
mkdir -p "$folder" && own "$folder" && say ready && head -c {count} > "$new" || {{ say failed "$folder cannot be written"; rm -f "$new"; exec cat > /dev/null; }}
is_it "$new" {hash} || {{ say failed "it did not arrive whole"; rm -f "$new"; exec cat > /dev/null; }}
chmod 0700 "$new" && mv -f "$new" "$program"
for old in "$folder"/ansai-* "$folder"/.new-*; do [ "$old" = "$program" ] || rm -f "$old"; done
say version "$("$program" --version 2>&1 | head -n 1)""#
        ))
        .await?;
        let failed = |why: &str| {
            SshTrouble::new(
                format!("the program cannot be carried: {why}"),
                "make room there, or see who may write there",
            )
        };
        match self.word().await? {
            (word, _) if word == "ready" => {}
            (_, why) => return Err(failed(&why)),
        }
        self.to.write_all(&bytes).await.map_err(|error| gone(&error))?;
        self.to.flush().await.map_err(|error| gone(&error))?;
        drop(bytes);
        let ours = format!("ansai {}", env!("CARGO_PKG_VERSION"));
        let (word, rest) = self.word().await?;
        if word != "version" {
            return Err(failed(&rest));
        }
        self.end().await?;
        if rest != ours {
            let todo = "a program that needs no library of the host is made by `cargo xtask dist`; or install the package there";
            return Err(SshTrouble::new(format!("the program does not run there: {rest}"), todo));
        }
        Ok(())
    }

    /// Has the agent take the place of the shell, and hears its first line.
    ///
    /// # Errors
    /// When it ends before.
    pub(crate) async fn run(&mut self, found: &Found, program: &Program) -> Result<String, SshTrouble> {
        let path = match found.program {
            SshProgram::Installed => quoted(&format!("{}/ansai", found.folder)),
            SshProgram::Cached | SshProgram::Carried => quoted(&format!("{}/ansai-{}", found.folder, program.hash)),
        };
        let (a, b) = self.nonce.clone();
        self.tell(&format!(
            "cd /\nPATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin exec {path} agent --over-ssh {a}{b}\n"
        ))
        .await?;
        let (word, rest) = self.word().await?;
        if word == "asks" { Ok(rest) } else { Err(SshTrouble::no_agent(&format!("it says {word}"))) }
    }

    /// Says a line to the agent.
    pub(crate) async fn line(&mut self, what: &impl Serialize) -> Result<(), SshTrouble> {
        let mut line = serde_json::to_string(what).map_err(|error| SshTrouble::no_agent(&error.to_string()))?;
        line.push('\n');
        self.tell(&line).await
    }

    /// Both ends, when all that was asked is answered.
    pub(crate) fn into_parts(self) -> (R, W) {
        (self.from, self.to)
    }

    /// Runs a script, and says what it said.
    async fn ask(&mut self, script: &str) -> Result<Vec<Word>, SshTrouble> {
        self.said_by(script).await?;
        let mut said = Vec::new();
        loop {
            match self.word().await? {
                (word, _) if word == "end" => return Ok(said),
                word => said.push(word),
            }
        }
    }

    async fn said_by(&mut self, script: &str) -> Result<(), SshTrouble> {
        let (a, b) = self.nonce.clone();
        // Until the last line is read, the shell has read nothing behind it.
        self.tell(&format!("say() {{ printf '%s%s %s\\n' {a} {b} \"$*\"; }}\n{script}\nsay end\n")).await
    }

    async fn end(&mut self) -> Result<(), SshTrouble> {
        while self.word().await?.0 != "end" {}
        Ok(())
    }

    async fn tell(&mut self, text: &str) -> Result<(), SshTrouble> {
        self.to.write_all(text.as_bytes()).await.map_err(|error| gone(&error))?;
        self.to.flush().await.map_err(|error| gone(&error))
    }

    /// The next line that begins with the nonce.
    async fn word(&mut self) -> Result<Word, SshTrouble> {
        let nonce = [self.nonce.0.as_str(), &self.nonce.1, " "].concat();
        loop {
            while let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=end).collect();
                let line = String::from_utf8_lossy(&line);
                // A banner without an end of its own stands before it.
                let Some((_, said)) = line.split_once(&nonce) else { continue };
                let (word, rest) = said.trim_end().split_once(' ').unwrap_or((said.trim_end(), ""));
                return Ok((word.to_owned(), rest.to_owned()));
            }
            if self.unread.len() > LINE_BYTES_MAX {
                // Noise has no line that counts.
                self.unread.drain(..LINE_BYTES_MAX / 2);
            }
            let mut piece = [0; READ_BYTES];
            let count = self.from.read(&mut piece).await.map_err(|error| gone(&error))?;
            self.said += count;
            match count {
                0 => return Err(SshTrouble::unknown("")),
                _ if self.said > SAID_MAX => {
                    let todo = "see what a login there prints: ssh DESTINATION true | head";
                    return Err(SshTrouble::new("the host says more than anybody asked it", todo));
                }
                _ => self.unread.extend_from_slice(&piece[..count]),
            }
        }
    }
}

/// Whether a folder and what is in it is root's alone, and a file what it should be. Where no `sha256sum` is, its name counts.
const OWN: &str = r#"own() { [ -d "$1" ] && [ ! -L "$1" ] && [ -O "$1" ] && [ -z "$(find "$1" -prune -perm /022 2>/dev/null)" ]; }
is_it() { ! command -v sha256sum >/dev/null 2>&1 || [ "$(sha256sum < "$1" | cut -d ' ' -f 1)" = "$2" ]; }"#;

/// Whether a program can be executed in a folder, or in the nearest one that is there: by executing one.
const CAN_EXECUTE: &str = r#"can_execute() {
    near=$1; while [ ! -d "$near" ]; do near=${near%/*}; near=${near:-/}; done
    if [ "$near" = "$1" ]; then own "$1" || return 1; fi
    tried=$(mktemp "$near/.ansai-XXXXXX" 2>/dev/null) || return 1
    printf '#!/bin/sh\nexit 7\n' > "$tried" && chmod 0700 "$tried" && "$tried" 2>/dev/null; came=$?
    rm -f "$tried"; [ "$came" = 7 ]
}"#;

fn value(said: &[Word], word: &str) -> String {
    let said: BTreeMap<&str, &str> = said.iter().map(|(word, rest)| (word.as_str(), rest.as_str())).collect();
    said.get(word).copied().unwrap_or_default().to_owned()
}

/// A word as a shell takes it.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// The shell has ended; `ssh` says why.
fn gone(_: &std::io::Error) -> SshTrouble {
    SshTrouble::unknown("")
}

#[cfg(test)]
mod tests;
