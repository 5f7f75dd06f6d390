//! Asks a validator whether a configuration is right, in the environment in which its unit would be started.
//!
//! Where these cannot be made, or where it was refused something in them, it is asked as any other command of the agent's.
//! A validator that could not be run, or was not allowed to look, has not said that a configuration is wrong: nothing is put
//! back because of it.

use std::time::{Duration, Instant};

use ansai_model::{
    action::{ActionOutcome, ActionRun},
    domain::OF_UNITS,
    id::{TargetId, UnitName},
    probe::CommandLine,
    text::Text,
};

use super::concluded;
use crate::linux::{
    LinuxHost,
    command::{self, Ended, Finished},
    permission, systemd,
};

/// The unit that a target is, when it is one.
pub(super) fn unit_of(target: &TargetId) -> Option<UnitName> {
    (target.domain() == OF_UNITS).then(|| UnitName::new(target.name()).ok()).flatten()
}

/// What the validator says of the configuration of a unit.
pub(super) async fn ask(
    host: &LinuxHost,
    unit: Option<&UnitName>,
    command_line: &CommandLine,
    run: &ActionRun,
) -> ActionOutcome {
    let begun = Instant::now();
    let as_started = match unit {
        Some(unit) if command::may_be_run(command_line, run.timeout).await => {
            as_started(host, unit, command_line, run.timeout.saturating_sub(begun.elapsed())).await
        }
        Some(_) | None => None,
    };
    let finished = match as_started.filter(|finished| why_unable(finished).is_none()) {
        Some(finished) => finished,
        None => command::run(command_line, run.timeout.saturating_sub(begun.elapsed())).await,
    };
    match why_unable(&finished) {
        _ if finished.ended == Ended::Code(0) => ActionOutcome::Succeeded { note: "the configuration is valid".into() },
        Some(why) => {
            let why = host.inner.redactor.redact(&why);
            let why = format!("`{}` could not say whether the configuration is valid: {why}", command_line.shown());
            ActionOutcome::NotNeeded { why: Text::new(why) }
        }
        None => concluded(host, command_line, run, finished, ""),
    }
}

/// The same as the unit would be started, after what its package declares has been made; `None` where that cannot be.
async fn as_started(
    host: &LinuxHost,
    unit: &UnitName,
    command_line: &CommandLine,
    within: Duration,
) -> Option<Finished> {
    let bus = host.inner.bus.as_ref()?;
    // It stays, and the start that follows has no need of it: nothing is to be said of it twice.
    if let Some(made) = host.make_declared(unit).await {
        tracing::info!("before {unit} is validated: {made}");
    }
    match systemd::run_as_started(bus, &host.inner.options.root, unit, command_line, within).await {
        Ok(finished) => Some(finished),
        Err(why) => {
            tracing::debug!("`{}` is not run as {unit} would be: {why}", command_line.shown());
            None
        }
    }
}

fn why_unable(finished: &Finished) -> Option<String> {
    match &finished.ended {
        Ended::Failed(why) => Some(why.clone()),
        _ => permission::why_refused(finished),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ansai_model::{action::Action, id::RunId};
    use tokio_util::task::TaskTracker;

    use super::*;
    use crate::linux::{Options, act::perform};

    async fn validated(command: CommandLine) -> ActionOutcome {
        let state = tempfile::tempdir().expect("a folder");
        let options = Options { buses: Vec::new(), ..Options::this_machine(state.path().to_owned()) };
        let host = LinuxHost::new(options, &TaskTracker::new());
        let action = Action::Validate { command: Box::new(command) };
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
