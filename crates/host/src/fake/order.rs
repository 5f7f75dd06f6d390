//! What can be done to a fake machine from outside: what breaks by itself, and what people do.

use std::time::Duration;

use ansai_model::{id::UnitName, operator::DrillKind};

/// Something that goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The main process is killed by this signal.
    Crash {
        /// Whose.
        unit: UnitName,
        /// The signal's number.
        signal: i32,
    },
    /// The main process ends by itself.
    Exit {
        /// Whose.
        unit: UnitName,
        /// With this code.
        code: i32,
    },
    /// It runs and answers nothing, until its next start.
    Hang(UnitName),
    /// It answers with this status, until its next start.
    WrongAnswer {
        /// The unit by its full name, with its suffix.
        unit: UnitName,
        /// The status of HTTP.
        status: u16,
    },
    /// It dies this long after each of its next starts.
    Loop {
        /// The unit by its full name, with its suffix.
        unit: UnitName,
        /// How long after.
        after: Duration,
        /// How many times it happened.
        times: u32,
    },
    /// Its next starts never end.
    NeverReady(UnitName),
    /// A process of no unit takes a port, until [`Fault::PortReleased`].
    PortTaken(u16),
    /// A leftover of the unit's own last run keeps its port when it is down.
    Leftover(UnitName),
    /// That process is gone.
    PortReleased(u16),
    /// Its configuration no longer lets it start.
    InvalidConfiguration(UnitName),
    /// The bus goes away.
    BusGone,
    /// The bus is there again.
    BusBack,
    /// Every look takes this long.
    Slow(Duration),
    /// The unit's file vanishes as soon as an action on it begins.
    VanishesInAction(UnitName),
    /// The next action is done, and its outcome is lost.
    LosesNextOutcome,
    /// A drill of this kind.
    Drill {
        /// Into which unit.
        unit: UnitName,
        /// The kind of failure.
        kind: DrillKind,
    },
}

/// Something that a person does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// `systemctl start`.
    Start(UnitName),
    /// `systemctl stop`.
    Stop(UnitName),
    /// `systemctl restart`.
    Restart(UnitName),
    /// `systemctl mask --now`.
    Mask(UnitName),
    /// `systemctl unmask`.
    Unmask(UnitName),
    /// Mends the unit's configuration by hand.
    MendConfiguration(UnitName),
    /// A package manager takes its lock.
    BeginPackages,
    /// It releases it.
    EndPackages,
    /// `systemctl reboot` has begun.
    ShutDown,
}
