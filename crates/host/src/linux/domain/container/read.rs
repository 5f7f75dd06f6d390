//! What engines say of containers, read leniently: Docker and Podman differ in words and in what they leave out, and one field
//! that makes no sense must not hide a container.

use std::time::Duration;

use ansai_model::{
    domain::container::{ContainerSnapshot, ContainerState, EndedBy, HealthSeen, Owner, Verdict},
    id::UnitName,
    text::{Text, visible_line},
    time::WallTime,
};
use serde_json::Value;

/// Most characters of what a health check said.
const SAID_MAX: usize = 300;
/// Most containers that one needs.
const NEEDS_MAX: usize = 64;
/// What Docker does where an image says nothing.
const EVERY: Duration = Duration::from_secs(30);
const RETRIES: u32 = 3;
/// Labels by which whoever runs a container shows, and who that is.
const ORCHESTRATORS: &[(&str, &str)] = &[
    ("io.kubernetes.pod.uid", "a kubelet"),
    ("io.kubernetes.pod.name", "a kubelet"),
    ("com.docker.swarm.task.id", "a swarm"),
    ("com.docker.swarm.service.id", "a swarm"),
    ("com.hashicorp.nomad.alloc_id", "Nomad"),
    ("com.amazonaws.ecs.task-arn", "ECS"),
];

/// What an image is called that has members elsewhere which decide with it, or that comes back empty where it keeps nothing on a
/// disk: whether it may be restarted its cluster knows, or a person.
const CLUSTERED: &[&str] = &[
    "redis",
    "valkey",
    "keydb",
    "dragonfly",
    "sentinel",
    "patroni",
    "spilo",
    "repmgr",
    "pgpool",
    "galera",
    "etcd",
    "consul",
    "zookeeper",
    "mongo",
    "mongodb",
    "cassandra",
    "scylla",
    "scylladb",
    "cockroach",
    "elasticsearch",
    "opensearch",
    "kafka",
    "rabbitmq",
];

/// A text at a place; an empty one where there is none.
pub(super) fn text<'a>(value: &'a Value, place: &str) -> &'a str {
    value.pointer(place).and_then(Value::as_str).unwrap_or_default()
}

/// A label of a container, in a list or in its own answer.
pub(super) fn label<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    let labels = value.pointer("/Config/Labels").or_else(|| value.get("Labels"))?;
    labels.get(name)?.as_str()
}

/// A moment; nothing for the one that stands for never.
pub(super) fn moment(text: &str) -> Option<WallTime> {
    let at = text.parse::<jiff::Timestamp>().ok()?.as_millisecond();
    (at > 0).then_some(WallTime(at))
}

fn nanos(value: &Value, place: &str) -> Option<Duration> {
    let nanos = value.pointer(place)?.as_u64()?;
    (nanos > 0).then(|| Duration::from_nanos(nanos))
}

fn count(value: &Value, place: &str) -> Option<u32> {
    let count = value.pointer(place)?.as_u64()?;
    Some(u32::try_from(count).unwrap_or(u32::MAX))
}

/// What one container's own answer says; who ended it and what is wrong with its network is asked for besides.
pub(super) fn snapshot(value: &Value) -> ContainerSnapshot {
    let word = text(value, "/State/Status");
    let policy = text(value, "/HostConfig/RestartPolicy/Name");
    let exit_code = value.pointer("/State/ExitCode").and_then(Value::as_i64).unwrap_or_default();
    ContainerSnapshot {
        state: ContainerState::named(word),
        word: word.into(),
        started: moment(text(value, "/State/StartedAt")),
        finished: moment(text(value, "/State/FinishedAt")),
        exit_code,
        error: line(text(value, "/State/Error")),
        is_oom_killed: value.pointer("/State/OOMKilled").and_then(Value::as_bool).unwrap_or_default(),
        health: health(value),
        restarts: count(value, "/RestartCount").unwrap_or_default(),
        restarts_lately: 0,
        comes_back: match policy {
            "" | "no" => false,
            // A task that is done is done.
            "on-failure" => exit_code != 0,
            _ => true,
        },
        ended_by: EndedBy::Unknown,
        shared: None,
        is_rootless: false,
    }
}

/// What its health check says; nothing when it has none.
fn health(value: &Value) -> Option<HealthSeen> {
    let verdict = match text(value, "/State/Health/Status") {
        "healthy" => Verdict::Healthy,
        "unhealthy" => Verdict::Unhealthy,
        "starting" => Verdict::Starting,
        _ => return None,
    };
    let log = value.pointer("/State/Health/Log").and_then(Value::as_array);
    let last = log.and_then(|log| log.last());
    let check = value.pointer("/Config/Healthcheck").unwrap_or(&Value::Null);
    Some(HealthSeen {
        verdict,
        failed_in_a_row: count(value, "/State/Health/FailingStreak").unwrap_or_default(),
        last_run: last.and_then(|last| moment(text(last, "/End"))),
        said: last.map_or_else(|| "".into(), |last| line(text(last, "/Output"))),
        every: nanos(check, "/Interval").unwrap_or(EVERY),
        timeout: nanos(check, "/Timeout").unwrap_or(EVERY),
        start_period: nanos(check, "/StartPeriod").unwrap_or_default(),
        retries: count(check, "/Retries").filter(|retries| *retries > 0).unwrap_or(RETRIES),
    })
}

/// How long after a start it may take until its health check has a verdict, when it has one.
pub(super) fn settles_within(value: &Value) -> Option<Duration> {
    let test = value.pointer("/Config/Healthcheck/Test")?.as_array()?;
    if test.first().and_then(Value::as_str).is_none_or(|kind| kind == "NONE") {
        return None;
    }
    let known = health(value).map(|health| health.settles_within());
    known.or_else(|| {
        let round = nanos(value, "/Config/Healthcheck/Interval").unwrap_or(EVERY);
        Some(round.saturating_mul(RETRIES + 1))
    })
}

/// One line of what others said.
pub(super) fn line(said: &str) -> Text {
    let shown: String = visible_line(said).chars().take(SAID_MAX).collect();
    Text::new(shown)
}

/// Who acts on it, by its labels and by Podman's own action; `own` is the id of the container that this process runs in.
pub(super) fn owner(value: &Value, own: Option<&str>) -> Owner {
    if own.is_some_and(|own| own == text(value, "/Id")) {
        return Owner::Other("ansai itself runs in it".into());
    }
    if let Some((_, who)) = ORCHESTRATORS.iter().find(|(name, _)| label(value, name).is_some()) {
        return Owner::Other(Text::new(format!("{who} runs it")));
    }
    // Podman's own answer says so, and the one in Docker's form does not.
    let action = text(value, "/Config/HealthcheckOnFailureAction");
    if !matches!(action, "" | "none") {
        return Owner::Other(Text::new(format!("Podman acts itself (--health-on-failure={action})")));
    }
    if let Some(what) = clustered(text(value, "/Config/Image")).or_else(|| clustered(text(value, "/Image"))) {
        let why = format!("its image is one of {what}, which a restart may empty or part from its cluster");
        return Owner::Other(Text::new(why));
    }
    match label(value, "PODMAN_SYSTEMD_UNIT").and_then(|unit| UnitName::new(unit).ok()) {
        Some(unit) => Owner::Unit(unit),
        None => Owner::Nobody,
    }
}

/// What an image is one of that is left to its cluster, by the words of its name; one that only looks at such is none.
fn clustered(image: &str) -> Option<&'static str> {
    let name = image.rsplit('/').next()?.split([':', '@']).next()?;
    let words: Vec<&str> = name.split(|c: char| !c.is_ascii_alphanumeric()).collect();
    let only_looks = words.iter().any(|word| ["exporter", "commander", "ui", "insight"].contains(word));
    let found = CLUSTERED.iter().find(|known| words.iter().any(|word| word.eq_ignore_ascii_case(known)));
    found.copied().filter(|_| !only_looks)
}

/// The id of the container whose network it shares.
pub(super) fn shares_with(value: &Value) -> Option<&str> {
    text(value, "/HostConfig/NetworkMode").strip_prefix("container:").filter(|id| is_id(id))
}

/// Whether a text can stand in an address as it is: an id, or a name.
pub(super) fn is_id(text: &str) -> bool {
    let is_fine = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    !text.is_empty() && text.len() <= 255 && !text.starts_with('.') && text.chars().all(is_fine)
}

/// What a container needs by its composition: services of the same project.
pub(super) fn depends_on(value: &Value) -> Vec<&str> {
    let said = label(value, "com.docker.compose.depends_on").unwrap_or_default();
    let members = said.split(',').filter_map(|need| need.split(':').next());
    members.map(str::trim).filter(|member| !member.is_empty()).take(NEEDS_MAX).collect()
}

/// The composition that it is of, and what it is called there.
pub(super) fn place_in_composition(value: &Value) -> Option<(&str, &str)> {
    Some((label(value, "com.docker.compose.project")?, label(value, "com.docker.compose.service")?))
}

/// Its name, without a slash; of several the first that is no link to another.
pub(super) fn name(value: &Value) -> Option<&str> {
    let names = value.get("Names").and_then(Value::as_array);
    let mut all =
        names.into_iter().flatten().filter_map(Value::as_str).chain(value.get("Name").and_then(Value::as_str));
    all.find_map(|name| Some(name.trim_start_matches('/')).filter(|name| is_id(name)))
}

#[cfg(test)]
mod tests;
