//! The ledger: the engine's durable state, saved before anything is done that the state knows of.
//!
//! Two slots are written in turn, each a whole state with its generation and checksum: a crash at any moment tears at
//! most the slot that is older anyway, and the other one still holds the state before it. A mark beside them says that both
//! have held a state, so that a first start is told from a loss. What the state means is the engine's; to the ledger it is
//! a value that can be written down.

use std::io;

use serde::{Serialize, de::DeserializeOwned};
use thiserror::Error;

mod file;
mod frame;
mod lock;
mod volatile;

pub use file::FileStore;
use frame::{Decoded, decode, encode};
pub use lock::{LockError, Predecessor, StateLock};
pub use volatile::{Fault, MemoryStore};

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

    /// Whether both slots have held a state once. In doubt they have.
    fn was_used(&mut self) -> bool;

    /// Keeps that both slots have held a state; called after each save from then on. Where it cannot be kept it is tried
    /// again: without it a loss is not told from a first start, and nothing else is worse.
    fn mark_used(&mut self);

    /// The place of a slot, for messages.
    fn place(&self, slot: Slot) -> String;
}

/// What a start found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded<T> {
    /// The last state saved; none on a fresh host, or when there is trouble.
    pub state: Option<T>,
    /// Why a slot could not be used beside one that is whole, or a first save that did not end. To be told and logged.
    pub torn: Option<Torn>,
    /// The generation of the state, 0 when there is none.
    pub generation: u64,
    /// There was a state, and it cannot be had.
    pub trouble: Option<Trouble>,
}

/// A slot that is not whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Torn {
    /// Where it is.
    pub place: String,
    /// What is wrong with it.
    pub why: String,
}

/// Why there is no state although there was one. Nothing may be concluded from that, and nothing be done on it alone.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Trouble {
    /// None of the slots is whole: what they held is gone, and the ledger begins anew.
    #[error("the ledger is lost: {0}")]
    Lost(String),
    /// The state is there, and this agent cannot read it; nothing is saved over it.
    #[error(
        "the ledger cannot be read: {0}; mend that and restart the agent, or move ledger.a and ledger.b away to begin \
         without memory"
    )]
    Unreadable(String),
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
        /// The size in bytes.
        bytes: usize,
    },
    /// There is a state in it that must not be written over.
    #[error("nothing is saved over a state that cannot be read")]
    Sealed(#[source] Trouble),
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

/// Largest state, written down: the memory of the largest host, whose share of it the engine bounds, and its open
/// incidents. A slot takes no more of the disk than its state has needed.
pub const PAYLOAD_BYTES_MAX: usize = 96 << 20;

/// A state that is saved again and again.
#[derive(Debug)]
pub struct Ledger<S> {
    store: S,
    generation: u64,
    next: Slot,
    /// Which slots have held a state.
    written: [bool; 2],
    /// Why nothing may be written.
    sealed: Option<Trouble>,
    buffer: Vec<u8>,
}

impl<S: Store> Ledger<S> {
    /// Reads the newest whole state, and makes the slots where they are missing; where there is no room for them, they are
    /// made by the first save that succeeds. It is never silently empty: see [`Loaded::trouble`].
    pub fn load<T: DeserializeOwned>(mut store: S) -> (Self, Loaded<T>) {
        let slots = Slot::ALL.map(|slot| match store.read(slot) {
            Ok(None) => Decoded::Missing,
            Ok(Some(bytes)) => decode(&bytes),
            Err(error) => Decoded::Denied(error.to_string()),
        });
        let written = [&slots[0], &slots[1]].map(|slot| matches!(slot, Decoded::Whole(..)));
        let was_used = store.was_used();
        let Chosen { newest, torn, mut trouble } = choose(&store, slots, was_used);
        let mut ledger = Self { store, generation: 0, next: Slot::A, written, sealed: None, buffer: Vec::new() };
        let mut loaded = Loaded { state: None, torn, generation: 0, trouble: None };
        if let Some((slot, generation, payload)) = newest {
            (ledger.generation, ledger.next) = (generation, slot.other());
            match serde_json::from_slice(&payload) {
                Ok(state) => (loaded.state, loaded.generation) = (Some(state), generation),
                Err(error) => {
                    let place = ledger.store.place(slot);
                    trouble =
                        Some(Trouble::Unreadable(format!("{place}: this version does not know its state: {error}")));
                }
            }
        }
        ledger.sealed = trouble.clone().filter(|trouble| matches!(trouble, Trouble::Unreadable(_)));
        loaded.trouble = trouble;
        if ledger.sealed.is_none() {
            // Without room the first save says so, and it is always tried before anything is done.
            let _ = ledger.store.prepare();
        }
        (ledger, loaded)
    }

    /// Saves a state; it is durable when this returns. After an error the state before it is still there, and the next
    /// save tries the same slot again.
    ///
    /// # Errors
    /// When it may not be durable.
    pub fn save<T: Serialize>(&mut self, state: &T) -> Result<u64, SaveError> {
        if let Some(trouble) = &self.sealed {
            return Err(SaveError::Sealed(trouble.clone()));
        }
        // Each try has its own generation: one that failed may have reached the disk after all.
        self.generation = self.generation.saturating_add(1);
        encode(&mut self.buffer, self.generation, state)?;
        self.store
            .write(self.next, &self.buffer)
            .map_err(|source| SaveError::Write { place: self.store.place(self.next), source })?;
        self.written[self.next as usize] = true;
        self.next = self.next.other();
        if self.written == [true; 2] {
            self.store.mark_used();
        }
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

/// Which state counts, and what is to be told.
#[derive(Default)]
struct Chosen {
    newest: Option<(Slot, u64, Vec<u8>)>,
    torn: Option<Torn>,
    trouble: Option<Trouble>,
}

/// Which slot counts. An empty slot was made and never written, and a missing one never made, unless both were used.
fn choose<S: Store>(store: &S, [a, b]: [Decoded; 2], was_used: bool) -> Chosen {
    let whole = |slot, generation, payload| Some((slot, generation, payload));
    let beside = |slot, decoded: Decoded| match decoded {
        Decoded::Empty if !was_used => None,
        other => Some(Torn { place: store.place(slot), why: other.why() }),
    };
    match (a, b) {
        (a @ Decoded::Newer(_), _) => unreadable(&[(store.place(Slot::A), a)]),
        (_, b @ Decoded::Newer(_)) => unreadable(&[(store.place(Slot::B), b)]),
        (Decoded::Whole(a_generation, a), Decoded::Whole(b_generation, b)) => {
            let a_is_newer = a_generation > b_generation;
            let newest = if a_is_newer { (Slot::A, a_generation, a) } else { (Slot::B, b_generation, b) };
            Chosen { newest: Some(newest), ..Chosen::default() }
        }
        (Decoded::Whole(generation, payload), b) => {
            Chosen { newest: whole(Slot::A, generation, payload), torn: beside(Slot::B, b), trouble: None }
        }
        (a, Decoded::Whole(generation, payload)) => {
            Chosen { newest: whole(Slot::B, generation, payload), torn: beside(Slot::A, a), trouble: None }
        }
        (a, b) => none_whole([(store.place(Slot::A), a), (store.place(Slot::B), b)], was_used),
    }
}

fn unreadable(slots: &[(String, Decoded)]) -> Chosen {
    Chosen { trouble: Some(Trouble::Unreadable(words(slots))), ..Chosen::default() }
}

fn none_whole(slots: [(String, Decoded); 2], was_used: bool) -> Chosen {
    let is_torn = |(_, slot): &(String, Decoded)| matches!(slot, Decoded::Torn(_));
    if slots.iter().any(|(_, slot)| matches!(slot, Decoded::Denied(_))) {
        return unreadable(&slots);
    }
    // The second slot is written only when the first has been: of two that are torn one was acknowledged.
    if was_used || slots.iter().all(is_torn) {
        return Chosen { trouble: Some(Trouble::Lost(words(&slots))), ..Chosen::default() };
    }
    // The first save of all did not end: nothing was acknowledged, so nothing is lost.
    let torn = slots.into_iter().find(is_torn).map(|(place, slot)| Torn { place, why: slot.why() });
    Chosen { torn, ..Chosen::default() }
}

/// What is wrong with slots, in a line.
fn words(slots: &[(String, Decoded)]) -> String {
    let words: Vec<String> = slots.iter().map(|(place, slot)| format!("{place}: {}", slot.why())).collect();
    words.join("; ")
}

#[cfg(test)]
mod tests;
