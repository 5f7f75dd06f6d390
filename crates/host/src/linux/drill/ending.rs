//! How a drill ends by itself: what it stopped goes on and what it broke is put back when its time is over, whatever became
//! of the agent meanwhile. What is to be undone is on the disk before it is done.
//!
//! A process is known by its start and the boot of the host, and reached by a pidfd; nobody else's is woken. What only the
//! process that drills has in its hands, as a port, it gives back when its note is gone: see [`InHand`].

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use ansai_model::{operator::DrillKind, text::Text, time::WallTime};
use rustix::process::{Pid, Signal, pidfd_send_signal};
use serde::{Deserialize, Serialize};

use super::{Remains, remains, undo};
use crate::linux::{
    aside::{self, Kind, Work},
    clock::wall_now,
    pid_file::held,
};

mod in_hand;
mod process;

pub use in_hand::InHand;
use in_hand::{is_free, let_go};
pub use process::Process;
pub(crate) use process::stopped_already;

/// How long a drill lasts whose doing would stay: what follows within this time counts as its doing as well.
pub const LASTS: Duration = Duration::from_secs(120);
/// The same where an agent stops, whose own time is short; what takes longer is left to the next one.
const LAST_TIME: Duration = Duration::from_secs(3);
/// Longest that its end may take.
const END_TIME: Duration = Duration::from_secs(10);
/// Of the note on one drill.
const BYTES_MAX: u64 = 64 * 1024;
/// Most notes that are read.
const NOTES_MAX: usize = 256;
const FOLDER: &str = "drills";
/// Below it, of drills that are over.
const ENDED: &str = "ended";

/// A drill that has not ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lasting {
    /// In which unit.
    pub unit: String,
    /// When it ends by itself.
    pub until: WallTime,
    /// What it has done.
    pub done: Done,
}

/// What a drill has done that would stay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Done {
    /// A process was stopped.
    Stopped {
        /// The number of the process.
        pid: i32,
        /// When it began, in the kernel's ticks since the boot.
        started: u64,
        /// The boot in which it was written.
        boot: String,
    },
    /// A file was broken.
    Broken {
        /// The path of the file.
        path: PathBuf,
    },
    /// A port is held, by the process that drills.
    Taken {
        /// The number of the port.
        port: u16,
    },
    /// What comes back is killed, by the process that drills.
    Kills,
}

/// What became of a drill that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// A stopped process goes on.
    Resumed,
    /// A file is as it was.
    PutBack,
    /// The broken line is out of a file that somebody has changed since.
    TakenOut,
    /// The process that had it in its hands has let go of it.
    LetGo,
    /// Nothing was left of it but its traces.
    Nothing,
}

impl Lasting {
    /// A drill that is about to stop a process of a unit; nothing when that has just ended.
    #[must_use]
    pub fn stopping(unit: &str, pid: Pid) -> Option<Self> {
        let identity = held(pid).ok()?.identity;
        let done = Done::Stopped { pid: identity.pid.as_raw_nonzero().get(), started: identity.started, boot: boot()? };
        Some(Self::new(unit, done, LASTS))
    }

    /// A drill that is about to break a file of a unit.
    #[must_use]
    pub fn breaking(unit: &str, path: PathBuf) -> Self {
        Self::new(unit, Done::Broken { path }, LASTS)
    }

    /// A drill that is about to take a unit's port, for so long.
    #[must_use]
    pub fn taking(unit: &str, port: u16, lasts: Duration) -> Self {
        Self::new(unit, Done::Taken { port }, lasts)
    }

    /// A drill that is about to kill a unit again and again, for so long at most.
    #[must_use]
    pub fn killing(unit: &str, lasts: Duration) -> Self {
        Self::new(unit, Done::Kills, lasts)
    }

    fn new(unit: &str, done: Done, lasts: Duration) -> Self {
        Self { unit: unit.to_owned(), until: wall_now().plus(lasts), done }
    }

    /// The process that it stopped, and what is left of that; nothing when it stopped none.
    #[must_use]
    pub fn process(&self) -> Option<(i32, Process)> {
        match &self.done {
            Done::Stopped { pid, started, boot } => Some((*pid, Process::of(*pid, *started, boot))),
            Done::Broken { .. } | Done::Taken { .. } | Done::Kills => None,
        }
    }

    /// Whether the process that it stopped has ended, as one that was restarted has: then nothing is left of it.
    #[must_use]
    pub fn has_gone(&self) -> bool {
        matches!(self.process(), Some((_, Process::Ended)))
    }

    /// How long it still lasts; never longer than any drill, whatever the clock was set to.
    #[must_use]
    pub fn rest(&self) -> Duration {
        self.until.since(wall_now()).min(LASTS)
    }

    /// Which kind of drill it is.
    #[must_use]
    pub fn kind(&self) -> DrillKind {
        match self.done {
            Done::Stopped { .. } => DrillKind::Hang,
            Done::Broken { .. } => DrillKind::Configuration,
            Done::Taken { .. } => DrillKind::Port,
            Done::Kills => DrillKind::Loop,
        }
    }

    fn note(&self, state_dir: &Path) -> PathBuf {
        state_dir.join(FOLDER).join(format!("{}.{}", self.unit, self.kind().as_str()))
    }

    /// Keeps on the disk what is to be undone.
    ///
    /// # Errors
    /// When it cannot be kept: then it is not to be done.
    pub fn keep(&self, state_dir: &Path) -> io::Result<()> {
        let (new, _) = self.written(state_dir)?;
        fs::rename(new, self.note(state_dir))
    }

    /// Keeps on the disk what this process is about to have in its hands.
    ///
    /// # Errors
    /// When it cannot be kept: then it is not to be done.
    pub fn keep_in_hand(&self, state_dir: &Path) -> io::Result<InHand> {
        let (new, file) = self.written(state_dir)?;
        InHand::take(file, &new, self.note(state_dir))
    }

    /// Writes it where no one looks for it yet.
    fn written(&self, state_dir: &Path) -> io::Result<(PathBuf, File)> {
        let folder = state_dir.join(FOLDER);
        fs::create_dir_all(&folder)?;
        let new = folder.join(".new");
        // What an earlier try left there may be locked: it is another file.
        let _ = fs::remove_file(&new);
        let mut file = File::create_new(&new)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.sync_all()?;
        Ok((new, file))
    }

    /// Ends it: wakes what it stopped, puts back what it broke, or takes its line out of what was changed since, and waits up
    /// to two seconds for what a process has in its hands.
    ///
    /// # Errors
    /// When the system refuses, or that process does not let go; the note of what is on the disk stays, so that it is tried
    /// again.
    pub fn end(&self, state_dir: &Path) -> io::Result<Ended> {
        let ended = match &self.done {
            Done::Stopped { pid, started, boot } => match resume(*pid, *started, boot)? {
                true => Ended::Resumed,
                false => Ended::Nothing,
            },
            Done::Broken { path } => match undo(path)? {
                Remains::Broken => Ended::PutBack,
                Remains::Edited => Ended::TakenOut,
                Remains::Copy | Remains::Mended | Remains::Nothing => Ended::Nothing,
                // These are refused above, with why.
                Remains::Entangled | Remains::Gone => Ended::Nothing,
            },
            Done::Taken { .. } | Done::Kills => return let_go(&self.note(state_dir)),
        };
        let note = self.note(state_dir);
        let gone = match &self.done {
            Done::Broken { .. } => self.is_over(state_dir, &note),
            Done::Stopped { .. } | Done::Taken { .. } | Done::Kills => fs::remove_file(&note),
        };
        match gone {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Err(_) | Ok(()) => Ok(ended),
        }
    }

    /// Puts the note on a file that was broken aside, where the next drill in its unit replaces it: by it is known what stood in
    /// the file when its validator complained.
    fn is_over(&self, state_dir: &Path, note: &Path) -> io::Result<()> {
        let folder = state_dir.join(FOLDER).join(ENDED);
        fs::create_dir_all(&folder)?;
        fs::rename(note, folder.join(note.file_name().unwrap_or_default()))
    }

    /// Waits until its time is over, and ends it, unless a later drill of its kind has taken its place. One whose doing is
    /// mended already, as when the agent was stopped in between, is ended at once. What was taken back, in words.
    pub(crate) async fn end_in_time(self, state_dir: PathBuf) -> Option<Text> {
        end_what_is_mended(&self.unit, &state_dir).await;
        tokio::time::sleep(self.rest()).await;
        self.end_now(state_dir, END_TIME).await
    }

    /// Ends it now, since it has not come about.
    ///
    /// # Errors
    /// What is left of it, and why; its note stays, so that it is tried again when its time is over.
    pub(crate) async fn call_off(&self, state_dir: &Path) -> Result<(), String> {
        let work = Work::new(Kind::Act, format!("the end of the drill in {}", self.unit));
        let (drill, state_dir) = (self.clone(), state_dir.to_owned());
        let ended = aside::run(work, END_TIME, move || drill.end(&state_dir)).await;
        ended.map_err(|late| late.to_string())?.map(drop).map_err(|error| error.to_string())
    }

    /// What of it is taken back, in words.
    fn taken_back(&self, ended: Ended) -> Option<Text> {
        match (ended, &self.done) {
            (Ended::Nothing, _) => None,
            (Ended::Resumed, Done::Stopped { pid, .. }) => Some(Text::new(format!("process {pid} goes on"))),
            (Ended::PutBack, Done::Broken { path }) => Some(Text::new(format!("{} is as it was", path.display()))),
            (Ended::TakenOut, Done::Broken { path }) => {
                Some(Text::new(format!("the drill's line is out of {}, which has been changed since", path.display())))
            }
            // Whoever had it in their hands says so.
            (Ended::Resumed | Ended::PutBack | Ended::TakenOut | Ended::LetGo, _) => None,
        }
    }

    /// Whether nothing is left of it but its traces: somebody, or a remedy, has put the file right, or the process that had it
    /// in its hands has ended.
    fn is_mended(&self, state_dir: &Path) -> bool {
        match &self.done {
            Done::Stopped { .. } => false,
            Done::Broken { path } => matches!(remains(path), Ok(Remains::Copy | Remains::Mended)),
            Done::Taken { .. } | Done::Kills => {
                ansai_files::open(&self.note(state_dir)).is_ok_and(|note| is_free(&note))
            }
        }
    }

    async fn end_now(self, state_dir: PathBuf, within: Duration) -> Option<Text> {
        let (unit, drill) = (self.unit.clone(), self.clone());
        let work = Work::new(Kind::Act, format!("the end of the drill in {unit}"));
        let ends = move || {
            let is_the_last = read(&self.note(&state_dir)).is_some_and(|kept| kept == self);
            if is_the_last { self.end(&state_dir) } else { Ok(Ended::Nothing) }
        };
        let ended = match aside::run(work, within, ends).await {
            Ok(ended) => ended.map_err(|error| error.to_string()),
            Err(late) => Err(late.to_string()),
        };
        // `ansai doctor` says it as well, as long as the note is there.
        match ended {
            Ok(ended) => {
                let taken_back = drill.taken_back(ended);
                if let Some(what) = &taken_back {
                    tracing::info!("the drill in {unit} is over: {what}");
                }
                taken_back
            }
            Err(why) => {
                tracing::warn!("the drill in {unit} could not be undone: {why}");
                None
            }
        }
    }
}

/// Ends the drills in a unit whose doing was mended: what they left beside a file is taken away with its incident.
pub(crate) async fn end_what_is_mended(unit: &str, state_dir: &Path) {
    let (work, asked) = (Work::new(Kind::Own, "the notes on drills"), state_dir.to_owned());
    let unit = unit.to_owned();
    let found = move || {
        let is_over = |drill: &Lasting| drill.unit == unit && drill.is_mended(&asked);
        lasting(&asked).map(|drills| drills.into_iter().filter(is_over).collect::<Vec<_>>())
    };
    // What cannot be looked for now is ended when its time is over.
    for drill in aside::run(work, END_TIME, found).await.ok().and_then(Result::ok).unwrap_or_default() {
        drill.end_now(state_dir.to_owned(), END_TIME).await;
    }
}

/// Whether a drill that is over by now had broken this file at a time.
#[must_use]
pub(crate) fn had_broken(state_dir: &Path, file: &Path, at: WallTime) -> bool {
    let notes = fs::read_dir(state_dir.join(FOLDER).join(ENDED)).into_iter().flatten().flatten().take(NOTES_MAX);
    let is_meant = |drill: &Lasting| {
        let Done::Broken { path } = &drill.done else { return false };
        let is_then = at < drill.until && drill.until.since(at) <= LASTS;
        is_then && (path == file || fs::canonicalize(path).is_ok_and(|path| path == file))
    };
    notes.filter_map(|note| read(&note.path())).any(|drill| is_meant(&drill))
}

/// The drills that have not ended, by their notes.
///
/// # Errors
/// When the folder may not be read.
pub fn lasting(state_dir: &Path) -> io::Result<Vec<Lasting>> {
    let entries = match fs::read_dir(state_dir.join(FOLDER)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    Ok(entries.flatten().take(NOTES_MAX).filter_map(|entry| read(&entry.path())).collect())
}

/// Ends all drills now, whatever their time: an agent that stops sees to none later, and the next may never come.
pub(crate) async fn end_all(state_dir: &Path) {
    let (work, asked) = (Work::new(Kind::Own, "the notes on drills"), state_dir.to_owned());
    match aside::run(work, LAST_TIME, move || lasting(&asked)).await {
        Ok(Ok(drills)) => {
            let ends = drills.into_iter().map(|drill| drill.end_now(state_dir.to_owned(), LAST_TIME));
            futures_util::future::join_all(ends).await;
        }
        Ok(Err(error)) => tracing::warn!("drills that have not ended cannot be looked for: {error}"),
        Err(late) => tracing::warn!("drills that have not ended cannot be looked for: {late}"),
    }
}

fn read(note: &Path) -> Option<Lasting> {
    serde_json::from_str(&ansai_files::head_text(note, BYTES_MAX).ok()?).ok()
}

/// Wakes a process, when it is the one that was meant; says whether it was there.
fn resume(pid: i32, started: u64, when: &str) -> io::Result<bool> {
    let Some(pid) = Pid::from_raw(pid).filter(|_| boot().as_deref() == Some(when)) else { return Ok(false) };
    // Held first, then looked at: the number cannot come to mean another process in between.
    let Ok(named) = held(pid) else { return Ok(false) };
    if named.identity.started != started {
        return Ok(false);
    }
    match pidfd_send_signal(&named.fd, Signal::CONT) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::SRCH) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn boot() -> Option<String> {
    let text = ansai_files::head_text(Path::new("/proc/sys/kernel/random/boot_id"), 64).ok()?;
    Some(text.trim().to_owned())
}

#[cfg(test)]
mod tests;
