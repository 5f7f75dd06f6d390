//! `bench heal`: SIGKILL of a main process to a new, active one, with the peers beside us in the same rounds.
//!
//! The contenders take turns within each round, so that a noisy machine is noisy for all of them.
//! It deliberately judges nothing: the numbers promised stand in SPECIFICATION.md.

use std::fs;
use std::time::{Duration, Instant};

use ansai_lab::host::Background;
use ansai_lab::{Host, HostOptions, agent, poll};
use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal};
use rustix::time::{ClockId, clock_gettime};

use super::{MONIT, prepare, quantile, say};

/// Kills of each contender.
const KILLS: usize = 100;
/// ansai takes a unit that fails more than twice in two minutes for a flapping one and asks for a person, so its kills go round.
pub(super) const OURS: usize = 50;
const LIMIT: Duration = Duration::from_secs(20);

/// systemd does one thing after another: a question of ours would be measured as part of what the healer still asks it.
const UNDISTURBED: Duration = Duration::from_millis(50);

pub(super) const SERVICE: &str = "[Unit]\nStartLimitIntervalSec=0\n[Service]\nExecStart=/bin/sleep infinity\n";
const MEND: &str = "[Unit]\nStartLimitIntervalSec=0\n\
                    [Service]\nType=oneshot\nExecStart=/bin/systemctl restart onfailure.service\n";
const MONITORED: &str = "\
check process m with pidfile /run/monitored.pid
 start program = \"/bin/systemctl restart monitored.service\"
 stop program = \"/bin/true\"
";
pub(super) const CONFIGURATION: &str = "\
autonomy: act
policies:
  default: {cooldown: 0s, stable_for: 1ms, budget: {actions: 250, per: 1h}, loud_after: 1000}
agent: {host_budget: {actions: 250, per: 1h}}
services:
";

struct Contender {
    name: &'static str,
    unit: &'static str,
    times: Vec<Duration>,
}

impl Contender {
    fn unit(&self, round: usize) -> String {
        if self.unit == "ours" { ours(round) } else { self.unit.to_owned() }
    }
}

pub(super) fn ours(round: usize) -> String {
    format!("ours-{}.service", round % OURS)
}

/// Kills each contender's unit in turn and prints how long each took.
pub(crate) fn run() -> Result<()> {
    prepare()?;
    let host = Host::boot(&HostOptions::new("bench"))?;
    let mut contenders: Vec<Contender> = [
        ("systemd Restart=always RestartSec=0", "zero.service"),
        ("systemd OnFailure= unit", "onfailure.service"),
        ("systemd RestartSec=100ms", "default.service"),
        ("monit, 1 s cycle", "monitored.service"),
        ("ansai (ledger, gates, verification)", "ours"),
    ]
    .map(|(name, unit)| Contender { name, unit, times: Vec::new() })
    .into();
    let _monit = install(&host)?;
    let mut killed = Vec::new();
    for round in 1..=KILLS {
        for contender in &mut contenders {
            let outcome = kill_and_wait(&host, &contender.unit(round));
            let (at, took) = outcome.with_context(|| failure(&host, contender, round))?;
            contender.times.push(took);
            if contender.unit == "ours" {
                killed.push(at);
            }
        }
        if round.is_multiple_of(10) {
            say(&format!("   {round} of {KILLS} rounds"));
        }
    }
    let verified =
        Contender { name: "ansai, until it has verified that", unit: "ours", times: verified(&host, &killed)? };
    contenders.push(verified);
    table(&mut contenders);
    Ok(())
}

/// How long each kill of ours took until the report says that it was verified; both times are of the boot clock.
pub(super) fn verified(host: &Host, killed: &[i64]) -> Result<Vec<Duration>> {
    let time = |(index, killed): (usize, &i64)| {
        let incident = format!("i{}", index + 1);
        let text = agent::ansai(host, &["report", &incident, "--json"])?.stdout;
        let report: serde_json::Value = serde_json::from_str(&text).with_context(|| format!("{incident}: {text}"))?;
        let steps = report["report"]["steps"].as_array().with_context(|| format!("{incident} has no steps"))?;
        let step = steps.iter().find(|step| step["kind"].get("verified").is_some());
        let at = step.and_then(|step| step["at"]["mono"].as_i64());
        let at = at.with_context(|| format!("{incident} was not verified: {text}"))?;
        Ok(Duration::from_nanos(u64::try_from(at - killed).context("verified before it was killed")?))
    };
    killed.iter().enumerate().map(time).collect()
}

fn boot_clock() -> i64 {
    let now = clock_gettime(ClockId::Boottime);
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}

fn install(host: &Host) -> Result<Background> {
    let restart = |seconds: &str| format!("{SERVICE}Restart=always\nRestartSec={seconds}\n");
    host.install_unit("zero.service", &restart("0"))?;
    host.install_unit("default.service", &restart("100ms"))?;
    host.install_unit("onfailure.service", &SERVICE.replace("[Service]", "OnFailure=mend.service\n[Service]"))?;
    host.install_unit("mend.service", MEND)?;
    let pid_file = "ExecStartPost=/bin/sh -c 'echo $MAINPID > /run/monitored.pid'\n";
    host.install_unit("monitored.service", &format!("{SERVICE}{pid_file}"))?;
    let mut configuration = CONFIGURATION.to_owned();
    for number in 0..OURS {
        host.write_file(format!("/etc/systemd/system/{}", ours(number)), SERVICE, 0o644)?;
        configuration.push_str(&format!("  {}: {{}}\n", ours(number)));
    }
    host.run_ok(&["systemctl", "daemon-reload"])?;
    let peers = ["zero.service", "onfailure.service", "default.service", "monitored.service"];
    for unit in (0..OURS).map(ours).chain(peers.map(str::to_owned)) {
        host.start(&unit)?;
    }
    host.write_file("/etc/monit.bench", format!("{MONIT}{MONITORED}"), 0o600)?;
    let monit = host.spawn(&["monit", "-I", "-c", "/etc/monit.bench"])?;
    agent::install(host, &configuration)?;
    agent::start(host)?;
    Ok(monit)
}

/// Kills the main process and waits until the unit's cgroup holds another one, which systemd then confirms as active
/// and main. Returns when that was on the boot clock, in nanoseconds, and how long it took.
pub(super) fn kill_and_wait(host: &Host, unit: &str) -> Result<(i64, Duration)> {
    // Whoever healed the last round may still be at it.
    host.wait_active(unit, LIMIT)?;
    let file = host.unit_processes_file(unit)?;
    let running = |except: Option<i32>| -> Option<i32> {
        let text = fs::read_to_string(&file).unwrap_or_default();
        let mut pids = text.lines().filter_map(|line| line.parse().ok());
        pids.find(|pid| Some(*pid) != except && comm(*pid) == "sleep")
    };
    let before = running(None).with_context(|| format!("{unit} runs no main process"))?;
    let (at, begun) = (boot_clock(), Instant::now());
    host.signal(Pid::from_raw(before).context("a pid")?, Signal::KILL)?;
    let after = poll::until(&format!("{unit} to be back"), LIMIT, poll::INTERVAL_FAST, || Ok(running(Some(before))))?;
    let took = begun.elapsed();
    std::thread::park_timeout(UNDISTURBED);
    host.wait_active(unit, LIMIT)?;
    let main = host.main_pid(unit)?.with_context(|| format!("{unit} lost its main process again"))?;
    ensure!(host.outer_pid(main)?.as_raw_nonzero().get() == after, "{unit}: the process seen is not the main process");
    Ok((at, took))
}

/// What a person needs to see why a contender did not heal.
fn failure(host: &Host, contender: &Contender, round: usize) -> String {
    let explained =
        agent::ansai(host, &["explain", &contender.unit(round)]).map(|output| output.stdout).unwrap_or_default();
    format!("{} in round {round}\n{explained}\n{}", contender.name, host.evidence())
}

fn comm(pid: i32) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim().to_owned()
}

fn table(contenders: &mut [Contender]) {
    let head = ["n", "median", "90 %", "99 %", "max"];
    say(&format!(
        "{:<40} {:>4} {:>9} {:>9} {:>9} {:>9}",
        "SIGKILL → ACTIVE AGAIN", head[0], head[1], head[2], head[3], head[4]
    ));
    for Contender { name, times, .. } in contenders {
        times.sort();
        let at = |share: usize| quantile(times, share).as_secs_f64() * 1e3;
        let (median, p90, p99, max) = (at(50), at(90), at(99), at(100));
        let n = times.len();
        say(&format!("{name:<40} {n:>4} {median:>6.1} ms {p90:>6.1} ms {p99:>6.1} ms {max:>6.1} ms"));
    }
}
