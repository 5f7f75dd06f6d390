//! `ansai agent`: runs the agent until it is told to stop.

use std::{io::Write, path::PathBuf, sync::Arc};

use ansai_agent::{
    Options,
    uplink::{
        carried::{Carried, Place},
        membership::Folder,
    },
};
use ansai_model::{text::visible, time::WallTime};
use clap::Args;
use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

use crate::{
    Paths,
    exit::{Code, Failure},
};

/// An entry of the log on stderr, written whole: nothing in it is obeyed by a terminal, and what came from outside
/// cannot begin an entry of its own, since its further lines stand further to the right.
struct Entry {
    /// How urgent it is, where systemd's journal reads it.
    priority: Option<Priority>,
}

/// A priority of syslog(3), as the journal takes it off the beginning of a line (`SyslogLevelPrefix=` is on by default).
type Priority = u8;

impl Write for Entry {
    fn write(&mut self, entry: &[u8]) -> std::io::Result<usize> {
        std::io::stderr().lock().write_all(entry_of(entry, self.priority).as_bytes())?;
        Ok(entry.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().flush()
    }
}

fn entry_of(entry: &[u8], priority: Option<Priority>) -> String {
    let text = String::from_utf8_lossy(entry);
    // The journal takes each line for an entry, which has a priority of its own.
    let prefix = priority.map(|priority| format!("<{priority}>")).unwrap_or_default();
    format!("{prefix}{}\n", visible(text.trim_end()).replace('\n', &format!("\n{prefix}    ")))
}

/// Where entries go.
struct Log {
    /// Whether stderr is read by systemd's journal.
    is_journal: bool,
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Entry;

    fn make_writer(&'a self) -> Entry {
        Entry { priority: self.is_journal.then(|| priority_of(Level::INFO)) }
    }

    fn make_writer_for(&'a self, entry: &Metadata<'_>) -> Entry {
        Entry { priority: self.is_journal.then(|| priority_of(*entry.level())) }
    }
}

fn priority_of(level: Level) -> Priority {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}

/// Whether a stream of this device and inode is the one that `JOURNAL_STREAM` names; see systemd.exec(5).
fn is_journal(journal_stream: Option<&str>, device: u64, inode: u64) -> bool {
    let named = journal_stream.and_then(|named| named.split_once(':'));
    named.is_some_and(|(named, of)| named.parse() == Ok(device) && of.parse() == Ok(inode))
}

/// Has what the process logs written to stderr.
pub(super) fn log() {
    let named = std::env::var("JOURNAL_STREAM").ok();
    let stderr = rustix::fs::fstat(std::io::stderr());
    let is_journal = stderr.is_ok_and(|stderr| is_journal(named.as_deref(), stderr.st_dev, stderr.st_ino));
    tracing_subscriber::fmt().with_target(false).with_ansi(false).without_time().with_writer(Log { is_journal }).init();
}

/// Where a carried agent has its things: in memory, and gone when the host boots.
const CARRIED: &str = "/run/ansai-over-ssh";

/// How the agent came to its host.
#[derive(Args)]
#[group(skip)]
pub(crate) struct AgentArgs {
    /// A controller has carried it here over SSH; what it says first is marked by this.
    #[arg(long, value_name = "TAG", hide = true)]
    over_ssh: Option<String>,
}

/// Makes all that a carried agent needs, and gets its certificate from whoever has carried it here.
fn carried(paths: &Paths, tag: &str) -> Result<Options, Failure> {
    let failed = |why: String| {
        Failure::new(Code::Failing, format!("the carried agent cannot run: {why}"), "see the controller's log")
    };
    let place = Place { folder: CARRIED.into() };
    let says_something =
        Folder::of(&place.state_dir()).bundle().ok().flatten().is_some_and(|told| !told.files.is_empty());
    let proposal = if says_something { String::new() } else { super::init::proposed_here(paths)? };
    place.make(&proposal).map_err(|error| failed(format!("{CARRIED}: {}", ansai_files::said(&error))))?;
    let now = WallTime(jiff::Timestamp::now().as_millisecond());
    let joined = place.join_on_standard(tag, &super::cluster::own_name(), now);
    joined.map_err(|error| failed(format!("{error:#}")))?;
    let stream = Carried::on_standard().map_err(|error| failed(ansai_files::said(&error)))?;
    Ok(Options {
        config: place.config(),
        state_dir: place.state_dir(),
        runtime_dir: PathBuf::from(CARRIED),
        hold_file: paths.hold_file.clone(),
        carried: Some(Arc::new(stream)),
    })
}

pub(super) fn agent(paths: &Paths, args: AgentArgs) -> Result<Code, Failure> {
    log();
    let is_root = rustix::process::geteuid().is_root();
    let next = if is_root || paths.user {
        "`ansai check` and `ansai doctor` say more"
    } else {
        "the host's agent runs as root; `ansai --user agent` looks after your own services"
    };
    let failed = |error: String, code: Code| Failure::new(code, error, next);
    ansai_host::linux::own_memory::share_one_heap();
    // One thread is enough: the work is waiting, and memory is counted.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| failed(error.to_string(), Code::Failing))?;
    let options = match &args.over_ssh {
        Some(tag) => carried(paths, tag)?,
        None => Options {
            config: paths.config.clone(),
            state_dir: paths.state_dir.clone(),
            runtime_dir: paths.runtime_dir.clone(),
            hold_file: paths.hold_file.clone(),
            carried: None,
        },
    };
    let result = runtime.block_on(ansai_agent::run(options));
    // Tasks that are still under way (a drill, a slow probe) end with the process.
    runtime.shutdown_background();
    match result {
        Ok(()) => Ok(Code::Ok),
        Err(error) if error.is::<ansai_document::Diagnostics>() => Err(failed(format!("{error}"), Code::Usage)),
        Err(error) => {
            let why: Vec<String> = error.chain().map(said).collect();
            Err(failed(format!("the agent cannot run: {}", why.join(": ")), Code::Failing))
        }
    }
}

/// A cause of an error; what the system says is told in words.
fn said(cause: &(dyn std::error::Error + 'static)) -> String {
    cause.downcast_ref::<std::io::Error>().map_or_else(|| cause.to_string(), ansai_files::said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_of_the_log_cannot_begin_another() {
        let entry = b" INFO failed: \x1b[2J\xff\n<0>kernel: all is lost\n";
        assert_eq!(entry_of(entry, None), " INFO failed: \\u{1b}[2J\u{fffd}\n    <0>kernel: all is lost\n");
        assert_eq!(entry_of(entry, Some(6)), "<6> INFO failed: \\u{1b}[2J\u{fffd}\n<6>    <0>kernel: all is lost\n");
    }

    #[test]
    fn the_journal_is_told_how_urgent_an_entry_is_and_nobody_else() {
        let priorities = [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE].map(priority_of);
        assert_eq!(priorities, [3, 4, 6, 7, 7]);
        assert_eq!(Log { is_journal: true }.make_writer().priority, Some(6));
        assert_eq!(Log { is_journal: false }.make_writer().priority, None);
    }

    #[test]
    fn the_journal_is_known_by_its_device_and_inode() {
        assert!(is_journal(Some("8:123"), 8, 123));
        for (named, device, inode) in
            [(None, 8, 123), (Some("8:123"), 8, 124), (Some("8:123"), 9, 123), (Some("8"), 8, 0), (Some(":"), 0, 0)]
        {
            assert!(!is_journal(named, device, inode), "{named:?}");
        }
    }
}
