//! What must hold whatever happens to a fleet: named functions with books of their own, kept from what went over the wire, that
//! share no code with either engine.
//!
//! | function | what it says |
//! |---|---|
//! | [`Books::is_in_force`] | I4: no older epoch or generation is ever in force |
//! | [`Books::is_told`] | a generation has one content, whoever tells it and when |
//! | [`Books::acts`] | I5: once a hold is acknowledged, no new action, until something newer was heard or it has ended |
//! | [`Books::agent_starts`] | what was acknowledged is on the host's disk |
//! | [`Books::ordered`] | what is ordered is done at most once on a host |
//! | [`answered_means_done`] | a host that an operator was told has done what was ordered has done it |
//! | [`answered_means_obeyed`] | I5: a host that an operator was told to hold holds |
//! | [`said_is_durable`] | a controller says nothing to a host that it could forget |
//! | [`told_what_concerns`] | a host is told what concerns it, and nothing else |
//! | [`few_are_disturbed`] | I1: what serves is taken away on no more of a role than may be |
//! | [`permit_is_durable`] | a permit is kept before it is told |
//! | `told_once`, `told_at_last` (in `world/messages`) | a message to people is told once, by its host or the controller |
//! | [`books_match_disk`] | what is in force at the controller is what is on its disk, and nothing else |

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ansai_engine::State;
use ansai_fleet::FleetEngine;
use ansai_model::{
    action::ActionRun,
    fleet::{FleetScope, Restraint, RestraintKind, RestraintSet},
    order::{OrderOutcome, Ordered},
    permit::PermitNews,
    time::{MonoTime, Now, WallTime},
};
use ansai_protocol::{
    link::{FromController, HostId, Short},
    operation::{HostTold, Reached},
};

use ansai_store::volatile::Records;

use super::host::SimHost;

/// Sets that are remembered of a host.
const TOLD_MAX: usize = 64;

type Age = (u64, u64);

/// What is known of one host from the wire.
#[derive(Clone, Debug, Default)]
pub struct Books {
    /// The newest that was in force in this process of the agent.
    newest: Age,
    /// What it was told, and when, by the telling that was on its way least long.
    told: BTreeMap<Age, (RestraintSet, MonoTime)>,
    /// What it last said that it obeys, until it hears something newer.
    promised: Option<Age>,
    /// The orders of which it has done anything, and that its ledger holds.
    done: BTreeSet<Age>,
    /// Whether a controller was brought back from a copy without beginning a new epoch: then numbers mean two things.
    pub numbers_are_ambiguous: bool,
}

impl Books {
    /// An agent starts with a ledger.
    ///
    /// # Errors
    /// When that does not hold what was acknowledged.
    pub fn agent_starts(&mut self, name: &Short, saved: &State) -> Result<(), String> {
        let age = saved.controller.as_ref().map_or((0, 0), |from| (from.said.epoch, from.said.generation));
        self.newest = age;
        match self.promised {
            Some(promised) if age < promised => {
                Err(format!("acknowledged_is_durable: {name} acknowledged {promised:?}, and its ledger holds {age:?}"))
            }
            _ => Ok(()),
        }
    }

    /// After each step of the host's engine.
    ///
    /// # Errors
    /// When something older is in force than before.
    pub fn is_in_force(&mut self, name: &Short, state: &State) -> Result<(), String> {
        let age = state.controller.as_ref().map_or((0, 0), |from| (from.said.epoch, from.said.generation));
        if age < self.newest {
            return Err(format!("never_older: {age:?} is in force on {name} after {:?}", self.newest));
        }
        self.newest = age;
        Ok(())
    }

    /// A set arrives.
    ///
    /// # Errors
    /// When the same numbers came with another content.
    pub fn is_told(&mut self, name: &Short, set: &RestraintSet, now: Now) -> Result<(), String> {
        let age = (set.epoch, set.generation);
        let known = self.told.entry(age).or_insert_with(|| (set.clone(), now.mono));
        if known.0.restraints != set.restraints && !self.numbers_are_ambiguous {
            return Err(format!("one_content: {age:?} came to {name} with two contents"));
        }
        // Told again it may have been on its way for less long, and ends so much earlier.
        let delay = |at: WallTime, came: MonoTime| i128::from(came.0) - i128::from(at.0) * 1_000_000;
        if delay(set.at, now.mono) < delay(known.0.at, known.1) {
            *known = (set.clone(), now.mono);
        }
        if self.promised.is_some_and(|promised| promised < age) {
            self.promised = None;
        }
        while self.told.len() > TOLD_MAX {
            self.told.pop_first();
        }
        Ok(())
    }

    /// A new epoch has begun: numbers mean one thing again.
    pub fn numbers_are_clear(&mut self) {
        if std::mem::take(&mut self.numbers_are_ambiguous) {
            (self.told, self.promised) = (BTreeMap::new(), None);
        }
    }

    /// It says that it obeys this.
    pub fn promises(&mut self, age: Age) {
        // What it has heard since and could not save yet is in force all the same.
        if age >= self.newest {
            self.promised = Some(age);
        }
    }

    /// It says what came of an order.
    ///
    /// # Errors
    /// When it has done the same before.
    pub fn ordered(&mut self, name: &Short, said: &Ordered) -> Result<(), String> {
        let is_done = said.number > 0 && said.told.iter().any(|told| told.outcome == OrderOutcome::Done);
        match is_done && !self.done.insert((said.epoch, said.number)) && !self.numbers_are_ambiguous {
            true => Err(format!("ordered_once: {name} has done ({}, {}) twice", said.epoch, said.number)),
            false => Ok(()),
        }
    }

    /// It begins an action.
    ///
    /// # Errors
    /// When it has acknowledged that it would not.
    pub fn acts(&self, name: &Short, now: Now, run: &ActionRun) -> Result<(), String> {
        let Some((set, came)) = self.promised.and_then(|promised| self.told.get(&promised)) else { return Ok(()) };
        let stops = |one: &&Restraint| {
            let is_over = one.until.is_some_and(|until| came.plus(until.since(set.at)) <= now.mono);
            one.kind != RestraintKind::Silence && one.scope.holds(&run.target) && !is_over
        };
        match set.restraints.iter().find(stops) {
            Some(one) if !self.numbers_are_ambiguous => Err(format!(
                "no_action_once_acknowledged: {name} begins {:?} {:?} after it was told {one:?} of ({}, {}) at {:?}",
                run.action,
                now.mono.since(*came),
                set.epoch,
                set.generation,
                set.at
            )),
            _ => Ok(()),
        }
    }
}

/// Whether a restraint is about a host: worked out once more.
pub(super) fn is_about(over: &FleetScope, name: &Short, role: Option<&Short>) -> bool {
    match over {
        FleetScope::Fleet => true,
        FleetScope::Role(wanted) => role.is_some_and(|role| role.as_str() == wanted.as_str()),
        FleetScope::Host(wanted) => name.as_str() == wanted.as_str(),
        FleetScope::Label { .. } => false,
    }
}

/// An operator was told who obeys a restraint: each of them has it on its disk.
///
/// # Errors
/// The first host that does not.
pub(super) fn answered_means_obeyed(
    restraint: &Restraint,
    epoch: u64,
    reached: &Reached,
    hosts: &[SimHost],
) -> Result<(), String> {
    // Of many that are missing only the first are named.
    if reached.missing.len() >= ansai_fleet::limits::NAMED_MAX {
        return Ok(());
    }
    let is_named = |host: &SimHost| reached.missing.iter().any(|missing| missing.host == host.name);
    let meant = hosts.iter().filter(|host| is_about(&restraint.over, &host.name, host.role.as_ref()));
    // Of clones either may have been asked before it was known that there are two.
    let is_cloned = |host: &SimHost| hosts.iter().filter(|other| other.id == host.id).count() > 1;
    for host in meant.filter(|host| !is_named(host) && !is_cloned(host)) {
        let has = host.ledger().is_some_and(|set| {
            let has_it = set.restraints.iter().any(|one| one.id == restraint.id);
            set.epoch == epoch && set.generation >= restraint.id.0 && has_it
        });
        if !has {
            return Err(format!(
                "answered_means_obeyed: {} is said to obey {} and has {:?}",
                host.name,
                restraint.id,
                host.ledger().map(|set| (set.epoch, set.generation))
            ));
        }
    }
    Ok(())
}

/// An operator was told what came of an order: who is said to have done it has.
///
/// # Errors
/// The first host that has not.
pub(super) fn answered_means_done(age: Age, said: &[HostTold], hosts: &[SimHost]) -> Result<(), String> {
    for one in said.iter().filter(|one| one.told.iter().any(|told| told.outcome == OrderOutcome::Done)) {
        if !hosts.iter().any(|host| host.name == one.host && host.books.done.contains(&age)) {
            return Err(format!("answered_means_done: {} is said to have done {age:?}, and has not", one.host));
        }
    }
    Ok(())
}

/// A set goes out: a controller that is killed now still knows that it said so.
///
/// # Errors
/// When the set is newer than what is on the disk.
pub(super) fn said_is_durable(set: &RestraintSet, disk: &Records) -> Result<(), String> {
    let on_disk = |one: &Restraint| disk.restraints.contains_key(&one.id) || set.generation < disk.generation;
    let is_durable = set.epoch == disk.epoch && set.generation <= disk.generation && set.restraints.iter().all(on_disk);
    match is_durable {
        true => Ok(()),
        false => Err(format!(
            "said_is_durable: ({}, {}) goes out, and ({}, {}) is on the disk",
            set.epoch, set.generation, disk.epoch, disk.generation
        )),
    }
}

/// A set goes out: it holds what concerns its host, all of it and nothing else.
///
/// # Errors
/// When it does not.
pub(super) fn told_what_concerns(set: &RestraintSet, host: &SimHost, disk: &Records) -> Result<(), String> {
    let record = disk.hosts.get(&host.id);
    let role = record.and_then(|record| record.role.as_ref());
    let is_told = |one: &Restraint| set.restraints.iter().any(|told| told.id == one.id);
    let too_much = set.restraints.iter().find(|one| !is_about(&one.over, &host.name, role));
    let is_current = set.generation == disk.generation && set.epoch == disk.epoch;
    let too_little =
        disk.restraints.values().find(|one| is_current && is_about(&one.over, &host.name, role) && !is_told(one));
    match too_much.or(too_little) {
        Some(one) => Err(format!("told_what_concerns: {} and {} for {:?}", host.name, one.id, one.over)),
        None => Ok(()),
    }
}

/// With nothing on its way to the disk the two agree.
///
/// # Errors
/// What differs.
pub(super) fn books_match_disk(engine: &FleetEngine, disk: &Records) -> Result<(), String> {
    let books = engine.books();
    if books.generation != disk.generation || books.epoch != disk.epoch {
        let (ours, theirs) = ((books.epoch, books.generation), (disk.epoch, disk.generation));
        return Err(format!("books_match_disk: {ours:?} is in force, and {theirs:?} on the disk"));
    }
    if books.permits != disk.permits {
        return Err(format!("books_match_disk: {:?} are held, {:?} on the disk", books.permits, disk.permits));
    }
    if books.messages != disk.messages {
        return Err(format!("books_match_disk: {:?} are to be told, {:?} on the disk", books.messages, disk.messages));
    }
    if books.restraints != disk.restraints {
        return Err(format!("books_match_disk: {:?} in force, {:?} on the disk", books.restraints, disk.restraints));
    }
    let open = engine.books().open_of(None).count();
    let on_disk = disk.open().filter(|one| one.host.is_none()).count();
    if books.hosts != disk.hosts || open != on_disk {
        return Err(format!("books_match_disk: {open} own incidents or other hosts, {on_disk} on the disk"));
    }
    let known = books.targets.iter().flat_map(|(host, targets)| targets.iter().map(move |target| (host, target)));
    match known.eq(disk.targets.keys().map(|(host, target)| (host, target))) {
        true => Ok(()),
        false => Err(format!("books_match_disk: {:?} are known, {:?} on the disk", books.targets, disk.targets.keys())),
    }
}

/// I1: a host takes away what serves on it while no more of its role are disturbed than may be, and never the only one.
///
/// # Errors
/// When more are.
pub(super) fn few_are_disturbed(index: usize, hosts: &[SimHost], epoch: u64) -> Result<(), String> {
    let host = &hosts[index];
    // Whose clone is there is told so when both have been there for a while; a copy with old numbers means two things.
    let has_twin = hosts.iter().enumerate().any(|(other, twin)| other != index && twin.id == host.id);
    if !host.is_disturbing() || has_twin || host.books.numbers_are_ambiguous {
        return Ok(());
    }
    let mut members: BTreeMap<HostId, bool> = BTreeMap::new();
    for member in hosts.iter().filter(|member| member.role == host.role) {
        *members.entry(member.id).or_default() |= member.is_disturbing();
    }
    let (all, disturbed) = (members.len(), members.values().filter(|is_disturbed| **is_disturbed).count());
    // One in ten, and one always; after a copy has forgotten who holds a permit, half of them must stay all the same.
    let most = match (all, epoch) {
        // A person's order is an approval; without one the only member is left alone.
        (1, _) => usize::from(host.was_ordered_to_disturb()),
        (_, 1) => (all / 10).max(1),
        (_, _) => all - all.div_ceil(2),
    };
    match disturbed > most {
        true => Err(format!("few_are_disturbed: {} is one of {disturbed} of {all} that are at once", host.name)),
        false => Ok(()),
    }
}

/// A permit is on the disk before its host hears of it.
///
/// # Errors
/// When it is not.
pub(super) fn permit_is_durable(message: &FromController, disk: &Records) -> Result<(), String> {
    match message {
        FromController::Permit(PermitNews::Granted(granted)) if !disk.permits.contains_key(&granted.id) => {
            Err(format!("permit_is_durable: {} is said, and is not on the disk", granted.id))
        }
        _ => Ok(()),
    }
}

/// So long after both clones are connected and nothing else goes wrong both are held.
pub(super) const TWINS_HELD_WITHIN: Duration = Duration::from_secs(30);

/// A host begins an action: it is none of two that have been there under one identity for a while.
///
/// # Errors
/// When it is one.
pub(super) fn twins_are_held(index: usize, hosts: &[SimHost], now: Now, calm_since: MonoTime) -> Result<(), String> {
    let host = &hosts[index];
    let long_there = |host: &SimHost| {
        let since = host.linked_since.map(|since| since.max(calm_since));
        since.is_some_and(|since| now.mono.since(since) > TWINS_HELD_WITHIN)
    };
    let has_twin = hosts.iter().enumerate().any(|(other, twin)| {
        other != index && twin.id == host.id && !twin.is_gone && long_there(twin) && !twin.disk_is_full
    });
    match has_twin && long_there(host) && !host.disk_is_full {
        true => Err(format!("twins_are_held: {} acts beside its clone", host.name)),
        false => Ok(()),
    }
}
