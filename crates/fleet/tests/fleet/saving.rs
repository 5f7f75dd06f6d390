//! What was not kept was never said.

use ansai_fleet::{Books, FleetEngine};
use ansai_model::fleet::FleetScope;
use ansai_protocol::{link::JoinAnswer, operation::FleetOperation};

use crate::paper::{Paper, empty, hold, said, secs, short};

#[test]
fn what_could_not_be_kept_is_refused_told_to_nobody_and_taken_back() {
    let mut fleet = Paper::of(&[("web-1", "web"), ("db-1", "db")]);
    fleet.holds(FleetScope::Fleet);
    for operation in [
        hold(FleetScope::Role("web".into())),
        FleetOperation::End {
            kind: ansai_model::fleet::RestraintKind::Hold,
            over: FleetScope::Fleet,
            scope: ansai_model::policy::Scope::All,
        },
        FleetOperation::Rename { host: "web-1".into(), name: short("www") },
        FleetOperation::Remove { host: "db-1".into() },
        FleetOperation::RevokeToken { id: crate::paper::TOKEN },
    ] {
        let before = fleet.engine.books().clone();
        fleet.disk_is_full = true;
        fleet.sent.clear();
        let answer = fleet.operates(operation.clone());
        assert!(said(&answer).contains("could not be kept: disk full"), "{answer:?}");
        assert_eq!((fleet.engine.books(), fleet.set(1)), (&before, None), "{operation:?}");
        // While it is so nothing is begun.
        assert!(said(&fleet.operates(operation)).contains("could not be kept"));
        assert!(matches!(fleet.joins(9, "new", "", true), JoinAnswer::Refused { .. }));
        fleet.disk_is_full = false;
        fleet.passes(secs(6), &[]);
        assert_eq!(fleet.engine.trouble(), None);
    }
    assert!(said(&fleet.operates(FleetOperation::RevokeToken { id: crate::paper::TOKEN })).starts_with("done"));
}

#[test]
fn a_join_that_could_not_be_kept_used_no_token() {
    let mut fleet = Paper::empty();
    fleet.token(1);
    fleet.disk_is_full = true;
    assert!(matches!(fleet.joins(1, "web-1", "web", true), JoinAnswer::Refused { .. }));
    fleet.disk_is_full = false;
    fleet.passes(secs(6), &[]);
    assert!(matches!(fleet.joins(1, "web-1", "web", true), JoinAnswer::Joined(_)));
}

#[test]
fn a_controller_that_is_killed_goes_on_from_what_was_kept() {
    let mut fleet = Paper::of(&[("web-1", "web"), ("db-1", "db")]);
    fleet.holds(FleetScope::Role("web".into()));
    fleet.operates(FleetOperation::Rename { host: "db-1".into(), name: short("db-9") });
    fleet.operates(FleetOperation::Remove { host: "web-1".into() });
    let mut books = Books::new(empty());
    for record in &fleet.kept {
        books.put(record);
    }
    assert_eq!(&books, fleet.engine.books());
    let mut state = empty();
    state.hosts = books.hosts.values().cloned().collect();
    state.restraints = books.restraints.values().cloned().collect();
    state.generation = books.generation;
    let engine = FleetEngine::new(state, fleet.now);
    assert_eq!(engine.books().restraints, books.restraints);
    assert_eq!(engine.restraints().next().expect("one").1.acknowledged, 0, "nobody has said that it obeys");
}
