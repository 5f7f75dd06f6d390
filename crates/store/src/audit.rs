//! Who did what: entries that are only added, each with the hash of the one before, so that a change of one is found.
//! Where they are kept is the store's.

use ansai_protocol::record::Audited;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// An entry, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Its number, counted from 1.
    pub number: u64,
    /// What was done.
    pub done: Audited,
    /// The hash of the entry before, in hexadecimal digits; empty for the first.
    pub before: String,
}

impl AuditEntry {
    /// What is done now, behind `last`.
    #[must_use]
    pub fn behind(last: Option<&Self>, done: Audited) -> Self {
        let (number, before) = last.map_or((1, String::new()), |last| (last.number + 1, last.hash()));
        Self { number, done, before }
    }

    /// The SHA-256 of all of it, in hexadecimal digits. Each text is preceded by its length, so that no two entries look alike.
    #[must_use]
    pub fn hash(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(self.number.to_be_bytes());
        hash.update(self.done.at.0.to_be_bytes());
        hash.update(self.done.hosts.to_be_bytes());
        for text in [self.done.by.as_str(), self.done.what.as_str(), &self.before] {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text);
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Whether it is the one behind `last`.
    #[must_use]
    pub fn follows(&self, last: Option<&Self>) -> bool {
        *self == Self::behind(last, self.done.clone())
    }
}

#[cfg(test)]
mod tests {
    use ansai_model::time::WallTime;

    use super::*;

    #[test]
    fn every_part_of_an_entry_is_bound_by_the_next() {
        let done = |by: &str, what: &str| Audited { at: WallTime(5), by: by.into(), what: what.into(), hosts: 3 };
        let first = AuditEntry::behind(None, done("ada", "hold"));
        let next = AuditEntry::behind(Some(&first), done("ada", "release"));
        assert!(first.follows(None) && next.follows(Some(&first)) && !next.follows(None));
        let changed = [
            AuditEntry { done: done("eve", "hold"), ..first.clone() },
            AuditEntry { done: done("ada", "held"), ..first.clone() },
            // The same letters, divided otherwise.
            AuditEntry { done: done("adah", "old"), ..first.clone() },
            AuditEntry { done: Audited { hosts: 4, ..done("ada", "hold") }, ..first.clone() },
            AuditEntry { done: Audited { at: WallTime(6), ..done("ada", "hold") }, ..first.clone() },
            AuditEntry { before: "00".into(), ..first.clone() },
            AuditEntry { number: 2, ..first.clone() },
        ];
        for changed in changed {
            assert!(!next.follows(Some(&changed)), "{changed:?}");
        }
    }
}
