//! The demo of a fleet: a controller and four hosts on a network, joined, broken, held, configured, parted and healed before your
//! eyes. It asserts what it shows: the closing table says what was expected and what was seen, and all of it must be the same.
//!
//! On the last of the hosts nothing is installed: the controller carries an agent there over SSH.

use std::time::{Duration, Instant};

use ansai_lab::fleet::{Fleet, Member};
use ansai_lab::{Host, agent, poll};
use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;
use serde_json::Value;

mod configured;
mod parted;
mod table;

use super::{
    After, now_ms,
    show::{COLUMNS, say},
};
use table::{Line, table, wrapped};

/// A host of the demo.
#[derive(Clone, Copy)]
struct Spot {
    name: &'static str,
    role: &'static str,
    /// The service on it, without its ending.
    service: &'static str,
}

const SPOTS: [Spot; 4] = [
    Spot { name: "web-01", role: "web", service: "shop" },
    Spot { name: "web-02", role: "web", service: "shop" },
    Spot { name: "db-01", role: "db", service: "orders" },
    Spot { name: "mail-01", role: "mail", service: "mailer" },
];
/// On which nothing is installed, by its place.
const OVER_SSH: usize = 3;
const PORT: u16 = 5000;

/// How long anything that is awaited may take.
const LIMIT: Duration = Duration::from_secs(60);
/// What is verified on a host is to be seen at the controller so soon.
const SEEN_WITHIN_MS: i64 = 1_000;
/// For so long it is watched that nothing happens under a hold; a killed service is back long before otherwise.
const WATCHED: Duration = Duration::from_secs(3);
/// Most characters of what a cell of the table quotes.
const SEEN_MAX: usize = 140;
/// A host that is not heard for so long is an incident; a minute when nothing is said.
const SILENT_AFTER: &str = "silent_after: 30s\n";

impl Spot {
    fn unit(&self) -> String {
        format!("{}.service", self.service)
    }

    /// What the host's own file says. It is broken on purpose again and again, which ordinary limits are against.
    fn configuration(&self) -> String {
        format!(
            "\
autonomy: act
flap: {{changes: 20}}
policies:
  default: {{cooldown: 1s, stable_for: 2s, verify_within: 5s, budget: {{actions: 20}}, backoff: {{initial: 1s, max: 5s}}}}
services: {{{}: {{}}}}
",
            self.unit()
        )
    }
}

/// The demo under way.
struct Course {
    fleet: Fleet,
    begun: Instant,
    lines: Vec<Line>,
}

/// A part of the demo.
type Chapter = fn(&mut Course) -> Result<()>;

/// Whether the host at a place has an agent of its own.
fn has_agent(place: usize) -> bool {
    place != OVER_SSH
}

/// Makes everything that is needed, and runs the demo.
pub(crate) fn run(after: After) -> Result<()> {
    say("set-up: the lab's image and the program");
    super::set_up()?;
    run_built(after)
}

/// Runs the demo with what is built.
pub(crate) fn run_built(after: After) -> Result<()> {
    let begun = Instant::now();
    let mut course = Course { fleet: boot(begun)?, begun, lines: Vec::new() };
    let chapters: [(&str, Chapter); 6] = [
        ("1. each host joins the controller with one command, and one is reached over SSH", Course::joined),
        ("2. the service of each host is killed", Course::killed),
        ("3. everything is held, once for all", Course::held),
        ("4. a configuration for all of them, and the controller is killed amid it", Course::configured),
        ("5. a configuration that is wrong for one role", Course::misconfigured),
        ("6. the network parts", Course::parted),
    ];
    for (title, chapter) in chapters {
        say(&format!("\n{title}"));
        if let Err(error) = chapter(&mut course) {
            // The other chapters may hold all the same, and the table says which do.
            say(&format!("{error:#}"));
            course.line(title, "it goes to its end", &format!("it broke off: {error}"), false);
        }
    }
    course.closed(after)
}

fn boot(begun: Instant) -> Result<Fleet> {
    say("\na controller and four hosts, each with a systemd of its own, on one network");
    let own: Vec<(String, [(&str, u16); 1])> =
        SPOTS.iter().map(|spot| (spot.configuration(), [(spot.service, PORT)])).collect();
    let members: Vec<Member<'_>> = SPOTS
        .iter()
        .zip(&own)
        .enumerate()
        .map(|(place, (spot, (configuration, units)))| {
            let configuration = if has_agent(place) { configuration.as_str() } else { "" };
            Member { name: spot.name, units, configuration }
        })
        .collect();
    let fleet = Fleet::boot(&members)?;
    let host = &fleet.controller.host;
    let file = "/etc/ansai/controller.yaml";
    host.write_file(file, format!("{}{SILENT_AFTER}", host.read_file(file)?), 0o644)?;
    fleet.controller.restart()?;
    for (spot, host) in SPOTS.iter().zip(&fleet.hosts).take(OVER_SSH) {
        agent::wait_health(host, &spot.unit(), "healthy")?;
    }
    let last = SPOTS[OVER_SSH].name;
    told(
        begun,
        &format!("they are up; an agent runs on each but {last}, where none is installed; nobody controls them yet"),
    );
    Ok(fleet)
}

/// Says one thing that happened, with the time since the begin.
fn told(begun: Instant, what: &str) {
    let at = format!("{:>7.1} s  ", begun.elapsed().as_secs_f64());
    for (number, line) in wrapped(what, COLUMNS - at.len()).iter().enumerate() {
        let before = if number == 0 { at.clone() } else { " ".repeat(at.len()) };
        say(&format!("{before}{line}"));
    }
}

/// `4 of 4`, by what was seen of each.
fn of_all(count: usize) -> String {
    format!("{count} of {}", SPOTS.len())
}

impl Course {
    fn told(&self, what: &str) {
        told(self.begun, what);
    }

    fn line(&mut self, done: &str, expected: &str, seen: &str, is_so: bool) {
        self.lines.push(Line { done: done.to_owned(), expected: expected.to_owned(), seen: seen.to_owned(), is_so });
    }

    fn host(&self, place: usize) -> &Host {
        &self.fleet.hosts[place]
    }

    /// What a command prints on the controller's host, where it must succeed.
    fn asked(&self, command: &[&str]) -> Result<String> {
        Ok(self.fleet.controller.host.run_ok(command)?.stdout.trim_end().to_owned())
    }

    /// Shows the first lines of what a command prints there.
    fn shown(&self, command: &[&str], lines: usize) -> Result<()> {
        say(&format!("             $ {}", command.join(" ")));
        for line in self.asked(command)?.lines().take(lines) {
            say(&format!("             {line}").chars().take(COLUMNS).collect::<String>());
        }
        Ok(())
    }

    fn joined(&mut self) -> Result<()> {
        let mut longest = Duration::ZERO;
        for (place, Spot { name, role, .. }) in SPOTS.iter().enumerate().take(OVER_SSH) {
            let token = self.asked(&["ansai", "token", "create", "--role", role, "--uses", "1", "--for", "1h"])?;
            let begun = Instant::now();
            self.fleet.controller.join_by(self.host(place), &token)?;
            let took = begun.elapsed();
            longest = longest.max(took);
            self.told(&format!("{name} has joined as {role} and is linked after {:.1} s", took.as_secs_f64()));
        }
        self.carried()?;
        self.fleet.wait_connected()?;
        let seen = || SPOTS.map(|spot| self.fleet.controller.sees(spot.name));
        self.fleet
            .controller
            .wait_until("each to have told of its service", || Ok(seen().iter().all(|host| host["targets"] == 1)))?;
        let is_well = |(spot, host): (&Spot, &Value)| host["role"] == spot.role && host["health"] == "healthy";
        let joined = SPOTS.iter().zip(&seen()).filter(|one| is_well(*one)).count();
        self.shown(&["ansai", "hosts", "list"], SPOTS.len() + 1)?;
        let seen = format!("{} after at most {:.1} s each", of_all(joined), longest.as_secs_f64());
        self.line("four hosts join", "each by one command, with its role, healthy", &seen, joined == SPOTS.len());
        Ok(())
    }

    /// The host on which nothing is installed gets its agent over SSH, and what it is to do from the fleet.
    fn carried(&mut self) -> Result<()> {
        let (spot, host) = (&SPOTS[OVER_SSH], self.host(OVER_SSH));
        self.write(&format!("host-{}", spot.name), &spot.configuration())?;
        let begun = Instant::now();
        let number = ansai_lab::fleet::number(OVER_SSH);
        let said = self.fleet.controller.add_over_ssh(host, number, &["--role", spot.role])?;
        said.lines().for_each(|line| self.told(line));
        self.fleet.controller.wait_connected(&[spot.name])?;
        let took = begun.elapsed().as_secs_f64();
        self.apply("0s")?;
        self.fleet.wait_rollout(1, "done")?;
        let seen = self.fleet.controller.sees(spot.name);
        let is_so = seen["over_ssh"].is_string() && !host.exists("/etc/ansai/ansai.yaml");
        let seen = format!("linked over SSH after {took:.1} s; nothing is installed there");
        self.told(&format!("{}: {seen}", spot.name));
        self.line(&format!("{} added over SSH", spot.name), "an agent is carried there, and linked", &seen, is_so);
        Ok(())
    }

    /// How many incidents the host at a place has had.
    fn incidents(&self, place: usize) -> Result<usize> {
        Ok(agent::incidents(self.host(place))?.len())
    }

    fn kill(&self, place: usize) -> Result<()> {
        self.host(place).signal_main(&SPOTS[place].unit(), Signal::KILL)
    }

    fn killed(&mut self) -> Result<()> {
        for (place, Spot { name, service, .. }) in SPOTS.iter().enumerate() {
            let incident = format!("i{}", self.incidents(place)? + 1);
            let broken = now_ms();
            self.kill(place)?;
            let there = || self.fleet.controller.json(&["report", "--host", name, &incident]);
            let (verified, lag) = poll::until("the report at the controller", LIMIT, poll::INTERVAL, || {
                let at = verified_at(&there().unwrap_or_default()["report"]);
                Ok(at.map(|at| (at, now_ms() - at)))
            })?;
            let healed = agent::wait_report(self.host(place), &incident, "healed")?;
            self.fleet
                .controller
                .wait_until("the whole report", || Ok(there()?["report"]["steps"] == healed["steps"]))?;
            let seen = format!("by {} after {} ms; seen here {lag} ms later", healed_by(&healed), verified - broken);
            self.told(&format!("{service} on {name}: healed {seen}"));
            let is_so = self.host(place).is_active(&SPOTS[place].unit())? && lag <= SEEN_WITHIN_MS;
            self.line(&format!("{service} killed on {name}"), "healed there, seen here within 1 s", &seen, is_so);
        }
        self.shown(&["ansai", "incidents", "--fleet"], SPOTS.len() + 1)
    }

    /// The units that run, by their hosts.
    fn active(&self) -> Result<usize> {
        let mut count = 0;
        for (place, spot) in SPOTS.iter().enumerate() {
            count += usize::from(self.host(place).is_active(&spot.unit())?);
        }
        Ok(count)
    }

    fn held(&mut self) -> Result<()> {
        const REASON: &str = "a look at the switch";
        let before: Vec<usize> = (0..SPOTS.len()).map(|place| self.incidents(place)).collect::<Result<_>>()?;
        let begun = Instant::now();
        let said = self.asked(&["ansai", "hold", "--fleet", "--reason", REASON, "--yes"])?;
        let took = begun.elapsed().as_millis();
        self.told(&said);
        let is_so = said.contains(&of_all(SPOTS.len()));
        let seen = format!("{} after {took} ms", counted(&said));
        self.line("hold for the fleet", "4 of 4 have saved it and say so", &seen, is_so);
        (0..SPOTS.len()).try_for_each(|place| self.kill(place))?;
        for (place, spot) in SPOTS.iter().enumerate() {
            agent::wait_says(self.host(place), &spot.unit(), REASON)?;
        }
        self.told("the service of each was killed; each agent says that it is held, and why");
        let watched = Instant::now();
        let active = poll::until("nothing to happen", LIMIT, poll::INTERVAL, || {
            let active = self.active()?;
            Ok(Some(active).filter(|active| *active > 0 || watched.elapsed() >= WATCHED))
        })?;
        let seen = format!("{} started within {} s", of_all(active), WATCHED.as_secs());
        self.told(&seen);
        self.line("all four killed under it", "none is started", &seen, active == 0);
        let begun = Instant::now();
        self.told(&self.asked(&["ansai", "release", "--fleet", "--yes"])?);
        for (place, spot) in SPOTS.iter().enumerate() {
            self.host(place).wait_active(&spot.unit(), LIMIT)?;
        }
        let took = begun.elapsed();
        for (place, before) in before.iter().enumerate() {
            agent::wait_report(self.host(place), &format!("i{}", before + 1), "healed")?;
        }
        let seen = format!("{} after {:.1} s", of_all(self.active()?), took.as_secs_f64());
        self.told(&format!("healed: {seen}"));
        self.line("release for the fleet", "4 of 4 healed", &seen, self.active()? == SPOTS.len());
        Ok(())
    }

    /// Waits until nothing goes on anywhere, and compares what the hosts have with what the controller has of them.
    fn closed(mut self, after: After) -> Result<()> {
        if let Err(error) = self.compared() {
            say(&format!("{error:#}"));
            self.line("at the end", "nothing goes on", &format!("{error}"), false);
        }
        let wrong = self.lines.iter().filter(|line| !line.is_so).count();
        if wrong > 0 {
            self.all_hosts().for_each(|host| say(&format!("\nof {}:\n{}", host.name(), host.evidence())));
        }
        say("\nWhat was expected, and what was seen:\n");
        table(&self.lines).iter().for_each(|row| say(row));
        let took = self.begun.elapsed().as_secs();
        say(&format!("\n{} of {} lines hold, in {took} s", self.lines.len() - wrong, self.lines.len()));
        if after == After::Keep {
            say("\nthe hosts go on until you press Enter; enter one with\n");
            self.all_hosts().for_each(|host| say(&format!("{:<12} {}", host.name(), host.enter_command())));
            std::io::stdin().read_line(&mut String::new())?;
        }
        ensure!(wrong == 0, "{wrong} of {} lines do not hold", self.lines.len());
        Ok(())
    }

    /// The controller's host, and the others.
    fn all_hosts(&self) -> impl Iterator<Item = &Host> {
        std::iter::once(&self.fleet.controller.host).chain(&self.fleet.hosts)
    }

    fn compared(&mut self) -> Result<()> {
        say("\n7. at the end");
        let (mut on_hosts, mut same) = (0, 0);
        for (place, spot) in SPOTS.iter().enumerate() {
            let host = self.host(place);
            let own = || -> Result<Vec<(u64, bool)>> { agent::incidents(host)?.iter().map(ended).collect() };
            let is_over = |all: &[(u64, bool)]| all.iter().all(|(_, is_over)| *is_over);
            self.fleet.controller.wait_until(&format!("{} to be quiet", spot.name), || Ok(is_over(&own()?)))?;
            let there = || self.fleet.controller.incidents(spot.name)?.iter().map(ended).collect::<Result<Vec<_>>>();
            let what = format!("the controller to have all of {}", spot.name);
            self.fleet.controller.wait_until(&what, || Ok(there()? == own()?))?;
            let own = own()?;
            (on_hosts, same) = (on_hosts + own.len(), same + there()?.len());
        }
        self.fleet.controller.wait_until("its own incidents to be over", || self.fleet.own_has_ended())?;
        let controllers = self.fleet.own()?.len();
        let status = self.fleet.controller.json(&["status", "--fleet"])?;
        let is_quiet = status["unwell"].as_array().is_some_and(Vec::is_empty)
            && status["restraints"].as_array().is_some_and(Vec::is_empty)
            && self.fleet.has_no_drift()?;
        self.shown(&["ansai", "status", "--fleet"], SPOTS.len() + 2)?;
        let seen = format!("{same} of {on_hosts} incidents of hosts, each once; {controllers} of its own; all over");
        // One was opened by the configuration that was stopped, and one by the host that was not heard.
        let is_so = is_quiet && same == on_hosts && controllers == 2;
        self.line("at the end", "nothing fails, no hold, no drift; every incident here, once", &seen, is_so);
        Ok(())
    }
}

/// The number of an incident, and whether it is over.
fn ended(incident: &Value) -> Result<(u64, bool)> {
    Ok((incident["id"].as_u64().context("an incident without a number")?, !incident["phase"]["resolved"].is_null()))
}

/// When a report's remedy was verified, in milliseconds since 1970.
fn verified_at(report: &Value) -> Option<i64> {
    let steps = report["steps"].as_array()?;
    steps.iter().rev().find(|step| step["kind"].get("verified").is_some())?["at"]["wall"].as_i64()
}

/// The remedy that healed, by a report.
fn healed_by(report: &Value) -> String {
    report["phase"]["resolved"]["healed"]["rung"].as_str().unwrap_or("nothing").to_owned()
}

/// As much of a text as a cell of the table takes.
fn cut(text: &str) -> String {
    if text.chars().count() <= SEEN_MAX {
        return text.to_owned();
    }
    text.chars().take(SEEN_MAX - 1).chain(['…']).collect()
}

/// The clause of what a command said that counts hosts.
fn counted(said: &str) -> &str {
    said.split([';', '\n']).map(str::trim).find(|clause| clause.contains(" of ")).unwrap_or("nobody is counted")
}
