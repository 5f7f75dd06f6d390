//! What hosts are told to do now: who is told, what each answers, and that nobody is told twice or later.

use ansai_model::{
    fleet::FleetScope,
    id::IncidentId,
    operator::DrillKind,
    order::{Deed, Order, OrderOutcome, Ordered, Subject, Told},
    policy::Scope,
};
use ansai_protocol::{
    link::{FromController, FromHost},
    operation::{FleetAnswer, FleetOperation, HostTold},
    record::Record,
};

use crate::paper::{Paper, said, secs};

fn three() -> Paper {
    Paper::of(&[("web-1", "web"), ("web-2", "web"), ("db-1", "db")])
}

fn heal(over: FleetScope) -> FleetOperation {
    let to = Subject::Targets(Scope::Matching(vec!["app.service".into()]));
    FleetOperation::Order { deed: Deed::Heal, over, to, is_rehearsal: false }
}

fn web() -> FleetScope {
    FleetScope::Role("web".into())
}

/// The orders that were said on a session.
fn orders(fleet: &Paper, session: u64) -> Vec<Order> {
    let all = fleet.sent.iter().filter(|(to, _)| *to == session);
    let orders = all.filter_map(|(_, message)| match message {
        FromController::Order { order, .. } => Some((**order).clone()),
        _ => None,
    });
    orders.collect()
}

fn told(outcome: OrderOutcome) -> Told {
    let (text, suggestion) = ("as it says".into(), "".into());
    Told { of: "service/app.service".into(), outcome, text, suggestion, document: None }
}

fn answers(fleet: &mut Paper, session: u64, outcome: OrderOutcome) {
    let order = orders(fleet, session).pop().expect("it was told");
    let Order { request, epoch, number, .. } = order;
    let said = Ordered { request, epoch, number, told: vec![told(outcome)] };
    fleet.hears(session, FromHost::Ordered(Box::new(said)));
}

fn outcomes(answer: &FleetAnswer) -> Vec<(String, OrderOutcome)> {
    let FleetAnswer::Ordered { hosts, .. } = answer else { panic!("{answer:?}") };
    hosts.iter().map(|HostTold { host, told }| (host.to_string(), told[0].outcome)).collect()
}

#[test]
fn each_host_that_is_meant_is_told_once_and_answered_for() {
    let mut fleet = three();
    let request = fleet.asks(heal(web()));
    assert_eq!((orders(&fleet, 1).len(), orders(&fleet, 2).len(), orders(&fleet, 3).len()), (1, 1, 0));
    assert_eq!(orders(&fleet, 1)[0].by.as_str(), "ann");
    answers(&mut fleet, 1, OrderOutcome::Done);
    assert_eq!(fleet.answer(request), None);
    answers(&mut fleet, 2, OrderOutcome::Refused);
    let answer = fleet.answer(request).expect("all have answered");
    assert_eq!(outcomes(answer), [("web-1".into(), OrderOutcome::Done), ("web-2".into(), OrderOutcome::Refused)]);
    let words = said(answer);
    assert!(
        words.contains("heal app.service on every host of role web: done on 1 of 2 hosts; refused on web-2"),
        "{words}"
    );
    // It is written down before and after, with who said it and on how many.
    let audits = |fleet: &Paper| {
        let all = fleet
            .kept
            .iter()
            .filter(|record| matches!(record, Record::Audit(one) if one.what.as_str().contains("heal")));
        all.count()
    };
    assert_eq!(audits(&fleet), 2);
    // Numbers grow, and what a host says again is heard once.
    answers(&mut fleet, 1, OrderOutcome::Done);
    let second = fleet.asks(heal(web()));
    assert!(orders(&fleet, 1)[1].number > orders(&fleet, 1)[0].number);
    assert_eq!(fleet.answer(second), None);
}

#[test]
fn who_is_not_there_is_named_and_never_told_later() {
    let mut fleet = three();
    fleet.disconnects(2);
    let request = fleet.asks(heal(web()));
    answers(&mut fleet, 1, OrderOutcome::Done);
    let answer = fleet.answer(request).expect("nobody else is waited for");
    assert_eq!(outcomes(answer)[1], ("web-2".into(), OrderOutcome::Unreached));
    assert!(said(answer).contains("not reached, and not told later, on web-2"), "{}", said(answer));
    fleet.connects(12, 2);
    fleet.passes(secs(60), &[1, 3, 12]);
    assert_eq!(orders(&fleet, 12), []);
}

#[test]
fn a_link_that_ends_and_a_host_that_says_nothing_leave_it_unknown() {
    let mut fleet = three();
    let request = fleet.asks(heal(FleetScope::Fleet));
    fleet.disconnects(1);
    answers(&mut fleet, 2, OrderOutcome::Done);
    fleet.connects(11, 1);
    assert_eq!(orders(&fleet, 11), [], "it is not told again");
    // What another connection says, or what is said of another order, is no answer.
    let order = orders(&fleet, 1).pop().expect("it was told");
    let Order { request: asked, epoch, number, .. } = order;
    for (session, number) in [(11, number), (3, number + 1)] {
        let said = Ordered { request: asked, epoch, number, told: vec![told(OrderOutcome::Done)] };
        fleet.hears(session, FromHost::Ordered(Box::new(said)));
    }
    assert_eq!(fleet.answer(request), None);
    fleet.passes(secs(16), &[2, 3, 11]);
    let answer = fleet.answer(request).expect("in time");
    let expected = [OrderOutcome::Unanswered, OrderOutcome::Unanswered, OrderOutcome::Done].map(|one| one.as_str());
    let all = outcomes(answer);
    assert_eq!([0, 1, 2].map(|place| all[place].1.as_str()), [expected[0], expected[1], expected[2]]);
    assert!(said(answer).contains("not answered on db-1 and web-1"), "{}", said(answer));
}

#[test]
fn a_controller_that_is_killed_says_nothing_again_and_uses_no_number_twice() {
    let mut fleet = three();
    fleet.asks(heal(web()));
    let first = orders(&fleet, 1)[0].number;
    fleet.is_killed();
    fleet.sent.clear();
    for session in [1, 2, 3] {
        fleet.connects(20 + session, u8::try_from(session).expect("small"));
    }
    fleet.passes(secs(30), &[21, 22, 23]);
    assert_eq!(orders(&fleet, 21), []);
    fleet.asks(heal(web()));
    assert!(orders(&fleet, 21)[0].number > first);
}

#[test]
fn what_cannot_be_kept_is_not_ordered() {
    let mut fleet = three();
    fleet.disk_is_full = true;
    let answer = fleet.operates(heal(web()));
    assert!(matches!(answer, FleetAnswer::Refused { .. }), "{answer:?}");
    assert_eq!((orders(&fleet, 1), orders(&fleet, 2)), (vec![], vec![]));
}

#[test]
fn an_order_that_means_nothing_or_too_much_is_refused_and_a_rehearsal_keeps_nothing() {
    let mut fleet = three();
    let none = fleet.operates(heal(FleetScope::Host("web-9".into())));
    assert!(matches!(none, FleetAnswer::NotFound { .. }), "{none:?}");
    let incident = |over| {
        let to = Subject::Incident(IncidentId(7));
        FleetOperation::Order { deed: Deed::Approve, over, to, is_rehearsal: false }
    };
    let answer = fleet.operates(incident(web()));
    assert!(said(&answer).contains("i7 is another incident on each host"), "{answer:?}");
    let all =
        FleetOperation::Order { deed: Deed::Heal, over: web(), to: Subject::Targets(Scope::All), is_rehearsal: false };
    assert!(matches!(fleet.operates(all), FleetAnswer::Refused { .. }));
    let kept = fleet.kept.len();
    let rehearsed = FleetOperation::Order {
        deed: Deed::Heal,
        over: web(),
        to: Subject::Targets(Scope::Matching(vec!["app.service".into()])),
        is_rehearsal: true,
    };
    let request = fleet.asks(rehearsed);
    assert_eq!((orders(&fleet, 1)[0].number, orders(&fleet, 1)[0].is_rehearsal), (0, true));
    answers(&mut fleet, 1, OrderOutcome::Done);
    answers(&mut fleet, 2, OrderOutcome::Done);
    assert!(fleet.answer(request).is_some());
    assert_eq!(fleet.kept.len(), kept);
}

#[test]
fn one_host_of_a_role_is_broken_on_purpose_at_a_time() {
    let mut fleet = three();
    let drill = |over: FleetScope, is_rehearsal: bool| {
        let to = Subject::Targets(Scope::Matching(vec!["app.service".into()]));
        FleetOperation::Order { deed: Deed::Drill(DrillKind::Crash), over, to, is_rehearsal }
    };
    for is_rehearsal in [true, false] {
        for over in [web(), FleetScope::Fleet] {
            let answer = fleet.operates(drill(over, is_rehearsal));
            let why = "role web: 2 hosts are meant, and a drill breaks one at a time";
            assert!(said(&answer).contains(why), "{answer:?}");
        }
    }
    assert_eq!(orders(&fleet, 1).len() + orders(&fleet, 2).len() + orders(&fleet, 3).len(), 0);
    fleet.asks(drill(FleetScope::Host("web-1".into()), false));
    fleet.asks(drill(FleetScope::Role("db".into()), false));
    assert_eq!((orders(&fleet, 1).len(), orders(&fleet, 2).len(), orders(&fleet, 3).len()), (1, 0, 1));
}
