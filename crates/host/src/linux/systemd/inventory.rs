//! Which services there are, in few calls.

use std::collections::BTreeMap;

use ansai_model::{
    id::UnitName,
    inventory::{Inventory, UnitFacts},
    text::Text,
};
use futures_util::{StreamExt, stream};
use zbus::OwnedObjectPath;

use super::{
    bus::{Bus, CallError, MANAGER, MANAGER_PATH, UNIT},
    unit::{active_state, property},
};

/// Most units that are asked about at once.
const UNITS_AT_ONCE: usize = 32;

type Listed = (String, String, String, String, String, String, OwnedObjectPath, u32, String, OwnedObjectPath);

/// Every loaded service unit and every enabled one, sorted by name.
///
/// # Errors
/// When systemd does not answer.
pub async fn inventory(bus: &Bus) -> Result<Vec<UnitFacts>, CallError> {
    let gone = |error: zbus::Error| CallError::Gone(error.to_string());
    let reply = bus.call(MANAGER_PATH, MANAGER, "ListUnits", &()).await?;
    let listed: Vec<Listed> = reply.body().deserialize().map_err(gone)?;
    let reply = bus.call(MANAGER_PATH, MANAGER, "ListUnitFiles", &()).await?;
    let files: Vec<(String, String)> = reply.body().deserialize().map_err(gone)?;
    let mut found: BTreeMap<UnitName, (String, String)> = BTreeMap::new();
    for (name, description, _, active, ..) in listed {
        if let Some(unit) = service(&name) {
            found.insert(unit, (description, active));
        }
    }
    for (path, state) in files {
        let name = path.rsplit('/').next().unwrap_or_default();
        if state == "enabled"
            && !name.contains("@.")
            && let Some(unit) = service(name)
        {
            found.entry(unit).or_insert_with(|| (String::new(), "inactive".to_owned()));
        }
    }
    let units = found.into_iter().take(Inventory::UNITS_MAX);
    // Many at once: systemd answers as fast as it is asked, and a start of the agent waits for this.
    let units = stream::iter(units).map(|(name, (description, active))| facts(bus, name, description, active));
    Ok(units.buffered(UNITS_AT_ONCE).collect().await)
}

fn service(name: &str) -> Option<UnitName> {
    if name.ends_with(".service") { UnitName::new(name).ok() } else { None }
}

async fn facts(bus: &Bus, name: UnitName, description: String, active: String) -> UnitFacts {
    let service = "org.freedesktop.systemd1.Service";
    let (kind, remains, triggered, fragment) = tokio::join!(
        property(bus, &name, service, "Type"),
        property(bus, &name, service, "RemainAfterExit"),
        property(bus, &name, UNIT, "TriggeredBy"),
        property(bus, &name, UNIT, "FragmentPath"),
    );
    let triggers: Vec<String> = triggered.ok().and_then(|value| value.try_into().ok()).unwrap_or_default();
    let fragment = fragment.ok().and_then(|value| value.downcast_ref::<&str>().map(str::to_owned).ok());
    UnitFacts {
        active: active_state(&active),
        description: Text::new(description),
        is_oneshot: kind.is_ok_and(|value| value.downcast_ref::<&str>().is_ok_and(|kind| kind == "oneshot")),
        remains_after_exit: remains.is_ok_and(|value| value.downcast_ref::<bool>().unwrap_or(false)),
        is_socket_activated: triggers.iter().any(|trigger| trigger.ends_with(".socket")),
        is_started_by_timer: triggers.iter().any(|trigger| trigger.ends_with(".timer")),
        fragment: fragment.filter(|path| !path.is_empty()),
        name,
    }
}
