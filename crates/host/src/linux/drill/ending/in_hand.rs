//! What a drill has in the hands of its process for a while: a port, or the next process that is to be killed. How it comes to
//! its end before its time, whoever wants it.
//!
//! It knows neither what that is nor how it is done.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
    time::Duration,
};

use rustix::fs::{FlockOperation, flock};

use super::Ended;

/// Longest wait for it to be let go of.
const LET_GO_TIME: Duration = Duration::from_secs(2);

/// A drill that lasts as long as its process has it in its hands, as a port, or the next process that is to be killed. Its note
/// is locked meanwhile: whoever wants its end removes the note, and waits for the lock, which goes with the process as well.
///
/// It is to be dropped after what it is about: the lock that is free says that all of it was let go of.
#[derive(Debug)]
pub struct InHand {
    file: File,
    note: PathBuf,
}

impl InHand {
    /// Takes it: the note is found locked from the first on.
    pub(super) fn take(file: File, new: &Path, note: PathBuf) -> io::Result<Self> {
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        fs::rename(new, &note)?;
        Ok(Self { file, note })
    }

    /// Whether somebody wants its end. It asks for no name, so that it may be asked again and again.
    #[must_use]
    pub fn is_to_end(&self) -> bool {
        self.file.metadata().is_ok_and(|note| note.nlink() == 0)
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        let is_there = self.file.metadata().is_ok_and(|ours| {
            fs::symlink_metadata(&self.note).is_ok_and(|there| (there.dev(), there.ino()) == (ours.dev(), ours.ino()))
        });
        if is_there {
            // A note that stays is of a drill that nobody has in their hands, and removed as such.
            let _ = fs::remove_file(&self.note);
        }
    }
}

/// Has a drill let go of by the process that has it in its hands.
///
/// # Errors
/// When the system refuses, or it is not let go of within two seconds.
pub(super) fn let_go(note: &Path) -> io::Result<Ended> {
    let file = match ansai_files::open(note) {
        Err(error) if error.is_missing() => return Ok(Ended::Nothing),
        file => file.map_err(io::Error::other)?,
    };
    let was_in_hand = !is_free(&file);
    match fs::remove_file(note) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Err(_) | Ok(()) => {}
    }
    if !was_in_hand {
        return Ok(Ended::Nothing);
    }
    let (sender, let_go) = mpsc::sync_channel(1);
    // It is left behind when nobody lets go, and ends with this process.
    thread::spawn(move || {
        // Nobody may be waiting any more.
        let _ = sender.send(flock(&file, FlockOperation::LockExclusive));
    });
    match let_go.recv_timeout(LET_GO_TIME) {
        Ok(locked) => locked.map(|()| Ended::LetGo).map_err(io::Error::from),
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the agent has not let go of it yet")),
    }
}

/// Whether no process has a note in its hands.
pub(super) fn is_free(note: &File) -> bool {
    let is_free = flock(note, FlockOperation::NonBlockingLockExclusive).is_ok();
    if is_free {
        // Who only asks takes nothing.
        let _ = flock(note, FlockOperation::Unlock);
    }
    is_free
}

#[cfg(test)]
mod tests {
    use super::{
        super::{LASTS, Lasting, end_what_is_mended, lasting},
        *,
    };

    #[tokio::test]
    async fn what_is_in_hand_is_let_go_of_when_its_note_is_removed_and_when_its_process_ends() {
        let state = tempfile::tempdir().expect("a folder");
        let lasts = Duration::from_secs(15);
        let in_hand = Lasting::taking("a.service", 80, lasts).keep_in_hand(state.path()).expect("kept");
        let kept = lasting(state.path()).expect("readable").remove(0);
        assert!(!in_hand.is_to_end() && kept.rest() <= lasts);
        end_what_is_mended("a.service", state.path()).await;
        assert_eq!(lasting(state.path()).expect("readable").len(), 1, "it goes on");
        // Whoever wants its end waits for it.
        let holder = std::thread::spawn(move || {
            while !in_hand.is_to_end() {
                std::thread::yield_now();
            }
        });
        assert_eq!(kept.end(state.path()).expect("let go"), Ended::LetGo);
        holder.join().expect("ended");
        assert_eq!(kept.end(state.path()).expect("again"), Ended::Nothing);
        // One who has let go leaves no note, and takes no later drill's.
        let first = Lasting::killing("a.service", lasts).keep_in_hand(state.path()).expect("kept");
        let second = Lasting::killing("a.service", lasts).keep_in_hand(state.path()).expect("kept");
        assert!(first.is_to_end());
        drop(first);
        assert_eq!(lasting(state.path()).expect("readable").len(), 1);
        // Its process ends without a word.
        let InHand { file, note } = &second;
        flock(file, FlockOperation::Unlock).expect("as its end does");
        end_what_is_mended("a.service", state.path()).await;
        assert!(!note.exists());
    }

    #[test]
    fn who_does_not_let_go_is_told() {
        let state = tempfile::tempdir().expect("a folder");
        let drill = Lasting::taking("a.service", 80, LASTS);
        let _in_hand = drill.keep_in_hand(state.path()).expect("kept");
        assert_eq!(drill.end(state.path()).expect_err("it is held still").kind(), io::ErrorKind::TimedOut);
    }
}
