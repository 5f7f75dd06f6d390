//! The fake machine's certificates: files by their paths, servers that show what they have read, and one authority that
//! issues whatever it is asked for. They have no keys, and nothing is signed.

use std::{collections::BTreeMap, time::Duration};

use ansai_model::{
    action::ActionOutcome,
    domain::{
        Deed,
        certificate::{
            CertificateAction, CertificateProbe, CertificateSeen, ChainState, Deployment, Endpoint, Expectation,
            KeyMatch, PutBack, Renewal, RenewalReason, Renewer, Replacement, Sameness, Strength, judge,
        },
    },
    observation::{Health, Observation},
    text::Text,
    time::WallTime,
};

/// How long a new one is good.
const LIFETIME: Duration = Duration::from_secs(90 * 86_400);

/// One that was issued.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Issued {
    number: u64,
    names: Vec<String>,
    since: WallTime,
    until: WallTime,
}

/// A server, and what it shows until it is reloaded.
#[derive(Debug)]
struct Server {
    file: String,
    shows: Issued,
    never_reloads: bool,
}

/// The certificates of the fake machine.
#[derive(Debug, Default)]
pub struct Certificates {
    files: BTreeMap<String, Issued>,
    servers: BTreeMap<String, Server>,
    /// What was issued and waits to be put in place, by its name among the declared ones.
    waiting: BTreeMap<String, Issued>,
    /// What the last deployment replaced, by that name: the files and what was in them.
    replaced: BTreeMap<String, BTreeMap<String, Issued>>,
    issued: u64,
}

impl Certificates {
    /// Puts one into a file, which is good from the beginning of the machine's time until then.
    pub fn issue(&mut self, file: &str, names: &[&str], until: Duration) {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        let one = self.next(names, WallTime(0), wall(until));
        self.files.insert(file.to_owned(), one);
    }

    /// Takes a file away.
    pub fn remove(&mut self, file: &str) {
        self.files.remove(file);
    }

    /// A server shows the one in a file, when there is one.
    pub fn serve(&mut self, endpoint: &Endpoint, file: &str) {
        if let Some(shows) = self.files.get(file).cloned() {
            let server = Server { file: file.to_owned(), shows, never_reloads: false };
            self.servers.insert(endpoint.to_string(), server);
        }
    }

    /// From now on a server goes on to show what it has read.
    pub fn never_reload(&mut self, endpoint: &Endpoint) {
        if let Some(server) = self.servers.get_mut(&endpoint.to_string()) {
            server.never_reloads = true;
        }
    }

    fn next(&mut self, names: Vec<String>, since: WallTime, until: WallTime) -> Issued {
        self.issued += 1;
        Issued { number: self.issued, names, since, until }
    }

    /// Observes once.
    pub(super) fn look(&self, probe: &CertificateProbe, now: Duration) -> Observation {
        let place = probe.place();
        let (one, expect, same_as) = match probe {
            CertificateProbe::File(file) => (self.files.get(&file.path), &file.expect, &file.same_as),
            CertificateProbe::Served(served) => {
                (self.servers.get(&place).map(|server| &server.shows), &served.expect, &served.same_as)
            }
        };
        let other = same_as.as_ref().map(|file| (file, self.files.get(file)));
        match (one, probe) {
            (Some(one), _) => {
                let sameness = match other {
                    Some((_, Some(other))) if other == one => Sameness::Same,
                    Some((file, Some(other))) => {
                        Sameness::Differs { file: Text::new(file.as_str()), is_due: is_due(other, expect, now) }
                    }
                    Some((file, None)) => Sameness::Unreadable(Text::new(format!("{file} does not exist"))),
                    None => Sameness::NotAsked,
                };
                judge(&place, expect, &one.seen(sameness), wall(now))
            }
            (None, CertificateProbe::File(_)) => {
                let is_stale = other.and_then(|(_, other)| other).is_some_and(|other| !is_due(other, expect, now));
                super::missing(&place, "does not exist", is_stale)
            }
            (None, CertificateProbe::Served(_)) => Observation::unknown(format!("{place} takes no connections")),
        }
    }

    /// Does something about one.
    pub(super) fn act(&mut self, action: &CertificateAction, now: Duration) -> ActionOutcome {
        match action {
            CertificateAction::Renew(renewal) => self.renew(renewal, now),
            CertificateAction::Deploy(deployment) => self.deploy(deployment),
            CertificateAction::PutBack(what) => self.put_back(what),
            CertificateAction::Replace(replacement) => self.replace(replacement, now),
            CertificateAction::Revoke(_) => ActionOutcome::Succeeded { note: action.describe() },
        }
    }

    fn renew(&mut self, renewal: &Renewal, now: Duration) -> ActionOutcome {
        let current = self.files.get(&renewal.current.certificate);
        let is_fine = current.is_some_and(|current| !is_due(current, &renewal.expect, now));
        if renewal.reason == RenewalReason::Due && (is_fine || self.waiting.contains_key(&renewal.name)) {
            return ActionOutcome::NotNeeded { why: "it is not due".into() };
        }
        let names = current.map_or_else(|| renewal.expect.names.clone(), |current| current.names.clone());
        let one = self.next(names, wall(now), wall(now.saturating_add(LIFETIME)));
        match &renewal.by {
            Renewer::Acme(_) => self.waiting.insert(renewal.name.clone(), one),
            Renewer::Certbot { .. } | Renewer::Exec(_) => self.files.insert(renewal.current.certificate.clone(), one),
        };
        ActionOutcome::Succeeded { note: Text::new(format!("{} renewed", renewal.name)) }
    }

    fn deploy(&mut self, deployment: &Deployment) -> ActionOutcome {
        let waiting = self.waiting.remove(&deployment.name);
        let Some(one) = waiting.or_else(|| self.files.get(&deployment.source.certificate).cloned()) else {
            let why = format!("{} does not exist", deployment.source.certificate);
            return ActionOutcome::Failed { why: Text::new(why) };
        };
        let places = std::iter::once(&deployment.source).chain(&deployment.copies).map(|place| &place.certificate);
        let mut replaced = BTreeMap::new();
        for place in places {
            let before = self.files.insert(place.clone(), one.clone());
            replaced.extend(before.filter(|before| *before != one).map(|before| (place.clone(), before)));
        }
        let has_reloaded = self.reload();
        if replaced.is_empty() && !has_reloaded {
            return ActionOutcome::NotNeeded { why: "it is in place everywhere".into() };
        }
        self.replaced.insert(deployment.name.clone(), replaced);
        ActionOutcome::Succeeded { note: Text::new(format!("{} is in place", deployment.name)) }
    }

    fn put_back(&mut self, what: &PutBack) -> ActionOutcome {
        let Some(replaced) = self.replaced.remove(&what.name) else {
            return ActionOutcome::NotNeeded { why: "nothing was replaced".into() };
        };
        self.files.extend(replaced);
        self.reload();
        ActionOutcome::Succeeded { note: Text::new(format!("the earlier {} is back", what.name)) }
    }

    fn replace(&mut self, replacement: &Replacement, now: Duration) -> ActionOutcome {
        let renewal = Renewal { reason: RenewalReason::Asked, ..replacement.renewal.clone() };
        self.renew(&renewal, now);
        if let failed @ ActionOutcome::Failed { .. } = self.deploy(&replacement.deployment) {
            return failed;
        }
        let wanted = self.files.get(&replacement.deployment.source.certificate);
        let is_shown = |endpoint: String| self.servers.get(&endpoint).map(|server| &server.shows) == wanted;
        if let Some(other) = replacement.endpoints.iter().map(ToString::to_string).find(|at| !is_shown(at.clone())) {
            let (name, units) = (replacement.deployment.name.clone(), replacement.deployment.units.clone());
            self.put_back(&PutBack { name, units });
            return ActionOutcome::Failed { why: Text::new(format!("{other} does not show it, so it was put back")) };
        }
        ActionOutcome::Succeeded { note: Text::new(format!("{} is replaced", replacement.deployment.name)) }
    }

    /// Every server reads its file anew; says whether one shows another since.
    fn reload(&mut self) -> bool {
        let mut has_changed = false;
        for server in self.servers.values_mut().filter(|server| !server.never_reloads) {
            if let Some(now) = self.files.get(&server.file).filter(|now| **now != server.shows) {
                server.shows = now.clone();
                has_changed = true;
            }
        }
        has_changed
    }
}

impl Issued {
    fn seen(&self, sameness: Sameness) -> CertificateSeen {
        CertificateSeen {
            subject: Text::new(self.names.first().map_or("", String::as_str)),
            issuer: "the authority of the fake".into(),
            serial: Text::new(format!("{:x}", self.number)),
            not_before: self.since,
            not_after: self.until,
            nearer_end: None,
            names: self.names.clone(),
            strength: Strength::Strong,
            chain: ChainState::Trusted,
            key: KeyMatch::NotAsked,
            sameness,
        }
    }
}

/// Whether one would be called failing if it stood alone.
fn is_due(one: &Issued, expect: &Expectation, now: Duration) -> bool {
    judge("", expect, &one.seen(Sameness::NotAsked), wall(now)).health() == Health::Failing
}

/// The machine's time as a clock on the wall shows it.
fn wall(time: Duration) -> WallTime {
    WallTime(i64::try_from(time.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use ansai_model::{
        action::ActionRun,
        domain::certificate::{FileProbe, KeyPlace, Pair, Place, ServedProbe},
        id::{RunId, TargetId},
        probe::{CommandLine, Probe},
    };

    use super::*;
    use crate::fake::Machine;

    const DAY: Duration = Duration::from_secs(86_400);
    const FILE: &str = "/etc/app.pem";
    const SERVER: &str = "https://127.0.0.1";

    fn machine() -> Machine {
        let mut machine = Machine::new();
        machine.domains().certificates.issue(FILE, &["app.example.com"], 100 * DAY);
        machine.domains().certificates.serve(&endpoint(), FILE);
        machine
    }

    fn endpoint() -> Endpoint {
        SERVER.parse().expect("an endpoint")
    }

    fn expect() -> Expectation {
        Expectation::of(vec!["app.example.com".into()])
    }

    /// How the file and the server are.
    fn health(machine: &Machine) -> [Health; 2] {
        let file = FileProbe { path: FILE.into(), key: KeyPlace::Nowhere, expect: expect(), same_as: None };
        let served = ServedProbe { endpoint: endpoint(), expect: expect(), same_as: Some(FILE.into()) };
        [CertificateProbe::File(file), CertificateProbe::Served(served)]
            .map(|probe| machine.observe(&Probe::from(probe), DAY).health())
    }

    fn renewal(reason: RenewalReason) -> Renewal {
        let current = Pair { certificate: FILE.into(), key: None };
        let by = Renewer::Exec(CommandLine::new(["renew"]));
        Renewal { name: "app".into(), current, expect: expect(), by, reason }
    }

    fn deployment() -> Deployment {
        let place = |path: &str| {
            let (certificate, key) = (path.to_owned(), KeyPlace::Nowhere);
            Place { certificate, key, owner: None, group: None, mode: None }
        };
        let (source, copies) = (place(FILE), vec![place("/srv/copy.pem")]);
        Deployment { name: "app".into(), source, copies, validators: Vec::new(), units: Vec::new() }
    }

    fn done(machine: &mut Machine, action: CertificateAction) -> ActionOutcome {
        let target = TargetId::new("certificate/app").expect("valid");
        let run = ActionRun { id: RunId(1), incident: None, target, action: action.into(), timeout: Duration::MAX };
        machine.begin(&run);
        machine.ended(run.id).expect("it has ended")
    }

    #[test]
    fn what_is_due_is_renewed_once_and_shown_once_it_is_deployed() {
        let mut machine = machine();
        assert_eq!(health(&machine), [Health::Healthy; 2]);
        let renew = || CertificateAction::Renew(renewal(RenewalReason::Due));
        assert!(matches!(done(&mut machine, renew()), ActionOutcome::NotNeeded { .. }));
        machine.advance(80 * DAY);
        assert_eq!(health(&machine), [Health::Failing; 2]);
        assert!(matches!(done(&mut machine, renew()), ActionOutcome::Succeeded { .. }));
        assert_eq!(health(&machine), [Health::Healthy, Health::Failing], "the server has not read it yet");
        let deploy = || CertificateAction::Deploy(deployment());
        assert!(matches!(done(&mut machine, deploy()), ActionOutcome::Succeeded { .. }));
        assert_eq!(health(&machine), [Health::Healthy; 2]);
        assert!(matches!(done(&mut machine, deploy()), ActionOutcome::NotNeeded { .. }));
    }

    #[test]
    fn what_no_server_shows_is_put_back() {
        let mut machine = machine();
        let (renewal, deployment) = (renewal(RenewalReason::Asked), deployment());
        let endpoints = vec![endpoint()];
        let replacement = Replacement { renewal, deployment, endpoints, revokes: false };
        let replace = || CertificateAction::Replace(Box::new(replacement.clone()));
        assert!(matches!(done(&mut machine, replace()), ActionOutcome::Succeeded { .. }));
        machine.domains().certificates.never_reload(&endpoint());
        assert!(matches!(done(&mut machine, replace()), ActionOutcome::Failed { .. }));
        machine.domains().certificates.remove(FILE);
        assert_eq!(health(&machine)[0], Health::Failing, "what is missing is due");
    }
}
