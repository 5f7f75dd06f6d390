//! Containers of an engine that is played by the test: it notes what it is asked, and answers what the test says.

use std::{
    collections::BTreeMap,
    fs,
    sync::{Arc, Mutex},
};

use ansai_model::{
    action::{Action, ActionOutcome, ActionRun},
    domain::container::ContainerAction,
    id::{RunId, TargetId},
    probe::Probe,
};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{UnixListener, UnixStream},
};
use tokio_util::task::TaskTracker;

use super::*;
use crate::{linux::Options, port::Host as _};

const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const LIMIT: Duration = Duration::from_secs(10);

/// What the engine answers, by path; it has nothing else.
type Answers = Arc<Mutex<BTreeMap<String, Value>>>;

struct Played {
    _root: tempfile::TempDir,
    host: LinuxHost,
    answers: Answers,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Played {
    fn new() -> Self {
        let root = tempfile::tempdir().expect("a folder");
        let me = rustix::process::geteuid();
        let folder = match me.is_root() {
            true => root.path().join("run"),
            false => root.path().join("run/user").join(me.as_raw().to_string()),
        };
        fs::create_dir_all(&folder).expect("made");
        fs::write(folder.join("docker.pid"), "1").expect("written");
        let (answers, asked) = (Answers::default(), Arc::<Mutex<Vec<String>>>::default());
        let listener = UnixListener::bind(folder.join("docker.sock")).expect("free");
        TaskTracker::new().spawn(serve(listener, Arc::clone(&answers), Arc::clone(&asked)));
        let options = Options {
            buses: Vec::new(),
            root: root.path().to_owned(),
            ..Options::this_machine(root.path().join("state"))
        };
        let host = LinuxHost::new(options, &TaskTracker::new());
        Self { _root: root, host, answers, asked }
    }

    /// There is a container of this name, unhealthy and started at this time.
    fn has(&self, name: &str, started: &str) {
        let answer = container(name, started);
        let listed = json!({"Id": ID, "Names": [format!("/{name}")], "Image": "example/web:1", "Labels": answer["Config"]["Labels"]});
        let mut answers = held(&self.answers);
        answers.insert("/containers/json?all=true".into(), json!([listed]));
        for called in [name, ID] {
            answers.insert(format!("/containers/{called}/json"), answer.clone());
        }
        answers.insert(format!("/containers/{ID}/restart"), Value::Null);
    }

    async fn look(&self, name: &str) -> Observation {
        let probe = ContainerProbe { name: name.into(), restarts_max: 3, within: Duration::from_secs(600) };
        self.host.observe(&Probe::from(probe), LIMIT).await
    }

    async fn restart(&self, name: &str) -> ActionOutcome {
        let run = ActionRun {
            id: RunId(1),
            incident: None,
            target: TargetId::of("container", "web").expect("valid"),
            action: Action::from(ContainerAction::Restart { name: name.into() }),
            timeout: LIMIT,
        };
        self.host.perform(&run).await
    }

    fn asked(&self) -> Vec<String> {
        held(&self.asked).clone()
    }

    fn restarts(&self) -> usize {
        self.asked().iter().filter(|line| line.starts_with("POST")).count()
    }
}

fn container(name: &str, started: &str) -> Value {
    let end = jiff::Timestamp::now().to_string();
    json!({
        "Id": ID, "Name": format!("/{name}"), "RestartCount": 0,
        "State": {"Status": "running", "StartedAt": started, "Health": {"Status": "unhealthy", "FailingStreak": 3,
            "Log": [{"Start": end, "End": end, "ExitCode": 1, "Output": "refused"}]}},
        "HostConfig": {"RestartPolicy": {"Name": "no"}, "NetworkMode": "bridge"},
        "Config": {"Image": "example/web:1", "Labels": {}, "Healthcheck": {"Test": ["CMD", "true"]}},
    })
}

async fn serve(listener: UnixListener, answers: Answers, asked: Arc<Mutex<Vec<String>>>) {
    let tasks = TaskTracker::new();
    while let Ok((stream, _)) = listener.accept().await {
        tasks.spawn(answer(stream, Arc::clone(&answers), Arc::clone(&asked)));
    }
}

async fn answer(mut stream: UnixStream, answers: Answers, asked: Arc<Mutex<Vec<String>>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { return };
        head.push(byte);
    }
    let head = String::from_utf8_lossy(&head);
    let line = head.lines().next().unwrap_or_default().to_owned();
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    held(&asked).push(line);
    // Its events never end.
    if path.starts_with("/events") {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
        return std::future::pending().await;
    }
    let found = held(&answers).get(&path).cloned();
    let (status, body) = match found {
        Some(Value::Null) => ("204 No Content", String::new()),
        Some(value) => ("200 OK", value.to_string()),
        None => ("404 Not Found", json!({"message": "no such container"}).to_string()),
    };
    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
    let _ = stream.write_all(answer.as_bytes()).await;
}

#[tokio::test]
async fn a_restart_is_asked_for_the_run_that_was_seen_failing_and_for_no_other() {
    let played = Played::new();
    played.has("web", "2026-01-01T00:00:00Z");
    assert_eq!(played.look("web").await.health(), Health::Failing);
    // Somebody was faster.
    played.has("web", "2026-01-01T00:05:00Z");
    let outcome = played.restart("web").await;
    assert!(
        matches!(&outcome, ActionOutcome::Succeeded { note } if note.as_str().starts_with("nothing was done")),
        "{outcome:?}"
    );
    assert_eq!(played.restarts(), 0);
    assert_eq!(played.look("web").await.health(), Health::Failing);
    let outcome = played.restart("web").await;
    assert!(
        matches!(&outcome, ActionOutcome::Succeeded { note } if note.as_str() == "restarted by docker"),
        "{outcome:?}"
    );
    assert_eq!(played.restarts(), 1);
}

#[tokio::test]
async fn what_is_another_s_or_paused_is_not_restarted_whatever_was_seen() {
    let played = Played::new();
    played.has("web", "2026-01-01T00:00:00Z");
    played.look("web").await;
    let change = |pointer: &str, value: Value| {
        let mut answers = held(&played.answers);
        for called in ["web", ID] {
            let answer = answers.get_mut(&format!("/containers/{called}/json")).expect("there");
            *answer.pointer_mut(pointer).expect("there") = value.clone();
        }
    };
    change("/Config/Labels", json!({"io.kubernetes.pod.uid": "1"}));
    let outcome = played.restart("web").await;
    assert!(
        matches!(&outcome, ActionOutcome::Refused { why } if why.as_str().starts_with("a kubelet runs it")),
        "{outcome:?}"
    );
    change("/Config/Labels", json!({}));
    change("/State/Status", "paused".into());
    let outcome = played.restart("web").await;
    assert!(matches!(&outcome, ActionOutcome::Refused { why } if why.as_str() == "somebody paused it"), "{outcome:?}");
    change("/State/Status", "running".into());
    change("/State/Health/Status", "healthy".into());
    assert!(matches!(played.restart("web").await, ActionOutcome::NotNeeded { .. }));
    assert_eq!(played.restarts(), 0);
}

/// Prune removed volumes that were in use: whatever an engine says, nothing but a restart is ever asked for.
#[tokio::test]
async fn c06_no_way_through_the_code_removes_or_prunes_anything() {
    let played = Played::new();
    let hostile = [
        "web",
        "../volumes/prune",
        "x/../../volumes/prune?filters=",
        "..",
        "web HTTP/1.1\r\nDELETE /volumes/db",
        "%2e%2e",
        "",
    ];
    for name in hostile {
        let mut answer = container(name, "2026-01-01T00:00:00Z");
        answer["Id"] = name.into();
        answer["HostConfig"]["NetworkMode"] = format!("container:{name}").into();
        let labels = json!({"com.docker.compose.project": name, "com.docker.compose.service": name, "com.docker.compose.depends_on": name});
        let listed = json!({"Id": name, "Names": [name], "Labels": labels, "HostConfig": answer["HostConfig"]});
        held(&played.answers).insert("/containers/json?all=true".into(), json!([listed]));
        held(&played.answers).insert("/containers/web/json".into(), answer);
        played.host.inventory().await;
        for asked_for in hostile {
            played.look(asked_for).await;
            played.restart(asked_for).await;
            let action = Action::from(ContainerAction::Restart { name: asked_for.into() });
            played.host.plan(&action).await;
            let probe = ContainerProbe { name: asked_for.into(), restarts_max: 3, within: LIMIT };
            evidence::gather(&played.host.inner.context, None, &probe, ansai_model::time::WallTime(0)).await;
        }
    }
    let asked = played.asked();
    assert!(asked.iter().any(|line| line == "POST /containers/web/restart HTTP/1.1"), "{asked:#?}");
    let is_fine = |line: &&String| {
        let question = line
            .strip_prefix("GET /")
            .is_some_and(|path| path.starts_with("containers/") || path.starts_with("events?"));
        (question && !line.contains("prune") && !line.contains(".."))
            || **line == "POST /containers/web/restart HTTP/1.1"
    };
    assert_eq!(asked.iter().filter(|line| !is_fine(line)).collect::<Vec<_>>(), Vec::<&String>::new());
}

#[tokio::test]
async fn an_engine_that_does_not_answer_has_what_it_had() {
    let played = Played::new();
    played.has("web", "2026-01-01T00:00:00Z");
    let names = async || {
        let inventory = played.host.inventory().await;
        inventory.containers.into_iter().map(|one| one.name).collect::<Vec<_>>()
    };
    assert_eq!(names().await, ["web"]);
    held(&played.answers).clear();
    assert_eq!(names().await, ["web"], "it answers nothing that makes sense");
    held(&played.answers).insert("/containers/json?all=true".into(), json!([]));
    assert_eq!(names().await, [""; 0]);
    assert_eq!(played.look("web").await.health(), Health::Unknown);
}

#[tokio::test]
async fn what_a_container_needs_is_found_in_its_composition() {
    let played = Played::new();
    let labels = |service: &str, needs: &str| json!({"com.docker.compose.project": "shop", "com.docker.compose.service": service, "com.docker.compose.depends_on": needs});
    let list = json!([
        {"Id": "a", "Names": ["/shop-db-1"], "Labels": labels("db", "")},
        {"Id": "b", "Names": ["/other-db-1"], "Labels": {"com.docker.compose.project": "other", "com.docker.compose.service": "db"}},
        {"Id": "c", "Names": ["/shop-web-1"], "Labels": labels("web", "db:service_healthy:false,gone:service_started:true")},
        {"Id": "d", "Names": ["/side"], "Labels": null, "HostConfig": {"NetworkMode": "container:c"}},
    ]);
    held(&played.answers).insert("/containers/json?all=true".into(), list);
    let found = played.host.inventory().await.containers;
    let needs: Vec<_> = found.iter().map(|one| (one.name.as_str(), one.needs.join(" "))).collect();
    let expected = [("other-db-1", ""), ("shop-db-1", ""), ("shop-web-1", "shop-db-1"), ("side", "shop-web-1")];
    assert_eq!(needs, expected.map(|(name, needs)| (name, needs.to_owned())));
}

#[test]
fn the_container_that_ansai_runs_in_is_known_by_what_its_engine_mounts() {
    let line = format!("41 22 254:0 /var/lib/docker/containers/{ID}/hostname /etc/hostname rw - ext4 /dev/vda rw");
    assert_eq!(own_in(&format!("22 1 254:0 / / rw - ext4 /dev/vda rw\n{line}\n")), Some(ID));
    assert_eq!(own_in(&line.replace("/etc/hostname", "/srv/data")), None);
    assert_eq!(own_in("22 1 254:0 / / rw - ext4 /dev/vda rw"), None);
}
