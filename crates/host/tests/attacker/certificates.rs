//! Certificates where the user that they are for, or a stranger, may write.

use std::fs;

use ansai_model::{
    action::{Action, ActionOutcome},
    domain::certificate::{CertificateAction, Deployment, KeyPlace, Place, PutBack},
};

use crate::bench::{APP, APP_NAME, Bench, STRANGER};

fn place(bench: &Bench, name: &str, owner: Option<&str>) -> Place {
    Place {
        certificate: bench.text(&format!("{name}.pem")),
        key: KeyPlace::Apart(bench.text(&format!("{name}.key"))),
        owner: owner.map(str::to_owned),
        group: None,
        mode: None,
    }
}

fn deploy(bench: &Bench, source: Place, copy: &str, owner: Option<&str>) -> Action {
    let copies = vec![place(bench, copy, owner)];
    let (name, validators, units) = ("a".to_owned(), Vec::new(), Vec::new());
    let deployment = Deployment { name, source, copies, validators, units };
    CertificateAction::Deploy(deployment).into()
}

/// A certificate in a folder of root's.
fn made(bench: &Bench, name: &str, owner: u32) -> Place {
    let made = rcgen::generate_simple_self_signed(["api.example.com".to_owned()]).expect("made");
    bench.make(&format!("{name}.pem"), &made.cert.pem(), owner, 0o644);
    bench.make(&format!("{name}.key"), &made.signing_key.serialize_pem(), owner, 0o600);
    place(bench, name, None)
}

fn bench() -> (Bench, Place) {
    let bench = Bench::of_root();
    bench.make_folder("tls", 0, 0o755);
    let source = made(&bench, "tls/a", 0);
    (bench, source)
}

/// The third way that was walked: a place below a folder that was exchanged for a link.
#[test]
fn a_certificate_is_not_put_below_a_link() {
    let (bench, source) = bench();
    bench.make("victim/a.pem", "the victim's\n", 0, 0o644);
    bench.make("victim/a.key", "the victim's\n", 0, 0o600);
    bench.link("app/tls", "victim", APP);
    bench.refuses(
        deploy(&bench, source.clone(), "app/tls/a", Some(APP_NAME)),
        "app/tls is a symbolic link (owner daemon)",
    );
    bench.link("app/a.pem", "victim/a.pem", APP);
    bench.make("app/a.key", "", APP, 0o600);
    let action = deploy(&bench, source, "app/a", Some(APP_NAME));
    let outcome = bench.perform(action);
    assert!(
        matches!(&outcome, ActionOutcome::Failed { why } if why.as_str().contains("is a symbolic link to")),
        "{outcome}"
    );
    assert_eq!((bench.read("victim/a.pem").as_str(), bench.owner("victim/a.pem")), ("the victim's\n", 0));
}

#[test]
fn a_certificate_goes_to_no_stranger_and_into_no_other_name() {
    let (bench, source) = bench();
    bench.refuses(deploy(&bench, source.clone(), "stranger/a", Some(APP_NAME)), "stranger belongs to bin");
    bench.refuses(deploy(&bench, source.clone(), "app/a", None), "app belongs to daemon");
    bench.hard_link("app/a.key", "victim/secret");
    bench.refuses(deploy(&bench, source.clone(), "app/a", Some(APP_NAME)), "has 2 names");
    fs::remove_file(bench.path("app/a.key")).expect("removed");
    bench.does(deploy(&bench, source, "app/a", Some(APP_NAME)));
    assert_eq!((bench.read("app/a.key"), bench.owner("app/a.key")), (bench.read("tls/a.key"), APP));
}

#[test]
fn a_key_of_somebody_elses_is_not_copied_for_whom_put_it_there() {
    let (bench, _) = bench();
    bench.link("app/a.pem", "tls/a.pem", APP);
    bench.link("app/a.key", "tls/a.key", APP);
    let source = place(&bench, "app/a", Some(APP_NAME));
    bench.refuses(deploy(&bench, source.clone(), "app/copy", Some(APP_NAME)), "app/a.pem is a symbolic link");
    for name in ["pem", "key"] {
        fs::remove_file(bench.path(&format!("app/a.{name}"))).expect("removed");
        bench.hard_link(&format!("app/a.{name}"), &format!("tls/a.{name}"));
    }
    bench.refuses(deploy(&bench, source.clone(), "app/copy", Some(APP_NAME)), "has 2 names");
    for name in ["pem", "key"] {
        fs::remove_file(bench.path(&format!("tls/a.{name}"))).expect("removed");
    }
    bench.refuses(deploy(&bench, source, "app/copy", Some(APP_NAME)), "lies where others can have put it");
    assert!(!bench.path("app/copy.key").exists());
}

#[test]
fn what_was_kept_is_not_put_back_through_a_link() {
    let (bench, source) = bench();
    bench.make_folder("app/tls", APP, 0o755);
    bench.make("app/tls/a.pem", "old\n", APP, 0o644);
    bench.make("app/tls/a.key", "old\n", APP, 0o600);
    bench.make("victim/a.pem", "the victim's\n", 0, 0o644);
    bench.make("victim/a.key", "the victim's\n", 0, 0o600);
    bench.does(deploy(&bench, source, "app/tls/a", Some(APP_NAME)));
    fs::rename(bench.path("app/tls"), bench.path("app/aside")).expect("moved");
    bench.link("app/tls", "victim", APP);
    let back = PutBack { name: "a".to_owned(), units: Vec::new() };
    let before = bench.victim();
    let outcome = bench.perform(CertificateAction::PutBack(back).into());
    assert!(
        matches!(&outcome, ActionOutcome::Failed { why } if why.as_str().contains("app/tls is a symbolic link")),
        "{outcome}"
    );
    assert_eq!(bench.victim(), before);
}

#[test]
fn a_users_agent_puts_no_certificate_through_a_stranger() {
    let bench = Bench::of_user();
    let source = made(&bench, "app/a", APP);
    bench.make("victim/a.pem", "the victim's\n", APP, 0o644);
    bench.link("shared/tls", "victim", STRANGER);
    bench.refuses(deploy(&bench, source.clone(), "shared/tls/a", None), "shared/tls is a symbolic link (owner bin)");
    bench.refuses(deploy(&bench, source.clone(), "stranger/a", None), "stranger belongs to bin");
    bench.does(deploy(&bench, source, "app/b", None));
}
