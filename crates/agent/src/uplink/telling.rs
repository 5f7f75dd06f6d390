//! Which targets are to be told: those that are another thing than the last time. It is looked at when the engine's state has
//! changed, once a second at most; figures of targets that are well are told now and then only.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use ansai_model::{id::TargetId, observation::Health, time::MonoTime};
use ansai_protocol::TargetStatus;

use super::feed::Item;

/// How often it is looked at what changes without the engine's state.
const LOOK_EVERY: Duration = Duration::from_secs(15);
/// How often words and figures are told that changed while nothing else did.
const WORDS_EVERY: Duration = Duration::from_secs(300);

/// What was told.
#[derive(Debug, Default)]
pub(crate) struct Telling {
    told: BTreeMap<TargetId, Seen>,
    revision: Option<u64>,
    look_from: MonoTime,
    words_from: MonoTime,
}

/// Digests of a target: of how it stands, and of all that is said of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    state: u64,
    words: u64,
}

impl Telling {
    /// Whether targets are to be looked at: something has changed, or it was long ago.
    pub(crate) fn is_due(&mut self, now: MonoTime, revision: u64) -> bool {
        let is_due = self.revision.replace(revision) != Some(revision) || now >= self.look_from;
        if is_due {
            self.look_from = now.plus(LOOK_EVERY);
        }
        is_due
    }

    /// Everything is told anew.
    pub(crate) fn anew(&mut self) {
        self.told.clear();
    }

    /// What of these is to be told.
    pub(crate) fn of(&mut self, now: MonoTime, targets: Vec<TargetStatus>) -> Vec<Item> {
        let with_words = now >= self.words_from;
        if with_words {
            self.words_from = now.plus(WORDS_EVERY);
        }
        let before = std::mem::take(&mut self.told);
        let mut items = Vec::new();
        for status in targets {
            let seen = Seen { state: state(&status), words: words(&status) };
            let known = before.get(&status.target);
            let is_told =
                known.is_some_and(|known| known.state == seen.state && (!with_words || known.words == seen.words));
            // Of what is not told, the words that were told stay those that count.
            let kept = if is_told { known.copied().unwrap_or(seen) } else { seen };
            self.told.insert(status.target.clone(), kept);
            if !is_told {
                items.push(Item::Target(Box::new(status)));
            }
        }
        let gone = before.into_keys().filter(|target| !self.told.contains_key(target));
        items.extend(gone.map(Item::TargetGone));
        items
    }
}

/// How it stands; of one that is not well also why.
fn state(status: &TargetStatus) -> u64 {
    let mut hasher = DefaultHasher::new();
    let is_well = status.health == Health::Healthy;
    (is_well, status.health == Health::Failing, status.incident, status.is_critical, status.is_held).hash(&mut hasher);
    (status.autonomy.map(|autonomy| autonomy.as_str()), status.stopped.is_some()).hash(&mut hasher);
    // Its words may be others at each look, as the figures of a plugin are.
    status.warning.is_some().hash(&mut hasher);
    if !is_well {
        status.summary.as_str().hash(&mut hasher);
    }
    hasher.finish()
}

fn words(status: &TargetStatus) -> u64 {
    let mut hasher = DefaultHasher::new();
    (status.summary.as_str(), status.explanation.as_str()).hash(&mut hasher);
    status.warning.as_ref().map(|warning| warning.as_str()).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(name: &str, health: Health, summary: &str) -> TargetStatus {
        TargetStatus {
            target: TargetId::of("service", name).unwrap(),
            health,
            summary: summary.into(),
            incident: None,
            explanation: "".into(),
            is_critical: false,
            autonomy: None,
            is_held: false,
            stopped: None,
            warning: None,
        }
    }

    fn at(seconds: u64) -> MonoTime {
        MonoTime::default().plus(Duration::from_secs(seconds))
    }

    fn told(items: &[Item]) -> Vec<String> {
        let name = |item: &Item| match item {
            Item::Target(status) => status.target.name().to_owned(),
            Item::TargetGone(target) => format!("-{}", target.name()),
            other => format!("{other:?}"),
        };
        items.iter().map(name).collect()
    }

    #[test]
    fn a_target_is_told_when_it_stands_otherwise_and_its_figures_now_and_then() {
        let mut telling = Telling::default();
        let well = |summary: &str| vec![status("a", Health::Healthy, summary), status("b", Health::Healthy, "")];
        assert_eq!(told(&telling.of(at(0), well("1 ms"))), ["a", "b"]);
        assert_eq!(told(&telling.of(at(1), well("2 ms"))), [""; 0], "figures of what is well");
        assert_eq!(told(&telling.of(at(300), well("3 ms"))), ["a"]);
        assert_eq!(
            told(&telling.of(at(301), vec![status("a", Health::Failing, "refused"), status("b", Health::Healthy, "")])),
            ["a"]
        );
        assert_eq!(
            told(
                &telling.of(at(302), vec![status("a", Health::Failing, "timed out"), status("b", Health::Healthy, "")])
            ),
            ["a"]
        );
        assert_eq!(told(&telling.of(at(303), vec![status("a", Health::Unknown, "timed out")])), ["a", "-b"]);
        assert_eq!(told(&telling.of(at(304), well(""))), ["a", "b"]);
        telling.anew();
        assert_eq!(told(&telling.of(at(305), well(""))), ["a", "b"]);
    }

    #[test]
    fn it_is_looked_at_when_something_changed_or_after_a_while() {
        let mut telling = Telling::default();
        let due: Vec<bool> = [(0, 1), (1, 1), (2, 2), (3, 2), (16, 2), (17, 2), (18, 2)]
            .map(|(second, revision)| telling.is_due(at(second), revision))
            .to_vec();
        assert_eq!(due, [true, false, true, false, false, true, false]);
    }
}
