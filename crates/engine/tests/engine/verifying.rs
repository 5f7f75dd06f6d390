//! A succeeded action alone is not success: verification, staying well, failing again, and recovering without us.

use ansai_model::{
    id::IncidentId,
    observation::Observation,
    unit::{ActiveState, Intent, UnitSnapshot},
};

use crate::host::{Host, PLAIN, changed, check, failed, judged, not_needed, secs, succeeded, unit};

/// A service with a command that asks it, believed after one look either way.
fn with_probe() -> Host {
    let probe = "probe: {exec: [/bin/ask], every: 10s, every_soft: 1s, fail_after: 1, recover_after: 1}";
    Host::new(&changed("app.service: {}", &format!("app.service: {{{probe}}}")))
}

#[test]
fn a_remedy_is_verified_by_every_check_and_done_when_it_has_stayed_well() {
    let mut host = with_probe();
    host.fails("app.service#exec");
    host.is_well("app.service#exec");
    host.action_ends(succeeded());
    assert_eq!(host.last_step(1), "restart verified: exec: well; unit: well");
    assert_eq!(host.phase("app.service"), "stabilizing");
    let summary = "it is well again (i1): `restart` worked; it must stay well for another 30s";
    assert_eq!(host.summary("app.service"), summary);
    host.pass(secs(29));
    assert_eq!(host.told(), Vec::<String>::new());
    host.pass(secs(2));
    assert_eq!(host.last_step(1), "resolved: healed by `restart`, and it has stayed well");
    let report = &host.dispatches[0].report;
    assert_eq!(report.verified_by.as_ref().map(|by| by.to_string()).as_deref(), Some("exec: well; unit: well"));
}

#[test]
fn only_looks_that_were_begun_after_the_action_count() {
    let mut host = Host::plain();
    host.fails("app.service#unit");
    // A look that began before the action ended, and is answered after it.
    host.hanging.insert(check("app.service#unit"));
    host.is_well("app.service#unit");
    host.pass(secs(1));
    host.action_ends(succeeded());
    assert_eq!(host.phase("app.service"), "remediating");
    host.hanging.clear();
    let observation = Observation::healthy("before the action");
    host.step(ansai_engine::Input::Observed { check: check("app.service#unit"), observation });
    assert_eq!(host.last_step(1), "restart verified: unit: well", "the look after it says so");
}

#[test]
fn an_answer_may_take_its_time_but_not_longer_than_the_policy_says() {
    let mut host = with_probe();
    host.fails("app.service#exec");
    host.action_ends(succeeded());
    host.pass(secs(10));
    assert_eq!(host.last_step(1), "restart succeeded", "what does not answer may still come up");
    host.pass(secs(11));
    assert_eq!(host.story(1)[3], "restart not verified: not healthy within the time: exec: it died");
    let mut host = with_probe();
    host.fails("app.service#exec");
    host.action_ends(succeeded());
    host.pass(secs(10));
    host.is_well("app.service#exec");
    assert_eq!(host.phase("app.service"), "stabilizing", "in time");
}

#[test]
fn what_is_not_known_after_an_action_is_not_taken_for_well() {
    let mut host = with_probe();
    host.fails("app.service#exec");
    host.sees("app.service#exec", Observation::unknown("no answer yet"));
    host.action_ends(succeeded());
    host.pass(secs(21));
    assert_eq!(host.story(1)[3], "restart not verified: not healthy within the time: exec: no answer yet");
    // Never looked at is no better.
    let mut host = Host::plain();
    host.fails("app.service#unit");
    host.hanging.insert(check("app.service#unit"));
    host.pass(secs(1));
    host.action_ends(succeeded());
    host.pass(secs(21));
    assert!(host.story(1)[3].starts_with("restart not verified: not healthy within the time"), "{:?}", host.story(1));
}

#[test]
fn unknown_while_it_must_stay_well_closes_nothing() {
    let mut host = Host::plain();
    host.fails("app.service#unit");
    host.is_well("app.service#unit");
    host.action_ends(succeeded());
    host.sees("app.service#unit", Observation::unknown("the bus does not answer"));
    host.pass(secs(600));
    assert_eq!((host.phase("app.service"), host.told()), ("stabilizing", vec![]));
    host.is_well("app.service#unit");
    assert_eq!(host.phase("app.service"), "none");
}

#[test]
fn what_fails_again_while_it_must_stay_well_counts_as_not_healed() {
    let mut host = Host::plain().mended_by("restart");
    host.fails("app.service#unit");
    host.pass(secs(10));
    host.fails("app.service#unit");
    let story = host.story(1);
    assert!(story[4].starts_with("restart did not stay well: failed again after 1"), "{story:?}");
    assert!(!story.iter().any(|step| step.starts_with("waits")), "the first time at once: {story:?}");
    assert_eq!((host.done().len(), host.phase("app.service")), (2, "stabilizing"));
    host.pass(secs(10));
    host.fails("app.service#unit");
    assert_eq!((host.last_step(1).as_str(), host.phase("app.service")), ("waits 5s", "remediating"));
    host.set_mending(Some("start"));
    host.pass(secs(6));
    assert_eq!(host.phase("app.service"), "stabilizing");
    // The downtime is counted up to the last recovery, without what was well before it.
    host.pass(secs(130));
    let downtime = host.dispatches[0].report.downtime.expect("measured");
    assert!(downtime >= secs(5) && downtime < secs(6), "{downtime:?}");
}

#[test]
fn what_becomes_well_by_itself_before_anything_was_done_is_left_alone() {
    let mut host = Host::plain().actions_end(succeeded());
    host.fails("app.service#unit");
    host.pass(secs(2));
    assert_eq!(host.done(), ["restart app.service"]);
    // Between two attempts.
    host.is_well("app.service#unit");
    host.pass(secs(60));
    assert_eq!(host.done(), ["restart app.service"]);
    let story = host.story(1);
    assert_eq!(
        story[5..],
        ["interrupted: it is well again, so nothing more is done", "resolved: it recovered by itself"]
    );
}

#[test]
fn what_was_handed_over_is_still_watched_and_its_recovery_is_told() {
    let mut host = Host::new(PLAIN).actions_end(succeeded());
    host.fails("app.service#unit");
    host.pass(secs(600));
    assert_eq!(host.phase("app.service"), "escalated");
    host.is_well("app.service#unit");
    host.pass(secs(31));
    assert_eq!(host.last_step(1), "resolved: it recovered after it had been handed to a person");
    assert_eq!(host.told(), ["Escalated to 1", "Recovered to 1"]);
}

/// A fault domain of its own that several remedies mend together, as cleaning makes room on a disk.
const PARTS: &str = "
checks:
  'service/app.service#room': {probe: {exec: [/bin/room]}, every: 10s, every_soft: 1s, fail_after: 1, recover_after: 1}
rules:
  room: {target: service/app.service, checks: ['service/app.service#room'], runbook: room, policy: default, autonomy: act}
runbooks:
  room:
    - {name: one, steps: [{exec: [/bin/one], disruption: none}], then: accumulate}
    - {name: two, steps: [{exec: [/bin/two], disruption: none}], then: accumulate}
    - {name: enough, steps: [{exec: [/bin/enough], disruption: none}]}
";

fn with_parts() -> Host {
    let mut host = Host::new(&(PLAIN.to_owned() + PARTS));
    host.fails("app.service#room");
    assert_eq!(host.done(), ["run `/bin/one`"]);
    host
}

#[test]
fn remedies_that_add_up_are_all_done_and_verified_together() {
    let mut host = with_parts();
    // It is well after the first of them, which is not all that was to be reached.
    host.is_well("app.service#room");
    host.action_ends(succeeded());
    host.action_ends(not_needed());
    assert_eq!(host.done(), ["run `/bin/one`", "run `/bin/two`", "run `/bin/enough`"]);
    host.action_ends(succeeded());
    assert_eq!(host.last_step(1), "enough verified: room: well; unit: well");
    host.pass(secs(31));
    assert_eq!(host.last_step(1), "resolved: healed by `enough`, and it has stayed well");
}

#[test]
fn of_remedies_that_add_up_one_that_fails_is_followed_by_the_next_and_too_little_is_handed_over() {
    let mut host = with_parts();
    host.action_ends(failed());
    host.action_ends(succeeded());
    host.action_ends(failed());
    assert_eq!(host.done(), ["run `/bin/one`", "run `/bin/two`", "run `/bin/enough`"]);
    assert_eq!(host.phase("app.service"), "escalated");
    assert_eq!(host.last_step(1), "escalated: nothing is left to try after 1 attempt; the last one: it said no");
}

#[test]
fn what_became_well_before_any_of_them_did_something_is_left_alone() {
    let mut host = with_parts();
    host.is_well("app.service#room");
    host.action_ends(not_needed());
    assert_eq!(host.done(), ["run `/bin/one`"]);
    host.pass(secs(31));
    assert_eq!(host.last_step(1), "resolved: it recovered by itself");
}

#[test]
fn what_systemd_has_to_restart_after_a_remedy_is_not_called_well_before_it_lasts() {
    let mut host = Host::plain();
    let up = |host: &Host, restarts: u32| {
        let (since, invocation) = (Some(host.now.wall), Some(format!("run {restarts}").as_str().into()));
        judged(UnitSnapshot { restarts, since, invocation, ..unit(ActiveState::Active, Intent::ByItself) })
    };
    host.sees("app.service#unit", judged(unit(ActiveState::Failed, Intent::ByItself)));
    host.pass(secs(2));
    let first = up(&host, 0);
    host.sees.insert(check("app.service#unit"), first);
    host.action_ends(succeeded());
    host.pass(secs(2));
    assert_eq!(host.phase("app.service"), "stabilizing", "{:?}", host.story(1));
    for restarts in 1..4 {
        let again = up(&host, restarts);
        host.happens("app.service", again);
        host.pass(secs(15));
        let said = host.summary("app.service");
        assert!(said.starts_with("it does not last yet (i1): `restart` is done, but systemd has had to"), "{said}");
        let report = host.engine.report(host.now, IncidentId(1)).expect("it is open");
        assert_eq!((report.well_since, report.headline.as_str().contains("well again")), (None, false));
    }
    host.pass(secs(10));
    assert_eq!(host.phase("app.service"), "stabilizing", "{:?}", host.story(1));
    host.pass(secs(10));
    assert_eq!(host.phase("app.service"), "none", "{:?}", host.story(1));
}
