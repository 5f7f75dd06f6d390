//! Containers of Docker and Podman: which there are, how each is, and its restart, over the sockets of their engines. Each
//! question has its own time, so that one container which hangs its engine is unknown alone.
//!
//! What it may have an engine do is a restart. Nothing here removes, prunes, pulls, makes or unpauses anything.

mod act;
mod api;
mod engines;
mod events;
mod evidence;
mod listed;
pub mod pretend;
mod read;
mod seen;

use std::{
    collections::BTreeMap,
    path::Path,
    sync::OnceLock,
    time::{Duration, Instant},
};

use ansai_model::{
    domain::container::{
        ContainerFacts, ContainerProbe, ContainerSnapshot, ContainerState, EndedBy, Owner, Shared, judge,
    },
    inventory::Inventory,
    observation::{Health, Observation},
    text::Text,
    time::Shown,
};
use futures_util::StreamExt as _;
use serde_json::Value;

use crate::linux::{
    LinuxHost,
    aside::{self, Kind, Work},
    clock::wall_now,
};
use api::{Answer, Trouble};
use engines::Engine;
pub(super) use seen::Seen;
use seen::{Run, held};

/// Longest that an engine is asked about one container.
const ASK_TIME: Duration = Duration::from_secs(3);
/// How long all engines together have to say what they hold: an inventory waits for it, and no longer for one that hangs.
const LIST_TIME: Duration = Duration::from_millis(1200);
/// How long one container has to be described while they are listed.
const FIXED_TIME: Duration = Duration::from_millis(400);
/// After the end of a container its engine tells who wanted it, at the latest.
const HEARD_WITHIN: Duration = Duration::from_secs(3);
/// How long the engines that were found are gone by.
const ENGINES_FOR: Duration = Duration::from_secs(5);
/// How many are asked about at once.
const AT_ONCE: usize = 8;

/// A container as its engine has it.
struct Found {
    engine: Engine,
    value: Value,
    run: Run,
}

/// Why nothing is known of a container.
enum Unseen {
    /// No engine has it.
    Missing,
    /// In words.
    Unknown(String),
}

/// Observes at a container once.
async fn observe(host: &LinuxHost, probe: &ContainerProbe) -> Observation {
    let inner = &host.inner;
    let seen = &inner.kept.container;
    seen.listeners.listen(&engines(host).await, &inner.tasks, inner.bus.as_ref(), &inner.wakes);
    // What our own restart does to it is nobody's wish.
    if seen.of(&probe.name).is_being_restarted {
        return Observation::unknown("ansai restarts it now");
    }
    let found = match find(host, &probe.name).await {
        Ok(found) => found,
        Err(Unseen::Missing) => return Observation::unknown(format!("no engine here has a container {}", probe.name)),
        Err(Unseen::Unknown(why)) => return Observation::unknown(why),
    };
    let mut snapshot = snapshot(host, &found).await;
    if seen.of(&probe.name).is_being_restarted {
        return Observation::unknown("ansai restarts it now");
    }
    // Whoever stops one is told of after its end.
    let has_just_ended = snapshot.finished.is_some_and(|at| wall_now().since(at) < HEARD_WITHIN);
    if snapshot.ended_by == EndedBy::Itself && has_just_ended {
        return Observation::unknown("it has just ended; who wanted that is heard in a moment");
    }
    let now = Instant::now();
    snapshot.restarts_lately = seen.change(&probe.name, |known| known.counts(&found.run, &snapshot, probe.within, now));
    let judged = judge(probe, &snapshot, wall_now());
    seen.change(&probe.name, |known| {
        known.failing = (judged.health() == Health::Failing).then(|| (found.run.clone(), probe.clone()));
        known.engine = Some(found.engine.clone());
    });
    judged
}

/// The container of this name: at the engine that had it, or else at the first that does.
async fn find(host: &LinuxHost, name: &str) -> Result<Found, Unseen> {
    let inner = &host.inner;
    let seen = &inner.kept.container;
    let known = seen.of(name);
    if let Some(lasts) = known.is_left_alone(Instant::now()) {
        let why = format!("its engine has not answered about it for {}, and is asked again later", Shown(lasts));
        return Err(Unseen::Unknown(why));
    }
    if !read::is_id(name) {
        return Err(Unseen::Missing);
    }
    let (mut engines, mut last) = (engines(host).await, Unseen::Missing);
    engines.sort_by_key(|engine| known.engine.as_ref() != Some(engine));
    if engines.is_empty() {
        return Err(Unseen::Unknown("neither Docker nor Podman has a socket here".into()));
    }
    for engine in engines {
        if !engine.runs(inner.bus.as_ref()).await {
            last = Unseen::Unknown(format!("its engine ({}) does not run", engine.name()));
            continue;
        }
        match inspect(&engine, name).await {
            // What it says goes into later questions.
            Ok(value) if !read::is_id(read::text(&value, "/Id")) => {
                last = Unseen::Unknown("its engine says nothing of its id".into());
            }
            Ok(value) => {
                let (id, started) = (read::text(&value, "/Id"), read::text(&value, "/State/StartedAt"));
                let run = Run { id: id.into(), started: read::moment(started) };
                return Ok(Found { engine, value, run });
            }
            Err(Asked::No(Trouble::Missing)) => {}
            Err(Asked::No(why)) => last = Unseen::Unknown(why.to_string()),
            Err(Asked::Late) => {
                seen.change(name, |known| known.hangs(Instant::now()));
                last = Unseen::Unknown(format!("its engine has not answered about it within {}", Shown(ASK_TIME)));
            }
        }
        // Nobody else has what this one had.
        if known.engine.is_some() && matches!(last, Unseen::Unknown(_)) {
            break;
        }
    }
    Err(last)
}

/// What became of a question.
enum Asked {
    No(Trouble),
    Late,
}

async fn inspect(engine: &Engine, name: &str) -> Result<Value, Asked> {
    get(engine, format!("/containers/{name}/json"), api::ONE_MAX).await?.json().map_err(Asked::No)
}

/// Asks an engine for something, for so long as it is asked about one container.
async fn get(engine: &Engine, path: String, most: usize) -> Result<Answer, Asked> {
    if engine.is_ours() {
        let answer = tokio::time::timeout(ASK_TIME, api::get(&engine.socket, &path, most)).await;
        return answer.map_err(|_| Asked::Late)?.map_err(Asked::No);
    }
    let work = Work::new(Kind::Look, format!("{path} at {}", engine.socket.display()));
    let socket = engine.socket.clone();
    let asks = move || async move { api::get(&socket, &path, most).await };
    let answer = Box::pin(aside::run_future(work, ASK_TIME, asks)).await;
    answer.map_err(|_| Asked::Late)?.map_err(Asked::No)
}

/// The engines of this host, as they were looked for a moment ago: once, whoever asks at the same time.
async fn engines(host: &LinuxHost) -> Vec<Engine> {
    let mut known = host.inner.kept.container.engines.lock().await;
    if let Some((_, engines)) = known.as_ref().filter(|(at, _)| at.elapsed() < ENGINES_FOR) {
        return engines.clone();
    }
    let root = host.inner.options.root.clone();
    let work = Work::new(Kind::Look, "the sockets of container engines");
    // When that hangs, what was there is there.
    let found = aside::run(work, ASK_TIME, move || engines::all(&root)).await;
    let engines = found.unwrap_or_else(|_| known.take().map(|(_, engines)| engines).unwrap_or_default());
    *known = Some((Instant::now(), engines.clone()));
    engines
}

/// How it stands, with what others have to say of it.
async fn snapshot(host: &LinuxHost, found: &Found) -> ContainerSnapshot {
    let mut snapshot = read::snapshot(&found.value);
    snapshot.is_rootless = found.engine.user.is_some();
    match snapshot.state {
        ContainerState::Running => snapshot.shared = shared(found, &snapshot).await,
        ContainerState::Exited | ContainerState::Dead => {
            let run = (snapshot.started, snapshot.finished);
            snapshot.ended_by = host.inner.kept.container.listeners.ended_by(&found.engine, &found.run.id, run);
        }
        _ => {}
    }
    snapshot
}

/// What is wrong with the network that it shares; nothing where nobody says.
async fn shared(found: &Found, snapshot: &ContainerSnapshot) -> Option<Shared> {
    let owner = read::shares_with(&found.value)?;
    match inspect(&found.engine, owner).await {
        Err(Asked::No(Trouble::Missing)) => {
            Some(Shared::OwnerGone(Text::new(owner.chars().take(12).collect::<String>())))
        }
        Ok(value) => {
            let is_up = read::text(&value, "/State/Status") == "running";
            let started = read::moment(read::text(&value, "/State/StartedAt"))?;
            let name = read::name(&value).unwrap_or(owner);
            (is_up && started > snapshot.started?).then(|| Shared::OwnerYounger(name.into()))
        }
        Err(_) => None,
    }
}

/// The containers that there are. An engine that does not answer has those that it had.
pub(super) async fn found(host: &LinuxHost, inventory: &mut Inventory) {
    let inner = &host.inner;
    let seen = &inner.kept.container;
    let engines = engines(host).await;
    // Those that come later are told of, also when there is none yet.
    seen.listeners.listen(&engines, &inner.tasks, inner.bus.as_ref(), &inner.wakes);
    let list = |engine| async move {
        match Engine::runs(engine, inner.bus.as_ref()).await {
            true => listed(host, engine).await,
            false => None,
        }
    };
    let within = |engine| async move { tokio::time::timeout(LIST_TIME, list(engine)).await.ok().flatten() };
    let all_listed = futures_util::future::join_all(engines.iter().map(within)).await;
    for (engine, listed) in engines.iter().zip(all_listed) {
        if let Some(mut listed) = listed {
            let mut facts = held(&seen.facts);
            // One that its unit makes anew is away for a moment.
            let is_awaited = |one: &&ContainerFacts| {
                seen.of(&one.name).is_being_restarted && !listed.iter().any(|other| other.name == one.name)
            };
            let awaited: Vec<_> = facts.get(engine).into_iter().flatten().filter(is_awaited).cloned().collect();
            listed.extend(awaited);
            facts.insert(engine.clone(), listed);
        }
    }
    let mut names: Vec<Text> = engines.iter().map(|engine| engine.name().into()).collect();
    names.dedup();
    inventory.engines = names;
    let facts = held(&seen.facts);
    let mut all = BTreeMap::new();
    for one in engines.iter().filter_map(|engine| facts.get(engine)).flatten() {
        if all.len() < Inventory::CONTAINERS_MAX {
            all.entry(one.name.clone()).or_insert_with(|| one.clone());
        }
    }
    inventory.containers = all.into_values().collect();
}

/// What an engine has; nothing when it does not say.
async fn listed(host: &LinuxHost, engine: &Engine) -> Option<Vec<ContainerFacts>> {
    let seen = &host.inner.kept.container;
    let answer = get(engine, "/containers/json?all=true".into(), api::ALL_MAX).await.ok()?;
    let list = answer.json().ok()?;
    let list = list.as_array()?;
    let entry = |value| Some(Entry { name: read::name(value)?, id: read::text(value, "/Id"), value });
    let entries: Vec<Entry<'_>> = list.iter().filter_map(entry).take(Inventory::CONTAINERS_MAX).collect();
    // Each question about one that hangs stays with its engine, so it is asked no more often here than by looks.
    let hangs = |entry: &Entry<'_>| seen.of(entry.name).is_left_alone(Instant::now()).is_some();
    let is_new = |entry: &&Entry<'_>| !held(&seen.fixed).contains_key(entry.id) && !hangs(entry);
    let new: Vec<_> = entries.iter().filter(is_new).map(|entry| (entry.id.to_owned(), entry.name.to_owned())).collect();
    let is_podman = answer.is_podman;
    {
        let mut fixed = held(&seen.fixed);
        if fixed.len() > Inventory::CONTAINERS_MAX * 2 {
            fixed.clear();
        }
    }
    // What is known of one is kept at once: who lists them may not wait for all.
    let asked = new.into_iter().map(|(id, name)| async move {
        if let Ok(Some(facts)) = tokio::time::timeout(FIXED_TIME, fixed(engine, is_podman, &id, &name)).await {
            held(&seen.fixed).insert(id, facts);
        }
    });
    futures_util::stream::iter(asked).buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;
    let fixed = held(&seen.fixed);
    let by_id = |id: &str| entries.iter().find(|entry| entry.id.starts_with(id)).map(|entry| entry.name);
    let facts = entries.iter().map(|entry| {
        let known = fixed.get(entry.id).cloned();
        let owner = || read::owner(entry.value, own());
        let known = known.unwrap_or_else(|| ContainerFacts {
            name: String::new(),
            image: read::line(read::text(entry.value, "/Image")),
            owner: owner(),
            needs: Vec::new(),
            settles_within: None,
        });
        let project = read::place_in_composition(entry.value).map(|(project, _)| project);
        let is_of = |other: &Entry<'_>, member: &str| {
            read::place_in_composition(other.value) == project.map(|project| (project, member))
        };
        let members = read::depends_on(entry.value).into_iter();
        let composed = members.flat_map(|member| entries.iter().filter(move |other| is_of(other, member)));
        let mut needs: Vec<String> = composed.map(|other| other.name.to_owned()).collect();
        needs.extend(read::shares_with(entry.value).and_then(by_id).map(str::to_owned));
        needs.retain(|need| need != entry.name);
        needs.sort();
        needs.dedup();
        ContainerFacts { name: entry.name.to_owned(), needs, ..known }
    });
    Some(facts.collect())
}

/// A container in an engine's list.
struct Entry<'a> {
    name: &'a str,
    id: &'a str,
    value: &'a Value,
}

/// What never changes of a container; nothing when nobody says.
async fn fixed(engine: &Engine, is_podman: bool, id: &str, name: &str) -> Option<ContainerFacts> {
    if !read::is_id(id) {
        return None;
    }
    let value = inspect(engine, id).await.ok()?;
    // Only Podman's own answer says whether it acts itself.
    let own_form = if is_podman { libpod(engine, id).await } else { None };
    let acts = own_form.map(|own_form| read::owner(&own_form, own())).filter(|owner| matches!(owner, Owner::Other(_)));
    Some(ContainerFacts {
        name: name.to_owned(),
        image: read::line(read::text(&value, "/Config/Image")),
        owner: acts.unwrap_or_else(|| read::owner(&value, own())),
        needs: Vec::new(),
        settles_within: read::settles_within(&value),
    })
}

/// Podman's own answer about one.
async fn libpod(engine: &Engine, id: &str) -> Option<Value> {
    get(engine, format!("/v4.0.0/libpod/containers/{id}/json"), api::ONE_MAX).await.ok()?.json().ok()
}

/// The id of the container that this process runs in, as its mounts tell; nothing when it runs in none.
fn own() -> Option<&'static str> {
    static OWN: OnceLock<Option<String>> = OnceLock::new();
    let found = || {
        let mounts = ansai_files::text(Path::new("/proc/self/mountinfo"), 1 << 20).ok()?;
        own_in(&mounts).map(str::to_owned)
    };
    OWN.get_or_init(found).as_deref()
}

/// What an engine mounts into each of its containers lies in a folder of the container's id.
fn own_in(mounts: &str) -> Option<&str> {
    let is_given =
        |line: &&str| [" /etc/hostname ", " /etc/hosts ", " /etc/resolv.conf "].iter().any(|path| line.contains(path));
    let is_full_id = |part: &&str| part.len() == 64 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    mounts.lines().filter(is_given).find_map(|line| line.split(['/', ' ']).find(is_full_id))
}

#[cfg(test)]
mod tests;
