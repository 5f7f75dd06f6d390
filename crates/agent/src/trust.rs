//! Whom the agent obeys: its configuration, the programs that it runs, and its own folders, as only root or its own user
//! may change them. `ansai check`, `ansai doctor`, the start and each reload ask here, so that they say the same.
//!
//! It deliberately changes nothing but the mode of the agent's own state folder.

use std::{
    collections::BTreeSet,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use ansai_config::{Configuration, Input, Layer};
use ansai_document::{Diagnostic, Diagnostics};
use ansai_host::linux::{
    owned_path::{self, Refused, Trusted},
    programs::{self, Changeable},
};
use ansai_model::{
    bundle::Bundle,
    id::UnitName,
    inventory::{Inventory, UnitFacts},
    probe::CommandLine,
    unit::ActiveState,
};
use anyhow::{Context, Result};

use crate::{
    ceiling::{self, Ceiling},
    uplink::membership::Folder,
};

/// Longest look at the programs of a configuration.
const PROGRAMS_MAX: Duration = Duration::from_secs(5);
/// How many threads look at programs at once, and how many there are at most with those that hang.
const JUDGES_AT_ONCE: usize = 8;
const JUDGES_MAX: usize = 32;
/// How many there are.
static JUDGES: AtomicUsize = AtomicUsize::new(0);
/// Most things in the state folder that are looked at when others could write in it.
const ENTRIES_MAX: usize = 10_000;

/// What an agent begins with: its configuration, and a folder for its state that is its own.
///
/// # Errors
/// As for [`load`] and [`own_folder`].
pub fn begin(config: &Path, state_dir: &Path) -> Result<Configuration> {
    let configuration = load(config, of_fleet(config, &Folder::of(state_dir))?)?;
    own_folder(state_dir)?;
    Ok(configuration)
}

/// What the fleet says of this host, as far as its owner takes that.
///
/// # Errors
/// When it is not what was signed for this host, or the owner's ceiling cannot be read.
pub fn of_fleet(config: &Path, folder: &Folder) -> Result<Vec<Input>, Diagnostics> {
    Ok(Ceiling::of(config)?.taken(folder.texts()?))
}

/// Reads a configuration over what the fleet says, and refuses one that others may change.
///
/// # Errors
/// Everything that is wrong with it, or who may change it or a program that it names.
pub fn load(path: &Path, of_fleet: Vec<Input>) -> Result<Configuration, Diagnostics> {
    let configuration = ansai_config::load_over(path, of_fleet)?;
    let mut wrong = files(path, &configuration);
    wrong.extend(Ceiling::of(path).err().into_iter().flat_map(|Diagnostics(wrong)| wrong));
    wrong.extend(programs_in(&configuration));
    if wrong.is_empty() { Ok(configuration) } else { Err(Diagnostics(wrong)) }
}

/// Refuses a configuration that names programs that others may change.
///
/// # Errors
/// Who may change which of them.
pub fn programs(configuration: &Configuration) -> Result<(), Diagnostics> {
    let wrong = programs_in(configuration);
    if wrong.is_empty() { Ok(()) } else { Err(Diagnostics(wrong)) }
}

fn programs_in(configuration: &Configuration) -> Vec<Diagnostic> {
    // A unit for each pattern: what it would run is looked at before there is one.
    let unit = |pattern: String| UnitName::new(pattern.replace(['*', '?'], "x")).ok();
    let units = configuration.patterns().into_iter().filter_map(unit);
    let units = units.map(|unit| UnitFacts::plain(unit, ActiveState::Active)).collect();
    match configuration.bundle(&Inventory { units, ..Inventory::default() }, 1) {
        Ok(bundle) => programs_of(&bundle),
        Err(_) => Vec::new(),
    }
}

/// Whoever may change a file of the configuration, or a folder on the way to one.
fn files(path: &Path, configuration: &Configuration) -> Vec<Diagnostic> {
    // Those of the fleet lie in the agent's own folder, and are signed.
    let of_fleet = [Layer::Fleet, Layer::FleetRole, Layer::FleetHost];
    let layers = configuration.layers().iter().filter(|layer| !of_fleet.contains(&layer.layer));
    let layers = layers.map(|layer| layer.file.clone());
    let ceiling = Some(ceiling::beside(path)).filter(|ceiling| ceiling.exists());
    let places: BTreeSet<PathBuf> = layers.chain([path.to_owned()]).chain(ceiling).collect();
    let mut said = BTreeSet::new();
    let mut wrong = Vec::new();
    for place in places.into_iter().filter_map(|place| std::path::absolute(place).ok()) {
        let Err(why) = owned_path::is_settled(&place, &whom(&place)) else { continue };
        // One folder is in the way of all its files.
        if said.insert(why.to_string()) {
            let what = format!("others can change the configuration: {why}");
            wrong.push(Diagnostic::of_file(place.display().to_string(), what, &help(&why)));
        }
    }
    wrong
}

/// Whom a file of the configuration may belong to: somebody who is not root and looks at another's counts its owner like
/// root, for it is that one's agent that would obey it.
fn whom(place: &Path) -> Trusted {
    let owner = std::fs::metadata(place).map(|meta| meta.uid());
    match owner {
        Ok(owner) if !rustix::process::geteuid().is_root() => Trusted::own().and_own(owner),
        _ => Trusted::own(),
    }
}

/// The programs of a bundle that others may change.
fn programs_of(bundle: &Bundle) -> Vec<Diagnostic> {
    let mut seen = BTreeSet::new();
    let is_first = |found: &Changeable| seen.insert((found.program.clone(), found.user.clone()));
    let found = judged(bundle).into_iter().filter(is_first);
    let found = found.map(|found| {
        let runs_as = found.user.as_deref().unwrap_or("the agent");
        let what = format!(
            "{} runs {} as {runs_as}, but others can change it: {}",
            found.holder,
            found.program.display(),
            found.why
        );
        let own = match (&found.why, &found.user) {
            (Refused::Owner { .. }, None) => ", or declare with `user:` that it runs as its owner",
            _ => "",
        };
        Diagnostic::of_file(found.program.display().to_string(), what, &format!("{}{own}", help(&found.why)))
    });
    found.collect()
}

/// What is found of the commands within the time, several beside each other: a program on a server that is away keeps nobody
/// from the rest. It is only told, since each is looked at once more when it is to be begun, and not begun when others can
/// change it: an agent that did not start for a server that is away would heal nothing.
fn judged(bundle: &Bundle) -> Vec<Changeable> {
    let commands: Vec<(String, CommandLine)> =
        bundle.commands().into_iter().map(|(holder, line)| (holder, line.clone())).collect();
    let count = commands.len();
    let (waiting, (sender, receiver)) = (Arc::new(Mutex::new(commands)), mpsc::sync_channel(count));
    // Those of earlier times that still hang are in nobody's way, but they are not to become ever more.
    let free = JUDGES_MAX.saturating_sub(JUDGES.load(Ordering::Relaxed));
    for _ in 0..free.min(JUDGES_AT_ONCE).min(count) {
        let (waiting, sender) = (waiting.clone(), sender.clone());
        JUDGES.fetch_add(1, Ordering::Relaxed);
        std::thread::spawn(move || {
            let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).pop();
            while let Some((holder, line)) = next() {
                // Nobody may be waiting any more.
                let _ = sender.send(programs::changeable(&holder, &line));
            }
            JUDGES.fetch_sub(1, Ordering::Relaxed);
        });
    }
    drop(sender);
    let (deadline, mut found, mut answered) = (Instant::now() + PROGRAMS_MAX, Vec::new(), 0);
    while let Ok(more) = receiver.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        found.extend(more);
        answered += 1;
    }
    if answered < count {
        let late = count - answered;
        tracing::warn!(
            "{late} commands of the configuration are not answered for, so it is not known who can change them; \
             none is run before that is known"
        );
    }
    found
}

fn help(why: &Refused) -> String {
    why.mend().map_or_else(|| "have only root change it".to_owned(), |command| format!("run `{command}`"))
}

/// Makes sure that the agent's own folder is its own. One that is, and that others could write in, as a fresh volume of a
/// container, is closed to them when nothing of theirs is in it.
///
/// # Errors
/// Who else has a hand in it.
pub fn own_folder(dir: &Path) -> Result<()> {
    let dir = std::path::absolute(dir)?;
    let Err(why) = owned_path::is_ours(&dir) else { return Ok(()) };
    let uid = rustix::process::geteuid().as_raw();
    let is_ours = std::fs::symlink_metadata(&dir).is_ok_and(|meta| meta.is_dir() && meta.uid() == uid);
    let parent = dir.parent().map_or(Ok(()), owned_path::is_ours);
    if !is_ours || parent.is_err() {
        return Err(why).context("others than the agent can write where it keeps what it knows");
    }
    std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o700))?;
    let mut entries = std::fs::read_dir(&dir)?.take(ENTRIES_MAX).flatten();
    let foreign = entries.find(|entry| entry.metadata().is_ok_and(|meta| meta.uid() != uid || meta.is_symlink()));
    match foreign {
        Some(entry) => {
            anyhow::bail!("{}: somebody else has put it there; look at it, and remove it", entry.path().display())
        }
        None => owned_path::is_ours(&dir).context("others than the agent can write where it keeps what it knows"),
    }
}
