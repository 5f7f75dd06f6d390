//! From single looks to hard states: thresholds, hysteresis, flapping, loops. What is done about them is not here.

use ansai_model::{
    domain::service::{ActiveState, Intent},
    observation::{Health, Observation},
};

use crate::host::{Host, PLAIN, judged, secs, succeeded, unit};

/// A service with an address that is believed after 3 failing and 2 healthy looks.
fn with_probe() -> Host {
    let probe = "probe: {tcp: \"127.0.0.1:80\", every: 10s, every_soft: 1s, fail_after: 3, recover_after: 2}";
    Host::new(&PLAIN.replace("app.service: {}", &format!("app.service: {{{probe}, autonomy: observe}}")))
}

fn hard(host: &Host, name: &str) -> Health {
    let explanation = host.explain("app.service");
    explanation.checks.iter().find(|check| check.id.name() == name).expect("the check").hard
}

#[test]
fn two_failing_looks_are_soft_and_the_third_is_an_incident() {
    let mut host = with_probe();
    host.fails("app.service#tcp");
    assert_eq!((hard(&host, "tcp"), host.phase("app.service")), (Health::Healthy, "none"));
    assert!(host.summary("app.service").contains("failed 1 times in a row; an incident opens at 3"));
    host.pass(secs(1));
    assert_eq!((hard(&host, "tcp"), host.phase("app.service")), (Health::Healthy, "none"));
    host.pass(secs(2));
    assert_eq!((hard(&host, "tcp"), host.phase("app.service")), (Health::Failing, "open"));
}
