//! The demo: a lab host with a real nginx, a real ACME server and three small services, broken one after another and healed before your eyes.
//! It asserts what it shows: nine of nine healed and verified, a tenth escalated.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ansai_lab::{
    Host, HostOptions, agent,
    fixture::acme::{self, Authority},
};
use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;
use serde_json::Value;

mod failures;
pub(crate) mod fleet;
mod show;

use failures::{ANY, DATA, FAILURES, Failure, NGINX, configuration, put_certificates, unit};
use show::{COLUMNS, Row, picture, say, step_words};

use crate::cargo;

/// What becomes of the host.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    End,
    Keep,
}

/// Whether the reports are printed as well.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reports {
    Shown,
    Hidden,
}

const LIMIT: Duration = Duration::from_secs(120);
/// Whoever watches hears this often that something goes on.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// The image waits for the network and the program for the processors, so both are made at once.
fn set_up() -> Result<()> {
    std::thread::scope(|scope| {
        let prepared = scope.spawn(|| ansai_lab::setup::prepare(ansai_lab::image::Kind::Base));
        let built = cargo::run(&["build", "-p", "ansai-cli", "-p", "ansai-lab"]);
        let prepared = prepared.join().unwrap_or_else(|_| bail!("the set-up of the lab has panicked"));
        built.and(prepared)
    })
}

/// Runs the demo.
pub(crate) fn run(after: After, reports: Reports) -> Result<()> {
    say("1. set-up: the lab's image and the program");
    set_up()?;
    say("2. a host with a real systemd");
    let host = boot()?;
    say(&format!("   booted in {} ms", host.booted_in().as_millis()));
    say("3. nine failures");
    let mut rows = Vec::new();
    for (index, failure) in FAILURES.iter().enumerate() {
        rows.push(heal(&host, index + 1, failure)?);
    }
    say("4. a tenth that cannot be healed safely: somebody else's service holds the shop's port");
    rows.push(escalate(&host)?);
    if reports == Reports::Shown {
        say("\n5. the reports, as `ansai report` prints them");
        rows.iter().for_each(|row| say(&format!("\n{}", row.report.trim_end())));
    }
    say("\nWhat happened:\n");
    picture(&rows).iter().for_each(|line| say(line));
    let healed = rows.iter().filter(|row| row.is_healed).count();
    ensure!(healed == FAILURES.len(), "only {healed} of {} were healed", FAILURES.len());
    say(&format!("\n{healed} of {} healed and verified; 1 of 1 escalated with evidence", FAILURES.len()));
    if reports == Reports::Hidden {
        say("`cargo xtask demo --reports` also prints the report on each of them");
    }
    if after == After::Keep {
        say(&format!("\nthe host goes on until you press Enter; enter it with\n  {}", host.enter_command()));
        std::io::stdin().read_line(&mut String::new())?;
    }
    Ok(())
}

fn boot() -> Result<Host> {
    let host = Host::boot(&HostOptions::new("demo").tmpfs(DATA, "64M"))?;
    for (name, port) in [("shop", 5000), ("mailer", 5001), ("worker", 5002)] {
        let name_of_unit = format!("{name}.service");
        host.install_unit(&name_of_unit, &unit(name, port))?;
        host.start(&name_of_unit)?;
    }
    let authority = Authority::new()?;
    acme::install(&host, &authority)?;
    put_certificates(&host, &authority)?;
    host.write_file("/etc/nginx/conf.d/shop.conf", NGINX, 0o644)?;
    host.start("nginx.service")?;
    agent::install(&host, &configuration())?;
    agent::start(&host)?;
    host.wait_until("all targets to be healthy", LIMIT, || {
        let status = json(&host, &["status"])?;
        Ok(status["targets"]
            .as_array()
            .is_some_and(|targets| targets.iter().all(|target| target["health"] == "healthy")))
    })?;
    host.wait_until("nginx's configuration to be kept as last known good", LIMIT, || {
        Ok(host.exists("/var/lib/ansai/configurations/nginx.service"))
    })?;
    Ok(host)
}

fn json(host: &Host, arguments: &[&str]) -> Result<Value> {
    let mut all = arguments.to_vec();
    all.push("--json");
    let output = agent::ansai(host, &all)?;
    serde_json::from_str(&output.stdout).with_context(|| format!("ansai {arguments:?}: {}", output.stderr))
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

fn newest(host: &Host) -> Result<u64> {
    Ok(incidents(host)?.first().map_or(0, |(id, _)| *id))
}

/// Numbers and checks of the incidents, newest first.
fn incidents(host: &Host) -> Result<Vec<(u64, String)>> {
    let list = json(host, &["incidents"])?;
    let all = list["incidents"].as_array().into_iter().flatten();
    let one = |incident: &Value| Some((incident["id"].as_u64()?, incident["check"].as_str()?.to_owned()));
    Ok(all.filter_map(one).collect())
}

/// Says how a unit is, once in a while, as long as nothing else is said.
struct Patience<'a> {
    host: &'a Host,
    unit: &'a str,
    begun: Instant,
    told: Instant,
}

impl<'a> Patience<'a> {
    fn new(host: &'a Host, unit: &'a str) -> Self {
        Self { host, unit, begun: Instant::now(), told: Instant::now() }
    }

    fn tell(&mut self) -> Result<()> {
        if self.told.elapsed() < TELL_EVERY {
            return Ok(());
        }
        let explained = json(self.host, &["explain", self.unit])?;
        let checks = explained["checks"].as_array().cloned().unwrap_or_default();
        let seen: Vec<&str> = checks.iter().filter_map(|check| check["last"][2].as_str()).collect();
        let line = format!("     … {} s: {}", self.begun.elapsed().as_secs(), seen.join("; "));
        say(&line.chars().take(COLUMNS).collect::<String>());
        self.told = Instant::now();
        Ok(())
    }
}

/// Waits for the incident after `last` of one of these checks to stand in one of these phases; shows its steps as they come.
fn follow(host: &Host, last: u64, unit: &str, checks: &[&str], phases: &[&str]) -> Result<Value> {
    let mut patience = Patience::new(host, unit);
    let is_it = |(id, of): &(u64, String)| *id > last && checks.iter().any(|check| of.ends_with(check));
    let incident = host.wait_for("a new incident", LIMIT, || {
        patience.tell()?;
        Ok(incidents(host)?.into_iter().find(is_it).map(|(id, _)| id))
    })?;
    let mut shown = 0;
    host.wait_for(&format!("i{incident} to be {phases:?}"), LIMIT, || {
        let report = json(host, &["report", &format!("i{incident}")])?["report"].clone();
        let steps = report["steps"].as_array().cloned().unwrap_or_default();
        for step in steps.iter().skip(shown) {
            say(&format!("     {}", step_words(&step["kind"])));
            patience.told = Instant::now();
        }
        shown = steps.len();
        patience.tell()?;
        let phase = &report["phase"];
        let is_there = phases
            .iter()
            .any(|name| phase.get(*name).is_some() || phase["resolved"].get(*name).is_some() || phase == name);
        Ok(is_there.then_some(report))
    })
}

fn heal(host: &Host, number: usize, failure: &Failure) -> Result<Row> {
    say(&format!("\n   {number}. {}", failure.what));
    let last = newest(host)?;
    let broken = now_ms();
    (failure.break_it)(host)?;
    let report = follow(host, last, failure.unit, failure.checks, &["healed", "escalated"])?;
    let is_healed = report["phase"]["resolved"].get("healed").is_some();
    let steps = report["steps"].as_array().cloned().unwrap_or_default();
    let verified = steps.iter().rev().find(|step| step["kind"].get("verified").is_some());
    let healed = verified.map_or(0, |step| step["at"]["wall"].as_i64().unwrap_or(0) - broken);
    ensure!(host.is_active(failure.unit)?, "{} is not active", failure.unit);
    Ok(Row {
        what: failure.what.to_owned(),
        noticed_ms: report["opened"]["wall"].as_i64().unwrap_or(0) - broken,
        healed_ms: is_healed.then_some(healed),
        by: report["phase"]["resolved"]["healed"]["rung"].as_str().unwrap_or("not healed").to_owned(),
        is_healed,
        report: printed(host, &report)?,
    })
}

/// The report as a person reads it.
fn printed(host: &Host, report: &Value) -> Result<String> {
    Ok(agent::ansai(host, &["report", &format!("i{}", report["incident"])])?.ok()?.stdout)
}

fn escalate(host: &Host) -> Result<Row> {
    let what = "the shop's port is held by a foreign service";
    host.install_unit("squatter.service", &unit("squatter", 5000))?;
    // Held for a moment, so that the squatter gets the port before the shop is healed.
    agent::ansai(host, &["hold", "--all", "--reason", "demo"])?.ok()?;
    let (last, broken) = (newest(host)?, now_ms());
    host.signal_main("shop.service", Signal::KILL)?;
    host.wait_until("the squatter to hold the port", LIMIT, || {
        host.run(&["systemctl", "restart", "squatter.service"])?;
        host.is_active("squatter.service")
    })?;
    agent::ansai(host, &["release", "--all", "--yes"])?.ok()?;
    let report = follow(host, last, "shop.service", ANY, &["escalated", "healed"])?;
    if report["phase"].get("escalated").is_none() {
        bail!("it was healed, though only a person may: {report:#}");
    }
    ensure!(host.is_active("squatter.service")?, "the foreign service was touched");
    let noticed_ms = report["opened"]["wall"].as_i64().unwrap_or(0) - broken;
    let (by, report) = ("a person is told".into(), printed(host, &report)?);
    Ok(Row { what: what.into(), noticed_ms, healed_ms: None, by, is_healed: false, report })
}
