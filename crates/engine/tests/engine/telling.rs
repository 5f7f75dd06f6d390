//! Who is told what, when, and why nobody is. Delivery and digests are the agent's.

use ansai_model::{
    action::ActionOutcome, condition::Value, incident::EvidenceKind, notify::NoticeKind, observation::Observation,
    operator::Operation, policy::Scope, rule::Severity,
};

use crate::host::{Host, PLAIN, changed, only, secs, succeeded};

fn healed(host: &mut Host) {
    host.fails("app.service#unit");
    host.pass(secs(120));
    assert_eq!(host.phase("app.service"), "none", "{:?}", host.story(1));
}

#[test]
fn what_was_healed_is_quiet_unless_a_route_asks_for_it() {
    let mut host = Host::plain().mended_by("restart");
    healed(&mut host);
    assert_eq!(host.told(), ["Healed to nobody: no route wants it"]);
    let mut host = Host::new(&changed("smtp: \"smtp://127.0.0.1:25\"", "smtp: \"smtp://127.0.0.1:25\", healed: true"))
        .mended_by("restart");
    healed(&mut host);
    assert_eq!(host.told(), ["Healed to 1"]);
}

#[test]
fn what_only_wants_a_route_may_be_told_by_a_controller() {
    let routeless = changed("notify: {mail: {to: a@example.com, smtp: \"smtp://127.0.0.1:25\"}}\n", "");
    let unrouted = |host: &Host| host.dispatches.iter().map(|dispatch| dispatch.is_unrouted).collect::<Vec<_>>();
    let mut host = Host::new(&routeless).actions_end(succeeded());
    host.fails("app.service#unit");
    host.pass(secs(86_400));
    assert_eq!((host.told(), unrouted(&host)), (vec!["Escalated to nobody: no route wants it".into()], vec![true]));
    let mut host = Host::plain().mended_by("restart");
    healed(&mut host);
    assert_eq!(unrouted(&host), [false], "a route of its own does not want it");
}

#[test]
fn what_is_healed_too_often_is_loud() {
    let mut host = Host::plain().mended_by("restart");
    for _ in 0..4 {
        healed(&mut host);
        host.pass(secs(3600));
    }
    let quiet = "Healed to nobody: no route wants it";
    assert_eq!(host.told(), [quiet, quiet, quiet, "HealedTooOften to 1"]);
    let report = &host.dispatches[3].report;
    assert_eq!((report.history.incidents, report.history.healed), (3, 3));
    assert!(report.advice.iter().any(|text| text.as_str().starts_with("this is incident 4 of this check")));
    // A day later it is quiet again.
    host.pass(secs(2 * 86_400));
    healed(&mut host);
    assert_eq!(host.told()[4], quiet);
}

#[test]
fn an_escalation_is_told_once_with_its_evidence() {
    let mut host = Host::plain().actions_end(succeeded());
    host.fails("app.service#unit");
    host.pass(secs(86_400));
    assert_eq!(host.told(), ["Escalated to 1"]);
    let report = &host.dispatches[0].report;
    assert_eq!(report.evidence.iter().map(|found| found.text.as_str()).collect::<Vec<_>>(), ["it died", "nobody"]);
    assert_eq!(report.headline.as_str(), "app.service needs a person: it died");
    assert!(report.commands.iter().any(|command| command == "journalctl -u app.service -n 100 --no-pager"));
}

/// The end of a certificate, which is told in steps.
fn ends(step: f64, is_last: bool) -> Observation {
    Observation::failing(format!("/a.pem expires at step {step}"))
        .with_figure(Observation::STEP, Value::Number(step))
        .with_figure(Observation::IS_LAST_STEP, Value::Bool(is_last))
}

#[test]
fn what_comes_nearer_is_told_again_at_each_step_and_is_one_incident() {
    let certificate = "certificates: {api: {file: /a.pem, trust: nobody, severity: week}}\n";
    let mut host = Host::new(&(PLAIN.to_owned() + certificate)).actions_end(succeeded());
    let headlines = |host: &Host| -> Vec<String> {
        let told = host.dispatches.iter().filter(|dispatch| dispatch.report.incident.0 == 1);
        told.map(|dispatch| format!("{:?}: {}", dispatch.report.severity, dispatch.report.headline)).collect()
    };
    let first = "Week: api needs a person: /a.pem expires at step 1".to_owned();
    host.sees("certificate/api#end", ends(1.0, false));
    host.pass(secs(7_200));
    assert_eq!(headlines(&host), [first.as_str()], "{:?}", host.story(1));
    // The same step again is no news, nor is a look that cannot tell.
    host.sees("certificate/api#end", ends(1.0, false));
    host.sees("certificate/api#end", Observation::unknown("no leave"));
    host.pass(secs(86_400));
    assert_eq!(headlines(&host), [first.as_str()]);
    host.sees("certificate/api#end", ends(2.0, false));
    host.sees("certificate/api#end", ends(3.0, true));
    host.pass(secs(86_400));
    let next = |severity, step| format!("{severity}: api needs a person: /a.pem expires at step {step}");
    assert_eq!(headlines(&host), [first.clone(), next("Week", 2), next("Now", 3)]);
    assert_eq!(host.last_step(1), "escalated: it is nearer: /a.pem expires at step 3");
    host.is_well("certificate/api#end");
    host.pass(secs(86_400));
    assert_eq!(host.told().last().map(String::as_str), Some("Recovered to 1"));
    assert_eq!(host.dispatches.iter().filter(|dispatch| dispatch.kind == NoticeKind::Recovered).count(), 1);
}

#[test]
fn the_steps_are_told_anew_when_it_was_less_near_and_go_on_after_a_restart() {
    let certificate = "certificates: {api: {file: /a.pem, trust: nobody, severity: week}}\n";
    let mut host = Host::new(&(PLAIN.to_owned() + certificate)).actions_end(succeeded());
    let told = |host: &Host| {
        let told = host.dispatches.iter().filter(|dispatch| dispatch.kind == NoticeKind::Escalated);
        told.map(|dispatch| (dispatch.report.severity, dispatch.report.symptom.to_string())).collect::<Vec<_>>()
    };
    let at = |severity, step| (severity, format!("/a.pem expires at step {step}"));
    host.sees("certificate/api#end", ends(3.0, false));
    host.pass(secs(7_200));
    host.restart(None);
    host.pass(secs(7_200));
    assert_eq!(told(&host), [at(Severity::Week, 3)], "a restart is no news");
    // Another certificate, which ends soon as well: that it is less near is no news, what comes after it is.
    host.sees("certificate/api#end", ends(1.0, false));
    host.pass(secs(7_200));
    assert_eq!(told(&host), [at(Severity::Week, 3)]);
    host.restart(None);
    host.sees("certificate/api#end", ends(2.0, false));
    host.pass(secs(7_200));
    assert_eq!(told(&host), [at(Severity::Week, 3), at(Severity::Week, 2)]);
    // Fewer steps are configured by now, and this is the last of them.
    host.sees("certificate/api#end", ends(2.0, true));
    host.pass(secs(7_200));
    assert_eq!(told(&host).last(), Some(&at(Severity::Now, 2)));
    // The file is gone: that is told by the other fault domain, and nothing comes twice when it is back.
    host.sees("certificate/api#end", Observation::failing("/a.pem does not exist"));
    host.sees("certificate/api#end", ends(2.0, true));
    host.pass(secs(7_200));
    assert_eq!(told(&host).len(), 3);
}

#[test]
fn an_escalation_waits_for_evidence_but_not_for_ever() {
    let mut host = Host::new(&changed("actions: 6", "actions: 1")).mended_by("restart");
    healed(&mut host);
    host.has_evidence = false;
    host.fails("app.service#unit");
    host.pass(secs(9));
    assert_eq!((host.phase("app.service"), host.told().len()), ("escalated", 1));
    host.pass(secs(2));
    assert_eq!(host.told()[1..], ["Escalated to 1"]);
}

#[test]
fn a_silence_heals_on_and_what_is_still_broken_at_its_end_is_told_then() {
    let mut host = Host::plain().actions_end(succeeded());
    let silence = Operation::Silence { scope: only("app.service"), reason: "known".into(), lasts: secs(3600) };
    assert_eq!(host.operator(silence), "done: silenced for 1h: app.service; healing goes on");
    host.fails("app.service#unit");
    host.pass(secs(120));
    assert_eq!((host.phase("app.service"), host.told()), ("escalated", vec![]));
    let silence = host.explain("app.service").silence.map(|why| why.to_string());
    assert_eq!(
        silence.as_deref(),
        Some("ann has silenced it (known), until 2026-11-18T12:06:40Z; `ansai unsilence app.service` ends that")
    );
    // A restart of the agent does not bring it out, and no look reminds of the end.
    host.hanging.insert(crate::host::check("app.service#unit"));
    host.restart(None);
    host.pass(secs(3478));
    assert_eq!(host.told(), Vec::<String>::new());
    host.pass(secs(3));
    assert_eq!(host.told(), ["Escalated to 1"]);
    host.hanging.clear();
    host.pass(secs(60));
    host.is_well("app.service#unit");
    host.pass(secs(60));
    assert_eq!(host.told()[1..], ["Recovered to 1"]);
}

#[test]
fn a_silence_without_a_reason_has_no_empty_one() {
    let mut host = Host::plain();
    host.operator(Operation::Silence { scope: Scope::All, reason: "".into(), lasts: secs(3600) });
    let silence = host.explain("app.service").silence.map(|why| why.to_string());
    assert_eq!(
        silence.as_deref(),
        Some("ann has silenced it, until 2026-11-18T12:06:40Z; `ansai unsilence --all` ends that")
    );
}

#[test]
fn what_recovers_within_a_silence_is_never_told() {
    let mut host = Host::plain().actions_end(succeeded());
    host.operator(Operation::Silence { scope: Scope::All, reason: "known".into(), lasts: secs(3600) });
    host.fails("app.service#unit");
    host.pass(secs(120));
    host.is_well("app.service#unit");
    host.pass(secs(7200));
    assert_eq!(host.told(), ["Healed to nobody: ann has silenced it (known), until 2026-11-18T12:06:40Z"]);
}

#[test]
fn what_broke_in_a_maintenance_window_is_told_when_it_is_over() {
    let mut host = Host::new(&changed("autonomy: act", "autonomy: suggest"));
    host.operator(Operation::Maintenance { scope: Scope::All, reason: "disks".into(), lasts: secs(600) });
    host.fails("app.service#unit");
    // No look reminds it of the end.
    host.hanging.insert(crate::host::check("app.service#unit"));
    host.pass(secs(599));
    assert_eq!(host.told(), Vec::<String>::new());
    host.pass(secs(2));
    assert_eq!(host.told(), ["Suggested to 1"]);
}

#[test]
fn who_was_told_that_a_person_is_needed_is_told_when_the_person_had_it_healed() {
    let mut host = Host::new(&changed("actions: 6", "actions: 8")).actions_end(succeeded());
    host.fails("app.service#unit");
    host.pass(secs(600));
    host.set_mending(Some("restart"));
    host.operator(Operation::Heal { target: crate::host::target("app.service") });
    host.pass(secs(60));
    assert_eq!(host.told(), ["Escalated to 1", "Recovered to 1"]);
}

#[test]
fn a_route_takes_what_is_urgent_enough_for_it() {
    for (critical, severity, told) in [("", Severity::Day, 1), ("critical: true", Severity::Now, 2)] {
        let routes = "notify: {mail: {to: a@example.com, smtp: \"smtp://127.0.0.1:25\"}, \
                      pager: {exec: [/bin/page], severity: now}}";
        let yaml = changed("notify: {mail: {to: a@example.com, smtp: \"smtp://127.0.0.1:25\"}}", routes)
            .replace("app.service: {}", &format!("app.service: {{{critical}}}"));
        let mut host = Host::new(&yaml).actions_end(succeeded());
        host.fails("app.service#unit");
        host.pass(secs(600));
        assert_eq!(host.told(), [format!("Escalated to {told}")]);
        assert_eq!(host.dispatches[0].report.severity, severity);
    }
}

#[test]
fn a_failure_that_no_rule_heals_goes_to_a_person() {
    let host = || {
        let long =
            "checks:\n  service/app.service#extra: {probe: {tcp: \"127.0.0.1:81\", fail_after: 1}, fail_after: 1}\n";
        Host::new(&(PLAIN.to_owned() + long)).actions_end(succeeded())
    };
    let mut host = host();
    host.fails("app.service#extra");
    host.pass(secs(60));
    assert_eq!((host.phase("app.service"), host.told()), ("escalated", vec!["Escalated to 1".into()]));
    assert_eq!(host.last_step(1), "escalated: no rule heals this");
    assert_eq!(host.done(), Vec::<&str>::new());
}

#[test]
fn whoever_takes_over_is_told_how_it_is_now() {
    let mut host = Host::new(&changed("app.service: {}", "app.service: {port: 5000}"));
    // While it is held back, somebody else takes the port that was free when it broke.
    host.operator(Operation::Hold { scope: Scope::All, reason: "later".into(), until: None });
    host.fails("app.service#unit");
    host.port_owner = "somebody else";
    host.operator(Operation::Release { scope: Scope::All });
    host.action_ends(ActionOutcome::Refused { why: "it is no leftover".into() });
    let report = &host.dispatches.last().expect("a person is told").report;
    let ports = report.evidence.iter().filter(|found| found.kind == EvidenceKind::Port);
    let owners: Vec<_> = ports.map(|found| (found.source.as_str(), found.text.as_str())).collect();
    assert_eq!(owners, [("sockets", "nobody"), ("sockets (after free-port)", "somebody else")]);
}
