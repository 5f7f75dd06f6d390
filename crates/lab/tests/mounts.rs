//! Mounts that do not answer, in kinds: a share on which a certificate is put, a disk that takes no writes while it is
//! cleaned, a share on which five hundred looks lie, and a folder that is only mounted when it is asked for, by a mount that
//! never ends. The rest is healed meanwhile, the agent answers, is not restarted by anybody, and ends in a few seconds when
//! it is told to.
//!
//! It deliberately leaves the kinds of looks, and an agent beside one that cannot end, to `hang.rs`.

use std::path::Path;
use std::time::Duration;

use ansai_lab::agent::{QUICK, ansai, json, wait_health, wait_says};
use ansai_lab::fixture::disk::{fill, mount, write_logs};
use ansai_lab::fixture::{acme::Authority, remote::Remote};
use ansai_lab::{Host, HostOptions, agent, fixture};
use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;

const LIMIT: Duration = Duration::from_secs(60);
/// Far below the two minutes that systemd waited for a process that cannot end, and far above the few seconds of now.
const RESTART_LIMIT: Duration = Duration::from_secs(40);
const AT: &str = "/mnt/remote";
const LOOKS: usize = 500;

fn boot(options: &HostOptions) -> Result<Host> {
    let host = Host::boot(options)?;
    host.install_unit("app.service", &fixture::unit("app", 5000))?;
    host.start("app.service")?;
    Ok(host)
}

fn begin(host: &Host, configuration: &str) -> Result<Option<i32>> {
    agent::install(host, &format!("{QUICK}{configuration}"))?;
    agent::start(host)?;
    wait_health(host, "app.service", "healthy")?;
    host.main_pid(agent::UNIT)
}

/// The app is killed and healed, the status answers, and the agent is the one that it was.
fn the_rest_is_healed(host: &Host, agent_pid: Option<i32>) -> Result<()> {
    let before = host.main_pid("app.service")?;
    host.signal_main("app.service", Signal::KILL)?;
    host.wait_until("the app to run again", LIMIT, || {
        let now = host.main_pid("app.service")?;
        Ok(now.is_some() && now != before)
    })?;
    wait_health(host, "app.service", "healthy")?;
    ensure!(host.main_pid(agent::UNIT)? == agent_pid, "the agent was restarted\n{}", host.journal(agent::UNIT)?);
    Ok(())
}

fn health(host: &Host, target: &str) -> Result<String> {
    let status = json(host, &["status"])?;
    let targets = status["targets"].as_array().context("no targets")?;
    let found = targets.iter().find(|found| found["target"] == target);
    Ok(found.and_then(|found| found["health"].as_str()).unwrap_or_default().to_owned())
}

/// How often the agent was begun, by systemd's own count.
fn restarts(host: &Host) -> Result<String> {
    host.unit_property(agent::UNIT, "NRestarts")
}

/// A disk on which nothing can be changed, and whoever tries waits in the kernel; as it was when this is dropped.
struct Frozen<'a>(&'a Host, &'static str);

impl<'a> Frozen<'a> {
    fn freeze(host: &'a Host, place: &'static str) -> Result<Self> {
        host.run_ok(&["fsfreeze", "--freeze", place])?;
        Ok(Self(host, place))
    }
}

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        // A host that could not be asked is ended all the same.
        let _ = self.0.run(&["fsfreeze", "--unfreeze", self.1]);
    }
}

/// Has the agent begin under a hold, and ends that when these targets are failing and `goes` is done: both remedies meet
/// what does not answer.
fn begin_to_mend<T>(host: &Host, configuration: &str, target: &str, goes: impl FnOnce() -> Result<T>) -> Result<T> {
    agent::install(host, &format!("{QUICK}{configuration}"))?;
    host.write_file("/etc/ansai/HOLD", "until it does not answer", 0o640)?;
    agent::start(host)?;
    host.wait_until(&format!("{target} to be failing"), LIMIT, || Ok(health(host, target)? == "failing"))
        .with_context(|| ansai(host, &["explain", target]).map(|said| said.stdout).unwrap_or_default())?;
    let gone = goes()?;
    host.remove_file("/etc/ansai/HOLD")?;
    Ok(gone)
}

fn waits_in_the_kernel(host: &Host) -> Result<bool> {
    let pid = host.main_pid(agent::UNIT)?.context("no agent")?;
    let states = host.run(&["sh", "-c", &format!("sed 's/.*) //' /proc/{pid}/task/*/stat")])?;
    Ok(states.stdout.lines().any(|line| line.starts_with('D')))
}

/// While a remedy hangs, as `hangs` says, the rest is healed and what it is about is explained; then the agent is restarted,
/// and the next one heals as well.
fn goes_on(host: &Host, target: &str, hangs: impl Fn() -> Result<bool>) -> Result<()> {
    host.wait_until("the remedy to hang", LIMIT, &hangs)
        .with_context(|| host.journal(agent::UNIT).unwrap_or_default())?;
    let pid = host.main_pid(agent::UNIT)?;
    the_rest_is_healed(host, pid)?;
    ansai(host, &["explain", target])?.ok()?;
    ensure!(hangs()?, "nothing keeps the agent from ending");
    host.run_within(RESTART_LIMIT, &["systemctl", "restart", agent::UNIT])?.ok()?;
    let next = host.main_pid(agent::UNIT)?;
    ensure!(next != pid, "it was not restarted");
    wait_health(host, "app.service", "healthy")?;
    the_rest_is_healed(host, next)
}

#[test]
fn a_certificate_that_is_put_on_a_share_that_is_away_holds_up_neither_the_rest_nor_a_restart() -> Result<()> {
    let host = boot(&HostOptions::new("away"))?;
    let remote = Remote::mount(&host, AT, &[])?;
    let authority = Authority::new()?;
    let (certificate, key) = authority.pair(&["example.com"], 300)?;
    for (name, text) in [("own.pem", certificate), ("own.key", key), ("ca.pem", authority.pem())] {
        host.write_file(format!("/etc/own/{name}"), text, 0o600)?;
    }
    // It is not looked at again while the share goes: what is unknown would not be mended.
    let configuration = format!(
        "services: {{app.service: {{}}}}\n\
         certificates: {{example.com: {{file: /etc/own/own.pem, key: /etc/own/own.key, trust: /etc/own/ca.pem, every: 10m, \
         deploy: [{{certificate: {AT}/own.pem, key: {AT}/own.key}}]}}}}\n"
    );
    begin_to_mend(&host, &configuration, "certificate/example.com", || {
        remote.leave();
        Ok(())
    })?;
    // Whoever waits for a server of FUSE is no thread of state D before it is to end.
    goes_on(&host, "certificate/example.com", || Ok(remote.unanswered() > 0))
}

#[test]
fn a_disk_that_takes_no_writes_while_it_is_cleaned_holds_up_neither_the_rest_nor_a_restart() -> Result<()> {
    let host = boot(&HostOptions::new("frozen"))?;
    mount(&host, "/data")?;
    write_logs(&host, "/data", 30)?;
    fill(&host, "/data", "fill", 96)?;
    let configuration = "services: {app.service: {}}\n\
         disks: {/data: {every: 1s, clean: {logs: [{path: /data/log, pattern: \"*.log\", older_than: 30d, strategy: delete}]}}}\n";
    let _frozen = begin_to_mend(&host, configuration, "disk//data", || Frozen::freeze(&host, "/data"))?;
    goes_on(&host, "disk//data", || waits_in_the_kernel(&host))
}

#[test]
fn five_hundred_looks_on_a_mount_that_is_away_take_no_place_from_the_rest() -> Result<()> {
    let host = boot(&HostOptions::new("many-away"))?;
    let remote = Remote::mount(&host, AT, &["fresh"])?;
    host.install_unit("look@.service", "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n")?;
    let units = format!("systemctl start $(seq -f 'look@%g.service' 1 {LOOKS})");
    host.run_within(LIMIT, &["sh", "-c", &units])?.ok()?;
    let look =
        |number| format!("  look@{number}.service: {{autonomy: observe, probe: {{file: {AT}/fresh, every: 1s}}}}\n");
    let looks: String = (1..=LOOKS).map(look).collect();
    let pid = begin(&host, &format!("services:\n  app.service: {{critical: true}}\n{looks}"))?;
    let count = |health: &str| {
        let status = json(&host, &["status"])?;
        let targets = status["targets"].as_array().context("no targets")?;
        Ok::<_, anyhow::Error>(targets.iter().filter(|target| target["health"] == health).count())
    };
    host.wait_until("all to be healthy", LIMIT, || Ok(count("healthy")? == LOOKS + 1))?;
    remote.leave();
    host.wait_until("all that lies there to be unknown", LIMIT, || Ok(count("unknown")? == LOOKS))?;
    the_rest_is_healed(&host, pid)?;
    ensure!(remote.unanswered() <= 8, "{} looks wait for one mount", remote.unanswered());
    ensure!(restarts(&host)? == "0", "the agent was restarted");
    remote.come_back();
    host.wait_until("all to be healthy again", LIMIT, || Ok(count("healthy")? == LOOKS + 1))
}

/// Mounted when it is asked for, and the mount waits for what never ends.
const AUTOMOUNT: &str = "[Automount]\nWhere=/mnt/auto\n";
const MOUNT: &str = "[Unit]\nRequires=never.service\nAfter=never.service\n[Mount]\nWhat=tmpfs\nWhere=/mnt/auto\nType=tmpfs\n\
                     TimeoutSec=infinity\n";
const NEVER: &str = "[Service]\nType=oneshot\nTimeoutStartSec=infinity\nExecStart=/bin/sleep infinity\n";

#[test]
fn a_folder_whose_mount_never_ends_is_not_asked_for_unasked_and_costs_its_own_looks() -> Result<()> {
    let host = boot(&HostOptions::new("automount").bind(Path::new("/dev/autofs"), "/dev/autofs"))?;
    for (unit, text) in [("mnt-auto.automount", AUTOMOUNT), ("mnt-auto.mount", MOUNT), ("never.service", NEVER)] {
        host.install_unit(unit, text)?;
    }
    host.start("mnt-auto.automount")?;
    let is_asked_for = || Ok::<_, anyhow::Error>(host.unit_property("never.service", "ActiveState")? == "activating");
    // What looks for disks and services does not have it mounted.
    let pid = begin(&host, "services: {app.service: {}}\ndisks: {\"*\": {every: 1s}, /run: {every: 1s}}\n")?;
    host.wait_until("the disks to be watched", LIMIT, || Ok(health(&host, "disk//run")? == "healthy"))?;
    for command in [&["check"][..], &["doctor"], &["init", "--output", "-"]] {
        let all: Vec<&str> = ["/usr/bin/ansai"].into_iter().chain(command.iter().copied()).collect();
        host.run_within(LIMIT, &all).with_context(|| format!("ansai {}", command.join(" ")))?;
    }
    ensure!(!is_asked_for()?, "it was mounted though nothing of it was asked for");
    for (index, name) in ["file", "folder"].into_iter().enumerate() {
        host.install_unit(&format!("{name}.service"), &fixture::unit(name, 5001 + u16::try_from(index)?))?;
        host.start(&format!("{name}.service"))?;
    }
    let looks = "services:\n  app.service: {critical: true}\n  \
                 file.service: {autonomy: observe, probe: {file: /mnt/auto/fresh, every: 1s}}\n  \
                 folder.service: {autonomy: observe, probe: {exec: {argv: [\"true\"], directory: /mnt/auto/folder}, \
                 every: 1s, timeout: 1s}}\n";
    host.write_file(agent::CONFIGURATION, format!("{QUICK}{looks}disks: {{/mnt/auto: {{every: 1s}}}}\n"), 0o640)?;
    host.run_ok(&["systemctl", "reload", agent::UNIT])?;
    for name in ["file", "folder"] {
        wait_says(&host, &format!("{name}.service"), "has not answered for")?;
    }
    ensure!(is_asked_for()?, "nothing has asked for it");
    the_rest_is_healed(&host, pid)?;
    host.run_within(RESTART_LIMIT, &["systemctl", "restart", agent::UNIT])?.ok()?;
    wait_health(&host, "app.service", "healthy")?;
    let next = host.main_pid(agent::UNIT)?;
    the_rest_is_healed(&host, next)
}
