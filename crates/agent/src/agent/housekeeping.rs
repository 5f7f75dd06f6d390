//! What the agent does about itself, about once a second: tells that it turns, flushes its journal, watches its own
//! memory and the wall clock, reads the host's figures, and lets old reports go. It decides nothing about targets.

use std::time::Duration;

use ansai_engine::Input;
use ansai_host::linux::own_memory;
use ansai_model::{
    bundle::Bundle,
    condition::{Value, is_host_figure},
    settings::HostSettings,
    time::{MonoTime, Now},
    units::Percent,
};
use ansai_protocol::{EventKind, Own};

use super::{Agent, plight};
use crate::{
    clock::JumpWatch,
    journal::Notice,
    selfwatch::{Pressure, Reading, SelfWatch},
    trends::Trends,
    warnings::{Topic, Warnings},
};

/// How often the agent looks at its own memory and processor time.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// A share of a processor that is more than an agent should take, for so many looks in a row.
const BUSY_PERCENT: f64 = 50.0;
const BUSY_LOOKS: u32 = 6;
/// How often readers of the stream are told that nothing happened.
const ALIVE_EVERY: Duration = Duration::from_secs(15);
/// How often old reports are let go.
const PRUNE_EVERY: Duration = Duration::from_secs(3600);
/// How often the host's figures are read, while a condition names one.
const FIGURES_EVERY: Duration = Duration::from_secs(5);
/// The fact that says when quiet hours begin that were learned.
const QUIET_HOUR: &str = "host.quiet_hour";
/// How often the series of figures are saved.
const TRENDS_EVERY: Duration = Duration::from_secs(600);
/// How often the host's load is taken in, while quiet hours are learned.
const LOAD_EVERY: Duration = Duration::from_secs(60);
/// How often memory that lies free is given back. It takes less than a millisecond, and each look and each answer leaves
/// some behind.
const TRIM_EVERY: Duration = Duration::from_secs(60);
/// How long after a start or a new configuration, which need more than they leave, it and their code are given back.
const SETTLED: Duration = Duration::from_secs(10);
/// How long a jump of the wall clock is shown.
const JUMP_SHOWN: Duration = Duration::from_secs(3600);

/// Something done again and again; the first time one period after the start.
#[derive(Debug)]
struct Every {
    period: Duration,
    due: MonoTime,
}

impl Every {
    fn new(period: Duration, now: MonoTime) -> Self {
        Self { period, due: now.plus(period) }
    }

    fn is_due(&mut self, now: MonoTime) -> bool {
        if now < self.due {
            return false;
        }
        self.due = now.plus(self.period);
        true
    }
}

/// What is due when.
#[derive(Debug)]
pub(super) struct Housekeeping {
    watch: SelfWatch,
    jumps: JumpWatch,
    jump_shown_until: Option<MonoTime>,
    reading: Option<Reading>,
    busy_looks: u32,
    look: Every,
    alive: Every,
    prune: Every,
    figures: Every,
    trends: Every,
    load: Every,
    trim: Every,
    forget_start_at: Option<MonoTime>,
    /// What was last said of the quiet hour.
    quiet_hour: Option<Value>,
}

impl Housekeeping {
    pub(super) fn new(now: Now) -> Self {
        let mut jumps = JumpWatch::default();
        jumps.look(now);
        Self {
            watch: SelfWatch::default(),
            jumps,
            jump_shown_until: None,
            reading: None,
            busy_looks: 0,
            look: Every::new(LOOK_EVERY, now.mono),
            alive: Every::new(ALIVE_EVERY, now.mono),
            prune: Every::new(PRUNE_EVERY, now.mono),
            figures: Every::new(FIGURES_EVERY, now.mono),
            trends: Every::new(TRENDS_EVERY, now.mono),
            load: Every::new(LOAD_EVERY, now.mono),
            trim: Every { period: TRIM_EVERY, due: now.mono.plus(SETTLED) },
            forget_start_at: Some(now.mono.plus(SETTLED)),
            quiet_hour: None,
        }
    }

    /// A new configuration was taken over.
    pub(super) fn applied(&mut self, now: Now) {
        self.evaluated(now);
        self.forget_start_at = Some(now.mono.plus(SETTLED));
    }

    /// The configuration was understood anew, which takes as much memory as it is large and needs it no more.
    pub(super) fn evaluated(&mut self, now: Now) {
        self.trim.due = now.mono.plus(SETTLED);
    }

    /// Whether it is known what the agent takes.
    pub(super) fn has_looked(&self) -> bool {
        self.reading.is_some()
    }

    /// What the agent takes, for the status.
    pub(super) fn own(&self, settings: &HostSettings) -> Option<Own> {
        self.reading.map(|reading| Own {
            memory_bytes: reading.rss.0,
            memory_bytes_max: settings.memory_max.0,
            cpu_ms: u64::try_from(reading.cpu.as_millis()).unwrap_or(u64::MAX),
            cpu_percent: reading.load.map(Percent::as_f64),
        })
    }

    /// Much work for a moment is everyday; for a minute it is not, and nothing but a person can say why.
    fn processor(&mut self, now: Now, load: Option<Percent>, warnings: &Warnings) {
        let Some(load) = load else { return };
        if load.as_f64() < BUSY_PERCENT {
            self.busy_looks = 0;
            warnings.end(Topic::Processor);
            return;
        }
        self.busy_looks = self.busy_looks.saturating_add(1);
        if self.busy_looks == BUSY_LOOKS {
            let text = format!(
                "the agent has taken {BUSY_PERCENT:.0} % of a processor or more for a minute; `ansai status` says what \
                 it takes now; fewer checks or longer periods take less"
            );
            warnings.raise(now.wall, Topic::Processor, text);
        }
    }

    fn clock(&mut self, now: Now, warnings: &Warnings) {
        if let Some(jump) = self.jumps.look(now) {
            let text = format!("the wall clock was {jump}; waits and budgets go on as if it had not been");
            warnings.raise(now.wall, Topic::Clock, text);
            self.jump_shown_until = Some(now.mono.plus(JUMP_SHOWN));
        } else if self.jump_shown_until.is_some_and(|until| now.mono >= until) {
            self.jump_shown_until = None;
            warnings.end(Topic::Clock);
        }
    }
}

/// Whether a condition is about the host's figures; reading them for nobody would only wake the host.
fn names_figures(bundle: &Bundle) -> bool {
    let parts = bundle.parts();
    let of_rules = parts.rules.values().filter_map(|rule| rule.condition.as_ref());
    let of_rungs = parts.runbooks.values().flat_map(|runbook| &runbook.rungs).filter_map(|rung| rung.when.as_ref());
    of_rules.chain(of_rungs).any(|condition| condition.expression.names(is_host_figure))
}

impl Agent {
    /// To be called about once a second.
    pub(super) fn look_after_itself(&mut self) {
        let now = self.shell.now();
        self.housekeeping.clock(now, &self.warnings);
        match self.shell.flush_recorder(now) {
            None => {}
            Some(Notice::Stopped { why }) => {
                let why = format!("the journal records no more, and healing goes on: {why}");
                self.warnings.raise(now.wall, Topic::Journal, why);
            }
            Some(Notice::Resumed { lost }) => {
                self.warnings.end(Topic::Journal);
                tracing::info!("the journal records again; {lost} inputs are missing");
            }
        }
        if let Some(what) = self.plight.follow(now, self.shell.ledger_error()) {
            plight::tell(self.shell.outbox(), self.shell.bundle(), now, &what);
        }
        match self.shell.hand_over_rest() {
            Some(why) => self.warnings.raise(now.wall, Topic::Reports, why),
            None => drop(self.warnings.end(Topic::Reports)),
        }
        if self.housekeeping.look.is_due(now.mono) {
            self.look_at_itself(now);
            self.tell_predecessor();
        }
        if self.housekeeping.prune.is_due(now.mono) {
            let gone = self.shell.prune_reports(now.wall, self.configuration.host_settings().reports_kept_for);
            if gone > 0 {
                tracing::info!("{gone} old reports are let go");
            }
        }
        if self.housekeeping.figures.is_due(now.mono) && names_figures(self.shell.bundle()) {
            self.inventory.facts = self.host.figures();
            self.inventory.facts.extend(self.housekeeping.quiet_hour.clone().map(|hour| (QUIET_HOUR.into(), hour)));
            self.shell.step(Input::Facts(self.inventory.facts.clone()));
        }
        if self.housekeeping.load.is_due(now.mono) && Trends::is_learning(self.shell.engine()) {
            self.learn_quiet_hour(now);
        }
        if self.housekeeping.trends.is_due(now.mono)
            && let Err(error) = self.shell.save_trends()
        {
            tracing::warn!("what the figures were cannot be kept: {error}");
        }
        if self.housekeeping.forget_start_at.is_some_and(|at| now.mono >= at) {
            self.housekeeping.forget_start_at = None;
            // While something is broken, the code that mends it stays where it is: its disk may be what is broken.
            if self.shell.settles() {
                own_memory::forget_start();
            }
        }
        if self.housekeeping.trim.is_due(now.mono) {
            own_memory::trim();
        }
        if self.housekeeping.alive.is_due(now.mono) {
            self.shell.tell(EventKind::Alive);
        }
        self.shell.gauge();
        self.background.alive(self.shell.unwell().as_deref());
    }

    /// An agent before this one that cannot end is told for as long as it is there.
    pub(super) fn tell_predecessor(&mut self) {
        let Some(before) = self.predecessor else { return };
        if before.has_ended() {
            self.predecessor = None;
            self.warnings.end(Topic::Predecessor);
            return;
        }
        let text = format!(
            "the agent before this one (pid {}) was killed and cannot end, since it waits for a disk or a server that \
             does not answer; it acts no more, and this one has taken its place",
            before.pid
        );
        self.warnings.raise(self.shell.now().wall, Topic::Predecessor, text);
    }

    /// The hour in which the host is least busy changes seldom; the engine is told when it does.
    fn learn_quiet_hour(&mut self, now: Now) {
        if let Some(Value::Number(load)) = self.host.figures().get("host.load") {
            self.shell.learns_load(now.wall, *load);
        }
        let hour = self.shell.quiet_hour(now.wall);
        // Facts that were asked for anew do not hold it.
        if hour == self.housekeeping.quiet_hour && self.inventory.facts.get(QUIET_HOUR) == hour.as_ref() {
            return;
        }
        match hour.clone() {
            Some(hour) => drop(self.inventory.facts.insert(QUIET_HOUR.into(), hour)),
            None => drop(self.inventory.facts.remove(QUIET_HOUR)),
        }
        self.housekeeping.quiet_hour = hour;
        self.shell.step(Input::Facts(self.inventory.facts.clone()));
    }

    /// Above its limit the agent gives back what it can, then does without what can wait, and says so; it never stops
    /// observing and healing for it.
    pub(super) fn look_at_itself(&mut self, now: Now) {
        let memory_max = self.configuration.host_settings().memory_max;
        let reading = match self.housekeeping.watch.look(now.mono, memory_max) {
            Ok(reading) => reading,
            Err(error) => return tracing::debug!("the agent cannot look at itself: {error}"),
        };
        self.housekeeping.reading = Some(reading);
        self.housekeeping.processor(now, reading.load, &self.warnings);
        self.shell.measured(&reading);
        match reading.pressure {
            Pressure::None => {
                if self.shell.ends_shedding() {
                    self.warnings.end(Topic::Memory);
                    tracing::info!("the agent takes {} again, which is within its limit", reading.rss);
                }
            }
            Pressure::Shrink => {
                tracing::info!("the agent takes {}, more than {memory_max}; buffers are given back", reading.rss);
                self.shell.shrink();
                own_memory::trim();
            }
            Pressure::Degrade => {
                let why = format!("the agent takes more memory than {memory_max}");
                self.shell.shrink();
                own_memory::trim();
                self.shell.sheds(now, &why);
                let text = format!("{why}, so it gathers no evidence and records no journal until it takes less");
                self.warnings.raise(now.wall, Topic::Memory, text);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::Events;

    fn at(seconds: u64, ahead_seconds: i64) -> Now {
        let mut now = Now::default().plus(Duration::from_secs(seconds));
        now.wall.0 += ahead_seconds * 1000;
        now
    }

    #[test]
    fn what_is_due_comes_once_a_period() {
        let mut every = Every::new(Duration::from_secs(10), MonoTime::default());
        let due: Vec<u64> = (0..35).filter(|second| every.is_due(at(*second, 0).mono)).collect();
        assert_eq!(due, [10, 20, 30]);
    }

    #[test]
    fn a_jump_is_warned_of_for_an_hour() {
        let (mut housekeeping, warnings) = (Housekeeping::new(at(0, 0)), Warnings::new(Events::new()));
        housekeeping.clock(at(1, 7200), &warnings);
        assert!(warnings.all()[0].as_str().contains("set forward by 2h"), "{:?}", warnings.all());
        housekeeping.clock(at(3600, 7200), &warnings);
        assert_eq!(warnings.all().len(), 1);
        housekeeping.clock(at(3602, 7200), &warnings);
        assert_eq!(warnings.all().len(), 0);
    }
    #[test]
    fn a_minute_of_much_work_is_warned_of_until_it_ends() {
        let (mut housekeeping, warnings) = (Housekeeping::new(at(0, 0)), Warnings::new(Events::new()));
        let mut look = |percent| housekeeping.processor(at(0, 0), Some(Percent::of(percent, 100)), &warnings);
        (0..5).for_each(|_| look(90));
        look(3);
        (0..5).for_each(|_| look(90));
        assert_eq!(warnings.all().len(), 0);
        look(50);
        assert!(warnings.all()[0].as_str().contains("for a minute"), "{:?}", warnings.all());
        look(49);
        assert_eq!(warnings.all().len(), 0);
    }
}
