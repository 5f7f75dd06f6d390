//! What a daemon goes through after a deed: looked at once a second until it has come to what is right, or has not in time.
//!
//! A look is one question to systemd and one to the agent for the whole host. Times of starts are systemd's own.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ansai_lab::{Host, agent};
use anyhow::Result;
use rustix::time::{ClockId, clock_gettime};
use serde_json::Value;

use crate::deed::{Await, Deed, Right, squatter};
use crate::list::{Daemon, right};
use crate::table::Cell;

/// A hang is seen within a minute; what passes beyond that, the machine that runs the test took.
const SEEN_LIMIT: Duration = Duration::from_secs(60 + 30);
const TAKEN_LIMIT: Duration = Duration::from_secs(60);
/// Four tries with the pauses and the patience of the shipped policy take two minutes; twice that where each try waits for
/// a start as long as tomcat's, and again twice on a machine that has other work.
const TOLD_LIMIT: Duration = Duration::from_secs(600);
/// Where nobody knows what to look at, the next try is five minutes after the escalation.
const BACK_LIMIT: Duration = Duration::from_secs(420);
/// Longer than any daemon runs with what it cannot read.
const STAYS: Duration = Duration::from_secs(60);
const CLOSED_LIMIT: Duration = Duration::from_secs(240);

/// A unit as systemd shows it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Unit {
    pub(crate) is_active: bool,
    /// Another one after each start.
    pub(crate) invocation: String,
    /// When it became active, in microseconds of the monotonic clock.
    active_since: u64,
}

/// One look at a host.
#[derive(Debug)]
pub(crate) struct Look {
    pub(crate) units: BTreeMap<String, Unit>,
    incidents: Vec<Value>,
}

impl Look {
    /// Looks at these units, and at the incidents that the agent knows of.
    pub(crate) fn take<'a>(host: &Host, units: impl Iterator<Item = &'a str>) -> Result<Self> {
        let names: Vec<&str> = units.collect();
        let mut command = vec!["systemctl", "show", "-p", "Id,ActiveState,InvocationID,ActiveEnterTimestampMonotonic"];
        command.extend(&names);
        let shown = host.run_ok(&command)?.stdout;
        let stanzas = shown
            .split("\n\n")
            .map(|stanza| -> BTreeMap<_, _> { stanza.lines().filter_map(|line| line.split_once('=')).collect() });
        let unit = |stanza: BTreeMap<&str, &str>| Unit {
            is_active: stanza.get("ActiveState") == Some(&"active"),
            invocation: stanza.get("InvocationID").copied().unwrap_or_default().to_owned(),
            active_since: stanza.get("ActiveEnterTimestampMonotonic").and_then(|text| text.parse().ok()).unwrap_or(0),
        };
        // In the order in which they were asked for: by another name than its own a unit is shown under its own.
        let units = names.iter().map(|name| (*name).to_owned()).zip(stanzas.map(unit)).collect();
        Ok(Self { units, incidents: agent::incidents(host).unwrap_or_default() })
    }

    /// The incidents of a daemon, newest first.
    pub(crate) fn of(&self, daemon: &Daemon) -> impl Iterator<Item = &Value> {
        let target = format!("service/{}", daemon.unit);
        self.incidents.iter().filter(move |incident| incident["target"] == target.as_str())
    }

    fn unit(&self, daemon: &Daemon) -> Unit {
        self.units.get(daemon.unit).cloned().unwrap_or_default()
    }
}

/// A daemon after a deed.
#[derive(Debug)]
pub(crate) struct Course {
    pub(crate) daemon: &'static Daemon,
    pub(crate) deed: Deed,
    before: Unit,
    /// What is still awaited.
    awaits: &'static [Await],
    /// Since when the first of it is.
    since: Instant,
    /// The deed, or its end where that is what counts, in microseconds of the monotonic clock.
    from: u64,
    /// What was come to, and after how many seconds.
    came: Vec<(Await, f64)>,
    wrong: Option<String>,
    is_by_itself: bool,
}

impl Course {
    /// Does the deed, and begins to wait.
    pub(crate) fn begin(host: &Host, daemon: &'static Daemon, deed: Deed, before: &Look) -> Result<Self> {
        let (right, _) = right(daemon, deed);
        let before = before.unit(daemon);
        let wrong = (!before.is_active).then(|| "it did not run before".to_owned());
        let mut course = Self {
            daemon,
            deed,
            before,
            awaits: deed.awaits(right),
            since: Instant::now(),
            from: now(),
            came: Vec::new(),
            wrong,
            is_by_itself: false,
        };
        if right == Right::NotDone || course.wrong.is_some() {
            course.awaits = &[];
        } else {
            deed.begin(host, daemon)?;
            course.since = Instant::now();
        }
        Ok(course)
    }

    /// Whether nothing is awaited any more.
    pub(crate) const fn is_over(&self) -> bool {
        self.awaits.is_empty()
    }

    /// Goes on as far as a look lets it.
    pub(crate) fn go_on(&mut self, host: &Host, look: &Look) -> Result<()> {
        while let [next, rest @ ..] = self.awaits {
            let Some(seconds) = self.has_come(*next, look) else {
                if self.since.elapsed() > limit(*next) {
                    self.fail(&format!("{next:?} did not come in {} s", limit(*next).as_secs()));
                }
                return Ok(());
            };
            self.came.push((*next, seconds));
            self.awaits = rest;
            if *next == Await::Told && !self.take_back(host)? {
                return Ok(());
            }
            self.since = Instant::now();
        }
        Ok(())
    }

    /// A person was told, and does away with the cause.
    fn take_back(&mut self, host: &Host) -> Result<bool> {
        if self.deed == Deed::Robbed && !host.is_active(&squatter(self.daemon))? {
            self.fail("the other owner of its port was ended");
            return Ok(false);
        }
        self.from = now();
        self.deed.undo(host, self.daemon)?;
        Ok(true)
    }

    /// After how many seconds something has come, when it has.
    fn has_come(&mut self, what: Await, look: &Look) -> Option<f64> {
        let waited = self.since.elapsed().as_secs_f64();
        let unit = look.unit(self.daemon);
        let is_open = |incident: &Value| incident["phase"].get("resolved").is_none();
        match what {
            Await::Taken => look.units.get(&squatter(self.daemon)).is_some_and(|unit| unit.is_active).then_some(waited),
            Await::Seen => look.of(self.daemon).next().map(|_| waited),
            Await::Told => look.of(self.daemon).any(|incident| agent::is_in(incident, "escalated")).then_some(waited),
            Await::Back => {
                let was_started = unit.is_active && unit.invocation != self.before.invocation;
                match unit.active_since.checked_sub(self.from) {
                    Some(after) => was_started.then(|| Duration::from_micros(after).as_secs_f64()),
                    // systemd was starting it at this moment, and it read what had been mended meanwhile.
                    None => (was_started && waited >= STAYS.as_secs_f64()).then_some(0.0),
                }
            }
            Await::Closed => {
                self.is_by_itself = !look.of(self.daemon).any(|incident| agent::is_in(incident, "healed"));
                (unit.is_active && !look.of(self.daemon).any(is_open)).then_some(waited)
            }
        }
    }

    fn fail(&mut self, why: &str) {
        self.wrong = Some(why.to_owned());
        self.awaits = &[];
    }

    /// What came of it, at the end of the round, and what the agent says of it when that is not right.
    pub(crate) fn end(mut self, host: &Host, look: &Look) -> Cell {
        let (right, reason) = right(self.daemon, self.deed);
        if right == Right::LeftAlone && self.wrong.is_none() {
            self.wrong = self.was_touched(look);
        }
        let came = |what: Await| self.came.iter().find(|(come, _)| *come == what).map_or(0.0, |(_, after)| *after);
        let text = match (&self.wrong, right, self.deed) {
            (Some(wrong), _, _) => format!("WRONG: {wrong}"),
            (None, Right::NotDone, _) => "-".to_owned(),
            (None, Right::LeftAlone, _) => "left alone".to_owned(),
            (None, Right::Healed, Deed::Hung) => {
                format!("seen {:.0}, healed {:.1}", came(Await::Seen), came(Await::Back))
            }
            (None, Right::Healed, _) if self.is_by_itself => format!("by systemd {:.1}", came(Await::Back)),
            (None, Right::Healed, _) => format!("healed {:.1}", came(Await::Back)),
            (None, Right::ToldAndBack, _) => format!("told {:.0}, back {:.0}", came(Await::Told), came(Await::Back)),
        };
        let said = self.wrong.as_ref().map(|_| {
            let ids = look.of(self.daemon).filter_map(|incident| incident["id"].as_u64());
            let reports = ids.take(2).filter_map(|id| agent::ansai(host, &["report", &format!("i{id}")]).ok());
            let journal =
                host.run(&["journalctl", "--no-pager", "-o", "short-precise", "-u", self.daemon.unit, "-n", "12"]);
            let explained = agent::ansai(host, &["explain", self.daemon.unit]);
            reports
                .chain(explained.ok())
                .chain(journal.ok())
                .map(|output| output.stdout + &output.stderr)
                .collect::<Vec<_>>()
                .join("\n")
        });
        Cell { unit: self.daemon.unit, deed: Some(self.deed), text, reason, wrong: said }
    }

    /// What was done to a daemon that was to be left alone, or was told of it.
    fn was_touched(&self, look: &Look) -> Option<String> {
        let unit = look.unit(self.daemon);
        if let Some(incident) = look.of(self.daemon).next() {
            return Some(format!("an incident: {}", incident["headline"].as_str().unwrap_or_default()));
        }
        match self.deed {
            Deed::Stopped if unit.is_active => Some("it was started".to_owned()),
            Deed::Upgraded if !unit.is_active => Some("it does not run".to_owned()),
            _ => None,
        }
    }
}

const fn limit(what: Await) -> Duration {
    match what {
        Await::Taken => TAKEN_LIMIT,
        Await::Seen => SEEN_LIMIT,
        Await::Told => TOLD_LIMIT,
        Await::Back => BACK_LIMIT,
        Await::Closed => CLOSED_LIMIT,
    }
}

/// The monotonic clock, which a lab host shares with the machine, in microseconds.
fn now() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let micros = now.tv_sec.saturating_mul(1_000_000).saturating_add(now.tv_nsec / 1_000);
    u64::try_from(micros).unwrap_or_default()
}
