//! What signals, looks and lists tell of a unit, and when each of them counts.

use zbus::Variant;

use super::*;

fn variant(value: impl Into<Variant<'static>>) -> OwnedVariant {
    value.into().try_into().expect("no file descriptor")
}

fn unit() -> UnitName {
    UnitName::new("a.service").expect("valid")
}

fn watching() -> Told {
    let mut told = Told::default();
    told.watch(&[unit()].into());
    told
}

#[test]
fn exits_are_told_apart() {
    let exit = |code: i32, status: i32| {
        let mut properties = Properties::default();
        properties.set("ExecMainCode", &variant(code));
        properties.set("ExecMainStatus", &variant(status));
        properties.exit()
    };
    assert_eq!(exit(2, 9), Some(Exit::Signal(9)));
    assert_eq!(exit(1, 0), Some(Exit::Code(0)));
    assert_eq!(exit(0, 0), None);
}

#[test]
fn the_program_that_ran_outlives_what_systemd_has_told() {
    let mut told = watching();
    assert!(told.wants_program(&unit(), 7));
    told.runs(&unit(), 7, "/usr/bin/app".to_owned());
    told.reset();
    told.forget(&unit());
    assert_eq!((told.program(&unit()), told.wants_program(&unit(), 7)), (Some("/usr/bin/app"), false));
    assert!(told.wants_program(&unit(), 8), "it runs anew");
}

#[test]
fn the_process_that_has_ended_is_told_with_how_long_it_ran() {
    let ended = |numbers: [u64; 2], code: i32| {
        let mut properties = Properties::default();
        properties.set("ExecMainCode", &variant(code));
        properties.set("ExecMainPID", &variant(7_u32));
        properties.set("ExecMainStartTimestamp", &variant(numbers[0]));
        properties.set("ExecMainExitTimestamp", &variant(numbers[1]));
        let ended = properties.ended();
        (ended.pid, ended.ran_for)
    };
    assert_eq!(ended([1_000_000, 61_500_000], 2), (Some(7), Some(Duration::from_millis(60_500))));
    assert_eq!(ended([1_000_000, 0], 0), (None, None), "it runs");
    assert_eq!(ended([9, 1], 1), (Some(7), None), "the clock was set back");
}

/// What a look finds of a service that systemd leaves down.
fn stays() -> Properties {
    let mut seen = Properties::default();
    seen.set("Restart", &variant("no"));
    seen
}

#[test]
fn a_signal_alone_is_no_look_and_after_one_it_is_for_a_moment() {
    let (mut told, now) = (watching(), Instant::now());
    let failed = HashMap::from([("ActiveState", variant("failed"))]);
    told.changed(&unit(), &failed, true, now);
    assert_eq!(told.fresh(&unit(), now), None, "what signals leave out is not known");
    told.looked(&unit(), &stays(), told.count(&unit()), now);
    told.changed(&unit(), &failed, true, now);
    assert_eq!(told.fresh(&unit(), now).and_then(|seen| seen.active), Some(ActiveState::Failed));
    assert_eq!(told.fresh(&unit(), now + FRESH * 2), None);
    told.reset();
    assert_eq!(told.fresh(&unit(), now), None);
}

#[test]
fn a_failure_that_systemd_may_be_mending_is_asked_about() {
    let (mut told, now) = (watching(), Instant::now());
    let failed = HashMap::from([("ActiveState", variant("failed"))]);
    told.looked(&unit(), &Properties::default(), told.count(&unit()), now);
    told.changed(&unit(), &failed, true, now);
    assert_eq!(told.fresh(&unit(), now), None, "nobody has asked yet whether systemd restarts it");
    told.learn(&unit(), "Restart", &variant("no"));
    assert!(told.fresh(&unit(), now).is_some());
    told.learn(&unit(), "Restart", &variant("on-failure"));
    assert_eq!(told.fresh(&unit(), now), None);
    told.changed(&unit(), &HashMap::from([("ActiveState", variant("failed"))]), true, now);
    assert_eq!(told.fresh(&unit(), now), None);
    told.changed(&unit(), &HashMap::from([("ActiveState", variant("active"))]), true, now);
    assert!(told.fresh(&unit(), now).is_some());
}

#[test]
fn half_of_a_change_is_no_whole() {
    let (mut told, now) = (watching(), Instant::now());
    told.looked(&unit(), &stays(), 0, now);
    told.changed(&unit(), &HashMap::from([("Result", variant("signal"))]), false, now);
    assert_eq!(told.fresh(&unit(), now), None);
    told.changed(&unit(), &HashMap::from([("ActiveState", variant("failed"))]), true, now);
    assert_eq!(told.fresh(&unit(), now).and_then(|seen| seen.result), Some(UnitResult::Signal));
}

#[test]
fn a_look_that_a_signal_has_overtaken_changes_nothing() {
    let (mut told, now) = (watching(), Instant::now());
    let count = told.count(&unit());
    told.changed(&unit(), &HashMap::from([("ActiveState", variant("failed"))]), true, now);
    let old = Properties { active: Some(ActiveState::Active), ..Properties::default() };
    told.looked(&unit(), &old, count, now);
    assert_eq!(told.fresh(&unit(), now), None);
}

const UP: Row<'_> = Row { load: "loaded", active: "active", sub: "running", job: 0 };

/// A crowd of which all have been looked at and found running.
fn crowd(now: Instant) -> (Told, UnitName) {
    let units: BTreeSet<UnitName> =
        (0..=CROWD).map(|number| UnitName::new(format!("a{number}.service")).expect("valid")).collect();
    let mut told = Told::default();
    told.watch(&units);
    let mut up = Properties::default();
    for (name, word) in [("LoadState", "loaded"), ("ActiveState", "active"), ("SubState", "running")] {
        up.set(name, &variant(word));
    }
    units.iter().for_each(|unit| told.looked(unit, &up, 0, now));
    (told, units.first().expect("some").clone())
}

#[test]
fn a_list_stands_for_a_look_at_each_while_it_says_what_is_known() {
    let now = Instant::now();
    let (mut told, unit) = crowd(now);
    let up = |told: &mut Told, row| told.list(&BTreeMap::from([(unit.as_str(), row)]), now);
    assert!(told.listed(&unit, now).is_none() && told.wants_list(&unit, now));
    assert!(!told.wants_list(&unit, now), "one is asked for already");
    up(&mut told, UP);
    assert!(told.listed(&unit, now).is_some() && told.listed(&unit, now + LISTED).is_none());
    assert!(told.wants_list(&unit, now + LISTED));
    for other in [
        Row { load: "masked", ..UP },
        Row { active: "failed", ..UP },
        Row { sub: "exited", ..UP },
        Row { job: 7, ..UP },
    ] {
        up(&mut told, other);
        assert!(told.listed(&unit, now).is_none(), "{other:?}");
    }
    told.list(&BTreeMap::new(), now);
    assert!(told.listed(&unit, now).is_none(), "what runs is loaded");
    // What no list says is asked for now and then.
    assert!(told.wants_list(&unit, now + ASKED - Duration::from_secs(1)));
    assert!(!told.wants_list(&unit, now + ASKED * 2));
}

#[test]
fn what_is_heard_after_a_list_is_asked_about() {
    let now = Instant::now();
    let hear: [fn(&mut Told, &UnitName, Instant); 5] = [
        |told, unit, now| told.changed(unit, &HashMap::from([("Result", variant("signal"))]), true, now),
        |told, unit, _| told.heard(unit),
        |told, unit, _| told.forget(unit),
        |told, unit, _| told.doubt(unit),
        |told, _, _| told.reset(),
    ];
    for (at, hear) in hear.into_iter().enumerate() {
        let (mut told, unit) = crowd(now);
        told.list(&BTreeMap::from([(unit.as_str(), UP)]), now);
        assert!(told.listed(&unit, now).is_some(), "{at}");
        hear(&mut told, &unit, now);
        assert!(told.listed(&unit, now).is_none(), "{at}");
    }
}

#[test]
fn what_is_doubted_is_asked_for_until_a_signal_tells_of_it() {
    let now = Instant::now();
    let (mut told, unit) = (watching(), unit());
    told.looked(&unit, &stays(), 0, now);
    let signal = |state: &str| HashMap::from([("ActiveState", variant(state.to_owned()))]);
    told.changed(&unit, &signal("failed"), true, now);
    assert!(told.fresh(&unit, now).is_some());
    let begun = told.count(&unit);
    told.doubt(&unit);
    assert!(told.fresh(&unit, now).is_none());
    told.list(&BTreeMap::new(), now);
    assert!(told.listed(&unit, now).is_none(), "a list that was on its way is older news");
    told.looked(&unit, &Properties::default(), begun, now);
    assert_eq!(told.active(&unit), Some(ActiveState::Failed), "a look that began before it is older news");
    told.changed(&unit, &signal("active"), true, now);
    let told = told.fresh(&unit, now).expect("told whole");
    assert_eq!(told.active, Some(ActiveState::Active));
}

#[test]
fn a_unit_that_is_down_need_not_be_loaded_and_few_units_are_asked_each() {
    let now = Instant::now();
    let (mut told, unit) = crowd(now);
    let mut down = Properties::default();
    down.set("ActiveState", &variant("inactive"));
    told.looked(&unit, &down, told.count(&unit), now);
    told.list(&BTreeMap::new(), now);
    assert!(told.listed(&unit, now).is_some());
    told.watch(&[unit.clone()].into());
    assert!(!told.wants_list(&unit, now + LISTED));
}
