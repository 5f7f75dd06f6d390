//! Trials: each does the least that shows whether an ability is there, and leaves nothing behind: files without a name,
//! sockets that send nothing but to this host itself, programs that only say whether they could run.

use std::{
    fs::File,
    io::{self, ErrorKind},
    os::{fd::OwnedFd, unix::fs::OpenOptionsExt},
    path::Path,
    time::Duration,
};

use ansai_model::probe::CommandLine;
use rustix::{
    fs::{
        Access, CWD, Gid, MemfdFlags, Mode, OFlags, ResolveFlags, Uid, access, fchmod, fchown, memfd_create, openat2,
    },
    io::Errno,
    net::{AddressFamily, SocketType, ipproto, socket},
};

use super::{Ability, MissingProgram};
use crate::linux::{
    LinuxHost,
    apart::{apart, is_installed},
    command::{self, Ended, Finished},
    kernel, permission,
};

/// Longest wait for a program of a trial.
const COMMAND_MAX: Duration = Duration::from_secs(5);
/// How often a systemd that does not answer yet is asked.
const BUS_EVERY: Duration = Duration::from_millis(100);
/// Somebody who owns nothing, on every host.
const NOBODY: u32 = 65534;

/// Tries one; the error says why it cannot be done.
pub(super) async fn attempt(host: &LinuxHost, ability: &Ability) -> Result<(), String> {
    let is_root = rustix::process::geteuid().is_root();
    match ability {
        Ability::Bus => bus(host).await,
        Ability::Journal => journal().await,
        // Somebody's own processes are all that somebody who is not root looks at.
        Ability::SeeProcesses if !is_root => Ok(()),
        Ability::SeeProcesses => here(|| std::fs::read_link("/proc/1/exe").map(drop)),
        Ability::OpenBeneath => here(open_beneath),
        Ability::Leases => here(lease),
        Ability::RawIcmp { user: None } if is_root => here(|| {
            socket(AddressFamily::INET, SocketType::RAW, Some(ipproto::ICMP)).map(drop).map_err(io::Error::from)
        }),
        Ability::RawIcmp { user } => ping(user.clone()).await,
        Ability::Write(path) => here(|| write(Path::new(path))),
        Ability::Read(path) => here(|| read(Path::new(path))),
        Ability::GiveAway => here(|| Ok(fchown(unnamed()?, Some(Uid::from_raw(NOBODY)), Some(Gid::from_raw(NOBODY)))?)),
        Ability::GroupBit => here(|| Ok(fchmod(unnamed()?, Mode::from_raw_mode(0o2600))?)),
        Ability::Run { program, user, missing } => run(program, user.as_deref(), *missing).await,
        Ability::Listen(address) => listen(address).await,
        Ability::Socket(path) => connect(path).await,
        Ability::OwnUnit => {
            said(command::run(&apart(host, &CommandLine::new(["true"]), COMMAND_MAX), COMMAND_MAX).await)
        }
        Ability::Engine(engine) if !is_installed(&host.inner.options.root, engine) => Ok(()),
        Ability::Engine(engine) => {
            let list = CommandLine::new([*engine, "image", "ls", "--quiet"]);
            said(command::run(&apart(host, &list, COMMAND_MAX), COMMAND_MAX).await)
        }
    }
}

/// Does it here: the whole trial has a thread of its own, which is known while it hangs and not begun twice.
fn here(work: impl FnOnce() -> io::Result<()>) -> Result<(), String> {
    work().map_err(|error| error.to_string())
}

/// A bus that was only just connected to may take a moment.
async fn bus(host: &LinuxHost) -> Result<(), String> {
    if !host.has_systemd() {
        return Err("no systemd runs here".into());
    }
    let answers = async {
        while host.inventory_of(|_| false).await.units.is_empty() {
            tokio::time::sleep(BUS_EVERY).await;
        }
    };
    tokio::time::timeout(COMMAND_MAX, answers).await.map_err(|_| "systemd does not answer".into())
}

async fn journal() -> Result<(), String> {
    let command = CommandLine::new(["journalctl", "--lines=1", "--output=cat", "--no-pager"]);
    let finished = command::run(&command, COMMAND_MAX).await;
    match finished.errors.contains("insufficient permissions") {
        true => Err(command::said(&finished)),
        false => said(finished),
    }
}

fn open_beneath() -> io::Result<()> {
    let inside =
        ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
    let top = rustix::fs::open("/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    openat2(top, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty(), inside)?;
    Ok(())
}

/// A file that lies nowhere.
fn unnamed() -> io::Result<OwnedFd> {
    Ok(memfd_create("ansai-ability", MemfdFlags::CLOEXEC)?)
}

/// Of somebody else's file: everybody may ask of their own.
fn lease() -> io::Result<()> {
    let file = unnamed()?;
    fchown(&file, Some(Uid::from_raw(NOBODY)), None)?;
    match kernel::take_alone(&file) {
        // Whether it may be asked is judged first; that a file in memory gets none is another matter.
        Err(error) if !permission::is_refused(&error) => Ok(()),
        taken => taken,
    }
}

/// A file without a name is made where the path is, or would be.
fn write(path: &Path) -> io::Result<()> {
    let mut folder = path;
    while !folder.is_dir() {
        folder = folder.parent().unwrap_or(Path::new("/"));
    }
    let flags = OFlags::WRONLY | OFlags::TMPFILE | OFlags::CLOEXEC;
    let made = rustix::fs::openat(CWD, folder, flags, Mode::RUSR | Mode::WUSR);
    let made = match made {
        // Not every filesystem has files without a name.
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => access(folder, Access::WRITE_OK | Access::EXEC_OK),
        made => made.map(drop),
    };
    made.map_err(|error| match folder == path {
        true => error.into(),
        false => io::Error::other(format!("{}: {error}", folder.display())),
    })
}

fn read(path: &Path) -> io::Result<()> {
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let opened = File::options().read(true).custom_flags(flags.bits().cast_signed()).open(path);
    match opened {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(()),
        opened => opened.map(drop),
    }
}

async fn run(program: &str, user: Option<&str>, missing: MissingProgram) -> Result<(), String> {
    let Some(path) = found(program) else {
        return match missing {
            MissingProgram::Amiss => Err(format!("there is no program {program}")),
            MissingProgram::PassedOver => Ok(()),
        };
    };
    let mut test = CommandLine::new(["test", "-x", &path]);
    test.user = user.map(str::to_owned);
    let finished = command::run(&test, COMMAND_MAX).await;
    match (&finished.ended, user) {
        (Ended::Code(1), None) => Err("it may not be run".into()),
        (Ended::Code(1), Some(user)) => Err(format!("{user} may not run it")),
        _ => said(finished),
    }
}

fn found(program: &str) -> Option<String> {
    let is_there = |path: &String| Path::new(path).is_file();
    if program.contains('/') {
        return Some(program.to_owned()).filter(is_there);
    }
    command::FOLDERS.iter().map(|folder| format!("{folder}/{program}")).find(is_there)
}

/// This host itself is asked once.
async fn ping(user: Option<String>) -> Result<(), String> {
    if found("ping").is_none() {
        return Ok(());
    }
    let mut command = CommandLine::new(["ping", "-n", "-c", "1", "-W", "1", "127.0.0.1"]);
    command.user = user;
    said(command::run(&command, COMMAND_MAX).await)
}

async fn listen(address: &str) -> Result<(), String> {
    match tokio::net::TcpListener::bind(address).await {
        // Whether somebody else has it at the moment is seen when it is needed.
        Err(error) if error.kind() != ErrorKind::AddrInUse => Err(error.to_string()),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Whether it lets us in. One that starts its program when somebody connects, as systemd has it, is asked for the right alone,
/// unless a program has noted beside it that it runs.
async fn connect(path: &str) -> Result<(), String> {
    if !Path::new(path).exists() {
        return Ok(());
    }
    if !Path::new(path).with_extension("pid").exists() {
        return access(path, Access::WRITE_OK).map_err(|error| io::Error::from(error).to_string());
    }
    let connected = tokio::time::timeout(COMMAND_MAX, tokio::net::UnixStream::connect(path)).await;
    connected.map_err(|_| "nobody accepts connections".to_owned())?.map(drop).map_err(|error| error.to_string())
}

fn said(finished: Finished) -> Result<(), String> {
    let said = command::said(&finished);
    match finished.ended {
        Ended::Code(0) => Ok(()),
        Ended::Code(code) if said.is_empty() => Err(format!("it ended with code {code}")),
        Ended::Code(_) => Err(said),
        Ended::Signal(signal) => Err(format!("it was ended by signal {signal}")),
        Ended::TimedOut => Err("it did not end in time".into()),
        Ended::Missing => Err("the program is not there".into()),
        Ended::Failed(why) => Err(why),
    }
}

#[cfg(test)]
mod tests {
    use tokio_util::task::TaskTracker;

    use super::*;
    use crate::linux::{
        Options,
        ability::{Needs, try_all},
    };

    async fn errors(abilities: Vec<Ability>) -> Vec<(Ability, String)> {
        let state = tempfile::tempdir().expect("a folder");
        let options = Options { buses: Vec::new(), ..Options::this_machine(state.path().to_owned()) };
        let host = LinuxHost::new(options, &TaskTracker::new());
        let needs: Needs = abilities.into_iter().map(|ability| (ability, ["x".to_owned()].into())).collect();
        let tried = try_all(&host, needs).await;
        tried.into_iter().filter_map(|tried| Some((tried.ability, tried.error?))).collect()
    }

    fn run_as(program: &str, user: Option<&str>, missing: MissingProgram) -> Ability {
        Ability::Run { program: program.into(), user: user.map(Into::into), missing }
    }

    #[tokio::test]
    async fn what_may_be_done_is_found_so_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = folder.path().join("not/there/yet").display().to_string();
        let able = vec![
            Ability::OpenBeneath,
            Ability::Write(place),
            Ability::Read("/etc/passwd".into()),
            Ability::Read("/no/such/file".into()),
            run_as("true", None, MissingProgram::Amiss),
            run_as("/no/such/program", None, MissingProgram::PassedOver),
            Ability::Listen("127.0.0.1:0".into()),
            Ability::Socket("/no/such.sock".into()),
        ];
        assert_eq!(errors(able).await, []);
        assert_eq!(std::fs::read_dir(folder.path()).expect("there").count(), 0);
    }

    #[tokio::test]
    async fn what_may_not_be_done_says_why() {
        let unable = vec![
            Ability::Bus,
            run_as("/no/such/program", None, MissingProgram::Amiss),
            run_as("/etc/passwd", None, MissingProgram::Amiss),
            run_as("true", Some("nobody-at-all"), MissingProgram::Amiss),
            Ability::Listen("192.0.2.1:80".into()),
        ];
        let found = errors(unable.clone()).await;
        assert_eq!(found.len(), unable.len(), "{found:?}");
        assert!(found.iter().any(|(_, why)| why == "there is no user `nobody-at-all`"), "{found:?}");
        assert!(found.iter().all(|(ability, _)| !ability.suggestion().is_empty()));
    }
}
