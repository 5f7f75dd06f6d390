//! Whether people can be told: the agent tries it, since it is who must be able to, with the secrets that it has. Without
//! `--send-test` it goes to the servers and sends nothing.

use ansai_protocol::RouteTrial;

use std::path::Path;

use ansai_model::{bundle::Bundle, id::RouteId};

use super::{Finding, fail, ok, warn};
use crate::{Paths, client, exit::Code};

/// What to write where nobody is told: a line, which is copied without what stands before it. Whoever reads it may be woken by it.
const LINE: &str = "notify: {email: {to: you@example.com, smtp: \"smtp://127.0.0.1:25\"}}";
/// How a change is brought into force and tried.
const TRY: &str = "ansai reload && ansai doctor --send-test";

/// Whether the configuration names anybody.
pub(super) fn declared(config: &Path, bundle: &Bundle) -> Option<Finding> {
    if !bundle.parts().routes.is_empty() {
        return None;
    }
    // Of a folder any file will do.
    let place = if config.is_dir() { config.join("notify.yaml") } else { config.to_owned() };
    let todo = format!(
        "add this line to {}, with your address and mail server:\n{LINE}\nthen: {TRY}\n\
         another way than mail: ansai config explain notify.NAME",
        place.display()
    );
    Some(warn(
        "nobody is told of anything: the configuration has no route, so a failure that needs a person waits",
        todo,
    ))
}

/// The servers of the routes; a program that tells is tried with the agent's abilities.
pub(super) fn reached(paths: &Paths) -> Vec<Finding> {
    match client::reach_routes(paths) {
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
            mended(&format!("see that its server runs and lets this host in, or mend `notify.{route}`"), route),
        ),
    }
}

/// A message on every route.
pub(super) fn tested(paths: &Paths) -> Vec<Finding> {
    match client::send_test(paths) {
        Ok(sent) if sent.routes.is_empty() => {
            vec![ok("no test was sent: there is no route")]
        }
        Ok(sent) => sent.routes.iter().map(test).collect(),
        // That it cannot be asked has just been said.
        Err(failure) if matches!(failure.code, Code::Unreachable | Code::Forbidden) => {
            vec![fail("no test was sent: it is the agent who sends it", "mend what is said above first")]
        }
        Err(failure) => vec![fail(format!("no test was sent: {}", failure.what()), failure.suggestion())],
    }
}

/// What to do about a route, where it is written, and how to see that it helped.
fn mended(what: &str, route: &RouteId) -> String {
    format!("{what}\nit is written here: ansai config explain notify.{route}\nthen: {TRY}")
}

fn test(trial: &RouteTrial) -> Finding {
    let RouteTrial { route, way, took_ms, error } = trial;
    match error {
        None => ok(format!("route {route}: {way} took a test over in {took_ms} ms; see that it arrives")),
        Some(why) => fail(
            format!("route {route}: {way} did not take a test over: {why}"),
            mended(&format!("mend `notify.{route}` or what it names"), route),
        ),
    }
}
