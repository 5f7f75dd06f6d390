//! Memory end to end: programs that really grow, on a real systemd. One that leaks is restarted before it reaches its limit,
//! one that fills a cache is left alone, one that can give memory back is asked to.
//!
//! Lab hosts have no memory controller: what is held is summed over the processes, as in many containers.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ansai_lab::agent::{QUICK, is_in, steps};
use ansai_lab::{Host, HostOptions, agent, fixture, mail};
use anyhow::{Context as _, Result};
use serde_json::Value;

/// How long a leak of 2 MiB a second takes to its limit, twice over.
const LIMIT: Duration = Duration::from_secs(120);
const MIB: u64 = 1 << 20;

/// A look each half second, and waits of seconds where there are hours.
const POLICY: &str =
    "  memory: {cooldown: 1s, stable_for: 3s, verify_within: 15s, backoff: {initial: 500ms, max: 2s}, quiet: none}\n";

/// A unit that runs the fixture service with these commands from its start on.
fn unit(name: &str, port: u16, commands: &[&str]) -> String {
    let flags: String = commands.iter().map(|command| format!(" --do \"{command}\"")).collect();
    fixture::unit(name, port).replace("\nStateDirectory", &format!("{flags}\nStateDirectory"))
}

/// What a unit's main process holds in anonymous memory, in bytes; none while it has no main process.
fn held(host: &Host, unit: &str) -> Result<u64> {
    let pid = host.main_pid(unit)?.context("it has a main process")?;
    let status = host.run(&["cat", &format!("/proc/{pid}/status")])?.stdout;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap_or("0");
    let kib: u64 = line.split_whitespace().next().unwrap_or("0").parse().context("a number of kibibytes")?;
    Ok(kib * 1024)
}

/// The most that a unit held until its incident was healed, and the report.
fn most_until_healed(host: &Host, unit: &str, incident: &str) -> Result<(u64, Value)> {
    let mut most = 0;
    let report = host.wait_for(&format!("{incident} to be healed"), LIMIT, || {
        // Between two runs it holds nothing.
        most = most.max(held(host, unit).unwrap_or(0));
        let report = agent::report(host, incident);
        Ok(is_in(&report, "healed").then_some(report))
    });
    let report = report.with_context(|| format!("the report says: {:#}", agent::report(host, incident)))?;
    Ok((most, report))
}

/// The words of the gates that were asked last.
fn gates(report: &Value) -> String {
    report["decision"]["gates"].to_string()
}

#[test]
fn a_leak_is_restarted_before_its_limit_and_a_cache_that_fills_is_left_alone() -> Result<()> {
    let host = Host::boot(&HostOptions::new("leak"))?;
    mail::start(&host)?;
    host.install_unit("app.service", &unit("app", 5000, &["leak 2097152"]))?;
    host.install_unit("cache.service", &unit("cache", 5001, &["leak 4194304 33554432"]))?;
    host.start("app.service")?;
    host.start("cache.service")?;
    let (leaking, caching) = (host.main_pid("app.service")?, host.main_pid("cache.service")?);
    // Quiet hours half a day away: they come long after the limit.
    let hour = (SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() / 3600 + 12) % 24;
    let services = format!(
        "notify:\n  email: {{to: ops@lab.test, smtp: \"smtp://127.0.0.1:25\", healed: true}}\n\
         memory: {{every: 500ms, horizon: 10m}}\n\
         services:\n  app.service: {{memory: {{limit: 96MiB, quiet: {{at: \"{hour:02}:00\", lasts: 1h}}}}}}\n  \
         cache.service: {{memory: {{limit: 96MiB}}}}\n"
    );
    agent::install(&host, &format!("{QUICK}{POLICY}{services}"))?;
    agent::start(&host)?;
    let (most, report) = most_until_healed(&host, "app.service", "i1")?;
    assert!(most > 30 * MIB && most < 96 * MIB, "it grew, and never to its limit: {most}");
    assert_ne!(host.main_pid("app.service")?, leaking);
    let symptom = report["symptom"].as_str().unwrap_or_default();
    assert!(symptom.contains("grows by") && symptom.contains("reaches its limit of 96.0 MiB at about "), "{report:#}");
    assert_eq!(report["headline"], "app.service was healed by restart before it failed", "{report:#}");
    // Its unit was installed just before: that is what changed.
    assert_eq!(report["cause"]["rule"], "leak-since-change", "{report:#}");
    assert!(gates(&report).contains("before the quiet hours"), "{report:#}");
    assert_eq!(steps(&report, "started").len(), 1, "{report:#}");
    let messages = mail::wait_for(&host, 2, LIMIT)?;
    assert!(messages[0].contains("app.service will fail if nothing is done"), "{}", messages[0]);
    // The other one has grown faster, and then no more.
    assert_eq!(host.main_pid("cache.service")?, caching);
    assert!(held(&host, "cache.service")? > 32 * MIB);
    let incidents = agent::incidents(&host)?;
    assert!(incidents.iter().all(|incident| incident["target"] == "service/app.service"), "{incidents:#?}");
    Ok(())
}

#[test]
fn a_service_that_can_give_memory_back_is_asked_to_and_one_that_would_die_of_it_is_not() -> Result<()> {
    let host = Host::boot(&HostOptions::new("release"))?;
    host.install_unit("app.service", &unit("app", 5000, &["catch", "leak 2097152"]))?;
    host.start("app.service")?;
    let asked = host.main_pid("app.service")?;
    let memory = "{limit: 96MiB, release: SIGUSR1, every: 500ms, horizon: 10m}";
    agent::install(&host, &format!("{QUICK}{POLICY}services:\n  app.service: {{memory: {memory}}}\n"))?;
    agent::start(&host)?;
    let (most, report) = most_until_healed(&host, "app.service", "i1")?;
    assert!(most > 30 * MIB && most < 96 * MIB, "{most}");
    assert_eq!(report["phase"]["resolved"]["healed"]["rung"], "release", "{report:#}");
    assert_eq!(host.main_pid("app.service")?, asked, "nothing was restarted");
    assert!(held(&host, "app.service")? < most / 2, "it gave it back");
    // The same service without a handler for the signal.
    host.install_unit("app.service", &unit("app", 5000, &["leak 2097152"]))?;
    host.run_ok(&["systemctl", "restart", "app.service"])?;
    let deaf = host.main_pid("app.service")?;
    let newest = agent::incidents(&host)?.len();
    let (_, report) = most_until_healed(&host, "app.service", &format!("i{}", newest + 1))?;
    assert_eq!(report["phase"]["resolved"]["healed"]["rung"], "restart", "{report:#}");
    assert!(report["steps"].to_string().contains("does not catch SIGUSR1, so it was not sent"), "{report:#}");
    assert_ne!(host.main_pid("app.service")?, deaf);
    Ok(())
}
