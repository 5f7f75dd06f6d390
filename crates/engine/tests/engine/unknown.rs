//! What nobody can judge, and what systemd restarts again and again: never acted on, told after a declared patience, and
//! over when it is known again. What makes a unit unknown is the model's.

use std::time::Duration;

use ansai_model::{
    hint::Hint,
    incident::IncidentKind,
    observation::Observation,
    operator::Operation,
    rule::Severity,
    text::Text,
    time::WallTime,
    unit::{ActiveState, HostActivity, Intent, UnitSnapshot},
};

use ansai_engine::Input;

use crate::host::{Host, PLAIN, changed, check, judged, secs, target, unit};

const UNIT: &str = "app.service#unit";

/// Its service is critical, so its patience is two minutes.
fn critical() -> Host {
    Host::new(&changed("app.service: {}", "app.service: {critical: true}")).mended_by("restart")
}

fn locked() -> Observation {
    let busy = Some(Text::new("dpkg's lock is held by unattended-upgr (pid 812)"));
    judged(UnitSnapshot {
        activity: HostActivity::ChangingPackages,
        busy,
        ..unit(ActiveState::Failed, Intent::ByItself)
    })
}

fn on_its_way(active: ActiveState, sub: &str) -> Observation {
    judged(UnitSnapshot { sub: sub.into(), ..unit(active, Intent::Unknown) })
}

/// The whole of what people read: how they were told, and in which words.
fn headlines(host: &Host) -> Vec<String> {
    host.dispatches.iter().map(|dispatch| format!("{:?}: {}", dispatch.kind, dispatch.report.headline)).collect()
}

#[test]
fn w06_while_a_lock_keeps_a_dead_service_unknown_a_person_hears_who_holds_it_and_then_it_is_healed() {
    let mut host = critical();
    host.sees(UNIT, locked());
    host.pass(secs(119));
    assert_eq!((host.told().len(), host.phase("app.service")), (0, "none"));
    host.pass(secs(30));
    assert_eq!((host.told(), host.begun.len()), (vec!["Escalated to 1".to_owned()], 0));
    let report = &host.dispatches[0].report;
    assert_eq!((report.kind, report.severity), (IncidentKind::Unknown, Severity::Now));
    let who = "a package operation is in progress: dpkg's lock is held by unattended-upgr (pid 812)";
    assert_eq!(headlines(&host), [format!("Escalated: app.service cannot be judged: {who}")]);
    assert!(host.summary("app.service").contains(&format!("nobody can say how it is, so nothing is done: {who}")));
    // However long it lasts, it is said once and nothing is done.
    host.pass(secs(7200));
    assert_eq!((host.told().len(), host.begun.len()), (1, 0));

    host.sees(UNIT, judged(unit(ActiveState::Failed, Intent::ByItself)));
    host.pass(secs(60));
    assert_eq!(host.done(), ["restart app.service"]);
    let told = headlines(&host);
    assert_eq!(told[1], "Withdrawn: app.service: it is known again, and it fails: failed: killed by SIGKILL");
    assert!(told[2].starts_with("Healed: app.service was healed by restart"), "{told:?}");
}

#[test]
fn w15_a_unit_that_is_stuck_on_its_way_is_told_whatever_the_way_is() {
    for (active, sub) in [
        (ActiveState::Deactivating, "stop-post"),
        (ActiveState::Deactivating, "final-sigkill"),
        (ActiveState::Activating, "start-pre"),
        (ActiveState::Reloading, "reload"),
    ] {
        let mut host = critical();
        host.sees(UNIT, on_its_way(active, sub));
        host.pass(secs(119));
        assert_eq!(host.told().len(), 0, "{sub}");
        host.pass(secs(60));
        assert_eq!((host.told(), host.begun.len()), (vec!["Escalated to 1".to_owned()], 0), "{sub}");
        assert!(headlines(&host)[0].contains(&format!("({sub})")), "{:?}", headlines(&host));
        host.is_well(UNIT);
        host.pass(secs(300));
        assert_eq!(headlines(&host)[1..], ["Recovered: app.service is known again, and well"], "{sub}");
        assert_eq!((host.phase("app.service"), host.begun.len()), ("none", 0), "{sub}");
    }
}

#[test]
fn the_patience_is_what_the_policy_says_and_else_longer_for_what_is_not_critical() {
    let declared = PLAIN.replace("stable_for: 30s", "stable_for: 30s\n    tell_unknown_after: 5s");
    for (yaml, patience) in [(declared.as_str(), 5), (PLAIN, 600)] {
        let mut host = Host::new(yaml);
        host.sees(UNIT, Observation::unknown("systemd does not answer on D-Bus"));
        host.pass(secs(patience - 1));
        assert_eq!(host.told().len(), 0, "{patience}");
        host.pass(secs(15));
        assert_eq!(host.told(), ["Escalated to 1"], "{patience}");
    }
}

#[test]
fn a_look_that_never_answers_is_told_as_well() {
    let mut host = critical();
    host.hanging.insert(check(UNIT));
    host.pass(secs(300));
    assert_eq!(headlines(&host), ["Escalated: app.service cannot be judged: the probe gave no answer"]);
}

#[test]
fn what_somebody_wants_down_is_no_riddle_before_and_after_a_restart_of_the_agent() {
    let mut host = critical();
    let since = Some(WallTime(host.now.wall.0));
    let stopped = |intent| judged(UnitSnapshot { since, ..unit(ActiveState::Inactive, intent) });
    host.sees(UNIT, stopped(Intent::Stopped));
    host.pass(secs(3600));
    let shown = |host: &Host| {
        let explained = host.engine.explain(host.now, &target("app.service")).expect("a target");
        explained.stopped.map(|stopped| (stopped.why.to_string(), stopped.since == since))
    };
    let before = shown(&host);
    assert_eq!(before, Some(("stopped by an operator".into(), true)));
    host.restart(None);
    host.sees(UNIT, stopped(Intent::Unknown));
    assert_eq!(shown(&host), before, "the ledger keeps it");
    host.pass(secs(3600));
    assert_eq!((host.told().len(), host.phase("app.service")), (0, "none"));
    assert_eq!(shown(&host), before);
    // What nobody kept loaded meanwhile has no stamp of it any more.
    host.restart(None);
    host.sees(UNIT, judged(UnitSnapshot { since: None, ..unit(ActiveState::Inactive, Intent::Unknown) }));
    assert_eq!(shown(&host), before);
    // A stop is over with the next start, also for what nobody sees go down after it.
    let mut other = critical();
    other.sees(UNIT, stopped(Intent::Stopped));
    other.sees(UNIT, judged(unit(ActiveState::Active, Intent::Unknown)));
    other.restart(None);
    other.sees(UNIT, judged(UnitSnapshot { since: None, ..unit(ActiveState::Inactive, Intent::Unknown) }));
    assert_eq!(shown(&other), None);
    // What stopped with a unit that failed was stopped by nobody, whatever came first.
    let bound =
        UnitSnapshot { stopped_with: Some("db.service".into()), since, ..unit(ActiveState::Inactive, Intent::Stopped) };
    let mut other = critical();
    other.sees(UNIT, judged(bound));
    other.restart(None);
    other.sees(UNIT, stopped(Intent::Unknown));
    assert_eq!(shown(&other), None);
    // Down again since, and nobody saw how: that is one.
    let later = Some(WallTime(host.now.wall.0));
    host.sees(UNIT, judged(UnitSnapshot { since: later, ..unit(ActiveState::Inactive, Intent::Unknown) }));
    host.pass(secs(300));
    assert_eq!(host.told(), ["Escalated to 1"]);
}

#[test]
fn what_somebody_stopped_is_stopped_for_an_agent_that_was_started_since() {
    let mut host = Host::new(&changed("app.service: {}", "app.service: {probe: {tcp: \"127.0.0.1:80\"}}"));
    let since = Some(WallTime(host.now.wall.0));
    for state in [ActiveState::Inactive, ActiveState::Failed] {
        let stopped = |intent| judged(UnitSnapshot { since, ..unit(state, intent) });
        host.sees(UNIT, stopped(Intent::Stopped));
        host.pass(secs(60));
        host.sees.insert(check("app.service#tcp"), Observation::failing("refused"));
        host.sees.insert(check(UNIT), stopped(Intent::Unknown));
        host.restart(None);
        host.pass(secs(60));
        let explained = host.explain("app.service");
        assert!(explained.stopped.is_some_and(|stopped| stopped.since == since), "{state}");
        assert_eq!(explained.summary.as_str(), "nothing is done: stopped on request, not by a failure");
        assert_eq!((host.phase("app.service"), host.begun.len()), ("none", 0));
    }
}

#[test]
fn what_failed_before_somebody_stopped_it_was_down_until_then_and_is_stopped_from_then_on() {
    let mut host = Host::new(&changed("autonomy: act", "autonomy: observe"));
    host.sees(UNIT, judged(unit(ActiveState::Active, Intent::ByItself)));
    host.pass(secs(60));
    let died = WallTime(host.now.wall.0);
    let down = |intent| judged(UnitSnapshot { since: Some(died), ..unit(ActiveState::Failed, intent) });
    host.sees(UNIT, down(Intent::ByItself));
    host.pass(secs(58));
    host.sees(UNIT, down(Intent::Stopped));
    let stopped = |host: &Host| host.explain("app.service").stopped.and_then(|stopped| stopped.since);
    assert_eq!((host.phase("app.service"), stopped(&host)), ("none", Some(host.now.wall)));
    let asked = host.now.wall;
    let report = &host.dispatches.last().expect("it is over").report;
    assert_eq!(report.downtime.map(|down| down.as_secs()), Some(58));
    host.sees.insert(check(UNIT), down(Intent::Unknown));
    host.restart(None);
    host.pass(secs(60));
    assert_eq!(stopped(&host), Some(asked));
}

#[test]
fn nobody_can_have_healed_what_is_not_known() {
    let mut host = critical();
    host.sees(UNIT, locked());
    host.pass(secs(300));
    let answer = host.operator(Operation::Heal { target: target("app.service") });
    assert!(answer.starts_with("refused: service/app.service is not known to be down"), "{answer}");
    assert_eq!(host.begun.len(), 0);
    host.restart(None);
    host.pass(secs(600));
    assert_eq!((host.told().len(), host.begun.len()), (1, 0), "a restart of the agent tells nothing twice");
}

#[test]
fn another_check_of_the_target_is_healed_while_one_cannot_be_known() {
    let probe = "critical: true, probe: {tcp: \"127.0.0.1:80\", every: 10s, every_soft: 1s, fail_after: 3}";
    let mut host = Host::new(&changed("app.service: {}", &format!("app.service: {{{probe}}}"))).mended_by("restart");
    host.sees("app.service#tcp", Observation::unknown("no descriptors are left"));
    host.pass(secs(300));
    assert_eq!(host.told(), ["Escalated to 1"]);
    host.sees(UNIT, judged(unit(ActiveState::Failed, Intent::ByItself)));
    host.pass(secs(60));
    assert_eq!(host.done().last(), Some(&"restart app.service"));
}

#[test]
fn a_failure_that_waits_and_is_lost_from_sight_is_told_and_healed_when_it_is_seen_again() {
    let mut host = critical();
    host.hold_file(Some("rolling out"));
    host.sees(UNIT, judged(unit(ActiveState::Failed, Intent::ByItself)));
    host.sees(UNIT, Observation::unknown("systemd does not answer on D-Bus"));
    host.hold_file(None);
    host.pass(secs(300));
    assert_eq!((host.told().last().map(String::as_str), host.begun.len()), (Some("Escalated to 1"), 0));
    host.sees(UNIT, judged(unit(ActiveState::Failed, Intent::ByItself)));
    host.pass(secs(60));
    assert_eq!(host.done(), ["restart app.service"]);
}

#[test]
fn what_needs_something_unknown_is_healed_all_the_same() {
    let two = changed("app.service: {}", "db.service: {critical: true}\n  app.service: {needs: [db.service]}");
    let mut host = Host::new(&two).mended_by("restart");
    host.sees("db.service#unit", Observation::unknown("systemd does not answer on D-Bus"));
    host.pass(secs(300));
    host.sees(UNIT, judged(unit(ActiveState::Failed, Intent::ByItself)));
    host.pass(secs(400));
    assert_eq!(host.done(), ["restart app.service"], "after the wait for what it needs");
}

/// A unit that systemd has restarted so often.
fn restarted(times: u32) -> Observation {
    judged(UnitSnapshot { restarts: times, ..unit(ActiveState::Active, Intent::Unknown) })
}

#[test]
fn w14_a_unit_that_crashes_each_minute_or_each_three_is_told_once_and_not_healed() {
    for (period, by) in [(61, 4), (180, 10)] {
        let mut host = critical();
        host.sees(UNIT, restarted(0));
        for times in 1..=20 {
            host.pass(secs(period));
            host.sees(UNIT, restarted(times));
            let minutes = u64::from(times) * period / 60;
            assert!(minutes < by || host.told() == ["Escalated to 1"], "{period} s, {minutes} min: {:?}", host.told());
        }
        assert_eq!(host.begun.len(), 0);
        let told = headlines(&host);
        assert!(told[0].starts_with("Escalated: app.service does not last: slow restart loop: systemd"), "{told:?}");
        // It settles.
        host.pass(secs(1200));
        assert_eq!(headlines(&host).len(), 2);
        assert!(headlines(&host)[1].starts_with("Recovered: app.service has settled"), "{:?}", headlines(&host));
    }
}

#[test]
fn w14_a_unit_that_is_away_for_five_minutes_of_each_six_is_told_in_few_messages() {
    for critical in ["critical: true", ""] {
        let mut host = Host::new(&changed("app.service: {}", &format!("app.service: {{{critical}}}")));
        for times in 0..20 {
            host.sees(UNIT, restarted(times));
            host.pass(secs(40));
            let waits = unit(ActiveState::Activating, Intent::Unknown);
            host.sees(UNIT, judged(UnitSnapshot { sub: "auto-restart".into(), restarts: times, ..waits }));
            host.pass(secs(300));
        }
        let told = host.told();
        assert!(told.first().is_some_and(|first| first == "Escalated to 1"), "{critical}: {told:?}");
        assert!(told.len() <= 3, "one story, not a message each time: {:?}", headlines(&host));
        assert_eq!(host.begun.len(), 0);
    }
}

#[test]
fn a_service_that_comes_up_at_its_third_try_has_come_up() {
    let mut host = critical();
    for times in 0..4 {
        host.sees(UNIT, restarted(times));
        host.pass(secs(2));
    }
    host.pass(secs(3600));
    assert_eq!(host.told().len(), 0);
}

#[test]
fn a_slow_loop_that_fails_outright_is_healed() {
    let mut host = critical();
    for times in 0..6 {
        host.sees(UNIT, restarted(times));
        host.pass(secs(61));
    }
    host.sees(UNIT, judged(unit(ActiveState::Failed, Intent::ByItself)));
    host.pass(secs(60));
    assert_eq!(host.done(), ["restart app.service"]);
}

#[test]
fn w06_downtime_counts_from_when_it_went_by_the_stamps_of_systemd() {
    let mut host = critical();
    let went = Some(WallTime(host.now.wall.0));
    host.sees(UNIT, shielded(UnitSnapshot { left_active: went, ..failed_unit() }));
    host.pass(secs(1200));
    host.sees(UNIT, judged(UnitSnapshot { left_active: went, since: went, ..failed_unit() }));
    host.pass(secs(60));
    let healed = &host.dispatches.last().expect("told").report;
    let down = healed.downtime.expect("it is over");
    assert!(down >= secs(1200) && down < secs(1230), "{down:?}");
}

#[test]
fn a_stamp_of_before_it_was_last_seen_well_and_a_clock_that_was_set_lengthen_nothing() {
    for (long_ago, seen_since) in [(Duration::from_secs(86_400 * 400), 10), (Duration::ZERO, 10)] {
        let mut host = critical();
        host.pass(secs(seen_since));
        let stamp = host.now.wall.0 - i64::try_from(long_ago.as_millis()).expect("small");
        host.step(Input::Hint(Hint::Everything));
        host.sees(UNIT, judged(UnitSnapshot { left_active: Some(WallTime(stamp)), ..failed_unit() }));
        host.pass(secs(60));
        let down = host.dispatches.last().and_then(|told| told.report.downtime).expect("healed");
        assert!(down < secs(1), "{down:?}");
    }
}

fn failed_unit() -> UnitSnapshot {
    unit(ActiveState::Failed, Intent::ByItself)
}

fn shielded(unit: UnitSnapshot) -> Observation {
    judged(UnitSnapshot { activity: HostActivity::ChangingPackages, ..unit })
}
