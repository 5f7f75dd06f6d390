//! The two slots as files of a state directory.
//!
//! A slot is overwritten in place: its blocks are there already, so a save is one write and one `fdatasync`, needs no
//! change of metadata, and works on a full disk as long as the state does not outgrow the slot.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use ansai_files::Kind;
use ansai_notify::{
    channel::chain,
    durable::{create_private_dir, sync_dir},
};
use rustix::fs::OFlags;

use super::{PAYLOAD_BYTES_MAX, Slot, StateLock, Store, frame::HEADER_BYTES};

/// The size of a new slot, and the step by which it grows, so that growing is rare.
const STEP_BYTES: usize = 256 << 10;
const SLOT_BYTES_MAX: usize = (HEADER_BYTES + PAYLOAD_BYTES_MAX).next_multiple_of(STEP_BYTES);

/// Whose presence says that both slots have held a state.
const MARK: &str = "ledger.used";

/// `ledger.a` and `ledger.b` in a directory.
#[derive(Debug)]
pub struct FileStore {
    dir: PathBuf,
    /// Held before anything is written.
    lock: Option<StateLock>,
    slots: [Option<OpenSlot>; 2],
    is_marked: bool,
}

#[derive(Debug)]
struct OpenSlot {
    file: File,
    length: usize,
    /// Device and inode, by which its name is known to lead to it still.
    identity: (u64, u64),
    /// Whether its name is durable.
    is_named: bool,
}

impl FileStore {
    /// The slots in `dir`, whose lock this is. Without one it is taken before the first write: where there was no room for
    /// it, there may be then.
    #[must_use]
    pub fn new(dir: &Path, lock: Option<StateLock>) -> Self {
        Self { dir: dir.to_owned(), lock, slots: [None, None], is_marked: false }
    }

    fn path(&self, slot: Slot) -> PathBuf {
        self.dir.join(match slot {
            Slot::A => "ledger.a",
            Slot::B => "ledger.b",
        })
    }

    /// The open file of a slot. Somebody may have removed the directory, or put another one in its place: what would be
    /// written into files without a name is no ledger, so all of it is made anew then, the lock included.
    fn slot(&mut self, slot: Slot) -> io::Result<&mut OpenSlot> {
        let path = self.path(slot);
        let named = std::fs::metadata(&path).ok().map(|meta| (meta.dev(), meta.ino()));
        if self.slots[slot as usize].as_ref().is_some_and(|open| Some(open.identity) != named) {
            (self.slots, self.lock, self.is_marked) = ([None, None], None, false);
        }
        if self.lock.is_none() {
            self.lock = Some(StateLock::take(&self.dir).map_err(|error| io::Error::other(chain(&error)))?);
        }
        match &mut self.slots[slot as usize] {
            Some(open) => Ok(open),
            none => Ok(none.insert(OpenSlot::new(&path)?)),
        }
    }
}

impl OpenSlot {
    fn new(path: &Path) -> io::Result<Self> {
        let file = made(path)?;
        let meta = file.metadata()?;
        if let Some(kind) = Kind::of(meta.file_type()) {
            return Err(io::Error::other(format!("it is {kind}; move it away, and it is made anew")));
        }
        let length = usize::try_from(meta.len()).map_err(io::Error::other)?;
        Ok(Self { file, length, identity: (meta.dev(), meta.ino()), is_named: false })
    }
}

/// A file to be written, made when it is missing. Somebody's pipe at its place must not keep the agent waiting.
fn made(path: &Path) -> io::Result<File> {
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).custom_flags(flags).open(path)
}

/// Makes a slot at least `bytes` long. Zeros are written, not only reserved: a block that was never written costs a
/// change of metadata at the first save.
fn grow(file: &File, length: &mut usize, bytes: usize) -> io::Result<()> {
    if *length >= bytes {
        return Ok(());
    }
    let wanted = bytes.next_multiple_of(STEP_BYTES).min(SLOT_BYTES_MAX);
    let zeros = [0; 64 << 10];
    let mut at = *length;
    while at < wanted {
        let part = (wanted - at).min(zeros.len());
        file.write_all_at(&zeros[..part], at as u64)?;
        at += part;
    }
    file.sync_all()?;
    *length = wanted;
    Ok(())
}

impl Store for FileStore {
    fn read(&mut self, slot: Slot) -> io::Result<Option<Vec<u8>>> {
        match ansai_files::bytes(&self.path(slot), SLOT_BYTES_MAX as u64) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn prepare(&mut self) -> io::Result<()> {
        create_private_dir(&self.dir)?;
        for slot in Slot::ALL {
            let OpenSlot { file, length, .. } = self.slot(slot)?;
            grow(file, length, STEP_BYTES)?;
        }
        sync_dir(&self.dir)
    }

    fn write(&mut self, slot: Slot, frame: &[u8]) -> io::Result<()> {
        let dir = self.dir.clone();
        let OpenSlot { file, length, is_named, .. } = self.slot(slot)?;
        grow(file, length, frame.len())?;
        file.write_all_at(frame, 0)?;
        file.sync_data()?;
        if !*is_named {
            sync_dir(&dir)?;
            *is_named = true;
        }
        Ok(())
    }

    fn was_used(&mut self) -> bool {
        let mark = std::fs::symlink_metadata(self.dir.join(MARK));
        self.is_marked = mark.is_ok();
        mark.map_or_else(
            |error| !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory),
            |_| true,
        )
    }

    fn mark_used(&mut self) {
        if !self.is_marked {
            self.is_marked = made(&self.dir.join(MARK)).and_then(|_| sync_dir(&self.dir)).is_ok();
        }
    }

    fn place(&self, slot: Slot) -> String {
        self.path(slot).display().to_string()
    }
}
