//! Repetition: what fails again soon after it was healed is mended at once the first time, and only repetition is limited.

use ansai_model::{
    decision::Gate,
    operator::{DrillKind, Operation},
};

use crate::host::{Direction, Host, changed, secs, target};

/// A service that was healed, failed again soon after and was healed again: from now on it waits.
fn healed_twice() -> Host {
    let steady =
        changed("stable_for: 30s", "stable_for: 5s").replace("app.service: {}", "app.service: {flap: {changes: 50}}");
    let mut host = Host::new(&steady).mended_by("restart");
    for healed in 1..=2 {
        host.fails("app.service#unit");
        assert_eq!(host.done().len(), healed, "at once: {:?}", host.story(healed as u64));
        host.pass(secs(6));
        assert_eq!(host.phase("app.service"), "none");
        host.pass(secs(10));
    }
    host
}

#[test]
fn what_dies_again_soon_after_it_was_healed_is_back_at_once_the_first_time_and_waits_then_longer_each_time() {
    let mut host = healed_twice();
    host.fails("app.service#unit");
    let said = host.gate("app.service", Gate::Cooldown);
    assert!(
        said.starts_with("defer 19")
            && said.ends_with("2 times in a row by now: the next try waits until 30s after that"),
        "{said}"
    );
    host.pass(secs(18));
    assert_eq!(host.done().len(), 2);
    host.pass(secs(3));
    assert_eq!(host.done().len(), 3);
    host.pass(secs(16));
    host.fails("app.service#unit");
    let said = host.gate("app.service", Gate::Cooldown);
    assert!(said.ends_with("3 times in a row by now: the next try waits until 1m after that"), "{said}");
    // Well for as long as the back-off wants it, and it begins anew.
    host.is_well("app.service#unit");
    host.pass(secs(700));
    host.fails("app.service#unit");
    assert_eq!(host.done().len(), 4, "{}", host.summary("app.service"));
}

#[test]
fn no_jump_of_the_wall_clock_shortens_or_lengthens_a_cooldown() {
    for direction in [Direction::Forward, Direction::Back] {
        let mut host = healed_twice();
        host.wall_jumps(secs(86_400), direction);
        host.fails("app.service#unit");
        host.pass(secs(18));
        assert_eq!(host.done().len(), 2, "{direction:?}");
        host.pass(secs(3));
        assert_eq!(host.done().len(), 3, "{direction:?}");
    }
}

#[test]
fn the_budget_of_the_host_is_shared_by_its_targets_and_only_repetition_costs_it() {
    let two = "agent: {host_budget: {actions: 1, per: 1h}}\nservices:\n  db.service: {}\n";
    let mut host = Host::new(&changed("services:\n", two)).mended_by("restart");
    for name in ["app", "db"].into_iter().cycle().take(3) {
        host.fails(&format!("{name}.service#unit"));
        host.pass(secs(60));
    }
    assert_eq!(host.done(), ["restart app.service", "restart db.service", "restart app.service"]);
    host.fails("db.service#unit");
    let why = "escalated: 1 of 1 repeated actions on this host within 1h are used; there is room again at 2026-11-18T1";
    assert!(host.last_step(4).starts_with(why), "{}", host.last_step(4));
    assert_eq!(host.done().len(), 3);
}

#[test]
fn a_drill_and_what_it_broke_cost_a_real_failure_nothing() {
    let one =
        changed("actions: 6", "actions: 2").replace("services:\n", "agent: {host_budget: {actions: 1}}\nservices:\n");
    let mut host = Host::new(&one).mended_by("restart");
    let drill = || Operation::Drill { target: target("app.service"), kind: DrillKind::Crash };
    assert!(host.operator(drill()).starts_with("done"));
    host.fails("app.service#unit");
    host.pass(secs(200));
    assert_eq!((host.done().len(), host.phase("app.service")), (2, "none"));
    assert!(host.operator(drill()).starts_with("done"));
    host.fails("app.service#unit");
    host.pass(secs(200));
    let used = "refused: 4 of 8 actions of drills on service/app.service within 1h are used, which leaves no room to mend another";
    assert_eq!(host.operator(drill()), used, "drills have a budget too");
    for number in 4..=5 {
        host.fails("app.service#unit");
        assert_eq!(host.done().len(), number + 1, "{}", host.summary("app.service"));
        host.pass(secs(60));
    }
    assert_eq!(host.explain("app.service").actions, 2);
    assert!(host.engine.state().targets[&target("app.service")].past.values().all(|past| past.len() == 2));
}

/// A person hears of what is brought back each time and dies again; it is not left down for minutes all the same.
#[test]
fn what_a_start_brings_back_each_time_is_brought_back_after_a_person_was_told_too() {
    let often = changed("    retry: never\n", "").replace("actions: 6", "actions: 60");
    let only = "app.service: {flap: {changes: 500}}\nrunbooks:\n  service/app.service: \
                [{name: restart, steps: [{restart_unit: app.service}], then: verify}]";
    let mut host = Host::new(&often.replace("app.service: {}", only)).mended_by("restart");
    let dies = |host: &mut Host| {
        let starts = host.done().len();
        host.fails("app.service#unit");
        let mut waited = 0;
        while host.done().len() == starts && waited < 600 {
            host.pass(secs(1));
            waited += 1;
        }
        host.pass(secs(2));
        waited
    };
    let waits: Vec<u32> = (0..8).map(|_| dies(&mut host)).collect();
    assert!(waits[..2] == [0, 0] && waits.iter().all(|wait| *wait <= 61), "{waits:?}: {:?}", host.story(1));
    assert_eq!(host.told().iter().filter(|told| told.starts_with("Escalated")).count(), 1, "{:?}", host.told());
    let handed = host.story(1).into_iter().find(|step| step.starts_with("escalated")).expect("handed over");
    let words = "escalated: it was brought back, and failed again each time, 4 attempts in all; the policy allows 4";
    assert_eq!(handed, words);
}
