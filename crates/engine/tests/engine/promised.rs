//! When something is tried again is a promise: no gate refuses it then, as far as that was known, and nobody moves it by
//! asking in vain.

use std::time::Duration;

use ansai_model::{observation::Observation, operator::Operation, retry::Retry};

use crate::host::{Host, failed, secs, succeeded, target};

const UNIT: &str = "app.service#unit";

/// The plain configuration with so many actions in an hour, and what is shipped about trying again.
fn with_budget(actions: u32) -> String {
    let text = crate::host::changed("actions: 6", &format!("actions: {actions}"));
    text.replace("    retry: never\n", "")
}

fn retry(host: &Host) -> Retry {
    host.open("app.service").and_then(|open| open.retry.clone()).expect("it is tried again")
}

fn tries(host: &Host) -> usize {
    host.story(1).iter().filter(|step| step.starts_with("tried again")).count()
}

/// A service whose budget is used up, so that a person has it.
fn used_up() -> Host {
    let mut host = Host::new(&with_budget(2)).actions_end(succeeded());
    host.fails(UNIT);
    host.pass(secs(60));
    assert_eq!((host.phase("app.service"), host.done().len()), ("escalated", 2), "{:?}", host.story(1));
    host
}

#[test]
fn nothing_is_promised_that_the_budget_will_refuse() {
    let mut host = used_up();
    let first = host.begun[0].0;
    let at = host.since_start() + retry(&host).at.mono.since(host.now.mono);
    assert_eq!(at, first + secs(3_600), "when its first action has left the hour");
    let said = host.summary("app.service");
    assert!(said.contains("it is tried again in 58m") && said.contains("no budget has room for it before"), "{said}");
    host.pass(secs(3_400));
    assert_eq!((tries(&host), host.done().len()), (0, 2), "{:?}", host.story(1));
    host.pass(at - host.since_start() + Duration::from_millis(50));
    assert_eq!((tries(&host), host.done().len()), (1, 3), "{:?}", host.story(1));
}

#[test]
fn what_is_gone_waits_for_room_as_well_and_is_tried_then() {
    let mut host = used_up();
    host.set_mending(Some("restart"));
    // What it reads is changed: that alone makes no room.
    let print = |print: f64| {
        use ansai_model::{condition::Value, probe::Probe};
        Observation::healthy("5 files").with_figure(Probe::PRINT, Value::Number(print))
    };
    host.sees("app.service#=again-i1", print(1.0));
    host.pass(secs(61));
    host.sees("app.service#=again-i1", print(2.0));
    host.pass(secs(3_300));
    assert_eq!((tries(&host), host.phase("app.service")), (0, "escalated"), "{:?}", host.story(1));
    host.pass(secs(240));
    assert_eq!((tries(&host), host.phase("app.service")), (1, "none"), "{:?}", host.story(1));
}

#[test]
fn a_wait_that_a_limit_of_time_makes_longer_is_promised_as_it_is() {
    // A breaker that opens at the first failure, for longer than the first wait after an escalation.
    let text = with_budget(6).replace("breaker: {failures: 3", "breaker: {failures: 1");
    let mut host = Host::new(&text).actions_end(failed());
    host.fails(UNIT);
    host.pass(secs(200));
    assert_eq!(host.phase("app.service"), "escalated");
    let wait = retry(&host).at.mono.since(host.now.mono);
    assert!(wait > secs(1_500), "{wait:?}");
    let before = host.done().len();
    host.pass(wait - secs(5));
    assert_eq!(host.done().len(), before);
    host.pass(secs(6));
    assert_eq!((host.done().len(), tries(&host)), (before + 1, 1), "{:?}", host.story(1));
}

#[test]
fn who_asks_in_vain_moves_nothing() {
    let mut host = used_up();
    host.pass(secs(100));
    let (before, steps) = (retry(&host), host.story(1).len());
    let said = host.operator(Operation::Heal { target: target("app.service") });
    assert!(said.starts_with("refused: 2 of 2 actions"), "{said}");
    assert_eq!((retry(&host), host.phase("app.service")), (before, "escalated"));
    assert_eq!(host.told().len(), 1, "nobody is told of it: {:?}", host.told());
    let story = host.story(1);
    assert_eq!(story.len(), steps + 1, "{story:?}");
    assert!(story[steps].contains("healing asked for by ann"), "{story:?}");
}

#[test]
fn who_asks_in_vain_for_what_waits_hands_nothing_over() {
    let mut host = Host::new(&with_budget(1).replace("autonomy: act", "autonomy: approve")).actions_end(failed());
    host.fails(UNIT);
    host.operator(Operation::Approve { incident: ansai_model::id::IncidentId(1) });
    host.pass(secs(400));
    host.is_well(UNIT);
    host.pass(secs(400));
    host.fails(UNIT);
    let told = host.told().len();
    assert_eq!(host.phase("app.service"), "open", "{:?}", host.story(2));
    let said = host.operator(Operation::Heal { target: target("app.service") });
    assert!(said.starts_with("refused: 1 of 1 actions"), "{said}");
    assert_eq!((host.phase("app.service"), host.told().len()), ("open", told), "{:?}", host.story(2));
}

#[test]
fn while_somebody_wants_it_left_alone_no_try_is_promised() {
    let mut host = used_up();
    let (scope, reason) = (crate::host::only("app.service"), "lunch".into());
    host.operator(Operation::Hold { scope: scope.clone(), reason, until: None });
    let said = host.summary("app.service");
    assert!(said.contains("it is not tried again for now: ann has held it since"), "{said}");
    let open = host.open("app.service").expect("open").id;
    let restrained = |host: &Host| host.engine.report(host.now, open).and_then(|report| report.restrained);
    assert!(restrained(&host).is_some_and(|why| why.as_str().contains("`ansai release")));
    host.operator(Operation::Release { scope });
    assert!(restrained(&host).is_none() && host.summary("app.service").contains("it is tried again in"));
}
