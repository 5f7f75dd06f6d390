//! Slots for those who ask: so many for each user, and some that only root and the agent's own user may take, so that
//! nobody else can keep them from being heard. What is asked is not looked at here.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Most connections of one user.
pub const USER_MAX: usize = 8;
/// Most connections of all users but root and the agent's own.
pub(super) const OTHERS_MAX: usize = 24;
/// Most connections of root and the agent's own user; nobody else may take these.
pub(super) const TRUSTED_MAX: usize = 16;

/// Who has how many slots.
pub(super) struct Slots {
    open: Mutex<BTreeMap<u32, usize>>,
    own: u32,
}

/// A place that is taken, until it is dropped.
pub(super) struct Slot {
    slots: Arc<Slots>,
    uid: u32,
}

/// No place is left for a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Busy {
    /// How many connections are open.
    pub(super) open: usize,
    /// The user who has most of them, with how many.
    pub(super) most: (u32, usize),
}

impl Slots {
    /// All free; `own` is the agent's own user, who is trusted as root is.
    pub(super) fn new(own: u32) -> Arc<Self> {
        Arc::new(Self { open: Mutex::default(), own })
    }

    /// Whether a user is root, or the agent's own.
    pub(super) fn is_trusted(&self, uid: u32) -> bool {
        uid == 0 || uid == self.own
    }

    /// A place for a user.
    ///
    /// # Errors
    /// When this user, or all that share the slots with it, have as many as they may.
    pub(super) fn take(self: &Arc<Self>, uid: u32) -> Result<Slot, Busy> {
        let mut open = self.lock();
        let is_trusted = self.is_trusted(uid);
        let shared: usize =
            open.iter().filter(|(other, _)| self.is_trusted(**other) == is_trusted).map(|(_, n)| n).sum();
        let own = open.get(&uid).copied().unwrap_or(0);
        let is_full = if is_trusted { shared >= TRUSTED_MAX } else { shared >= OTHERS_MAX || own >= USER_MAX };
        if is_full {
            let most = open.iter().map(|(uid, count)| (*uid, *count)).max_by_key(|(_, count)| *count);
            return Err(Busy { open: open.values().sum(), most: most.unwrap_or((uid, own)) });
        }
        *open.entry(uid).or_default() += 1;
        Ok(Slot { slots: self.clone(), uid })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u32, usize>> {
        // No code panics while it holds the lock half-changed.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut open = self.slots.lock();
        if let Some(count) = open.get_mut(&self.uid) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.uid);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_may_take_all_of_theirs_and_root_still_has_its_own() {
        let slots = Slots::new(998);
        let mut taken = Vec::new();
        for uid in 1000..1010 {
            for _ in 0..100 {
                taken.extend(slots.take(uid).ok());
            }
        }
        assert_eq!(taken.len(), OTHERS_MAX);
        assert_eq!(slots.take(1000).err(), Some(Busy { open: OTHERS_MAX, most: (1002, USER_MAX) }));
        for uid in [0, 998] {
            taken.extend((0..TRUSTED_MAX / 2).map_while(|_| slots.take(uid).ok()));
        }
        assert_eq!(taken.len(), OTHERS_MAX + TRUSTED_MAX);
        assert!(slots.take(0).is_err(), "even root's are bounded");
        taken.clear();
        assert!(slots.take(1000).is_ok() && slots.lock().is_empty(), "slots come back");
    }

    #[test]
    fn one_user_leaves_places_to_the_next() {
        let slots = Slots::new(0);
        let greedy: Vec<Slot> = (0..100).map_while(|_| slots.take(1000).ok()).collect();
        assert_eq!(greedy.len(), USER_MAX);
        assert!(slots.take(1001).is_ok());
    }
}
