//! Rows of a table: what was measured, beside the limit that is promised. It judges nothing but says what does not hold.

use std::fmt;

/// A figure.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    pub(super) what: String,
    pub(super) figure: f64,
    /// The most that is promised; nothing of what stands here for orientation.
    pub(super) limit: Option<f64>,
    pub(super) unit: &'static str,
}

impl Row {
    pub(super) fn new(what: impl Into<String>, figure: f64, unit: &'static str) -> Self {
        Self { what: what.into(), figure, limit: None, unit }
    }

    pub(super) fn at_most(self, limit: f64) -> Self {
        Self { limit: Some(limit), ..self }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, figure, limit, unit } = self;
        let decimals = match figure {
            whole if whole.fract() == 0.0 => 0,
            small if small.abs() < 1.0 => 3,
            _ => 1,
        };
        write!(f, "{what:<72} {figure:>9.decimals$} ")?;
        match limit {
            Some(limit) => write!(f, "of {limit:>5} {unit}")?,
            None => write!(f, "         {unit}")?,
        }
        if limit.is_some_and(|limit| *figure > limit) {
            f.write_str("  does not hold")?;
        }
        Ok(())
    }
}

/// The smallest of these that at least `share` percent do not exceed; nothing is zero.
pub(super) fn quantile(figures: &[f64], share: usize) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (sorted.len() * share).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_its_limit_and_when_it_does_not_hold() {
        let row = Row::new("share of a core", 11.96, "%");
        assert!(row.to_string().ends_with(" 12.0          %"), "{row}");
        let (holds, not) = (row.clone().at_most(12.0), row.at_most(11.9));
        assert!(holds.to_string().ends_with("12.0 of    12 %"), "{holds}");
        assert!(not.to_string().ends_with("12.0 of  11.9 %  does not hold"), "{not}");
        let (none, little) = (Row::new("missing", 0.0, "").at_most(0.0), Row::new("at rest", 0.0312, "%").at_most(0.1));
        assert!(none.to_string().ends_with(" 0 of     0 "), "{none}");
        assert!(little.to_string().ends_with(" 0.031 of   0.1 %"), "{little}");
    }

    #[test]
    fn a_quantile_is_one_of_the_figures_in_whatever_order() {
        let figures: Vec<f64> = (1..=200).rev().map(f64::from).collect();
        assert_eq!([50, 99, 100].map(|share| quantile(&figures, share)), [100.0, 198.0, 200.0]);
        assert_eq!(quantile(&[], 99), 0.0);
    }
}
