//! An attacker that exchanges a folder for a link, again and again, while the agent works: each of its moves is one step of
//! the kernel's, so that there is no moment in which the name leads nowhere.
//!
//! A race is run until the agent has met both many times, what it may work in and what it must refuse: one that always
//! comes too late shows nothing.

use std::{
    path::PathBuf,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

use ansai_host::linux::{drill, owned_path::Trusted};
use ansai_model::{
    action::{ActionOutcome, EnvironmentKind},
    domain::certificate::{CertificateAction, Deployment, KeyPlace, Place},
};
use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::bench::{APP, APP_NAME, Bench};

/// How often the agent tries at least, and at most until it has met both.
const TRIES: usize = 300;
const TRIES_MAX: usize = 10_000;
/// How often it meets each of both at least.
const EACH_MIN: usize = 25;

/// Exchanges two names while something is done again and again, which says whether it was done or refused.
fn exchanged(one: PathBuf, other: PathBuf, mut is_done: impl FnMut(usize) -> bool) {
    let (stop, turns) = (AtomicBool::new(false), AtomicUsize::new(0));
    let (mut done, mut refused) = (0, 0);
    std::thread::scope(|threads| {
        threads.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                renameat_with(CWD, &one, CWD, &other, RenameFlags::EXCHANGE).expect("exchanged");
                turns.fetch_add(1, Ordering::Relaxed);
            }
        });
        for turn in 0..TRIES_MAX {
            *if is_done(turn) { &mut done } else { &mut refused } += 1;
            let is_enough = done >= EACH_MIN && refused >= EACH_MIN && turns.load(Ordering::Relaxed) >= TRIES;
            if turn + 1 >= TRIES && is_enough {
                break;
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    let turns = turns.into_inner();
    assert!(turns >= TRIES, "the attacker has exchanged them {turns} times");
    assert!(done >= EACH_MIN && refused >= EACH_MIN, "nothing raced: {done} times done, {refused} times refused");
}

/// Whether the agent did something, or found it done.
fn did(outcome: &ActionOutcome) -> bool {
    matches!(outcome, ActionOutcome::Succeeded { .. } | ActionOutcome::NotNeeded { .. })
}

#[test]
fn a_folder_that_becomes_a_link_meanwhile_leads_nowhere() {
    let bench = Bench::of_root();
    bench.make_folder("app/shared", APP, 0o755);
    bench.make_folder("app/shared/log", APP, 0o755);
    bench.link("app/link", "victim", APP);
    let before = bench.victim();
    exchanged(bench.path("app/shared"), bench.path("app/link"), |turn| {
        let inner = EnvironmentKind::File { create: true };
        let is_inner_done = did(&bench.perform(bench.entry("app/shared/log/data", inner, Some(APP_NAME), None)));
        let kind = if turn % 2 == 0 { EnvironmentKind::Directory } else { EnvironmentKind::File { create: true } };
        let name = if turn % 2 == 0 { "app/shared/log" } else { "app/shared/hosts" };
        let outcome = bench.perform(bench.entry(name, kind, Some(APP_NAME), Some(0o750)));
        is_inner_done && did(&outcome)
    });
    assert_eq!(bench.victim(), before);
}

#[test]
fn a_file_that_becomes_a_link_or_another_name_meanwhile_is_not_given_away() {
    for is_hard in [false, true] {
        let bench = Bench::of_root();
        bench.make("app/data", "the app's\n", APP, 0o644);
        if is_hard {
            bench.hard_link("app/other", "victim/secret");
        } else {
            bench.link("app/other", "victim/secret", APP);
        }
        let before = bench.victim();
        let data = std::fs::File::open(bench.path("app/data")).expect("there");
        let file = EnvironmentKind::File { create: true };
        exchanged(bench.path("app/data"), bench.path("app/other"), |turn| {
            // By its descriptor: by its name it may be the victim's.
            std::os::unix::fs::fchown(&data, Some(0), Some(0)).expect("given back");
            let mode = if turn % 2 == 0 { 0o666 } else { 0o644 };
            let outcome = bench.perform(bench.entry("app/data", file.clone(), Some(APP_NAME), Some(mode)));
            let _ = drill::break_file(&bench.path("app/data"), &Trusted::own().and([APP]));
            let _ = drill::undo(&bench.path("app/data"));
            did(&outcome)
        });
        assert_eq!(bench.victim(), before);
    }
}

#[test]
fn a_certificates_folder_that_becomes_a_link_meanwhile_takes_nothing() {
    let bench = Bench::of_root();
    bench.make_folder("app/tls", APP, 0o755);
    bench.link("app/link", "victim", APP);
    bench.make("victim/a.pem", "the victim's\n", 0, 0o644);
    bench.make_folder("tls", 0, 0o755);
    let place = |name: &str, owner: Option<&str>| Place {
        certificate: bench.text(&format!("{name}.pem")),
        key: KeyPlace::Nowhere,
        owner: owner.map(str::to_owned),
        group: None,
        mode: None,
    };
    let before = bench.victim();
    let texts: Vec<String> = (0..2)
        .map(|_| rcgen::generate_simple_self_signed(["api.example.com".to_owned()]).expect("made").cert.pem())
        .collect();
    exchanged(bench.path("app/tls"), bench.path("app/link"), |turn| {
        bench.make("tls/a.pem", &texts[turn % 2], 0, 0o644);
        let deployment = Deployment {
            name: "a".to_owned(),
            source: place("tls/a", None),
            copies: vec![place("app/tls/a", Some(APP_NAME))],
            validators: Vec::new(),
            units: Vec::new(),
        };
        did(&bench.perform(CertificateAction::Deploy(deployment).into()))
    });
    assert_eq!(bench.victim(), before);
}
