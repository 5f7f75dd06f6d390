//! Puts members and incidents into a controller's store, as joining and time would have, and looks at the end whether all that
//! was said to be kept is there. The controller does not run meanwhile.

use std::collections::{BTreeMap, BTreeSet};

use ansai_controller::home::Home;
use ansai_link::{authority::Authority, chance, dial::Caller, key::Key};
use ansai_model::{text::Text, time::WallTime};
use ansai_protocol::{
    link::{ControllerId, Held, HostId, RestraintsAt, Roots},
    record::{HostIncident, HostRecord, IdentityRecord, Record},
};
use ansai_store::{
    Store,
    page::IncidentsOf,
    sqlite::{SqliteStore, examine},
};
use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::{
    said::{self, Stage},
    tally::Tally,
};

/// What is saved at once.
const BATCH: usize = 5_000;
/// How often it says how far it is.
const SAID_EVERY: usize = 200_000;
/// An incident each second, up to now.
const APART_MS: i64 = 1_000;

/// A member of the fleet, as itself knows who it is.
pub(crate) struct Member {
    pub(crate) host: HostId,
    pub(crate) name: String,
    pub(crate) caller: Caller,
}

/// A fleet that has joined.
pub(crate) struct Made {
    pub(crate) members: Vec<Member>,
}

impl Made {
    /// Has so many hosts join, and so many incidents happen on them.
    pub(crate) fn new(home: &Home, agents: usize, incidents: usize) -> Result<Self> {
        ensure!(agents > 0, "a fleet has hosts");
        let (authority, store) = (home.authority()?, SqliteStore::open(&home.store())?);
        let controller = store.state()?.controller;
        let roots = authority.roots()?;
        let mut joined = Vec::new();
        let mut records = Vec::new();
        for number in 0..agents {
            joined.push(member(number, &authority, controller, &roots, &mut records)?);
            if records.len() >= BATCH {
                store.save(std::mem::take(&mut records))?;
            }
        }
        store.save(records)?;
        happened(&store, &joined, incidents)?;
        Ok(Self { members: joined })
    }
}

fn member(
    number: usize,
    authority: &Authority,
    controller: ControllerId,
    roots: &Roots,
    records: &mut Vec<Record>,
) -> Result<Member> {
    let (host, key, name) = (HostId::of_chance(chance()?), Key::generate()?, format!("host-{number:05}"));
    let signed = authority.sign_host(&key.request()?, host, said::now())?;
    let caller = Caller::new(&key, &signed.certificate, controller, roots)?;
    records.push(Record::Host(HostRecord {
        id: host,
        name: name.as_str().into(),
        role: Some(said::ROLE.into()),
        labels: BTreeMap::new(),
        machine_id: "".into(),
        boot_id: "".into(),
        program: "".into(),
        address: "127.0.0.1".into(),
        joined: said::now(),
        heard: None,
        ahead_ms: 0,
        acknowledged: RestraintsAt::default(),
        under_way: Vec::new(),
        configuration: Held::default(),
        refused: None,
        over_ssh: None,
    }));
    records.push(Record::Identity(IdentityRecord {
        serial: Text::new(signed.facts.serial.to_string()),
        host,
        fingerprint: signed.facts.key,
        since: said::now(),
        until: signed.facts.not_after,
        revoked: None,
    }));
    Ok(Member { host, name, caller })
}

/// Incidents that have ended, one behind the other up to now, each on the next host.
#[expect(clippy::print_stderr, reason = "how far it is, for people at a terminal")]
fn happened(store: &SqliteStore, members: &[Member], incidents: usize) -> Result<()> {
    let first = said::now().0 - i64::try_from(incidents)? * APART_MS;
    let mut records = Vec::new();
    for (number, member) in (0..incidents).zip(members.iter().cycle()) {
        let opened = WallTime(first + i64::try_from(number)? * APART_MS);
        let incident = said::incident(u64::try_from(number)?, opened, Stage::Over);
        records.push(Record::Incident(HostIncident { host: Some(member.host), incident }));
        if records.len() >= BATCH {
            store.save(std::mem::take(&mut records))?;
        }
        if (number + 1) % SAID_EVERY == 0 {
            eprintln!("   {} of {incidents} incidents are in the store", number + 1);
        }
    }
    store.save(records)?;
    Ok(())
}

/// Compares what is in the store with what agents were told is kept. `missing`: incidents of which the end was kept and is
/// not there; `doubled`: those that are there more than once; `wrong`: what is wrong with the store itself; `done`: what was
/// done, in words, the oldest first.
pub(crate) fn check(home: &Home, tally: &Tally) -> Result<Value> {
    let store = SqliteStore::open(&home.store())?;
    let mut found = BTreeMap::new();
    let mut of = IncidentsOf { most: 1_000, ..IncidentsOf::default() };
    loop {
        let page = store.incidents(&of)?;
        for one in page.incidents.iter().filter(|one| !one.incident.is_open()) {
            let count: &mut usize = found.entry((one.host, one.incident.id)).or_default();
            *count += 1;
        }
        let Some(next) = page.next else { break };
        of.after = Some(next);
    }
    let promised: BTreeSet<_> = tally.promised();
    let is_missing = |(host, id): &&(HostId, _)| {
        !found.contains_key(&(Some(*host), *id)) || !matches!(store.report(host, *id), Ok(Some(_)))
    };
    let missing = promised.iter().filter(is_missing).count();
    let doubled = found.values().filter(|count| **count > 1).count();
    let mut done: Vec<String> =
        store.audit(None, usize::MAX)?.into_iter().map(|entry| entry.done.what.to_string()).collect();
    done.reverse();
    let holds: Vec<String> = store.state()?.restraints.iter().map(|one| one.scope.to_string()).collect();
    drop(store);
    let wrong = examine(&home.store())?.wrong;
    Ok(json!({
        "promised": promised.len(), "missing": missing, "doubled": doubled, "wrong": wrong, "done": done, "holds": holds,
    }))
}
