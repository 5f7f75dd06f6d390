//! What an agent stands on when it starts: its lock and its ledger, and what is to be known when they are not as they
//! should be. Bad luck with the disk keeps it from acting, never from looking and telling.

use std::{
    io::{self, ErrorKind},
    path::Path,
};

use ansai_engine::{
    State,
    state::{Hold, SCOPES_MAX},
};
use ansai_model::policy::Scope;
use ansai_notify::channel::chain;

use crate::{
    clock::{Clock, TimeSource},
    ledger::{FileStore, Ledger, LockError, Predecessor, StateLock, Torn, Trouble},
    warnings::{Topic, Warnings},
};

/// What an agent begins with.
pub(super) struct Ground {
    /// Where the state is saved.
    pub(super) ledger: Ledger<FileStore>,
    /// What it is, with a hold on everything when what was known is lost.
    pub(super) state: State,
    /// The clock that goes on from it.
    pub(super) clock: Clock,
    /// What people are to be told of it, beside the warnings.
    pub(super) plight: Option<String>,
    /// Whose place it takes: it was killed, and has not ended.
    pub(super) predecessor: Option<Predecessor>,
}

impl Ground {
    /// Reads what the agent before this one has left.
    ///
    /// # Errors
    /// When another agent has the directory, or this user may not use it.
    pub(super) fn of(state_dir: &Path, warnings: &Warnings) -> Result<Self, LockError> {
        let lock = match StateLock::take(state_dir) {
            Ok(lock) => Some(lock),
            // It is taken before the first save, for which there must be room as well.
            Err(LockError::Io { path, source }) if is_bad_luck(&source) => {
                tracing::error!("{}: {source}; nothing is done until the state can be saved", path.display());
                None
            }
            Err(error) => return Err(error),
        };
        let predecessor = lock.as_ref().and_then(StateLock::predecessor);
        let (ledger, loaded) = Ledger::load::<State>(FileStore::new(state_dir, lock));
        let mut state = loaded.state.unwrap_or_default();
        let clock = Clock::continuing(TimeSource::system(), state.at, state.boot.as_ref());
        state.boot = clock.boot();
        tell_torn(warnings, &clock, loaded.torn.as_ref(), loaded.generation);
        let plight = loaded.trouble.map(|trouble| {
            let what = in_trouble(&mut state, &clock, &trouble);
            warnings.raise(clock.now().wall, Topic::Ledger, what.clone());
            what
        });
        Ok(Self { ledger, state, clock, plight, predecessor })
    }
}

/// Whether the disk is to blame, and may be better later; a wrong directory or user is not.
fn is_bad_luck(error: &io::Error) -> bool {
    let is_broken = error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error());
    is_broken
        || matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::ReadOnlyFilesystem)
}

/// A save that did not end before the last stop: what it held is lost, and said.
fn tell_torn(warnings: &Warnings, clock: &Clock, torn: Option<&Torn>, generation: u64) {
    let Some(Torn { place, why }) = torn else { return };
    let text = match generation {
        0 => format!("{place}: {why}; it was the first save of all, so nothing that was known is lost"),
        _ => format!("{place}: {why}; the state saved before it was used at the start"),
    };
    warnings.raise(clock.now().wall, Topic::Ledger, text);
}

/// What is to be told when there was a state and it cannot be had. A lost one begins anew under a hold: which services a
/// person had held, and what the budgets had left, is not known, so a person says first that healing may go on.
fn in_trouble(state: &mut State, clock: &Clock, trouble: &Trouble) -> String {
    match trouble {
        Trouble::Lost(_) => {
            let reason = "what was known of incidents, budgets and holds is lost";
            state.holds.truncate(SCOPES_MAX - 1);
            state.holds.push(Hold::new(Scope::All, "ansai".into(), reason.into(), clock.now(), None));
            format!("{trouble}; nothing is done until a person says `ansai release --all`")
        }
        Trouble::Unreadable(_) => format!("{}; nothing is done until then", chain(trouble)),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use ansai_model::time::Now;

    use super::*;
    use crate::{events::Events, ledger::Slot};

    const SLOTS: [&str; 2] = ["ledger.a", "ledger.b"];

    /// A state directory in which so many states were saved, and what a start finds there after this happened to it.
    fn found(saves: u32, happens: impl FnOnce(&Path)) -> (Ground, Vec<String>) {
        let folder = tempfile::tempdir().unwrap();
        {
            let (mut ledger, _) = Ledger::load::<State>(FileStore::new(folder.path(), None));
            for _ in 0..saves {
                ledger.save(&State { at: Now::default(), ..State::default() }).unwrap();
            }
        }
        happens(folder.path());
        let warnings = Warnings::new(Events::new());
        let ground = Ground::of(folder.path(), &warnings).unwrap();
        (ground, warnings.all().iter().map(ToString::to_string).collect())
    }

    fn zeros(path: &Path) {
        let length = usize::try_from(fs::metadata(path).unwrap().len()).unwrap();
        fs::write(path, vec![0; length]).unwrap();
    }

    fn flipped(path: &Path, at: usize) {
        let mut bytes = fs::read(path).unwrap();
        bytes[at] ^= 0xff;
        fs::write(path, bytes).unwrap();
    }

    #[test]
    fn a_first_start_and_one_that_was_cut_short_warn_of_nothing() {
        for (saves, happens) in [
            (0, (|_| {}) as fn(&Path)),
            (0, |dir| SLOTS.iter().for_each(|slot| fs::write(dir.join(slot), "").unwrap())),
            (1, |_| {}),
            (5, |_| {}),
        ] {
            let (ground, warnings) = found(saves, happens);
            assert_eq!((ground.plight, warnings), (None, Vec::new()), "{saves}");
            assert!(ground.state.holds.is_empty());
        }
    }

    #[test]
    fn one_slot_that_is_lost_is_told_however_it_is_lost() {
        for slot in SLOTS {
            type Harm = fn(&Path);
            let harms: [(Harm, &str); 4] = [
                (zeros, "it is empty: what was saved in it is gone"),
                (|path| fs::write(path, "").unwrap(), "it is empty: what was saved in it is gone"),
                (|path| fs::remove_file(path).unwrap(), "it is missing"),
                (|path| flipped(path, 40), "its checksum is wrong"),
            ];
            for (harm, words) in harms {
                let (ground, warnings) = found(5, |dir| harm(&dir.join(slot)));
                assert!(warnings.len() == 1 && warnings[0].contains(words), "{warnings:?}");
                assert!(warnings[0].contains("the state saved before it was used at the start"), "{warnings:?}");
                assert!(ground.plight.is_none() && ground.state.holds.is_empty());
            }
        }
    }

    #[test]
    fn when_both_are_lost_everything_is_held_until_a_person_releases_it_and_people_are_told() {
        let harms: [fn(&Path); 3] = [zeros, |path| fs::remove_file(path).unwrap(), |path| flipped(path, 40)];
        for (one, other) in harms.iter().flat_map(|one| harms.iter().map(move |other| (one, other))) {
            let (mut ground, warnings) = found(5, |dir| {
                one(&dir.join(SLOTS[0]));
                other(&dir.join(SLOTS[1]));
            });
            let told = ground.plight.expect("people are told");
            assert!(told.starts_with("the ledger is lost") && told.contains("`ansai release --all`"), "{told}");
            assert_eq!(warnings, [told]);
            let hold = ground.state.holds.first().expect("a hold");
            assert!(hold.scope == Scope::All && hold.end(ground.clock.now()).is_none(), "{hold:?}");
            ground.ledger.save(&ground.state).unwrap();
        }
    }

    #[test]
    fn a_hold_after_a_loss_outlives_the_next_start() {
        let folder = tempfile::tempdir().unwrap();
        let start = || Ground::of(folder.path(), &Warnings::new(Events::new())).unwrap();
        for _ in 0..3 {
            let mut ground = start();
            ground.ledger.save(&ground.state).unwrap();
        }
        SLOTS.iter().for_each(|slot| zeros(&folder.path().join(slot)));
        let mut ground = start();
        ground.ledger.save(&ground.state).unwrap();
        drop(ground);
        assert_eq!(start().state.holds.len(), 1);
    }

    #[test]
    fn what_cannot_be_read_is_told_and_never_written_over() {
        use rustix::fs::{CWD, FileType, Mode, mknodat};
        type Harm = fn(&Path);
        let newer: Harm = |dir| {
            // A whole frame of format 2.
            let path = dir.join("ledger.a");
            let mut bytes = fs::read(&path).unwrap();
            bytes[8] = 2;
            let length = u32::from_le_bytes(bytes[12..16].try_into().unwrap()) as usize;
            let mut hasher = crc32fast::Hasher::new();
            hasher.update(&bytes[..24]);
            hasher.update(&bytes[28..28 + length]);
            bytes[24..28].copy_from_slice(&hasher.finalize().to_le_bytes());
            fs::write(path, bytes).unwrap();
        };
        let harms: [(Harm, &str); 3] = [
            (newer, "a newer version wrote it, in format 2"),
            (
                |dir| {
                    SLOTS.iter().for_each(|slot| {
                        fs::remove_file(dir.join(slot)).unwrap();
                        fs::create_dir(dir.join(slot)).unwrap();
                    });
                },
                "it is a directory",
            ),
            (
                |dir| {
                    SLOTS.iter().for_each(|slot| {
                        fs::remove_file(dir.join(slot)).unwrap();
                        mknodat(CWD, dir.join(slot), FileType::Fifo, Mode::RUSR, 0).unwrap();
                    });
                },
                "it is a named pipe",
            ),
        ];
        for (harm, words) in harms {
            let (mut ground, warnings) = found(5, harm);
            let told = ground.plight.expect("people are told");
            assert!(told.starts_with("the ledger cannot be read") && told.contains(words), "{told}");
            assert_eq!(warnings, [told]);
            let error = ground.ledger.save(&ground.state).unwrap_err();
            assert!(chain(&error).contains("nothing is saved over a state that cannot be read"), "{}", chain(&error));
        }
    }

    #[test]
    fn one_slot_that_is_a_pipe_leaves_the_other_and_is_not_waited_for() {
        use rustix::fs::{CWD, FileType, Mode, mknodat};
        let (mut ground, warnings) = found(5, |dir| {
            fs::remove_file(dir.join("ledger.a")).unwrap();
            mknodat(CWD, dir.join("ledger.a"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        });
        assert!(warnings[0].contains("ledger.a: it cannot be read: it is a named pipe"), "{warnings:?}");
        assert!(ground.plight.is_none());
        ground.ledger.save(&ground.state).unwrap_err();
        assert!(Slot::ALL.len() == 2);
    }
}
