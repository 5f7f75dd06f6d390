//! Room is made: the plan, and carrying it out, gentlest first and no further than the goal.
//!
//! Files are given up by `files`, which never leaves its scope; what programs keep (the journal, images, a volume) is left
//! to their own tools in `programs`. What became free is what the filesystem says, before and after.

pub mod files;
mod pattern;
mod programs;
mod scope;
mod seen;
mod survey;
mod sweep;
mod take;
mod tally;
mod walk;

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use ansai_model::{
    action::{ActionOutcome, ActionRun},
    domain::disk::{CleanRule, Cleaning, DiskAction, DiskUsage},
    text::Text,
    units::{ByteSize, Percent},
};

pub use sweep::{Need, Pace};

use self::{files::Job, scope::Scope};
use super::find;
use crate::linux::LinuxHost;

/// Two threads keep a disk as busy as it gets, and leave the other processors alone.
const THREADS: usize = 2;
/// How long a plan may be looked for.
const PLAN_TIME: Duration = Duration::from_secs(60);

/// What cleaning one filesystem means, put together.
struct Order<'a> {
    mount: &'a str,
    goal: Percent,
    what: &'a Cleaning,
    protect: Vec<String>,
}

impl<'a> Order<'a> {
    fn of(host: &LinuxHost, action: &'a DiskAction) -> Option<Self> {
        let DiskAction::Clean { mount, goal, what, protect } = action else { return None };
        let own = host.inner.options.state_dir.display().to_string();
        Some(Self { mount, goal: *goal, what, protect: protect.iter().cloned().chain([own]).collect() })
    }

    fn scope(&self, host: &LinuxHost) -> Result<Scope, String> {
        let root = &host.inner.options.root;
        Scope::open(root, &find(root, self.mount)?, &self.protect)
    }

    fn job(&self, root: PathBuf, within: Duration, pace: Pace) -> Job {
        Job {
            root,
            mount: self.mount.to_owned(),
            goal: self.goal,
            what: self.what.clone(),
            protect: self.protect.clone(),
            now: SystemTime::now(),
            deadline: Instant::now() + within,
            cancelled: Arc::default(),
            threads: THREADS,
            pace,
        }
    }
}

/// Makes room, or measures it.
pub(super) async fn perform(host: &LinuxHost, action: &DiskAction, run: &ActionRun) -> ActionOutcome {
    let root = host.inner.options.root.clone();
    let Some(order) = Order::of(host, action) else { return measure(host, action) };
    let before = match order.scope(host).and_then(|scope| scope.usage()) {
        Ok(usage) => usage,
        Err(why) => return ActionOutcome::Refused { why: Text::new(why) },
    };
    if is_reached(&before, order.goal) {
        return ActionOutcome::NotNeeded { why: Text::new(enough(order.mount, &before, order.goal)) };
    }
    match order.what {
        Cleaning::PackageCache | Cleaning::Logs { .. } | Cleaning::Temporary { .. } => {
            in_background(order.job(root, run.timeout, Pace::Idle), Job::clean).await
        }
        Cleaning::Journal { keep } => programs::journal(host, &order, *keep, run.timeout).await,
        Cleaning::Containers { images } => programs::images(host, &order, *images, run.timeout).await,
        Cleaning::Grow { command } => programs::grow(host, &order, command, run.timeout).await,
    }
}

/// What would be done, file by file as far as there is room for it; nothing is touched.
pub(super) async fn plan(host: &LinuxHost, action: &DiskAction) -> Vec<Text> {
    let words = vec![action.describe()];
    let Some(order) = Order::of(host, action) else { return words };
    let before = match order.scope(host).and_then(|scope| scope.usage()) {
        Ok(usage) => usage,
        Err(why) => return vec![action.describe(), Text::new(why)],
    };
    if is_reached(&before, order.goal) {
        return vec![Text::new(format!("nothing: {}", enough(order.mount, &before, order.goal)))];
    }
    match order.what {
        Cleaning::PackageCache | Cleaning::Logs { .. } | Cleaning::Temporary { .. } => {
            let job = order.job(host.inner.options.root.clone(), PLAN_TIME, Pace::Idle);
            let lines = in_background(job, |job| match job.plan() {
                Ok(lines) => lines,
                Err(why) => vec![why],
            });
            words.into_iter().chain(lines.await.into_iter().map(Text::new)).collect()
        }
        Cleaning::Journal { .. } | Cleaning::Containers { .. } | Cleaning::Grow { .. } => words,
    }
}

fn measure(host: &LinuxHost, action: &DiskAction) -> ActionOutcome {
    let DiskAction::Measure { mount, below } = action else {
        return ActionOutcome::Refused { why: "this is no measuring".into() };
    };
    let root = &host.inner.options.root;
    match find(root, mount).and_then(|found| Scope::open(root, &found, &[])).and_then(|scope| scope.usage()) {
        Err(why) => ActionOutcome::Failed { why: Text::new(why) },
        Ok(usage) => {
            let said = format!(
                "{} of {mount} used, {} of its inodes, {} available",
                usage.used_share(),
                usage.inodes_share(),
                usage.available
            );
            match usage.used_share() < *below && usage.inodes_share() < *below {
                true => ActionOutcome::Succeeded { note: Text::new(said) },
                false => ActionOutcome::Failed {
                    why: Text::new(format!(
                        "{said}: that is {below} or more, and there is nothing left that may be given up; see what \
                         takes the room in the evidence, then delete it, declare it under `clean:`, or make {mount} larger"
                    )),
                },
            }
        }
    }
}

/// Whether no more is to be freed.
fn is_reached(usage: &DiskUsage, goal: Percent) -> bool {
    usage.bytes_above(goal) == 0 && usage.inodes_above(goal) == 0
}

fn enough(mount: &str, usage: &DiskUsage, goal: Percent) -> String {
    format!("{} of {mount} used, {} of its inodes: the goal is {goal}", usage.used_share(), usage.inodes_share())
}

/// What became free, by the filesystem's own word.
fn brought(mount: &str, before: &DiskUsage, after: &DiskUsage) -> String {
    let freed = ByteSize(before.used.0.saturating_sub(after.used.0));
    let inodes =
        match (before.inodes_used.saturating_sub(after.inodes_used), before.inodes_share(), after.inodes_share()) {
            (0, ..) => String::new(),
            (_, was, is) if was == is => String::new(),
            (_, was, is) => format!(", inodes {was} → {is}"),
        };
    format!("{freed} freed on {mount}: {} → {} used{inodes}", before.used_share(), after.used_share())
}

/// Does the work on a thread of its own, which ends soon after nobody waits for it any more.
async fn in_background<T>(job: Job, work: impl FnOnce(&Job) -> T + Send + 'static) -> T
where
    T: From<Broken> + Send + 'static,
{
    struct Cancel(Arc<AtomicBool>);
    impl Drop for Cancel {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let _cancel = Cancel(job.cancelled.clone());
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let begun = std::thread::Builder::new().name("ansai-clean".into()).spawn(move || {
        // Nobody may be waiting any more.
        let _ = sender.send(work(&job));
    });
    match begun {
        Ok(_) => receiver.await.unwrap_or_else(|_| T::from(Broken("the cleaning broke off".into()))),
        Err(error) => T::from(Broken(format!("no thread could be begun: {error}"))),
    }
}

/// Why work in the background has no result.
struct Broken(String);

impl From<Broken> for ActionOutcome {
    fn from(broken: Broken) -> Self {
        Self::Failed { why: Text::new(broken.0) }
    }
}

impl From<Broken> for Vec<String> {
    fn from(broken: Broken) -> Self {
        vec![broken.0]
    }
}

/// The package managers' caches: what was downloaded can be downloaded again.
fn package_caches() -> Vec<CleanRule> {
    let caches = [
        ("/var/cache/apt/archives", "*.deb"),
        ("/var/cache/dnf", "*.rpm"),
        ("/var/cache/libdnf5", "*.rpm"),
        ("/var/cache/yum", "*.rpm"),
        ("/var/cache/zypp/packages", "*.rpm"),
        ("/var/cache/pacman/pkg", "*.pkg.tar.*"),
        ("/var/cache/apk", "*.apk"),
    ];
    let rule = |(path, pattern): (&str, &str)| CleanRule {
        path: path.to_owned(),
        pattern: pattern.to_owned(),
        // What was fetched just now may be wanted in a moment.
        older_than: Duration::from_secs(3600),
        threshold: None,
        strategy: ansai_model::domain::disk::Strategy::Delete,
    };
    caches.into_iter().map(rule).collect()
}
