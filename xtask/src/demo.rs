//! The demo: a lab host with a real nginx and two small services, broken one after another and healed before your eyes.
//! It asserts what it shows: six of six healed and verified, a seventh escalated.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ansai_lab::{Host, HostOptions, agent};
use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;
use serde_json::Value;

mod failures;
mod show;

use failures::{CONFIGURATION, FAILURES, Failure, unit};
use show::{Row, say, step_words, table};

use crate::cargo;

/// What becomes of the host.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    End,
    Keep,
}

const LIMIT: Duration = Duration::from_secs(60);

/// Runs the demo.
pub(crate) fn run(after: After) -> Result<()> {
    say("1. set-up: the lab's image and the program");
    ansai_lab::setup::prepare()?;
    cargo::run(&["build", "-p", "ansai-cli", "-p", "ansai-lab"])?;
    say("2. a host with a real systemd");
    let host = boot()?;
    say(&format!("   booted in {} ms", host.booted_in().as_millis()));
    say("3. six failures");
    let mut rows = Vec::new();
    for (index, failure) in FAILURES.iter().enumerate() {
        rows.push(heal(&host, index + 1, failure)?);
    }
    say("4. a seventh that cannot be healed safely: somebody else's service holds the shop's port");
    rows.push(escalate(&host)?);
    say("\n5. the reports, as `ansai report` prints them");
    rows.iter().for_each(|row| say(&format!("\n{}", row.report.trim_end())));
    say("\n6. what happened\n");
    table(&rows);
    let healed = rows.iter().filter(|row| row.is_healed).count();
    ensure!(healed == FAILURES.len(), "only {healed} of {} were healed", FAILURES.len());
    say(&format!("\n{healed} of {} healed and verified; 1 of 1 escalated with evidence", FAILURES.len()));
    if after == After::Keep {
        say(&format!("\nthe host goes on until you press Enter; enter it with\n  {}", host.enter_command()));
        std::io::stdin().read_line(&mut String::new())?;
    }
    Ok(())
}

fn boot() -> Result<Host> {
    let host = Host::boot(&HostOptions::new("demo"))?;
    host.install_unit("shop.service", &unit("shop", 5000))?;
    host.install_unit("mailer.service", &unit("mailer", 5001))?;
    for unit in ["shop.service", "mailer.service", "nginx.service"] {
        host.start(unit)?;
    }
    agent::install(&host, CONFIGURATION)?;
    agent::start(&host)?;
    host.wait_until("all targets to be healthy", LIMIT, || {
        let status = json(&host, &["status"])?;
        Ok(status["targets"]
            .as_array()
            .is_some_and(|targets| targets.iter().all(|target| target["health"] == "healthy")))
    })?;
    host.wait_until("nginx's configuration to be kept as last known good", LIMIT, || {
        Ok(host.exists("/var/lib/ansai/configurations/nginx.service"))
    })?;
    Ok(host)
}

fn json(host: &Host, arguments: &[&str]) -> Result<Value> {
    let mut all = arguments.to_vec();
    all.push("--json");
    let output = agent::ansai(host, &all)?;
    serde_json::from_str(&output.stdout).with_context(|| format!("ansai {arguments:?}: {}", output.stderr))
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

fn newest(host: &Host) -> Result<u64> {
    let list = json(host, &["incidents"])?;
    Ok(list["incidents"][0]["id"].as_u64().unwrap_or(0))
}

/// Waits for the incident after `last` to stand in one of these phases; shows its steps as they come.
fn follow(host: &Host, last: u64, phases: &[&str]) -> Result<Value> {
    let incident = host.wait_for("a new incident", LIMIT, || Ok(Some(newest(host)?).filter(|id| *id > last)))?;
    let mut shown = 0;
    host.wait_for(&format!("i{incident} to be {phases:?}"), LIMIT, || {
        let report = json(host, &["report", &format!("i{incident}")])?["report"].clone();
        let steps = report["steps"].as_array().cloned().unwrap_or_default();
        for step in steps.iter().skip(shown) {
            say(&format!("     {}", step_words(&step["kind"])));
        }
        shown = steps.len();
        let phase = &report["phase"];
        let is_there = phases
            .iter()
            .any(|name| phase.get(*name).is_some() || phase["resolved"].get(*name).is_some() || phase == name);
        Ok(is_there.then_some(report))
    })
}

fn heal(host: &Host, number: usize, failure: &Failure) -> Result<Row> {
    say(&format!("\n   {number}. {}", failure.what));
    let last = newest(host)?;
    let broken = now_ms();
    (failure.break_it)(host)?;
    let report = follow(host, last, &["healed", "escalated"])?;
    let is_healed = report["phase"]["resolved"].get("healed").is_some();
    let downtime = millis(&report["downtime"]);
    let healed = report["failing_since"]["wall"].as_i64().unwrap_or(0) - broken + downtime;
    ensure!(host.is_active(failure.unit)?, "{} is not active", failure.unit);
    Ok(Row {
        what: failure.what.to_owned(),
        noticed: format!("{} ms", report["opened"]["wall"].as_i64().unwrap_or(0) - broken),
        healed: if is_healed { format!("{healed} ms") } else { "not".into() },
        verified: report["verified_by"].as_str().unwrap_or("-").to_owned(),
        is_healed,
        report: printed(host, &report)?,
    })
}

/// The report as a person reads it.
fn printed(host: &Host, report: &Value) -> Result<String> {
    Ok(agent::ansai(host, &["report", &format!("i{}", report["incident"])])?.ok()?.stdout)
}

/// Milliseconds of a duration as serde writes it.
fn millis(value: &Value) -> i64 {
    value["secs"].as_i64().unwrap_or(0) * 1000 + value["nanos"].as_i64().unwrap_or(0) / 1_000_000
}

fn escalate(host: &Host) -> Result<Row> {
    let what = "the shop's port is held by a foreign service";
    host.install_unit("squatter.service", &unit("squatter", 5000))?;
    // Held for a moment, so that the squatter gets the port before the shop is healed.
    agent::ansai(host, &["hold", "--all", "--reason", "demo"])?.ok()?;
    let (last, broken) = (newest(host)?, now_ms());
    host.signal_main("shop.service", Signal::KILL)?;
    host.wait_until("the squatter to hold the port", LIMIT, || {
        host.run(&["systemctl", "restart", "squatter.service"])?;
        host.is_active("squatter.service")
    })?;
    agent::ansai(host, &["release", "--all"])?.ok()?;
    let report = follow(host, last, &["escalated", "healed"])?;
    if report["phase"].get("escalated").is_none() {
        bail!("it was healed, though only a person may: {report:#}");
    }
    ensure!(host.is_active("squatter.service")?, "the foreign service was touched");
    let noticed = format!("{} ms", report["opened"]["wall"].as_i64().unwrap_or(0) - broken);
    let (healed, verified, report) = ("escalated".into(), "-".into(), printed(host, &report)?);
    Ok(Row { what: what.into(), noticed, healed, verified, is_healed: false, report })
}
