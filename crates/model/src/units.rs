//! Figures with their unit in the type: shares and sizes.
//! Durations are `core::time::Duration`.

use alloc::{
    format,
    string::{String, ToString},
};
use core::fmt;

use serde::{Deserialize, Serialize};

/// A size in bytes, shown with binary prefixes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct ByteSize(pub u64);

impl ByteSize {
    /// What is shown of it: so many tenths of a unit, the rest left out. Bytes have none.
    fn tenths(self) -> Option<Tenths> {
        const UNITS: [(&str, u64); 4] = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
        let (unit, size) = UNITS.into_iter().find(|(_, size)| self.0 >= *size)?;
        Some(Tenths { count: self.0 / size * 10 + self.0 % size * 10 / size, unit })
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.tenths() {
            Some(tenths) => tenths.fmt(f),
            None => write!(f, "{} B", self.0),
        }
    }
}

/// Tenths of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tenths {
    count: u64,
    unit: &'static str,
}

impl fmt::Display for Tenths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{} {}", self.count / 10, self.count % 10, self.unit)
    }
}

/// A share of a whole, in hundredths of a percent, so that equality and order are exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Percent(u16);

impl Percent {
    /// `part` of `whole`; zero when the whole is zero; never above 100 %.
    #[must_use]
    pub fn of(part: u64, whole: u64) -> Self {
        if whole == 0 {
            return Self(0);
        }
        let hundredths = u128::from(part.min(whole)) * 10_000 / u128::from(whole);
        Self(u16::try_from(hundredths).unwrap_or(10_000))
    }

    /// From whole percents; none above 100.
    #[must_use]
    pub fn new(percent: u8) -> Option<Self> {
        (percent <= 100).then(|| Self(u16::from(percent) * 100))
    }

    /// In hundredths of a percent.
    #[must_use]
    pub fn hundredths(self) -> u16 {
        self.0
    }

    /// In percent, with the fraction.
    #[must_use]
    pub fn as_f64(self) -> f64 {
        f64::from(self.0) / 100.0
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{} %", self.0 / 100, self.0 % 100 / 10)
    }
}

/// A part of a filesystem that is smaller than one of so many is not missed by whoever adds its figures up.
const MISSED_FROM: u64 = 1000;

/// The room of a filesystem, as df(1) counts it: blocks that are reserved for root are neither used nor available.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// All of it.
    pub size: ByteSize,
    /// What is used.
    pub used: ByteSize,
    /// What ordinary users can still use: what is free less what is reserved.
    pub available: ByteSize,
}

impl Room {
    /// What ordinary users can use at most: what is used and what is available.
    #[must_use]
    pub fn usable(&self) -> ByteSize {
        ByteSize(self.used.0.saturating_add(self.available.0))
    }

    /// The used share of that.
    #[must_use]
    pub fn used_share(&self) -> Percent {
        Percent::of(self.used.0, self.usable().0)
    }

    /// What is shown of the usable: the sum of what is shown of the used and of the available, where both have one unit.
    fn shown_usable(&self) -> Option<Tenths> {
        let (used, available) = self.used.tenths().zip(self.available.tenths())?;
        (used.unit == available.unit).then_some(Tenths { count: used.count + available.count, unit: used.unit })
    }

    /// How full it is for ordinary users, in figures that add up.
    #[must_use]
    pub fn usable_in_words(&self) -> String {
        let usable = self.shown_usable().map_or_else(|| self.usable().to_string(), |shown| shown.to_string());
        format!("{} used ({} of {usable}), {} available", self.used_share(), self.used, self.available)
    }

    /// What is reserved for root beside that, and all of it; nothing where it is too little to be missed in a sum.
    #[must_use]
    pub fn reserve_in_words(&self) -> Option<String> {
        let reserved = ByteSize(self.size.0.saturating_sub(self.usable().0));
        let is_missed = reserved.0.saturating_mul(MISSED_FROM) >= self.size.0 && reserved.0 > 0;
        let shown = self.size.tenths().zip(self.shown_usable()).filter(|(size, usable)| size.unit == usable.unit);
        let shown =
            shown.map(|(size, usable)| Tenths { count: size.count.saturating_sub(usable.count), unit: size.unit });
        let shown = shown.map_or_else(|| reserved.to_string(), |shown| shown.to_string());
        is_missed.then(|| format!("another {shown} is reserved for root, {} in all", self.size))
    }

    /// Both in one line.
    #[must_use]
    pub fn in_words(&self) -> String {
        match self.reserve_in_words() {
            Some(reserve) => format!("{}; {reserve}", self.usable_in_words()),
            None => self.usable_in_words(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_never_above_the_whole() {
        assert_eq!(Percent::of(30, 10).as_f64(), 100.0);
        assert_eq!(Percent::of(1, 0).as_f64(), 0.0);
        assert_eq!(Percent::of(u64::MAX, u64::MAX).to_string(), "100.0 %");
        assert_eq!(ByteSize(1536).to_string(), "1.5 KiB");
    }

    #[test]
    fn the_figures_of_a_filesystem_add_up() {
        const GIB: u64 = 1 << 30;
        let room = |size, used, available| {
            let [size, used, available] = [size, used, available].map(ByteSize);
            Room { size, used, available }.in_words()
        };
        // 57 + 38 + 5 = 100, and 57 of 95 are 60 %.
        let said = "60.0 % used (57.0 GiB of 95.0 GiB), 38.0 GiB available; another 5.0 GiB is reserved for root, 100.0 GiB in all";
        assert_eq!(room(100 * GIB, 57 * GIB, 38 * GIB), said);
        let said = "60.0 % used (57.0 GiB of 95.0 GiB), 38.0 GiB available";
        assert_eq!(room(95 * GIB, 57 * GIB, 38 * GIB), said);
        assert_eq!(room(95 * GIB + 4096, 57 * GIB, 38 * GIB), said, "nobody misses that");
        assert_eq!(room(0, 0, 0), "0.0 % used (0 B of 0 B), 0 B available");
        // 72.3 + 18.4 + 161.2 = 251.9, though the rest of each that is not shown makes another tenth.
        let tenth = |tenths: u64| GIB / 100 * tenths;
        let said = "79.6 % used (72.3 GiB of 90.7 GiB), 18.4 GiB available; another 161.2 GiB is reserved for root, 251.9 GiB in all";
        assert_eq!(room(tenth(25_199), tenth(7_238), tenth(1_848)), said);
        let said = "99.9 % used (9.0 GiB of 9.0 GiB), 1.0 MiB available; another 1022.9 MiB is reserved for root, 10.0 GiB in all";
        assert_eq!(room(10 * GIB, 9 * GIB, (1 << 20) + 99), said, "in two units nobody makes a sum");
    }
}
