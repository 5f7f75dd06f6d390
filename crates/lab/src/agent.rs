//! ansai on a lab host: the built program installed as its package would, run as a systemd unit, and asked through its command line.
//!
//! It deliberately knows nothing of ansai but its paths, its unit, its commands and what `--json` prints.

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::fixture;
use crate::host::BINARIES;
use crate::{Host, Output};

/// The unit that runs the agent.
pub const UNIT: &str = "ansai.service";

/// The configuration file that the agent reads.
pub const CONFIGURATION: &str = "/etc/ansai/ansai.yaml";

/// The beginning of a configuration that acts. One key of the shipped policy is shorter: with `stable_for`, an incident
/// counts as healed after 2 seconds that stay well, not after 30, for which each test of healing would wait.
pub const QUICK: &str = "\
autonomy: act
policies:
  default: {stable_for: 2s}
";

/// The same for tests that see remedies fail: the tries of the shipped policy take minutes, since the next one waits for
/// `backoff`, and an effect that does not come is awaited for `verify_within`.
pub const QUICK_TO_GIVE_UP: &str = "\
autonomy: act
policies:
  default: {stable_for: 2s, backoff: {initial: 500ms, max: 2s}, verify_within: 5s}
";

const PROGRAM: &str = "/usr/bin/ansai";
/// Where an agent that was carried over SSH has its things.
const CARRIED: &str = "/run/ansai-over-ssh";
const READY_LIMIT: Duration = Duration::from_secs(60);
/// How long any single thing that a test awaits may take on a machine that compiles at the same time.
const LIMIT: Duration = Duration::from_secs(60);

/// What the package ships. The lab has no unit and no drop-in of its own: lab hosts can do all that the unit asks for.
const UNIT_TEXT: &str = include_str!("../../../packaging/ansai.service");
const GROUP_TEXT: &str = include_str!("../../../packaging/ansai.sysusers");

/// Puts the built program, the package's unit and group, and a configuration on the host, and starts nothing.
///
/// The program is a link into the folder of built binaries, so that a host starts in no time; what runs the package's own
/// scripts are the tests of the package.
pub fn install(host: &Host, configuration: &str) -> Result<()> {
    fixture::binary("ansai")?;
    host.run_ok(&["ln", "-sf", &format!("{BINARIES}/ansai"), PROGRAM])?;
    host.write_file("/usr/lib/sysusers.d/ansai.conf", GROUP_TEXT, 0o644)?;
    host.run_ok(&["systemd-sysusers", "ansai.conf"])?;
    host.run_ok(&["mkdir", "-p", "-m", "0750", "/etc/ansai"])?;
    host.write_file(CONFIGURATION, configuration, 0o640)?;
    host.write_file(format!("/usr/lib/systemd/system/{UNIT}"), UNIT_TEXT, 0o644)?;
    host.run_ok(&["systemctl", "daemon-reload"])?;
    Ok(())
}

/// Changes the unit as an operator does with `systemctl edit`; it counts from the next start on.
pub fn edit(host: &Host, section: &str) -> Result<()> {
    host.write_file(format!("/etc/systemd/system/{UNIT}.d/override.conf"), format!("[Service]\n{section}\n"), 0o644)?;
    host.run_ok(&["systemctl", "daemon-reload"])?;
    Ok(())
}

/// Starts the agent and waits until it says that it is ready.
pub fn start(host: &Host) -> Result<()> {
    let started = host.run(&["systemctl", "start", UNIT])?;
    started.ok().with_context(|| format!("starting the agent\n{}", host.evidence()))?;
    host.wait_active(UNIT, READY_LIMIT)
}

/// Runs an `ansai` command on the host.
pub fn ansai(host: &Host, arguments: &[&str]) -> Result<Output> {
    // A carried agent is asked at its own place, by the built program, which is no part of that host.
    let carried = [&format!("{BINARIES}/ansai"), "--runtime-dir", CARRIED];
    let mut command = if host.exists(format!("{CARRIED}/api.sock")) { carried.to_vec() } else { vec![PROGRAM] };
    command.extend(arguments);
    host.run(&command)
}

/// What an `ansai` command prints with `--json`.
pub fn json(host: &Host, arguments: &[&str]) -> Result<Value> {
    let mut all = arguments.to_vec();
    all.push("--json");
    let output = ansai(host, &all)?;
    serde_json::from_str(&output.stdout)
        .with_context(|| format!("{arguments:?} said {}{}", output.stdout, output.stderr))
}

/// What the agent says of a unit's target, and null when it knows none or does not answer yet.
pub fn target(host: &Host, unit: &str) -> Value {
    let status = json(host, &["status"]).unwrap_or_default();
    let name = format!("service/{unit}");
    let targets = status["targets"].as_array().cloned().unwrap_or_default();
    targets.into_iter().find(|target| target["target"] == name.as_str()).unwrap_or_default()
}

/// Waits until the agent holds a unit for `healthy`, `failing` or `unknown`.
pub fn wait_health(host: &Host, unit: &str, health: &str) -> Result<()> {
    host.wait_until(&format!("{unit} to be {health}"), LIMIT, || Ok(target(host, unit)["health"] == health))
        .with_context(|| format!("the agent says: {:#}", target(host, unit)))
}

/// Waits until what the agent says of a unit, in its one sentence or of its last look, holds `words`.
pub fn wait_says(host: &Host, unit: &str, words: &str) -> Result<()> {
    let says = || {
        let target = target(host, unit);
        let holds = |key: &str| target[key].as_str().is_some_and(|text| text.contains(words));
        Ok(holds("explanation") || holds("summary"))
    };
    host.wait_until(&format!("the agent to say `{words}` of {unit}"), LIMIT, says)
        .with_context(|| format!("the agent says: {:#}", target(host, unit)))
}

/// Asks for healing until it is begun: for a moment a job of systemd may be in the way.
pub fn heal(host: &Host, target: &str) -> Result<()> {
    let mut said = String::new();
    let accepted = host.wait_until(&format!("`ansai heal {target}` to be accepted"), LIMIT, || {
        let answer = ansai(host, &["heal", target, "--yes"])?;
        said = format!("{}{}", answer.stdout, answer.stderr);
        Ok(answer.is_success())
    });
    accepted.with_context(|| said)
}

/// The report on an incident, and null when there is none yet.
pub fn report(host: &Host, incident: &str) -> Value {
    json(host, &["report", incident]).unwrap_or_default()["report"].clone()
}

/// Whether a report stands in a phase (`open`, `escalated`, …) or is resolved in a way (`healed`, `by-itself`, …).
#[must_use]
pub fn is_in(report: &Value, phase: &str) -> bool {
    let found = &report["phase"];
    let resolved = &found["resolved"];
    found == phase || found.get(phase).is_some() || resolved == phase || resolved.get(phase).is_some()
}

/// Waits until an incident stands in a phase or is resolved in a way, and returns its report.
pub fn wait_report(host: &Host, incident: &str, phase: &str) -> Result<Value> {
    host.wait_for(&format!("{incident} to be {phase}"), LIMIT, || {
        let report = report(host, incident);
        Ok(is_in(&report, phase).then_some(report))
    })
    .with_context(|| format!("the report says: {:#}", report(host, incident)))
}

/// Awaits a report that says something in one of its fields: what lasts of a failure (its log, what was changed) is read
/// beside the remedies, and people are told with it.
pub fn wait_report_with(host: &Host, incident: &str, field: &str, words: &str) -> Result<Value> {
    host.wait_for(&format!("the {field} of {incident} to say `{words}`"), LIMIT, || {
        let report = report(host, incident);
        Ok(report[field].to_string().contains(words).then_some(report))
    })
    .with_context(|| format!("the report says: {:#}", report(host, incident)))
}

/// All incidents that the agent knows of, newest first.
pub fn incidents(host: &Host) -> Result<Vec<Value>> {
    Ok(json(host, &["incidents"])?["incidents"].as_array().cloned().unwrap_or_default())
}

/// The bodies of a report's steps of one kind (`started`, `ended`, `not-verified`, …), oldest first.
#[must_use]
pub fn steps<'a>(report: &'a Value, kind: &str) -> Vec<&'a Value> {
    report["steps"].as_array().into_iter().flatten().filter_map(|step| step["kind"].get(kind)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_shipped_unit_says_that_it_leaves_out_is_left_out() {
        let (_, left_out) = UNIT_TEXT.split_once("# Left out on purpose").expect("it says so");
        let words = left_out.split(|c: char| !(c.is_ascii_alphanumeric() || c == '='));
        let keys: Vec<&str> = words.filter(|word| word.ends_with('=')).collect();
        assert!(keys.len() > 10 && keys.contains(&"RestrictSUIDSGID="), "{keys:?}");
        let set = |key: &&&str| UNIT_TEXT.lines().any(|line| line.starts_with(**key));
        assert_eq!(keys.iter().filter(set).collect::<Vec<_>>(), Vec::<&&str>::new());
    }
}
