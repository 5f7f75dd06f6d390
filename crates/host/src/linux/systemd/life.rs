//! What else systemd knows of a unit that runs: which run it is, what it was started with, where its processes are, and a limit to
//! set on it.

use std::time::Duration;

use ansai_model::{id::UnitName, unit::ActiveState};
use zbus::Variant;

use super::{
    bus::{Bus, CallError, MANAGER, MANAGER_PATH},
    others::{ENTERED, moment},
    told::Properties,
    unit::{SERVICE, ask, property, state},
};

/// Which run of the unit this is; `None` when it does not run. What signals have kept current is not asked for again.
///
/// # Errors
/// When systemd does not say.
pub async fn invocation(bus: &Bus, unit: &UnitName) -> Result<Option<String>, CallError> {
    let unit = &bus.own_name(unit);
    let seen: Properties = match bus.known(unit) {
        Some(seen) => seen,
        None => ask(bus, unit).await?,
    };
    let runs = matches!(seen.active, Some(ActiveState::Active | ActiveState::Reloading));
    Ok(runs.then(|| seen.invocation.map(|invocation| invocation.as_str().to_owned()).unwrap_or_default()))
}

/// How long the unit has been up, by a clock that nobody sets; `None` when it is not up.
///
/// # Errors
/// When systemd does not say.
pub async fn up_for(bus: &Bus, unit: &UnitName) -> Result<Option<Duration>, CallError> {
    if !state(bus, unit).await?.is_up() {
        return Ok(None);
    }
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let now = u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0) / 1_000;
    Ok(moment(bus, unit, ENTERED).await.map(|since| Duration::from_micros(now.saturating_sub(since))))
}

/// The unit's control group, from the root of the hierarchy on; empty when it has none.
///
/// # Errors
/// When systemd does not say.
pub async fn control_group(bus: &Bus, unit: &UnitName) -> Result<String, CallError> {
    let value = property(bus, unit, SERVICE, "ControlGroup").await?;
    Ok(value.downcast_ref::<&str>().map(str::to_owned).unwrap_or_default())
}

/// A figure of a service that systemd has; it says the largest number when it has none.
pub async fn figure(bus: &Bus, unit: &UnitName, name: &str) -> Option<u64> {
    let value = property(bus, unit, SERVICE, name).await.ok()?;
    value.downcast_ref::<u64>().ok().filter(|value| *value != u64::MAX)
}

/// Sets a property that is a size until the next boot.
///
/// # Errors
/// When systemd refuses, or does not answer.
pub async fn set_until_boot(bus: &Bus, unit: &UnitName, property: &str, bytes: u64) -> Result<(), CallError> {
    let properties = vec![(property, Variant::from(bytes))];
    let is_runtime = true;
    bus.call(MANAGER_PATH, MANAGER, "SetUnitProperties", &(unit.as_str(), is_runtime, properties)).await.map(drop)
}

/// Whether a command that starts a unit has this word, alone or behind `--option=`.
///
/// # Errors
/// When systemd does not say.
pub async fn is_started_with(bus: &Bus, unit: &UnitName, word: &str) -> Result<bool, CallError> {
    let commands = property(bus, unit, SERVICE, "ExecStart").await?;
    let is_it = |argument: &str| argument == word || argument.rsplit_once('=').is_some_and(|(_, value)| value == word);
    let has = |command: &Variant<'_>| match command {
        Variant::Structure(fields) => match fields.fields().get(1) {
            Some(Variant::Array(arguments)) => {
                arguments.inner().iter().filter_map(|one| one.downcast_ref::<&str>().ok()).any(is_it)
            }
            _ => false,
        },
        _ => false,
    };
    Ok(match &*commands {
        Variant::Array(commands) => commands.inner().iter().any(has),
        _ => false,
    })
}
