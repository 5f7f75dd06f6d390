//! What people read, as files to be read beside the code.

use std::time::Duration;

use ansai_model::{
    action::ActionOutcome,
    decision::{Choice, Decision, Gate, GateResult, Verdict},
    id::{IncidentId, RunId, RungId},
    incident::{Phase, Relapse, Step},
    report::{Cause, Report, Storm},
    retry::Retry,
    text::Text,
};
use jiff::tz::{TimeZone, offset};

use super::*;

fn options() -> RenderOptions {
    RenderOptions::new("web-01", TimeZone::fixed(offset(1)))
}

#[test]
fn a_healed_incident_as_text() {
    insta::assert_snapshot!(text(&fixtures::healed(), &options()));
}

#[test]
fn an_escalated_incident_as_text() {
    insta::assert_snapshot!(text(&fixtures::escalated(), &options()));
}

#[test]
fn a_healed_incident_as_html() {
    insta::assert_snapshot!(html(&fixtures::healed(), &options()));
}

#[test]
fn many_messages_as_one() {
    let notices = [
        fixtures::notice(NoticeKind::Healed, fixtures::healed(), &["ops"]),
        fixtures::notice(NoticeKind::Escalated, fixtures::escalated(), &["ops"]),
    ];
    insta::assert_snapshot!(digest_text(&notices, &options()));
    assert_eq!(digest_subject(&notices, "web-01"), "[web-01] 2 messages in one, 1 of them needs you");
    assert!(digest_html(&notices, &options()).contains("ansai report i8"));
}

#[test]
fn a_storm_is_one_message_that_says_how_many_failed_what_became_of_them_and_what_was_behind_it() {
    let cause =
        Cause { text: "the memory of the host ran out".into(), rule: "r".into(), seen_in: "db: oom-kill".into() };
    let storm =
        |well| Some(Storm { first: IncidentId(1), incidents: 20, undecided: 0, well, cause: Some(cause.clone()) });
    let of = |number: u64, kind, report: Report| {
        let report = Report { incident: IncidentId(number), storm: storm(18), ..report };
        fixtures::notice(kind, report, &["ops"])
    };
    let mut notices: Vec<_> = (1..=18).map(|number| of(number, NoticeKind::Healed, fixtures::healed())).collect();
    notices.extend((19..=20).map(|number| of(number, NoticeKind::Escalated, fixtures::escalated())));
    assert_eq!(
        digest_subject(&notices, "web-01"),
        "[web-01] 20 failed at once: 2 need you, 18 healed; the memory of the host ran out"
    );
    assert!(digest_text(&notices, &options()).contains("the memory of the host ran out (seen in db: oom-kill)"));
    // Nobody is told of what was healed, or was told before: what became of it is said all the same.
    assert_eq!(
        digest_subject(&notices[18..], "web-01"),
        "[web-01] 20 failed at once: 2 need you, 18 well again; the memory of the host ran out"
    );
    assert_eq!(
        digest_subject(&notices[..15], "web-01"),
        "[web-01] 20 failed at once: 15 healed, 3 well again, 2 not well yet; the memory of the host ran out"
    );
    assert_eq!(
        subject(&notices[19], "web-01"),
        "[web-01] needs you, act now: nginx.service is down and ansai may not act (20 failed at once: 1 needs you, \
         18 well again, 1 not well yet; the memory of the host ran out)"
    );
    let page = text(&notices[19].report, &options());
    assert!(page.contains("one of 20 that failed at once, of which 18 were well again"), "{page}");
    // One that is not of the storm, and it is a digest like any other.
    notices.push(fixtures::notice(NoticeKind::Healed, fixtures::healed(), &["ops"]));
    assert_eq!(digest_subject(&notices, "web-01"), "[web-01] 21 messages in one, 2 of them need you");
}

#[test]
fn subjects_say_host_reason_and_urgency_on_one_line() {
    let subject_of = |kind, report| subject(&fixtures::notice(kind, report, &[]), "web-01");
    assert_eq!(
        subject_of(NoticeKind::Healed, fixtures::healed()),
        "[web-01] healed: nginx.service was killed and is running again"
    );
    assert_eq!(
        subject_of(NoticeKind::Escalated, fixtures::escalated()),
        "[web-01] needs you, act now: nginx.service is down and ansai may not act"
    );
    let mut fails = fixtures::healed();
    fails.headline = "a.service: it warned, and now it fails".into();
    assert_eq!(subject_of(NoticeKind::Withdrawn, fails), "[web-01] withdrawn: a.service: it warned, and now it fails");
    let mut drill = fixtures::healed();
    drill.is_drill = true;
    drill.headline = format!("a\r\nBcc: x@example.com {}", "x".repeat(300)).into();
    let asks = subject_of(NoticeKind::Escalated, drill.clone());
    assert!(asks.starts_with("[web-01] drill, needs you: a"), "nobody has to be quick: {asks}");
    let subject = subject_of(NoticeKind::Healed, drill);
    assert!(subject.starts_with("[web-01] drill, healed: a Bcc: x@example.com x") && subject.ends_with('…'));
    assert_eq!(subject.chars().count(), 200);
}

#[test]
fn no_control_character_from_outside_reaches_a_terminal_or_a_page() {
    let report = fixtures::healed();
    for rendered in [text(&report, &options()), html(&report, &options())] {
        assert!(!rendered.contains('\x1b') && !rendered.contains('\x07'));
    }
    assert!(html(&report, &options()).contains("[31m&lt;b&gt;&amp;"));
    let colored = text(&report, &RenderOptions { color: Color::Always, ..options() });
    assert!(colored.starts_with("\x1b[32mnginx.service was killed"));
    assert!(!colored.contains("\x1b[31m<b>"));
}

#[test]
fn lines_keep_to_the_width() {
    for width in [40, 60, 100] {
        let text = text(&fixtures::escalated(), &RenderOptions { width, ..options() });
        assert!(text.lines().all(|line| line.chars().count() <= width.max(42)), "{width}:\n{text}");
    }
}

#[test]
fn a_time_out_of_range_is_told_as_it_is() {
    assert_eq!(moment(WallTime(i64::MAX), &TimeZone::UTC), format!("{} ms since 1970", i64::MAX));
}

#[test]
fn a_wall_clock_that_was_set_stands_between_the_steps() {
    let mut report = fixtures::healed();
    for step in report.steps.iter_mut().skip(1) {
        step.at.wall.0 -= 5 * 3_600_000;
    }
    let text = text(&report, &options());
    assert_eq!(text.matches("the wall clock was set back by 5h").count(), 1, "{text}");
    // Also where the step of that moment repeats what was said, and has no line of its own.
    let (rung, why) = (RungId::new("mend").unwrap(), Text::new("it did not start within its time"));
    let outcome = ActionOutcome::Failed { why: why.clone() };
    let ended = StepKind::Ended { rung: rung.clone(), run: RunId(3), outcome, took: Duration::ZERO };
    let vain = StepKind::NotVerified { rung, why: why.clone(), was_verified: false };
    let kinds = [ended, vain, StepKind::Escalated { why: "nothing is left to try".into() }];
    report.steps = kinds.into_iter().map(|kind| Step { at: report.opened, kind }).collect();
    for step in report.steps.iter_mut().skip(1) {
        step.at.wall.0 -= 5 * 3_600_000;
    }
    let text = super::text(&report, &options());
    assert_eq!(text.matches(why.as_str()).count(), 1, "{text}");
    assert_eq!(text.matches("the wall clock was set back by 5h").count(), 1, "{text}");
}

#[test]
fn what_is_well_again_or_was_broken_on_purpose_is_not_urgent() {
    let is_urgent = |report: &Report| text(report, &options()).contains("  urgency ");
    let report = fixtures::escalated();
    assert!(is_urgent(&report));
    assert!(!is_urgent(&Report { is_drill: true, ..report.clone() }));
    assert!(!is_urgent(&Report { well_since: Some(report.at), ..report }));
}

#[test]
fn somebodys_own_services_have_commands_of_their_own() {
    let of = |text: &str| super::for_user(text);
    assert_eq!(of("systemctl status a.service"), "systemctl --user status a.service");
    assert_eq!(
        of("start it: systemctl start ansai; journalctl -u ansai says why"),
        "start it: systemctl --user start ansai; journalctl --user -u ansai says why"
    );
    assert_eq!(of("mend it; ansai check"), "mend it; ansai --user check");
    assert_eq!(of("then: ansai reload && ansai doctor"), "then: ansai --user reload && ansai --user doctor");
    assert_eq!(of("ansai check | ansai doctor"), "ansai --user check | ansai --user doctor");
    // What was repeated from what they typed has it already, wherever it stands.
    for own in
        ["did you mean `ansai check --user`?", "`ansai --user init` writes one", "`ansai --utc --user status`; else"]
    {
        assert_eq!(of(own), own);
    }
    let with = |text: &str| super::with_option(text, "ansai", "--config /tmp/a.yaml");
    assert_eq!(
        with("`ansai check`; ansai init"),
        "`ansai --config /tmp/a.yaml check`; ansai --config /tmp/a.yaml init"
    );
    for own in ["`ansai check --config /b`", "`ansai --config=/b check`", "systemctl start ansai"] {
        assert_eq!(with(own), own);
    }
    // The controller is another host, or has places of its own.
    for own in [
        "`ansai hosts accept 3f0c` on the controller, if it is the same",
        "`ansai release nginx` on the controller ends that",
        "`ansai status --fleet` says how it is now",
        "ansai release --host web-01",
        "`ansai controller doctor` says more",
    ] {
        assert_eq!((with(own), of(own)), (own.to_owned(), own.to_owned()));
    }
    assert_eq!(
        with("`ansai leave` here, `ansai hosts remove a` there"),
        "`ansai --config /tmp/a.yaml leave` here, `ansai hosts remove a` there"
    );
    // A controller elsewhere is named where one is asked, and nowhere else.
    let elsewhere = |text: &str| super::with_option(text, "ansai", "--context prod");
    assert_eq!(
        elsewhere("`ansai hosts list` lists them; `ansai release --fleet` ends it"),
        "`ansai --context prod hosts list` lists them; `ansai --context prod release --fleet` ends it"
    );
    assert_eq!(elsewhere("`ansai permits list` shows them"), "`ansai --context prod permits list` shows them");
    for own in ["`ansai controller doctor` there", "`ansai context list`", "`ansai join` there", "`ansai check`"] {
        assert_eq!(elsewhere(own), own);
    }
    assert_eq!(of("`ansai explain` says how it stands"), "`ansai --user explain` says how it stands");
    for told in
        ["what ansai does is told", "it is killed; ansai will not heal that", "approve it, or ansai leaves it alone"]
    {
        assert_eq!(of(told), told);
    }
    let text = "ann has held it; `ansai release --all` ends that; journalctl -u ansai";
    assert_eq!(of(&of(text)), of(text), "it is said once");
    assert_eq!(of("remove /etc/ansai/HOLD"), "remove ~/.config/ansai/HOLD");
    let mut report = fixtures::escalated();
    let why = Text::new("ann has held it; `ansai release --all` ends that");
    report.phase = Phase::Escalated { why: why.clone() };
    report.steps.push(Step { at: report.at, kind: StepKind::Decided(why) });
    let page = super::text(&report, &RenderOptions { is_of_user: true, ..options() });
    let words = page.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(words.matches("`ansai --user release").count(), 2, "{page}");
}

#[test]
fn what_failed_again_within_one_incident_is_counted() {
    let mut report = fixtures::healed();
    assert!(text(&report, &options()).contains("2 earlier incidents of this check, 2 healed"));
    report.history.outages = 5;
    let page = text(&report, &options()).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(page.contains("2 earlier incidents of this check, in which it failed 5 times, 2 healed"), "{page}");
}

#[test]
fn of_what_is_well_again_nothing_is_asked() {
    let retry = Retry { at: fixtures::at(90_000), tries: 1, obstacle: None, not_before: None };
    let failing = Report { retry: Some(retry), ..fixtures::escalated() };
    let page = text(&failing, &options());
    assert!(page.contains("tried again") && page.contains("urgency"), "{page}");
    let well = Report { well_since: Some(fixtures::at(60_000)), ..failing.clone() };
    let stabilizing = Report { phase: Phase::Stabilizing { until: fixtures::at(90_000) }, ..failing };
    for report in [well, stabilizing] {
        let page = text(&report, &options());
        assert!(!page.contains("tried again") && !page.contains("urgency"), "{page}");
    }
}

#[test]
fn moments_in_causes_subjects_and_headlines_are_told_in_the_readers_zone() {
    let at = "2026-11-21T02:00:00Z";
    let cause = Cause { text: format!("since {at}").into(), rule: "r".into(), seen_in: format!("x at {at}").into() };
    let headline = format!("app will fail: grows since {at}");
    let report = Report { cause: Some(cause), headline: headline.into(), ..fixtures::escalated() };
    let page = text(&report, &options()).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(!page.contains(at) && page.matches("2026-11-21 03:00:00 +01").count() >= 3, "{page}");
    let notice = fixtures::notice(NoticeKind::Foreseen, report, &[]);
    let subject = super::super::payload::subject(&crate::outbox::Message::One(Box::new(notice)), &options());
    assert!(subject.ends_with("grows since 2026-11-21 03:00:00 +01"), "{subject}");
}

#[test]
fn what_was_said_in_the_line_above_is_not_said_again() {
    let mut report = fixtures::escalated();
    let (rung, run, why) = (RungId::new("validate").unwrap(), RunId(3), Text::new("line 7 is wrong"));
    let outcome = ActionOutcome::Failed { why };
    let ended = StepKind::Ended { rung, run, outcome, took: Duration::ZERO };
    let escalated = StepKind::Escalated { why: "validate: line 7 is wrong".into() };
    report.steps = [ended, escalated].map(|kind| Step { at: report.at, kind }).into();
    let page = super::text(&report, &options());
    assert_eq!(page.matches("line 7 is wrong").count(), 1, "{page}");
    assert!(page.contains("! escalated for that\n"), "{page}");
}

#[test]
fn why_a_remedy_did_not_help_stands_once_in_a_timeline_whatever_it_was_about() {
    for said in [
        "96.5 % of /data used, and there is nothing left that may be given up",
        "its server shows another certificate than that in the file",
        "it holds 90.0 MiB, and gives nothing back when it is asked to",
    ] {
        let mut report = fixtures::escalated();
        let rung = || RungId::new("mend").unwrap();
        let ended = |why: &str| StepKind::Ended {
            rung: rung(),
            run: RunId(3),
            outcome: ActionOutcome::Failed { why: Text::new(why) },
            took: Duration::from_secs(1),
        };
        let vain = |why: &str| StepKind::NotVerified { rung: rung(), why: Text::new(why), was_verified: false };
        let escalated = |why: String| StepKind::Escalated { why: why.into() };
        let mut page = |kinds: Vec<StepKind>| {
            report.steps = kinds.into_iter().map(|kind| Step { at: report.at, kind }).collect();
            super::text(&report, &RenderOptions { width: 400, ..options() })
        };
        let given_up = escalated(format!("nothing is left to try after 1 attempt; the last one: {said}"));
        let seen = page(vec![ended(said), vain(said), given_up]);
        assert_eq!(seen.matches(said).count(), 1, "{seen}");
        let end = "escalated: nothing is left to try after 1 attempt, the last one for what stands above";
        assert!(seen.contains(end) && !seen.contains("not verified"), "{seen}");
        // Another reason is no repetition, nor is the same one of another try.
        let other = page(vec![ended("it ended with code 1"), vain(said), vain(said)]);
        assert_eq!((other.matches(said).count(), other.matches("not verified").count()), (2, 2), "{other}");
        let handed = page(vec![vain(said), escalated(format!("the rung `mend` did not help: {said}"))]);
        assert!(handed.contains("escalated: the rung `mend` did not help, as said above"), "{handed}");
    }
}

#[test]
fn what_a_validator_says_stands_once_in_a_timeline_and_not_beside_the_headline() {
    let mut report = fixtures::escalated();
    let said = "line 7 is wrong";
    let ended = |rung: &str| StepKind::Ended {
        rung: RungId::new(rung).unwrap(),
        run: RunId(3),
        outcome: ActionOutcome::Failed { why: Text::new(said) },
        took: Duration::from_secs(1),
    };
    let why: Text = format!("validate: {said}").into();
    let escalated = || StepKind::Escalated { why: why.clone() };
    report.headline = format!("app needs a person: {said}").into();
    report.phase = Phase::Escalated { why: why.clone() };
    let again = StepKind::TriedAgain { why: "its time has come".into() };
    let kinds = [ended("validate"), escalated(), again, ended("validate"), escalated()];
    report.steps = kinds.into_iter().map(|kind| Step { at: report.at, kind }).collect();
    report.cause = None;
    let page = super::text(&report, &options());
    assert_eq!(page.matches(said).count(), 2, "in the headline and where it was said first: {page}");
    assert!(page.contains("validate: failed as before, after 1s") && page.contains("escalated, for what stands above"));
}

#[test]
fn downtime_leaves_out_what_was_well_in_between_and_what_is_no_outage_has_none() {
    let said = |report: &Report| {
        let text = text(report, &options());
        let (_, rest) = text.split_once("DOWNTIME\n").expect("a section");
        rest.split("\n\n").next().unwrap_or_default().trim().to_owned()
    };
    let relapse = Some(Relapse { went: fixtures::at(9_000), outages: 1, down: Duration::from_millis(40) });
    let twice = Report { relapse, downtime: Some(Duration::from_millis(540)), ..fixtures::healed() };
    assert_eq!(said(&twice), "540ms in all, in 2 outages: what was well in between is not counted.");
    let open = Report { downtime: None, at: fixtures::at(9_500), ..twice };
    let expected =
        "540ms so far in 2 outages, without what was well in between: it had not\n  recovered when this was written.";
    assert_eq!(said(&open), expected);
    let full = Report { is_outage: false, relapse: None, ..open };
    assert_eq!(said(&full), "None: nothing is down. It has failed for 9.5s so far.");
    let roomy = Report { well_since: Some(fixtures::at(4_000)), ..full };
    assert_eq!(said(&roomy), "None: nothing was down. It failed for 4s.");
}

#[test]
fn what_keeps_it_broken_and_what_began_it_stand_apart_and_so_does_who_wants_it_left_alone() {
    let cause = |text: &str, rule: &str| Cause { text: text.into(), rule: rule.into(), seen_in: "its log".into() };
    let report = Report {
        cause: Some(cause("its configuration is not valid", "configuration-invalid")),
        began_by: Some(cause("somebody killed it", "killed")),
        restrained: Some("ann has held it since 2026-11-21T02:00:00Z (lunch)".into()),
        ..fixtures::escalated()
    };
    let text = text(&report, &options());
    let expected = "PROBABLE CAUSE\n  What it fails for now: its configuration is not valid (rule\n  `configuration-invalid`, seen in its log)";
    assert!(text.contains(expected) && text.contains("What began it: somebody killed it"), "{text}");
    assert!(text.contains("left alone  ann has held it since 2026-11-21 03:00:00 +01 (lunch)"), "{text}");
    let unknown = super::text(&Report { cause: None, ..report }, &options());
    assert!(unknown.contains("now: not known") && unknown.contains("What began it: somebody"), "{unknown}");
}

/// A hold that comes while a remedy is under way stops what would come after it, and not the remedy.
#[test]
fn under_a_hold_what_was_begun_is_told_as_going_on_and_the_rest_as_left_alone() {
    let decision = |gate, verdict| {
        let gates = vec![GateResult { gate, verdict, why: "the HOLD file stops all action".into() }];
        let choice = if verdict == Verdict::Allow { Choice::Act } else { Choice::Defer };
        Some(Decision { at: fixtures::at(0), proposal: "restart a.service".into(), choice, until: None, gates })
    };
    let restrained = Some("the HOLD file stops all action".into());
    let page = |phase, decision| {
        let report = Report { restrained: restrained.clone(), decision, ..fixtures::report(7, phase) };
        (report.is_kept(), text(&report, &options()).split_whitespace().collect::<Vec<_>>().join(" "))
    };
    let goes_on = "left alone what was begun goes on, and nothing more is begun: the HOLD file stops all action";
    let (defer, allow) = (Verdict::Defer { until: None }, Verdict::Allow);
    for phase in [Phase::Remediating, Phase::Stabilizing { until: fixtures::at(90_000) }] {
        let (is_kept, page) = page(phase, decision(Gate::Hold, allow));
        assert!(!is_kept && page.contains(goes_on) && !page.contains("kept from"), "{page}");
    }
    for gate in [Gate::Hold, Gate::Autonomy] {
        let (is_kept, page) = page(Phase::Remediating, decision(gate, defer));
        assert!(is_kept && page.contains("now kept from being healed") && !page.contains("goes on"), "{page}");
    }
    let (is_kept, _) = page(Phase::Remediating, decision(Gate::Cooldown, defer));
    assert!(!is_kept, "it waits for nobody");
}
