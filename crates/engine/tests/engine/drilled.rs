//! Which failures are a drill's: what fails while it lasts and in the way in which it breaks its unit, and nothing else.

use ansai_engine::{Input, effect::Answer};
use ansai_model::{
    hint::Hint,
    id::UnitName,
    observation::Observation,
    operator::{DrillKind, Operation, OperatorCommand},
    unit::{ActiveState, Exit, Intent, OwnSignal, Sender, StartedBy, UnitResult, UnitSnapshot},
};

use crate::host::{Host, QUIET, TWO_FAULT_DOMAINS, changed, failed, judged, not_needed, secs, succeeded, target, unit};

pub(crate) const UNIT: &str = "app.service#unit";
pub(crate) const TCP: &str = "app.service#tcp";

/// A unit in one of its runs.
pub(crate) fn run(name: &str, active: ActiveState) -> Observation {
    judged(UnitSnapshot { invocation: Some(name.into()), ..unit(active, Intent::ByItself) })
}

/// A unit that has died in one of its runs as this kind of drill has it die, and whether by the drill's own signal.
fn died(name: &str, kind: DrillKind, is_known: bool) -> Observation {
    let signal = if kind == DrillKind::Exit { 15 } else { 9 };
    let own_signal = is_known.then_some(OwnSignal { signal, by: Sender::Drill });
    let (invocation, exit) = (Some(name.into()), Some(Exit::Signal(signal)));
    judged(UnitSnapshot { invocation, exit, own_signal, ..unit(ActiveState::Failed, Intent::ByItself) })
}

/// A service that runs, is looked at through its port, and is drilled.
pub(crate) fn drilled(kind: DrillKind) -> Host {
    let mut host = begun(kind);
    host.action_ends(succeeded());
    host.pass(secs(1));
    host
}

/// The same, while the drill is still at it.
fn begun(kind: DrillKind) -> Host {
    let look = "app.service: {port: 5000, configuration: [/etc/app.conf], \
                probe: {tcp: \"127.0.0.1:5000\", fail_after: 1}}";
    let mut host = Host::new(&changed("app.service: {}", look));
    host.sees(UNIT, run("one", ActiveState::Active));
    host.pass(secs(60));
    assert!(host.operator(Operation::Drill { target: target("app.service"), kind }).starts_with("done"));
    host
}

pub(crate) fn is_drill(host: &Host) -> bool {
    host.open("app.service").expect("an incident").is_drill
}

#[test]
fn a_service_that_does_not_answer_after_it_was_hung_on_purpose_is_a_drills() {
    let mut host = drilled(DrillKind::Hang);
    host.sees(TCP, Observation::failing("no answer"));
    host.pass(secs(20));
    assert!(is_drill(&host));
}

#[test]
fn a_service_that_ends_after_it_was_hung_on_purpose_is_no_drills() {
    let mut host = drilled(DrillKind::Hang);
    host.sees(UNIT, run("one", ActiveState::Failed));
    assert!(!is_drill(&host), "a hang ends nothing");
    let mut host = drilled(DrillKind::Hang);
    let ended = UnitSnapshot { result: UnitResult::Watchdog, ..unit(ActiveState::Failed, Intent::ByItself) };
    host.sees(UNIT, judged(ended));
    assert!(is_drill(&host), "but it has systemd's watchdog end it");
}

#[test]
fn a_hang_is_over_when_somebody_has_started_the_service_anew() {
    let mut host = drilled(DrillKind::Hang);
    host.sees(UNIT, run("two", ActiveState::Active));
    host.sees(TCP, Observation::failing("no answer"));
    host.pass(secs(30));
    assert!(!is_drill(&host));
}

#[test]
fn what_was_seen_well_in_another_run_has_outlived_its_drill() {
    for kind in [DrillKind::Crash, DrillKind::Exit, DrillKind::Port] {
        let mut host = drilled(kind);
        host.sees(UNIT, run("two", ActiveState::Active));
        host.pass(secs(40));
        host.sees(UNIT, run("two", ActiveState::Failed));
        assert!(!is_drill(&host), "{kind:?}");
        for is_known in [true, false] {
            let mut host = drilled(kind);
            host.sees(UNIT, died("one", kind, is_known));
            assert!(is_drill(&host), "{kind:?} {is_known}");
        }
    }
}

/// What others do to the service while a drill lasts, and before it is well again, is theirs.
#[test]
fn a_death_is_a_drills_when_its_own_signal_ended_that_process_and_no_other() {
    let kinds = [DrillKind::Crash, DrillKind::Exit, DrillKind::Port, DrillKind::Configuration, DrillKind::Loop];
    for kind in kinds {
        let mut host = drilled(kind);
        host.happens("app.service", died("two", kind, true));
        assert!(is_drill(&host), "{kind:?}: it says so itself");
        // Also when the engine believes that it is over.
        let mut host = drilled(kind);
        host.sees(UNIT, run("two", ActiveState::Active));
        host.pass(secs(200));
        host.happens("app.service", died("two", kind, true));
        assert!(is_drill(&host), "{kind:?}: it says so itself, late");
        let mut host = drilled(kind);
        host.happens("app.service", died("two", kind, false));
        assert!(!is_drill(&host), "{kind:?}: another run was killed by somebody");
        let mut host = drilled(kind);
        let exit = Some(Exit::Signal(11));
        let crashed =
            UnitSnapshot { invocation: Some("one".into()), exit, ..unit(ActiveState::Failed, Intent::ByItself) };
        host.happens("app.service", judged(crashed));
        assert!(!is_drill(&host), "{kind:?}: that was not its signal");
    }
    let ended = |kind| {
        let mut host = drilled(kind);
        let (exit, result) = (Some(Exit::Code(1)), UnitResult::ExitCode);
        let ended = UnitSnapshot {
            invocation: Some("two".into()),
            exit,
            result,
            ..unit(ActiveState::Failed, Intent::ByItself)
        };
        host.happens("app.service", judged(ended));
        is_drill(&host)
    };
    assert!(
        ended(DrillKind::Port) && ended(DrillKind::Configuration),
        "what it broke keeps each further run from starting"
    );
    assert!(!ended(DrillKind::Crash) && !ended(DrillKind::Loop));
}

#[test]
fn a_real_kill_between_those_of_a_loop_is_an_incident_of_its_own() {
    // systemd brings it back each time, and nothing is done while the drill is at it.
    let mut host = begun(DrillKind::Loop);
    for (dies, runs) in [("one", "two"), ("two", "three")] {
        host.happens("app.service", died(dies, DrillKind::Loop, true));
        host.sees(UNIT, run(runs, ActiveState::Active));
        host.pass(secs(1));
        assert_eq!((open_id(&host), is_drill(&host), host.phase("app.service")), (1, true, "open"));
    }
    host.happens("app.service", died("three", DrillKind::Loop, false));
    assert_eq!((open_id(&host), is_drill(&host)), (2, false), "{:?}", host.story(1));
    let report = host.engine.report(host.now, host.open("app.service").expect("open").id).expect("a report");
    assert_eq!(report.cause.map(|cause| cause.rule.to_string()).as_deref(), Some("killed"));
}

fn open_id(host: &Host) -> u64 {
    host.open("app.service").expect("an incident").id.0
}

/// A drill's own words stand in what is told of it, and a remedy that kills looks for no sender.
#[test]
fn what_ansai_has_sent_itself_is_told_as_its_own() {
    let mut host = drilled(DrillKind::Exit);
    let exit = Some(Exit::Signal(15));
    let own_signal = Some(OwnSignal { signal: 15, by: Sender::Drill });
    let ended = UnitSnapshot {
        invocation: Some("one".into()),
        exit,
        own_signal,
        ..unit(ActiveState::Inactive, Intent::ByItself)
    };
    host.happens("app.service", judged(ended.clone()));
    let report =
        |host: &Host| host.engine.report(host.now, host.open("app.service").expect("open").id).expect("a report");
    let told = report(&host).symptom.to_string();
    assert!(told.starts_with("killed by SIGTERM, which a drill of ansai sent"), "{told}");
    let mut host = Host::plain();
    host.sees(UNIT, run("one", ActiveState::Active));
    host.pass(secs(60));
    let own_signal = Some(OwnSignal { signal: 9, by: Sender::Remedy });
    let killed = UnitSnapshot { own_signal, ..unit(ActiveState::Failed, Intent::ByItself) };
    host.happens("app.service", judged(killed));
    assert!(!is_drill(&host));
    assert_eq!(report(&host).cause.map(|cause| cause.rule.to_string()), None);
}

#[test]
fn what_fails_again_after_a_drill_was_healed_is_real_and_counts_as_such() {
    let mut host = drilled(DrillKind::Crash);
    host.sees(UNIT, run("one", ActiveState::Failed));
    assert!(is_drill(&host));
    // The port was free, and the restart helps.
    let mut host = host.mended_by("restart");
    host.next_actions_end([succeeded()]);
    host.action_ends(not_needed());
    host.pass(secs(45));
    assert_eq!(host.phase("app.service"), "none", "{:?}", host.story(1));
    host.next_actions_end([not_needed()]);
    host.sees(UNIT, run("two", ActiveState::Failed));
    assert!(!is_drill(&host));
    let memory = &host.engine.state().targets[&target("app.service")];
    assert_eq!((memory.actions.len(), memory.drills.len()), (1, 2), "{:?}", host.begun);
}

/// A service that was drilled, was healed by a restart, and is being watched.
fn healed_from(kind: DrillKind) -> Host {
    let mut host = drilled(kind).mended_by("restart");
    match kind {
        DrillKind::Hang => host.sees(UNIT, Observation::failing("its process has been stopped")),
        _ => host.sees(UNIT, died("one", kind, true)),
    }
    host.sees(UNIT, run("two", ActiveState::Active));
    assert_eq!((host.phase("app.service"), is_drill(&host)), ("stabilizing", true), "{:?}", host.story(1));
    host
}

#[test]
fn what_fails_while_a_healed_drill_is_watched_is_a_failure_of_its_own() {
    for kind in [DrillKind::Hang, DrillKind::Crash, DrillKind::Exit, DrillKind::Port] {
        let mut host = healed_from(kind);
        host.pass(secs(2));
        let counted = host.engine.state().targets[&target("app.service")].drills.len();
        host.sees(UNIT, run("two", ActiveState::Failed));
        let open = host.open("app.service").expect("an incident");
        assert!(
            !open.is_drill && open.id.0 == 2 && open.failing_since.mono >= open.opened.mono.minus(secs(1)),
            "{open:?}"
        );
        let report = host.engine.report(host.now, open.id).expect("a report");
        assert_eq!((report.is_drill, report.cause.map(|cause| cause.rule.to_string())), (false, Some("killed".into())));
        let drill = host.dispatches.iter().find(|told| told.report.incident.0 == 1).expect("the drill is told");
        assert!(drill.report.is_drill && drill.report.headline.as_str().contains("was healed by"), "{drill:?}");
        let told: Vec<_> = drill.report.steps.iter().map(crate::words::step).collect();
        assert!(told[told.len() - 2].contains("that is no drill, and has an incident of its own"), "{told:?}");
        assert!(told[told.len() - 1].starts_with("resolved: healed by `") && !told.join("").contains("stayed well"));
        host.pass(secs(60));
        let memory = &host.engine.state().targets[&target("app.service")];
        assert_eq!(memory.drills.len(), counted, "{kind:?}: a real failure takes nothing of the drills' budget");
        assert!(!memory.actions.is_empty(), "{kind:?}: {:?}", host.begun);
    }
}

#[test]
fn what_fails_again_after_a_person_has_mended_a_drill_is_real() {
    let mut host = drilled(DrillKind::Crash);
    host.sees(UNIT, run("one", ActiveState::Failed));
    host.action_ends(failed());
    host.pass(secs(600));
    assert!(is_drill(&host), "nobody has seen it well: {:?}", host.story(1));
    host.sees(UNIT, run("two", ActiveState::Active));
    host.pass(secs(10));
    host.sees(UNIT, run("two", ActiveState::Failed));
    assert!(!is_drill(&host), "{:?}", host.story(1));
}

#[test]
fn a_drill_that_kills_again_and_again_lasts_over_its_runs() {
    let mut host = healed_from(DrillKind::Loop);
    host.happens("app.service", died("two", DrillKind::Loop, true));
    assert!(is_drill(&host), "{:?}", host.story(1));
}

#[test]
fn a_drill_that_was_refused_breaks_nothing() {
    let mut host = drilled(DrillKind::Crash);
    host.pass(secs(600));
    assert!(
        host.operator(Operation::Drill { target: target("app.service"), kind: DrillKind::Crash }).starts_with("done")
    );
    host.action_ends(ansai_model::action::ActionOutcome::Refused { why: "no".into() });
    host.sees(UNIT, run("one", ActiveState::Failed));
    assert!(!is_drill(&host));
}

#[test]
fn a_matter_beside_the_unit_is_no_drills() {
    let mut host = Host::new(&format!("{}{TWO_FAULT_DOMAINS}", changed("notify:", QUIET)));
    let drill = Operation::Drill { target: target("app.service"), kind: DrillKind::Crash };
    assert!(host.operator(drill).starts_with("done"));
    host.action_ends(succeeded());
    host.pass(secs(1));
    host.fails("app.service#memory");
    assert!(!is_drill(&host));
}

/// What a person tries in the first hour: each way of breaking the same service, and each is healed at once.
#[test]
fn the_drills_of_a_first_hour_are_all_taken_on_and_the_refusal_says_when_the_next_is() {
    let mut host = Host::plain().mended_by("restart");
    let drill = || Operation::Drill { target: target("app.service"), kind: DrillKind::Crash };
    let mut counted = 0;
    let refused = loop {
        let answer = host.operator(drill());
        if !answer.starts_with("done") {
            break answer;
        }
        counted += 1;
        host.fails("app.service#unit");
        host.pass(secs(1));
        assert_eq!(host.done().len(), counted * 2, "each is healed at once: {}", host.summary("app.service"));
        let healed = "refused: incident i1 of service/app.service is still open: it is healed, and over when it has stayed well for another";
        assert!(counted > 1 || host.operator(drill()).starts_with(healed), "{}", host.operator(drill()));
        host.pass(secs(119));
        assert_eq!(host.phase("app.service"), "none", "{}", host.summary("app.service"));
    };
    assert!(counted >= 6, "crash, hang, exit, port, configuration and loop: {counted}, then {refused}");
    assert!(refused.contains("of 24 actions of drills on service/app.service within 1h are used"), "{refused}");
    let command = OperatorCommand { by: "ann".into(), operation: drill() };
    let Answer::Refused { suggestion, .. } = host.engine.rehearse(host.now, command).0 else { panic!("it is refused") };
    let wait = suggestion.as_str().strip_prefix("it may be tried again in ").expect("a time").to_owned();
    assert!(wait.contains('m'), "{wait}");
    // Nothing of it is held against a real failure.
    let memory = &host.engine.state().targets[&target("app.service")];
    assert_eq!((memory.actions.len(), memory.repeats, memory.backoff_level, memory.remediated), (0, 0, 0, None));
    host.pass(secs(3600));
    assert!(host.operator(drill()).starts_with("done"), "an hour later there is room again");
}

/// Whoever tries one kind after the other has each incident closed in its time: what is broken on purpose does not flap.
#[test]
fn what_drills_break_one_after_the_other_does_not_flap() {
    let mut host = Host::plain().mended_by("restart");
    for drill in 1..=6 {
        let begun = host.operator(Operation::Drill { target: target("app.service"), kind: DrillKind::Crash });
        assert!(begun.starts_with("done"), "{begun}");
        host.fails(UNIT);
        host.pass(secs(35));
        assert!(!host.explain("app.service").checks[0].is_flapping, "after drill {drill}");
        assert_eq!(host.phase("app.service"), "none", "after drill {drill}: {}", host.summary("app.service"));
    }
    // What fails by itself as often does.
    for _ in 0..3 {
        host.fails(UNIT);
        host.is_well(UNIT);
        host.pass(secs(1));
    }
    assert!(host.explain("app.service").checks[0].is_flapping);
}

#[test]
fn a_drill_waits_for_no_real_failure_and_ends_no_time_of_being_well() {
    let mut host = Host::plain().mended_by("restart");
    let drill = || Operation::Drill { target: target("app.service"), kind: DrillKind::Crash };
    // Three real failures, of which the third waited for its cooldown.
    for _ in 0..3 {
        host.fails("app.service#unit");
        host.pass(secs(90));
    }
    let before = host.done().len();
    assert!(host.operator(drill()).starts_with("done"), "{}", host.operator(drill()));
    host.fails("app.service#unit");
    host.pass(secs(1));
    assert_eq!(host.done().len(), before + 2, "{}", host.summary("app.service"));
    host.pass(secs(60));
    let well_since = host.engine.state().targets[&target("app.service")].well_since;
    host.pass(secs(500));
    assert!(host.operator(drill()).starts_with("done"));
    host.fails("app.service#unit");
    host.pass(secs(100));
    let memory = &host.engine.state().targets[&target("app.service")];
    assert_eq!(memory.well_since, well_since, "it has been well but for a drill");
}

#[test]
fn a_drill_that_nothing_would_mend_is_refused_until_the_breaker_closes() {
    let yaml = changed("attempts: 4", "attempts: 1").replace("failures: 3, within: 1h", "failures: 2, within: 1h");
    let mut host = Host::new(&yaml).actions_end(failed());
    for _ in 0..2 {
        host.fails("app.service#unit");
        host.pass(secs(60));
        host.is_well("app.service#unit");
        host.pass(secs(60));
    }
    assert_eq!(host.explain("app.service").breaker.as_str(), "open", "{:?}", host.done());
    let operation = Operation::Drill { target: target("app.service"), kind: DrillKind::Crash };
    let command = OperatorCommand { by: "ann".into(), operation };
    let Answer::Refused { why, suggestion } = host.engine.rehearse(host.now, command).0 else {
        panic!("it is refused")
    };
    let open = "the circuit breaker of service/app.service is open, so nothing would mend what a drill broke";
    assert_eq!(why.as_str(), open);
    assert!(suggestion.as_str().starts_with("it may be tried again in "), "{suggestion}");
}

/// What a drill broke may be well again because the drill has ended: that is told before whatever comes of it.
#[test]
fn what_a_drill_takes_back_at_its_end_is_told() {
    let mut host = drilled(DrillKind::Configuration);
    host.happens("app.service", died("one", DrillKind::Configuration, true));
    host.action_ends(failed());
    let ends = |host: &mut Host| {
        let unit = UnitName::new("app.service").expect("valid");
        host.step(Input::Hint(Hint::DrillEnded { unit, what: "/etc/app.conf is as it was".into() }));
    };
    ends(&mut host);
    let told = "undo: the drill, which is over: succeeded";
    assert!(host.story(1).iter().any(|step| step == told), "{:?}", host.story(1));
    // What is no drill's has nothing to do with it.
    let mut host = Host::plain();
    host.fails("app.service#unit");
    ends(&mut host);
    assert!(host.story(1).iter().all(|step| !step.starts_with("undo")), "{:?}", host.story(1));
}

/// What an operator starts who has said that they end the drill is its end, and nobody else's start.
#[test]
fn the_start_that_ends_a_drill_by_hand_is_told_as_that() {
    let ends = |is_said: bool, after: u64| {
        let observed =
            changed("app.service: {}", "app.service: {port: 5000}").replace("autonomy: act", "autonomy: observe");
        let mut host = Host::new(&observed);
        host.sees(UNIT, run("one", ActiveState::Active));
        host.pass(secs(60));
        assert!(
            host.operator(Operation::Drill { target: target("app.service"), kind: DrillKind::Crash })
                .starts_with("done")
        );
        host.action_ends(succeeded());
        host.happens("app.service", died("one", DrillKind::Crash, true));
        host.pass(secs(10));
        assert!(is_drill(&host));
        if is_said {
            let said = host.operator(Operation::EndDrill { target: target("app.service") });
            assert_eq!(said, "done: the drill on service/app.service is told as ended by ann");
        }
        host.pass(secs(after));
        let up = unit(ActiveState::Active, Intent::Unknown);
        let (since, started_by) = (Some(host.now.wall), StartedBy::Others);
        host.happens("app.service", judged(UnitSnapshot { since, started_by, invocation: Some("two".into()), ..up }));
        host.pass(secs(120));
        let told = host.dispatches.last().expect("told").report.clone();
        assert!(host.open("app.service").is_none(), "{told:?}");
        (told.headline.to_string(), host.story(1))
    };
    let (headline, story) = ends(true, 1);
    assert!(headline.starts_with("app.service is well again: the drill in it was over at "), "{headline}");
    assert!(story.iter().all(|step| !step.contains("started it")), "{story:?}");
    assert!(story.contains(&"undo: the drill, before its time: succeeded".to_owned()), "{story:?}");
    for (is_said, after) in [(false, 1), (true, 600)] {
        let (headline, _) = ends(is_said, after);
        assert!(headline.starts_with("app.service is well again: somebody else started it at "), "{headline}");
    }
    let mut host = Host::plain();
    host.fails("app.service#unit");
    let said = host.operator(Operation::EndDrill { target: target("app.service") });
    assert_eq!(said, "refused: no incident of service/app.service is open that a drill has made");
}

/// A copy of the configuration is made now and then while a service is well; a drill that meets it is refused for a moment.
#[test]
fn what_is_being_done_to_a_target_is_named_to_whoever_drills_it() {
    let kept =
        "app.service: {validate: [/bin/app, --check], configuration: [/etc/app.conf], restore_configuration: true}";
    let mut host = Host::new(&changed("app.service: {}", kept));
    assert_eq!(host.under_way.len(), 1, "a copy is being made");
    let drill = || Operation::Drill { target: target("app.service"), kind: DrillKind::Crash };
    let said = host.operator(drill());
    assert_eq!(
        said,
        "refused: service/app.service: its configuration is being validated, to keep a copy of it as the last known good one, for \
         0s so far"
    );
    host.action_ends(succeeded());
    assert!(host.operator(drill()).starts_with("done: "));
    let said = host.operator(drill());
    assert!(said.contains("a drill on it is about to begin"), "{said}");
}
