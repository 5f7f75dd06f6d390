//! What is worth knowing of a container that fails: what its health check said run by run, what it logged last, which image it
//! runs, and who acts on it.

use std::time::Duration;

use ansai_model::{
    domain::container::{ContainerProbe, Owner},
    incident::{Evidence, EvidenceKind},
    time::WallTime,
};
use serde_json::Value;

use super::{
    Asked, api,
    engines::{self, Engine},
    own, read,
};
use crate::linux::{
    aside::{self, Kind, Work},
    probe::Context,
    systemd::Bus,
};

/// Longest that its engines are looked for.
const FIND_TIME: Duration = Duration::from_secs(3);
/// Most lines of its log.
const LINES: u32 = 50;
/// Most runs of its health check that are told.
const RUNS_MAX: usize = 5;

/// Collects it.
pub(super) async fn gather(
    context: &Context,
    bus: Option<&Bus>,
    probe: &ContainerProbe,
    failed: WallTime,
) -> Vec<Evidence> {
    if !read::is_id(&probe.name) {
        return Vec::new();
    }
    let root = context.root.clone();
    let work = Work::new(Kind::Gather, "the sockets of container engines");
    for engine in aside::run(work, FIND_TIME, move || engines::all(&root)).await.unwrap_or_default() {
        // Nobody is started for it.
        let is_up = engine.runs(bus).await;
        let asked = async { super::inspect(&engine, &probe.name).await.ok() };
        let Some(value) = (if is_up { asked.await } else { None }) else { continue };
        // A restart leaves both as they were, and each line is of its own time.
        let mut found = vec![Evidence::new(engine.name(), EvidenceKind::Resources, about(&value))];
        let runs = runs(&value);
        if !runs.is_empty() {
            found.push(Evidence::new("its own health check", EvidenceKind::Look, runs));
        }
        match log(&engine, &probe.name, failed).await {
            Ok(log) if log.is_empty() => {}
            Ok(log) => found.push(Evidence::new(format!("{} logs", engine.name()), EvidenceKind::Log, log)),
            Err(why) => found.push(Evidence::new(format!("{} logs", engine.name()), EvidenceKind::Missing, why)),
        }
        return found;
    }
    vec![Evidence::new("the container", EvidenceKind::Missing, "no engine says anything of it")]
}

fn about(value: &Value) -> String {
    let image = read::line(read::text(value, "/Config/Image"));
    let policy = Some(read::text(value, "/HostConfig/RestartPolicy/Name")).filter(|policy| !policy.is_empty());
    let owner = match read::owner(value, own()) {
        Owner::Nobody => "nobody else acts on it".to_owned(),
        Owner::Unit(unit) => format!("{unit} runs it"),
        Owner::Other(who) => who.to_string(),
    };
    let restarts = value.get("RestartCount").and_then(Value::as_u64).unwrap_or_default();
    format!(
        "image {image}; {owner}; restart policy {}, restarted {restarts} times by its engine",
        policy.unwrap_or("no")
    )
}

/// The last runs of its health check, a line each.
fn runs(value: &Value) -> String {
    let log = value.pointer("/State/Health/Log").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let told = |run: &Value| {
        let code = run.get("ExitCode").and_then(Value::as_i64).unwrap_or_default();
        format!("{}: code {code}: {}", read::line(read::text(run, "/End")), read::line(read::text(run, "/Output")))
    };
    log.iter().skip(log.len().saturating_sub(RUNS_MAX)).map(told).collect::<Vec<_>>().join("\n")
}

/// What it had logged last when it was seen failing.
async fn log(engine: &Engine, name: &str, failed: WallTime) -> Result<String, String> {
    let until = failed.0.div_euclid(1_000).saturating_add(1);
    let path = format!("/containers/{name}/logs?stdout=true&stderr=true&tail={LINES}&until={until}");
    match super::get(engine, path, api::ONE_MAX).await {
        Ok(answer) => Ok(unframed(answer.bytes())),
        Err(Asked::No(why)) => Err(why.to_string()),
        Err(Asked::Late) => Err("its log did not come in time".into()),
    }
}

/// Without the eight bytes before each piece of both streams, which a container with a terminal does not have.
fn unframed(mut bytes: &[u8]) -> String {
    let mut text = Vec::new();
    while let Some((head, rest)) = bytes.split_at_checked(8) {
        let length = u32::from_be_bytes([head[4], head[5], head[6], head[7]]);
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if !matches!(head[0], 0..=2) || head[1..4] != [0; 3] {
            break;
        }
        let (piece, rest) = rest.split_at(length.min(rest.len()));
        text.extend_from_slice(piece);
        bytes = rest;
    }
    text.extend_from_slice(bytes);
    String::from_utf8_lossy(&text).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_told_without_its_frames_whatever_is_in_it() {
        let framed = |stream: u8, text: &str| {
            let length = u32::try_from(text.len()).expect("short").to_be_bytes();
            [&[stream, 0, 0, 0][..], &length, text.as_bytes()].concat()
        };
        assert_eq!(unframed(&[framed(1, "one\n"), framed(2, "two\n")].concat()), "one\ntwo");
        assert_eq!(unframed(b"a terminal says so\n"), "a terminal says so");
        assert_eq!(unframed(&[1, 0, 0, 0, 255, 255, 255, 255, b'x']), "x");
        assert_eq!(unframed(b""), "");
    }

    #[test]
    fn the_last_runs_of_a_health_check_are_told_a_line_each() {
        let run = |code: u32| serde_json::json!({"End": "2026-01-01T00:00:00Z", "ExitCode": code, "Output": "re\nfused\u{1b}"});
        let value = serde_json::json!({"State": {"Health": {"Log": (0..9).map(run).collect::<Vec<_>>()}}});
        let told = runs(&value);
        assert_eq!(told.lines().count(), RUNS_MAX);
        assert!(told.ends_with("2026-01-01T00:00:00Z: code 8: re fused\\u{1b}"), "{told}");
        assert_eq!(runs(&Value::Null), "");
        assert!(about(&Value::Null).starts_with("image ; nobody else acts on it; restart policy no"));
    }
}
