//! What somebody else has started is told as that: it neither recovered by itself, nor was it healed by us.

use ansai_model::{
    observation::Observation,
    time::WallTime,
    unit::{ActiveState, Intent, StartedBy, UnitSnapshot},
};

use crate::host::{Host, PLAIN, judged, secs, succeeded, unit};

/// The unit as it runs since this moment.
fn running(since: WallTime, started_by: StartedBy, restarts: u32) -> Observation {
    let up = unit(ActiveState::Active, Intent::Unknown);
    judged(UnitSnapshot { since: Some(since), started_by, restarts, invocation: Some("new".into()), ..up })
}

/// The headline of what was failing under `autonomy: observe`, when its unit is up again so.
fn ends(since_after: i64, started_by: StartedBy, restarts: u32) -> String {
    let mut host = Host::new(&PLAIN.replace("autonomy: act", "autonomy: observe"));
    host.pass(secs(60));
    let down = unit(ActiveState::Failed, Intent::ByItself);
    host.sees("app.service#unit", judged(UnitSnapshot { invocation: Some("old".into()), ..down }));
    host.pass(secs(30));
    let went = host.open("app.service").expect("open").failing_since.wall;
    host.sees("app.service#unit", running(WallTime(went.0 + since_after), started_by, restarts));
    host.pass(secs(120));
    let report = &host.dispatches.last().expect("told").report;
    assert!(host.open("app.service").is_none(), "{report:?}");
    report.headline.to_string()
}

#[test]
fn what_an_operator_started_has_not_recovered_by_itself() {
    let by_hand = "app.service is well again: somebody else started it at ";
    assert!(ends(20_000, StartedBy::Others, 0).starts_with(by_hand));
    assert!(ends(20_000, StartedBy::Unknown, 0).starts_with(by_hand), "also while no agent ran");
    let by_itself = "app.service recovered by itself";
    assert_eq!(ends(20_000, StartedBy::Systemd, 1), by_itself);
    assert_eq!(ends(20_000, StartedBy::Unknown, 1), by_itself);
    assert_eq!(ends(-20_000, StartedBy::Others, 0), by_itself, "it was never down");
}

#[test]
fn what_an_operator_started_while_it_was_being_healed_was_not_healed_by_us() {
    let look = "app.service: {probe: {tcp: \"127.0.0.1:5000\", fail_after: 1}}\nrunbooks:\n  service/app.service: \
                [{name: restart, steps: [{restart_unit: app.service}], then: verify}]";
    for is_by_hand in [false, true] {
        let mut host = Host::new(&PLAIN.replace("app.service: {}", look)).actions_end(succeeded());
        host.sees("app.service#unit", running(host.now.wall, StartedBy::Ours, 0));
        host.sees("app.service#tcp", Observation::healthy("accepts"));
        host.pass(secs(600));
        host.fails("app.service#tcp");
        host.pass(secs(3));
        assert_eq!(host.done(), ["restart app.service"]);
        let by = if is_by_hand { StartedBy::Others } else { StartedBy::Ours };
        host.sees("app.service#unit", running(host.now.wall, by, 0));
        host.sees("app.service#tcp", Observation::healthy("accepts"));
        host.pass(secs(120));
        let report = &host.dispatches.last().expect("told").report;
        let headline = report.headline.as_str();
        let told = report.steps.iter().filter(|step| crate::words::step(step).contains("somebody else started it"));
        match is_by_hand {
            true => assert!(headline.contains("well again: somebody else started it at"), "{headline}"),
            false => assert!(headline.starts_with("app.service was healed by restart"), "{headline}"),
        }
        assert_eq!(told.count(), usize::from(is_by_hand));
    }
}

/// As a program that a runbook runs, or the start of another unit that brings this one back with it.
#[test]
fn what_was_started_while_we_acted_was_started_by_that() {
    let runbook =
        "app.service: {}\nrunbooks:\n  service/app.service: [{name: mend, steps: [{exec: [/bin/mend]}], then: verify}]";
    let mut host = Host::new(&PLAIN.replace("app.service: {}", runbook));
    host.pass(secs(60));
    host.sees("app.service#unit", judged(unit(ActiveState::Failed, Intent::ByItself)));
    host.pass(secs(3));
    let up = running(host.now.wall, StartedBy::Others, 0);
    host.sees("app.service#unit", up);
    host.pass(secs(1));
    host.action_ends(succeeded());
    host.pass(secs(120));
    let report = &host.dispatches.last().expect("told").report;
    assert!(report.headline.as_str().starts_with("app.service was healed by mend"), "{}", report.headline);
}
