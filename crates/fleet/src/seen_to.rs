//! Who sees to what is open: it is said of an incident, ends with it, and lapses when the incident gets worse, for then somebody
//! has to look again. It changes nothing on a host.

use ansai_model::{
    fleet::FleetScope,
    incident::Phase,
    operator::REASON_MAX,
    order::{Deed, Subject, check},
    text::Text,
};
use ansai_protocol::{
    IncidentSummary, SeenTo,
    link::HostId,
    operation::FleetAnswer,
    record::{HostIncident, Record},
};

use crate::{FleetEngine, books::key, limits::SEEN_TO_MAX, words};

/// What is said.
pub(crate) struct Wanted {
    pub(crate) over: FleetScope,
    pub(crate) to: Subject,
    pub(crate) reason: Text,
    pub(crate) is_undone: bool,
}

impl FleetEngine {
    /// Somebody sees to what is open, or no more.
    pub(crate) fn see_to(&mut self, request: u64, by: &Text, wanted: &Wanted) {
        let open = match self.may_see_to(wanted) {
            Ok(open) => open,
            Err(refusal) => return self.answer(request, refusal),
        };
        let seen_to = SeenTo { by: by.clone(), at_ms: self.now.wall.0, reason: wanted.reason.clone() };
        let hosts = hosts_of(&open);
        let count = open.len();
        for HostIncident { host, incident } in open {
            let seen_to = (!wanted.is_undone).then(|| Box::new(seen_to.clone()));
            self.put(Record::Incident(HostIncident { host, incident: IncidentSummary { seen_to, ..incident } }));
        }
        let what = format!("{} on {}", words::count(count, "incident"), words::count(hosts, "host"));
        let text = match wanted.is_undone {
            true => format!("nobody sees to {what} any more"),
            false => format!("{by} sees to {what}, until each is over or gets worse"),
        };
        self.audit(by, &text, hosts);
        self.answer(request, words::done(text));
    }

    /// The open incidents that are meant, one at least.
    ///
    /// # Errors
    /// Why nothing is.
    pub(crate) fn may_see_to(&self, wanted: &Wanted) -> Result<Vec<HostIncident>, FleetAnswer> {
        let Wanted { over, to, reason, is_undone } = wanted;
        if let Err(objection) = check(Deed::Approve, to).and_then(|()| over.check()) {
            return Err(FleetAnswer::Refused { why: objection.what.into(), suggestion: objection.suggestion.into() });
        }
        if reason.as_str().chars().count() > REASON_MAX {
            let why = format!("the reason is longer than {REASON_MAX} characters");
            return Err(words::refused(why, "say in a sentence why, and where more is written"));
        }
        let hosts: Vec<Option<HostId>> = match (to, over) {
            (Subject::Incident(_), FleetScope::Fleet) => vec![None],
            (Subject::Incident(incident), FleetScope::Role(_) | FleetScope::Label { .. }) => {
                let why = format!("{incident} is another incident on each host");
                return Err(words::refused(why, "name its host with --host; of --fleet it is the controller's own"));
            }
            _ => self.meant(over).into_iter().map(Some).collect(),
        };
        let is_meant = |incident: &IncidentSummary| match to {
            Subject::Incident(id) => incident.id == *id,
            Subject::Targets(scope) => scope.holds(&incident.target),
        };
        let open = hosts.into_iter().flat_map(|host| {
            let all = self.books.open_of(host).filter(|incident| is_meant(incident));
            all.filter(|one| one.seen_to.is_some() || !is_undone)
                .map(move |incident| HostIncident { host, incident: incident.clone() })
        });
        let open: Vec<HostIncident> = open.take(SEEN_TO_MAX + 1).collect();
        match open.len() {
            0 => {
                let what = match is_undone {
                    true => format!("nobody sees to {to} on {over}"),
                    false => format!("nothing of {to} is open on {over}"),
                };
                let suggestion = "`ansai incidents --fleet --open` lists what is, with who sees to it".into();
                Err(FleetAnswer::NotFound { what: what.into(), suggestion })
            }
            some if some <= SEEN_TO_MAX => Ok(open),
            _ => {
                let why = format!("more than {SEEN_TO_MAX} incidents are meant");
                Err(words::refused(why, "name fewer: --host NAME, or targets"))
            }
        }
    }

    /// An incident as its host tells it now, with who sees to it here: a host has no say in that.
    pub(crate) fn still_seen_to(&self, host: HostId, incident: IncidentSummary) -> IncidentSummary {
        let before = self.books.open.get(&Some(host)).and_then(|open| open.get(&key(&incident)));
        let seen_to = before.filter(|before| !is_worse(before, &incident)).and_then(|before| before.seen_to.clone());
        // So it is with who told people: what this controller has told no host knows.
        let told = before.and_then(|before| before.told.clone()).or_else(|| incident.told.clone());
        IncidentSummary { seen_to, told, ..incident }
    }
}

/// On how many hosts they are; the controller's own are on none.
pub(crate) fn hosts_of(open: &[HostIncident]) -> usize {
    let hosts: std::collections::BTreeSet<HostId> = open.iter().filter_map(|one| one.host).collect();
    hosts.len()
}

/// A person has to act sooner, or has to act at all.
fn is_worse(before: &IncidentSummary, now: &IncidentSummary) -> bool {
    let waits = |incident: &IncidentSummary| matches!(incident.phase, Phase::Escalated { .. });
    now.severity > before.severity || waits(now) && !waits(before)
}
