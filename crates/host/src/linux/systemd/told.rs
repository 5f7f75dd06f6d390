//! What systemd has told of each watched unit: the properties of the last look, kept current by its signals.
//!
//! A signal carries every changing property of the unit, so whoever looks right after one need not ask again; asking
//! costs a dozen round trips just when systemd is busiest. It knows nothing of health or intent.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::{Duration, Instant},
};

use ansai_model::{
    domain::service::{ActiveState, Exit, LoadState, UnitResult},
    id::UnitName,
    text::Text,
    time::WallTime,
};
use zbus::{OwnedObjectPath, OwnedVariant};

use super::unit::{active_state, load_state, unit_result};

/// How long what a signal has told counts as a look: later ones ask, so that nothing rests on signals alone.
const FRESH: Duration = Duration::from_millis(250);

/// The properties of a unit that a look is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Properties {
    pub(super) load: Option<LoadState>,
    pub(super) active: Option<ActiveState>,
    pub(super) sub: Option<Text>,
    /// Number and object path of the job under way.
    pub(super) job: Option<(u32, String)>,
    pub(super) since: Option<WallTime>,
    pub(super) invocation: Option<Text>,
    pub(super) result: Option<UnitResult>,
    pub(super) main_pid: Option<u32>,
    pub(super) restarts: u32,
    /// Whether systemd may restart the unit by itself (`Restart=`).
    restarts_itself: bool,
    exit_code: i32,
    exit_status: i32,
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
            "Job" => {
                if let Ok((id, path)) = <(u32, OwnedObjectPath)>::try_from(value.clone()) {
                    self.job = (id != 0).then(|| (id, path.as_str().to_owned()));
                }
            }
            "StateChangeTimestamp" => self.since = value.downcast_ref::<u64>().ok().and_then(wall_time),
            "InvocationID" => self.invocation = invocation_id(value),
            "MainPID" => self.main_pid = value.downcast_ref::<u32>().ok().filter(|pid| *pid != 0),
            "Restart" => self.restarts_itself = word().is_some_and(|word| word != "no"),
            "NRestarts" => self.restarts = value.downcast_ref::<u32>().unwrap_or(self.restarts),
            "ExecMainCode" => self.exit_code = value.downcast_ref::<i32>().unwrap_or(self.exit_code),
            "ExecMainStatus" => self.exit_status = value.downcast_ref::<i32>().unwrap_or(self.exit_status),
            _ => {}
        }
    }

    /// Whether systemd passes through this state on its way to a restart of its own, and tells of it when it has gone on.
    fn may_be_passing(&self) -> bool {
        self.restarts_itself && matches!(self.active, Some(ActiveState::Failed | ActiveState::Inactive))
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
}

/// What was told of the watched units.
#[derive(Debug, Default)]
pub(super) struct Told {
    units: BTreeMap<UnitName, Entry>,
}

impl Told {
    /// Limits it to these units.
    pub(super) fn watch(&mut self, units: &BTreeSet<UnitName>) {
        self.units.retain(|unit, _| units.contains(unit));
        for unit in units {
            self.units.entry(unit.clone()).or_default();
        }
    }

    /// Forgets everything: nobody was listening, or systemd has read its units anew.
    pub(super) fn reset(&mut self) {
        self.units.values_mut().for_each(|entry| *entry = Entry { signals: entry.signals + 1, ..Entry::default() });
    }

    /// Forgets a unit: systemd has loaded or unloaded it.
    pub(super) fn forget(&mut self, unit: &UnitName) {
        if let Some(entry) = self.units.get_mut(unit) {
            *entry = Entry { signals: entry.signals + 1, ..Entry::default() };
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
    }

    /// A number to pass to [`Told::looked`]: it is another one after each signal.
    pub(super) fn count(&self, unit: &UnitName) -> u64 {
        self.units.get(unit).map_or(0, |entry| entry.signals)
    }

    /// A look that began at `count` has found these; older news than a signal's is ignored.
    pub(super) fn looked(&mut self, unit: &UnitName, properties: &Properties, count: u64) {
        if let Some(entry) = self.units.get_mut(unit).filter(|entry| entry.signals == count) {
            entry.properties = properties.clone();
            entry.is_complete = true;
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

    /// The unit's last known state.
    pub(super) fn active(&self, unit: &UnitName) -> Option<ActiveState> {
        self.units.get(unit)?.properties.active
    }
}

#[cfg(test)]
mod tests {
    use zbus::Variant;

    use super::*;

    fn variant(value: impl Into<Variant<'static>>) -> OwnedVariant {
        value.into().try_into().expect("no file descriptor")
    }

    fn unit() -> UnitName {
        UnitName::new("a.service").expect("valid")
    }

    fn watching() -> Told {
        let mut told = Told::default();
        told.watch(&[unit()].into());
        told
    }

    #[test]
    fn exits_are_told_apart() {
        let exit = |code: i32, status: i32| {
            let mut properties = Properties::default();
            properties.set("ExecMainCode", &variant(code));
            properties.set("ExecMainStatus", &variant(status));
            properties.exit()
        };
        assert_eq!(exit(2, 9), Some(Exit::Signal(9)));
        assert_eq!(exit(1, 0), Some(Exit::Code(0)));
        assert_eq!(exit(0, 0), None);
    }

    #[test]
    fn a_signal_alone_is_no_look_and_after_one_it_is_for_a_moment() {
        let (mut told, now) = (watching(), Instant::now());
        let failed = HashMap::from([("ActiveState", variant("failed"))]);
        told.changed(&unit(), &failed, true, now);
        assert_eq!(told.fresh(&unit(), now), None, "what signals leave out is not known");
        told.looked(&unit(), &Properties::default(), told.count(&unit()));
        told.changed(&unit(), &failed, true, now);
        assert_eq!(told.fresh(&unit(), now).and_then(|seen| seen.active), Some(ActiveState::Failed));
        assert_eq!(told.fresh(&unit(), now + FRESH * 2), None);
        told.reset();
        assert_eq!(told.fresh(&unit(), now), None);
    }

    #[test]
    fn a_failure_that_systemd_may_be_mending_is_asked_about() {
        let (mut told, now) = (watching(), Instant::now());
        let mut seen = Properties::default();
        seen.set("Restart", &variant("on-failure"));
        told.looked(&unit(), &seen, told.count(&unit()));
        told.changed(&unit(), &HashMap::from([("ActiveState", variant("failed"))]), true, now);
        assert_eq!(told.fresh(&unit(), now), None);
        told.changed(&unit(), &HashMap::from([("ActiveState", variant("active"))]), true, now);
        assert!(told.fresh(&unit(), now).is_some());
    }

    #[test]
    fn half_of_a_change_is_no_whole() {
        let (mut told, now) = (watching(), Instant::now());
        told.looked(&unit(), &Properties::default(), 0);
        told.changed(&unit(), &HashMap::from([("Result", variant("signal"))]), false, now);
        assert_eq!(told.fresh(&unit(), now), None);
        told.changed(&unit(), &HashMap::from([("ActiveState", variant("failed"))]), true, now);
        assert_eq!(told.fresh(&unit(), now).and_then(|seen| seen.result), Some(UnitResult::Signal));
    }

    #[test]
    fn a_look_that_a_signal_has_overtaken_changes_nothing() {
        let (mut told, now) = (watching(), Instant::now());
        let count = told.count(&unit());
        told.changed(&unit(), &HashMap::from([("ActiveState", variant("failed"))]), true, now);
        let old = Properties { active: Some(ActiveState::Active), ..Properties::default() };
        told.looked(&unit(), &old, count);
        assert_eq!(told.fresh(&unit(), now), None);
    }
}
