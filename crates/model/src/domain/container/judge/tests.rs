//! What a look at a container means, in which words, and whether a restart mends it.

use core::time::Duration;

use super::*;
use crate::{
    condition::Value,
    domain::{Look, container::ContainerProbe},
    observation::Health,
};

const SECOND: Duration = Duration::from_secs(1);
/// When it is looked at, in the time of the engine.
const NOW: WallTime = WallTime(1_000_000_000);

fn probe() -> ContainerProbe {
    ContainerProbe { name: "web".into(), restarts_max: 3, within: SECOND * 600 }
}

fn ago(seconds: u32) -> WallTime {
    WallTime(NOW.0 - i64::from(seconds) * 1_000)
}

/// A container that runs for so long, with a health check of this verdict which was last run so long ago.
fn checked(ran: u32, verdict: Verdict, last: u32) -> ContainerSnapshot {
    let health = HealthSeen {
        verdict,
        failed_in_a_row: if verdict == Verdict::Healthy { 0 } else { 3 },
        last_run: Some(ago(last)),
        said: "connection refused".into(),
        every: SECOND * 10,
        timeout: SECOND * 5,
        start_period: SECOND * 60,
        retries: 3,
    };
    ContainerSnapshot { health: Some(health), ..ContainerSnapshot::running(Some(ago(ran))) }
}

fn ended(ended_by: EndedBy, comes_back: bool) -> ContainerSnapshot {
    let (state, word) = (ContainerState::Exited, "exited".into());
    ContainerSnapshot { state, word, ended_by, comes_back, exit_code: 137, ..ContainerSnapshot::running(None) }
}

/// What a look means, in which words, and whether a restart mends it.
#[track_caller]
fn check(seen: &ContainerSnapshot, health: Health, words: &str, is_mended: bool) {
    let judged = judge(&probe(), seen, NOW);
    assert_eq!(judged.health(), health, "{judged:?}");
    assert!(judged.summary().as_str().contains(words), "{}", judged.summary());
    assert_eq!(mends(&probe(), seen, NOW).is_ok(), is_mended, "{:?}", mends(&probe(), seen, NOW));
}

#[test]
fn what_its_own_check_calls_unhealthy_fails_while_the_check_is_run() {
    check(&checked(600, Verdict::Healthy, 5), Health::Healthy, "running for 10m, healthy by its own check", false);
    let words = "unhealthy by its own check, which has failed 3 times in a row: connection refused";
    check(&checked(600, Verdict::Unhealthy, 5), Health::Failing, words, true);
    let mut failed = checked(600, Verdict::Healthy, 5);
    failed.health.iter_mut().for_each(|health| health.failed_in_a_row = 1);
    check(&failed, Health::Unknown, "its own check has failed 1 of 3 times in a row that make it unhealthy", false);
    let stale = "its own check was last run 1m1s ago, and ought to be every 10s";
    check(&checked(600, Verdict::Unhealthy, 61), Health::Unknown, stale, false);
    check(&checked(600, Verdict::Healthy, 61), Health::Unknown, stale, false);
    let rootless = ContainerSnapshot { is_rootless: true, ..checked(600, Verdict::Healthy, 61) };
    check(&rootless, Health::Unknown, "need `loginctl enable-linger`", false);
    check(&ContainerSnapshot::running(Some(ago(60))), Health::Healthy, "running for 1m; it has no health check", false);
}

#[test]
fn a_start_is_waited_out_and_not_for_ever() {
    // 60s, and three rounds of 15s; one round more is the engine's.
    let words = "starting for 1m45s; its own check has 1m45s for a verdict";
    check(&checked(105, Verdict::Starting, 5), Health::Unknown, words, false);
    check(&checked(120, Verdict::Starting, 5), Health::Unknown, "starting for 2m", false);
    check(&checked(121, Verdict::Starting, 5), Health::Failing, "still starting for 2m1s", true);
}

#[test]
fn what_somebody_stopped_or_paused_is_wanted_so() {
    let wanted = |seen: &ContainerSnapshot, words| {
        check(seen, Health::Unknown, words, false);
        let judged = judge(&probe(), seen, NOW);
        assert!(judged.unit().is_some_and(UnitSnapshot::is_stopped_on_request), "{judged:?}");
    };
    wanted(&ended(EndedBy::Somebody, true), "stopped by somebody");
    wanted(&ended(EndedBy::Somebody, false), "stopped by somebody");
    wanted(&ended(EndedBy::Unknown, true), "its engine does not remember");
    let of = |state| ContainerSnapshot { state, ..checked(600, Verdict::Unhealthy, 5) };
    wanted(&of(ContainerState::Paused), "paused by somebody");
    wanted(&of(ContainerState::Removing), "being stopped or removed");
    wanted(&of(ContainerState::Created), "not started yet");
    check(&of(ContainerState::Other), Health::Unknown, "not known here", false);
}

#[test]
fn what_has_ended_fails_only_when_it_ought_to_come_back() {
    let words = "it ended with code 137, and its engine, which was told to, does not bring it back";
    check(&ended(EndedBy::Itself, true), Health::Failing, words, true);
    check(&ended(EndedBy::Itself, false), Health::Healthy, "nothing says that it is to come back", false);
    let killed = ContainerSnapshot { is_oom_killed: true, ..ended(EndedBy::Itself, false) };
    check(&killed, Health::Healthy, "the kernel ended it for lack of memory", false);
    assert!(judge(&probe(), &killed, NOW).is_warning());
    let error = ContainerSnapshot { error: "port is already allocated".into(), ..ended(EndedBy::Itself, true) };
    check(&error, Health::Failing, "it could not be started: port is already allocated", true);
}

#[test]
fn a_restart_loop_fails_whatever_each_look_finds_and_no_restart_mends_it() {
    let words = "restart loop: its engine restarted it 4 times within 10m";
    let loops = |seen: ContainerSnapshot| ContainerSnapshot { restarts: 9, restarts_lately: 4, ..seen };
    check(&loops(ContainerSnapshot::running(Some(ago(2)))), Health::Failing, words, false);
    let waits = ContainerSnapshot { state: ContainerState::Restarting, ..ContainerSnapshot::running(None) };
    check(&loops(waits.clone()), Health::Failing, words, false);
    check(&waits, Health::Unknown, "its engine starts it again", false);
    let few = ContainerSnapshot { restarts_lately: 3, ..ContainerSnapshot::running(Some(ago(2))) };
    check(&few, Health::Healthy, "running for 2s", false);
}

#[test]
fn a_shared_network_that_is_gone_is_mended_only_while_its_owner_is_there() {
    let with = |shared| ContainerSnapshot { shared: Some(shared), ..checked(600, Verdict::Healthy, 5) };
    check(&with(Shared::OwnerYounger("vpn".into())), Health::Failing, "vpn was started later than it was", true);
    check(&with(Shared::OwnerGone("vpn".into())), Health::Failing, "the network of vpn, which is gone", false);
}

#[test]
fn what_is_reported_is_declared() {
    let seen = judge(&probe(), &checked(600, Verdict::Healthy, 5), NOW);
    for (name, kind) in probe().figures() {
        assert_eq!(seen.figure(name).map(Value::value_type), Some(*kind), "{name}");
    }
}

#[test]
fn one_that_starts_for_long_and_whose_check_nobody_runs_is_unknown() {
    // Late, and its check was run a moment ago.
    check(&checked(600, Verdict::Starting, 5), Health::Failing, "still starting", true);
    // Late, and its check was last run long ago, or never.
    check(&checked(600, Verdict::Starting, 500), Health::Unknown, "its own check was last run", false);
    let mut never = checked(600, Verdict::Starting, 5);
    never.health.iter_mut().for_each(|health| health.last_run = None);
    check(&never, Health::Unknown, "its own check was last run", false);
}

#[test]
fn what_could_not_be_started_is_not_well() {
    let mut seen = ended(EndedBy::Itself, false);
    seen.error = "driver failed".into();
    check(&seen, Health::Failing, "it could not be started: driver failed", false);
    seen.ended_by = EndedBy::Somebody;
    check(&seen, Health::Unknown, "stopped by somebody", false);
}
