//! The agent killed at any moment, 200 times, while units are being killed: no incident is lost, and nothing disruptive is
//! done twice unseen. What happened is read from systemd's own journal, and compared with our reports.
//!
//! It deliberately waits for no healing between two kills: amid it is where they matter. The same is done 10,000 times in
//! simulated time by the simulator.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use ansai_lab::agent::{incidents, json, report, steps};
use ansai_lab::{Host, HostOptions, agent, fixture, poll};
use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(60);
/// All chance of the test flows from it.
const SEED: u64 = 0x0005_eed0_f200_0001;
const KILLS: usize = 200;
/// After so many rounds everything may come to rest once.
const REST_EVERY: usize = 10;
const APPS: [&str; 3] = ["app1.service", "app2.service", "app3.service"];

const CONFIGURATION: &str = "\
autonomy: act
policies:
  default:
    cooldown: 0s
    budget: {actions: 100000}
    breaker: {failures: 1000}
    backoff: {initial: 50ms, max: 200ms}
    attempts: 1000
    stable_for: 200ms
    verify_within: 5s
agent:
  host_budget: {actions: 100000}
  remediations_at_once: 3
services: {app1.service: {}, app2.service: {}, app3.service: {}}
";

/// A unit whose processes are watched from outside, and those of them that were killed.
struct Victim {
    unit: &'static str,
    processes: PathBuf,
    last: Option<Pid>,
    killed_at: Vec<i64>,
}

impl Victim {
    fn new(host: &Host, unit: &'static str) -> Result<Self> {
        Ok(Self { unit, processes: host.unit_processes_file(unit)?, last: None, killed_at: Vec::new() })
    }

    /// The unit's process, when it runs one that was not killed before.
    fn process(&self) -> Option<Pid> {
        let text = fs::read_to_string(&self.processes).ok()?;
        let first = text.lines().next().and_then(|line| line.parse().ok()).and_then(Pid::from_raw);
        first.filter(|pid| Some(*pid) != self.last)
    }

    /// Kills the unit's process, and counts that as a death when it is one. A process that has just ended by itself, as
    /// one before the start does, takes signals until systemd has heard of its end: only what stops was alive.
    fn kill(&mut self, host: &Host) -> Result<bool> {
        let Some(pid) = self.process() else { return Ok(false) };
        if host.signal(pid, Signal::STOP).is_err() || !is_stopped(pid)? || host.signal(pid, Signal::KILL).is_err() {
            return Ok(false);
        }
        self.last = Some(pid);
        self.killed_at.push(now_ms());
        Ok(true)
    }
}

/// Whether a process that was told to stop has; false when it had ended before.
fn is_stopped(pid: Pid) -> Result<bool> {
    let path = format!("/proc/{}/stat", pid.as_raw_nonzero());
    poll::until("the process to stop or to be gone", LIMIT, poll::INTERVAL_FAST, || {
        let stat = fs::read_to_string(&path).unwrap_or_default();
        // The name in parentheses may hold anything.
        let state = stat.rsplit_once(')').and_then(|(_, rest)| rest.trim_start().chars().next());
        Ok(match state {
            Some('T') => Some(true),
            None | Some('Z' | 'X') => Some(false),
            Some(_) => None,
        })
    })
}

/// SplitMix64: a seed gives the same moments on every run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }

    /// Lets a moment of at most `limit` pass.
    fn pause(&mut self, limit: Duration) -> Result<()> {
        let moment = Duration::from_micros(self.below(u64::try_from(limit.as_micros())?));
        let begun = Instant::now();
        let is_over = || Ok((begun.elapsed() >= moment).then_some(()));
        poll::until("a moment", LIMIT, poll::INTERVAL_FAST, is_over)
    }
}

/// The hosts share the machine's clock.
fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

fn boot() -> Result<Host> {
    let host = Host::boot(&HostOptions::new("kills"))?;
    for (index, unit) in APPS.iter().enumerate() {
        let name = unit.trim_end_matches(".service");
        // A start that takes its time is found half done by the next life of the agent.
        let slow = format!("ExecStartPre=/bin/sleep 0.{index}\n");
        host.install_unit(unit, &(fixture::unit(name, 5001 + u16::try_from(index)?) + &slow))?;
        host.start(unit)?;
    }
    agent::install(&host, CONFIGURATION)?;
    // At once, so that more of the kills find it at work.
    host.install_unit("ansai.service.d/at-once.conf", "[Service]\nRestartSec=0\n")?;
    agent::start(&host)?;
    for unit in APPS {
        agent::wait_health(&host, unit, "healthy")?;
    }
    Ok(host)
}

/// One kill of the agent, and mostly one of an app, each at a moment of its own.
fn round(host: &Host, chance: &mut Chance, healer: &mut Victim, apps: &mut [Victim]) -> Result<()> {
    poll::until("the agent to be started again", LIMIT, poll::INTERVAL_FAST, || Ok(healer.process().map(|_| ())))?;
    let app = &mut apps[usize::try_from(chance.below(3))?];
    match chance.below(4) {
        // While it starts.
        0 => chance.pause(Duration::from_millis(40))?,
        // The agent first: it finds the app dead when it is back.
        1 => {
            chance.pause(Duration::from_millis(200))?;
            healer.kill(host)?;
            chance.pause(Duration::from_millis(30))?;
            app.kill(host)?;
        }
        // Amid the healing.
        _ => {
            chance.pause(Duration::from_millis(200))?;
            app.kill(host)?;
            chance.pause(Duration::from_millis(60))?;
        }
    }
    healer.kill(host)?;
    Ok(())
}

/// Everything runs and nothing is open; what was handed to a person is healed by one.
fn rest(host: &Host) -> Result<()> {
    let is_well = |target: &Value| target["health"] == "healthy" && target["incident"].is_null();
    host.wait_until("everything to be healed", LIMIT, || {
        let escalated =
            incidents(host).unwrap_or_default().into_iter().filter(|incident| agent::is_in(incident, "escalated"));
        for incident in escalated {
            let target = incident["target"].as_str().unwrap_or_default();
            agent::ansai(host, &["heal", target, "--yes"])?;
        }
        let status = json(host, &["status"]).unwrap_or_default();
        let targets = status["targets"].as_array().cloned().unwrap_or_default();
        Ok(targets.len() == APPS.len() && targets.iter().all(is_well))
    })
}

/// When systemd began what its journal calls `word` with a unit, in milliseconds since 1970.
fn times_of(host: &Host, unit: &str, word: &str) -> Result<Vec<i64>> {
    let journal = host.run_ok(&["journalctl", "--no-pager", "-o", "short-unix", "-u", unit])?.stdout;
    let lines = journal.lines().filter(|line| line.contains(&format!("systemd[1]: {word} ")));
    lines
        .map(|line| {
            let (seconds, rest) = line.split_once('.').context("a line without its time")?;
            Ok(format!("{seconds}{}", rest.get(..3).unwrap_or_default()).parse()?)
        })
        .collect()
}

fn check(host: &Host, app: &Victim, reports: &[Value]) -> Result<()> {
    let (unit, kills) = (app.unit, app.killed_at.len());
    let target = format!("service/{unit}");
    let own: Vec<&Value> = reports.iter().filter(|report| report["target"] == target.as_str()).collect();
    assert!(host.is_active(unit)?, "{unit} is down (seed {SEED:#x})");

    // Each start is told, and answers one death: nothing was restarted that ran.
    let starts = times_of(host, unit, "Starting")?;
    assert_eq!(starts.len(), 1 + kills, "{unit} died {kills} times, and was started at {starts:?} (seed {SEED:#x})");
    assert!(times_of(host, unit, "Stopping")?.is_empty(), "{unit} was stopped although it ran (seed {SEED:#x})");
    let told: usize = own.iter().map(|report| steps(report, "started").len()).sum();
    assert!(told >= kills, "{unit} was started {kills} times and the reports tell of {told} (seed {SEED:#x})");

    // Each outage, from a death to the start that answers it, meets an incident. A report is made last when that ends.
    let meets = |report: &Value, died: i64, started: i64| {
        let (since, ended) = (report["failing_since"]["wall"].as_i64(), report["at"]["wall"].as_i64());
        since.is_some_and(|since| since <= started + 1) && ended.is_some_and(|ended| died <= ended)
    };
    let outages: Vec<(i64, i64)> = app.killed_at.iter().copied().zip(starts.into_iter().skip(1)).collect();
    for (died, started) in &outages {
        let is_told = own.iter().any(|report| meets(report, *died, *started));
        assert!(is_told, "no incident tells of {unit}, down from {died} to {started} (seed {SEED:#x})");
    }
    for report in own.iter().filter(|report| !steps(report, "escalated").is_empty()) {
        // The ladder has three tries: that the agent was interrupted is no failed try.
        let deaths = outages.iter().filter(|(died, started)| meets(report, *died, *started)).count();
        assert!(deaths >= 3, "handed to a person after {deaths} deaths (seed {SEED:#x}): {report:#}");
    }
    Ok(())
}

#[test]
fn the_agent_killed_at_any_moment_loses_no_incident_and_repeats_nothing_unseen() -> Result<()> {
    let host = boot()?;
    let mut chance = Chance(SEED);
    let mut healer = Victim::new(&host, agent::UNIT)?;
    let mut apps = APPS.iter().map(|unit| Victim::new(&host, unit)).collect::<Result<Vec<_>>>()?;
    while healer.killed_at.len() < KILLS {
        for _ in 0..REST_EVERY {
            round(&host, &mut chance, &mut healer, &mut apps)?;
        }
        rest(&host).with_context(|| format!("after {} kills, seed {SEED:#x}", healer.killed_at.len()))?;
    }

    let newest =
        incidents(&host)?.first().and_then(|incident| incident["id"].as_u64()).context("no incident at all")?;
    let reports: Vec<Value> = (1..=newest).map(|number| report(&host, &format!("i{number}"))).collect();
    for (index, report) in reports.iter().enumerate() {
        assert!(agent::is_in(report, "resolved"), "i{} is lost or left open (seed {SEED:#x}): {report:#}", index + 1);
    }
    for app in &apps {
        check(&host, app, &reports)?;
    }
    let interrupted: usize = reports.iter().map(|report| steps(report, "interrupted").len()).sum();
    assert!(interrupted > 0, "no kill fell into an action: the moments test nothing (seed {SEED:#x})");
    Ok(())
}
