//! Whether people can be told: the agent tries it, since it is who must be able to, with the secrets that it has. Without
//! `--send-test` it goes to the servers and sends nothing.

use ansai_protocol::RouteTrial;

use super::{Finding, fail, ok, warn};
use crate::{Places, client, exit::Code};

/// The servers of the routes; a program that tells is tried with the agent's abilities.
pub(super) fn reached(places: &Places) -> Vec<Finding> {
    match client::reach_routes(places) {
        Ok(tried) => tried.routes.iter().map(server).collect(),
        Err(failure) => {
            let what = format!("whether people can be told was not tried: {}", failure.what());
            vec![warn(what, "ansai doctor --send-test")]
        }
    }
}

fn server(trial: &RouteTrial) -> Finding {
    let RouteTrial { route, way, took_ms, error } = trial;
    match error {
        None => ok(format!("route {route}: {way} can be reached; it took {took_ms} ms, and nothing was sent")),
        Some(why) => fail(
            format!("route {route}: {way} cannot be reached, so nobody is told there: {why}"),
            format!("see that its server runs and lets this host in, or mend `notify.{route}`"),
        ),
    }
}

/// A message on every route.
pub(super) fn tested(places: &Places) -> Vec<Finding> {
    match client::send_test(places) {
        Ok(sent) if sent.routes.is_empty() => {
            vec![warn("there is no route, so nobody is told of anything", "add one under `notify:`")]
        }
        Ok(sent) => sent.routes.iter().map(test).collect(),
        // That it cannot be asked has just been said.
        Err(failure) if matches!(failure.code, Code::Unreachable | Code::Forbidden) => {
            vec![fail("no test was sent: it is the agent who sends it", "mend what is said above first")]
        }
        Err(failure) => vec![fail(format!("no test was sent: {}", failure.what()), failure.suggestion())],
    }
}

fn test(trial: &RouteTrial) -> Finding {
    let RouteTrial { route, way, took_ms, error } = trial;
    match error {
        None => ok(format!("route {route}: {way} took a test over in {took_ms} ms; see that it arrives")),
        Some(why) => fail(
            format!("route {route}: {way} did not take a test over: {why}"),
            format!("mend `notify.{route}` or what it names, and send another test"),
        ),
    }
}
