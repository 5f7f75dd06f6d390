//! An attacker that exchanges a folder for a link, again and again, while the agent works: each of its moves is one step of
//! the kernel's, so that there is no moment in which the name leads nowhere.

use std::{
    path::PathBuf,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

use ansai_host::linux::{drill, owned_path::Trusted};
use ansai_model::{
    action::{Action, EnvironmentKind},
    domain::certificate::{CertificateAction, Deployment, KeyPlace, Place},
};
use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::bench::{APP, APP_NAME, Bench};

/// How often the agent tries.
const TRIES: usize = 300;

/// Exchanges two names for as long as something is done so many times; says how often they were.
fn exchanged(one: PathBuf, other: PathBuf, mut done: impl FnMut(usize)) {
    let (stop, turns) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|threads| {
        threads.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                renameat_with(CWD, &one, CWD, &other, RenameFlags::EXCHANGE).expect("exchanged");
                turns.fetch_add(1, Ordering::Relaxed);
            }
        });
        for turn in 0..TRIES {
            done(turn);
        }
        while turns.load(Ordering::Relaxed) < TRIES {
            std::thread::yield_now();
        }
        stop.store(true, Ordering::Relaxed);
    });
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
        drop(bench.perform(bench.entry("app/shared/log/data", inner, Some(APP_NAME), None)));
        let kind = if turn % 2 == 0 { EnvironmentKind::Directory } else { EnvironmentKind::File { create: true } };
        let name = if turn % 2 == 0 { "app/shared/log" } else { "app/shared/hosts" };
        drop(bench.perform(bench.entry(name, kind, Some(APP_NAME), Some(0o777))));
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
            drop(bench.perform(bench.entry("app/data", file.clone(), Some(APP_NAME), Some(mode))));
            let _ = drill::break_file(&bench.path("app/data"), &Trusted::own().and([APP]));
            let _ = drill::undo(&bench.path("app/data"));
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
        drop(bench.perform(Action::Certificate(Box::new(CertificateAction::Deploy(deployment)))));
    });
    assert_eq!(bench.victim(), before);
}
