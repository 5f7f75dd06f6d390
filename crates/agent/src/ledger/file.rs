//! The two slots as files of a state directory.
//!
//! A slot is overwritten in place: its blocks are there already, so a save is one write and one `fdatasync`, needs no
//! change of metadata, and works on a full disk as long as the state does not outgrow the slot.

use std::{
    fs::{File, OpenOptions},
    io::{self, ErrorKind},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use super::{PAYLOAD_BYTES_MAX, Slot, Store, frame::HEADER_BYTES};
use crate::durable::{create_private_dir, read_bounded, sync_dir};

/// The size of a new slot, and the step by which it grows, so that growing is rare.
const STEP_BYTES: usize = 256 << 10;
const SLOT_BYTES_MAX: usize = (HEADER_BYTES + PAYLOAD_BYTES_MAX).next_multiple_of(STEP_BYTES);

/// `ledger.a` and `ledger.b` in a directory.
#[derive(Debug)]
pub struct FileStore {
    dir: PathBuf,
    files: [Option<(File, usize)>; 2],
}

impl FileStore {
    /// The slots in `dir`, which is made when it is missing. Hold the directory's [`super::StateLock`] first.
    ///
    /// # Errors
    /// When the directory cannot be made.
    pub fn open(dir: &Path) -> io::Result<Self> {
        create_private_dir(dir)?;
        Ok(Self { dir: dir.to_owned(), files: [None, None] })
    }

    fn path(&self, slot: Slot) -> PathBuf {
        self.dir.join(match slot {
            Slot::A => "ledger.a",
            Slot::B => "ledger.b",
        })
    }

    /// The open file of a slot with its length.
    fn file(&mut self, slot: Slot) -> io::Result<&mut (File, usize)> {
        let path = self.path(slot);
        let entry = &mut self.files[slot as usize];
        if let Some(open) = entry {
            return Ok(open);
        }
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
        let bytes = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
        Ok(entry.insert((file, bytes)))
    }
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
        match read_bounded(&self.path(slot), SLOT_BYTES_MAX as u64) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn prepare(&mut self) -> io::Result<()> {
        for slot in Slot::ALL {
            let (file, length) = self.file(slot)?;
            grow(file, length, STEP_BYTES)?;
        }
        sync_dir(&self.dir)
    }

    fn write(&mut self, slot: Slot, frame: &[u8]) -> io::Result<()> {
        let (file, length) = self.file(slot)?;
        grow(file, length, frame.len())?;
        file.write_all_at(frame, 0)?;
        file.sync_data()
    }

    fn place(&self, slot: Slot) -> String {
        self.path(slot).display().to_string()
    }
}
