//! One look at one unit: a handful of properties asked for at once, and what they mean in the words of the model.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use ansai_model::{
    id::UnitName,
    observation::{Health, Observation},
    text::Text,
    unit::{ActiveState, HostActivity, Job, LoadState, UnitExpectation, UnitResult, UnitSnapshot, judge},
};
use futures_util::future::join_all;
use zbus::{OwnedVariant, Variant, message::Message};

use super::{
    bus::{Bus, CallError, MANAGER, MANAGER_PATH, PROPERTIES, UNIT},
    others::{self, failed_trigger, stopped_with},
    stalled::{self, Stalled},
    told::Properties,
};
use crate::linux::{clock::wall_now, owned_path::number, packages};

pub(super) const SERVICE: &str = "org.freedesktop.systemd1.Service";
/// What is of interest whatever the unit's state.
const ALWAYS: &[&str] = &["MainPID", "NRestarts", "Restart"];
/// The same at the first look at a unit that is up: whether systemd restarts it by itself is asked later.
const FIRST: &[&str] = &["MainPID", "NRestarts"];
/// How the last run ended: systemd clears it when the next one begins. And whether it was to end: a one-shot is never active.
const ENDED: &[&str] = &[
    "Result",
    "ExecMainCode",
    "ExecMainStatus",
    "ExecMainPID",
    "ExecMainStartTimestamp",
    "ExecMainExitTimestamp",
    "Type",
    "RemainAfterExit",
    "Restart",
];

/// The object path of a unit: every byte that is no letter or digit, and a leading digit, becomes `_xx`.
#[must_use]
pub fn object_path(unit: &UnitName) -> String {
    object_path_of(unit.as_str())
}

/// Beneath it units are.
const UNITS: &str = "/org/freedesktop/systemd1/unit/";

pub(super) fn object_path_of(unit: &str) -> String {
    let mut path = String::from(UNITS);
    for (index, byte) in unit.bytes().enumerate() {
        let is_plain = byte.is_ascii_alphabetic() || (byte.is_ascii_digit() && index > 0);
        if is_plain {
            path.push(char::from(byte));
        } else {
            path.push_str(&format!("_{byte:02x}"));
        }
    }
    path
}

/// The name of the unit that has this object path.
pub(super) fn unit_at(path: &str) -> Option<String> {
    let mut parts = path.strip_prefix(UNITS)?.split('_');
    let mut name = parts.next()?.to_owned();
    for part in parts {
        let byte = u8::from_str_radix(part.get(..2)?, 16).ok()?;
        name.push(char::from(byte));
        name.push_str(&part[2..]);
    }
    Some(name)
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

pub(super) fn load_state(word: &str) -> LoadState {
    match word {
        "loaded" => LoadState::Loaded,
        "not-found" => LoadState::NotFound,
        "bad-setting" => LoadState::BadSetting,
        "error" => LoadState::Error,
        "masked" => LoadState::Masked,
        _ => LoadState::Other,
    }
}

pub(super) fn unit_result(word: &str) -> UnitResult {
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

/// Observes at a unit and judges what was seen.
pub async fn observe(
    bus: &Bus,
    root: &Path,
    unit: &UnitName,
    expect: UnitExpectation,
    timeout: Duration,
) -> Observation {
    let look = async {
        let mut snapshot = snapshot(bus, root, unit).await?;
        let stalled = stalled::look(bus, root, unit, &snapshot).await;
        match &stalled {
            Some(Stalled::InPart) => snapshot.is_main_stopped = true,
            Some(Stalled::Whole { lasts, .. } | Stalled::InDoubt(lasts)) => snapshot.still_for = Some(*lasts),
            None => {}
        }
        Ok::<_, CallError>((stalled, judge(expect, snapshot)))
    };
    match tokio::time::timeout(timeout, look).await {
        Ok(Ok((Some(Stalled::Whole { seen: hangs, .. }), seen))) if seen.health() == Health::Healthy => {
            hangs.with_details(seen.details().clone())
        }
        Ok(Ok((_, seen))) => seen,
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
    Ok(!matches!(state(bus, unit).await?, ActiveState::Inactive | ActiveState::Failed))
}

/// Whether a file of the unit is another one than systemd has read; none when systemd does not say.
pub async fn needs_reload(bus: &Bus, unit: &UnitName) -> Option<bool> {
    property(bus, unit, UNIT, "NeedDaemonReload").await.ok()?.downcast_ref::<bool>().ok()
}

/// The state of a unit at this moment.
pub async fn state(bus: &Bus, unit: &UnitName) -> Result<ActiveState, CallError> {
    Ok(active_state(&text(property(bus, unit, UNIT, "ActiveState").await)?))
}

/// The user that a unit's processes run as, by its number; root when it names none.
pub async fn user_of(bus: &Bus, unit: &UnitName) -> Option<u32> {
    let name = text(property(bus, unit, SERVICE, "User").await);
    if let Ok(name) = name
        && !name.is_empty()
    {
        // A number is taken as such, and one that systemd made up for a while is known to it alone.
        return match name.parse().ok().or_else(|| number("/etc/passwd", &name)) {
            Some(uid) => Some(uid),
            None => property(bus, unit, SERVICE, "UID")
                .await
                .ok()?
                .downcast_ref::<u32>()
                .ok()
                .filter(|uid| *uid != u32::MAX),
        };
    }
    Some(0)
}

/// All names of a unit; none when systemd does not say.
pub async fn names_of(bus: &Bus, unit: &UnitName) -> Vec<String> {
    let names = property(bus, unit, UNIT, "Names").await.ok();
    names.and_then(|names| Vec::<String>::try_from(names).ok()).unwrap_or_default()
}

/// The processes in the unit's cgroup.
///
/// # Errors
/// When systemd does not say.
pub async fn processes(bus: &Bus, unit: &UnitName) -> Result<Vec<u32>, CallError> {
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
/// What a signal has just told is taken as it is, and so is what is known of a unit when a list of all has just said the
/// same; otherwise systemd is asked.
///
/// # Errors
/// When systemd does not say.
pub(super) async fn snapshot(bus: &Bus, root: &Path, unit: &UnitName) -> Result<UnitSnapshot, CallError> {
    let configured = unit;
    let (seen, is_asked) = known_or_asked(bus, &bus.own_name(configured)).await?;
    // The look may have found that the name is an alias.
    let unit = &bus.own_name(configured);
    let (intent, started_by) = bus.with_tracker(|tracker| (tracker.intent(unit), tracker.who_started(unit)));
    let active = seen.active.ok_or_else(|| CallError::Gone("it gave no state of the unit".into()))?;
    let is_down = matches!(active, ActiveState::Inactive | ActiveState::Failed);
    let (exit, ended) = (seen.exit(), seen.ended());
    let own_signal = exit.zip(ended.pid);
    let own_signal = own_signal.and_then(|(exit, pid)| bus.with_sent(|sent| sent.why_ended(unit, pid, exit, ended.at)));
    // All at once: whoever is down waits for the answers.
    let ((activity, busy), stopped_with, failed_trigger, needs_reload) = match is_down {
        true => tokio::join!(
            activity(bus, root, unit, &seen, is_asked),
            stopped_with(bus, unit, &seen, intent),
            failed_trigger(bus, &seen),
            async { needs_reload(bus, unit).await.unwrap_or_default() },
        ),
        false => ((HostActivity::Normal, None), None, None, false),
    };
    let is_job = seen.is_job();
    if let Some(pid) = seen.main_pid {
        bus.saw_process(root, unit, pid);
    }
    Ok(UnitSnapshot {
        load: seen.load.unwrap_or(LoadState::Other),
        active,
        sub: seen.sub.unwrap_or_else(|| "".into()),
        // Units of other types have no service properties.
        result: seen.result.unwrap_or(UnitResult::Success),
        exit,
        main_pid: seen.main_pid,
        ended_pid: ended.pid,
        ran_for: ended.ran_for,
        restarts: seen.restarts,
        invocation: seen.invocation,
        since: seen.since,
        started_by,
        intent,
        job: match seen.job.filter(|_| is_down) {
            Some(job) => Some(pending_job(bus, &job.1).await),
            None => None,
        },
        activity,
        left_active: seen.left_active,
        busy,
        limit: limit(bus, unit, active).await,
        stopped_with,
        failed_trigger,
        is_job,
        has_trigger: !seen.triggers.is_empty(),
        alias_of: (unit != configured).then(|| Text::new(unit.as_str())),
        // That is found out aside, see `observe`.
        is_main_stopped: false,
        still_for: None,
        ended_at: ended.at,
        own_signal,
        needs_reload,
        has_failed_to_reload: seen.has_failed_to_reload,
        // Nobody asks its validator for a look.
        invalid: None,
    })
}

/// Longest that systemd lets a unit be on its way; nothing when it is not, or has no limits of its own.
async fn limit(bus: &Bus, unit: &UnitName, active: ActiveState) -> Option<Duration> {
    let name = match active {
        ActiveState::Activating | ActiveState::Reloading => "TimeoutStartUSec",
        ActiveState::Deactivating => "TimeoutStopUSec",
        ActiveState::Active | ActiveState::Inactive | ActiveState::Failed | ActiveState::Other => return None,
    };
    let micros = property(bus, unit, SERVICE, name).await.ok()?.downcast_ref::<u64>().ok()?;
    // It says the largest number, or none, for `infinity`.
    Some(if micros == u64::MAX || micros == 0 { Duration::MAX } else { Duration::from_micros(micros) })
}

async fn known_or_asked(bus: &Bus, unit: &UnitName) -> Result<(Properties, Asked), CallError> {
    if let Some(seen) = bus.just_told(unit) {
        return Ok((seen, Asked::No));
    }
    if let Some(seen) = bus.listed(unit).await {
        return Ok((seen, Asked::No));
    }
    Ok((ask(bus, unit).await?, Asked::Yes))
}

/// Whether a look asks systemd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Yes,
    No,
}

/// Asks systemd for a unit's properties.
pub(super) async fn ask(bus: &Bus, unit: &UnitName) -> Result<Properties, CallError> {
    let is_first = bus.with_tracker(|tracker| tracker.refer(unit));
    let first = is_first.then(|| bus.first_look());
    let seen = asked(bus, unit, is_first).await;
    if let Some(first) = first {
        first.ends().await;
    }
    seen
}

async fn asked(bus: &Bus, unit: &UnitName, is_first: bool) -> Result<Properties, CallError> {
    let count = bus.told_count(unit);
    // All at once: they travel together and are answered in order. A unit's own properties are asked for together, which
    // takes systemd as long as two alone; those of a service are many and dear, so that only a few are asked for.
    let wanted = if is_first { FIRST } else { ALWAYS };
    let (of_unit, always) = tokio::join!(properties(bus, unit), each(bus, unit, wanted));
    let is_up = of_unit.as_ref().is_ok_and(|(seen, _)| seen.is_up());
    if is_first && is_up {
        // A start waits for nothing that only a unit's next fall needs.
        bus.ask_later(unit);
    } else if is_first || !is_up && bus.was_to_be_asked(unit) {
        // systemd forgets how an inactive unit ended, and drops it, as soon as nobody refers to it. Without the reference
        // the look is poorer, and still a look.
        let _ = bus.tell("RefUnit", unit).await;
    }
    let (mut seen, own) = of_unit?;
    if let Some(own) = own.filter(|own| own != unit) {
        // Everything that signals tell of it comes under its own name.
        bus.learn_name(unit, &own);
        return Box::pin(ask(bus, &own)).await;
    }
    bus.learn_triggers(unit, &seen.triggers);
    others::listen(bus, unit, &seen.bound_to).await;
    set(&mut seen, always)?;
    if !seen.is_up() {
        set(&mut seen, each(bus, unit, ENDED).await)?;
    }
    bus.looked(unit, &seen, count);
    let is_missing = seen.load == Some(LoadState::NotFound);
    bus.with_tracker(|tracker| tracker.found(unit, is_missing));
    Ok(seen)
}

/// The properties that every unit has, and its own name. Of a hundred only those of interest are kept while others are asked
/// for: at a start a thousand looks wait for their turn.
async fn properties(bus: &Bus, unit: &UnitName) -> Result<(Properties, Option<UnitName>), CallError> {
    let reply = bus.call(&object_path(unit), PROPERTIES, "GetAll", &UNIT).await?;
    let body = reply.body();
    let all: BTreeMap<&str, OwnedVariant> = body.deserialize().map_err(|error| CallError::Gone(error.to_string()))?;
    let mut seen = Properties::default();
    all.iter().for_each(|(name, value)| seen.set(name, value));
    let own = all.get("Id").and_then(|id| id.downcast_ref::<&str>().ok());
    Ok((seen, own.and_then(|own| UnitName::new(own).ok())))
}

type Answers = Vec<(&'static str, Result<OwnedVariant, CallError>)>;

/// Some properties of a service.
async fn each(bus: &Bus, unit: &UnitName, names: &'static [&'static str]) -> Answers {
    join_all(names.iter().map(|name| async move { (*name, property(bus, unit, SERVICE, name).await) })).await
}

fn set(seen: &mut Properties, answers: Answers) -> Result<(), CallError> {
    for (name, answer) in answers {
        match answer {
            Ok(value) => seen.set(name, &value),
            // Units of other types have no such properties: what is missing keeps its default.
            Err(CallError::Refused { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn pending_job(bus: &Bus, path: &str) -> Job {
    let job = bus.call(path, PROPERTIES, "Get", &("org.freedesktop.systemd1.Job", "JobType")).await;
    match job.and_then(value_text) {
        Ok(word) => match word.as_str() {
            "start" | "verify-active" => Job::Start,
            "stop" => Job::Stop,
            "restart" | "try-restart" => Job::Restart,
            _ => Job::Other,
        },
        // It ended while it was asked for: its end has been hinted at.
        Err(_) => Job::Other,
    }
}

fn value_text(message: Message) -> Result<String, CallError> {
    text(value(message))
}

/// What the host is busy with, and who keeps it so; of interest only when a unit is down.
async fn activity(
    bus: &Bus,
    root: &Path,
    unit: &UnitName,
    seen: &Properties,
    asked: Asked,
) -> (HostActivity, Option<Text>) {
    if let Some(operation) = packages::under_way_now(root).await {
        // What does not exist cannot be mended, and may be about to come back.
        let concerns = seen.load == Some(LoadState::NotFound)
            || operation.concerns(packages::changed_now(root, parts_of(bus, unit).await).await, wall_now());
        if concerns {
            return (HostActivity::ChangingPackages, Some(Text::new(operation.to_string())));
        }
    }
    (running_state(bus, asked).await, None)
}

/// The files that a package would change: the unit's own and its programs.
async fn parts_of(bus: &Bus, unit: &UnitName) -> Vec<PathBuf> {
    let (file, commands) =
        tokio::join!(property(bus, unit, UNIT, "FragmentPath"), property(bus, unit, SERVICE, "ExecStart"));
    let file = text(file).ok().filter(|path| !path.is_empty()).map(PathBuf::from);
    let program = |command: &Variant<'_>| match command {
        Variant::Structure(fields) => fields.fields().first()?.downcast_ref::<&str>().ok().map(PathBuf::from),
        _ => None,
    };
    let programs: Vec<PathBuf> = match commands.as_deref() {
        Ok(Variant::Array(commands)) => commands.inner().iter().filter_map(program).collect(),
        Ok(_) | Err(_) => Vec::new(),
    };
    file.into_iter().chain(programs).collect()
}

/// Whether the host is going down.
async fn running_state(bus: &Bus, asked: Asked) -> HostActivity {
    if asked == Asked::No
        && let Some(is_shutting_down) = bus.with_tracker(|tracker| tracker.is_shutting_down())
    {
        return if is_shutting_down { HostActivity::ShuttingDown } else { HostActivity::Normal };
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
        for name in ["nginx.service", "1-a@b.service", "a_b\\x2dc.service", "_5f.service"] {
            assert_eq!(unit_at(&path(name)).as_deref(), Some(name));
        }
        for other in ["/org/freedesktop/systemd1/job/7", "/org/freedesktop/systemd1/unit/a_2", "/o", "", "_zz"] {
            assert_eq!(unit_at(other), None, "{other}");
        }
    }
}
