//! `ansai complete`: the words that a shell offers, which only the agent or the configuration knows. What cannot be known is
//! not offered; nothing is ever said of it, for a person is typing.

use std::collections::BTreeSet;

use ansai_protocol::{Incidents, ScopeView, views::FleetHosts};

use crate::{
    Paths, client, domain,
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
}

impl Completed {
    const WORDS: [(&str, Self); 8] = [
        ("targets", Self::Targets),
        ("incidents", Self::Incidents),
        ("holds", Self::Holds),
        ("silences", Self::Silences),
        ("windows", Self::Windows),
        ("keys", Self::Keys),
        ("hosts", Self::Hosts),
        ("roles", Self::Roles),
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
pub(super) fn complete(paths: &Paths, what: Completed, begun: &str) -> Result<Code, Failure> {
    let mut words = match what {
        Completed::Keys => super::config::read(paths).map(|found| found.completions(begun)).unwrap_or_default(),
        Completed::Incidents => incidents(paths).unwrap_or_default(),
        Completed::Hosts | Completed::Roles => of_fleet(paths, what).unwrap_or_default(),
        _ => of_status(paths, what).unwrap_or_default(),
    };
    words.retain(|word| word.starts_with(begun));
    words.truncate(WORDS_MAX);
    if !words.is_empty() {
        show::print(show::Page::lines(words));
    }
    Ok(Code::Ok)
}

fn incidents(paths: &Paths) -> Result<Vec<String>, Failure> {
    let list: Incidents = client::read(client::get(paths, "/v1/incidents")?)?;
    Ok(list.incidents.iter().map(|incident| incident.id.to_string()).collect())
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

fn of_status(paths: &Paths, what: Completed) -> Result<Vec<String>, Failure> {
    let status = client::status(paths)?;
    let scopes = |views: &[ScopeView]| {
        let here = views.iter().filter(|view| view.ended_by.is_none());
        let names = here.flat_map(|view| view.scope.as_str().split([',', ' ']).map(str::to_owned).collect::<Vec<_>>());
        names.filter(|name| !name.is_empty()).collect()
    };
    Ok(match what {
        Completed::Holds => scopes(&status.holds),
        Completed::Silences => scopes(&status.silences),
        Completed::Windows => scopes(&status.maintenance),
        Completed::OfDomain(domain) => {
            let ids = status.targets.iter().filter(|target| target.target.domain() == domain);
            ids.map(|target| target.target.name().to_owned()).collect()
        }
        Completed::Targets | Completed::Keys | Completed::Incidents | Completed::Hosts | Completed::Roles => {
            status.targets.iter().map(|target| target.target.name().to_owned()).collect()
        }
    })
}
