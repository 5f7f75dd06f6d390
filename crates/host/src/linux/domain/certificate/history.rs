//! When an issuer was asked, so that it is never asked too often: whoever passes its limits gets nothing for hours or days.
//!
//! Let's Encrypt's are five certificates for the same names in a week and five failed validations in an hour; we stay
//! below both, and wait longer after each failure. An attempt is written down as failed before it begins: a crash in
//! between must not look like no attempt.

use std::time::Duration;

use ansai_model::{
    text::Counted,
    time::{Shown, WallTime},
};
use serde::{Deserialize, Serialize};

use super::{
    read,
    store::{self, Store},
};

const HOUR: Duration = Duration::from_secs(3600);
const WEEK: Duration = Duration::from_secs(7 * 86_400);
const ISSUED_PER_WEEK: usize = 4;
const FAILED_PER_HOUR: usize = 4;
const BACKOFF: Duration = Duration::from_secs(300);
const BACKOFF_MAX: Duration = Duration::from_secs(6 * 3600);
const ENTRIES_MAX: usize = 32;

/// What is remembered of an issuer, for one certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct History {
    issued: Vec<WallTime>,
    failed: Vec<WallTime>,
    /// Failures since the last success.
    in_a_row: u32,
}

impl History {
    /// What is remembered; a file that cannot be read is an error, since forgetting would ask too often.
    pub(super) fn load(store: &Store) -> Result<Self, String> {
        let path = store.path("history.json");
        match read::bytes(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| format!("{}: {error}", path.display())),
            Err(read::LoadError::Missing) => Ok(Self::default()),
            Err(error) => Err(format!("{}: {error}", path.display())),
        }
    }

    fn save(&self, store: &Store) -> Result<(), String> {
        let bytes = serde_json::to_vec(self).map_err(|error| error.to_string())?;
        store::write_private(&store.path("history.json"), &bytes)
    }

    /// What was written down under a clock that has been set back since then counts from now on; it would keep the issuer
    /// from being asked for as long as that clock was ahead.
    pub(super) fn set_right(&mut self, store: &Store, now: WallTime) -> Result<(), String> {
        let mut ahead = self.issued.iter_mut().chain(&mut self.failed).filter(|at| **at > now).peekable();
        if ahead.peek().is_none() {
            return Ok(());
        }
        ahead.for_each(|at| *at = now);
        self.save(store)
    }

    /// Why the issuer must not be asked now, when it must not. What an operator asks for waits for no back-off, but
    /// passes no limit either.
    pub(super) fn objection(&self, now: WallTime, is_asked: bool) -> Option<String> {
        let within = |times: &[WallTime], span: Duration, max: usize| {
            // A clock that was set back counts as just now.
            let recent: Vec<&WallTime> = times.iter().filter(|at| now.since(**at) < span).collect();
            let oldest = recent.len().checked_sub(max).map(|index| *recent[index])?;
            Some(span.saturating_sub(now.since(oldest)))
        };
        if let Some(wait) = within(&self.issued, WEEK, ISSUED_PER_WEEK) {
            return Some(format!(
                "{ISSUED_PER_WEEK} certificates were issued within a week and issuers give no more; the next can be asked for in {}",
                Shown(wait)
            ));
        }
        if let Some(wait) = within(&self.failed, HOUR, FAILED_PER_HOUR) {
            return Some(format!(
                "the issuer was asked {FAILED_PER_HOUR} times within an hour in vain; it can be asked again in {}",
                Shown(wait)
            ));
        }
        let last = self.failed.last().filter(|_| self.in_a_row > 0 && !is_asked)?;
        let backoff = BACKOFF.saturating_mul(1 << (self.in_a_row - 1).min(16)).min(BACKOFF_MAX);
        let waited = now.since(*last);
        (waited < backoff).then(|| {
            let wait = Shown(backoff.saturating_sub(waited));
            format!("{} failed in a row; the next is made in {wait}", Counted(self.in_a_row, "attempt"))
        })
    }

    /// Notes that the issuer is about to be asked.
    pub(super) fn begin(&mut self, store: &Store, now: WallTime) -> Result<(), String> {
        push(&mut self.failed, now);
        self.in_a_row = self.in_a_row.saturating_add(1);
        self.save(store)
    }

    /// Notes that what was begun gave a certificate.
    pub(super) fn succeeded(&mut self, store: &Store, now: WallTime) -> Result<(), String> {
        self.failed.pop();
        self.in_a_row = 0;
        push(&mut self.issued, now);
        self.save(store)
    }
}

fn push(times: &mut Vec<WallTime>, now: WallTime) {
    times.push(now);
    if times.len() > ENTRIES_MAX {
        times.remove(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minutes(minutes: i64) -> WallTime {
        WallTime(1_000_000_000_000 + minutes * 60_000)
    }

    #[track_caller]
    fn check(history: &History, at: i64, says: &str) {
        let objection = history.objection(minutes(at), false).unwrap_or_default();
        assert!(objection.contains(says) && says.is_empty() == objection.is_empty(), "{objection}");
    }

    #[test]
    fn the_limits_of_an_issuer_are_never_reached() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path(), "a").expect("made");
        let mut history = History::load(&store).expect("empty");
        check(&history, 0, "");
        // Asked at every minute of two weeks in which each attempt fails.
        let mut asked = Vec::new();
        for at in 0..14 * 24 * 60 {
            if history.objection(minutes(at), false).is_none() {
                history.begin(&store, minutes(at)).expect("saved");
                asked.push(at);
            }
        }
        assert!(asked.iter().all(|at| asked.iter().filter(|other| (*at..at + 60).contains(*other)).count() < 5));
        assert!((40..80).contains(&asked.len()), "{asked:?}");
        let mut history = History::default();
        let mut issued = Vec::new();
        for at in 0..14 * 24 * 60 {
            if history.objection(minutes(at), true).is_none() {
                history.begin(&store, minutes(at)).expect("saved");
                history.succeeded(&store, minutes(at)).expect("saved");
                issued.push(at);
            }
        }
        let week = 7 * 24 * 60;
        assert!(issued.iter().all(|at| issued.iter().filter(|other| (*at..at + week).contains(*other)).count() < 5));
        assert_eq!(History::load(&store).expect("saved"), history, "it outlives the agent");
    }

    #[test]
    fn a_failure_is_waited_after_longer_each_time() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path(), "a").expect("made");
        let mut history = History::default();
        history.begin(&store, minutes(0)).expect("saved");
        check(&history, 4, "1 attempt failed in a row; the next is made in 1m");
        check(&history, 5, "");
        assert_eq!(history.objection(minutes(1), true), None, "an operator waits for no back-off");
        history.begin(&store, minutes(5)).expect("saved");
        check(&history, 14, "the next is made in 1m");
        history.begin(&store, minutes(15)).expect("saved");
        history.succeeded(&store, minutes(16)).expect("saved");
        check(&history, 17, "");
        std::fs::write(store.path("history.json"), "broken").expect("written");
        assert!(History::load(&store).is_err(), "what is not known is not taken for nothing");
        assert!(Store::open(folder.path(), "../a").is_err() && Store::open(folder.path(), ".a").is_err());
    }
}
