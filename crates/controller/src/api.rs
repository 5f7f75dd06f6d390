//! What can be asked of a controller, and how it is written, and its own socket; over the network it is asked by [`crate::network`].
//! It asks the loop and decides nothing; who may ask on the socket is `crates/socket`'s.

use std::path::Path;

use ansai_model::{id::IncidentId, text::Text};
use ansai_protocol::{
    access::{Access, ApiRole},
    link::{Fingerprint, TokenId},
    operation::FleetOperation,
    ssh::SshAsked,
    views::{FleetOperate, HostsAsked, IncidentsAsked, PlanAsked, TokenAsked},
};
use ansai_socket::{Answers, Asker, Body, Refusal, body, body_within, problem, written_as};
use bytes::Bytes;
use hyper::{Method, Request, Response, StatusCode, body::Incoming};
use tokio::sync::{mpsc, oneshot};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::figures;

/// Where one reads what can be asked.
const PAGE: &str = "see /usr/share/doc/ansai/docs/reference/api.md";
/// Most bytes of a question that may hold the files of a configuration: as JSON a text is a few times as long.
const FILES_BODY_MAX: usize = 2 << 20;
/// Longest name of a host in a path.
const NAME_BYTES_MAX: usize = 255;

/// The loop's answer: a text in JSON, or a problem with its status code.
pub(crate) type Reply = Result<Bytes, Refusal>;

/// What can be asked of the loop.
#[derive(Debug)]
pub(crate) enum Query {
    /// The fleet at a glance.
    Status,
    /// Hosts, and those that wait.
    Hosts,
    /// A page of hosts.
    HostsOf(HostsAsked),
    /// Tokens, without their secrets.
    Tokens,
    /// A page of incidents.
    Incidents(IncidentsAsked),
    /// The report on an incident of a host, by its name.
    Report(String, IncidentId),
    /// What was done lately.
    Audit,
    /// An operation, by this person.
    Operate(Text, FleetOperation),
    /// What would come of an operation; nothing is done.
    Rehearse(FleetOperation),
    /// Who may disturb what, and who waits.
    Permits,
    /// How configurations came to the hosts.
    Rollouts,
    /// Hosts whose configuration is not what the fleet says.
    Drift,
    /// What is found on a host over SSH; nothing is changed there.
    LookOverSsh(SshAsked),
    /// What would come of files.
    Plan(PlanAsked),
    /// A token, for this person.
    CreateToken(Text, TokenAsked),
    /// The fleet's figures, for Prometheus.
    Figures,
    /// The hosts as Prometheus finds them, at this port.
    Scraped(u16),
}

impl Query {
    /// What somebody must be allowed who asks from elsewhere.
    pub(crate) fn needs(&self) -> ApiRole {
        match self {
            Self::Status | Self::Hosts | Self::HostsOf(_) | Self::Incidents(_) | Self::Report(..) => ApiRole::Viewer,
            Self::Figures | Self::Scraped(_) => ApiRole::Viewer,
            // A rehearsal changes nothing, whatever it is of.
            Self::Audit | Self::Rehearse(_) | Self::Rollouts | Self::Drift | Self::Plan(_) => ApiRole::Viewer,
            Self::Permits => ApiRole::Viewer,
            Self::Operate(_, FleetOperation::RevokeToken { .. } | FleetOperation::CreateToken { .. }) => ApiRole::Admin,
            // It is done with the keys that the controller has for its hosts, wherever it is told to go.
            Self::Operate(_, FleetOperation::AddOverSsh { .. }) | Self::LookOverSsh(_) => ApiRole::Admin,
            // A question changes nothing either.
            Self::Operate(_, FleetOperation::Order { deed, is_rehearsal, .. })
                if *is_rehearsal || deed.is_a_question() =>
            {
                ApiRole::Viewer
            }
            Self::Operate(..) => ApiRole::Operator,
            Self::Tokens | Self::CreateToken(..) => ApiRole::Admin,
        }
    }
}

/// A question with the place for its answer.
#[derive(Debug)]
pub(crate) enum Asked {
    /// Something of the fleet.
    Query(Query, oneshot::Sender<Reply>),
    /// Who asks by this token, of which the digest of the secret is shown, and what they may.
    Access(TokenId, Fingerprint, oneshot::Sender<Result<Access, Refusal>>),
}

/// Asks the loop.
pub(crate) async fn ask<T>(
    asked: &mpsc::Sender<Asked>,
    what: impl FnOnce(oneshot::Sender<Result<T, Refusal>>) -> Asked,
) -> Result<T, Refusal> {
    let (reply, answer) = oneshot::channel();
    let gone = || problem(StatusCode::SERVICE_UNAVAILABLE, "the controller is stopping", "try again when it is back");
    asked.send(what(reply)).await.map_err(|_| gone())?;
    answer.await.map_err(|_| gone())?
}

#[derive(Clone)]
struct Api {
    asked: mpsc::Sender<Asked>,
}

/// Listens on `path` until stopped. The store's lock is held, so a socket that is left is nobody's.
///
/// # Errors
/// When the socket cannot be made.
pub(crate) fn serve(
    path: &Path,
    asked: mpsc::Sender<Asked>,
    tasks: &TaskTracker,
    stop: CancellationToken,
) -> std::io::Result<()> {
    ansai_socket::serve(path, Api { asked }, tasks, stop)
}

impl Answers for Api {
    const NAME: &'static str = "the controller";

    async fn answer(&self, request: Request<Incoming>, asker: Asker, _: CancellationToken) -> Response<Body> {
        let kind = kind(request.uri().path());
        written_as(kind, self.asked(request, asker.by).await)
    }

    fn overdue(&self, _: &str) -> (&'static str, &'static str) {
        ("the controller did not answer in time", "try again; see its log")
    }
}

impl Api {
    async fn asked(&self, request: Request<Incoming>, by: Text) -> Reply {
        let query = query(request, by).await?;
        ask(&self.asked, |reply| Asked::Query(query, reply)).await
    }
}

/// What a request asks for, by this person.
pub(crate) async fn query(request: Request<Incoming>, by: Text) -> Result<Query, Refusal> {
    let (method, path) = (request.method().clone(), request.uri().path());
    // Over the network, and for whoever likes it on the socket, it stands below /api.
    let path = path.strip_prefix("/api").unwrap_or(path).to_owned();
    match (&method, path.as_str()) {
        (&Method::GET, "/v1/status") => Ok(Query::Status),
        (&Method::GET, "/v1/hosts") => Ok(Query::Hosts),
        (&Method::GET, "/v1/tokens") => Ok(Query::Tokens),
        (&Method::GET, "/v1/audit") => Ok(Query::Audit),
        (&Method::GET, "/v1/permits") => Ok(Query::Permits),
        (&Method::GET, "/v1/rollouts") => Ok(Query::Rollouts),
        (&Method::GET, "/v1/drift") => Ok(Query::Drift),
        (&Method::GET, "/metrics") => Ok(Query::Figures),
        (&Method::GET, "/v1/prometheus/targets") => port(request.uri().query()).map(Query::Scraped),
        (&Method::POST, "/v1/plan") => body_within(request, PAGE, FILES_BODY_MAX).await.map(Query::Plan),
        (&Method::POST, "/v1/ssh") => body(request, PAGE).await.map(Query::LookOverSsh),
        // What is asked for has parts that do not fit a path.
        (&Method::POST, "/v1/hosts") => body(request, PAGE).await.map(Query::HostsOf),
        (&Method::POST, "/v1/incidents") => body(request, PAGE).await.map(Query::Incidents),
        (&Method::POST, "/v1/tokens") => body(request, PAGE).await.map(|asked| Query::CreateToken(by, asked)),
        (&Method::POST, "/v1/operate") => {
            let FleetOperate { operation } = body_within(request, PAGE, FILES_BODY_MAX).await?;
            match operation {
                // Its secret is made here, and by nobody else.
                FleetOperation::CreateToken { .. } => {
                    Err(problem(StatusCode::BAD_REQUEST, "a token is made by /v1/tokens", PAGE))
                }
                operation => Ok(Query::Operate(by, operation)),
            }
        }
        (&Method::POST, "/v1/rehearse") => {
            let asked = body_within(request, PAGE, FILES_BODY_MAX).await;
            asked.map(|FleetOperate { operation }| Query::Rehearse(operation))
        }
        (&Method::GET, path) => {
            report(path).ok_or_else(|| problem(StatusCode::NOT_FOUND, format!("there is nothing at {path}"), PAGE))
        }
        _ => Err(problem(StatusCode::NOT_FOUND, format!("there is nothing at {method} {path}"), PAGE)),
    }
}

/// The port at which hosts are scraped.
fn port(query: Option<&str>) -> Result<u16, Refusal> {
    let Some(query) = query.filter(|query| !query.is_empty()) else { return Ok(figures::AGENT_PORT) };
    let port = query.strip_prefix("port=").and_then(|port| port.parse().ok()).filter(|port| *port > 0);
    port.ok_or_else(|| {
        problem(StatusCode::BAD_REQUEST, "what is asked for is no port", "write ?port=9100, or leave it out")
    })
}

/// Of what kind the answer to a question for this path is.
pub(crate) fn kind(path: &str) -> &'static str {
    if path.ends_with("/metrics") { "text/plain; version=0.0.4; charset=utf-8" } else { "application/json" }
}

fn report(path: &str) -> Option<Query> {
    let (host, incident) = path.strip_prefix("/v1/reports/")?.rsplit_once('/')?;
    let is_name = !host.is_empty() && host.len() <= NAME_BYTES_MAX;
    is_name.then(|| incident.parse().ok()).flatten().map(|incident| Query::Report(host.to_owned(), incident))
}

#[cfg(test)]
mod tests {
    use ansai_model::{
        fleet::FleetScope,
        order::{Deed, Subject},
        policy::Scope,
    };

    use super::*;

    #[test]
    fn a_question_to_hosts_and_a_rehearsal_are_a_viewers() {
        let needs = |deed, is_rehearsal| {
            let to = Subject::Targets(Scope::Matching(vec!["app.service".into()]));
            let over = FleetScope::Host("web-01".into());
            Query::Operate("ada".into(), FleetOperation::Order { deed, over, to, is_rehearsal }).needs()
        };
        assert_eq!([needs(Deed::Explain, false), needs(Deed::Heal, true)], [ApiRole::Viewer; 2]);
        assert_eq!(needs(Deed::Heal, false), ApiRole::Operator);
    }

    #[test]
    fn hosts_are_scraped_at_a_port() {
        for (query, expected) in [(None, 9560), (Some(""), 9560), (Some("port=9100"), 9100)] {
            assert_eq!(port(query).ok(), Some(expected));
        }
        for wrong in ["port=", "port=0", "port=65536", "port=9100&x=1", "9100", "port=%00"] {
            assert!(port(Some(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_report_is_asked_for_by_host_and_number() {
        let asked = |path: &str| match report(path) {
            Some(Query::Report(host, incident)) => Some((host, incident.0)),
            _ => None,
        };
        assert_eq!(asked("/v1/reports/web-01/i7"), Some(("web-01".into(), 7)));
        for wrong in ["/v1/reports/web-01", "/v1/reports//i7", "/v1/reports/web-01/seven", "/v1/report/a/i1", "/"] {
            assert_eq!(asked(wrong), None, "{wrong}");
        }
    }
}
