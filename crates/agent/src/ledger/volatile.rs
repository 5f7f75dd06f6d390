//! The two slots in memory, with the faults that a disk and a power cut have, for tests and the simulator.

use std::io::{self, ErrorKind};

use super::{Slot, Store};

/// What goes wrong at the next write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The disk is full: nothing is written.
    Full,
    /// Only this many bytes reach the slot before the process is killed or the power is cut.
    TornAfter(usize),
    /// Only the sectors for which a bit is set reach the slot: disks write in any order. Bit 0 is the first sector,
    /// and the pattern repeats after 64.
    Sectors(u64),
    /// All is written, and the acknowledgment is lost.
    Unacknowledged,
}

const SECTOR_BYTES: usize = 512;

/// Slots in memory. A clone is a copy of the disk.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    slots: [Option<Vec<u8>>; 2],
    fault: Option<Fault>,
    is_full: bool,
    is_used: bool,
    writes: u64,
}

impl MemoryStore {
    /// An empty disk.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes the next write go wrong, once.
    pub fn fail_next(&mut self, fault: Fault) {
        self.fault = Some(fault);
    }

    /// Fills the disk: every write fails until [`MemoryStore::free`].
    pub fn fill(&mut self) {
        self.is_full = true;
    }

    /// Makes room on the disk.
    pub fn free(&mut self) {
        self.is_full = false;
    }

    /// How many writes were tried.
    #[must_use]
    pub fn writes(&self) -> u64 {
        self.writes
    }

    /// The bytes of a slot, to be broken by hand.
    pub fn slot_mut(&mut self, slot: Slot) -> &mut Option<Vec<u8>> {
        &mut self.slots[slot as usize]
    }

    fn store(&mut self, slot: Slot, frame: &[u8], reaches: impl Fn(usize) -> bool) {
        let bytes = self.slots[slot as usize].get_or_insert_default();
        if bytes.len() < frame.len() {
            bytes.resize(frame.len(), 0);
        }
        for (at, byte) in frame.iter().enumerate().filter(|(at, _)| reaches(*at)) {
            bytes[at] = *byte;
        }
    }
}

impl Store for MemoryStore {
    fn read(&mut self, slot: Slot) -> io::Result<Option<Vec<u8>>> {
        Ok(self.slots[slot as usize].clone())
    }

    fn prepare(&mut self) -> io::Result<()> {
        for slot in &mut self.slots {
            slot.get_or_insert_default();
        }
        Ok(())
    }

    fn write(&mut self, slot: Slot, frame: &[u8]) -> io::Result<()> {
        self.writes += 1;
        if self.is_full {
            return Err(ErrorKind::StorageFull.into());
        }
        match self.fault.take() {
            None => {
                self.store(slot, frame, |_| true);
                return Ok(());
            }
            Some(Fault::Full) => return Err(ErrorKind::StorageFull.into()),
            Some(Fault::TornAfter(bytes)) => self.store(slot, frame, |at| at < bytes),
            Some(Fault::Sectors(bits)) => self.store(slot, frame, |at| bits >> (at / SECTOR_BYTES % 64) & 1 == 1),
            Some(Fault::Unacknowledged) => self.store(slot, frame, |_| true),
        }
        Err(ErrorKind::Interrupted.into())
    }

    fn was_used(&mut self) -> bool {
        self.is_used
    }

    fn mark_used(&mut self) {
        self.is_used |= !self.is_full;
    }

    fn place(&self, slot: Slot) -> String {
        format!("memory slot {slot:?}")
    }
}
