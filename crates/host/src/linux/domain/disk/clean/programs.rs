//! What programs keep is given up by their own tools: the journal, images of containers, and a volume that can grow.
//!
//! Tools that need more rights than the agent keeps for itself are started by systemd, in a unit of their own.

use std::{
    fs::{self, DirEntry},
    io::ErrorKind,
    os::unix::fs::MetadataExt,
    path::Path,
    time::Duration,
};

use ansai_model::{
    action::ActionOutcome,
    domain::disk::{Cleaning, DiskUsage, Images},
    probe::CommandLine,
    text::Text,
    units::ByteSize,
};

use super::{Order, brought, enough, in_background, is_reached};
use crate::linux::{
    LinuxHost,
    apart::{apart, is_installed},
    command::{self, Ended, Finished},
    domain::disk::rotation::journald,
};

/// How it ended, or why it was refused.
type Done = Result<ActionOutcome, String>;

/// Where the journal may lie.
const JOURNALS: &[&str] = &["/var/log/journal", "/run/log/journal"];
/// Most entries of a folder of the journal that are counted.
const ENTRIES_MAX: usize = 10_000;
/// Container engines, and where they keep their images.
const ENGINES: &[(&str, &str)] = &[("podman", "/var/lib/containers/storage"), ("docker", "/var/lib/docker")];

/// Why a program would give nothing up, as far as that is known without asking it to.
pub(super) async fn idle(host: &LinuxHost, order: &Order<'_>, within: Duration) -> Result<Option<String>, String> {
    match order.what {
        Cleaning::Journal { keep, yields } => {
            if let Room::Elsewhere = usage_if(host, order, JOURNALS, within).await? {
                return Ok(Some(elsewhere(order)));
            }
            let (root, keep, yields) = (host.inner.options.root.clone(), *keep, *yields);
            in_background(order.job(host, within), move |_| {
                let rule = journald::rule(&root).filter(|_| yields).map(|rule| yielding(&rule, keep));
                let is_kept = || size_of_journals(&root).filter(|size| *size <= keep);
                Ok(rule
                    .or_else(|| is_kept().map(|size| format!("the journal takes {size}, and {keep} of it are kept"))))
            })
            .await
        }
        Cleaning::Containers { .. } => {
            for (engine, store) in ENGINES {
                let room = usage_if(host, order, &[store], within).await?;
                if !matches!(room, Room::Elsewhere) && is_installed(&host.inner.options.root, engine) {
                    return Ok(None);
                }
            }
            Ok(Some(no_engine(order)))
        }
        Cleaning::PackageCache | Cleaning::Rotated { .. } | Cleaning::Logs { .. } => Ok(None),
        Cleaning::Temporary { .. } | Cleaning::Grow { .. } => Ok(None),
    }
}

/// What the files of the journal take; nothing when that cannot be told.
fn size_of_journals(root: &Path) -> Option<ByteSize> {
    let mut blocks = 0_u64;
    for path in JOURNALS {
        for folder in entries(&root.join(path.trim_start_matches('/')))? {
            for file in entries(&folder.path())? {
                blocks = blocks.saturating_add(file.metadata().ok()?.blocks());
            }
        }
    }
    Some(ByteSize(blocks.saturating_mul(512)))
}

/// What lies in a folder, none where there is no folder; nothing when it cannot be read or holds too much.
fn entries(path: &Path) -> Option<Vec<DirEntry>> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Some(Vec::new()),
        Err(_) => return None,
    };
    let found: Vec<DirEntry> = entries.take(ENTRIES_MAX + 1).collect::<Result<_, _>>().ok()?;
    (found.len() <= ENTRIES_MAX).then_some(found)
}

fn elsewhere(order: &Order<'_>) -> String {
    format!("the journal does not lie on {}", order.mount)
}

fn no_engine(order: &Order<'_>) -> String {
    format!("no container engine keeps its images on {}", order.mount)
}

fn yielding(rule: &str, keep: ByteSize) -> String {
    format!("journald itself keeps what it was told to, {rule}; `journal: {keep}` under `clean` stands above that")
}

/// Shortens the journal to a size; one that yields does nothing where journald has been told what it keeps.
pub(super) async fn journal(
    host: &LinuxHost,
    order: &Order<'_>,
    (keep, yields): (ByteSize, bool),
    within: Duration,
) -> Done {
    let before = match usage_if(host, order, JOURNALS, within).await? {
        Room::Wanted(usage) => usage,
        Room::Reached(why) => return Ok(not_needed(why)),
        Room::Elsewhere => return Ok(not_needed(elsewhere(order))),
    };
    let root = host.inner.options.root.clone();
    let rule = in_background(order.job(host, within), move |_| Ok(journald::rule(&root).filter(|_| yields))).await?;
    if let Some(rule) = rule {
        return Ok(not_needed(yielding(&rule, keep)));
    }
    let size = format!("--vacuum-size={}", keep.0);
    let command = CommandLine::new(["journalctl", "--quiet", "--rotate", size.as_str()]);
    let finished = command::run(&command, within).await;
    concluded(host, order, &before, &command, finished, within).await
}

/// Gives up images that no container uses, of the engines that are here.
pub(super) async fn images(host: &LinuxHost, order: &Order<'_>, images: Images, within: Duration) -> Done {
    let mut last = not_needed(no_engine(order));
    for (engine, store) in ENGINES {
        let before = match usage_if(host, order, &[store], within).await? {
            Room::Wanted(usage) if is_installed(&host.inner.options.root, engine) => usage,
            Room::Reached(why) => return Ok(not_needed(why)),
            Room::Wanted(_) | Room::Elsewhere => continue,
        };
        let mut argv = vec![*engine, "image", "prune", "--force", "--filter", "until=24h"];
        if images == Images::Unused {
            argv.push("--all");
        }
        let command = CommandLine::new(argv);
        let finished = command::run(&apart(host, &command, within), within).await;
        last = concluded(host, order, &before, &command, finished, within).await?;
        if !matches!(last, ActionOutcome::NotNeeded { .. }) {
            break;
        }
    }
    Ok(last)
}

/// Makes the filesystem larger with the declared command.
pub(super) async fn grow(host: &LinuxHost, order: &Order<'_>, command: &CommandLine, within: Duration) -> Done {
    let before = match usage_if(host, order, &[order.mount], within).await? {
        Room::Wanted(usage) => usage,
        Room::Reached(why) => return Ok(not_needed(why)),
        Room::Elsewhere => return Err(format!("nothing is mounted at {}", order.mount)),
    };
    let finished = command::run(&apart(host, command, within), within).await;
    if let Some(failure) = failed(host, command, &finished, within) {
        return Ok(failure);
    }
    let after = in_background(order.job(host, within), |job| job.usage()).await?;
    let mount = order.mount;
    Ok(match after.size > before.size {
        true => ActionOutcome::Succeeded {
            note: Text::new(format!(
                "{mount} grew from {} to {}: {} → {} used",
                before.size,
                after.size,
                before.used_share(),
                after.used_share()
            )),
        },
        false => ActionOutcome::Failed {
            why: Text::new(format!(
                "`{}` ended well, and {mount} is as large as before, {}",
                command.shown(),
                after.size
            )),
        },
    })
}

/// Whether there is anything to be done on this filesystem.
enum Room {
    /// The goal is reached.
    Reached(String),
    /// What could be given up does not lie on it.
    Elsewhere,
    /// This is how full it is.
    Wanted(DiskUsage),
}

async fn usage_if(host: &LinuxHost, order: &Order<'_>, paths: &[&str], within: Duration) -> Result<Room, String> {
    let paths: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
    let usage = in_background(order.job(host, within), move |job| job.usage_if(&paths)).await?;
    Ok(match usage {
        Some(usage) if is_reached(&usage, order.goal) => Room::Reached(enough(order.mount, &usage, order.goal)),
        Some(usage) => Room::Wanted(usage),
        None => Room::Elsewhere,
    })
}

/// What a tool brought, by the filesystem's own word.
async fn concluded(
    host: &LinuxHost,
    order: &Order<'_>,
    before: &DiskUsage,
    command: &CommandLine,
    finished: Finished,
    within: Duration,
) -> Done {
    if let Some(failure) = failed(host, command, &finished, within) {
        return Ok(failure);
    }
    let after = in_background(order.job(host, within), |job| job.usage_settled()).await?;
    Ok(match after.used < before.used {
        true => ActionOutcome::Succeeded {
            note: Text::new(format!("{}, by `{}`", brought(order.mount, before, &after), command.shown())),
        },
        false => not_needed(format!("`{}` found nothing to give up", command.shown())),
    })
}

fn failed(host: &LinuxHost, command: &CommandLine, finished: &Finished, within: Duration) -> Option<ActionOutcome> {
    let said = host.inner.redactor.redact(&command::said(finished));
    let why = match &finished.ended {
        Ended::Code(0) => return None,
        Ended::Code(code) => format!("`{}` ended with code {code}: {said}", command.shown()),
        Ended::Signal(signal) => format!("`{}` was ended by signal {signal}: {said}", command.shown()),
        Ended::TimedOut => return Some(ActionOutcome::TimedOut { after: within }),
        Ended::Missing => return Some(not_needed(format!("there is no program for `{}` here", command.shown()))),
        Ended::Failed(why) => why.clone(),
    };
    Some(ActionOutcome::Failed { why: Text::new(why) })
}

fn not_needed(why: String) -> ActionOutcome {
    ActionOutcome::NotNeeded { why: Text::new(why) }
}
