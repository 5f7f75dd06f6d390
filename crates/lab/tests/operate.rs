//! An operator's commands end to end: what they do to a real agent, what they say, and how they end.

use std::time::Duration;

use ansai_lab::agent::{QUICK, ansai, json, wait_health, wait_report};
use ansai_lab::{Host, HostOptions, agent, fixture, mail};
use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;

const LIMIT: Duration = Duration::from_secs(60);

/// A host with the app and the agent, both running; `more` is put behind the service's own keys.
fn boot(name: &str, head: &str, more: &str) -> Result<Host> {
    let host = Host::boot(&HostOptions::new(name))?;
    host.install_unit("app.service", &fixture::unit("app", 5000))?;
    host.start("app.service")?;
    agent::install(&host, &format!("{QUICK}{head}services:\n  app.service: {{{more}}}\n"))?;
    agent::start(&host)?;
    wait_health(&host, "app.service", "healthy")?;
    Ok(host)
}

/// A command ends so and says this.
#[track_caller]
fn check(host: &Host, arguments: &[&str], code: i32, words: &str) -> Result<()> {
    let output = ansai(host, arguments)?;
    let said = format!("{}{}", output.stdout, output.stderr);
    ensure!(output.code == code && said.contains(words), "{arguments:?} ended with {}: {said}", output.code);
    Ok(())
}

fn kill(host: &Host) -> Result<()> {
    host.signal_main("app.service", Signal::KILL)
}

#[test]
fn what_waits_for_approval_is_healed_after_it_and_what_is_suggested_on_request() -> Result<()> {
    let host = boot("approve", "", "autonomy: approve")?;
    kill(&host)?;
    wait_report(&host, "i1", "awaiting-approval")?;
    check(&host, &["report", "i1"], 0, "$ ansai approve i1")?;
    check(&host, &["approve", "i1", "--dry-run"], 0, "restart app.service")?;
    check(&host, &["approve", "i1", "--dry-run"], 0, "nothing was changed (--dry-run)")?;
    check(&host, &["reject", "i1", "--dry-run"], 0, "the answer would be: i1 is rejected")?;
    ensure!(!host.is_active("app.service")?, "a rehearsal healed it");
    check(&host, &["approve", "i1"], 0, "i1 is approved")?;
    wait_report(&host, "i1", "healed")?;
    check(&host, &["approve", "i1"], 1, "no open incident i1")?;
    host.write_file(agent::CONFIGURATION, format!("{QUICK}services:\n  app.service: {{autonomy: suggest}}\n"), 0o640)?;
    host.wait_until("the new configuration", LIMIT, || Ok(json(&host, &["status"])?["generation"] == 2))?;
    wait_health(&host, "app.service", "healthy")?;
    kill(&host)?;
    agent::wait_says(&host, "app.service", "may only suggest")?;
    check(&host, &["report", "i2"], 0, "$ ansai heal service/app.service")?;
    check(&host, &["heal", "app"], 4, "nobody is there to confirm this")?;
    check(&host, &["heal", "app", "--yes"], 0, "`ansai report i2` says how it goes")?;
    wait_report(&host, "i2", "healed")?;
    Ok(())
}

#[test]
fn nothing_is_done_in_maintenance_and_it_is_when_it_ends() -> Result<()> {
    let host = boot("maintenance", "", "port: 5000")?;
    check(&host, &["maintenance", "start", "app", "--for", "1h", "--reason", "new disk"], 0, "in maintenance for 1h")?;
    check(&host, &["maintenance", "list"], 0, "root       new disk")?;
    check(
        &host,
        &["drill", "app", "crash", "--yes"],
        4,
        "it is in a maintenance window that root opened (new disk), until 2",
    )?;
    kill(&host)?;
    agent::wait_says(&host, "app.service", "maintenance")?;
    ensure!(!host.is_active("app.service")?);
    check(&host, &["maintenance", "end", "app"], 0, "1 maintenance window ended")?;
    host.wait_active("app.service", LIMIT)?;
    check(&host, &["maintenance", "list"], 0, "no maintenance window is open")?;
    check(&host, &["maintenance", "end", "app"], 1, "there is no maintenance window, so nothing was ended")
}

#[test]
fn what_an_operator_stopped_is_shown_and_counted_as_stopped_and_no_drill_breaks_it() -> Result<()> {
    let host = boot("stopped", "memory: true\n", "")?;
    host.stop("app.service")?;
    host.wait_until("the stop to be seen", LIMIT, || {
        Ok(agent::target(&host, "app.service")["stopped"]["why"] == "stopped by an operator")
    })?;
    check(&host, &["status"], 0, "0 failing, 0 unknown, 0 healthy, 1 stopped by an operator")?;
    check(&host, &["status"], 0, "stopped by an operator since 20")?;
    check(&host, &["explain", "app"], 0, "nothing is done: stopped on request, not by a failure (since 20")?;
    for more in ["--dry-run", "--yes"] {
        check(&host, &["drill", "app", "crash", more], 4, "does not run (inactive), so there is nothing to break")?;
        check(&host, &["heal", "app", more], 4, "nothing is known to be wrong with service/app.service")?;
        check(&host, &["unsilence", "app", more], 1, "there is no silence, so nothing was ended")?;
        check(&host, &["release", "app", more], 1, "there is no hold, so nothing was ended")?;
        check(&host, &["maintenance", "end", "app", more], 1, "there is no maintenance window, so nothing was ended")?;
        check(&host, &["approve", "i1", more], 1, "no open incident i1")?;
        check(&host, &["reject", "i1", more], 1, "no open incident i1")?;
    }
    // What an agent did not hear itself its ledger tells it.
    host.run_ok(&["systemctl", "restart", agent::UNIT])?;
    host.wait_until("the stop to be remembered", LIMIT, || {
        Ok(agent::target(&host, "app.service")["stopped"]["why"] == "stopped by an operator")
    })?;
    check(&host, &["incidents", "app"], 0, "there has been no incident")
}

#[test]
fn a_hold_stops_everything_until_it_is_released() -> Result<()> {
    let host = boot("hold", "", "")?;
    check(&host, &["hold", "app", "--reason", "moving"], 0, "held: service/app.service (1 target)")?;
    kill(&host)?;
    agent::wait_says(&host, "app.service", "root has held it since 2")?;
    check(&host, &["heal", "app", "--yes"], 4, "`ansai release service/app.service` ends that")?;
    ensure!(!host.is_active("app.service")?);
    check(&host, &["release", "app"], 0, "1 hold ended")?;
    host.wait_active("app.service", LIMIT)?;
    host.write_file("/etc/ansai/HOLD", "", 0o644)?;
    host.wait_until("the HOLD file to be seen", LIMIT, || Ok(json(&host, &["status"])?["held"].is_string()))?;
    check(&host, &["release", "--all", "--yes"], 4, "remove /etc/ansai/HOLD to end that hold")?;
    check(&host, &["doctor"], 0, "warn  /etc/ansai/HOLD is there and stops all action")
}

/// Whatever is at the place of HOLD holds, is shown as what it is, and takes neither time nor memory.
#[test]
fn whatever_lies_at_the_place_of_hold_holds_and_is_named() -> Result<()> {
    const HOLD: &str = "/etc/ansai/HOLD";
    let host = boot("hold-kinds", "", "")?;
    let kinds: [(&[&str], &str); 8] = [
        (&["mkfifo", HOLD], "it is a named pipe"),
        (&["mknod", HOLD, "c", "1", "5"], "it is a device"),
        (&["mkdir", HOLD], "it is a directory"),
        (&["ln", "-s", HOLD, HOLD], "it is a loop of links"),
        (&["ln", "-s", "/nowhere", HOLD], "it is a link to nothing"),
        (&["ln", "-s", "/dev/zero", HOLD], "it is a device"),
        (&["ln", "-s", "/run/dbus/system_bus_socket", HOLD], "it is a socket"),
        (&["sh", "-c", "yes because | head -c 10M > /etc/ansai/HOLD"], "because because …"),
    ];
    for (make, words) in kinds {
        host.run_ok(make)?;
        check(&host, &["status"], 0, words)?;
        check(&host, &["doctor"], 0, words)?;
        let explained = || Ok(ansai(&host, &["explain", "app"])?.stdout.contains(words));
        host.wait_until(&format!("`{words}` to be explained"), LIMIT, explained)?;
        host.run_ok(&["rm", "-rf", HOLD])?;
    }
    host.run_ok(&["ln", "-s", "/nowhere", HOLD])?;
    kill(&host)?;
    agent::wait_says(&host, "app.service", "the HOLD file stops all action (it is a link to nothing)")?;
    ensure!(!host.is_active("app.service")?, "something was done in a hold");
    host.remove_file(HOLD)?;
    host.wait_active("app.service", LIMIT)
}

#[test]
fn a_test_reaches_people_and_a_route_that_does_not_is_named() -> Result<()> {
    let routes = "notify:\n  email: {to: ops@lab.test, smtp: \"smtp://127.0.0.1:25\"}\n  \
                  hook: {webhook: \"http://127.0.0.1:9/\"}\n";
    let host = boot("send-test", routes, "")?;
    mail::start(&host)?;
    check(&host, &["doctor"], 1, "ok    route email: mail to ops@lab.test through 127.0.0.1:25 can be reached")?;
    check(
        &host,
        &["doctor"],
        1,
        "FAIL  route hook: web hook cannot be reached, so nobody is told there: no connection",
    )?;
    ensure!(mail::messages(&host)?.is_empty(), "the doctor has sent something");
    check(&host, &["doctor", "--send-test"], 1, "ok    route email: mail to ops@lab.test through 127.0.0.1:25")?;
    let messages = mail::wait_for(&host, 1, LIMIT)?;
    let message = messages.first().context("a message")?;
    ensure!(message.contains("messages of the route email arrive here"), "{message}");
    ensure!(message.contains("Nothing is wrong: root asked for this message"), "{message}");
    check(&host, &["doctor", "--send-test"], 1, "FAIL  route hook: web hook did not take a test over")
}

#[test]
fn a_rule_whose_condition_does_not_hold_says_so_and_does_nothing() -> Result<()> {
    let host = boot("condition", "", "when: 'unit.result == \"oom-kill\"'")?;
    kill(&host)?;
    let why = "rule service/app.service does not apply: `unit.result == \"oom-kill\"` does not hold";
    agent::wait_says(&host, "app.service", why)?;
    check(&host, &["explain", "app"], 0, &format!("no rule applies: {why}"))?;
    check(&host, &["heal", "app", "--yes"], 4, why)?;
    ensure!(!host.is_active("app.service")?);
    let other = format!("{QUICK}services:\n  app.service: {{when: unit.signal == 9 and host.uptime > 1ms}}\n");
    host.write_file(agent::CONFIGURATION, other, 0o640)?;
    host.wait_active("app.service", LIMIT)
}

#[test]
fn a_condition_on_the_host_is_judged_by_how_the_host_is_now() -> Result<()> {
    let host = boot("figures", "", "")?;
    let uptime = host.run_ok(&["cat", "/proc/uptime"])?.stdout;
    let uptime: f64 = uptime.split_whitespace().next().context("an uptime")?.parse()?;
    let later = format!("{:.0}s", uptime + 20.0);
    let text = format!("{QUICK}services:\n  app.service: {{when: host.uptime > {later}}}\n");
    host.write_file(agent::CONFIGURATION, text, 0o640)?;
    host.wait_until("the new configuration", LIMIT, || Ok(json(&host, &["status"])?["generation"] == 2))?;
    kill(&host)?;
    agent::wait_says(&host, "app.service", "does not hold")?;
    ensure!(!host.is_active("app.service")?);
    host.wait_active("app.service", LIMIT)
}

/// What was configured and never installed: no remedy makes a unit file, so none is tried and a person is told at once.
#[test]
fn a_unit_that_does_not_exist_reaches_a_person_without_a_try() -> Result<()> {
    let host = boot("missing", "", "")?;
    host.write_file(
        agent::CONFIGURATION,
        format!("{QUICK}services: {{app.service: {{}}, ghost.service: {{}}}}\n"),
        0o640,
    )?;
    let report = wait_report(&host, "i1", "escalated")?;
    ensure!(agent::steps(&report, "started").is_empty(), "something was tried: {report:#}");
    ensure!(report["cause"]["rule"] == "unit-missing", "{report:#}");
    check(&host, &["explain", "ghost"], 0, "deny   existence        its unit does not exist")?;
    host.install_unit("ghost.service", &fixture::unit("ghost", 5001))?;
    // Whether what was never started should run nobody can know but who asks for it.
    check(&host, &["heal", "ghost", "--yes"], 0, "healing of service/ghost.service has begun")?;
    wait_report(&host, "i1", "healed")?;
    host.wait_active("ghost.service", LIMIT)
}
