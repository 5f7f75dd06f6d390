//! Units as distributions and administrators write them, beside those of the bug reports: what they declare of their
//! starts, stops, neighbors and triggers is obeyed, and is never in the way of healing them.
//!
//! It deliberately asks several things of one host, whose units know nothing of each other.

use std::time::Duration;

use ansai_lab::agent::{QUICK, incidents, is_in, wait_health, wait_says};
use ansai_lab::{Host, HostOptions, agent, fixture};
use anyhow::Result;
use rustix::process::Signal;
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(60);

/// A host on which these units are started, and the agent that watches what `services` says.
fn boot(name: &str, units: &[(&str, &str)], started: &[&str], services: &str) -> Result<Host> {
    let host = Host::boot(&HostOptions::new(name))?;
    for (unit, text) in units {
        host.write_file(format!("/etc/systemd/system/{unit}"), text, 0o644)?;
    }
    host.run_ok(&["systemctl", "daemon-reload"])?;
    for unit in started {
        host.start(unit)?;
    }
    agent::install(&host, &format!("{QUICK}services:\n{services}"))?;
    agent::start(&host)?;
    for unit in started {
        wait_health(&host, unit, "healthy")?;
    }
    Ok(host)
}

/// What is known of a unit's incidents, newest first.
fn incidents_of(host: &Host, unit: &str) -> Result<Vec<Value>> {
    let target = format!("service/{unit}");
    Ok(incidents(host)?.into_iter().filter(|incident| incident["target"] == target.as_str()).collect())
}

/// Waits until the unit's only incident was healed.
fn wait_healed(host: &Host, unit: &str) -> Result<()> {
    host.wait_until(&format!("{unit} to be healed"), LIMIT, || {
        let told = incidents_of(host, unit)?;
        anyhow::ensure!(told.len() <= 1, "{unit} failed again: {told:#?}");
        Ok(told.first().is_some_and(|incident| is_in(incident, "healed") || is_in(incident, "by-itself")))
    })?;
    host.wait_active(unit, LIMIT)
}

const PLAIN: &str = "[Service]\nExecStart=/bin/sleep infinity\n";
const FORKS: &str = "[Service]\nType=forking\nPIDFile=/run/forked.pid\n\
    ExecStart=/bin/sh -c 'sleep infinity & echo $! > /run/forked.pid'\n";
/// As auditd and others have it.
const REFUSES_STOP: &str = "[Unit]\nRefuseManualStop=yes\n[Service]\nExecStart=/bin/sleep infinity\n";
const UPHOLDS: &str = "[Unit]\nUpholds=upheld.service\n";
const DYNAMIC: &str = "[Service]\nDynamicUser=yes\nStateDirectory=dynamic\nPrivateTmp=yes\nProtectSystem=strict\n\
    ExecStart=/bin/sh -c 'date >> $STATE_DIRECTORY/starts; exec sleep infinity'\n";

#[test]
fn what_a_unit_declares_is_not_in_the_way_of_healing_it() -> Result<()> {
    let slow = fixture::unit("slow", 5000) + "ExecStop=/bin/sleep infinity\nTimeoutStopSec=3s\n";
    let ends_with = |code: u8| {
        format!(
            "[Service]\nRestart=on-failure\nRestartPreventExitStatus=3\nSuccessExitStatus=75\n\
             ExecStart=/bin/sh -c 'until rm /run/end-%p 2>/dev/null; do sleep 0.1; done; exit {code}'\n"
        )
    };
    let (prevents, ends) = (ends_with(3), ends_with(75));
    let units = [
        ("inst@.service", PLAIN),
        ("forked.service", FORKS),
        ("refuses.service", REFUSES_STOP),
        ("up.target", UPHOLDS),
        ("upheld.service", PLAIN),
        ("dynamic.service", DYNAMIC),
        ("slow.service", &slow),
        ("prevents.service", &prevents),
        ("ends.service", &ends),
    ];
    let services = "  inst@a.service: {}\n  inst@b.service: {}\n  forked.service: {}\n  refuses.service: {}\n  \
         upheld.service: {}\n  dynamic.service: {}\n  prevents.service: {}\n  ends.service: {}\n  \
         slow.service: {probe: {http: \"http://127.0.0.1:5000/\", every: 1s, timeout: 1s, fail_after: 2}}\n";
    let killed = ["inst@a.service", "forked.service", "refuses.service", "upheld.service", "dynamic.service"];
    let others = ["inst@b.service", "slow.service", "prevents.service", "ends.service"];
    let started: Vec<&str> = killed.into_iter().chain(others).collect();
    let host = boot("neighbors", &units, &started, services)?;
    host.start("up.target")?;
    let untouched = host.main_pid("inst@b.service")?;
    host.http("127.0.0.1:5000", "POST", "/control/hang", "")?;
    for unit in ["prevents", "ends"] {
        host.write_file(format!("/run/end-{unit}"), "", 0o644)?;
    }
    for unit in killed {
        host.signal_main(unit, Signal::KILL)?;
    }
    for unit in killed.into_iter().filter(|unit| *unit != "upheld.service").chain(["prevents.service", "ends.service"])
    {
        wait_healed(&host, unit)?;
    }
    // systemd itself may have been quicker.
    host.wait_active("upheld.service", LIMIT)?;
    wait_healed(&host, "slow.service")?;
    assert_eq!(host.main_pid("inst@b.service")?, untouched, "another instance was restarted");
    Ok(())
}

#[test]
fn what_systemd_stops_for_a_reason_of_the_units_stays_down() -> Result<()> {
    let units = [
        ("old.service", PLAIN),
        ("new.service", "[Unit]\nConflicts=old.service\nAfter=old.service\n[Service]\nExecStart=/bin/sleep infinity\n"),
        ("lazy.service", "[Unit]\nStopWhenUnneeded=yes\n[Service]\nExecStart=/bin/sleep infinity\n"),
        (
            "needs.service",
            "[Unit]\nRequires=lazy.service\nAfter=lazy.service\n[Service]\nExecStart=/bin/sleep infinity\n",
        ),
        ("mnt-data.mount", "[Mount]\nWhat=tmpfs\nWhere=/mnt/data\nType=tmpfs\n"),
        (
            "stored.service",
            "[Unit]\nBindsTo=mnt-data.mount\nAfter=mnt-data.mount\n[Service]\nExecStart=/bin/sleep infinity\n",
        ),
        ("set.service", "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n"),
    ];
    let services = "  old.service: {}\n  new.service: {}\n  lazy.service: {}\n  needs.service: {}\n  stored.service: {}\n  set.service: {}\n";
    let started = ["old.service", "needs.service", "lazy.service", "stored.service", "set.service"];
    let host = boot("reasons", &units, &started, services)?;
    host.start("new.service")?;
    host.stop("needs.service")?;
    host.run_ok(&["umount", "/mnt/data"])?;
    host.stop("set.service")?;
    for unit in ["old.service", "needs.service", "lazy.service", "stored.service", "set.service"] {
        wait_says(&host, unit, "stopped on request")?;
    }
    wait_health(&host, "new.service", "healthy")?;
    // The agent's own look at everything passes once.
    host.run_ok(&["systemctl", "restart", agent::UNIT])?;
    wait_health(&host, "new.service", "healthy")?;
    for unit in ["old.service", "needs.service", "lazy.service", "stored.service", "set.service"] {
        wait_health(&host, unit, "unknown")?;
        assert!(!host.is_active(unit)?, "{unit} was started: {}", host.evidence());
    }
    assert_eq!(incidents(&host)?, Vec::<Value>::new());
    Ok(())
}

/// Nothing is loaded that starts them when the agent begins to watch them.
#[test]
fn what_a_timer_or_socket_of_later_starts_may_rest() -> Result<()> {
    let units = [
        ("nightly.service", PLAIN),
        ("clock.timer", "[Timer]\nOnActiveSec=1h\nUnit=nightly.service\n"),
        ("asked.service", PLAIN),
        ("asked.socket", "[Socket]\nListenStream=/run/asked\n"),
    ];
    let host = boot("later", &units, &[], "  nightly.service: {}\n  asked.service: {}\n")?;
    let pairs = [("nightly.service", "clock.timer"), ("asked.service", "asked.socket")];
    for (service, trigger) in pairs {
        wait_says(&host, service, "ansai was not watching when it stopped")?;
        host.start(trigger)?;
    }
    for (service, trigger) in pairs {
        wait_says(&host, service, "resting")?;
        // Without it nobody starts the service any more, and nobody has said that it is to run.
        host.run_ok(&["systemctl", "stop", trigger])?;
        wait_health(&host, service, "unknown")?;
    }
    assert_eq!(incidents(&host)?, Vec::<Value>::new());
    Ok(())
}

/// A path starts a service as a socket does: it rests meanwhile, and when the path has failed nothing starts it.
#[test]
fn what_a_path_starts_may_rest_and_its_failed_path_is_its_own_failure() -> Result<()> {
    let units = [
        ("drop.path", "[Path]\nPathExists=/run/drop\n"),
        (
            "drop.service",
            "[Service]\nExecStart=/bin/sh -c 'echo ran >> /run/ran; test -e /run/keep || rm -f /run/drop'\n",
        ),
    ];
    let host = boot("paths", &units, &[], "  drop.service: {}\n")?;
    // The path is not loaded while the agent starts, so that nothing but a look can tell what starts the service.
    wait_says(&host, "drop.service", "ansai was not watching when it stopped")?;
    host.start("drop.path")?;
    wait_health(&host, "drop.service", "healthy")?;
    host.write_file("/run/drop", "", 0o644)?;
    host.wait_until("the service to have run", LIMIT, || Ok(!host.exists("/run/drop") && host.exists("/run/ran")))?;
    wait_says(&host, "drop.service", "resting")?;
    assert_eq!(incidents(&host)?, Vec::<Value>::new());
    // What nobody takes away starts it too often, which ends its path as well; it is taken away before anything is tried.
    agent::ansai(&host, &["hold", "drop.service", "--reason", "test"])?.ok()?;
    host.write_file("/run/keep", "", 0o644)?;
    host.write_file("/run/drop", "", 0o644)?;
    host.wait_until("an incident", LIMIT, || Ok(!incidents(&host)?.is_empty()))?;
    for file in ["/run/keep", "/run/drop"] {
        host.remove_file(file)?;
    }
    agent::ansai(&host, &["release", "drop.service"])?.ok()?;
    host.wait_active("drop.path", LIMIT)?;
    host.write_file("/run/drop", "", 0o644)?;
    host.wait_until("the service to run again", LIMIT, || Ok(!host.exists("/run/drop")))?;
    Ok(())
}

/// An administrator changes a unit's own file, or puts a drop-in beside it, and later starts the unit anew. It was well all the
/// while, since what runs does not read its file; the run that fails does, and its report quotes the file.
#[test]
fn the_file_of_a_unit_that_was_changed_before_it_failed_is_quoted_as_the_recent_change() -> Result<()> {
    let starts = "[Service]\nType=exec\nExecStart=/bin/sleep infinity\n";
    let units = [("edited.service", starts), ("dropped.service", starts), ("killed.service", starts)];
    let started = ["edited.service", "dropped.service", "killed.service"];
    let services = "  edited.service: {}\n  dropped.service: {}\n  killed.service: {}\nagent: {full_pass_every: 2s}\n";
    let host = boot("changed", &units, &started, services)?;
    let drop_in = "/etc/systemd/system/dropped.service.d/limits.conf";
    let files = [
        (
            "/etc/systemd/system/edited.service",
            "[Service]\nType=exec\nExecStartPre=/bin/false\nExecStart=/bin/sleep infinity\n",
        ),
        (drop_in, "[Service]\nExecStart=\nExecStart=/bin/sh -c 'exit 3'\nExecStartPre=/bin/sh -c 'exit 3'\n"),
        ("/etc/systemd/system/killed.service", "[Service]\nType=exec\nExecStart=/bin/sleep 1d\n"),
    ];
    for (path, text) in files {
        host.write_file(path, text, 0o644)?;
    }
    host.run_ok(&["systemctl", "daemon-reload"])?;
    // Each is looked at again, and well with its file as it is now.
    for unit in started {
        let looked = agent::json(&host, &["explain", unit])?["checks"][0]["last"][0]["wall"].as_i64();
        host.wait_until(&format!("another look at {unit}"), LIMIT, || {
            let explained = agent::json(&host, &["explain", unit])?;
            Ok(explained["checks"][0]["last"][0]["wall"].as_i64() > looked)
        })?;
        wait_health(&host, unit, "healthy")?;
    }
    for unit in ["edited.service", "dropped.service"] {
        // It fails to start, as its administrator sees.
        host.run(&["systemctl", "restart", unit])?;
    }
    host.signal_main("killed.service", Signal::KILL)?;
    for (unit, path) in [("edited.service", files[0].0), ("dropped.service", drop_in)] {
        let incident = host.wait_for(&format!("an incident of {unit}"), LIMIT, || {
            Ok(incidents_of(&host, unit)?.first().and_then(|incident| incident["id"].as_u64()))
        })?;
        let quoted = format!("unit files: {path} was changed at ");
        let report = agent::wait_report_with(&host, &format!("i{incident}"), "cause", &quoted)?;
        anyhow::ensure!(report["cause"]["rule"] == "recent-change", "{report:#}");
        let told = agent::ansai(&host, &["report", &format!("i{incident}")])?.stdout;
        let words = told.split_whitespace().collect::<Vec<_>>().join(" ");
        anyhow::ensure!(words.contains(&quoted), "{told}");
        anyhow::ensure!(told.lines().all(|line| line.chars().count() <= 80), "{told}");
    }
    // It died in the run that began before its file was changed, for another reason.
    wait_healed(&host, "killed.service")?;
    let incident = incidents_of(&host, "killed.service")?.first().and_then(|incident| incident["id"].as_u64());
    let report = agent::report(&host, &format!("i{}", incident.unwrap_or_default()));
    anyhow::ensure!(report["cause"]["rule"] == "killed", "{report:#}");
    Ok(())
}
