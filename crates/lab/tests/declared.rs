//! The ladder obeys what a unit declares: how long its starts and stops may take, and what a kill leaves alone.
//! The names carry the numbers of the situations from public bug reports.
//!
//! It deliberately leaves out what the engine decides about them: that is in its own suite.

use std::time::Duration;

use ansai_lab::agent::{QUICK, QUICK_TO_GIVE_UP, wait_health, wait_report};
use ansai_lab::{Host, HostOptions, agent};
use anyhow::Result;
use rustix::process::Signal;
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(60);

/// A host with these units, and the agent that watches what `services` says.
fn boot(name: &str, units: &[(&str, &str)], services: &str) -> Result<Host> {
    let host = Host::boot(&HostOptions::new(name))?;
    for (unit, text) in units {
        host.install_unit(unit, text)?;
    }
    host.start(units[0].0)?;
    agent::install(&host, &format!("{QUICK_TO_GIVE_UP}services:\n{services}"))?;
    agent::start(&host)?;
    Ok(host)
}

/// What a clean stop of the other one takes: longer than what was once waited for two tries and a kill.
const FLUSHES: &str = "\
[Service]
TimeoutStopSec=30min
StateDirectory=store
ExecStart=/usr/local/lib/ansai-lab/ansai-lab-service --port 5000 --state /var/lib/store
ExecStop=/bin/sh -c 'sleep 220; echo flushed >> /run/flushed'
";

/// A database that is ready at once, and after a crash only when it has recovered for 130 s.
const RECOVERS: &str = "\
[Service]
Type=notify
NotifyAccess=all
TimeoutStartSec=15min
ExecStart=/bin/sh -c 'if test -e /run/was-up; then sleep 130; fi; touch /run/was-up; systemd-notify --ready; exec sleep infinity'
";

#[test]
fn w04_a_recovery_and_a_clean_stop_longer_than_any_limit_of_ours_are_left_to_end() -> Result<()> {
    let units = [("db.service", RECOVERS), ("store.service", FLUSHES)];
    let services = format!("  db.service: {{}}\n{}", PROBED.replace("keeper", "store"));
    let host = boot("w04", &units, &services)?;
    host.start("store.service")?;
    for unit in ["db.service", "store.service"] {
        wait_health(&host, unit, "healthy")?;
    }
    host.http("127.0.0.1:5000", "POST", "/control/hang", "")?;
    host.signal_main("db.service", Signal::KILL)?;
    host.wait_until("the start to begin", LIMIT, || {
        Ok(host.unit_property("db.service", "ActiveState")? == "activating")
    })?;
    agent::wait_says(&host, "db.service", "at most 15m as the unit says")?;
    let recovering = host.main_pid("db.service")?;
    host.wait_active("db.service", Duration::from_secs(240))?;
    assert_eq!(host.main_pid("db.service")?, recovering, "the recovery was broken off: {}", host.evidence());
    // Which of the two failed first is all the same.
    let report_on = |unit: &str| -> Result<Value> {
        let target = format!("service/{unit}");
        host.wait_for(&format!("{unit} to be healed"), Duration::from_secs(240), || {
            let known = agent::incidents(&host)?;
            anyhow::ensure!(known.len() <= 2, "more failed than was broken: {known:#?}");
            let found = known.into_iter().find(|incident| incident["target"] == target.as_str());
            Ok(found.filter(|incident| agent::is_in(incident, "healed")))
        })
    };
    for unit in ["db.service", "store.service"] {
        let known = report_on(unit)?;
        let report = agent::report(&host, &format!("i{}", known["id"]));
        assert!(report["steps"].to_string().contains("it is awaited"), "{report:#}");
        assert!(!report["steps"].to_string().contains("killed"), "{report:#}");
    }
    assert_eq!(host.read_file("/run/flushed")?, "flushed\n", "the clean stop was broken off");
    Ok(())
}

/// A daemon whose work lives in its cgroup and outlives its restarts.
fn keeper(kill_mode: &str) -> String {
    let work = "test -e /run/has-work || { touch /run/has-work; for n in 1 2 3; do setsid sleep 100000 & done; }";
    format!(
        "[Service]\nKillMode={kill_mode}\nStateDirectory=keeper\nExecStart=/bin/sh -c '{work}; \
         exec /usr/local/lib/ansai-lab/ansai-lab-service --port 5000 --state /var/lib/keeper'\n"
    )
}

/// How many processes of the daemon's work are left.
fn work(host: &Host) -> Result<usize> {
    Ok(host.run(&["pgrep", "-c", "-f", "sleep 100000"])?.stdout.trim().parse()?)
}

const PROBED: &str = "  keeper.service: {probe: {http: \"http://127.0.0.1:5000/\", expect: {status: 200}, every: 1s, timeout: 1s, fail_after: 2}}\n";

#[test]
fn w02_what_kill_mode_protects_lives_on_when_the_ladder_kills() -> Result<()> {
    let host = boot("w02", &[("keeper.service", &keeper("process"))], PROBED)?;
    wait_health(&host, "keeper.service", "healthy")?;
    assert_eq!(work(&host)?, 3);
    host.write_file("/var/lib/keeper/commands", "error 503\n", 0o644)?;
    let report = wait_report(&host, "i1", "escalated")?;
    let told = report["steps"].to_string();
    assert!(told.contains("killed 1 process ("), "{report:#}");
    assert!(told.contains("3 others left alone, as KillMode=process says"), "{report:#}");
    assert_eq!(work(&host)?, 3, "the work was killed: {report:#}");
    Ok(())
}

#[test]
fn w02_a_kill_names_what_it_killed_and_none_means_none() -> Result<()> {
    let host = boot("w02b", &[("keeper.service", &keeper("none"))], PROBED)?;
    wait_health(&host, "keeper.service", "healthy")?;
    host.write_file("/var/lib/keeper/commands", "error 503\n", 0o644)?;
    let report = wait_report(&host, "i1", "escalated")?;
    assert!(report["steps"].to_string().contains("says KillMode=none"), "{report:#}");
    assert_eq!(work(&host)?, 3, "the work was killed: {report:#}");
    Ok(())
}

/// Ends with 143 on TERM, as many a virtual machine does.
const REAL: &str = "\
[Service]
ExecStart=/bin/sh -c 'trap \"exit 143\" TERM; until test -e /run/end; do sleep 0.2; done; rm /run/end'
[Install]
Alias=dbalias.service
WantedBy=multi-user.target
";

#[test]
fn w07_a_unit_watched_by_its_alias_is_known_by_its_own_name() -> Result<()> {
    let host = Host::boot(&HostOptions::new("w07"))?;
    host.install_unit("dbreal.service", REAL)?;
    host.run_ok(&["systemctl", "enable", "--now", "dbreal.service"])?;
    agent::install(&host, &format!("{QUICK}services:\n  dbalias.service: {{}}\n"))?;
    agent::start(&host)?;
    wait_health(&host, "dbalias.service", "healthy")?;
    agent::wait_says(&host, "dbalias.service", "its own name is dbreal.service")?;
    // A crash is heard of at once, with what the journal says of it.
    host.signal_main("dbreal.service", Signal::KILL)?;
    let report = wait_report(&host, "i1", "healed")?;
    assert!(report["evidence"].to_string().contains("status=9/KILL"), "{report:#}");
    host.wait_active("dbreal.service", LIMIT)?;
    // So is an end by itself with 0.
    host.write_file("/run/end", "", 0o644)?;
    wait_report(&host, "i2", "healed")?;
    host.wait_active("dbreal.service", LIMIT)?;
    // An operator's stop is one, by whatever name.
    let known = agent::incidents(&host)?.len();
    host.stop("dbreal.service")?;
    agent::wait_says(&host, "dbalias.service", "stopped on request")?;
    assert!(!host.is_active("dbreal.service")?);
    assert_eq!(agent::incidents(&host)?.len(), known, "an operator's stop was taken for a failure");
    Ok(())
}

#[test]
fn w07_check_and_doctor_name_the_unit_that_was_meant_and_the_one_that_is_watched_twice() -> Result<()> {
    let host = Host::boot(&HostOptions::new("w07b"))?;
    host.install_unit("dbreal.service", REAL)?;
    host.run_ok(&["systemctl", "enable", "--now", "dbreal.service"])?;
    let services = "services:\n  dbreal: {}\n  dbalias: {}\n  dbrael: {}\n";
    agent::install(&host, services)?;
    let twice = "`dbalias.service` is another name of `dbreal.service`, which is watched as well";
    for command in ["check", "doctor"] {
        let output = agent::ansai(&host, &[command])?;
        let said = format!("{}{}", output.stdout, output.stderr);
        assert!(said.contains("this host has no unit `dbrael.service`"), "{command}: {said}");
        assert!(said.contains("did you mean `dbreal.service`?"), "{command}: {said}");
        assert!(said.contains(twice), "{command}: {said}");
    }
    // Another file may be another host's: it is valid, and what this host lacks of it is said as just that.
    host.write_file("/root/other.yaml", services, 0o644)?;
    let output = agent::ansai(&host, &["check", "/root/other.yaml"])?;
    let said = format!("{}{}", output.stdout, output.stderr);
    assert!(output.code == 0 && said.contains("is valid (1 file; for this host 2 warnings)"), "{said}");
    assert!(said.contains("this host has no unit `dbrael.service`"), "{said}");
    Ok(())
}

#[test]
fn w09_what_was_stopped_with_a_failed_unit_comes_back_with_it_and_an_operators_stop_stands() -> Result<()> {
    let app = "[Service]\nExecStart=/bin/sleep infinity\n";
    let web = "[Unit]\nBindsTo=app.service\nAfter=app.service\n[Service]\nExecStart=/bin/sleep infinity\n";
    let part = "[Unit]\nBindsTo=app.service\n[Service]\nExecStart=/bin/sleep infinity\n";
    let units = [("app.service", app), ("web.service", web), ("part.service", part)];
    let services = "  app.service: {}\n  web.service: {needs: [app.service]}\n  part.service: {}\n";
    let host = boot("w09", &units, services)?;
    host.start("web.service")?;
    host.start("part.service")?;
    for unit in ["app.service", "web.service", "part.service"] {
        wait_health(&host, unit, "healthy")?;
    }
    let before = host.main_pid("web.service")?;
    host.signal_main("app.service", Signal::KILL)?;
    host.wait_until("all to be back", LIMIT, || {
        let is_new = host.main_pid("web.service")?.is_some_and(|pid| Some(pid) != before);
        Ok(is_new
            && host.is_active("app.service")?
            && host.is_active("web.service")?
            && host.is_active("part.service")?)
    })?;
    for unit in ["app.service", "web.service", "part.service"] {
        wait_health(&host, unit, "healthy")?;
    }
    let known = agent::incidents(&host)?.len();
    // What an operator stops takes the others along, and all of them stay down.
    host.stop("app.service")?;
    for unit in ["app.service", "web.service", "part.service"] {
        agent::wait_says(&host, unit, "stopped on request")?;
    }
    assert_eq!(agent::incidents(&host)?.len(), known, "an operator's stop was taken for a failure");
    assert!(!host.is_active("app.service")?, "an operator's stop was undone");
    Ok(())
}

#[test]
fn w16_a_failed_socket_is_its_services_failure_and_is_started_again() -> Result<()> {
    let socket = "[Socket]\nListenStream=127.0.0.1:7777\nTriggerLimitIntervalSec=2\nTriggerLimitBurst=5\n";
    let service = "[Service]\nExecStart=/bin/sh -c 'exit 0'\n";
    let chat = "[Socket]\nListenStream=127.0.0.1:7778\nAccept=yes\n";
    let units = [("echo.socket", socket), ("echo.service", service), ("chat.socket", chat), ("chat@.service", service)];
    let host = boot("w16", &units, "  echo.service: {}\n")?;
    host.start("chat.socket")?;
    let proposed = agent::ansai(&host, &["init", "--output", "-"])?.stdout;
    assert!(
        proposed.contains("\"echo.service\": {}  # rests until somebody asks; its socket echo.socket"),
        "{proposed}"
    );
    assert!(proposed.contains("\"chat.socket\": {}  # starts an instance"), "{proposed}");
    wait_health(&host, "echo.service", "healthy")?;
    agent::wait_says(&host, "echo.service", "resting")?;
    host.connect("127.0.0.1:7777").ok();
    let report = wait_report(&host, "i1", "healed")?;
    assert!(report["symptom"].to_string().contains("its socket has failed: echo.socket"), "{report:#}");
    assert!(report["steps"].to_string().contains("echo.socket started, which starts echo.service"), "{report:#}");
    assert!(host.is_active("echo.socket")?, "{report:#}");
    Ok(())
}

/// As cups is shipped: its socket goes and comes with it, and is started too often before the service itself is.
#[test]
fn what_is_wanted_besides_is_started_with_its_failed_socket_and_told_when_it_cannot_be() -> Result<()> {
    let socket = "[Unit]\nPartOf=print.service\n[Socket]\nListenStream=/run/print.sock\nRemoveOnStop=on\n";
    let service = "[Unit]\nRequires=print.socket\n[Service]\nExecStart=/bin/sh -c 'test ! -e /run/broken && exec sleep infinity'\n\
                   Restart=on-failure\n[Install]\nWantedBy=multi-user.target\n";
    let units = [("print.socket", socket), ("print.service", service)];
    let host = boot("printing", &units, "  print.service: {}\n")?;
    host.run_ok(&["systemctl", "enable", "--now", "print.service"])?;
    agent::wait_says(&host, "print.service", "running")?;
    host.write_file("/run/broken", "", 0o644)?;
    host.run_ok(&["systemctl", "kill", "--kill-whom=main", "--signal=KILL", "print.service"])?;
    let report = wait_report(&host, "i1", "escalated")?;
    let steps = report["steps"].to_string();
    // It was tried, with its socket, and did not become well for a listening socket alone.
    assert!(
        steps.contains("its socket has failed: print.socket") && steps.contains("print.service restarted"),
        "{report:#}"
    );
    Ok(())
}

/// Fails at its first run; a later one takes its time.
const BACKUP: &str = "\
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'trap \"echo killed >> /run/killed; exit 1\" TERM; echo run >> /run/runs; n=$(wc -l < /run/runs); \
test $n = 1 && exit 3; n=0; while test $n -lt 60; do sleep 0.1; n=$((n+1)); done; echo done >> /run/done'
";

#[test]
fn w03_a_one_shot_that_failed_is_told_and_not_run_again() -> Result<()> {
    let host = Host::boot(&HostOptions::new("w03"))?;
    host.install_unit("backup.service", BACKUP)?;
    agent::install(&host, &format!("{QUICK}services: {{backup.service: {{}}}}\n"))?;
    agent::start(&host)?;
    wait_health(&host, "backup.service", "healthy")?;
    host.run(&["systemctl", "start", "backup.service"])?;
    let report = wait_report(&host, "i1", "escalated")?;
    assert!(report["steps"].to_string().contains("run again only where `run_again: true` says so"), "{report:#}");
    assert_eq!(host.read_file("/run/runs")?, "run\n", "{report:#}");
    Ok(())
}

#[test]
fn w03_a_one_shot_is_run_again_where_that_is_declared_and_left_to_end() -> Result<()> {
    let host = Host::boot(&HostOptions::new("w03b"))?;
    host.install_unit("backup.service", BACKUP)?;
    agent::install(&host, &format!("{QUICK}services: {{backup.service: {{run_again: true}}}}\n"))?;
    agent::start(&host)?;
    wait_health(&host, "backup.service", "healthy")?;
    host.run(&["systemctl", "start", "backup.service"])?;
    let report = wait_report(&host, "i1", "healed")?;
    assert_eq!(host.read_file("/run/runs")?, "run\nrun\n", "{report:#}");
    assert_eq!(host.read_file("/run/done")?, "done\n", "{report:#}");
    assert!(!host.exists("/run/killed"), "it was killed in the middle: {report:#}");
    Ok(())
}

#[test]
fn w05_a_service_that_warms_up_is_not_judged_after_an_operators_restart() -> Result<()> {
    let program = "/usr/local/lib/ansai-lab/ansai-lab-service --port 8080 --state /var/lib/app";
    let app = format!(
        "[Service]\nStateDirectory=app\nExecStart=/bin/sh -c 'test -e /run/is-slow && sleep 30; exec {program}'\n"
    );
    let services =
        "  app.service: {probe: {http: \"http://127.0.0.1:8080/\", every: 1s, timeout: 1s, fail_after: 2}}\n";
    let host = boot("w05", &[("app.service", &app)], services)?;
    wait_health(&host, "app.service", "healthy")?;
    host.write_file("/run/is-slow", "", 0o644)?;
    host.run_ok(&["systemctl", "restart", "app.service"])?;
    let started = host.main_pid("app.service")?;
    agent::wait_says(&host, "app.service", "starting, not judged for another")?;
    wait_health(&host, "app.service", "healthy")?;
    assert_eq!(host.main_pid("app.service")?, started, "it was restarted while it warmed up");
    assert!(agent::incidents(&host)?.is_empty());
    Ok(())
}

#[test]
fn what_nobody_may_start_by_hand_is_not_killed() -> Result<()> {
    let program = "/usr/local/lib/ansai-lab/ansai-lab-service --port 5000 --state /var/lib/pulled";
    let unit = format!("[Unit]\nRefuseManualStart=yes\n[Service]\nStateDirectory=pulled\nExecStart={program}\n");
    let target = "[Unit]\nWants=pulled.service\n";
    let services = PROBED.replace("keeper", "pulled");
    let host = boot("refuses", &[("pull.target", target), ("pulled.service", &unit)], &services)?;
    wait_health(&host, "pulled.service", "healthy")?;
    let running = host.main_pid("pulled.service")?;
    host.write_file("/var/lib/pulled/commands", "error 503\n", 0o644)?;
    let report = wait_report(&host, "i1", "escalated")?;
    assert!(report["steps"].to_string().contains("as its RefuseManualStart= says"), "{report:#}");
    assert_eq!(host.main_pid("pulled.service")?, running, "it was left worse than it was: {report:#}");
    Ok(())
}

#[test]
fn a_start_that_a_condition_keeps_from_happening_is_said_to_be_none() -> Result<()> {
    let unit = "[Unit]\nConditionPathExists=/run/may-run\n[Service]\nExecStart=/bin/sleep infinity\n";
    let host = Host::boot(&HostOptions::new("condition"))?;
    host.install_unit("guarded.service", unit)?;
    host.write_file("/run/may-run", "", 0o644)?;
    host.start("guarded.service")?;
    agent::install(&host, &format!("{QUICK_TO_GIVE_UP}services:\n  guarded.service: {{}}\n"))?;
    agent::start(&host)?;
    wait_health(&host, "guarded.service", "healthy")?;
    host.remove_file("/run/may-run")?;
    host.signal_main("guarded.service", Signal::KILL)?;
    let report = wait_report(&host, "i1", "escalated")?;
    let told = report["steps"].to_string();
    assert!(told.contains("a condition of the unit does not hold (ConditionPathExists=/run/may-run)"), "{report:#}");
    assert!(!told.contains("guarded.service restarted"), "{report:#}");
    Ok(())
}
