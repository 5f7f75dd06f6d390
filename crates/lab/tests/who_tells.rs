//! Who tells people in a fleet, end to end, by a real mail server at the controller and a web hook on each host: the controller once
//! for one cause on two hosts, the host itself while the controller is away or does not answer, and never both.
//!
//! It deliberately tests no break within the hand-over that nobody can time from outside: those are the engine's own tests' and the
//! simulator's.

use std::time::Duration;

use ansai_lab::agent::{QUICK, wait_report};
use ansai_lab::controller::UNIT;
use ansai_lab::fleet::{Fleet, Member};
use ansai_lab::{Host, agent, mail};
use anyhow::{Context as _, Result};
use rustix::process::Signal;

const LIMIT: Duration = Duration::from_secs(100);
const SINK: &str = "[Service]\nType=notify\nExecStart=/usr/local/lib/ansai-lab/ansai-lab-sink --listen 127.0.0.1:9000 --record /run/sink.jsonl\n";
const UNITS: [(&str, u16); 3] = [("app", 5000), ("other", 5001), ("third", 5002)];

/// Two hosts that have joined, each with a web hook of its own, and a controller with a mail server.
fn boot() -> Result<Fleet> {
    let services = "services: {app.service: {}, other.service: {}, third.service: {}}\n";
    let configuration = format!("{QUICK}notify: {{hook: {{webhook: \"http://127.0.0.1:9000/hook\"}}}}\n{services}");
    let member = |name| Member { name, units: &UNITS, configuration: &configuration };
    let fleet = Fleet::boot_joined(&[member("web-01"), member("web-02")])?;
    for host in &fleet.hosts {
        host.install_unit("sink.service", SINK)?;
        host.start("sink.service")?;
        for (name, _) in UNITS {
            agent::wait_health(host, &format!("{name}.service"), "healthy")?;
        }
    }
    Ok(fleet)
}

/// The controller has somebody to tell from now on.
fn has_mail(fleet: &Fleet) -> Result<()> {
    let host = &fleet.controller.host;
    mail::start(host)?;
    let file = "/etc/ansai/controller.yaml";
    let route = format!("notify: {{desk: {{to: {}, smtp: \"smtp://127.0.0.1:25\"}}}}\n", mail::RECIPIENT);
    host.write_file(file, format!("{}{route}", host.read_file(file)?), 0o644)?;
    host.run_ok(&["systemctl", "restart", UNIT])?;
    fleet.wait_connected()
}

/// A service of a host is broken so that no remedy helps; a person must be told of the incident of this number.
fn break_for_good(host: &Host, name: &str, incident: &str) -> Result<()> {
    let unit = format!("{name}.service");
    let before = host.main_pid(&unit)?;
    host.write_file(format!("/var/lib/{name}/commands"), "die-after 100\n", 0o644)?;
    // On a busy machine it may read that while it starts, and be dead of it already.
    if let Err(error) = host.signal_main(&unit, Signal::KILL) {
        host.wait_until("the first run to end", LIMIT, || Ok(host.main_pid(&unit)? != before))
            .with_context(|| format!("{error:#}"))?;
    }
    wait_report(host, incident, "escalated")?;
    Ok(())
}

/// What a host has told by itself.
fn told_by(host: &Host) -> Vec<String> {
    host.read_file("/run/sink.jsonl").unwrap_or_default().lines().map(str::to_owned).collect()
}

fn explained(host: &Host, unit: &str) -> Result<String> {
    Ok(agent::ansai(host, &["explain", unit])?.stdout)
}

#[test]
fn one_cause_on_two_hosts_is_one_mail_of_the_controller_and_a_host_alone_tells_itself() -> Result<()> {
    let fleet = boot()?;
    let (controller, one, other) = (&fleet.controller, &fleet.hosts[0], &fleet.hosts[1]);

    // Nobody to tell at the controller: the host keeps its duty.
    break_for_good(one, "third", "i1")?;
    one.wait_until("the host to tell itself", LIMIT, || Ok(told_by(one).len() == 1))?;

    has_mail(&fleet)?;
    break_for_good(one, "app", "i2")?;
    break_for_good(other, "app", "i1")?;
    let mails = mail::wait_for(&controller.host, 1, LIMIT)?;
    let unfolded = mails[0].replace("\n ", " ");
    assert!(unfolded.contains("[web-01 and web-02] needs you"), "{}", mails[0]);
    assert!(mails[0].contains("ansai report --host web-0"), "{}", mails[0]);
    one.wait_until("the host to say who tells", LIMIT, || {
        Ok(explained(one, "app")?.contains("told by the controller"))
    })?;
    assert_eq!((told_by(one).len(), told_by(other).len()), (1, 0), "no host tells what the controller has told");

    // Without a controller the host tells itself, and what it told is not told again when that is back.
    controller.host.stop(UNIT)?;
    break_for_good(one, "other", "i3")?;
    one.wait_until("the host to tell itself", LIMIT, || Ok(told_by(one).len() == 2))?;
    assert!(explained(one, "other")?.contains("told by this host"), "{}", explained(one, "other")?);
    controller.host.start(UNIT)?;
    fleet.wait_connected()?;

    // A controller that does not answer: offered, sent by the host, and never by the controller that answers too late.
    controller.host.signal_main(UNIT, Signal::STOP)?;
    break_for_good(other, "other", "i2")?;
    other.wait_until("the host to tell itself", LIMIT, || Ok(told_by(other).len() == 1))?;
    controller.host.signal_main(UNIT, Signal::CONT)?;
    fleet.wait_connected()?;

    // What comes last shows that all before it is through.
    break_for_good(other, "third", "i3")?;
    let mails = mail::wait_for(&controller.host, 2, LIMIT)?;
    assert_eq!(mails.len(), 2, "{mails:#?}");
    assert!(mails[1].replace("\n ", " ").contains("[web-02] needs you"), "{}", mails[1]);
    assert_eq!((told_by(one).len(), told_by(other).len()), (2, 1), "each once");
    Ok(())
}
