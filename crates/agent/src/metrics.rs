//! Figures about the agent in Prometheus' text format.
//!
//! Counting never waits and never allocates; a scrape reads what is there. Labels are words of ours, never names of
//! targets: their number is known before the program runs. Serving them is [`serve`]'s, on loopback only.

use std::{
    fmt::Write,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use ansai_model::{action::ActionOutcome, decision::Choice, observation::Health};
use ansai_notify::outbox::Delivery;

use crate::selfwatch::Reading;

pub mod serve;

/// Upper bounds of the buckets of a latency, in microseconds.
const BUCKETS: [u64; 12] = [50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 50_000, 250_000, 1_000_000, 10_000_000];

const HEALTHS: [&str; 3] = ["healthy", "failing", "unknown"];
const OUTCOMES: [&str; 6] = ["succeeded", "not-needed", "failed", "timed-out", "refused", "lost"];
const CHOICES: [&str; 4] = ["act", "defer", "deny", "escalate"];
const DELIVERIES: [&str; 6] = ["delivered", "retrying", "rerouted", "dead", "dropped", "refused"];
const SAVES: [&str; 2] = ["saved", "failed"];
const PHASES: [&str; 5] = ["open", "awaiting-approval", "remediating", "stabilizing", "escalated"];

/// How many incidents are in which phase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Incidents {
    /// Nothing is done yet.
    pub open: u64,
    /// Wait for an operator.
    pub awaiting_approval: u64,
    /// A runbook is being run.
    pub remediating: u64,
    /// Well again, and watched.
    pub stabilizing: u64,
    /// A person has them.
    pub escalated: u64,
}

/// A latency: how many were below which bound, and their sum.
#[derive(Debug, Default)]
struct Histogram {
    buckets: [AtomicU64; BUCKETS.len()],
    count: AtomicU64,
    sum_micros: AtomicU64,
}

impl Histogram {
    fn observe(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        if let Some(at) = BUCKETS.iter().position(|bound| micros <= *bound) {
            self.buckets[at].fetch_add(1, Relaxed);
        }
        self.sum_micros.fetch_add(micros, Relaxed);
        self.count.fetch_add(1, Relaxed);
    }
}

/// All figures. Shared by reference; every method takes `&self`.
#[derive(Debug, Default)]
pub struct Metrics {
    observations: [AtomicU64; HEALTHS.len()],
    actions: [AtomicU64; OUTCOMES.len()],
    decisions: [AtomicU64; CHOICES.len()],
    deliveries: [AtomicU64; DELIVERIES.len()],
    ledger_saves: [AtomicU64; SAVES.len()],
    incidents: [AtomicU64; PHASES.len()],
    ledger_latency: Histogram,
    loop_lag: Histogram,
    incidents_opened: AtomicU64,
    incidents_resolved: AtomicU64,
    probes_in_flight: AtomicU64,
    targets: AtomicU64,
    checks: AtomicU64,
    outbox_length: AtomicU64,
    heartbeat_failures: AtomicU64,
    rss_bytes: AtomicU64,
    cpu_millis: AtomicU64,
    is_held: AtomicU64,
}

impl Metrics {
    /// All at zero.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A probe ended.
    pub fn observed(&self, health: Health) {
        let at = match health {
            Health::Healthy => 0,
            Health::Failing => 1,
            Health::Unknown => 2,
        };
        self.observations[at].fetch_add(1, Relaxed);
    }

    /// An action ended.
    pub fn acted(&self, outcome: &ActionOutcome) {
        let at = match outcome {
            ActionOutcome::Succeeded { .. } => 0,
            ActionOutcome::NotNeeded { .. } => 1,
            ActionOutcome::Failed { .. } => 2,
            ActionOutcome::TimedOut { .. } => 3,
            ActionOutcome::Refused { .. } => 4,
            ActionOutcome::Lost { .. } => 5,
        };
        self.actions[at].fetch_add(1, Relaxed);
    }

    /// The gates spoke.
    pub fn decided(&self, choice: Choice) {
        let at = match choice {
            Choice::Act => 0,
            Choice::Defer => 1,
            Choice::Deny => 2,
            Choice::Escalate => 3,
        };
        self.decisions[at].fetch_add(1, Relaxed);
    }

    /// Something became of a message.
    pub fn delivery(&self, delivery: &Delivery) {
        let (at, count) = match delivery {
            Delivery::Delivered { messages, .. } => (0, *messages as u64),
            Delivery::Retrying { .. } => (1, 1),
            Delivery::Rerouted { .. } => (2, 1),
            Delivery::Dead { .. } => (3, 1),
            Delivery::Dropped { .. } => (4, 1),
            Delivery::Refused { recipients, .. } => (5, recipients.len() as u64),
        };
        self.deliveries[at].fetch_add(count, Relaxed);
    }

    /// The ledger was saved in this time.
    pub fn ledger_saved(&self, took: Duration) {
        self.ledger_saves[0].fetch_add(1, Relaxed);
        self.ledger_latency.observe(took);
    }

    /// The ledger could not be saved.
    pub fn ledger_failed(&self) {
        self.ledger_saves[1].fetch_add(1, Relaxed);
    }

    /// The loop came to an input this long after it was due.
    pub fn loop_lagged(&self, lag: Duration) {
        self.loop_lag.observe(lag);
    }

    /// An incident opened.
    pub fn incident_opened(&self) {
        self.incidents_opened.fetch_add(1, Relaxed);
    }

    /// An incident was resolved.
    pub fn incident_resolved(&self) {
        self.incidents_resolved.fetch_add(1, Relaxed);
    }

    /// How many incidents there are now.
    pub fn set_incidents(&self, now: Incidents) {
        let values = [now.open, now.awaiting_approval, now.remediating, now.stabilizing, now.escalated];
        for (gauge, value) in self.incidents.iter().zip(values) {
            gauge.store(value, Relaxed);
        }
    }

    /// How many probes are under way.
    pub fn set_probes_in_flight(&self, count: usize) {
        self.probes_in_flight.store(count as u64, Relaxed);
    }

    /// How much the configuration watches.
    pub fn set_watched(&self, targets: usize, checks: usize) {
        self.targets.store(targets as u64, Relaxed);
        self.checks.store(checks as u64, Relaxed);
    }

    /// How many messages wait.
    pub fn set_outbox_length(&self, count: usize) {
        self.outbox_length.store(count as u64, Relaxed);
    }

    /// How many holds there are.
    pub fn set_holds(&self, count: usize) {
        self.is_held.store(count as u64, Relaxed);
    }

    /// A ping of the dead-man's switch did not arrive.
    pub fn heartbeat_failed(&self) {
        self.heartbeat_failures.fetch_add(1, Relaxed);
    }

    /// What the agent itself takes.
    pub fn set_own(&self, reading: &Reading) {
        self.rss_bytes.store(reading.rss.0, Relaxed);
        self.cpu_millis.store(u64::try_from(reading.cpu.as_millis()).unwrap_or(u64::MAX), Relaxed);
    }

    /// All figures as text for a scrape.
    #[must_use]
    pub fn text(&self) -> String {
        let mut page = Page(String::with_capacity(8192));
        page.labeled(
            "ansai_observations_total",
            "Probe runs by what they saw.",
            "health",
            &HEALTHS,
            &self.observations,
        );
        page.labeled("ansai_actions_total", "Actions by how they ended.", "outcome", &OUTCOMES, &self.actions);
        page.labeled("ansai_decisions_total", "Decisions of the gates.", "choice", &CHOICES, &self.decisions);
        page.labeled("ansai_messages_total", "What became of messages.", "result", &DELIVERIES, &self.deliveries);
        page.labeled("ansai_ledger_saves_total", "Saves of the ledger.", "result", &SAVES, &self.ledger_saves);
        page.labeled("ansai_incidents", "Incidents that have not ended.", "phase", &PHASES, &self.incidents);
        page.single("ansai_incidents_opened_total", "Incidents opened.", &self.incidents_opened);
        page.single("ansai_incidents_resolved_total", "Incidents resolved.", &self.incidents_resolved);
        page.single("ansai_heartbeat_failures_total", "Pings that did not arrive.", &self.heartbeat_failures);
        page.single("ansai_probes_in_flight", "Probes under way.", &self.probes_in_flight);
        page.single("ansai_targets", "Targets watched.", &self.targets);
        page.single("ansai_checks", "Checks configured.", &self.checks);
        page.single("ansai_outbox_messages", "Messages that wait.", &self.outbox_length);
        page.single("ansai_holds", "Holds set by operators.", &self.is_held);
        page.single("process_resident_memory_bytes", "Resident memory of the agent.", &self.rss_bytes);
        page.seconds("process_cpu_seconds_total", "Processor time of the agent.", &self.cpu_millis);
        page.histogram("ansai_ledger_save_seconds", "Time of a save of the ledger.", &self.ledger_latency);
        page.histogram("ansai_loop_lag_seconds", "How late the loop came to an input.", &self.loop_lag);
        page.0
    }
}

struct Page(String);

impl Page {
    /// Writing to a string cannot fail.
    fn head(&mut self, name: &str, help: &str, kind: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn kind(name: &str) -> &'static str {
        if name.ends_with("_total") { "counter" } else { "gauge" }
    }

    fn labeled(&mut self, name: &str, help: &str, label: &str, values: &[&str], figures: &[AtomicU64]) {
        self.head(name, help, Self::kind(name));
        for (value, figure) in values.iter().zip(figures) {
            let _ = writeln!(self.0, "{name}{{{label}=\"{value}\"}} {}", figure.load(Relaxed));
        }
    }

    fn single(&mut self, name: &str, help: &str, figure: &AtomicU64) {
        self.head(name, help, Self::kind(name));
        let _ = writeln!(self.0, "{name} {}", figure.load(Relaxed));
    }

    fn seconds(&mut self, name: &str, help: &str, millis: &AtomicU64) {
        self.head(name, help, Self::kind(name));
        let _ = writeln!(self.0, "{name} {}", Duration::from_millis(millis.load(Relaxed)).as_secs_f64());
    }

    fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        self.head(name, help, "histogram");
        // The count is read first and the sum is made of what is counted below, so that no bucket exceeds it.
        let count = histogram.count.load(Relaxed);
        let mut below = 0u64;
        for (bound, bucket) in BUCKETS.iter().zip(&histogram.buckets) {
            below += bucket.load(Relaxed);
            let bound = Duration::from_micros(*bound).as_secs_f64();
            let _ = writeln!(self.0, "{name}_bucket{{le=\"{bound}\"}} {}", below.min(count));
        }
        let _ = writeln!(self.0, "{name}_bucket{{le=\"+Inf\"}} {count}");
        let sum = Duration::from_micros(histogram.sum_micros.load(Relaxed)).as_secs_f64();
        let _ = writeln!(self.0, "{name}_sum {sum}\n{name}_count {count}");
    }
}

#[cfg(test)]
mod tests;
