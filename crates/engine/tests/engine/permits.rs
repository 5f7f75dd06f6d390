//! What still serves is disturbed with a permit of the controller only, and what is down is mended with and without one.

use ansai_engine::Input;
use ansai_model::{
    decision::Gate,
    id::{IncidentId, PermitId},
    observation::Observation,
    operator::Operation,
    permit::{LinkStanding, PermitDenied, PermitFreed, PermitGranted, PermitNews, PermitsSaid},
    policy::Scope,
};

use crate::host::{Host, PLAIN, TWO_FAULT_DOMAINS, failed, secs, succeeded, target};

const RESTART: &str = "restart app.service";
const EPOCH: u64 = 3;

fn yaml() -> String {
    // One step, which takes away what serves.
    let restart = TWO_FAULT_DOMAINS
        .replace("    - {name: release, steps: [{exec: [/bin/release], disruption: none}], then: verify}\n", "");
    PLAIN.replace("notify:", "  leak: {stable_for: 10m}\nnotify:") + &restart
}

fn up(session: u64) -> Input {
    Input::Linked(LinkStanding::Up { session, epoch: EPOCH, gives_permits: true })
}

/// A host of a fleet whose service grows and still serves.
fn grows() -> Host {
    let mut host = Host::new(&yaml());
    host.step(up(1));
    host.sees("app.service#memory", Observation::failing("it grows"));
    host
}

impl Host {
    fn said(&self) -> &PermitsSaid {
        &self.permits.last().expect("something was said").1
    }

    fn granted(&mut self, id: u64, epoch: u64, number: u64, lasts: u64) {
        let incident = self.open("app.service").map_or(IncidentId(1), |incident| incident.id);
        let granted = PermitGranted { id: PermitId(id), epoch, incident, number, lasts_ms: lasts * 1_000 };
        self.step(Input::Permit(PermitNews::Granted(granted)));
    }

    fn permit(&self) -> String {
        self.gate_said("app.service", Gate::Permit)
    }
}

#[test]
fn what_serves_waits_for_a_permit_and_gives_it_back_when_it_is_well() {
    let mut host = grows();
    assert_eq!(host.done(), Vec::<&str>::new());
    assert_eq!(host.permit(), "defer: it still serves, so the controller is asked for a permit");
    let said = host.said().clone();
    assert!(said.is_well && said.holds.is_empty());
    let [wanted] = &said.wants[..] else { panic!("{said:?}") };
    assert_eq!(
        (wanted.target.clone(), wanted.what.as_str(), wanted.is_approved),
        (target("app.service"), RESTART, false)
    );
    let why = "role web: 2 of 3 must stay healthy".into();
    host.step(Input::Permit(PermitNews::Denied(Box::new(PermitDenied { incident: wanted.incident, why }))));
    assert_eq!(host.permit(), "defer: the controller has not permitted it yet: role web: 2 of 3 must stay healthy");
    // It is said again, so that a lease counts from when it is wanted still.
    host.pass(secs(10));
    assert!(host.said().number > said.number && host.said().wants[0].waits_ms >= 10_000);
    host.granted(7, EPOCH, host.said().number, 3_600);
    assert_eq!(host.done(), [RESTART]);
    assert_eq!(host.said().holds, [PermitId(7)]);
    host.is_well("app.service#memory");
    host.action_ends(succeeded());
    host.pass(secs(500));
    assert_eq!(host.said().holds, [PermitId(7)], "it is well, and watched still");
    host.pass(secs(200));
    assert_eq!((host.phase("app.service"), host.said().holds.len()), ("none", 0));
}

#[test]
fn what_is_down_asks_nobody_whether_the_controller_is_there_or_not() {
    for link in [None, Some(Input::Linked(LinkStanding::Away)), Some(up(1))] {
        let mut host = Host::new(&yaml());
        link.into_iter().for_each(|link| host.step(link));
        host.fails("app.service#unit");
        assert_eq!(host.done(), [RESTART]);
        assert!(host.permits.iter().all(|(_, said)| said.wants.is_empty()));
    }
    let mut host = Host::new(&yaml());
    host.step(up(1));
    assert!(host.said().is_well);
    host.fails("app.service#unit");
    assert!(!host.said().is_well, "its role is told that it serves no more");
}

#[test]
fn who_has_joined_no_controller_or_one_that_gives_none_is_asked_nothing() {
    let older = Input::Linked(LinkStanding::Up { session: 1, epoch: EPOCH, gives_permits: false });
    for link in [None, Some(older)] {
        let mut host = Host::new(&yaml());
        link.into_iter().for_each(|link| host.step(link));
        host.sees("app.service#memory", Observation::failing("it grows"));
        assert_eq!(host.done(), [RESTART]);
        assert!(host.permits.is_empty());
    }
}

#[test]
fn while_the_controller_is_away_nothing_is_disturbed_that_serves() {
    let mut host = Host::new(&yaml());
    host.step(Input::Linked(LinkStanding::Away));
    host.sees("app.service#memory", Observation::failing("it grows"));
    host.pass(secs(3_600));
    assert_eq!(host.done(), Vec::<&str>::new());
    assert!(host.permit().contains("the controller is away"), "{}", host.permit());
    // It fails after all, and is mended at once.
    host.fails("app.service#unit");
    assert_eq!(host.done(), [RESTART]);
    // Left, it is asked nothing.
    let mut host = Host::new(&yaml());
    host.step(Input::Linked(LinkStanding::Away));
    host.sees("app.service#memory", Observation::failing("it grows"));
    host.step(Input::LeftController);
    assert_eq!(host.done(), [RESTART]);
}

/// Story 7, as far as the engine sees it: nothing begins under a lease that has ended, however late its answer was read.
#[test]
fn a_lease_counts_from_when_it_was_asked_for() {
    let mut host = grows();
    let asked = host.said().number;
    // The process stands still, with the answer unread.
    host.now = host.now.plus(secs(400));
    host.granted(7, EPOCH, asked, 360);
    assert_eq!(host.done(), Vec::<&str>::new());
    assert!(host.said().holds.is_empty() && host.said().through == PermitId(7), "it is given back");
    // Of another life of the controller, or as an answer to nothing: not taken either.
    host.granted(8, EPOCH + 1, host.said().number, 3_600);
    host.granted(9, EPOCH, host.said().number + 1, 3_600);
    assert_eq!(host.done(), Vec::<&str>::new());
    host.pass(secs(10));
    host.granted(10, EPOCH, host.said().number, 3_600);
    assert_eq!(host.done(), [RESTART]);
    let run = host.under_way[0].id;
    let ends = host.engine.begins_before(run).expect("it needs a permit");
    assert!(ends > host.now.mono && ends < host.now.mono.plus(secs(3_600)), "it is to be done before the lease ends");
}

#[test]
fn what_was_not_begun_in_time_asks_anew() {
    let mut host = grows();
    host.granted(7, EPOCH, host.said().number, 3_600);
    let run = host.under_way.remove(0).id;
    host.now = host.now.plus(secs(3_600));
    host.step(Input::NotStarted { run, why: "the permit has ended".into() });
    host.pass(secs(1));
    assert_eq!(host.done(), [RESTART], "once");
    assert_eq!((host.said().wants.len(), host.said().holds.len()), (1, 0));
}

/// Story 5.
#[test]
fn what_another_gate_objects_to_keeps_no_permit() {
    let mut host = Host::new(&(yaml().replace("stable_for: 10m", "stable_for: 10m, quiet: {at: '09:00', lasts: 1h}")));
    host.step(up(1));
    host.sees("app.service#memory", Observation::failing("it grows"));
    let asked = host.said().number;
    assert_eq!(host.said().wants.len(), 1);
    host.operator(Operation::Hold { scope: Scope::All, reason: "".into(), until: None });
    host.granted(7, EPOCH, asked, 3_600);
    assert_eq!(host.done(), Vec::<&str>::new());
    assert!(host.said().wants.is_empty() && host.said().holds.is_empty(), "{:?}", host.said());
    host.operator(Operation::Release { scope: Scope::All });
    assert_eq!(host.said().wants.len(), 1, "it is asked for again");
}

#[test]
fn a_remedy_that_failed_keeps_its_permit_until_its_end_or_a_person() {
    let mut host = grows();
    host.granted(7, EPOCH, host.said().number, 3_600);
    host.action_ends(failed());
    host.pass(secs(600));
    assert_eq!(host.said().holds, [PermitId(7)], "{}", host.phase("app.service"));
    let freed = PermitFreed { id: PermitId(7), why: "ann has freed it".into() };
    host.step(Input::Permit(PermitNews::Freed(Box::new(freed))));
    assert!(host.said().holds.is_empty());
    let mut host = grows();
    host.granted(7, EPOCH, host.said().number, 3_600);
    host.action_ends(failed());
    host.pass(secs(3_700));
    assert!(host.said().holds.is_empty());
}

#[test]
fn an_agent_that_starts_anew_holds_only_what_it_has_used() {
    let mut host = grows();
    host.granted(7, EPOCH, host.said().number, 3_600);
    assert_eq!(host.done(), [RESTART]);
    host.permits.clear();
    host.restart(None);
    host.step(Input::Linked(LinkStanding::Away));
    assert!(host.permits.is_empty(), "nothing is said on a link that is down");
    host.step(up(2));
    assert_eq!((host.permits[0].0, host.said().holds.as_slice()), (2, [PermitId(7)].as_slice()));
}

#[test]
fn each_new_link_is_told_everything() {
    let mut host = grows();
    let before = host.permits.len();
    host.step(Input::Linked(LinkStanding::Away));
    host.step(up(2));
    assert_eq!(host.permits.len(), before + 1);
    assert_eq!((host.permits[before].0, host.said().wants.len()), (2, 1));
    // What was asked for on the link before is answered on it, or not at all.
    host.granted(7, EPOCH, host.permits[before - 1].1.number, 3_600);
    assert_eq!(host.done(), Vec::<&str>::new());
}

#[test]
fn a_person_who_asks_is_told_to_the_controller() {
    let mut host = grows();
    let answer = host.operator(Operation::Heal { target: target("app.service") });
    assert!(answer.starts_with("done: the controller is told that a person wants it"), "{answer}");
    assert!(host.said().wants[0].is_approved);
}
