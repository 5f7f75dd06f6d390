//! Filesystems: which are mounted, how full they are, what holds their room, and how room is made.
//!
//! Looking reads the kernel's own words (mountinfo, statvfs, the kernel log) and changes nothing. What they mean is said
//! in `model`'s disk domain.

pub mod clean;
mod folders;
mod holders;
mod kernel_log;
mod listed;
pub mod pretend;
mod rotation;
mod usage;

use std::{
    path::Path,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use ansai_model::{
    domain::disk::{DiskProbe, judge_errors, judge_usage, judge_writable},
    incident::{Evidence, EvidenceKind},
    inventory::Inventory,
    observation::Observation,
    text::Text,
};

use crate::linux::{
    aside::{self, Kind, Work},
    kernel,
    mounts::{self, Mount},
    probe::Context,
};

/// How far back the kernel log is evidence.
const ERRORS_WITHIN: Duration = Duration::from_secs(24 * 3600);
/// How long a filesystem is walked over to see where its room went.
const WALK_TIME: Duration = Duration::from_secs(5);
/// How long evidence is waited for, while others walk too.
const GATHER_TIME: Duration = Duration::from_secs(15);

/// Held by whoever walks over a filesystem.
static WALK: Mutex<()> = Mutex::new(());

/// The filesystems that there are.
pub(super) async fn found(root: &Path, inventory: &mut Inventory) {
    inventory.mounts = mounts::facts(root).await;
}

/// Observes at a filesystem once.
pub(in crate::linux) async fn observe(context: &Context, probe: &DiskProbe, timeout: Duration) -> Observation {
    let mount = match find(&context.root, probe.mount()) {
        Ok(mount) => mount,
        Err(why) => return Observation::unknown(why),
    };
    match probe {
        DiskProbe::ReadOnly { .. } => judge_writable(&mount.path, mount.writable),
        DiskProbe::Errors { within, .. } => match kernel_log::errors(&context.root, &mount, *within, timeout).await {
            Ok(errors) => judge_errors(&mount.path, *within, &errors),
            Err(why) => Observation::unknown(why),
        },
        DiskProbe::Space { .. } | DiskProbe::Inodes { .. } | DiskProbe::Full { .. } => {
            match usage::ask(&context.root, &mount, timeout).await {
                Ok(usage) => judge_usage(probe, &usage).unwrap_or_else(|| Observation::unknown("no look at its room")),
                Err(why) => Observation::unknown(why),
            }
        }
    }
}

/// What takes the room of a filesystem, or what the kernel said of it.
pub(super) async fn gather(context: &Context, probe: &DiskProbe) -> Vec<Evidence> {
    let root = &context.root;
    let mount = match find(root, probe.mount()) {
        Ok(mount) => mount,
        Err(why) => return vec![missing("/proc/self/mountinfo", why)],
    };
    match probe {
        DiskProbe::ReadOnly { .. } | DiskProbe::Errors { .. } => {
            match kernel_log::errors(root, &mount, ERRORS_WITHIN, GATHER_TIME).await {
                Ok(errors) if errors.count == 0 => Vec::new(),
                Ok(errors) => {
                    let lines: Vec<&str> = errors.last.iter().map(Text::as_str).collect();
                    vec![Evidence::new("kernel log", EvidenceKind::Log, lines.join("\n"))]
                }
                Err(why) => vec![missing("kernel log", why)],
            }
        }
        DiskProbe::Space { .. } | DiskProbe::Inodes { .. } | DiskProbe::Full { .. } => {
            what_takes_room(root, &mount).await
        }
    }
}

fn missing(source: &str, why: String) -> Evidence {
    Evidence::new(source, EvidenceKind::Missing, why)
}

/// Deleted files that are still open, and the largest directories.
async fn what_takes_room(root: &Path, mount: &Mount) -> Vec<Evidence> {
    if mount.is_remote() {
        return vec![missing("folders", "it lies on another machine, where it is not walked over".into())];
    }
    let (root, place, path) = (root.to_owned(), mount.found_at(root), mount.path.clone());
    let work = Work::new(Kind::Gather, format!("the walk over {path}")).on([&place]);
    let walk = move || {
        // One walk at a time, however many filesystems fill up at once.
        let _alone = WALK.lock().unwrap_or_else(PoisonError::into_inner);
        let held = holders::told(&holders::held(&root, &place));
        (held, folders::look(&place, Instant::now() + WALK_TIME).told())
    };
    let (held, largest) = match aside::run(work, GATHER_TIME, move || kernel::idly(walk)).await {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => return vec![missing("folders", format!("no thread could be begun: {error}"))],
        Err(late) => return vec![missing("folders", late.to_string())],
    };
    let told =
        |source: String, text: Option<String>| text.map(|text| Evidence::new(source, EvidenceKind::Resources, text));
    let held = told(format!("deleted files of {path}"), held);
    held.into_iter().chain(told(format!("folders of {path}"), largest)).collect()
}

/// The filesystem that is mounted here, or what lies here instead.
fn find(root: &Path, path: &str) -> Result<Mount, String> {
    let mounts = mounts::read(root).map_err(|error| format!("the mounted filesystems cannot be read: {error}"))?;
    if let Some(mount) = mounts.iter().find(|mount| mount.path == path) {
        return Ok(mount.clone());
    }
    let holder = mounts.iter().filter(|mount| Path::new(path).starts_with(&mount.path));
    Err(unmounted(path, holder.max_by_key(|mount| mount.path.len()).map(|mount| mount.path.as_str())))
}

/// That nothing is mounted at a path, and on which filesystem it lies instead.
fn unmounted(path: &str, holder: Option<&str>) -> String {
    match holder {
        Some(holder) => format!("nothing is mounted at {path}; it lies on the filesystem at {holder}"),
        None => format!("nothing is mounted at {path}"),
    }
}
