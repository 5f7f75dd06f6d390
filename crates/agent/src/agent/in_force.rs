//! The configuration in force, kept beside the state: an agent that is started while its files are refused goes on with it
//! instead of leaving the host alone, as one that runs does. It is obeyed only when it is what this host applied last,
//! from the same place, and when the programs that it names are still nobody else's.
//!
//! Files that are not there are another matter: whoever has removed them wants no agent to act by them.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use ansai_config::{Configuration, Resting};
use ansai_engine::State;
use ansai_host::linux::aside::{self, Kind, Work};
use ansai_notify::durable::write_atomically;
use anyhow::{Result, bail};
use tokio_util::task::TaskTracker;

use crate::trust;

/// Its file in the state directory: the place that it was read from on the first line, then its texts.
const NAME: &str = "configuration";
/// The largest that is read: the texts of a configuration have 8 MiB at most, and JSON writes some bytes as several.
const BYTES_MAX: u64 = 32 << 20;
/// Longest wait for the disk.
const KEEP_MAX: Duration = Duration::from_secs(60);

/// Keeps what is in force, beside the loop.
pub(super) struct InForce {
    state_dir: PathBuf,
    config: PathBuf,
    tasks: TaskTracker,
    /// The fingerprint of what is known to be kept; 0 before anything is.
    kept: Arc<AtomicU64>,
}

impl InForce {
    /// Of the configuration at this place. Nothing is known to be kept yet.
    pub(super) fn new(state_dir: &Path, config: &Path, tasks: TaskTracker) -> Self {
        Self { state_dir: state_dir.to_owned(), config: config.to_owned(), tasks, kept: Arc::default() }
    }

    /// Keeps a configuration that has come into force, unless it is kept. Its fingerprint is that of the bundle made of it.
    pub(super) fn keep(&self, configuration: &Arc<Resting>, fingerprint: u64) {
        if self.has(fingerprint) {
            return;
        }
        let path = self.state_dir.join(NAME);
        let work = Work::new(Kind::Own, format!("the copy of the configuration {}", path.display())).on([&path]);
        let (config, configuration, kept) = (self.config.clone(), Arc::clone(configuration), Arc::clone(&self.kept));
        self.tasks.spawn(async move {
            let write = move || write(&path, &config, &configuration);
            match aside::run(work, KEEP_MAX, write).await.map_err(io::Error::other).and_then(|written| written) {
                Ok(()) => kept.store(fingerprint, Ordering::Release),
                Err(error) => tracing::warn!("no copy of the configuration is kept for a restart: {error}"),
            }
        });
    }

    /// The one that goes on was kept.
    pub(super) fn was_kept(&self, fingerprint: u64) {
        self.kept.store(fingerprint, Ordering::Release);
    }

    /// Whether a start would go on with this configuration.
    pub(super) fn has(&self, fingerprint: u64) -> bool {
        self.kept.load(Ordering::Acquire) == fingerprint
    }
}

fn write(path: &Path, config: &Path, configuration: &Resting) -> io::Result<()> {
    let place = serde_json::to_vec(config)?;
    write_atomically(path, &[&place[..], b"\n", &serde_json::to_vec(configuration.texts())?].concat())
}

/// What was in force before, in the place of files that are refused.
///
/// # Errors
/// When nothing is kept that may be obeyed, with the reason.
pub fn instead_of(config: &Path, state_dir: &Path) -> Result<Configuration> {
    if !config.exists() {
        bail!("{} is not there", config.display());
    }
    trust::own_folder(state_dir)?;
    let bytes = ansai_files::bytes(&state_dir.join(NAME), BYTES_MAX)?;
    let (place, texts) = bytes.split_at(bytes.iter().position(|byte| *byte == b'\n').unwrap_or(0));
    if serde_json::from_slice::<PathBuf>(place)? != config {
        bail!("what is kept was read from another place");
    }
    // An emergency layer may have ended meanwhile.
    let configuration = ansai_config::parse_layers(serde_json::from_slice(texts)?)?;
    trust::programs(&configuration)?;
    Ok(configuration)
}

/// Whether a configuration that was kept is what this host applied last. A ledger that was lost does not say; then nothing
/// is done until a person says so.
pub(super) fn is_the_last(configuration: &Configuration, state: &State) -> bool {
    state.fingerprint == 0 || state.fingerprint == configuration.fingerprint()
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use ansai_model::inventory::Inventory;

    use super::*;

    const TEXT: &str = "autonomy: act\nservices: {app.service: {}}\n";

    /// A host whose agent has kept its configuration, and the place of that.
    fn host() -> (tempfile::TempDir, PathBuf) {
        let host = tempfile::tempdir().unwrap();
        fs::set_permissions(host.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let config = host.path().join("ansai.yaml");
        fs::write(&config, TEXT).unwrap();
        let resting = ansai_config::load(&config).unwrap().rest(&Inventory::default());
        write(&host.path().join(NAME), &config, &resting).unwrap();
        (host, config)
    }

    #[test]
    fn what_was_in_force_takes_the_place_of_files_that_are_refused() {
        let (host, config) = host();
        let before = ansai_config::load(&config).unwrap();
        fs::write(&config, "servces: {}\n").unwrap();
        let instead = instead_of(&config, host.path()).unwrap();
        assert_eq!((instead.fingerprint(), instead.units()), (before.fingerprint(), before.units()));
        let state = |fingerprint| State { fingerprint, ..State::default() };
        assert!(is_the_last(&instead, &state(instead.fingerprint())) && is_the_last(&instead, &State::default()));
        assert!(!is_the_last(&instead, &state(1)), "another one was applied since, and could not be kept");
        let mode = fs::metadata(host.path().join(NAME)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "it may hold what only the agent is to read");
    }

    #[test]
    fn nothing_takes_the_place_of_files_that_were_removed_or_lie_elsewhere() {
        let (host, config) = host();
        let why = |config: &Path| instead_of(config, host.path()).unwrap_err().to_string();
        let other = host.path().join("other.yaml");
        fs::copy(&config, &other).unwrap();
        assert!(why(&other).contains("another place"));
        fs::remove_file(&config).unwrap();
        assert!(why(&config).contains("is not there"));
    }

    #[test]
    fn what_was_damaged_or_may_be_changed_by_others_is_not_obeyed() {
        let (host, config) = host();
        let whole = fs::read(host.path().join(NAME)).unwrap();
        let place = serde_json::to_vec(&config).unwrap();
        let with = |texts: &str| [&place[..], b"\n", texts.as_bytes()].concat();
        let cut = with("[{\"layer\":\"host\",\"role\":null,\"file\":\"a\"}]");
        let older = with("[{\"layer\":\"host\",\"role\":null,\"file\":\"a.yaml\",\"text\":\"servces: {}\"}]");
        let halves: [&[u8]; 8] =
            [&whole[..whole.len() / 2], b"", b"\n", b"\n[]", b"null\n[]", b"\xff\n\xff", &cut, &older];
        for half in halves {
            fs::write(host.path().join(NAME), half).unwrap();
            assert!(instead_of(&config, host.path()).is_err(), "{}", String::from_utf8_lossy(half));
        }
        fs::write(host.path().join(NAME), &whole).unwrap();
        assert!(instead_of(&config, host.path()).is_ok());
        let tool = host.path().join("tool");
        fs::write(&tool, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&tool, fs::Permissions::from_mode(0o777)).unwrap();
        let text = format!("services: {{app.service: {{probe: {{exec: [{}]}}}}}}\n", tool.display());
        fs::write(&config, text).unwrap();
        let resting = ansai_config::load(&config).unwrap().rest(&Inventory::default());
        write(&host.path().join(NAME), &config, &resting).unwrap();
        let why = instead_of(&config, host.path()).unwrap_err().to_string();
        assert!(why.contains("others can change it"), "{why}");
    }
}
