//! Actions but for units: each kind has its file; this one chooses.

mod configuration;
mod environment;
mod port;

pub(super) use environment::number;

use ansai_model::{
    action::{Action, ActionOutcome, ActionRun},
    probe::CommandLine,
    text::Text,
};

use super::{
    LinuxHost,
    command::{self, Ended},
    memory,
};

/// Performs an action that is no unit's.
pub async fn perform(host: &LinuxHost, run: &ActionRun) -> ActionOutcome {
    let inner = &host.inner;
    match &run.action {
        Action::Validate { command } => validate(host, command, run).await,
        Action::Exec { command, .. } => outcome(host, command, run, "ran").await,
        Action::SaveConfiguration { unit, paths, validator } => match validate(host, validator, run).await {
            ActionOutcome::Succeeded { .. } => configuration::save(&inner.options.state_dir, unit, paths),
            invalid => invalid,
        },
        Action::RestoreConfiguration { unit, paths } => configuration::restore(&inner.options.state_dir, unit, paths),
        Action::FreePort { unit, port } => match host.is_up(unit).await {
            // A running unit holds its own port rightly, and what it must do about it is a restart's work.
            Some(true) => {
                ActionOutcome::NotNeeded { why: Text::new(format!("{unit} is running, so port {port} is its own")) }
            }
            Some(false) => port::free(&inner.options.root, unit, *port, run.timeout).await,
            None => ActionOutcome::Refused { why: Text::new(format!("it is not known whether {unit} is running")) },
        },
        Action::EnsureEnvironment { entries } => environment::ensure(entries),
        Action::Disk(disk) => super::disk::perform(host, disk, run).await,
        Action::StartProcess { process } => inner.processes.start(process, run.timeout).await,
        Action::StopProcess { process } => inner.processes.stop(process, run.timeout).await,
        Action::ResetFailed { .. }
        | Action::StartUnit { .. }
        | Action::RestartUnit { .. }
        | Action::ReloadUnit { .. } => ActionOutcome::Refused { why: "no systemd runs here".into() },
        Action::Certificate(action) => Box::pin(super::certificate::perform(host, action, run)).await,
        Action::Memory(action) => memory::perform(host, action, run).await,
        Action::StopUnit { .. } | Action::KillUnit { .. } | Action::Drill { .. } => {
            ActionOutcome::Refused { why: "no systemd runs here".into() }
        }
    }
}

async fn validate(host: &LinuxHost, command: &CommandLine, run: &ActionRun) -> ActionOutcome {
    match outcome(host, command, run, "the configuration is valid").await {
        ActionOutcome::Succeeded { .. } => ActionOutcome::Succeeded { note: "the configuration is valid".into() },
        other => other,
    }
}

/// Runs a command, and says how it ended.
pub(super) async fn outcome(
    host: &LinuxHost,
    command_line: &CommandLine,
    run: &ActionRun,
    done: &str,
) -> ActionOutcome {
    let finished = command::run(command_line, run.timeout).await;
    let said = host.inner.redactor.redact(&command::said(&finished));
    let failed = |what: String| ActionOutcome::Failed {
        why: Text::new(if said.is_empty() { what } else { format!("{what}: {said}") }),
    };
    let shown = command_line.shown();
    let program = command_line.argv.first().map_or("", String::as_str);
    match finished.ended {
        Ended::Code(0) => ActionOutcome::Succeeded { note: Text::new(format!("{done}: `{shown}`")) },
        Ended::Code(code) => failed(format!("`{shown}` ended with code {code}")),
        Ended::Signal(signal) => failed(format!("`{shown}` was ended by signal {signal}")),
        Ended::TimedOut => ActionOutcome::TimedOut { after: run.timeout },
        Ended::Missing => ActionOutcome::NotNeeded { why: Text::new(format!("there is no program `{program}` here")) },
        Ended::Failed(why) => ActionOutcome::Failed { why: Text::new(why) },
    }
}
