//! A command as a probe: exit code 0 is healthy, any other failing.

use std::time::Duration;

use ansai_model::{observation::Observation, probe::CommandLine, time::Shown};

use crate::linux::command::{self, Ended};

/// Looks once.
pub(super) async fn observe(command_line: &CommandLine, timeout: Duration) -> Observation {
    let finished = command::run(command_line, timeout).await;
    let said = command::said(&finished);
    let with = |text: String| if said.is_empty() { text } else { format!("{text}: {said}") };
    match finished.ended {
        Ended::Code(0) => Observation::healthy(with("exit code 0".into())),
        Ended::Code(code) => Observation::failing(with(format!("exit code {code}"))),
        Ended::Signal(signal) => Observation::failing(with(format!("ended by signal {signal}"))),
        Ended::TimedOut => Observation::failing(with(format!("did not end within {}", Shown(timeout)))),
        // A probe that cannot be run says nothing of its target.
        Ended::Missing => Observation::unknown(format!(
            "there is no program `{}`",
            command_line.argv.first().map_or("", String::as_str)
        )),
        Ended::Failed(why) => Observation::unknown(why),
    }
}
