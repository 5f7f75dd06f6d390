//! Actions but for units: each kind has its file; this one chooses.

mod configuration;
mod environment;
mod port;
mod restoration;
mod validate;

pub(super) use configuration::broken;
pub(in crate::linux) use configuration::{changed_since_kept, changes_only_comments};

use std::time::Duration;

use ansai_model::{
    action::{Action, ActionOutcome, ActionRun},
    probe::CommandLine,
    text::Text,
};

use super::{
    LinuxHost,
    aside::{self, Kind, Late, Work},
    command::{self, Ended, Finished},
    domain, drill,
    owned_path::Trusted,
};

/// What an action would do besides what it says of itself; the error says why it would be refused, as its outcome does.
pub(crate) type Planned = Result<Steps, Text>;

/// What an action would do, step by step.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    /// In words.
    pub(crate) lines: Vec<Text>,
    /// Why it would do nothing, as far as that is known.
    pub(crate) idle: Option<Text>,
}

impl From<Vec<Text>> for Steps {
    fn from(lines: Vec<Text>) -> Self {
        Self { lines, idle: None }
    }
}

const NO_SYSTEMD: &str = "no systemd runs here";

/// Longest wait for a plan.
pub(super) const PLAN_TIME: Duration = Duration::from_secs(20);

/// Performs an action that is no unit's.
pub async fn perform(host: &LinuxHost, run: &ActionRun) -> ActionOutcome {
    let inner = &host.inner;
    match &run.action {
        Action::Validate { command } => {
            validate::ask(host, validate::unit_of(&run.target).as_ref(), command, run).await
        }
        Action::Exec { command, .. } => outcome(host, command, run, "ran").await,
        Action::SaveConfiguration { unit, paths, validator } => {
            match validate::ask(host, Some(unit), validator, run).await {
                ActionOutcome::Succeeded { .. } => {
                    let trusted = host.trusted_for(unit).await;
                    let (state_dir, unit, paths) = (inner.options.state_dir.clone(), unit.clone(), paths.clone());
                    aside(run, move || configuration::save(&state_dir, &unit, &paths, &trusted)).await
                }
                invalid => invalid,
            }
        }
        Action::RestoreConfiguration { unit, paths, validator } => {
            let restored = restoration::restore(host, unit, paths, validator.as_deref(), run).await;
            drill::ending::end_what_is_mended(unit.as_str(), &inner.options.state_dir).await;
            restored
        }
        Action::FreePort { unit, port } => {
            // A process is known by its cgroup, which bears the unit's own name.
            let (host, unit, port, within) = (host.clone(), host.own_name(unit), *port, run.timeout);
            aside_future(run, move || async move { port::free(&host, &unit, port, within).await }).await
        }
        Action::EnsureEnvironment { entries } => {
            let entries = entries.clone();
            aside(run, move || environment::ensure(&entries)).await
        }
        Action::StartProcess { process } => inner.processes.start(process, run.timeout).await,
        Action::StopProcess { process } => inner.processes.stop(process, run.timeout).await,
        Action::ResetFailed { .. }
        | Action::StartUnit { .. }
        | Action::RestartUnit { .. }
        | Action::ReloadUnit { .. } => ActionOutcome::Refused { why: NO_SYSTEMD.into() },
        Action::Domain(action) => domain::acts(action).perform(host, run).await,
        Action::StopUnit { .. } | Action::KillUnit { .. } | Action::Drill { .. } => {
            ActionOutcome::Refused { why: NO_SYSTEMD.into() }
        }
    }
}

/// What is done aside ends by itself within its time, and this much is left to it for telling so.
const MARGIN: Duration = Duration::from_secs(8);

/// Work on what an action names, one at a time for each target: what the one before has not let go of is not begun anew.
fn work(run: &ActionRun) -> Work {
    Work::new(Kind::Act, format!("{} ({})", run.target, run.action.describe())).on_what_it_names(&run.action)
}

async fn aside(run: &ActionRun, does: impl FnOnce() -> ActionOutcome + Send + 'static) -> ActionOutcome {
    aside::run(work(run), run.timeout, does).await.unwrap_or_else(|late| given_up(&late))
}

pub(super) async fn aside_future<F: Future<Output = ActionOutcome>>(
    run: &ActionRun,
    does: impl FnOnce() -> F + Send + 'static,
) -> ActionOutcome {
    let within = run.timeout.saturating_add(MARGIN);
    Box::pin(aside::run_future(work(run), within, does)).await.unwrap_or_else(|late| given_up(&late))
}

/// What was not begun has changed nothing.
fn given_up(late: &Late) -> ActionOutcome {
    let why = Text::new(late.to_string());
    match late {
        Late::NotBegun { .. } => ActionOutcome::Refused { why },
        Late::Unanswered { .. } | Late::Broke { .. } => ActionOutcome::Failed { why },
    }
}

/// What an action that is no unit's would do.
pub(super) async fn plan(host: &LinuxHost, action: &Action) -> Planned {
    let work = Work::new(Kind::Gather, action.describe().to_string()).on_what_it_names(action);
    let state_dir = host.inner.options.state_dir.clone();
    let trusted = match action {
        Action::RestoreConfiguration { unit, .. } | Action::SaveConfiguration { unit, .. } => {
            host.trusted_for(unit).await
        }
        _ => Trusted::own(),
    };
    let action = action.clone();
    let planned = aside::run(work, PLAN_TIME, move || match &action {
        Action::EnsureEnvironment { entries } => environment::plan(entries),
        Action::RestoreConfiguration { unit, paths, .. } => {
            configuration::plan_restore(&state_dir, unit, paths, &trusted)
        }
        Action::SaveConfiguration { unit, paths, .. } => configuration::plan_save(&state_dir, unit, paths, &trusted),
        Action::Drill { .. } => Err(NO_SYSTEMD.into()),
        _ => Ok(Steps::default()),
    });
    planned.await.unwrap_or_else(|late| Ok(vec![Text::new(late.to_string())].into()))
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
    use super::*;

    #[test]
    fn what_was_not_begun_is_refused_and_what_was_begun_has_failed() {
        let (what, lasts) = ("a mount".to_owned(), Duration::from_secs(1));
        assert!(matches!(given_up(&Late::NotBegun { what, lasts }), ActionOutcome::Refused { .. }));
        let what = "a mount".to_owned();
        assert!(matches!(given_up(&Late::Unanswered { what, lasts }), ActionOutcome::Failed { .. }));
    }
}
