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

/// Whether `program` starts the unit with this word, alone or behind `--option=`.
///
/// # Errors
/// When systemd does not say.
pub async fn is_started_with(bus: &Bus, unit: &UnitName, program: &str, word: &str) -> Result<bool, CallError> {
    let commands = property(bus, unit, SERVICE, "ExecStart").await?;
    let Variant::Array(commands) = &*commands else { return Ok(false) };
    Ok(commands.inner().iter().any(|command| starts(command, program, word)))
}

/// A command stands with its program first and all its words next.
fn starts(command: &Variant<'_>, program: &str, word: &str) -> bool {
    let Variant::Structure(fields) = command else { return false };
    let [path, Variant::Array(words), ..] = fields.fields() else { return false };
    let is_program = path.downcast_ref::<&str>().is_ok_and(|path| path.rsplit('/').next() == Some(program));
    let is_it = |said: &str| said == word || said.rsplit_once('=').is_some_and(|(_, value)| value == word);
    is_program && words.inner().iter().filter_map(|said| said.downcast_ref::<&str>().ok()).any(is_it)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_starts_a_container_where_podman_is_told_its_name() {
        let starts = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            super::starts(&Variant::from((words[0].clone(), words, false)), "podman", "web")
        };
        assert!(starts(&["/usr/bin/podman", "run", "--name=web", "image"]));
        assert!(starts(&["/usr/bin/podman", "start", "web"]));
        for other in
            [&["/usr/bin/podman", "run", "--name=web2", "image"][..], &["/usr/sbin/nginx", "web"], &["/usr/bin/podman"]]
        {
            assert!(!starts(other), "{other:?}");
        }
        assert!(!super::starts(&Variant::from("no command"), "podman", "web"));
    }
}
