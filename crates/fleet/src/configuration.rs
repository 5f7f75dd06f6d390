//! Which configuration each host is to have, what it says it has, and when it is told: a host is told what is newer than what it
//! has, and never anything older. How a new one comes to many hosts is [`rollouts`](crate::rollouts)'s.

use ansai_model::text::Text;
use ansai_protocol::{
    link::{Configured, FleetFile, Held, HostBundle, HostId, RefusedBundle, Short},
    record::{BundleRecord, HostRecord, Progress, RolloutState},
};

use crate::{FleetEngine, effect::FleetEffect, input::SessionId, words};

/// The files of a configuration that a host of this name and role gets.
pub(crate) fn chosen(files: &[FleetFile], name: &Short, role: Option<&Short>) -> Vec<FleetFile> {
    files.iter().filter(|file| file.layer.is_for(name, role)).cloned().collect()
}

/// A host whose configuration is not what the fleet says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drift {
    /// The host.
    pub host: HostId,
    /// The generation that it is to have; 0 when the fleet has none for it.
    pub wanted: u64,
    /// The generation that it has; 0 when it has none.
    pub has: u64,
    /// Why, as far as that is known.
    pub why: Text,
}

impl FleetEngine {
    /// What a host is to have: the newest configuration that went to everybody, or a newer one that it was told already.
    pub(crate) fn wanted(&self, host: &HostRecord) -> Held {
        let is_its = |state: &RolloutState, was_told: bool| *state == RolloutState::Done || was_told;
        let mut newest = self.books.rollouts.values().rev();
        let rollout = newest.find(|rollout| is_its(&rollout.state, rollout.hosts.contains_key(&host.id)));
        let Some(bundle) = rollout.and_then(|rollout| self.books.bundles.get(&rollout.generation)) else {
            return Held::default();
        };
        held(bundle, host)
    }

    /// What a host says it has.
    pub(crate) fn has(&self, host: HostId) -> Held {
        self.seen.get(&host).map(|seen| seen.configuration.clone()).unwrap_or_default()
    }

    /// Tells a host its configuration, when it has an older one or another's. One that has a newer one is left alone.
    pub(crate) fn tell_configuration(&mut self, host: HostId) {
        let Some(record) = self.books.hosts.get(&host) else { return };
        let (wanted, has) = (self.wanted(record), self.has(host));
        let Some(bundle) = self.books.bundles.get(&wanted.generation) else { return };
        if has == wanted || has.age() > wanted.age() {
            return;
        }
        let files = chosen(&bundle.files, &record.name, record.role.as_ref());
        let bundle = HostBundle { controller: self.books.controller, host, held: wanted, files };
        let sessions: Vec<SessionId> = self.sessions_of(host).map(|(session, _)| session).collect();
        for session in sessions {
            self.effects.push(FleetEffect::Configure { session, bundle: Box::new(bundle.clone()) });
        }
    }

    /// A host says which configuration it has, and which it does not take.
    pub(crate) fn configured(&mut self, host: HostId, said: Configured) {
        let Configured { held, refused } = said;
        self.has_configuration(host, held);
        if let Some(refused) = refused {
            self.refuses_configuration(host, refused);
        }
    }

    /// A host has this configuration in force.
    pub(crate) fn has_configuration(&mut self, host: HostId, held: Held) {
        let Some(seen) = self.seen.get_mut(&host) else { return };
        // What it refused before counts until it has something else.
        let is_newer = seen.refused_configuration.as_ref().is_some_and(|no| (no.epoch, no.generation) <= held.age());
        if is_newer {
            seen.refused_configuration = None;
        }
        seen.configuration = held;
        self.stale.insert(host);
    }

    fn refuses_configuration(&mut self, host: HostId, refused: RefusedBundle) {
        let wanted = self.books.hosts.get(&host).map(|record| self.wanted(record)).unwrap_or_default();
        // One that it could not even read is the one that it was told.
        let generation = if refused.generation == 0 { wanted.generation } else { refused.generation };
        if let Some(seen) = self.seen.get_mut(&host) {
            seen.refused_configuration = Some(RefusedBundle { generation, ..refused });
        }
        self.stale.insert(host);
    }

    /// What came of a configuration at a host, as far as it has said.
    pub(crate) fn progress_of(&self, host: HostId, bundle: &BundleRecord) -> Option<Progress> {
        let (seen, age) = (self.seen.get(&host)?, (bundle.epoch, bundle.generation));
        if seen.configuration.age() == age {
            return Some(Progress::InForce);
        }
        let refused = seen.refused_configuration.as_ref().filter(|refused| refused.generation == bundle.generation);
        refused.map(|refused| Progress::Refused { why: refused.why.clone() })
    }

    /// Why a host has not what it is to have, when it has not.
    #[must_use]
    pub fn drift_of(&self, host: &HostRecord) -> Option<Drift> {
        let (wanted, has) = (self.wanted(host), self.has(host.id));
        if has == wanted {
            return None;
        }
        let refused = self.seen.get(&host.id).and_then(|seen| seen.refused_configuration.as_ref());
        let refused = refused.filter(|no| no.generation == wanted.generation);
        let is_there = self.sessions_of(host.id).next().is_some();
        let why = match refused {
            Some(refused) => Text::new(format!("it refuses it: {}", refused.why)),
            None if has.age() > wanted.age() => {
                "it has a newer one than this controller knows; `ansai fleet apply` makes one that is newer still"
                    .into()
            }
            None if !is_there => words::not_reached(self, host.id),
            None => "it has not answered yet".into(),
        };
        Some(Drift { host: host.id, wanted: wanted.generation, has: has.generation, why })
    }

    /// The hosts whose configuration is not what the fleet says, in the order of their names.
    pub fn drift(&self) -> impl Iterator<Item = Drift> {
        let hosts = self.books.names.values().filter_map(|id| self.books.hosts.get(id));
        hosts.filter_map(|host| self.drift_of(host))
    }
}

/// What a host has once it has this.
pub(crate) fn held(bundle: &BundleRecord, host: &HostRecord) -> Held {
    let BundleRecord { epoch, generation, .. } = *bundle;
    Held { epoch, generation, name: host.name.clone(), role: host.role.clone() }
}
