//! What is well and warns: told once and never acted on, over when it warns no longer, and a failure when it fails.

use ansai_model::{id::TargetId, incident::IncidentKind, observation::Observation};

use crate::host::{Host, changed, secs};

const DISK: &str = "app.service#nagios";

fn host() -> Host {
    let probe = "app.service: {probe: {nagios: [/bin/check_disk], every: 10s, fail_after: 3}}";
    Host::new(&changed("app.service: {}", probe)).mended_by("restart")
}

fn headlines(host: &Host) -> Vec<String> {
    host.dispatches.iter().map(|dispatch| format!("{:?}: {}", dispatch.kind, dispatch.report.headline)).collect()
}

#[test]
fn a_warning_is_told_once_and_nothing_is_done_about_it() {
    let mut host = host();
    host.sees(DISK, Observation::warning("warning: DISK 82 % full"));
    host.pass(secs(15));
    assert_eq!(host.told().len(), 0, "one or two of them are nothing yet");
    let target = TargetId::new("service/app.service").expect("valid");
    let warning = |host: &Host| host.engine.standing(host.now, &target).expect("watched").warning.map(String::from);
    assert_eq!(warning(&host), None);
    host.pass(secs(3600));
    let told = "Escalated: app.service is well and warns: warning: DISK 82 % full";
    assert_eq!((headlines(&host), host.begun.len()), (vec![told.to_owned()], 0));
    assert_eq!(host.dispatches[0].report.kind, IncidentKind::Warning);
    assert_eq!(warning(&host).as_deref(), Some("warning: DISK 82 % full"));
    assert!(host.summary("app.service").contains("nothing is done"), "{}", host.summary("app.service"));

    host.is_well(DISK);
    host.pass(secs(300));
    assert_eq!(warning(&host), None);
    assert_eq!(headlines(&host)[1..], ["Recovered: app.service warns no longer"]);
    assert_eq!((host.phase("app.service"), host.begun.len()), ("none", 0));
}

#[test]
fn a_warning_that_becomes_a_failure_is_healed() {
    let mut host = host();
    host.sees(DISK, Observation::warning("warning: 7 workers"));
    host.pass(secs(60));
    host.sees(DISK, Observation::failing("no worker"));
    host.pass(secs(120));
    assert_eq!(host.done(), ["restart app.service"]);
    let told = headlines(&host);
    assert_eq!(told[1], "Withdrawn: app.service: it warned, and now it fails: no worker");
    assert!(told[2].starts_with("Healed: app.service was healed by restart"), "{told:?}");
}

#[test]
fn what_warned_and_can_be_judged_no_longer_is_told() {
    let mut host = host();
    host.sees(DISK, Observation::warning("warning: 7 workers"));
    host.pass(secs(600));
    host.sees(DISK, Observation::unknown("the plugin did not end within 10s"));
    host.pass(secs(1800));
    let told = headlines(&host);
    assert_eq!(told.len(), 3, "{told:#?}");
    assert_eq!(told[1], "Withdrawn: app.service: it warned, and now nobody can say how it is");
    assert_eq!(told[2], "Escalated: app.service cannot be judged: the plugin did not end within 10s");
    assert!(host.done().is_empty());
}

#[test]
fn a_warning_that_comes_and_goes_is_not_told() {
    let mut host = host();
    for _ in 0..20 {
        host.sees(DISK, Observation::warning("warning: a peak"));
        host.pass(secs(10));
        host.is_well(DISK);
        host.pass(secs(10));
    }
    assert_eq!(host.told().len(), 0);
}

#[test]
fn a_target_that_warns_is_well_for_a_remedy_of_its_unit() {
    let mut host = host();
    host.sees(DISK, Observation::warning("warning: DISK 82 % full"));
    host.pass(secs(60));
    host.sees_only("app.service#unit");
    host.pass(secs(120));
    assert_eq!(host.done(), ["restart app.service"]);
    assert!(headlines(&host).iter().any(|told| told.starts_with("Healed: ")), "{:?}", headlines(&host));
}
