//! What a controller's operators order is done once, under the gates of this host, and by nobody that it does not obey.

use ansai_engine::Input;
use ansai_model::{
    fleet::RestraintSet,
    id::IncidentId,
    operator::{DrillKind, Operation},
    order::{Deed, ORDER_LATE, Order, OrderOutcome, Ordered, Subject},
    policy::Scope,
};

use crate::host::{Host, only, secs};

/// A host that obeys a controller and has heard its restraints.
fn joined(yaml: Option<&str>) -> Host {
    let mut host = yaml.map_or_else(Host::plain, Host::new);
    obeys(&mut host, (1, 4));
    host
}

fn obeys(host: &mut Host, (epoch, generation): (u64, u64)) {
    let set = RestraintSet { controller: "c1".into(), epoch, generation, at: host.now.wall, restraints: vec![] };
    host.step(Input::Restraints(Box::new(set)));
}

fn order(number: u64, deed: Deed, name: &str) -> Order {
    let to = Subject::Targets(only(name));
    let (controller, by) = ("c1".into(), "bob".into());
    Order { request: 9, controller, epoch: 1, number, by, deed, to, is_rehearsal: false }
}

fn said(host: &mut Host, order: Order) -> Ordered {
    host.step(Input::Order { order: Box::new(order), late: secs(0) });
    host.ordered.pop().expect("each order is answered")
}

fn outcome(host: &mut Host, order: Order) -> (OrderOutcome, String) {
    let told = said(host, order).told;
    assert_eq!(told.len(), 1, "{told:?}");
    (told[0].outcome, format!("{}: {}; {}", told[0].of, told[0].text, told[0].suggestion))
}

const CRASH: Deed = Deed::Drill(DrillKind::Crash);

#[test]
fn an_order_is_done_once_however_often_it_comes_and_whatever_is_restarted() {
    let mut host = joined(None);
    let (done, words) = outcome(&mut host, order(5, CRASH, "app.service"));
    assert!(done == OrderOutcome::Done && words.contains("ansai will inject"), "{words}");
    let begun = host.done().len();
    assert_eq!(begun, 1);
    for number in [5, 4, 1] {
        let (again, words) = outcome(&mut host, order(number, CRASH, "app.service"));
        assert!(again == OrderOutcome::Refused && words.contains("does nothing twice"), "{words}");
    }
    // A newer set of restraints and a restart of the agent change nothing of that.
    obeys(&mut host, (1, 8));
    host.restart(None);
    let (again, words) = outcome(&mut host, order(5, CRASH, "app.service"));
    assert!(again == OrderOutcome::Refused && words.contains("does nothing twice"), "{words}");
    assert_eq!(host.done().iter().filter(|what| what.contains("inject")).count(), 1);
}

#[test]
fn what_is_refused_was_heard_as_well_and_is_not_done_later() {
    let mut host = joined(None);
    host.operator(Operation::Hold { scope: Scope::All, reason: "mine".into(), until: None });
    let (held, words) = outcome(&mut host, order(5, CRASH, "app.service"));
    assert!(held == OrderOutcome::Refused && words.contains("nothing is done to service/app.service now"), "{words}");
    host.operator(Operation::Release { scope: Scope::All });
    assert_eq!(outcome(&mut host, order(5, CRASH, "app.service")).0, OrderOutcome::Refused);
    host.pass(secs(60));
    assert_eq!(host.done(), Vec::<&str>::new());
}

#[test]
fn nobody_orders_but_the_controller_that_the_host_obeys_and_in_time() {
    let mut host = Host::plain();
    let unheard = outcome(&mut host, order(5, CRASH, "app.service"));
    assert!(unheard.1.contains("has heard no restraints of this controller"), "{unheard:?}");
    obeys(&mut host, (2, 1));
    let other = Order { controller: "c2".into(), epoch: 2, ..order(5, CRASH, "app.service") };
    assert_eq!(outcome(&mut host, other).0, OrderOutcome::Refused);
    let older = outcome(&mut host, order(5, CRASH, "app.service"));
    assert!(older.0 == OrderOutcome::Refused && older.1.contains("epoch 1"), "{older:?}");
    let late = Order { epoch: 2, ..order(5, CRASH, "app.service") };
    host.step(Input::Order { order: Box::new(late), late: ORDER_LATE + secs(1) });
    let late = host.ordered.pop().expect("answered").told.remove(0);
    assert!(late.outcome == OrderOutcome::Refused && late.text.as_str().contains("not done so late"), "{late:?}");
    assert_eq!(host.done(), Vec::<&str>::new());
}

#[test]
fn a_rehearsal_says_what_would_come_of_it_and_changes_nothing() {
    let mut host = joined(None);
    let before = host.engine.revision();
    let rehearsed = Order { number: 0, is_rehearsal: true, ..order(0, CRASH, "app.service") };
    assert_eq!(outcome(&mut host, rehearsed.clone()).0, OrderOutcome::Done);
    assert_eq!((host.done().len(), host.engine.revision()), (0, before));
    let (done, words) = outcome(&mut host, order(5, CRASH, "app.service"));
    assert_eq!(done, OrderOutcome::Done, "{words}");
}

#[test]
fn healing_is_for_what_fails_and_says_who_asked_for_it() {
    let mut host = joined(Some("autonomy: suggest\nservices: {app.service: {}, db.service: {}}\n"));
    let all = Order { to: Subject::Targets(only("*.service")), ..order(5, Deed::Heal, "app.service") };
    let nothing = outcome(&mut host, all.clone());
    assert!(nothing.0 == OrderOutcome::Nothing && nothing.1.contains("nothing is known to be wrong"), "{nothing:?}");
    host.fails("app.service#unit");
    host.pass(secs(1));
    assert_eq!(host.done(), Vec::<&str>::new());
    let told = said(&mut host, Order { number: 6, ..all }).told;
    assert_eq!((told.len(), told[0].of.as_str(), told[0].outcome), (1, "service/app.service", OrderOutcome::Done));
    assert!(host.story(1).iter().any(|step| step.contains("healing asked for by bob at the controller")));
    assert_eq!(host.done(), ["restart app.service"]);
    let missing = outcome(&mut host, order(7, Deed::Heal, "nginx.service"));
    assert!(missing.0 == OrderOutcome::Nothing && missing.1.contains("it has no target"), "{missing:?}");
}

#[test]
fn what_waits_for_an_approval_is_answered_by_its_number_or_by_its_target() {
    let mut host = joined(Some("autonomy: approve\nservices: {app.service: {}}\n"));
    let nothing = outcome(&mut host, order(5, Deed::Approve, "app.service"));
    assert!(nothing.0 == OrderOutcome::Nothing && nothing.1.contains("waits for an approval"), "{nothing:?}");
    host.fails("app.service#unit");
    host.pass(secs(1));
    let wrong = Order { to: Subject::Incident(IncidentId(9)), ..order(6, Deed::Approve, "app.service") };
    assert_eq!(outcome(&mut host, wrong).0, OrderOutcome::Nothing);
    let (done, words) = outcome(&mut host, order(7, Deed::Approve, "app.service"));
    assert!(done == OrderOutcome::Done && words.starts_with("i1 of service/app.service: i1 is approved"), "{words}");
    assert_eq!(host.done(), ["restart app.service"]);
}

#[test]
fn a_question_names_what_it_is_about_and_is_answered_again() {
    let mut host = joined(None);
    for _ in 0..2 {
        let told = said(&mut host, order(0, Deed::Explain, "app.service")).told;
        assert_eq!((told[0].of.as_str(), told[0].document.as_deref()), ("service/app.service", Some("")));
    }
    let counted = said(&mut host, Order { is_rehearsal: true, ..order(0, Deed::Explain, "app.service") }).told;
    assert_eq!((counted[0].outcome, &counted[0].document), (OrderOutcome::Done, &None), "only what is meant is asked");
}
