//! One controller and three hosts on a network: they join, what fails is healed where it fails and seen in one place, a hold
//! stops all of them, and what is killed or parted loses and doubles nothing.

use std::time::{Duration, Instant};

use ansai_lab::agent::{QUICK, wait_report};
use ansai_lab::controller::{Controller, UNIT};
use ansai_lab::lan::{Cable, Lan};
use ansai_lab::{Host, HostOptions, agent, fixture, mail};
use anyhow::{Context as _, Result};
use rustix::process::Signal;
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(60);
const NAMES: [&str; 3] = ["web-01", "web-02", "db-01"];
const SERVICES: &str = "\
services:
  app.service: {probe: {http: \"http://127.0.0.1:5000/\", every: 1s, timeout: 1s, fail_after: 2}}
";

/// A fleet: the network, the controller, and each host with a service that the agent heals.
struct Fleet {
    lan: Lan,
    controller: Controller,
    hosts: Vec<Host>,
}

/// The number of a host on the network, by its place in [`NAMES`].
fn number(place: usize) -> u8 {
    u8::try_from(place).unwrap_or(u8::MAX) + 2
}

impl Fleet {
    fn boot() -> Result<Self> {
        let lan = Lan::new()?;
        let host = Host::boot(&HostOptions::new("controller"))?;
        lan.join(&host, 1)?;
        let controller = Controller::start(host, 1)?;
        let mut hosts = Vec::new();
        for (place, name) in NAMES.iter().enumerate() {
            let host = Host::boot(&HostOptions::new(name))?;
            lan.join(&host, number(place))?;
            host.install_unit("app.service", &fixture::unit("app", 5000))?;
            host.start("app.service")?;
            agent::install(&host, &format!("{QUICK}{SERVICES}"))?;
            agent::start(&host)?;
            agent::wait_health(&host, "app.service", "healthy")?;
            controller.join(&host)?;
            hosts.push(host);
        }
        controller.wait_connected(&NAMES)?;
        Ok(Self { lan, controller, hosts })
    }

    /// Kills the app of a host, and waits until it is healed there.
    fn kill_and_heal(&self, place: usize, incident: &str) -> Result<Value> {
        let host = &self.hosts[place];
        host.signal_main("app.service", Signal::KILL)?;
        wait_report(host, incident, "healed")
    }

    /// The phases of a host's incidents as the controller has them, by number.
    fn phases(&self, place: usize) -> Result<Vec<(u64, Value)>> {
        let mut all: Vec<_> = self.controller.incidents(NAMES[place])?;
        all.reverse();
        let phase = |one: Value| Ok((one["id"].as_u64().context("a number")?, one["phase"].clone()));
        all.into_iter().map(phase).collect()
    }

    fn is_healed_there(&self, place: usize, incidents: usize) -> Result<bool> {
        let phases = self.phases(place)?;
        Ok(phases.len() == incidents && phases.iter().all(|(_, phase)| !phase["resolved"].is_null()))
    }
}

#[test]
fn a_failure_is_healed_where_it_is_and_seen_in_one_place() -> Result<()> {
    let fleet = Fleet::boot()?;
    let on_host = fleet.kill_and_heal(0, "i1")?;
    let seen = Instant::now();
    fleet.controller.wait_until("the incident to be seen healed", || fleet.is_healed_there(0, 1))?;
    println!("seen at the controller {} ms after the host had its report", seen.elapsed().as_millis());
    let there = fleet.controller.json(&["report", "--host", "web-01", "i1"])?;
    assert_eq!(there["report"]["steps"], on_host["steps"], "the steps are the same");
    assert_eq!(there["report"]["cause"], on_host["cause"], "and so is the cause");
    assert_eq!(there["host"], "web-01");
    let all = fleet.controller.json(&["incidents", "--fleet"])?;
    assert_eq!(all["incidents"].as_array().map(Vec::len), Some(1), "no other host has one: {all:#}");
    Ok(())
}

#[test]
fn a_hold_over_the_fleet_stops_every_host_and_says_who_obeys_it() -> Result<()> {
    let fleet = Fleet::boot()?;
    let said =
        fleet.controller.host.run_ok(&["ansai", "hold", "--fleet", "--reason", "a look at the switch", "--yes"])?;
    assert!(said.stdout.contains("3 of 3"), "{}", said.stdout);
    for host in &fleet.hosts {
        host.signal_main("app.service", Signal::KILL)?;
    }
    for host in &fleet.hosts {
        agent::wait_says(host, "app.service", "a look at the switch")?;
        assert!(!host.is_active("app.service")?, "{} was healed under a hold", host.name());
    }
    // What the fleet holds, one host cannot release, and it is told why.
    let refused = agent::ansai(&fleet.hosts[0], &["release", "--all", "--yes"])?;
    let words = format!("{}{}", refused.stdout, refused.stderr);
    assert!(words.contains("ansai release --fleet"), "{words}");
    assert!(!fleet.hosts[0].is_active("app.service")?);
    fleet.controller.host.run_ok(&["ansai", "release", "--fleet", "--yes"])?;
    for host in &fleet.hosts {
        wait_report(host, "i1", "healed")?;
    }
    // A host that the hold has not reached is named, and gets it as soon as it is there again.
    fleet.lan.set(number(2), Cable::Cut)?;
    let said = fleet.controller.host.run(&["ansai", "hold", "--fleet", "--reason", "again", "--yes"])?;
    let words = format!("{}{}", said.stdout, said.stderr);
    assert!(words.contains("2 of 3") && words.contains("db-01"), "{words}");
    fleet.lan.set(number(2), Cable::Plugged)?;
    let holds = || Ok(agent::json(&fleet.hosts[2], &["status"])?["holds"].to_string().contains("again"));
    fleet.controller.wait_until("the third host to hold", holds)?;
    Ok(())
}

#[test]
fn a_controller_that_is_killed_loses_and_doubles_nothing() -> Result<()> {
    let fleet = Fleet::boot()?;
    fleet.controller.host.run_ok(&[
        "ansai",
        "hold",
        "--host",
        "db-01",
        "absent.service",
        "--reason",
        "kept",
        "--yes",
    ])?;
    // Killed before the failure, while it is told, and right after it was seen.
    for (place, _) in fleet.hosts.iter().enumerate() {
        fleet.controller.host.signal_main(UNIT, Signal::KILL)?;
        fleet.kill_and_heal(place, "i1")?;
        fleet.controller.host.wait_active(UNIT, LIMIT)?;
        fleet.controller.host.signal_main(UNIT, Signal::KILL)?;
        fleet.controller.host.wait_active(UNIT, LIMIT)?;
        fleet.controller.wait_until("the incident to be seen", || fleet.is_healed_there(place, 1))?;
        fleet.controller.host.signal_main(UNIT, Signal::KILL)?;
        fleet.controller.host.wait_active(UNIT, LIMIT)?;
    }
    fleet.controller.wait_connected(&NAMES)?;
    for (place, name) in NAMES.iter().enumerate() {
        assert!(fleet.is_healed_there(place, 1)?, "{name}: {:?}", fleet.phases(place)?);
    }
    let status = fleet.controller.json(&["status", "--fleet"])?;
    assert!(status["restraints"].to_string().contains("kept"), "{:#}", status["restraints"]);
    // While nobody controls it, a host is healed all the same, and what it has to say is said later.
    fleet.controller.host.stop(UNIT)?;
    fleet.kill_and_heal(1, "i2")?;
    fleet.controller.host.start(UNIT)?;
    fleet.controller.wait_until("what happened meanwhile to be seen", || fleet.is_healed_there(1, 2))?;
    Ok(())
}

#[test]
fn a_host_that_says_nothing_is_unknown_and_one_incident_and_heals_itself_meanwhile() -> Result<()> {
    let fleet = Fleet::boot()?;
    fleet.lan.set(number(1), Cable::Cut)?;
    fleet.kill_and_heal(1, "i1")?;
    fleet
        .controller
        .wait_until("the silence to be noticed", || Ok(fleet.controller.sees("web-02")["health"] == "unknown"))?;
    let own = || -> Result<Vec<Value>> {
        let all = fleet.controller.json(&["incidents", "--fleet"])?;
        let all = all["incidents"].as_array().cloned().unwrap_or_default();
        Ok(all.into_iter().filter(|one| one["host"].is_null()).collect())
    };
    // Longer than `silent_after`, which is a minute.
    fleet.controller.host.wait_until("an incident of the silent host", 2 * LIMIT, || Ok(own()?.len() == 1))?;
    assert!(own()?[0].to_string().contains("web-02"), "{:#}", own()?[0]);
    fleet.lan.set(number(1), Cable::Plugged)?;
    fleet.controller.wait_connected(&NAMES)?;
    fleet.controller.wait_until("what happened meanwhile to be seen", || fleet.is_healed_there(1, 1))?;
    let ended = || Ok(own()?.iter().all(|one| !one["incident"]["phase"]["resolved"].is_null()));
    fleet.controller.wait_until("the silence to have ended", ended)?;
    Ok(())
}

#[test]
fn people_are_told_once_of_all_that_fall_silent_at_once_and_when_they_are_back() -> Result<()> {
    let fleet = Fleet::boot()?;
    let controller = &fleet.controller;
    let doctor = || controller.host.run(&["ansai", "controller", "doctor"]);
    let unsaid = doctor()?;
    assert!(unsaid.is_success() && unsaid.stdout.contains("has no route"), "{}", unsaid.stdout);
    mail::start(&controller.host)?;
    let file = "/etc/ansai/controller.yaml";
    let to = mail::RECIPIENT;
    let own = format!("silent_after: 30s\nnotify: {{desk: {{to: {to}, smtp: \"smtp://127.0.0.1:25\"}}}}\n");
    controller.host.write_file(file, format!("{}{own}", controller.host.read_file(file)?), 0o644)?;
    controller.host.run_ok(&["systemctl", "restart", UNIT])?;
    controller.wait_connected(&NAMES)?;
    let said = doctor()?;
    assert!(said.is_success() && said.stdout.contains("full store: desk"), "{}", said.stdout);

    fleet.lan.set(number(0), Cable::Cut)?;
    fleet.lan.set(number(1), Cable::Cut)?;
    let told = mail::wait_for(&controller.host, 1, 3 * LIMIT)?;
    // A long subject goes on in the next line, behind a blank.
    let unfolded = |mail: &str| mail.replace("\n ", " ");
    assert!(unfolded(&told[0]).contains("web-01 and web-02 are not heard"), "one message for both: {}", told[0]);
    // Who ended right after it had told begins with what it knows, and tells it to nobody again.
    controller.host.signal_main(UNIT, Signal::KILL)?;
    fleet.lan.set(number(0), Cable::Plugged)?;
    fleet.lan.set(number(1), Cable::Plugged)?;
    controller.wait_connected(&NAMES)?;
    let told = mail::wait_for(&controller.host, 2, 3 * LIMIT)?;
    assert_eq!(told.len(), 2, "{told:#?}");
    assert!(unfolded(&told[1]).contains("over: web-0"), "{}", told[1]);
    Ok(())
}

/// A host as the predecessor left it: its service, its file, and an agent that has not begun. It is imported as it stands.
fn carried_over(lan: &Lan, name: &str, number: u8) -> Result<Host> {
    const OLD: &str = "\
monitored_services: [{name: app, port: 5000}]
self_healing_enabled: true
ansai_cluster:
  mode: centralized
  management_node: ansai-controller.example.com
  managed_hosts: [web-01.example.com, web-02.example.com, db-01.example.com]
";
    let host = Host::boot(&HostOptions::new(name))?;
    lan.join(&host, number)?;
    let names = format!("{}{} ansai-controller.example.com\n", host.read_file("/etc/hosts")?, Lan::address(1));
    host.write_file("/etc/hosts", names, 0o644)?;
    host.install_unit("app.service", &fixture::unit("app", 5000))?;
    host.start("app.service")?;
    agent::install(&host, "")?;
    host.write_file("/root/old.yml", OLD, 0o644)?;
    let command = ["ansai", "import", "ansai", "/root/old.yml", "--output", agent::CONFIGURATION, "--force"];
    let imported = host.run(&command)?;
    assert_eq!(imported.code, 1, "a token is for a person to bring: {}{}", imported.stdout, imported.stderr);
    agent::start(&host)?;
    agent::wait_health(&host, "app.service", "healthy")?;
    Ok(host)
}

#[test]
fn the_fleet_of_the_predecessors_file_is_imported_run_joined_and_seen() -> Result<()> {
    let lan = Lan::new()?;
    let manager = carried_over(&lan, "ansai-controller", 1)?;
    let todo = agent::ansai(&manager, &["doctor"])?.stdout;
    assert!(todo.contains("ansai controller init"), "the management node is told what to do: {todo}");
    // Nothing is said that the file says.
    let controller = Controller::start_with(manager, 1, &[])?;
    let expected = || -> Result<Value> { Ok(controller.json(&["hosts", "list"])?["expected"].clone()) };
    let named = ["web-01.example.com", "web-02.example.com", "db-01.example.com"];
    assert_eq!(expected()?, serde_json::json!(named), "who is to join is known before anybody has");

    let host = carried_over(&lan, "web-01", 2)?;
    let todo = agent::ansai(&host, &["doctor"])?.stdout;
    assert!(todo.contains("on ansai-controller.example.com: ansai token create"), "{todo}");
    host.run_with_input(&["ansai", "join", "--token-file", "-"], controller.token().as_bytes())?.ok()?;
    controller.wait_connected(&["web-01"])?;
    assert_eq!(expected()?, serde_json::json!(named[1..]), "who has joined is expected no more");
    let listed = controller.host.run_ok(&["ansai", "hosts", "list"])?.stdout;
    assert!(listed.contains("db-01.example.com") && listed.contains("not joined"), "{listed}");
    let todo = agent::ansai(&host, &["doctor"])?.stdout;
    assert!(todo.contains("has joined the controller at ansai-controller.example.com"), "{todo}");

    host.signal_main("app.service", Signal::KILL)?;
    let is_seen = || Ok(controller.incidents("web-01")?.len() == 1);
    controller.wait_until("what is healed there to be seen", is_seen)?;
    host.wait_active("app.service", LIMIT)?;
    Ok(())
}
