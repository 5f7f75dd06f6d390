//! `ansai agent`: runs the agent until it is told to stop.

use std::io::Write;

use ansai_agent::Options;
use ansai_model::text::visible;

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

pub(super) fn agent(paths: &Paths) -> Result<Code, Failure> {
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
    let options = Options {
        config: paths.config.clone(),
        state_dir: paths.state_dir.clone(),
        runtime_dir: paths.runtime_dir.clone(),
        hold_file: paths.hold_file.clone(),
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
