//! `bench fleet`: what ten thousand agents cost one controller: a real one, its agents in a process beside it, each with its own
//! identity and its own link with mutual TLS over loopback.
//!
//! Agents and controller share this machine's cores, so times are longer than with hosts of their own. It deliberately judges
//! nothing: the numbers promised stand in SPECIFICATION.md, and beside the figures.

use std::{
    fs,
    time::{Duration, Instant},
};

use ansai_lab::poll;
use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};
use serde_json::json;

mod kills;
mod parts;

pub(crate) use kills::run as kills;

use self::parts::{Controller, Folder, Swarm};
use super::{
    say, spent,
    table::{Row, quantile},
};
use crate::cargo;

const AGENTS: usize = 10_000;
const INCIDENTS: usize = 1_000_000;
/// Files that a process needs beside one for each link.
const OTHER_FILES: u64 = 200;
/// Kibibytes that a link takes at most at both ends, with what the kernel holds.
const LINK_KB: u64 = 200;

/// All agents begin to beat within seconds of each other; after a while nothing else happens.
const SETTLED: Duration = Duration::from_secs(25);
/// Several beats of every agent.
const MEASURED: Duration = Duration::from_secs(40);
const LIMIT: Duration = Duration::from_secs(180);
/// How often a page is asked for.
const PAGES: usize = 300;
const PAGE: usize = 100;
const ROUNDS: usize = 10;
const STORM: Duration = Duration::from_secs(60);
const STORM_EACH_SECOND: u64 = 100;
/// As an agent waits before it dials again.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
const KIBIBYTES: f64 = 1024.0;

/// Measures and prints.
pub(crate) fn run(options: &[&str]) -> Result<()> {
    check(options, &["--agents", "--incidents"])?;
    let wanted = number(options, "--agents")?.unwrap_or(AGENTS);
    let incidents = number(options, "--incidents")?.unwrap_or(INCIDENTS);
    prepare()?;
    let (files, available) = (files()?, available()?);
    let agents = affordable(wanted, files, available);
    say(&format!(
        "{agents} agents of {wanted}, {incidents} incidents in the store; {files} files a process, {} MB of memory free",
        available / 1024
    ));
    let folder = Folder::new("fleet")?;
    let alone = spent::over(folder.start()?.pid()?, Duration::from_secs(2))?.rss;
    let begun = Instant::now();
    let mut swarm = Swarm::make(&folder, agents, incidents, LONGEST_PAUSE)?;
    say(&format!("   {agents} identities made in {:.0} s", begun.elapsed().as_secs_f64()));
    let mut bench = Bench { rows: Vec::new(), agents: u64::try_from(agents)? };
    let controller = folder.start()?;
    bench.first_time(&mut swarm)?;
    bench.rest(&controller, &swarm, alone)?;
    bench.pages(&controller)?;
    bench.holds(&controller, &mut swarm)?;
    bench.storm(&controller, &mut swarm)?;
    let controller = bench.restart(&folder, controller, &mut swarm)?;
    let resident = spent::over(controller.pid()?, Duration::from_secs(1))?.rss;
    bench.row(Row::new("resident after all of that", resident, "MB"));
    ensure!(swarm.count("older")? == 0, "a host was told restraints older than its own");
    say("");
    bench.rows.iter().for_each(|row| say(&row.to_string()));
    Ok(())
}

/// What is shipped, and the agents.
fn prepare() -> Result<()> {
    cargo::run(&["build", "--release", "-p", "ansai-cli"])?;
    cargo::run(&["build", "--release", "-p", "ansai-controller", "--example", "swarm"])
}

/// The number behind an option, when it is there.
fn number(options: &[&str], name: &str) -> Result<Option<usize>> {
    let Some(place) = options.iter().position(|option| *option == name) else { return Ok(None) };
    let figure = options.get(place + 1).and_then(|figure| figure.parse().ok()).filter(|figure| *figure > 0);
    figure.map(Some).with_context(|| format!("{name} takes a number above 0"))
}

/// How many of the wanted agents have files and memory here.
fn affordable(wanted: usize, files: u64, available_kb: u64) -> usize {
    let most = files.saturating_sub(OTHER_FILES).min(available_kb / LINK_KB);
    wanted.min(usize::try_from(most).unwrap_or(usize::MAX)).max(1)
}

/// How many files a process of ours may have: as many as this machine allows, from now on.
fn files() -> Result<u64> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?;
    Ok(limit.maximum.unwrap_or(u64::MAX))
}

/// Kibibytes of memory that are free or can be made so.
fn available() -> Result<u64> {
    let text = fs::read_to_string("/proc/meminfo")?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok()).context("how much memory is free")
}

fn boot_clock() -> f64 {
    let now = clock_gettime(ClockId::Boottime);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or_default()).as_secs_f64()
}

/// What was measured so far.
struct Bench {
    rows: Vec<Row>,
    agents: u64,
}

impl Bench {
    /// Notes a figure, and shows it already.
    fn row(&mut self, row: Row) {
        say(&format!("   {row}"));
        self.rows.push(row);
    }

    fn each(&self, whole: f64) -> f64 {
        whole / self.agents as f64
    }

    /// Waits until every agent has come once more than those `links` times.
    fn all_back(&self, swarm: &mut Swarm, links: u64) -> Result<()> {
        let is_back = || {
            let (up, ever) = (swarm.count("up")?, swarm.count("links")?);
            Ok((up == self.agents && ever >= links + self.agents).then_some(()))
        };
        let back = poll::until("all agents to be there", LIMIT, poll::INTERVAL, is_back);
        back.with_context(|| format!("the agents: {}", swarm.tell("state").unwrap_or_default()))
    }

    /// All come for the first time, and tell everything.
    fn first_time(&mut self, swarm: &mut Swarm) -> Result<()> {
        let begun = Instant::now();
        swarm.tell("go")?;
        self.all_back(swarm, 0)?;
        self.row(Row::new("all linked the first time", begun.elapsed().as_secs_f64(), "s"));
        self.told(swarm)?;
        self.row(Row::new("… and all that they have to tell is kept", begun.elapsed().as_secs_f64(), "s"));
        Ok(())
    }

    /// Waits until everything that was said is kept.
    fn told(&self, swarm: &mut Swarm) -> Result<()> {
        let is_told = || Ok((swarm.count("waiting")? == 0).then_some(()));
        poll::until("everything that was said to be kept", LIMIT, poll::INTERVAL, is_told)
    }

    /// Nothing happens but beats.
    fn rest(&mut self, controller: &Controller, swarm: &Swarm, alone: f64) -> Result<()> {
        say(&format!("   {} s until all is quiet, then {} s at rest", SETTLED.as_secs(), MEASURED.as_secs()));
        std::thread::park_timeout(SETTLED);
        let theirs = spent::seconds(swarm.pid()?)?;
        let usage = spent::over(controller.pid()?, MEASURED)?;
        let theirs = (spent::seconds(swarm.pid()?)? - theirs) / MEASURED.as_secs_f64() * 100.0;
        let each = self.each((usage.rss - alone) * KIBIBYTES);
        self.row(Row::new("resident memory, an agent", each, "KB").at_most(40.0));
        self.row(Row::new("… without any agent", alone, "MB"));
        self.row(Row::new("share of a core, a beat of each every 10 s", usage.share, "%").at_most(12.0));
        self.row(Row::new("… of the agents' process", theirs, "%"));
        Ok(())
    }

    /// Pages as people ask for them, one behind the other.
    fn pages(&mut self, controller: &Controller) -> Result<()> {
        for (path, what, limit) in [("/v1/hosts", "hosts", 20.0), ("/v1/incidents", "incidents", 30.0)] {
            let (mut took, mut after) = (Vec::new(), serde_json::Value::Null);
            for _ in 0..PAGES {
                let body = json!({"limit": PAGE, "after": after}).to_string();
                let begun = Instant::now();
                let page = controller.ask("POST", path, &body)?;
                took.push(begun.elapsed().as_secs_f64() * 1e3);
                ensure!(!page[what].as_array().context("a page")?.is_empty(), "an empty page");
                after = page["next"].clone();
            }
            self.row(Row::new(format!("a page of {PAGE} {what}, 50 %"), quantile(&took, 50), "ms"));
            self.row(Row::new(format!("a page of {PAGE} {what}, 99 %"), quantile(&took, 99), "ms").at_most(limit));
        }
        for (path, what) in [("/v1/hosts", "all hosts at once"), ("/v1/status", "a status with all hosts")] {
            let begun = Instant::now();
            controller.ask("GET", path, "")?;
            self.row(Row::new(what, begun.elapsed().as_secs_f64() * 1e3, "ms"));
        }
        Ok(())
    }

    /// Holds and releases everything, round by round.
    fn holds(&mut self, controller: &Controller, swarm: &mut Swarm) -> Result<()> {
        let (mut obeyed, mut answered) = (Vec::new(), Vec::new());
        for round in 1..=ROUNDS {
            for operation in [
                json!({"restrain": {"kind": "hold", "over": "fleet", "scope": "all", "reason": "a bench"}}),
                json!({"end": {"kind": "hold", "over": "fleet", "scope": "all"}}),
            ] {
                swarm.tell("round")?;
                let (at, begun) = (boot_clock(), Instant::now());
                let said = controller.ask("POST", "/v1/operate", &json!({"operation": operation}).to_string())?;
                answered.push(begun.elapsed().as_secs_f64() * 1e3);
                let reached = &said["done"]["reached"];
                ensure!(reached["acknowledged"] == self.agents, "not all obey: {}", said["done"]["text"]);
                let times = swarm.figures("obeyed", "at_ns")?;
                obeyed.extend(times.iter().map(|time| (time / 1e9 - at) * 1e3));
            }
            say(&format!("   {round} of {ROUNDS} rounds of hold and release"));
        }
        self.row(Row::new("from a word for all to an agent that has said it obeys, 50 %", quantile(&obeyed, 50), "ms"));
        let most = quantile(&obeyed, 99);
        self.row(Row::new("from a word for all to an agent that has said it obeys, 99 %", most, "ms").at_most(1000.0));
        self.row(Row::new("… until the operator reads that all do, 50 %", quantile(&answered, 50), "ms"));
        self.row(Row::new("… until the operator reads that all do, longest", quantile(&answered, 100), "ms"));
        Ok(())
    }

    /// Incidents all over the fleet.
    fn storm(&mut self, controller: &Controller, swarm: &mut Swarm) -> Result<()> {
        say(&format!("   {STORM_EACH_SECOND} incidents a second for {} s", STORM.as_secs()));
        swarm.tell("kept")?;
        let before = swarm.count("promised")?;
        swarm.tell(&format!("incidents {STORM_EACH_SECOND} {}", STORM.as_secs()))?;
        let usage = spent::over(controller.pid()?, STORM)?;
        self.row(Row::new("share of a core, with 100 incidents a second", usage.share, "%").at_most(60.0));
        self.told_all(swarm, before)?;
        let kept: Vec<f64> = swarm.figures("kept", "micros")?.iter().map(|micros| micros / 1e3).collect();
        self.row(Row::new("… from a change to knowing that it is kept, 50 %", quantile(&kept, 50), "ms"));
        self.row(Row::new("… from a change to knowing that it is kept, 99 %", quantile(&kept, 99), "ms"));
        Ok(())
    }

    /// Waits until each incident of the storm has ended and is kept.
    fn told_all(&self, swarm: &mut Swarm, before: u64) -> Result<()> {
        // The last beat of the generator may fall behind the end.
        let all = before + STORM_EACH_SECOND * STORM.as_secs() - 1;
        let is_told = || Ok((swarm.count("promised")? >= all && swarm.count("waiting")? == 0).then_some(()));
        poll::until("every incident to be kept", LIMIT, poll::INTERVAL, is_told)
    }

    /// Kills the controller and starts it again at once.
    fn restart(&mut self, folder: &Folder, controller: Controller, swarm: &mut Swarm) -> Result<Controller> {
        let links = swarm.count("links")?;
        controller.kill()?;
        let begun = Instant::now();
        let controller = folder.start()?;
        self.row(Row::new("from a restart until it answers", begun.elapsed().as_secs_f64(), "s"));
        self.all_back(swarm, links)?;
        self.row(Row::new("from a restart until all are back", begun.elapsed().as_secs_f64(), "s").at_most(20.0));
        Ok(controller)
    }
}

/// Refuses options that nobody knows.
pub(crate) fn check(options: &[&str], known: &[&str]) -> Result<()> {
    match options.iter().step_by(2).find(|option| !known.contains(option)) {
        Some(option) => bail!("`{option}` is not known here; known are {}", known.join(", ")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_and_wrong_ones_refused() {
        let options = ["--agents", "500", "--kills", "0"];
        assert_eq!(number(&options, "--agents").expect("a number"), Some(500));
        assert_eq!(number(&options, "--incidents").expect("none"), None);
        for wrong in [&options[..], &["--kills"], &["--kills", "many"]] {
            assert!(number(wrong, "--kills").is_err(), "{wrong:?}");
        }
        assert!(check(&options, &["--agents", "--kills"]).is_ok());
        assert!(check(&options, &["--agents"]).is_err());
    }

    #[test]
    fn there_are_as_many_agents_as_have_files_and_memory() {
        assert_eq!(affordable(10_000, 20_000, 20_000_000), 10_000);
        assert_eq!(affordable(10_000, 1_024, 20_000_000), 824);
        assert_eq!(affordable(10_000, 20_000, 1_000_000), 5_000);
        assert_eq!(affordable(10_000, 100, 100), 1);
    }
}
