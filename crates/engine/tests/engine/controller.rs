//! What a controller's operators say is obeyed beside what is said on the host, and nothing said on the host changes it.

use ansai_engine::{HostEngine, Input, State};
use ansai_model::{
    decision::Gate,
    fleet::{Acknowledged, FleetScope, Restraint, RestraintKind, RestraintSet},
    id::RestraintId,
    operator::Operation,
    policy::Scope,
    time::WallTime,
};

use crate::host::{Host, only, secs, succeeded, target};

/// The controller's clock, which is two hours ahead of the host's.
const AHEAD_MS: i64 = 2 * 3_600_000;

fn controllers_clock(host: &Host) -> WallTime {
    WallTime(host.now.wall.0 + AHEAD_MS)
}

/// A restraint that lasts for so many seconds, or until somebody ends it.
fn restraint(host: &Host, kind: RestraintKind, scope: Scope, lasts: Option<u64>) -> Restraint {
    let since = controllers_clock(host);
    let until = lasts.map(|lasts| since.plus(secs(lasts)));
    let over = FleetScope::Role("web".into());
    Restraint { id: RestraintId(3), kind, over, scope, reason: "moving".into(), by: "bob".into(), since, until }
}

fn said(host: &mut Host, (epoch, generation): (u64, u64), restraints: Vec<Restraint>) -> Acknowledged {
    let set = RestraintSet { controller: "c1".into(), epoch, generation, at: controllers_clock(host), restraints };
    host.step(Input::Restraints(Box::new(set)));
    host.restrained.pop().expect("each set is answered")
}

fn held(host: &mut Host, age: (u64, u64)) -> Acknowledged {
    let hold = restraint(host, RestraintKind::Hold, Scope::All, None);
    said(host, age, vec![hold])
}

#[test]
fn a_hold_of_the_controller_stops_all_action_and_says_whose_it_is_and_what_ends_it() {
    let mut host = Host::plain();
    let acknowledged = held(&mut host, (1, 4));
    assert_eq!((acknowledged.epoch, acknowledged.generation, acknowledged.refused), (1, 4, None));
    host.fails("app.service#unit");
    host.pass(secs(3_600));
    assert_eq!(host.done(), Vec::<&str>::new());
    let gate = host.gate("app.service", Gate::Hold);
    for piece in [
        "bob has held every host of role web at the controller since 2026-11-18T11:06:40Z (moving)",
        "`ansai release --role web` on the controller ends that",
    ] {
        assert!(gate.contains(piece), "{gate}");
    }
    let explained = host.explain("app.service");
    assert!(explained.hold.is_some_and(|hold| hold.as_str().contains("--role web")));
    assert!(host.summary("app.service").contains("bob has held"), "{}", host.summary("app.service"));
    // The end of it is a set without it.
    assert_eq!(said(&mut host, (1, 5), vec![]).refused, None);
    host.pass(secs(1));
    assert_eq!(host.done(), ["restart app.service"]);
}

#[test]
fn what_is_said_on_the_host_ends_nothing_of_it_and_says_why() {
    let kinds = [RestraintKind::Hold, RestraintKind::Silence, RestraintKind::Maintenance];
    for (kind, operation) in kinds.into_iter().flat_map(|kind| {
        [Scope::All, only("app.service")].map(|scope| match kind {
            RestraintKind::Hold => (kind, Operation::Release { scope }),
            RestraintKind::Silence => (kind, Operation::Unsilence { scope }),
            RestraintKind::Maintenance => (kind, Operation::EndMaintenance { scope }),
        })
    }) {
        let mut host = Host::plain();
        let one = restraint(&host, kind, Scope::All, Some(3_600));
        said(&mut host, (1, 1), vec![one.clone()]);
        let answer = host.operator(operation.clone());
        let expected = format!(
            "refused: bob has set a {} at the controller, for every host of role web, which nothing said on this host ends",
            kind.as_str()
        );
        assert_eq!(answer, expected);
        // What was said on the host ends, and the rest is told.
        let scope = Scope::All;
        let here = match kind {
            RestraintKind::Hold => Operation::Hold { scope, reason: "here".into(), until: None },
            RestraintKind::Silence => Operation::Silence { scope, reason: "here".into(), lasts: secs(60) },
            RestraintKind::Maintenance => Operation::Maintenance { scope, reason: "here".into(), lasts: secs(60) },
        };
        host.operator(here);
        let all = match kind {
            RestraintKind::Hold => Operation::Release { scope: Scope::All },
            RestraintKind::Silence => Operation::Unsilence { scope: Scope::All },
            RestraintKind::Maintenance => Operation::EndMaintenance { scope: Scope::All },
        };
        let answer = host.operator(all);
        let begins = format!("done: 1 {} ended; bob has set a", kind.as_str());
        assert!(answer.starts_with(&begins) && answer.contains(&one.end_command()), "{answer}");
        let from = host.engine.state().controller.clone().expect("a set");
        assert_eq!(from.in_force(host.now).count(), 1);
    }
}

#[test]
fn a_local_hold_and_one_of_the_controller_are_both_obeyed() {
    let mut host = Host::plain();
    held(&mut host, (1, 1));
    host.operator(Operation::Hold { scope: Scope::All, reason: "here".into(), until: None });
    host.fails("app.service#unit");
    said(&mut host, (1, 2), vec![]);
    host.pass(secs(60));
    assert_eq!(host.done(), Vec::<&str>::new());
    host.operator(Operation::Release { scope: Scope::All });
    host.pass(secs(1));
    assert_eq!(host.done(), ["restart app.service"]);
}

#[test]
fn an_older_generation_or_epoch_is_never_applied_and_what_is_in_force_is_said() {
    let mut host = Host::plain();
    held(&mut host, (2, 7));
    for older in [(2, 6), (1, 90), (0, 0)] {
        let answer = said(&mut host, older, vec![]);
        assert_eq!((answer.epoch, answer.generation), (2, 7));
        assert!(answer.refused.is_some_and(|why| why.as_str().contains("is older than epoch 2, generation 7")));
    }
    // Other restraints under the same numbers are no repetition.
    let answer = said(&mut host, (2, 7), vec![]);
    assert!(answer.refused.is_some_and(|why| why.as_str().contains("is in force with other restraints")));
    host.fails("app.service#unit");
    host.pass(secs(60));
    assert_eq!(host.done(), Vec::<&str>::new());
    // The same again is, and a newer epoch counts anew.
    let revision = host.engine.revision();
    assert_eq!(held_again(&mut host).refused, None);
    assert_eq!(host.engine.revision(), revision);
    assert_eq!(said(&mut host, (3, 1), vec![]).refused, None);
    host.pass(secs(1));
    assert_eq!(host.done(), ["restart app.service"]);
}

/// The set in force is said again, by a clock that has gone on.
fn held_again(host: &mut Host) -> Acknowledged {
    let mut set = host.engine.state().controller.clone().expect("a set").said;
    set.at = controllers_clock(host);
    host.step(Input::Restraints(Box::new(set)));
    host.restrained.pop().expect("each set is answered")
}

#[test]
fn a_set_out_of_bounds_is_refused_and_the_one_before_stays() {
    let mut host = Host::plain();
    held(&mut host, (1, 1));
    let twice = restraint(&host, RestraintKind::Hold, Scope::All, None);
    let answer = said(&mut host, (1, 2), vec![twice.clone(), twice]);
    assert_eq!(answer.generation, 1);
    assert!(answer.refused.is_some_and(|why| why.as_str().contains("in the set twice")));
}

#[test]
fn it_ends_after_what_is_left_of_it_whatever_the_controllers_clock_says_or_is_set_to() {
    let mut host = Host::plain();
    let hold = restraint(&host, RestraintKind::Hold, Scope::All, Some(600));
    said(&mut host, (1, 1), vec![hold]);
    host.fails("app.service#unit");
    host.now.wall.0 += 3 * 365 * 86_400_000;
    host.step(Input::Tick);
    host.pass(secs(598));
    assert_eq!(host.done(), Vec::<&str>::new());
    host.restart(None);
    host.fails("app.service#unit");
    assert_eq!(host.done(), Vec::<&str>::new());
    host.pass(secs(4));
    assert_eq!(host.done(), ["restart app.service"]);
}

#[test]
fn it_is_in_the_ledger_and_obeyed_before_the_first_action_after_a_boot() {
    let mut host = Host::plain();
    held(&mut host, (1, 1));
    host.fails("app.service#unit");
    host.restart(None);
    host.fails("app.service#unit");
    host.pass(secs(3_600));
    assert_eq!(host.done(), Vec::<&str>::new());
    let acknowledged = host.engine.acknowledged(host.now).expect("a set");
    assert_eq!((acknowledged.epoch, acknowledged.generation), (1, 1));
}

#[test]
fn what_was_begun_before_is_named() {
    let mut host = Host::plain();
    host.fails("app.service#unit");
    assert_eq!(host.under_way.len(), 1);
    let silence = restraint(&host, RestraintKind::Silence, Scope::All, Some(60));
    assert_eq!(said(&mut host, (1, 1), vec![silence]).under_way, []);
    assert_eq!(held(&mut host, (1, 2)).under_way, [target("app.service")]);
    host.action_ends(succeeded());
    assert_eq!(held_again(&mut host).under_way, []);
}

#[test]
fn maintenance_stops_action_and_silence_only_messages() {
    for (kind, gate, done) in
        [(RestraintKind::Maintenance, Gate::Maintenance, 0), (RestraintKind::Silence, Gate::Hold, 1)]
    {
        let mut host = Host::plain().mended_by("restart");
        let one = restraint(&host, kind, only("app.service"), Some(3_600));
        said(&mut host, (1, 1), vec![one]);
        host.fails("app.service#unit");
        if kind == RestraintKind::Maintenance {
            let says = host.gate("app.service", gate);
            assert!(says.contains("a maintenance window that bob opened at the controller"), "{says}");
        }
        host.pass(secs(600));
        assert_eq!(host.done().len(), done, "{kind:?}");
        let explained = host.explain("app.service");
        assert_eq!(explained.silence.is_some(), kind == RestraintKind::Silence);
        assert!(host.told().iter().all(|told| told.contains("to nobody: ")), "{:?}", host.told());
    }
}

#[test]
fn it_is_acknowledged_anew_when_the_ledger_can_be_saved_again() {
    let mut host = Host::plain();
    held(&mut host, (1, 1));
    host.step(Input::Ledger(Some("disk full".into())));
    assert_eq!(host.restrained, []);
    host.step(Input::Ledger(None));
    assert_eq!(host.restrained.pop().expect("an answer").generation, 1);
}

#[test]
fn a_host_that_left_its_fleet_obeys_it_no_more_and_another_controller_counts_anew() {
    let mut host = Host::plain();
    held(&mut host, (5, 9));
    host.fails("app.service#unit");
    host.step(Input::LeftController);
    host.pass(secs(1));
    assert_eq!(host.done(), ["restart app.service"]);
    let mut host = Host::plain();
    held(&mut host, (5, 9));
    let mut set = host.engine.state().controller.clone().expect("a set").said;
    (set.controller, set.epoch, set.generation) = ("c2".into(), 1, 1);
    host.step(Input::Restraints(Box::new(set)));
    assert_eq!(host.restrained.pop().expect("an answer").refused, None);
}

/// What a controller says that can keep nothing. It ends by itself, and the host's ledger knows nothing of it.
#[test]
fn a_host_that_is_told_to_stand_back_begins_nothing_until_that_is_over() {
    let told = |host: &mut Host, seconds| {
        host.step(Input::StandBack { why: "two hosts have its identity".into(), lasts: secs(seconds) });
    };
    let mut host = Host::plain();
    let before = host.engine.revision();
    told(&mut host, 30);
    assert_eq!((host.engine.revision(), host.restrained.len()), (before, 0), "nobody acknowledges it");
    host.fails("app.service#unit");
    host.pass(secs(20));
    told(&mut host, 30);
    host.pass(secs(29));
    assert_eq!(host.done(), Vec::<&str>::new());
    let gate = host.gate("app.service", Gate::Hold);
    assert!(gate.contains("the controller has it stand back until"), "{gate}");
    assert!(gate.contains("two hosts have its identity"), "{gate}");
    host.pass(secs(2));
    assert_eq!(host.done(), ["restart app.service"]);
    // However long is said, it is over soon; and who leaves the fleet is told nothing by it.
    for is_left in [false, true] {
        let mut host = Host::plain();
        told(&mut host, 1_000_000);
        host.fails("app.service#unit");
        host.pass(secs(58));
        assert_eq!(host.done(), Vec::<&str>::new());
        if is_left {
            host.step(Input::LeftController);
        }
        host.pass(secs(if is_left { 1 } else { 3 }));
        assert_eq!(host.done(), ["restart app.service"]);
    }
}

#[test]
fn a_ledger_from_before_there_were_controllers_is_read() {
    let host = Host::plain();
    let old = serde_json::to_value(host.engine.state()).expect("the state is written");
    assert_eq!(old.get("controller"), None);
    let state: State = serde_json::from_value(old).expect("the state is read");
    let engine = HostEngine::new(host.engine.bundle().clone(), state, host.now);
    assert_eq!(engine.acknowledged(host.now), None);
}

/// What the ledger holds of a controller, as it was first written.
const AS_FIRST_WRITTEN: &str = r#"{
  "said": {"controller": "c1", "epoch": 1, "generation": 4, "at": 1795000000000, "restraints": [
    {"id": 3, "kind": "hold", "over": "fleet", "scope": "all", "reason": "moving", "by": "bob", "since": 1795000000000},
    {"id": 4, "kind": "maintenance", "over": {"label": {"key": "rack", "value": "7"}},
     "scope": {"matching": ["app.service"]}, "reason": "", "by": "bob", "since": 1795000000000, "until": 1795000600000}]},
  "came": {"mono": 5000000000000, "wall": 1795000000500},
  "newest": [1, 4]
}"#;

#[test]
fn what_the_ledger_holds_of_a_controller_is_read_as_it_was_first_written() {
    let host = Host::plain();
    let mut state = serde_json::to_value(host.engine.state()).expect("the state is written");
    state["controller"] = serde_json::from_str(AS_FIRST_WRITTEN).expect("JSON");
    let state: State = serde_json::from_value(state).expect("the state is read");
    let from = state.controller.expect("a set");
    assert_eq!(from.said.age(), (1, 4));
    assert_eq!(from.in_force(host.now).count(), 2);
    assert_eq!(from.in_force(host.now.plus(secs(601))).count(), 1);
    assert_eq!(from.on(host.now, RestraintKind::Hold, &target("app.service")).count(), 1);
}
