//! The disk under the ledger: it outlives the agent, and it is where an agent is killed amid a save. It knows what it
//! acknowledged, which a later start must find.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use ansai_agent::ledger::{Fault, Ledger, MemoryStore, Slot, Store};
use ansai_engine::state::PendingRun;
use ansai_model::{
    id::{IncidentId, RunId},
    time::Now,
};
use serde::Deserialize;

/// Thrown where the agent is killed, and caught by whoever drives it.
#[derive(Debug)]
pub(crate) struct Killed;

/// What reaches the disk of the save during which the agent is killed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cut {
    /// Nothing.
    Before,
    /// So many bytes.
    Torn(usize),
    /// Some sectors, see [`Fault::Sectors`].
    Sectors(u64),
    /// All of it; what follows from it is not begun.
    After,
}

/// A clone is another handle to the same disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    store: MemoryStore,
    /// The agent is killed at the save after so many.
    kill: Option<(u32, Cut)>,
    generation: u64,
    acknowledged: u64,
}

/// What of the state says which actions are recorded; the rest is passed over.
#[derive(Deserialize)]
struct Recorded {
    runs: BTreeMap<RunId, PendingRun>,
    incidents: BTreeMap<IncidentId, RecordedIncident>,
}

#[derive(Deserialize)]
struct RecordedIncident {
    opened: Now,
    is_drill: bool,
}

impl Disk {
    pub(crate) fn new() -> Self {
        let disk = Self::default();
        // Slots that are there already, as after the first start of all.
        disk.lock().store.prepare().expect("memory");
        disk
    }

    /// Kills the agent at the save after `saves` more.
    pub(crate) fn kill_after(&self, saves: u32, cut: Cut) {
        self.lock().kill = Some((saves, cut));
    }

    /// A new agent has loaded this generation.
    ///
    /// # Errors
    /// When it is older than one that was acknowledged.
    pub(crate) fn loaded(&self, generation: u64) -> Result<(), String> {
        let mut inner = self.lock();
        inner.kill = None;
        if generation < inner.acknowledged {
            return Err(format!(
                "acknowledged_is_durable: {generation} was loaded, {} acknowledged",
                inner.acknowledged
            ));
        }
        inner.generation = generation;
        Ok(())
    }

    /// How many saves were tried.
    pub(crate) fn saves(&self) -> u64 {
        self.lock().store.writes()
    }

    pub(crate) fn set_full(&self, is_full: bool) {
        let mut inner = self.lock();
        match is_full {
            true => inner.store.fill(),
            false => inner.store.free(),
        }
    }

    /// The action that the disk knows as decided and not ended, as a start at this moment would find it.
    /// With it, when its incident opened, when that is a drill's.
    ///
    /// # Errors
    /// When the disk holds nothing whole, or counts the action among those of drills while its incident is none, or the other way.
    pub(crate) fn recorded(&self, run: RunId) -> Result<Option<(PendingRun, Option<Now>)>, String> {
        let copy = self.lock().store.clone();
        let (_, loaded) = Ledger::load::<Recorded>(copy);
        if let Some(trouble) = loaded.trouble {
            return Err(format!("ledger_readable: {trouble}"));
        }
        let Some(mut state) = loaded.state else { return Ok(None) };
        let Some(pending) = state.runs.remove(&run) else { return Ok(None) };
        let incident = pending.incident.and_then(|id| state.incidents.get(&id));
        if incident.is_some_and(|incident| incident.is_drill != pending.is_drill) {
            return Err(format!("books_agree: {run} is counted among the wrong ones: {pending:?}"));
        }
        let drilled = incident.filter(|incident| incident.is_drill).map(|incident| incident.opened);
        Ok(Some((pending, drilled)))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Writes; says whether the agent is killed in it.
    fn write(&mut self, slot: Slot, frame: &[u8]) -> Result<io::Result<()>, Killed> {
        self.generation += 1;
        let cut = match &mut self.kill {
            Some((0, cut)) => Some(*cut),
            Some((saves, _)) => {
                *saves -= 1;
                None
            }
            None => None,
        };
        match cut {
            Some(Cut::Before) => return Err(Killed),
            Some(Cut::Torn(bytes)) => self.store.fail_next(Fault::TornAfter(bytes % frame.len())),
            Some(Cut::Sectors(bits)) => self.store.fail_next(Fault::Sectors(bits)),
            Some(Cut::After) | None => {}
        }
        let written = self.store.write(slot, frame);
        if cut.is_some() {
            return Err(Killed);
        }
        if written.is_ok() {
            self.acknowledged = self.generation;
        }
        Ok(written)
    }
}

impl Store for Disk {
    fn read(&mut self, slot: Slot) -> io::Result<Option<Vec<u8>>> {
        self.lock().store.read(slot)
    }

    fn prepare(&mut self) -> io::Result<()> {
        self.lock().store.prepare()
    }

    fn write(&mut self, slot: Slot, frame: &[u8]) -> io::Result<()> {
        let written = self.lock().write(slot, frame);
        match written {
            Ok(written) => written,
            // Not a panic: no hook is called, and nothing is printed.
            Err(killed) => std::panic::resume_unwind(Box::new(killed)),
        }
    }

    fn was_used(&mut self) -> bool {
        self.lock().store.was_used()
    }

    fn mark_used(&mut self) {
        self.lock().store.mark_used();
    }

    fn place(&self, slot: Slot) -> String {
        self.lock().store.place(slot)
    }
}
