//! Runs a command as a unit would be started: as its user, with its environment, its namespaces and its directories.
//!
//! systemd starts it as a unit of its own that ends with it, with what it says of the other one. What a start would make is
//! made first and stays, since the other unit may run in it; what is there is left as it is. It deliberately does not say
//! what the command's end means, and never starts the unit itself.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use ansai_model::{id::UnitName, probe::CommandLine};
use tokio::net::unix::pipe;
use zbus::{Fd, OwnedVariant, Variant};

use super::{
    bus::{Bus, CallError, MANAGER, MANAGER_PATH, PROPERTIES, UNIT},
    unit::{SERVICE, object_path, property},
};
use crate::linux::command::{self, Ended, FOLDERS, Finished};

/// What is taken over as it is said: who, where, and what of the host is seen.
const TAKEN_OVER: &[&str] = &[
    "User",
    "Group",
    "SupplementaryGroups",
    "Environment",
    "EnvironmentFiles",
    "PassEnvironment",
    "UnsetEnvironment",
    "UMask",
    "WorkingDirectory",
    "RootDirectory",
    "PrivateTmp",
    "PrivateDevices",
    "ProtectSystem",
    "ProtectHome",
    "ReadWritePaths",
    "ReadOnlyPaths",
    "InaccessiblePaths",
    "BindPaths",
    "BindReadOnlyPaths",
    "TemporaryFileSystem",
    "NetworkNamespacePath",
    "AmbientCapabilities",
    "CapabilityBoundingSet",
    "NoNewPrivileges",
    "LimitNOFILE",
    "ExecSearchPath",
    "SetCredential",
    "SetCredentialEncrypted",
    "LoadCredential",
    "LoadCredentialEncrypted",
    "ImportCredential",
];
/// What a unit of its own cannot be given, or that would change what the other one keeps: its commands are run as ever.
const NOT_TO_BE_COPIED: &[&str] = &["DynamicUser", "RootImage"];
/// Directories that a start makes, their modes, and what they lie below.
const DIRECTORIES: &[(&str, &str, &str)] = &[
    ("RuntimeDirectory", "RuntimeDirectoryMode", "run"),
    ("StateDirectory", "StateDirectoryMode", "var/lib"),
    ("CacheDirectory", "CacheDirectoryMode", "var/cache"),
    ("LogsDirectory", "LogsDirectoryMode", "var/log"),
];
/// From here on, and up to the second, an exit code is systemd's own word that a process could not be set up.
const SETUP_CODES: std::ops::RangeInclusive<i32> = 200..=250;
/// How long systemd waits for a command that was told to end.
const STOP_USEC: u64 = 2_000_000;
/// What systemd itself says of the unit's start and end is for nobody: only warnings are kept.
const LOG_LEVEL_MAX: i32 = 4;
/// How much longer than the command's own time its job is waited for.
const MARGIN: Duration = Duration::from_secs(4);

/// Numbers the units that this process has started.
static STARTED: AtomicU64 = AtomicU64::new(0);

/// What systemd says of a service, by name.
type Said = BTreeMap<String, OwnedVariant>;

/// A property for systemd.
type Property<'a> = (&'static str, Variant<'a>);

/// Runs a command as a unit would be started.
///
/// # Errors
/// Why it could not be run so: the unit is not loaded, or cannot be copied, or systemd refuses or cannot set it up.
pub async fn run(
    bus: &Bus,
    root: &Path,
    unit: &UnitName,
    command: &CommandLine,
    within: Duration,
) -> Result<Finished, String> {
    let said = said_of(bus, unit).await.map_err(|error| error.to_string())?;
    if let Some(name) = NOT_TO_BE_COPIED.iter().find(|name| said.get(**name).is_some_and(is_set)) {
        return Err(format!("{unit} has {name}="));
    }
    let inside = match text(&said, "RootDirectory") {
        "" => root.to_owned(),
        inside => root.join(inside.trim_start_matches('/')),
    };
    let own_folders = if is_as(&said, command) { words(&said, "ExecSearchPath") } else { Vec::new() };
    let argv = argv(&inside, &own_folders, command).ok_or("there is no such program there")?;
    let (number, process) = (STARTED.fetch_add(1, Ordering::Relaxed), std::process::id());
    let name = UnitName::new(format!("ansai-asks-{process}-{number}.service")).map_err(|error| error.to_string())?;
    let piped = || -> std::io::Result<_> {
        let (writes, reads) = pipe::pipe()?;
        Ok((writes.into_blocking_fd()?, reads))
    };
    let ((out, reads_out), (err, reads_err)) =
        (piped().map_err(|error| error.to_string())?, piped().map_err(|error| error.to_string())?);
    let mut properties = properties(root, &said, command)?;
    properties.extend([
        ("Description", Variant::from(format!("ansai asks a question for {unit}"))),
        ("Type", Variant::from("oneshot")),
        ("ExecStart", Variant::from(vec![(argv[0].clone(), argv.clone(), false)])),
        ("StandardOutputFileDescriptor", Variant::from(Fd::from(out))),
        ("StandardErrorFileDescriptor", Variant::from(Fd::from(err))),
        ("TimeoutStartUSec", Variant::from(u64::try_from(within.as_micros()).unwrap_or(u64::MAX))),
        ("TimeoutStopUSec", Variant::from(STOP_USEC)),
        ("LogLevelMax", Variant::from(LOG_LEVEL_MAX)),
    ]);
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    let ended = {
        let talk = async {
            tokio::join!(command::read(Some(reads_out), &mut output), command::read(Some(reads_err), &mut errors))
        };
        let job = bus.run_transient(&name, properties, within.saturating_add(MARGIN));
        tokio::pin!(talk, job);
        // What it says is read while it runs: a full pipe would keep it from ending.
        let (result, is_said) = tokio::select! {
            result = &mut job => (result, false),
            _ = &mut talk => (job.await, true),
        };
        let ended = how_it_ended(bus, &name, result).await;
        // Children that keep the pipes open must not keep us.
        if !is_said {
            let _ = tokio::time::timeout(Duration::from_millis(200), &mut talk).await;
        }
        ended?
    };
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok(Finished { ended, output: text(output), errors: text(errors) })
}

/// How the job of the unit ended; a failed unit is kept by systemd until it has been asked, and forgotten here.
async fn how_it_ended(bus: &Bus, name: &UnitName, result: Result<String, CallError>) -> Result<Ended, String> {
    match result {
        Ok(result) if result == "done" => return Ok(Ended::Code(0)),
        Ok(_) => {}
        Err(CallError::Timeout) => {
            // It is told to end, and its end is not waited for.
            let _ = bus.call(MANAGER_PATH, MANAGER, "StopUnit", &(name.as_str(), "replace")).await;
            return Ok(Ended::TimedOut);
        }
        Err(error) => return Err(error.to_string()),
    }
    let (result, code, status) = tokio::join!(
        property(bus, name, SERVICE, "Result"),
        property(bus, name, SERVICE, "ExecMainCode"),
        property(bus, name, SERVICE, "ExecMainStatus")
    );
    // It may have been forgotten already, which is what is wanted.
    let _ = bus.call(MANAGER_PATH, MANAGER, "ResetFailedUnit", &(name.as_str(),)).await;
    let number = |value: Result<OwnedVariant, CallError>| value.ok()?.downcast_ref::<i32>().ok();
    if result.is_ok_and(|result| result.downcast_ref::<&str>().is_ok_and(|result| result == "timeout")) {
        return Ok(Ended::TimedOut);
    }
    match (number(code), number(status)) {
        (Some(libc::CLD_EXITED), Some(code)) if SETUP_CODES.contains(&code) => {
            Err(format!("systemd could not set up its surroundings (exit code {code})"))
        }
        (Some(libc::CLD_EXITED), Some(code)) => Ok(Ended::Code(code)),
        (Some(libc::CLD_KILLED | libc::CLD_DUMPED), Some(signal)) => Ok(Ended::Signal(signal)),
        _ => Err("systemd did not say how it ended".into()),
    }
}

/// What systemd says of a service that is loaded.
async fn said_of(bus: &Bus, unit: &UnitName) -> Result<Said, CallError> {
    let loaded = property(bus, unit, UNIT, "LoadState").await?;
    if !loaded.downcast_ref::<&str>().is_ok_and(|state| state == "loaded") {
        return Err(CallError::Gone(format!("{unit} is not loaded")));
    }
    let reply = bus.call(&object_path(unit), PROPERTIES, "GetAll", &SERVICE).await?;
    reply.body().deserialize().map_err(|error| CallError::Gone(error.to_string()))
}

/// What the unit of its own is given.
fn properties<'a>(root: &Path, said: &'a Said, command: &'a CommandLine) -> Result<Vec<Property<'a>>, String> {
    let mut given = Vec::new();
    for name in TAKEN_OVER {
        let Some(value) = said.get(*name).filter(|value| is_set(value)) else { continue };
        let value = match *name {
            // The command's own stand above the unit's.
            "User" | "Group" | "SupplementaryGroups" if command.user.is_some() => continue,
            "WorkingDirectory" if command.directory.is_some() => continue,
            // What is the unit's user's is for nobody else: neither its secrets nor, with more rights, its programs.
            name if name.contains("Credential") && !is_read_by(said, command) => continue,
            "ExecSearchPath" if !is_as(said, command) => continue,
            // It is told with another mark than it is taken with, where the directory may be missing.
            "WorkingDirectory" => match text(said, name).strip_prefix('!') {
                Some(path) => Variant::from(format!("-{path}")),
                None => Variant::from(text(said, name)),
            },
            "Environment" | "ReadWritePaths" => continue,
            _ => Variant::try_from(value).map_err(|error| error.to_string())?,
        };
        given.push((*name, value));
    }
    given.extend(command.user.iter().map(|user| ("User", Variant::from(user.as_str()))));
    given.extend(command.directory.iter().map(|path| ("WorkingDirectory", Variant::from(path.as_str()))));
    let mut environment = words(said, "Environment");
    environment.push("LC_ALL=C".into());
    environment.extend(command.environment.iter().map(|(name, value)| format!("{name}={value}")));
    given.push(("Environment", Variant::from(environment)));
    let mut writable = words(said, "ReadWritePaths");
    for (name, mode, below) in DIRECTORIES {
        let (there, missing): (Vec<_>, Vec<_>) =
            words(said, name).into_iter().partition(|path| root.join(below).join(path).exists());
        writable.extend(there.iter().map(|path| format!("-/{below}/{path}")));
        if missing.is_empty() {
            continue;
        }
        given.push((*name, Variant::from(missing)));
        given.extend(said.get(*mode).and_then(|value| Some((*mode, Variant::try_from(value).ok()?))));
        if *name == "RuntimeDirectory" {
            // It would go with the command, from under a unit that has been started meanwhile.
            given.push(("RuntimeDirectoryPreserve", Variant::from("yes")));
        }
    }
    if !writable.is_empty() {
        given.push(("ReadWritePaths", Variant::from(writable)));
    }
    Ok(given)
}

/// Whether a command runs as the unit's own user.
fn is_as(said: &Said, command: &CommandLine) -> bool {
    command.user.as_deref().is_none_or(|user| user == text(said, "User"))
}

/// Whether a command runs as who may read what the unit may.
fn is_read_by(said: &Said, command: &CommandLine) -> bool {
    is_as(said, command) || command.user.as_deref() == Some("root")
}

/// Whether a property says anything: what is empty, off or 0 is what a unit has by itself.
fn is_set(value: &OwnedVariant) -> bool {
    match &**value {
        Variant::Str(text) => !text.as_str().is_empty(),
        Variant::Array(array) => !array.is_empty(),
        Variant::Bool(is_on) => *is_on,
        Variant::U64(number) => *number != 0,
        _ => true,
    }
}

fn text<'a>(said: &'a Said, name: &str) -> &'a str {
    said.get(name).and_then(|value| value.downcast_ref::<&str>().ok()).unwrap_or_default()
}

fn words(said: &Said, name: &str) -> Vec<String> {
    let array = said.get(name).and_then(|value| value.try_clone().ok());
    array.and_then(|array| Vec::<String>::try_from(array).ok()).unwrap_or_default()
}

/// The command as systemd is to start it: its program with its folder, the unit's own search path first, and no `$` that would be taken for a variable.
fn argv(root: &Path, own_folders: &[String], command: &CommandLine) -> Option<Vec<String>> {
    let (program, arguments) = command.argv.split_first()?;
    let program = match program.contains('/') {
        true => program.clone(),
        false => {
            let folders = own_folders.iter().map(String::as_str).chain(FOLDERS.iter().copied());
            let mut places = folders.map(|folder| Path::new(folder).join(program));
            let is_there = |place: &PathBuf| root.join(place.strip_prefix("/").unwrap_or(place)).exists();
            places.find(is_there)?.to_str()?.to_owned()
        }
    };
    Some(std::iter::once(program).chain(arguments.iter().map(|word| word.replace('$', "$$"))).collect())
}
