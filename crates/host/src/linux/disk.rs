//! Filesystems: which are mounted, how full they are, what holds their room, and how room is made.
//!
//! Looking reads the kernel's own words (mountinfo, statvfs, the kernel log) and changes nothing. What they mean is said
//! in `model`'s disk domain.

pub mod clean;
pub mod mounts;
mod usage;

use std::{path::Path, time::Duration};

use ansai_model::{
    action::{ActionOutcome, ActionRun},
    domain::disk::{DiskAction, DiskProbe, Writable, judge_usage, judge_writable},
    observation::Observation,
    text::Text,
};

use self::mounts::Mount;
use super::{LinuxHost, probe::Context};

/// Looks at a filesystem once.
pub(super) async fn observe(context: &Context, probe: &DiskProbe, timeout: Duration) -> Observation {
    let mount = match find(&context.root, probe.mount()) {
        Ok(mount) => mount,
        Err(why) => return Observation::unknown(why),
    };
    match probe {
        DiskProbe::ReadOnly { .. } => judge_writable(&mount.path, mount.writable),
        DiskProbe::Errors { .. } => Observation::unknown("the kernel log is not read yet"),
        DiskProbe::Space { .. } | DiskProbe::Inodes { .. } | DiskProbe::Full { .. } => {
            match usage::ask(&context.root, &mount, timeout).await {
                Ok(usage) => judge_usage(probe, &usage).unwrap_or_else(|| Observation::unknown("no look at its room")),
                Err(why) => Observation::unknown(why),
            }
        }
    }
}

/// Performs an action on a filesystem.
pub(super) async fn perform(host: &LinuxHost, action: &DiskAction, run: &ActionRun) -> ActionOutcome {
    clean::perform(host, action, run).await
}

/// Says what an action would do, without doing it.
pub(super) async fn plan(host: &LinuxHost, action: &DiskAction) -> Vec<Text> {
    clean::plan(host, action).await
}

/// The filesystem that is mounted here, or what lies here instead.
fn find(root: &Path, path: &str) -> Result<Mount, String> {
    let mounts = mounts::read(root).map_err(|error| format!("the mounted filesystems cannot be read: {error}"))?;
    if let Some(mount) = mounts.iter().find(|mount| mount.path == path) {
        return Ok(mount.clone());
    }
    let holder = mounts.iter().filter(|mount| Path::new(path).starts_with(&mount.path));
    match holder.max_by_key(|mount| mount.path.len()) {
        Some(holder) => Err(format!("nothing is mounted at {path}; it lies on the filesystem at {}", holder.path)),
        None => Err(format!("nothing is mounted at {path}")),
    }
}

/// Whether this host's kernel can be asked to stop writing: what a mount's two sets of options say.
fn writable(of_mount: &str, of_filesystem: &str) -> Writable {
    let has = |options: &str, option: &str| options.split(',').any(|found| found == option);
    // Newer kernels stop writing without the old mark, and say so.
    let is_stopped = ["emergency_ro", "shutdown"].iter().any(|option| has(of_filesystem, option));
    match (has(of_mount, "ro"), has(of_filesystem, "ro")) {
        (false, true) => Writable::StoppedByKernel,
        _ if is_stopped => Writable::StoppedByKernel,
        (true, _) => Writable::ReadOnlyByMount,
        (false, false) => Writable::Yes,
    }
}
