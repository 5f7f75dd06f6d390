//! What is not broken yet: told early, seen to in time, without keeping anything else waiting, and reported as what it was.

use std::time::Duration;

use ansai_engine::Input;
use ansai_model::{
    check::Trend,
    condition::Value,
    domain::memory::{ANONYMOUS, KILLED_LATELY, NEAR_LIMIT},
    incident::{Changed, Evidence, EvidenceKind},
    notify::NoticeKind,
    observation::Observation,
    report::Report,
    time::WallTime,
    units::{ByteSize, Percent},
};

use crate::host::{Host, PLAIN, failed, secs, succeeded};

const HOUR: u64 = 3_600;
/// Three services whose memory is a fault domain of its own; quiet hours begin 21 h 53 min after the start.
const LEAKING: &str = "
memory: true
services: {app.service: {}, b.service: {}, c.service: {}, other.service: {memory: false}}
";

fn host() -> Host {
    let quiet = "  memory: {quiet: {at: '09:00', lasts: 1h}, stable_for: 6h, backoff: {jitter: 0}}\nnotify:";
    Host::new(&(PLAIN.replace("notify:", quiet).replace("services:\n  app.service: {}\n", LEAKING)))
}

/// The same, and a restart helps at once.
fn mending() -> Host {
    host().actions_end(succeeded()).mended_by("restart")
}

/// A look that fails for its forecast alone.
fn grows(earliest: u64) -> Observation {
    Observation::failing("grows by 50 MiB an hour since 2026-11-21T04:10:00Z")
        .with_figure(ANONYMOUS, Value::Bytes(ByteSize(1 << 30)))
        .with_figure(KILLED_LATELY, Value::Bool(false))
        .with_figure(NEAR_LIMIT, Value::Bool(false))
        .with_figure("forecast.earliest", Value::Duration(secs(earliest)))
        .with_figure(Trend::GROWING, Value::Duration(secs(5 * 24 * HOUR)))
        .with_figure(Trend::FORESEEN, Value::Bool(true))
}

/// The memory of a service grows, long enough to be believed.
fn leaks(host: &mut Host, name: &str, earliest: u64) {
    host.sees(&format!("{name}#memory"), grows(earliest));
    host.pass(secs(40));
}

fn told(host: &Host, kind: NoticeKind) -> Vec<&Report> {
    host.dispatches.iter().filter(|dispatch| dispatch.kind == kind).map(|dispatch| &dispatch.report).collect()
}

#[test]
fn people_are_told_once_before_anything_is_done_and_again_when_it_is_over() {
    let mut host = mending();
    leaks(&mut host, "app.service", 30 * HOUR);
    host.pass(secs(2 * HOUR));
    assert_eq!(host.done(), [""; 0], "it waits for its quiet hours");
    let reports = told(&host, NoticeKind::Foreseen);
    let headline = "app.service will fail if nothing is done: grows by 50 MiB an hour since 2026-11-21T04:10:00Z";
    assert_eq!(reports.iter().map(|report| report.headline.as_str()).collect::<Vec<_>>(), [headline]);
    assert!(reports[0].is_foreseen && reports[0].downtime.is_none());
    host.pass(secs(20 * HOUR));
    assert_eq!(host.done(), ["restart app.service"]);
    host.pass(secs(6 * HOUR + 60));
    let over = told(&host, NoticeKind::Healed);
    assert_eq!(over[0].headline.as_str(), "app.service was healed by restart before it failed");
    assert_eq!(over[0].downtime, Some(secs(0)), "nothing was down");
    assert_eq!(host.phase("app.service"), "none");
    // The next time says that it was not the first.
    leaks(&mut host, "app.service", 30 * HOUR);
    host.pass(secs(600));
    let again = told(&host, NoticeKind::Foreseen)[1];
    assert_eq!((again.history.incidents, again.history.healed, again.history.downtime), (1, 1, secs(0)));
    assert!(again.advice.iter().any(|advice| advice.as_str().contains("the cause is still there")), "{again:?}");
}

#[test]
fn a_leak_that_comes_back_while_it_is_watched_is_the_same_incident_until_a_person_is_asked() {
    let mut host = mending();
    for round in 1..=4 {
        // Less is left than until the quiet hours.
        leaks(&mut host, "app.service", HOUR);
        host.pass(secs(3 * HOUR));
        assert_eq!(host.done().len(), round.min(3), "{:?}", host.story(1));
    }
    assert_eq!(host.phase("app.service"), "escalated");
    assert_eq!(told(&host, NoticeKind::Foreseen).len(), 1);
    assert_eq!(told(&host, NoticeKind::Escalated).len(), 1);
    assert!(host.story(1).iter().any(|step| step.contains("failed again after 3h")), "{:?}", host.story(1));
}

#[test]
fn what_waits_for_quiet_hours_or_is_watched_for_hours_keeps_nothing_else_waiting() {
    let mut host = mending();
    for name in ["app.service", "b.service", "c.service"] {
        leaks(&mut host, name, 30 * HOUR);
    }
    assert_eq!(told(&host, NoticeKind::Foreseen).len(), 3);
    host.fails("other.service#unit");
    host.pass(secs(60));
    assert_eq!((host.done(), host.phase("other.service")), (vec!["restart other.service"], "none"));
    // When they have come, no more are restarted at once than are allowed; the third follows when two are seen to be well.
    host.pass(secs(22 * HOUR));
    let at = |what: &str| host.begun.iter().find(|(_, done)| done == what).map(|(at, _)| at.as_secs());
    let restarts = ["app", "b", "c"].map(|name| at(&format!("restart {name}.service")).expect("done"));
    let opened = 21 * HOUR + 53 * 60 + 21;
    assert_eq!((restarts[0], restarts[1]), (opened, opened));
    assert!(restarts[2] >= opened + 60 && restarts[2] < opened + 90, "{restarts:?}");
    // All of them are watched for hours now, each by itself.
    host.fails("other.service#unit");
    assert_eq!(host.phase("app.service"), "stabilizing");
    assert_eq!(host.done()[4..], ["restart other.service"]);
}

#[test]
fn what_was_changed_before_it_began_to_grow_is_the_cause_and_is_told() {
    let mut host = host();
    host.has_evidence = false;
    host.sees("app.service#memory", grows(30 * HOUR));
    host.pass(secs(25));
    assert!(told(&host, NoticeKind::Foreseen).is_empty(), "it waits a little for the evidence");
    assert_eq!(host.phase("app.service"), "open", "and nothing takes the traces away meanwhile");
    let changed = |text: &str, before: Duration| {
        let at = WallTime(host.now.wall.0 - i64::try_from(before.as_millis()).expect("short"));
        let changed = Some(Changed::once(at, true));
        Evidence { changed, ..Evidence::new("dpkg's log", EvidenceKind::Change, text) }
    };
    // What was changed while it was growing already is not why.
    let later = changed("2026-11-18 10:00:00 upgrade app 1.1 1.2", secs(HOUR));
    let before = changed("2026-11-13 10:00:00 upgrade app 1.0 1.1", secs((5 * 24 + 1) * HOUR));
    let evidence = vec![later, before];
    let incident = host.open("app.service").expect("open").id;
    host.step(Input::Gathered { request: None, incident, evidence: vec![] });
    assert!(told(&host, NoticeKind::Foreseen).is_empty(), "what was changed is still looked for");
    host.step(Input::Gathered { request: None, incident, evidence });
    let report = told(&host, NoticeKind::Foreseen)[0];
    assert!(report.steps.iter().any(|step| format!("{step:?}").contains("waits for the quiet hours")), "{report:?}");
    let cause = report.cause.as_ref().expect("one");
    assert_eq!(cause.rule.as_str(), "leak-since-change");
    assert_eq!(cause.seen_in.as_str(), "dpkg's log: 2026-11-13 10:00:00 upgrade app 1.0 1.1");
}

#[test]
fn a_service_that_lost_a_process_to_the_kernel_is_left_running_and_a_person_is_told() {
    let mut host = host();
    let killed = Observation::failing("the kernel has just ended a process of it")
        .with_figure(ANONYMOUS, Value::Bytes(ByteSize(1 << 20)))
        .with_figure(KILLED_LATELY, Value::Bool(true));
    host.sees("app.service#memory", killed);
    host.pass(secs(60));
    assert_eq!(host.done(), [""; 0]);
    assert_eq!(host.phase("app.service"), "escalated");
    let report = told(&host, NoticeKind::Escalated)[0];
    assert_eq!(report.cause.as_ref().expect("one").rule.as_str(), "out-of-memory");
}

#[test]
fn a_service_near_its_limit_is_restarted_when_it_grows_and_told_of_when_it_does_not() {
    let near = |confidence: Option<u8>| {
        let seen = Observation::failing("holds 490.0 MiB of its limit of 512.0 MiB (95.7 %)")
            .with_figure(ANONYMOUS, Value::Bytes(ByteSize(490 << 20)))
            .with_figure(KILLED_LATELY, Value::Bool(false))
            .with_figure(NEAR_LIMIT, Value::Bool(true));
        match confidence.and_then(Percent::new) {
            Some(confidence) => seen.with_figure("forecast.confidence", Value::Percent(confidence)),
            None => seen,
        }
    };
    for (confidence, done) in [(None, 0), (Some(20), 0), (Some(60), 1)] {
        let mut host = mending();
        host.sees("app.service#memory", near(confidence));
        host.pass(secs(60));
        assert_eq!(host.done().len(), done, "{confidence:?}");
        if done == 0 {
            let report = told(&host, NoticeKind::Escalated)[0];
            assert_eq!(report.cause.as_ref().expect("one").rule.as_str(), "memory-limit");
        }
    }
}

#[test]
fn a_restart_that_fails_is_tried_again_without_waiting_for_another_night() {
    let mut host = host();
    leaks(&mut host, "app.service", 30 * HOUR);
    host.next_actions_end([failed(), succeeded()]);
    host.pass(secs(22 * HOUR));
    assert_eq!(host.done(), ["restart app.service", "restart app.service"]);
}

#[test]
fn a_remedy_that_is_watched_for_hours_is_not_looked_at_four_times_a_second() {
    let mut host = mending();
    leaks(&mut host, "app.service", HOUR);
    host.pass(secs(120));
    assert_eq!(host.phase("app.service"), "stabilizing");
    let before = host.looks;
    host.pass(secs(600));
    // The unit each half minute, its memory each minute.
    let services = 4;
    assert!(host.looks - before <= 600 / 30 * services + 600 / 60 * services, "{} looks", host.looks - before);
}
