//! What is said once for many hosts beside a hold: silences and windows, and what hosts are to do now.

use std::process::{Output, Stdio};

use ansai_link::dial::Link;
use ansai_model::{
    id::IncidentId,
    order::{Deed, Order, OrderOutcome, Ordered, Subject, Told},
};
use ansai_protocol::link::{FromController, FromHost};
use serde_json::{Value, json};

use super::{Controller, Host, command, runtime};

#[test]
fn a_silence_and_a_window_go_the_way_of_a_hold_and_ask_first_where_they_mean_several() {
    let controller = Controller::begin();
    let runtime = runtime();
    for name in ["web-01", "web-02"] {
        runtime.block_on(Host::join(&controller, name));
    }
    let said = |words: &[&str]| {
        let output = controller.run(words);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), format!("{}{}", text(&output.stdout), text(&output.stderr)))
    };
    let one = ["silence", "nginx", "--host", "web-01", "--for", "1h"];
    let rehearsed = said(&[&one[..], &["--dry-run"]].concat());
    assert!(
        rehearsed.0 == Some(0)
            && rehearsed
                .1
                .contains("silence nginx, nginx.service on host web-01: 1 host: web-01; now 0 targets on 0 hosts"),
        "{rehearsed:?}"
    );
    let kept = |kind: &str| {
        let all = controller.json(&["status", "--fleet"])["restraints"].as_array().cloned().unwrap_or_default();
        all.into_iter().filter(|one| one["kind"] == kind).collect::<Vec<_>>()
    };
    assert_eq!(kept("silence"), [Value::Null; 0], "a rehearsal changes nothing");
    assert_eq!(said(&one).0, Some(0));
    assert_eq!((kept("silence").len(), kept("silence")[0]["until_ms"].is_number()), (1, true));
    for words in [&["silence", "--role", "web"][..], &["maintenance", "start", "--fleet"]] {
        let asked = said(words);
        assert!(asked.0 == Some(4) && asked.1.contains("nobody is there to confirm this"), "{words:?}: {asked:?}");
    }
    assert_eq!(said(&["maintenance", "start", "--role", "web", "--yes", "--reason", "a move"]).0, Some(0));
    assert_eq!(kept("maintenance")[0]["missing"], json!(["web-01", "web-02"]), "nobody is connected");
    // What was said ends what was said, and what another command would end stays.
    assert_eq!(said(&["unsilence", "--role", "web"]).0, Some(1));
    assert_eq!(said(&["unsilence", "nginx", "--host", "web-01"]).0, Some(0));
    assert_eq!(said(&["maintenance", "end", "--role", "web", "--yes"]).0, Some(0));
    assert_eq!((kept("silence").len(), kept("maintenance").len()), (0, 0));
    let wrong = said(&["silence", "nginx", "--role", "web", "--for", "0s", "--yes"]);
    assert!(wrong.0 == Some(4) && wrong.1.contains("no length"), "{wrong:?}");
}

/// Answers the orders that come, until so many were done; what is rehearsed is counted by itself.
async fn does(link: &mut Link, outcome: OrderOutcome, count: usize) -> Vec<Order> {
    let mut done = Vec::new();
    while done.len() < count {
        if let FromController::Order { order, .. } = link.receive::<FromController>().await.expect("heard") {
            let document = order.deed.is_a_question().then(|| {
                json!({"target": "service/app.service", "summary": "is well", "checks": [], "incidents": []})
                    .to_string()
            });
            let (of, text, suggestion) = ("service/app.service".into(), "as it is here".into(), "".into());
            let told = vec![Told { of, outcome, text, suggestion, document }];
            let said = Ordered { request: order.request, epoch: order.epoch, number: order.number, told };
            link.send(&FromHost::Ordered(Box::new(said))).await.expect("sent");
            if !order.is_rehearsal {
                done.push(*order);
            }
        }
    }
    done
}

#[test]
fn an_order_is_done_by_those_that_are_there_and_its_exit_code_tells_of_the_others() {
    let controller = Controller::begin();
    let runtime = runtime();
    let names = ["web-01", "web-02", "web-03"];
    let hosts: Vec<Host> = names.map(|name| runtime.block_on(Host::join(&controller, name))).into_iter().collect();
    runtime.block_on(async {
        let (mut first, _) = hosts[0].dial().await;
        let (mut second, _) = hosts[1].dial().await;
        let told = |words: &'static [&'static str]| {
            let mut program = command(controller.folder.path());
            program.args(words).stdin(Stdio::null());
            tokio::task::spawn_blocking(move || program.output().expect("run"))
        };
        let said = |output: &Output| {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            (output.status.code(), format!("{}{}", text(&output.stdout), text(&output.stderr)))
        };
        // Each host is asked before a person is, and one that refuses is told by the code.
        let healed = told(&["heal", "app", "--role", "web", "--yes"]);
        let (healed, of_first, of_second) =
            tokio::join!(healed, does(&mut first, OrderOutcome::Done, 1), does(&mut second, OrderOutcome::Refused, 1));
        let (code, text) = said(&healed.expect("joined"));
        assert_eq!(code, Some(4), "{text}");
        for piece in ["web-01", "done", "web-02", "refused", "web-03", "unreached", "not told later"] {
            assert!(text.contains(piece), "{text}");
        }
        assert_eq!((of_first[0].deed, of_first[0].number), (Deed::Heal, of_second[0].number));

        let approved = told(&["--json", "approve", "i7", "--host", "web-01"]);
        let (approved, of_first) = tokio::join!(approved, does(&mut first, OrderOutcome::Done, 1));
        let approved: Value = serde_json::from_slice(&approved.expect("joined").stdout).expect("JSON");
        assert_eq!(
            (&approved["hosts"][0]["host"], &approved["done_hosts"]),
            (&json!("web-01"), &json!(1)),
            "{approved}"
        );
        assert_eq!(of_first[0].to, Subject::Incident(IncidentId(7)));

        let explained = told(&["explain", "app", "--host", "web-02"]);
        let (explained, _) = tokio::join!(explained, does(&mut second, OrderOutcome::Done, 1));
        let (code, text) = said(&explained.expect("joined"));
        assert!(code == Some(0) && text.contains("is well"), "{text}");

        let drilled = told(&["drill", "app", "crash", "--host", "web-01"]);
        let mut asking = (std::pin::pin!(does(&mut first, OrderOutcome::Done, 1)), std::pin::pin!(drilled));
        let drilled = tokio::select! {
            done = &mut asking.0 => panic!("nobody has confirmed it: {done:?}"),
            drilled = &mut asking.1 => drilled.expect("joined"),
        };
        let (code, text) = said(&drilled);
        assert!(code == Some(4) && text.contains("nobody is there to confirm this: drill crash"), "{text}");
    });
    let audit = std::fs::read_to_string(controller.log()).expect("read");
    assert!(!audit.contains("panicked"), "{audit}");
    // Nobody is there any more: nothing is done, and nothing waits for them.
    let alone = controller.run(&["heal", "app", "--host", "web-03", "--yes"]);
    assert_eq!(alone.status.code(), Some(3), "{alone:?}");
}

#[test]
fn a_dry_run_of_a_fleets_commands_is_refused_as_the_run_is() {
    let mut controller = Controller::begin();
    let said = |controller: &Controller, words: &[&str], more: &str| {
        let output = controller.run(&[words, &[more]].concat());
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let as_the_run = |controller: &Controller, words: &[&str]| {
        let run = said(controller, words, "--yes");
        assert!(run.0 != Some(0) && run.1.contains("ansai: "), "{words:?} was not refused: {run:?}");
        assert_eq!(said(controller, words, "--dry-run"), run, "{words:?}");
    };
    let nobody: &[&[&str]] = &[
        &["token", "revoke", "000000000000"],
        &["hosts", "accept", "abcd"],
        &["hosts", "reject", "abcd"],
        &["hosts", "rename", "nobody", "web-09"],
        &["hosts", "remove", "nobody"],
        &["hold", "--host", "nobody"],
        &["release", "--host", "nobody"],
        &["silence", "--host", "nobody"],
        &["unsilence", "--host", "nobody"],
        &["maintenance", "start", "--host", "nobody"],
        &["maintenance", "end", "--host", "nobody"],
        &["heal", "app", "--host", "nobody"],
        &["approve", "i7", "--role", "web"],
        &["reject", "app", "--host", "nobody"],
        &["drill", "app", "crash", "--host", "nobody"],
        &["acknowledge", "app", "--host", "nobody"],
        &["acknowledge", "i7"],
    ];
    nobody.iter().for_each(|words| as_the_run(&controller, words));
    let (made, again) = (controller.run(&["controller", "init"]), controller.run(&["controller", "init", "--dry-run"]));
    assert!(!made.status.success());
    assert_eq!((made.status.code(), &made.stderr), (again.status.code(), &again.stderr), "it is there already");
    controller.kill();
    nobody.iter().for_each(|words| as_the_run(&controller, words));
    let (made, again) = (controller.run(&["token", "create"]), controller.run(&["token", "create", "--dry-run"]));
    assert!(!made.status.success());
    assert_eq!((made.status.code(), &made.stderr), (again.status.code(), &again.stderr), "nobody answers");
}
