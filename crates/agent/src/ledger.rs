//! The ledger: the engine's durable state, saved before anything is done that the state knows of.
//!
//! Two slots are written in turn, each a whole state with its generation and checksum: a crash at any moment tears at
//! most the slot that is older anyway, and the other one still holds the state before it. What the state means is the
//! engine's; to the ledger it is a value that can be written down.

use std::io;

use serde::{Serialize, de::DeserializeOwned};
use thiserror::Error;

mod file;
mod frame;
mod lock;
mod memory;

pub use file::FileStore;
use frame::{Decoded, decode, encode};
pub use lock::{LockError, StateLock};
pub use memory::{Fault, MemoryStore};

/// One of the two places that are written in turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Slot {
    /// `ledger.a`
    A,
    /// `ledger.b`
    B,
}

impl Slot {
    /// Both, in order.
    pub const ALL: [Self; 2] = [Self::A, Self::B];

    /// The other one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

/// Where the two slots are kept.
pub trait Store: Send {
    /// The bytes of a slot; none when it was never made. Bytes after the frame are ignored by the reader.
    ///
    /// # Errors
    /// When it is there and cannot be read, or is larger than any slot may be.
    fn read(&mut self, slot: Slot) -> io::Result<Option<Vec<u8>>>;

    /// Makes both slots, empty, where they are missing.
    ///
    /// # Errors
    /// When they cannot be made.
    fn prepare(&mut self) -> io::Result<()>;

    /// Writes a frame to the start of a slot; it is durable when this returns.
    ///
    /// # Errors
    /// When it may not be durable; the slot is then torn, and the other one untouched.
    fn write(&mut self, slot: Slot, frame: &[u8]) -> io::Result<()>;

    /// The place of a slot, for messages.
    fn place(&self, slot: Slot) -> String;
}

/// What a start found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded<T> {
    /// The last state saved; none on a fresh host.
    pub state: Option<T>,
    /// Why the other slot could not be used, when it could not: a save did not end. To be told and logged.
    pub torn: Option<Torn>,
    /// The generation of the state, 0 when there is none.
    pub generation: u64,
}

/// A slot that is not whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Torn {
    /// Where it is.
    pub place: String,
    /// What is wrong with it.
    pub why: String,
}

/// Why no state could be loaded.
#[derive(Debug, Error)]
pub enum LoadError {
    /// There was a state and none is whole; nothing may be concluded from that.
    #[error(
        "no whole ledger: {first}: {first_why}; {second}: {second_why}; put a copy back, or move both files away to \
         start without memory of incidents, budgets and holds"
    )]
    NoneWhole {
        /// Place of the first slot.
        first: String,
        /// What is wrong with it.
        first_why: String,
        /// Place of the second slot.
        second: String,
        /// What is wrong with it.
        second_why: String,
    },
    /// A whole slot holds what this version cannot read.
    #[error("{place}: the state in it cannot be read by this version; upgrade again, or move it away")]
    Unreadable {
        /// Where.
        place: String,
        /// What the reader said.
        #[source]
        source: serde_json::Error,
    },
    /// The slots cannot be made.
    #[error("{place}: the ledger cannot be prepared; free space, or choose another place with --state-dir")]
    Prepare {
        /// Where.
        place: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Why a state could not be saved. Until one can be, nothing may be done.
#[derive(Debug, Error)]
pub enum SaveError {
    /// The state could not be written down.
    #[error("the state cannot be written down")]
    Encode(#[source] serde_json::Error),
    /// The state is larger than any ledger may be.
    #[error("the state has {bytes} bytes, more than the {} that a ledger holds", PAYLOAD_BYTES_MAX)]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// The slot could not be written.
    #[error("{place}: not saved")]
    Write {
        /// Where.
        place: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Largest state, written down.
pub const PAYLOAD_BYTES_MAX: usize = 8 << 20;

/// A state that is saved again and again.
#[derive(Debug)]
pub struct Ledger<S> {
    store: S,
    generation: u64,
    next: Slot,
    buffer: Vec<u8>,
}

impl<S: Store> Ledger<S> {
    /// Reads the newest whole state, and makes the slots where they are missing.
    ///
    /// # Errors
    /// When there was a state and it cannot be had back: never silently empty.
    pub fn load<T: DeserializeOwned>(mut store: S) -> Result<(Self, Loaded<T>), LoadError> {
        let [a, b] = Slot::ALL.map(|slot| match store.read(slot) {
            Ok(None) => Decoded::Missing,
            Ok(Some(bytes)) => decode(&bytes),
            Err(error) => Decoded::Torn(error.to_string()),
        });
        store.prepare().map_err(|source| LoadError::Prepare { place: store.place(Slot::A), source })?;
        let (newest, torn) = choose(&store, a, b)?;
        let Some((slot, generation, payload)) = newest else {
            let ledger = Self { store, generation: 0, next: Slot::A, buffer: Vec::new() };
            return Ok((ledger, Loaded { state: None, torn, generation: 0 }));
        };
        let state = serde_json::from_slice(&payload)
            .map_err(|source| LoadError::Unreadable { place: store.place(slot), source })?;
        let ledger = Self { store, generation, next: slot.other(), buffer: Vec::new() };
        Ok((ledger, Loaded { state: Some(state), torn, generation }))
    }

    /// Saves a state; it is durable when this returns. After an error the state before it is still there, and the next
    /// save tries the same slot again.
    ///
    /// # Errors
    /// When it may not be durable.
    pub fn save<T: Serialize>(&mut self, state: &T) -> Result<u64, SaveError> {
        // Each try has its own generation: one that failed may have reached the disk after all.
        self.generation = self.generation.saturating_add(1);
        encode(&mut self.buffer, self.generation, state)?;
        self.store
            .write(self.next, &self.buffer)
            .map_err(|source| SaveError::Write { place: self.store.place(self.next), source })?;
        self.next = self.next.other();
        Ok(self.generation)
    }

    /// The bytes of the last frame saved.
    #[must_use]
    pub fn frame_bytes(&self) -> usize {
        self.buffer.len()
    }

    /// Gives back memory that large states took.
    pub fn shrink(&mut self) {
        self.buffer = Vec::new();
    }

    /// The store, for a simulator that injects faults.
    pub fn store_mut(&mut self) -> &mut S {
        &mut self.store
    }

    /// The store back, as it is left by a process that ends.
    #[must_use]
    pub fn into_store(self) -> S {
        self.store
    }
}

type Newest = Option<(Slot, u64, Vec<u8>)>;

/// Which slot counts. An empty slot was made and never written, a missing one was never made or has been removed.
fn choose<S: Store>(store: &S, a: Decoded, b: Decoded) -> Result<(Newest, Option<Torn>), LoadError> {
    let torn = |slot, why| Some(Torn { place: store.place(slot), why });
    match (a, b) {
        (Decoded::Whole(a_generation, a), Decoded::Whole(b_generation, b)) => {
            let a_is_newer = a_generation > b_generation;
            let newest = if a_is_newer { (Slot::A, a_generation, a) } else { (Slot::B, b_generation, b) };
            Ok((Some(newest), None))
        }
        (Decoded::Whole(generation, a), Decoded::Empty) => Ok((Some((Slot::A, generation, a)), None)),
        (Decoded::Empty, Decoded::Whole(generation, b)) => Ok((Some((Slot::B, generation, b)), None)),
        (Decoded::Whole(generation, a), Decoded::Missing) => {
            Ok((Some((Slot::A, generation, a)), torn(Slot::B, "it is missing".into())))
        }
        (Decoded::Missing, Decoded::Whole(generation, b)) => {
            Ok((Some((Slot::B, generation, b)), torn(Slot::A, "it is missing".into())))
        }
        (Decoded::Whole(generation, a), Decoded::Torn(why)) => Ok((Some((Slot::A, generation, a)), torn(Slot::B, why))),
        (Decoded::Torn(why), Decoded::Whole(generation, b)) => Ok((Some((Slot::B, generation, b)), torn(Slot::A, why))),
        // The first save of all did not end: nothing was acknowledged, so nothing is lost.
        (Decoded::Torn(why), Decoded::Empty) => Ok((None, torn(Slot::A, why))),
        (Decoded::Missing | Decoded::Empty, Decoded::Missing | Decoded::Empty) => Ok((None, None)),
        (a @ (Decoded::Torn(_) | Decoded::Missing | Decoded::Empty), b @ (Decoded::Torn(_) | Decoded::Missing)) => {
            Err(LoadError::NoneWhole {
                first: store.place(Slot::A),
                first_why: a.why(),
                second: store.place(Slot::B),
                second_why: b.why(),
            })
        }
    }
}

#[cfg(test)]
mod tests;
