//! How a state lies in a slot: magic, format version, length, generation, checksum, and the state as JSON.
//! All numbers are little-endian; bytes after the frame are what an older, longer frame left there.

use serde::Serialize;

use super::{PAYLOAD_BYTES_MAX, SaveError};

const MAGIC: [u8; 8] = *b"ansaildg";
const VERSION: u32 = 1;
/// Magic, version, length, generation, checksum.
pub(super) const HEADER_BYTES: usize = 8 + 4 + 4 + 8 + 4;
/// The checksum covers the header before it, and the payload.
const CHECKSUM_AT: usize = HEADER_BYTES - 4;

/// What a slot holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decoded {
    /// It is not there.
    Missing,
    /// It was made and never written, or what was written is gone.
    Empty,
    /// A generation and its state.
    Whole(u64, Vec<u8>),
    /// Something that is not a whole frame, with the reason.
    Torn(String),
    /// A whole frame of a format that came after this version.
    Newer(u32),
    /// It is there and the system does not give it, with the reason.
    Denied(String),
}

impl Decoded {
    /// What is wrong with it, in words.
    pub(super) fn why(&self) -> String {
        match self {
            Self::Missing => "it is missing".into(),
            Self::Empty => "it is empty: what was saved in it is gone".into(),
            Self::Whole(..) => "it is whole".into(),
            Self::Torn(why) => why.clone(),
            Self::Newer(version) => {
                format!("a newer version wrote it, in format {version}, and this one reads format {VERSION}")
            }
            Self::Denied(why) => format!("it cannot be read: {why}"),
        }
    }
}

/// Makes the frame of a state in `buffer`, whose memory is used again.
pub(super) fn encode<T: Serialize>(buffer: &mut Vec<u8>, generation: u64, state: &T) -> Result<(), SaveError> {
    buffer.clear();
    buffer.resize(HEADER_BYTES, 0);
    serde_json::to_writer(&mut *buffer, state).map_err(SaveError::Encode)?;
    let bytes = buffer.len() - HEADER_BYTES;
    let length = u32::try_from(bytes).ok().filter(|_| bytes <= PAYLOAD_BYTES_MAX);
    let Some(length) = length else { return Err(SaveError::TooLarge { bytes }) };
    buffer[..8].copy_from_slice(&MAGIC);
    buffer[8..12].copy_from_slice(&VERSION.to_le_bytes());
    buffer[12..16].copy_from_slice(&length.to_le_bytes());
    buffer[16..24].copy_from_slice(&generation.to_le_bytes());
    let checksum = checksum(&buffer[..CHECKSUM_AT], &buffer[HEADER_BYTES..]);
    buffer[CHECKSUM_AT..HEADER_BYTES].copy_from_slice(&checksum.to_le_bytes());
    Ok(())
}

/// Reads a slot; never panics, whatever is in it.
pub(super) fn decode(bytes: &[u8]) -> Decoded {
    let header = &bytes[..bytes.len().min(HEADER_BYTES)];
    if header.iter().all(|byte| *byte == 0) {
        return Decoded::Empty;
    }
    if header.len() < HEADER_BYTES {
        return Decoded::Torn(format!("it ends after {} bytes, within its header", bytes.len()));
    }
    if header[..8] != MAGIC {
        return Decoded::Torn("it does not begin as a ledger does".into());
    }
    let version = u32_at(header, 8);
    let length = u32_at(header, 12) as usize;
    let Some(payload) = bytes.get(HEADER_BYTES..HEADER_BYTES.saturating_add(length)) else {
        return Decoded::Torn(format!("it ends before the {length} bytes of its state"));
    };
    if checksum(&header[..CHECKSUM_AT], payload) != u32_at(header, CHECKSUM_AT) {
        return Decoded::Torn("its checksum is wrong: a save did not end".into());
    }
    // The header and its checksum stay as they are in every format, so that a newer one is told from a torn one.
    match version {
        VERSION => {}
        newer if newer > VERSION => return Decoded::Newer(newer),
        _ => return Decoded::Torn(format!("it has format {version}, and this version reads format {VERSION}")),
    }
    let (low, high) = (u32_at(header, 16), u32_at(header, 20));
    Decoded::Whole(u64::from(high) << 32 | u64::from(low), payload.to_vec())
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes[at..at + 4].iter().rev().fold(0, |number, byte| number << 8 | u32::from(*byte))
}

fn checksum(header: &[u8], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(header);
    hasher.update(payload);
    hasher.finalize()
}
