//! What must hold of the fleet between two steps, as named functions for tests and the simulator. They count anew, and trust
//! no index of the engine.

use std::collections::{BTreeMap, BTreeSet};

use ansai_model::text::Text;
use ansai_protocol::{link::HostId, record::RolloutState};

use crate::{
    FleetEngine,
    limits::{
        HOSTS_MAX, IDENTITIES_OF_HOST_MAX, ISSUING_MAX, MESSAGES_MAX, NAMED_MAX, PENDING_MAX, PERMITS_MAX,
        REJECTED_MAX, ROLLOUTS_MAX, SESSIONS_OF_HOST_MAX, TOKENS_MAX, WAITING_MAX,
    },
};

/// A broken invariant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which one, by the name of its function.
    pub invariant: &'static str,
    /// What was found.
    pub what: Text,
}

fn violated(invariant: &'static str, what: String) -> Result<(), Violation> {
    Err(Violation { invariant, what: what.into() })
}

/// Every invariant of the engine between two steps.
///
/// # Errors
/// The first that is broken.
pub fn of_engine(engine: &FleetEngine) -> Result<(), Violation> {
    names_are_unique(engine)?;
    sessions_are_members(engine)?;
    restraints_are_numbered(engine)?;
    rollouts_have_their_files(engine)?;
    one_rollout_goes_on(engine)?;
    permits_are_members(engine)?;
    messages_are_known(engine)?;
    everything_is_bounded(engine)
}

/// No two members share a name, and each name leads to its host.
fn names_are_unique(engine: &FleetEngine) -> Result<(), Violation> {
    let hosts = &engine.books.hosts;
    let names: BTreeSet<_> = hosts.values().map(|host| &host.name).collect();
    let leads = |host: &&ansai_protocol::record::HostRecord| engine.books.names.get(&host.name) != Some(&host.id);
    match hosts.values().find(leads) {
        Some(host) => violated("names_are_unique", format!("{} leads to another host", host.name)),
        None if names.len() != hosts.len() || engine.books.names.len() != hosts.len() => {
            violated("names_are_unique", format!("{} hosts have {} names", hosts.len(), engine.books.names.len()))
        }
        None => Ok(()),
    }
}

/// Whoever is connected is a member, by a certificate that is good.
fn sessions_are_members(engine: &FleetEngine) -> Result<(), Violation> {
    match engine.sessions.values().find(|session| !engine.books.is_member(session.host, &session.serial)) {
        Some(session) => violated("sessions_are_members", format!("{} is connected and is no member", session.host)),
        None => Ok(()),
    }
}

/// A restraint is never newer than the generation: a host that has this generation has it.
fn restraints_are_numbered(engine: &FleetEngine) -> Result<(), Violation> {
    match engine.books.restraints.keys().find(|id| id.0 > engine.books.generation) {
        Some(id) => {
            violated("restraints_are_numbered", format!("{id} is newer than generation {}", engine.books.generation))
        }
        None => Ok(()),
    }
}

/// What is brought to hosts is there to be given to them, and nothing else is kept.
fn rollouts_have_their_files(engine: &FleetEngine) -> Result<(), Violation> {
    let (rollouts, bundles) = (&engine.books.rollouts, &engine.books.bundles);
    match rollouts.keys().ne(bundles.keys()) {
        true => {
            let what = format!("roll-outs {:?}, configurations {:?}", rollouts.keys(), bundles.keys());
            violated("rollouts_have_their_files", what)
        }
        false => Ok(()),
    }
}

/// At most the newest configuration is on its way; of one before it no host is told any more.
fn one_rollout_goes_on(engine: &FleetEngine) -> Result<(), Violation> {
    let mut older = engine.books.rollouts.values().rev().skip(1);
    match older.find(|rollout| rollout.state == RolloutState::Running) {
        Some(older) => {
            violated("one_rollout_goes_on", format!("generation {} goes on beside a newer one", older.generation))
        }
        None => Ok(()),
    }
}

/// Whoever holds a permit is a member, and no number was given that is above the highest.
fn permits_are_members(engine: &FleetEngine) -> Result<(), Violation> {
    let books = &engine.books;
    let is_wrong = |permit: &&ansai_protocol::record::PermitRecord| {
        !books.hosts.contains_key(&permit.host) || permit.id > books.last_permit
    };
    match books.permits.values().find(is_wrong) {
        Some(permit) => violated("permits_are_members", format!("{} is held by {}", permit.id, permit.host)),
        None => Ok(()),
    }
}

/// What is to be told is known when it is given again, as long as its host may do so.
fn messages_are_known(engine: &FleetEngine) -> Result<(), Violation> {
    let books = &engine.books;
    let is_long = |keys: &&Vec<_>| keys.len() > ansai_model::message::GIVEN_MAX;
    if let Some(keys) = books.taken.values().find(is_long) {
        return violated("messages_are_known", format!("{} messages of a host are remembered", keys.len()));
    }
    match books.taken.keys().find(|host| !books.hosts.contains_key(host)) {
        Some(host) => violated("messages_are_known", format!("{host} has given messages, and is no member")),
        None => Ok(()),
    }
}

/// Nothing grows without bound.
fn everything_is_bounded(engine: &FleetEngine) -> Result<(), Violation> {
    let books = &engine.books;
    let mut identities: BTreeMap<HostId, usize> = BTreeMap::new();
    books.identities.values().for_each(|one| *identities.entry(one.host).or_default() += 1);
    let identities = identities.into_values().max().unwrap_or(0);
    let sizes = [
        ("hosts", books.hosts.len(), HOSTS_MAX),
        ("hosts that wait", books.pending.len(), PENDING_MAX),
        ("tokens", books.tokens.len(), TOKENS_MAX),
        ("certificates of a host", identities, IDENTITIES_OF_HOST_MAX + SESSIONS_OF_HOST_MAX),
        ("restraints", books.restraints.len(), ansai_model::fleet::RESTRAINTS_MAX),
        ("configurations", books.rollouts.len(), ROLLOUTS_MAX),
        ("permits", books.permits.len(), PERMITS_MAX),
        ("messages of hosts", books.messages.len(), MESSAGES_MAX),
        ("operators who wait", engine.waiting.len(), WAITING_MAX),
        ("certificates being signed", engine.issuing.len(), ISSUING_MAX),
        ("rejected keys", engine.rejected.len(), REJECTED_MAX),
        ("targets under way", engine.seen.values().map(|seen| seen.under_way.len()).max().unwrap_or(0), NAMED_MAX),
    ];
    match sizes.iter().find(|(_, size, most)| size > most) {
        Some((what, size, most)) => violated("everything_is_bounded", format!("{size} {what}; at most {most}")),
        None => Ok(()),
    }
}
