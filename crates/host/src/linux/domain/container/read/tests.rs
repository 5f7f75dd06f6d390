//! What engines say, as both of them say it, and whatever else somebody may say.

use proptest::prelude::*;
use serde_json::json;

use super::*;

const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn docker() -> Value {
    json!({
        "Id": ID, "Name": "/web", "RestartCount": 2,
        "State": {
            "Status": "running", "OOMKilled": false, "ExitCode": 0, "Error": "",
            "StartedAt": "2026-01-01T00:00:01.5Z", "FinishedAt": "0001-01-01T00:00:00Z",
            "Health": {"Status": "unhealthy", "FailingStreak": 4, "Log": [
                {"Start": "2026-01-01T00:00:10Z", "End": "2026-01-01T00:00:11Z", "ExitCode": 1, "Output": "first"},
                {"Start": "2026-01-01T00:00:20Z", "End": "2026-01-01T00:00:21Z", "ExitCode": 1, "Output": "connection\nrefused\n"},
            ]},
        },
        "HostConfig": {"RestartPolicy": {"Name": "unless-stopped"}, "NetworkMode": "bridge"},
        "Config": {
            "Image": "example/web:1", "Labels": {},
            "Healthcheck": {"Test": ["CMD", "true"], "Interval": 10_000_000_000_u64, "Retries": 2, "StartPeriod": 60_000_000_000_u64},
        },
    })
}

#[test]
fn docker_s_answer_is_read_with_the_defaults_of_what_it_leaves_out() {
    let read = snapshot(&docker());
    assert_eq!((read.state, read.restarts, read.comes_back), (ContainerState::Running, 2, true));
    assert_eq!((read.started, read.finished), (Some(WallTime(1_767_225_601_500)), None));
    let health = read.health.expect("it has one");
    assert_eq!((health.verdict, health.failed_in_a_row), (Verdict::Unhealthy, 4));
    assert_eq!(health.said.as_str(), "connection refused");
    assert_eq!(health.last_run, Some(WallTime(1_767_225_621_000)));
    // A minute, and twice ten seconds with the thirty that one may take.
    assert_eq!(health.settles_within(), Duration::from_secs(140));
    assert_eq!(settles_within(&docker()), Some(Duration::from_secs(140)));
}

#[test]
fn podman_s_words_are_known_and_what_is_empty_is_nothing() {
    let answer =
        json!({"State": {"Status": "stopped", "Health": {"Status": ""}, "StartedAt": "2026-01-01T02:00:01.5+02:00"}});
    let read = snapshot(&answer);
    assert_eq!((read.state, read.health, read.comes_back), (ContainerState::Exited, None, false));
    assert_eq!(read.started, Some(WallTime(1_767_225_601_500)));
    assert_eq!(settles_within(&json!({"Config": {"Healthcheck": {"Test": ["NONE"]}}})), None);
}

/// Whose a container with this label is.
#[track_caller]
fn check_owner(label: &str, value: &str, expected: &str) {
    let labels = json!({label: value});
    let in_list = json!({"Id": ID, "Labels": labels});
    let alone = json!({"Id": ID, "Config": {"Labels": labels}});
    for answer in [in_list, alone] {
        let owner = match owner(&answer, None) {
            Owner::Nobody => "nobody".to_owned(),
            Owner::Unit(unit) => unit.to_string(),
            Owner::Other(who) => who.to_string(),
        };
        assert_eq!(owner, expected, "{answer}");
    }
}

#[test]
fn who_owns_a_container_is_said_by_its_labels() {
    check_owner("maintainer", "somebody", "nobody");
    check_owner("com.docker.compose.project", "shop", "nobody");
    check_owner("com.docker.swarm.service.id", "x", "a swarm runs it");
    check_owner("io.kubernetes.pod.uid", "x", "a kubelet runs it");
    check_owner("com.hashicorp.nomad.alloc_id", "x", "Nomad runs it");
    check_owner("PODMAN_SYSTEMD_UNIT", "web.service", "web.service");
    check_owner("PODMAN_SYSTEMD_UNIT", "a/b", "nobody");
    assert_eq!(owner(&docker(), Some(ID)), Owner::Other("ansai itself runs in it".into()));
    let image = |image: &str| owner(&json!({"Config": {"Image": image}}), None);
    for clustered in
        ["redis:7", "docker.io/bitnami/redis-sentinel@sha256:0", "ghcr.io/zalando/spilo-15:3", "Valkey", "mongo"]
    {
        assert!(matches!(image(clustered), Owner::Other(_)), "{clustered}");
    }
    for other in ["nginx:1", "oliver006/redis_exporter", "postgres:15", "example.com/redis/web:1", "", "a:b@c/d"] {
        assert_eq!(image(other), Owner::Nobody, "{other}");
    }
    let acts = |action: &str| owner(&json!({"Config": {"HealthcheckOnFailureAction": action}}), None);
    assert_eq!(acts("none"), Owner::Nobody);
    assert_eq!(acts("restart"), Owner::Other("Podman acts itself (--health-on-failure=restart)".into()));
}

#[test]
fn what_it_needs_is_said_by_its_composition_and_its_network() {
    let labels = json!({
        "com.docker.compose.depends_on": "db:service_healthy:false,cache:service_started:true, queue ,:x",
        "com.docker.compose.project": "shop", "com.docker.compose.service": "web",
    });
    let answer = json!({"Labels": labels, "Names": ["/other/web", "/web"], "HostConfig": {"NetworkMode": format!("container:{ID}")}});
    assert_eq!(depends_on(&answer), ["db", "cache", "queue"]);
    assert_eq!(place_in_composition(&answer), Some(("shop", "web")));
    assert_eq!(shares_with(&answer), Some(ID));
    assert_eq!(name(&answer), Some("web"));
    assert_eq!(shares_with(&json!({"HostConfig": {"NetworkMode": "container:../../images/prune"}})), None);
    assert_eq!((shares_with(&Value::Null), name(&Value::Null)), (None, None));
    assert!(depends_on(&Value::Null).is_empty());
}

proptest! {
    /// Whatever somebody else's program says is no more than a container of which little is known.
    #[test]
    fn no_answer_is_more_than_it_can_be(
        word in ".*", number in any::<i64>(), at in ".*", output in ".*",
    ) {
        let answer = json!({
            "Id": word, "Names": [word, at], "RestartCount": number,
            "State": {"Status": word, "StartedAt": at, "ExitCode": number, "Health": {
                "Status": "unhealthy", "FailingStreak": number, "Log": [{"End": at, "Output": output}]}},
            "Config": {"Labels": {"com.docker.compose.depends_on": output, "PODMAN_SYSTEMD_UNIT": word},
                "Healthcheck": {"Test": [word], "Interval": number, "Timeout": number, "StartPeriod": number, "Retries": number}},
            "HostConfig": {"NetworkMode": format!("container:{word}")},
        });
        let read = snapshot(&answer);
        let said = read.health.map(|health| (health.said.as_str().chars().count(), health.settles_within()));
        prop_assert!(said.is_some_and(|(said, _)| said <= SAID_MAX));
        prop_assert!(depends_on(&answer).len() <= NEEDS_MAX);
        prop_assert!(shares_with(&answer).is_none_or(is_id) && name(&answer).is_none_or(is_id));
        let _ = (owner(&answer, Some(&word)), settles_within(&answer), moment(&at));
    }
}

/// Who is told to come back after a failure has nothing to come back for when it ended well.
#[test]
fn a_task_that_ended_well_is_not_wanted_back_by_on_failure() {
    let comes_back = |policy: &str, code: i64| {
        let answer = json!({"State": {"ExitCode": code}, "HostConfig": {"RestartPolicy": {"Name": policy}}});
        snapshot(&answer).comes_back
    };
    assert_eq!([comes_back("on-failure", 0), comes_back("on-failure", 1)], [false, true]);
    assert_eq!([comes_back("always", 0), comes_back("unless-stopped", 0), comes_back("no", 1)], [true, true, false]);
}
