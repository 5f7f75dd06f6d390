//! From when downtime counts: from when it went, as far as anybody can say, and never from before it was last found well.

use std::time::Duration;

use ansai_engine::Input;
use ansai_model::{
    hint::Hint,
    incident::{Incident, SinceBy},
    observation::Observation,
    operator::Operation,
    time::WallTime,
    unit::{ActiveState, Intent, UnitSnapshot},
};

use crate::host::{ACTION, Host, PLAIN, changed, check, judged, only, secs, succeeded, unit};

const UNIT: &str = "app.service#unit";
const TCP: &str = "app.service#tcp";

/// A service that is looked at through its port as well, and was well a moment ago.
fn host() -> Host {
    let look = "app.service: {probe: {tcp: \"127.0.0.1:5000\", fail_after: 1}}";
    let mut host = Host::new(&changed("app.service: {}", look));
    host.sees(UNIT, judged(unit(ActiveState::Active, Intent::ByItself)));
    host.pass(Duration::from_millis(60_300));
    host
}

/// A service of which nothing has run for this time, as a look sees it before and after that is enough to say so.
fn still(lasts: Duration) -> Observation {
    judged(UnitSnapshot { still_for: Some(lasts), ..unit(ActiveState::Active, Intent::ByItself) })
}

fn hangs(lasts: Duration) -> Observation {
    Observation::failing("it hangs: all of its 3 processes have been stopped")
        .with_details(still(lasts).details().clone())
}

fn open(host: &Host) -> &Incident {
    host.open("app.service").expect("an incident")
}

/// How long ago it went, and how long ago all was last found well.
fn ago(host: &Host) -> (Duration, Duration) {
    let incident = open(host);
    let well = incident.well_until.expect("it was well");
    assert!(well <= incident.failing_since.wall, "{incident:?}");
    (host.now.mono.since(incident.failing_since.mono), host.now.wall.since(well))
}

#[test]
fn a_hang_counts_from_when_nothing_of_it_ran_and_the_looks_since_found_nothing_well() {
    let mut host = host();
    let well = host.now;
    host.sees(UNIT, judged(unit(ActiveState::Active, Intent::ByItself)));
    host.pass(secs(3));
    host.happens("app.service", still(Duration::ZERO));
    host.pass(secs(4));
    host.happens("app.service", still(secs(4)));
    assert!(host.open("app.service").is_none(), "that is not long enough");
    host.pass(secs(6));
    host.happens("app.service", hangs(secs(10)));
    assert_eq!((ago(&host).0, open(&host).since_by), (secs(10), SinceBy::Stillness));
    assert_eq!(open(&host).well_until, Some(well.wall));
    // Its remedy takes a while, and its whole downtime is told.
    host.pass(secs(2));
    host.is_mended("app.service");
    while host.phase("app.service") != "stabilizing" {
        if !host.under_way.is_empty() {
            host.action_ends(succeeded());
        }
        host.pass(ACTION);
    }
    host.pass(secs(40));
    let down = host.dispatches.last().and_then(|told| told.report.downtime).expect("healed");
    assert!(down >= secs(12) && down < secs(16), "{down:?}");
}

#[test]
fn whoever_misses_its_answers_first_tells_since_when_it_has_been_still() {
    let mut host = host();
    host.happens("app.service", still(Duration::ZERO));
    host.pass(secs(6));
    host.happens("app.service", still(secs(6)));
    host.sees_only(TCP);
    assert_eq!((ago(&host).0, open(&host).since_by), (secs(6), SinceBy::Stillness));
    // One look may find a process at rest that runs a moment later.
    let mut host = self::host();
    host.happens("app.service", still(Duration::ZERO));
    host.pass(secs(2));
    host.sees_only(TCP);
    assert_eq!((ago(&host).0, open(&host).since_by), (Duration::ZERO, SinceBy::Look));
}

#[test]
fn a_later_look_may_say_that_it_went_earlier_until_a_remedy_begins() {
    let story = |is_held: bool| {
        let mut host = host();
        host.happens("app.service", still(Duration::ZERO));
        host.pass(secs(8));
        if is_held {
            host.operator(Operation::Hold { scope: only("app.service"), reason: "".into(), until: None });
        }
        host.sees_only(TCP);
        host.pass(secs(2));
        assert_eq!(host.under_way.is_empty(), is_held);
        host.happens("app.service", hangs(secs(10)));
        ago(&host).0
    };
    assert_eq!(story(true), secs(10));
    assert_eq!(story(false), secs(10), "what stood still before the remedy is not its doing");
}

/// Whoever misses its answers may do so sooner than its unit is called hung.
#[test]
fn what_does_not_answer_is_asked_since_when_nothing_of_it_runs_before_a_remedy_begins() {
    let mut host = host();
    host.happens("app.service", still(Duration::ZERO));
    host.pass(secs(4));
    host.sees.insert(check(UNIT), still(secs(4)));
    host.sees_only(TCP);
    assert_eq!((ago(&host).0, open(&host).since_by), (secs(4), SinceBy::Stillness));
}

/// What never answers after its start is down from its first look on, though the start period was waited for.
#[test]
fn what_has_not_answered_since_its_start_has_been_down_since_then() {
    let look = "app.service: {start_period: 20s, probe: {tcp: \"127.0.0.1:5000\", fail_after: 1, every: 5s}}";
    let mut host = Host::new(&changed("app.service: {}", look));
    host.pass(secs(60));
    let started = |host: &Host| UnitSnapshot {
        since: Some(host.now.wall),
        invocation: Some("anew".into()),
        ..unit(ActiveState::Active, Intent::ByItself)
    };
    host.sees.insert(check(TCP), Observation::failing("refused"));
    let anew = judged(started(&host));
    host.happens("app.service", anew);
    host.pass(secs(30));
    let (down, _) = ago(&host);
    assert!(down >= secs(24), "{down:?}: {:?}", host.story(1));
}

#[test]
fn of_the_stamps_of_systemd_the_first_after_the_last_healthy_look_counts() {
    let went = |before: [u64; 3]| {
        let mut host = host();
        host.sees(UNIT, judged(unit(ActiveState::Active, Intent::ByItself)));
        host.pass(secs(5));
        let [left_active, ended_at, since] =
            before.map(|secs| Some(WallTime(host.now.wall.0 - i64::try_from(secs * 1000).expect("short"))));
        let failed = unit(ActiveState::Failed, Intent::ByItself);
        host.happens("app.service", judged(UnitSnapshot { left_active, ended_at, since, ..failed }));
        (ago(&host).0.as_secs(), open(&host).since_by)
    };
    assert_eq!(went([2, 1, 1]), (2, SinceBy::Systemd));
    assert_eq!(went([1, 3, 1]), (3, SinceBy::Systemd), "others of it went on for a while");
    assert_eq!(went([86_400, 86_400, 1]), (1, SinceBy::Systemd), "the older ones are of another run");
    assert_eq!(went([86_400, 86_400, 86_400]), (5, SinceBy::Look), "the clock was set");
}

/// An answer that does not come is missed from when it was asked for.
#[test]
fn a_look_that_waits_in_vain_counts_from_its_beginning() {
    let mut host = host();
    host.hanging.insert(check(TCP));
    host.pass(secs(31));
    let waited = Duration::from_secs(1);
    host.step(Input::Observed { check: check(TCP), observation: Observation::failing("no answer in time") });
    let (down, well) = ago(&host);
    assert!(down >= waited && well > down, "{down:?} {well:?}");
}

/// It was asked before it went, and could not answer any more.
#[test]
fn of_what_went_while_it_was_asked_systemd_knows_when() {
    let look = "app.service: {probe: {tcp: \"127.0.0.1:5000\", fail_after: 2}}";
    let mut host = Host::new(&changed("app.service: {}", look));
    host.sees(UNIT, judged(unit(ActiveState::Active, Intent::ByItself)));
    host.pass(Duration::from_millis(60_300));
    host.hanging.insert(check(TCP));
    host.step(Input::Hint(Hint::Everything));
    host.pass(Duration::from_millis(20));
    let left_active = Some(host.now.wall);
    host.pass(Duration::from_millis(20));
    host.step(Input::Observed { check: check(TCP), observation: Observation::failing("the connection was closed") });
    host.happens("app.service", judged(UnitSnapshot { left_active, ..unit(ActiveState::Failed, Intent::ByItself) }));
    assert_eq!((ago(&host).0, open(&host).since_by), (Duration::from_millis(20), SinceBy::Systemd));
}

#[test]
fn what_is_only_told_was_well_until_then_at_most() {
    let mut host = Host::new(PLAIN);
    host.pass(secs(60));
    host.sees(UNIT, Observation::warning("it is old"));
    host.pass(secs(600));
    let warns = open(&host);
    assert!(warns.well_until.is_none_or(|well| well <= warns.failing_since.wall), "{warns:?}");
}
