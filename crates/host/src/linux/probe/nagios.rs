//! Nagios-compatible plugins: exit codes 0 to 3 and performance data, after the Nagios Plugin Development Guidelines.

use std::time::Duration;

use ansai_model::{
    condition::Value,
    observation::Observation,
    probe::Plugin,
    time::Shown,
    units::{ByteSize, Percent},
};

use crate::linux::{
    command::{self, Ended},
    permission,
};

/// Observes once.
pub(super) async fn observe(plugin: &Plugin, timeout: Duration) -> Observation {
    let finished = command::run(&plugin.command, timeout).await;
    let first = finished.output.lines().next().unwrap_or_default();
    let (text, data) = first.split_once('|').unwrap_or((first, ""));
    let refused = permission::why_could_not_look(&plugin.command, &finished).await;
    let seen = match finished.ended {
        _ if refused.is_some() => {
            Observation::unknown(format!("the plugin could not look: {}", refused.unwrap_or_default()))
        }
        Ended::Code(0) => Observation::healthy(text.trim()),
        Ended::Code(1) if plugin.fails_on_warning => Observation::failing(format!("warning: {}", text.trim())),
        Ended::Code(1) => Observation::warning(format!("warning: {}", text.trim())),
        Ended::Code(2) => Observation::failing(text.trim()),
        Ended::Code(code) => Observation::unknown(format!("the plugin says unknown ({code}): {}", text.trim())),
        Ended::Signal(signal) => Observation::unknown(format!("the plugin was ended by signal {signal}")),
        Ended::TimedOut => Observation::failing(format!("the plugin did not end within {}", Shown(timeout))),
        Ended::Missing => Observation::unknown(format!("there is no plugin `{}`", plugin.command.shown())),
        Ended::Failed(why) => Observation::unknown(why),
    };
    figures(data).into_iter().fold(seen, |seen, (name, value)| seen.with_figure(&name, value))
}

/// Performance data: `'label'=value[unit];warn;crit;min;max`, separated by blanks.
fn figures(data: &str) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    let mut rest = data.trim_start();
    while found.len() < Observation::FIGURES_MAX && !rest.is_empty() {
        let (label, after) = match rest.strip_prefix('\'') {
            Some(quoted) => match quoted.split_once("'=") {
                Some((label, after)) => (label, after),
                None => break,
            },
            None => match rest.split_once('=') {
                Some((label, after)) => (label, after),
                None => break,
            },
        };
        let end = after.find(char::is_whitespace).unwrap_or(after.len());
        if let Some(value) = after[..end].split(';').next().and_then(value) {
            found.push((label.trim().to_owned(), value));
        }
        rest = after[end..].trim_start();
    }
    found
}

fn value(text: &str) -> Option<Value> {
    let end = text.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '-' | '+'))).unwrap_or(text.len());
    let number: f64 = text[..end].parse().ok()?;
    let seconds = |factor: f64| Duration::try_from_secs_f64(number * factor).ok().map(Value::Duration);
    // Sizes beyond what a float holds exactly do not occur on a host; negative ones are no sizes.
    let bytes = |factor: f64| {
        let size = number * factor;
        (0.0..9e15)
            .contains(&size)
            .then(|| format!("{size:.0}").parse().ok().map(|size| Value::Bytes(ByteSize(size))))?
    };
    match &text[end..] {
        "s" => seconds(1.0),
        "ms" => seconds(1e-3),
        "us" => seconds(1e-6),
        "%" => {
            let hundredths =
                (0.0..=100.0).contains(&number).then(|| format!("{:.0}", number * 100.0).parse().ok())??;
            Some(Value::Percent(Percent::of(hundredths, 10_000)))
        }
        "B" => bytes(1.0),
        "KB" => bytes(1024.0),
        "MB" => bytes(1024.0 * 1024.0),
        "GB" => bytes(1024.0 * 1024.0 * 1024.0),
        _ => Some(Value::Number(number)),
    }
}

#[cfg(test)]
mod tests {
    use ansai_model::{observation::Health, probe::CommandLine};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn performance_data_become_figures_with_units() {
        let found = figures("time=0.5s;1;2 'free space'=50%;; used=2KB users=3 broken x=");
        let names: Vec<_> = found.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["time", "free space", "used", "users"]);
        assert_eq!(found[0].1, Value::Duration(Duration::from_millis(500)));
        assert_eq!(found[1].1, Value::Percent(Percent::of(1, 2)));
        assert_eq!(found[2].1, Value::Bytes(ByteSize(2048)));
    }

    #[tokio::test]
    async fn exit_codes_have_their_meaning() {
        let cases = [
            (0, false, Health::Healthy, false),
            (1, false, Health::Healthy, true),
            (1, true, Health::Failing, false),
            (2, false, Health::Failing, false),
            (3, false, Health::Unknown, false),
        ];
        for (code, fails_on_warning, health, is_warning) in cases {
            let command = CommandLine::new(["sh", "-c", &format!("echo 'OK | a=1'; exit {code}")]);
            let seen = observe(&Plugin { command, fails_on_warning }, Duration::from_secs(20)).await;
            assert_eq!((seen.health(), seen.is_warning()), (health, is_warning), "{code}: {}", seen.summary());
            assert_eq!(seen.figure("a"), Some(&Value::Number(1.0)), "{code}");
        }
    }

    #[tokio::test]
    async fn a_plugin_that_does_not_end_is_failing() {
        let command = CommandLine::new(["sleep", "60"]);
        let seen = observe(&Plugin { command, fails_on_warning: false }, Duration::from_millis(100)).await;
        assert_eq!(seen.health(), Health::Failing);
        assert!(seen.summary().as_str().contains("did not end within 100ms"), "{}", seen.summary());
    }

    #[tokio::test]
    async fn a_plugin_that_was_not_allowed_to_look_is_unknown_whatever_it_ends_with() {
        for (script, health) in [
            ("echo 'CRITICAL - socket: Operation not permitted | a=1'; exit 2", Health::Unknown),
            ("echo 'check_ping: Permission denied' >&2; exit 1", Health::Unknown),
            ("echo 'CRITICAL - connection refused'; exit 2", Health::Failing),
        ] {
            let command = CommandLine::new(["sh", "-c", script]);
            let seen = observe(&Plugin { command, fails_on_warning: false }, Duration::from_secs(20)).await;
            assert_eq!(seen.health(), health, "{script}: {}", seen.summary());
        }
    }

    proptest! {
        #[test]
        fn any_output_is_survived(data in "\\PC{0,300}") {
            prop_assert!(figures(&data).len() <= Observation::FIGURES_MAX);
        }
    }
}
