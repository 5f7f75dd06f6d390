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

use crate::{
    Paths,
    exit::{Code, Failure},
};

/// The agent's log on stderr, a whole entry at a time: nothing in it is obeyed by a terminal, and what came from outside
/// cannot begin an entry of its own, since its further lines stand further to the right.
struct Journal;

impl Write for Journal {
    fn write(&mut self, entry: &[u8]) -> std::io::Result<usize> {
        std::io::stderr().lock().write_all(entry_of(entry).as_bytes())?;
        Ok(entry.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().flush()
    }
}

fn entry_of(entry: &[u8]) -> String {
    let text = String::from_utf8_lossy(entry);
    format!("{}\n", visible(text.trim_end()).replace('\n', "\n    "))
}

/// Has what the process logs written to stderr.
pub(super) fn log() {
    tracing_subscriber::fmt().with_target(false).with_ansi(false).without_time().with_writer(|| Journal).init();
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
        assert_eq!(entry_of(entry), " INFO failed: \\u{1b}[2J\u{fffd}\n    <0>kernel: all is lost\n");
    }
}
