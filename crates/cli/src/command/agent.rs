//! `ansai agent`: runs the agent until it is told to stop.

use ansai_agent::Options;

use crate::{
    Places,
    exit::{Code, Failure},
};

pub(super) fn agent(places: &Places) -> Result<Code, Failure> {
    tracing_subscriber::fmt().with_target(false).with_ansi(false).without_time().with_writer(std::io::stderr).init();
    let is_root = rustix::process::geteuid().is_root();
    let next = if is_root || places.user {
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
        config: places.config.clone(),
        state_dir: places.state_dir.clone(),
        runtime_dir: places.runtime_dir.clone(),
        hold_file: places.hold_file.clone(),
    };
    let result = runtime.block_on(ansai_agent::run(options));
    // Tasks that are still under way (a drill, a slow probe) end with the process.
    runtime.shutdown_background();
    match result {
        Ok(()) => Ok(Code::Ok),
        Err(error) if error.is::<ansai_config::Diagnostics>() => Err(failed(format!("{error}"), Code::Usage)),
        Err(error) => Err(failed(format!("the agent cannot run: {error:#}"), Code::Failing)),
    }
}
