//! Benches on lab hosts: they print tables with the peers beside us in the same run, and judge nothing.

use std::{
    fs,
    time::{Duration, Instant},
};

use ansai_lab::{Host, HostOptions, agent};
use anyhow::{Context, Result};
use rustix::process::{Pid, Signal};

use crate::cargo;

/// Kills of each contender.
const KILLS: usize = 100;
const LIMIT: Duration = Duration::from_secs(20);
const SERVICE: &str = "[Service]\nExecStart=/bin/sleep infinity\n";
const CONFIGURATION: &str = "\
autonomy: act
policies:
  default: {cooldown: 0s, stable_for: 1ms, budget: {actions: 250, per: 1h}, backoff: {initial: 1ms, max: 1ms, reset_after: 1ms}, loud_after: 1000}
agent: {host_budget: {actions: 250, per: 1h}}
services: {ours.service: {}}
";

struct Contender {
    name: &'static str,
    unit: &'static str,
    times: Vec<Duration>,
}

/// SIGKILL of a main process to a new, active one, for each contender in turn.
pub(crate) fn heal() -> Result<()> {
    prepare()?;
    let host = Host::boot(&HostOptions::new("bench"))?;
    let restart =
        |seconds: &str| format!("[Unit]\nStartLimitIntervalSec=0\n{SERVICE}Restart=always\nRestartSec={seconds}\n");
    host.install_unit("zero.service", &restart("0"))?;
    host.install_unit("default.service", &restart("100ms"))?;
    host.install_unit(
        "onfailure.service",
        &format!("[Unit]\nStartLimitIntervalSec=0\nOnFailure=mend.service\n{SERVICE}"),
    )?;
    let mend = "[Unit]\nStartLimitIntervalSec=0\n[Service]\nType=oneshot\nExecStart=/bin/systemctl restart onfailure.service\n";
    host.install_unit("mend.service", mend)?;
    host.install_unit(
        "monitored.service",
        &format!(
            "[Unit]\nStartLimitIntervalSec=0\n{SERVICE}ExecStartPost=/bin/sh -c 'echo $MAINPID > /run/monitored.pid'\n"
        ),
    )?;
    host.install_unit("ours.service", &format!("[Unit]\nStartLimitIntervalSec=0\n{SERVICE}"))?;
    let monit = "set daemon 1\nset log /run/monit.log\nset pidfile /run/monit.pid\nset idfile /run/monit.id\nset statefile /run/monit.state\n\
                 check process m with pidfile /run/monitored.pid\n start program = \"/bin/systemctl restart monitored.service\"\n stop program = \"/bin/true\"\n";
    host.write_file("/etc/monit.bench", monit, 0o600)?;
    let mut contenders: Vec<Contender> = [
        ("systemd Restart=always RestartSec=0", "zero.service"),
        ("systemd OnFailure= unit", "onfailure.service"),
        ("systemd RestartSec=100ms", "default.service"),
        ("monit, 1 s cycle", "monitored.service"),
        ("ansai (ledger, gates, verification)", "ours.service"),
    ]
    .map(|(name, unit)| Contender { name, unit, times: Vec::new() })
    .into();
    for contender in &contenders {
        host.start(contender.unit)?;
    }
    let _monit = host.spawn(&["monit", "-I", "-c", "/etc/monit.bench"])?;
    agent::install(&host, CONFIGURATION)?;
    agent::start(&host)?;
    for round in 0..KILLS {
        for contender in &mut contenders {
            // monit's second and systemd's tenth of one are long: fewer rounds tell as much.
            let is_slow = matches!(contender.unit, "monitored.service" | "default.service");
            if is_slow && round >= KILLS / 5 {
                continue;
            }
            let took =
                kill_and_wait(&host, contender.unit).with_context(|| format!("{} in round {round}", contender.name))?;
            contender.times.push(took);
        }
        if round % 20 == 19 {
            say(&format!("   {} of {KILLS} rounds", round + 1));
        }
    }
    say(&format!(
        "{:<40} {:>4} {:>9} {:>9} {:>9} {:>9}",
        "SIGKILL → ACTIVE AGAIN", "n", "median", "90 %", "99 %", "max"
    ));
    for contender in &mut contenders {
        contender.times.sort();
        let at = |share: usize| {
            contender.times[(contender.times.len() * share / 100).min(contender.times.len() - 1)].as_secs_f64() * 1e3
        };
        say(&format!(
            "{:<40} {:>4} {:>6.1} ms {:>6.1} ms {:>6.1} ms {:>6.1} ms",
            contender.name,
            contender.times.len(),
            at(50),
            at(90),
            at(99),
            at(100)
        ));
    }
    Ok(())
}

/// Kills the main process and waits until systemd's cgroup of the unit holds another one.
fn kill_and_wait(host: &Host, unit: &str) -> Result<Duration> {
    let file = host.unit_processes_file(unit)?;
    let processes = || -> Vec<i32> {
        let text = fs::read_to_string(&file).unwrap_or_default();
        text.lines().filter_map(|line| line.parse().ok()).collect()
    };
    let before = ansai_lab::poll::until(&format!("{unit} to run"), LIMIT, Duration::from_millis(5), || {
        Ok(processes().first().copied().filter(|pid| comm(*pid) == "sleep"))
    })?;
    // The healer may still be taking note of the last round.
    host.wait_active(unit, LIMIT)?;
    let begun = Instant::now();
    host.signal(Pid::from_raw(before).context("a pid")?, Signal::KILL)?;
    ansai_lab::poll::until(&format!("{unit} to be back"), LIMIT, Duration::from_micros(200), || {
        Ok(processes().into_iter().find(|pid| *pid != before && comm(*pid) == "sleep"))
    })?;
    Ok(begun.elapsed())
}

fn comm(pid: i32) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim().to_owned()
}

/// Memory and processor time: 50 idle units; then 1,000 TCP checks each second.
pub(crate) fn footprint() -> Result<()> {
    prepare()?;
    let host = Host::boot(&HostOptions::new("footprint"))?;
    let mut idle = String::from("services:\n");
    for number in 0..50 {
        host.write_file(format!("/etc/systemd/system/idle-{number}.service"), SERVICE, 0o644)?;
        idle.push_str(&format!("  idle-{number}.service: {{}}\n"));
    }
    host.run_ok(&["systemctl", "daemon-reload"])?;
    for number in 0..50 {
        host.start(&format!("idle-{number}.service"))?;
    }
    say(&format!("{:<44} {:>10} {:>12}", "", "RSS", "of a core"));
    measure(&host, "50 units, event-driven and idle", &idle)?;
    host.install_unit("app.service", "[Service]\nType=notify\nExecStart=/usr/local/lib/ansai-lab/ansai-lab-service --port 5000 --state /var/lib/app\nStateDirectory=app\n")?;
    host.start("app.service")?;
    let mut checks = String::from("services:\n  app.service:\n    probes:\n");
    for number in 0..1000 {
        checks.push_str(&format!("      t{number}: {{tcp: \"127.0.0.1:5000\", every: 1s}}\n"));
    }
    measure(&host, "1,000 TCP checks, each every second", &checks)
}

fn measure(host: &Host, name: &str, configuration: &str) -> Result<()> {
    const MEASURED: Duration = Duration::from_secs(20);
    agent::install(host, configuration)?;
    host.run_ok(&["systemctl", "stop", agent::UNIT])?;
    agent::start(host)?;
    let inner = host.main_pid(agent::UNIT)?.context("the agent runs")?;
    let pid = host.outer_pid(inner)?.as_raw_nonzero();
    std::thread::park_timeout(Duration::from_secs(5));
    let (before, begun) = (ticks(pid.get())?, Instant::now());
    std::thread::park_timeout(MEASURED);
    let used = ticks(pid.get())? - before;
    // A tick is a hundredth of a second on Linux.
    let share = used / begun.elapsed().as_secs_f64();
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let rss: f64 = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse().ok())
        .unwrap_or(0.0);
    say(&format!("{name:<44} {:>7.1} MB {share:>10.2} %", rss / 1024.0));
    Ok(())
}

fn ticks(pid: i32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let after = stat.rsplit(')').next().unwrap_or_default();
    let fields: Vec<f64> = after.split_whitespace().skip(11).take(2).filter_map(|field| field.parse().ok()).collect();
    Ok(fields.iter().sum())
}

/// The lab with the release program: what is measured is what is shipped.
fn prepare() -> Result<()> {
    ansai_lab::setup::prepare()?;
    cargo::run(&["build", "--quiet", "--release", "-p", "ansai-cli", "-p", "ansai-lab"])
}

#[expect(clippy::print_stdout, reason = "this is a program for people at a terminal")]
fn say(text: &str) {
    println!("{text}");
}
