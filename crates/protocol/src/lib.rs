//! What crosses the local API, the documented, stable shapes of `--json`, and what crosses the link between a host and its
//! controller. Nothing here decides or does IO.

use ansai_model::{
    id::{CheckId, IncidentId, RouteId, TargetId},
    incident::Phase,
    observation::Health,
    operator::Operation,
    report::Report,
    rule::{Autonomy, Severity},
    text::Text,
};
use serde::{Deserialize, Serialize};

pub mod access;
mod event;
pub mod link;
pub mod operation;
pub mod record;
pub mod ssh;
pub mod views;

pub use event::{Event, EventKind};

/// The version of all shapes here; it grows when one changes in a way that a reader must know.
pub const SCHEMA: u32 = 1;

/// What the agent says of itself and of its targets.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The agent's version.
    pub version: String,
    /// The number of the process.
    pub pid: u32,
    /// The host's name.
    pub host: String,
    /// What the host is for, when the configuration says so.
    #[serde(default)]
    pub role: Option<String>,
    /// For how many seconds the agent has been running.
    pub uptime_seconds: u64,
    /// Which bundle is in force; grows with each reload.
    pub generation: u64,
    /// Why the newest configuration is not in force, when it is not.
    pub configuration_error: Option<String>,
    /// Why the ledger cannot be saved, when it cannot: nothing is done then.
    pub ledger_error: Option<String>,
    /// Why automation is held for everything, when it is.
    pub held: Option<String>,
    /// Holds in force.
    pub holds: Vec<ScopeView>,
    /// Silences in force.
    pub silences: Vec<ScopeView>,
    /// Maintenance windows in force: those of the configuration, and those that operators opened.
    #[serde(default)]
    pub maintenance: Vec<ScopeView>,
    /// Messages that wait to be delivered.
    pub messages_waiting: usize,
    /// What an operator should know of the agent and its configuration, and what stops nothing.
    #[serde(default)]
    pub warnings: Vec<Text>,
    /// What the agent itself takes; none before its first look at itself.
    #[serde(default)]
    pub own: Option<Own>,
    /// Names with wildcards in the configuration that no unit of this host has; one that comes is watched.
    #[serde(default)]
    pub idle_patterns: Vec<String>,
    /// The controller that the host has joined; nothing when it has joined none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub controller: Option<ControllerView>,
    /// Every target, by name.
    pub targets: Vec<TargetStatus>,
}

/// How it stands between an agent and its controller.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct ControllerView {
    /// Where the controller is, as host and port.
    pub address: String,
    /// Who the host is there; nothing before the first link.
    #[serde(default)]
    pub host: Option<link::HostId>,
    /// What the controller calls it.
    #[serde(default)]
    pub name: Option<String>,
    /// Since when there is a link, in milliseconds since 1970; nothing when there is none now.
    #[serde(default)]
    pub connected_since_ms: Option<i64>,
    /// When the controller was last heard, in milliseconds since 1970, since the agent runs.
    #[serde(default)]
    pub heard_ms: Option<i64>,
    /// How many changes wait to be told, or to be kept there.
    #[serde(default)]
    pub waiting: usize,
    /// What is wrong, when something is.
    #[serde(default)]
    pub trouble: Option<Text>,
    /// What to do then.
    #[serde(default)]
    pub suggestion: Option<Text>,
}

/// What the agent itself takes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Own {
    /// Resident memory.
    pub memory_bytes: u64,
    /// Memory above which it drops what can wait.
    pub memory_bytes_max: u64,
    /// Processor time since it started, in milliseconds.
    pub cpu_ms: u64,
    /// Share of one processor over the last ten seconds or so, in percent; none at first.
    pub cpu_percent: Option<f64>,
}

/// A hold, a silence or a maintenance window.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ScopeView {
    /// Which targets, in words.
    pub scope: String,
    /// The name of whoever did it.
    pub by: String,
    /// The reason, as people read it.
    pub reason: String,
    /// When it ends by itself, in milliseconds since 1970; nothing when a person must end it.
    #[serde(default)]
    pub until_ms: Option<i64>,
    /// The command that ends it, when that is given on the controller and no command on this host ends it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_by: Option<String>,
}

/// A target as it stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TargetStatus {
    /// The target, by its name.
    pub target: TargetId,
    /// The worst of its checks.
    pub health: Health,
    /// What the worst check last saw.
    pub summary: Text,
    /// Its open incident, when there is one.
    pub incident: Option<IncidentId>,
    /// In one sentence: what is event, or why nothing is.
    pub explanation: Text,
    /// Whether a person must act at once when it cannot be healed.
    #[serde(default)]
    pub is_critical: bool,
    /// The most that may be done to it without a person; none when nothing would be.
    #[serde(default)]
    pub autonomy: Option<Autonomy>,
    /// Whether a hold or the HOLD file stops all action on it.
    #[serde(default)]
    pub is_held: bool,
    /// That it is down because an operator wants it so; nothing when nobody does.
    #[serde(default)]
    pub stopped: Option<StoppedView>,
    /// What a person should know of it though nothing fails.
    #[serde(default)]
    pub warning: Option<Text>,
}

/// That a target is down because an operator wants it so.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoppedView {
    /// In words.
    pub why: Text,
    /// Since when, in milliseconds since 1970, when systemd says.
    #[serde(default)]
    pub since_ms: Option<i64>,
}

/// An incident in a line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IncidentSummary {
    /// The incident, by its number.
    pub id: IncidentId,
    /// What it is about.
    pub target: TargetId,
    /// The check that opened it: of one target several matters may be open.
    pub check: CheckId,
    /// How soon a person must act.
    pub severity: Severity,
    /// Where it stands.
    pub phase: Phase,
    /// What happened, in a line.
    pub headline: Text,
    /// Whether it was injected on purpose.
    #[serde(default)]
    pub is_drill: bool,
    /// When it was opened, in milliseconds since 1970.
    pub opened_ms: i64,
    /// How long the target was down, in milliseconds, when it has recovered.
    pub downtime_ms: Option<u64>,
    /// Whether it is open still and its target is well again, and watched until it has stayed so.
    #[serde(default)]
    pub is_well_again: bool,
    /// Whether its remediation is kept from going on: somebody wants its target left alone, or its rule may do less by now.
    #[serde(default)]
    pub is_kept: bool,
    /// Since when the target is well, in milliseconds since 1970, when it is or was when the incident ended.
    #[serde(default)]
    pub well_since_ms: Option<i64>,
    /// Who has said at the controller that he sees to it; nobody says so to a host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen_to: Option<Box<SeenTo>>,
    /// Who told people of it last, as far as whoever says this knows; nothing before anybody has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<Text>,
}

/// Somebody sees to an incident, until it ends or gets worse.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenTo {
    /// Who.
    pub by: Text,
    /// Since when, in milliseconds since 1970.
    pub at_ms: i64,
    /// What he has to say of it; may be empty.
    pub reason: Text,
}

impl IncidentSummary {
    /// Whether it has not ended.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !matches!(self.phase, Phase::Resolved(_))
    }
}

/// Incidents, newest first.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Incidents {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The incidents, newest first where nothing else is said.
    pub incidents: Vec<IncidentSummary>,
}

/// A report.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReportAnswer {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The host's name.
    pub host: String,
    /// The report that people get.
    pub report: Report,
}

/// What an operator asks for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Operate {
    /// The operation that was asked for.
    pub operation: Operation,
}

/// What came of a trial of routes: a test on every one, or a connection without a message.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RouteTrials {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Each route that was tried, by name.
    pub routes: Vec<RouteTrial>,
}

/// What came of a trial of one route.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RouteTrial {
    /// The route, by its name.
    pub route: RouteId,
    /// How it tells, in words.
    pub way: String,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// Why nothing arrives there; nothing when the test was taken over, or would be.
    pub error: Option<String>,
}

/// What the agent may do, tried from where it runs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Abilities {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Each ability that the configuration needs.
    pub abilities: Vec<AbilityTrial>,
}

/// What came of a trial of one ability.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AbilityTrial {
    /// What was tried, in words that continue "the agent may …".
    pub what: Text,
    /// The targets and routes that need it.
    pub needed_by: Vec<String>,
    /// Why it cannot be done; nothing when it can.
    pub error: Option<Text>,
    /// What to do when it cannot.
    pub suggestion: Text,
}

/// It was done.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Done {
    /// [`SCHEMA`].
    pub schema: u32,
    /// In words.
    pub text: Text,
}

/// What would be done.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Would {
    /// [`SCHEMA`].
    pub schema: u32,
    /// What would be answered, in words.
    pub text: Text,
    /// What the host would do, step by step, where something would begin at once.
    #[serde(default)]
    pub steps: Vec<Text>,
}

/// It was not.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Problem {
    /// [`SCHEMA`].
    pub schema: u32,
    /// What it was, as people read it.
    pub what: Text,
    /// What to do.
    pub suggestion: Text,
}

/// A problem as an API answers it (RFC 9457): what programs of any kind understand, and beside it the words of [`Problem`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProblemDocument {
    /// [`SCHEMA`].
    pub schema: u32,
    /// What kind it is; `about:blank` says that the status code tells it.
    #[serde(rename = "type")]
    pub kind: String,
    /// What its status code means, in words.
    pub title: String,
    /// The status code.
    pub status: u16,
    /// What it was, as people read it.
    pub detail: Text,
    /// The same, under the name that it has in every problem of ours.
    pub what: Text,
    /// What to do.
    pub suggestion: Text,
}

impl Problem {
    /// The same as a document of its own, with the status code and that code's words.
    #[must_use]
    pub fn document(self, status: u16, title: &str) -> ProblemDocument {
        let Self { schema, what, suggestion } = self;
        let (kind, title, detail) = ("about:blank".to_owned(), title.to_owned(), what.clone());
        ProblemDocument { schema, kind, title, status, detail, what, suggestion }
    }

    /// A problem with a suggestion.
    #[must_use]
    pub fn new(what: impl Into<Text>, suggestion: impl Into<Text>) -> Self {
        Self { schema: SCHEMA, what: what.into(), suggestion: suggestion.into() }
    }

    /// What the host refuses to do on a target, whether it was only asked or was to do it.
    #[must_use]
    pub fn refused(why: Text, target: &TargetId) -> Self {
        Self::new(why, Text::new(format!("nothing was changed; `ansai explain {target}` says how it stands")))
    }
}
