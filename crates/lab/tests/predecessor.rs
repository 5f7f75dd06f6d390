//! The scenarios that the predecessor fails and that `heal.rs` does not tell, by their numbers; those without a number by
//! their names.
//!
//! It deliberately leaves out what concerns a language model, mail (`mail.rs`) and the package (`package.rs`).

use std::time::{Duration, Instant};

use ansai_lab::agent::{QUICK_TO_GIVE_UP, incidents, report, steps, wait_health, wait_report};
use ansai_lab::{Host, HostOptions, agent, fixture};
use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(60);

const APP: &str = "\
services:
  app.service:
    port: 5000
    probe: {http: \"http://127.0.0.1:5000/\", expect: {status: 200}, every: 1s, timeout: 1s, fail_after: 2}
";

const SINK: &str = "\
[Service]
Type=notify
ExecStart=/usr/local/lib/ansai-lab/ansai-lab-sink --listen 127.0.0.1:9000 --record /run/sink.jsonl
";

/// A host with the app as this unit and the agent, both running.
fn boot(name: &str, unit: &str, services: &str) -> Result<Host> {
    let host = Host::boot(&HostOptions::new(name))?;
    host.install_unit("app.service", unit)?;
    host.start("app.service")?;
    agent::install(&host, &format!("{QUICK_TO_GIVE_UP}{services}"))?;
    agent::start(&host)?;
    wait_health(&host, "app.service", "healthy")?;
    Ok(host)
}

/// How often systemd has begun to start a unit, by its own journal.
fn starts(host: &Host, unit: &str) -> Result<usize> {
    Ok(host.journal(unit)?.matches("Starting ").count())
}

/// E2: a unit that systemd itself restarts is never seen down for long, and is seen all the same: by its count of restarts.
/// One crash is systemd's to mend; a loop is an incident, and what keeps looping reaches a person once.
#[test]
fn e2_a_restart_loop_under_systemds_own_restart_is_seen_and_reaches_a_person_once() -> Result<()> {
    let unit =
        format!("[Unit]\nStartLimitIntervalSec=0\n{}Restart=always\nRestartSec=50ms\n", fixture::unit("app", 5000));
    // By chance four attempts use up the whole budget of an hour, and then nobody may have it healed.
    let host = boot("e2", &unit, "services: {app.service: {policy: {budget: {actions: 12, per: 1h}}}}\n")?;
    host.signal_main("app.service", Signal::KILL)?;
    host.wait_until("systemd to restart it", LIMIT, || Ok(host.unit_property("app.service", "NRestarts")? == "1"))?;
    wait_health(&host, "app.service", "healthy")?;
    assert!(incidents(&host)?.is_empty(), "one crash that systemd mended became an incident");

    host.write_file("/var/lib/app/commands", "die-after 100\n", 0o644)?;
    let report = wait_report(&host, "i1", "escalated")?;
    let symptom = report["symptom"].as_str().unwrap_or_default();
    assert!(symptom.contains("restart loop"), "the operator would not read that it loops: {symptom}");
    assert!(steps(&report, "not-verified").len() <= 4, "attempts are not bounded: {report:#}");
    assert_eq!(incidents(&host)?.len(), 1, "one loop is one incident");

    host.remove_file("/var/lib/app/commands")?;
    agent::heal(&host, "app")?;
    // It is closed only when it has not flapped for a while, which this test does not wait for.
    let report = wait_report(&host, "i1", "stabilizing")?;
    assert!(host.is_active("app.service")?, "{report:#}");
    Ok(())
}

/// E12: the port is freed and the service still does not come up: a remedy that ran well is not yet a healing.
#[test]
fn e12_a_freed_port_is_not_taken_for_a_healed_service() -> Result<()> {
    let unit = fixture::unit("app", 5000).replace("--port", "--config /etc/app.conf --port") + "KillMode=process\n";
    let host = Host::boot(&HostOptions::new("e12"))?;
    host.write_file("/etc/app.conf", "greeting = hello\n", 0o644)?;
    host.install_unit("app.service", &unit)?;
    host.start("app.service")?;
    agent::install(&host, &format!("{QUICK_TO_GIVE_UP}{APP}"))?;
    agent::start(&host)?;
    wait_health(&host, "app.service", "healthy")?;

    host.write_file("/etc/app.conf", "greetnig = hello\n", 0o644)?;
    host.http("127.0.0.1:5000", "GET", "/control/orphan", "")?;
    let report = wait_report(&host, "i1", "escalated")?;
    let freed = steps(&report, "ended").into_iter().find(|step| step["rung"] == "free-port");
    assert!(freed.is_some_and(|step| step["outcome"].get("succeeded").is_some()), "the port was not freed: {report:#}");
    assert!(!steps(&report, "not-verified").is_empty(), "a restart that failed was not found out: {report:#}");
    assert!(report["downtime"].is_null(), "the report claims an end of the downtime: {report:#}");
    agent::wait_report_with(&host, "i1", "evidence", "unknown key `greetnig`")?;

    host.write_file("/etc/app.conf", "greeting = hello\n", 0o644)?;
    agent::heal(&host, "app")?;
    host.wait_active("app.service", LIMIT)
}

/// E13: clients are connected to the port while a leftover of the unit holds it: the listener goes, the client lives.
#[test]
fn e13_a_client_connected_to_the_port_is_not_taken_for_its_owner() -> Result<()> {
    let host = boot("e13", &(fixture::unit("app", 5000) + "KillMode=process\n"), APP)?;
    host.install_unit(
        "client.service",
        "[Service]\nExecStart=/bin/bash -c 'exec 3<>/dev/tcp/127.0.0.1/5000; exec sleep infinity'\n",
    )?;
    host.http("127.0.0.1:5000", "GET", "/control/orphan", "")?;
    host.start("client.service")?;
    let client = host.main_pid("client.service")?.context("the client does not run")?;
    let report = wait_report(&host, "i1", "healed")?;
    let freed = steps(&report, "ended").into_iter().find(|step| step["rung"] == "free-port");
    assert!(freed.is_some_and(|step| step["outcome"].get("succeeded").is_some()), "the port was not freed: {report:#}");
    assert_eq!(host.main_pid("client.service")?, Some(client), "a client of the port was killed: {report:#}");
    Ok(())
}

/// The report (no number): it holds what was measured; the same times are measured here from outside.
#[test]
fn a_report_holds_what_was_measured_and_nothing_else() -> Result<()> {
    let host = boot("report", &fixture::unit("app", 5000), APP)?;
    let before = wall_ms(&host)?;
    let killed = Instant::now();
    host.signal_main("app.service", Signal::KILL)?;
    wait_report(&host, "i1", "stabilizing")?;
    let longest = killed.elapsed().as_secs_f64();
    let report = wait_report(&host, "i1", "healed")?;
    let after = wall_ms(&host)?;

    let downtime = seconds(&report["downtime"]);
    assert!(downtime > 0.0 && downtime <= longest, "{downtime} s of downtime, where {longest} s passed: {report:#}");
    let times: Vec<i64> =
        report["steps"].as_array().into_iter().flatten().filter_map(|step| step["at"]["wall"].as_i64()).collect();
    assert!(times.is_sorted() && times.iter().all(|at| (before..=after).contains(at)), "{before} {times:?} {after}");
    let took: f64 = steps(&report, "ended").iter().map(|step| seconds(&step["took"])).sum();
    assert!(took <= longest, "the steps took {took} s of {longest} s: {report:#}");
    // A cause names the rule that says so and where it was seen; nothing else is claimed.
    assert_eq!(report["cause"]["rule"], "killed", "{report:#}");
    assert!(report["cause"]["seen_in"].as_str().is_some_and(|seen| seen.contains("state")), "{report:#}");
    assert_eq!(report["history"]["incidents"], 0, "a first failure has no history: {report:#}");
    assert!(!report.to_string().contains("confidence"), "{report:#}");

    host.signal_main("app.service", Signal::KILL)?;
    let second = wait_report(&host, "i2", "healed")?;
    assert_eq!(second["history"]["incidents"], 1, "the second report does not know of the first: {second:#}");
    let cost = seconds(&second["history"]["downtime"]);
    assert!((cost - downtime).abs() < 0.001, "it cost {downtime} s before, and {cost} s is told");
    Ok(())
}

/// The wall clock inside the host, in milliseconds since 1970.
fn wall_ms(host: &Host) -> Result<i64> {
    host.run_ok(&["date", "+%s%3N"])?.text().parse().context("a time")
}

fn seconds(duration: &Value) -> f64 {
    duration["secs"].as_f64().unwrap_or(-1.0) + duration["nanos"].as_f64().unwrap_or_default() / 1e9
}

/// Concurrency (no number): a real PostgreSQL and an app that cannot start without it fail together.
/// The database is healed first, the app after it, each once, and the app's report says what it waited for.
#[test]
fn a_database_and_the_app_that_needs_it_fail_together_and_are_healed_in_their_order() -> Result<()> {
    let host = Host::boot(&HostOptions::new("together"))?;
    let unit = fixture::unit("app", 5000) + "ExecStartPre=/usr/bin/pg_isready --quiet --host /run/postgresql\n";
    host.install_unit("app.service", &unit)?;
    host.start("postgresql@15-main.service")?;
    host.start("app.service")?;
    let services = "\
services:
  postgresql@15-main.service:
    probe: {unix: /run/postgresql/.s.PGSQL.5432, every: 1s, timeout: 1s, fail_after: 2}
  app.service:
    needs: [postgresql@15-main.service]
";
    agent::install(&host, &format!("{QUICK_TO_GIVE_UP}{services}"))?;
    agent::start(&host)?;
    wait_health(&host, "app.service", "healthy")?;
    wait_health(&host, "postgresql@15-main.service", "healthy")?;

    let started = starts(&host, "app.service")?;
    let mut mains = Vec::new();
    for unit in ["postgresql@15-main.service", "app.service"] {
        mains.push(host.outer_pid(host.main_pid(unit)?.context("no main process")?)?);
    }
    for main in mains {
        host.signal(main, Signal::KILL)?;
    }
    let mut reports = Vec::new();
    for incident in ["i1", "i2"] {
        reports.push(wait_report(&host, incident, "resolved")?);
    }
    let of = |unit: &str| reports.iter().find(|report| report["target"] == format!("service/{unit}").as_str());
    let (Some(database), Some(app)) = (of("postgresql@15-main.service"), of("app.service")) else {
        anyhow::bail!("not one incident each: {reports:#?}");
    };
    assert!(agent::is_in(database, "healed"), "{database:#}");
    assert!(agent::is_in(app, "healed"), "{app:#}");
    let begun = |report: &Value, kind: &str| {
        let steps = report["steps"].as_array().into_iter().flatten();
        let mut times = steps.filter(|step| step["kind"].get(kind).is_some()).map(|step| step["at"]["mono"].as_i64());
        times.next().flatten()
    };
    // On a busy machine systemd may hear of the app's end first: such a try begins before anything of the database is known,
    // and what counts is the one that worked.
    let steps = app["steps"].as_array().into_iter().flatten();
    let begun_at = |step: &Value| step["kind"].get("started").and_then(|_| step["at"]["mono"].as_i64());
    let mut tries: Vec<i64> = steps.filter_map(begun_at).collect();
    let count = tries.len();
    let (verified, acted) = (begun(database, "verified"), tries.pop());
    ensure!(
        verified.is_some() && verified <= acted,
        "the app was touched at {acted:?}, the database well at {verified:?}: {app:#}{database:#}"
    );
    let known = database["opened"]["mono"].as_i64();
    assert!(tries.iter().all(|at| Some(*at) <= known), "the app was restarted while its database was down: {app:#}");
    assert_eq!(starts(&host, "app.service")?, started + count, "somebody else has started the app");
    let said = app["steps"].to_string();
    assert!(said.contains("postgresql@15-main.service"), "the app's report does not say what it waited for: {app:#}");
    assert_eq!(incidents(&host)?.len(), 2);
    Ok(())
}

/// Disk full (no number): no restart makes room. The attempts end, the cause is named with what to do first, and once there
/// is room it is healed on request.
#[test]
fn a_full_disk_is_named_as_the_cause_and_not_restarted_against_again_and_again() -> Result<()> {
    let host = Host::boot(&HostOptions::new("full").tmpfs("/var/lib/app", "1M"))?;
    let write = "ExecStartPre=/bin/dd if=/dev/zero of=/var/lib/app/journal bs=128k count=1 status=none\n";
    host.install_unit("app.service", &(fixture::unit("app", 5000) + write))?;
    host.start("app.service")?;
    agent::install(&host, &format!("{QUICK_TO_GIVE_UP}{APP}"))?;
    agent::start(&host)?;
    wait_health(&host, "app.service", "healthy")?;

    let started = starts(&host, "app.service")?;
    host.remove_file("/var/lib/app/journal")?;
    host.run(&["dd", "if=/dev/zero", "of=/var/lib/app/fill", "bs=64k"])?;
    host.signal_main("app.service", Signal::KILL)?;
    let report = wait_report(&host, "i1", "escalated")?;
    let tries = starts(&host, "app.service")? - started;
    assert!((1..=4).contains(&tries), "it was restarted {tries} times against a full disk: {report:#}");
    let report = agent::wait_report_with(&host, "i1", "cause", "disk-full")?;
    assert!(report["advice"].to_string().contains("make room first"), "{report:#}");

    host.remove_file("/var/lib/app/fill")?;
    agent::heal(&host, "app")?;
    host.wait_active("app.service", LIMIT)?;
    host.wait_until("the incident to be closed", LIMIT, || Ok(agent::is_in(&self::report(&host, "i1"), "resolved")))
}

/// E15: a file of the predecessor is carried over to a configuration that is valid and heals; a misspelled strategy, which
/// it accepted and ignored, is an error with the right word.
#[test]
fn e15_its_configuration_is_carried_over_and_a_misspelled_strategy_is_refused() -> Result<()> {
    let host = Host::boot(&HostOptions::new("e15"))?;
    host.install_unit("app.service", &fixture::unit("app", 5000))?;
    host.start("app.service")?;
    agent::install(&host, "")?;
    host.remove_file(agent::CONFIGURATION)?;
    let old = |strategy: &str| {
        format!(
            "monitored_services:
  - name: app
    port: 5000
    healing_strategies: [{strategy}, port_conflict]
check_interval: 1
failure_threshold: 3
self_healing_enabled: true
"
        )
    };
    let import = |strategy: &str| -> Result<ansai_lab::Output> {
        host.write_file("/root/ansai.yml", old(strategy), 0o644)?;
        agent::ansai(&host, &["import", "ansai", "/root/ansai.yml", "-o", agent::CONFIGURATION])
    };
    let refused = import("servise_restart")?;
    assert_eq!(refused.code, 2, "a misspelled strategy is accepted: {}{}", refused.stdout, refused.stderr);
    assert!(refused.stderr.contains("service_restart"), "the right word is not named: {}", refused.stderr);
    assert!(!host.exists(agent::CONFIGURATION), "something was written all the same");

    let carried = import("service_restart")?;
    assert!(carried.code <= 1, "{}{}", carried.stdout, carried.stderr);
    agent::ansai(&host, &["check"])?.ok()?;
    agent::start(&host)?;
    wait_health(&host, "app.service", "healthy")?;
    host.signal_main("app.service", Signal::KILL)?;
    wait_report(&host, "i1", "stabilizing")?;
    host.wait_active("app.service", LIMIT)
}

/// E20: a dead-man's switch that cannot be pinged is said, and said no more when it can.
#[test]
fn e20_a_heartbeat_that_fails_is_said_and_no_success() -> Result<()> {
    let head = "heartbeat: {url: \"http://127.0.0.1:9000/ping\", every: 5s}\nservices: {app.service: {}}\n";
    let host = boot("e20", &fixture::unit("app", 5000), head)?;
    let warned =
        || Ok(agent::json(&host, &["status"])?["warnings"].to_string().contains("the heartbeat does not get through"));
    host.wait_until("the status to say so", LIMIT, warned)?;
    host.install_unit("sink.service", SINK)?;
    host.start("sink.service")?;
    host.wait_until("the warning to end", LIMIT, || Ok(!warned()?))?;
    let pings = host.read_file("/run/sink.jsonl")?;
    assert!(pings.contains("/ping"), "the warning ended without a ping: {pings}");
    Ok(())
}
