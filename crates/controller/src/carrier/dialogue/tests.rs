//! A real shell on this machine, behind logins that talk.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Stdio};

use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::*;

/// What logins say before the shell is there, in the words of their scripts.
const NOISE: [&str; 4] = [
    ":",
    "echo Welcome to web-01; echo; echo 'say kind Linux'",
    "printf 'a banner without an end: '",
    "i=0; while [ $i -lt 20000 ]; do echo 'many lines of a message of the day'; i=$((i+1)); done; printf '\\377\\000\\033[2J'",
];

type Talk = Dialogue<ChildStdout, ChildStdin>;

fn shell(before: &str, path: Option<&Path>) -> (Child, Talk) {
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(format!("{before}; exec /bin/sh")).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    if let Some(path) = path {
        command.env("PATH", format!("{}:/usr/bin:/bin", path.display()));
    }
    let mut child = command.spawn().expect("a shell");
    let talk = Dialogue::new(child.stdout.take().expect("out"), child.stdin.take().expect("in")).expect("chance");
    (child, talk)
}

fn program(folder: &Path, text: &str) -> Program {
    let path = folder.join("program");
    fs::write(&path, text).expect("written");
    Program { path, bytes: text.len() as u64, hash: ansai_link::digest(text.as_bytes()).to_string() }
}

/// A program that says what ours says.
fn ours() -> String {
    format!(
        "#!/bin/sh\n[ \"$1\" = --version ] && {{ echo ansai {}; exit; }}\necho noise; echo \"$3 asks {{}}\"\n",
        env!("CARGO_PKG_VERSION")
    )
}

#[tokio::test]
async fn whatever_a_login_says_what_was_asked_is_heard() {
    for noise in NOISE {
        let (_child, mut talk) = shell(noise, None);
        let said = talk.ask("say one 'a b'; echo noise; say two").await.expect(noise);
        assert_eq!(said, [("one".to_owned(), "a b".to_owned()), ("two".to_owned(), String::new())], "{noise}");
        let machine = talk.ask(r#"say kind "$(uname -sm)""#).await.expect(noise);
        assert!(value(&machine, "kind").starts_with("Linux "), "{machine:?}");
    }
}

#[tokio::test]
async fn a_login_that_never_stops_talking_is_given_up() {
    let (_child, mut talk) = shell("yes noise", None);
    let trouble = talk.ask("say one").await.expect_err("it never answers");
    assert!(trouble.what.contains("says more than"), "{trouble:?}");
    let (_child, mut talk) = shell("tr '\\0' x < /dev/zero", None);
    assert!(talk.ask("say one").await.is_err(), "no line at all");
}

#[tokio::test]
async fn a_shell_that_is_none_has_ended() {
    let (_child, mut talk) = shell("echo 'This account is currently not available.'; exit 1", None);
    assert_eq!(talk.ask("say one").await, Err(SshTrouble::unknown("")));
}

#[tokio::test]
async fn a_program_is_carried_whole_and_old_ones_go() {
    let folder = tempfile::tempdir().expect("a folder");
    let carried = folder.path().join("it's carried");
    let program = program(folder.path(), &ours());
    let (_child, mut talk) = shell(NOISE[1], None);
    let found = Found { program: SshProgram::Carried, folder: carried.display().to_string() };
    fs::create_dir(&carried).expect("made");
    fs::set_permissions(&carried, fs::Permissions::from_mode(0o700)).expect("set");
    fs::write(carried.join("ansai-older"), "old").expect("written");
    talk.carry(&found, &program).await.expect("carried");
    let there: Vec<_> = fs::read_dir(&carried).expect("read").flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(there, [std::ffi::OsString::from(format!("ansai-{}", program.hash))]);
    assert_eq!(talk.run(&found, &program).await.expect("it begins"), "{}");
}

#[tokio::test]
async fn what_cannot_be_written_is_never_read_as_commands() {
    let folder = tempfile::tempdir().expect("a folder");
    let open = folder.path().join("open");
    fs::create_dir(&open).expect("made");
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).expect("set");
    let witness = folder.path().join("witness");
    let program = program(folder.path(), &format!("touch {}\n", witness.display()).repeat(2000));
    let (mut child, mut talk) = shell(":", None);
    let found = Found { program: SshProgram::Carried, folder: open.display().to_string() };
    let trouble = talk.carry(&found, &program).await.expect_err("others may write there");
    assert!(trouble.what.contains("cannot be written"), "{trouble:?}");
    // A controller that said it all the same.
    let _ = talk.to.write_all(&fs::read(&program.path).expect("read")).await;
    drop(talk);
    child.wait().await.expect("it ends");
    assert!(!witness.exists());
}

#[tokio::test]
async fn a_program_that_does_not_run_there_is_said_in_its_words() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = program(folder.path(), "#!/bin/sh\necho \"version GLIBC_2.99 not found\" >&2; exit 1\n");
    let (_child, mut talk) = shell(":", None);
    let found = Found { program: SshProgram::Carried, folder: folder.path().join("there").display().to_string() };
    let trouble = talk.carry(&found, &program).await.expect_err("it does not run");
    assert!(trouble.what.contains("GLIBC_2.99") && trouble.todo.contains("cargo xtask dist"), "{trouble:?}");
}

#[tokio::test]
async fn who_is_not_root_becomes_root_by_sudo_or_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let tool = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).expect("set");
    };
    tool("id", r#"echo "${AS:-1000}""#);
    let (_child, mut talk) = shell(":", Some(folder.path()));
    assert!(talk.begin(false).await.expect_err("not root").todo.contains("--sudo"));
    tool("sudo", "exit 1");
    let (_child, mut talk) = shell(":", Some(folder.path()));
    assert!(talk.begin(true).await.expect_err("no sudo").todo.contains("NOPASSWD"));
    tool("sudo", "shift; AS=0 exec \"$@\"");
    let (_child, mut talk) = shell("echo noise", Some(folder.path()));
    assert!(talk.begin(true).await.expect("root").by_sudo);
    let said = talk.ask("say after").await.expect("the shell of root goes on");
    assert_eq!(said, [("after".to_owned(), String::new())]);
}
