//! What systemd has told of each watched unit: the properties of the last look, kept current by its signals.
//!
//! A signal carries every changing property of the unit, so whoever looks right after one need not ask again; asking
//! costs a dozen round trips just when systemd is busiest. It knows nothing of health or intent.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::{Duration, Instant},
};

use ansai_model::{
    id::UnitName,
    text::Text,
    time::WallTime,
    unit::{ActiveState, Exit, LoadState, UnitResult},
};
use zbus::{OwnedObjectPath, OwnedVariant};

use super::unit::{active_state, load_state, unit_result};

/// How long what a signal has told counts as a look: later ones ask, so that nothing rests on signals alone.
const FRESH: Duration = Duration::from_millis(250);
/// Most units kept that one is bound to, or started by.
const BOUND_MAX: usize = 16;
/// With so many units, a list of all is asked for in place of each. With fewer, asking each is dearer by nothing that
/// anybody would notice, and a list is as long as the host is large.
const CROWD: usize = 200;
/// How long a list that says of a unit what is known of it counts as a look.
const LISTED: Duration = Duration::from_secs(3);
/// How long a unit is only listed: then it is asked again for what no list says. A name adds up to as much again, so that
/// not all are asked at once.
const ASKED: Duration = Duration::from_secs(600);

/// The properties of a unit that a look is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Properties {
    pub(super) load: Option<LoadState>,
    pub(super) active: Option<ActiveState>,
    pub(super) sub: Option<Text>,
    /// Number and object path of the job under way.
    pub(super) job: Option<Box<(u32, String)>>,
    pub(super) since: Option<WallTime>,
    pub(super) left_active: Option<WallTime>,
    pub(super) invocation: Option<Text>,
    pub(super) result: Option<UnitResult>,
    pub(super) main_pid: Option<u32>,
    pub(super) restarts: u32,
    /// The services that it is bound to: systemd stops it when one of them goes (`BindsTo=`).
    pub(super) bound_to: Box<[Box<str>]>,
    is_oneshot: bool,
    remains: bool,
    /// The sockets, paths and timers that start it.
    pub(super) triggers: Box<[Box<str>]>,
    /// Whether systemd may restart the unit by itself (`Restart=`); none until it was asked.
    restarts_itself: Option<bool>,
    /// Whether its last reload failed, as its signals say.
    pub(super) has_failed_to_reload: bool,
    exit_code: i32,
    exit_status: i32,
    exit_pid: u32,
    /// In microseconds since 1970; 0 where there is none.
    begun: u64,
    ended: u64,
}

impl Properties {
    /// Takes one property in; others than those of interest, and values of another type, are left alone.
    pub(super) fn set(&mut self, name: &str, value: &OwnedVariant) {
        let word = || value.downcast_ref::<&str>().ok();
        match name {
            "LoadState" => self.load = word().map(load_state).or(self.load),
            "ActiveState" => self.active = word().map(active_state).or(self.active),
            "SubState" => self.sub = word().map(Text::new).or_else(|| self.sub.take()),
            "Result" => self.result = word().map(unit_result).or(self.result),
            "ReloadResult" => {
                let failed = word().map(|word| word != "success");
                self.has_failed_to_reload = failed.unwrap_or(self.has_failed_to_reload);
            }
            "Job" => {
                if let Ok((id, path)) = <(u32, OwnedObjectPath)>::try_from(value.clone()) {
                    self.job = (id != 0).then(|| Box::new((id, path.as_str().to_owned())));
                }
            }
            "StateChangeTimestamp" => self.since = value.downcast_ref::<u64>().ok().and_then(wall_time),
            "ActiveExitTimestamp" => self.left_active = value.downcast_ref::<u64>().ok().and_then(wall_time),
            "InvocationID" => self.invocation = invocation_id(value),
            "MainPID" => self.main_pid = value.downcast_ref::<u32>().ok().filter(|pid| *pid != 0),
            "BindsTo" => self.bind(value),
            "TriggeredBy" => self.triggers = triggers(value),
            "Type" => self.is_oneshot = word().is_some_and(|word| word == "oneshot"),
            "RemainAfterExit" => self.remains = value.downcast_ref::<bool>().unwrap_or(self.remains),
            "Restart" => self.restarts_itself = word().map(|word| word != "no").or(self.restarts_itself),
            "NRestarts" => self.restarts = value.downcast_ref::<u32>().unwrap_or(self.restarts),
            "ExecMainCode" => self.exit_code = value.downcast_ref::<i32>().unwrap_or(self.exit_code),
            "ExecMainPID" => self.exit_pid = value.downcast_ref::<u32>().unwrap_or(self.exit_pid),
            "ExecMainStartTimestamp" => self.begun = value.downcast_ref::<u64>().unwrap_or(self.begun),
            "ExecMainExitTimestamp" => self.ended = value.downcast_ref::<u64>().unwrap_or(self.ended),
            "ExecMainStatus" => self.exit_status = value.downcast_ref::<i32>().unwrap_or(self.exit_status),
            _ => {}
        }
    }

    fn bind(&mut self, value: &OwnedVariant) {
        let mut all: BTreeSet<Box<str>> = std::mem::take(&mut self.bound_to).into_iter().collect();
        all.extend(named(value, &[".service"]));
        self.bound_to = all.into_iter().take(BOUND_MAX).collect();
    }

    /// Whether systemd passes through this state on its way to a restart of its own, and tells of it when it has gone on.
    fn may_be_passing(&self) -> bool {
        self.restarts_itself != Some(false) && matches!(self.active, Some(ActiveState::Failed | ActiveState::Inactive))
    }

    /// Whether it runs, as far as is known.
    pub(super) fn is_up(&self) -> bool {
        matches!(self.active, Some(ActiveState::Active | ActiveState::Reloading))
    }

    /// Whether it does one thing and ends.
    pub(super) fn is_job(&self) -> bool {
        self.is_oneshot && !self.remains
    }

    /// How the main process ended, after siginfo's `si_code`: 1 exited, 2 killed, 3 dumped.
    pub(super) fn exit(&self) -> Option<Exit> {
        match (self.exit_code, self.exit_status) {
            (1, status) => Some(Exit::Code(status)),
            (2, signal) => Some(Exit::Signal(signal)),
            (3, signal) => Some(Exit::Dumped(signal)),
            _ => None,
        }
    }

    /// The main process that has ended.
    pub(super) fn ended(&self) -> EndedProcess {
        if self.exit().is_none() {
            return EndedProcess::default();
        }
        let ran_for = (self.begun > 0).then(|| self.ended.checked_sub(self.begun)).flatten();
        EndedProcess {
            pid: (self.exit_pid != 0).then_some(self.exit_pid),
            ran_for: ran_for.map(Duration::from_micros),
            at: wall_time(self.ended),
        }
    }
}

/// A main process that has ended, as far as systemd says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct EndedProcess {
    pub(super) pid: Option<u32>,
    pub(super) ran_for: Option<Duration>,
    pub(super) at: Option<WallTime>,
}

/// The sockets, paths and timers in the property of a unit that says what starts it.
pub(super) fn triggers(value: &OwnedVariant) -> Box<[Box<str>]> {
    named(value, &[".socket", ".path", ".timer"]).collect()
}

/// The units of a list whose names end so.
fn named(value: &OwnedVariant, ends: &'static [&'static str]) -> impl Iterator<Item = Box<str>> {
    let units: Vec<String> = value.clone().try_into().unwrap_or_default();
    units
        .into_iter()
        .filter(|unit| ends.iter().any(|end| unit.ends_with(end)))
        .take(BOUND_MAX)
        .map(String::into_boxed_str)
}

fn invocation_id(value: &OwnedVariant) -> Option<Text> {
    let bytes: Vec<u8> = value.clone().try_into().ok()?;
    let hex: String = bytes.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    (!hex.is_empty()).then(|| Text::new(hex))
}

fn wall_time(micros: u64) -> Option<WallTime> {
    (micros > 0).then(|| WallTime(i64::try_from(micros / 1000).unwrap_or(i64::MAX)))
}

#[derive(Debug, Default)]
struct Entry {
    properties: Properties,
    /// Whether a look has given the properties that signals leave out.
    is_complete: bool,
    /// How many signals were taken in.
    signals: u64,
    /// When the last one was.
    at: Option<Instant>,
    /// When a look last asked for everything.
    asked: Option<Instant>,
    /// When a list last said what is known, if nothing was heard since.
    listed: Option<Instant>,
    /// The main process that was seen last, and its program.
    program: Option<Box<(u32, String)>>,
}

/// What a list of all units says of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row<'a> {
    pub(super) load: &'a str,
    pub(super) active: &'a str,
    pub(super) sub: &'a str,
    /// The number of the job under way, or 0.
    pub(super) job: u32,
}

impl Entry {
    /// Forgets what systemd has told. Which program ran is known all the same.
    fn forget(&mut self) {
        *self = Self { signals: self.signals + 1, program: self.program.take(), ..Self::default() };
    }

    /// Whether a list says nothing else than what is known. A unit that is not listed is not loaded: then it is down, or
    /// there is none.
    fn agrees(&self, row: Option<Row<'_>>) -> bool {
        let known = &self.properties;
        let is_alike = match row {
            Some(row) => {
                known.load == Some(load_state(row.load))
                    && known.active == Some(active_state(row.active))
                    && known.sub.as_ref().map(Text::as_str) == Some(row.sub)
                    && known.job.as_ref().map_or(0, |job| job.0) == row.job
            }
            None => {
                let is_down = known.load == Some(LoadState::NotFound) || known.active == Some(ActiveState::Inactive);
                is_down && known.job.is_none()
            }
        };
        self.is_complete && is_alike
    }

    /// Whether what no list says was asked for lately.
    fn is_known(&self, unit: &UnitName, now: Instant) -> bool {
        let spread: u64 = unit.as_str().bytes().map(u64::from).sum::<u64>() % 64;
        let limit = ASKED + ASKED * u32::try_from(spread).unwrap_or_default() / 64;
        self.is_complete && self.asked.is_some_and(|at| now.saturating_duration_since(at) < limit)
    }
}

/// What was told of the watched units.
#[derive(Debug, Default)]
pub(super) struct Told {
    units: BTreeMap<UnitName, Entry>,
    /// When a list was asked for last.
    list: Option<Instant>,
}

impl Told {
    /// Limits it to these units.
    pub(super) fn watch(&mut self, units: &BTreeSet<UnitName>) {
        let mut before = std::mem::take(&mut self.units);
        // Made at once: a map that grows in order is half empty.
        self.units = units.iter().map(|unit| (unit.clone(), before.remove(unit).unwrap_or_default())).collect();
    }

    /// Keeps what is told of one more.
    pub(super) fn also(&mut self, unit: &UnitName) {
        self.units.entry(unit.clone()).or_default();
    }

    /// Forgets everything: nobody was listening, or systemd has read its units anew.
    pub(super) fn reset(&mut self) {
        self.units.values_mut().for_each(Entry::forget);
    }

    /// Forgets a unit: systemd has loaded or unloaded it.
    pub(super) fn forget(&mut self, unit: &UnitName) {
        if let Some(entry) = self.units.get_mut(unit) {
            entry.forget();
        }
    }

    /// What was told of a unit may be out of date, though a signal that is on its way makes it whole again: until then a look
    /// asks.
    pub(super) fn doubt(&mut self, unit: &UnitName) {
        if let Some(entry) = self.units.get_mut(unit) {
            entry.signals += 1;
            // No list that is on its way makes it known either.
            (entry.at, entry.asked, entry.listed) = (None, None, None);
        }
    }

    /// The properties in a signal. systemd sends those of the unit's type first and those of every unit last, so only
    /// the latter (`is_last`) make a whole.
    pub(super) fn changed(
        &mut self,
        unit: &UnitName,
        changed: &HashMap<&str, OwnedVariant>,
        is_last: bool,
        now: Instant,
    ) {
        let Some(entry) = self.units.get_mut(unit) else { return };
        changed.iter().for_each(|(name, value)| entry.properties.set(name, value));
        entry.signals += 1;
        entry.at = is_last.then_some(now);
        entry.listed = None;
    }

    /// Something was heard of a unit that is no property of it: no list from before says how it is.
    pub(super) fn heard(&mut self, unit: &UnitName) {
        if let Some(entry) = self.units.get_mut(unit) {
            entry.listed = None;
        }
    }

    /// Whether a list is to be asked for, so that this unit and others need not be. Whoever is told so asks for it.
    pub(super) fn wants_list(&mut self, unit: &UnitName, now: Instant) -> bool {
        let is_known = self.units.get(unit).is_some_and(|entry| entry.is_known(unit, now));
        let is_due = self.list.is_none_or(|at| now.saturating_duration_since(at) >= LISTED);
        let wants = is_known && is_due && self.units.len() > CROWD;
        if wants {
            self.list = Some(now);
        }
        wants
    }

    /// A list that was asked for at that time says this.
    pub(super) fn list(&mut self, rows: &BTreeMap<&str, Row<'_>>, at: Instant) {
        for (unit, entry) in &mut self.units {
            entry.listed = entry.agrees(rows.get(unit.as_str()).copied()).then_some(at);
        }
    }

    /// The unit's properties, when a list has just said that they still hold.
    pub(super) fn listed(&self, unit: &UnitName, now: Instant) -> Option<&Properties> {
        let entry = self.units.get(unit).filter(|entry| entry.is_known(unit, now))?;
        (now.saturating_duration_since(entry.listed?) < LISTED).then_some(&entry.properties)
    }

    /// A number to pass to [`Told::looked`]: it is another one after each signal.
    pub(super) fn count(&self, unit: &UnitName) -> u64 {
        self.units.get(unit).map_or(0, |entry| entry.signals)
    }

    /// A look that began at `count` has found these; older news than a signal's is ignored.
    pub(super) fn looked(&mut self, unit: &UnitName, properties: &Properties, count: u64, now: Instant) {
        if let Some(entry) = self.units.get_mut(unit).filter(|entry| entry.signals == count) {
            entry.properties = properties.clone();
            entry.is_complete = true;
            entry.asked = Some(now);
        }
    }

    /// What was asked of a unit after its first look.
    pub(super) fn learn(&mut self, unit: &UnitName, name: &str, value: &OwnedVariant) {
        if let Some(entry) = self.units.get_mut(unit) {
            entry.properties.set(name, value);
        }
    }

    /// The unit's properties, when a signal has just told them and they are a state to stay in.
    pub(super) fn fresh(&self, unit: &UnitName, now: Instant) -> Option<&Properties> {
        let entry = self.units.get(unit).filter(|entry| entry.is_complete && !entry.properties.may_be_passing())?;
        (now.saturating_duration_since(entry.at?) <= FRESH).then_some(&entry.properties)
    }

    /// The unit's properties, when a look has given them all.
    pub(super) fn known(&self, unit: &UnitName) -> Option<&Properties> {
        self.units.get(unit).filter(|entry| entry.is_complete).map(|entry| &entry.properties)
    }

    /// Whether the program of a unit's main process is yet to be asked for.
    pub(super) fn wants_program(&self, unit: &UnitName, pid: u32) -> bool {
        self.units.get(unit).is_some_and(|entry| entry.program.as_ref().is_none_or(|known| known.0 != pid))
    }

    /// A unit's main process runs this program.
    pub(super) fn runs(&mut self, unit: &UnitName, pid: u32, program: String) {
        if let Some(entry) = self.units.get_mut(unit) {
            entry.program = Some(Box::new((pid, program)));
        }
    }

    /// The program that a unit's main process runs, or ran last.
    pub(super) fn program(&self, unit: &UnitName) -> Option<&str> {
        self.units.get(unit)?.program.as_ref().map(|known| known.1.as_str())
    }

    /// The unit's last known state.
    pub(super) fn active(&self, unit: &UnitName) -> Option<ActiveState> {
        self.units.get(unit)?.properties.active
    }
}

#[cfg(test)]
mod tests;
