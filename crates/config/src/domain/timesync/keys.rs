//! The keys of the clock's synchronization: of the section and of the probe, each with the field that it fills.

use ansai_keys::{Key, Kind, Shape, key};
use ansai_model::domain::timesync::TimesyncProbe;

use super::{NAME, Timesync};
use crate::{
    fill::{fills, shape},
    keys::{
        PERIOD,
        shared::{AUTONOMIES, SEVERITIES},
    },
};

const UNIT: Key = key("unit", Kind::Text, "The unit that synchronizes the clock").example("chrony.service");
const SETTLE: Key =
    key("settle", Kind::Duration, "How long after the unit's start it may take until the clock is synchronized")
        .default("10m");

fills! {
    Timesync {
        unit: UNIT.otherwise("the one that is found on the host"),
        settle: SETTLE,
        every: key("every", PERIOD, "The period").default("1m"),
        autonomy: key("autonomy", AUTONOMIES, "How much may be done about it").below("autonomy"),
        severity: key("severity", SEVERITIES, "How soon a person must act when it cannot be mended").default("day"),
    }
}

static SYNCHRONIZED: Shape = shape::<Timesync>("The synchronization of the clock");

/// The section.
pub(crate) const SECTION: Key = key(
    NAME,
    Kind::Short(&Kind::Truth, &SYNCHRONIZED),
    "Whether it is watched that the host's clock is synchronized; where nothing is installed for that, nothing is",
)
.otherwise("false")
.example("true");

fills! {
    TimesyncProbe {
        unit: UNIT.needed("`unit` is missing", "write unit: chrony.service"),
        settle: SETTLE,
    }
}

/// The long form of a look.
pub(crate) static PROBE: Shape = shape::<TimesyncProbe>("A look at the clock");
