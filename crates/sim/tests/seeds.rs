//! A few hundred seeds on every test run; `cargo xtask sim --seeds N` runs more.

#[test]
fn invariants_hold_and_something_happens() {
    let totals = ansai_sim::run(0, 300).unwrap_or_else(|broken| panic!("{broken}"));
    assert!(
        totals.healed > 100 && totals.escalated > 20 && totals.restarts > 100 && totals.actions > 200,
        "{totals:?}"
    );
}

#[test]
fn a_seed_gives_the_same_run_twice() {
    let run = || format!("{:?}", ansai_sim::run(7, 8).unwrap_or_else(|broken| panic!("{broken}")));
    assert_eq!(run(), run());
}

#[test]
fn fleets_obey_and_something_happens_in_them() {
    let totals = ansai_sim::fleet::run(0, 60).unwrap_or_else(|broken| panic!("{broken}"));
    assert!(
        totals.actions > 1_000 && totals.answered > 300 && totals.acknowledged > 1_000 && totals.broken > 100,
        "{totals:?}"
    );
    assert!(totals.ordered > 50 && totals.told_by_hosts > 100 && totals.told_by_controller > 100, "{totals:?}");
    assert!(totals.killed > 20 && totals.restored > 2 && totals.unsaved > 10 && totals.clones > 10, "{totals:?}");
}
