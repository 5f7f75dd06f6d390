//! A command of the operator's that reads the message as JSON from its standard input.
//!
//! It runs in its own process group with a minimal environment, is killed when it does not end, and what it prints is
//! read to a limit. No shell is involved.

use std::{process::Stdio, time::Duration};

use ansai_host::linux::{
    aside::{self, Kind, Work},
    programs,
    redact::Redactor,
};
use ansai_model::{notify::WebhookFormat, probe::CommandLine, time::Shown};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    process::{Child, Command},
    runtime::Handle,
};

use super::{
    payload,
    render::{RenderOptions, one_line},
};
use crate::{
    durable::read_bounded,
    outbox::{DeliverError, Message},
};

const TIMEOUT: Duration = Duration::from_secs(30);
/// Longest wait for the end of what was killed.
const KILL_TIME: Duration = Duration::from_secs(2);
const OUTPUT_BYTES_MAX: usize = 4096;
const PASSWD_BYTES_MAX: u64 = 4 << 20;
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Runs the command with a message.
pub(super) async fn send(
    command: &CommandLine,
    message: &Message,
    render: &RenderOptions,
    redactor: &Redactor,
) -> Result<(), DeliverError> {
    let mut input = payload::of(WebhookFormat::Generic, message, render).to_string().into_bytes();
    input.push(b'\n');
    run(command, &input, TIMEOUT, redactor).await
}

async fn run(command: &CommandLine, input: &[u8], timeout: Duration, redactor: &Redactor) -> Result<(), DeliverError> {
    let folder = command.directory.iter().filter(|path| path.starts_with('/'));
    let work = Work::new(Kind::Start, format!("the start of `{}`", command.shown()));
    let work = work.on(folder).on(programs::begun_by(command));
    // A program on a server that is away keeps whoever begins it waiting; the child belongs to this runtime.
    let (begun, runtime) = (command.clone(), Handle::current());
    let begins = move || {
        let _inside = runtime.enter();
        started(&begun)
    };
    let mut child = aside::run(work, timeout, begins).await.map_err(|late| DeliverError::Later(late.to_string()))??;
    let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    let ended = tokio::time::timeout(timeout, converse(&mut child, input)).await;
    match ended {
        Ok(Ok((status, _))) if status.success() => Ok(()),
        // Before it is cut and put on one line: a secret may be known by what stands around it.
        Ok(Ok((status, output))) => {
            Err(DeliverError::Later(format!("{status}: {}", one_line(&redactor.redact(&output), 300))))
        }
        Ok(Err(error)) => Err(DeliverError::Later(error.to_string())),
        Err(_) => {
            // Somebody of the group still runs or holds the output, so the number still means this group.
            if let Some(group) = group {
                let _ = kill_process_group(group, Signal::KILL);
            }
            // This takes its exit status, so that nothing is left of it; one that waits for a server does not end.
            let _ = tokio::time::timeout(KILL_TIME, child.wait()).await;
            Err(DeliverError::Later(format!("it did not end within {}", Shown(timeout))))
        }
    }
}

fn started(command: &CommandLine) -> Result<Child, DeliverError> {
    let [program, arguments @ ..] = &command.argv[..] else {
        return Err(DeliverError::Never("the command is empty".to_owned()));
    };
    // As for what the agent looks and mends with; it may be mended, so a person is told later.
    if let Some(why) = programs::why_not_run(command) {
        return Err(DeliverError::Later(why));
    }
    let mut builder = Command::new(program);
    builder
        .args(arguments)
        .env_clear()
        .env("PATH", PATH)
        .env("LC_ALL", "C.UTF-8")
        .envs(&command.environment)
        .current_dir(command.directory.as_deref().unwrap_or("/"))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    if let Some(user) = &command.user {
        let passwd = read_bounded("/etc/passwd".as_ref(), PASSWD_BYTES_MAX)
            .map_err(|error| DeliverError::Later(format!("/etc/passwd: {error}")))?;
        let (uid, gid) = ids(&String::from_utf8_lossy(&passwd), user)
            .ok_or_else(|| DeliverError::Later(format!("the host has no user `{user}`")))?;
        builder.uid(uid).gid(gid);
    }
    builder.spawn().map_err(|error| DeliverError::Later(format!("{program}: {error}")))
}

/// The numbers of a user in the lines of `/etc/passwd`.
fn ids(passwd: &str, user: &str) -> Option<(u32, u32)> {
    let line = passwd.lines().find(|line| line.split(':').next() == Some(user))?;
    let mut fields = line.split(':').skip(2);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

async fn converse(child: &mut Child, input: &[u8]) -> std::io::Result<(std::process::ExitStatus, String)> {
    let (stdin, stderr) = (child.stdin.take(), child.stderr.take());
    let write = async {
        if let Some(mut stdin) = stdin {
            // A command that does not read its input may still be a success.
            let _ = stdin.write_all(input).await;
        }
    };
    let read = async {
        match stderr {
            Some(stderr) => first_bytes(stderr).await,
            None => String::new(),
        }
    };
    let ((), output, status) = tokio::join!(write, read, child.wait());
    Ok((status?, output))
}

/// The beginning of an output; the rest is read and dropped, so that the command does not wait.
async fn first_bytes(mut from: impl AsyncRead + Unpin) -> String {
    let (mut kept, mut part) = (Vec::new(), [0; 1024]);
    while let Ok(count @ 1..) = from.read(&mut part).await {
        let room = OUTPUT_BYTES_MAX.saturating_sub(kept.len()).min(count);
        kept.extend_from_slice(&part[..room]);
    }
    String::from_utf8_lossy(&kept).into_owned()
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use ansai_model::notify::NoticeKind;
    use jiff::tz::TimeZone;

    use super::*;
    use crate::channel::render::fixtures;

    fn shell(script: &str) -> CommandLine {
        CommandLine::new(["/bin/sh", "-c", script])
    }

    #[tokio::test]
    async fn a_command_reads_the_message_as_json() {
        let dir = tempfile::tempdir().unwrap();
        let mut command = shell("cat > \"$OUT\"");
        let path = dir.path().join("message");
        command.environment.insert("OUT".into(), path.display().to_string());
        let message = Message::One(Box::new(fixtures::notice(NoticeKind::Healed, fixtures::healed(), &[])));
        send(&command, &message, &RenderOptions::new("web-01", TimeZone::UTC), &Redactor::new(&[])).await.unwrap();
        let read: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        assert_eq!((&read["version"], &read["notices"][0]["kind"]), (&1.into(), &"healed".into()));
    }

    #[tokio::test]
    async fn failures_say_why_and_input_that_is_not_read_is_fine() {
        let redactor = Redactor::new(&[]);
        run(&shell("exec true"), &[b'x'; 1 << 20], TIMEOUT, &redactor).await.unwrap();
        let cases = [
            (shell("echo broken >&2; exit 3"), "exit status: 3: broken"),
            (shell("echo 'token=abcdef0123456789 refused' >&2; exit 3"), "exit status: 3: token=[redacted] refused"),
            (CommandLine::new(["/nowhere/hook"]), "/nowhere/hook: No such file"),
            (CommandLine { user: Some("nobody-at-all".into()), ..shell("true") }, "no user `nobody-at-all`"),
        ];
        for (command, expected) in cases {
            let error = run(&command, b"", TIMEOUT, &redactor).await.unwrap_err();
            assert!(matches!(&error, DeliverError::Later(why) if why.contains(expected)), "{error}");
        }
    }

    #[tokio::test]
    async fn a_command_that_does_not_end_or_prints_without_end_is_killed() {
        for script in ["sleep 1000 & sleep 1000", "yes >&2"] {
            let begun = Instant::now();
            let redactor = Redactor::new(&[]);
            let error = run(&shell(script), b"", Duration::from_millis(200), &redactor).await.unwrap_err();
            assert_eq!(error, DeliverError::Later("it did not end within 200ms".into()));
            assert!(begun.elapsed() < Duration::from_secs(20));
        }
    }

    #[test]
    fn a_user_is_looked_up_by_its_whole_name() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\nops:x:1000:1001::/home/ops:/bin/sh\nbroken:x\n";
        assert_eq!(ids(passwd, "ops"), Some((1000, 1001)));
        assert_eq!(ids(passwd, "op"), None);
        assert_eq!(ids(passwd, "broken"), None);
    }
}
