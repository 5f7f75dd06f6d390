//! A tree of a million files cleaned to a goal, beside `find … -delete` over a tree of the same kind, in the same run.
//! It prints both times, their ratio and the most memory that was resident, and judges nothing.
//!
//! Both run at normal priority, so that they can be compared; in the agent, cleaning is the last in line for the disk and
//! the processor. With privileges, each tree lies on an ext4 of its own in memory, so that nobody else's writing is
//! measured; without them, in the temporary folder.

use std::{
    fmt,
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use ansai_host::linux::{
    domain::disk::clean::{Need, Pace, files::Job},
    mounts,
};
use ansai_model::{
    domain::disk::{CleanRule, Cleaning, Strategy},
    units::{ByteSize, Percent},
};
use anyhow::{Context, Result, ensure};

const FILES: u64 = 1_000_000;
const FOLDERS: u64 = 1_000;
/// Files are 1 to 100 days old; those of more than 10 are to go.
const AGES: u64 = 100;
const YOUNG: u64 = 10;
const DAY: u64 = 86_400;
const THREADS: usize = 2;
const ROUNDS: usize = 3;
/// Room for the tree.
const IMAGE: u64 = 4 << 30;

fn main() -> Result<()> {
    say(&format!(
        "{FILES} files in {FOLDERS} folders, every fourth with 1 KiB; the {} % oldest are to go",
        100 - YOUNG
    ));
    let (mut ours, mut theirs, mut resident) = (Vec::new(), Vec::new(), 0);
    for round in 0..ROUNDS {
        for who in [round.is_multiple_of(2), !round.is_multiple_of(2)] {
            let place = Place::new()?;
            let dir = place.tree();
            plant(&dir)?;
            if who {
                let (took, peak) = clean(&dir)?;
                resident = resident.max(peak);
                ours.push(took);
                say(&format!("  ansai {took}"));
            } else {
                let took = find(&dir)?;
                theirs.push(took);
                say(&format!("  find  {took}"));
            }
            let left = count(&dir)?;
            ensure!(left == FILES * YOUNG / AGES, "{left} files are left");
        }
    }
    let best = |all: &[Took]| all.iter().min_by_key(|took| took.elapsed).copied().context("a round");
    let (ours, theirs) = (best(&ours)?, best(&theirs)?);
    say(&format!("ansai, {THREADS} threads, the oldest first, to its goal: {ours}"));
    say(&format!("find … -mtime +{YOUNG} -delete: {theirs}"));
    let share = ours.elapsed.as_secs_f64() / theirs.elapsed.as_secs_f64();
    say(&format!("best of {ROUNDS} rounds each: ansai takes {share:.2} of find's time"));
    say(&format!("most memory resident while ansai cleaned: {}", ByteSize(resident)));
    Ok(())
}

#[expect(clippy::print_stdout, reason = "this is a program for people at a terminal")]
fn say(text: &str) {
    println!("{text}");
}

/// Where a tree lies: on an ext4 of its own, or in a temporary folder.
struct Place {
    dir: tempfile::TempDir,
    is_mounted: bool,
    _image: tempfile::TempDir,
}

impl Place {
    fn new() -> Result<Self> {
        let (dir, image) = (tempfile::tempdir()?, tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir())?);
        let file = image.path().join("image");
        File::create(&file)?.set_len(IMAGE)?;
        let run = |program: &str, arguments: &[&str], paths: &[&Path]| {
            let done = Command::new(program).args(arguments).args(paths).status();
            done.is_ok_and(|done| done.success())
        };
        let inodes = (FILES * 11 / 10).to_string();
        let is_mounted = run("mkfs.ext4", &["-q", "-F", "-N", inodes.as_str()], &[&file])
            && run("mount", &["-o", "loop"], &[&file, dir.path()]);
        if !is_mounted {
            say("no filesystem of its own could be mounted: the tree lies in the temporary folder");
        }
        Ok(Self { dir, is_mounted, _image: image })
    }

    fn tree(&self) -> PathBuf {
        self.dir.path().join("tree")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.is_mounted {
            let _ = Command::new("umount").arg(self.dir.path()).status();
        }
    }
}

/// Plants the tree and waits until it is on the disk.
fn plant(dir: &Path) -> Result<()> {
    fs::create_dir(dir)?;
    let now = SystemTime::now();
    let content = [b'x'; 1024];
    for folder in 0..FOLDERS {
        let folder_path = dir.join(format!("folder-{folder}"));
        fs::create_dir(&folder_path)?;
        for index in 0..FILES / FOLDERS {
            let number = folder * (FILES / FOLDERS) + index;
            let mut file = File::create(folder_path.join(format!("entry-{number}.log")))?;
            if number.is_multiple_of(4) {
                file.write_all(&content)?;
            }
            // Spread over all folders, in no order; half a day away from any border.
            let age = (number * 7919 % AGES + 1) * DAY + DAY / 2;
            file.set_modified(now - Duration::from_secs(age))?;
        }
    }
    let top = File::open(dir)?;
    rustix::fs::syncfs(&top)?;
    Ok(())
}

fn clean(dir: &Path) -> Result<(Took, u64)> {
    let mounts = mounts::read(Path::new("/"))?;
    let mount = mounts.iter().filter(|mount| dir.starts_with(&mount.path)).max_by_key(|mount| mount.path.len());
    let rule = CleanRule {
        path: dir.to_str().context("text")?.to_owned(),
        pattern: "*.log".into(),
        older_than: Duration::ZERO,
        threshold: None,
        strategy: Strategy::Delete,
    };
    let job = Job {
        root: "/".into(),
        mount: mount.context("a mount")?.path.clone(),
        goal: Percent::new(0).context("a share")?,
        what: Cleaning::Logs { rules: vec![rule] },
        protect: Vec::new(),
        now: SystemTime::now(),
        deadline: Instant::now() + Duration::from_secs(600),
        cancelled: Arc::default(),
        threads: THREADS,
        pace: Pace::Full,
    };
    // From here on the most memory is counted anew.
    fs::write("/proc/self/clear_refs", "5")?;
    let (begun, worked) = (Instant::now(), processor_time()?);
    let need = Need { bytes: 0, inodes: FILES * (AGES - YOUNG) / AGES };
    let (_, gone) = job.free(need).map_err(anyhow::Error::msg)?;
    let took = Took { elapsed: begun.elapsed(), worked: processor_time()? - worked };
    ensure!(gone == need.inodes, "{gone} files are gone");
    let status = fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("VmHWM")?;
    let peak: u64 = peak.split_whitespace().next().context("a figure")?.parse()?;
    Ok((took, peak * 1024))
}

fn find(dir: &Path) -> Result<Took> {
    let (begun, worked) = (Instant::now(), processor_time()?);
    let days = format!("+{YOUNG}");
    let done =
        Command::new("find").arg(dir).args(["-type", "f", "-name", "*.log", "-mtime", &days, "-delete"]).status()?;
    ensure!(done.success(), "find ended with {done}");
    Ok(Took { elapsed: begun.elapsed(), worked: processor_time()? - worked })
}

/// How long something took, on the clock and on the processors.
#[derive(Clone, Copy)]
struct Took {
    elapsed: Duration,
    worked: Duration,
}

impl fmt::Display for Took {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} s ({:.1} s of a processor)", self.elapsed.as_secs_f64(), self.worked.as_secs_f64())
    }
}

/// What this process and the children that it waited for took of the processors: fields 14 to 17 of its stat, in ticks of
/// 10 ms.
fn processor_time() -> Result<Duration> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit(") ").next().context("fields")?.split_whitespace().skip(11).take(4);
    let ticks: u64 = fields.filter_map(|field| field.parse::<u64>().ok()).sum();
    Ok(Duration::from_millis(ticks * 10))
}

fn count(dir: &Path) -> Result<u64> {
    let mut count = 0;
    for folder in fs::read_dir(dir)? {
        count += u64::try_from(fs::read_dir(folder?.path())?.count())?;
    }
    Ok(count)
}
