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
    ExecStart=/bin/sh -c 'echo %n >> /run/starts; test -e /run/broken && exit 1; test -e /run/broken-%n && exit 1; exec sleep infinity'\n";
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

/// What has been told whole: the last line may be on its way, for `cat` writes what is long in parts.
fn messages(host: &Host) -> Result<Vec<Value>> {
    let text = host.read_file("/run/messages").unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(|line| serde_json::from_str(line).context("a message")).collect()
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

/// One of them cannot be healed, and one needs another: the rest is not held up by either.
#[test]
fn one_that_cannot_be_healed_and_one_that_needs_another_hold_up_none_of_the_rest() -> Result<()> {
    let host = Host::boot(&HostOptions::new("storm-mixed"))?;
    let count = 8;
    let names: Vec<_> = (0..count).map(name).collect();
    for name in &names {
        host.write_file(format!("/etc/systemd/system/{name}"), UNIT, 0o644)?;
    }
    host.run_ok(&["systemctl", "daemon-reload"])?;
    for name in &names {
        host.start(name)?;
    }
    // The last one needs the one before.
    let needs = |number: usize| if number == 7 { "needs: [s06.service]" } else { "" };
    let services: String = (0..count).map(|number| format!("  {}: {{{}}}\n", name(number), needs(number))).collect();
    agent::install(&host, &format!("autonomy: act\n{TOLD}services:\n{services}"))?;
    agent::start(&host)?;
    for name in &names {
        agent::wait_health(&host, name, "healthy")?;
    }
    host.remove_file("/run/starts")?;
    host.write_file(format!("/run/broken-{}", name(0)), "", 0o644)?;
    let mut open = Vec::new();
    for name in &names {
        for pid in host.unit_processes(name)? {
            open.push(pidfd_open(pid, PidfdFlags::empty())?);
        }
    }
    for process in open {
        pidfd_send_signal(process, Signal::KILL)?;
    }
    for name in &names[1..] {
        host.wait_active(name, Duration::from_secs(10))?;
    }
    // It is active before its program has written the line.
    let lines = host.wait_for("the last one to say that it was started", LIMIT, || {
        Ok(Some(host.read_file("/run/starts")?).filter(|lines| lines.contains("s07.service")))
    })?;
    let place = |wanted: &str| lines.lines().position(|line| line == wanted);
    assert!(place("s06.service") < place("s07.service"), "what it needs was started after it: {lines}");
    // Whenever it is handed over, people hear of the storm with it, and what became of the others.
    host.wait_until("a person to be told", LIMIT, || {
        Ok(messages(&host)?.iter().any(|message| message["subject"].to_string().contains("1 needs you")))
    })?;
    let told = messages(&host)?;
    let subjects: Vec<_> = told.iter().filter_map(|message| message["subject"].as_str()).collect();
    assert!(subjects.iter().all(|subject| subject.contains("8 failed at once: ")), "{subjects:#?}");
    let last = subjects.last().copied().unwrap_or_default();
    assert!(last.contains("7 healed") || last.contains("7 well again"), "{subjects:#?}");
    Ok(())
}

/// The bus is restarted under twenty services while a library that all of them load is away for a moment: all of them end,
/// nobody hears the bus say so, and all are back.
#[test]
fn twenty_that_end_while_the_bus_is_away_are_back_when_it_is() -> Result<()> {
    let host = boot("storm-bus", "")?;
    host.run_ok(&["systemctl", "stop", "dbus.socket", "dbus.service"])?;
    kill(&host)?;
    host.run_ok(&["systemctl", "start", "dbus.socket", "dbus.service"])?;
    for number in 0..SERVICES {
        host.wait_active(&name(number), LIMIT)?;
    }
    let starts = starts(&host);
    assert_eq!((starts.len(), starts.values().sum::<usize>()), (SERVICES, SERVICES), "{starts:?}");
    Ok(())
}
