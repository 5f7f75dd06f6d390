//! The subcommands, by what they do: run, read, operate, configure.

mod configure;
mod operate;
mod read;

use ansai_agent::Options;
use clap::CommandFactory;

use crate::{
    Command, Places, Program,
    exit::{Code, Failure},
    show,
};

/// Runs a subcommand.
pub(crate) fn run(places: &Places, command: Command) -> Result<Code, Failure> {
    match command {
        Command::Agent => agent(places),
        Command::Init { output, force, dry_run } => configure::init(places, output, force, dry_run),
        Command::Check { path } => configure::check(places, path),
        Command::Status => read::status(places),
        Command::Incidents => read::incidents(places),
        Command::Report { incident } => read::report(places, &incident),
        Command::Explain { target } => read::explain(places, &target),
        Command::Doctor => read::doctor(places),
        Command::Completions { shell } => {
            let mut out = Vec::new();
            clap_complete::generate(shell, &mut Program::command(), "ansai", &mut out);
            show::print(&String::from_utf8_lossy(&out));
            Ok(Code::Ok)
        }
        Command::Man => {
            let mut out = Vec::new();
            let made = clap_mangen::Man::new(Program::command()).render(&mut out);
            made.map_err(|error| Failure::new(Code::Failing, format!("no manual page: {error}"), ""))?;
            show::print(&String::from_utf8_lossy(&out));
            Ok(Code::Ok)
        }
        other => operate::run(places, other),
    }
}

fn agent(places: &Places) -> Result<Code, Failure> {
    tracing_subscriber::fmt().with_target(false).with_ansi(false).without_time().with_writer(std::io::stderr).init();
    let failed = |error: String, code: Code| Failure::new(code, error, "`ansai check` and `ansai doctor` say more");
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
