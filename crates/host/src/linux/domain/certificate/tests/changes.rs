//! What is done about certificates, on files of a folder: put in place, put back, renewed by a command.

use std::{os::unix::fs::PermissionsExt, path::PathBuf};

use ansai_model::{
    action::ActionRun,
    domain::certificate::{
        CertificateAction, Deployment, KeyPlace, Pair, Place, PutBack, Renewal, RenewalReason, Renewer, Revocation,
    },
    id::{RunId, TargetId},
    probe::CommandLine,
};
use tokio_util::task::TaskTracker;

use super::{
    super::store::{Mark, Store},
    *,
};
use crate::{linux::Options, port::Host};

/// A workshop with a host whose state is in it.
struct Bench {
    workshop: Workshop,
    host: LinuxHost,
}

impl Bench {
    fn new() -> Self {
        let workshop = Workshop::new();
        let state_dir = workshop.folder.path().join("state");
        let options =
            Options { buses: Vec::new(), root: "/".into(), unit_folders: Vec::new(), state_dir, redact: Vec::new() };
        Self { workshop, host: LinuxHost::new(options, &TaskTracker::new()) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.workshop.folder.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn mode(&self, name: &str) -> u32 {
        fs::metadata(self.path(name)).expect("there").permissions().mode() & 0o7777
    }

    fn place(&self, name: &str) -> Place {
        Place {
            certificate: self.workshop.path(&format!("{name}.pem")),
            key: KeyPlace::Apart(self.workshop.path(&format!("{name}.key"))),
            owner: None,
            group: None,
            mode: None,
        }
    }

    fn deployment(&self, copies: Vec<Place>) -> Deployment {
        Deployment { name: "a".into(), source: self.place("a"), copies, validators: Vec::new(), units: Vec::new() }
    }

    fn renewal(&self, script: &str) -> Renewal {
        Renewal {
            name: "a".into(),
            current: Pair { certificate: self.workshop.path("a.pem"), key: Some(self.workshop.path("a.key")) },
            expect: self.workshop.expect(&["api.example.com"]),
            by: Renewer::Exec(CommandLine {
                directory: Some(self.workshop.path("")),
                ..CommandLine::new(["sh", "-c", script])
            }),
            reason: RenewalReason::Due,
        }
    }

    async fn perform(&self, action: CertificateAction) -> ActionOutcome {
        let run = ActionRun {
            id: RunId(1),
            incident: None,
            target: TargetId::new("certificate/a").expect("valid"),
            action: action.into(),
            timeout: Duration::from_secs(30),
        };
        self.host.perform(&run).await
    }

    /// Puts back what was replaced, and says which files changed.
    async fn put_back(&self) -> ActionOutcome {
        self.perform(CertificateAction::PutBack(PutBack { name: "a".into(), units: Vec::new() })).await
    }
}

#[track_caller]
fn succeeded(outcome: ActionOutcome, says: &str) {
    let ActionOutcome::Succeeded { note } = &outcome else { panic!("{outcome:?}") };
    assert!(note.as_str().contains(says), "{note}");
}

#[track_caller]
fn failed(outcome: ActionOutcome, says: &str) {
    let ActionOutcome::Failed { why } = &outcome else { panic!("{outcome:?}") };
    assert!(why.as_str().contains(says), "{why}");
}

#[track_caller]
fn refused(outcome: ActionOutcome, says: &str) {
    let ActionOutcome::Refused { why } = &outcome else { panic!("{outcome:?}") };
    assert!(why.as_str().contains(says), "{why}");
}

#[tokio::test]
async fn copies_are_put_in_place_once_and_can_be_put_back() {
    let bench = Bench::new();
    bench.workshop.make("old", &["api.example.com"], 1);
    bench.workshop.make("a", &["api.example.com"], 300);
    fs::copy(bench.path("old.pem"), bench.path("b.pem")).expect("copied");
    fs::copy(bench.path("old.key"), bench.path("b.key")).expect("copied");
    fs::set_permissions(bench.path("b.key"), fs::Permissions::from_mode(0o640)).expect("set");
    let bundle = Place { key: KeyPlace::Inside, mode: Some(0o664), ..bench.place("haproxy") };
    let alone = Place { key: KeyPlace::Nowhere, mode: Some(0o444), ..bench.place("alone") };
    let deployment = bench.deployment(vec![bench.place("b"), bundle, alone]);
    let plan = plan(&bench.host, &CertificateAction::Deploy(deployment.clone()), &[]).expect("not refused");
    assert_eq!(plan.lines.len(), 4, "four files: {plan:?}");
    assert!(!bench.path("haproxy.pem").exists(), "a plan changes nothing");
    succeeded(bench.perform(CertificateAction::Deploy(deployment.clone())).await, "b.pem");
    assert_eq!((bench.read("b.pem"), bench.read("b.key")), (bench.read("a.pem"), bench.read("a.key")));
    assert_eq!(bench.read("haproxy.pem"), bench.read("a.pem") + &bench.read("a.key"));
    assert_eq!((bench.mode("b.key"), bench.mode("b.pem")), (0o640, 0o644), "as they were");
    assert_eq!((bench.mode("haproxy.pem"), bench.mode("alone.pem")), (0o660, 0o444), "no key is for all to read");
    succeeded(bench.put_back().await, "put back");
    assert_eq!((bench.read("b.pem"), bench.read("b.key")), (bench.read("old.pem"), bench.read("old.key")));
    assert_eq!(bench.mode("b.key"), 0o640);
    assert!(!bench.path("haproxy.pem").exists(), "where nothing was, nothing is left");
    assert!(matches!(bench.put_back().await, ActionOutcome::NotNeeded { .. }));
    succeeded(bench.perform(CertificateAction::Deploy(deployment.clone())).await, "");
    let again = bench.perform(CertificateAction::Deploy(deployment)).await;
    assert!(matches!(again, ActionOutcome::NotNeeded { .. }), "{again:?}");
    assert!(matches!(bench.put_back().await, ActionOutcome::NotNeeded { .. }), "the last deployment changed nothing");
    let left: Vec<_> = fs::read_dir(bench.workshop.folder.path()).expect("read").flatten().collect();
    assert!(left.iter().all(|entry| !entry.file_name().to_string_lossy().contains("ansai-new")));
}

#[tokio::test]
async fn a_validator_that_says_no_changes_nothing() {
    let bench = Bench::new();
    bench.workshop.make("a", &["api.example.com"], 300);
    bench.workshop.make("b", &["api.example.com"], 1);
    let before = bench.read("b.pem");
    let validator = CommandLine::new(["sh", "-c", "echo no such directive >&2; exit 1"]);
    let deployment = Deployment { validators: vec![validator], ..bench.deployment(vec![bench.place("b")]) };
    let outcome = bench.perform(CertificateAction::Deploy(deployment.clone())).await;
    failed(outcome, "no such directive; the earlier certificate is back in its places");
    assert_eq!(bench.read("b.pem"), before);
    let unit = ansai_model::id::UnitName::new("a.service").expect("valid");
    let nobody = Deployment { validators: Vec::new(), units: vec![unit], ..deployment };
    failed(bench.perform(CertificateAction::Deploy(nobody)).await, "it is not known whether a.service runs");
    assert_eq!(bench.read("b.pem"), before);
}

#[tokio::test]
async fn what_would_be_wrong_is_refused_before_anything_is_touched() {
    let bench = Bench::new();
    bench.workshop.make("a", &["api.example.com"], 300);
    bench.workshop.make("b", &["api.example.com"], 1);
    fs::write(bench.path("target"), "a person's file").expect("written");
    std::os::unix::fs::symlink(bench.path("target"), bench.path("link.pem")).expect("linked");
    let linked = Place { key: KeyPlace::Nowhere, ..bench.place("link") };
    let before = bench.read("b.pem");
    let outcome = bench.perform(CertificateAction::Deploy(bench.deployment(vec![bench.place("b"), linked]))).await;
    failed(outcome, "is a symbolic link to");
    assert_eq!((bench.read("b.pem"), bench.read("target")), (before.clone(), "a person's file".to_owned()));
    let nowhere = Place { certificate: "/no/such/folder/a.pem".into(), ..bench.place("b") };
    failed(bench.perform(CertificateAction::Deploy(bench.deployment(vec![nowhere]))).await, "/no/such/folder");
    fs::copy(bench.path("b.key"), bench.path("a.key")).expect("copied");
    let outcome = bench.perform(CertificateAction::Deploy(bench.deployment(vec![bench.place("b")]))).await;
    refused(outcome, "does not belong to its key");
    assert_eq!(bench.read("b.pem"), before);
    let elsewhere = Deployment { name: "../../etc".into(), ..bench.deployment(vec![bench.place("b")]) };
    refused(bench.perform(CertificateAction::Deploy(elsewhere)).await, "no name of a certificate");
}

#[tokio::test]
async fn a_command_renews_what_is_due_and_nothing_else() {
    let bench = Bench::new();
    bench.workshop.make("a", &["api.example.com"], 300);
    bench.workshop.make("new", &["api.example.com"], 300);
    let take = "cp new.pem a.pem; cp new.key a.key";
    let outcome = bench.perform(CertificateAction::Renew(bench.renewal(take))).await;
    assert!(matches!(outcome, ActionOutcome::NotNeeded { .. }), "{outcome:?}");
    bench.workshop.make("a", &["api.example.com"], 1);
    let old = bench.read("a.pem");
    failed(bench.perform(CertificateAction::Renew(bench.renewal("true"))).await, "is still the same");
    refused(bench.perform(CertificateAction::Renew(bench.renewal(take))).await, "the next is made in");
    let asked = Renewal { reason: RenewalReason::Asked, ..bench.renewal(take) };
    succeeded(bench.perform(CertificateAction::Renew(asked)).await, "good for");
    assert_eq!(bench.read("a.pem"), bench.read("new.pem"));
    let validator = CommandLine::new(["true"]);
    let deployment = Deployment { validators: vec![validator], ..bench.deployment(Vec::new()) };
    succeeded(bench.perform(CertificateAction::Deploy(deployment.clone())).await, "where it was renewed; nobody to");
    succeeded(bench.put_back().await, "a.pem");
    assert_eq!(bench.read("a.pem"), old, "the renewal is put back as well");
    refused(bench.perform(CertificateAction::Renew(bench.renewal(take))).await, "was put back: mend that first");
    assert!(matches!(bench.put_back().await, ActionOutcome::NotNeeded { .. }));
    let again = bench.perform(CertificateAction::Deploy(deployment)).await;
    assert!(matches!(again, ActionOutcome::NotNeeded { .. }), "{again:?}");
}

#[tokio::test]
async fn a_renewal_that_fails_puts_nothing_of_an_earlier_deployment_back() {
    let bench = Bench::new();
    bench.workshop.make("b", &["api.example.com"], 1);
    bench.workshop.make("a", &["api.example.com"], 20);
    let deployment = bench.deployment(vec![bench.place("b")]);
    succeeded(bench.perform(CertificateAction::Deploy(deployment.clone())).await, "b.pem");
    failed(bench.perform(CertificateAction::Renew(bench.renewal("exit 1"))).await, "code 1");
    let outcome = bench.put_back().await;
    assert!(matches!(outcome, ActionOutcome::NotNeeded { .. }), "{outcome:?}");
    assert_eq!(bench.read("b.pem"), bench.read("a.pem"), "what was replaced weeks ago has ended by now");
    // Neither does a deployment that is refused.
    fs::copy(bench.path("b.key"), bench.path("c.key")).expect("copied");
    bench.workshop.make("a", &["api.example.com"], 300);
    succeeded(bench.perform(CertificateAction::Deploy(deployment.clone())).await, "b.pem");
    fs::copy(bench.path("c.key"), bench.path("a.key")).expect("copied");
    refused(bench.perform(CertificateAction::Deploy(deployment)).await, "does not belong");
    assert!(matches!(bench.put_back().await, ActionOutcome::NotNeeded { .. }));
}

#[tokio::test]
async fn a_first_certificate_stays_though_nobody_shows_it_yet() {
    let bench = Bench::new();
    bench.workshop.make("a", &["api.example.com"], 300);
    let deployment = bench.deployment(vec![bench.place("b")]);
    succeeded(bench.perform(CertificateAction::Deploy(deployment.clone())).await, "b.pem");
    let outcome = bench.put_back().await;
    let ActionOutcome::NotNeeded { why } = &outcome else { panic!("{outcome:?}") };
    assert!(why.as_str().contains("the new one stays"), "{why}");
    assert_eq!(bench.read("b.pem"), bench.read("a.pem"));
    let again = bench.perform(CertificateAction::Deploy(deployment)).await;
    assert!(matches!(again, ActionOutcome::NotNeeded { .. }), "and nothing of it is halfway: {again:?}");
}

#[tokio::test]
async fn links_that_a_renewer_moves_are_moved_back() {
    let bench = Bench::new();
    bench.workshop.make("first", &["api.example.com"], 1);
    bench.workshop.make("second", &["api.example.com"], 300);
    for kind in ["pem", "key"] {
        std::os::unix::fs::symlink(format!("first.{kind}"), bench.path(&format!("a.{kind}"))).expect("linked");
    }
    let renewal = bench.renewal("ln -sfn second.pem a.pem; ln -sfn second.key a.key");
    succeeded(bench.perform(CertificateAction::Renew(renewal)).await, "good for");
    let link = |name: &str| fs::read_link(bench.path(name)).expect("a link");
    assert_eq!(link("a.pem"), PathBuf::from("second.pem"));
    succeeded(bench.put_back().await, "a.pem");
    assert_eq!((link("a.pem"), link("a.key")), (PathBuf::from("first.pem"), PathBuf::from("first.key")));
}

#[test]
fn certbots_issuer_is_read_from_its_notes() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |text: &str| fs::write(folder.path().join("renewal/a.conf"), text).expect("written");
    fs::create_dir(folder.path().join("renewal")).expect("made");
    let link = folder.path().join("live/a/cert.pem");
    assert_eq!(renew::issuer_of(&link, "a"), None);
    write("[renewalparams]\naccount = x\nserver = https://issuer.test/dir\n");
    assert_eq!(renew::issuer_of(&link, "a").as_deref(), Some("https://issuer.test/dir"));
    write("server = file:///etc/passwd\n");
    assert_eq!(renew::issuer_of(&link, "a"), None);
}

#[tokio::test]
async fn a_renewer_that_writes_something_bad_is_told_of() {
    let bench = Bench::new();
    bench.workshop.make("a", &["api.example.com"], 1);
    bench.workshop.make("other", &["www.example.com"], 300);
    let wrong = bench.renewal("cp other.pem a.pem; cp other.key a.key");
    let old = (bench.read("a.pem"), bench.read("a.key"));
    let outcome = bench.perform(CertificateAction::Renew(wrong)).await;
    failed(outcome.clone(), "does not cover api.example.com");
    failed(outcome, "the earlier one is back");
    assert_eq!((bench.read("a.pem"), bench.read("a.key")), old, "what works is not given for what does not");
    let bench = Bench::new();
    bench.workshop.make("a", &["api.example.com"], 1);
    let old = bench.read("a.key");
    failed(bench.perform(CertificateAction::Renew(bench.renewal("echo half > a.key; exit 1"))).await, "code 1");
    assert_eq!(bench.read("a.key"), old, "a renewer that gives up halfway leaves nothing halfway");
    let bench = Bench::new();
    bench.workshop.make("a", &["api.example.com"], 1);
    failed(bench.perform(CertificateAction::Renew(bench.renewal("echo quota >&2; exit 3"))).await, "code 3: quota");
    let revocation = Revocation { name: "a".into(), by: bench.renewal("true").by };
    let outcome = bench.perform(CertificateAction::Revoke(revocation.clone())).await;
    refused(outcome, "no certificate was replaced");
    let store = Store::open(&bench.path("state"), "a").expect("made");
    kept::keep(&store, kept::By::Deployment, &[bench.path("a.pem")], &[]).expect("kept");
    refused(bench.perform(CertificateAction::Revoke(revocation)).await, "the one in use");
}

#[test]
fn a_deployment_that_is_cut_off_leaves_the_old_or_the_new() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.pem");
    let ownership = place::Ownership {
        uid: rustix::process::geteuid().as_raw(),
        gid: rustix::process::getegid().as_raw(),
        mode: 0o600,
    };
    fs::write(&path, "old").expect("written");
    let prepared = place::prepared(&path, b"new", ownership, &place::Trusted::own()).expect("prepared");
    assert_eq!(fs::read_to_string(&path).expect("there"), "old", "until it is committed");
    drop(prepared);
    assert_eq!(fs::read_dir(folder.path()).expect("read").count(), 1, "and nothing is left beside it");
    // What a power cut left beside the place is in nobody's way, even as a link to somewhere else.
    fs::write(folder.path().join("other"), "other").expect("written");
    let left = folder.path().join(".a.pem.ansai-new-0123456789abcdef");
    std::os::unix::fs::symlink(folder.path().join("other"), &left).expect("linked");
    place::prepared(&path, b"new", ownership, &place::Trusted::own()).expect("prepared").commit().expect("committed");
    assert_eq!(fs::read_to_string(&path).expect("there"), "new");
    assert_eq!(fs::read_to_string(folder.path().join("other")).expect("there"), "other");
    assert!(fs::symlink_metadata(left).is_err(), "and does not stay");
}

/// The places and what they hold when a deployment was cut off after its first file.
fn cut_off(bench: &Bench) -> (String, String) {
    bench.workshop.make("a", &["api.example.com"], 300);
    bench.workshop.make("b", &["api.example.com"], 1);
    let old = (bench.read("b.pem"), bench.read("b.key"));
    let store = Store::open(&bench.path("state"), "a").expect("made");
    kept::keep(&store, kept::By::Deployment, &[bench.path("b.key"), bench.path("b.pem")], &[]).expect("kept");
    store.mark(Mark::Deploying, "").expect("marked");
    fs::copy(bench.path("a.key"), bench.path("b.key")).expect("copied");
    old
}

#[tokio::test]
async fn a_deployment_that_was_cut_off_and_is_done_again_can_still_be_put_back_whole() {
    let bench = Bench::new();
    let old = cut_off(&bench);
    let validator = CommandLine::new(["false"]);
    let deployment = Deployment { validators: vec![validator], ..bench.deployment(vec![bench.place("b")]) };
    failed(bench.perform(CertificateAction::Deploy(deployment)).await, "is back in its places");
    assert_eq!((bench.read("b.pem"), bench.read("b.key")), old, "not one file of each");
    let bench = Bench::new();
    let old = cut_off(&bench);
    bench.workshop.make("a", &["api.example.com"], 1);
    let _ = bench.perform(CertificateAction::Renew(bench.renewal("exit 1"))).await;
    assert_eq!((bench.read("b.pem"), bench.read("b.key")), old, "what was kept is not forgotten before it is back");
}

#[tokio::test]
async fn a_renewal_that_was_cut_off_is_put_back_before_the_next() {
    let bench = Bench::new();
    bench.workshop.make("a", &["api.example.com"], 1);
    let old = bench.read("a.key");
    let store = Store::open(&bench.path("state"), "a").expect("made");
    kept::keep(&store, kept::By::Renewal, &[bench.path("a.pem"), bench.path("a.key")], &[]).expect("kept");
    store.mark(Mark::Renewing, "").expect("marked");
    fs::write(bench.path("a.key"), "half").expect("written");
    failed(bench.perform(CertificateAction::Renew(bench.renewal("exit 1"))).await, "code 1");
    assert_eq!(bench.read("a.key"), old);
}

#[tokio::test]
async fn what_was_tried_under_a_clock_that_was_years_ahead_keeps_nothing_from_being_renewed_for_years() {
    let bench = Bench::new();
    let store = Store::open(&bench.path("state"), "a").expect("made");
    let now = wall_now();
    let ahead = now.plus(Duration::from_secs(10 * 365 * 86_400));
    let mut history = history::History::default();
    history.begin(&store, ahead).expect("saved");
    let mut history = history::History::load(&store).expect("saved");
    history.set_right(&store, now).expect("saved");
    assert!(history.objection(now, false).is_some(), "it counts as just now");
    let history = history::History::load(&store).expect("saved");
    assert_eq!(history.objection(now.plus(Duration::from_secs(301)), false), None);
    store.mark(Mark::PutBack, &ahead.0.to_string()).expect("marked");
    bench.workshop.make("a", &["api.example.com"], 1);
    refused(bench.perform(CertificateAction::Renew(bench.renewal("true"))).await, "was put back");
    let at: i64 = store.marked(Mark::PutBack).expect("marked").parse().expect("a time");
    assert!(at < ahead.0, "the wait of a day has begun");
}
