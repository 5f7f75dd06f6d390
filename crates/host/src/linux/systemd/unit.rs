//! One look at one unit: a handful of properties asked for at once, and what they mean in the words of the model.

use std::{path::Path, time::Duration};

use ansai_model::{
    domain::service::{
        ActiveState, Exit, HostActivity, Job, LoadState, UnitExpectation, UnitResult, UnitSnapshot, judge,
    },
    id::UnitName,
    observation::Observation,
    text::Text,
    time::WallTime,
};
use zbus::{OwnedObjectPath, OwnedVariant, message::Message};

use super::bus::{Bus, CallError, MANAGER, MANAGER_PATH, UNIT};

pub(super) const SERVICE: &str = "org.freedesktop.systemd1.Service";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

/// The object path of a unit: every byte that is no letter or digit, and a leading digit, becomes `_xx`.
#[must_use]
pub fn object_path(unit: &UnitName) -> String {
    let mut path = String::from("/org/freedesktop/systemd1/unit/");
    for (index, byte) in unit.as_str().bytes().enumerate() {
        let is_plain = byte.is_ascii_alphabetic() || (byte.is_ascii_digit() && index > 0);
        if is_plain {
            path.push(char::from(byte));
        } else {
            path.push_str(&format!("_{byte:02x}"));
        }
    }
    path
}

/// systemd's word for a state, in the model's.
#[must_use]
pub fn active_state(word: &str) -> ActiveState {
    match word {
        "active" => ActiveState::Active,
        "reloading" | "refreshing" => ActiveState::Reloading,
        "inactive" => ActiveState::Inactive,
        "failed" => ActiveState::Failed,
        "activating" => ActiveState::Activating,
        "deactivating" => ActiveState::Deactivating,
        _ => ActiveState::Other,
    }
}

fn load_state(word: &str) -> LoadState {
    match word {
        "loaded" => LoadState::Loaded,
        "not-found" => LoadState::NotFound,
        "bad-setting" => LoadState::BadSetting,
        "error" => LoadState::Error,
        "masked" => LoadState::Masked,
        _ => LoadState::Other,
    }
}

fn unit_result(word: &str) -> UnitResult {
    match word {
        "success" => UnitResult::Success,
        "exit-code" => UnitResult::ExitCode,
        "signal" => UnitResult::Signal,
        "core-dump" => UnitResult::CoreDump,
        "watchdog" => UnitResult::Watchdog,
        "start-limit-hit" => UnitResult::StartLimitHit,
        "oom-kill" => UnitResult::OomKill,
        "timeout" => UnitResult::Timeout,
        "resources" => UnitResult::Resources,
        "protocol" => UnitResult::Protocol,
        _ => UnitResult::Other,
    }
}

/// Looks at a unit and judges what was seen.
pub async fn observe(
    bus: &Bus,
    root: &Path,
    unit: &UnitName,
    expect: UnitExpectation,
    timeout: Duration,
) -> Observation {
    match tokio::time::timeout(timeout, snapshot(bus, root, unit)).await {
        Ok(Ok(snapshot)) => judge(expect, snapshot),
        Ok(Err(error)) => Observation::unknown(error.to_string()),
        Err(_) => Observation::unknown("systemd did not answer in time"),
    }
}

/// The value of a property.
pub(super) async fn property(
    bus: &Bus,
    unit: &UnitName,
    interface: &str,
    name: &str,
) -> Result<OwnedVariant, CallError> {
    value(bus.call(&object_path(unit), PROPERTIES, "Get", &(interface, name)).await?)
}

/// Whether a unit is neither inactive nor failed.
///
/// # Errors
/// When systemd does not say.
pub async fn is_up(bus: &Bus, unit: &UnitName) -> Result<bool, CallError> {
    let active = active_state(&text(property(bus, unit, UNIT, "ActiveState").await)?);
    Ok(!matches!(active, ActiveState::Inactive | ActiveState::Failed))
}

/// The processes in the unit's cgroup.
pub(super) async fn processes(bus: &Bus, unit: &UnitName) -> Result<Vec<u32>, CallError> {
    let reply = bus.call(MANAGER_PATH, MANAGER, "GetUnitProcesses", &(unit.as_str(),)).await?;
    let found: Vec<(String, u32, String)> =
        reply.body().deserialize().map_err(|error| CallError::Gone(error.to_string()))?;
    Ok(found.into_iter().map(|(_, pid, _)| pid).collect())
}

fn value(message: Message) -> Result<OwnedVariant, CallError> {
    message.body().deserialize::<OwnedVariant>().map_err(|error| CallError::Gone(error.to_string()))
}

fn text(value: Result<OwnedVariant, CallError>) -> Result<String, CallError> {
    value.map(|value| value.downcast_ref::<&str>().map(str::to_owned).unwrap_or_default())
}

/// Everything that one look tells of a unit.
///
/// # Errors
/// When systemd does not say.
pub(super) async fn snapshot(bus: &Bus, root: &Path, unit: &UnitName) -> Result<UnitSnapshot, CallError> {
    let get = |name| property(bus, unit, UNIT, name);
    let service = |name| property(bus, unit, SERVICE, name);
    // systemd forgets how an inactive unit ended as soon as nobody refers to it.
    let refer = async {
        if bus.with_tracker(|tracker| tracker.refer(unit)) {
            // Without the reference the look is poorer, and still a look.
            let _ = bus.call(MANAGER_PATH, MANAGER, "RefUnit", &(unit.as_str(),)).await;
        }
    };
    // All at once: they travel together and are answered in order.
    let ((), load, active, sub, job, since, invocation, result, pid, code, status, restarts) = tokio::join!(
        refer,
        get("LoadState"),
        get("ActiveState"),
        get("SubState"),
        get("Job"),
        get("StateChangeTimestamp"),
        get("InvocationID"),
        service("Result"),
        service("MainPID"),
        service("ExecMainCode"),
        service("ExecMainStatus"),
        service("NRestarts"),
    );
    let active = active_state(&text(active)?);
    // Units of other types have no service properties: what is missing keeps its default.
    let number = |value: Result<OwnedVariant, CallError>| value.ok().and_then(|value| value.downcast_ref::<u32>().ok());
    let signed = |value: Result<OwnedVariant, CallError>| value.ok().and_then(|value| value.downcast_ref::<i32>().ok());
    bus.saw(unit, active);
    let is_down = matches!(active, ActiveState::Inactive | ActiveState::Failed);
    Ok(UnitSnapshot {
        load: load_state(&text(load)?),
        active,
        sub: Text::new(text(sub)?),
        result: text(result).map_or(UnitResult::Success, |word| unit_result(&word)),
        exit: exit(signed(code), signed(status)),
        main_pid: number(pid).filter(|pid| *pid != 0),
        restarts: number(restarts).unwrap_or(0),
        invocation: invocation.ok().and_then(invocation_id),
        since: since.ok().and_then(|value| value.downcast_ref::<u64>().ok()).and_then(wall_time),
        intent: bus.with_tracker(|tracker| tracker.intent(unit)),
        job: if is_down { pending_job(bus, job?).await } else { None },
        activity: if is_down { activity(bus, root).await } else { HostActivity::Normal },
    })
}

/// After siginfo's `si_code`: 1 exited, 2 killed, 3 dumped.
fn exit(code: Option<i32>, status: Option<i32>) -> Option<Exit> {
    match (code?, status?) {
        (1, status) => Some(Exit::Code(status)),
        (2, signal) => Some(Exit::Signal(signal)),
        (3, signal) => Some(Exit::Dumped(signal)),
        _ => None,
    }
}

fn invocation_id(value: OwnedVariant) -> Option<Text> {
    let bytes: Vec<u8> = value.try_into().ok()?;
    let hex: String = bytes.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    (!hex.is_empty()).then(|| Text::new(hex))
}

fn wall_time(micros: u64) -> Option<WallTime> {
    (micros > 0).then(|| WallTime(i64::try_from(micros / 1000).unwrap_or(i64::MAX)))
}

async fn pending_job(bus: &Bus, value: OwnedVariant) -> Option<Job> {
    let (id, path): (u32, OwnedObjectPath) = value.try_into().ok()?;
    if id == 0 {
        return None;
    }
    let job = bus.call(path.as_str(), PROPERTIES, "Get", &("org.freedesktop.systemd1.Job", "JobType")).await;
    match job.and_then(value_text) {
        Ok(word) => Some(match word.as_str() {
            "start" | "verify-active" => Job::Start,
            "stop" => Job::Stop,
            "restart" | "try-restart" => Job::Restart,
            _ => Job::Other,
        }),
        // It ended while it was asked for: its end has been hinted at.
        Err(_) => Some(Job::Other),
    }
}

fn value_text(message: Message) -> Result<String, CallError> {
    text(value(message))
}

/// What the host is busy with; asked only when a unit is down.
async fn activity(bus: &Bus, root: &Path) -> HostActivity {
    if super::super::packages::is_changing(root) {
        return HostActivity::ChangingPackages;
    }
    let state = bus.call(MANAGER_PATH, PROPERTIES, "Get", &(MANAGER, "SystemState")).await;
    match state.and_then(value_text) {
        Ok(word) if word == "stopping" => HostActivity::ShuttingDown,
        Ok(_) => HostActivity::Normal,
        Err(_) => HostActivity::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn object_paths_are_escaped_as_systemd_does() {
        let path = |name: &str| object_path(&UnitName::new(name).expect("valid"));
        assert_eq!(path("nginx.service"), "/org/freedesktop/systemd1/unit/nginx_2eservice");
        assert_eq!(path("1-a@b.service"), "/org/freedesktop/systemd1/unit/_31_2da_40b_2eservice");
    }

    #[test]
    fn exits_are_told_apart() {
        assert_eq!(exit(Some(2), Some(9)), Some(Exit::Signal(9)));
        assert_eq!(exit(Some(1), Some(0)), Some(Exit::Code(0)));
        assert_eq!(exit(Some(0), Some(0)), None);
    }
}
