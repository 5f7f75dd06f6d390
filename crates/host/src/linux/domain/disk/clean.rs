//! Room is made: the plan, and carrying it out, gentlest first and no further than the goal.
//!
//! Files are given up by `files`, which never leaves its scope; what programs keep (the journal, images, a volume) is left
//! to their own tools in `programs`. What became free is what the filesystem says, before and after.

mod caches;
pub mod files;
pub(super) mod pattern;
mod programs;
mod rotated;
mod scope;
mod seen;
mod survey;
mod sweep;
mod take;
mod tally;
mod walk;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use ansai_model::{
    action::{ActionOutcome, ActionRun},
    domain::disk::{Cleaning, DiskAction, DiskUsage},
    text::Text,
    units::{ByteSize, Percent},
};

pub use sweep::{Need, Pace};

use self::files::Job;
use crate::linux::{
    LinuxHost,
    act::{Planned, Steps},
    aside::{self, Kind, Work},
};

/// Two threads keep a disk as busy as it gets, and leave the other processors alone.
const THREADS: usize = 2;
/// How long a plan may be looked for.
const PLAN_TIME: Duration = Duration::from_secs(60);
/// How much longer than its deadline a cleaning may take to say what it did.
const END_TIME: Duration = Duration::from_secs(5);

/// What cleaning one filesystem means, put together.
struct Order<'a> {
    mount: &'a str,
    goal: Percent,
    what: &'a Cleaning,
    protect: Vec<String>,
}

impl<'a> Order<'a> {
    fn of(host: &LinuxHost, mount: &'a str, goal: Percent, what: &'a Cleaning, protect: &[String]) -> Self {
        let own = host.inner.options.state_dir.display().to_string();
        Self { mount, goal, what, protect: protect.iter().cloned().chain([own]).collect() }
    }

    fn job(&self, host: &LinuxHost, within: Duration) -> Job {
        Job {
            root: host.inner.options.root.clone(),
            mount: self.mount.to_owned(),
            goal: self.goal,
            what: self.what.clone(),
            protect: self.protect.clone(),
            now: SystemTime::now(),
            deadline: Instant::now() + within,
            cancelled: Arc::default(),
            threads: THREADS,
            pace: Pace::Idle,
        }
    }
}

/// Makes room, or measures it.
pub(super) async fn perform(host: &LinuxHost, action: &DiskAction, run: &ActionRun) -> ActionOutcome {
    let order = match action {
        DiskAction::Clean { mount, goal, what, protect } => Order::of(host, mount, *goal, what, protect),
        DiskAction::Measure { mount, below } => return measure(host, mount, *below, run.timeout).await,
    };
    let done = match order.what {
        Cleaning::PackageCache | Cleaning::Rotated { .. } | Cleaning::Logs { .. } | Cleaning::Temporary { .. } => {
            in_background(order.job(host, run.timeout), Job::clean).await
        }
        Cleaning::Journal { keep, yields } => programs::journal(host, &order, (*keep, *yields), run.timeout).await,
        Cleaning::Containers { images } => programs::images(host, &order, *images, run.timeout).await,
        Cleaning::Grow { command } => programs::grow(host, &order, command, run.timeout).await,
    };
    done.unwrap_or_else(|why| ActionOutcome::Refused { why: Text::new(why) })
}

/// What would be done, file by file as far as there is room for it; nothing is touched.
pub(super) async fn plan(host: &LinuxHost, action: &DiskAction) -> Planned {
    let DiskAction::Clean { mount, goal, what, protect } = action else { return Ok(Steps::default()) };
    let order = Order::of(host, mount, *goal, what, protect);
    let plan = in_background(order.job(host, PLAN_TIME), Job::plan).await.map_err(Text::new)?;
    let idle = match plan.idle {
        // What cannot be known before is found out by doing it.
        None if !what.is_of_files() => programs::idle(host, &order, PLAN_TIME).await.ok().flatten(),
        idle => idle,
    };
    Ok(Steps { lines: plan.lines.into_iter().map(Text::new).collect(), idle: idle.map(Text::new) })
}

async fn measure(host: &LinuxHost, mount: &str, below: Percent, within: Duration) -> ActionOutcome {
    let nothing = Cleaning::PackageCache;
    let order = Order { mount, goal: below, what: &nothing, protect: Vec::new() };
    match in_background(order.job(host, within), |job| job.usage()).await {
        Err(why) => ActionOutcome::Failed { why: Text::new(why) },
        Ok(usage) => measured(mount, below, &usage),
    }
}

/// What the figures say of what cleaning has brought.
pub(super) fn measured(mount: &str, below: Percent, usage: &DiskUsage) -> ActionOutcome {
    let said = format!("{mount}: {}; {} of its inodes used", usage.room().in_words(), usage.inodes_share());
    match usage.used_share() < below && usage.inodes_share() < below {
        true => ActionOutcome::Succeeded { note: Text::new(said) },
        false => ActionOutcome::Failed {
            why: Text::new(format!(
                "{} of {mount} used, {} of its inodes: that is {below} or more, and there is nothing left that may be \
                 given up; see what takes the room in the evidence, then delete it, declare it under `clean:`, or make \
                 {mount} larger",
                usage.used_share(),
                usage.inodes_share()
            )),
        },
    }
}

/// Whether no more is to be freed.
pub(super) fn is_reached(usage: &DiskUsage, goal: Percent) -> bool {
    usage.bytes_above(goal) == 0 && usage.inodes_above(goal) == 0
}

/// That no more is to be freed, in words.
pub(super) fn enough(mount: &str, usage: &DiskUsage, goal: Percent) -> String {
    format!("{} of {mount} used, {} of its inodes: the goal is {goal}", usage.used_share(), usage.inodes_share())
}

/// What became free, by the filesystem's own word.
pub(super) fn brought(mount: &str, before: &DiskUsage, after: &DiskUsage) -> String {
    let freed = ByteSize(before.used.0.saturating_sub(after.used.0));
    let inodes =
        match (before.inodes_used.saturating_sub(after.inodes_used), before.inodes_share(), after.inodes_share()) {
            (0, ..) => String::new(),
            (_, was, is) if was == is => String::new(),
            (_, was, is) => format!(", inodes {was} → {is}"),
        };
    format!("{freed} freed on {mount}: {} → {} used{inodes}", before.used_share(), after.used_share())
}

/// Does the work aside, on a thread which ends soon after nobody waits for it any more: a disk that does not answer
/// must not keep the agent waiting.
async fn in_background<T: Send + 'static>(
    job: Job,
    work: impl FnOnce(&Job) -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    struct Cancel(Arc<AtomicBool>);
    impl Drop for Cancel {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let _cancel = Cancel(job.cancelled.clone());
    let within = job.deadline.saturating_duration_since(Instant::now()).saturating_add(END_TIME);
    let named = Work::new(Kind::Act, format!("room on {}", job.mount)).on([&job.mount]);
    aside::run(named, within, move || work(&job)).await.unwrap_or_else(|late| Err(late.to_string()))
}
