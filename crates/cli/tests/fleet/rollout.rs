//! One configuration for hosts that are played: it comes to all in waves, and a bad one stops at the canary and is brought back.

use ansai_link::bundle::verified;
use ansai_protocol::link::{Configured, FromController, FromHost, Held, RefusedBundle};
use serde_json::Value;

use super::{Controller, Host, runtime};

/// A host that stays connected and takes each configuration that is signed for it, but for those with something bad in them.
async fn takes(host: Host) {
    let (mut link, _) = host.dial().await;
    let mut held = Held::default();
    while let Ok(message) = link.receive::<FromController>().await {
        let FromController::Bundle(signed) = message else { continue };
        let bundle = verified(&signed, &host.identity.roots).expect("signed by the CA that it trusts");
        assert_eq!((bundle.host, bundle.controller), (host.identity.host, host.identity.controller));
        assert!(bundle.held.age() >= held.age(), "nothing older comes");
        let is_bad = bundle.files.iter().any(|file| file.text.contains("bad"));
        let Held { epoch, generation, .. } = bundle.held;
        let refused = is_bad.then(|| RefusedBundle { epoch, generation, why: "bad.service is not for us".into() });
        held = if is_bad { held } else { bundle.held };
        let said = Configured { held: held.clone(), refused };
        if link.send(&FromHost::Configured(Box::new(said))).await.is_err() {
            return;
        }
    }
}

#[test]
fn a_configuration_comes_to_all_in_waves_and_a_bad_one_stops_at_the_canary_and_is_brought_back() {
    let controller = Controller::begin();
    let site = controller.folder.path().join("site");
    std::fs::create_dir(&site).expect("made");
    for name in ["web-01", "web-02", "db-01"] {
        let role = name.split('-').next();
        let host = runtime().block_on(Host::join_as(&controller, name, role));
        std::thread::spawn(move || runtime().block_on(takes(host)));
    }
    let are_up = |controller: &Controller| {
        let listed = controller.json(&["hosts", "list"]);
        listed["hosts"].as_array().into_iter().flatten().filter(|host| host["is_connected"] == true).count() == 3
    };
    controller.wait("all are connected", are_up);
    let path = site.to_str().expect("text");
    let write = |name: &str, text: &str| std::fs::write(site.join(name), text).expect("written");
    let newest = |controller: &Controller| controller.json(&["fleet", "rollouts"])["rollouts"][0].clone();
    let apply = |controller: &Controller| controller.run(&["fleet", "apply", path, "--soak", "1s", "--yes"]);
    let state = |controller: &Controller| newest(controller)["state"].as_str().unwrap_or_default().to_owned();

    write("site.yaml", "servces: {}\n");
    let wrong = apply(&controller);
    let said = String::from_utf8_lossy(&wrong.stderr);
    assert!(!wrong.status.success() && said.contains("site.yaml:1") && said.contains("services"), "{said}");
    write("site.yaml", "services: {app.service: {}}\n");
    write("role-db.yaml", "services: {db.service: {}}\n");
    let plan = controller.json(&["fleet", "plan", path]);
    assert_eq!((plan["generation"].as_u64(), plan["hosts"].as_array().map(Vec::len)), (Some(1), Some(3)), "{plan}");
    assert_eq!(plan["hosts"][0]["files"].as_array().map(Vec::len), Some(2), "db-01 gets both: {plan}");
    let dry = controller.run(&["fleet", "apply", path, "--dry-run"]);
    assert!(String::from_utf8_lossy(&dry.stdout).contains("nothing was changed"), "{dry:?}");
    assert_eq!(newest(&controller), Value::Null);
    let begun = apply(&controller);
    assert!(begun.status.success(), "{begun:?}");
    controller.wait("it is done", |controller| state(controller) == "done");
    let drift = controller.json(&["fleet", "drift"]);
    assert_eq!(drift["drift"].as_array().map(Vec::len), Some(0), "{drift}");

    write("site.yaml", "services: {bad.service: {}}\n");
    let begun = apply(&controller);
    assert!(begun.status.success(), "{begun:?}");
    controller.wait("it is stopped", |controller| state(controller) == "stopped");
    let stopped = newest(&controller);
    assert!(stopped["why"].as_str().is_some_and(|why| why.contains("bad.service is not for us")), "{stopped}");
    let told = stopped["hosts"].as_array().map(|hosts| hosts.iter().filter(|host| !host["progress"].is_null()).count());
    assert_eq!(told, Some(1), "the canary alone: {stopped}");
    assert_eq!(controller.json(&["fleet", "drift"])["drift"].as_array().map(Vec::len), Some(1));
    let back = controller.run(&["fleet", "rollback", "--yes"]);
    assert!(back.status.success(), "{back:?}");
    controller.wait("it is brought back", |controller| state(controller) == "done");
    let back = newest(&controller);
    assert_eq!((back["generation"].as_u64(), back["reverts"].as_u64()), (Some(3), Some(1)), "{back}");
}
