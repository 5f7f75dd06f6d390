//! Messages about the incidents of one storm wait for each other, for a while, and are told as one.

use std::{collections::BTreeMap, time::Duration};

use ansai_model::{
    id::IncidentId,
    time::{MonoTime, Now},
};

use super::{Queued, is_dispensable};

/// Longest that a message about a storm waits for the others when it asks a person to act.
pub(super) const ASKING_WAIT_MAX: Duration = Duration::from_secs(30);
/// The same when it does not.
pub(super) const WAIT_MAX: Duration = Duration::from_secs(120);

/// The messages of no storm, those of each storm that may be told now, and when the next of the others may be.
type Apart<'a> = (Vec<&'a Queued>, Vec<Vec<&'a Queued>>, Option<MonoTime>);

/// Tells the messages of storms apart from the others.
pub(super) fn apart<'a>(now: Now, messages: &[&'a Queued]) -> Apart<'a> {
    let mut single = Vec::new();
    let mut storms: BTreeMap<IncidentId, Vec<&Queued>> = BTreeMap::new();
    for message in messages {
        match message.storm {
            Some((first, _)) => storms.entry(first).or_default().push(message),
            None => single.push(*message),
        }
    }
    let (mut due, mut next_at) = (Vec::new(), None);
    for storm in storms.into_values() {
        let left = left(now, &storm);
        if left.is_zero() {
            due.push(storm);
        } else {
            let at = now.mono.plus(left);
            next_at = Some(next_at.map_or(at, |known: MonoTime| known.min(at)));
        }
    }
    (single, due, next_at)
}

/// How long the messages of a storm still wait for others. The last of them says whether any may follow.
fn left(now: Now, storm: &[&Queued]) -> Duration {
    let last = storm.iter().max_by_key(|message| message.number);
    if last.and_then(|message| message.storm).is_none_or(|(_, undecided)| undecided == 0) {
        return Duration::ZERO;
    }
    let left = |message: &&Queued| {
        let patience = if is_dispensable(message.kind) { WAIT_MAX } else { ASKING_WAIT_MAX };
        // A clock that was set back makes nobody wait longer.
        if message.at > now.wall { Duration::ZERO } else { patience.saturating_sub(now.wall.since(message.at)) }
    };
    storm.iter().map(left).min().unwrap_or_default()
}
