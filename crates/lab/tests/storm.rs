//! Many services of one host that fail at once, under nothing but the shipped defaults.

use std::collections::BTreeMap;
use std::time::Duration;

use ansai_lab::agent::wait_report;
use ansai_lab::{Host, HostOptions, agent};
use anyhow::{Context as _, Result};
use rustix::process::{PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(120);
const SERVICES: usize = 20;

/// Each start leaves a line; while `/run/broken` is there none lasts.
const UNIT: &str = "[Service]\n\
    ExecStart=/bin/sh -c 'echo %n >> /run/starts; test -e /run/broken && exit 1; exec sleep infinity'\n";
const TOLD: &str = "notify: {people: {exec: [/bin/sh, -c, 'cat >> /run/messages'], healed: true}}\n";

fn name(number: usize) -> String {
    format!("s{number:02}.service")
}

/// A host with the services and an agent that watches them, all well.
fn boot(host: &str, more: &str) -> Result<Host> {
    let host = Host::boot(&HostOptions::new(host))?;
    for number in 0..SERVICES {
        host.write_file(format!("/etc/systemd/system/{}", name(number)), UNIT, 0o644)?;
    }
    host.run_ok(&["systemctl", "daemon-reload"])?;
    let names: Vec<_> = (0..SERVICES).map(name).collect();
    let command: Vec<_> = ["systemctl", "start"].into_iter().chain(names.iter().map(String::as_str)).collect();
    host.run_ok(&command)?;
    let services: String = names.iter().map(|name| format!("  {name}: {{{more}}}\n")).collect();
    agent::install(&host, &format!("autonomy: act\n{TOLD}services:\n{services}"))?;
    agent::start(&host)?;
    for name in &names {
        agent::wait_health(&host, name, "healthy")?;
    }
    host.remove_file("/run/starts")?;
    Ok(host)
}

/// Kills all of them within a moment.
fn kill(host: &Host) -> Result<()> {
    let mut open = Vec::new();
    for number in 0..SERVICES {
        for pid in host.unit_processes(&name(number))? {
            open.push(pidfd_open(pid, PidfdFlags::empty())?);
        }
    }
    for process in open {
        pidfd_send_signal(process, Signal::KILL)?;
    }
    Ok(())
}

/// How often each of them was started.
fn starts(host: &Host) -> BTreeMap<String, usize> {
    let mut starts = BTreeMap::new();
    for line in host.read_file("/run/starts").unwrap_or_default().lines() {
        *starts.entry(line.to_owned()).or_default() += 1;
    }
    starts
}

fn messages(host: &Host) -> Result<Vec<Value>> {
    let text = host.read_file("/run/messages").unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).context("a message")).collect()
}

#[test]
fn twenty_killed_at_once_are_started_once_each_and_people_hear_of_it_in_one_message() -> Result<()> {
    let host = boot("storm-killed", "")?;
    kill(&host)?;
    for incident in 1..=SERVICES {
        let report = wait_report(&host, &format!("i{incident}"), "healed")?;
        assert_eq!(report["storm"]["incidents"], SERVICES, "{report:#}");
    }
    let starts = starts(&host);
    assert_eq!((starts.len(), starts.values().sum::<usize>()), (SERVICES, SERVICES), "{starts:?}");
    host.wait_until("a message", LIMIT, || Ok(!messages(&host)?.is_empty()))?;
    let told = messages(&host)?;
    assert_eq!(told.len(), 1, "{told:#?}");
    let subject = told[0]["subject"].as_str().unwrap_or_default();
    assert!(subject.contains("20 failed at once: 20 healed"), "{subject}");
    assert_eq!(told[0]["notices"].as_array().map(Vec::len), Some(SERVICES));
    Ok(())
}

#[test]
fn twenty_that_fail_again_at_once_are_not_started_for_ever_and_people_hear_of_it_in_one_message() -> Result<()> {
    let host = boot("storm-broken", "")?;
    host.write_file("/run/broken", "", 0o644)?;
    kill(&host)?;
    for incident in 1..=SERVICES {
        wait_report(&host, &format!("i{incident}"), "escalated")?;
    }
    host.wait_until("a message", LIMIT, || Ok(!messages(&host)?.is_empty()))?;
    let told = messages(&host)?;
    assert_eq!(told.len(), 1, "{told:#?}");
    let subject = told[0]["subject"].as_str().unwrap_or_default();
    assert!(subject.contains("20 failed at once: 20 need you"), "{subject}");
    let starts = starts(&host);
    assert!(starts.values().all(|count| *count <= 4), "{starts:?}");
    Ok(())
}

#[test]
fn what_dies_again_soon_after_it_was_healed_is_not_held_back_the_first_time() -> Result<()> {
    let host = boot("storm-again", "policy: {stable_for: 1s}")?;
    for incident in ["i1", "i2"] {
        host.signal_main(&name(0), Signal::KILL)?;
        let report = wait_report(&host, incident, "healed")?;
        let decided = agent::steps(&report, "decided");
        let is_begun = |text: &&Value| text.as_str().is_some_and(|text| text.starts_with("run service/"));
        assert!(decided.iter().all(is_begun), "something objected: {report:#}");
    }
    assert_eq!(starts(&host), BTreeMap::from([(name(0), 2)]));
    Ok(())
}
