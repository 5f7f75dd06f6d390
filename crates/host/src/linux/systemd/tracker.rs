//! Who wanted what: the intent behind each unit's state, from the jobs on the bus in the order of their arrival.
//! It is a pure state machine; nothing is guessed: what was not seen stays unknown.

use std::collections::{BTreeMap, BTreeSet};

use ansai_model::{
    id::UnitName,
    policy::matches,
    unit::{ActiveState, Intent, StartedBy},
};

use super::{names::Names, unit::unit_at};

/// Most of our own jobs remembered.
const OURS_MAX: usize = 256;
/// Most units that systemd keeps in mind for us. It adds a rule to its own connection for each, the bus allows it 512 for
/// everybody, and whoever takes them all has systemd thrown off the bus.
const REFERRED_MAX: usize = 192;
/// The target that every way of going down starts, see systemd.special(7).
const SHUTDOWN: &str = "shutdown.target";

#[derive(Debug, Default)]
struct Track {
    intent: Intent,
    active: Option<ActiveState>,
    /// The job under way, when there is one.
    job: Option<String>,
    /// Whether systemd was asked to keep the unit in mind for us.
    is_referred_to: bool,
    /// Whether the unit was seen on its way up since that job was announced: then it is no stop.
    is_starting: bool,
    /// Whether the unit waited for systemd's own restart when that job was announced.
    was_waiting: bool,
    /// Whether the unit came up since that job was announced: then it was a start.
    rose: bool,
    /// Whose job started it, while it is up.
    started_by: StartedBy,
    /// Whether the last look found no such unit, and no job for it was announced since.
    is_missing: bool,
    /// Whether it went down by itself when it last went down, up again since or not.
    fell: bool,
    /// Whether it was down when the job under way was announced.
    was_down: bool,
    /// Whether a stop was asked for when it was down already.
    is_stopped_again: bool,
    /// The units that it is bound to; few units are to any.
    bound_to: Box<[UnitName]>,
    /// Of these, the one that had fallen and was down when the unit was stopped, until it is up again.
    stopped_with: Option<Box<UnitName>>,
}

/// Whether the host is going down.
#[derive(Debug, Default, PartialEq, Eq)]
enum Shutdown {
    /// Nobody has said yet.
    #[default]
    Unknown,
    No,
    /// Since before we listened, or with this job.
    Yes(Option<String>),
}

/// The intents of the watched units.
#[derive(Debug, Default)]
pub struct Tracker {
    units: BTreeMap<UnitName, Track>,
    names: Names,
    patterns: Vec<String>,
    ours: BTreeSet<String>,
    shutdown: Shutdown,
    /// How many units are referred to.
    referred: usize,
    /// Set when a hint did not fit into the queue.
    pub has_lost_hints: bool,
}

impl Tracker {
    /// Sets which units are of interest, and which names of new units might be. Returns those that are of interest no more
    /// and that systemd need not keep in mind any longer.
    #[must_use]
    pub fn watch(&mut self, units: BTreeSet<UnitName>, patterns: Vec<String>) -> Vec<UnitName> {
        let dropped = self.units.iter().filter(|(unit, track)| track.is_referred_to && !units.contains(*unit));
        let dropped: Vec<UnitName> = dropped.map(|(unit, _)| unit.clone()).collect();
        self.names.keep(&units);
        let mut before = std::mem::take(&mut self.units);
        // Made at once: a map that grows in order is half empty.
        let kept = units.into_iter().map(|unit| (before.remove(&unit).unwrap_or_default(), unit));
        self.units = kept.map(|(track, unit)| (unit, track)).collect();
        self.patterns = patterns;
        self.referred = self.units.values().filter(|track| track.is_referred_to).count();
        dropped
    }

    /// Forgets everything that was seen: nobody was listening for a while.
    pub fn reset(&mut self) {
        self.units.values_mut().for_each(|track| *track = Track::default());
        self.ours.clear();
        self.shutdown = Shutdown::Unknown;
        self.referred = 0;
    }

    /// What systemd said when it was asked whether the host is going down.
    pub fn said_of_shutdown(&mut self, is_shutting_down: bool) {
        // A job announced meanwhile is later news.
        if self.shutdown == Shutdown::Unknown {
            self.shutdown = if is_shutting_down { Shutdown::Yes(None) } else { Shutdown::No };
        }
    }

    /// Whether the host is going down, when that is known.
    #[must_use]
    pub fn is_shutting_down(&self) -> Option<bool> {
        match &self.shutdown {
            Shutdown::Unknown => None,
            Shutdown::No => Some(false),
            Shutdown::Yes(_) => Some(true),
        }
    }

    /// A job for any unit: one for the shutdown target means that the host is going down, before any unit is stopped
    /// for it, since systemd queues a transaction's jobs before it runs one.
    pub fn any_job_new(&mut self, unit: &str, job: &str) {
        if unit == SHUTDOWN {
            self.shutdown = Shutdown::Yes(Some(job.to_owned()));
        }
    }

    /// A job of any unit ended: a shutdown that was canceled is none.
    pub fn any_job_removed(&mut self, job: &str, result: &str) {
        let is_it = matches!(&self.shutdown, Shutdown::Yes(Some(shutdown)) if shutdown == job);
        if is_it && result != "done" {
            self.shutdown = Shutdown::No;
        }
    }

    /// The unit, when it is watched.
    #[must_use]
    pub fn watched(&self, unit: &str) -> Option<UnitName> {
        self.units.get_key_value(&UnitName::new(unit).ok()?).map(|(name, _)| name.clone())
    }

    /// The watched unit with this object path.
    #[must_use]
    pub fn by_path(&self, path: &str) -> Option<UnitName> {
        self.watched(&unit_at(path)?)
    }

    /// Whether a new unit's name fits a declared pattern.
    #[must_use]
    pub fn may_match(&self, unit: &str) -> bool {
        self.patterns.iter().any(|pattern| matches(pattern, unit))
    }

    /// These names, and the own ones of those that are aliases.
    #[must_use]
    pub fn with_own_names(&self, mut units: BTreeSet<UnitName>) -> BTreeSet<UnitName> {
        let own: Vec<UnitName> = units.iter().map(|unit| self.names.own(unit)).collect();
        units.extend(own);
        units
    }

    /// The unit's own name.
    #[must_use]
    pub fn own_name(&self, unit: &UnitName) -> UnitName {
        self.names.own(unit)
    }

    /// Every name that a unit is watched by.
    #[must_use]
    pub fn names_of(&self, own: &UnitName) -> Vec<UnitName> {
        self.names.of(own)
    }

    /// A watched name is another unit's, which is watched from now on; says whether that is news.
    pub fn is_alias(&mut self, name: UnitName, own: UnitName) -> bool {
        if !self.units.contains_key(&name) || !self.names.learn(name, own.clone()) {
            return false;
        }
        self.units.entry(own).or_default();
        true
    }

    /// Unit files are read anew: which name is whose is asked again.
    pub fn doubt_names(&mut self) {
        self.names.doubt();
    }

    /// These sockets, paths and timers start a watched unit.
    pub fn started_by(&mut self, unit: &UnitName, triggers: &[Box<str>]) {
        if self.units.contains_key(unit) {
            self.names.triggers(unit, triggers);
        }
    }

    /// The watched unit that what has this object path starts.
    #[must_use]
    pub fn by_trigger(&self, path: &str) -> Option<UnitName> {
        self.names.by_trigger(path)
    }

    /// Listens to one more unit, which others are bound to; says whether its state is yet to be asked for.
    pub fn listen_to(&mut self, unit: &UnitName) -> bool {
        if !self.units.contains_key(unit) {
            self.units.insert(unit.clone(), Track::default());
        }
        self.units.get(unit).is_none_or(|track| track.active.is_none())
    }

    /// A watched unit is bound to these: it is stopped when one of them goes.
    pub fn is_bound_to(&mut self, unit: &UnitName, others: &[UnitName]) {
        if let Some(track) = self.units.get_mut(unit)
            && *track.bound_to != *others
        {
            track.bound_to = others.into();
        }
    }

    /// The unit that had fallen and was still down when this one was stopped because of it, in the order of the wire: it may
    /// have been started, and have stopped once more, by the time at which anybody looks.
    #[must_use]
    pub fn stopped_with(&self, unit: &UnitName) -> Option<&UnitName> {
        self.units.get(unit)?.stopped_with.as_deref()
    }

    /// Whether a unit was heard to go down by itself when it last did, up again since or not.
    #[must_use]
    pub fn fell(&self, unit: &UnitName) -> bool {
        self.units.get(unit).is_some_and(|track| track.fell)
    }

    /// Whether somebody asked for the stop of a unit that was down already: that wish is a person's, whatever took it down.
    #[must_use]
    pub fn is_stopped_again(&self, unit: &UnitName) -> bool {
        self.units.get(unit).is_some_and(|track| track.is_stopped_again)
    }

    /// What is known of why a unit is as it is.
    #[must_use]
    pub fn intent(&self, unit: &UnitName) -> Intent {
        self.units.get(unit).map(|track| track.intent).unwrap_or_default()
    }

    /// Whose job started a unit that is up.
    #[must_use]
    pub fn who_started(&self, unit: &UnitName) -> StartedBy {
        self.units.get(unit).map(|track| track.started_by).unwrap_or_default()
    }

    /// A job of ours was queued for the unit.
    pub fn job_is_ours(&mut self, _unit: &UnitName, job: &str) {
        if self.ours.len() >= OURS_MAX {
            self.ours.pop_first();
        }
        self.ours.insert(job.to_owned());
    }

    /// Whether systemd is yet to be asked to keep a watched unit in mind; says so once for each connection, and only for as
    /// many units as it may.
    pub fn refer(&mut self, unit: &UnitName) -> bool {
        let Some(track) = self.units.get_mut(unit).filter(|track| !track.is_referred_to) else { return false };
        if self.referred >= REFERRED_MAX {
            return false;
        }
        track.is_referred_to = true;
        self.referred += 1;
        true
    }

    /// A look found the unit, or found that there is none: then systemd keeps nothing in mind, and is asked again.
    pub fn found(&mut self, unit: &UnitName, is_missing: bool) {
        if let Some(track) = self.units.get_mut(unit) {
            track.is_missing = is_missing;
            if is_missing && std::mem::take(&mut track.is_referred_to) {
                self.referred = self.referred.saturating_sub(1);
            }
        }
    }

    /// Whether systemd's loading or dropping the unit is news. Each look at a unit that does not exist, or that is down and
    /// not kept in mind for us, makes systemd do both, and looking again because of it would never end.
    #[must_use]
    pub fn is_loading_news(&self, unit: &UnitName) -> bool {
        let is_up = |track: &Track| track.active.is_some_and(|active| !is_down(active));
        self.units.get(unit).is_some_and(|track| !track.is_missing && (track.is_referred_to || is_up(track)))
    }

    /// The job under way for the unit, when it is ours.
    #[must_use]
    pub fn our_job(&self, unit: &UnitName) -> Option<String> {
        self.units.get(unit)?.job.clone().filter(|job| self.ours.contains(job))
    }

    /// systemd announced a job.
    pub fn job_new(&mut self, unit: &UnitName, job: &str) {
        if let Some(track) = self.units.get_mut(unit) {
            track.job = Some(job.to_owned());
            track.is_starting = false;
            track.was_down = track.active.is_some_and(is_down);
            track.was_waiting = track.active == Some(ActiveState::Activating);
            track.rose = false;
            // Whoever has a job for it has found it.
            track.is_missing = false;
        }
    }

    /// A job ended. One that ended `done` and left the unit down was a stop, unless the unit was on its way up meanwhile
    /// (a one-shot that has run); one that failed was a start. A job that came to nothing says nothing of the unit.
    ///
    /// A stop that systemd itself adds for a failed dependency (`BindsTo=`) is a job like any other, so it counts as one
    /// that was asked for: whoever knows the bindings tells them apart.
    pub fn job_removed(&mut self, unit: &UnitName, job: &str, result: &str) {
        let is_ours = self.ours.remove(job);
        let fallen = self.fallen_of(unit);
        let Some(track) = self.units.get_mut(unit) else { return };
        let was_start = track.is_starting && track.job.as_deref() == Some(job);
        if track.job.as_deref() == Some(job) {
            track.job = None;
            track.is_starting = false;
            if std::mem::take(&mut track.rose) && result == "done" {
                track.started_by = match (is_ours, track.was_waiting) {
                    (true, _) => StartedBy::Ours,
                    (false, true) => StartedBy::Systemd,
                    (false, false) => StartedBy::Others,
                };
            }
        }
        if !track.active.is_some_and(is_down) {
            return;
        }
        track.intent = match (result, is_ours) {
            ("done", _) if was_start => Intent::ByItself,
            ("done", true) => Intent::Ours,
            ("done", false) => Intent::Stopped,
            ("canceled" | "skipped" | "invalid" | "collected" | "once", _) => return,
            (_, true) => Intent::Ours,
            (_, false) => Intent::StartFailed,
        };
        track.fell = result != "done" || was_start;
        let is_stop = track.intent == Intent::Stopped;
        if is_stop && !track.was_down {
            track.stopped_with = fallen.map(Box::new);
        }
        track.is_stopped_again |= is_stop && track.was_down;
    }

    /// Of the units that one is bound to, the one that has fallen and is down.
    fn fallen_of(&self, unit: &UnitName) -> Option<UnitName> {
        let is_it = |other: &&UnitName| {
            self.units.get(*other).is_some_and(|other| other.fell && other.active.is_some_and(is_down))
        };
        self.units.get(unit)?.bound_to.iter().find(is_it).cloned()
    }

    /// A signal says that the unit's state has changed.
    pub fn became(&mut self, unit: &UnitName, active: ActiveState) {
        let Some(track) = self.units.get_mut(unit) else { return };
        // systemd repeats the state with every change of a property, so only a state known before makes a transition.
        let before = track.active.replace(active);
        let was_up = before.is_some_and(|active| !is_down(active));
        let begins = active == ActiveState::Activating && before.is_some_and(|before| before != active);
        track.is_starting |= track.job.is_some() && begins;
        let comes_up = active == ActiveState::Active && before.is_some_and(|before| !is_up(before));
        track.rose |= track.job.is_some() && comes_up;
        if comes_up || !is_up(active) {
            // Whose job it was is known when that has ended.
            track.started_by = StartedBy::Unknown;
        }
        if !is_down(active) {
            // systemd shows nothing of the moment between a fall and its own wait for a restart.
            let is_passing = active == ActiveState::Activating && before != Some(active);
            track.fell |= is_passing && was_up && track.job.is_none();
            if active != ActiveState::Deactivating {
                track.intent = Intent::Unknown;
                track.is_stopped_again = false;
                track.stopped_with = None;
            }
            return;
        }
        // With a job under way the job's end decides; a change between two states of being down changes no intent.
        if track.job.is_none() && was_up {
            track.intent = Intent::ByItself;
            track.fell = true;
        }
    }

    /// A look found this state. It sets the state only when none is known: signals are the record of changes.
    pub fn saw(&mut self, unit: &UnitName, active: ActiveState) {
        if let Some(track) = self.units.get_mut(unit)
            && track.active.is_none()
        {
            track.active = Some(active);
        }
    }
}

fn is_up(active: ActiveState) -> bool {
    matches!(active, ActiveState::Active | ActiveState::Reloading)
}

fn is_down(active: ActiveState) -> bool {
    matches!(active, ActiveState::Inactive | ActiveState::Failed)
}

#[cfg(test)]
mod tests;
