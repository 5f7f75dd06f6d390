//! Programs that misbehave when the agent runs them: they never end, or print without end. Each costs its own time-out and
//! no more; the others are looked at and healed meanwhile, and the agent stays small.
//!
//! It deliberately tests no single probe: that is the contract suite's, on the same systemd.

use std::fs;
use std::time::{Duration, Instant};

use ansai_lab::agent::{QUICK_TO_GIVE_UP, wait_health, wait_report, wait_says};
use ansai_lab::{Host, HostOptions, agent, fixture};
use anyhow::{Context as _, Result};
use rustix::process::Signal;

const LIMIT: Duration = Duration::from_secs(60);

/// What the agent may ever take, in KB. At rest a build for tests takes about a third of it.
const MEMORY_KB_MAX: u64 = 96 * 1024;

/// Two of them never answer, so that all of their start period would be waited for: it is shortened.
const SERVICES: &str = "\
services:
  app.service: {}
  silent.service:
    autonomy: observe
    start_period: 1s
    probe: {exec: [/bin/sh, -c, \"trap '' TERM; while :; do sleep 0.2; done\"], every: 1s, timeout: 1s, fail_after: 2}
  loud.service:
    autonomy: observe
    start_period: 1s
    probe: {exec: [yes, a line that never ends], every: 1s, timeout: 1s, fail_after: 2}
  checked.service:
    validate: [yes, configuration ok]
";

fn boot(name: &str) -> Result<Host> {
    let host = Host::boot(&HostOptions::new(name))?;
    for (index, name) in ["app", "silent", "loud", "checked"].into_iter().enumerate() {
        let unit = format!("{name}.service");
        host.install_unit(&unit, &fixture::unit(name, 5000 + u16::try_from(index)?))?;
        host.start(&unit)?;
    }
    agent::install(&host, &format!("{QUICK_TO_GIVE_UP}{SERVICES}"))?;
    agent::start(&host)?;
    wait_health(&host, "app.service", "healthy")?;
    Ok(host)
}

/// The most memory that the agent has taken since it started, in KB.
fn memory_kb(host: &Host) -> Result<u64> {
    let pid = host.outer_pid(host.main_pid(agent::UNIT)?.context("no agent")?)?;
    let status = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// How many processes of the host have these words in their command line.
fn count(host: &Host, words: &str) -> Result<usize> {
    let found = host.run(&["pgrep", "--count", "--full", "--", words])?;
    Ok(found.text().parse().unwrap_or_default())
}

/// A probe that never ends and one that prints without end: both are failing for that reason, nothing of them is left
/// behind, and another service is healed as quickly as ever.
#[test]
fn a_probe_that_never_answers_and_one_that_never_stops_printing_hold_nothing_up() -> Result<()> {
    let host = boot("probes")?;
    for unit in ["silent.service", "loud.service"] {
        wait_health(&host, unit, "failing")?;
        wait_says(&host, unit, "within 1s")?;
    }
    let killed = Instant::now();
    host.signal_main("app.service", Signal::KILL)?;
    wait_report(&host, "i3", "stabilizing")?;
    let took = killed.elapsed();
    assert!(took < Duration::from_secs(3), "other probes held the healing of the app up for {took:?}");
    // Each is looked at by one process at a time, however often it was looked at before.
    for words in ["while :; do sleep", "yes a line that never ends"] {
        let left = count(&host, words)?;
        assert!(left <= 2, "{left} processes of `{words}` are left behind");
    }
    let memory = memory_kb(&host)?;
    assert!(memory <= MEMORY_KB_MAX, "what a command printed is kept: the agent took {memory} KB");
    Ok(())
}

/// A validator that prints without end says nothing of the configuration: it is not run forever, its output is not kept,
/// and what becomes of the service is written down.
#[test]
fn a_validator_that_never_stops_printing_ends_and_is_reported() -> Result<()> {
    let host = boot("validator")?;
    host.signal_main("checked.service", Signal::KILL)?;
    let incident = host.wait_for("the incident", LIMIT, || {
        Ok(agent::target(&host, "checked.service")["incident"].as_u64().map(|number| format!("i{number}")))
    })?;
    let report = wait_report(&host, &incident, "escalated")?;
    let ended = agent::steps(&report, "ended").into_iter().find(|step| step["rung"] == "validate");
    assert!(ended.is_some(), "nothing tells what became of the validator: {report:#}");
    let size = report.to_string().len();
    assert!(size < 200_000, "the report has {size} bytes");
    assert_eq!(count(&host, "yes configuration ok")?, 0, "the validator still runs");
    let memory = memory_kb(&host)?;
    assert!(memory <= MEMORY_KB_MAX, "what the validator printed is kept: the agent took {memory} KB");
    Ok(())
}
