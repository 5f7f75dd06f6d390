//! A command as a probe: exit code 0 is healthy, any other failing, unless the command was not allowed to look.

use std::time::Duration;

use ansai_model::{observation::Observation, probe::CommandLine, time::Shown};

use crate::linux::{
    command::{self, Ended},
    permission,
};

/// Observes once.
pub(super) async fn observe(command_line: &CommandLine, timeout: Duration) -> Observation {
    let finished = command::run(command_line, timeout).await;
    let said = command::said(&finished);
    let with = |text: String| if said.is_empty() { text } else { format!("{text}: {said}") };
    if let Some(why) = permission::why_could_not_look(command_line, &finished).await {
        return Observation::unknown(format!("`{}` could not look: {why}", command_line.shown()));
    }
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

#[cfg(test)]
mod tests {
    use ansai_model::observation::Health;

    use super::*;

    async fn seen(script: &str) -> Observation {
        observe(&CommandLine::new(["sh", "-c", script]), Duration::from_secs(20)).await
    }

    #[tokio::test]
    async fn a_command_that_was_not_allowed_to_look_says_nothing_of_the_service() {
        let unable = [
            "echo 'ping: socket: Operation not permitted' >&2; exit 2",
            "/no/such/program",
            "/etc/passwd",
            "kill -SYS $$",
            "sh -c 'kill -SYS $$'",
        ];
        for script in unable {
            let seen = seen(script).await;
            assert_eq!(seen.health(), Health::Unknown, "{script}: {}", seen.summary());
            assert!(seen.summary().as_str().contains("could not look: "), "{}", seen.summary());
        }
        let theirs = "echo 'worker 3: open(/): Permission denied'; exit 2";
        for script in ["exit 1", "echo 'connection refused'; exit 2", "kill -SEGV $$", theirs] {
            assert_eq!(seen(script).await.health(), Health::Failing, "{script}");
        }
    }
}
