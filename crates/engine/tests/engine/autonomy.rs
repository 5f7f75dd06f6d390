//! How freely a rule may act, and what operators say to an incident.

use ansai_model::{
    decision::Gate,
    id::IncidentId,
    operator::{DrillKind, Operation},
    policy::Scope,
    unit::{ActiveState, Intent, UnitSnapshot},
};

use crate::host::{Host, PLAIN, changed, judged, secs, succeeded, target, unit};

fn with(autonomy: &str) -> Host {
    Host::new(&changed("autonomy: act", &format!("autonomy: {autonomy}"))).mended_by("restart")
}

fn approve(host: &mut Host, id: u64) -> String {
    host.operator(Operation::Approve { incident: IncidentId(id) })
}

#[test]
fn observe_records_what_it_would_have_done_and_tells_nobody() {
    let mut host = with("observe");
    host.fails("app.service#unit");
    host.pass(secs(3600));
    assert_eq!(host.phase("app.service"), "open");
    assert_eq!(host.gate("app.service", Gate::Autonomy), "deny: the rule may only observe (autonomy: observe)");
    assert_eq!((host.done(), host.told()), (vec![], vec![]));
    let incident = host.open("app.service").expect("open");
    let decision = incident.decision.as_ref().expect("a decision");
    assert_eq!(decision.proposal.as_str(), "run service/app.service: restart app.service");
    host.is_well("app.service#unit");
    host.pass(secs(31));
    assert_eq!(host.told(), ["Healed to nobody: it ended without an action of ours"]);
}

#[test]
fn suggest_tells_once_what_it_would_do() {
    let mut host = with("suggest");
    host.fails("app.service#unit");
    host.pass(secs(3600));
    assert_eq!((host.phase("app.service"), host.done()), ("open", vec![]));
    assert_eq!(host.told(), ["Suggested to 1"]);
    let commands = &host.dispatches[0].report.commands;
    assert!(commands.iter().any(|command| command == "ansai heal service/app.service"), "{commands:?}");
}

/// An answer to what is not asked would be refused.
#[test]
fn an_approval_is_named_only_when_a_person_is_asked() {
    let mut host = with("approve");
    host.operator(Operation::Hold { scope: Scope::All, reason: "".into(), until: None });
    host.fails("app.service#unit");
    assert_eq!((host.phase("app.service"), host.told()), ("open", vec![]));
    let said = host.gate("app.service", Gate::Autonomy);
    let begins = "defer: its rule asks a person first (autonomy: approve), and will when no other gate objects: ";
    assert!(said.starts_with(begins) && said.len() > begins.len(), "{said}");
    let refused = approve(&mut host, 1);
    let yet =
        "does not wait for an approval yet: its rule asks a person first (autonomy: approve), and will when no other";
    assert!(refused.contains(yet), "{refused}");
    host.operator(Operation::Release { scope: Scope::All });
    assert_eq!(host.phase("app.service"), "awaiting approval");
    assert!(host.gate("app.service", Gate::Autonomy).contains("`ansai approve i1` has it done"));
}

#[test]
fn approve_waits_for_an_operator_and_then_acts() {
    let mut host = with("approve");
    host.fails("app.service#unit");
    assert_eq!((host.phase("app.service"), host.told()), ("awaiting approval", vec!["ApprovalWanted to 1".into()]));
    assert_eq!(
        host.gate("app.service", Gate::Autonomy),
        "defer: its rule asks a person first (autonomy: approve): \
        `ansai approve i1` has it done, `ansai reject i1` leaves it to you, until 2026-11-18T12:06:40Z"
    );
    assert_eq!(host.dispatches[0].report.commands[..2], ["ansai approve i1", "ansai reject i1"]);
    host.pass(secs(1800));
    assert_eq!(host.done(), Vec::<&str>::new());
    assert_eq!(approve(&mut host, 1), "done: i1 is approved; healing begins when no other gate objects");
    assert_eq!(host.done(), ["restart app.service"]);
    host.pass(secs(60));
    assert_eq!(host.phase("app.service"), "none");
}

#[test]
fn an_approval_that_nobody_gives_expires_and_a_person_is_told() {
    let mut host = with("approve");
    host.fails("app.service#unit");
    host.pass(secs(3599));
    assert_eq!(host.phase("app.service"), "awaiting approval");
    host.pass(secs(2));
    assert_eq!(host.last_step(1), "escalated: nobody approved the proposal in time");
    assert_eq!(host.told(), ["ApprovalWanted to 1", "Escalated to 1"]);
    assert_eq!(approve(&mut host, 1), "refused: i1 does not wait for an approval");
    assert_eq!(host.done(), Vec::<&str>::new());
}

#[test]
fn what_was_approved_still_passes_the_other_gates() {
    let mut host = with("approve");
    host.fails("app.service#unit");
    host.hold_file(Some("no"));
    approve(&mut host, 1);
    host.pass(secs(60));
    assert_eq!(host.done(), Vec::<&str>::new());
    host.hold_file(None);
    assert_eq!(host.done(), ["restart app.service"]);
}

/// Whoever approves while somebody wants it left alone is told so, in a rehearsal as well; their word is kept.
#[test]
fn what_is_approved_under_a_hold_or_in_a_window_is_told_to_be_kept_until_that_is_over() {
    let scope = Scope::All;
    let (reason, lasts) = (ansai_model::text::Text::from("moving"), secs(600));
    let hold = Operation::Hold { scope: scope.clone(), reason: reason.clone(), until: None };
    let window = Operation::Maintenance { scope: scope.clone(), reason, lasts };
    for (restraint, ends, words) in [
        (hold, Operation::Release { scope: scope.clone() }, "ann has held it since "),
        (window, Operation::EndMaintenance { scope }, "it is in a maintenance window that ann opened (moving), until "),
    ] {
        let mut host = with("approve");
        host.fails("app.service#unit");
        assert_eq!(host.phase("app.service"), "awaiting approval");
        host.operator(restraint);
        let rehearsed = host.rehearsed(Operation::Approve { incident: IncidentId(1) });
        let begins = format!("done: i1 is approved, and that is kept: nothing is done now: {words}");
        assert!(rehearsed.starts_with(&begins), "{rehearsed}");
        assert_eq!(approve(&mut host, 1), rehearsed);
        host.pass(secs(60));
        assert_eq!(host.done(), Vec::<&str>::new());
        host.operator(ends);
        assert_eq!(host.done(), ["restart app.service"], "nobody is asked again");
    }
}

#[test]
fn a_rejected_proposal_goes_to_the_person_and_is_not_done() {
    let mut host = with("approve");
    host.fails("app.service#unit");
    let answer = host.operator(Operation::Reject { incident: IncidentId(1) });
    assert_eq!(answer, "done: i1 is rejected; nothing will be done about it");
    assert_eq!(host.last_step(1), "escalated: the proposal was rejected by ann");
    host.pass(secs(7200));
    assert_eq!(host.done(), Vec::<&str>::new());
}

#[test]
fn an_approval_is_for_one_incident() {
    let mut host = with("approve");
    host.fails("app.service#unit");
    approve(&mut host, 1);
    host.pass(secs(60));
    host.fails("app.service#unit");
    host.pass(secs(60));
    assert_eq!((host.phase("app.service"), host.done().len()), ("awaiting approval", 1));
    assert_eq!(approve(&mut host, 1), "not found: there is no open incident i1");
}

#[test]
fn heal_acts_whatever_autonomy_and_cooldown_say_but_not_past_a_hold_or_a_window() {
    let heal = || Operation::Heal { target: target("app.service") };
    let mut host = with("observe");
    assert_eq!(host.operator(heal()), "refused: nothing is known to be wrong with service/app.service");
    host.fails("app.service#unit");
    host.hold_file(Some("no"));
    let why = "refused: nothing is done to service/app.service now: the HOLD file stops all action (no)";
    assert_eq!(host.operator(heal()), why);
    host.hold_file(None);
    let window = Operation::Maintenance { scope: Scope::All, reason: "x".into(), lasts: secs(60) };
    host.operator(window);
    assert_eq!(
        host.operator(heal()),
        "refused: nothing is done to service/app.service now: it is in a maintenance \
        window that ann opened (x), until 2026-11-18T11:07:40Z"
    );
    host.operator(Operation::EndMaintenance { scope: Scope::All });
    assert_eq!(host.done(), Vec::<&str>::new());
    assert!(host.operator(heal()).starts_with("done: healing of service/app.service has begun"));
    assert_eq!(host.done(), ["restart app.service"]);
    host.pass(secs(40));
    // Within the cooldown.
    host.fails("app.service#unit");
    assert!(host.operator(heal()).starts_with("done"));
    assert_eq!(host.done().len(), 2);
}

#[test]
fn heal_does_not_go_past_a_budget_or_a_second_time_at_once() {
    let heal = || Operation::Heal { target: target("app.service") };
    let mut host = Host::new(&changed("actions: 6", "actions: 1"));
    host.fails("app.service#unit");
    assert_eq!(host.operator(heal()), "refused: service/app.service is being healed already (i1)");
    host.is_well("app.service#unit");
    host.action_ends(succeeded());
    host.pass(secs(60));
    host.fails("app.service#unit");
    let why = "refused: 1 of 1 actions on this target within 1h are used; there is room again at 2026-11-18T12:06:40Z";
    assert_eq!(host.operator(heal()), why);
    assert_eq!(host.begun.len(), 1);
}

#[test]
fn what_an_operator_names_wrongly_is_said_to_be_missing() {
    let mut host = Host::plain();
    let nobody = target("nobody.service");
    let table = [
        Operation::Heal { target: nobody.clone() },
        Operation::Drill { target: nobody.clone(), kind: DrillKind::Crash },
        Operation::Request { target: nobody, name: "renew".into() },
        Operation::Approve { incident: IncidentId(7) },
        Operation::Reject { incident: IncidentId(7) },
        Operation::Unsilence { scope: Scope::All },
        Operation::EndMaintenance { scope: Scope::All },
        Operation::Release { scope: Scope::All },
    ];
    for operation in table {
        let answer = host.operator(operation.clone());
        assert!(answer.starts_with("not found: "), "{operation:?}: {answer}");
    }
}

#[test]
fn what_a_target_offers_is_done_when_it_is_asked_for_and_nothing_forbids_it() {
    let ask = |name: &str| Operation::Request { target: target("app.service"), name: name.into() };
    let offer = "targets:\n  service/app.service: {requests: {again: {reload_unit: app.service}}}\n";
    let mut host = Host::new(&format!("{PLAIN}{offer}"));
    assert!(host.operator(ask("other")).starts_with("not found: service/app.service does not offer to `other`"));
    host.hold_file(Some("no"));
    let why = "refused: nothing is done to service/app.service now: the HOLD file stops all action (no)";
    assert_eq!(host.operator(ask("again")), why);
    host.hold_file(None);
    assert!(host.operator(ask("again")).ends_with("ansai will reload app.service"));
    assert!(host.operator(ask("again")).starts_with("refused"), "one at a time");
    host.action_ends(succeeded());
    assert_eq!(host.begun.len(), 1);
}

#[test]
fn a_drill_is_refused_where_nothing_could_mend_it() {
    // Its rehearsal is refused in the same words, and one that is not does nothing.
    fn said(host: &mut Host, kind: DrillKind) -> String {
        let rehearsed = host.rehearsed(Operation::Drill { target: target("app.service"), kind });
        let said = host.operator(Operation::Drill { target: target("app.service"), kind });
        assert_eq!(said, rehearsed);
        said
    }
    let mut host = Host::plain();
    let rehearsal = Operation::Drill { target: target("app.service"), kind: DrillKind::Crash };
    let would = "done: drill: ansai will inject a failure (crash) into app.service";
    assert_eq!((host.rehearsed(rehearsal).as_str(), host.begun.len()), (would, 0));
    assert_eq!(said(&mut host, DrillKind::Port), "refused: no port of service/app.service is declared");
    assert_eq!(
        said(&mut host, DrillKind::Configuration),
        "refused: no configuration of service/app.service is declared"
    );
    host.hold_file(Some("no"));
    let why = "refused: nothing is done to service/app.service now: the HOLD file stops all action (no)";
    assert_eq!(said(&mut host, DrillKind::Crash), why);
    host.hold_file(None);
    host.step(ansai_engine::Input::Ledger(Some("full".into())));
    assert!(said(&mut host, DrillKind::Crash).starts_with("refused"));
    host.step(ansai_engine::Input::Ledger(None));
    for (state, words) in [(ActiveState::Inactive, "inactive"), (ActiveState::Failed, "failed")] {
        host.sees("app.service#unit", judged(unit(state, Intent::Stopped)));
        let why = format!("refused: service/app.service does not run ({words}), so there is nothing to break");
        assert_eq!(said(&mut host, DrillKind::Crash), why);
    }
    let bare = UnitSnapshot { main_pid: None, ..unit(ActiveState::Active, Intent::ByItself) };
    host.sees("app.service#unit", judged(bare));
    let why = "refused: service/app.service has no main process, so there is nothing to break";
    assert_eq!(said(&mut host, DrillKind::Crash), why);
    host.fails("app.service#unit");
    assert_eq!(said(&mut host, DrillKind::Crash), "refused: incident i1 of service/app.service is still open");
}

#[test]
fn what_a_drill_broke_is_healed_and_marked_as_its_doing() {
    let mut host = Host::new(PLAIN).mended_by("restart");
    let answer = host.operator(Operation::Drill { target: target("app.service"), kind: DrillKind::Crash });
    assert_eq!(answer, "done: drill: ansai will inject a failure (crash) into app.service");
    host.fails("app.service#unit");
    host.pass(secs(60));
    assert_eq!(host.done(), ["inject a failure (crash) into app.service", "restart app.service"]);
    assert!(host.dispatches.last().expect("told").report.is_drill);
    host.pass(secs(600));
    host.fails("app.service#unit");
    host.pass(secs(60));
    assert!(!host.dispatches.last().expect("told").report.is_drill, "that of ten minutes later is not");
}

#[test]
fn what_carries_our_own_messages_waits_for_a_person_though_its_rule_may_act() {
    let mut host = Host::new(&changed("app.service: {}", "app.service: {notifier: true}")).mended_by("restart");
    host.fails("app.service#unit");
    host.pass(secs(60));
    assert_eq!((host.phase("app.service"), host.done()), ("awaiting approval", vec![]));
    approve(&mut host, 1);
    host.pass(secs(60));
    assert_eq!((host.phase("app.service"), host.done()), ("none", vec!["restart app.service"]));
}

/// A person who has said no, or nothing, is not asked any more, wherever the incident is told; neither is one whom nobody needs.
#[test]
fn what_is_answered_or_over_offers_no_approval() {
    let is_offered = |host: &Host| {
        let kept = host.dispatches.last().map(|told| told.report.clone());
        let report = host.engine.report(host.now, IncidentId(1)).or(kept).expect("a report");
        let why = report.decision.iter().flat_map(|decision| &decision.gates).map(|said| said.why.as_str());
        let explained = host.explain("app.service");
        let said = explained.incidents.iter().filter_map(|incident| incident.decision.as_ref());
        let said = said.flat_map(|decision| &decision.gates).map(|said| said.why.as_str());
        let mut all =
            why.chain(said).chain(report.commands.iter().map(String::as_str)).chain([explained.summary.as_str()]);
        all.any(|words| words.contains("ansai approve"))
    };
    let asked = || {
        let mut host = with("approve");
        host.fails("app.service#unit");
        assert!(is_offered(&host));
        host
    };
    let mut host = asked();
    host.operator(Operation::Reject { incident: IncidentId(1) });
    assert!(!is_offered(&host), "{:?}", host.explain("app.service"));
    let mut host = asked();
    host.pass(secs(3_601));
    assert_eq!(host.phase("app.service"), "escalated");
    assert!(!is_offered(&host), "nobody has answered: {:?}", host.explain("app.service"));
    let mut host = asked();
    host.is_well("app.service#unit");
    host.pass(secs(120));
    assert_eq!(host.phase("app.service"), "none");
    assert!(!is_offered(&host), "it is over");
}

#[test]
fn an_approval_that_is_kept_can_be_taken_back() {
    let mut host = with("approve");
    host.fails("app.service#unit");
    host.operator(Operation::Hold { scope: Scope::All, reason: "".into(), until: None });
    let said = approve(&mut host, 1);
    assert!(said.contains("that is kept") && said.ends_with("; `ansai reject i1` takes it back"), "{said}");
    assert_eq!(approve(&mut host, 1), "refused: i1 is approved already");
    let report = host.engine.report(host.now, IncidentId(1)).expect("open");
    assert!(report.commands.contains(&"ansai reject i1".to_owned()), "{:?}", report.commands);
    let rejected = "done: i1 is rejected; the approval is taken back, and nothing will be done about it";
    assert_eq!(host.rehearsed(Operation::Reject { incident: IncidentId(1) }), rejected);
    assert_eq!(host.operator(Operation::Reject { incident: IncidentId(1) }), rejected);
    host.operator(Operation::Release { scope: Scope::All });
    host.pass(secs(60));
    assert_eq!((host.phase("app.service"), host.done()), ("escalated", vec![]));
}
