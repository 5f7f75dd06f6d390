//! `bench joined`: what an agent takes on top when it has joined a controller: memory, processor time at rest, time to heal.
//! Two hosts stand side by side, one that has joined and one that has not, and take turns, so that a noisy machine is noisy for
//! both.
//!
//! It deliberately judges nothing: the numbers promised stand in SPECIFICATION.md, and beside the figures.

use std::{thread, time::Duration};

use ansai_lab::{Host, HostOptions, agent, controller::Controller, lan::Lan};
use anyhow::{Context as _, Result};

use super::{
    heal::{CONFIGURATION, OURS, SERVICE, kill_and_wait, ours, verified},
    prepare, restarted, say,
    spent::{self, Usage},
    table::{Row, quantile},
};

/// How often memory and processor time are measured, each time of agents that have just been started.
const STARTS: usize = 3;
/// After a start, code that only the start needed is given back ten seconds later.
const SETTLED: Duration = Duration::from_secs(15);
const MEASURED: Duration = Duration::from_secs(40);
/// Kills on each of the two hosts.
const KILLS: usize = 100;
const LIMIT: Duration = Duration::from_secs(30);

/// A host, and what was measured there.
struct Side {
    host: Host,
    resident: Vec<f64>,
    share: Vec<f64>,
    /// Milliseconds from each kill to a new process, and the moments of the kills.
    back: Vec<f64>,
    killed: Vec<i64>,
}

impl Side {
    fn boot(name: &str) -> Result<Self> {
        let host = Host::boot(&HostOptions::new(name))?;
        let mut configuration = CONFIGURATION.to_owned();
        for number in 0..OURS {
            host.write_file(format!("/etc/systemd/system/{}", ours(number)), SERVICE, 0o644)?;
            configuration.push_str(&format!("  {}: {{}}\n", ours(number)));
        }
        host.run_ok(&["systemctl", "daemon-reload"])?;
        (0..OURS).try_for_each(|number| host.start(&ours(number)))?;
        agent::install(&host, &configuration)?;
        agent::start(&host)?;
        let (resident, share, back, killed) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Ok(Self { host, resident, share, back, killed })
    }

    fn verified(&self) -> Result<Vec<f64>> {
        Ok(verified(&self.host, &self.killed)?.iter().map(|took| took.as_secs_f64() * 1e3).collect())
    }
}

/// Measures and prints.
pub(crate) fn run() -> Result<()> {
    prepare()?;
    let lan = Lan::new()?;
    let host = Host::boot(&HostOptions::new("controller"))?;
    lan.join(&host, 1)?;
    let controller = Controller::start(host, 1)?;
    let (mut alone, mut joined) = (Side::boot("alone")?, Side::boot("joined")?);
    lan.join(&alone.host, 2)?;
    lan.join(&joined.host, 3)?;
    controller.join(&joined.host)?;
    for start in 1..=STARTS {
        rest(&controller, &mut alone, &mut joined)?;
        say(&format!("   {start} of {STARTS} starts"));
    }
    for round in 1..=KILLS {
        for side in [&mut alone, &mut joined] {
            let unit = ours(round);
            let (at, took) = kill_and_wait(&side.host, &unit).with_context(|| side.host.evidence())?;
            side.back.push(took.as_secs_f64() * 1e3);
            side.killed.push(at);
        }
        if round.is_multiple_of(20) {
            say(&format!("   {round} of {KILLS} kills"));
        }
    }
    table(&alone, &joined)
}

/// Starts both agents anew and looks at them at rest, at the same time.
fn rest(controller: &Controller, alone: &mut Side, joined: &mut Side) -> Result<()> {
    let pids = [restarted(&alone.host)?, restarted(&joined.host)?];
    controller.wait_connected(&["joined"])?;
    for side in [&*alone, &*joined] {
        side.host.wait_until("every unit to be seen", LIMIT, || {
            let status = agent::json(&side.host, &["status"])?;
            let targets = status["targets"].as_array().context("targets")?;
            Ok(targets.iter().filter(|target| target["health"] == "healthy").count() == OURS)
        })?;
    }
    thread::park_timeout(SETTLED);
    let usage = pids.map(|pid| thread::spawn(move || spent::over(pid, MEASURED)));
    for (side, usage) in [alone, joined].into_iter().zip(usage) {
        let Usage { rss, share, .. } = usage.join().map_err(|_| anyhow::anyhow!("a measurement broke off"))??;
        side.resident.push(rss);
        side.share.push(share);
    }
    Ok(())
}

fn table(alone: &Side, joined: &Side) -> Result<()> {
    let median = |figures: &[f64]| quantile(figures, 50);
    let (without, with) = (median(&alone.resident), median(&joined.resident));
    let (slow_without, slow_with) = (alone.verified()?, joined.verified()?);
    let more = |without: &[f64], with: &[f64]| (median(with) / median(without) - 1.0) * 100.0;
    let rows = [
        Row::new("resident, not joined", without, "MB"),
        Row::new("resident, joined", with, "MB"),
        Row::new("… on top", with - without, "MB").at_most(2.5),
        Row::new("of a core at rest, not joined", median(&alone.share), "%"),
        Row::new("of a core at rest, joined", median(&joined.share), "%").at_most(0.1),
        Row::new("SIGKILL to active again, not joined, median", median(&alone.back), "ms"),
        Row::new("SIGKILL to active again, joined, median", median(&joined.back), "ms"),
        Row::new("… longer by", more(&alone.back, &joined.back), "%").at_most(5.0),
        Row::new("SIGKILL to verified, not joined, median", median(&slow_without), "ms"),
        Row::new("SIGKILL to verified, joined, median", median(&slow_with), "ms"),
        Row::new("… longer by", more(&slow_without, &slow_with), "%").at_most(5.0),
    ];
    rows.iter().for_each(|row| say(&row.to_string()));
    Ok(())
}
