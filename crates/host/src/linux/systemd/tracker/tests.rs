//! What is known of why a unit is as it is after each order of signals, and whose job started it.

use super::*;

#[derive(Clone, Copy)]
enum Event {
    Became(ActiveState),
    New(&'static str),
    Ours(&'static str),
    Removed(&'static str, &'static str),
    Reset,
}
use ActiveState::{Activating, Active, Deactivating, Failed, Inactive};
use Event::{Became, New, Ours, Removed, Reset};

#[track_caller]
fn check(events: &[Event], intent: Intent) {
    let unit = UnitName::new("a.service").expect("valid");
    let mut tracker = Tracker::default();
    assert!(tracker.watch([unit.clone()].into(), Vec::new()).is_empty());
    tracker.saw(&unit, Active);
    for event in events {
        match event {
            Became(active) => tracker.became(&unit, *active),
            New(job) => tracker.job_new(&unit, job),
            Ours(job) => tracker.job_is_ours(&unit, job),
            Removed(job, result) => tracker.job_removed(&unit, job, result),
            Reset => tracker.reset(),
        }
    }
    assert_eq!(tracker.intent(&unit), intent);
}

#[test]
fn a_crash_has_no_job_and_a_stop_has_one() {
    check(&[Became(Failed)], Intent::ByItself);
    check(&[Became(Deactivating), Became(Inactive)], Intent::ByItself);
    check(&[New("/1"), Became(Deactivating), Became(Inactive), Removed("/1", "done")], Intent::Stopped);
    check(&[New("/1"), Became(Deactivating), Became(Failed), Removed("/1", "done")], Intent::Stopped);
    check(&[Became(Failed), New("/1"), Removed("/1", "done")], Intent::Stopped);
}

#[test]
fn a_failed_start_is_no_stop_and_our_own_jobs_are_ours() {
    check(
        &[Became(Failed), New("/1"), Became(Activating), Became(Failed), Removed("/1", "failed")],
        Intent::StartFailed,
    );
    let restarted = [Became(Deactivating), Became(Inactive), Became(Activating), Became(Failed)];
    let fails = |whose: Option<Event>| {
        let begins = [New("/1")].into_iter().chain(whose);
        begins.chain(restarted).chain([Removed("/1", "failed")]).collect::<Vec<_>>()
    };
    check(&fails(None), Intent::StartFailed);
    check(&fails(Some(Ours("/1"))), Intent::Ours);
    check(&[New("/1"), Ours("/1"), Became(Deactivating), Became(Inactive), Removed("/1", "done")], Intent::Ours);
    check(&[Became(Failed), New("/1"), Became(Activating), Became(Active), Removed("/1", "done")], Intent::Unknown);
    check(&[Became(Failed), Reset], Intent::Unknown);
}

#[test]
fn it_is_known_whose_job_started_what_is_up() {
    let unit = UnitName::new("a.service").expect("valid");
    let started_by = |events: &[Event]| {
        let mut tracker = Tracker::default();
        drop(tracker.watch([unit.clone()].into(), Vec::new()));
        tracker.saw(&unit, Active);
        for event in events {
            match event {
                Became(active) => tracker.became(&unit, *active),
                New(job) => tracker.job_new(&unit, job),
                Ours(job) => tracker.job_is_ours(&unit, job),
                Removed(job, result) => tracker.job_removed(&unit, job, result),
                Reset => tracker.reset(),
            }
        }
        tracker.who_started(&unit)
    };
    let start = [Became(Failed), New("/1"), Became(Active), Removed("/1", "done")];
    assert_eq!(started_by(&start), StartedBy::Others, "`systemctl start`");
    let ours = [Became(Failed), New("/1"), Ours("/1"), Became(Activating), Became(Active), Removed("/1", "done")];
    assert_eq!(started_by(&ours), StartedBy::Ours);
    let restart = [New("/1"), Became(Deactivating), Became(Inactive), Became(Active), Removed("/1", "done")];
    assert_eq!(started_by(&restart), StartedBy::Others, "`systemctl restart` of what hangs");
    let own = [Became(Activating), New("/1"), Became(Activating), Became(Active), Removed("/1", "done")];
    assert_eq!(started_by(&own), StartedBy::Systemd, "`Restart=always`");
    let reload = start.into_iter().chain([New("/2"), Became(ActiveState::Reloading), Became(Active)]);
    let reload: Vec<Event> = reload.chain([Removed("/2", "done")]).collect();
    assert_eq!(started_by(&reload), StartedBy::Others, "a reload starts nothing");
    let again: Vec<Event> = start.into_iter().chain([Became(Failed), Became(Active)]).collect();
    assert_eq!(started_by(&again), StartedBy::Unknown);
    assert_eq!(started_by(&[New("/1"), Removed("/1", "done")]), StartedBy::Unknown);
    let unheard: Vec<Event> = start.into_iter().chain([Reset]).collect();
    assert_eq!(started_by(&unheard), StartedBy::Unknown);
}

#[test]
fn a_repeated_state_is_no_transition_and_a_job_that_came_to_nothing_says_nothing() {
    check(&[Reset, Became(Inactive)], Intent::Unknown);
    check(&[Reset, Became(Inactive), Became(Inactive)], Intent::Unknown);
    let stopped = [New("/1"), Became(Deactivating), Became(Inactive), Removed("/1", "done")];
    let canceled = stopped.into_iter().chain([New("/2"), Removed("/2", "canceled")]).collect::<Vec<_>>();
    check(&canceled, Intent::Stopped);
}

#[test]
fn systemd_keeps_only_so_many_units_in_mind_for_us() {
    let unit = |number: usize| UnitName::new(format!("a{number}.service")).expect("valid");
    let units = |numbers: std::ops::Range<usize>| numbers.map(unit).collect::<BTreeSet<_>>();
    let mut tracker = Tracker::default();
    assert!(tracker.watch(units(0..1_000), Vec::new()).is_empty());
    let referred = (0..1_000).filter(|number| tracker.refer(&unit(*number))).count();
    assert_eq!((referred, tracker.refer(&unit(0))), (REFERRED_MAX, false));
    // One that is gone, and those that are watched no more, leave their places to others.
    tracker.found(&unit(0), true);
    let dropped: BTreeSet<UnitName> = tracker.watch(units(11..1_000), Vec::new()).into_iter().collect();
    assert_eq!(dropped, units(1..11));
    assert_eq!((11..1_000).filter(|number| tracker.refer(&unit(*number))).count(), 11);
    tracker.reset();
    assert!(tracker.refer(&unit(11)), "another connection knows nothing of them");
}

#[test]
fn a_look_that_loads_a_unit_is_no_news_of_it() {
    let units = ["kept.service", "down.service", "up.service"].map(|name| UnitName::new(name).expect("valid"));
    let [kept, down, up] = &units;
    let mut tracker = Tracker::default();
    drop(tracker.watch(units.clone().into(), Vec::new()));
    assert!(tracker.refer(kept));
    for (unit, active) in [(kept, Inactive), (down, Inactive), (up, Active)] {
        tracker.saw(unit, active);
    }
    assert_eq!([kept, down, up].map(|unit| tracker.is_loading_news(unit)), [true, false, true]);
}

#[test]
fn a_host_that_goes_down_says_so_in_its_jobs() {
    let mut tracker = Tracker::default();
    assert_eq!(tracker.is_shutting_down(), None);
    tracker.said_of_shutdown(false);
    tracker.any_job_new("a.service", "/1");
    assert_eq!(tracker.is_shutting_down(), Some(false));
    tracker.any_job_new("shutdown.target", "/2");
    tracker.any_job_removed("/1", "canceled");
    tracker.said_of_shutdown(false);
    assert_eq!(tracker.is_shutting_down(), Some(true));
    tracker.any_job_removed("/2", "canceled");
    assert_eq!(tracker.is_shutting_down(), Some(false));
    tracker.reset();
    assert_eq!(tracker.is_shutting_down(), None);
}

#[test]
fn w09_what_fell_is_remembered_until_it_is_stopped_on_request() {
    let unit = UnitName::new("a.service").expect("valid");
    let mut tracker = Tracker::default();
    assert!(tracker.listen_to(&unit), "its state is to be asked for");
    tracker.saw(&unit, Active);
    assert!(!tracker.listen_to(&unit) && !tracker.fell(&unit));
    // systemd restarts it by itself, and shows no more of the fall than this.
    tracker.became(&unit, Activating);
    tracker.became(&unit, Active);
    assert!(tracker.fell(&unit));
    tracker.job_new(&unit, "/1");
    tracker.became(&unit, Deactivating);
    tracker.became(&unit, Failed);
    tracker.job_removed(&unit, "/1", "done");
    assert!(!tracker.fell(&unit), "an operator's stop that ends badly is a stop");
    assert!(!tracker.is_stopped_again(&unit));
    tracker.job_new(&unit, "/2");
    tracker.job_removed(&unit, "/2", "done");
    assert!(tracker.is_stopped_again(&unit));
    tracker.became(&unit, Activating);
    assert!(!tracker.is_stopped_again(&unit));
}

#[test]
fn a_one_shot_that_has_run_was_not_stopped() {
    check(
        &[Became(Inactive), New("/1"), Became(Activating), Became(Inactive), Removed("/1", "done")],
        Intent::ByItself,
    );
    // The stop of a unit that waits for its restart repeats that it was on its way up.
    check(
        &[Became(Activating), New("/1"), Became(Activating), Became(Inactive), Removed("/1", "done")],
        Intent::Stopped,
    );
    let restarted = [New("/1"), Became(Deactivating), Became(Inactive), Became(Activating), Became(Active)];
    check(&restarted, Intent::Unknown);
}

#[test]
fn w09_what_was_stopped_with_a_fallen_unit_is_known_whatever_that_one_does_next() {
    let [web, app] = ["web.service", "app.service"].map(|name| UnitName::new(name).expect("valid"));
    let mut tracker = Tracker::default();
    assert!(tracker.watch([web.clone(), app.clone()].into(), Vec::new()).is_empty());
    [&web, &app].into_iter().for_each(|unit| tracker.saw(unit, Active));
    tracker.is_bound_to(&web, std::slice::from_ref(&app));
    let moved = |tracker: &mut Tracker, unit: &UnitName, job: &str, to: ActiveState| {
        tracker.job_new(unit, job);
        tracker.became(unit, to);
        tracker.job_removed(unit, job, "done");
    };
    tracker.became(&app, Failed);
    moved(&mut tracker, &web, "/1", Inactive);
    // What else was bound to it has it started, and it is restarted: its last stop is younger than that of the first then.
    moved(&mut tracker, &app, "/2", Active);
    moved(&mut tracker, &app, "/3", Inactive);
    moved(&mut tracker, &app, "/4", Active);
    assert_eq!(tracker.stopped_with(&web), Some(&app));
    moved(&mut tracker, &web, "/5", Active);
    assert_eq!(tracker.stopped_with(&web), None);
    moved(&mut tracker, &app, "/6", Inactive);
    moved(&mut tracker, &web, "/7", Inactive);
    assert_eq!(tracker.stopped_with(&web), None, "an operator has stopped both");
}
