//! Attachments: what is large, changes seldom and is referred to by segments stands in files of its own, each once.
//! They are neither synced nor looked into; a reader asks for the one that a record names.

use std::{
    fs::{self, OpenOptions},
    io::{self, BufWriter, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use flate2::{Compression, write::GzEncoder};
use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

use super::files::{self, Found, Kind};

/// The largest one that is read, as text.
const BYTES_MAX: u64 = 128 << 20;
/// What one is called while it is written.
const BEGUN: &str = "attachment.begun";
/// How much of a digest stands in a name: two that differ are told apart.
const DIGEST_BYTES: usize = 8;

/// The number of the newest attachment among these files, when it holds this.
pub(super) fn newest_is(files: &[Found], digest: &str) -> Option<u64> {
    let newest = files.iter().rfind(|file| !file.is_segment())?;
    // An empty one is what a power cut left of it.
    (newest.kind == Kind::Attachment(digest.to_owned()) && newest.bytes > 0).then_some(newest.number)
}

/// What tells two values apart. The value is written down for it and not kept, so that it takes time but no memory.
pub(super) fn digest(value: &impl Serialize) -> io::Result<String> {
    let mut hash = BufWriter::new(Hash(Sha256::new()));
    serde_json::to_writer(&mut hash, value)?;
    let hash = hash.into_inner().map_err(|error| error.into_error())?.0.finalize();
    Ok(hash.iter().take(DIGEST_BYTES).map(|byte| format!("{byte:02x}")).collect())
}

/// Writes one, compressed, and says how many bytes it takes. It is there whole or not at all, since its name says what it
/// holds.
pub(super) fn write(dir: &Path, number: u64, digest: &str, value: &impl Serialize) -> io::Result<u64> {
    let begun = dir.join(BEGUN);
    let written = write_to(&begun, value)
        .and_then(|bytes| fs::rename(&begun, files::attachment(dir, number, digest)).map(|()| bytes));
    if written.is_err() {
        // What was begun may hold the last blocks of a full disk.
        let _ = fs::remove_file(&begun);
    }
    written
}

fn write_to(path: &Path, value: &impl Serialize) -> io::Result<u64> {
    let file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(path)?;
    let mut packed = BufWriter::new(GzEncoder::new(file, Compression::fast()));
    serde_json::to_writer(&mut packed, value)?;
    let file = packed.into_inner().map_err(|error| error.into_error())?.finish()?;
    // Its name is believed for as long as the configuration stays: it must not be there before its content is.
    file.sync_data()?;
    Ok(file.metadata()?.len())
}

/// Reads the one with this number in a journal's directory.
///
/// # Errors
/// When it is not there, or cannot be read.
pub(super) fn read<T: DeserializeOwned>(dir: &Path, number: u64) -> io::Result<T> {
    let found = files::list(dir).into_iter().find(|file| file.number == number && !file.is_segment());
    let missing = || {
        let what = format!("the file {number:08}-….json.gz that it refers to is not beside it");
        io::Error::new(io::ErrorKind::NotFound, what)
    };
    let file = files::open(&found.ok_or_else(missing)?.path)?;
    Ok(serde_json::from_reader(file.take(BYTES_MAX))?)
}

struct Hash(Sha256);

impl Write for Hash {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
