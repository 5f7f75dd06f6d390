//! Figures with their unit in the type: shares and sizes.
//! Durations are `core::time::Duration`.

use core::fmt;

use serde::{Deserialize, Serialize};

/// A size in bytes, shown with binary prefixes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct ByteSize(pub u64);

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [("TiB", 1u64 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
        match units.iter().find(|(_, size)| self.0 >= *size) {
            Some((unit, size)) => write!(f, "{}.{} {unit}", self.0 / size, self.0 % size * 10 / size),
            None => write!(f, "{} B", self.0),
        }
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

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn a_share_is_never_above_the_whole() {
        assert_eq!(Percent::of(30, 10).as_f64(), 100.0);
        assert_eq!(Percent::of(1, 0).as_f64(), 0.0);
        assert_eq!(Percent::of(u64::MAX, u64::MAX).to_string(), "100.0 %");
        assert_eq!(ByteSize(1536).to_string(), "1.5 KiB");
    }
}
