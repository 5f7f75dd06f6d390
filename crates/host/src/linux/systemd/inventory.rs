//! Which services there are, in few calls.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use ansai_model::{
    id::UnitName,
    inventory::{Inventory, UnitFacts},
    text::Text,
};
use futures_util::{StreamExt, stream};

use crate::linux::aside::{self, Kind, Work};

use super::{
    bus::{
        Bus, CallError, UNIT,
        crowd::{Listed, ServiceKind},
    },
    told::triggers,
    unit::{SERVICE, active_state, property},
};

/// Most units that are asked about at once.
const UNITS_AT_ONCE: usize = 32;
/// Longest wait for the folders of unit files.
const FOLDERS_TIME: Duration = Duration::from_secs(1);

/// Every loaded service unit and every enabled one, sorted by name; of those that are not of interest only what the
/// list of units says.
///
/// # Errors
/// When systemd does not answer.
pub async fn inventory(
    bus: &Bus,
    unit_folders: &[PathBuf],
    is_of_interest: impl Fn(&UnitName) -> bool,
) -> Result<Vec<UnitFacts>, CallError> {
    let gone = |error: zbus::Error| CallError::Gone(error.to_string());
    let mut found: BTreeMap<UnitName, UnitFacts> = BTreeMap::new();
    {
        let reply = bus.list().await?;
        let body = reply.body();
        let listed: Vec<Listed<'_>> = body.deserialize().map_err(gone)?;
        for (name, description, load, active, ..) in listed {
            // Units that others mention and that nobody installed are listed as well.
            if load != "not-found"
                && let Some(unit) = daemon(name)
            {
                found.insert(unit.clone(), as_listed(unit, description, active));
            }
        }
    }
    let folders = unit_folders.to_vec();
    let work = Work::new(Kind::Gather, "the folders of units").on(&folders);
    // Units that only a folder knows are found by the next look at it.
    for unit in aside::run(work, FOLDERS_TIME, move || enabled(&folders)).await.unwrap_or_default() {
        found.entry(unit.clone()).or_insert_with(|| as_listed(unit, "", "inactive"));
    }
    let units = found.into_values().take(Inventory::UNITS_MAX);
    // Many at once: systemd answers as fast as it is asked, and a start of the agent waits for this.
    let facts = stream::iter(units).map(|listed| {
        let bus = is_of_interest(&listed.name).then_some(bus);
        async move {
            match bus {
                Some(bus) => asked(bus, listed).await,
                None => listed,
            }
        }
    });
    Ok(facts.buffered(UNITS_AT_ONCE).collect().await)
}

/// The unit of this name, when it is of the kind that has processes of its own.
fn daemon(name: &str) -> Option<UnitName> {
    if name.ends_with(".service") { UnitName::new(name).ok() } else { None }
}

/// The services that some target wants, loaded or not.
///
/// systemd could list them, and would do nothing else for a fifth of a second; so their links are read.
fn enabled(folders: &[PathBuf]) -> BTreeSet<UnitName> {
    // What a distribution has enabled for every host is plumbing.
    let own = folders.iter().filter(|folder| !folder.to_string_lossy().contains("/usr/lib/systemd/"));
    let wants = own.flat_map(|folder| entries(folder)).filter(|path| {
        let kind = path.extension().unwrap_or_default();
        kind == "wants" || kind == "requires"
    });
    let links = wants.flat_map(|folder| entries(&folder));
    links.filter_map(|link| daemon(link.file_name()?.to_str()?)).take(Inventory::UNITS_MAX).collect()
}

fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    // A folder that is not there has no entries.
    let entries = fs::read_dir(folder).into_iter().flatten().take(Inventory::UNITS_MAX);
    entries.filter_map(|entry| Some(entry.ok()?.path()))
}

fn as_listed(name: UnitName, description: &str, active: &str) -> UnitFacts {
    UnitFacts { description: Text::new(description), ..UnitFacts::plain(name, active_state(active)) }
}

async fn asked(bus: &Bus, listed: UnitFacts) -> UnitFacts {
    let kind = match bus.kind(&listed.name) {
        Some(kind) => kind,
        None => ask(bus, &listed.name).await,
    };
    UnitFacts {
        is_oneshot: kind.is_oneshot,
        remains_after_exit: kind.remains_after_exit,
        is_socket_activated: kind.is_socket_activated,
        is_started_by_event: kind.is_started_by_event,
        ..listed
    }
}

async fn ask(bus: &Bus, name: &UnitName) -> ServiceKind {
    let (kind, triggered) =
        tokio::join!(property(bus, name, SERVICE, "Type"), property(bus, name, UNIT, "TriggeredBy"));
    let is_known = kind.is_ok() && triggered.is_ok();
    let is_oneshot = kind.is_ok_and(|value| value.downcast_ref::<&str>().is_ok_and(|kind| kind == "oneshot"));
    // What remains of it matters of a one-shot alone, and most are none: a start waits for each answer.
    let remains = match is_oneshot {
        true => property(bus, name, SERVICE, "RemainAfterExit").await.map(|value| value.downcast_ref::<bool>().ok()),
        false => Ok(None),
    };
    let is_whole = is_known && remains.is_ok();
    // As looks read it, so that both say the same.
    let triggers = triggered.map(|value| triggers(&value)).unwrap_or_default();
    let found = ServiceKind {
        is_oneshot,
        remains_after_exit: remains.ok().flatten().unwrap_or(false),
        ..ServiceKind::default()
    }
    .started_by(&triggers);
    if is_whole {
        bus.learn(name, found);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enabled_services_are_read_from_the_links_of_targets() {
        let root = tempfile::tempdir().expect("a folder");
        let wants = root.path().join("multi-user.target.wants");
        fs::create_dir_all(&wants).expect("made");
        for name in ["db@main.service", "web.service", "clean.timer", "not a name.service"] {
            std::os::unix::fs::symlink("/nowhere", wants.join(name)).expect("linked");
        }
        fs::write(root.path().join("loose.service"), "").expect("written");
        let found: Vec<String> = enabled(&[root.path().to_owned()]).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["db@main.service", "web.service"]);
        assert!(enabled(&["/no/such/root".into()]).is_empty());
    }
}
