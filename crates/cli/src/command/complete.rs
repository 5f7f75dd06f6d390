//! `ansai complete`: the words that a shell offers, which only the agent or the configuration knows. What cannot be known is
//! not offered; nothing is ever said of it, for a person is typing.

use std::collections::BTreeSet;

use ansai_model::{
    id::TargetId,
    observation::Health,
    operator::{DrillKind, Operation},
    policy::Scope,
};
use ansai_protocol::{
    IncidentSummary, Incidents, ScopeView, Status, TargetStatus,
    views::{FleetHosts, FleetPermits},
};

use super::{operate, target};
use crate::{
    Paths, client,
    context::Contexts,
    domain,
    exit::{Code, Failure},
    show,
};

/// Most words that are offered.
const WORDS_MAX: usize = 1_000;

/// Words that a shell offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Completed {
    /// Names of targets.
    Targets,
    /// Numbers of incidents.
    Incidents,
    /// Numbers of those that wait for an answer.
    Asking,
    /// Names of the targets that a drill may begin with.
    ToDrill,
    /// The kinds of drill that would not be refused on one of them.
    DrillKinds,
    /// Names of the targets that may be healed: something is wrong with them.
    ToHeal,
    /// What is held.
    Holds,
    /// What is silenced.
    Silences,
    /// What is in maintenance.
    Windows,
    /// Names of the targets of one domain.
    OfDomain(&'static str),
    /// Keys of the configuration.
    Keys,
    /// Names of the hosts of the fleet.
    Hosts,
    /// Their roles.
    Roles,
    /// Names of controllers elsewhere.
    Contexts,
    /// Numbers of permits that are held.
    Permits,
}

impl Completed {
    const WORDS: [(&str, Self); 14] = [
        ("targets", Self::Targets),
        ("incidents", Self::Incidents),
        ("asking", Self::Asking),
        ("to-drill", Self::ToDrill),
        ("drill-kinds", Self::DrillKinds),
        ("to-heal", Self::ToHeal),
        ("holds", Self::Holds),
        ("silences", Self::Silences),
        ("windows", Self::Windows),
        ("keys", Self::Keys),
        ("hosts", Self::Hosts),
        ("roles", Self::Roles),
        ("contexts", Self::Contexts),
        ("permits", Self::Permits),
    ];

    /// The kind of this name; the targets of a domain have the name of all its things.
    pub(crate) fn named(name: &str) -> Result<Self, String> {
        let of_domains = domain::all().map(|domain| (domain.plural(), Self::OfDomain(domain.model().key)));
        let mut all = Self::WORDS.into_iter().chain(of_domains);
        all.find(|(word, _)| *word == name)
            .map(|(_, what)| what)
            .ok_or_else(|| format!("`{name}` is offered by nobody"))
    }
}

/// Prints the words of a kind that begin so, a line each.
pub(super) fn complete(paths: &Paths, what: Completed, begun: &str, of: Option<&str>) -> Result<Code, Failure> {
    let mut words = match what {
        Completed::Keys => super::config::read(paths).map(|found| found.completions(begun)).unwrap_or_default(),
        Completed::Incidents => incidents(paths, |_| true).unwrap_or_default(),
        Completed::Asking => incidents(paths, operate::waits).unwrap_or_default(),
        Completed::DrillKinds => drill_kinds(paths, of),
        Completed::Contexts => Contexts::own().map(|contexts| contexts.names()).unwrap_or_default(),
        Completed::Permits => permits(paths).unwrap_or_default(),
        Completed::Hosts | Completed::Roles => of_fleet(paths, what).unwrap_or_default(),
        _ => names(of_status(paths, what).unwrap_or_default(), begun),
    };
    words.retain(|word| word.starts_with(begun));
    words.truncate(WORDS_MAX);
    if !words.is_empty() {
        show::print(show::Page::lines(words));
    }
    Ok(Code::Ok)
}

/// Each target by the name that people type, and where something is typed also by its whole one, of which that may be the
/// beginning; what is no target stays as it is.
fn names(words: Vec<String>, begun: &str) -> Vec<String> {
    let short = |word: &String| TargetId::new(word).map_or_else(|_| word.clone(), |target| target.name().to_owned());
    let whole = words.iter().filter(|word| !begun.is_empty() && TargetId::new(*word).is_ok()).cloned();
    words.iter().map(short).chain(whole).collect()
}

fn incidents(paths: &Paths, is_meant: impl Fn(&IncidentSummary) -> bool) -> Result<Vec<String>, Failure> {
    let list: Incidents = client::read(client::get(paths, "/v1/incidents")?)?;
    Ok(list.incidents.iter().filter(|incident| is_meant(incident)).map(|incident| incident.id.to_string()).collect())
}

fn permits(paths: &Paths) -> Result<Vec<String>, Failure> {
    let all: FleetPermits = client::read(client::of_controller(paths, "/v1/permits")?)?;
    Ok(all.permits.iter().map(|permit| permit.id.to_string()).collect())
}

fn of_fleet(paths: &Paths, what: Completed) -> Result<Vec<String>, Failure> {
    let all: FleetHosts = client::read(client::of_controller(paths, "/v1/hosts")?)?;
    Ok(match what {
        Completed::Roles => {
            let roles: BTreeSet<String> =
                all.hosts.into_iter().filter_map(|host| host.role).map(String::from).collect();
            roles.into_iter().collect()
        }
        _ => all.hosts.into_iter().map(|host| String::from(host.name)).collect(),
    })
}

/// What ends these when it is typed: `--all` for what is on everything, and the names of others, of which each is typed alone as
/// it is. What a controller's operators have said is not ended here.
fn scopes(views: &[ScopeView]) -> Vec<String> {
    let here = views.iter().filter(|view| view.ended_by.is_none());
    let words = here.flat_map(|view| match target::scope_in_words(&view.scope) {
        Scope::All => vec!["--all".to_owned()],
        Scope::Matching(names) => names,
    });
    let words: BTreeSet<String> = words.filter(|word| !word.is_empty()).collect();
    words.into_iter().collect()
}

fn targets(status: &Status, is_meant: impl Fn(&TargetStatus) -> bool) -> Vec<String> {
    status.targets.iter().filter(|target| is_meant(target)).map(|target| target.target.to_string()).collect()
}

/// Whether a drill may begin with it, as far as its status says: a unit that is well, and that nobody wants left alone.
fn may_be_drilled(target: &TargetStatus) -> bool {
    let is_unit = target.target.name().ends_with(".service");
    let is_well = target.health == Health::Healthy && target.incident.is_none() && target.stopped.is_none();
    is_unit && is_well && !target.is_held
}

fn may_be_healed(target: &TargetStatus) -> bool {
    (target.health == Health::Failing || target.incident.is_some()) && !target.is_held
}

/// The kinds of drill that the agent would not refuse on a target; all, where it cannot be asked.
fn drill_kinds(paths: &Paths, of: Option<&str>) -> Vec<String> {
    let target = of.and_then(|of| target::target_id(paths, of).ok());
    let is_refused = |kind: DrillKind| {
        let Some(target) = target.clone() else { return false };
        client::rehearse(paths, Operation::Drill { target, kind }).is_err_and(|failure| failure.code == Code::Refused)
    };
    let kinds = DrillKind::ALL.into_iter().filter(|kind| !is_refused(*kind));
    kinds.map(|kind| kind.as_str().to_owned()).collect()
}

fn of_status(paths: &Paths, what: Completed) -> Result<Vec<String>, Failure> {
    let status = client::status(paths)?;
    Ok(match what {
        Completed::Holds => scopes(&status.holds),
        Completed::Silences => scopes(&status.silences),
        // What the configuration plans is ended by no command.
        Completed::Windows => {
            scopes(&status.maintenance.into_iter().filter(|view| view.by != operate::PLANNED).collect::<Vec<_>>())
        }
        Completed::ToDrill => targets(&status, may_be_drilled),
        Completed::ToHeal => targets(&status, may_be_healed),
        Completed::OfDomain(domain) => {
            let ids = status.targets.iter().filter(|target| target.target.domain() == domain);
            ids.map(|target| target.target.to_string()).collect()
        }
        _ => targets(&status, |_| true),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_offered_by_each_name_that_can_be_typed() {
        let all = || ["service/nginx.service", "disk//var", "w*", "--all"].map(str::to_owned).to_vec();
        let check = |begun: &str, expected: &[&str]| {
            let words = names(all(), begun);
            assert_eq!(words.iter().filter(|word| word.starts_with(begun)).collect::<Vec<_>>(), expected, "{begun}");
        };
        check("", &["nginx.service", "/var", "w*", "--all"]);
        check("ng", &["nginx.service"]);
        check("service/n", &["service/nginx.service"]);
        check("/v", &["/var"]);
        check("disk", &["disk//var"]);
        check("w", &["w*"]);
    }

    #[test]
    fn what_would_be_refused_is_not_offered() {
        let target = |id: &str, health: &str, more: serde_json::Value| -> TargetStatus {
            let mut all =
                serde_json::json!({"target": id, "health": health, "summary": "", "incident": null, "explanation": ""});
            for (key, value) in more.as_object().expect("a mapping") {
                all[key] = value.clone();
            }
            serde_json::from_value(all).expect("a target")
        };
        let none = || serde_json::json!({});
        let well = target("service/a.service", "healthy", none());
        let failing = target("service/a.service", "failing", serde_json::json!({"incident": 3}));
        let held = target("service/a.service", "healthy", serde_json::json!({"is_held": true}));
        let stopped = target("service/a.service", "healthy", serde_json::json!({"stopped": {"why": "by hand"}}));
        let others = [target("disk//var", "healthy", none()), target("service/worker", "healthy", none())];
        assert!(may_be_drilled(&well) && !may_be_healed(&well));
        assert!(!may_be_drilled(&failing) && may_be_healed(&failing));
        assert!(!may_be_drilled(&held) && !may_be_drilled(&stopped));
        assert!(!others.iter().any(may_be_drilled));
    }

    #[test]
    fn what_is_offered_to_end_something_is_what_ends_it() {
        let view = |scope: &str, ended_by: Option<&str>| ScopeView {
            scope: scope.to_owned(),
            by: "ada".into(),
            reason: String::new(),
            until_ms: None,
            ended_by: ended_by.map(str::to_owned),
        };
        let words = Scope::All.to_string();
        assert_eq!(scopes(&[view(&words, None)]), ["--all"]);
        assert_eq!(
            scopes(&[view("b.service, a*", None), view("a*", None), view(&words, None)]),
            ["--all", "a*", "b.service"]
        );
        assert_eq!(scopes(&[view(&words, Some("ansai release --fleet"))]), [""; 0]);
    }
}
