//! Commands that make no sense: they are refused with words, and nothing comes of them.

use std::time::Duration;

use ansai_model::{operator::Operation, policy::Scope, text::Text, time::WallTime};

use crate::host::{Host, only, secs};

/// What is wrong in any case is tried beside the operations themselves; here, that nothing comes of it.
#[test]
fn what_makes_no_sense_is_refused_with_words_and_changes_nothing() {
    let mut host = Host::plain();
    let (reason, lasts) = (Text::from("x"), secs(60));
    let nothing = [Scope::Matching(vec![]), only(""), only("no-such.service"), only("app")];
    let mut senseless = Vec::new();
    for scope in nothing {
        senseless.push(Operation::Hold { scope: scope.clone(), reason: reason.clone(), until: None });
        senseless.push(Operation::Silence { scope: scope.clone(), reason: reason.clone(), lasts });
        senseless.push(Operation::Maintenance { scope, reason: reason.clone(), lasts });
    }
    for until in [WallTime(i64::MIN), WallTime(-1), WallTime(0), host.now.wall, WallTime(i64::MAX)] {
        senseless.push(Operation::Hold { scope: Scope::All, reason: reason.clone(), until: Some(until) });
    }
    for lasts in [Duration::ZERO, Duration::MAX] {
        senseless.push(Operation::Silence { scope: Scope::All, reason: reason.clone(), lasts });
        senseless.push(Operation::Maintenance { scope: Scope::All, reason: reason.clone(), lasts });
    }
    for operation in senseless {
        let answer = host.operator(operation.clone());
        assert!(answer.starts_with("refused: ") || answer.starts_with("not found: "), "{operation:?}: {answer}");
    }
    let state = host.engine.state();
    assert_eq!((state.holds.len(), state.silences.len(), state.maintenance.len()), (0, 0, 0));
}
