//! What follows from each way in which an action ends, and from each thing that a runbook says about it.

use ansai_model::action::ActionOutcome;

use crate::host::{Host, PLAIN, changed, failed, lost, secs, succeeded};

/// One rung that is to heal, with what it says, and one after it.
fn ladder(rung: &str) -> Host {
    Host::new(&format!(
        "{PLAIN}runbooks:\n  service/app.service:\n    - {{name: first, steps: [{{restart_unit: app.service}}]{rung}}}\n    \
         - {{name: second, steps: [{{kill_unit: app.service}}]}}\n    - {{name: third, steps: [{{start_unit: app.service}}]}}\n"
    ))
}

/// The steps after the first action began.
#[track_caller]
fn follows(rung: &str, outcome: ActionOutcome, expected: &[&str]) {
    let mut host = ladder(rung);
    host.fails("app.service#unit");
    host.action_ends(outcome);
    host.pass(secs(0));
    assert_eq!(host.story(1)[2..], *expected, "{rung}");
}

#[test]
fn every_outcome_and_what_follows_it() {
    let refused = ActionOutcome::Refused { why: "it is not ours".into() };
    let not_needed = ActionOutcome::NotNeeded { why: "it runs".into() };
    let timed_out = ActionOutcome::TimedOut { after: secs(90) };
    follows("", succeeded(), &["first succeeded", "first not verified: it died", "waits 5s"]);
    follows("", failed(), &["first failed: it said no", "first not verified: it said no", "waits 5s"]);
    let late = "first not verified: it did not end within 1m30s";
    follows("", timed_out, &["first timed out after 1m30s", late, "waits 5s"]);
    follows("", refused, &["first refused: it is not ours", "first not verified: it is not ours", "waits 5s"]);
    let skipped = [
        "first not needed: it runs",
        "skips first: there was nothing to do",
        "second: kill the processes of app.service",
    ];
    follows("", not_needed, &skipped);
    // Nobody knows what it did: it is looked at before anything else.
    follows("", lost(), &["first lost: the bus went away", "first not verified: it died", "waits 5s"]);
}

#[test]
fn a_rung_that_prepares_is_followed_by_what_its_failure_says() {
    let next = "second: kill the processes of app.service";
    follows(", then: continue", succeeded(), &["first succeeded", next]);
    follows(", then: continue", failed(), &["first failed: it said no", next]);
    let third = "third: start app.service";
    follows(", then: continue, on_failure: third", failed(), &["first failed: it said no", third]);
    let over = "escalated: first: it said no";
    follows(", then: continue, on_failure: escalate", failed(), &["first failed: it said no", over]);
    // A restart may not be done twice unseen, so a lost one is a failed one.
    follows(", then: continue", lost(), &["first lost: the bus went away", next]);
}

#[test]
fn a_rung_that_did_not_heal_is_followed_by_what_its_failure_says() {
    let (restart, kill, start) = ("restart app.service", "kill the processes of app.service", "start app.service");
    let table = [
        ("", vec![restart, kill], "remediating"),
        (", attempts: 2", vec![restart, restart], "remediating"),
        // The third rung is the last.
        (", on_failure: third", vec![restart, start], "escalated"),
        (", on_failure: escalate", vec![restart], "escalated"),
        (", on_failure: escalate, attempts: 2", vec![restart, restart], "escalated"),
    ];
    for (rung, done, phase) in table {
        let mut host = ladder(rung).actions_end(succeeded());
        host.fails("app.service#unit");
        host.pass(secs(6));
        assert_eq!((host.done(), host.phase("app.service")), (done, phase), "{rung}");
    }
}

#[test]
fn a_rung_reached_only_by_name_is_skipped_in_order_with_the_reason() {
    let yaml = format!(
        "{PLAIN}runbooks:\n  service/app.service:\n    - {{name: first, steps: [{{reset_failed: app.service}}], then: continue, on_failure: mend}}\n    \
         - {{name: mend, entry: only-by-name, steps: [{{exec: [/bin/mend]}}]}}\n    - {{name: last, steps: [{{start_unit: app.service}}]}}\n"
    );
    let mut host = Host::new(&yaml);
    host.fails("app.service#unit");
    host.action_ends(succeeded());
    assert_eq!(host.story(1)[3..], ["skips mend: only after another rung has failed", "last: start app.service"]);
    let mut host = Host::new(&yaml);
    host.fails("app.service#unit");
    host.action_ends(failed());
    assert_eq!(host.last_step(1), "mend: run `/bin/mend`");
}

#[test]
fn a_lost_step_that_may_be_done_twice_is_done_again_within_the_attempts() {
    let yaml = format!(
        "{}runbooks:\n  service/app.service:\n    - {{name: first, steps: [{{reset_failed: app.service}}], then: continue}}\n    \
         - {{name: last, steps: [{{start_unit: app.service}}]}}\n",
        changed("attempts: 4", "attempts: 3")
    );
    let mut host = Host::new(&yaml);
    host.fails("app.service#unit");
    for _ in 0..2 {
        assert_eq!(host.under_way[0].action.describe().as_str(), "reset the failed state of app.service");
        host.action_ends(lost());
    }
    assert_eq!(host.under_way[0].action.describe().as_str(), "reset the failed state of app.service");
    host.action_ends(lost());
    assert_eq!(host.last_step(1), "last: start app.service");
}

#[test]
fn an_action_that_is_never_answered_is_lost_and_its_late_answer_changes_nothing() {
    let mut host = Host::plain();
    host.fails("app.service#unit");
    let run = host.under_way[0].clone();
    host.pass(secs(114));
    assert_eq!(host.story(1).len(), 2);
    host.pass(secs(2));
    assert_eq!(host.story(1)[2], "restart lost: no outcome was reported in time");
    host.under_way.clear();
    let before = (host.story(1), host.engine.state().clone());
    host.step(ansai_engine::Input::ActionEnded { run: run.id, outcome: succeeded() });
    assert_eq!((host.story(1), host.engine.state().clone()), before);
}

#[test]
fn steps_of_a_rung_follow_one_another_with_their_waits() {
    let yaml = format!(
        "{PLAIN}runbooks:\n  service/app.service:\n    \
         - {{name: slow, steps: [{{stop_unit: app.service}}, {{wait: 7s}}, {{start_unit: app.service}}]}}\n"
    );
    let mut host = Host::new(&yaml).mended_by("start");
    host.fails("app.service#unit");
    host.pass(secs(6));
    assert_eq!(host.done(), ["stop app.service"]);
    host.pass(secs(2));
    assert_eq!(host.done(), ["stop app.service", "start app.service"]);
    assert_eq!(host.phase("app.service"), "stabilizing");
}

#[test]
fn every_attempt_is_verified_and_the_last_one_hands_over_once() {
    let mut host = Host::plain().actions_end(succeeded());
    host.fails("app.service#unit");
    host.pass(secs(3600));
    let story = host.story(1);
    let count = |what: &str| story.iter().filter(|step| step.contains(what)).count();
    assert_eq!((count("not verified"), count("escalated"), count("waits")), (3, 1, 2), "{story:#?}");
    assert_eq!(host.last_step(1), "escalated: nothing is left to try after 3 attempts; the last one: it died");
    assert_eq!(host.told(), ["Escalated to 1"]);
}

#[test]
fn the_policy_bounds_the_attempts_of_all_rungs_together() {
    let mut host = Host::new(&changed("attempts: 4", "attempts: 2")).actions_end(succeeded());
    host.fails("app.service#unit");
    host.pass(secs(3600));
    assert_eq!(host.done().len(), 2);
    assert_eq!(host.last_step(1), "escalated: 2 attempts did not heal it; the policy allows 2");
}

#[test]
fn an_effect_is_taken_back_in_order_before_the_next_try() {
    let undo = ", undo: [{stop_unit: app.service}, {reset_failed: app.service}]";
    let mut host = ladder(undo);
    host.next_actions_end([succeeded(), failed(), succeeded()]);
    host.fails("app.service#unit");
    host.pass(secs(6));
    let story = host.story(1);
    let expected = [
        "first not verified: it died",
        "undo: stop app.service: failed: it said no",
        "undo: reset the failed state of app.service: succeeded",
        "waits 5s",
        "second: kill the processes of app.service",
    ];
    assert_eq!(story[3..], expected, "what cannot be taken back is recorded, and the rest is");
    // A remedy that healed is not taken back.
    let mut host = ladder(undo).mended_by("restart");
    host.fails("app.service#unit");
    host.pass(secs(60));
    assert_eq!((host.phase("app.service"), host.done()), ("none", vec!["restart app.service"]));
}

#[test]
fn under_a_hold_nothing_is_taken_back_and_the_report_says_so() {
    let mut host = ladder(", undo: [{stop_unit: app.service}]");
    host.fails("app.service#unit");
    host.hold_file(Some("stop"));
    host.action_ends(failed());
    let undone = "undo: stop app.service: refused: not undone: the HOLD file stops all action (stop)";
    assert!(host.story(1)[4].starts_with(undone), "{:?}", host.story(1));
    host.pass(secs(600));
    assert_eq!(host.begun.len(), 1);
}
