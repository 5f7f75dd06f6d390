//! Hosts that are not heard any more: each keeps the state that it told last, is unknown from then on, and is an incident; one
//! for all when many fall silent at once. When all do, the controller itself is suspected.

use std::collections::{BTreeMap, BTreeSet};

use ansai_model::{
    id::IncidentId,
    rule::Severity,
    text::Text,
    time::{MonoTime, WallTime},
};
use ansai_protocol::{
    IncidentSummary,
    link::{HostId, RestraintsAt},
};

use crate::{
    Books, FleetEngine,
    incidents::About,
    limits::{GONE_AFTER, SILENT_TOGETHER},
    words,
};

/// Which silent hosts belong to which open incident.
#[derive(Clone, Debug, Default)]
pub(crate) struct Silent {
    groups: BTreeMap<IncidentId, Group>,
    /// There are incidents from before this process: which hosts they are about is told by when each was heard last.
    is_from_books: bool,
}

#[derive(Clone, Debug)]
struct Group {
    opened: MonoTime,
    hosts: BTreeSet<HostId>,
    told: Told,
}

/// Whether people were told of a group: they are when no further host can join it, so that they are told of all at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    NotYet,
    /// They may have been: what was said beside a save that failed was not.
    Perhaps,
    Yes,
}

impl Silent {
    pub(crate) fn from_books(books: &Books) -> Self {
        let is_from_books = books.open_of(None).any(|incident| About::Silence.is_of(incident));
        Self { groups: BTreeMap::new(), is_from_books }
    }

    /// A save has failed. What is told twice is the same, and told once.
    pub(crate) fn not_saved(&mut self) {
        let told = self.groups.values_mut().map(|group| &mut group.told);
        told.filter(|told| **told == Told::Yes).for_each(|told| *told = Told::Perhaps);
    }
}

impl FleetEngine {
    /// Whether nothing was heard of a member for too long.
    #[must_use]
    pub fn is_silent(&self, host: HostId) -> bool {
        let heard = self.seen.get(&host).map_or(self.started.mono, |seen| seen.heard.mono);
        self.now.mono.since(heard) >= self.silent_after
    }

    /// Opens, changes and closes the incidents about silent hosts.
    pub(crate) fn watch_silence(&mut self) {
        // Nobody listened before, and hosts come back one after another.
        if self.now.mono.since(self.started.mono) < self.silent_after {
            return;
        }
        let silent: BTreeSet<HostId> = self.books.hosts.keys().copied().filter(|host| self.is_silent(*host)).collect();
        let open: BTreeMap<IncidentId, IncidentSummary> =
            self.own(About::Silence).map(|one| (one.id, one.clone())).collect();
        let mut groups = std::mem::take(&mut self.silent.groups);
        groups.retain(|id, _| open.contains_key(id));
        for id in open.keys() {
            // Those from before this process were told when it began.
            let before = || Group { opened: MonoTime(i64::MIN), hosts: BTreeSet::new(), told: Told::Yes };
            groups.entry(*id).or_insert_with(before);
        }
        if std::mem::take(&mut self.silent.is_from_books) {
            for host in &silent {
                let belongs = open.values().find(|incident| self.was_silent_with(*host, incident));
                if let Some(group) = belongs.and_then(|incident| groups.get_mut(&incident.id)) {
                    group.hosts.insert(*host);
                }
            }
        }
        for group in groups.values_mut() {
            group.hosts.retain(|host| silent.contains(host) || self.is_quiet(*host));
        }
        let known: BTreeSet<HostId> = groups.values().flat_map(|group| group.hosts.iter().copied()).collect();
        let mut new: BTreeSet<HostId> = silent.difference(&known).copied().collect();
        let is_nobody_heard = !silent.is_empty() && self.is_nobody_heard();
        if !new.is_empty() {
            if is_nobody_heard {
                // One cause: who comes back last must not be told of as one more that fell silent.
                let quiet = self.books.hosts.keys().filter(|host| self.is_quiet(**host) && !known.contains(*host));
                new.extend(quiet.copied());
            }
            let is_young =
                |group: &Group| self.now.mono.since(group.opened) <= SILENT_TOGETHER && !group.hosts.is_empty();
            match groups.values_mut().find(|group| is_young(group)) {
                Some(group) => group.hosts.extend(new),
                None => {
                    let headline = self.silence_in_words(&new, is_nobody_heard);
                    let severity = if is_nobody_heard { Severity::Now } else { Severity::Day };
                    let opened = self.open_own(About::Silence, severity, headline);
                    let group = Group { opened: self.now.mono, hosts: new, told: Told::NotYet };
                    groups.extend(opened.map(|id| (id, group)));
                }
            }
        }
        let newest = groups.keys().last().copied();
        for (id, incident) in &open {
            match groups.get_mut(id).filter(|group| !group.hosts.is_empty()) {
                Some(group) => {
                    // What fell silent before has its own reason.
                    let headline = self.silence_in_words(&group.hosts, is_nobody_heard && newest == Some(*id));
                    self.headline_own(incident, headline.clone());
                    // When nobody is heard there is nobody to wait for.
                    let is_young = self.now.mono.since(group.opened) <= SILENT_TOGETHER;
                    let is_due = !is_young || incident.severity == Severity::Now;
                    if is_due && std::mem::replace(&mut group.told, Told::Yes) != Told::Yes {
                        self.tell_own(&IncidentSummary { headline, ..incident.clone() });
                    }
                }
                // What is over before people were told of it is not told.
                None => match groups.remove(id) {
                    Some(group) if group.told == Told::NotYet => self.close_own(incident),
                    Some(_) | None => self.close_and_tell(incident),
                },
            }
        }
        self.silent.groups = groups;
    }

    /// Whether a host that is silent was so when an incident from before this process was opened, or fell silent with those that
    /// were.
    fn was_silent_with(&self, host: HostId, incident: &IncidentSummary) -> bool {
        let Some(record) = self.books.hosts.get(&host) else { return false };
        let heard = record.heard.unwrap_or(record.joined);
        heard.plus(self.silent_after) <= WallTime(incident.opened_ms).plus(SILENT_TOGETHER)
    }

    /// Whether the controller's own network is to be suspected: of several hosts none is heard. One on the controller's own
    /// machine is heard without it, and who has missed two beats is not waited for.
    fn is_nobody_heard(&self) -> bool {
        let elsewhere = |host: &&HostId| self.seen.get(host).is_none_or(|seen| !seen.is_beside);
        let others: Vec<&HostId> = self.books.hosts.keys().filter(elsewhere).collect();
        others.len() > 1 && others.into_iter().all(|host| self.is_quiet(*host))
    }

    /// Whether a member has missed two beats.
    fn is_quiet(&self, host: HostId) -> bool {
        let heard = self.seen.get(&host).map_or(self.started.mono, |seen| seen.heard.mono);
        self.now.mono.since(heard) >= GONE_AFTER
    }

    fn silence_in_words(&self, hosts: &BTreeSet<HostId>, is_nobody_heard: bool) -> Text {
        let members = || hosts.iter().filter_map(|id| self.books.hosts.get(id));
        let names: Vec<String> = members().map(|host| host.name.to_string()).collect();
        let alone = members().filter(|host| host.over_ssh.is_none()).count();
        let suspicion = match is_nobody_heard {
            true => "; no other is either, so the controller's own network is suspected, and none of them is blamed",
            false => "",
        };
        let is = if names.len() == 1 { "is" } else { "are" };
        // A carried agent has ended with its connection.
        let heals = match (alone, names.len() - alone) {
            (1, 0) => "as far as anybody knows it heals alone",
            (_, 0) => "as far as anybody knows they heal alone",
            (0, 1) => "it is kept over SSH, so nobody heals there until it is reached again",
            (0, _) => "they are kept over SSH, so nobody heals there until they are reached again",
            (_, _) => {
                "as far as anybody knows they heal alone, but for those over SSH, where nobody does until they are reached"
            }
        };
        Text::new(format!("{} {is} not heard any more{suspicion}; {heals}", words::listed(&names)))
    }

    /// Opens and closes the incidents about twins, and about hosts that know newer restraints than this controller.
    pub(crate) fn watch_generations(&mut self) {
        let named = |engine: &Self, ids: &[HostId]| -> Option<String> {
            let names: Vec<String> =
                ids.iter().filter_map(|id| engine.books.hosts.get(id)).map(|host| host.name.to_string()).collect();
            (!names.is_empty()).then(|| words::listed(&names))
        };
        let twins = named(self, &self.twins()).map(|names| {
            Text::new(format!("two hosts have the identity of {names}; all of them are held until one of each joins for itself (`ansai join`)"))
        });
        self.one_own(About::Twins, twins);
        let in_force: RestraintsAt = self.in_force();
        let ahead: Vec<HostId> =
            self.seen.iter().filter(|(_, seen)| seen.acknowledged > in_force).map(|(id, _)| *id).collect();
        let ahead = named(self, &ahead).map(|names| {
            Text::new(format!(
                "{names} know newer restraints than this controller has given out, so it was brought back from a copy and obeyed \
                 no more there; `ansai controller restore` begins a new epoch, which is obeyed"
            ))
        });
        self.one_own(About::Generations, ahead);
    }
}
