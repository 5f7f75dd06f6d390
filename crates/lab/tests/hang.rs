//! What hangs: a share of another machine that is away under every kind of look, remedy, evidence and command. It costs
//! the looks that lie on it, which are unknown; the rest is healed in its usual time, and the agent answers and goes on.
//!
//! It deliberately tests no single probe: what may hang is done aside, and the unit tests of that are beside it.

use std::time::Duration;

use ansai_lab::agent::{QUICK, ansai, json, wait_health, wait_says};
use ansai_lab::fixture::remote::Remote;
use ansai_lab::{Host, HostOptions, agent, fixture};
use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;

const LIMIT: Duration = Duration::from_secs(60);
const AT: &str = "/mnt/remote";
const FILES: &[&str] = &["fresh", "check", "app.conf", "ansai.yaml"];
/// Longer than the watchdog of the unit that is shipped.
const WATCHDOG: u64 = 35;
/// Far below the two minutes of four times the half minute that a stop may take, far above the few seconds of now.
const RESTART_LIMIT: Duration = Duration::from_secs(40);
/// A reload that hears nothing gives up within this time.
const RELOAD_MAX: Duration = Duration::from_secs(50);

/// A service of each kind of look; those that only look are not healed.
const LOOKS: &[(&str, &str)] = &[
    ("file", "{file: /mnt/remote/fresh, every: 1s}"),
    ("linked", "{file: /srv/linked/fresh, every: 1s}"),
    ("program", "{exec: [/mnt/remote/check], every: 1s, timeout: 1s}"),
    ("plugin", "{nagios: [/mnt/remote/check], every: 1s, timeout: 1s}"),
    ("folder", "{exec: {argv: [\"true\"], directory: /mnt/remote/folder}, every: 1s, timeout: 1s}"),
    ("argument", "{exec: [cat, /mnt/remote/fresh], every: 1s, timeout: 1s}"),
    ("socket", "{unix: /mnt/remote/app.sock, every: 1s, timeout: 1s}"),
];

fn services() -> String {
    let look = |(name, probe): &(&str, &str)| format!("  {name}.service: {{autonomy: observe, probe: {probe}}}\n");
    let looks: String = LOOKS.iter().map(look).collect();
    format!(
        "services:\n  app.service: {{critical: true}}\n{looks}\
         \x20 environment.service: {{environment: [{{directory: {AT}/data, mode: \"0750\"}}]}}\n\
         \x20 configured.service: {{configuration: [{AT}/app.conf], validate: [cat, {AT}/app.conf], restore_configuration: true}}\n\
         certificates: {{example.com: {{file: {AT}/example.pem, every: 1s}}}}\n\
         disks: {{{AT}: {{every: 1s}}}}\n"
    )
}

fn names() -> impl Iterator<Item = &'static str> {
    LOOKS.iter().map(|(name, _)| *name).chain(["app", "environment", "configured"])
}

fn boot(name: &str, configuration: &str) -> Result<(Host, Remote)> {
    let host = Host::boot(&HostOptions::new(name))?;
    let remote = Remote::mount(&host, AT, FILES)?;
    host.run_ok(&["ln", "-s", AT, "/srv/linked"])?;
    for (index, name) in names().enumerate() {
        let unit = format!("{name}.service");
        host.install_unit(&unit, &fixture::unit(name, 5000 + u16::try_from(index)?))?;
        host.start(&unit)?;
    }
    agent::install(&host, configuration)?;
    agent::start(&host)?;
    wait_health(&host, "app.service", "healthy")?;
    Ok((host, remote))
}

/// Kills the app, and waits until it runs again.
fn kill_and_heal(host: &Host) -> Result<()> {
    let before = host.main_pid("app.service")?;
    host.signal_main("app.service", Signal::KILL)?;
    host.wait_until("the app to run again", LIMIT, || {
        let now = host.main_pid("app.service")?;
        Ok(now.is_some() && now != before)
    })
}

fn uptime(host: &Host) -> Result<u64> {
    Ok(json(host, &["status"])?["uptime_seconds"].as_u64().unwrap_or_default())
}

/// A share that is away under every kind of look: each is unknown and says so, everything else goes on past the time of
/// the watchdog, each command answers, and when the share is back the looks are.
#[test]
fn w01_a_dead_mount_costs_the_looks_that_lie_on_it_and_nothing_else() -> Result<()> {
    let (host, remote) = boot("dead-mount", &format!("{QUICK}{}", services()))?;
    for name in ["file", "linked", "argument", "folder"] {
        wait_health(&host, &format!("{name}.service"), "healthy")?;
    }
    let (pid, begun) = (host.main_pid(agent::UNIT)?, uptime(&host)?);
    remote.leave();
    for (name, _) in LOOKS.iter().filter(|(name, _)| *name != "argument") {
        wait_says(&host, &format!("{name}.service"), "has not answered for")?;
    }
    // A program that was begun and cannot be ended is not begun again.
    wait_says(&host, "argument.service", "is not begun again")?;
    let left = host.run(&["pgrep", "--count", "--full", "--", "cat /mnt/remote/fresh"])?;
    assert_eq!(left.text(), "1", "a program that hangs is begun again and again");
    for target in ["certificate/example.com", &format!("disk/{AT}")] {
        host.wait_until(&format!("{target} to be unknown"), LIMIT, || {
            Ok(ansai(&host, &["explain", target])?.stdout.contains("has not answered for"))
        })?;
    }
    // A remedy that lies there is given up for the next one; a validator that does not answer leaves it to a person.
    let before = host.main_pid("environment.service")?;
    for unit in ["environment.service", "configured.service"] {
        host.signal_main(unit, Signal::KILL)?;
    }
    kill_and_heal(&host)?;
    // Its remedy waits for the share until its time is over: the app, which was killed after it, did not wait for that.
    assert_eq!(host.main_pid("environment.service")?, None, "the app was healed only after what hangs was given up");
    host.wait_until("the environment's service to run again", LIMIT, || {
        let now = host.main_pid("environment.service")?;
        Ok(now.is_some() && now != before)
    })?;
    host.wait_until("a person to be told", LIMIT, || {
        Ok(host.journal(agent::UNIT)?.contains("configured.service needs a person"))
    })?;
    let commands: &[&[&str]] = &[
        &["status"],
        &["explain", "app"],
        &["explain", "configured"],
        &["incidents"],
        &["report"],
        &["check"],
        &["doctor"],
        &["init", "--output", "-"],
    ];
    for command in commands {
        // Whoever does not answer in time has hung: the doctor tries what the agent may do for 20 s at most.
        let all: Vec<&str> = ["/usr/bin/ansai"].into_iter().chain(command.iter().copied()).collect();
        host.run_within(LIMIT, &all).with_context(|| format!("ansai {}", command.join(" ")))?;
    }
    ansai(&host, &["hold", "--all", "--reason", "a dead mount"])?.ok()?;
    ansai(&host, &["release", "--all", "--yes"])?.ok()?;
    host.wait_until("the time of the watchdog to pass", LIMIT * 2, || Ok(uptime(&host)? > begun + WATCHDOG))?;
    kill_and_heal(&host)?;
    assert_eq!(host.main_pid(agent::UNIT)?, pid, "the agent was restarted");
    assert!(remote.unanswered() > 0, "nothing hangs any more");

    remote.come_back();
    for name in ["file", "linked", "argument", "folder"] {
        wait_health(&host, &format!("{name}.service"), "healthy")?;
    }
    Ok(())
}

/// An agent some of whose threads hang stops in good order; systemd gives its process up after a few seconds, as the
/// shipped unit says, and the next one begins beside it.
#[test]
fn an_agent_with_a_look_that_hangs_is_restarted() -> Result<()> {
    let (host, remote) = boot("dead-restart", &format!("{QUICK}{}", services()))?;
    remote.leave();
    wait_says(&host, "file.service", "has not answered for")?;
    let before = host.main_pid(agent::UNIT)?.context("no agent")?;
    host.run_within(RESTART_LIMIT, &["systemctl", "restart", agent::UNIT])?.ok()?;
    assert_ne!(host.main_pid(agent::UNIT)?, Some(before));
    assert!(host.exists(format!("/proc/{before}")), "the one before has ended, so the test has shown nothing");
    wait_health(&host, "app.service", "healthy")?;
    kill_and_heal(&host)?;
    Ok(())
}

/// An agent that was killed and cannot end: the next one takes its place, says so, and forgets it when it has ended.
#[test]
fn w01_an_agent_beside_one_that_cannot_end_takes_its_place() -> Result<()> {
    let (host, remote) = boot("dead-agent", &format!("{QUICK}{}", services()))?;
    // The test awaits the watchdog.
    agent::edit(&host, "WatchdogSec=2")?;
    host.run_ok(&["systemctl", "restart", agent::UNIT])?;
    remote.leave();
    wait_says(&host, "file.service", "has not answered for")?;
    let before = host.main_pid(agent::UNIT)?.context("no agent")?;
    host.signal_main(agent::UNIT, Signal::KILL)?;
    host.wait_until("another agent", LIMIT * 2, || {
        Ok(host.main_pid(agent::UNIT)?.is_some_and(|pid| pid != before) && host.is_active(agent::UNIT)?)
    })?;
    let says = || json(&host, &["status"]).map(|status| status["warnings"].to_string()).unwrap_or_default();
    host.wait_until("the status to tell", LIMIT, || Ok(says().contains(&format!("(pid {before}) was killed"))))?;
    kill_and_heal(&host)?;
    // A third one is refused as ever: the second can act. What hangs would keep it from ending as well.
    host.write_file("/etc/ansai/other/ansai.yaml", "services: {}\n", 0o640)?;
    let third = ansai(&host, &["--config", "/etc/ansai/other", "agent"])?;
    assert!(third.stderr.contains("another agent"), "{}", third.stderr);
    remote.come_back();
    host.wait_until("the warning to end", LIMIT, || Ok(!says().contains("was killed")))?;
    Ok(())
}

/// A configuration that hangs when it is read anew: the one before stays in force and that is told; when it is answered
/// for again, it is read.
#[test]
fn a_configuration_that_hangs_leaves_the_one_before_in_force() -> Result<()> {
    let (host, remote) = boot("dead-configuration", &format!("{QUICK}services: {{app.service: {{}}}}\n"))?;
    host.run_ok(&["mkdir", "-p", "/etc/ansai/layers"])?;
    host.run_ok(&["ln", "-s", &format!("{AT}/ansai.yaml"), "/etc/ansai/layers/site.yaml"])?;
    remote.leave();
    // A reload does not wait for ever, and says that it has not come to anything.
    let reload = host.run_within(RELOAD_MAX, &["systemctl", "reload", agent::UNIT])?;
    ensure!(reload.code != 0, "the reload was taken for done: {}{}", reload.stdout, reload.stderr);
    let error = || json(&host, &["status"]).map(|status| status["configuration_error"].to_string()).unwrap_or_default();
    host.wait_until("the status to tell", LIMIT * 2, || Ok(error().contains("has not answered for")))?;
    kill_and_heal(&host)?;
    remote.come_back();
    host.wait_until("the configuration to be in force again", LIMIT, || Ok(error() == "null"))?;
    Ok(())
}

/// A named pipe that nobody writes to, in the place of a file.
#[test]
fn a_pipe_in_the_place_of_a_file_holds_nothing_up() -> Result<()> {
    let host = Host::boot(&HostOptions::new("pipe"))?;
    for (index, name) in ["app", "file"].into_iter().enumerate() {
        let unit = format!("{name}.service");
        host.install_unit(&unit, &fixture::unit(name, 5000 + u16::try_from(index)?))?;
        host.start(&unit)?;
    }
    host.run_ok(&["mkfifo", "/srv/pipe"])?;
    // It never answers, so that all of its start period would be waited for: it is shortened.
    let configuration = "services:\n  app.service: {critical: true}\n  \
         file.service: {autonomy: observe, start_period: 1s, probe: {exec: [cat, /srv/pipe], every: 1s, timeout: 1s}, configuration: [/srv/pipe]}\n\
         certificates: {example.com: {file: /srv/pipe}}\n";
    agent::install(&host, &format!("{QUICK}{configuration}"))?;
    agent::start(&host)?;
    wait_health(&host, "file.service", "failing")?;
    host.wait_until("the certificate to be unknown", LIMIT, || {
        Ok(ansai(&host, &["explain", "certificate/example.com"])?.stdout.contains("no regular file"))
    })?;
    kill_and_heal(&host)?;
    Ok(())
}
