//! Drills end to end: each failure that `ansai drill` injects is noticed, and healed or brought to a person.

use std::time::Duration;

use ansai_lab::agent::QUICK_TO_GIVE_UP;
use ansai_lab::{Host, HostOptions, agent, fixture};
use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;

const LIMIT: Duration = Duration::from_secs(60);

const SERVICES: &str = "\
services:
  app.service:
    port: 5000
    configuration: [/etc/app.conf]
    probe: {http: \"http://127.0.0.1:5000/\", expect: {status: 200}, every: 1s, timeout: 1s, fail_after: 2}
";

/// A host of its own with a healthy app, into which the failure has been injected.
fn begin(kind: &str) -> Result<Host> {
    let host = Host::boot(&HostOptions::new(kind))?;
    host.install_unit("app.service", &fixture::unit("app", 5000))?;
    host.write_file("/etc/app.conf", "fine\n", 0o644)?;
    host.start("app.service")?;
    agent::install(&host, &format!("{QUICK_TO_GIVE_UP}{SERVICES}"))?;
    agent::start(&host)?;
    agent::wait_health(&host, "app.service", "healthy")?;
    agent::ansai(&host, &["drill", "app", kind, "--yes"])?.ok()?;
    Ok(host)
}

/// The failure is noticed and healed.
fn check(kind: &str) -> Result<()> {
    let host = begin(kind)?;
    let report = agent::wait_report(&host, "i1", "resolved")?;
    ensure!(host.is_active("app.service")?, "{report:#}");
    Ok(())
}

#[test]
fn a_crash_is_healed() -> Result<()> {
    check("crash")
}

#[test]
fn a_hang_is_healed() -> Result<()> {
    check("hang")
}

#[test]
fn e3_an_exit_past_systemd_is_healed() -> Result<()> {
    check("exit")
}

#[test]
fn a_broken_configuration_is_healed_and_the_drill_undone() -> Result<()> {
    let host = begin("configuration")?;
    agent::wait_report(&host, "i1", "resolved")?;
    let read = || host.run_ok(&["cat", "/etc/app.conf"]).map(|output| output.stdout);
    ensure!(read()?.contains("ansai drill"), "the drill broke nothing");
    agent::ansai(&host, &["drill", "app", "--undo", "--dry-run"])?.ok()?;
    ensure!(read()?.contains("ansai drill"), "a rehearsal changed something");
    agent::ansai(&host, &["drill", "app", "--undo", "--yes"])?.ok()?;
    ensure!(read()? == "fine\n", "{}", read()?);
    Ok(())
}

/// nginx's validator says that the configuration is wrong, and what was there before is put back.
#[test]
fn a_configuration_drill_that_was_healed_leaves_nothing_beside_the_file() -> Result<()> {
    let host = Host::boot(&HostOptions::new("drill-tidy"))?;
    host.start("nginx.service")?;
    agent::install(
        &host,
        &format!("{QUICK_TO_GIVE_UP}services: {{nginx.service: {{restore_configuration: true}}}}\n"),
    )?;
    agent::start(&host)?;
    agent::wait_health(&host, "nginx.service", "healthy")?;
    host.wait_until("the last known good configuration", LIMIT, || {
        Ok(host.exists("/var/lib/ansai/configurations/nginx.service"))
    })?;
    agent::ansai(&host, &["drill", "nginx", "configuration", "--yes"])?.ok()?;
    let report = agent::wait_report(&host, "i1", "healed")?;
    let left = host.run_ok(&["find", "/etc/nginx", "-name", "*.ansai-*"])?.stdout;
    ensure!(left.is_empty(), "left behind: {left}; {report:#}");
    let text = report.to_string();
    ensure!(text.contains("which a drill had broken") && !text.contains("is kept as"), "{report:#}");
    let undone = agent::ansai(&host, &["drill", "nginx", "--undo", "--yes"])?.ok()?.stdout;
    ensure!(undone.contains("no drill has left anything"), "{undone}");
    Ok(())
}

/// What nothing heals is broken all the same: that is said before and after, and the end of the drill is the remedy.
#[test]
fn a_drill_on_what_is_only_observed_says_so_and_its_undo_starts_what_it_took_down() -> Result<()> {
    let host = Host::boot(&HostOptions::new("drill-observed"))?;
    host.install_unit("app.service", &fixture::unit("app", 5000))?;
    host.write_file("/etc/app.conf", "fine\n", 0o644)?;
    host.start("app.service")?;
    let observing = QUICK_TO_GIVE_UP.replace("autonomy: act", "autonomy: observe");
    agent::install(&host, &format!("{observing}{SERVICES}"))?;
    agent::start(&host)?;
    for (kind, incident) in [("configuration", "i1"), ("exit", "i2")] {
        agent::wait_health(&host, "app.service", "healthy")?;
        let unhealed = "ansai will not heal that, since it is under `autonomy: observe`";
        let drill = |more| agent::ansai(&host, &["drill", "app", kind, more]);
        let rehearsed = drill("--dry-run")?.ok()?.stdout;
        ensure!(rehearsed.contains(unhealed), "{kind}: {rehearsed}");
        let told = drill("--yes")?.ok()?.stdout;
        ensure!(told.contains(unhealed) && told.contains("`ansai drill service/app.service --undo`"), "{kind}: {told}");
        host.wait_until("an incident", LIMIT, || Ok(agent::ansai(&host, &["report", incident])?.code == 0))?;
        let report = agent::ansai(&host, &["report", incident])?.ok()?.stdout;
        ensure!(report.contains("ansai drill service/app.service --undo"), "{kind}: {report}");
        let shown = agent::ansai(&host, &["drill", "app", "--undo", "--dry-run"])?.ok()?.stdout;
        ensure!(shown.contains("start app.service, which is down") && !host.is_active("app.service")?, "{shown}");
        let undone = agent::ansai(&host, &["drill", "app", "--undo"])?.ok()?.stdout;
        ensure!(undone.contains("app.service is started") && host.is_active("app.service")?, "{kind}: {undone}");
        ensure!(host.read_file("/etc/app.conf")? == "fine\n", "{kind}");
        let report = agent::wait_report(&host, incident, "resolved")?;
        let headline = report["headline"].as_str().unwrap_or_default();
        ensure!(headline.starts_with("app.service is well again: the drill in it was over at "), "{kind}: {report:#}");
        ensure!(!report["steps"].to_string().contains("started-by-others"), "{kind}: {report:#}");
    }
    // What its operator stops is theirs.
    host.run_ok(&["systemctl", "stop", "app.service"])?;
    let undone = agent::ansai(&host, &["drill", "app", "--undo"])?.ok()?.stdout;
    ensure!(undone.contains("no drill has left anything") && !host.is_active("app.service")?, "{undone}");
    Ok(())
}

/// What only the host knows, as whose change a file holds, is asked for in a rehearsal as well: the same words, the same code.
#[test]
fn a_rehearsal_of_a_drill_refuses_what_the_host_would_refuse() -> Result<()> {
    let host = Host::boot(&HostOptions::new("drill-asks"))?;
    host.install_unit("app.service", &fixture::unit("app", 5000))?;
    host.write_file("/etc/app.conf", "fine\n", 0o644)?;
    host.start("app.service")?;
    // A copy of the last known good configuration is kept where a validator believes in it.
    let validated = SERVICES.replace(
        "    port: 5000\n",
        "    port: 5000\n    validate: [\"/bin/true\"]\n    restore_configuration: true\n",
    );
    agent::install(&host, &format!("{QUICK_TO_GIVE_UP}{validated}"))?;
    agent::start(&host)?;
    agent::wait_health(&host, "app.service", "healthy")?;
    let refuses = |kind: &str, words: &str| -> Result<()> {
        let drill = |more| agent::ansai(&host, &["drill", "app", kind, more]);
        let (rehearsed, run) = (drill("--dry-run")?, drill("--yes")?);
        ensure!(rehearsed.code == 4 && rehearsed.stderr.contains(words), "{kind}: {rehearsed:?}");
        ensure!((run.code, &run.stderr) == (4, &rehearsed.stderr), "{kind}: {rehearsed:?} is not {run:?}");
        ensure!(host.is_active("app.service")?, "{kind}: it was broken all the same");
        Ok(())
    };
    host.wait_until("the last known good configuration", LIMIT, || {
        Ok(host.exists("/var/lib/ansai/configurations/app.service"))
    })?;
    host.wait_until("a rehearsal", LIMIT, || {
        let drill = agent::ansai(&host, &["drill", "app", "configuration", "--dry-run"])?;
        Ok(drill.stdout.contains("ansai will inject a failure (configuration) into app.service"))
    })?;
    host.write_file("/etc/app.conf", "somebody's change\n", 0o644)?;
    refuses("configuration", "/etc/app.conf has changed since the configuration was last kept as known good")?;
    host.run_ok(&["mv", "/etc/app.conf", "/etc/real.conf"])?;
    host.run_ok(&["ln", "-s", "/etc/real.conf", "/etc/app.conf"])?;
    refuses("configuration", "/etc/app.conf")?;
    host.run_ok(&["rm", "/etc/app.conf"])?;
    refuses("configuration", "/etc/app.conf is no file that could be broken")?;
    let reports = host.run_ok(&["ls", "/var/lib/ansai/reports"]).map(|listed| listed.stdout).unwrap_or_default();
    ensure!(reports.is_empty(), "something was broken: {reports}");
    Ok(())
}

/// Whoever ends a drill has the port and the service back at once, whoever mends it, and however often they ask.
#[test]
fn a_port_and_a_loop_are_given_back_as_soon_as_somebody_wants_it() -> Result<()> {
    for autonomy in ["act", "observe"] {
        let host = Host::boot(&HostOptions::new("drill-back"))?;
        host.install_unit("app.service", &fixture::unit("app", 5000))?;
        host.write_file("/etc/app.conf", "fine\n", 0o644)?;
        host.start("app.service")?;
        let begins = QUICK_TO_GIVE_UP.replace("autonomy: act", &format!("autonomy: {autonomy}"));
        agent::install(&host, &format!("{begins}{SERVICES}"))?;
        agent::start(&host)?;
        for (kind, words, incident) in
            [("port", "give port 5000 back", "i1"), ("loop", "no longer kill app.service when it comes back", "i2")]
        {
            agent::wait_health(&host, "app.service", "healthy")?;
            agent::ansai(&host, &["drill", "app", kind, "--yes"])?.ok()?;
            let undo = |more| agent::ansai(&host, &["drill", "app", "--undo", more]);
            let shown = undo("--dry-run")?.ok()?.stdout;
            // What comes back at once may have been killed for the last time by then.
            let is_over = kind == "loop" && autonomy == "act";
            ensure!(is_over || shown.contains(words), "{autonomy} {kind}: {shown}");
            let undone = undo("--yes")?.ok()?;
            host.wait_active("app.service", Duration::from_secs(10))
                .with_context(|| format!("{autonomy} {undone:?}"))?;
            let again = undo("--yes")?.ok()?.stdout;
            ensure!(again.contains("no drill has left anything"), "{autonomy} {kind}: {again}");
            let report = agent::wait_report(&host, incident, "resolved")?;
            ensure!(report["is_drill"] == true, "{autonomy} {kind}: {report:#}");
            ensure!(host.run_ok(&["ls", "-A", "/var/lib/ansai/drills"])?.stdout.is_empty(), "{autonomy} {kind}");
        }
    }
    Ok(())
}

/// The port goes with the agent that holds it, and its note with the next one.
#[test]
fn a_port_is_free_when_the_agent_that_holds_it_has_died() -> Result<()> {
    let host = begin("port")?;
    host.wait_until("an incident", LIMIT, || Ok(agent::ansai(&host, &["report", "i1"])?.code == 0))?;
    host.signal_main("ansai.service", Signal::KILL)?;
    host.wait_active("app.service", LIMIT)?;
    let report = agent::wait_report(&host, "i1", "resolved")?;
    ensure!(report["is_drill"] == true, "{report:#}");
    host.wait_until("its note to go", LIMIT, || {
        Ok(host.run_ok(&["ls", "-A", "/var/lib/ansai/drills"])?.stdout.is_empty())
    })
}

#[test]
fn a_loop_is_healed_when_it_ends() -> Result<()> {
    check("loop")
}

/// Whoever has the port is no leftover of the app: that is a person's to settle, and then it is back by itself.
#[test]
fn a_taken_port_reaches_a_person_and_is_healed_when_it_is_free() -> Result<()> {
    let host = begin("port")?;
    let report = agent::wait_report(&host, "i1", "escalated")?;
    ensure!(report.to_string().contains("port 5000 is held by"), "{report:#}");
    host.wait_until("the drill to release the port", LIMIT, || {
        Ok(!host.run_ok(&["ss", "-Hltn"])?.stdout.contains(":5000"))
    })?;
    host.wait_active("app.service", LIMIT)
}

/// A service whose main process only watches over the one that answers, as nginx's does.
const WATCHED_OVER: &str = "\
[Service]
ExecStart=/bin/sh -c '/usr/local/lib/ansai-lab/ansai-lab-service --port 5000 --state /var/lib/app & wait'
StateDirectory=app
";
/// A drill lasts two minutes.
const DRILL_LIMIT: Duration = Duration::from_secs(180);

fn is_stopped(host: &Host) -> Result<bool> {
    let pid = host.main_pid("app.service")?.context("it runs")?;
    let stat = host.read_file(format!("/proc/{pid}/stat"))?;
    Ok(stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('T')))
}

#[test]
fn what_a_hang_leaves_beside_others_that_answer_goes_on_by_itself_over_a_death_of_the_agent() -> Result<()> {
    let host = Host::boot(&HostOptions::new("drill-left"))?;
    host.install_unit("app.service", WATCHED_OVER)?;
    host.start("app.service")?;
    agent::install(&host, &format!("{QUICK_TO_GIVE_UP}{SERVICES}"))?;
    agent::start(&host)?;
    agent::wait_health(&host, "app.service", "healthy")?;
    let refused = agent::ansai(&host, &["drill", "nothing", "crash", "--dry-run"])?;
    ensure!(refused.code == 2, "{refused:?}");
    agent::ansai(&host, &["hold", "app"])?.ok()?;
    let refused = agent::ansai(&host, &["drill", "app", "hang", "--dry-run"])?;
    ensure!(
        refused.code == 4 && refused.stderr.contains("root has held it"),
        "a rehearsal allows what is refused: {refused:?}"
    );
    agent::ansai(&host, &["release", "app", "--yes"])?.ok()?;

    let others =
        "its 1 other process may go on answering: as long as each look finds that well, nothing heals the hang";
    let shown = agent::ansai(&host, &["drill", "app", "hang", "--dry-run"])?.ok()?.stdout;
    ensure!(shown.split_whitespace().collect::<Vec<_>>().join(" ").contains(others), "{shown}");
    let crash = agent::ansai(&host, &["drill", "app", "crash", "--dry-run"])?.ok()?.stdout;
    ensure!(!crash.contains("other process"), "{crash}");
    let done = agent::ansai(&host, &["drill", "app", "hang", "--yes"])?.ok()?.stdout;
    ensure!(done.split_whitespace().collect::<Vec<_>>().join(" ").contains(others), "{done}");
    host.wait_until("the drill to stop the process", LIMIT, || is_stopped(&host))?;
    // It is named as ours, and there is nothing to hang twice.
    for more in ["--dry-run", "--yes"] {
        let again = agent::ansai(&host, &["drill", "app", "hang", more])?;
        ensure!(again.code == 4 && again.stderr.contains("a drill has stopped its main process"), "{more}: {again:?}");
    }
    let doctor = agent::ansai(&host, &["doctor"])?.stdout;
    ensure!(doctor.contains("a drill (hang) in app.service lasts for another"), "{doctor}");
    host.wait_until("the hang to be named as a drill's", LIMIT, || {
        let (explained, status) = (agent::ansai(&host, &["explain", "app"])?, agent::ansai(&host, &["status"])?);
        Ok([explained, status].iter().all(|said| said.stdout.contains("a drill hangs it on purpose")))
    })?;
    let shown = agent::ansai(&host, &["drill", "app", "--undo", "--dry-run"])?.ok()?.stdout;
    ensure!(shown.contains("go on") && is_stopped(&host)?, "{shown}");
    agent::ansai(&host, &["drill", "app", "--undo", "--yes"])?.ok()?;
    host.wait_until("the process to go on", LIMIT, || Ok(!is_stopped(&host)?))?;

    agent::ansai(&host, &["drill", "app", "hang", "--yes"])?.ok()?;
    host.wait_until("the drill to stop the process", LIMIT, || is_stopped(&host))?;
    let pid = host.main_pid("app.service")?;
    host.signal_main("ansai.service", Signal::KILL)?;
    host.wait_until("the end of the drill", DRILL_LIMIT, || Ok(!is_stopped(&host)?))?;
    ensure!(host.main_pid("app.service")? == pid, "it was restarted, though others answered");
    ensure!(host.run_ok(&["ls", "/var/lib/ansai/drills"])?.stdout.is_empty(), "the note is still there");
    Ok(())
}
