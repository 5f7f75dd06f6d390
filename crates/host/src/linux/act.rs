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
    command::{self, Ended, Finished},
    memory, permission,
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

/// A validator that could not be run, or was not allowed to look, has not said that a configuration is wrong: nothing is
/// put back because of it.
async fn validate(host: &LinuxHost, command_line: &CommandLine, run: &ActionRun) -> ActionOutcome {
    let finished = command::run(command_line, run.timeout).await;
    let unable = match &finished.ended {
        Ended::Code(0) => return ActionOutcome::Succeeded { note: "the configuration is valid".into() },
        Ended::Failed(why) => Some(why.clone()),
        _ => permission::why_refused(&finished),
    };
    match unable {
        Some(why) => {
            let why = host.inner.redactor.redact(&why);
            let why = format!("`{}` could not say whether the configuration is valid: {why}", command_line.shown());
            ActionOutcome::NotNeeded { why: Text::new(why) }
        }
        None => concluded(host, command_line, run, finished, ""),
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
    concluded(host, command_line, run, finished, done)
}

fn concluded(
    host: &LinuxHost,
    command_line: &CommandLine,
    run: &ActionRun,
    finished: Finished,
    done: &str,
) -> ActionOutcome {
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ansai_model::id::{RunId, TargetId};
    use tokio_util::task::TaskTracker;

    use super::*;
    use crate::linux::Options;

    async fn validated(command: CommandLine) -> ActionOutcome {
        let state = tempfile::tempdir().expect("a folder");
        let options = Options { buses: Vec::new(), ..Options::this_machine(state.path().to_owned()) };
        let host = LinuxHost::new(options, &TaskTracker::new());
        let action = Action::Validate { command };
        let target = TargetId::new("service/app.service").expect("valid");
        let timeout = Duration::from_secs(20);
        perform(&host, &ActionRun { id: RunId(1), incident: None, target, action, timeout }).await
    }

    #[tokio::test]
    async fn a_validator_that_could_not_look_has_not_called_a_configuration_wrong() {
        let sh = |script: &str| CommandLine::new(["sh", "-c", script]);
        let refused = "echo '[emerg] bind() to 0.0.0.0:80 failed (13: Permission denied)' >&2; exit 1";
        for command in [sh(refused), sh("exit 127"), CommandLine { user: Some("nobody-at-all".into()), ..sh("exit 0") }]
        {
            let outcome = validated(command.clone()).await;
            let ActionOutcome::NotNeeded { why } = &outcome else { panic!("{command:?}: {outcome:?}") };
            assert!(why.as_str().contains("could not say whether the configuration is valid"), "{why}");
        }
        let outcome = validated(sh("echo 'unknown directive'; exit 1")).await;
        assert!(matches!(outcome, ActionOutcome::Failed { .. }), "{outcome:?}");
        assert!(matches!(validated(sh("exit 0")).await, ActionOutcome::Succeeded { .. }));
    }
}
