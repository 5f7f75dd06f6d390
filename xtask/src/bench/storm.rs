//! `bench storm`: many services killed at once, until all are back and until all are verified, with the shipped defaults
//! and beside systemd's own restart and monit; and many that fail again at once.
//!
//! It deliberately judges nothing: the numbers promised stand in SPECIFICATION.md.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use ansai_lab::host::Background;
use ansai_lab::{Host, HostOptions, agent, poll};
use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use rustix::time::{ClockId, clock_gettime};

use super::{MONIT, prepare, quantile, say};

/// How often each size is tried.
const ROUNDS: [(usize, usize); 2] = [(20, 5), (200, 3)];
/// Units of each contender.
const MOST: usize = 200;
const LIMIT: Duration = Duration::from_secs(180);
/// Services that fail again at once, and how long they are watched.
const FAILING: usize = 20;
const WATCHED: Duration = Duration::from_secs(150);

const SERVICE: &str = "[Unit]\nStartLimitIntervalSec=0\n[Service]\nExecStart=/bin/sleep infinity\n";
/// Each start leaves a line, and none lasts while `/run/broken` is there.
const BROKEN: &str = "[Unit]\nStartLimitIntervalSec=0\n[Service]\n\
                      ExecStart=/bin/sh -c 'echo %n >> /run/starts; test -e /run/broken && exit 1; exec /bin/sleep infinity'\n";
/// Nothing but what `init` writes: every limit is the shipped one.
const CONFIGURATION: &str = "autonomy: act\nservices:\n";
const TELLING: &str = "notify: {people: {exec: [/bin/sh, -c, 'cat >> /run/messages'], healed: true}}\n";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Contender {
    Systemd,
    Monit,
    Ansai,
}

impl Contender {
    const ALL: [Self; 3] = [Self::Systemd, Self::Monit, Self::Ansai];

    fn name(self) -> &'static str {
        match self {
            Self::Systemd => "systemd Restart=always RestartSec=0",
            Self::Monit => "monit, 1 s cycle",
            Self::Ansai => "ansai, shipped defaults",
        }
    }

    fn unit(self, number: usize) -> String {
        match self {
            Self::Systemd => format!("zero-{number}.service"),
            Self::Monit => format!("monitored-{number}.service"),
            Self::Ansai => format!("ours-{number}.service"),
        }
    }
}

/// Kills, waits, and prints how long it took.
pub(crate) fn run() -> Result<()> {
    prepare()?;
    let host = Host::boot(&HostOptions::new("storm"))?;
    let _monit = install(&host)?;
    say(&format!("{:<40} {:>5} {:>3} {:>10} {:>10}", "KILLED AT ONCE → ALL BACK", "units", "n", "median", "max"));
    for (count, rounds) in ROUNDS {
        let mut verified = Vec::new();
        for contender in Contender::ALL {
            let mut times = Vec::new();
            for _ in 0..rounds {
                if contender == Contender::Ansai {
                    begin_anew(&host, CONFIGURATION, count, Contender::Ansai)?;
                }
                let (at, took) = kill_all(&host, contender, count)
                    .with_context(|| format!("{} of {count}\n{}", contender.name(), host.evidence()))?;
                times.push(took);
                if contender == Contender::Ansai {
                    verified.push(all_verified(&host, at, count)?);
                }
            }
            row(contender.name(), count, &mut times);
        }
        row("ansai, until all are verified", count, &mut verified);
    }
    all_fail_again(&host)
}

fn row(name: &str, count: usize, times: &mut [Duration]) {
    times.sort();
    let at = |share| quantile(times, share).as_secs_f64();
    say(&format!("{name:<40} {count:>5} {:>3} {:>8.3} s {:>8.3} s", times.len(), at(50), at(100)));
}

fn install(host: &Host) -> Result<Background> {
    let mut control = MONIT.to_owned();
    for number in 0..MOST {
        let unit = |contender: Contender| format!("/etc/systemd/system/{}", contender.unit(number));
        host.write_file(unit(Contender::Systemd), format!("{SERVICE}Restart=always\nRestartSec=0\n"), 0o644)?;
        host.write_file(unit(Contender::Ansai), SERVICE, 0o644)?;
        let pid_file = format!("/run/monitored-{number}.pid");
        let with_pid = format!("{SERVICE}ExecStartPost=/bin/sh -c 'echo $MAINPID > {pid_file}'\n");
        host.write_file(unit(Contender::Monit), with_pid, 0o644)?;
        control.push_str(&format!(
            "check process m{number} with pidfile {pid_file}\n start program = \"/bin/systemctl restart \
             monitored-{number}.service\"\n stop program = \"/bin/true\"\n"
        ));
    }
    host.run_ok(&["systemctl", "daemon-reload"])?;
    for contender in Contender::ALL {
        start_all(host, contender, MOST)?;
    }
    for number in 0..FAILING {
        host.write_file(format!("/etc/systemd/system/broken-{number}.service"), BROKEN, 0o644)?;
    }
    host.run_ok(&["systemctl", "daemon-reload"])?;
    host.write_file("/etc/monit.bench", control, 0o600)?;
    let monit = host.spawn(&["monit", "-I", "-c", "/etc/monit.bench"])?;
    agent::install(host, CONFIGURATION)?;
    Ok(monit)
}

fn start_all(host: &Host, contender: Contender, count: usize) -> Result<()> {
    let units: Vec<_> = (0..count).map(|number| contender.unit(number)).collect();
    let command: Vec<_> = ["systemctl", "start"].into_iter().chain(units.iter().map(String::as_str)).collect();
    host.run_ok(&command)?;
    Ok(())
}

/// An agent that remembers nothing: each round is the first time that these services fail.
fn begin_anew(host: &Host, head: &str, count: usize, contender: Contender) -> Result<()> {
    host.run_ok(&["systemctl", "stop", agent::UNIT])?;
    host.run_ok(&["rm", "-rf", "/var/lib/ansai"])?;
    let units: String = (0..count).map(|number| format!("  {}: {{}}\n", contender.unit(number))).collect();
    host.write_file(agent::CONFIGURATION, format!("{head}{units}"), 0o640)?;
    start_all(host, contender, count)?;
    agent::start(host)?;
    for number in 0..count {
        agent::wait_health(host, &contender.unit(number), "healthy")?;
    }
    Ok(())
}

/// The file of a unit's processes, and the process that runs there.
type Watched = (PathBuf, i32);

fn watched(host: &Host, units: impl Iterator<Item = String>) -> Result<Vec<Watched>> {
    let one = |unit: String| {
        host.wait_active(&unit, LIMIT)?;
        let file = host.unit_processes_file(&unit)?;
        let pid = running(&file).with_context(|| format!("{unit} runs no main process"))?;
        Ok((file, pid))
    };
    units.map(one).collect()
}

fn running(file: &PathBuf) -> Option<i32> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let mut pids = text.lines().filter_map(|line| line.parse().ok());
    pids.find(|pid| {
        let comm = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        comm.trim() == "sleep"
    })
}

/// Kills the main processes of so many units at once and waits until each runs another. Returns when that began on the
/// boot clock, in nanoseconds, and how long it took.
fn kill_all(host: &Host, contender: Contender, count: usize) -> Result<(i64, Duration)> {
    let units = watched(host, (0..count).map(|number| contender.unit(number)))?;
    let (at, begun) = (boot_clock(), Instant::now());
    kill(&units)?;
    let mut left: BTreeSet<usize> = (0..count).collect();
    poll::until("all to be back", LIMIT, poll::INTERVAL_FAST, || {
        left.retain(|index| running(&units[*index].0).is_none_or(|pid| pid == units[*index].1));
        Ok(left.is_empty().then_some(()))
    })?;
    Ok((at, begun.elapsed()))
}

fn kill(units: &[Watched]) -> Result<()> {
    let open = |(_, pid): &Watched| {
        let pid = Pid::from_raw(*pid).context("a pid")?;
        Ok(pidfd_open(pid, PidfdFlags::empty())?)
    };
    let open: Vec<_> = units.iter().map(open).collect::<Result<_>>()?;
    for process in open {
        pidfd_send_signal(process, Signal::KILL)?;
    }
    Ok(())
}

/// How long after the kill the last of the incidents was verified, by the reports.
fn all_verified(host: &Host, killed: i64, count: usize) -> Result<Duration> {
    let mut last = 0;
    for number in 1..=count {
        let incident = format!("i{number}");
        let verified = host.wait_for(&format!("{incident} to be verified"), LIMIT, || {
            let report = agent::report(host, &incident);
            let steps = report["steps"].as_array().cloned().unwrap_or_default();
            let step = steps.into_iter().find(|step| step["kind"].get("verified").is_some());
            Ok(step.and_then(|step| step["at"]["mono"].as_i64()))
        })?;
        last = last.max(verified);
    }
    Ok(Duration::from_nanos(u64::try_from(last - killed).context("verified before it was killed")?))
}

fn boot_clock() -> i64 {
    let now = clock_gettime(ClockId::Boottime);
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}

/// Services that end as soon as they are started: how often they are, and in how many messages people hear of it.
fn all_fail_again(host: &Host) -> Result<()> {
    let names: Vec<_> = (0..FAILING).map(|number| format!("broken-{number}.service")).collect();
    let command: Vec<_> = ["systemctl", "start"].into_iter().chain(names.iter().map(String::as_str)).collect();
    host.run_ok(&command)?;
    host.run_ok(&["systemctl", "stop", agent::UNIT])?;
    host.run_ok(&["rm", "-rf", "/var/lib/ansai", "/run/messages"])?;
    let units: String = names.iter().map(|name| format!("  {name}: {{}}\n")).collect();
    host.write_file(agent::CONFIGURATION, format!("{TELLING}{CONFIGURATION}{units}"), 0o640)?;
    agent::start(host)?;
    for name in &names {
        agent::wait_health(host, name, "healthy")?;
    }
    let running = watched(host, names.iter().cloned())?;
    host.write_file("/run/broken", "", 0o644)?;
    host.remove_file("/run/starts")?;
    kill(&running)?;
    std::thread::park_timeout(WATCHED);
    let starts = host.read_file("/run/starts").unwrap_or_default();
    let messages = host.read_file("/run/messages").unwrap_or_default();
    let told: Vec<serde_json::Value> =
        messages.lines().map(|line| serde_json::from_str(line).context("a message")).collect::<Result<_>>()?;
    ensure!(starts.lines().all(|line| names.iter().any(|name| name == line)), "{starts}");
    say(&format!(
        "{FAILING} that fail again at once, {} s: {} starts, {} message{}",
        WATCHED.as_secs(),
        starts.lines().count(),
        told.len(),
        if told.len() == 1 { "" } else { "s" }
    ));
    for message in told {
        say(&format!("  {}", message["subject"].as_str().unwrap_or_default()));
    }
    Ok(())
}
