//! One controller and three hosts on a network: they join, what fails is healed where it fails and seen in one place, a hold
//! stops all of them, what is killed or parted loses and doubles nothing, copies of one host act no more, a host that is
//! installed anew keeps its history, and a controller that hears nobody suspects itself.

use std::time::{Duration, Instant};

use ansai_lab::agent::{QUICK, wait_report};
use ansai_lab::controller::{Controller, UNIT};
use ansai_lab::fleet::{Fleet, Member};
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

const APP: &str = "app.service";

fn boot() -> Result<Fleet> {
    boot_joined(NAMES.len())
}

/// The first so many hosts have joined; on the others an agent runs alone.
fn boot_joined(joined: usize) -> Result<Fleet> {
    let configuration = format!("{QUICK}{SERVICES}");
    let fleet =
        Fleet::boot(&NAMES.map(|name| Member { name, units: &[("app", 5000)], configuration: &configuration }))?;
    fleet.hosts.iter().try_for_each(|host| agent::wait_health(host, APP, "healthy"))?;
    fleet.hosts[..joined].iter().try_for_each(|host| fleet.controller.join(host))?;
    fleet.controller.wait_connected(&NAMES[..joined])?;
    Ok(fleet)
}

/// All that the agent of a host has on its disk.
fn image(host: &Host) -> Result<Vec<u8>> {
    host.run_ok(&["tar", "-C", "/var/lib", "-cf", "/tmp/image.tar", "ansai"])?;
    host.read_bytes("/tmp/image.tar")
}

/// A host goes on from what another had on its disk.
fn becomes(host: &Host, image: &[u8]) -> Result<()> {
    forgets(host)?;
    host.write_file("/tmp/image.tar", image, 0o600)?;
    host.run_ok(&["tar", "-C", "/var/lib", "-xf", "/tmp/image.tar"])?;
    agent::start(host)
}

/// The agent of a host is stopped, and its disk empty.
fn forgets(host: &Host) -> Result<()> {
    host.stop(agent::UNIT)?;
    host.run_ok(&["find", "/var/lib/ansai", "-mindepth", "1", "-delete"])?;
    Ok(())
}

#[test]
fn a_failure_is_healed_where_it_is_and_seen_in_one_place() -> Result<()> {
    let fleet = boot()?;
    let on_host = fleet.kill_and_heal(0, APP, "i1")?;
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
    let fleet = boot()?;
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
    // What is ordered is refused by each host's own gates, and told so; a host orders nothing of others.
    let told = fleet.controller.host.run(&["ansai", "heal", "app", "--fleet", "--yes"])?;
    let refusals = told.stdout.matches("nothing is done to service/app.service now").count();
    assert!(told.code == 4 && refusals == 3, "{}{}", told.stdout, told.stderr);
    let elsewhere = agent::ansai(&fleet.hosts[0], &["silence", "--fleet"])?;
    assert!(
        elsewhere.code == 3 && elsewhere.stderr.contains("run it on the controller's host"),
        "{}",
        elsewhere.stderr
    );
    // What the fleet holds, one host cannot release, and it is told why.
    let refused = agent::ansai(&fleet.hosts[0], &["release", "--all", "--yes"])?;
    let words = format!("{}{}", refused.stdout, refused.stderr);
    assert!(words.contains("ansai release --fleet"), "{words}");
    assert!(!fleet.hosts[0].is_active("app.service")?);
    fleet.controller.host.run_ok(&["ansai", "release", "--fleet", "--yes"])?;
    for host in &fleet.hosts {
        wait_report(host, "i1", "healed")?;
    }
    // What is broken on purpose on two of them is healed by each, and its report says so.
    let is_over =
        || Ok(fleet.controller.json(&["incidents", "--fleet", "--open"])?["incidents"] == serde_json::json!([]));
    fleet.controller.wait_until("all to be over", is_over)?;
    for name in ["web-01", "db-01"] {
        let drilled = ["ansai", "drill", "app", "crash", "--host", name, "--yes"];
        let drilled = fleet.controller.host.run_ok(&drilled)?.stdout;
        assert!(drilled.contains("done") && drilled.contains("ansai will inject a failure (crash)"), "{drilled}");
    }
    for place in [0, 2] {
        wait_report(&fleet.hosts[place], "i2", "healed")?;
    }
    assert_eq!(fleet.phases(1)?.len(), 1, "nobody else was told");
    let explained = fleet.controller.host.run_ok(&["ansai", "explain", "app", "--host", "web-02"])?.stdout;
    assert!(explained.contains("service/app.service") && explained.contains("checks"), "{explained}");
    // A host that the hold has not reached is named, and gets it as soon as it is there again.
    fleet.set(2, Cable::Cut)?;
    let said = fleet.controller.host.run(&["ansai", "hold", "--fleet", "--reason", "again", "--yes"])?;
    let words = format!("{}{}", said.stdout, said.stderr);
    assert!(words.contains("2 of 3") && words.contains("db-01"), "{words}");
    fleet.set(2, Cable::Plugged)?;
    let holds = || Ok(agent::json(&fleet.hosts[2], &["status"])?["holds"].to_string().contains("again"));
    fleet.controller.wait_until("the third host to hold", holds)?;
    Ok(())
}

/// Kills the controller, does something meanwhile, and waits until there is another one: systemd calls the killed one active for a
/// moment.
fn killed(fleet: &Fleet, meanwhile: impl FnOnce() -> Result<()>) -> Result<()> {
    let host = &fleet.controller.host;
    let before = host.main_pid(UNIT)?;
    host.signal_main(UNIT, Signal::KILL)?;
    meanwhile()?;
    host.wait_until("another controller", LIMIT, || Ok(host.main_pid(UNIT)?.is_some_and(|pid| Some(pid) != before)))?;
    host.wait_active(UNIT, LIMIT)
}

#[test]
fn a_controller_that_is_killed_loses_and_doubles_nothing() -> Result<()> {
    let fleet = boot()?;
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
        killed(&fleet, || fleet.kill_and_heal(place, APP, "i1").map(drop))?;
        killed(&fleet, || Ok(()))?;
        fleet.controller.wait_until("the incident to be seen", || fleet.is_healed_there(place, 1))?;
        killed(&fleet, || Ok(()))?;
    }
    fleet.controller.wait_connected(&NAMES)?;
    for (place, name) in NAMES.iter().enumerate() {
        assert!(fleet.is_healed_there(place, 1)?, "{name}: {:?}", fleet.phases(place)?);
    }
    let status = fleet.controller.json(&["status", "--fleet"])?;
    assert!(status["restraints"].to_string().contains("kept"), "{:#}", status["restraints"]);
    // While nobody controls it, a host is healed all the same, and what it has to say is said later.
    fleet.controller.host.stop(UNIT)?;
    fleet.kill_and_heal(1, APP, "i2")?;
    fleet.controller.host.start(UNIT)?;
    fleet.controller.wait_until("what happened meanwhile to be seen", || fleet.is_healed_there(1, 2))?;
    Ok(())
}

#[test]
fn a_host_that_says_nothing_is_unknown_and_one_incident_and_heals_itself_meanwhile() -> Result<()> {
    let fleet = boot()?;
    fleet.set(1, Cable::Cut)?;
    fleet.kill_and_heal(1, APP, "i1")?;
    fleet
        .controller
        .wait_until("the silence to be noticed", || Ok(fleet.controller.sees("web-02")["health"] == "unknown"))?;
    // Longer than `silent_after`, which is a minute.
    fleet.controller.host.wait_until("an incident of the silent host", 2 * LIMIT, || Ok(fleet.own()?.len() == 1))?;
    assert!(fleet.own()?[0].to_string().contains("web-02"), "{:#}", fleet.own()?[0]);
    fleet.set(1, Cable::Plugged)?;
    fleet.controller.wait_connected(&NAMES)?;
    fleet.controller.wait_until("what happened meanwhile to be seen", || fleet.is_healed_there(1, 1))?;
    fleet.controller.wait_until("the silence to have ended", || fleet.own_has_ended())?;
    Ok(())
}

/// The resident memory of the controller, in KiB.
fn resident(fleet: &Fleet) -> Result<u64> {
    let pid = fleet.controller.host.main_pid(UNIT)?.context("it runs")?;
    let status = fleet.controller.host.read_file(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
    line.trim().trim_end_matches(" kB").parse().with_context(|| line.to_owned())
}

#[test]
fn an_enrolled_image_that_is_cloned_twice_is_one_incident_and_none_of_them_acts() -> Result<()> {
    let fleet = boot_joined(1)?;
    let image = image(&fleet.hosts[0])?;
    for place in [1, 2] {
        becomes(&fleet.hosts[place], &image)?;
    }
    fleet.controller.wait_until("the twins to be seen", || Ok(fleet.controller.sees("web-01")["is_twin"] == true))?;
    for host in &fleet.hosts {
        let holds = || Ok(agent::json(host, &["status"])?["holds"].to_string().contains("two hosts have its identity"));
        fleet.controller.wait_until(&format!("{} to be held", host.name()), holds)?;
        host.signal_main("app.service", Signal::KILL)?;
    }
    for host in &fleet.hosts {
        agent::wait_says(host, "app.service", "two hosts have its identity")?;
        assert!(!host.is_active("app.service")?, "{} has acted beside its clone", host.name());
    }
    // However much they have to tell, the controller takes no more memory for it.
    let rounds = |count: usize| -> Result<u64> {
        for _ in 0..count {
            for host in &fleet.hosts {
                host.run_ok(&["systemctl", "reset-failed", "app.service"])?;
                host.start("app.service")?;
            }
            for host in &fleet.hosts {
                agent::wait_health(host, "app.service", "healthy")?;
                host.signal_main("app.service", Signal::KILL)?;
                agent::wait_health(host, "app.service", "failing")?;
            }
        }
        resident(&fleet)
    };
    let (before, after) = (rounds(3)?, rounds(12)?);
    println!("the controller has {before} KiB beside three clones, and {after} KiB after they told much more");
    assert!(after < before + 1_024, "{before} KiB became {after} KiB");
    let own = fleet.own()?;
    assert_eq!(own.len(), 1, "{own:#?}");
    assert!(own[0]["headline"].to_string().contains("two hosts have the identity of web-01"), "{:#}", own[0]);
    let status = fleet.controller.host.run(&["ansai", "status", "--fleet"])?.stdout;
    assert!(status.contains("two hosts have the identity of web-01") && status.contains("TWINS"), "{status}");
    // Each copy becomes a host of its own, and a person lets the first one act again.
    for place in [1, 2] {
        fleet.hosts[place].run_ok(&["ansai", "leave", "--yes"])?;
        fleet.controller.join(&fleet.hosts[place])?;
    }
    fleet.controller.wait_connected(&NAMES)?;
    fleet.controller.wait_until("the incident of the twins to have ended", || fleet.own_has_ended())?;
    fleet.controller.host.run_ok(&["ansai", "release", "--host", "web-01", "--yes"])?;
    for host in &fleet.hosts {
        host.wait_active("app.service", LIMIT)?;
        host.signal_main("app.service", Signal::KILL)?;
        host.wait_active("app.service", LIMIT)?;
    }
    Ok(())
}

#[test]
fn a_host_that_is_installed_anew_is_approved_once_and_keeps_its_history_and_its_place() -> Result<()> {
    let fleet = boot_joined(1)?;
    fleet.kill_and_heal(0, APP, "i1")?;
    fleet.controller.wait_until("the incident to be seen healed", || fleet.is_healed_there(0, 1))?;
    let before = fleet.controller.sees("web-01");
    // The old disk runs on in another machine.
    let old = image(&fleet.hosts[0])?;
    forgets(&fleet.hosts[0])?;
    becomes(&fleet.hosts[1], &old)?;
    fleet.controller.wait_connected(&["web-01"])?;
    agent::start(&fleet.hosts[0])?;
    agent::wait_health(&fleet.hosts[0], "app.service", "healthy")?;
    let token = fleet.controller.json(&["token", "create", "--uses", "1", "--for", "1h"])?;
    fleet.hosts[0].write_file("/root/token", token["token"].as_str().context("a token")?, 0o600)?;
    let joining = fleet.hosts[0].spawn(&["ansai", "join", &fleet.controller.url(), "--token-file", "/root/token"])?;
    let pending = || -> Result<Value> { Ok(fleet.controller.json(&["hosts", "list"])?["pending"].clone()) };
    let waits = |waiting: Value| waiting.as_array().map_or(0, Vec::len);
    fleet.controller.wait_until("it to wait for a person", || Ok(waits(pending()?) == 1))?;
    let waiting = pending()?[0].clone();
    assert_eq!(waiting["replaces"], "web-01", "{waiting:#}");
    assert_eq!(fleet.controller.sees("web-01")["is_connected"], true, "nobody is put out by one who asks");
    let key = waiting["fingerprint"].as_str().context("a fingerprint")?;
    fleet.controller.host.run_ok(&["ansai", "hosts", "accept", key, "--yes"])?;
    let is_linked = |place: usize| Ok(!fleet.link(place)?["connected_since_ms"].is_null());
    fleet.controller.wait_until("the new one to be linked", || is_linked(0))?;
    drop(joining);
    let since = fleet.link(0)?["connected_since_ms"].clone();
    // The old one is told why it is out, and takes the place of the new one no more.
    let is_told = || Ok(fleet.link(1)?["trouble"].to_string().contains("taken back"));
    fleet.controller.wait_until("the old one to be told", is_told)?;
    let after = fleet.controller.sees("web-01");
    assert_eq!((&after["id"], &after["joined_ms"]), (&before["id"], &before["joined_ms"]), "it is the same host");
    assert_eq!((&after["is_connected"], &after["is_twin"]), (&Value::Bool(true), &Value::Bool(false)), "{after:#}");
    assert_eq!(waits(pending()?), 0, "one approval is enough");
    let all = fleet.controller.incidents("web-01")?;
    assert_eq!(all.len(), 1, "its history is kept: {all:#?}");
    fleet.kill_and_heal(0, APP, "i1")?;
    fleet.controller.wait_until("what happens on it now to be seen", || fleet.is_healed_there(0, 2))?;
    assert_eq!(fleet.link(0)?["connected_since_ms"], since, "its link was never broken");
    assert!(fleet.link(1)?["connected_since_ms"].is_null());
    assert_eq!(fleet.own()?, Vec::<Value>::new());
    Ok(())
}

#[test]
fn a_controller_that_hears_nobody_suspects_its_own_network_and_blames_no_host() -> Result<()> {
    let fleet = boot()?;
    fleet.set_controller(Cable::Cut)?;
    for (place, _) in NAMES.iter().enumerate() {
        fleet.kill_and_heal(place, APP, "i1")?;
    }
    let suspects = |one: &Value| one["headline"].to_string().contains("the controller's own network is suspected");
    let seen = || -> Result<Vec<Value>> {
        let own = fleet.own()?;
        anyhow::ensure!(own.len() <= 1, "one cause is one incident: {own:#?}");
        anyhow::ensure!(own.iter().all(suspects), "hosts are blamed: {own:#?}");
        Ok(own)
    };
    fleet.controller.host.wait_until("the controller to suspect itself", 2 * LIMIT, || Ok(seen()?.len() == 1))?;
    fleet.controller.wait_until("every host to be unknown", || {
        seen()?;
        Ok(NAMES.iter().all(|name| fleet.controller.sees(name)["health"] == "unknown"))
    })?;
    assert_eq!(seen()?[0]["severity"], "now");
    let status = fleet.controller.host.run(&["ansai", "status", "--fleet"])?.stdout;
    assert!(status.contains("the controller's own network is suspected"), "{status}");
    fleet.set_controller(Cable::Plugged)?;
    fleet.controller.wait_connected(&NAMES)?;
    fleet.controller.wait_until("the suspicion to have ended", || fleet.own_has_ended())?;
    for (place, _) in NAMES.iter().enumerate() {
        fleet.controller.wait_until("what happened meanwhile to be seen", || fleet.is_healed_there(place, 1))?;
    }
    assert_eq!(fleet.own()?.len(), 1, "nothing was doubled");
    Ok(())
}

#[test]
fn people_are_told_once_of_all_that_fall_silent_at_once_and_when_they_are_back() -> Result<()> {
    let fleet = boot()?;
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

    fleet.set(0, Cable::Cut)?;
    fleet.set(1, Cable::Cut)?;
    let told = mail::wait_for(&controller.host, 1, 3 * LIMIT)?;
    // A long subject goes on in the next line, behind a blank.
    let unfolded = |mail: &str| mail.replace("\n ", " ");
    assert!(unfolded(&told[0]).contains("web-01 and web-02 are not heard"), "one message for both: {}", told[0]);
    // Who ended right after it had told begins with what it knows, and tells it to nobody again.
    controller.host.signal_main(UNIT, Signal::KILL)?;
    fleet.set(0, Cable::Plugged)?;
    fleet.set(1, Cable::Plugged)?;
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
